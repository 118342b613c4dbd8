import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.credit_risk.schema import RATINGS
from ml.credit_risk.scorecard import PointScale, ratings

PROBABILITIES = st.floats(min_value=0, max_value=1)


def probability_at(odds: float) -> np.ndarray:
    return np.array([1 / (1 + odds)])


def test_600_points_at_50_to_1_and_20_points_double_the_odds():
    scale = PointScale()
    assert scale.points(probability_at(50)) == [600]
    assert scale.points(probability_at(100)) == [620]
    assert scale.points(probability_at(25)) == [580]
    assert scale.factor == pytest.approx(20 / math.log(2))


def test_certainty_keeps_finite_points():
    points = PointScale().points(np.array([0.0, 1.0]))
    assert np.isfinite(points).all()
    assert points[0] > points[1]


@given(st.lists(PROBABILITIES, min_size=2, max_size=30))
def test_more_risk_never_gives_more_points_nor_a_better_rating(values: list[float]):
    ordered = np.sort(np.array(values))
    assert (np.diff(PointScale().points(ordered)) <= 0).all()
    positions = [RATINGS.index(rating) for rating in ratings(ordered)]
    assert positions == sorted(positions)


@given(st.lists(PROBABILITIES, min_size=1, max_size=30), st.integers(0, 29))
def test_points_do_not_depend_on_the_batch(values: list[float], position: int):
    position %= len(values)
    scale = PointScale()
    assert scale.points(np.array(values))[position] == scale.points(np.array([values[position]]))[0]


def test_the_limit_of_a_rating_belongs_to_the_worse_one():
    given_ = np.array([0.0, 0.00499, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.2999, 0.3, 1.0])
    expected = ["AAA", "AAA", "AA", "A", "BBB", "BB", "B", "C", "C", "D", "D"]
    assert ratings(given_) == expected
