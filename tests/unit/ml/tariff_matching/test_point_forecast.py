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
    PointForecast,
    booster_of,
    cross_fit,
    design_matrix,
    fit_point_forecast,
    seasonal_mean_factors,
)
from ml.tariff_matching.shape_groups import ShapeGroups, load_shapes
from ml.tariff_matching.weather import DistrictWeather
from ml.tariffs.load_cube import LoadCube


def somewhere(customers: LoadCube) -> np.ndarray:
    return np.full(len(customers), None, dtype=object)


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
        cross_fit(history, carried, one, classes, somewhere(history), config, DistrictWeather()).factors[XGBOOST]
        for one in (future, changed)
    )

    assert (before[:, late] == after[:, late]).all()


def test_groups_are_found_in_customers_whose_months_are_not_foretold(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray],
    config: TariffMatchingConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, carried, future, classes = years
    learned_from, grouped = [], []
    fit, codes = ShapeGroups.fit, ShapeGroups.codes

    def fit_and_tell(shapes: np.ndarray, of_classes: np.ndarray) -> ShapeGroups:
        learned_from.append(shapes)
        return fit(shapes, of_classes)

    def codes_and_tell(groups: ShapeGroups, shapes: np.ndarray, of_classes: np.ndarray) -> np.ndarray:
        grouped.append(shapes)
        return codes(groups, shapes, of_classes)

    monkeypatch.setattr(ShapeGroups, "fit", fit_and_tell)
    monkeypatch.setattr(ShapeGroups, "codes", codes_and_tell)
    cross_fit(history, carried, future, classes, somewhere(history), config, DistrictWeather())

    # Each fit groups its own customers first, for its trees, and then those whom it foretells.
    everybody = {tuple(row) for row in load_shapes(history)}
    assert len(learned_from) == 4
    for known, own, foretold in zip(learned_from, grouped[::2], grouped[1::2], strict=True):
        assert (known == own).all()
        assert {tuple(row) for row in known} | {tuple(row) for row in foretold} == everybody
        assert not {tuple(row) for row in known} & {tuple(row) for row in foretold}


def test_every_forecast_is_judged_and_the_nearest_is_used(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray], config: TariffMatchingConfig
) -> None:
    found = cross_fit(*years, somewhere(years[0]), config, DistrictWeather())
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

    found = cross_fit(history, carried, future, classes, somewhere(history), config, DistrictWeather())

    assert found.best == XGBOOST
    assert found.errors[XGBOOST].mean() < found.errors["same_as_last_year"].mean()
    assert found.factors[XGBOOST][is_fallen].mean() < found.factors[XGBOOST][~is_fallen].mean()


def test_the_same_data_gives_the_same_trees_and_one_row_its_own_factor(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray], config: TariffMatchingConfig
) -> None:
    history, carried, future, classes = years
    first, second = (
        fit_point_forecast(XGBOOST, history, carried, future, classes, somewhere(history), config, DistrictWeather())
        for _ in range(2)
    )
    assert first == second
    month_level = np.zeros((4, 12))
    together = first.factors(history, carried, classes, somewhere(history), month_level)
    row = np.array([7])
    alone = first.factors(history.take(row), carried.take(row), classes[row], somewhere(history)[row], month_level)
    assert (together[row] == alone).all()


def test_the_matrix_has_a_column_per_name_and_a_row_per_customer_month_and_block(
    years: tuple[LoadCube, LoadCube, LoadCube, np.ndarray],
) -> None:
    history, carried, _, classes = years
    matrix = design_matrix(history, carried, classes, somewhere(history), np.zeros((4, 12)), DistrictWeather())
    assert matrix.shape == (*block_kwh(carried).shape, len(MATRIX_NAMES))
    # Without weather both of its columns are unknown, the groups are left to the fit, and nothing else is unknown.
    unknown = np.isnan(matrix).all(axis=(0, 1, 2))
    assert [name for name, one in zip(MATRIX_NAMES, unknown, strict=True) if one] == [
        "normal_temperature_c",
        "last_year_anomaly_c",
        "shape_group",
    ]


def test_broken_trees_are_refused() -> None:
    with pytest.raises(BundleError, match="trees of the load forecast"):
        booster_of(b"not trees")


def test_simple_forecasts_need_no_trees() -> None:
    assert PointForecast(SEASONAL_MEAN).trees == b""
