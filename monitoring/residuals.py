"""Concept drift: how far observed and predicted part by class, district and segment, against the time of the release.

A residual is what happened less what was predicted. Its mean over a group is held against the same group's mean in the
labelled rows of the reference: a model that was right about a group at release and is wrong now meets another relation
of features and outcome, even where no feature has moved. The months of one customer are not independent evidence, so
the deviation of a mean is that of clusters (Liang and Zeger, "Longitudinal data analysis using generalized linear
models", 1986), and the limits of the intervals are shared out over the groups (Bonferroni).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from monitoring.policy import ConceptRule
from monitoring.sections import ConceptDrift, GroupResidual, ResidualDimension

DIMENSIONS: tuple[ResidualDimension, ...] = ("all", "customer_class", "district", "segment")
EVERYBODY = "all"
_CONFIDENCE_OF_INTERVALS = 0.95
_CONFIDENCE_OF_FINDINGS = 0.999
"""All groups of a month together: a dozen of them are looked at every month."""


def concept_drift(
    matured: pd.DataFrame, bundle_dir: Path, *, column: str, label: str, rule: ConceptRule, common_shift_sd: float = 0.0
) -> ConceptDrift | None:
    """Compare the residuals of every group with those at release.

    Args:
        matured: Result of ``with_groups``.
        bundle_dir: Folder of the released bundle; the labelled rows of its reference are used, if it has any.
        column: Prediction that is held against the outcome.
        label: Name of the outcome in the reference.
        rule: Smallest groups and limits.
        common_shift_sd: Standard deviation of what a good or a bad year does to the log-odds of all customers alike.

    Returns:
        The groups, those farthest off first; None without outcomes.
    """
    if matured.empty:
        return None
    at_release = _labelled(bundle_dir / "reference.parquet", column, label)
    groups = list(_groups(matured))
    judged = [_judge(group, at_release, len(groups), rule, common_shift_sd) for group in groups]
    months = sorted(set(matured[AS_OF_MONTH]))
    return ConceptDrift(
        column=column,
        months=tuple(months),
        rows=len(matured),
        groups=tuple(sorted(judged, key=lambda group: -abs(group.gap - (group.gap_at_release or 0)))),
    )


def with_groups(
    matured: pd.DataFrame, *, probability: str, outcome: str, predictions_dir: Path, segments_dir: Path
) -> pd.DataFrame:
    """Give matured predictions the columns of the dimensions, as they were when the customers were scored.

    Args:
        matured: One row per customer and as-of month, with prediction and outcome.
        probability: Name of the prediction.
        outcome: Name of the outcome.
        predictions_dir: Folder of the use case's batch predictions, for class and district.
        segments_dir: Folder of the batch predictions of segmentation; it may be missing.

    Returns:
        Customer, month, ``predicted``, ``observed``, ``customer_class``, ``district`` and ``segment``.
    """
    parts = []
    for month in sorted(set(matured[AS_OF_MONTH])):
        rows = matured[matured[AS_OF_MONTH] == month]
        scored = _of_month(predictions_dir, month, {"customer_class": "customer_class", "district": "district"})
        segments = _of_month(segments_dir, month, {"segment_id": "segment"})
        part = rows[[CUSTOMER_KEY, AS_OF_MONTH]].assign(
            predicted=rows[probability].astype(float), observed=rows[outcome].astype(float)
        )
        parts.append(part.merge(scored, on=CUSTOMER_KEY, how="left").merge(segments, on=CUSTOMER_KEY, how="left"))
    return pd.concat(parts, ignore_index=True) if parts else matured


@dataclass(frozen=True)
class _Group:
    dimension: ResidualDimension
    name: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class _Mean:
    """Mean of a group's residuals, its standard error and the number of customers behind it."""

    value: float
    error: float
    customers: int


def _groups(rows: pd.DataFrame) -> Iterator[_Group]:
    yield _Group("all", EVERYBODY, rows)
    for dimension in DIMENSIONS[1:]:
        if dimension in rows:
            for name, members in rows.groupby(dimension):
                yield _Group(dimension, str(name), members)


def _judge(
    group: _Group, at_release: pd.DataFrame, groups_count: int, rule: ConceptRule, common_shift_sd: float
) -> GroupResidual:
    rows = group.rows
    now = _mean_residual(rows)
    then = _then(group, at_release, rule)
    width = _deviations(_CONFIDENCE_OF_INTERVALS, groups_count, now) * now.error
    return GroupResidual(
        dimension=group.dimension,
        group=group.name,
        rows=len(rows),
        events=int(rows["observed"].sum()),
        predicted=float(rows["predicted"].mean()),
        observed=float(rows["observed"].mean()),
        gap=now.value,
        gap_lower=now.value - width,
        gap_upper=now.value + width,
        gap_at_release=then.value if then else None,
        level=_level(rows, now, then, groups_count, rule, common_shift_sd),
    )


