"""Landings in which entities are missing or unusual: every mart is built, and says honestly what it cannot know."""

import datetime as dt
import json
import shutil

import duckdb
import pandas as pd
import pytest

from ml.feature_definitions import FeatureDefinitions
from orchestration.feature_definitions import feature_definitions
from orchestration.marts import MARTS, MARTS_AFTER_MODELS
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES
from serving.raw_features import RawFeatureMaker
from serving.raw_schemas import RawCustomer
from serving.use_cases import feature_columns
from tests.integration.dbt.conftest import ZONE, DbtProject
from tests.integration.dbt.landing_factory import LandingFactory, month_start_at
from tests.integration.raw_rows import raw_request

SPRING_CHANGE = dt.date(2025, 3, 30)
AUTUMN_CHANGE = dt.date(2025, 10, 26)


def _local_midnights(first: dt.date, days: int) -> list[dt.datetime]:
    return [month_start_at(first + dt.timedelta(days=day), ZONE) for day in range(days)]


@pytest.fixture(scope="module")
def readings_only(dbt_project: DbtProject, tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """Readings of March to October 2025 without customers, payments or weather.

    ``hourly`` has 1 kWh in every hour; ``quarter`` 0.25 kWh in every quarter of an hour; ``daily`` one reading per
    local day; ``pair`` two meters side by side with 1 kWh in every hour each. ``billed`` has bills and no readings.
    """
    landing = LandingFactory.create(tmp_path_factory.mktemp("readings_only"))
    start, end = month_start_at(dt.date(2025, 3, 1), ZONE), month_start_at(dt.date(2025, 11, 1), ZONE)

    def every(minutes: int, meter: str, customer: str, kwh: float) -> str:
        return f"""
            select '{meter}' as meter_id, '{customer}' as customer_key, read_at, {minutes} as interval_minutes,
                'actual' as quality, {kwh} as kwh
            from range(timestamp '{start}', timestamp '{end}', interval {minutes} minute) as r(read_at)"""

    midnights = ", ".join(f"timestamp '{at}'" for at in _local_midnights(dt.date(2025, 3, 1), 245))
    landing.deliver(
        "2025-11-01",
        end + dt.timedelta(days=1),
        {
            "meters": [
                {"meter_id": meter, "customer_key": customer, "interval_minutes": minutes}
                for meter, customer, minutes in (
                    ("H", "hourly", 60),
                    ("Q", "quarter", 15),
                    ("D", "daily", 1440),
                    ("P1", "pair", 60),
                    ("P2", "pair", 60),
                )
            ],
            "meter_readings": " union all ".join(
                [
                    every(60, "H", "hourly", 1),
                    every(15, "Q", "quarter", 0.25),
                    every(60, "P1", "pair", 1),
                    every(60, "P2", "pair", 1),
                    f"select 'D', 'daily', unnest([{midnights}]), 1440, 'actual', 24",
                ]
            ),
            "bills": [
                {
                    "bill_id": f"{month:%m}",
                    "customer_key": "billed",
                    "period_start": month.date(),
                    "period_end": (month + pd.DateOffset(months=1)).date(),
                    "amount": 100,
                    "issued_date": month.date(),
                    "due_date": (month + pd.DateOffset(days=20)).date(),
                }
                for month in pd.date_range("2025-03-01", periods=8, freq="MS")
            ],
        },
    )
    dbt_project.use(landing)
    dbt_project.run("build", "readings_only", "--exclude-resource-type", "unit_test")
    # Later runs of the project compile it anew, and point to other landings.
    shutil.copy(dbt_project.work / "target" / "manifest.json", dbt_project.work / "readings_only.json")
    (dbt_project.work / "readings_only").symlink_to(landing.path)
    return dbt_project


def test_clock_changes_keep_every_interval_in_its_local_slot(readings_only: DbtProject) -> None:
    slots = readings_only.read(
        "readings_only",
        f"""
        select local_date, slot, slot_length_minutes from intermediate.int_calendar_slots
        where local_date in ('{SPRING_CHANGE}', '{AUTUMN_CHANGE}') and slot in (1, 2, 3)
        order by all
        """,
    )
    days = slots["local_date"].dt.date
    minutes = dict(zip(zip(days, slots["slot"], strict=True), slots["slot_length_minutes"], strict=True))
    assert minutes == {
        (SPRING_CHANGE, 1): 60,
        (SPRING_CHANGE, 3): 60,
        (AUTUMN_CHANGE, 1): 60,
        (AUTUMN_CHANGE, 2): 120,
        (AUTUMN_CHANGE, 3): 60,
    }


def test_a_complete_load_has_every_expected_interval_on_clock_change_days_too(readings_only: DbtProject) -> None:
    cells = readings_only.read(
        "readings_only",
        """
        select customer_key, sum(interval_count) as present, sum(expected_interval_count) as expected,
            count(case when interval_count <> expected_interval_count then 1 end) as different
        from marts.customer_load_cube group by customer_key order by customer_key
        """,
    )
    hours = 245 * 24
    assert list(cells["customer_key"]) == ["hourly", "pair", "quarter"]
    assert list(cells["present"]) == [hours, hours, 4 * hours]
    assert list(cells["expected"]) == list(cells["present"])
    assert list(cells["different"]) == [0, 0, 0]


def test_meters_side_by_side_add_up_to_one_load(readings_only: DbtProject) -> None:
    power = readings_only.read(
        "readings_only",
        "select customer_key, max(peak_kw) as peak_kw from marts.customer_load_cube group by all order by all",
    )
    assert list(power["peak_kw"]) == [1, 2, 1]


def test_daily_readings_give_level_and_coverage_but_no_shape(readings_only: DbtProject) -> None:
    segmentation = readings_only.read(
        "readings_only",
        "from marts.customer_segmentation_features where customer_key = 'daily' and as_of_month = '2025-10-01'",
    )
    assert segmentation["annual_kwh"].item() == 245 * 24
    assert segmentation["observed_days_count"].item() == 245
    assert segmentation[["weekday_shape_12", "night_share", "peak_kw", "load_factor"]].isna().all(axis=None)
    monthly = readings_only.read("readings_only", "from marts.customer_monthly_load where customer_key = 'daily'")
    # A day of 23 or 25 hours still has one reading.
    assert monthly["coverage_pct"].between(99.8, 100).all()


def test_a_flat_load_has_a_flat_shape(readings_only: DbtProject) -> None:
    shape = readings_only.read(
        "readings_only",
        """
        select columns('shape_'), load_factor, base_share, weekend_ratio, night_share, daily_kwh_cv
        from marts.customer_segmentation_features
        where customer_key in ('hourly', 'quarter') and as_of_month = '2025-10-01'
        """,
    )
    assert shape.filter(like="shape_").sub(1).abs().lt(1e-9).all(axis=None)
    assert shape[["load_factor", "base_share", "weekend_ratio"]].sub(1).abs().lt(1e-9).all(axis=None)
    assert shape["night_share"].sub(1 / 3).abs().lt(1e-9).all()
    # Days of 23 and 25 hours are the only spread that is left.
    assert shape["daily_kwh_cv"].between(0, 0.01).all()


def test_daily_readings_tell_the_spread_of_days_with_low_confidence(readings_only: DbtProject) -> None:
    portrait = readings_only.read(
        "readings_only", "from marts.customer_portrait where customer_key = 'daily'"
    ).squeeze()

    assert portrait["weekend_ratio"] == pytest.approx(1)
    assert (portrait["shape_confidence"], portrait["shape_source"]) == ("low", "meter_readings")
    for section in ("time_of_use", "peak", "solar", "vehicle", "temperature"):
        assert portrait[f"{section}_confidence"] == "none"
        assert portrait[[f"{section}_as_of_date", f"{section}_source"]].isna().all()


def test_without_payments_nobody_is_said_to_owe_or_to_pay_late(readings_only: DbtProject) -> None:
    billed = "where customer_key = 'billed'"
    portrait = readings_only.read("readings_only", f"from marts.customer_portrait {billed}").squeeze()
    features = readings_only.read("readings_only", f"from marts.customer_segmentation_features {billed}")

    assert portrait["billed_amount_12m_amount"] == 800
    assert portrait[["unpaid_amount", "late_bills_12m_count", "mean_days_late_12m_days"]].isna().all()
    assert (portrait["payment_confidence"], portrait["payment_source"]) == ("low", "bills")
    behaviour = ["late_bills_12m_count", "on_time_share_12m_pct", "mean_days_late_12m_days", "unpaid_balance_ratio"]
    assert features[behaviour].isna().all(axis=None)
    assert features["billed_amount_12m_amount"].max() == 800


def test_without_bills_credit_has_no_population(readings_only: DbtProject) -> None:
    outcomes = readings_only.read(
        "readings_only", "select distinct exclusion, is_mature, is_default from marts.customer_credit_outcomes"
    )
    assert outcomes["exclusion"].tolist() == ["no_payments"]
    assert not outcomes["is_mature"].any()
    assert outcomes["is_default"].isna().all()
    features = readings_only.read("readings_only", "from marts.customer_credit_features where customer_key <> 'billed'")
    assert (features["bills_12m_count"] == 0).all()
    assert features[["late_bills_12m_count", "contacts_6m_count", "customer_class"]].isna().all(axis=None)


def test_bills_and_payments_alone_give_credit_features_and_outcomes(
    dbt_project: DbtProject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    landing = LandingFactory.create(tmp_path_factory.mktemp("bills_only"))
    months = pd.date_range("2005-04-01", periods=6, freq="MS")
    landing.deliver(
        "statements",
        dt.datetime(2005, 11, 1),
        {
            "bills": [
                {
                    "bill_id": f"{customer}-{month:%m}",
                    "customer_key": customer,
                    "period_start": month.date(),
                    "period_end": (month + pd.DateOffset(months=1)).date(),
                    "amount": 100,
                    "issued_date": month.date(),
                    "due_date": (month + pd.DateOffset(days=20)).date(),
                    "known_at": month.to_pydatetime(),
                }
                for customer in ("good", "bad")
                for month in months
            ],
            "payments": [
                {
                    "payment_id": f"{customer}-{month:%m}",
                    "bill_id": f"{customer}-{month:%m}",
                    "customer_key": customer,
                    "paid_date": (month + pd.DateOffset(days=15)).date(),
                    "amount": 100,
                    "known_at": (month + pd.DateOffset(days=15)).to_pydatetime(),
                }
                for customer in ("good", "bad")
                for month in months
                if customer == "good" or month.month < 7
            ],
        },
    )
    dbt_project.use(landing)
    dbt_project.run("build", "bills_only", "--exclude-resource-type", "unit_test")
    features = dbt_project.read("bills_only", "from marts.customer_credit_features order by all")
    last = features[features["as_of_month"] == "2005-09-01"].set_index("customer_key")
    assert last.loc["good", "on_time_share_12m_pct"] == 100
    assert last.loc["bad", "on_time_share_12m_pct"] == 50
    assert last.loc["bad", "unpaid_balance_ratio"] == 3
    assert last["load_factor_3m"].isna().all()
    outcomes = dbt_project.read("bills_only", "from marts.customer_credit_outcomes order by all")
    assert outcomes["exclusion"].dropna().isin(["in_default", "too_new"]).all()
    assert dbt_project.read("bills_only", "from marts.customer_load_cube").empty


def test_an_empty_landing_builds_empty_marts(dbt_project: DbtProject, tmp_path_factory: pytest.TempPathFactory) -> None:
    dbt_project.use(LandingFactory.create(tmp_path_factory.mktemp("empty")))
    dbt_project.run("build", "empty", "--exclude-resource-type", "unit_test")
    marts = {**MARTS, **MARTS_AFTER_MODELS}
    counts = {mart: len(dbt_project.read("empty", f"from marts.{mart}")) for mart in marts}
    assert counts == dict.fromkeys(marts, 0)


@pytest.fixture(scope="module")
def definitions(readings_only: DbtProject) -> dict[str, FeatureDefinitions]:
    """How the features of these marts were made, as a release would take it along."""
    manifest = json.loads((readings_only.work / "readings_only.json").read_bytes())
    settings = PlatformSettings(home=readings_only.work, time_zone=ZONE, jurisdiction="DE", _env_file=None)  # type: ignore[call-arg]  # pydantic-settings
    with duckdb.connect(str(readings_only.path("readings_only")), read_only=True) as connection:
        return {use_case.name: feature_definitions(use_case, manifest, connection, settings) for use_case in USE_CASES}


@pytest.mark.parametrize("customer", ["hourly", "quarter", "daily", "pair", "billed"])
def test_raw_rows_make_the_features_of_the_marts(
    readings_only: DbtProject, definitions: dict[str, FeatureDefinitions], customer: str
) -> None:
    month, now = dt.date(2025, 10, 1), dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
    entities = ("meters", "meter_readings", "bills")
    request = raw_request(readings_only.work / "readings_only", customer, month, dt.datetime.max, entities)
    raw = RawCustomer.model_validate_json(json.dumps(request))

    for use_case, of_release in definitions.items():
        names = [column.name for column in feature_columns(use_case)]
        made = RawFeatureMaker(of_release, names).make(raw, now=now)

        of_customer = f"customer_key = '{customer}'"
        mart = readings_only.read(
            "readings_only",
            f"select {', '.join(names)} from marts.{of_release.feature_table} "
            f"where {of_customer} and as_of_month = '{month}'",
        )
        expected = {name: None if pd.isna(value) else value for name, value in mart.iloc[0].items()}
        assert made.features == expected, use_case
        for name, table in made.tables.items():
            known = readings_only.read("readings_only", f"from marts.{name} where {of_customer}")
            by_cell = ["month", "day_type", "slot"]
            expected_cells = known.sort_values(by_cell, ignore_index=True).drop(columns="customer_key")
            cells = duckdb.from_arrow(table).df().sort_values(by_cell, ignore_index=True).drop(columns="customer_key")
            pd.testing.assert_frame_equal(cells, expected_cells)
