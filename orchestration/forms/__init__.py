"""The forms in which the platform runs: the only place that decides by ``KILOWISE_PROFILE``.

What a form needs is imported when it is asked for, so that the embedded default loads none of it.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orchestration.forms.errors import GroupMissingError
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import dagster as dg

EMBEDDED = "embedded"
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
