"""Calibration: from a model's log odds to a probability that means what it says. Never changes an order.

The method follows the number of rows of the rarer outcome on the calibration slice: isotonic needs many, beta
(three numbers) some, a shift of the log odds few. Every method is strictly increasing and stored as plain JSON.
"""

import math
from bisect import bisect_right
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ml.evaluation import FloatArray

Method = Literal["isotonic", "beta", "shift", "none"]


class Calibrator(BaseModel):
    """A monotone map of log odds to log odds.

    Attributes:
        method: How it was fitted.
        knots_x: Log odds of the model at the knots (isotonic).
        knots_y: Calibrated log odds there.
        log_p: Weight of ``ln p`` (beta).
        log_q: Weight of ``-ln (1 - p)`` (beta).
        intercept: Constant (beta and shift).
        rows: Rows on which it was fitted.
        events: Events (defaults, say) among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method
    knots_x: tuple[float, ...] = ()
    knots_y: tuple[float, ...] = ()
    log_p: Annotated[float, Field(ge=0)] = 1.0
    log_q: Annotated[float, Field(ge=0)] = 1.0
    intercept: float = 0.0
    rows: int = 0
    events: int = 0

    @model_validator(mode="after")
    def _rises(self) -> "Calibrator":
        if self.log_p + self.log_q <= 0:
            raise ValueError("a beta calibration needs a positive weight, or it forgets the order")
        if any(np.diff(self.knots_x) <= 0) or any(np.diff(self.knots_y) <= 0):
            raise ValueError("the knots of a calibration must rise")
        return self

    def probabilities(self, margins: FloatArray) -> FloatArray:
        """Return the calibrated probability for each log odds of the model."""
        # One value at a time with the C library, see PointScale.points.
        return np.array([_sigmoid(self._log_odds(float(margin))) for margin in margins], dtype=np.float64)

    def _log_odds(self, margin: float) -> float:
        if self.method == "isotonic":
            return self._interpolate(margin)
        if self.method == "beta":
            return self.log_p * -_softplus(-margin) + self.log_q * _softplus(margin) + self.intercept
        return margin + self.intercept

    def _interpolate(self, margin: float) -> float:
        x, y = self.knots_x, self.knots_y
        if margin <= x[0]:
            return y[0] + (margin - x[0])
        if margin >= x[-1]:
            return y[-1] + (margin - x[-1])
        right = bisect_right(x, margin)
        left = right - 1
        return y[left] + (y[right] - y[left]) / (x[right] - x[left]) * (margin - x[left])


def fit_calibrator(
    margins: FloatArray, labels: FloatArray, *, isotonic_minimum_events: int, beta_minimum_events: int
) -> Calibrator:
    """Fit the richest calibration that the rarer outcome supports.

    Args:
        margins: Log odds of the model on rows that it did not see.
        labels: 1 for an event, 0 otherwise.
        isotonic_minimum_events: Rows of the rarer outcome needed for isotonic.
        beta_minimum_events: Rows of the rarer outcome needed for beta.
    """
    rows, events = len(labels), int(labels.sum())
    rarer = min(events, rows - events)
    if rarer == 0:
        return Calibrator(method="none", rows=rows, events=events)
    if rarer >= isotonic_minimum_events:
        fitted = _fit_isotonic(margins, labels)
    elif rarer >= beta_minimum_events:
        fitted = _fit_beta(margins, labels)
    else:
        fitted = None
    fitted = fitted or _fit_shift(margins, labels)
    return fitted.model_copy(update={"rows": rows, "events": events})


def _fit_isotonic(margins: FloatArray, labels: FloatArray) -> Calibrator | None:
    """Join the centres of the isotonic blocks by straight lines, so that no two different inputs become one.

    Each block is given one more row of the mean rate. The first and the last block of an isotonic fit are often a
    handful of rows of one outcome, and would otherwise promise the best customers a probability of nothing.
    """
    fitted = IsotonicRegression().fit_transform(margins, labels)
    levels, block = np.unique(fitted, return_inverse=True)
    counts = np.bincount(block)
    centres = np.bincount(block, weights=margins) / counts
    smoothed = (levels * counts + labels.mean()) / (counts + 1)
    rising = IsotonicRegression().fit_transform(centres, smoothed, sample_weight=counts)
    knots_y = np.array([math.log(p / (1 - p)) for p in rising])
    keep = np.concatenate([[True], (np.diff(knots_y) > 0) & (np.diff(centres) > 0)])
    if keep.sum() < 3:
        return None
    return Calibrator(method="isotonic", knots_x=tuple(centres[keep].tolist()), knots_y=tuple(knots_y[keep].tolist()))


def _fit_beta(margins: FloatArray, labels: FloatArray) -> Calibrator | None:
    """Fit log odds = a ln p - b ln(1 - p) + c with a, b >= 0 (Kull, Silva Filho and Flach 2017)."""
    inputs = np.column_stack([-np.logaddexp(0, -margins), np.logaddexp(0, margins)])
    used = [0, 1]
    while used:
        model = LogisticRegression(C=np.inf, max_iter=1000).fit(inputs[:, used], labels)
        weights = dict(zip(used, model.coef_[0].tolist(), strict=True))
        negative = [column for column, weight in weights.items() if weight <= 0]
        if not negative:
            return Calibrator(
                method="beta",
                log_p=weights.get(0, 0.0),
                log_q=weights.get(1, 0.0),
                intercept=float(model.intercept_[0]),
            )
        used.remove(min(negative, key=lambda column: weights[column]))
    return None


def _fit_shift(margins: FloatArray, labels: FloatArray) -> Calibrator:
    """Shift the log odds until the mean probability equals the default rate (bisection: the mean only rises)."""
    target = labels.mean()
    low, high = -30.0, 30.0
    for _ in range(80):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(margins + middle)))).mean() < target:
            low = middle
        else:
            high = middle
    return Calibrator(method="shift", intercept=(low + high) / 2)


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)
