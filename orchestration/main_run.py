"""The main job for the command line: the same jobs as in the UI, with progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg

from ml.errors import KilowiseError
from orchestration import forms
from orchestration.assets.drift import PIPELINE_HEALTH
from orchestration.assets.transformation import dbt_models_after_scoring
from orchestration.definitions import build_definitions
from orchestration.home_lock import only_main_run
from orchestration.lifecycle import latest_months
from orchestration.marts import current_marts
from orchestration.partitions import partition_range_tags
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES

_MAIN_RUN_TAG = {"kilowise/started_by": "make run"}


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
    with only_main_run(settings.home), forms.job_runner(settings, definitions, _MAIN_RUN_TAG) as runner:
        refresh_data = definitions.resolve_job_def("refresh_data")
        data = runner.run(
            "refresh_data",
            # What tells of predictions waits for those of this run.
            asset_selection=sorted(refresh_data.asset_layer.selected_asset_keys - dbt_models_after_scoring.keys),
        )
        if not data.succeeded:
            return RunOutcome(failed_steps=data.failed_steps)
        tags = partition_range_tags([month.isoformat() for month in months_to_score(settings)])
        models = runner.run("refresh_models", tags=tags)
        refused = models.refused_use_cases
        failed = [step for step in models.failed_steps if step not in refused]
        if refused or failed:
            # A refusal stops the steps after it, but the model that is served goes on being scored and reviewed; and
            # what tells of all use cases must not wait for the one that failed.
            rest = runner.run("refresh_models", tags=tags, asset_selection=_stopped(list(refused.values()), failed))
            failed += rest.failed_steps
        return RunOutcome(failed_steps=tuple(failed), refused_use_cases=tuple(refused.values()))


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
