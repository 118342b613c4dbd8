"""The main job for the command line: the same jobs as in the UI, in this process, with progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from ml.errors import KilowiseError
from orchestration import checks
from orchestration.definitions import build_definitions
from orchestration.lifecycle import latest_months
from orchestration.marts import current_marts
from orchestration.partitions import partition_range_tags
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES

# Only our own lines: the framework's would bury them.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"progress": {"config": {}}}}


class NoMonthToScoreError(KilowiseError):
    """The data has no as-of month within the platform's monthly partitions."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How the main job ended.

    Attributes:
        failed_steps: Steps that did not do their work.
        refused_use_cases: Use cases whose challenger the gate refused. That is a decision and no failure.
    """

    failed_steps: tuple[str, ...] = ()
    refused_use_cases: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether every step did its work."""
        return not self.failed_steps


def run_jobs(settings: PlatformSettings) -> RunOutcome:
    """Run ``refresh_data``, then ``refresh_models`` for the latest months.

    Raises:
        NoMonthToScoreError: No as-of month of the data is one of the platform's partitions.
    """
    definitions = build_definitions(settings)
    with dg.DagsterInstance.get() as instance:
        data = definitions.resolve_job_def("refresh_data").execute_in_process(
            instance=instance, run_config=_RUN_CONFIG, raise_on_error=False
        )
        if not data.success:
            return RunOutcome(failed_steps=_failed_steps(data))
        tags = partition_range_tags([month.isoformat() for month in _months(settings)])
        job = definitions.resolve_job_def("refresh_models")
        models = job.execute_in_process(instance=instance, run_config=_RUN_CONFIG, raise_on_error=False, tags=tags)
        refused = _refusals(models)
        failed = [step for step in _failed_steps(models) if step not in refused]
        if refused:
            # A refusal stops the steps after it, but the model that is served goes on being scored and reviewed.
            rest = job.execute_in_process(
                instance=instance,
                run_config=_RUN_CONFIG,
                raise_on_error=False,
                tags=tags,
                asset_selection=_stopped_by_refusal(list(refused.values())),
            )
            failed += _failed_steps(rest)
        return RunOutcome(failed_steps=tuple(failed), refused_use_cases=tuple(refused.values()))


def _months(settings: PlatformSettings) -> Sequence[date]:
    marts = current_marts(settings.marts_dir)
    months = latest_months(marts, settings.review_months, settings.first_month)
    if months:
        return months
    everything = latest_months(marts, 1, date.min)
    if not everything:
        raise NoMonthToScoreError(
            "The data describes no complete month: nothing was known by the time a month was over. Old data that is "
            "delivered at once needs known_at in its mapping."
        )
    raise NoMonthToScoreError(
        f"The data ends in {everything[-1]:%Y-%m}, before the first month of the platform: set KILOWISE_FIRST_MONTH to "
        f"the data's first month or earlier (now {settings.first_month.isoformat()})."
    )


def _failed_steps(result: dg.ExecuteInProcessResult) -> tuple[str, ...]:
    return tuple(event.step_key for event in result.get_step_failure_events() if event.step_key)


def _refusals(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the use case by step of each gate that refused."""
    return {
        dg.AssetKey(evaluation.asset_key.path).to_python_identifier(): evaluation.asset_key.path[-1]
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == checks.GATE and not evaluation.passed and evaluation.severity == checks.ERROR
    }


def _stopped_by_refusal(refused: Sequence[str]) -> list[dg.AssetKey]:
    stopped = [use_case for use_case in USE_CASES if use_case.name in refused]
    return [
        *(dg.AssetKey(["predictions", use_case.prediction]) for use_case in stopped),
        *(dg.AssetKey(["monitoring", f"{use_case.name}_drift"]) for use_case in stopped),
        dg.AssetKey(["monitoring", "model_owner_site"]),
    ]
