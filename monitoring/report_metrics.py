"""Metrics of Evidently's page and workspace for what Evidently itself has no metric for.

Which columns drive the predictions, and how far predictions and outcomes have parted by group, are found by
``monitoring.importance`` and ``monitoring.residuals``: the first needs the model, the second outcomes of customers who
were scored months ago, and Evidently gets neither. The metrics here carry what was found, so that it stands on the same
page and in the same monthly series as the rest. Import this module only within ``evidently_at_work``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evidently.core.datasets import Dataset
from evidently.core.metric_types import Metric, SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context
from evidently.legacy.model.widget import BaseWidgetInfo
from evidently.legacy.renderers.html_widgets import CounterData, counter, table_data

from ml.columns import Column
from monitoring.sections import ConceptDrift, ImportanceShift

IMPORTANCE_METRIC = "PredictionDriversMoved"
CONCEPT_METRIC = "ObservedMinusPredicted"
_ROWS = 12


class PredictionDriversMoved(SingleValueMetric):
    """Share of the predictions' differences that has moved to other columns since the release.

    Attributes:
        moved_share: That share, 0 to 1.
        columns: Column, share now, share at release, place now, place at release; in words, the most important first.
    """

    class Config:
        # A panel finds a metric only under this prefix.
        type_alias = f"evidently:metric_v2:{IMPORTANCE_METRIC}"

    moved_share: float
    columns: list[list[str]]


class ObservedMinusPredicted(SingleValueMetric):
    """Observed minus predicted rate of all customers whose outcomes are known by the month, in percentage points.

    Attributes:
        gap_points: That difference.
        groups: Group, outcomes, predicted, observed, difference with its interval, difference at release; in words.
    """

    class Config:
        type_alias = f"evidently:metric_v2:{CONCEPT_METRIC}"

    gap_points: float
    groups: list[list[str]]


class _PredictionDriversMovedCalculation(SingleValueCalculation[PredictionDriversMoved]):
    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> Any:  # noqa: ARG002
        heads = [
            "Column 字段",
            "Share now 现在份额",
            "Share at release 发布时份额",
            "Place now (at release) 名次（发布时）",
        ]
        share = f"{100 * self.metric.moved_share:.1f} %"
        return _told(self.result(self.metric.moved_share), self.display_name(), share, heads, self.metric.columns)

    def display_name(self) -> str:
        return "What drives the predictions: share moved to other columns 驱动预测的字段：转移到其他字段的份额"


class _ObservedMinusPredictedCalculation(SingleValueCalculation[ObservedMinusPredicted]):
    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset | None) -> Any:  # noqa: ARG002
        heads = [
            "Group 分组",
            "Outcomes 结果数",
            "Predicted 预测",
            "Observed 实际",
            "Difference 差值",
            "At release 发布时",
        ]
        gap = f"{self.metric.gap_points:+.1f}"
        return _told(self.result(self.metric.gap_points), self.display_name(), gap, heads, self.metric.groups)

    def display_name(self) -> str:
        return "Predicted and observed by group: difference of all, points 各组预测与实际：全部客户差值，百分点"


def found_metrics(
    importance: ImportanceShift | None, concept: ConceptDrift | None, columns: Mapping[str, Column]
) -> Iterator[Metric]:
    """Yield the metrics of what was found.

    Args:
        importance: Which columns drive the predictions; None if that could not be told.
        concept: How far predictions and outcomes have parted; None until outcomes are known.
        columns: Columns by name, for what they mean.
    """
    if importance is not None:
        rows = [
            [
                f"{columns[one.column].description} ({one.column})" if one.column in columns else one.column,
                f"{100 * one.share_current:.1f} %",
                f"{100 * one.share_reference:.1f} %",
                f"{one.rank_current} ({one.rank_reference})",
            ]
            for one in importance.columns[:_ROWS]
        ]
        yield PredictionDriversMoved(moved_share=importance.moved_share, columns=rows)
    if concept is not None:
        gaps = {group.dimension: group.gap for group in concept.groups}
        groups = [
            [
                "All customers 全部客户" if one.dimension == "all" else f"{one.dimension}: {one.group}",
                f"{one.rows:,}",
                f"{100 * one.predicted:.1f} %",
                f"{100 * one.observed:.1f} %",
                f"{100 * one.gap:+.1f} ({100 * one.gap_lower:+.1f} – {100 * one.gap_upper:+.1f})",
                "–" if one.gap_at_release is None else f"{100 * one.gap_at_release:+.1f}",
            ]
            for one in concept.groups[:_ROWS]
        ]
        yield ObservedMinusPredicted(gap_points=100 * gaps.get("all", 0.0), groups=groups)


def _told(
    result: SingleValue, title: str, figure: str, heads: Sequence[str], rows: Sequence[Sequence[str]]
) -> SingleValue:
    widgets: list[BaseWidgetInfo] = [
        counter(title=title, counters=[CounterData(label="", value=figure)]),
        table_data(title="", column_names=heads, data=rows),
    ]
    result.widget = widgets
    return result
