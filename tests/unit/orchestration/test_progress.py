"""What a person sees in the terminal while a job works."""

import logging
import time
from pathlib import Path

import dagster as dg
import pytest

from ml.errors import KilowiseError
from orchestration.progress import _ProgressHandler, progress_logger


class TooFewBillsError(KilowiseError):
    """Raised by the asset of this test."""


@dg.asset(key=["bills", "count"])
def counted(context: dg.AssetExecutionContext) -> None:
    context.log.info("300 bills counted")
    context.log.debug("not for a person")


@dg.asset(key=["bills", "sum"], deps=[counted])
def summed() -> None:
    raise TooFewBillsError("bills.csv has 3 bills, 300 are needed; deliver the other months")


@dg.asset(key=["bills", "mean"], deps=[summed])
def averaged() -> None:
    """Never runs."""


def progress_of(assets: list[dg.AssetsDefinition], capsys: pytest.CaptureFixture[str], home: Path) -> list[str]:
    """Run the assets and return the lines without their times."""
    definitions = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("count")],
        loggers={"progress": progress_logger},
        executor=dg.in_process_executor,
    )
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        definitions.resolve_job_def("count").execute_in_process(
            instance=instance, run_config={"loggers": {"progress": {"config": {}}}}, raise_on_error=False
        )
    return [line.split("] ", 1)[1] for line in capsys.readouterr().err.splitlines() if line.startswith("[")]


def test_each_step_has_its_start_its_messages_and_its_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    start, message, end = progress_of([counted], capsys, tmp_path)

    assert start == "> bills/count"
    assert message == "  300 bills counted"
    assert end.startswith("  done in ")
    assert end.endswith(" s")


def test_clock_goes_on_from_one_job_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = _ProgressHandler(), _ProgressHandler()

    first.emit(logging.makeLogRecord({"msg": "bills counted", "levelno": logging.INFO}))
    time.sleep(0.2)
    second.emit(logging.makeLogRecord({"msg": "bills summed", "levelno": logging.INFO}))

    earlier, later = (float(line[1:].split()[0]) for line in capsys.readouterr().err.splitlines())
    assert later > earlier


def test_failure_names_step_and_cause_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = progress_of([counted, summed, averaged], capsys, tmp_path)

    [failure] = [line for line in lines if line.startswith("!")]
    assert failure.startswith("! bills/sum failed: ")
    assert failure.endswith("TooFewBillsError: bills.csv has 3 bills, 300 are needed; deliver the other months")
    assert not any("> bills/mean" in line for line in lines)


@dg.asset(
    key=["bills", "gate"], check_specs=[dg.AssetCheckSpec("release_gate", asset=["bills", "gate"], blocking=True)]
)
def refused(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("Refused: too few bills.")
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="release_gate")])


def test_blocking_check_reads_as_a_decision(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert progress_of([refused], capsys, tmp_path)[1:] == [
        "  Refused: too few bills.",
        "! bills/gate stops what follows it: release_gate did not pass",
    ]
