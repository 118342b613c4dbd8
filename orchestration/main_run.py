"""The main job for the command line: the same jobs as in the UI, in this process, with progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from ml.errors import KilowiseError
from orchestration import checks
from orchestration.assets.drift import PIPELINE_HEALTH
from orchestration.assets.transformation import dbt_models_after_scoring
from orchestration.definitions import build_definitions
from orchestration.home_lock import only_main_run
from orchestration.lifecycle import latest_months
from orchestration.marts import current_marts
from orchestration.partitions import partition_range_tags
from orchestration.run_history import reuse_engines, spare_disk_syncs
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES

# Only our own lines: the framework's would bury them.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"progress": {"config": {}}}}

_MAIN_RUN_TAG = {"kilowise/started_by": "make run"}
# The UI lists a run under its job by this label alone: the code location of pyproject.toml and Dagster's name for the
# one repository in it.
_JOB_PAGE_TAG = {".dagster/repository": "__repository__@kilowise"}


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
        MainRunBusyError: Another process runs the main job in this home.
        NoMonthToScoreError: No as-of month of the data is one of the platform's partitions.
    """
    definitions = build_definitions(settings)
    with (
        only_main_run(settings.home),
        spare_disk_syncs(),
        reuse_engines(),
        dg.DagsterInstance.get() as instance,
    ):
        _end_dead_runs(instance)
        refresh_data = definitions.resolve_job_def("refresh_data")
        data = refresh_data.execute_in_process(
            instance=instance,
            run_config=_RUN_CONFIG,
            raise_on_error=False,
            tags=_MAIN_RUN_TAG | _JOB_PAGE_TAG,
            # What tells of predictions waits for those of this run.
            asset_selection=sorted(refresh_data.asset_layer.selected_asset_keys - dbt_models_after_scoring.keys),
        )
        if not data.success:
            return RunOutcome(failed_steps=_failed_steps(data))
        tags = (
            _MAIN_RUN_TAG
            | _JOB_PAGE_TAG
            | partition_range_tags([month.isoformat() for month in months_to_score(settings)])
        )
        job = definitions.resolve_job_def("refresh_models")
        models = job.execute_in_process(instance=instance, run_config=_RUN_CONFIG, raise_on_error=False, tags=tags)
        refused = _refusals(models)
        failed = [step for step in _failed_steps(models) if step not in refused]
        if refused or failed:
            # A refusal stops the steps after it, but the model that is served goes on being scored and reviewed; and
            # what tells of all use cases must not wait for the one that failed.
            rest = job.execute_in_process(
                instance=instance,
                run_config=_RUN_CONFIG,
                raise_on_error=False,
                tags=tags,
                asset_selection=_stopped(list(refused.values()), failed),
            )
            failed += _failed_steps(rest)
        return RunOutcome(failed_steps=tuple(failed), refused_use_cases=tuple(refused.values()))


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Close the runs of a main job that was killed, or the pool slot that they held would be waited for forever.

    Whoever holds the lock of the home knows that no other main job is alive.
    """
    unfinished = dg.RunsFilter(tags=_MAIN_RUN_TAG, statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(unfinished):
        instance.report_run_failed(run, "The process was killed; a later run took over.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def months_to_score(settings: PlatformSettings) -> Sequence[date]:
    """Return the latest as-of months of the published marts, as many as are reviewed, oldest first.

    Raises:
        NoMonthToScoreError: The data has no as-of month, or none from the platform's first month on.
    """
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


def _stopped(refused: Sequence[str], failed: Sequence[str]) -> list[dg.AssetKey]:
    """Return what is left to do after refusals and failures; a step that failed itself is not tried again."""
    stopped = [use_case for use_case in USE_CASES if use_case.name in refused]
    after_models = [] if dbt_models_after_scoring.op.name in failed else sorted(dbt_models_after_scoring.keys)
    pages = [PIPELINE_HEALTH, dg.AssetKey(["monitoring", "model_owner_site"])]
    return [
        *(dg.AssetKey(["predictions", use_case.prediction]) for use_case in stopped),
        *(dg.AssetKey(["monitoring", f"{use_case.name}_drift"]) for use_case in stopped),
        *after_models,
        *(page for page in pages if page.to_python_identifier() not in failed),
    ]
