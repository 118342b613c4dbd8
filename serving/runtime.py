"""Everything a running API holds: settings, releases, prediction log; made once per process."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ml.columns import USE_CASES
from serving.access import AccessControl
from serving.errors import ApiError
from serving.feature_store import FeatureStore
from serving.idempotency import IdempotencyStore
from serving.log_ledger import ledger_key
from serving.model_store import ModelStore
from serving.policy_desk import PolicyDesk
from serving.portrait_store import PortraitBoard
from serving.prediction_log import PredictionLog
from serving.raw_keeping import RawKeeper
from serving.redis_features import redis_opener
from serving.release_board import ReleaseBoard
from serving.settings import ServingSettings
from serving.tracing import tracer_of
from serving.trial_traffic import TrialTraffic

T = TypeVar("T")

START_SENTENCE = "run `make run` once to train and release models (they are taken up within a second)"


class Runtime:
    """The parts of a running API and their life cycle.

    Attributes:
        settings: What the operator chose.
        access: Who may call what, and how often.
        board: Releases that are served.
        log: Prediction log, or None when it is switched off.
        trials: Challengers that are tried on live traffic.
        idempotency: Answers that are kept under a caller's key.
        tracer: Makes a span per request, or None when traces are off.
        policy_desk: Says what follows from a credit score.
        portraits: Portraits that are served.
        raw_keeper: Keeps the raw rows behind a few answers.
        requests_in_flight_count: Requests in work or waiting in this process.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.access = AccessControl.of(settings)
        store = ModelStore(settings.home, _features_opener(settings))
        self.board = ReleaseBoard(store, poll_seconds=settings.release_poll_seconds)
        self.log = (
            PredictionLog(
                settings.prediction_log_dir,
                key=ledger_key(settings.pseudonym_key.get_secret_value().encode()),
                capacity_rows=settings.prediction_log_rows,
                flush_seconds=settings.prediction_log_flush_seconds,
                retention_days=settings.prediction_log_retention_days,
            )
            if settings.log_predictions
            else None
        )
        self.trials = TrialTraffic(store, self.log, poll_seconds=settings.release_poll_seconds)
        self.policy_desk = PolicyDesk.of(settings)
        self.raw_keeper = RawKeeper(settings.raw_kept_per_hour)
        self.portraits = PortraitBoard(settings.home, poll_seconds=settings.release_poll_seconds)
        self.idempotency = IdempotencyStore(
            settings.idempotency_path,
            secret=settings.pseudonym_key.get_secret_value().encode(),
            keep_seconds=settings.idempotency_hours * 3600,
            capacity_bytes=settings.idempotency_bytes,
        )
        self.tracer = tracer_of(settings.traces)
        self.requests_in_flight_count = 0
        self.pseudonym_key = settings.pseudonym_key.get_secret_value().encode()
        self._worker_limiter: anyio.CapacityLimiter | None = None

    def start(self) -> None:
        """Load the releases and start the background threads."""
        self.access.start()
        self.board.start()
        if self.log is not None:
            self.log.start()
        self.trials.start()

    def stop(self) -> None:
        """Stop the threads and write what is still in memory."""
        self.access.stop()
        self.board.stop()
        self.trials.stop()
        if self.log is not None:
            self.log.stop()
        self.idempotency.close()
        if self.tracer is not None:
            self.tracer.stop()

    def readiness_problem(self) -> str | None:
        """Return why no request should be sent here, or None when the API is ready."""
        if not self.board.manifests():
            return f"No model is released yet: {START_SENTENCE}."
        if self.log is not None and self.free_bytes() < self.settings.least_free_bytes:
            return (
                f"Fewer than {self.settings.least_free_bytes:,} bytes are free in {self.settings.prediction_log_dir}, "
                "where decisions are logged: free space (KILOWISE_LEAST_FREE_BYTES sets the limit)."
            )
        return self.liveness_problem()

    def liveness_problem(self) -> str | None:
        """Return what only a restart heals, or None when the process is sound."""
        if not self.board.is_running:
            return "The thread that takes up releases has ended: restart this process."
        if self.log is not None and not self.log.is_running:
            return "The thread that writes the prediction log has ended: restart this process."
        return None

    def free_bytes(self) -> int:
        """Return the space that is left for the prediction log."""
        folder = self.settings.prediction_log_dir
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def no_release_sentence(self, use_case: str) -> str:
        """Return why a use case has no model that answers, and what to do."""
        refused = self.board.refused_release(use_case)
        if refused is None:
            return f"no model of {use_case} is released yet: {START_SENTENCE}"
        return (
            f"release {refused} of {use_case} cannot be loaded by this version of the API; its log says why. "
            "`make run` trains and releases anew"
        )

    def missing_use_cases(self) -> list[str]:
        """Return the use cases that have no release."""
        return [use_case for use_case in USE_CASES if self.board.get(use_case) is None]

    async def in_worker(self, work: Callable[[], T], *, longest_wait_seconds: float | None = None) -> T:
        """Do something in the thread for batches and slow models.

        Args:
            work: What to do.
            longest_wait_seconds: How long to wait for the thread; by default for ever.

        Raises:
            ApiError: The thread was at work for others all the time.
        """
        turn = object()
        try:
            with anyio.fail_after(longest_wait_seconds):
                await self.worker_limiter.acquire_on_behalf_of(turn)
        except TimeoutError:
            raise ApiError(
                429,
                "too_many_requests",
                f"this request waited {longest_wait_seconds:g} seconds behind other batches; send it again later, or "
                "in smaller parts",
                retry_after_seconds=5,
            ) from None
        try:
            return await anyio.to_thread.run_sync(work)
        finally:
            self.worker_limiter.release_on_behalf_of(turn)

    @property
    def worker_limiter(self) -> anyio.CapacityLimiter:
        """One thread for batches and slow models: a second one would only share the interpreter with it."""
        if self._worker_limiter is None:
            self._worker_limiter = anyio.CapacityLimiter(1)
        return self._worker_limiter


def _features_opener(settings: ServingSettings) -> Callable[[Path, str], FeatureStore] | None:
    address = settings.feature_store.get_secret_value()
    return None if address == "sqlite" else redis_opener(address)
