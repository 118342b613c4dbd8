"""Collects the health of the pipeline: what was delivered, which checks fail, how long the runs took.

No Dagster asset in here: the asset ``monitoring/pipeline_health`` calls it. What the figures mean stands with their
form, in ``monitoring.pipeline_health``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import orjson

from orchestration.ingestion.quarantine import Reason
from orchestration.run_costs import cost_of_run
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from monitoring.pipeline_health import (
        DeliveredRows,
        FailedCheck,
        PipelineHealth,
        PipelineRun,
        RunStatus,
        SourceFreshness,
        StepTime,
        UnreadFile,
    )

_SHOWN_RUNS = 20
_SHOWN_STEPS = 10
# A run evaluates some 140 checks; four runs back tell since when one fails, and reading them takes half a second.
_EVALUATIONS_READ = 600
_SECONDS_PER_DAY = 86_400
_STATUS_BY_DAGSTER: dict[dg.DagsterRunStatus, "RunStatus"] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}


def collect_pipeline_health(
    settings: PlatformSettings, instance: dg.DagsterInstance, collected_at: datetime
) -> "PipelineHealth":
    """Return the health of the pipeline as the landing and the run history tell it.

    Args:
        settings: Settings of the platform.
        instance: Dagster's instance, which keeps runs and evaluations of checks.
        collected_at: Time of the collection.
    """
    from monitoring.pipeline_health import PipelineHealth

    deliveries = _landed_deliveries(settings)
    checks_count, failed_checks = _checks(instance)
    runs = tuple(_runs(instance))
    return PipelineHealth(
        collected_at=collected_at,
        is_simulated=settings.simulate and settings.inbox is None,
        sources=_sources(deliveries),
        deliveries=tuple(_delivered_rows(deliveries)),
        unread_files=tuple(_unread_files(deliveries)),
        checks_count=checks_count,
        failed_checks=failed_checks,
        runs=runs,
        slowest_steps=_slowest_steps(instance, runs[0].run_id) if runs else (),
    )


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What the manifest of a landed delivery says."""

    delivery_id: str
    known_at: datetime
    landed_at: datetime
    files: list[dict[str, Any]]
    unreadable: list[dict[str, Any]]


def _landed_deliveries(settings: PlatformSettings) -> list[_Delivery]:
    """Return the deliveries in the order of their landing."""
    documents = [orjson.loads(path.read_bytes()) for path in settings.landing_dir.glob("deliveries/*/delivery.json")]
    deliveries = [
        _Delivery(
            document["delivery_id"],
            _utc(document["known_at"]),
            _utc(document["landed_at"]),
            document["files"],
            document.get("unreadable", []),
        )
        for document in documents
        # The contract's own folder holds the empty tables and was delivered by nobody.
        if "known_at" in document
    ]
    return sorted(deliveries, key=lambda delivery: (delivery.landed_at, delivery.delivery_id))


