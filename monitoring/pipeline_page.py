"""The page of pipeline health: what a person should look at first, then every source, month, check and run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from ml.wording import Bilingual
from monitoring.pipeline_health import (
    DeliveredRows,
    FailedCheck,
    PipelineHealth,
    PipelineHealthError,
    PipelineRun,
    RunCost,
    SourceFreshness,
    StepTime,
    UnreadFile,
    read_pipeline_health,
)

PIPELINE_PAGE = "pipeline_health.html"
_SHOWN_MONTHS = 13
_REVIEWS = "monitoring/"

ENTITY_TITLES: Mapping[str, Bilingual] = {
    "customers": Bilingual(en="Customers", zh="客户档案"),
    "meters": Bilingual(en="Meters", zh="电表档案"),
    "meter_readings": Bilingual(en="Meter readings", zh="电表读数"),
    "meter_registers": Bilingual(en="Meter registers", zh="电表示数"),
    "tariffs": Bilingual(en="Tariffs", zh="电价"),
    "tariff_enrolments": Bilingual(en="Tariff enrolments", zh="电价执行记录"),
    "bills": Bilingual(en="Bills", zh="电费账单"),
    "payments": Bilingual(en="Payments", zh="缴费记录"),
    "service_contacts": Bilingual(en="Service contacts", zh="客服工单"),
    "programme_enrolments": Bilingual(en="Programme enrolments", zh="业务订购"),
    "marketing_consents": Bilingual(en="Marketing consents", zh="营销授权"),
    "inspections": Bilingual(en="Inspections", zh="用电检查"),
    "weather": Bilingual(en="Weather", zh="气象"),
}

REASON_TITLES: Mapping[str, Bilingual] = {
    "malformed_row": Bilingual(en="Malformed row", zh="行格式错误"),
    "wrong_type": Bilingual(en="Wrong type", zh="类型错误"),
    "missing_value": Bilingual(en="Missing value", zh="缺值"),
    "not_allowed": Bilingual(en="Code not allowed", zh="代码不在允许范围"),
    "impossible_value": Bilingual(en="Impossible value", zh="不可能的数值"),
    "wrong_unit": Bilingual(en="Wrong unit", zh="单位错误"),
    "duplicate_key": Bilingual(en="Same key, other content", zh="主键重复且内容不同"),
    "orphan": Bilingual(en="Belongs to nothing known", zh="找不到所属记录"),
    "two_customers": Bilingual(en="Belongs to two customers", zh="同属两个客户"),
    "outside_meter_life": Bilingual(en="Outside the meter's life", zh="不在电表在装期内"),
    "clock_change": Bilingual(en="Clock change", zh="时钟变更"),
    "register_roll_over": Bilingual(en="Register roll-over", zh="示数翻转"),
    "register_opening": Bilingual(en="First register value", zh="首个示数"),
    "register_gap": Bilingual(en="Gap between register values", zh="示数间断"),
    "past_retention": Bilingual(en="Month no longer kept", zh="超出保留期的月份"),
    "erased_customer": Bilingual(en="Erased customer", zh="已删除客户"),
}


@dataclass(frozen=True)
class SourceRow:
    """A source with its state on the day of the collection."""

    title: Bilingual
    source: SourceFreshness
    is_late: bool


@dataclass(frozen=True)
class MonthCell:
    """Rows of one source in one month.

    Attributes:
        rows: Rows that came in; None if nothing did.
        quarantined: Rows refused.
        quarantined_pct: Their share.
        shade_pct: Share of the source's largest month, for the shade of the cell.
    """

    rows: int | None
    quarantined: int = 0
    quarantined_pct: float = 0.0
    shade_pct: float = 0.0


@dataclass(frozen=True)
class EntityMonths:
    """One source over the months."""

    title: Bilingual
    cells: tuple[MonthCell, ...]


@dataclass(frozen=True)
class RefusedRows:
    """Rows of one month that were refused for one reason."""

    month: date
    title: Bilingual
    reason: Bilingual
    rows: int
    share_pct: float


@dataclass(frozen=True)
class QuarantineBar:
    """Refused rows of a month over all sources, with the height of its bar in percent of the tallest."""

    month: date
    rows: int
    height_pct: float


@dataclass(frozen=True)
class JobCost:
    """What the latest runs of a job used.

    Attributes:
        job: Name of the job.
        runs_count: Runs that told what they used.
        cpu_seconds: Processor time, the middle of these runs.
        peak_memory_bytes: Memory of the largest step of all of them.
        read_bytes: Bytes read from the disk, the middle of these runs.
        written_bytes: Bytes written to it, the middle of these runs.
    """

    job: str
    runs_count: int
    cpu_seconds: float
    peak_memory_bytes: int
    read_bytes: float
    written_bytes: float


@dataclass(frozen=True)
class PipelinePage:
    """What the page shows.

    Attributes:
        health: What was collected.
        sources: Sources, those that are late first.
        months: The latest months with deliveries, oldest first.
        by_entity: Rows of each source in these months.
        quarantine: Refused rows by month.
        refused: Refused rows of these months by source and reason, the latest month first.
        job_costs: What the shown runs of each job used, the dearest job first.
    """

    health: PipelineHealth
    sources: tuple[SourceRow, ...]
    months: tuple[date, ...]
    by_entity: tuple[EntityMonths, ...]
    quarantine: tuple[QuarantineBar, ...]
    refused: tuple[RefusedRows, ...]
    job_costs: tuple[JobCost, ...] = ()

    @property
    def late(self) -> tuple[SourceRow, ...]:
        """Sources that are late."""
        return tuple(row for row in self.sources if row.is_late)

    @property
    def errors(self) -> tuple[FailedCheck, ...]:
        """Checks that failed as an error."""
        return tuple(check for check in self.health.failed_checks if check.severity == "ERROR")

    @property
    def unread_files(self) -> tuple[UnreadFile, ...]:
        """Files that could not be read."""
        return self.health.unread_files

    @property
    def runs(self) -> tuple[PipelineRun, ...]:
        """The latest runs, newest first."""
        return self.health.runs

    @property
    def slowest_steps(self) -> tuple[StepTime, ...]:
        """The slowest steps of the latest run."""
        return self.health.slowest_steps

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look: a late source, a file that could not be read, or a failed check.

        The simulated supplier delivers a fixed span of months; that nothing comes after it asks for nobody. A verdict
        on a model is a check too, but the model's own card tells it.
        """
        is_waiting = self.late and not self.health.is_simulated
        is_failing = any(not check.asset.startswith(_REVIEWS) for check in self.health.failed_checks)
        return bool(is_waiting or self.unread_files or is_failing)


