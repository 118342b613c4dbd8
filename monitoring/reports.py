"""The Evidently report of one month: configuration, run, page, and scores found by type and column.

Evidently draws and stores; the method that decides is ours and is registered with Evidently under ``method_name``.
The reason is that Evidently's own PSI takes equal-width bins over reference and current values together: one extreme
value of a month changes every bin, and skewed columns such as energy or money fall into the first bin almost whole.
Both numbers are shown; a test holds the two side by side.
"""

import html
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.columns import Column, ColumnKind, by_name
from monitoring.datasets import CurrentRows, data_definition, schema_columns
from monitoring.drift import RARE, chance_level, psi, reference_bins, usable_values
from monitoring.policy import DriftPolicy
from monitoring.sections import ConceptDrift, ImportanceShift
from monitoring.verdicts import USE_CASE_TITLES, ColumnScore, write_atomically

VALUE_DRIFT = "evidently:metric_v2:ValueDrift"
DRIFTED_COLUMNS = "evidently:metric_v2:DriftedColumnsCount"
EVIDENTLY_METHOD = "psi"


@dataclass(frozen=True)
class ReportRun:
    """Result of one Evidently run.

    Attributes:
        snapshot: Evidently's snapshot, for the page and the workspace.
        scores: Score of each drawn column by the deciding method, as Evidently computed it.
        evidently_psi: Score of each drawn column by Evidently's own PSI.
    """

    snapshot: Any
    scores: dict[str, float]
    evidently_psi: dict[str, float]


@contextmanager
def evidently_at_work() -> Iterator[None]:
    """Surround every import and call of Evidently: no telemetry, and none of its warnings about its own code.

    It reads ``DO_NOT_TRACK`` when it is imported and when it would send. Evidently 0.7 uses names that NumPy and pandas
    are about to drop; nobody here can act on those warnings.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def method_name(policy: DriftPolicy) -> str:
    """Return the name under which the policy's method is known to Evidently; it says what is fixed."""
    return f"psi_{policy.numeric.bins}_reference_bins"


def columns_to_draw(scores: Sequence[ColumnScore], policy: DriftPolicy) -> list[str]:
    """Choose the columns of the page: the key prediction and the important columns, then by rank, up to the limit."""
    judged = [score.column for score in scores if score.status == "judged"]
    first = [name for name in (policy.prediction.column, *policy.important_columns) if name in judged]
    return [*first, *(name for name in judged if name not in first)][: policy.report.columns]


def run_report(
    current: CurrentRows,
    reference: pd.DataFrame,
    scores: Sequence[ColumnScore],
    policy: DriftPolicy,
    *,
    month: date,
    release: str,
    importance: ImportanceShift | None = None,
    concept: ConceptDrift | None = None,
) -> ReportRun:
    """Run Evidently over the columns that could be judged.

    Args:
        current: Rows of the month.
        reference: Comparable reference, see ``monitoring.scoring.Compared``.
        scores: Scores of all columns.
        policy: Methods and limits.
        month: Month under review; the run is stamped with its first day.
        release: Release under review.
        importance: Which columns drive the predictions, where that could be told.
        concept: How far predictions and outcomes have parted, where outcomes are known.

    Returns:
        The run. Evidently is not called for columns without values, on which it raises.
    """
    with evidently_at_work():
        from monitoring.report_metrics import found_metrics

        features, predictions = schema_columns(policy.use_case)
        found = list(found_metrics(importance, concept, by_name((*features, *predictions))))
        return _run(current, reference, scores, policy, month=month, release=release, found=found)


def _run(
    current: CurrentRows,
    reference: pd.DataFrame,
    scores: Sequence[ColumnScore],
    policy: DriftPolicy,
    *,
    month: date,
    release: str,
    found: Sequence[Any],
) -> ReportRun:
    from evidently import Dataset, Report
    from evidently.metrics import (
        ConstantColumnsCount,
        DatasetMissingValueCount,
        DriftedColumnsCount,
        MissingValueCount,
        RowCount,
        ValueDrift,
    )

    _register_method(policy)
    features, predictions = schema_columns(policy.use_case)
    columns = by_name((*features, *predictions))
    judged = [columns[score.column] for score in scores if score.status == "judged"]
    drawn = columns_to_draw(scores, policy)
    method = method_name(policy)
    metrics = [
        RowCount(),
        # Without a list of columns, so that the months of the dashboard form one series: it counts all judged columns.
        DriftedColumnsCount(
            drift_share=policy.drifted_share_pct.watch / 100,
            num_method=method,
            cat_method=method,
            num_threshold=policy.numeric.watch,
            cat_threshold=policy.categorical.watch,
        ),
        *found,
        *(ValueDrift(column=name, method=method, threshold=policy.method_for(columns[name]).watch) for name in drawn),
        DatasetMissingValueCount(),
        ConstantColumnsCount(),
        *(MissingValueCount(column=name) for name in drawn),
    ]
    frames = [_for_evidently(frame, judged, reference, policy) for frame in (current.frame, reference)]
    definition = data_definition(judged)
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    snapshot = Report(metrics, include_tests=True).run(
        *datasets,
        timestamp=datetime(month.year, month.month, 1, tzinfo=UTC).replace(tzinfo=None),
        metadata={"use_case": policy.use_case, "month": f"{month:%Y-%m}", "release": release, "policy": policy.version},
        tags=[policy.use_case, f"{month:%Y-%m}", release],
        name=f"{USE_CASE_TITLES[policy.use_case][0]} {month:%Y-%m} {release}",
    )
    return ReportRun(
        snapshot=snapshot,
        scores=drift_scores(snapshot, method),
        evidently_psi={name: _evidently_psi(frames[1][name], frames[0][name], columns[name]) for name in drawn},
    )


