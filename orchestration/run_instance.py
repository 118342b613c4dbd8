"""The run history, opened by commands that look at it without running anything: the doctor, backups, tidying up."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration import forms
from orchestration.home_lock import is_main_run_at_work
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

MAIN_RUN_TAG = {"kilowise/started_by": "make run"}


@contextmanager
def opened_instance(settings: PlatformSettings) -> "Iterator[DagsterInstance | None]":
    """Open the run history of the form that the settings choose; None where no run was ever started."""
    if settings.profile != forms.EMBEDDED:
        forms.prepare_instance(settings)
    dagster_home = Path(os.environ.get("DAGSTER_HOME", str(settings.home / "dagster")))
    if not (dagster_home / "dagster.yaml").exists():
        yield None
        return
    import dagster as dg

    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        yield instance


def split_runs_at_work(
    settings: PlatformSettings, instance: "DagsterInstance"
) -> "tuple[Sequence[DagsterRun], Sequence[DagsterRun]]":
    """Return the runs that are at work, and those that only say so because their process was killed.

    A main job holds the lock of the home while it lives; of other runs Dagster's own monitoring knows.
    """
    import dagster as dg

    statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    if is_main_run_at_work(settings.home):
        return runs, ()
    dead = [run for run in runs if MAIN_RUN_TAG.items() <= run.tags.items()]
    return [run for run in runs if run not in dead], dead
