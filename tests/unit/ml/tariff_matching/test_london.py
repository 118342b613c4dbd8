"""Low Carbon London, 2013: 71 households and the two tariffs of the trial, none of it made by us."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ml.bundle import TrainingResult
from ml.columns import names
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.schema import FEATURES
from ml.tariff_matching.training import train
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_intervals
from ml.tariffs.schema import load_tariff

COMMON = {
    "version": "2013",
    "valid_from": date(2013, 1, 1),
    "valid_to": date(2013, 12, 31),
    "currency": "GBP",
    "verified": True,
    "eligibility": {"customer_classes": ["residential"]},
}
FLAT = load_tariff(
    {
        **COMMON,
        "tariff_id": "lcl_flat",
        "name": "Flat",
        "components": [{"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": "0.14228"}}]}],
    }
)
DYNAMIC = load_tariff(
    {
        **COMMON,
        "tariff_id": "lcl_dynamic",
        "name": "Dynamic",
        "components": [
            {
                "kind": "energy_series",
                "name": "Energy",
                "series": "dtou",
                "bands": {"High": "0.6720", "Normal": "0.1176", "Low": "0.0399"},
            }
        ],
    }
)


@pytest.fixture(scope="module")
def london(shared_data: Path) -> tuple[pd.DataFrame, LoadCube, pd.DataFrame]:
    """Facts, loads, and the monthly bills of the dynamic tariff."""
    folder = shared_data / "lcl"
    readings = pl.read_parquet(folder / "halfhourly_2013.parquet").drop_nulls("kwh")
    readings = readings.filter(pl.col("ts").dt.year() == 2013).unique(["lclid", "ts"])
    wide = readings.pivot(on="lclid", index="ts", values="kwh").sort("ts")
    keys = sorted(column for column in wide.columns if column != "ts")
    values = wide.select(keys).to_numpy().T
    days = DayCalendar()
    cube = LoadCube.from_series(
        keys,
        wide["ts"].to_numpy().astype("datetime64[m]"),
        np.rint(np.nan_to_num(values) * 1e4).astype(np.int64),
        interval_minutes=30,
        days=days,
        is_read=np.isfinite(values),
    )
    prices = pl.read_parquet(folder / "dtou_price_2013.parquet").select(read_at="ts", value="band")
    bills = price_intervals(
        DYNAMIC,
        readings.select(customer_key="lclid", read_at="ts", kwh="kwh").sort("customer_key", "read_at"),
        interval_minutes=30,
        # The clock of the data has a constant offset.
        time_zone="UTC",
        days=days,
        series={"dtou": prices},
    )
    groups = pl.read_parquet(folder / "households.parquet").filter(pl.col("lclid").is_in(keys)).sort("lclid")
    facts = pd.DataFrame(dict.fromkeys(names(FEATURES)), index=range(len(groups))).assign(
        customer_key=groups["lclid"].to_list(),
        as_of_month=date(2013, 12, 1),
        customer_class="residential",
        tariff_id=np.where(groups["tariff_group"].to_numpy() == "ToU", "lcl_dynamic", "lcl_flat"),
    )
    return facts, cube, bills.to_frame()


@pytest.fixture(scope="module")
def result(london: tuple[pd.DataFrame, LoadCube, pd.DataFrame]) -> TrainingResult:
    facts, cube, amounts = london
    return train(facts, cube, [FLAT, DYNAMIC], interval_amounts=amounts)


def test_half_a_year_advises_on_the_other_half(result: TrainingResult) -> None:
    assert "on 6 months of readings" in result.evaluation.holdout_description
    captured = result.evaluation.key_metric
    assert captured.rows is not None
    assert captured.rows >= 60
    # The dynamic price moves for everybody at once; with half a year of it, little can be promised and little is.
    assert captured.value is not None
    assert 0.0 <= captured.value <= 1.0


def test_the_intervals_of_real_savings_cover_as_promised(result: TrainingResult) -> None:
    coverage = next(one for one in result.evaluation.criteria if one.name == "interval_coverage")
    assert coverage.passed, coverage.reason


def test_the_advice_harms_fewer_than_the_cheapest_of_last_year(result: TrainingResult) -> None:
    harmed = {
        metric.slice_value: metric.value
        for metric in result.evaluation.metrics
        if metric.name == "harmed_share" and metric.slice_column == "policy"
    }
    assert harmed["This model"] <= harmed["Cheapest on last year's bill"]


def test_every_household_gets_advice_in_pounds(
    result: TrainingResult, london: tuple[pd.DataFrame, LoadCube, pd.DataFrame]
) -> None:
    facts, cube, amounts = london
    assert isinstance(result.model, TariffMatchingModel)
    for advice in result.model.advise(facts, cube, interval_amounts=amounts):
        assert advice.currency == "GBP"
        assert {one.tariff_id for one in advice.alternatives} == {"lcl_flat", "lcl_dynamic"}