def drift_scores(snapshot: Any, method: str) -> dict[str, float]:
    """Return the drift score of each column, found by metric type, method and column."""
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"] == VALUE_DRIFT and metric["config"]["method"] == method
    }


def drifted_columns_count(snapshot: Any) -> int:
    """Return how many columns Evidently counts as drifted."""
    counts = [m["value"]["count"] for m in snapshot.dict()["metrics"] if m["config"]["type"] == DRIFTED_COLUMNS]
    return int(counts[0])


def save_page(snapshot: Any, path: Path) -> None:
    """Write Evidently's self-contained page, headed by model, month and release, so that no reader sees a part of it.

    Evidently's page has neither title nor heading, and nothing to set them with: both are put into its HTML.
    """
    with evidently_at_work():
        page = snapshot.get_html_str(as_iframe=False)
        metadata = snapshot.to_snapshot_model().metadata
    title, heading = _headings(metadata)
    page = page.replace("<head>", f"<head>\n<title>{title}</title>", 1).replace("<body>", f"<body>\n{heading}", 1)
    write_atomically(path, page.encode())


def _headings(metadata: Mapping[str, str]) -> tuple[str, str]:
    """Return the title of an Evidently page and the HTML of its heading."""
    english, chinese = USE_CASE_TITLES[metadata["use_case"]]
    month, release, policy = (html.escape(metadata[name]) for name in ("month", "release", "policy"))
    heading = (
        '<header style="font: 16px/1.5 system-ui, sans-serif; padding: 18px 28px 0">'
        f'<h1 style="font-size: 24px; margin: 0">{english} <span lang="zh">{chinese}</span> · {month}</h1>'
        f'<p style="margin: 4px 0 0">Customers of {month} against the reference of release {release}, by the policy of '
        f"{policy}.<br>"
        f'<span lang="zh">{month} 的客户与发布版本 {release} 的参考样本相比较，规则版本 {policy}。</span></p>'
        "</header>"
    )
    return f"{english} {chinese} {month} · {release} · Kilowise", heading


def _register_method(policy: DriftPolicy) -> None:
    """Make the policy's PSI available to Evidently; it receives columns without missing and infinite values."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    bins, rare_share_pct = policy.numeric.bins, policy.categorical.rare_share_pct

    def compare(
        reference: "pd.Series[Any]", current: "pd.Series[Any]", column_type: ColumnType, threshold: float
    ) -> tuple[float, bool]:
        kind: ColumnKind = "numeric" if column_type == ColumnType.Numerical else "categorical"
        score = psi(reference, current, kind, bins=bins, rare_share_pct=rare_share_pct)
        fixed = reference_bins(reference, kind, bins=bins, rare_share_pct=rare_share_pct)
        return score, score >= max(threshold, chance_level(fixed.count, len(reference), len(current)))

    register_stattest(
        StatTest(
            name=method_name(policy),
            display_name=f"PSI over {bins} bins fixed by the reference",
            allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
            default_threshold=policy.numeric.watch,
        ),
        compare,
    )


def _evidently_psi(reference: "pd.Series[Any]", current: "pd.Series[Any]", column: Column) -> float:
    from evidently.legacy.calculations.stattests import psi_stat_test
    from evidently.legacy.core import ColumnType

    column_type = ColumnType.Numerical if column.kind == "numeric" else ColumnType.Categorical
    return float(psi_stat_test(reference.dropna(), current.dropna(), column_type, None).drift_score)


def _for_evidently(
    frame: pd.DataFrame, columns: Sequence[Column], reference: pd.DataFrame, policy: DriftPolicy
) -> pd.DataFrame:
    """Return the columns in a form that Evidently draws well: no infinities, no long tail of categories."""
    prepared: dict[str, Any] = {}
    for column in columns:
        values = frame[column.name]
        if column.kind == "numeric":
            prepared[column.name] = values.replace([np.inf, -np.inf], np.nan)
        else:
            bins = reference_bins(
                usable_values(reference[column.name], column.kind),
                column.kind,
                bins=policy.numeric.bins,
                rare_share_pct=policy.categorical.rare_share_pct,
            )
            prepared[column.name] = values.where(~values.isin(bins.rare), RARE)
    return pd.DataFrame(prepared)
