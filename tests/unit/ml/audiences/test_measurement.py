"""The difference that a campaign made, checked against published and hand-made figures."""

import math

import numpy as np
import polars as pl
import pytest

from ml.audiences.measurement import (
    MeasurementError,
    measure_effect,
    smallest_detectable_difference,
)
from ml.errors import InsufficientDataError


def _members(treated: int, control: int) -> pl.DataFrame:
    keys = [f"{n:032x}" for n in range(treated + control)]
    return pl.DataFrame({"customer_key": keys, "arm": ["treated"] * treated + ["control"] * control})


def _outcomes(values: list[object], dtype: type[pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame({"customer_key": [f"{n:032x}" for n in range(len(values))], "outcome": values}).cast(
        {"outcome": dtype}
    )


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table II, method 10: cases a, b, d, h.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_a_share_has_newcombes_interval(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    values: list[object] = [n < first[0] for n in range(first[1])] + [n < second[0] for n in range(second[1])]
    effect = measure_effect(_members(first[1], second[1]), _outcomes(values, pl.Boolean))

    assert effect.kind == "share"
    assert effect.difference == pytest.approx(first[0] / first[1] - second[0] / second[1])
    assert (effect.low, effect.high) == pytest.approx((low, high), abs=5e-5)


def test_an_amount_has_welchs_interval() -> None:
    random = np.random.default_rng(4)
    treated, control = random.normal(10, 3, 60), random.normal(9, 1, 25)
    values: list[object] = [*treated.tolist(), *control.tolist()]
    effect = measure_effect(_members(60, 25), _outcomes(values, pl.Float64))

    variances = treated.var(ddof=1) / 60, control.var(ddof=1) / 25
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 59 + variances[1] ** 2 / 24)
    # Quantile 0.975 of Student's distribution with 83 degrees of freedom: 1.989 (printed tables).
    half = 1.989 * math.sqrt(sum(variances))
    assert freedom == pytest.approx(82.9, abs=0.5)
    assert effect.low == pytest.approx(effect.difference - half, abs=2e-3)
    assert effect.high == pytest.approx(effect.difference + half, abs=2e-3)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    members = _members(60, 20)
    covered = 0
    for _ in range(200):
        joined: list[object] = [*(random.random(60) < 0.25), *(random.random(20) < 0.10)]
        effect = measure_effect(members, _outcomes(joined, pl.Boolean))
        covered += effect.low <= 0.15 <= effect.high

    assert 0.90 <= covered / 200 <= 1.0


def test_everybody_counts_in_the_arm_that_was_drawn_and_the_missing_are_named() -> None:
    members = _members(100, 100)
    outcomes = _outcomes([None] * 3 + [1.0, 2.0] * 98, pl.Float64).head(199)
    effect = measure_effect(members, outcomes)

    assert (effect.treated_count, effect.control_count) == (97, 99)
    assert (effect.missing_treated_count, effect.missing_control_count) == (3, 1)
    assert not effect.is_missing_uneven
    assert "Without an outcome: 3 treated, 1 control." in effect.sentence()


def test_outcomes_that_are_missing_in_one_arm_more_than_by_chance_are_said() -> None:
    effect = measure_effect(_members(100, 100), _outcomes([None] * 30 + [1.0, 2.0] * 85, pl.Float64))

    assert effect.is_missing_uneven
    assert "read the difference with caution" in effect.sentence()


def test_a_difference_is_beyond_chance_when_the_interval_leaves_out_zero() -> None:
    clear = measure_effect(_members(100, 100), _outcomes([n < 150 for n in range(200)], pl.Boolean))
    vague = measure_effect(_members(100, 100), _outcomes([n % 2 == 0 for n in range(200)], pl.Boolean))

    assert clear.is_beyond_chance
    assert "+50 percentage points" in clear.sentence()
    assert not vague.is_beyond_chance
    assert "within chance" in vague.sentence()


@pytest.mark.parametrize(
    ("outcomes", "error", "message"),
    [
        (_outcomes([1.0] * 12, pl.Float64), InsufficientDataError, "Only 0 control customers have an outcome"),
        (_outcomes([1.0] * 40, pl.Float64), InsufficientDataError, "No customer's outcome differs"),
        (_outcomes(["x"] * 40, pl.String), MeasurementError, "a number or true and false, found String"),
        (
            pl.concat([_outcomes([1.0] * 40, pl.Float64)] * 2),
            MeasurementError,
            "several outcomes; give one row per customer",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(outcomes: pl.DataFrame, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        measure_effect(_members(20, 20), outcomes)


def test_the_smallest_detectable_difference_is_that_of_the_textbook() -> None:
    # (1.960 + 0.842) x sqrt(2 / 100) for two groups of a hundred, deviation one.
    assert smallest_detectable_difference(100, 100, 1.0) == pytest.approx(0.3962, abs=1e-4)
    with pytest.raises(InsufficientDataError, match="An arm of the campaign is empty"):
        smallest_detectable_difference(100, 0, 1.0)


def test_a_difference_of_the_detectable_size_is_found_four_times_of_five() -> None:
    random = np.random.default_rng(3)
    members = _members(160, 40)
    size = smallest_detectable_difference(160, 40, 2.0)
    found = 0
    for _ in range(200):
        values: list[object] = [*random.normal(size, 2, 160), *random.normal(0, 2, 40)]
        found += measure_effect(members, _outcomes(values, pl.Float64)).is_beyond_chance

    assert 0.7 < found / 200 < 0.9
