"""Steps on workers of several machines: what a worker does, and what both sides say to each other in Redis.

A worker that starts a step writes down that it did, and renews a lease while it works. It ends the step itself when
it could not renew the lease, or when the run of the step ended without it. Steps of one name take turns, whichever runs
they belong to.
"""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from celery import Celery, Task
from celery.exceptions import Ignore
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task
from kombu import Queue
from redis import Redis
from redis.exceptions import RedisError

from orchestration.forms.run_launcher import connect
from orchestration.forms.server import QUEUES, ServerSettings

_STARTED_SECONDS = 7 * 24 * 3600
_PREFIX = "kilowise:step"
_TURN_SECONDS = 0.5
# Ends a step by an exception: billiard's handler in a worker's process.
_SOFT_STOP = signal.SIGUSR1
# What the worker's process returns when it ended itself: temporary failure, as in sysexits.h.
_EXIT_LOST_LEASE = 75


def new_task_id() -> str:
    """Return the id of a task that nobody has started."""
    return uuid.uuid4().hex


def app_options(server: ServerSettings) -> dict[str, Any]:
    """Return how both sides reach the queue, as arguments of a Celery app."""
    url = server.redis().get_secret_value()
    return {
        "broker": url,
        "backend": url,
        "config_source": {
            "broker_connection_retry_on_startup": True,
            "broker_connection_max_retries": None,
            # Long steps: nothing is delivered again by itself, and a worker takes no step that it cannot start.
            "worker_prefetch_multiplier": 1,
            "worker_disable_prefetch": True,
            "broker_transport_options": {"visibility_timeout": _STARTED_SECONDS, "socket_keepalive": True},
            "redis_socket_keepalive": True,
            "redis_retry_on_timeout": True,
            "result_expires": _STARTED_SECONDS,
            "result_backend_always_retry": True,
            "worker_send_task_events": False,
            # Libraries of the steps keep caches; a fresh process now and then gives the memory back.
            "worker_max_tasks_per_child": 50,
            "worker_hijack_root_logger": False,
            # Dagster captures what a step prints.
            "worker_redirect_stdouts": False,
        },
    }


def configure_queues(app: Celery) -> None:
    """Let an app of dagster-celery use our queues."""
    app.conf.task_queues = [Queue(name) for name in QUEUES]
    app.conf.task_default_queue = QUEUES[0]


class Lease:
    """What Redis knows of a task.

    Args:
        redis: Connection to the queue.
        task_id: Id of the task.
    """

    def __init__(self, redis: Redis, task_id: str) -> None:
        self._redis = redis
        self.task_id = task_id

    @property
    def _started(self) -> str:
        return f"{_PREFIX}:started:{self.task_id}"

    @property
    def _held(self) -> str:
        return f"{_PREFIX}:lease:{self.task_id}"

    def start(self, holder: str) -> bool:
        """Note that the task is started; return False if it was before."""
        return bool(self._redis.set(self._started, holder, nx=True, ex=_STARTED_SECONDS))

    def renew(self, seconds: int) -> None:
        """Hold the lease for some more time."""
        self._redis.set(self._held, "1", ex=seconds)

    def end(self) -> None:
        """Let go of the lease."""
        self._redis.delete(self._held)

    def is_started(self) -> bool:
        """Return whether a worker started the task."""
        return bool(self._redis.exists(self._started))

    def is_held(self) -> bool:
        """Return whether a worker is at the task."""
        return bool(self._redis.exists(self._held))


def forget_task(redis: Redis, task_id: str) -> bool:
    """Let no worker start a task; return False if one did before."""
    return Lease(redis, task_id).start("cancelled")


def is_forgotten(redis: Redis, queue: str) -> bool:
    """Return whether nothing waits in a queue, so that a task that nobody started was lost with Redis."""
    waiting = [redis.llen(_key_of(queue, priority)) for priority in (0, 3, 6, 9)]
    return not any(waiting) and redis.hlen("unacked") == 0


def _key_of(queue: str, priority: int) -> str:
    """Return the list in which kombu keeps tasks of a priority."""
    return f"{queue}\x06\x16{priority}" if priority else queue


