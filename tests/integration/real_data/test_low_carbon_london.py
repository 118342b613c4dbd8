"""Low Carbon London 2013: 71 households, half-hourly, on a flat price or the trial's dynamic prices."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ml.tariffs.catalogue import Catalogue
from ml.tariffs.pricing import monthly_amounts_from_intervals
from ml.tariffs.schema import load_tariff
from tests.integration.real_data.real_data_run import RealDataRun, query

# By name, because the public list has day and month of two of them the wrong way round (Easter Monday in January).
BANK_HOLIDAYS = ("01-01", "03-29", "04-01", "05-06", "05-27", "08-26", "12-25", "12-26")


@pytest.fixture(scope="session")
def london(run_as_on_page: Callable[[str], RealDataRun]) -> RealDataRun:
    return run_as_on_page("Low Carbon London: half-hourly loads and dynamic prices")


def local_readings(shared_data: Path) -> str:
    """Return the raw readings in London's time as SQL."""
    return (
        "(select lclid, ts, cast(kwh as decimal(14, 4)) as kwh, "
        f"timezone('Europe/London', timezone('UTC', ts)) as local_at from '{shared_data}/lcl/halfhourly_2013.parquet')"
    )


def test_the_run_ends_well_whatever_the_gates_decide(london: RealDataRun) -> None:
    assert london.exit_code == 0
    assert "1,223,133 rows in, 1,223,133 loaded, 0 exact duplicates, 0 quarantined" in london.summary
    assert "71 customers in the marts" in london.summary
    assert (london.home.settings.reports_dir / "site" / "index.html").exists()


@pytest.mark.parametrize("use_case", ["segmentation", "tariff_matching"])
def test_the_load_models_are_judged_and_only_an_approved_one_is_served(london: RealDataRun, use_case: str) -> None:
    challenger = london.challenger(use_case)
    assert challenger is not None
    decision = london.decision(use_case)
    key_metric = challenger.evaluation.key_metric

    assert key_metric is not None
    assert key_metric.rows is not None
    assert key_metric.rows >= 60
    assert None not in (key_metric.lower, key_metric.value, key_metric.upper)
    served = london.home.released_bundles()[use_case]
    assert served == (challenger.manifest.version if decision.approved else None)
    assert decision.approved or decision.reason in london.summary
    assert decision.approved or use_case in london.summary.splitlines()[1]


def test_credit_risk_says_that_there_are_no_payments(london: RealDataRun) -> None:
    assert london.challenger("credit_risk") is None
    assert "There are no bills, so nothing can be late" in london.summary
    assert "There are no payments, so it is not known which bills were paid" in london.summary


def test_the_cube_holds_every_half_hour_and_knows_the_bank_holidays(london: RealDataRun, shared_data: Path) -> None:
    cube = london.marts.path("customer_load_cube")

    in_cube = query(
        "select count(distinct slot), sum(interval_count), sum(kwh), sum(kwh) filter (day_type = 'holiday') "
        f"from '{cube}'"
    )

    in_files = query(
        "select 48, count(*), sum(kwh), "
        f"sum(kwh) filter (strftime(local_at, '%m-%d') in {BANK_HOLIDAYS}) from {local_readings(shared_data)}"
    )
    assert in_cube == in_files


def test_the_district_has_the_temperature_of_london(london: RealDataRun, shared_data: Path) -> None:
    months = london.marts.read("customer_monthly_load", columns=["month", "mean_temperature_c"]).drop_duplicates()

    raw = query(
        "select month(timezone('Europe/London', timezone('UTC', ts))), avg(temp_c) "
        f"from '{shared_data}/lcl/temperature_halfhourly_2013.parquet' group by 1 order by 1"
    )
    in_mart = dict(zip(pd.to_datetime(months["month"]).dt.month, months["mean_temperature_c"], strict=True))
    assert in_mart == pytest.approx(dict(raw), abs=0.05)


def test_the_bills_of_the_dynamic_price_are_those_of_the_raw_files(london: RealDataRun, shared_data: Path) -> None:
    portrait = london.after_models.read("customer_portrait", columns=["customer_key", "tariff_id"])
    on_trial = list(portrait.loc[portrait["tariff_id"] == "lcl_dtou", "customer_key"])
    texts = london.marts.read("tariff_catalogue", columns=["tariff_json"])["tariff_json"]
    catalogue = Catalogue.of([load_tariff(text) for text in texts])
    readings = london.marts.read("customer_interval_load", filters=[("customer_key", "in", on_trial)])

    bills = monthly_amounts_from_intervals(catalogue, readings, time_zone="Europe/London")

    dynamic = bills[bills["tariff_id"] == "lcl_dtou"]
    raw = query(
        "select cast(sum(kwh * cast(pence_per_kwh as decimal(6, 2))) / 100 as double) "
        f"from {local_readings(shared_data)} join '{shared_data}/lcl/dtou_price_2013.parquet' using (ts) "
        f"where lclid in (select lclid from '{shared_data}/lcl/households.parquet' where tariff_group = 'ToU') "
        "group by lclid, month(local_at) order by 1"
    )
    assert len(on_trial) == 13
    # A bill has a line for each of the three prices, and each line is rounded to a penny.
    assert sorted(dynamic["amount"]) == pytest.approx([amount for (amount,) in raw], abs=0.015)
