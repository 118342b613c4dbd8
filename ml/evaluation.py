"""Figures with intervals: what an evaluation holds, and the bootstrap that gives the intervals.

A figure that could not be computed is ``None``, never a stand-in number; the gate treats it as a refusal.
Rows of one customer depend on each other, so every bootstrap here resamples clusters (customers), not rows.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict

from ml.sufficiency import SufficiencyReport

FloatArray = npt.NDArray[np.float64]


def _none_unless_finite(value: Any) -> Any:
    """Turn NaN and infinities into a missing figure, so that no JSON and no comparison ever sees them."""
    if value is None:
        return None
    return float(value) if math.isfinite(float(value)) else None


def _cell(value: Any) -> Any:
    return _none_unless_finite(value) if isinstance(value, float) else value


Figure = Annotated[float | None, BeforeValidator(_none_unless_finite)]
Cell = Annotated[str | int | float | None, BeforeValidator(_cell)]


class Metric(BaseModel):
    """One figure with its interval.

    Attributes:
        name: Snake-case name, such as ``roc_auc``.
        value: Point estimate; ``None`` when it cannot be computed.
        lower: Lower end of the 95 % interval.
        upper: Upper end of the 95 % interval.
        higher_is_better: Direction; ``None`` for a figure without one, such as a default rate.
        unit: Unit to print behind the value.
        rows: Rows behind the figure.
        slice_column: Column by which the rows were restricted, if any.
        slice_value: Value of that column.
        note: Why the figure is missing, or what a reader must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: Figure
    lower: Figure = None
    upper: Figure = None
    higher_is_better: bool | None = True
    unit: str = ""
    rows: int | None = None
    slice_column: str | None = None
    slice_value: str | None = None
    note: str = ""


class BaselineComparison(BaseModel):
    """The model against something simpler, on the same rows.

    Attributes:
        name: Name of the baseline, as the gate's policy names it.
        description: What the baseline does, in one sentence.
        description_zh: The same in Chinese.
        metric: The baseline's own value of the key metric.
        difference: Paired difference, oriented so that a positive value means that the model is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    description_zh: str = ""
    metric: Metric
    difference: Metric


class ChampionComparison(BaseModel):
    """A challenger against the released model, on the same hold-out rows.

    Attributes:
        champion_version: Bundle version of the released model.
        challenger: Key metric of the challenger.
        champion: Key metric of the champion on the same rows.
        difference: Paired difference, oriented so that a positive value means that the challenger is better.
        rows: Rows compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    champion_version: str
    challenger: Metric
    champion: Metric
    difference: Metric
    rows: int


class Criterion(BaseModel):
    """One thing that is demanded and whether it holds; ``passed`` is ``None`` when it could not be judged.

    Attributes:
        name: Name by which a policy or an override refers to it.
        passed: True, False, or ``None`` when it could not be judged (which refuses, like False).
        observed: What was found, ready to print.
        required: What is demanded, ready to print.
        reason: A sentence for the model owner.
        aspect: Group under which it is shown, such as ``calibration``.
        overridden_by: The person who overrode a failed criterion, with reason and expiry, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool | None
    observed: str = ""
    required: str = ""
    reason: str = ""
    aspect: str = ""
    overridden_by: str | None = None


class EvaluationTable(BaseModel):
    """A small table for the model card and the review page.

    Attributes:
        name: Name by which code finds the table, such as ``reliability``.
        title: Heading.
        title_zh: Heading in Chinese.
        columns: Column names.
        rows: Values in the order of the columns; numbers stay numbers.
        note: What the reader should take from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    title_zh: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    note: str = ""


