"""The public data sets land with nothing but a mapping file each."""

from datetime import date, datetime, time
from pathlib import Path

import duckdb
import orjson
import polars as pl
import pytest

from ml.tariffs.schema import Tariff
from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping
from orchestration.ingestion.report import LandingReport
from tests.unit.orchestration.ingestion.supplier import PSEUDONYM_KEY

MAPPINGS = Path(__file__).resolve().parents[3] / "mappings"


def land(name: str, shared_data: Path, landing: Path, time_zone: str) -> LandingReport:
    return land_deliveries(
        shared_data, load_mapping(MAPPINGS / f"{name}.yaml"), landing, pseudonym_key=PSEUDONYM_KEY, time_zone=time_zone
    )


def query(landing: Path, sql: str) -> list[tuple]:  # type: ignore[type-arg]  # rows of any shape
    """Run SQL in which {table} stands for the files of a table."""
    tables = (
        "customers",
        "meters",
        "tariffs",
        "tariff_enrolments",
        "bills",
        "payments",
        "inspections",
        "weather",
        "meter_readings",
    )
    files = {name: f"read_parquet('{landing}/deliveries/*/{name}/**/*.parquet')" for name in tables}
    with duckdb.connect(config={"threads": 2}) as connection:
        return connection.execute(sql.format(**files)).fetchall()


def test_low_carbon_london(shared_data: Path, tmp_path: Path) -> None:
    report = land("low_carbon_london", shared_data, tmp_path, "Europe/London")

    assert report.rows_in == report.rows_loaded
    assert report.unreadable == ()
    readings = pl.read_parquet(shared_data / "lcl" / "halfhourly_2013.parquet")
    summary = """
        select count(*), count(distinct meter_id), min(read_at), max(interval_minutes), cast(sum(kwh) as double)
        from {meter_readings}
    """
    assert query(tmp_path, summary) == [
        (readings.height, 71, datetime(2013, 1, 1), 30, pytest.approx(readings["kwh"].cast(pl.Float64).sum(), abs=0.5))
    ]  # fmt: skip
    dynamic = query(
        tmp_path,
        "select count(*), min(valid_from), max(valid_to) from {tariff_enrolments} where tariff_id = 'lcl_dtou'",
    )
    assert dynamic == [(13, date(2013, 1, 1), date(2013, 12, 31))]
    tariffs = [
        Tariff.model_validate(orjson.loads(text))
        for (text,) in query(tmp_path, "select tariff_json from {tariffs} order by tariff_id")
    ]
    assert [(tariff.tariff_id, tariff.currency) for tariff in tariffs] == [("lcl_dtou", "GBP"), ("lcl_flat", "GBP")]
    assert query(tmp_path, "select count(*) from {payments}") == [(0,)]


def test_uci_credit_default_label_follows_from_bills_and_payments(shared_data: Path, tmp_path: Path) -> None:
    report = land("uci_credit_default", shared_data, tmp_path, "Asia/Taipei")

    assert report.rows_in == report.rows_loaded
    clients = pl.read_parquet(shared_data / "uci_credit_default" / "clients.parquet")
    settled = """
        select b.customer_key, b.due_date, b.amount, b.known_at <= date '2005-10-01' as is_known_in_time,
            coalesce(sum(p.amount) filter (p.paid_date <= b.due_date + 30), 0) as paid_in_time,
            coalesce(sum(p.amount) filter (p.paid_date <= date '2005-09-30'), 0) as paid_by_september
        from {bills} b left join {payments} p using (bill_id) group by all
    """
    [(clients_count, defaults, known_in_time)] = query(
        tmp_path,
        "select count(*), count(*) filter (paid_in_time < amount), bool_and(is_known_in_time) "
        f"from ({settled}) where due_date = date '2005-10-25'",
    )  # fmt: skip
    assert (clients_count, defaults, known_in_time) == (clients.height, clients["default_next_month"].sum(), True)
    assert query(
        tmp_path, f"select count(*) from ({settled}) where due_date < date '2005-10-01' and paid_by_september < amount"
    ) == [(0,)]
    attributes = {
        key for (text,) in query(tmp_path, "select distinct attributes from {customers}") for key in orjson.loads(text)
    }
    assert attributes == {"education"}


def test_swiss_readings_keep_their_interval(shared_data: Path, tmp_path: Path) -> None:
    report = land("swiss_15min", shared_data, tmp_path, "Europe/Zurich")

    assert report.quarantined_by_reason == {}
    summary = "select count(*), min(read_at), max(read_at), min(interval_minutes), max(interval_minutes) "
    assert query(tmp_path, summary + "from {meter_readings}") == [
        (1_773_408, datetime(2018, 10, 28, 23), datetime(2018, 12, 16, 22, 45), 15, 15)
    ]  # fmt: skip


def test_sgcc_daily_readings_land_and_the_absurd_one_is_named(shared_data: Path, tmp_path: Path) -> None:
    report = land("sgcc_daily", shared_data, tmp_path, "Asia/Shanghai")

    assert report.quarantined_by_reason == {"impossible_value": 1}
    assert "more than the meter can pass in one interval" in report.messages[0]
    assert query(
        tmp_path, "select count(*), count(kwh), min(interval_minutes), min(read_at) from {meter_readings}"
    ) == [(471_223, 471_146, 1440, datetime(2013, 12, 31, 16))]


def test_london_days_land_and_days_with_gaps_are_missing(shared_data: Path, tmp_path: Path) -> None:
    # A hundredth of the 2,250,541 days is enough to see what becomes of one.
    chosen = pl.scan_parquet(shared_data / "lcl" / "households.parquet").gather_every(100).collect()
    days = pl.scan_parquet(shared_data / "lcl" / "daily.parquet").filter(
        pl.col("lclid").is_in(chosen["lclid"].to_list())
    )
    few_days = days.collect()
    inbox = tmp_path / "inbox" / "lcl"
    inbox.mkdir(parents=True)
    chosen.write_parquet(inbox / "households.parquet")
    few_days.write_parquet(inbox / "daily.parquet")
    weather = pl.read_parquet(shared_data / "lcl" / "weather_daily.parquet")
    weather.write_parquet(inbox / "weather_daily.parquet")

    report = land("low_carbon_london_daily", inbox.parent, tmp_path / "landing", "Europe/London")

    assert report.rows_loaded == report.rows_in == 2 * chosen.height + few_days.height + weather.height
    complete = few_days.filter((pl.col("n_readings") >= 47) & pl.col("kwh_sum").is_not_null())
    summary = """
        select count(*), count(distinct meter_id), min(interval_minutes), max(interval_minutes),
            cast(sum(kwh) as double)
        from {meter_readings} where quality <> 'missing'
    """
    assert 0 < complete.height < few_days.height
    assert query(tmp_path / "landing", summary) == [
        (complete.height, chosen.height, 1440, 1440, pytest.approx(complete["kwh_sum"].cast(pl.Float64).sum(), abs=0.5))
    ]  # fmt: skip
    # The midpoint of the highest and the lowest temperature stands at noon, and is known when the day is over.
    coldest = weather.sort(pl.col("temp_max_c") + pl.col("temp_min_c")).row(0, named=True)
    noon = datetime.combine(coldest["day"], time(12))
    midpoint = pytest.approx((coldest["temp_max_c"] + coldest["temp_min_c"]) / 2, abs=0.01)
    assert query(
        tmp_path / "landing",
        "select count(*), arg_min(observed_at, temperature_c), min(temperature_c), "
        "bool_and(known_at > observed_at) from {weather}",
    ) == [(weather.height, noon, midpoint, True)]
