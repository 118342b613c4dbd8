"""The form of a benchmark: what is measured, against which peer, and how results are kept.

Add a benchmark by writing a function in a module of this package and registering it::

    @benchmark("my_figure", unit="s", bar=30, better="lower")
    def my_figure() -> Measurement:
        ...

and importing the module in ``benchmarks/__main__.py``. A function may return several measurements when one run gives
them all; then it registers all their ids.
"""

import json
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

PROJECT_ROOT = Path(__file__).resolve().parent.parent
RESULTS_PATH = Path(__file__).resolve().parent / "results.json"
FIGURES_PAGE = PROJECT_ROOT / "docs" / "figures.md"
_TABLE_START, _TABLE_END = "<!-- measured: start -->", "<!-- measured: end -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is measured and what it should reach.

    Attributes:
        id: Name of the figure, as in the documentation.
        unit: Unit of the value; ``ratio`` when a peer in the same run gives the scale.
        bar: Value to reach.
        better: Whether a lower or a higher value is better.
    """

    id: str
    unit: str
    bar: float
    better: Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value, with the peer that was measured beside it where there is one."""

    id: str
    value: float
    rows: int | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


BenchmarkFunction = Callable[[], Sequence[Measurement]]
_REGISTRY: list[tuple[tuple[Figure, ...], BenchmarkFunction]] = []


def benchmark(*figures: Figure) -> Callable[[BenchmarkFunction], BenchmarkFunction]:
    """Register a function that measures the given figures."""

    def register(function: BenchmarkFunction) -> BenchmarkFunction:
        _REGISTRY.append((figures, function))
        return function

    return register


def run_benchmarks(only: str | None) -> list[dict[str, object]]:
    """Run the registered benchmarks, keep their results in ``results.json`` and the docs, and return the new ones.

    Raises:
        KeyError: If ``only`` names no registered figure.
    """
    selected = [
        (figures, function) for figures, function in _REGISTRY if only is None or only in {f.id for f in figures}
    ]
    if not selected:
        known = ", ".join(figure.id for figures, _ in _REGISTRY for figure in figures)
        raise KeyError(f"no benchmark {only!r}; known: {known}")
    fresh: list[dict[str, object]] = []
    for figures, function in selected:
        by_id = {figure.id: figure for figure in figures}
        fresh += [_result(by_id[measurement.id], measurement) for measurement in function()]
        _keep(fresh)
    return fresh


def meets_bar(result: dict[str, object]) -> bool:
    """Tell whether a result reaches its bar."""
    figure = next(f for figures, _ in _REGISTRY for f in figures if f.id == result["id"])
    value = float(str(result["value"]))
    return value <= figure.bar if figure.better == "lower" else value >= figure.bar


def _result(figure: Figure, measurement: Measurement) -> dict[str, object]:
    return {
        "id": figure.id,
        "value": round(measurement.value, 3),
        "unit": figure.unit,
        "bar": figure.bar,
        "peer": measurement.peer,
        "peer_value": None if measurement.peer_value is None else round(measurement.peer_value, 3),
        "ratio": None if measurement.ratio is None else round(measurement.ratio, 3),
        "rows": measurement.rows,
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB",
        "commit": _commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _keep(fresh: Sequence[dict[str, object]]) -> None:
    kept = json.loads(RESULTS_PATH.read_text(encoding="utf-8")) if RESULTS_PATH.exists() else []
    merged = {result["id"]: result for result in kept} | {result["id"]: result for result in fresh}
    order = [figure.id for figures, _ in _REGISTRY for figure in figures]
    known = [merged[name] for name in order if name in merged]
    RESULTS_PATH.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    page = FIGURES_PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_TABLE_START)
    _, _, after = rest.partition(_TABLE_END)
    table = f"{_TABLE_START}\n{figures_table(known)}\n{_TABLE_END}"
    FIGURES_PAGE.write_text(before + table + after, encoding="utf-8")


def figures_table(results: Sequence[Mapping[str, object]]) -> str:
    """Return results as the Markdown table of the page on figures."""
    lines = [
        "| id | value | bar | peer and its value | rows | machine | commit | measured at |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        peer = "" if result["peer"] is None else f"{result['peer']}: {result['peer_value']}"
        rows = "" if result["rows"] is None else f"{result['rows']:,}"
        lines.append(
            f"| `{result['id']}` | {result['value']} {result['unit']} | {result['bar']} | {peer} | {rows} | "
            f"{result['machine']} | {result['commit']} | {str(result['measured_at'])[:10]} |"
        )
    return "\n".join(lines)


def _commit() -> str:
    finished = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    return finished.stdout.strip() or "unknown"


@dataclass(slots=True)
class ProcessRun:
    """A finished command: wall time, peak resident memory of its whole process tree, and output."""

    seconds: float
    peak_gb: float
    output: str
    return_code: int


def run_measured(command: Sequence[str], *, cwd: Path, env: dict[str, str]) -> ProcessRun:
    """Run a command and measure it from outside; memory is the sum over its process tree, four times a second."""
    started_at = time.monotonic()
    process = subprocess.Popen(
        list(command), cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = _PeakMemory(process.pid)
    peak.start()
    output, _ = process.communicate()
    seconds = time.monotonic() - started_at
    peak.stop()
    return ProcessRun(seconds, peak.bytes / 2**30, output, process.returncode)


class _PeakMemory(threading.Thread):
    # Walking the process tree takes 15 ms of a core that the measured command could use.
    _INTERVAL_SECONDS = 0.25

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._INTERVAL_SECONDS):
            self.bytes = max(self.bytes, self._tree_bytes())

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _tree_bytes(self) -> int:
        total = 0
        try:
            for process in [self._process, *self._process.children(recursive=True)]:
                total += process.memory_info().rss
        except psutil.NoSuchProcess:  # a child ended between listing and reading
            pass
        return total
