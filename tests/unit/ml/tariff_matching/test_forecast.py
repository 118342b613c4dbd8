from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.tariff_matching.blocks import BLOCKS_COUNT, FACTOR_SCALE, block_codes
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import carried_forward, class_codes, prepare_features, window
from ml.tariff_matching.forecast import ScenarioCube, fit_forecast
from ml.tariffs.load_cube import LoadCube


def _written_out(base: LoadCube, donors: np.ndarray, energy_factors: np.ndarray) -> np.ndarray:
    """Return the scenarios' energy cell by cell, in 1e-4 kWh as fractions: slow and obvious."""
    codes = block_codes(base.kwh.shape[3])
    factors = energy_factors[donors][:, :, :, codes] / FACTOR_SCALE
    cells = base.kwh[:, None] * factors
    return cells.reshape(-1, *cells.shape[2:])


def _as_last_year(carried: LoadCube) -> np.ndarray:
    return np.full((len(carried), len(carried.months), BLOCKS_COUNT), FACTOR_SCALE, np.int64)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32 - 1))
def test_sums_of_scenarios_equal_the_scenarios_written_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    months = [pd.Timestamp(2025, number, 1).date() for number in (1, 2, 3)]
    kwh = rng.integers(0, 10**8, (4, 3, 3, 24))
    base = LoadCube.from_arrays(["a", "b", "c", "d"], months, kwh=kwh, peak_kw=kwh.copy(), slot_minutes=60)
    donors = rng.integers(0, 5, (4, 6))
    energy_factors = rng.integers(100, 10_000, (5, 3, BLOCKS_COUNT))
    peak_factors = rng.integers(100, 10_000, (5, 3))
    cube = ScenarioCube.of(base, donors, energy_factors, peak_factors)
    codes = rng.integers(0, 3, (3, 3, 24)).astype(np.int8)
    cells = _written_out(base, donors, energy_factors)
    for period in range(3):
        expected = np.where(codes[None] == period, cells, 0).sum(axis=(2, 3))
        # Rounded down once per month and period.
        assert np.abs(cube.period_kwh(codes, 3)[:, :, period] - expected).max() <= 1
    assert np.abs(cube.month_kwh() - cells.sum(axis=(2, 3))).max() <= 1
    peaks = kwh.max(axis=(2, 3))[:, None, :] * peak_factors[donors] // FACTOR_SCALE
    assert (cube.month_peak_kw() == peaks.reshape(24, 3)).all()


def test_very_large_loads_are_summed_exactly() -> None:
    months = [pd.Timestamp(2025, 1, 1).date()]
    kwh = np.full((1, 1, 3, 24), 10**13, np.int64)
    base = LoadCube.from_arrays(["mill"], months, kwh=kwh, peak_kw=kwh, slot_minutes=60)
    factors = np.full((1, 1, BLOCKS_COUNT), 1_001)
    cube = ScenarioCube.of(base, np.zeros((1, 1), np.intp), factors, np.full((1, 1), 1_000))
    assert cube.month_kwh()[0, 0] == 72 * 10**13 * 1_001 // 1_000


def test_a_year_that_repeats_itself_leaves_no_surprise(
    town_maker: Callable[..., LoadCube],
    fact_maker: Callable[..., pd.DataFrame],
    config: TariffMatchingConfig,
) -> None:
    town = town_maker(residential_count=20, business_count=0)
    features = prepare_features(fact_maker(town))
    history = window(town, town.months[12], 12, config)
    carried = carried_forward(history, 12)
    future = replace(window(town, town.months[24], 12, config), kwh=carried.kwh, peak_kw=carried.peak_kw, _cache={})
    forecast = fit_forecast(history, carried, future, class_codes(features), config)
    assert not forecast.donor_surprises.any()
    assert not forecast.common.any()
    scenarios = forecast.scenarios(history, carried, class_codes(features), _as_last_year(carried), config)
    assert np.abs(scenarios.month_kwh().reshape(20, -1, 12) / carried.month_kwh()[:, None, :] - 1).max() < 0.01


def test_a_common_movement_widens_scenarios_without_moving_their_mean(
    town_maker: Callable[..., LoadCube],
    fact_maker: Callable[..., pd.DataFrame],
    config: TariffMatchingConfig,
) -> None:
    town = town_maker(residential_count=20, business_count=0, growth_noise=0.0)
    classes = class_codes(prepare_features(fact_maker(town)))
    history = window(town, town.months[12], 12, config)
    carried = carried_forward(history, 12)
    hotter = replace(carried, kwh=carried.kwh * 6 // 5, _cache={})
    forecast = fit_forecast(history, carried, hotter, classes, config)
    scenarios = forecast.scenarios(history, carried, classes, _as_last_year(carried), config)
    yearly = scenarios.month_kwh().sum(axis=1).reshape(20, -1)
    ratio = yearly / carried.month_kwh().sum(axis=1)[:, None]
    assert ratio.max() == pytest.approx(1.2, abs=0.04)
    assert ratio.min() == pytest.approx(1 / 1.2, abs=0.04)
    assert ratio.mean() == pytest.approx(1.0, abs=0.005)


def test_a_missing_month_is_carried_forward_as_the_customers_mean_month(
    town: LoadCube, config: TariffMatchingConfig
) -> None:
    gap = replace(town, present=town.present.copy(), _cache={})
    gap.present[0, 20] = False
    history = window(gap, town.months[24], 12, config)
    carried = carried_forward(history, 12)
    position = next(index for index, month in enumerate(carried.months) if month.month == town.months[20].month)
    own = history.month_kwh()[0]
    assert carried.month_kwh()[0, position] == pytest.approx(own.sum() / 11, rel=1e-3)
    assert (carried.month_kwh()[1:] > 0).all()


def test_a_half_read_month_is_filled_up_before_it_is_carried_forward(
    town: LoadCube, config: TariffMatchingConfig
) -> None:
    counts = town.interval_count.copy()
    counts[0, 20] = town.expected_interval_count[0, 20] * 3 // 4
    partly = replace(town, interval_count=counts, _cache={})
    history = window(partly, town.months[24], 12, config)
    carried = carried_forward(history, 12)
    position = next(index for index, month in enumerate(carried.months) if month.month == town.months[20].month)
    assert carried.month_kwh()[0, position] == pytest.approx(town.month_kwh()[0, 20] * 4 / 3, rel=1e-4)


def test_a_window_knows_where_reactive_energy_was_metered(town: LoadCube, config: TariffMatchingConfig) -> None:
    has_kvarh = np.ones(town.present.shape, bool)
    has_kvarh[0, 20] = False
    metered = replace(town, kvarh=np.zeros(town.present.shape, np.int64), has_kvarh=has_kvarh, _cache={})
    late = window(metered, town.months[24], 12, config)
    assert late.has_kvarh is not None
    assert np.argwhere(~late.has_kvarh).tolist() == [[0, 7]]


def test_a_window_knows_the_energy_since_january(town: LoadCube, config: TariffMatchingConfig) -> None:
    late = window(town, town.months[24], 12, config)
    assert late.opening_kwh is not None
    since_january = town.month_kwh()[:, 4:13].sum(axis=1)
    assert late.months[0].isoformat() == "2025-10-01"
    assert (late.opening_kwh == since_january).all()
