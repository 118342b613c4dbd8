"""The full pipeline at growing numbers of customers: time, processor time and peak memory of every stage.

`python -m benchmarks.scale CUSTOMERS` runs it once, in a process and a home of its own, and keeps the run in
``growth.json``, from which `benchmarks.growth` fits how each stage grows.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark
from ml.errors import KilowiseError

GROWTH_PATH = Path(__file__).resolve().parent / "growth.json"
MONTHS = 12
START_UP = "start"
DISK_BYTES_PER_CUSTOMER_MONTH = 14_000
"""Of a finished home with hourly readings: 600 MB for 2,000 customers and 25 months, and a sixth for what grows."""
DISK_RESERVE_BYTES = 4 * 2**30
_STEP_LINE = re.compile(r"^\[\s*[\d.]+ s\] > (\S+)")
_ROWS_IN = re.compile(r"([\d,]+) rows in =")
_SAMPLE_SECONDS = 0.25
_SHOWN_ON_FAILURE = 4000


class DiskTooSmallError(KilowiseError):
    """The disk has no room for a run of this size."""


@dataclass(slots=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: Asset or step, as the progress shows it.
        seconds: Wall time.
        cpu_seconds: Time of the processors, of all processes and threads.
        peak_gb: Most resident memory of the process tree while it ran.
    """

    name: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class ScaleRun:
    """One run of the whole pipeline.

    Attributes:
        customers: Simulated customers.
        months: Months of hourly readings.
        rows: Rows that were delivered.
        seconds: Wall time from the start of the process to its end.
        cpu_seconds: Time of the processors.
        peak_gb: Most resident memory of the process tree.
        disk_gb: Size of the home afterwards.
        stages: Steps in their order; the same name once.
        commit: Code that ran.
        machine: What it ran on.
        measured_at: When, UTC.
    """

    customers: int
    months: int
    rows: int
    seconds: float
    cpu_seconds: float
    peak_gb: float
    disk_gb: float
    stages: tuple[Stage, ...]
    commit: str = ""
    machine: str = ""
    measured_at: str = ""


@benchmark(
    Figure("scale_20000_seconds", unit="s", bar=900, better="lower"),
    Figure("scale_20000_peak_gb", unit="GB", bar=8, better="lower"),
)
def scale_20000() -> Sequence[Measurement]:
    """Run the full pipeline for 20,000 customers and twelve months of hourly readings, and renew the laws."""
    # It reads the runs that are kept here.
    from benchmarks.growth import write_page

    run = measure_pipeline(20_000)
    keep(run)
    write_page(read_runs())
    return [
        Measurement("scale_20000_seconds", run.seconds, rows=run.rows),
        Measurement("scale_20000_peak_gb", run.peak_gb, rows=run.rows),
    ]


def check_disk(customers: int, months: int, free_bytes: int) -> None:
    """Refuse a run that would fill the disk.

    Raises:
        DiskTooSmallError: The home of the run would not fit.
    """
    needed = customers * months * DISK_BYTES_PER_CUSTOMER_MONTH + DISK_RESERVE_BYTES
    if needed > free_bytes:
        most = max(0, free_bytes - DISK_RESERVE_BYTES) // (months * DISK_BYTES_PER_CUSTOMER_MONTH)
        raise DiskTooSmallError(
            f"{customers:,} customers x {months} months need about {needed / 2**30:.0f} GB of disk and "
            f"{free_bytes / 2**30:.0f} GB are free: point TMPDIR to a larger disk, or measure {most:,} at most."
        )


