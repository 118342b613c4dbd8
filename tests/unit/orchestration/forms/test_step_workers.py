"""A step is done once: by another worker when the first one dies, and by nobody when it is cancelled in time."""

from types import SimpleNamespace
from typing import Any

import pytest

REMEDY = "the group server is not installed: make env-server"
pytest.importorskip("dagster_celery", reason=REMEDY)

from billiard.exceptions import WorkerLostError  # noqa: E402
from celery.exceptions import Ignore  # noqa: E402
from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: E402

from orchestration.forms import step_tasks  # noqa: E402
from orchestration.forms.step_tasks import Lease, Turn, forget_task, holding  # noqa: E402
from orchestration.forms.step_workers import WatchedResult, priority_of, queue_of  # noqa: E402


class Memory:
    """What the leases ask of Redis."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.is_away = False
        self.waiting = 0

    def _answer(self) -> None:
        if self.is_away:
            raise RedisConnectionError

    def set(self, name: str, value: str, *, nx: bool = False, ex: int = 0) -> bool | None:
        self._answer()
        assert ex > 0
        if nx and name in self.values:
            return None
        self.values[name] = value.encode()
        return True

    def get(self, name: str) -> bytes | None:
        self._answer()
        return self.values.get(name)

    def exists(self, name: str) -> int:
        self._answer()
        return int(name in self.values)

    def expire(self, name: str, _seconds: int) -> None:
        assert name in self.values

    def delete(self, name: str) -> None:
        self.values.pop(name, None)

    def llen(self, _name: str) -> int:
        return self.waiting

    def hlen(self, _name: str) -> int:
        return 0


class Submitted:
    """The results of the tasks that were submitted, by id."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.results: dict[str, Any] = {}
        self.ended: list[str] = []
        self.forgotten: list[str] = []

    def __call__(self, task_id: str) -> Any:
        self.ids.append(task_id)
        submitted = self

        class Result:
            def ready(self) -> bool:
                return task_id in submitted.results

            @property
            def result(self) -> Any:
                return submitted.results[task_id]

            get = result.fget

            def forget(self) -> None:
                submitted.forgotten.append(task_id)

            def revoke(self, **_how: Any) -> None:
                submitted.ended.append(task_id)

        return Result()


class Watched:
    def __init__(self) -> None:
        self.redis, self.submitted, self.now, self.told = Memory(), Submitted(), 0.0, list[str]()
        self.result = WatchedResult(
            self.submitted,
            self.redis,  # type: ignore[arg-type]  # stands for a connection
            "default",
            lease_seconds=60,
            attempts=2,
            report=self.told.append,
            clock=lambda: self.now,
        )

    def lease(self) -> Lease:
        return Lease(self.redis, self.submitted.ids[-1])  # type: ignore[arg-type]  # stands for a connection


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_step_that_is_done_gives_its_events(watched: Watched) -> None:
    assert not watched.result.ready()
    watched.submitted.results[watched.submitted.ids[0]] = ["event"]

    assert watched.result.ready()
    assert watched.result.get() == ["event"]
    assert watched.submitted.forgotten == watched.submitted.ids


def test_a_step_whose_worker_fell_silent_is_given_to_another_once(watched: Watched) -> None:
    for _ in range(2):
        lease = watched.lease()
        lease.start("worker")
        lease.renew(60)
        watched.result.ready()
        lease.end()
        watched.now += 59
        assert not watched.result.ready()
        watched.now += 2
        if len(watched.submitted.ids) == 1:
            assert not watched.result.ready()

    assert len(set(watched.submitted.ids)) == 2
    assert watched.told == ["The worker that did this step fell silent for 60 s; the step is given to another."]
    with pytest.raises(WorkerLostError, match="each in turn"):
        watched.result.ready()


