"""Who has seen a finding, and which findings are kept quiet for a while: a record with person, reason and expiry.

An *acknowledgement* says that somebody is at work on a model's findings: nobody is reminded of them until it ends. A
*silence* keeps the findings that it names from raising what the asset check, the alerts and the API tell, until it
ends. Neither changes a verdict or hides a finding from a page. What is recorded is never changed; a record of the kind
``end`` ends another one early.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.append_only import append_line, exclusive
from ml.columns import USE_CASES, names
from ml.errors import KilowiseError
from monitoring.datasets import schema_columns
from monitoring.runbook import runbook
from monitoring.verdicts import Outcome, Reason, Verdict, VerdictError, outcome_of, read_verdict

ACKNOWLEDGEMENTS_NAME = "acknowledgements.jsonl"
LONGEST_DAYS = 92
"""A quarter: what should be quiet for longer is a rule, and rules belong into the policy with their reason."""
HELD = "held_watch"
"""Code of the finding that a stable month is still called watch."""

AcknowledgementKind = Literal["acknowledge", "silence", "end"]


class AcknowledgementError(KilowiseError):
    """A record cannot be made or read; the message names the field or the line."""


class Acknowledgement(BaseModel):
    """One record.

    Attributes:
        kind: What it does.
        identifier: Name of the record, by which it can be ended.
        use_case: Model that it is about.
        code: Findings of this code only; None for any.
        column: Findings about this column only; None for any.
        by: Person who recorded it.
        reason: Why, in the person's words.
        recorded_at: When, with time zone.
        until: Last day on which it holds; None for the kind ``end``.
        ends: Identifier of the record that it ends; only for the kind ``end``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    kind: AcknowledgementKind
    identifier: str = Field(pattern=r"^[0-9a-f]{8}$")
    use_case: str
    code: str | None = None
    column: str | None = None
    by: str = Field(min_length=2, max_length=100)
    reason: str = Field(min_length=10, max_length=500)
    recorded_at: datetime
    until: date | None = None
    ends: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "end":
            if self.ends is None:
                raise ValueError("an end names the record that it ends")
            return self
        if self.until is None:
            raise ValueError("until is missing: name the last day")
        first = self.recorded_at.date()
        if not first <= self.until <= first + timedelta(days=LONGEST_DAYS):
            raise ValueError(
                f"until is {self.until}; it must lie between {first} and {first + timedelta(days=LONGEST_DAYS)}: what "
                "should be quiet for longer is a rule, so change the policy"
            )
        if self.kind == "silence" and self.code is None and self.column is None:
            raise ValueError("a silence names a code or a column; what nobody has seen yet must not be silenced")
        return self

    def sentence(self) -> str:
        """Return the record in one line."""
        if self.kind == "end":
            return f"{self.identifier}  {self.ends} was ended by {self.by}: {self.reason}"
        what = " of ".join(part for part in (self.code, self.column) if part) or "every finding"
        done = "acknowledged" if self.kind == "acknowledge" else "silenced"
        return f"{self.identifier}  {self.use_case}: {what} {done} until {self.until} by {self.by}: {self.reason}"

    def is_about(self, reason: Reason) -> bool:
        """Tell whether a finding is meant."""
        return self.code in (None, reason.code) and self.column in (None, reason.column)


