"""Simulated households beside real ones. Tolerances and their reasons: docs/simulated-supplier.md."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from orchestration.ingestion.simulated_supplier.calendar import WORKDAY
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from tests.unit.orchestration.ingestion.simulated_supplier import household_statistics as statistics
from tests.unit.orchestration.ingestion.simulated_supplier.household_statistics import HOURS_PER_MONTH, Panel
from tests.unit.orchestration.ingestion.simulated_supplier.simulated_worlds import run_world

EVENING, NIGHT, MIDDAY = slice(18, 22), slice(0, 5), slice(10, 15)


@dataclass(frozen=True)
class Homes:
    """Simulated households without a vehicle in the calendar year 2025.

    Attributes:
        panel: Homes in use all year.
        annual_kwh: Annual energy of every home supplied all year that used anything.
        is_read: Whether each interval arrives, shape (homes, hours).
        temperature_c: Mean temperature of each day.
    """

    panel: Panel
    annual_kwh: np.ndarray
    is_read: np.ndarray
    temperature_c: np.ndarray


@pytest.fixture(scope="module")
def homes() -> Homes:
    """1,000 customers: their homes without a vehicle, because the real ones had hardly any in their years."""
    world = run_world(SupplierConfig(customers=1000, months=16))
    january = 4
    population = world.simulation.population
    all_year = (population.join_month < january) & (population.close_month > 16)
    rows = world.of_class("residential") & all_year & (population.vehicle_kw == 0)
    kwh = np.concatenate([month[rows] for month in world.kwh[january:]], axis=1)
    is_read = np.concatenate([month[rows] for month in world.is_read[january:]], axis=1)
    annual = kwh.sum(axis=1)
    in_use = annual > 90
    return Homes(
        panel=Panel(
            np.where(is_read, kwh, np.nan)[in_use].reshape(in_use.sum(), -1, 24),
            np.concatenate(world.day_types[january:]) != WORKDAY,
        ),
        annual_kwh=annual[annual > 0],
        is_read=is_read,
        temperature_c=np.concatenate(world.temperature_c[january:]),
    )


@pytest.fixture(scope="module")
def london(shared_data: Path) -> Panel:
    """Low Carbon London, 66 households that were there all of 2013."""
    return statistics.london_panel(shared_data)


@pytest.fixture(scope="module")
def swiss(shared_data: Path) -> Panel:
    """Swiss utility customers, seven autumn weeks."""
    return statistics.swiss_panel(shared_data)


def test_daily_shape_follows_londons(homes: Homes, london: Panel) -> None:
    simulated, real = statistics.daily_shape(homes.panel), statistics.daily_shape(london)

    assert np.corrcoef(simulated, real)[0, 1] > 0.80
    assert abs(int(simulated.argmax()) - int(real.argmax())) <= 1
    assert simulated[EVENING].mean() == pytest.approx(real[EVENING].mean(), abs=0.20)
    assert simulated[NIGHT].mean() == pytest.approx(real[NIGHT].mean(), abs=0.15)


def test_households_differ_in_shape(homes: Homes, london: Panel) -> None:
    def spread(panel: Panel) -> float:
        mean_day = np.nanmean(panel.kwh, axis=1)
        shapes = mean_day / mean_day.mean(axis=1, keepdims=True)
        return float(np.median(np.quantile(shapes, 0.9, axis=0) - np.quantile(shapes, 0.1, axis=0)))

    assert spread(homes.panel) == pytest.approx(spread(london), rel=0.35)


@pytest.mark.parametrize("real", ["london", "swiss"])
def test_rest_days_use_a_little_more_and_most_of_it_at_midday(
    real: str, homes: Homes, request: pytest.FixtureRequest
) -> None:
    panel: Panel = request.getfixturevalue(real)

    assert statistics.rest_day_ratio(homes.panel) == pytest.approx(statistics.rest_day_ratio(panel), abs=0.10)
    assert statistics.rest_day_ratio(homes.panel, MIDDAY) == pytest.approx(
        statistics.rest_day_ratio(panel, MIDDAY), abs=0.15
    )


def test_load_factors_are_londons(homes: Homes, london: Panel) -> None:
    assert statistics.load_factor(homes.panel) == pytest.approx(statistics.load_factor(london), abs=0.025)
    assert statistics.load_factor(homes.panel, HOURS_PER_MONTH) == pytest.approx(
        statistics.load_factor(london, HOURS_PER_MONTH), abs=0.03
    )


def test_load_factor_of_autumn_weeks_lies_below_the_swiss(homes: Homes, swiss: Panel) -> None:
    autumn = Panel(homes.panel.kwh[:, 302:351], homes.panel.is_rest_day[302:351])

    assert statistics.load_factor(autumn) == pytest.approx(statistics.load_factor(swiss), abs=0.09)


def test_hours_and_days_vary_and_remember_as_in_london(homes: Homes, london: Panel) -> None:
    assert statistics.hourly_variation(homes.panel) == pytest.approx(statistics.hourly_variation(london), abs=0.20)
    assert statistics.daily_variation(homes.panel) == pytest.approx(statistics.daily_variation(london), abs=0.08)
    assert statistics.autocorrelation(homes.panel, 1) == pytest.approx(statistics.autocorrelation(london, 1), abs=0.10)
    assert statistics.autocorrelation(homes.panel, 24) == pytest.approx(
        statistics.autocorrelation(london, 24), abs=0.10
    )


def test_annual_use_is_as_skewed_as_londons(homes: Homes, shared_data: Path) -> None:
    daily = pl.read_parquet(shared_data / "lcl" / "daily.parquet").filter(pl.col("day") >= pl.date(2013, 1, 1))
    annual = daily.group_by("lclid").agg(pl.col("kwh_sum").mean() * 365, days=pl.len()).filter(pl.col("days") > 360)
    quantiles = (0.1, 0.25, 0.75, 0.9, 0.99)
    simulated = statistics.quantiles_over_median(homes.annual_kwh, quantiles)
    real = statistics.quantiles_over_median(annual.get_column("kwh_sum").to_numpy(), quantiles)

    for found, expected, tolerance in zip(simulated, real, (0.15, 0.10, 0.15, 0.30, 1.3), strict=True):
        assert found == pytest.approx(expected, abs=tolerance)


def test_cold_days_raise_the_load_as_in_london(homes: Homes, shared_data: Path) -> None:
    london = (
        pl.read_parquet(shared_data / "lcl" / "daily.parquet")
        .filter(pl.col("n_readings") == 48, pl.col("day") >= pl.date(2012, 10, 1))
        .group_by(pl.col("day").cast(pl.Date))
        .agg(pl.col("kwh_sum").mean())
        .join(
            pl.read_parquet(shared_data / "lcl" / "weather_daily.parquet").select(
                pl.col("day").cast(pl.Date), temperature_c=(pl.col("temp_max_c") + pl.col("temp_min_c")) / 2
            ),
            on="day",
        )
    )
    cool_days = london.get_column("temperature_c").to_numpy()
    real = statistics.degree_response_pct(
        london.get_column("kwh_sum").to_numpy(), cool_days, cool_days < 13, cool_days > 15
    )
    outside = homes.temperature_c
    daily = np.nansum(homes.panel.kwh, axis=2).mean(axis=0)
    simulated = statistics.degree_response_pct(daily, outside, outside < 10, (outside > 13) & (outside < 22))

    assert real < 0
    assert simulated == pytest.approx(real, abs=2.5)


def test_hot_days_raise_the_load_more_than_in_a_whole_australian_state(homes: Homes, shared_data: Path) -> None:
    state = (
        pl.read_parquet(shared_data / "vic_elec" / "demand_halfhourly.parquet")
        .group_by(day=pl.col("ts_local").cast(pl.String).str.slice(0, 10))
        .agg(pl.col("demand_mwh").sum(), pl.col("temp_c").mean())
    )
    warm = state.get_column("temp_c").to_numpy()
    real = statistics.degree_response_pct(
        state.get_column("demand_mwh").to_numpy(), warm, warm > 22, (warm > 16) & (warm < 20)
    )
    outside = homes.temperature_c
    daily = np.nansum(homes.panel.kwh, axis=2).mean(axis=0)
    simulated = statistics.degree_response_pct(daily, outside, outside > 25, (outside > 13) & (outside < 22))

    assert real < simulated < 3 * real


def test_gaps_are_few_and_short_as_in_london(homes: Homes, london: Panel) -> None:
    london_read = np.isfinite(london.kwh.reshape(len(london.kwh), -1))
    simulated, real = statistics.gap_lengths(homes.is_read), statistics.gap_lengths(london_read)
    incomplete_days = 1 - homes.is_read.reshape(len(homes.is_read), -1, 24).all(axis=2).mean()

    assert np.median(simulated) == np.median(real) == 1
    assert (simulated == 1).mean() == pytest.approx((real == 1).mean(), abs=0.25)
    assert 0.005 < incomplete_days < 0.02
