"""The credit register: what people recorded of customers, one line a record, only ever added to.

It holds protections and other statuses, entries on the red and black list with their reviews, and appeals with their
decisions. Customers appear by key only and there is no free text, so there are no personal data in it. Every record
says when it was made, so one can ask what was known at any instant. The one exception from "only added to" is the
erasure of a customer.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from ml.append_only import append_line, exclusive, replace_private
from ml.credit_risk.policy_schema import STATUSES, Identifier, StatusName
from ml.errors import KilowiseError

REGISTER_FILE = Path("policy") / "register.jsonl"
"""Where the register lies in a home."""

SHORTEST_NOTICE_DAYS = 7

AppealGround = Literal["already_paid", "disputed_bill", "facts_wrong", "hardship", "protected", "other"]
LateReason = Literal["notice_not_received", "illness", "new_evidence", "authority", "other"]
DEBT_GROUNDS: tuple[AppealGround, ...] = ("already_paid", "disputed_bill")
"""Grounds by which a customer says that the money is not owed."""

Person = Annotated[str, Field(pattern=r"^[\w .@-]{1,80}$", description="Member of staff or desk that recorded it")]
RecordId = Annotated[str, Field(pattern=r"^[a-z0-9-]{4,40}$")]
CustomerKey = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class RegisterError(KilowiseError):
    """A record cannot be made, or the register is damaged; the message says what to change."""


def new_id() -> str:
    """Return an id for an entry or an appeal."""
    return uuid.uuid4().hex[:12]


def _check_end(end_name: str, end: date | None, start_name: str, start: date) -> None:
    if end is not None and end <= start:
        raise ValueError(f"{end_name}: must be after {start_name}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    recorded_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    recorded_by: Person


class StatusRecord(_Record):
    """A status that a customer has for some time, such as a protection.

    Attributes:
        status: One of ``policy_schema.STATUSES``.
        valid_from: First day.
        valid_until: First day on which it no longer holds; a status without an end would never be looked at again.
    """

    kind: Literal["status"] = "status"
    customer_key: CustomerKey
    status: StatusName
    valid_from: date
    valid_until: date

    @model_validator(mode="after")
    def _is_known_and_ends(self) -> Self:
        if self.status not in STATUSES:
            raise ValueError(f"status: {self.status!r} is none of {', '.join(STATUSES)}")
        _check_end("valid_until", self.valid_until, "valid_from", self.valid_from)
        return self


class ListEntry(_Record):
    """An entry on the red or the black list. Without notice, review and end there is none.

    Attributes:
        entry_id: Its id.
        list_name: ``red`` or ``black``.
        policy_version: Policy by which it was made.
        rule_ids: Rules that asked for it.
        notified_on: Day on which the customer was told.
        effective_on: First day; on the black list at least `SHORTEST_NOTICE_DAYS` after the notice.
        review_on: Day by which a person looks at it again; a black entry without a review ends there.
        expires_on: First day on which it no longer holds.
    """

    kind: Literal["entry"] = "entry"
    entry_id: RecordId = Field(default_factory=new_id)
    customer_key: CustomerKey
    list_name: Literal["red", "black"]
    policy_version: str
    rule_ids: tuple[Identifier, ...] = Field(min_length=1)
    notified_on: date
    effective_on: date
    review_on: date
    expires_on: date

    @model_validator(mode="after")
    def _nobody_is_listed_in_silence(self) -> Self:
        notice_days = (self.effective_on - self.notified_on).days
        least = SHORTEST_NOTICE_DAYS if self.list_name == "black" else 0
        if notice_days < least:
            raise ValueError(f"effective_on: must be at least {least} days after notified_on, found {notice_days}")
        if not self.effective_on < self.review_on <= self.expires_on:
            raise ValueError("review_on: must be after effective_on and no later than expires_on")
        return self


class ListReview(_Record):
    """The review of an entry: it stays until the next review, or ends now.

    Attributes:
        entry_id: Entry that was reviewed.
        reviewed_on: Day of the review.
        decision: ``keep`` or ``remove``.
        next_review_on: Day of the next review when it stays.
    """

    kind: Literal["review"] = "review"
    entry_id: RecordId
    customer_key: CustomerKey
    reviewed_on: date
    decision: Literal["keep", "remove"]
    next_review_on: date | None = None

    @model_validator(mode="after")
    def _kept_until_the_next(self) -> Self:
        _check_end("next_review_on", self.next_review_on, "reviewed_on", self.reviewed_on)
        if (self.decision == "keep") != (self.next_review_on is not None):
            raise ValueError("next_review_on: give it when the entry stays, and only then")
        return self


class AppealRecord(_Record):
    """A customer contests rules of an outcome.

    Attributes:
        appeal_id: Its id.
        policy_version: Policy of the contested outcome.
        rule_ids: Contested rules.
        filed_on: Day on which it came.
        ground: Why, as a code.
        request_id: Answer of the API that is contested; empty for a batch.
        outcome_on: Day of the contested outcome; ``None`` in records of before.
        open_until: Last day on which its policy takes an appeal; a later one needs a reason and somebody who allows it.
        late_reason: Why a late appeal is taken, as a code; ``None`` when it came in time.
        late_allowed_by: Who allowed it.
    """

    kind: Literal["appeal"] = "appeal"
    appeal_id: RecordId = Field(default_factory=new_id)
    customer_key: CustomerKey
    policy_version: str
    rule_ids: tuple[Identifier, ...] = Field(min_length=1)
    filed_on: date
    ground: AppealGround
    request_id: str = Field(default="", pattern=r"^[\w-]{0,64}$")
    outcome_on: date | None = None
    open_until: date | None = None
    late_reason: LateReason | None = None
    late_allowed_by: Person | None = None

    @model_validator(mode="after")
    def _came_in_time_or_was_allowed(self) -> Self:
        if self.outcome_on is not None and self.filed_on < self.outcome_on:
            raise ValueError(f"filed_on: {self.filed_on} is before the outcome of {self.outcome_on}")
        is_late = self.open_until is not None and self.filed_on > self.open_until
        if is_late and (self.late_reason is None or self.late_allowed_by is None):
            raise ValueError(
                f"filed_on: {self.filed_on} is after {self.open_until}, the last day on which the outcome of "
                f"{self.outcome_on} could be contested; a late appeal needs a reason and somebody who allows it"
            )
        if not is_late and (self.late_reason is not None or self.late_allowed_by is not None):
            raise ValueError("late_reason: the appeal came in time, so nobody needs to allow it")
        return self


class AppealDecision(_Record):
    """What became of an appeal.

    Attributes:
        appeal_id: The appeal.
        decided_on: Day of the decision.
        decision: ``upheld`` spares the customer from the contested rules until ``expires_on``; ``rejected`` does not.
        expires_on: End of the effect of an upheld appeal.
    """

    kind: Literal["decision"] = "decision"
    appeal_id: RecordId
    customer_key: CustomerKey
    decided_on: date
    decision: Literal["upheld", "rejected"]
    expires_on: date | None = None

    @model_validator(mode="after")
    def _effect_ends(self) -> Self:
        _check_end("expires_on", self.expires_on, "decided_on", self.decided_on)
        if (self.decision == "upheld") != (self.expires_on is not None):
            raise ValueError("expires_on: give it when the appeal is upheld, and only then")
        return self


Record = StatusRecord | ListEntry | ListReview | AppealRecord | AppealDecision


class _Line(RootModel[Record]):
    """One line of the register."""

    root: Record = Field(discriminator="kind")


@dataclass(frozen=True, slots=True)
class ListStanding:
    """An entry as it stands on a day.

    Attributes:
        entry: The entry.
        review_on: Day of the next review.
        ends_on: First day on which it no longer holds, as reviewed and decided so far.
        is_in_force: Whether it holds on the day.
    """

    entry: ListEntry
    review_on: date
    ends_on: date
    is_in_force: bool


@dataclass(frozen=True, slots=True)
class AppealStanding:
    """An appeal as it stands on a day.

    Attributes:
        appeal: The appeal.
        decision: Its decision, ``None`` while it waits.
    """

    appeal: AppealRecord
    decision: AppealDecision | None

    def spares(self, rule_id: str, day: date) -> bool:
        """Return whether it was upheld against a rule and still has effect."""
        decision = self.decision
        return (
            rule_id in self.appeal.rule_ids
            and decision is not None
            and decision.expires_on is not None
            and decision.decided_on <= day < decision.expires_on
        )

    @property
    def is_waiting(self) -> bool:
        """Whether nobody has decided yet."""
        return self.decision is None


@dataclass(frozen=True, slots=True)
class CustomerStanding:
    """Everything on record of a customer, as of a day.

    Attributes:
        statuses: Statuses that hold.
        entries: List entries that took effect or will, ended ones included.
        appeals: Appeals, newest last.
    """

    statuses: frozenset[str] = frozenset()
    entries: tuple[ListStanding, ...] = ()
    appeals: tuple[AppealStanding, ...] = ()

    def days_since_black_list(self, day: date) -> float | None:
        """Return the days since the last black entry ended, 0 while one holds, ``None`` when there was none."""
        if not self.entries:
            return None
        ended = [
            max((day - standing.ends_on).days, 0)
            for standing in self.entries
            if standing.entry.list_name == "black"
            and standing.entry.effective_on <= day
            and standing.ends_on > standing.entry.effective_on
        ]
        return float(min(ended)) if ended else None


NOTHING_ON_RECORD = CustomerStanding()


@dataclass(slots=True)
class Register:
    """The records of a register, by customer.

    Attributes:
        records: By customer key, in the order in which they were made.
    """

    records: Mapping[str, Sequence[Record]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a register; one that does not exist is empty.

        Raises:
            RegisterError: A line is damaged; nothing of it is guessed.
        """
        records: dict[str, list[Record]] = defaultdict(list)
        for record in _read_records(path):
            records[record.customer_key].append(record)
        return cls(records)

    def standing(self, customer_key: str | None, day: date, *, known_at: datetime | None = None) -> CustomerStanding:
        """Return what is on record of a customer as of a day.

        Args:
            customer_key: The customer; ``None`` for somebody without an id.
            day: The day.
            known_at: Instant after which records do not count; ``None`` for all.
        """
        own = self.records.get(customer_key or "")
        if not own:
            return NOTHING_ON_RECORD
        known = [record for record in own if known_at is None or record.recorded_at <= known_at]
        decisions = {record.appeal_id: record for record in known if isinstance(record, AppealDecision)}
        appeals = tuple(
            AppealStanding(record, decisions.get(record.appeal_id))
            for record in known
            if isinstance(record, AppealRecord) and record.filed_on <= day
        )
        reviews: dict[str, list[ListReview]] = defaultdict(list)
        for record in known:
            if isinstance(record, ListReview) and record.reviewed_on <= day:
                reviews[record.entry_id].append(record)
        return CustomerStanding(
            statuses=frozenset(
                record.status
                for record in known
                if isinstance(record, StatusRecord) and record.valid_from <= day < record.valid_until
            ),
            entries=tuple(
                _standing_of(record, reviews[record.entry_id], appeals, day)
                for record in known
                if isinstance(record, ListEntry)
            ),
            appeals=appeals,
        )

    def disputing(self, day: date) -> frozenset[str]:
        """Return the customers who contest what they owe and wait for a decision on a day."""
        return frozenset(
            key
            for key in self.records
            for appeal in self.standing(key, day).appeals
            if appeal.is_waiting and appeal.appeal.ground in DEBT_GROUNDS
        )

    def entry(self, entry_id: str) -> ListEntry:
        """Return an entry by its id.

        Raises:
            RegisterError: There is none.
        """
        for record in self._all():
            if isinstance(record, ListEntry) and record.entry_id == entry_id:
                return record
        raise RegisterError(f"The register holds no entry {entry_id}; give the id that `credit show` prints.")

    def appeal(self, appeal_id: str) -> AppealRecord:
        """Return an appeal that waits for its decision.

        Raises:
            RegisterError: There is none, or it is decided.
        """
        decided = {record.appeal_id for record in self._all() if isinstance(record, AppealDecision)}
        for record in self._all():
            if isinstance(record, AppealRecord) and record.appeal_id == appeal_id:
                if appeal_id in decided:
                    raise RegisterError(f"The appeal {appeal_id} is decided; a new appeal may be filed.")
                return record
        raise RegisterError(f"The register holds no appeal {appeal_id}; give the id that `credit show` prints.")

    def _all(self) -> Iterator[Record]:
        for records in self.records.values():
            yield from records


