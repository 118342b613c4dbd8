"""The cost of steps: what they used and not what others did, summed by run."""

import multiprocessing
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from orchestration import jobs
from orchestration.run_costs import STEP_COSTS, Cost, cost_of_run, read_counters

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system tells no costs of processes")

MEGABYTES = 60


@dg.op
def work_hard() -> None:
    until = time.process_time() + 0.3
    while time.process_time() < until:
        sum(range(1000))


@dg.op(ins={"start": dg.In(dg.Nothing)})
def take_memory() -> None:
    block = bytearray(MEGABYTES * 1_000_000)
    for position in range(0, len(block), 4096):
        block[position] = 1


@dg.op(ins={"start": dg.In(dg.Nothing)})
def start_a_program() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)


@dg.job(hooks=STEP_COSTS)
def costly() -> None:
    start_a_program(take_memory(work_hard()))


def events_of(instance: dg.DagsterInstance, run_id: str) -> dict[str | None, dict[str, float]]:
    found = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        if entry.dagster_event is not None and entry.step_key:
            metadata = entry.dagster_event.engine_event_data.metadata
            found[entry.step_key] = {name: float(value.value) for name, value in metadata.items()}
    return found


def run_costly() -> tuple[dict[str | None, dict[str, float]], Cost | None]:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = costly.execute_in_process(instance=instance).run_id
        return events_of(instance, run_id), cost_of_run(instance, run_id)


def test_each_step_is_told_what_it_used_and_the_run_the_sum() -> None:
    # In a process of its own: this one, and programs that earlier tests started, may have been larger.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        steps, total = pool.submit(run_costly).result()

    assert set(steps) == {"work_hard", "take_memory", "start_a_program"}
    # The system counts in hundredths of a second and rounds each down.
    assert steps["start_a_program"]["cpu seconds"] >= 0.25
    assert steps["take_memory"]["peak memory MB"] >= steps["start_a_program"]["peak memory MB"] + MEGABYTES / 2
    assert total is not None
    assert total.cpu_seconds == pytest.approx(sum(step["cpu seconds"] for step in steps.values()))
    assert total.peak_memory_bytes == int(max(step["peak memory MB"] for step in steps.values()) * 1e6)


def test_a_run_from_before_costs_were_told_has_none() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert cost_of_run(instance, "no-such-run") is None


def test_costs_add_up_but_memory_is_the_largest() -> None:
    assert Cost(1.0, 50, 3, 4) + Cost(2.0, 20, 30, 40) == Cost(3.0, 50, 33, 44)


def test_counters_only_grow() -> None:
    first, second = read_counters(), read_counters()
    assert first is not None
    assert second is not None
    assert second.cpu_seconds >= first.cpu_seconds


def test_every_job_tells_its_costs() -> None:
    assert [job.name for job in (*jobs.ASSET_JOBS, *jobs.SINGLE_JOBS) if not set(hooks_of(job)) >= STEP_COSTS] == []


def hooks_of(job: object) -> set[dg.HookDefinition]:
    return set(getattr(job, "hooks", None) or getattr(job, "hook_defs", ()))
