"""From a probability to points and a rating."""

import math
from dataclasses import dataclass

import numpy as np

from ml.credit_risk.schema import RATINGS
from ml.evaluation import FloatArray

RATING_UPPER_PROBABILITIES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.30)
"""A rating holds below its limit: AAA < 0.5 %, AA < 1 %, A < 2 %, BBB < 4 %, BB < 8 %, B < 15 %, C < 30 %, else D."""

_UPPER_PROBABILITIES = np.array(RATING_UPPER_PROBABILITIES)

HIGH_RISK_RATINGS = ("C", "D")
"""Ratings on which a supplier would act; the fairness table counts who is put there."""

HIGH_RISK_FROM = RATING_UPPER_PROBABILITIES[RATINGS.index(HIGH_RISK_RATINGS[0]) - 1]
"""Probability from which a customer is rated among `HIGH_RISK_RATINGS`."""

PROBABILITY_FLOOR = 1e-6
"""Points are computed from a probability kept this far from 0 and 1, so that they stay finite."""


@dataclass(frozen=True, slots=True)
class PointScale:
    """Linear scale in the log odds: ``points = offset + factor * ln(good : bad)``.

    Attributes:
        base_points: Points at the base odds.
        base_odds: Good to bad odds at the base points.
        points_to_double_odds: Points by which the odds double.
    """

    base_points: float = 600.0
    base_odds: float = 50.0
    points_to_double_odds: float = 20.0

    @property
    def factor(self) -> float:
        """Points per unit of log odds."""
        return self.points_to_double_odds / math.log(2)

    @property
    def offset(self) -> float:
        """Points at even odds."""
        return self.base_points - self.factor * math.log(self.base_odds)

    def points(self, probabilities: FloatArray) -> FloatArray:
        """Return whole points per probability of default; more points are better."""
        # One value at a time with the C library: vectorised logarithms may differ in the last bit with the position
        # of a row in its batch.
        scale, offset = self.factor, self.offset
        return np.array([_points(float(p), scale, offset) for p in probabilities], dtype=np.float64)


def ratings(probabilities: FloatArray) -> list[str]:
    """Return the rating of each probability of default."""
    positions: list[int] = _UPPER_PROBABILITIES.searchsorted(probabilities, side="right").tolist()
    return [RATINGS[position] for position in positions]


def _points(probability: float, factor: float, offset: float) -> float:
    kept = min(max(probability, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)
    return float(round(offset + factor * math.log((1 - kept) / kept)))
