"""Looks back from a month: what became of earlier predictions, and how well this month's will probably do.

Fills ``reports/<use case>/outcomes.json`` and the part of the verdict that follows the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ml.splits import add_months
from monitoring.outcomes import (
    FILE_NAME,
    EstimateRecord,
    Outcomes,
    PerformanceEstimate,
    SegmentStability,
    TariffCohort,
    VintagePoint,
    VintageResult,
    read_outcomes,
)
from monitoring.policy import DriftPolicy, VintageRule
from monitoring.verdicts import exclusive, write_atomically

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")


@dataclass(frozen=True)
class KnownOutcomes:
    """What the platform knows of the world's answers, as frames; each where the use case has it.

    Attributes:
        labels: Rows of ``marts.customer_credit_outcomes``.
        vintages: Rows of ``marts.credit_vintages``.
        advised_bills: Bills of customers who were advised to change, see ``tariff_outcomes.ADVISED_BILL_COLUMNS``.
    """

    labels: "pd.DataFrame | None" = None
    vintages: "pd.DataFrame | None" = None
    advised_bills: "pd.DataFrame | None" = None


@dataclass(frozen=True)
class LateLabels:
    """What a month's verdict says of outcomes; the names are those of ``Verdict``."""

    estimate: PerformanceEstimate | None = None
    estimate_record: EstimateRecord | None = None
    vintage: VintageResult | None = None
    tariff_outcomes: tuple[TariffCohort, ...] = ()
    segment_stability: SegmentStability | None = None

    def for_verdict(self) -> dict[str, Any]:
        """Return the fields by name, as they are."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def look_back(
    policy: DriftPolicy,
    month: date,
    known: KnownOutcomes,
    *,
    predictions_dir: Path,
    bundle_dir: Path,
    release: str,
    reports_dir: Path,
    seen_until: date | None,
) -> LateLabels:
    """Bring the record of outcomes up to a month, and return what its verdict says of them.

    Args:
        policy: Rules of the use case; what they leave out is not looked at.
        month: Month under review.
        known: What is known today. What became known after the month fills the record, and judges nothing.
        predictions_dir: Folder of the use case's batch predictions.
        bundle_dir: Folder of the released bundle.
        release: Name of the release.
        reports_dir: Folder of all reports.
        seen_until: Last month whose outcomes the model learned from.

    Raises:
        OutcomesError: If the record of the use case is there and not readable.
        SchemaMismatchError: If a frame lacks a column.
    """
    with exclusive(reports_dir / policy.use_case, "outcomes"):
        before = read_outcomes(reports_dir, policy.use_case)
        record = before or Outcomes(use_case=policy.use_case, updated_at=datetime.now(UTC))
        changes: dict[str, Any] = {}
        late: dict[str, Any] = {}
        if policy.estimates is not None and known.labels is not None:
            from monitoring.estimates import horizon_months, update_entries

            entries = update_entries(
                record.estimates,
                month,
                known.labels,
                predictions_dir,
                bundle_dir / "evaluation.json",
                release=release,
                column=policy.prediction.column,
                seen_until=seen_until,
                rule=policy.estimates,
                sample=policy.sample,
            )
            own = (entry.estimate for entry in entries if (entry.month, entry.release) == (month, release))
            late["estimate"] = next(own, None)
            late["estimate_record"] = EstimateRecord.of(entries, horizon_months(known.labels))
            changes["estimates"] = entries
        if policy.vintages is not None and known.vintages is not None:
            changes["vintages"], late["vintage"] = _vintages(record.vintages, policy.vintages, month, known.vintages)
        if policy.tariff_outcomes is not None and known.advised_bills is not None:
            from monitoring.tariff_outcomes import tariff_cohorts

            late["tariff_outcomes"] = tariff_cohorts(known.advised_bills, policy.tariff_outcomes)
            changes["tariff_cohorts"] = _replaced(
                record.tariff_cohorts, late["tariff_outcomes"], "month", "release", "months_since"
            )
        if policy.segment_stability is not None:
            from monitoring.segment_stability import segment_stability

            column = policy.prediction.column
            stability = segment_stability(month, predictions_dir, release=release, column=column)
            late["segment_stability"] = stability
            changes["segment_months"] = _replaced(
                record.segment_months, () if stability is None else (stability,), "month", "release"
            )
        updated = record.model_copy(update=changes)
        if before is None or updated != before:
            content = updated.model_copy(update={"updated_at": datetime.now(UTC)}).model_dump_json(indent=1)
            write_atomically(reports_dir / policy.use_case / FILE_NAME, content.encode())
    return LateLabels(**late)


def _vintages(
    stored: Sequence[VintagePoint], rule: VintageRule, month: date, vintages: "pd.DataFrame"
) -> tuple[tuple[VintagePoint, ...], VintageResult | None]:
    """Judge by what was known at the month's end; keep what is known by the latest month that was reviewed."""
    from monitoring.vintages import judge_vintage, vintage_points

    latest = max((add_months(point.month, point.months_since) for point in stored), default=month)
    kept = vintage_points(vintages, max(month, latest))
    return kept, judge_vintage(
        [point for point in kept if add_months(point.month, point.months_since) <= month], month, rule
    )


def _replaced(stored: Sequence[_T], new: Sequence[_T], *keys: str) -> tuple[_T, ...]:
    """Return what is stored with what is new in the place of the same keys, in their order."""

    def key(one: _T) -> tuple[Any, ...]:
        return tuple(getattr(one, name) for name in keys)

    told = {key(one): one for one in (*stored, *new)}
    return tuple(told[one] for one in sorted(told))
