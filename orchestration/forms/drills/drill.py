"""One drill: a job begins, something is hurt at a chosen moment and started again, and what was made is compared."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg2

from orchestration.forms.drills.report import DrillReport
from orchestration.forms.drills.scratch import DrillError, DrillPlatform, Event, wait_until
from orchestration.forms.drills.state import compare_states
from orchestration.lifecycle import latest_months
from orchestration.marts import current_marts
from orchestration.settings import PROJECT_ROOT

Say = Callable[[str], None]
_START_SECONDS, _STEP_SECONDS, _RUN_SECONDS = 300.0, 900.0, 1800.0
# What a reader of a run's log is told beside the steps themselves.
_TOLD_KINDS = frozenset(
    {"PIPELINE_FAILURE", "STEP_UP_FOR_RETRY", "STEP_FAILURE", "STEP_RESTARTED", "PIPELINE_CANCELED"}
)
_TOLD_WORDS = (
    "given to another",
    "The queue of steps",
    "The database",
    "sign of life",
    "Started process for resumed",
    "already in progress",
)


@dataclass(frozen=True, slots=True)
class Drill:
    """What is hurt, when, and how it comes back.

    Attributes:
        name: Name on the command line.
        what: What is hurt, for the report.
        step: Step in the middle of which it happens; empty for a run that nothing disturbs.
        seconds: Seconds after the start of that step.
        hurt: Hurts the platform and says what it did.
        away_seconds: Time until it is started again.
    """

    name: str
    what: str
    step: str = ""
    seconds: float = 2.0
    hurt: Callable[[DrillPlatform, Sequence[Event]], str] | None = None
    away_seconds: float = 15.0


def run_drill(platform: DrillPlatform, drill: Drill, say: Say) -> DrillReport:
    """Do a drill on a platform that is up.

    Raises:
        DrillError: If the moment of the drill did not come, or the runs did not end.
    """
    platform.set_back()
    before = platform.last_event()
    began = time.monotonic()
    moment = "never"
    with _job(platform, drill.name) as running:
        if drill.hurt is not None:
            say(f"{drill.name}: waiting for {drill.step}")
            moment = _hurt_in_time(platform, drill, running, before)
            say(f"{drill.name}: {moment}")
            time.sleep(drill.away_seconds)
            platform.up()
            say(f"{drill.name}: whole again, {time.monotonic() - began:.0f} s after the start")
        running.wait(_RUN_SECONDS)
    _wait_for_runs(platform)
    return _report(platform, drill, moment, time.monotonic() - began, platform.events(before))


def job_command(first: str, last: str, *, data_only: bool = False) -> list[str]:
    """Return the command of the job for some months."""
    command = [sys.executable, "-m", "orchestration.forms.drills.job", first, last]
    return [*command, "data"] if data_only else command


@contextmanager
def _job(platform: DrillPlatform, name: str) -> Iterator[subprocess.Popen[bytes]]:
    months = latest_months(current_marts(platform.finished / "marts"), 1, date.min)
    command = job_command(months[-1].isoformat(), months[-1].isoformat(), data_only=platform.is_small)
    with (
        _log(platform, name).open("wb") as log,
        subprocess.Popen(  # noqa: S603  our own command
            command, cwd=PROJECT_ROOT, env=platform.environment(), stdout=log, stderr=subprocess.STDOUT
        ) as running,
    ):
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def _log(platform: DrillPlatform, name: str) -> Path:
    return platform.root / f"{name}.log"


def _hurt_in_time(platform: DrillPlatform, drill: Drill, running: subprocess.Popen[bytes], before: int) -> str:
    def has_begun() -> bool:
        if running.poll() is not None:
            raise DrillError(f"The job ended before {drill.step}: {_log(platform, drill.name).read_text()[-1000:]}")
        return any(event.kind == "STEP_START" and event.step == drill.step for event in platform.events(before))

    wait_until(f"the start of {drill.step}", has_begun, _START_SECONDS + _STEP_SECONDS, every=0.5)
    time.sleep(drill.seconds)
    events = platform.events(before)
    if any(event.kind == "STEP_SUCCESS" and event.step == drill.step for event in events):
        raise DrillError(f"{drill.step} was done within {drill.seconds:.0f} s, before anything was hurt.")
    if drill.hurt is None:
        return "never"
    done = drill.hurt(platform, events)
    return f"{done}, in the middle of {drill.step.replace('__', '/')}"


def _wait_for_runs(platform: DrillPlatform) -> None:
    def have_ended() -> bool:
        try:
            return platform.unfinished_runs() == 0
        except psycopg2.OperationalError:
            return False

    wait_until("the end of all runs", have_ended, _RUN_SECONDS, every=1)


def _report(platform: DrillPlatform, drill: Drill, moment: str, seconds: float, events: Sequence[Event]) -> DrillReport:
    # Steps start again after a retry as well, under another kind.
    began = Counter(event.step for event in events if event.kind in ("STEP_START", "STEP_RESTARTED"))
    done = Counter(event.step for event in events if event.kind == "STEP_SUCCESS")
    made = Counter(event.asset for event in events if event.asset)
    runs = list(dict.fromkeys(event.run_id for event in events if event.run_id))
    statuses = dict(platform.rows("select run_id, status from runs"))
    held = platform.held_places()
    client = _log(platform, drill.name).read_text(errors="replace").splitlines()
    return DrillReport(
        name=drill.name,
        what=drill.what,
        moment=moment,
        told=tuple(dict.fromkeys(_sentence(event) for event in events if _is_told(event))),
        client=tuple(dict.fromkeys(line for line in client if line[:1] not in (">", " ", "-", "\t", ""))),
        statuses=tuple(str(statuses[run]) for run in runs if run in statuses),
        attempts={step: count for step, count in began.items() if count > 1},
        doubled=tuple(f"{step} {count} times" for step, count in done.items() if count > 1),
        noted_again=sum(count > 1 for count in made.values()),
        left=(f"{held} places in pools",) if held else (),
        seconds=seconds,
        state=compare_states(platform.finished, platform.home, data_only=platform.is_small),
    )


def _is_told(event: Event) -> bool:
    return event.kind in _TOLD_KINDS or any(word in event.message for word in _TOLD_WORDS)


def _sentence(event: Event) -> str:
    step = f"{event.step.replace('__', '/')}: " if event.step else ""
    return step + " ".join(event.message.split())
