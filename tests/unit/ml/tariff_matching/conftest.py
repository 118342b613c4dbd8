"""Two years of loads of a small town with known habits, as a load cube and rows of customer_tariff_features."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ml.bundle import TrainingResult
from ml.columns import names
from ml.splits import add_months
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.schema import FEATURES
from ml.tariff_matching.training import train
from ml.tariffs.calendar import month_starts
from ml.tariffs.catalogue import Catalogue, load_catalogue
from ml.tariffs.load_cube import LoadCube

FIRST_MONTH = date(2024, 9, 1)
HOURS = np.arange(24)
DAYS_BY_TYPE = np.array([21, 8, 1])


def make_cube(
    residential_count: int = 60,
    business_count: int = 30,
    months_count: int = 25,
    seed: int = 3,
    growth_noise: float = 0.1,
) -> LoadCube:
    """Return hourly loads: homes with an evening peak or night charging, businesses with a day shift or always on."""
    rng = np.random.default_rng(seed)
    months = month_starts(FIRST_MONTH, add_months(FIRST_MONTH, months_count - 1))
    kwh, keys = [], []
    for number in range(residential_count + business_count):
        is_home = number < residential_count
        if is_home:
            night = rng.uniform(0, 1) ** 2
            shape = 0.4 + 1.5 * np.exp(-0.5 * ((HOURS - 20) / 2.5) ** 2) + 2 * night * (HOURS < 6)
            daily_kwh = rng.lognormal(2.1, 0.5)
        else:
            shape = 0.3 + 1.5 * ((HOURS >= 8) & (HOURS < 18)) if number % 2 else np.ones(24)
            daily_kwh = rng.lognormal(7.0, 0.5)
        shape = shape / shape.sum()
        season = 1 + 0.25 * np.cos((np.array([month.month for month in months]) - 7.5) / 12 * 2 * np.pi)
        trend = np.exp(np.cumsum(rng.normal(0, growth_noise / np.sqrt(12), months_count)))
        monthly = daily_kwh * season * trend
        cells = monthly[:, None, None] * DAYS_BY_TYPE[None, :, None] * shape[None, None, :]
        kwh.append(cells * rng.lognormal(0, 0.05, cells.shape))
        keys.append(f"{'home' if is_home else 'firm'}-{number:04d}")
    energy = np.rint(np.array(kwh) * 1e4).astype(np.int64)
    peak = np.rint(energy / DAYS_BY_TYPE[None, None, :, None] * 1.4).astype(np.int64)
    return LoadCube.from_arrays(keys, months, kwh=energy, peak_kw=peak, slot_minutes=60)


def make_rows(cube: LoadCube, as_of_month: date | None = None) -> pd.DataFrame:
    """Return a row of facts per customer: homes on plain blocks, firms on a two-part tariff billed by capacity."""
    rows = []
    peaks = cube.month_peak_kw().max(axis=1) / 1e4
    for key, peak_kw in zip(cube.customer_keys, peaks, strict=True):
        is_home = str(key).startswith("home")
        rows.append(
            {
                "customer_key": key,
                "as_of_month": as_of_month or cube.months[-1],
                "district": f"district-{len(rows) % 2}",
                "customer_class": "residential" if is_home else "industrial",
                "voltage_level": "lt1kV" if is_home else "1-10(20)kV",
                "supply_route": "catalogue" if is_home else "agency",
                "contract_capacity_kva": np.nan if is_home else float(np.ceil(peak_kw * 2 + 110)),
                "tariff_id": "sd_res_tier" if is_home else "sd_ic_two_10",
                "billing_basis": None if is_home else "capacity",
                "contracted_kw": np.nan,
                "observed_months_count": 12.0,
                "coverage_pct": 100.0,
                "annual_kwh": 1000.0,
                "peak_kw": float(peak_kw),
                "summer_ratio": 1.2,
                "winter_ratio": 0.9,
                "kwh_change_yoy_pct": 0.0,
                "night_share": 0.25,
            }
        )
    return pd.DataFrame(rows)[["customer_key", "as_of_month", "district", *names(FEATURES)]]


def cube_rows(cube: LoadCube) -> pl.DataFrame:
    """Return a cube as rows of the mart."""
    customer, month, day_type, slot = np.indices(cube.kwh.shape)
    return pl.DataFrame(
        {
            "customer_key": cube.customer_keys[customer.ravel()].astype(str),
            "month": pl.Series(np.array(cube.months, dtype="datetime64[D]")[month.ravel()]),
            "day_type": np.array(["workday", "weekend", "holiday"])[day_type.ravel()],
            "slot": slot.ravel().astype(np.int16),
            "slot_minutes": np.full(cube.kwh.size, cube.slot_minutes, np.int16),
            "kwh": cube.kwh.ravel() / 1e4,
            "peak_kw": cube.peak_kw.ravel() / 1e4,
            "interval_count": np.repeat(DAYS_BY_TYPE, 24)[None].repeat(len(customer) * len(cube.months), 0).ravel(),
            "expected_interval_count": np.repeat(DAYS_BY_TYPE, 24)[None]
            .repeat(len(customer) * len(cube.months), 0)
            .ravel(),
        }
    )


@pytest.fixture(scope="session")
def town() -> LoadCube:
    return make_cube()


@pytest.fixture(scope="session")
def facts(town: LoadCube) -> pd.DataFrame:
    return make_rows(town)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def config() -> TariffMatchingConfig:
    return TariffMatchingConfig(neighbours_count=15, bootstrap_runs_count=60, folds_count=3)


@pytest.fixture(scope="session")
def town_maker() -> Callable[..., LoadCube]:
    return make_cube


@pytest.fixture(scope="session")
def fact_maker() -> Callable[..., pd.DataFrame]:
    return make_rows


@pytest.fixture(scope="session")
def row_maker() -> Callable[[LoadCube], pl.DataFrame]:
    return cube_rows


@pytest.fixture(scope="session")
def small_result(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> TrainingResult:
    """The town's trained model and its evaluation; tests read it only."""
    return train(facts, town, catalogue, config=config)
