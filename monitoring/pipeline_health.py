"""The health of the pipeline that feeds the models: deliveries, refused rows, failed checks and run times.

The numbers are collected where deliveries are landed and runs are kept, and handed over as one file,
``reports/pipeline_health.json``; here is its form, and what of it a person should look at.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.errors import KilowiseError
from monitoring.verdicts import write_atomically

HEALTH_NAME = "pipeline_health.json"

LATE_AFTER_GAPS = 1.5
"""A source is late when one and a half of its usual gaps have passed: a monthly delivery may slip by two weeks."""

Freshness = Literal["fresh", "late", "no_rhythm"]
RunStatus = Literal["success", "failure", "canceled", "running"]


class PipelineHealthError(KilowiseError):
    """The collected health of the pipeline cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceFreshness(_Record):
    """When a kind of data last arrived.

    Attributes:
        entity: Entity of the landing contract, such as ``bills``.
        deliveries_count: Deliveries that held rows of it.
        last_known_at: When the latest of them was known, in UTC; by the supplier's statement if it makes one.
        last_landed_at: When that one was landed, in UTC.
        usual_gap_days: Median of the days between two deliveries; None with fewer than two.
    """

    entity: str
    deliveries_count: int
    last_known_at: datetime
    last_landed_at: datetime
    usual_gap_days: float | None = None

    @property
    def expected_by(self) -> datetime | None:
        """When the next delivery counts as late; None while no rhythm is known."""
        if not self.usual_gap_days:
            return None
        return self.last_known_at + timedelta(days=LATE_AFTER_GAPS * self.usual_gap_days)

    def state(self, at: datetime) -> Freshness:
        """Return whether the source is late at a time."""
        if self.expected_by is None:
            return "no_rhythm"
        return "late" if at > self.expected_by else "fresh"


class DeliveredRows(_Record):
    """Rows of one entity in the deliveries of one month.

    Attributes:
        month: Month in which they became known.
        entity: Entity of the landing contract.
        rows_in: Rows read; what is loaded, what is an exact duplicate and what is quarantined add up to it.
        rows_loaded: Rows loaded, corrections included.
        rows_corrected: Loaded rows that replace an earlier version.
        rows_duplicate: Exact duplicates of rows loaded before.
        rows_quarantined: Rows refused with a reason.
        quarantined_by_reason: Refused rows by reason.
    """

    month: date
    entity: str
    rows_in: int
    rows_loaded: int
    rows_corrected: int
    rows_duplicate: int
    rows_quarantined: int
    quarantined_by_reason: dict[str, int]


class UnreadFile(_Record):
    """A delivered file that could not be read at all.

    Attributes:
        entity: Entity as which it was to be read.
        source_file: Its name in the inbox.
        landed_at: When it was tried last, in UTC.
    """

    entity: str
    source_file: str
    landed_at: datetime


class FailedCheck(_Record):
    """A check whose latest evaluation failed.

    Attributes:
        asset: Asset that it checks, as ``layer/name``.
        check: Name of the check.
        severity: ``WARN`` or ``ERROR``; an error stops what depends on the asset if the check blocks.
        description: What was found, in a sentence; empty if the check says nothing.
        evaluated_at: When it was evaluated last, in UTC.
        failing_since: First of the evaluations in a row that failed, in UTC.
    """

    asset: str
    check: str
    severity: Literal["WARN", "ERROR"]
    description: str
    evaluated_at: datetime
    failing_since: datetime


class RunCost(_Record):
    """What a run used.

    Attributes:
        cpu_seconds: Processor time of all its steps and of the programs that they started.
        peak_memory_bytes: Memory of its largest step.
        read_bytes: Bytes read from the disk.
        written_bytes: Bytes written to it.
    """

    cpu_seconds: float
    peak_memory_bytes: int
    read_bytes: int
    written_bytes: int


class PipelineRun(_Record):
    """One run of a job.

    Attributes:
        run_id: Its id in the Dagster UI.
        job: Name of the job.
        status: How it ended, or that it goes on.
        started_at: When it started, in UTC.
        seconds: How long it took; None while it goes on.
        cost: What it used; None where nothing was told, as by runs of an earlier version.
    """

    run_id: str
    job: str
    status: RunStatus
    started_at: datetime
    seconds: float | None = None
    cost: RunCost | None = None


class StepTime(_Record):
    """How long one step of a run took."""

    step: str
    seconds: float


class PipelineHealth(_Record):
    """Everything that the page of pipeline health shows.

    Attributes:
        collected_at: When it was collected, in UTC.
        is_simulated: Whether the data comes from the embedded supplier, which delivers nothing more by itself.
        sources: One entry per entity that was ever delivered.
        deliveries: Rows by month and entity, oldest month first.
        unread_files: Files that could not be read in the latest delivery that named them.
        checks_count: Checks that were evaluated.
        failed_checks: Those whose latest evaluation failed, errors first.
        runs: The latest runs, newest first.
        slowest_steps: The steps of the latest run that took longest, slowest first.
    """

    collected_at: datetime
    is_simulated: bool = False
    sources: tuple[SourceFreshness, ...] = ()
    deliveries: tuple[DeliveredRows, ...] = ()
    unread_files: tuple[UnreadFile, ...] = ()
    checks_count: int = 0
    failed_checks: tuple[FailedCheck, ...] = ()
    runs: tuple[PipelineRun, ...] = ()
    slowest_steps: tuple[StepTime, ...] = ()


def write_pipeline_health(health: PipelineHealth, reports_dir: Path) -> Path:
    """Write the health of the pipeline in place of an earlier one."""
    path = reports_dir / HEALTH_NAME
    write_atomically(path, health.model_dump_json(indent=1).encode())
    return path


def read_pipeline_health(reports_dir: Path) -> PipelineHealth | None:
    """Return the health of the pipeline as it was collected last; None before the first time.

    Raises:
        PipelineHealthError: If the file is damaged or of another form.
    """
    path = reports_dir / HEALTH_NAME
    try:
        return PipelineHealth.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise PipelineHealthError(
            f"{path}: not readable; materialise monitoring/pipeline_health again: {error}"
        ) from error
