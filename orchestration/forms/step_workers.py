"""Steps on workers of several machines: what the run's process does.

dagster-celery gives each step to a queue and waits for its result, for ever if the worker died with it. Here a worker
holds a lease in Redis while it works (`step_tasks.py`); the run's process looks at it, and gives a step whose worker
fell silent, or that a restart of Redis forgot, to another one. Nothing is done twice: a task is started at most once,
and a step that lost its lease is ended by its own worker.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.result import AsyncResult
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.tags import PRIORITY_TAG
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_PLAN_NAME
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor
from redis import Redis
from redis.exceptions import RedisError

from orchestration.forms.run_launcher import RunLease, connect
from orchestration.forms.server import ServerSettings
from orchestration.forms.step_tasks import (
    Lease,
    app_options,
    configure_queues,
    forget_task,
    is_forgotten,
    new_task_id,
)
from orchestration.settings import PlatformSettings

# Redis serves the smallest number first.
_LAST_PRIORITY = 9
_USUAL_PRIORITY = 5
_OUTAGE_SECONDS = 900.0
_QUEUE_LOOK_SECONDS = 10.0
# Raises an exception in the step, so that it lets go of what it holds.
_SOFT_STOP = "SIGUSR1"


def queue_of(step: ExecutionStep) -> str:
    """Return the queue of a step, one of ``server.QUEUES``."""
    if step.pool is not None:
        return "warehouse"
    return "training" if step.key.startswith("models__") else "default"


def priority_of(run_tags: dict[str, str]) -> int:
    """Return the priority of a run's steps for Redis, from the tag that also orders the queue of runs."""
    try:
        urgency = int(run_tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        urgency = 0
    return min(max(_USUAL_PRIORITY - urgency, 0), _LAST_PRIORITY)


class WatchedResult:
    """The result of a step, whose worker may die, or whose queue may be away for a while.

    Args:
        result_of: Submits the task under an id and returns its result.
        redis: Connection to the queue.
        queue: Queue of the step.
        lease_seconds: Silence of a worker that means its death.
        attempts: Workers that may die over the step.
        report: Told of what happened, in a sentence.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        result_of: Callable[[str], AsyncResult],
        redis: Redis,
        queue: str,
        *,
        lease_seconds: float,
        attempts: int,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._result_of, self._redis, self._queue = result_of, redis, queue
        self._lease_seconds, self._attempts_left, self._report, self._clock = lease_seconds, attempts, report, clock
        self._outage_since: float | None = None
        self._is_cancelled = False
        self._submit()

    def _submit(self) -> None:
        self._attempts_left -= 1
        self._lease = Lease(self._redis, new_task_id())
        self._is_started = False
        self._seen_at = self._looked_at = self._clock()
        self._result = self._result_of(self._lease.task_id)

    def ready(self) -> bool:
        """Return whether there is a result, an error, or nothing to wait for any more.

        Raises:
            RedisError: If the queue stays away for too long.
        """
        if self._is_cancelled:
            return True
        if self._outage_since is not None:
            # Nobody could renew a lease meanwhile.
            self._seen_at = self._clock()
        try:
            is_ready = self._is_ready()
        except (RedisError, OSError) as error:
            now = self._clock()
            if self._outage_since is None:
                self._outage_since = now
                self._report(f"The queue of steps does not answer ({type(error).__name__}); waiting for it.")
            if now - self._outage_since > _OUTAGE_SECONDS:
                raise
            return False
        if self._outage_since is not None:
            self._report("The queue of steps answers again.")
            self._outage_since = None
        return is_ready

    def _is_ready(self) -> bool:
        if self._result.ready():
            if isinstance(self._result.result, WorkerLostError) and self._attempts_left > 0:
                self._report("The process that did this step was killed; the step is given to another.")
                self._submit()
                return False
            return True
        now = self._clock()
        if self._lease.is_held():
            self._is_started, self._seen_at = True, now
        elif self._is_started or self._lease.is_started():
            self._is_started = True
            if now - self._seen_at > self._lease_seconds:
                return self._worker_fell_silent()
        elif now - self._looked_at > _QUEUE_LOOK_SECONDS:
            self._looked_at = now
            if is_forgotten(self._redis, self._queue):
                # A task is started at most once, so that the same one can be sent again.
                self._result = self._result_of(self._lease.task_id)
        return False

    def _worker_fell_silent(self) -> bool:
        if self._result.ready():
            return True
        if self._attempts_left == 0:
            raise WorkerLostError(
                f"The workers that did this step fell silent for {self._lease_seconds:.0f} s, each in turn; see their "
                "logs, and whether a step needs more memory than they have."
            )
        self._report(
            f"The worker that did this step fell silent for {self._lease_seconds:.0f} s; the step is given to another."
        )
        self._submit()
        return False

    def get(self) -> list[str]:
        """Return the step's events."""
        if self._is_cancelled:
            return []
        try:
            events: list[str] = self._result.get()
        finally:
            # They are in Dagster's database; the queue has little memory.
            self._result.forget()
        return events

    def revoke(self) -> None:
        """End the step, or let no worker start it."""
        if forget_task(self._redis, self._lease.task_id):
            self._is_cancelled = True
        else:
            self._result.revoke(terminate=True, signal=_SOFT_STOP)


class StepWorkersExecutor(CeleryExecutor):
    """Gives steps to the queues of the server form and watches over them."""

    def __init__(self, server: ServerSettings) -> None:
        self._server = server
        self._redis = connect(server)
        super().__init__(retries=RetryMode.ENABLED, **app_options(server))

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[Any]:
        """Run the steps of a plan on the workers."""
        with RunLease(self._redis, plan_context.dagster_run.run_id).held(self._server.lease_seconds):
            yield from core_celery_execution_loop(plan_context, execution_plan, step_execution_fn=self._submit)

    def _submit(
        self,
        app: Celery,
        plan_context: PlanOrchestrationContext,
        step: ExecutionStep,
        _queue: str,
        _priority: int,
        known_state: Any,
    ) -> WatchedResult:
        arguments = ExecuteStepArgs(
            job_origin=plan_context.reconstructable_job.get_python_origin(),
            run_id=plan_context.dagster_run.run_id,
            step_keys_to_execute=[step.key],
            instance_ref=plan_context.instance.get_ref(),
            retry_mode=self.retries.for_inner_plan(),
            known_state=known_state,
            print_serialized_events=True,
        )
        queue = queue_of(step)
        configure_queues(app)
        signature = app.signature(
            TASK_EXECUTE_PLAN_NAME,
            kwargs={
                "execute_step_args_packed": pack_value(arguments),
                "executable_dict": plan_context.reconstructable_job.to_dict(),
            },
            immutable=True,
        )

        def report(sentence: str) -> None:
            plan_context.instance.report_engine_event(
                sentence, plan_context.dagster_run, cls=StepWorkersExecutor, step_key=step.key
            )

        return WatchedResult(
            lambda task_id: signature.apply_async(
                task_id=task_id, queue=queue, priority=priority_of(dict(plan_context.dagster_run.tags))
            ),
            self._redis,
            queue,
            lease_seconds=self._server.lease_seconds,
            attempts=self._server.step_attempts,
            report=report,
        )


@dg.executor(name="step_workers", requirements=dg.multiple_process_executor_requirements())
def step_workers_executor(_init_context: dg.InitExecutorContext) -> StepWorkersExecutor:
    """Give each step to a worker. The connection is read where it is used and is no part of a run's configuration."""
    return StepWorkersExecutor(ServerSettings.of(PlatformSettings()))
