"""How a command runs a job of the platform: in this process, or through the queue of the server form."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from orchestration import checks
from orchestration.run_history import reuse_engines, spare_disk_syncs

# Only our own lines: the framework's would bury them.
_RUN_CONFIG: dict[str, Any] = {"loggers": {"progress": {"config": {}}}}
# The UI lists a run under its job by this label alone: the code location of pyproject.toml and Dagster's name for the
# one repository in it.
_JOB_PAGE_TAG = {".dagster/repository": "__repository__@kilowise"}


@dataclass(frozen=True)
class JobOutcome:
    """How a run of a job ended.

    Attributes:
        succeeded: Whether every step did its work and no gate refused.
        failed_steps: Steps that failed; the gates that refused are among them.
        refused_use_cases: The use case by step of each gate that refused.
    """

    succeeded: bool
    failed_steps: tuple[str, ...] = ()
    refused_use_cases: Mapping[str, str] = field(default_factory=dict)


class JobRunner(Protocol):
    """Runs a job and waits for its end."""

    def run(
        self, job_name: str, *, tags: Mapping[str, str] = ..., asset_selection: Sequence[dg.AssetKey] | None = None
    ) -> JobOutcome:
        """Run a job, or the chosen assets of it, and return how it ended."""
        ...


def refusals(evaluations: Iterable[dg.AssetCheckEvaluation]) -> dict[str, str]:
    """Return the use case by step of each gate that refused."""
    return {
        dg.AssetKey(evaluation.asset_key.path).to_python_identifier(): evaluation.asset_key.path[-1]
        for evaluation in evaluations
        if evaluation.check_name == checks.GATE and not evaluation.passed and evaluation.severity == checks.ERROR
    }


class _InProcess:
    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
        self._definitions, self._instance, self._tags = definitions, instance, tags

    def run(
        self,
        job_name: str,
        *,
        tags: Mapping[str, str] | None = None,
        asset_selection: Sequence[dg.AssetKey] | None = None,
    ) -> JobOutcome:
        result = self._definitions.resolve_job_def(job_name).execute_in_process(
            instance=self._instance,
            run_config=_RUN_CONFIG,
            raise_on_error=False,
            tags={**self._tags, **_JOB_PAGE_TAG, **(tags or {})},
            asset_selection=list(asset_selection) if asset_selection is not None else None,
        )
        return JobOutcome(
            result.success,
            tuple(event.step_key for event in result.get_step_failure_events() if event.step_key),
            refusals(result.get_asset_check_evaluations()),
        )


@contextmanager
def in_this_process(definitions: dg.Definitions, tags: Mapping[str, str]) -> Iterator[JobRunner]:
    """Yield what runs jobs in this process. The caller holds the lock of the home.

    Args:
        definitions: Definitions with the jobs.
        tags: Tags of every run; unfinished runs that carry them are those of a process that was killed.
    """
    with spare_disk_syncs(), reuse_engines(), dg.DagsterInstance.get() as instance:
        _end_dead_runs(instance, tags)
        yield _InProcess(definitions, instance, tags)


def _end_dead_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    """Close the runs of a main job that was killed, or the pool slot that they held would be waited for forever.

    Whoever holds the lock of the home knows that no other main job is alive.
    """
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(tags=dict(tags), statuses=statuses)):
        instance.report_run_failed(run, "The process was killed; a later run took over.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
