"""Which columns drive the predictions now, against those that drove them at release.

A model that explains its answers is asked: the importance of a column is the mean size of its contributions (for trees
the mean absolute SHAP value: Lundberg and others, "From local explanations to global understanding with explainable AI
for trees", 2020). For a model that gives no contributions, or that reads more than the logged row, the importance is
how much of the prediction's spread the bins of the column explain: epsilon squared of the ranks of an amount (Kelley
1935; the effect size of Kruskal and Wallis's test) and Goodman and Kruskal's tau for categories (1954), which is the
same ratio of variances over one indicator per category. Both have what chance alone would explain taken off, and what
chance exceeds only once in a thousand columns is the least that counts.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.columns import Column, ColumnKind, by_name
from monitoring.datasets import CurrentRows, ReferenceRows, schema_columns
from monitoring.drift import Z_999, reference_bins, usable_values
from monitoring.explained_inputs import released_credit_model
from monitoring.policy import DriftPolicy
from monitoring.sections import ColumnImportance, ImportanceMethod, ImportanceShift

_DIVISIONS = 20
_Z_99 = 2.326
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _Measured:
    """Importance of each column by weights of the rows, on both sides."""

    method: ImportanceMethod
    columns: list[str]
    of_reference: "_Importance"
    of_current: "_Importance"


class _Importance(ABC):
    """Importance of columns in one set of rows, for any weights of its rows."""

    rows: int

    def shares(self, weights: FloatArray) -> FloatArray:
        """Return each column's share of the importance of all; zeros if no column drives the prediction."""
        importance = np.maximum(self._values(weights), 0)
        total = importance.sum()
        return importance / total if total > 0 else importance

    @abstractmethod
    def _values(self, weights: FloatArray) -> FloatArray:
        """Return each column's importance; below zero counts as none."""


class _Explained(_Importance):
    def __init__(self, effects: FloatArray) -> None:
        self.rows = len(effects)
        self._sizes = np.abs(effects)

    def _values(self, weights: FloatArray) -> FloatArray:
        return weights @ self._sizes / weights.sum()


class _Associated(_Importance):
    def __init__(self, bins: list[NDArray[np.intp]], prediction: "pd.Series[Any]", kind: ColumnKind) -> None:
        self.rows = len(prediction)
        self._bins = bins
        # Ranks, or one predicted amount in a thousand would decide what drives the others.
        self._prediction = prediction.rank().to_numpy() if kind == "numeric" else pd.factorize(prediction)[0]

    def _values(self, weights: FloatArray) -> FloatArray:
        return np.array([_explained_share(bins, self._prediction, weights) for bins in self._bins])


def importance_shift(
    current: CurrentRows, reference: ReferenceRows, policy: DriftPolicy, bundle_dir: Path
) -> ImportanceShift | None:
    """Compare which columns drive the predictions of a month with those that drive the reference's.

    Args:
        current: Rows of the month that can be compared.
        reference: Rows of the release's reference that can be compared with them.
        policy: Size of the samples, and the prediction that stands for the model.
        bundle_dir: Folder of the released bundle; a model that cannot be loaded from it is not asked.

    Returns:
        The shift; None if no column drives the prediction on either side.
    """
    rows = policy.importance.rows
    then, now = (
        frame.sample(min(rows, len(frame)), random_state=policy.sample.seed)
        for frame in (_answered(reference.frame, policy), _answered(current.frame, policy))
    )
    measured = _explanations(policy.use_case, then, now, bundle_dir) or _association(then, now, policy)
    of_reference, of_current = measured.of_reference, measured.of_current
    if not (of_reference.rows and of_current.rows):
        return None
    shares_then = of_reference.shares(np.ones(of_reference.rows))
    shares_now = of_current.shares(np.ones(of_current.rows))
    if not (shares_then.any() and shares_now.any()):
        return None
    ranks_then, ranks_now = (pd.Series(-shares).rank(method="first") for shares in (shares_then, shares_now))
    moved = _moved(shares_then, shares_now)
    is_beyond_limit = moved >= policy.importance.watch
    columns = [
        ColumnImportance(
            column=name,
            share_reference=float(shares_then[place]),
            share_current=float(shares_now[place]),
            rank_reference=int(ranks_then[place]),
            rank_current=int(ranks_now[place]),
        )
        for place, name in enumerate(measured.columns)
    ]
    return ImportanceShift(
        method=measured.method,
        columns=tuple(sorted(columns, key=lambda column: column.rank_current)),
        moved_share=moved,
        chance_level=_chance_level(of_reference, policy.sample.seed) if is_beyond_limit else None,
        rank_correlation=float(ranks_then.corr(ranks_now)) if len(columns) > 1 else 1.0,
        rows_reference=of_reference.rows,
        rows_current=of_current.rows,
    )