def _utc(text: str) -> datetime:
    """Return a time of a manifest, which is written in UTC without saying so."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def source_freshness(settings: PlatformSettings) -> "tuple[SourceFreshness, ...]":
    """Return when each source last arrived, as the landing tells it."""
    return _sources(_landed_deliveries(settings))


def _sources(deliveries: Iterable[_Delivery]) -> "tuple[SourceFreshness, ...]":
    from monitoring.pipeline_health import SourceFreshness

    by_entity: dict[str, dict[datetime, datetime]] = {}
    for delivery in deliveries:
        for file in delivery.files:
            # A second look at a file that was delivered before brings nothing new.
            if file["rows_in"] and not file.get("retried_delivery_id"):
                by_entity.setdefault(file["entity"], {})[delivery.known_at] = delivery.landed_at
    return tuple(
        SourceFreshness(
            entity=entity,
            deliveries_count=len(landed_at_by_known_at),
            last_known_at=max(landed_at_by_known_at),
            last_landed_at=landed_at_by_known_at[max(landed_at_by_known_at)],
            usual_gap_days=_usual_gap_days(sorted(landed_at_by_known_at)),
        )
        for entity, landed_at_by_known_at in sorted(by_entity.items())
    )


def _usual_gap_days(times: Sequence[datetime]) -> float | None:
    gaps = [(later - earlier).total_seconds() / _SECONDS_PER_DAY for earlier, later in pairwise(times)]
    return median(gaps) if gaps else None


@dataclass(slots=True)
class _Rows:
    """Sums of one entity and month while they are made."""

    rows_in: int = 0
    rows_loaded: int = 0
    rows_corrected: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    quarantined_by_reason: dict[str, int] = field(default_factory=dict)

    def add_reason(self, reason: str, rows: int) -> None:
        self.quarantined_by_reason[reason] = self.quarantined_by_reason.get(reason, 0) + rows


def _delivered_rows(deliveries: list[_Delivery]) -> "Iterator[DeliveredRows]":
    """Return the rows by month and entity, each row once.

    An orphan was counted as quarantined by the delivery that brought it. When a later reading takes it up, it moves
    within the month of that delivery, so that no row counts twice and a quarantine that resolved itself goes down.
    """
    from monitoring.pipeline_health import DeliveredRows

    month_by_delivery = {delivery.delivery_id: _month_of(delivery.known_at) for delivery in deliveries}
    sums: dict[tuple[date, str], _Rows] = {}
    for delivery in deliveries:
        for file in delivery.files:
            first_delivery = file.get("retried_delivery_id") or delivery.delivery_id
            month = month_by_delivery.get(first_delivery, month_by_delivery[delivery.delivery_id])
            rows = sums.setdefault((month, file["entity"]), _Rows())
            retaken = file["rows_in"] if file.get("retried_delivery_id") else 0
            rows.rows_in += file["rows_in"] - retaken
            rows.rows_loaded += file["rows_loaded"]
            rows.rows_corrected += file["rows_corrected"]
            rows.rows_duplicate += file["rows_duplicate"]
            rows.rows_quarantined += file["rows_quarantined"] - retaken
            for reason, count in file["quarantined_by_reason"].items():
                rows.add_reason(reason, count)
            if retaken:
                rows.add_reason(Reason.ORPHAN.value, -retaken)
    for (month, entity), rows in sorted(sums.items()):
        yield DeliveredRows(
            month=month,
            entity=entity,
            rows_in=rows.rows_in,
            rows_loaded=rows.rows_loaded,
            rows_corrected=rows.rows_corrected,
            rows_duplicate=rows.rows_duplicate,
            rows_quarantined=rows.rows_quarantined,
            quarantined_by_reason={reason: count for reason, count in rows.quarantined_by_reason.items() if count},
        )


def _month_of(at: datetime) -> date:
    return at.date().replace(day=1)


def _unread_files(deliveries: Iterable[_Delivery]) -> "Iterator[UnreadFile]":
    """Return the files that could not be read and were not read by a later delivery either."""
    from monitoring.pipeline_health import UnreadFile

    unread: dict[tuple[str, str], datetime] = {}
    for delivery in deliveries:
        for item in delivery.unreadable:
            unread[item["entity"], item["source_file"]] = delivery.landed_at
        for file in delivery.files:
            unread.pop((file["entity"], file["source_file"]), None)
    for (entity, source_file), landed_at in sorted(unread.items()):
        yield UnreadFile(entity=entity, source_file=source_file, landed_at=landed_at)


def _checks(instance: dg.DagsterInstance) -> "tuple[int, tuple[FailedCheck, ...]]":
    """Return how many checks were evaluated lately and those whose latest evaluation failed."""
    from monitoring.pipeline_health import FailedCheck

    records = instance.get_event_records(
        dg.EventRecordsFilter(event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION), limit=_EVALUATIONS_READ
    )
    passed: set[dg.AssetCheckKey] = set()
    failed: dict[dg.AssetCheckKey, FailedCheck] = {}
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        key, evaluated_at = evaluation.asset_check_key, datetime.fromtimestamp(record.timestamp, UTC)
        if key in passed:
            continue
        if evaluation.passed:
            # Newest first: an earlier failure of a check that passes now, or that fails since then, says no more.
            passed.add(key)
        elif key in failed:
            failed[key] = failed[key].model_copy(update={"failing_since": evaluated_at})
        else:
            severity: Literal["WARN", "ERROR"] = (
                "ERROR" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "WARN"
            )
            failed[key] = FailedCheck(
                asset=key.asset_key.to_user_string(),
                check=key.name,
                severity=severity,
                description=evaluation.description or "",
                evaluated_at=evaluated_at,
                failing_since=evaluated_at,
            )
    ordered = sorted(failed.values(), key=lambda check: (check.severity, check.asset, check.check))
    return len(passed | failed.keys()), tuple(ordered)


def _runs(instance: dg.DagsterInstance) -> "Iterator[PipelineRun]":
    from monitoring.pipeline_health import PipelineRun, RunCost

    for record in instance.get_run_records(limit=_SHOWN_RUNS):
        if record.start_time is None:
            continue
        yield PipelineRun(
            run_id=record.dagster_run.run_id,
            job=record.dagster_run.job_name,
            status=_STATUS_BY_DAGSTER.get(record.dagster_run.status, "running"),
            started_at=datetime.fromtimestamp(record.start_time, UTC),
            seconds=record.end_time - record.start_time if record.end_time else None,
            cost=RunCost(**asdict(cost)) if (cost := cost_of_run(instance, record.dagster_run.run_id)) else None,
        )


def _slowest_steps(instance: dg.DagsterInstance, run_id: str) -> "tuple[StepTime, ...]":
    from monitoring.pipeline_health import StepTime

    times = [
        StepTime(step=stats.step_key.replace("__", "/"), seconds=stats.end_time - stats.start_time)
        for stats in instance.get_run_step_stats(run_id)
        if stats.start_time and stats.end_time
    ]
    return tuple(sorted(times, key=lambda time: -time.seconds)[:_SHOWN_STEPS])
