"""Incidents: one runs from the first month of a model that is not stable to the month in which it is stable again.

A month of which nobody can tell is neither: it begins an incident only where the policy says that what lacks is one,
and it ends none.

What channels tell follows from incidents and never from single reviews, so that a model that stays in trouble for half
a year is one message and not one per run. The messages themselves are made in ``monitoring.alerts``.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ml.errors import KilowiseError
from monitoring.acknowledgements import Told, told_outcome
from monitoring.policy import load_policy
from monitoring.verdicts import (
    SEVERITY_BY_OUTCOME,
    Outcome,
    Reason,
    Verdict,
    exclusive,
    read_verdict,
    read_verdicts,
    write_atomically,
)

STATE_NAME = "incident_log.json"
_KEPT_REASONS = 5

MessageKind = Literal["opened", "escalated", "reopened", "closed"]


class IncidentError(KilowiseError):
    """The stored incidents cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IncidentMonth(_Record):
    """What a review of one month said, while the incident lasted.

    Attributes:
        month: The reviewed month.
        outcome: Outcome without the findings that somebody silenced; ``stable`` ends the incident. Where silenced
            findings alone speak against stable, it is the outcome with them.
        is_silenced: Whether that is so; such a month tells nobody anything, and ends nothing either.
        is_only_shown: Whether too little data is all that there is to say, and the policy does not call what lacks an
            incident; such a month is as quiet as a silenced one.
        release: Release that was reviewed.
        reviewed_at: When.
        owner: Who answers for the model.
        reasons: Findings that speak for the outcome, the most urgent first.
        report_path: Evidently report, relative to the reports folder.
    """

    month: date
    outcome: Outcome
    is_silenced: bool = False
    is_only_shown: bool = False
    release: str
    reviewed_at: datetime
    owner: str
    reasons: tuple[Reason, ...]
    report_path: str | None

    @property
    def is_quiet(self) -> bool:
        """Whether the month begins, tells and ends nothing, though it is not stable."""
        return self.is_silenced or self.is_only_shown


class Delivery(_Record):
    """What one channel has been told of an incident.

    Attributes:
        channel: Name of the channel, such as ``webhook`` or ``email:owner@example.org``; each recipient is a channel.
        told: Outcome that arrived last; None before anything arrived.
        told_at: When it arrived.
        end_told_month: Month whose return to stable was told last.
        messages_count: Messages that arrived.
        failed_count: Attempts since then that failed; 1 also where none was made because another had just failed.
        next_attempt_at: Before this moment it is not tried again.
        problem: Why the last attempt failed; empty if it did not.
    """

    channel: str
    told: Outcome | None = None
    told_at: datetime | None = None
    end_told_month: date | None = None
    messages_count: int = 0
    failed_count: int = 0
    next_attempt_at: datetime | None = None
    problem: str = ""


class Incident(_Record):
    """A run of months in which a model was not stable.

    Attributes:
        incident_id: Use case and month in which it began; no two incidents have the same.
        use_case: Use case of the model.
        opened_at: When it was first seen.
        worst_outcome: The most urgent outcome that it ever had, also where a later review took it back.
        course: Its months, oldest first, at least one; each as it was reviewed last, after its first review where that
            said something else, so that what began the incident stays.
        closed_at: When the model was first seen to be stable again; None while it lasts.
        deliveries: What each channel has been told.
    """

    incident_id: str
    use_case: str
    opened_at: datetime
    worst_outcome: Outcome
    course: tuple[IncidentMonth, ...] = Field(min_length=1)
    closed_at: datetime | None = None
    deliveries: tuple[Delivery, ...] = ()

    @property
    def now(self) -> IncidentMonth:
        """The latest month."""
        return self.course[-1]

    @property
    def is_open(self) -> bool:
        """Whether the model is still not stable."""
        return self.now.outcome != "stable"

    @property
    def opened_month(self) -> date:
        """The month with which it began."""
        return self.course[0].month

    def delivery(self, channel: str) -> Delivery:
        """Return what a channel has been told."""
        return next((known for known in self.deliveries if known.channel == channel), Delivery(channel=channel))


def due_message(incident: Incident, delivery: Delivery) -> MessageKind | None:
    """Return what a channel should be told now; None if it knows enough.

    What is worse than the channel knows is told at once. What eased is not told before it is over, and an end is told
    once per reviewed month, so that a month whose reviews disagree cannot ring all day. An incident that was over
    before a channel heard of it is told to that channel only if telling it had failed. Nothing is told while silenced
    findings alone speak against the model, or while nobody can tell how it stands.
    """
    if incident.now.is_quiet:
        return None
    if delivery.told is None:
        if incident.is_open:
            return "opened"
        return "closed" if delivery.failed_count else None
    if SEVERITY_BY_OUTCOME[incident.now.outcome] > SEVERITY_BY_OUTCOME[delivery.told]:
        return "reopened" if delivery.told == "stable" else "escalated"
    if not incident.is_open and delivery.told != "stable" and delivery.end_told_month != incident.now.month:
        return "closed"
    return None


def record_incident(verdict: Verdict, reports_dir: Path, *, now: datetime | None = None) -> None:
    """Open, continue or close the incident of a model by a verdict that is in the table of verdicts.

    A verdict about an earlier month than the latest reviewed one changes nothing: reviewing the past again is no news.
    The same verdict twice changes nothing either.

    Args:
        verdict: The verdict.
        reports_dir: Folder of reports, where the incidents are kept.
        now: Moment at which silences are looked at; None is the present.
    """
    now = now or datetime.now(UTC)
    if verdict.month < _latest_month(verdict, reports_dir):
        return
    month = _month_of(verdict, reports_dir, now)
    with exclusive(reports_dir, "incidents"):
        known = read_incidents(reports_dir)
        renewed = with_month(known, verdict.use_case, month, now)
        if renewed != known:
            _write(renewed, reports_dir)


