"""Loads that respond to prices: energy is conserved, without elasticity nothing moves, and formulae hold by hand."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml.errors import TariffError
from ml.tariff_matching.price_response import (
    ElasticitySet,
    elasticity_set,
    has_price_periods,
    load_elasticity_sets,
    respond,
    slot_prices,
    zero_response,
)
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import Tariff, load_tariff

TODAY = date(2026, 11, 22)
JUNE = date(2027, 6, 1)
SHAPE = (2, 1, 3, 24)


def cube_of(kwh: np.ndarray) -> LoadCube:
    """Return one month of hourly loads in 1e-4 kWh whose peaks are a tenth of the energies."""
    keys = [f"customer-{number}" for number in range(len(kwh))]
    return LoadCube.from_arrays(keys, [JUNE], kwh=kwh, peak_kw=kwh // 10, slot_minutes=60)


def tariff_of(*components: dict[str, Any], **fields: Any) -> Tariff:
    return load_tariff(
        {
            "tariff_id": "test_tariff",
            "version": "1",
            "name": "Test",
            "valid_from": "2020-01-01",
            "currency": "CNY",
            "verified": True,
            "components": list(components),
            **fields,
        }
    )


def energy(prices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"kind": "energy", "name": "Energy", "tables": [{"prices": prices}], **fields}


TWO_PERIODS = {"schedules": [{"periods": {"peak": ["08:00-20:00"]}, "otherwise": "valley"}]}

kwh_arrays = hnp.arrays(np.int64, SHAPE, elements=st.integers(0, 5_000_000))
price_arrays = hnp.arrays(np.float64, SHAPE, elements=st.floats(0.01, 5))
elasticities = st.floats(0, 2)


@given(kwh=kwh_arrays, before=price_arrays, after=price_arrays, substitution=elasticities)
@settings(max_examples=25, deadline=None)
def test_substitution_keeps_the_energy_of_every_day_to_the_last_unit(
    kwh: np.ndarray, before: np.ndarray, after: np.ndarray, substitution: float
) -> None:
    responded = respond(cube_of(kwh), before, after, np.full(2, substitution), np.zeros(2))

    assert (responded.kwh >= 0).all()
    np.testing.assert_array_equal(responded.kwh.sum(axis=3), kwh.sum(axis=3))


@given(kwh=kwh_arrays, before=price_arrays, after=price_arrays)
@settings(max_examples=25, deadline=None)
def test_without_elasticity_nothing_changes(kwh: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    cube = cube_of(kwh)

    responded = respond(cube, before, after, np.zeros(2), np.zeros(2))

    np.testing.assert_array_equal(responded.kwh, cube.kwh)
    np.testing.assert_array_equal(responded.peak_kw, cube.peak_kw)


@given(kwh=kwh_arrays, before=price_arrays, substitution=elasticities, own_price=st.floats(-1, 0))
@settings(max_examples=15, deadline=None)
def test_unchanged_prices_change_nothing(
    kwh: np.ndarray, before: np.ndarray, substitution: float, own_price: float
) -> None:
    responded = respond(cube_of(kwh), before, before, np.full(2, substitution), np.full(2, own_price))

    np.testing.assert_array_equal(responded.kwh, kwh)


def test_shift_between_two_hours_is_the_one_computed_by_hand() -> None:
    # Equal energies at one price; the new prices are 1.5 and 0.5. With a substitution of 0.1 the weights are
    # 1.5 ** -0.1 = 0.960265 and 0.5 ** -0.1 = 1.071773, so the first hour keeps 0.960265 / 2.032038 of 200 kWh.
    kwh = np.zeros((1, 1, 3, 24), np.int64)
    kwh[0, 0, 0, [9, 22]] = 1_000_000
    after = np.ones(kwh.shape)
    after[..., 9], after[..., 22] = 1.5, 0.5

    responded = respond(cube_of(kwh), np.ones(kwh.shape), after, np.array([0.1]), np.zeros(1))

    assert responded.kwh[0, 0, 0, [9, 22]].tolist() == [945_125, 1_054_875]
    assert responded.peak_kw[0, 0, 0, [9, 22]].tolist() == [94_512, 105_488]
    assert responded.kwh.sum() == kwh.sum()


def test_energy_of_a_day_follows_its_mean_price_with_the_own_price_elasticity() -> None:
    # 100 kWh at 1 and 300 kWh at 2 cost 700; at 1.5 and 3 they cost half as much again: 1.5 ** -0.2 = 0.922108.
    kwh = np.zeros((1, 1, 3, 24), np.int64)
    kwh[0, 0, 1, 3], kwh[0, 0, 1, 4] = 1_000_000, 3_000_000
    before = np.ones(kwh.shape)
    before[..., 4] = 2.0

    responded = respond(cube_of(kwh), before, 1.5 * before, np.array([0.3]), np.array([-0.2]))

    assert responded.kwh[0, 0, 1, [3, 4]].tolist() == [922_108, 2_766_324]


def test_each_customer_reacts_by_the_elasticity_of_their_class() -> None:
    kwh = np.full(SHAPE, 10_000, np.int64)
    after = np.ones(SHAPE)
    after[..., :12] = 2.0
    substitution, own_price = elasticity_set("shift", TODAY).values(np.array(["residential", "commercial"], object))

    responded = respond(cube_of(kwh), np.ones(SHAPE), after, substitution, own_price)

    assert (responded.kwh[0, :, :, :12] < 10_000).all()
    np.testing.assert_array_equal(responded.kwh[1], kwh[1])


def test_slot_price_is_the_mean_over_blocks_plus_what_the_period_adds() -> None:
    # 300 kWh: 100 at 0.5 and 200 at 0.8 are 0.7 on average; the peak adds 0.1, the valley takes off 0.2.
    tariff = tariff_of(
        energy({"all": [0.5, 0.8]}, tiers={"basis": "month", "limits_kwh": [100]}),
        energy({"peak": 0.1, "valley": -0.2}) | {"name": "Adder"},
        calendar=TWO_PERIODS,
    )
    kwh = np.zeros((1, 1, 3, 24), np.int64)
    kwh[0, 0, 0, 12], kwh[0, 0, 0, 23] = 1_000_000, 2_000_000
    cube = cube_of(kwh)

    prices = slot_prices(price_cube(tariff, cube), cube)

    np.testing.assert_allclose(prices[0, 0, :, 8:20], 0.8)
    np.testing.assert_allclose(prices[0, 0, :, 20:], 0.5)
    assert has_price_periods(prices)


def test_slot_price_without_use_is_that_of_the_first_block() -> None:
    tariff = tariff_of(energy({"all": [0.5, 0.8]}, tiers={"basis": "month", "limits_kwh": [100]}))
    cube = cube_of(np.zeros(SHAPE, np.int64))

    prices = slot_prices(price_cube(tariff, cube), cube)

    np.testing.assert_allclose(prices, 0.5)
    assert not has_price_periods(prices)


@pytest.mark.parametrize(
    ("tariff", "message"),
    [
        (
            tariff_of({"kind": "fixed", "name": "Fee", "per": "month", "tables": [{"price": 9}]}),
            "test_tariff: it has no price per kWh for every hour",
        ),
        (
            tariff_of(energy({"peak": 0.5, "valley": -0.1}), calendar=TWO_PERIODS),
            "test_tariff: its price on a workday of 2027-06 at 00:00 is -0.1000 per kWh",
        ),
    ],
)
def test_tariff_whose_prices_cannot_be_compared_is_refused_by_name(tariff: Tariff, message: str) -> None:
    cube = cube_of(np.full(SHAPE, 10_000, np.int64))

    with pytest.raises(TariffError, match=message):
        slot_prices(price_cube(tariff, cube), cube)


def test_price_below_zero_where_nothing_is_used_stops_nobody() -> None:
    tariff = tariff_of(energy({"peak": 0.5, "valley": -0.1}), calendar=TWO_PERIODS)
    kwh = np.zeros(SHAPE, np.int64)
    kwh[..., 8:20] = 10_000
    cube = cube_of(kwh)

    prices = slot_prices(price_cube(tariff, cube), cube)

    responded = respond(cube, prices, 2 * np.abs(prices), np.full(2, 0.1), np.zeros(2))
    np.testing.assert_array_equal(responded.kwh, kwh)


def test_built_in_sets_start_with_zero_and_name_their_sources() -> None:
    sets = load_elasticity_sets()

    assert sets[0].name == "zero"
    assert [one.name for one in sets if one.is_zero] == ["zero"]
    assert zero_response() == sets[0]
    assert all(one.sources and one.description_zh for one in sets)


def test_version_of_a_set_is_the_last_that_has_started(tmp_path: Path) -> None:
    entry = "- {name: mine, valid_from: %s, description: A set of this test., sources: [a trial], by_class: {%s}}\n"
    path = tmp_path / "sets.yaml"
    path.write_text(
        entry % ("2026-01-01", "residential: {substitution: 0.1}")
        + entry % ("2026-07-01", "residential: {substitution: 0.2}")
        + entry % ("2027-01-01", "residential: {substitution: 0.3}")
    )

    chosen = elasticity_set("mine", TODAY, path)

    assert chosen.by_class["residential"].substitution == 0.2
    with pytest.raises(TariffError, match=r"no elasticity set 'yours' on 2026-11-22; there are: mine"):
        elasticity_set("yours", TODAY, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- [", "sets.yaml: cannot be read as YAML"),
        (
            "- {name: a, valid_from: 2026-01-01, description: A set of this test.}",
            r"sets.yaml: 0.sources: Field required",
        ),
        (
            "- {name: a, valid_from: 2026-01-01, description: A set of this test., sources: [x], "
            "by_class: {residential: {own_price: 0.1}}}",
            r"0.by_class.residential.own_price: .*less than or equal to 0",
        ),
        (
            "[&a {name: a, valid_from: 2026-01-01, description: A set of this test., sources: [x]}, *a]",
            "two versions of one valid_from",
        ),
    ],
)
def test_file_of_sets_that_says_what_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(text)

    with pytest.raises(TariffError, match=message):
        load_elasticity_sets(path)


def test_class_that_a_set_does_not_name_does_not_react() -> None:
    low = elasticity_set("low", TODAY)

    substitution, own_price = low.values(np.array(["agricultural", None], object))

    assert not substitution.any()
    assert not own_price.any()
    assert isinstance(low, ElasticitySet)


def test_response_forgets_sums_that_were_kept_of_the_loads_before() -> None:
    kwh = np.full(SHAPE, 10_000, np.int64)
    cube = replace(cube_of(kwh), _cache={})
    assert cube.month_kwh().tolist() == [[720_000]] * 2

    responded = respond(cube, np.ones(SHAPE), np.full(SHAPE, 2.0), np.zeros(2), np.array([-1.0, 0.0]))

    assert responded.month_kwh().tolist() == [[360_000], [720_000]]
