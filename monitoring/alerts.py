"""Tells people about incidents: when one begins, becomes worse, comes back and ends, and not for every review.

What a channel should hear follows from the incident and from what that channel took last, so nothing is queued: a
channel that was out of reach for a week hears how things stand now, once. The channels are in
``monitoring.channels``.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from ml.errors import KilowiseError
from monitoring.incidents import Delivery, Incident, MessageKind, due_message, read_incidents, record_delivery
from monitoring.runbook import runbook
from monitoring.verdicts import OUTCOME_WORDS, USE_CASE_TITLES, Outcome, exclusive

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_FIRST_DELAY = timedelta(minutes=5)
_LONGEST_DELAY = timedelta(hours=6)
_GIVEN_UP_AFTER = timedelta(days=30)
"""An end that nobody could be told for so long is no news any more; what lasts is told whenever it can be."""


class AlertMessage(BaseModel):
    """One message about an incident: what a webhook is sent as JSON, and what an e-mail is made from.

    It is made of a verdict's sentences about columns and counts; nothing in it is about a single customer.

    Attributes:
        message_id: Same for every attempt to deliver this message, so that a receiver can leave out a repetition.
        incident_id: Same for all messages about one incident: the thread.
        number: Place of the message in the thread, from 1.
        kind: Whether the incident began, became worse, came back or ended.
        use_case: Use case of the model.
        release: Release that was reviewed.
        month: Month that the message is about.
        outcome: How the model stands.
        previous_outcome: What the channel was told before; None if this is its first message.
        since_month: Month with which the incident began.
        owner: Who answers for the model.
        title: What happened, in a few words.
        title_zh: The same in Chinese.
        sentence: What happened, in a sentence.
        sentence_zh: The same in Chinese.
        reasons: Findings that led to the outcome, the most urgent first.
        reasons_zh: The same in Chinese.
        first_steps: What to do first about them, by the runbook.
        first_steps_zh: The same in Chinese.
        page_url: Page of the model.
        report_url: Evidently report of the month; None if there is none.
        sent_at: When the message was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_id: str
    incident_id: str
    number: int
    kind: MessageKind
    use_case: str
    release: str
    month: date
    outcome: Outcome
    previous_outcome: Outcome | None
    since_month: date
    owner: str
    title: str
    title_zh: str
    sentence: str
    sentence_zh: str
    reasons: tuple[str, ...]
    reasons_zh: tuple[str, ...]
    first_steps: tuple[str, ...]
    first_steps_zh: tuple[str, ...]
    page_url: str
    report_url: str | None
    sent_at: datetime


class DeliveryError(KilowiseError):
    """A channel did not take a message.

    Attributes:
        may_pass: Whether trying again at once makes sense.
        retry_after_seconds: When the receiver wants to be asked again; None if it did not say.
        is_of_recipient: Whether it says nothing about other recipients who are reached the same way.
    """

    def __init__(
        self,
        problem: str,
        *,
        may_pass: bool,
        retry_after_seconds: float | None = None,
        is_of_recipient: bool = False,
    ) -> None:
        """Keep what happened."""
        super().__init__(problem)
        self.may_pass = may_pass
        self.retry_after_seconds = retry_after_seconds
        self.is_of_recipient = is_of_recipient


