"""Starts runs beside the code server, and lets run monitoring see when the process of one is gone.

Dagster's own launcher cannot tell: a run whose process was killed would count as at work for ever, with its places in
the queue and its turn at the warehouse.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import DagsterRun
from redis import Redis
from redis.exceptions import RedisError

from orchestration.forms.server import ServerSettings
from orchestration.settings import PlatformSettings

# As `start_timeout_seconds` of deploy/server/dagster.yaml: by then a run has begun, or is closed by that.
_START_SECONDS = 300


def connect(server: ServerSettings) -> Redis:
    """Return a connection to the queue that does not wait for ever."""
    return Redis.from_url(server.redis().get_secret_value(), socket_timeout=10, socket_connect_timeout=5)


class RunLease:
    """The sign of life of a run's process.

    Args:
        redis: Connection to the queue.
        run_id: Id of the run.
    """

    def __init__(self, redis: Redis, run_id: str) -> None:
        self._redis, self._key = redis, f"kilowise:run:{run_id}"

    def renew(self, seconds: int) -> None:
        """Show that the process lives, for some time."""
        self._redis.set(self._key, "1", ex=seconds)

    def is_held(self) -> bool:
        """Return whether the process showed itself lately."""
        return bool(self._redis.exists(self._key))

    @contextmanager
    def held(self, seconds: int) -> Iterator[None]:
        """Show that this process lives, while the context lasts."""
        is_over = threading.Event()

        def keep() -> None:
            while True:
                try:
                    self.renew(seconds)
                except (RedisError, OSError):
                    # Nobody can tell then that it is missing.
                    time.sleep(1)
                if is_over.wait(seconds / 4):
                    return

        keeper = threading.Thread(target=keep, name="run lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, with a sign of life of each run."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the monitoring may ask: yes."""
        return True

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run; until its process shows itself, the launch counts as its sign of life."""
        self._lease(context.dagster_run).renew(_START_SECONDS)
        super().launch_run(context)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a run lives."""
        try:
            is_held = self._lease(run).is_held()
        except (RedisError, OSError):
            # A queue that does not answer says nothing about the run.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Redis does not answer")
        if is_held:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the process of the run gave no sign of life")

    def _lease(self, run: DagsterRun) -> RunLease:
        server = ServerSettings.of(PlatformSettings())
        return RunLease(connect(server), run.run_id)
