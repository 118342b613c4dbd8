"""What becomes of the segments of the release before: which continue, split, merge, vanish or are new.

Both releases assign the same customers from the same rows, so whatever differs comes from the new division and not
from customers who changed. A segment continues where its customers are: identifiers are handed on by the Hungarian
method (Kuhn 1955, doi:10.1002/nav.3800020109) on the overlap of the two segments' customers.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy.optimize import linear_sum_assignment

from ml.evaluation import EvaluationTable, Metric
from ml.wording import Bilingual

OVERLAP_MIN = 0.3
"""Customers in common, as a share of those in either segment, below which a new segment continues no old one."""

FLOW_SHARE_MIN = 0.2
"""Share of a segment's customers from which a flow makes it a split (of an old one) or a merge (into a new one)."""


class Flow(BaseModel):
    """Customers who were in one segment by the release before and are in one segment by the new one.

    Attributes:
        from_segment_id: Segment by the release before.
        to_segment_id: Segment by the new release.
        customers_count: Customers in both.
        share_of_from: Share of the old segment's customers.
        share_of_to: Share of the new segment's customers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_segment_id: str
    to_segment_id: str
    customers_count: int
    share_of_from: float
    share_of_to: float


class Succession(BaseModel):
    """How the segments of a release follow from those of the release before.

    Attributes:
        flows: Every pair of segments with customers in common, from the old segment's largest share on.
        continued: Identifiers in both releases.
        renamed: Name in the release before, by identifiers that continue under another name.
        new: Identifiers that the release before did not have.
        vanished: Name in the release before, by identifiers that nothing continues.
        split: Old segments whose customers went to several new ones, each with those new ones.
        merged: New segments whose customers came from several old ones, each with those old ones.
        kept_share: Share of the customers who keep their identifier.
        earlier_names_zh: Chinese name in the release before, by identifiers that were renamed or vanished.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flows: tuple[Flow, ...]
    continued: tuple[str, ...]
    renamed: dict[str, str]
    new: tuple[str, ...]
    vanished: dict[str, str]
    split: dict[str, tuple[str, ...]]
    merged: dict[str, tuple[str, ...]]
    kept_share: float
    earlier_names_zh: dict[str, str] = {}

    @property
    def sentences(self) -> tuple[Bilingual, ...]:
        """What a reader must know, one sentence per kind of change; empty when every segment simply continues."""
        texts = [
            Bilingual(en=f"{old} was split into {_listed(parts)}.", zh=f"{old} 拆分为 {_listed_zh(parts)}。")
            for old, parts in self.split.items()
        ]
        texts += [
            Bilingual(en=f"{new} was merged from {_listed(parts)}.", zh=f"{new} 由 {_listed_zh(parts)} 合并而成。")
            for new, parts in self.merged.items()
        ]
        if self.new:
            texts.append(Bilingual(en=f"New: {', '.join(self.new)}.", zh=f"新增：{'、'.join(self.new)}。"))
        if self.vanished:
            gone = ", ".join(f"{key} ({name})" for key, name in self.vanished.items())
            gone_zh = "、".join(f"{key}（{self._earlier_zh(key, name)}）" for key, name in self.vanished.items())
            texts.append(Bilingual(en=f"No longer there: {gone}.", zh=f"不再存在：{gone_zh}。"))
        texts += [
            Bilingual(en=f"{key} was called {name}.", zh=f"{key} 原名{self._earlier_zh(key, name)}。")
            for key, name in self.renamed.items()
        ]
        return tuple(texts)

    def _earlier_zh(self, segment_id: str, name: str) -> str:
        return self.earlier_names_zh.get(segment_id) or name


def number_of(segment_id: str, group: str) -> int | None:
    """Return the number of a segment with a shape in a group; ``None`` for any other identifier."""
    found = re.fullmatch(rf"{group}([1-9]\d*)", segment_id)
    return int(found[1]) if found else None


def inherited_ids(previous_ids: Sequence[str], current_rows: Sequence[int], rows_count: int) -> dict[int, str]:
    """Return which new segments continue which old ones.

    Args:
        previous_ids: Segment of each customer by the release before.
        current_rows: Number of the new centre of each customer.
        rows_count: How many new centres there are.

    Returns:
        Identifier by number of the new centre; a centre that continues nothing is left out.
    """
    counts = pd.crosstab(pd.Series(current_rows, dtype=int), pd.Series(previous_ids, dtype=object))
    counts = counts.reindex(range(rows_count), fill_value=0)
    if counts.empty:
        return {}
    together = counts.to_numpy(dtype=np.float64)
    either = together.sum(axis=1, keepdims=True) + together.sum(axis=0, keepdims=True) - together
    overlap = np.divide(together, either, out=np.zeros_like(together), where=either > 0)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return {
        int(row): str(counts.columns[column])
        for row, column in zip(rows, columns, strict=True)
        if overlap[row, column] >= OVERLAP_MIN
    }