class Evaluation(BaseModel):
    """All that is known about the quality of one trained model.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        holdout_description: How the hold-out was cut, in a sentence (by time, by customer, or both).
        key_metric: The figure by which models of this use case are compared.
        metrics: All figures, overall and by slice (the key metric is among them).
        baselines: The model against each named baseline.
        criteria: What the use case itself demands (such as stability of clusters); the gate adds its own.
        sufficiency: What was checked before training.
        tables: Tables for the model card.
        notes: Sentences that a reader of the figures must know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    holdout_description: str
    key_metric: Metric
    metrics: tuple[Metric, ...] = ()
    baselines: tuple[BaselineComparison, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    sufficiency: SufficiencyReport | None = None
    tables: tuple[EvaluationTable, ...] = ()
    notes: tuple[str, ...] = ()

    def metric(self, name: str, slice_column: str | None = None, slice_value: str | None = None) -> Metric | None:
        """Return the figure of this name and slice, or ``None``."""
        for metric in self.metrics:
            if (metric.name, metric.slice_column, metric.slice_value) == (name, slice_column, slice_value):
                return metric
        return None

    def slices(self, name: str, slice_column: str) -> list[Metric]:
        """Return the figure of this name for every value of the slice column, in stored order."""
        return [metric for metric in self.metrics if metric.name == name and metric.slice_column == slice_column]

    def baseline(self, name: str) -> BaselineComparison | None:
        """Return the comparison with the baseline of this name, or ``None``."""
        return next((comparison for comparison in self.baselines if comparison.name == name), None)


Statistic = Callable[[FloatArray], float]
"""A weighted figure: takes one weight per row (how often the row was drawn) and returns the figure or NaN."""


def bootstrap_weights(clusters: Sequence[Any] | np.ndarray, replicates: int, seed: int) -> Iterator[FloatArray]:
    """Yield one weight vector per replicate: how often each row's cluster was drawn.

    Args:
        clusters: Cluster of each row (the customer); rows of one cluster are drawn together.
        replicates: Number of vectors.
        seed: Seed of the draws.
    """
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(codes.max()) + 1 if len(codes) else 0
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = np.bincount(generator.integers(0, count, count), minlength=count).astype(np.float64)
        yield drawn[codes]


def bootstrap(
    statistics: Mapping[str, Statistic],
    clusters: Sequence[Any] | np.ndarray,
    *,
    replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
    distances: Collection[str] = (),
) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Return value, lower and upper end per statistic, all from the same draws.

    The same draws make differences between statistics paired: pass the difference itself as a statistic.
    A figure that is undefined (NaN) in more than a tenth of the replicates gets no interval.

    The interval is the percentile interval. A distance that is zero for a perfect model, such as the calibration
    error, needs more: sampling noise can only enlarge it, the draws carry the noise of the sample and their own, and so
    most or all of them lie above the estimate (Roelofs et al., "Mitigating bias in calibration error estimation",
    AISTATS 2022). The percentile, the basic and the bias-corrected interval then exclude the estimate on the same
    condition. For such figures the draws are therefore moved by the bootstrap's estimate of the median bias, their
    median minus the estimate (the bias estimate of Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 10, with the median in place of the mean), and cut off at zero: the interval holds the estimate always and
    keeps the width of the draws. Like the estimate, it still holds the noise of the sample itself.

    Args:
        statistics: Weighted figures by name.
        clusters: Cluster of each row.
        replicates: Number of bootstrap draws.
        seed: Seed of the draws.
        level: Coverage of the interval.
        distances: Names of the statistics that are distances, zero or more.
    """
    rows = len(clusters)
    if rows == 0:
        return dict.fromkeys(statistics, (None, None, None))
    values = {name: statistic(np.ones(rows)) for name, statistic in statistics.items()}
    draws: dict[str, list[float]] = {name: [] for name in statistics}
    for weights in bootstrap_weights(clusters, replicates, seed):
        for name, statistic in statistics.items():
            draws[name].append(statistic(weights))
    tail = 100 * (1 - level) / 2
    result: dict[str, tuple[float | None, float | None, float | None]] = {}
    for name, value in values.items():
        finite = np.asarray(draws[name], dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if not math.isfinite(value) or len(finite) < 0.9 * replicates or len(finite) < 2:
            result[name] = (value if math.isfinite(value) else None, None, None)
        else:
            if name in distances:
                finite = np.maximum(finite - (np.median(finite) - value), 0.0)
            lower, upper = np.percentile(finite, [tail, 100 - tail])
            result[name] = (float(value), float(lower), float(upper))
    return result


def weighted_mean(values: npt.ArrayLike) -> Statistic:
    """Return the statistic "weighted mean of these row values"."""
    array = np.asarray(values, dtype=np.float64)

    def statistic(weights: FloatArray) -> float:
        total = weights.sum()
        return float((array * weights).sum() / total) if total > 0 else math.nan

    return statistic
