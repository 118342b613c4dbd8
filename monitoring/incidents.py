"""Incidents: one runs from the first month of a model that is not stable to the month in which it is stable again.

What channels tell follows from incidents and never from single reviews, so that a model that stays in trouble for half
a year is one message and not one per run. The messages themselves are made in ``monitoring.alerts``.
"""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ml.errors import KilowiseError
from monitoring.verdicts import SEVERITY_BY_OUTCOME, Outcome, Reason

STATE_NAME = "incident_log.json"

MessageKind = Literal["opened", "escalated", "reopened", "closed"]


class IncidentError(KilowiseError):
    """The stored incidents cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IncidentMonth(_Record):
    """What the latest review of one month said, while the incident lasted.

    Attributes:
        month: The reviewed month.
        outcome: Outcome without the findings that somebody silenced; ``stable`` ends the incident.
        release: Release that was reviewed.
        reviewed_at: When.
        owner: Who answers for the model.
        reasons: Findings that speak for the outcome, the most urgent first.
        report_path: Evidently report, relative to the reports folder.
    """

    month: date
    outcome: Outcome
    release: str
    reviewed_at: datetime
    owner: str
    reasons: tuple[Reason, ...]
    report_path: str | None


class Delivery(_Record):
    """What one channel has been told of an incident.

    Attributes:
        channel: Name of the channel, such as ``webhook`` or ``email:owner@example.org``; each recipient is a channel.
        told: Outcome that arrived last; None before anything arrived.
        told_at: When it arrived.
        end_told_month: Month whose return to stable was told last.
        messages_count: Messages that arrived.
        failed_count: Attempts since then that failed.
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
        course: Its months, oldest first, each as it was reviewed last; at least one.
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
    before a channel heard of it is told to that channel only if telling it had failed.
    """
    if delivery.told is None:
        if incident.is_open:
            return "opened"
        return "closed" if delivery.failed_count else None
    if SEVERITY_BY_OUTCOME[incident.now.outcome] > SEVERITY_BY_OUTCOME[delivery.told]:
        return "reopened" if delivery.told == "stable" else "escalated"
    if not incident.is_open and delivery.told != "stable" and delivery.end_told_month != incident.now.month:
        return "closed"
    return None
