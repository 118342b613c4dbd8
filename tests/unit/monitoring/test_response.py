"""The distribution that the reference leads to expect in other weather."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.response import category_uncertainty, move_to_weather

MONTHS, ROWS = 12, 200
HEATING_C = 10 - 10 * np.cos(np.arange(MONTHS) * 2 * np.pi / 12)


def loads(heating_c: np.ndarray, rng: np.random.Generator, response: float = 0.1) -> np.ndarray:
    """Draw loads of customers that heat: the colder, the more, by a response per degree of their own."""
    own = rng.lognormal(0, 0.4, len(heating_c))
    return own * (5 + response * heating_c * rng.uniform(0, 2, len(heating_c)))


def reference(rng: np.random.Generator) -> dict[str, np.ndarray]:
    months = np.repeat(np.arange(MONTHS), ROWS)
    drivers = np.column_stack([HEATING_C[months], np.zeros(len(months))])
    return {
        "values": loads(drivers[:, 0], rng),
        "classes": np.zeros(len(months), dtype=np.intp),
        "months": months,
        "drivers": drivers,
        "base": np.abs(months - 6) <= 1,
    }


def moved_to(heating_c: float, *, rng: np.random.Generator, is_estimable: bool = True, **changed: np.ndarray):
    return move_to_weather(
        **{**reference(rng), **changed},
        drivers_now=np.array([[heating_c, 0.0]] * 300),
        classes_now=np.zeros(300, dtype=np.intp),
        response_per_degree=0.5,
        is_estimable=is_estimable,
    )


def test_a_winter_is_moved_to_what_a_colder_one_would_be() -> None:
    rng = np.random.default_rng(1)
    rows = reference(rng)
    season = rows["values"][rows["base"]]
    colder = loads(np.full(3_000, 22.0), rng)
    moved = moved_to(22.0, rng=np.random.default_rng(1))
    quantiles = [0.1, 0.25, 0.5, 0.75, 0.9]
    assert np.quantile(moved.values, quantiles) == pytest.approx(np.quantile(colder, quantiles), rel=0.1)
    assert np.median(season) < 0.96 * np.median(moved.values)
    assert moved.uncertainty < 0.1


def test_a_response_is_less_certain_the_further_it_is_carried_beyond_what_was_seen() -> None:
    """The reference has seen 0 to 20 degrees, a tenth of which may be added."""
    within, beyond, far = (
        moved_to(degrees, rng=np.random.default_rng(1)).uncertainty for degrees in (22.0, 24.0, 30.0)
    )
    assert within < beyond / 2
    assert beyond < far / 4


def test_weather_like_that_of_the_season_moves_nothing() -> None:
    rows = reference(np.random.default_rng(1))
    is_july = rows["months"] == 6
    moved = moved_to(HEATING_C[6], rng=np.random.default_rng(1), base=is_july)
    assert (moved.values == rows["values"][is_july]).all()
    assert moved.uncertainty < 0.05


def test_weather_that_the_reference_has_not_seen_is_uncertain() -> None:
    """All months are alike, so nothing is known of the response but that it may be of a plausible size."""
    alike = np.column_stack([np.full(MONTHS * ROWS, 10.0), np.zeros(MONTHS * ROWS)])
    values = loads(alike[:, 0], np.random.default_rng(1))
    moved = moved_to(13.0, rng=np.random.default_rng(1), drivers=alike, values=values)
    near = moved_to(10.2, rng=np.random.default_rng(1), drivers=alike, values=values)
    assert moved.uncertainty > 1 > 0.25 > near.uncertainty


def test_months_that_go_their_own_ways_leave_as_much_doubt_about_the_next() -> None:
    """Holidays and the days of a month move a column as well; a month is allowed what the months before did."""
    rows = reference(np.random.default_rng(1))
    own_ways = np.exp(np.random.default_rng(3).normal(0, 0.2, MONTHS))[rows["months"]]
    regular = moved_to(21.0, rng=np.random.default_rng(1))
    unruly = moved_to(21.0, rng=np.random.default_rng(1), values=rows["values"] * own_ways)
    assert unruly.uncertainty > regular.uncertainty + 0.1


def test_a_class_of_fewer_months_than_coefficients_says_nothing_of_its_months() -> None:
    rows = reference(np.random.default_rng(1))
    of_one_month = np.where(rows["months"] == 6, 0, 1)
    july = rows["months"] == 6
    few = moved_to(HEATING_C[6], rng=np.random.default_rng(1), classes=of_one_month, base=july)
    assert few.uncertainty == pytest.approx(0, abs=1e-9)


def test_a_response_that_cannot_be_told_moves_nothing_and_is_as_uncertain_as_plausible() -> None:
    rows = reference(np.random.default_rng(1))
    moved = moved_to(24.0, rng=np.random.default_rng(1), is_estimable=False)
    assert (moved.values == rows["values"][rows["base"]]).all()
    assert moved.uncertainty > 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.floats(0, 30))
def test_moved_values_are_values_of_the_reference_in_the_same_order(seed: int, heating_c: float) -> None:
    counts = np.random.default_rng(seed).poisson(1.5, MONTHS * ROWS).astype(float)
    moved = moved_to(heating_c, rng=np.random.default_rng(seed), values=counts).values
    before = counts[reference(np.random.default_rng(seed))["base"]]
    assert set(moved) <= set(before)
    higher, lower = moved[before >= 3], moved[before == 0]
    assert len(higher) == 0 or higher.min() >= lower.max()


def test_a_class_of_a_few_rows_stays_where_it_is() -> None:
    rows = reference(np.random.default_rng(1))
    few = np.zeros(MONTHS * ROWS, dtype=np.intp)
    few[np.flatnonzero(rows["base"])[:10]] = 1
    moved = moved_to(24.0, rng=np.random.default_rng(1), classes=few).values
    before = rows["values"][rows["base"]]
    assert (moved[:10] == before[:10]).all()
    assert (moved[10:] != before[10:]).any()


def test_categories_are_the_less_certain_the_more_the_weather_differs() -> None:
    stages = pd.Series(["stable"] * 80 + ["growing"] * 20)
    assert category_uncertainty(stages, 0.0) == 0
    assert category_uncertainty(stages, 0.5) == pytest.approx(3.0902**2 * 0.25 * 0.16)
    assert category_uncertainty(pd.Series(["stable"] * 9), 0.5) == 0