def trace(
    previous_ids: Sequence[str],
    current_ids: Sequence[str],
    previous_names: Mapping[str, Bilingual],
    current_names: Mapping[str, Bilingual],
) -> Succession:
    """Compare what two releases say of the same customers.

    Args:
        previous_ids: Segment of each customer by the release before.
        current_ids: Segment of each customer by the new release.
        previous_names: Name of every segment with a shape in the release before, by identifier.
        current_names: Name of every segment with a shape in the new release, by identifier.
    """
    before = pd.Series(previous_ids, dtype=object, name="before")
    after = pd.Series(current_ids, dtype=object, name="after")
    counts = pd.crosstab(before, after)
    flows = [
        Flow(
            from_segment_id=str(old),
            to_segment_id=str(new),
            customers_count=int(count),
            share_of_from=round(float(count / counts.loc[old].sum()), 6),
            share_of_to=round(float(count / counts[new].sum()), 6),
        )
        for old in counts.index
        for new, count in counts.loc[old].sort_values(ascending=False, kind="stable").items()
        if count > 0
    ]
    main_flows = {
        old: tuple(
            flow.to_segment_id
            for flow in flows
            if flow.from_segment_id == old and flow.to_segment_id in current_names and _splits(flow)
        )
        for old in previous_names
    }
    sources = {
        new: tuple(
            flow.from_segment_id
            for flow in flows
            if flow.to_segment_id == new and flow.from_segment_id in previous_names and _merges(flow)
        )
        for new in current_names
    }
    continued = tuple(key for key in current_names if key in previous_names)
    renamed = [key for key in continued if previous_names[key] != current_names[key]]
    vanished = [key for key in previous_names if key not in current_names]
    return Succession(
        flows=tuple(flows),
        continued=continued,
        renamed={key: previous_names[key].en for key in renamed},
        new=tuple(key for key in current_names if key not in previous_names),
        vanished={key: previous_names[key].en for key in vanished},
        split={old: parts for old, parts in main_flows.items() if len(parts) > 1},
        merged={new: parts for new, parts in sources.items() if len(parts) > 1},
        kept_share=round(float((before == after).mean()), 6) if len(before) else 1.0,
        earlier_names_zh={key: previous_names[key].zh for key in (*renamed, *vanished) if previous_names[key].zh},
    )


def _splits(flow: Flow) -> bool:
    return flow.share_of_from >= FLOW_SHARE_MIN


def _merges(flow: Flow) -> bool:
    return flow.share_of_to >= FLOW_SHARE_MIN


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _listed_zh(parts: Sequence[str]) -> str:
    return f"{'、'.join(parts[:-1])} 与 {parts[-1]}"


def succession_table(
    succession: Succession, previous_names: Mapping[str, Bilingual], current_names: Mapping[str, Bilingual]
) -> EvaluationTable:
    """Return where the customers of every old segment went, as a table of the model card."""
    nameless = Bilingual(en="")
    return EvaluationTable(
        name="succession",
        title="Since the release before: which customers went where",
        title_zh="与上一版本相比：客户去向",
        columns=(
            "before",
            "name before",
            "原名称",
            "now",
            "name now",
            "现名称",
            "customers",
            "share of before",
            "share of now",
            "reading",
        ),
        rows=tuple(
            (
                flow.from_segment_id,
                previous_names.get(flow.from_segment_id, nameless).en,
                previous_names.get(flow.from_segment_id, nameless).zh,
                flow.to_segment_id,
                current_names.get(flow.to_segment_id, nameless).en,
                current_names.get(flow.to_segment_id, nameless).zh,
                flow.customers_count,
                flow.share_of_from,
                flow.share_of_to,
                _reading(flow, succession),
            )
            for flow in succession.flows
        ),
        note=f"The same customers by the release before and by this one. Split: a flow of {FLOW_SHARE_MIN:.0%} of the "
        f"old segment beside another; merged: {FLOW_SHARE_MIN:.0%} of the new one beside another. "
        + " ".join(f"{sentence.en} {sentence.zh}" for sentence in succession.sentences),
    )


def succession_metrics(succession: Succession, customers_count: int) -> list[Metric]:
    """Return how much a reader of the segments must learn anew, as figures of the evaluation and the release."""
    counts = {
        "renamed_segments_count": len(succession.renamed),
        "new_segments_count": len(succession.new),
        "vanished_segments_count": len(succession.vanished),
        "split_segments_count": len(succession.split),
        "merged_segments_count": len(succession.merged),
    }
    kept = Metric(
        name="kept_identifier_share",
        value=succession.kept_share,
        rows=customers_count,
        note="same customers, same rows, by the release before and by this one",
    )
    return [kept, *(Metric(name=name, value=count, higher_is_better=False) for name, count in counts.items())]


def _reading(flow: Flow, succession: Succession) -> str:
    readings = []
    if flow.from_segment_id == flow.to_segment_id:
        readings.append("continues")
    if flow.to_segment_id in succession.split.get(flow.from_segment_id, ()):
        readings.append("split")
    if flow.from_segment_id in succession.merged.get(flow.to_segment_id, ()):
        readings.append("merged")
    return ", ".join(readings) or "moved"