def measure_pipeline(customers: int, months: int = MONTHS) -> ScaleRun:
    """Run the main job for a simulated supplier in an empty home that is removed afterwards.

    Raises:
        DiskTooSmallError: The home of the run would not fit.
        RuntimeError: If the run does not end well.
    """
    check_disk(customers, months, shutil.disk_usage(tempfile.gettempdir()).free)
    with tempfile.TemporaryDirectory(prefix="kilowise-scale-") as folder:
        home = Path(folder)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("KILOWISE_", "DAGSTER_"))}
        environment |= {
            "KILOWISE_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "BENTOML_HOME": str(home / "models"),
            "KILOWISE_SIMULATED_CUSTOMERS": str(customers),
            "KILOWISE_SIMULATED_MONTHS": str(months),
            "PYTHONUTF8": "1",
            # dbt is started by name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        started_at = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "run"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watcher = _Watcher(process)
        watcher.start()
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if step := _STEP_LINE.match(line):
                watcher.enter(step.group(1))
        process.wait()
        seconds = time.monotonic() - started_at
        stages = watcher.finish()
        output = "".join(lines)
        if process.returncode != 0:
            raise RuntimeError(f"the pipeline of {customers:,} customers failed:\n{output[-_SHOWN_ON_FAILURE:]}")
        disk_bytes = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    return ScaleRun(
        customers=customers,
        months=months,
        rows=int(_ROWS_IN.findall(output)[-1].replace(",", "")),
        seconds=round(seconds, 1),
        cpu_seconds=round(sum(stage.cpu_seconds for stage in stages), 1),
        peak_gb=round(max(stage.peak_gb for stage in stages), 3),
        disk_gb=round(disk_bytes / 2**30, 3),
        stages=tuple(stages),
        commit=_commit(),
        machine=f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB",
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def keep(run: ScaleRun, path: Path = GROWTH_PATH) -> None:
    """Keep a run in place of an earlier one of the same size."""
    kept = {(one.customers, one.months): one for one in read_runs(path)} | {(run.customers, run.months): run}
    ordered = [asdict(kept[size]) for size in sorted(kept)]
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def read_runs(path: Path = GROWTH_PATH) -> list[ScaleRun]:
    """Return the runs that were kept, smallest first."""
    if not path.exists():
        return []
    return [
        ScaleRun(**{**one, "stages": tuple(Stage(**stage) for stage in one["stages"])})
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]


@dataclass(slots=True)
class _Watcher:
    """Samples a process tree and books what it uses to the step that runs."""

    process: "subprocess.Popen[str]"
    _stages: dict[str, Stage] = field(default_factory=dict)
    _current: str = START_UP
    _entered_at: float = field(default_factory=time.monotonic)
    _cpu_booked: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def enter(self, name: str) -> None:
        """Book what was used so far to the step before, and what follows to this one."""
        with self._lock:
            self._book()
            self._current, self._entered_at = name, time.monotonic()

    def finish(self) -> list[Stage]:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            # The tree is gone; what it used since the last sample is in the times of reaped children.
            self._stage().seconds += time.monotonic() - self._entered_at
        for stage in self._stages.values():
            stage.seconds, stage.cpu_seconds = round(stage.seconds, 1), round(stage.cpu_seconds, 1)
            stage.peak_gb = round(stage.peak_gb, 3)
        return list(self._stages.values())

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            with self._lock:
                self._book(with_time=False)

    def _stage(self) -> Stage:
        return self._stages.setdefault(self._current, Stage(self._current))

    def _book(self, *, with_time: bool = True) -> None:
        stage = self._stage()
        if with_time:
            stage.seconds += time.monotonic() - self._entered_at
        cpu_seconds, resident_bytes = 0.0, 0
        try:
            root = psutil.Process(self.process.pid)
            for process in [root, *root.children(recursive=True)]:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu_seconds += times.user + times.system + times.children_user + times.children_system
                    resident_bytes += process.memory_info().rss
        except psutil.NoSuchProcess:  # a child ended between listing and reading; the next sample has it
            return
        stage.peak_gb = max(stage.peak_gb, resident_bytes / 2**30)
        # A child that ended is counted by its parent a moment later: time never goes back.
        if cpu_seconds > self._cpu_booked:
            stage.cpu_seconds += cpu_seconds - self._cpu_booked
            self._cpu_booked = cpu_seconds


def _commit() -> str:
    finished = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    return finished.stdout.strip() or "unknown"


def main() -> int:
    """Measure one size, keep it and print its stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", type=int)
    parser.add_argument("--months", type=int, default=MONTHS)
    arguments = parser.parse_args()
    try:
        run = measure_pipeline(arguments.customers, arguments.months)
    except DiskTooSmallError as error:
        print(error, file=sys.stderr)
        return 1
    keep(run)
    print(f"{'stage':42} {'s':>8} {'cpu s':>8} {'GB':>7}")
    for stage in run.stages:
        print(f"{stage.name:42} {stage.seconds:8.1f} {stage.cpu_seconds:8.1f} {stage.peak_gb:7.3f}")
    total = f"{run.customers:,} customers x {run.months} months"
    print(f"{total:42} {run.seconds:8.1f} {run.cpu_seconds:8.1f} {run.peak_gb:7.3f}  {run.disk_gb} GB of disk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