def _deviations(confidence: float, groups_count: int, mean: _Mean) -> float:
    """Return how many standard errors an interval reaches if the groups together are to keep a confidence."""
    return float(student.ppf(1 - (1 - confidence) / 2 / groups_count, max(mean.customers - 1, 1)))


def _level(
    rows: pd.DataFrame, now: _Mean, then: _Mean | None, groups_count: int, rule: ConceptRule, common_shift_sd: float
) -> Literal["quiet", "drifted", "strong"] | None:
    # Predicted defaults count too: a group in which none of the many that were predicted happened is far off. One
    # default lies in the windows of up to six months, so that it is counted by customers.
    months_each = len(rows) / now.customers
    events = max(rows["observed"].sum(), rows["predicted"].sum()) / months_each
    if now.customers < rule.minimum_customers or events < rule.minimum_events:
        return None
    change = abs(now.value - (then.value if then else 0))
    predicted = rows["predicted"].to_numpy(dtype=float)
    # What a year does to everybody is no error of the customers, and no number of them averages it out.
    of_year = common_shift_sd * float((predicted * (1 - predicted)).mean())
    error = float(np.linalg.norm([now.error, then.error if then else 0, of_year]))
    if change < rule.watch or change < _deviations(_CONFIDENCE_OF_FINDINGS, groups_count, now) * error:
        return "quiet"
    return "strong" if change >= rule.act else "drifted"


def _then(group: _Group, at_release: pd.DataFrame, rule: ConceptRule) -> _Mean | None:
    if group.dimension != "all" and group.dimension not in at_release:
        return None
    same = at_release if group.dimension == "all" else at_release[at_release[group.dimension] == group.name]
    return _mean_residual(same) if same[CUSTOMER_KEY].nunique() >= rule.minimum_customers else None


def _mean_residual(rows: pd.DataFrame) -> _Mean:
    """Return the mean with the larger of two errors: as the residuals lie, and as the predictions let expect.

    Few defaults lie closer together than their probabilities say, so that the first alone would be too sure.
    """
    predicted = rows["predicted"].to_numpy(dtype=float)
    residual = rows["observed"].to_numpy(dtype=float) - predicted
    mean = float(residual.mean())
    codes, customers = pd.factorize(rows[CUSTOMER_KEY])
    if len(customers) < 2:
        return _Mean(mean, float("inf"), len(customers))
    found = np.bincount(codes, weights=residual - mean) ** 2
    expected = np.bincount(codes, weights=np.sqrt(np.clip(predicted * (1 - predicted), 0, None))) ** 2
    variance = max(found.sum() * len(customers) / (len(customers) - 1), expected.sum()) / len(rows) ** 2
    return _Mean(mean, float(np.sqrt(variance)), len(customers))


def _labelled(path: Path, column: str, label: str) -> pd.DataFrame:
    """Read the rows of the reference whose outcome was known, with class and district where it has them."""
    import polars as pl

    held = pl.read_parquet_schema(path)
    if not {CUSTOMER_KEY, column, label} <= set(held):
        return pd.DataFrame(columns=[CUSTOMER_KEY, "predicted", "observed"])
    wanted = [name for name in (CUSTOMER_KEY, *DIMENSIONS, column, label) if name in held]
    rows = pl.read_parquet(path, columns=wanted).drop_nulls([column, label])
    return rows.with_columns(
        predicted=pl.col(column).cast(pl.Float64), observed=pl.col(label).cast(pl.Float64)
    ).to_pandas()


def _of_month(predictions_dir: Path, month: date, columns: dict[str, str]) -> pd.DataFrame:
    """Read columns of a month's batch predictions, one row per customer; without rows if they are not readable."""
    import polars as pl

    folder = predictions_dir / f"as_of_month={month.isoformat()}"
    paths = sorted(folder.glob("*.parquet"))
    nobody: dict[str, Any] = {name: pd.Series(dtype=object) for name in (CUSTOMER_KEY, *columns.values())}
    if not paths:
        return pd.DataFrame(nobody)
    try:
        rows = pl.scan_parquet(paths, hive_partitioning=False).select(
            CUSTOMER_KEY, *(pl.col(name).cast(pl.String).alias(alias) for name, alias in columns.items())
        )
        return rows.unique(CUSTOMER_KEY, keep="last", maintain_order=True).collect().to_pandas()
    except (pl.exceptions.PolarsError, OSError):
        return pd.DataFrame(nobody)
