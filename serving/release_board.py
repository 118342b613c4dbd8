"""The releases that are served now, and the thread that takes up new ones without a restart.

A new release is loaded completely beside the old one; then one reference changes. Requests that began with the old
one end with it, and it stays loaded for callers that ask for it by name, until the next one comes. A release that
cannot be loaded is reported and counted, and the old one stays. A release whose files change, as an erasure changes
them, is loaded anew.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from ml.columns import USE_CASES
from ml.errors import KilowiseError
from serving import metrics
from serving.background import BackgroundWork
from serving.model_store import SNAPSHOT_FILE, ModelStore, ReleaseError, ReleaseManifest
from serving.released_model import ReleasedModel

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""A release that failed to load is tried again after this time: a disk may come back, a bundle does not heal."""


@dataclass(frozen=True, slots=True)
class LoadedRelease:
    """A release that answers, and the state of its snapshot's file when it was loaded."""

    manifest: ReleaseManifest
    model: ReleasedModel
    file_state: tuple[int, int] | None


class ReleaseBoard:
    """Holds the released model of each use case and the one before it, and follows the store's pointers.

    Args:
        store: Where releases come from.
        poll_seconds: How often the pointers are read.
    """

    def __init__(self, store: ModelStore, *, poll_seconds: float) -> None:
        self._store = store
        self._served: dict[str, LoadedRelease] = {}
        self._before: dict[str, LoadedRelease] = {}
        self._failed: dict[str, tuple[str, float]] = {}
        self._following = BackgroundWork("release-board", self.refresh, every_seconds=poll_seconds)

    def start(self) -> None:
        """Load what is released now, then follow the pointers in the background."""
        self.refresh()
        self._following.start()

    def stop(self) -> None:
        """Stop following the pointers; what is loaded stays."""
        self._following.stop()

    @property
    def is_running(self) -> bool:
        """Whether the thread that follows the pointers is at work."""
        return self._following.is_running

    def get(self, use_case: str) -> ReleasedModel | None:
        """Return the model that answers for a use case now; keep the reference for the whole request."""
        served = self._served.get(use_case)
        return None if served is None else served.model

    def loaded(self, use_case: str) -> dict[str, ReleasedModel]:
        """Return the models that can answer by the name of their release: what is served, then what was before."""
        held = (self._served.get(use_case), self._before.get(use_case))
        return {release.manifest.name: release.model for release in held if release is not None}

    def manifests(self) -> dict[str, ReleaseManifest]:
        """Return the served releases by use case."""
        return {use_case: release.manifest for use_case, release in self._served.items()}

    def refused_release(self, use_case: str) -> str | None:
        """Return the name of the release that could not be taken up, and was not replaced since."""
        failed = self._failed.get(use_case)
        return None if failed is None else failed[0]

    def refresh(self) -> None:
        """Take up every release that a pointer names and that is not served yet."""
        for held in (*self._served.values(), *self._before.values()):
            held.model.features.renew()
        for use_case in USE_CASES:
            try:
                name = self._store.current_name(use_case)
            except OSError as error:
                logger.warning("the pointer of %s cannot be read (%s); the old release stays", use_case, error)
                continue
            before = self._before.get(use_case)
            if before is not None and before.file_state != self._file_state(use_case, before.manifest.name):
                self._before = {key: release for key, release in self._before.items() if key != use_case}
            served = self._served.get(use_case)
            if name is None or (
                served is not None
                and served.manifest.name == name
                and served.file_state == self._file_state(use_case, name)
            ):
                continue
            failed_name, failed_at = self._failed.get(use_case, ("", 0.0))
            if failed_name == name and time.monotonic() - failed_at < RETRY_SECONDS:
                continue
            self._take_up(use_case, name)

    def _take_up(self, use_case: str, name: str) -> None:
        file_state = self._file_state(use_case, name)
        try:
            manifest = self._store.read_release(use_case, name)
            model = self._store.load(manifest)
            # The first call of a model pays for lazy set-up; here, not in a customer's request.
            model.try_out(1)
        except (KilowiseError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            self._failed[use_case] = (name, time.monotonic())
            metrics.RELEASE_LOADS.labels(use_case, "failed").inc()
            metrics.RELEASE_REFUSED.labels(use_case).set(1)
            logger.error("release %s of %s cannot be served: %s; the old release stays", name, use_case, error)
            return
        previous = self._served.get(use_case)
        self._served = {**self._served, use_case: LoadedRelease(manifest, model, file_state)}
        self._failed.pop(use_case, None)
        metrics.RELEASE_LOADS.labels(use_case, "loaded").inc()
        metrics.RELEASE_REFUSED.labels(use_case).set(0)
        metrics.RELEASE_INFO.labels(use_case, name, manifest.bundle_version).set(1)
        if previous is not None and previous.manifest.name != name:
            self._before = {**self._before, use_case: previous}
            metrics.RELEASE_INFO.labels(use_case, previous.manifest.name, previous.manifest.bundle_version).set(0)
        if manifest.feature_as_of_month is not None:
            as_of = datetime.combine(manifest.feature_as_of_month, datetime.min.time(), tzinfo=UTC)
            metrics.FEATURES_AS_OF.labels(use_case).set(as_of.timestamp())
        logger.info("release %s of %s is served", name, use_case)

    def _file_state(self, use_case: str, name: str) -> tuple[int, int] | None:
        try:
            found = (self._store.release_dir(use_case, name) / SNAPSHOT_FILE).stat()
        except (OSError, ReleaseError):
            return None
        return found.st_ino, found.st_mtime_ns