class Turn:
    """Steps of one name take turns, whichever runs they belong to.

    Args:
        redis: Connection to the queue.
        step_key: Name of the step.
        task_id: Who wants the turn.
    """

    def __init__(self, redis: Redis, step_key: str, task_id: str) -> None:
        self._redis, self._key, self._task_id = redis, f"{_PREFIX}:turn:{step_key}", task_id

    def take(self, seconds: int) -> bool:
        """Take the turn, or keep it; return False while another has it."""
        if self._redis.set(self._key, self._task_id, nx=True, ex=seconds):
            return True
        holder = self._redis.get(self._key)
        if holder is None or holder.decode() != self._task_id:
            return False
        self._redis.expire(self._key, seconds)
        return True

    def end(self) -> None:
        """Let the next one begin."""
        holder = self._redis.get(self._key)
        if holder is not None and holder.decode() == self._task_id:
            self._redis.delete(self._key)


def holder_of(redis: Redis, step_key: str) -> str | None:
    """Return the process that does a step, as ``host:pid``, or None while nobody does."""
    task_id = redis.get(f"{_PREFIX}:turn:{step_key}")
    holder = redis.get(f"{_PREFIX}:started:{task_id.decode()}") if task_id else None
    return holder.decode() if holder else None


class _Keeper(threading.Thread):
    """Renews lease and turn while a step works, and ends the step when it must not go on."""

    def __init__(self, lease: Lease, turn: Turn, run_id: str, seconds: int) -> None:
        super().__init__(name="lease", daemon=True)
        self._lease, self._turn, self._run_id, self._seconds = lease, turn, run_id, seconds
        self._is_over = threading.Event()

    def run(self) -> None:
        renewed_at = time.monotonic()
        while not self._is_over.wait(self._seconds / 4):
            try:
                self._lease.renew(self._seconds)
                self._turn.take(self._seconds)
                renewed_at = time.monotonic()
            except (RedisError, OSError):
                if time.monotonic() - renewed_at > 0.75 * self._seconds:
                    # Another worker may begin the step any moment now.
                    end_this_process()
                continue
            if has_ended(self._run_id):
                os.kill(os.getpid(), _SOFT_STOP)
                return

    def end(self) -> None:
        self._is_over.set()
        self.join()


def end_this_process() -> None:
    """End this process and what it started, at once."""
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(_EXIT_LOST_LEASE)


def has_ended(run_id: str) -> bool:
    """Return whether a run has ended; False while nobody can tell."""
    import dagster as dg
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with dg.DagsterInstance.get() as instance:
            run = instance.get_run_by_id(run_id)
    except (SQLAlchemyError, dg.DagsterError, DagsterPostgresException):
        return False
    return run is None or run.is_finished


@contextmanager
def holding(lease: Lease, turn: Turn, run_id: str, seconds: int) -> Iterator[None]:
    """Hold the lease and the turn of a step while the context lasts.

    Raises:
        Ignore: If the task was started before, or cancelled, or its run ended while it waited for its turn.
    """
    if not lease.start(f"{os.uname().nodename}:{os.getpid()}"):
        raise Ignore
    lease.renew(seconds)
    while not turn.take(seconds):
        time.sleep(_TURN_SECONDS)
        lease.renew(seconds)
    if has_ended(run_id):
        turn.end()
        raise Ignore
    keeper = _Keeper(lease, turn, run_id, seconds)
    keeper.start()
    try:
        yield
    finally:
        keeper.end()
        turn.end()


class LeasedTask(Task):
    """A task that holds its lease while it works."""

    abstract = True
    redis: Redis
    lease_seconds: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the task; whoever submitted it can see that somebody is at it."""
        step = unpack_value(kwargs["execute_step_args_packed"], as_type=ExecuteStepArgs)
        lease = Lease(self.redis, self.request.id)
        turn = Turn(self.redis, ",".join(step.step_keys_to_execute or ()), self.request.id)
        with holding(lease, turn, step.run_id, self.lease_seconds):
            return self.run(*args, **kwargs)

    def after_return(self, *_args: Any, **_kwargs: Any) -> None:
        """Let go of the lease when the result is stored."""
        Lease(self.redis, self.request.id).end()


def build_worker_app(server: ServerSettings) -> Celery:
    """Return the app of a worker: it does steps and nothing else."""
    app = make_app({**app_options(server), "task_cls": LeasedTask})
    configure_queues(app)
    LeasedTask.redis = connect(server)
    LeasedTask.lease_seconds = server.lease_seconds
    create_task(app)
    return app