def test_a_step_whose_process_was_killed_is_given_to_another(watched: Watched) -> None:
    first = watched.submitted.ids[0]
    watched.submitted.results[first] = WorkerLostError("signal 9")

    assert not watched.result.ready()
    assert watched.submitted.ids[1:] == [watched.submitted.ids[-1]] != [first]


def test_a_step_that_waits_in_a_long_queue_is_left_alone(watched: Watched) -> None:
    watched.redis.waiting = 3
    watched.now += 3600

    assert not watched.result.ready()
    assert len(watched.submitted.ids) == 1


def test_a_step_that_redis_forgot_is_sent_again_as_the_same_task(watched: Watched) -> None:
    watched.now += 11

    assert not watched.result.ready()
    assert watched.submitted.ids == [watched.submitted.ids[0]] * 2


def test_silence_while_redis_is_away_is_no_workers_death(watched: Watched) -> None:
    lease = watched.lease()
    lease.start("worker")
    lease.renew(60)
    watched.result.ready()
    watched.redis.is_away = True
    assert not watched.result.ready()
    watched.now += 300
    lease.end()
    watched.redis.is_away = False

    assert not watched.result.ready()
    assert len(watched.submitted.ids) == 1
    assert watched.told == [
        "The queue of steps does not answer (ConnectionError); waiting for it.",
        "The queue of steps answers again.",
    ]


def test_a_queue_that_stays_away_ends_the_run(watched: Watched) -> None:
    watched.redis.is_away = True
    watched.result.ready()
    watched.now += 901

    with pytest.raises(RedisConnectionError):
        watched.result.ready()


def test_a_step_that_is_cancelled_before_it_began_never_begins(watched: Watched) -> None:
    watched.result.revoke()

    assert watched.result.ready()
    assert watched.result.get() == []
    assert not watched.lease().start("worker")


def test_a_step_that_is_cancelled_at_work_is_ended_there(watched: Watched) -> None:
    watched.lease().start("worker")

    watched.result.revoke()

    assert watched.submitted.ended == watched.submitted.ids


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(step_tasks, "has_ended", lambda _run_id: False)
    return Memory()


def test_a_task_is_done_once(redis: Any) -> None:
    with holding(Lease(redis, "a"), Turn(redis, "step", "a"), "run", 60):
        assert Lease(redis, "a").is_held()
        assert not forget_task(redis, "a")

    with pytest.raises(Ignore), holding(Lease(redis, "a"), Turn(redis, "step", "a"), "run", 60):
        pass


def test_steps_of_one_name_take_turns(redis: Any) -> None:
    first, second, other = Turn(redis, "step", "a"), Turn(redis, "step", "b"), Turn(redis, "another", "b")

    assert first.take(60)
    assert first.take(60)
    assert not second.take(60)
    assert other.take(60)
    second.end()
    assert not second.take(60)
    first.end()
    assert second.take(60)


def test_a_step_whose_run_ended_while_it_waited_is_not_begun(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_tasks, "has_ended", lambda _run_id: True)

    with pytest.raises(Ignore), holding(Lease(redis, "a"), Turn(redis, "step", "a"), "run", 60):
        pass
    assert Turn(redis, "step", "b").take(60)


@pytest.mark.parametrize(
    ("pool", "key", "queue"),
    [
        ("warehouse", "dbt_models", "warehouse"),
        (None, "models__credit_risk", "training"),
        (None, "predictions__credit_scores", "default"),
    ],
)
def test_a_step_goes_to_the_queue_of_its_kind(pool: str | None, key: str, queue: str) -> None:
    assert queue_of(SimpleNamespace(pool=pool, key=key)) == queue  # type: ignore[arg-type]  # what is asked of a step


@pytest.mark.parametrize(("tag", "priority"), [("10", 0), ("2", 3), ("0", 5), ("-3", 8), ("soon", 5)])
def test_urgent_runs_have_small_numbers_as_redis_wants(tag: str, priority: int) -> None:
    assert priority_of({"dagster/priority": tag}) == priority
