"""Trials in a running API: who is answered by a challenger, and what it says in shadow.

Scoring in shadow happens in a thread of its own, from a queue that is bounded by customers; what does not fit is left
out and counted. Whatever a challenger does, the answer is that of the champion.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from ml.columns import USE_CASES
from ml.errors import KilowiseError
from ml.trials import is_challengers
from serving import metrics
from serving.background import BackgroundWork
from serving.model_store import ModelStore
from serving.prediction_log import CHAMPION, SHADOW, LoggedPrediction, PredictionLog
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult
from serving.trials import Trial
from serving.use_cases import context_columns

logger = logging.getLogger(__name__)

QUEUE_CUSTOMERS = 2_000
"""Customers that wait to be scored in shadow; more are left out of the trial."""

CHALLENGER_ERRORS = (KilowiseError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What an estimator that does not fit may raise; none of it reaches a caller."""

_CHUNK_CUSTOMERS = 50


@dataclass(frozen=True, slots=True)
class ActiveTrial:
    """A trial with its challenger, loaded."""

    trial: Trial
    model: ReleasedModel

    def answers(self, customer_key: str | None) -> bool:
        """Return whether the challenger answers this customer: always the same one for the whole trial."""
        return (
            self.trial.mode == "share"
            and customer_key is not None
            and is_challengers(customer_key, self.trial.trial_id, self.trial.share)
        )


@dataclass(frozen=True, slots=True)
class ShadowTask:
    """Customers of one request that the champion answered.

    Attributes:
        active: The trial.
        request_id: The request.
        decided_at: When the champion decided.
        decisions: Id of each decision and what was scored.
        error: Why the challenger failed already; None to score it.
    """

    active: ActiveTrial
    request_id: str
    decided_at: datetime
    decisions: Sequence[tuple[str, ScoringInput]]
    error: str | None = None


class TrialTraffic:
    """Follows the trials of the store and scores in shadow.

    Args:
        store: Where trials and their releases come from.
        log: Where the decisions go; without a log no trial takes place.
        poll_seconds: How often the trials are looked at.
    """

    def __init__(self, store: ModelStore, log: PredictionLog | None, *, poll_seconds: float) -> None:
        self._store = store
        self._log = log
        self._active: dict[str, ActiveTrial] = {}
        self._failed: dict[str, Trial] = {}
        self._queue: deque[ShadowTask] = deque()
        self._queued_count = 0
        self._lock = threading.Lock()
        self._scoring = BackgroundWork("trials", self._score, every_seconds=poll_seconds)

    def start(self) -> None:
        """Load the challengers that are tried, then follow the trials in the background."""
        if self._log is None:
            return
        self.refresh()
        self._scoring.start()

    def stop(self) -> None:
        """Stop; what still waits to be scored in shadow is left out."""
        self._scoring.stop()

    def of(self, champion: ReleasedModel) -> ActiveTrial | None:
        """Return the trial against this model, or None."""
        active = self._active.get(champion.identity.use_case)
        if active is None or active.trial.champion_version != champion.identity.model_version:
            return None
        return active

    def shadow(self, task: ShadowTask) -> str | None:
        """Let the challenger score later what was answered, and return the arm of the answer: None if left out."""
        trial = task.active.trial
        if trial.mode != "shadow" or not is_challengers(task.request_id, trial.trial_id, trial.share):
            return None
        return CHAMPION if self._put(task) else None

    def failed(self, task: ShadowTask) -> None:
        """Keep that the challenger failed to answer and the champion had to."""
        self._put(task)

    def refresh(self) -> None:
        """Take up the trials that began and drop those that ended."""
        for use_case in USE_CASES:
            try:
                trial = self._store.current_trial(use_case)
            except (OSError, ValueError) as error:
                logger.error("the trial of %s cannot be read and does not take place: %s", use_case, error)
                trial = None
            known = self._active.get(use_case)
            if trial == (known.trial if known else None) or (trial is not None and trial == self._failed.get(use_case)):
                continue
            self._active = {name: active for name, active in self._active.items() if name != use_case}
            if trial is not None:
                self._take_up(trial)

    def _take_up(self, trial: Trial) -> None:
        try:
            model = self._store.load(self._store.read_release(trial.use_case, trial.release))
            model.try_out(1)
        except CHALLENGER_ERRORS as error:
            self._failed[trial.use_case] = trial
            logger.error("the challenger %s of %s cannot be tried: %s", trial.release, trial.use_case, error)
            return
        self._active = {**self._active, trial.use_case: ActiveTrial(trial, model)}
        logger.info("%s of %s is tried (%s, %g)", trial.release, trial.use_case, trial.mode, trial.share)

    def _put(self, task: ShadowTask) -> bool:
        count = len(task.decisions)
        with self._lock:
            is_room = self._queued_count + count <= QUEUE_CUSTOMERS
            if is_room:
                self._queue.append(task)
                self._queued_count += count
        if is_room:
            self._scoring.wake()
        else:
            metrics.TRIAL_DECISIONS.labels(task.active.trial.use_case, "left_out").inc(count)
        return is_room

    def _score(self) -> None:
        self.score_waiting()
        self.refresh()

    def score_waiting(self) -> None:
        """Score in shadow what waits."""
        while not self._scoring.is_stopping:
            with self._lock:
                task = self._queue.popleft() if self._queue else None
            if task is None:
                return
            for start in range(0, len(task.decisions), _CHUNK_CUSTOMERS):
                self._record(task, task.decisions[start : start + _CHUNK_CUSTOMERS])
            with self._lock:
                self._queued_count -= len(task.decisions)

    def _record(self, task: ShadowTask, decisions: Sequence[tuple[str, ScoringInput]]) -> None:
        model = task.active.model
        inputs = _own_inputs(model, [item for _, item in decisions])
        started_at = perf_counter()
        results = _results(model, inputs) if task.error is None else [task.error] * len(inputs)
        scoring_ms = (perf_counter() - started_at) * 1000 / len(inputs)
        rows = [
            _row(task, decision_id, item, result, scoring_ms)
            for (decision_id, _), item, result in zip(decisions, inputs, results, strict=True)
        ]
        failed_count = sum(row.error is not None for row in rows)
        use_case = model.identity.use_case
        metrics.TRIAL_DECISIONS.labels(use_case, "failed").inc(failed_count)
        metrics.TRIAL_DECISIONS.labels(use_case, "scored").inc(len(rows) - failed_count)
        if self._log is not None:
            self._log.record(rows)


