from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.columns import CUSTOMER_CLASSES
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import class_codes, prepare_features, window
from ml.tariff_matching.similar_customers import KnownOfCustomers, SimilarCustomers
from ml.tariffs.load_cube import LoadCube

RESIDENTIAL = CUSTOMER_CLASSES.index("residential")


@pytest.fixture(scope="module")
def similar(town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig) -> SimilarCustomers:
    return SimilarCustomers.of(window(town, town.months[12], 12, config), class_codes(prepare_features(facts)))


def known(month_kwh: float) -> KnownOfCustomers:
    nothing = np.array([np.nan])
    return KnownOfCustomers(np.array([month_kwh]), nothing, nothing)


@pytest.mark.parametrize("month_kwh", [0.0, 3.0, 250.0, 90_000.0])
def test_an_estimated_year_has_the_energy_that_is_known(similar: SimilarCustomers, month_kwh: float) -> None:
    load = similar.estimated_load(["a"], np.array([RESIDENTIAL]), known(month_kwh), date(2026, 9, 1), 12)
    assert load.kwh.sum() / 1e4 == pytest.approx(12 * month_kwh, rel=1e-3, abs=0.05)


def test_without_energy_the_estimate_has_the_median_of_the_class(similar: SimilarCustomers) -> None:
    load = similar.estimated_load(["a"], np.array([RESIDENTIAL]), known(np.nan), date(2026, 9, 1), 12)
    assert load.kwh.sum() / 12e4 == pytest.approx(similar.class_month_kwh[RESIDENTIAL], rel=1e-3)


def test_the_opening_energy_is_that_of_the_months_before(similar: SimilarCustomers) -> None:
    load = similar.estimated_load(["a"], np.array([RESIDENTIAL]), known(100.0), date(2026, 9, 1), 12)
    assert load.opening_kwh is not None
    # October to September: the window holds January to September once, and so does the opening.
    assert load.opening_kwh[0] == load.month_kwh()[0, 3:].sum()


def test_the_nearest_customers_have_the_class_and_nearly_the_energy(
    similar: SimilarCustomers, facts: pd.DataFrame
) -> None:
    classes = class_codes(prepare_features(facts)).astype(np.int8)
    level = float(similar.class_month_kwh[RESIDENTIAL]) * 2
    donors = similar.nearest(known(level), np.array([RESIDENTIAL]), classes, 5)[0]
    assert (classes[donors] == RESIDENTIAL).all()
    others = np.setdiff1d(np.flatnonzero(classes == RESIDENTIAL), donors)
    distance = np.abs(similar.levels - np.log(2))
    assert distance[donors].max() <= distance[others].min() + 0.01


def test_without_energy_the_similar_customers_are_of_all_levels(similar: SimilarCustomers, facts: pd.DataFrame) -> None:
    classes = class_codes(prepare_features(facts)).astype(np.int8)
    donors = similar.nearest(known(np.nan), np.array([RESIDENTIAL]), classes, 10)[0]
    members = similar.levels[classes == RESIDENTIAL]
    assert similar.levels[donors].std() > 0.8 * members.std()


def test_a_monthly_meter_tells_energy_and_seasons(town: LoadCube, config: TariffMatchingConfig) -> None:
    history = window(town, town.months[12], 12, config)
    found = KnownOfCustomers.from_months(history)
    assert found.mean_month_kwh == pytest.approx(history.month_kwh().sum(axis=1) / 12e4)
    assert (found.summer_ratio > found.winter_ratio).all()
    assert list(found.forgotten().bases()) == ["class_only"] * len(town)