def _answered(rows: pd.DataFrame, policy: DriftPolicy) -> pd.DataFrame:
    """Return the rows with a prediction: that nothing can be said of a customer yet is none."""
    if policy.use_case != "segmentation":
        return rows[rows[policy.prediction.column].notna()]
    from ml.segmentation.model import UNKNOWN_SEGMENT_ID

    return rows[~rows[policy.prediction.column].isin([None, UNKNOWN_SEGMENT_ID])]


def _moved(then: FloatArray, now: FloatArray) -> float:
    return float(np.abs(now - then).sum() / 2)


def _chance_level(reference: _Importance, seed: int) -> float:
    """Return what the moved share between two halves of the reference stays below in 99 of 100 divisions.

    Their moved share is a sum over many columns and so close to normal: mean and deviation of a few divisions suffice.
    """
    rng = np.random.default_rng(seed)
    halves = [(rng.permutation(reference.rows) % 2).astype(float) for _ in range(_DIVISIONS)]
    moved = [_moved(reference.shares(half), reference.shares(1 - half)) for half in halves]
    return float(np.mean(moved) + _Z_99 * np.std(moved))


def _explanations(use_case: str, then: pd.DataFrame, now: pd.DataFrame, bundle_dir: Path) -> _Measured | None:
    """Ask the model for its contributions; None if it gives none or cannot be loaded by this code."""
    model = released_credit_model(use_case, bundle_dir)
    if model is None:
        return None
    from ml.credit_risk.model import ScoringRows

    features, _ = schema_columns(use_case)
    return _Measured(
        "explanations",
        [column.name for column in features],
        *(_Explained(model.score(ScoringRows.of_frame(frame)).effects.astype(float)) for frame in (then, now)),
    )


def _association(then: pd.DataFrame, now: pd.DataFrame, policy: DriftPolicy) -> _Measured:
    features, predictions = schema_columns(policy.use_case)
    key = by_name(predictions)[policy.prediction.column]
    then, now = (frame.loc[usable_values(frame[key.name], key.kind).index] for frame in (then, now))
    compared = [
        column
        for column in features
        if column.name not in policy.ignored_columns and len(usable_values(then[column.name], column.kind))
    ]
    bins_then, bins_now = zip(*(_bins(column, then, now, policy) for column in compared), strict=True)
    return _Measured(
        "association",
        [column.name for column in compared],
        _Associated(list(bins_then), then[key.name], key.kind),
        _Associated(list(bins_now), now[key.name], key.kind),
    )


def _bins(
    column: Column, then: pd.DataFrame, now: pd.DataFrame, policy: DriftPolicy
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the bin of each row, by bins of the reference; rows without a value are the last bin."""
    fixed = reference_bins(
        usable_values(then[column.name], column.kind),
        column.kind,
        bins=policy.numeric.bins,
        rare_share_pct=policy.categorical.rare_share_pct,
    )

    def numbers(values: "pd.Series[Any]") -> NDArray[np.intp]:
        usable = usable_values(values, column.kind)
        found = np.full(len(values), len(fixed.labels), dtype=np.intp)
        found[values.index.isin(usable.index)] = fixed.indices(usable)
        return found

    return numbers(then[column.name]), numbers(now[column.name])


def _explained_share(bins: NDArray[np.intp], prediction: NDArray[Any], weights: FloatArray) -> float:
    """Return the share of the prediction's spread that lies between the bins, less what chance would put there."""
    counts = np.bincount(bins, weights=weights).astype(float)
    rows = float(counts.sum())
    freedom = rows - np.count_nonzero(counts)
    spread = _spread_of_codes if prediction.dtype.kind == "i" else _spread_of_numbers
    between, total = spread(bins, prediction, weights, counts)
    if total <= 0 or freedom <= 0:
        return 0.0
    share = 1 - (total - between) / freedom * (rows - 1) / total
    # Of a column without relation the share has mean 0 and close to this deviation (from that of chi squared).
    deviation = np.sqrt(2 * (np.count_nonzero(counts) - 1)) / rows
    return share if share > Z_999 * deviation else 0.0


def _spread_of_numbers(
    bins: NDArray[np.intp], values: NDArray[Any], weights: FloatArray, counts: FloatArray
) -> tuple[float, float]:
    """Return the sum of squares between the bins, and the whole sum of squares."""
    centred = values - np.average(values, weights=weights)
    sums = np.bincount(bins, weights=weights * centred)
    filled = counts > 0
    return float((sums[filled] ** 2 / counts[filled]).sum()), float(weights @ centred**2)


def _spread_of_codes(
    bins: NDArray[np.intp], codes: NDArray[Any], weights: FloatArray, counts: FloatArray
) -> tuple[float, float]:
    """Return the same for one indicator per category, summed over the categories."""
    categories = int(codes.max()) + 1
    cells = np.bincount(bins * categories + codes, weights=weights, minlength=len(counts) * categories)
    table = cells.reshape(len(counts), categories)
    filled = counts > 0
    by_chance = float((table.sum(axis=0) ** 2).sum() / counts.sum())
    return float(((table[filled] ** 2).sum(axis=1) / counts[filled]).sum()) - by_chance, float(counts.sum()) - by_chance