@dataclass(frozen=True)
class Told:
    """What is told of a verdict outside of the pages: by the asset check, the alerts and the API.

    Attributes:
        outcome: What the findings lead to that are not silenced.
        silenced: Findings that are silenced and would count otherwise.
        silences: The silences behind it, in the order of their end.
        acknowledgements: What holds about any finding of the verdict that counts, in the order of their end.
    """

    outcome: Outcome
    silenced: tuple[Reason, ...] = ()
    silences: tuple[Acknowledgement, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()

    @property
    def silenced_until(self) -> date | None:
        """Last day on which all of the silenced findings stay so; None if there are none."""
        return min((silence.until for silence in self.silences if silence.until), default=None)


def record_acknowledgement(
    reports_dir: Path,
    kind: Literal["acknowledge", "silence"],
    use_case: str,
    *,
    by: str,
    reason: str,
    until: date,
    code: str | None = None,
    column: str | None = None,
    recorded_at: datetime | None = None,
) -> Acknowledgement:
    """Add an acknowledgement or a silence.

    Args:
        reports_dir: Folder of reports, where the record is kept.
        kind: Whether somebody is at work on it, or it should be quiet.
        use_case: Model that it is about.
        by: Person who decides so.
        reason: Why, at least ten characters.
        until: Last day on which it holds, at most ``LONGEST_DAYS`` days ahead.
        code: Findings of this code only.
        column: Findings about this column only.
        recorded_at: When; now if None.

    Raises:
        AcknowledgementError: If a field is not as it must be; the message names it.
    """
    _check_names(use_case, code, column)
    return _record(
        reports_dir,
        kind=kind,
        use_case=use_case,
        by=by,
        reason=reason,
        until=until,
        code=code,
        column=column,
        recorded_at=recorded_at or datetime.now(UTC),
    )


def end_acknowledgement(
    reports_dir: Path, identifier: str, *, by: str, reason: str, recorded_at: datetime | None = None
) -> Acknowledgement:
    """End an acknowledgement or a silence before its time.

    Raises:
        AcknowledgementError: If no such record is in force, or a field is not as it must be.
    """
    at = recorded_at or datetime.now(UTC)
    known = {record.identifier: record for record in in_force(read_acknowledgements(reports_dir), at.date())}
    if identifier not in known:
        listed = ", ".join(known) or "none"
        raise AcknowledgementError(f"{identifier}: no such acknowledgement or silence is in force; in force: {listed}")
    return _record(
        reports_dir,
        kind="end",
        use_case=known[identifier].use_case,
        by=by,
        reason=reason,
        ends=identifier,
        recorded_at=at,
    )


def read_acknowledgements(reports_dir: Path) -> tuple[Acknowledgement, ...]:
    """Return all records, oldest first; none if nobody has recorded anything.

    Raises:
        AcknowledgementError: If a line is damaged; nothing of it is guessed.
    """
    path = reports_dir / ACKNOWLEDGEMENTS_NAME
    # Bytes end lines at line ends only; a text would also at characters that a reason may hold, such as U+2028.
    lines = path.read_bytes().splitlines() if path.exists() else []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(Acknowledgement.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise AcknowledgementError(f"{path}, line {number}: {problem}; repair or remove the line") from error
    return tuple(records)


def in_force(records: Iterable[Acknowledgement], on: date, use_case: str | None = None) -> tuple[Acknowledgement, ...]:
    """Return the acknowledgements and silences that hold on a day.

    Args:
        records: All records, oldest first.
        on: The day.
        use_case: Only those of this model; None for all.

    Returns:
        Those recorded by then, not over and not ended, the earliest end first.
    """
    known = [record for record in records if record.recorded_at.date() <= on]
    ended = {record.ends for record in known if record.kind == "end"}
    holding = [
        record
        for record in known
        if record.until is not None
        and on <= record.until
        and record.identifier not in ended
        and use_case in (None, record.use_case)
    ]
    return tuple(sorted(holding, key=lambda record: (record.until or date.max, record.recorded_at)))


def told_outcome(verdict: Verdict, reports_dir: Path, on: date) -> Told:
    """Return what is told of a verdict on a day, given what is acknowledged and silenced.

    A month that is called watch only because an earlier one was (`held_watch`) is quiet when that earlier month would
    be by the silences of the day.

    Args:
        verdict: The verdict.
        reports_dir: Folder of reports.
        on: The day.

    Raises:
        AcknowledgementError: If the record is damaged.
    """
    records = in_force(read_acknowledgements(reports_dir), on, verdict.use_case)
    silences = [record for record in records if record.kind == "silence"]
    counting = [reason for reason in verdict.reasons if reason.severity != "info"]
    covered = [(reason, _covering(reason, verdict, silences, reports_dir)) for reason in counting]
    silenced = tuple(reason for reason, covering in covered if covering)
    used = {silence.identifier for _, covering in covered for silence in covering}
    return Told(
        outcome=outcome_of(tuple(reason for reason in verdict.reasons if reason not in silenced)),
        silenced=silenced,
        silences=tuple(silence for silence in silences if silence.identifier in used),
        acknowledgements=tuple(
            record for record in records if record.kind == "acknowledge" and any(map(record.is_about, counting))
        ),
    )


def _covering(
    reason: Reason, verdict: Verdict, silences: Sequence[Acknowledgement], reports_dir: Path
) -> list[Acknowledgement]:
    """Return the silences that cover a finding; of a watch that is held, those that cover all it is held for."""
    covering = [silence for silence in silences if silence.is_about(reason)]
    if covering or reason.code != HELD or verdict.held_since is None or not silences:
        return covering
    try:
        earlier = read_verdict(reports_dir, verdict.use_case, verdict.held_since, verdict.release)
    except VerdictError:
        # Without the month that is remembered nobody can say that it was silenced.
        return []
    loud = [found for found in earlier.reasons if found.severity in ("watch", "act") and found.code != HELD]
    by_finding = [[silence for silence in silences if silence.is_about(found)] for found in loud]
    return [silence for members in by_finding for silence in members] if all(by_finding) else []


def _check_names(use_case: str, code: str | None, column: str | None) -> None:
    if use_case not in USE_CASES:
        raise AcknowledgementError(f"unknown use case {use_case!r}; known are {', '.join(USE_CASES)}")
    if code is not None and code not in runbook():
        raise AcknowledgementError(f"unknown code {code!r}; docs/review.md lists the findings and their codes")
    features, predictions = schema_columns(use_case)
    if column is not None and column not in names((*features, *predictions)):
        raise AcknowledgementError(f"{column}: no such column in ml/{use_case}/schema.py")


def _record(reports_dir: Path, **fields: object) -> Acknowledgement:
    try:
        record = Acknowledgement.model_validate({"identifier": secrets.token_hex(4), **fields})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise AcknowledgementError(f"{field}: {problem}" if field else problem) from error
    path = reports_dir / ACKNOWLEDGEMENTS_NAME
    with exclusive(path):
        append_line(path, record.model_dump_json())
    return record
