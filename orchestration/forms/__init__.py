"""The forms in which the platform runs: the only place that decides by ``KILOWISE_PROFILE``.

What a form needs is imported when it is asked for, so that the embedded default loads none of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orchestration.forms.errors import GroupMissingError
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import dagster as dg

    from orchestration.forms.job_runs import JobRunner

EMBEDDED = "embedded"
DUCKDB, SPARK = "duckdb", "spark"
"""What builds the tables of dbt, under the names that Dagster's UI knows."""
_MODULES_BY_PROFILE: Mapping[str, tuple[str, ...]] = {
    EMBEDDED: (),
    "server": ("dagster_celery", "dagster_postgres", "psycopg2", "redis"),
    "cluster": ("dagster_celery", "dagster_postgres", "psycopg2", "redis", "dbt.adapters.spark", "pyspark"),
}


def require_group(settings: PlatformSettings) -> None:
    """Refuse a profile whose packages are not installed.

    Raises:
        GroupMissingError: If one of them is missing.
    """
    missing = [name for name in _MODULES_BY_PROFILE[settings.profile] if not _is_installed(name)]
    if missing:
        raise GroupMissingError(
            f"KILOWISE_PROFILE={settings.profile} needs packages that are not installed ({', '.join(missing)}): "
            f"run `make env-{settings.profile}`, or set KILOWISE_PROFILE=embedded."
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # A parent of the module is missing.
        return False


def engine(settings: PlatformSettings) -> str:
    """Return what builds the tables of dbt."""
    return SPARK if settings.profile == "cluster" else DUCKDB


def executor(settings: PlatformSettings) -> "dg.ExecutorDefinition":
    """Return what runs the steps of a job: this process, or workers on any machine.

    Raises:
        GroupMissingError: If the packages of the profile are missing.
    """
    if settings.profile == EMBEDDED:
        import dagster as dg

        # One process: starting one per step would cost more than most steps take.
        return dg.in_process_executor
    require_group(settings)
    from orchestration.forms.step_workers import step_workers_executor

    return step_workers_executor


@contextmanager
def job_runner(
    settings: PlatformSettings, definitions: "dg.Definitions", tags: Mapping[str, str]
) -> "Iterator[JobRunner]":
    """Yield what runs jobs for a command: this process, or the queue.

    Args:
        settings: Settings of the platform.
        definitions: Definitions with the jobs.
        tags: Tags of every run.

    Raises:
        FormError: If the form cannot take the jobs.
    """
    if settings.profile == EMBEDDED:
        from orchestration.forms.job_runs import in_this_process

        with in_this_process(definitions, tags) as runner:
            yield runner
        return
    prepare_instance(settings)
    from orchestration.forms.queued_runs import through_the_queue
    from orchestration.forms.server import ServerSettings
    from serving.terminal import say

    with through_the_queue(ServerSettings.of(settings), tags, say) as runner:
        yield runner


def dagster_ui(settings: PlatformSettings) -> tuple[str, str]:
    """Return how the Dagster UI is started, and where it then answers."""
    if settings.profile == EMBEDDED:
        return "make dev", "http://127.0.0.1:3000"
    from orchestration.forms.server import ServerSettings

    return "(it runs)", ServerSettings.of(settings).webserver_url


def prepare_instance(settings: PlatformSettings) -> None:
    """Make ``DagsterInstance.get()`` open the instance of the form, where that is not the embedded one.

    Raises:
        FormError: If the form is not set up, or its database does not answer as it must.
    """
    if settings.profile == EMBEDDED:
        return
    require_group(settings)
    from orchestration.forms.processes import enter_instance
    from orchestration.forms.server import ServerSettings
    from orchestration.forms.server_checks import check_server

    server = ServerSettings.of(settings)
    check_server(server)
    enter_instance(server)
