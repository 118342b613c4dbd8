"""How the pipeline grows: a law per stage from the runs of `benchmarks.scale`, and from the laws a plan for a province.

`python -m benchmarks.growth` writes both into ``docs/scale.md``. Nothing here is measured beyond the largest run that
was kept: what is said of more customers follows from the laws and from the assumptions that stand beside them.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.harness import PROJECT_ROOT
from benchmarks.scale import START_UP, ScaleRun, Stage, read_runs

PAGE = PROJECT_ROOT / "docs" / "scale.md"
TABLE_START, TABLE_END = "<!-- growth: start -->", "<!-- growth: end -->"
PLANNED_CUSTOMERS = (1_000_000, 10_000_000, 50_000_000)
SIMULATOR = "inbox/deliveries"
"""Makes the files that a supplier delivers; no part of a plan."""
LEARNS_FROM_SAMPLE = (
    "sufficiency/segmentation",
    "sufficiency/tariff_matching",
    "models/segmentation",
    "models/tariff_matching",
)
"""Stages that look at no more customers than ``KILOWISE_TRAINING_CUSTOMERS``."""
SAMPLE_CUSTOMERS = 20_000
READS_INTERVALS = ("land_deliveries", "dbt_models")
"""Stages whose work is that of the readings."""
ON_THE_CLUSTER = ("dbt_models", "dbt_models_after_scoring", "predictions/")
"""Starts of the names of stages that the cluster form shares out."""
OF_FLAT_MEMORY = ("land_deliveries", "dbt_models", "predictions/", "releases/tariff_matching")
"""Starts of the names of stages that hold no more than an engine's limit, or a part of the customers."""
SMALLEST_SECONDS = 1.0
"""Processor time below which a stage only started up."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a plan takes for granted.

    Attributes:
        readings_per_day: Readings of a customer on a day; the runs have 24.
        window_hours: Time for the whole pipeline of twelve months.
        node_cores: Cores of a machine.
        node_gb: Memory of a machine.
        efficiency: Share of the cores' time that is spent on the work itself.
        spark_factor: Processor time of Spark against DuckDB for the same models.
        replicas: Copies that the shared storage keeps.
    """

    readings_per_day: int = 96
    window_hours: float = 8.0
    node_cores: int = 16
    node_gb: float = 64.0
    efficiency: float = 0.7
    spark_factor: float = 10.0
    replicas: int = 2


@dataclass(frozen=True, slots=True)
class Law:
    """How one quantity grows: in proportion to customers to the power of the slope.

    Attributes:
        slope: 1 is linear, 0 does not grow.
        lower: Lower end of its 95 % interval; minus infinity with two runs, which no line can miss.
        upper: Upper end.
    """

    slope: float
    lower: float
    upper: float


def fit_law(customers: Sequence[int], values: Sequence[float]) -> Law:
    """Fit the slope of the logarithms by least squares, with its interval by Student's t."""
    x, y = np.log(customers), np.log(values)
    fitted = stats.linregress(x, y)
    degrees = len(x) - 2
    half = float(stats.t.ppf(0.975, degrees) * fitted.stderr) if degrees else math.inf
    return Law(float(fitted.slope), float(fitted.slope) - half, float(fitted.slope) + half)


def stage_values(runs: Sequence[ScaleRun], name: str, value: Callable[[Stage], float]) -> dict[int, float]:
    """Return a quantity of a stage by customers, where the stage had something to do.

    A stage without a released model, or with too little data, says in a moment that there is nothing to do.
    """
    return {
        run.customers: value(stage)
        for run in runs
        for stage in run.stages
        if stage.name == name and stage.cpu_seconds >= SMALLEST_SECONDS
    }