class Channel(Protocol):
    """A way to reach somebody."""

    @property
    def name(self) -> str:
        """Name under which it is remembered what the channel has been told."""

    @property
    def way(self) -> str:
        """What channels that fail together have in common, such as one mail server."""

    def takes(self, use_case: str) -> bool:
        """Tell whether it wants to hear of a model."""

    def send(self, message: AlertMessage) -> None:
        """Deliver a message.

        Raises:
            DeliveryError: If it did not arrive.
        """


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What one round of delivering did.

    Attributes:
        delivered: What arrived and by what way, in a sentence each, without addresses.
        problems: What did not, and why.
    """

    delivered: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Due:
    incident: Incident
    channel: Channel
    kind: MessageKind
    is_resting: bool


def deliver(
    reports_dir: Path, channels: Sequence[Channel], site_url: str, *, now: datetime | None = None
) -> DeliveryReport:
    """Tell every channel what it should know of the incidents and does not.

    A message that does not arrive is tried again after a pause that doubles from five minutes to six hours, whenever
    this function is called by then. One process at a time delivers. A process that is killed between delivering and
    noting it delivers once more, under the same ``message_id``.

    Args:
        reports_dir: Folder of reports.
        channels: Ways to reach people.
        site_url: Where the reports are served, for links.
        now: The moment; None is the present.
    """
    now = now or datetime.now(UTC)
    delivered, problems, broken = [], [], set()
    with exclusive(reports_dir, "alerts"):
        for due in _due(reports_dir, channels, now):
            known = due.incident.delivery(due.channel.name)
            if due.is_resting or due.channel.way in broken:
                # What ends before the way is open again must still be told, so it is noted as not told.
                if not known.failed_count:
                    record_delivery(due.incident.incident_id, _after_waiting(known), reports_dir)
                continue
            message = make_message(due.incident, due.kind, known, site_url, now)
            try:
                _send(due.channel, message)
            except DeliveryError as error:
                if not error.is_of_recipient:
                    broken.add(due.channel.way)
                problem = f"Not told by {due.channel.way} ({error}), tried again later: {message.title}"
                problems.append(problem)
                logger.error(problem)
                noted = _after_failure(known, error, now)
            else:
                delivered.append(f"Told by {due.channel.way}: {message.title}")
                noted = _after_success(known, due.incident, now)
            record_delivery(due.incident.incident_id, noted, reports_dir)
    return DeliveryReport(tuple(delivered), tuple(problems))


def undelivered(reports_dir: Path, channels: Sequence[Channel], *, now: datetime | None = None) -> int:
    """Return how many messages ``deliver`` would try now."""
    return sum(not due.is_resting for due in _due(reports_dir, channels, now or datetime.now(UTC)))


def make_message(incident: Incident, kind: MessageKind, known: Delivery, site_url: str, now: datetime) -> AlertMessage:
    """Return the message that tells how an incident stands."""
    month = incident.now
    title, title_zh = _title(incident, kind, known)
    sentence, sentence_zh = _sentence(incident, kind)
    entries = [runbook()[code] for code in dict.fromkeys(reason.code for reason in month.reasons) if code in runbook()]
    steps = [] if kind == "closed" else entries
    number = known.messages_count + 1
    return AlertMessage(
        message_id=f"{incident.incident_id}/{number}/{month.month:%Y-%m}-{month.outcome}",
        incident_id=incident.incident_id,
        number=number,
        kind=kind,
        use_case=incident.use_case,
        release=month.release,
        month=month.month,
        outcome=month.outcome,
        previous_outcome=known.told,
        since_month=incident.opened_month,
        owner=month.owner,
        title=title,
        title_zh=title_zh,
        sentence=sentence,
        sentence_zh=sentence_zh,
        reasons=tuple(reason.sentence_en for reason in month.reasons),
        reasons_zh=tuple(reason.sentence_zh for reason in month.reasons),
        first_steps=tuple(f"{entry.title}: {entry.first}" for entry in steps),
        first_steps_zh=tuple(f"{entry.title_zh}：{entry.first_zh}" for entry in steps),
        page_url=f"{site_url}/site/{incident.use_case}/index.html",
        report_url=f"{site_url}/{month.report_path}" if month.report_path else None,
        sent_at=now,
    )


def _due(reports_dir: Path, channels: Sequence[Channel], now: datetime) -> Iterator[_Due]:
    incidents = read_incidents(reports_dir)
    resting = {
        delivery.channel
        for incident in incidents
        for delivery in incident.deliveries
        if delivery.next_attempt_at and delivery.next_attempt_at > now
    }
    for incident in incidents:
        if incident.closed_at and now - incident.closed_at > _GIVEN_UP_AFTER:
            continue
        for channel in channels:
            if not channel.takes(incident.use_case):
                continue
            kind = due_message(incident, incident.delivery(channel.name))
            if kind is not None:
                yield _Due(incident, channel, kind, is_resting=channel.name in resting)


def _send(channel: Channel, message: AlertMessage) -> None:
    """Deliver a message, trying again after failures that may pass."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            channel.send(message)
        except DeliveryError as error:
            if attempt == _ATTEMPTS or not error.may_pass or error.retry_after_seconds:
                raise
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        else:
            return


def _after_success(known: Delivery, incident: Incident, now: datetime) -> Delivery:
    is_over = not incident.is_open
    return Delivery(
        channel=known.channel,
        told=incident.now.outcome,
        told_at=now,
        end_told_month=incident.now.month if is_over else known.end_told_month,
        messages_count=known.messages_count + 1,
    )


def _after_waiting(known: Delivery) -> Delivery:
    return known.model_copy(update={"failed_count": 1, "problem": "not tried, since another message had just failed"})


def _after_failure(known: Delivery, error: DeliveryError, now: datetime) -> Delivery:
    delay = min(_FIRST_DELAY * 2**known.failed_count, _LONGEST_DELAY)
    asked = timedelta(seconds=error.retry_after_seconds or 0)
    return known.model_copy(
        update={
            "failed_count": known.failed_count + 1,
            "next_attempt_at": now + min(max(delay, asked), _LONGEST_DELAY),
            "problem": str(error),
        }
    )


def _title(incident: Incident, kind: MessageKind, known: Delivery) -> tuple[str, str]:
    model, model_zh = USE_CASE_TITLES[incident.use_case]
    word, word_zh = (words for words in OUTCOME_WORDS[incident.now.outcome])
    month = f"{incident.now.month:%Y-%m}"
    if kind == "closed":
        return f"{model} {month}: stable again", f"{model_zh} {month}：恢复稳定"
    if kind == "reopened":
        return f"{model} {month}: {word.lower()} again", f"{model_zh} {month}：再次{word_zh}"
    if kind == "escalated" and known.told:
        before, before_zh = OUTCOME_WORDS[known.told]
        return (
            f"{model} {month}: {word.lower()}, it was {before.lower()}",
            f"{model_zh} {month}：由“{before_zh}”升为“{word_zh}”",
        )
    return f"{model} {month}: {word.lower()}", f"{model_zh} {month}：{word_zh}"


def _sentence(incident: Incident, kind: MessageKind) -> tuple[str, str]:
    since = f"{incident.opened_month:%Y-%m}"
    worst, worst_zh = OUTCOME_WORDS[incident.worst_outcome]
    match kind:
        case "opened":
            return f"The model has needed attention since {since}.", f"该模型自 {since} 起需要留意。"
        case "escalated":
            return f"It has become worse. The incident began in {since}.", f"情况加重。事件始于 {since}。"
        case "reopened":
            return (
                f"It was stable for a while and needs attention again. The incident began in {since}.",
                f"曾短暂恢复稳定，现再次需要留意。事件始于 {since}。",
            )
        case "closed":
            return (
                f"The incident that began in {since} is over; its worst outcome was {worst.lower()}.",
                f"始于 {since} 的事件已结束，期间最严重的结论为“{worst_zh}”。",
            )
