"""How far a column has moved from its reference: the arithmetic that decides, without any framework.

The population stability index (PSI) is computed over bins that are fixed by the reference alone, so that one month's
score does not depend on another month's extremes. Evidently draws the same numbers through a method registered in
``monitoring.reports``. Missing and infinite values are not part of the score; they are judged on their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.columns import ColumnKind

SHARE_FLOOR = 1e-4
"""Share that stands for an empty bin: the usual value of credit scoring; it keeps one empty bin from deciding alone."""
UNSEEN = "(unseen)"
"""Bin of the categories that the reference does not hold."""
RARE = "(rare)"
"""Bin of the categories that are rare in the reference."""
_ONCE_IN_A_THOUSAND = 0.001
Z_999 = 3.0902
"""Standard normal value that chance exceeds once in a thousand."""
# Digits of an edge, for a reader.
_FEWEST_DIGITS, _MOST_DIGITS = 3, 12


@dataclass(frozen=True)
class Bins:
    """Bins of one column, fixed by its reference.

    Attributes:
        edges: Inner edges of a numeric column; bin i holds ``edges[i-1] < value <= edges[i]``. None if categorical.
        categories: Categories with a bin of their own; empty if numeric.
        rare: Categories of the reference that share the bin ``RARE``.
    """

    edges: NDArray[np.float64] | None = None
    categories: tuple[str, ...] = ()
    rare: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """Number of bins that the reference can fill."""
        if self.edges is not None:
            return len(self.edges) + 1
        return len(self.categories) + bool(self.rare)

    @property
    def labels(self) -> list[str]:
        """Name of each bin for a reader."""
        if self.edges is None:
            return [*self.categories, RARE, UNSEEN]
        if len(self.edges) == 0:
            return ["all"]
        starts_atom = [float(np.nextafter(high, -np.inf)) == low for low, high in pairwise(self.edges)]
        texts = _edge_texts(self.edges, starts_atom)
        inner = [
            texts[place + 1] if is_atom else f"{texts[place]} – {texts[place + 1]}"
            for place, is_atom in enumerate(starts_atom)
        ]
        first = "<" if starts_atom and starts_atom[0] else "≤"
        return [f"{first} {texts[0]}", *inner, f"> {texts[-1]}"]

    def indices(self, values: "pd.Series[Any]") -> NDArray[np.intp]:
        """Return the bin number of each value; values must be finite and present."""
        if self.edges is not None:
            return np.searchsorted(self.edges, values.to_numpy(dtype=float), side="left")
        numbers = {category: number for number, category in enumerate(self.categories)}
        numbers.update(dict.fromkeys(self.rare, len(self.categories)))
        unseen = len(self.categories) + 1
        return values.map(lambda value: numbers.get(value, unseen)).to_numpy(dtype=np.intp)

    def shares(self, values: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return the share of the values in each bin; values must be finite and present."""
        counts = np.bincount(self.indices(values), minlength=len(self.labels)).astype(float)
        return counts / max(len(values), 1)


def _edge_texts(edges: NDArray[np.float64], starts_atom: Sequence[bool]) -> list[str]:
    """Return the edges with as many digits as tell neighbours apart; the two edges of one value read alike."""
    texts: list[str] = []
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        texts = [_number_text(edge, digits) for edge in edges]
        if all(is_atom or low != high for is_atom, (low, high) in zip(starts_atom, pairwise(texts), strict=True)):
            break
    return texts


def _number_text(value: float, digits: int) -> str:
    if abs(value) < np.finfo(float).tiny:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def usable_values(values: "pd.Series[Any]", kind: ColumnKind) -> "pd.Series[Any]":
    """Return the values that can be compared: present, and finite if numeric."""
    if kind == "numeric":
        return values[np.isfinite(values.to_numpy(dtype=float))]
    return values.dropna()


def reference_bins(values: "pd.Series[Any]", kind: ColumnKind, *, bins: int, rare_share_pct: float) -> Bins:
    """Fix the bins of a column from its reference.

    Args:
        values: Usable values of the reference.
        kind: Kind of the column; ``boolean`` counts as categorical.
        bins: Number of quantile bins of a numeric column.
        rare_share_pct: Categories below this share of the reference are put together.

    Returns:
        The bins. A value that holds a whole quantile, such as the zeros of a count, gets a bin of its own, so that a
        loss of zeros is seen as well as a gain.
    """
    if kind != "numeric":
        shares = values.value_counts(normalize=True) * 100
        frequent = tuple(sorted(str(category) for category in shares.index[shares >= rare_share_pct]))
        rare = frozenset(str(category) for category in shares.index[shares < rare_share_pct])
        return Bins(categories=frequent, rare=rare)
    numbers = values.to_numpy(dtype=float)
    quantiles = np.quantile(numbers, np.linspace(0, 1, bins + 1), method="lower")
    inner = quantiles[1:-1]
    distinct, repeats = np.unique(quantiles, return_counts=True)
    atoms = distinct[repeats > 1]
    edges = np.unique(np.concatenate([inner, atoms, np.nextafter(atoms, -np.inf)]))
    return Bins(edges=edges)