def foretold(runs: Sequence[ScaleRun], name: str, value: Callable[[Stage], float], customers: int) -> float:
    """Return what a stage is expected to need: the largest run, grown by its law and never less than in proportion.

    A start-up that does not grow makes a small run look cheap per customer, so a slope below one is not believed.
    Stages that learn from a sample stay as they are from its size on.
    """
    known = stage_values(runs, name, value)
    if not known:
        return 0.0
    largest = max(known)
    if name in LEARNS_FROM_SAMPLE:
        customers = min(customers, max(SAMPLE_CUSTOMERS, largest))
    slope = fit_law(list(known), list(known.values())).slope if len(known) > 1 else 1.0
    return known[largest] * float(customers / largest) ** max(1.0, slope)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supplier needs for the whole pipeline of twelve months.

    Attributes:
        customers: Size of the supplier.
        storage_tb: Home and shared storage, with its copies.
        one_machine_hours: Hours of one machine with DuckDB, all cores at work.
        cluster_core_hours: Core hours of the stages that the cluster shares out.
        cluster_nodes: Machines that do them within the window.
        one_process_hours: Hours of the stages that one process does, one core each.
        longest_stage: The longest of these.
    """

    customers: int
    storage_tb: float
    one_machine_hours: float
    cluster_core_hours: float
    cluster_nodes: int
    one_process_hours: float
    longest_stage: str


def plan(runs: Sequence[ScaleRun], customers: int, assumed: Assumptions) -> Plan:
    """Work out what a supplier of a size needs."""
    density = assumed.readings_per_day / 24
    hours = {
        name: foretold(runs, name, _cpu_seconds, customers) * (density if name in READS_INTERVALS else 1.0) / 3600
        for name in _stages(runs)
    }
    shared = {name: value for name, value in hours.items() if name.startswith(ON_THE_CLUSTER)}
    alone = {name: value for name, value in hours.items() if name not in shared}
    core_hours = sum(
        value * (assumed.spark_factor if name.startswith("dbt") else 1.0) for name, value in shared.items()
    )
    largest = max(runs, key=lambda run: run.customers)
    storage_gb = largest.disk_gb * customers / largest.customers * density * assumed.replicas
    usable_cores = assumed.node_cores * assumed.efficiency
    return Plan(
        customers=customers,
        storage_tb=storage_gb / 1024,
        one_machine_hours=sum(hours.values()) / usable_cores,
        cluster_core_hours=core_hours,
        cluster_nodes=math.ceil(core_hours / (assumed.window_hours * usable_cores)),
        one_process_hours=sum(alone.values()),
        longest_stage=max(alone, key=lambda name: alone[name]),
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a stage first outgrows a machine.

    Attributes:
        stage: The stage.
        customers: From this size on.
        why: What runs out.
    """

    stage: str
    customers: int
    why: str


def limits(runs: Sequence[ScaleRun], assumed: Assumptions) -> list[Limit]:
    """Return where each stage of one machine outgrows it, the first to break first."""
    density = assumed.readings_per_day / 24
    found = []
    for name in _stages(runs):
        growing = density if name in READS_INTERVALS else 1.0
        cores = assumed.node_cores * assumed.efficiency if name in READS_INTERVALS else 1.0
        for size in _sizes():
            if foretold(runs, name, _cpu_seconds, size) * growing / cores > assumed.window_hours * 3600:
                found.append(Limit(name, size, f"takes longer than {assumed.window_hours:.0f} hours"))
                break
        for size in _sizes():
            if _memory_gb(runs, name, size) > assumed.node_gb:
                found.append(Limit(name, size, f"holds more than {assumed.node_gb:.0f} GB"))
                break
    return sorted(found, key=lambda limit: (limit.customers, limit.stage))


def _memory_gb(runs: Sequence[ScaleRun], name: str, customers: int) -> float:
    """Return the memory by a line through the two largest runs: what a process has from its start does not grow."""
    known = sorted(stage_values(runs, name, lambda stage: stage.peak_gb).items())
    if len(known) < 2 or name in LEARNS_FROM_SAMPLE or name.startswith(OF_FLAT_MEMORY):
        return known[-1][1] if known else 0.0
    (smaller, before), (larger, after) = known[-2:]
    return after + max(0.0, (after - before) / (larger - smaller)) * (customers - larger)


def _sizes() -> list[int]:
    """Return two sizes per doubling, from ten thousand to forty million."""
    return [round(2.0 ** (half / 2)) * 10_000 for half in range(25)]


def _cpu_seconds(stage: Stage) -> float:
    return stage.cpu_seconds


def _stages(runs: Sequence[ScaleRun]) -> list[str]:
    largest = max(runs, key=lambda run: run.customers)
    return [stage.name for stage in largest.stages if stage.name not in (SIMULATOR, START_UP)]