def read_pipeline_page(reports_dir: Path) -> PipelinePage | None:
    """Return what the page shows; None before the health was collected, or if that was done by an older version."""
    try:
        health = read_pipeline_health(reports_dir)
    except PipelineHealthError:
        # It is collected anew by the next run; the pages of the models must not wait for it.
        return None
    return None if health is None else pipeline_page(health)


def pipeline_page(health: PipelineHealth) -> PipelinePage:
    """Return what the page shows of collected figures."""
    months = sorted({rows.month for rows in health.deliveries})[-_SHOWN_MONTHS:]
    shown = [rows for rows in health.deliveries if rows.month in months]
    sources = [
        SourceRow(entity_title(source.entity), source, source.state(health.collected_at) == "late")
        for source in health.sources
    ]
    return PipelinePage(
        health=health,
        sources=tuple(sorted(sources, key=lambda row: (not row.is_late, row.title.en))),
        months=tuple(months),
        by_entity=tuple(_by_entity(shown, months)),
        quarantine=tuple(_quarantine(shown, months)),
        refused=tuple(_refused(shown)),
        job_costs=tuple(_job_costs(health.runs)),
    )


def _job_costs(runs: Sequence[PipelineRun]) -> list[JobCost]:
    costs: dict[str, list[RunCost]] = {}
    for run in runs:
        if run.cost is not None:
            costs.setdefault(run.job, []).append(run.cost)
    by_job = [
        JobCost(
            job=job,
            runs_count=len(of_job),
            cpu_seconds=median(cost.cpu_seconds for cost in of_job),
            peak_memory_bytes=max(cost.peak_memory_bytes for cost in of_job),
            read_bytes=median(cost.read_bytes for cost in of_job),
            written_bytes=median(cost.written_bytes for cost in of_job),
        )
        for job, of_job in costs.items()
    ]
    return sorted(by_job, key=lambda cost: -cost.cpu_seconds)


def entity_title(entity: str) -> Bilingual:
    """Return the title of an entity of the landing contract."""
    return ENTITY_TITLES.get(entity) or Bilingual(en=entity.replace("_", " "), zh=entity.replace("_", " "))


def reason_title(reason: str) -> Bilingual:
    """Return a reason of the quarantine in words."""
    return REASON_TITLES.get(reason) or Bilingual(en=reason.replace("_", " "), zh=reason.replace("_", " "))


def _by_entity(deliveries: Sequence[DeliveredRows], months: Sequence[date]) -> list[EntityMonths]:
    found = {(rows.entity, rows.month): rows for rows in deliveries}
    tables = []
    for entity in sorted({rows.entity for rows in deliveries}, key=lambda name: entity_title(name).en):
        largest = max(rows.rows_in for rows in deliveries if rows.entity == entity) or 1
        cells = [_cell(found.get((entity, month)), largest) for month in months]
        tables.append(EntityMonths(entity_title(entity), tuple(cells)))
    return tables


def _cell(rows: DeliveredRows | None, largest: int) -> MonthCell:
    if rows is None:
        return MonthCell(None)
    share = 100 * rows.rows_quarantined / rows.rows_in if rows.rows_in else 0.0
    return MonthCell(rows.rows_in, rows.rows_quarantined, share, 100 * rows.rows_in / largest)


def _quarantine(deliveries: Sequence[DeliveredRows], months: Sequence[date]) -> list[QuarantineBar]:
    refused = {month: sum(rows.rows_quarantined for rows in deliveries if rows.month == month) for month in months}
    tallest = max(refused.values(), default=0) or 1
    return [QuarantineBar(month, rows, 100 * rows / tallest) for month, rows in refused.items()]


def _refused(deliveries: Sequence[DeliveredRows]) -> list[RefusedRows]:
    """Return the refused rows of each month by source and reason: the latest month first, then the most rows."""
    found = [
        RefusedRows(rows.month, entity_title(rows.entity), reason_title(reason), count, 100 * count / rows.rows_in)
        for rows in deliveries
        for reason, count in rows.quarantined_by_reason.items()
        if rows.rows_in
    ]
    return sorted(found, key=lambda one: (-one.month.toordinal(), -one.rows))
