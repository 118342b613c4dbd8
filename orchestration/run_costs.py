"""What each step of a run cost: processor time, memory and bytes, as metadata in the run's log and summed by job.

Steps of a process follow one another, so a step's cost is what the process used since the step before it ended, and
its first step's what it used since the assets were loaded. Programs that a step starts, such as dbt, count once they
have ended. The figures are those of Linux; elsewhere there are none.
"""

import os
import resource
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.decorators.hook_decorator import event_list_hook
from dagster._core.definitions.events import HookExecutionResult
from dagster._core.events import EngineEventData

CPU_SECONDS = "cpu seconds"
PEAK_MEMORY_MB = "peak memory MB"
READ_MB = "read MB"
WRITTEN_MB = "written MB"

_MESSAGE = "Cost of the step"
_PROCESS = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Counters:
    """What a process, and the programs that it started and that ended, have used so far.

    Attributes:
        pid: The process; a forked one begins at zero.
        cpu_seconds: In user and kernel mode, of all threads.
        children_cpu_seconds: The part of ended programs.
        read_bytes: Bytes that came from the disk, not from its cache.
        written_bytes: Bytes that were sent to it.
    """

    pid: int
    cpu_seconds: float = 0.0
    children_cpu_seconds: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step, or all steps of a run, cost.

    Attributes:
        cpu_seconds: Processor time.
        peak_memory_bytes: Largest memory of the process, or of a program that it started.
        read_bytes: Bytes read from the disk.
        written_bytes: Bytes written to it.
    """

    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both; the memory of one is free again when the other begins."""
        return Cost(
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_memory_bytes, other.peak_memory_bytes),
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
        )

    def metadata(self) -> dict[str, float]:
        """Return it as a run's log shows it."""
        return {
            CPU_SECONDS: round(self.cpu_seconds, 2),
            PEAK_MEMORY_MB: round(self.peak_memory_bytes / 1e6, 1),
            READ_MB: round(self.read_bytes / 1e6, 1),
            WRITTEN_MB: round(self.written_bytes / 1e6, 1),
        }


def read_counters() -> Counters | None:
    """Return what this process has used; None where the system does not tell."""
    try:
        lines = (_PROCESS / "io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    disk = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    times = os.times()
    children = times.children_user + times.children_system
    return Counters(
        os.getpid(), times.user + times.system + children, children, disk["read_bytes"], disk["write_bytes"]
    )


def _peak_memory_bytes(*, had_programs: bool) -> int:
    """Return the largest memory since the last call, and let the system count anew."""
    status = (_PROCESS / "status").read_text(encoding="ascii", errors="replace")
    own = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    with suppress(OSError):
        # Resets the peak; https://www.kernel.org/doc/html/latest/filesystems/proc.html, clear_refs.
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    # The system keeps the largest of all programs that ended, so a step after a larger one is told too much.
    programs = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 if had_programs else 0
    return max(own, programs)


class _Meter:
    """Remembers what the process had used when the step before ended."""

    def __init__(self) -> None:
        self._before = read_counters()

    def lap(self) -> Cost | None:
        now = read_counters()
        before = self._before
        self._before = now
        if now is None:
            return None
        if before is None or before.pid != now.pid:
            before = Counters(now.pid)
        return Cost(
            now.cpu_seconds - before.cpu_seconds,
            _peak_memory_bytes(had_programs=now.children_cpu_seconds > before.children_cpu_seconds),
            max(0, now.read_bytes - before.read_bytes),
            max(0, now.written_bytes - before.written_bytes),
        )


_METER = _Meter()


# Not a pair of hooks for success and failure: each would report that it was left out whenever the other one worked.
@event_list_hook(name="cost_of_step")
def _cost_of_step(context: dg.HookContext, event_list: Sequence[dg.DagsterEvent]) -> HookExecutionResult:
    del event_list  # Dagster demands the name
    cost = _METER.lap()
    if cost is not None:
        context.instance.report_engine_event(
            _MESSAGE,
            engine_event_data=EngineEventData(metadata=cost.metadata()),
            run_id=context.run_id,
            job_name=context.job_name,
            step_key=context.step_key,
        )
    return HookExecutionResult(hook_name="cost_of_step", is_skipped=False)


STEP_COSTS = frozenset({_cost_of_step})
"""The hook that reports the cost of every step; each job has it."""


def cost_of_run(instance: dg.DagsterInstance, run_id: str) -> Cost | None:
    """Return the cost of all steps of a run; None where none was reported."""
    costs = list(_reported(instance, run_id))
    return sum(costs, Cost()) if costs else None


def _reported(instance: dg.DagsterInstance, run_id: str) -> Iterable[Cost]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event is None or event.message != _MESSAGE:
            continue
        found = event.engine_event_data.metadata
        if found.keys() >= {CPU_SECONDS, PEAK_MEMORY_MB, READ_MB, WRITTEN_MB}:
            cpu_seconds, peak, read, written = (
                float(str(found[name].value)) for name in (CPU_SECONDS, PEAK_MEMORY_MB, READ_MB, WRITTEN_MB)
            )
            yield Cost(cpu_seconds, int(peak * 1e6), int(read * 1e6), int(written * 1e6))