def growth_tables(runs: Sequence[ScaleRun], assumed: Assumptions | None = None) -> str:
    """Return laws, plan and limits as Markdown."""
    assumed = assumed or Assumptions()
    return "\n\n".join([_totals(runs), _laws(runs), _plans(runs, assumed), _limits(runs, assumed)])


def _totals(runs: Sequence[ScaleRun]) -> str:
    lines = [
        "| customers | rows delivered | processor s | peak GB | home GB | commit | machine |",
        "| ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    lines += [
        f"| {run.customers:,} | {run.rows:,} | {run.cpu_seconds:,.0f} | {run.peak_gb:.2f} | {run.disk_gb:.2f} | "
        f"{run.commit} | {run.machine} |"
        for run in runs
    ]
    return "\n".join(lines)


def _laws(runs: Sequence[ScaleRun]) -> str:
    sizes = [run.customers for run in runs]
    head = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"| stage: processor s (peak GB) | {head} | slope of time (95 %) | slope of memory |",
        f"| --- | {' | '.join('---:' for _ in sizes)} | --- | --- |",
    ]
    by_size = {run.customers: {stage.name: stage for stage in run.stages} for run in runs}
    for name in [SIMULATOR, *_stages(runs)]:
        if not stage_values(runs, name, _cpu_seconds):
            continue
        stages = [by_size[size].get(name) for size in sizes]
        cells = " | ".join(
            f"{stage.cpu_seconds:.1f} ({stage.peak_gb:.2f})" if stage and stage.cpu_seconds >= SMALLEST_SECONDS else ""
            for stage in stages
        )
        lines.append(f"| `{name}` | {cells} | {_slope(runs, name, _cpu_seconds)} | {_slope(runs, name, _peak_gb)} |")
    return "\n".join(lines)


def _peak_gb(stage: Stage) -> float:
    return stage.peak_gb


def _slope(runs: Sequence[ScaleRun], name: str, value: Callable[[Stage], float]) -> str:
    known = stage_values(runs, name, value)
    if len(known) < 2:
        return ""
    law = fit_law(list(known), list(known.values()))
    return f"{law.slope:.2f}" if math.isinf(law.lower) else f"{law.slope:.2f} ({law.lower:.2f} to {law.upper:.2f})"


def _plans(runs: Sequence[ScaleRun], assumed: Assumptions) -> str:
    lines = [
        f"| customers, {assumed.readings_per_day} readings a day | storage TB | DuckDB on one machine of "
        f"{assumed.node_cores} cores: hours | cluster: core hours | machines for {assumed.window_hours:.0f} hours | "
        "one process: hours | the longest of them |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {one.customers:,} | {one.storage_tb:,.1f} | {one.one_machine_hours:,.0f} | {one.cluster_core_hours:,.0f} | "
        f"{one.cluster_nodes:,} | {one.one_process_hours:,.1f} | `{one.longest_stage}` |"
        for one in (plan(runs, customers, assumed) for customers in PLANNED_CUSTOMERS)
    ]
    return "\n".join(lines)


def _limits(runs: Sequence[ScaleRun], assumed: Assumptions) -> str:
    lines = ["| breaks from about | stage | why |", "| ---: | --- | --- |"]
    lines += [f"| {one.customers:,} customers | `{one.stage}` | {one.why} |" for one in limits(runs, assumed)]
    return "\n".join(lines)


def write_page(runs: Sequence[ScaleRun], page: Path = PAGE) -> None:
    """Renew the tables between the marks of the page.

    Raises:
        ValueError: The page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    before, start, rest = text.partition(TABLE_START)
    _, end, after = rest.partition(TABLE_END)
    if not start or not end:
        raise ValueError(f"{page} has no {TABLE_START} and {TABLE_END}")
    page.write_text(f"{before}{TABLE_START}\n{growth_tables(runs)}\n{TABLE_END}{after}", encoding="utf-8")


def main() -> int:
    """Renew the page from the runs that were kept."""
    runs = read_runs()
    if not runs:
        print("No run is kept: measure some sizes first, such as `python -m benchmarks.scale 2000`.", file=sys.stderr)
        return 1
    write_page(runs)
    print(growth_tables(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
