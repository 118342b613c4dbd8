"""What drills showed, in words: a report of each, and the table of the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from orchestration.forms.drills.state import StateComparison

_HEAD = "| in the middle of a run | what was retried, what the logs say | runs | s | afterwards |"
_RULE = "| --- | --- | --- | ---: | --- |"


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill showed.

    Attributes:
        name: Its name.
        what: What was hurt.
        moment: When, in words.
        told: What the logs of the runs said.
        client: What the waiting command said beside steps.
        statuses: How each run ended, oldest first.
        attempts: Steps that began more than once, with how often.
        doubled: Steps that were done more than once.
        noted_again: Assets of which more than one version was noted.
        left: What was still held or waited for afterwards.
        seconds: From the submission to the end.
        state: What comparing with the undisturbed home showed.
    """

    name: str
    what: str
    moment: str
    told: tuple[str, ...]
    client: tuple[str, ...]
    statuses: tuple[str, ...]
    attempts: dict[str, int]
    doubled: tuple[str, ...]
    noted_again: int
    left: tuple[str, ...]
    seconds: float
    state: StateComparison

    @property
    def is_whole(self) -> bool:
        """Whether everything was made, once, and equal to what an undisturbed run makes."""
        return self.statuses[-1:] == ("SUCCESS",) and not (self.doubled or self.left or self.state.differences)


def full_report(report: DrillReport) -> str:
    """Return everything that a drill showed, line by line."""
    state = report.state
    lines = [
        f"== {report.name}: {report.moment}",
        f"   runs: {', '.join(report.statuses).lower()}; {report.seconds:.0f} s",
        f"   begun more than once: {_counts(report.attempts)}; assets noted again: {report.noted_again}",
        *(f"   log: {sentence}" for sentence in report.told),
        *(f"   command: {line}" for line in report.client),
        f"   compared: {state.tables} tables with {state.rows:,} rows, {state.landed_rows:,} landed rows, "
        f"{state.releases} releases and moves of their pointers",
        *(f"   DIFFERENT: {difference}" for difference in state.differences),
        *(f"   TWICE: {step}" for step in report.doubled),
        *(f"   LEFT: {what}" for what in report.left),
        f"   {'as undisturbed' if report.is_whole else 'NOT AS UNDISTURBED'}",
    ]
    return "\n".join(lines)


def drill_table(reports: Sequence[DrillReport], measured_on: date) -> str:
    """Return the table of the documentation, in Markdown."""
    state = reports[0].state
    head = (
        f"Done on {measured_on:%Y-%m-%d}. Compared with an undisturbed main job after each: {state.tables} tables with "
        f"{state.rows:,} rows, {state.landed_rows:,} landed rows."
    )
    rows = [
        f"| {report.moment if report.moment != 'never' else 'nothing'} | {_told(report)} | "
        f"{', '.join(report.statuses).lower()} | {report.seconds:.0f} | {_afterwards(report)} |"
        for report in reports
    ]
    return "\n".join([head, "", _HEAD, _RULE, *rows])


def _told(report: DrillReport) -> str:
    again = f"begun again: {_counts(report.attempts)}" if report.attempts else ""
    words = [*report.told, again]
    return "<br>".join(word.replace("|", "\\|") for word in words if word) or "nothing"


def _afterwards(report: DrillReport) -> str:
    if report.is_whole:
        return "as undisturbed, every step done once"
    return "<br>".join([*report.state.differences, *report.doubled, *report.left]) or "the run did not succeed"


def _counts(attempts: dict[str, int]) -> str:
    return ", ".join(f"{step.replace('__', '/')} ({count} times)" for step, count in attempts.items()) or "nothing"