def renew_incidents(reports_dir: Path, *, now: datetime | None = None) -> None:
    """Look at the latest verdict of each model again, since a silence may have begun or ended after its review."""
    rows = read_verdicts(reports_dir).sort("month", "reviewed_at").select("use_case", "month", "release").iter_rows()
    latest = {use_case: (month, release) for use_case, month, release in rows}
    for use_case, (month, release) in latest.items():
        record_incident(read_verdict(reports_dir, use_case, month, release), reports_dir, now=now)


def with_month(
    incidents: Sequence[Incident], use_case: str, month: IncidentMonth, now: datetime
) -> tuple[Incident, ...]:
    """Return the incidents after a month was reviewed.

    A month that is reviewed again takes its own place, behind its first review. Trouble in the month with which an
    incident ended opens that incident again; later trouble is a new one.
    """
    last = next((incident for incident in reversed(incidents) if incident.use_case == use_case), None)
    if last is not None and month.month < last.now.month:
        return tuple(incidents)
    if last is not None and (last.is_open or last.now.month == month.month):
        return tuple(_continued(last, month, now) if incident is last else incident for incident in incidents)
    if month.outcome == "stable" or month.is_quiet:
        return tuple(incidents)
    opened = Incident(
        incident_id=f"{use_case}-{month.month:%Y-%m}",
        use_case=use_case,
        opened_at=now,
        worst_outcome=month.outcome,
        course=(month,),
    )
    return (*incidents, opened)


def with_delivery(incidents: Sequence[Incident], incident_id: str, delivery: Delivery) -> tuple[Incident, ...]:
    """Return the incidents with what a channel has been told of one of them."""
    return tuple(
        incident.model_copy(
            update={
                "deliveries": (
                    *(known for known in incident.deliveries if known.channel != delivery.channel),
                    delivery,
                )
            }
        )
        if incident.incident_id == incident_id
        else incident
        for incident in incidents
    )


def record_delivery(incident_id: str, delivery: Delivery, reports_dir: Path) -> None:
    """Keep what a channel has been told of an incident, or that it could not be told."""
    with exclusive(reports_dir, "incidents"):
        _write(with_delivery(read_incidents(reports_dir), incident_id, delivery), reports_dir)


def read_incidents(reports_dir: Path) -> tuple[Incident, ...]:
    """Return all incidents, in the order in which they began.

    Raises:
        IncidentError: If they cannot be read.
    """
    path = reports_dir / STATE_NAME
    if not path.exists():
        return ()
    try:
        return _STATE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise IncidentError(
            f"{path}: not readable ({error.errors()[0]['msg']}); restore it from a backup, or remove it, after which "
            "models that are not stable are told once more"
        ) from error


_STATE: TypeAdapter[tuple[Incident, ...]] = TypeAdapter(tuple[Incident, ...])


def _write(incidents: Sequence[Incident], reports_dir: Path) -> None:
    write_atomically(reports_dir / STATE_NAME, _STATE.dump_json(tuple(incidents), indent=1))


def _continued(incident: Incident, month: IncidentMonth, now: datetime) -> Incident:
    earlier = [known for known in incident.course if known.month != month.month]
    first = [known for known in incident.course if known.month == month.month][:1]
    course = (*earlier, *(known for known in first if known.outcome != month.outcome), month)
    is_over = month.outcome == "stable"
    urgency = [incident.worst_outcome, *([] if month.is_quiet else [month.outcome])]
    return incident.model_copy(
        update={
            "course": course,
            "worst_outcome": max(urgency, key=SEVERITY_BY_OUTCOME.__getitem__),
            "closed_at": (incident.closed_at or now) if is_over else None,
        }
    )


def _month_of(verdict: Verdict, reports_dir: Path, now: datetime) -> IncidentMonth:
    told = told_outcome(verdict, reports_dir, now.date())
    is_silenced = told.outcome == "stable" != verdict.outcome
    loud = [reason for reason in verdict.reasons if reason.severity != "info"]
    counting = [reason for reason in loud if is_silenced or reason not in told.silenced]
    return IncidentMonth(
        month=verdict.month,
        outcome=verdict.outcome if is_silenced else told.outcome,
        is_silenced=is_silenced,
        is_only_shown=not is_silenced and _is_only_shown(verdict, told, now.date()),
        release=verdict.release,
        reviewed_at=verdict.reviewed_at,
        owner=verdict.owner,
        reasons=tuple(counting[:_KEPT_REASONS] or verdict.reasons[:1]),
        report_path=verdict.report_path,
    )


def _is_only_shown(verdict: Verdict, told: Told, today: date) -> bool:
    """Return whether a month is unknown for reasons that the policy of the day does not call an incident."""
    if told.outcome != "not_enough_data":
        return False
    incidents = load_policy(verdict.use_case, today).incident.unknown_findings
    unknown = {
        reason.code for reason in verdict.reasons if reason.severity == "unknown" and reason not in told.silenced
    }
    return unknown.isdisjoint(incidents)


def _latest_month(verdict: Verdict, reports_dir: Path) -> date:
    table = read_verdicts(reports_dir)
    months = table.filter(table["use_case"] == verdict.use_case)["month"]
    return max(months.max() or verdict.month, verdict.month)