def _own_inputs(model: ReleasedModel, items: Sequence[ScoringInput]) -> list[ScoringInput]:
    """Return what the challenger would have been asked: of customers of the snapshot, what its own release knows."""
    by_id = [item.customer_key for item in items if _is_by_id(item) and item.customer_key is not None]
    known = model.many_from_snapshot(by_id)
    return [known.get(item.customer_key or "", item) if _is_by_id(item) else item for item in items]


def _is_by_id(item: ScoringInput) -> bool:
    return item.as_of_month is not None and item.tables is None


def _results(model: ReleasedModel, inputs: Sequence[ScoringInput]) -> list[ScoringResult | str]:
    """Score customers; when the batch fails, one at a time, so that only those at fault have an error."""
    try:
        return list(model.predict(inputs))
    except CHALLENGER_ERRORS as error:
        if len(inputs) == 1:
            return [f"{type(error).__name__}: {error}"]
    return [result for item in inputs for result in _results(model, [item])]


def _row(
    task: ShadowTask, decision_id: str, item: ScoringInput, result: ScoringResult | str, scoring_ms: float
) -> LoggedPrediction:
    identity = task.active.model.identity
    scored = result if isinstance(result, ScoringResult) else ScoringResult({}, {})
    return LoggedPrediction(
        request_id=task.request_id,
        decision_id=decision_id,
        decided_at=task.decided_at,
        use_case=identity.use_case,
        release=identity.release,
        model_version=identity.model_version,
        customer_key=item.customer_key,
        as_of_month=item.as_of_month,
        district=item.district,
        features=item.features,
        prediction=scored.prediction,
        context={name: scored.details.get(name) for name in context_columns(identity.use_case)},
        scoring_ms=None if isinstance(result, str) else scoring_ms,
        arm=SHADOW,
        error=result if isinstance(result, str) else None,
    )
