"""Public tariff tables become catalogues with nothing but a mapping file each."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from ml.tariffs.calendar import DayCalendar
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import load_tariff
from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping

MAPPINGS = Path(__file__).resolve().parents[1] / "mappings"


def landed_catalogue(name: str, time_zone: str, shared_data: Path, landing: Path) -> Catalogue:
    report = land_deliveries(
        shared_data,
        load_mapping(MAPPINGS / f"{name}.yaml"),
        landing,
        pseudonym_key="a key of thirty-two letters or more",
        time_zone=time_zone,
    )
    assert report.unreadable == ()
    assert report.rows_in == report.rows_loaded
    with duckdb.connect(config={"threads": 2}) as connection:
        files = f"{landing}/deliveries/*/tariffs/**/*.parquet"
        rows = connection.execute("select tariff_json from read_parquet(?)", [files]).fetchall()
    return Catalogue.of(load_tariff(text) for (text,) in rows)


def one_kwh_in_every_hour(first: date, days: int) -> LoadCube:
    starts = np.datetime64(first) + np.arange(days * 24).astype("timedelta64[h]")
    kwh = np.full((1, days * 24), 10_000, np.int64)
    return LoadCube.from_series(["c"], starts, kwh, interval_minutes=60, slot_minutes=60, days=DayCalendar())


def test_new_zealand_plans(shared_data: Path, tmp_path: Path) -> None:
    catalogue = landed_catalogue("nz_retail_tariffs", "Pacific/Auckland", shared_data, tmp_path)

    prices = pl.read_parquet(shared_data / "tariffs" / "nz_retail_tariffs_2026.parquet").filter(
        pl.col("component") == "energy_uncontrolled"
    )
    # Two plans of two user classes each have prices for a period that their schedule does not have.
    assert prices.select("region_code", "retailer", "plan", "user_class").n_unique() == 268
    assert len(catalogue.tariffs) == 264
    assert {tariff.currency for tariff in catalogue.tariffs} == {"NZD"}
    # July 2026 has 23 weekdays and 8 weekend days; peak is 7-9 and 17-21 on weekdays, night 23-7 always.
    [tariff] = [found for found in catalogue.tariffs if "movemaster_low" in found.tariff_id]
    energy = 248 * Decimal("0.2888") + 138 * Decimal("0.5776") + 358 * Decimal("0.3466")
    bills = price_cube(tariff, one_kwh_in_every_hour(date(2026, 7, 1), 31))
    assert bills.component_units["Daily charge"][0, 0] == 31 * 115
    assert bills.component_units["Energy"][0, 0] == pytest.approx(energy * 100, abs=1.5)  # three rounded lines


def test_chinese_clocks(shared_data: Path, tmp_path: Path) -> None:
    catalogue = landed_catalogue("cn_tou_clocks", "Asia/Shanghai", shared_data, tmp_path)

    periods = pl.read_parquet(shared_data / "tariffs" / "cn_ci_tou_periods_2026.parquet")
    clean = periods.group_by("region").agg(pl.col("covers_24h_once").all(), pl.col("month").n_unique())
    assert clean.height == 31
    assert len(catalogue.tariffs) == clean.filter(pl.col("covers_24h_once") & (pl.col("month") == 12)).height == 18
    assert not any(tariff.is_verified for tariff in catalogue.tariffs)
    # Henan in January: valley 0-7, flat 7-16, peak 16-17 and 19-24, super peak 17-19.
    bills = price_cube(catalogue.get("cn_tou_ha"), one_kwh_in_every_hour(date(2026, 1, 1), 31))
    kwh = {line.period: int(line.quantity[0, 0]) // 10_000 for line in bills.lines if line.quantity[0, 0]}
    assert kwh == {"valley": 7 * 31, "flat": 9 * 31, "peak": 6 * 31, "super_peak": 2 * 31}
