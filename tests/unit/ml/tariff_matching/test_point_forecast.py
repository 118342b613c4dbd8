from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import BundleError
from ml.tariff_matching.blocks import FACTOR_SCALE, block_kwh
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import carried_forward, class_codes, prepare_features, window
from ml.tariff_matching.point_forecast import (
    MATRIX_NAMES,
    POINT_MODELS,
    SEASONAL_MEAN,
    XGBOOST,
    MonthlyWeather,
    PointForecast,
    booster_of,
    cross_fit,
    design_matrix,
    fit_point_forecast,
    seasonal_mean_factors,
)
from ml.tariffs.calendar import month_starts
from ml.tariffs.load_cube import LoadCube

TWO_YEARS = month_starts(date(2024, 9, 1), date(2026, 8, 1))


def harmonic_temperature(month: date) -> float:
    return 14.0 - 13.0 * float(np.cos((month.month - 1) / 12 * 2 * np.pi))


@pytest.fixture(scope="module")
def years(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> tuple[LoadCube, LoadCube, LoadCube, np.ndarray]:
    history = window(town, town.months[12], 12, config)
    return (
        history,
        carried_forward(history, 12),
        window(town, town.months[24], 12, config),
        class_codes(prepare_features(facts)),
    )


def test_normals_are_the_harmonic_of_the_year_and_a_warm_month_stands_out() -> None:
    weather = MonthlyWeather.of(
        {month: harmonic_temperature(month) + 3.0 * (month == date(2026, 1, 1)) for month in TWO_YEARS}
    )

    before = weather.normals(date(2025, 9, 1))

    assert before == pytest.approx([harmonic_temperature(date(2025, n, 1)) for n in range(1, 13)], abs=1e-3)
    after = weather.anomalies(date(2026, 8, 1), [date(2026, 1, 1), date(2026, 4, 1)])
    assert after[0] > 2.0
    assert abs(after[1]) < 0.5


def test_weather_after_the_decision_is_not_known() -> None:
    weather = MonthlyWeather.of({month: harmonic_temperature(month) for month in TWO_YEARS})
    assert np.isnan(weather.anomalies(date(2025, 9, 1), [date(2025, 10, 1)])).all()
    assert np.isnan(weather.normals(date(2024, 12, 1))).all()
    assert np.isnan(MonthlyWeather().normals(date(2026, 1, 1))).all()


def test_months_without_a_temperature_are_left_out() -> None:
    weather = MonthlyWeather.of({date(2025, 1, 1): float("nan"), date(2025, 2, 1): 3.0})
    assert weather.months == (date(2025, 2, 1),)


def test_the_seasonal_mean_of_a_load_without_seasons_is_last_year(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> None:
    flat = replace(town, kwh=np.broadcast_to(town.kwh[:, :1], town.kwh.shape).copy(), _cache={})
    history = window(flat, flat.months[12], 12, config)
    classes = class_codes(prepare_features(facts))
    factors = seasonal_mean_factors(history, carried_forward(history, 12), classes, np.zeros((4, 12)))
    assert (factors == FACTOR_SCALE).all()


def test_the_months_that_are_foretold_do_not_reach_their_own_forecast(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray], config: TariffMatchingConfig
) -> None:
    history, carried, future, classes = years
    late = np.arange(12) >= 6
    changed = replace(future, kwh=np.where(late[None, :, None, None], future.kwh * 3, future.kwh), _cache={})

    before, after = (
        cross_fit(history, carried, one, classes, config, MonthlyWeather()).factors[XGBOOST]
        for one in (future, changed)
    )

    assert (before[:, late] == after[:, late]).all()


def test_every_forecast_is_judged_and_the_nearest_is_used(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray], config: TariffMatchingConfig
) -> None:
    found = cross_fit(*years, config, MonthlyWeather())
    assert set(found.errors) == set(POINT_MODELS)
    means = {name: np.minimum(errors, 2).mean() for name, errors in found.errors.items()}
    assert means[found.best] == min(means.values())


def test_trees_learn_a_trend_that_recent_months_show(
    town_maker: Callable[..., LoadCube], fact_maker: Callable[..., pd.DataFrame], config: TariffMatchingConfig
) -> None:
    """A third of the homes use half as much from July 2025 on, and go on like that: last year is wrong for them."""
    town = town_maker(residential_count=80, business_count=0, growth_noise=0.02)
    is_fallen = np.arange(80) % 3 == 0
    later = np.array([month >= date(2025, 7, 1) for month in town.months])
    kwh = np.where(is_fallen[:, None, None, None] & later[None, :, None, None], town.kwh // 2, town.kwh)
    fallen = replace(town, kwh=kwh, _cache={})
    history = window(fallen, fallen.months[12], 12, config)
    carried, future = carried_forward(history, 12), window(fallen, fallen.months[24], 12, config)
    classes = class_codes(prepare_features(fact_maker(fallen)))

    found = cross_fit(history, carried, future, classes, config, MonthlyWeather())

    assert found.best == XGBOOST
    assert found.errors[XGBOOST].mean() < found.errors["same_as_last_year"].mean()
    assert found.factors[XGBOOST][is_fallen].mean() < found.factors[XGBOOST][~is_fallen].mean()


def test_the_same_data_gives_the_same_trees_and_one_row_its_own_factor(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray], config: TariffMatchingConfig
) -> None:
    history, carried, future, classes = years
    first, second = (
        fit_point_forecast(XGBOOST, history, carried, future, classes, config, MonthlyWeather()) for _ in range(2)
    )
    assert first == second
    month_level = np.zeros((4, 12))
    together = first.factors(history, carried, classes, month_level)
    row = np.array([7])
    alone = first.factors(history.take(row), carried.take(row), classes[row], month_level)
    assert (together[row] == alone).all()


def test_the_matrix_has_a_column_per_name_and_a_row_per_customer_month_and_block(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray],
) -> None:
    history, carried, _, classes = years
    matrix = design_matrix(history, carried, classes, np.zeros((4, 12)), MonthlyWeather())
    assert matrix.shape == (block_kwh(carried).size, len(MATRIX_NAMES))
    # Without weather both of its columns are unknown, and nothing else is.
    assert np.isnan(matrix).all(axis=0).sum() == 2


def test_broken_trees_are_refused() -> None:
    with pytest.raises(BundleError, match="trees of the load forecast"):
        booster_of(b"not trees")


def test_simple_forecasts_need_no_trees() -> None:
    assert PointForecast(SEASONAL_MEAN).trees == b""
