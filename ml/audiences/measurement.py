"""What a campaign changed: treated minus control, with an interval, and what it could have shown at all.

Intention to treat: everybody counts in the arm that was drawn, contacted or not, answered or not. Anything else
compares customers who differ by more than the draw.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy import stats

from ml.audiences.selection import CONTROL, TREATED
from ml.columns import CUSTOMER_KEY
from ml.errors import InsufficientDataError, KilowiseError

OutcomeKind = Literal["share", "amount"]

SMALLEST_ARM = 10
"""Customers with an outcome below which an arm says nothing."""


class MeasurementError(KilowiseError):
    """Outcomes and members of a campaign do not fit; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The difference that a campaign made.

    Attributes:
        kind: ``share`` of customers, or ``amount`` per customer.
        difference: Treated minus control; of a share as a fraction.
        low: Lower end of the interval.
        high: Upper end.
        confidence: Probability with which such intervals cover the true difference.
        treated_value: Share or mean of the treated.
        control_value: Share or mean of the control group.
        treated_count: Treated customers with an outcome.
        control_count: Control customers with an outcome.
        missing_treated_count: Treated customers without one, such as those who left.
        missing_control_count: Control customers without one.
        is_missing_uneven: Whether the shares without an outcome differ beyond chance, so that the arms no longer
            compare like with like.
    """

    kind: OutcomeKind
    difference: float
    low: float
    high: float
    confidence: float
    treated_value: float
    control_value: float
    treated_count: int
    control_count: int
    missing_treated_count: int
    missing_control_count: int
    is_missing_uneven: bool

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def sentence(self) -> str:
        """Return the result as a sentence."""
        scale, unit = (100, " percentage points") if self.kind == "share" else (1, "")
        verdict = "beyond chance" if self.is_beyond_chance else "within chance"
        text = (
            f"Treated minus control: {scale * self.difference:+.4g}{unit} "
            f"({100 * self.confidence:.0f} % interval {scale * self.low:+.4g} to {scale * self.high:+.4g}), {verdict}; "
            f"treated {scale * self.treated_value:.4g} of {self.treated_count:,}, control "
            f"{scale * self.control_value:.4g} of {self.control_count:,}."
        )
        missing = self.missing_treated_count + self.missing_control_count
        if missing:
            text += (
                f" Without an outcome: {self.missing_treated_count:,} treated, {self.missing_control_count:,} control."
            )
        if self.is_missing_uneven:
            text += " These shares differ beyond chance, so read the difference with caution."
        return text


def measure_effect(members: pl.DataFrame, outcomes: pl.DataFrame, *, confidence: float = 0.95) -> Effect:
    """Return the difference between treated and control customers with its interval, by intention to treat.

    A share (true or false) has Newcombe's interval from two Wilson intervals, which holds for small groups and rare
    outcomes (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10). An amount has Welch's interval, which allows
    the groups different variances (B. L. Welch, Biometrika 34, 1947).

    Args:
        members: ``customer_key`` and ``arm`` of every customer of the campaign.
        outcomes: ``customer_key`` and ``outcome``, boolean or numeric; a customer without a row or with null has none.
        confidence: Coverage of the interval.

    Raises:
        MeasurementError: A customer has two outcomes, or outcomes are neither numbers nor true and false.
        InsufficientDataError: An arm has fewer than `SMALLEST_ARM` outcomes, or no outcome differs from another.
    """
    if outcomes.get_column(CUSTOMER_KEY).is_duplicated().any():
        raise MeasurementError("A customer has several outcomes; give one row per customer, such as of one month.")
    dtype = outcomes.schema["outcome"]
    if not (dtype == pl.Boolean or dtype.is_numeric()):
        raise MeasurementError(f"An outcome must be a number or true and false, found {dtype}.")
    values = members.join(outcomes, on=CUSTOMER_KEY, how="left", validate="1:1")
    treated, control = (values.filter(pl.col("arm") == arm).get_column("outcome") for arm in (TREATED, CONTROL))
    missing = (treated.null_count(), control.null_count())
    sizes = (treated.len(), control.len())
    known = [series.drop_nulls().cast(pl.Float64).to_numpy() for series in (treated, control)]
    for arm, sample in zip((TREATED, CONTROL), known, strict=True):
        if sample.size < SMALLEST_ARM:
            raise InsufficientDataError(
                f"Only {sample.size} {arm} customers have an outcome; at least {SMALLEST_ARM} in each arm are needed."
            )
    kind: OutcomeKind = "share" if dtype == pl.Boolean else "amount"
    interval = _newcombe if kind == "share" else _welch
    low, high = interval(known[0], known[1], confidence)
    treated_value, control_value = float(known[0].mean()), float(known[1].mean())
    return Effect(
        kind=kind,
        difference=treated_value - control_value,
        low=low,
        high=high,
        confidence=confidence,
        treated_value=treated_value,
        control_value=control_value,
        treated_count=known[0].size,
        control_count=known[1].size,
        missing_treated_count=missing[0],
        missing_control_count=missing[1],
        is_missing_uneven=_is_uneven(missing, sizes, confidence),
    )


def smallest_detectable_difference(
    treated_count: int, control_count: int, standard_deviation: float, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Return the true difference that a campaign of this size finds with probability ``power``.

    The usual normal approximation: (z of the confidence + z of the power) times the standard error of the difference.

    Args:
        treated_count: Customers who are contacted.
        control_count: Customers who are held out.
        standard_deviation: Of the outcome between customers; of a share p, the root of p (1 - p).
        confidence: Coverage of the later interval.
        power: Probability to find the difference.

    Raises:
        InsufficientDataError: An arm is empty.
    """
    if min(treated_count, control_count) < 1:
        raise InsufficientDataError("An arm of the campaign is empty, so it can show no difference.")
    quantiles = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power)
    return float(quantiles * standard_deviation * math.sqrt(1 / treated_count + 1 / control_count))


def _newcombe(treated: np.ndarray, control: np.ndarray, confidence: float) -> tuple[float, float]:
    return _newcombe_of_counts((int(treated.sum()), treated.size), (int(control.sum()), control.size), confidence)


def _newcombe_of_counts(first: tuple[int, int], second: tuple[int, int], confidence: float) -> tuple[float, float]:
    shares = [count / size for count, size in (first, second)]
    wilson = [
        stats.binomtest(count, size).proportion_ci(confidence, method="wilson") for count, size in (first, second)
    ]
    difference = shares[0] - shares[1]
    low = difference - math.hypot(shares[0] - wilson[0].low, wilson[1].high - shares[1])
    high = difference + math.hypot(wilson[0].high - shares[0], shares[1] - wilson[1].low)
    return low, high


def _welch(treated: np.ndarray, control: np.ndarray, confidence: float) -> tuple[float, float]:
    if treated.var() + control.var() == 0:
        raise InsufficientDataError("No customer's outcome differs from another's in its arm, so there is no interval.")
    interval = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def _is_uneven(missing: tuple[int, int], sizes: tuple[int, int], confidence: float) -> bool:
    low, high = _newcombe_of_counts((missing[0], sizes[0]), (missing[1], sizes[1]), confidence)
    return low > 0 or high < 0
