"""What lies in the inbox: complete, deterministic, resumable, free of hidden causes, dirty to a known degree."""

import datetime as dt
import hashlib
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
import yaml

from orchestration.ingestion.contract import ENTITIES
from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping
from orchestration.ingestion.simulated_supplier.config import Scenario, ScenarioName, SupplierConfig
from orchestration.ingestion.simulated_supplier.deliveries import (
    STATE_FILE,
    SimulatedSupplierError,
    SupplierReport,
    write_deliveries,
)
from orchestration.ingestion.simulated_supplier.kinds import KINDS

SMALL = SupplierConfig(customers=60, months=3)


def _hashes(inbox: Path) -> dict[str, str]:
    return {
        str(path.relative_to(inbox)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(inbox.rglob("*"))
        if path.is_file() and path.name != STATE_FILE
    }


def _entity(name: str) -> str:
    return next(entity for entity in sorted(ENTITIES, key=len, reverse=True) if name.startswith(entity))


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small configuration, written."""
    folder = tmp_path_factory.mktemp("inbox")
    write_deliveries(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def report(inbox: Path) -> SupplierReport:
    """Counts of the small configuration."""
    return write_deliveries(SMALL, inbox)


def test_one_dated_folder_per_month_with_its_delivery_time(inbox: Path) -> None:
    folders = sorted(path.name for path in inbox.iterdir() if path.is_dir())
    note = yaml.safe_load((inbox / "2024-10-02" / "delivery.yaml").read_text(encoding="utf-8"))

    assert folders == ["2024-10-02", "2024-11-02", "2024-12-02"]
    assert note["delivered_at"] == dt.datetime(2024, 10, 2, 14, tzinfo=dt.UTC)


def test_first_delivery_holds_every_entity(inbox: Path) -> None:
    delivered = {_entity(path.stem) for path in (inbox / "2024-10-02").iterdir() if path.stem != "delivery"}

    assert delivered >= set(ENTITIES) - {"payments", "inspections", "service_contacts"}
    assert {_entity(path.stem) for path in inbox.glob("*/*") if path.stem != "delivery"} == set(ENTITIES)


def test_files_have_the_columns_of_the_contract_and_two_harmless_attributes(inbox: Path) -> None:
    for path in inbox.glob("*/*.csv"):
        columns = set(pl.read_csv(path, n_rows=0).columns)
        assert columns - set(ENTITIES[_entity(path.stem)].column_names) <= {"building_type", "is_vulnerable"}, path.name
    for path in inbox.glob("*/*.parquet"):
        assert tuple(pl.read_parquet_schema(path)) == ENTITIES["meter_readings"].column_names


def test_same_configuration_gives_the_same_bytes(inbox: Path, tmp_path: Path) -> None:
    write_deliveries(SMALL, tmp_path)

    assert _hashes(tmp_path) == _hashes(inbox)


def test_another_seed_gives_other_bytes(inbox: Path, tmp_path: Path) -> None:
    write_deliveries(SMALL.model_copy(update={"seed": 8}), tmp_path)
    readings = "2024-10-02/meter_readings.parquet"

    assert _hashes(tmp_path)[readings] != _hashes(inbox)[readings]


def test_rerun_writes_nothing_and_reports_the_same(inbox: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in inbox.rglob("*.parquet")}
    again = write_deliveries(SMALL, inbox)

    assert again.written == ()
    assert again.seconds < 1
    assert again.total("rows") > 100_000
    assert {path: path.stat().st_mtime_ns for path in inbox.rglob("*.parquet")} == before


def test_longer_simulation_continues_the_inbox_as_if_written_at_once(tmp_path: Path) -> None:
    changes = tuple(Scenario(name=name, from_month=dt.date(2024, 11, 1)) for name in get_args(ScenarioName))
    longer = SMALL.model_copy(update={"months": 4, "scenarios": changes})
    write_deliveries(SMALL.model_copy(update={"months": 2}), tmp_path / "grown")
    grown = write_deliveries(longer, tmp_path / "grown")
    write_deliveries(longer, tmp_path / "at_once")

    assert grown.written == ("2024-12-02", "2025-01-02")
    assert _hashes(tmp_path / "grown") == _hashes(tmp_path / "at_once")


def test_removed_delivery_is_written_again(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"months": 2})
    write_deliveries(config, tmp_path)
    before = _hashes(tmp_path)
    for path in (tmp_path / "2024-11-02").iterdir():
        path.unlink()
    (tmp_path / "2024-11-02").rmdir()

    assert write_deliveries(config, tmp_path).written == ("2024-11-02",)
    assert _hashes(tmp_path) == before


def test_inbox_of_another_simulation_is_refused(inbox: Path) -> None:
    before = _hashes(inbox)
    with pytest.raises(SimulatedSupplierError, match=r"2024-10-02.*empty the inbox"):
        write_deliveries(SMALL.model_copy(update={"seed": 9}), inbox)

    assert _hashes(inbox) == before


def test_leftovers_of_a_killed_run_are_not_delivered(tmp_path: Path) -> None:
    torn = tmp_path / ".simulating" / "2024-10-02" / "meter_readings.parquet"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"PAR1")
    config = SMALL.model_copy(update={"months": 1})
    write_deliveries(config, tmp_path)

    assert not (tmp_path / ".simulating").exists()
    assert pl.read_parquet(tmp_path / "2024-10-02" / "meter_readings.parquet").height > 10_000


def test_hidden_causes_never_reach_the_files(inbox: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in inbox.glob("*/*.csv") if path.stem != "tariffs")
    hidden = {kind.name for kind in KINDS} - {"family", "office", "shop", "hotel"}

    assert not [word for word in (*hidden, "stress", "theft_share", "diligence") if word in text]


def test_personal_values_are_plainly_synthetic(inbox: Path) -> None:
    customers = pl.concat([pl.read_csv(path, schema_overrides={"phone": pl.String, "contract_capacity_kva": pl.Float64,
                                                               "closed_date": pl.String})
                           for path in sorted(inbox.glob("*/customers.csv"))])  # fmt: skip

    assert customers["name"].str.starts_with("演示").all()
    assert customers["id_number"].str.starts_with("DEMO").all()
    assert customers["phone"].str.starts_with("100").all()
    assert customers["address"].str.starts_with("演示县").all()


def test_readings_of_a_delivery_are_sorted_and_of_its_local_month(inbox: Path) -> None:
    readings = pl.read_parquet(inbox / "2024-11-02" / "meter_readings.parquet").with_columns(
        pl.col("meter_id").cast(pl.String)
    )

    assert readings.select("meter_id", "read_at").equals(
        readings.select("meter_id", "read_at").sort("meter_id", "read_at")
    )
    assert readings["read_at"].min() == dt.datetime(2024, 9, 30, 16)
    assert readings["read_at"].max() == dt.datetime(2024, 10, 31, 15)
    assert not readings.select("meter_id", "read_at").is_duplicated().any()


@pytest.mark.parametrize("interval_minutes", [15, 30])
def test_shorter_intervals_give_more_rows_and_alike_energy(interval_minutes: int, inbox: Path, tmp_path: Path) -> None:
    write_deliveries(SMALL.model_copy(update={"months": 1, "interval_minutes": interval_minutes}), tmp_path)
    hourly = pl.read_parquet(inbox / "2024-10-02" / "meter_readings.parquet")
    shorter = pl.read_parquet(tmp_path / "2024-10-02" / "meter_readings.parquet")

    assert shorter.height == pytest.approx(hourly.height * 60 / interval_minutes, rel=0.01)
    assert float(shorter["kwh"].sum()) == pytest.approx(float(hourly["kwh"].sum()), rel=0.05)


def test_clean_supplier_delivers_whole_bills(tmp_path: Path) -> None:
    """Readings times multiplier add up to the billed energy of every customer whose intervals all arrived."""
    write_deliveries(SMALL.model_copy(update={"months": 1, "dirty": False}), tmp_path)
    folder = tmp_path / "2024-10-02"
    metered = (
        pl.read_parquet(folder / "meter_readings.parquet")
        .with_columns(pl.col("meter_id").cast(pl.String))
        .group_by("meter_id")
        .agg(pl.col("kwh").sum(), intervals=pl.col("kwh").count())
        .filter(pl.col("intervals") == 720)
        .join(pl.read_csv(folder / "meters.csv"), on="meter_id")
        .select("customer_id", metered_kwh=pl.col("kwh").cast(pl.Float64) * pl.col("multiplier"))
    )
    bills = pl.read_csv(folder / "bills.csv").join(metered, on="customer_id")

    assert bills.height > 30
    np.testing.assert_allclose(bills["kwh"].to_numpy(), bills["metered_kwh"].to_numpy(), atol=1e-3)


def test_landing_quarantines_and_drops_exactly_the_announced_rows(
    inbox: Path, report: SupplierReport, tmp_path: Path
) -> None:
    landed = land_deliveries(
        inbox, load_mapping(None), tmp_path, pseudonym_key="0123456789" * 4, time_zone="Asia/Shanghai"
    )

    assert landed.unreadable == ()
    assert landed.rows_in == report.total("rows")
    assert landed.rows_quarantined == report.total("quarantined")
    assert landed.rows_duplicate == report.total("duplicates")


def test_a_delivery_lists_each_meter_once_even_when_it_was_replaced_in_its_first_month(tmp_path: Path) -> None:
    report = write_deliveries(SupplierConfig(customers=2_000, months=1, interval_minutes=60), tmp_path)

    meters = pl.read_csv(tmp_path / report.deliveries[0].name / "meters.csv")

    assert meters["removed_date"].null_count() < len(meters)
    assert not meters["meter_id"].is_duplicated().any()