def append(path: Path, record: Record) -> None:
    """Add a record; it is on the disk when this returns.

    Raises:
        RegisterError: It decides or reviews what is not there.
    """
    with exclusive(path):
        register = Register.read(path)
        if isinstance(record, AppealDecision):
            _same_customer(register.appeal(record.appeal_id), record)
        if isinstance(record, ListReview):
            entry = register.entry(record.entry_id)
            _same_customer(entry, record)
            if record.next_review_on is not None and record.next_review_on > entry.expires_on:
                raise RegisterError(
                    f"next_review_on {record.next_review_on} is after the entry's end {entry.expires_on}; an entry is "
                    "not prolonged by a review: give notice of a new one."
                )
        append_line(path, record.model_dump_json())


def erase(path: Path, customer_key: str) -> int:
    """Remove every record of a customer and return how many there were; the others stay as they are."""
    if not path.exists():
        return 0
    with exclusive(path):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if customer_key not in line]
        if len(kept) < len(lines):
            replace_private(path, "".join(kept).encode())
        return len(lines) - len(kept)


def _standing_of(
    entry: ListEntry, reviews: Sequence[ListReview], appeals: Sequence[AppealStanding], day: date
) -> ListStanding:
    review_on = entry.review_on
    # A black entry without its review ends there; a red one, which is no burden, stays until its own end.
    ends_on = review_on if entry.list_name == "black" else entry.expires_on
    for review in reviews:
        if review.decision == "remove" or review.next_review_on is None:
            ends_on = review.reviewed_on
            break
        # A review that comes after the end revives nothing.
        if review.reviewed_on < ends_on:
            review_on = min(review.next_review_on, entry.expires_on)
            ends_on = review_on if entry.list_name == "black" else ends_on
    is_spared = all(any(appeal.spares(rule, day) for appeal in appeals) for rule in entry.rule_ids)
    return ListStanding(entry, review_on, ends_on, entry.effective_on <= day < ends_on and not is_spared)


def _same_customer(first: ListEntry | AppealRecord, record: ListReview | AppealDecision) -> None:
    if first.customer_key != record.customer_key:
        raise RegisterError("The record names another customer than what it refers to.")


def _read_records(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield _Line.model_validate_json(line).root
        except ValidationError as error:
            raise RegisterError(
                f"{path}, line {number}: no record of the credit register ({str(error).splitlines()[0]}). Restore the "
                "file from a backup; nothing was changed."
            ) from error
