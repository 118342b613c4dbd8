"""The main job for the command line: the same jobs as in the UI, in this process, with progress."""

from typing import Any

import dagster as dg

from orchestration.definitions import build_definitions
from orchestration.lifecycle import latest_months
from orchestration.marts import current_marts
from orchestration.partitions import partition_range_tags
from orchestration.settings import PlatformSettings

# Only our own lines: the framework's would bury them.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"progress": {"config": {}}}}


def run_jobs(settings: PlatformSettings) -> bool:
    """Run ``refresh_data``, then ``refresh_models`` for the latest months; return whether all steps succeeded."""
    definitions = build_definitions(settings)
    with dg.DagsterInstance.get() as instance:
        data = definitions.resolve_job_def("refresh_data").execute_in_process(
            instance=instance, run_config=_RUN_CONFIG, raise_on_error=False
        )
        if not data.success:
            return False
        months = latest_months(current_marts(settings.marts_dir), settings.review_months, settings.first_month)
        models = definitions.resolve_job_def("refresh_models").execute_in_process(
            instance=instance,
            run_config=_RUN_CONFIG,
            raise_on_error=False,
            tags=partition_range_tags([month.isoformat() for month in months]),
        )
        return models.success