def psi_of_shares(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Return the population stability index of two distributions over the same bins."""
    floored_reference = np.maximum(reference, SHARE_FLOOR)
    floored_current = np.maximum(current, SHARE_FLOOR)
    terms = (floored_current - floored_reference) * np.log(floored_current / floored_reference)
    return float(terms.sum())


def psi(
    reference: "pd.Series[Any]", current: "pd.Series[Any]", kind: ColumnKind, *, bins: int, rare_share_pct: float
) -> float:
    """Return the population stability index of two columns, over the bins of the reference.

    Args:
        reference: Column of the reference; missing and infinite values are left out.
        current: The same column now.
        kind: Kind of the column.
        bins: Number of quantile bins of a numeric column.
        rare_share_pct: Categories below this share of the reference are put together.
    """
    usable_reference = usable_values(reference, kind)
    fixed = reference_bins(usable_reference, kind, bins=bins, rare_share_pct=rare_share_pct)
    return psi_of_shares(fixed.shares(usable_reference), fixed.shares(usable_values(current, kind)))


def chance_level(bins_count: int, rows_reference: int, rows_current: int) -> float:
    """Return the score that two samples of one distribution exceed in one of a thousand comparisons.

    The index of two such samples is close to a chi-squared variable with ``bins - 1`` degrees of freedom times
    ``1/rows_reference + 1/rows_current``; its quantile is Wilson and Hilferty's approximation.
    """
    freedom = bins_count - 1
    if freedom < 1:
        return 0.0
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + Z_999 * np.sqrt(spread)) ** 3
    return float(quantile * (1 / rows_reference + 1 / rows_current))


def common_shift_level(shares: NDArray[np.float64], shift_sd: float) -> float:
    """Return the score that a shift common to all customers gives, once in a thousand.

    Customers are no independent witnesses of what moves all of them: a good or a bad year changes the odds of lying
    below every edge alike (proportional odds: McCullagh, 1980, Regression models for ordinal data, Journal of the
    Royal Statistical Society B 42), however many they are.

    Args:
        shares: Shares of the reference over its ordered bins.
        shift_sd: Standard deviation of the shift between the reference and a month, in log-odds.
    """
    below = np.clip(np.cumsum(shares)[:-1], 0.0, 1.0)
    scores = []
    for factor in (np.exp(Z_999 * shift_sd), np.exp(-Z_999 * shift_sd)):
        moved = below * factor / (1 - below + below * factor)
        scores.append(psi_of_shares(shares, np.diff(moved, prepend=0.0, append=1.0)))
    return max(scores)


def unseen_chance_level(reference: "pd.Series[Any]", rows_current: int) -> float:
    """Return the share of unseen categories that a month of the same population exceeds once in a thousand.

    What a sample of a population lacks is estimated by the share of its values that occur once (Good, "The population
    frequencies of species and the estimation of population parameters", Biometrika 40, 1953). That estimate has a
    variance of about itself over the rows of the reference, the share found in the month one over the month's rows.
    A single category may be missed as well: from n rows, one of share 1 - 0.001^(1/n) is absent once in a thousand.

    Args:
        reference: Usable categories of the reference.
        rows_current: Usable values of the month.
    """
    if reference.empty or not rows_current:
        return 0.0
    rows = len(reference)
    expected = max(int((reference.value_counts() == 1).sum()), 1) / rows
    many = expected + Z_999 * np.sqrt(expected * (1 / rows + 1 / rows_current))
    missed = 1 - _ONCE_IN_A_THOUSAND ** (1 / rows)
    one = missed + Z_999 * np.sqrt(missed * (1 - missed) / rows_current)
    return float(max(many, one))


@dataclass(frozen=True)
class Effect:
    """What the move of one column would do to the prediction, everything else unchanged.

    Attributes:
        size: Shift of a numeric prediction's mean in its standard deviations, or share (0 to 1) of the rows that
            would get another category.
        shift: Signed shift of the mean in the prediction's own unit; None if the prediction is categorical.
    """

    size: float
    shift: float | None


def effect_on_prediction(
    bin_of_row: NDArray[np.intp],
    change_of_share: NDArray[np.float64],
    prediction: "pd.Series[Any]",
    prediction_kind: ColumnKind,
) -> Effect:
    """Carry the change of a column's shares over to the prediction, by what the reference predicts in each bin.

    Args:
        bin_of_row: Bin of each reference row.
        change_of_share: Current minus reference share, for each bin.
        prediction: Prediction of the same reference rows.
        prediction_kind: Kind of the prediction.

    Returns:
        The effect; a bin that the reference leaves empty, such as an unseen category, predicts like the average.
    """
    counts = np.bincount(bin_of_row, minlength=len(change_of_share)).astype(float)
    filled = counts > 0
    if prediction_kind == "numeric":
        values = prediction.to_numpy(dtype=float)
        means = np.full(len(counts), values.mean())
        means[filled] = np.bincount(bin_of_row, weights=values, minlength=len(counts))[filled] / counts[filled]
        shift = float(change_of_share @ means)
        deviation = float(values.std())
        return Effect(size=abs(shift) / deviation if deviation > 0 else 0.0, shift=shift)
    codes, categories = pd.factorize(prediction)
    total = 0.0
    for code in range(len(categories)):
        belongs = (codes == code).astype(float)
        shares = np.full(len(counts), belongs.mean())
        shares[filled] = np.bincount(bin_of_row, weights=belongs, minlength=len(counts))[filled] / counts[filled]
        total += abs(float(change_of_share @ shares))
    return Effect(size=total / 2, shift=None)
