"""The model store and the releases: what may be served, what is served, and how that changes.

A *bundle* (``ml.bundle``) becomes a BentoML model ``<use_case>:<version>`` under ``<home>/models``. A *release* is an
immutable folder ``<home>/releases/<use_case>/<name>`` that names a bundle and holds the feature snapshot that goes
with it. The text file ``CURRENT`` beside the releases names the one that is served. Invariants:

- a release folder appears by one rename, complete and flushed to disk, after the release was loaded and tried;
- ``CURRENT`` is replaced atomically and always names a complete release;
- one process at a time changes anything; readers need no lock.

``orchestration`` calls this module and those of portraits, trials and the prediction log, and nothing else of
``serving``. BentoML is imported inside functions, because Dagster loads this module with its code location.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.bundle import Bundle, BundleManifest, read_bundle
from ml.columns import AS_OF_MONTH, USE_CASES
from ml.errors import BundleError, KilowiseError
from ml.evaluation import Metric
from ml.feature_definitions import FeatureDefinitions
from ml.gate import GateDecision
from ml.trials import Mode
from serving.feature_store import (
    CustomerTables,
    FeatureStore,
    SnapshotFile,
    erase_from_snapshot,
    write_feature_snapshot,
)
from serving.trials import Trial, read_trial, remove_trial, write_trial
from serving.use_cases import context_columns, feature_columns, load_released_model

if TYPE_CHECKING:
    import pandas as pd

    from serving.released_model import ReleasedModel

RELEASE_FILE = "release.json"
SNAPSHOT_FILE = "features.sqlite"
DEFINITIONS_FILE = "feature_definitions.json"
EVALUATION_FILE = "evaluation.json"
MODEL_CARD_FILE = "model_card.html"
POINTER_FILE = "CURRENT"
HISTORY_FILE = "history.jsonl"

_RELEASE_NAME = re.compile(r"^(\d{4,})-[A-Za-z0-9._-]+$")

# A release while an erasure replaces it.
_REPLACED = ".erasing-"

# Enough customers to meet every class and some missing values, few enough to take no time.
_TRIAL_CUSTOMERS = 50


class ReleaseError(KilowiseError):
    """A release cannot be published, read or returned to; what was served before is still served."""


class ReleaseManifest(BaseModel):
    """What a release consists of and who let it out; stored as ``release.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Running number and bundle version; sorts by time")
    use_case: str
    bundle_version: str
    bentoml_tag: str
    released_at: datetime
    approved_by: str = Field(description="Person or policy that let it out")
    gate: dict[str, Any] = Field(description="The gate's decision with its criteria")
    marts_version: str = Field(description="Marts that the feature snapshot was taken from")
    feature_as_of_month: date | None = Field(description="Latest as-of month in the snapshot")
    customers_count: int
    metrics: list[dict[str, Any]] = Field(default_factory=list, description="Metrics of the bundle's evaluation")
    files: dict[str, str] = Field(description="SHA-256 by file name")


@dataclass(frozen=True, slots=True)
class StoreErasure:
    """What an erasure did to bundles and releases, each as ``<use_case> <name>``.

    Attributes:
        bundles_removed: Bundles whose samples held the customer; their hashes allow no change.
        releases_removed: Releases that served these bundles.
        snapshots_rewritten: Releases of other bundles whose feature snapshot held the customer.
    """

    bundles_removed: tuple[str, ...]
    releases_removed: tuple[str, ...]
    snapshots_rewritten: tuple[str, ...]


class ModelStore:
    """Bundles and releases under one state folder.

    Args:
        home: The state folder (``KILOWISE_HOME``).
        open_features: Opens a verified snapshot file, given its path and SHA-256; by default the file itself is read.
    """

    def __init__(self, home: Path, open_features: Callable[[Path, str], FeatureStore] | None = None) -> None:
        self.home = home
        self._open_features = open_features or (lambda path, _digest: SnapshotFile(path))
        self.releases_dir = home / "releases"
        self.bentoml_home = home / "models"

    def store_bundle(self, directory: Path) -> str:
        """Store a bundle as a BentoML model and return its tag.

        Storing the same bundle again changes nothing. A stored copy that a crash or a person damaged is replaced.

        Args:
            directory: A bundle as ``ml.bundle.write_bundle`` leaves it.

        Raises:
            BundleError: The bundle is incomplete, altered or incompatible.
        """
        manifest = read_bundle(directory).manifest
        tag = f"{manifest.use_case}:{manifest.version}"
        with self._exclusive():
            target = self._model_dir(manifest.use_case, manifest.version)
            if target.exists():
                try:
                    read_bundle(target / "bundle")
                    return tag
                except BundleError:
                    shutil.rmtree(target)
            self._create_bentoml_model(directory, manifest, target)
        return tag

    def bundle_dir(self, use_case: str, version: str) -> Path:
        """Return the folder of a stored bundle.

        Raises:
            ReleaseError: The store holds no such bundle.
        """
        directory = self._model_dir(use_case, version) / "bundle"
        if not directory.is_dir():
            raise ReleaseError(f"the model store {self.bentoml_home} holds no {use_case}:{version}; store it first")
        return directory

    def publish_release(
        self,
        use_case: str,
        bundle_version: str,
        features: "pd.DataFrame",
        *,
        gate: GateDecision,
        approved_by: str,
        marts_version: str,
        customer_tables: CustomerTables | None = None,
        definitions: FeatureDefinitions | None = None,
        retained_snapshots: int = 5,
    ) -> ReleaseManifest:
        """Publish a stored bundle with the features of today's customers, and serve it from now on.

        Publishing what is served already (same bundle, same marts) returns the current release unchanged.

        Args:
            use_case: One of ``ml.columns.USE_CASES``.
            bundle_version: Version of a bundle that ``store_bundle`` has stored.
            features: The use case's feature mart; the latest month of each customer is taken. Columns of
                ``context_columns`` that it has are kept beside the features.
            gate: The gate's decision; a refusal is refused here too.
            approved_by: Person or policy that let the release out.
            marts_version: Version of the marts that the features come from.
            customer_tables: Further marts by name that the model reads per customer, such as the load cube.
            definitions: How these features were made, so that the release can make them of raw rows; without them it
                answers no raw rows.
            retained_snapshots: Feature snapshots to keep, the new one included; older releases keep their
                ``release.json`` but can no longer be returned to.

        Raises:
            ReleaseError: The gate refused, the bundle is missing or does not work with these features.
        """
        _check_use_case(use_case)
        if gate.use_case != use_case or not gate.approved:
            raise ReleaseError(
                f"{use_case}:{bundle_version} is not released; the gate's decision on {gate.use_case}: {gate.reason}"
            )
        with self._exclusive():
            current = self._current_if_sound(use_case)
            if current is not None and _is_of(current, bundle_version, marts_version, definitions):
                return current
            manifest = self._write_release(
                use_case, bundle_version, features, gate, approved_by, marts_version, customer_tables, definitions
            )
            self._point_to(manifest, action="publish", by=approved_by, reason=gate.reason)
            self._prune_snapshots(use_case, keep=retained_snapshots)
        return manifest

    def start_trial(
        self,
        use_case: str,
        bundle_version: str,
        features: "pd.DataFrame",
        *,
        gate: GateDecision,
        started_by: str,
        marts_version: str,
        mode: Mode,
        share: float,
        customer_tables: CustomerTables | None = None,
        definitions: FeatureDefinitions | None = None,
        renews: Trial | None = None,
    ) -> Trial:
        """Try a stored bundle on the live traffic of the release that is served; what is served stays.

        Args:
            use_case: One of ``ml.columns.USE_CASES``.
            bundle_version: Version of the challenger.
            features: As for `publish_release`, made for the challenger.
            gate: The gate's decision so far; a refusal allows a trial in shadow only.
            started_by: Who asks for it.
            marts_version: Version of the marts that the features come from.
            mode: In shadow, or with a share of the customers.
            share: Share of the traffic, above 0 and at most 1.
            customer_tables: As for `publish_release`.
            definitions: As for `publish_release`.
            renews: The trial that goes on with these features; the same customers stay in its share.

        Raises:
            ReleaseError: Nothing is served to compare with, the bundle is what is served, does not work with these
                features, or was refused and asks for a share.
        """
        _check_use_case(use_case)
        if mode == "share" and not gate.approved:
            raise ReleaseError(
                f"{use_case}:{bundle_version} may answer nobody: {gate.reason} Try it in shadow, where nobody is told"
            )
        with self._exclusive():
            champion = self.current_release(use_case)
            if champion is None:
                raise ReleaseError(f"nothing of {use_case} is released, so there is nothing to compare with")
            if champion.bundle_version == bundle_version:
                raise ReleaseError(f"{use_case}:{bundle_version} is what is served; train another model to try it")
            manifest = self._write_release(
                use_case, bundle_version, features, gate, started_by, marts_version, customer_tables, definitions
            )
            now = datetime.now(UTC)
            trial = Trial(
                trial_id=renews.trial_id if renews else f"{bundle_version}-{now:%Y%m%dT%H%M%S}",
                use_case=use_case,
                mode=mode,
                share=share,
                release=manifest.name,
                bundle_version=bundle_version,
                champion_version=champion.bundle_version,
                started_at=renews.started_at if renews else now,
                started_by=started_by,
            )
            write_trial(self.releases_dir, trial, action="renew" if renews else "start", by=started_by)
        return trial

    def current_trial(self, use_case: str) -> Trial | None:
        """Return the trial that is on, or None."""
        return read_trial(self.releases_dir, use_case)

    def stop_trial(self, use_case: str, *, by: str) -> Trial:
        """End a trial; servers turn back to the released model within a second.

        Raises:
            ReleaseError: None is on.
        """
        _check_use_case(use_case)
        with self._exclusive():
            trial = remove_trial(self.releases_dir, use_case, by=by)
        if trial is None:
            raise ReleaseError(f"no trial of {use_case} is on")
        return trial

    def _write_release(
        self,
        use_case: str,
        bundle_version: str,
        features: "pd.DataFrame",
        gate: GateDecision,
        approved_by: str,
        marts_version: str,
        customer_tables: CustomerTables | None,
        definitions: FeatureDefinitions | None,
    ) -> ReleaseManifest:
        """Put a release in its place, tried and complete; nothing points to it yet. The caller holds the lock."""
        bundle = self._read_stored_bundle(use_case, bundle_version)
        folder = self.releases_dir / use_case
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".incoming-*"):
            shutil.rmtree(leftover)
        name = f"{self._next_number(folder):04d}-{bundle_version}"
        incoming = folder / f".incoming-{name}"
        try:
            customers_count = write_feature_snapshot(
                incoming / SNAPSHOT_FILE,
                features,
                feature_columns(use_case),
                context_columns=[name for name in context_columns(use_case) if name in features.columns],
                customer_tables=customer_tables,
            )
            files = [SNAPSHOT_FILE]
            if definitions is not None:
                (incoming / DEFINITIONS_FILE).write_text(definitions.model_dump_json(), encoding="utf-8")
                files.append(DEFINITIONS_FILE)
            manifest = ReleaseManifest(
                name=name,
                use_case=use_case,
                bundle_version=bundle_version,
                bentoml_tag=f"{use_case}:{bundle_version}",
                released_at=datetime.now(UTC),
                approved_by=approved_by,
                gate=gate.model_dump(mode="json"),
                marts_version=marts_version,
                feature_as_of_month=_latest_month(features),
                customers_count=customers_count,
                metrics=[metric.model_dump(mode="json") for metric in _overall_metrics(bundle)],
                files={name: _sha256(incoming / name) for name in files},
            )
            shutil.copyfile(bundle.directory / EVALUATION_FILE, incoming / EVALUATION_FILE)
            (incoming / MODEL_CARD_FILE).write_text(bundle.render_card(gate=gate), encoding="utf-8")
            (incoming / RELEASE_FILE).write_bytes(
                orjson.dumps(manifest.model_dump(mode="json"), option=orjson.OPT_INDENT_2)
            )
            self._try_out(manifest, incoming)
            _flush_tree(incoming)
            incoming.rename(folder / name)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        _flush_directory(folder)
        return manifest

    def serves(
        self, use_case: str, bundle_version: str, marts_version: str, definitions: FeatureDefinitions | None = None
    ) -> bool:
        """Return whether what is served now is this bundle with the features of these marts, and is whole.

        A release that cannot make features of raw rows does not serve for one that is given definitions.
        """
        current = self._current_if_sound(use_case)
        return current is not None and _is_of(current, bundle_version, marts_version, definitions)

    def rollback(self, use_case: str, release_name: str, *, by: str, reason: str) -> ReleaseManifest:
        """Serve an earlier release again.

        Args:
            use_case: One of ``ml.columns.USE_CASES``.
            release_name: Name as ``list_releases`` shows it.
            by: Person or job that asks for it.
            reason: Why; kept in the history.

        Raises:
            ReleaseError: There is no such release, or it can no longer be served.
        """
        _check_use_case(use_case)
        with self._exclusive():
            manifest = self.read_release(use_case, release_name)
            if not manifest.gate.get("approved", True):
                raise ReleaseError(f"{use_case} {release_name} was only tried, its gate refused it; it is not served")
            self._try_out(manifest, self.release_dir(use_case, release_name))
            self._point_to(manifest, action="rollback", by=by, reason=reason)
        return manifest

    def erase_customer(self, customer_key: str, names_customer: Callable[[Path], bool]) -> StoreErasure:
        """Remove a customer from everything that is stored for serving.

        A bundle proves that it is unchanged, so one that holds the customer is removed as a whole, with the releases
        that serve it. Of other releases the feature snapshot is rewritten; they can be served as before. An
        interrupted erasure is completed by calling it again.

        Args:
            customer_key: The customer.
            names_customer: Whether a file holds the customer.
        """
        bundles: list[str] = []
        releases: list[str] = []
        snapshots: list[str] = []
        with self._exclusive():
            for use_case in USE_CASES:
                folder = self.releases_dir / use_case
                self._settle_interrupted_erasures(folder)
                held = [
                    path
                    for path in sorted((self.bentoml_home / "models" / use_case).glob("*/"))
                    if any(names_customer(file) for file in sorted(path.rglob("*")) if file.is_file())
                ]
                for manifest in self.list_releases(use_case):
                    if manifest.bundle_version in {path.name for path in held}:
                        if self.current_name(use_case) == manifest.name:
                            (folder / POINTER_FILE).unlink()
                        trial = self.current_trial(use_case)
                        if trial is not None and trial.release == manifest.name:
                            remove_trial(self.releases_dir, use_case, by="erasure")
                        shutil.rmtree(folder / manifest.name)
                        releases.append(f"{use_case} {manifest.name}")
                        continue
                    snapshot = folder / manifest.name / SNAPSHOT_FILE
                    if snapshot.is_file() and names_customer(snapshot):
                        self._replace_snapshot(manifest, customer_key)
                        snapshots.append(f"{use_case} {manifest.name}")
                for path in held:
                    shutil.rmtree(path)
                    bundles.append(f"{use_case} {path.name}")
                if held:
                    self._renew_latest(use_case)
        return StoreErasure(tuple(bundles), tuple(releases), tuple(snapshots))

    def current_name(self, use_case: str) -> str | None:
        """Return the name of the release that is served, or None before the first."""
        try:
            name = (self.releases_dir / use_case / POINTER_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        return name or None

    def current_release(self, use_case: str) -> ReleaseManifest | None:
        """Return the release that is served, or None before the first.

        Raises:
            ReleaseError: The pointer names a release that is missing or damaged.
        """
        _check_use_case(use_case)
        name = self.current_name(use_case)
        return None if name is None else self.read_release(use_case, name)

    def list_releases(self, use_case: str) -> list[ReleaseManifest]:
        """Return all releases, newest first."""
        _check_use_case(use_case)
        folder = self.releases_dir / use_case
        if not folder.is_dir():
            return []
        names = [entry.name for entry in folder.iterdir() if entry.is_dir() and _RELEASE_NAME.match(entry.name)]
        names.sort(key=_release_number, reverse=True)
        return [self.read_release(use_case, name) for name in names]

    def is_rolled_back(self, use_case: str, bundle_version: str) -> bool:
        """Return whether somebody turned away from this bundle and nothing has been published since.

        Whoever publishes without a person asks this first, or the next run would undo the rollback.
        """
        for entry in reversed(self.history(use_case)):
            if entry["action"] != "rollback":
                return False
            if entry["from"] is not None and entry["from"].split("-", 1)[1] == bundle_version:
                current = self.current_release(use_case)
                return current is None or current.bundle_version != bundle_version
        return False

    def history(self, use_case: str) -> list[dict[str, Any]]:
        """Return the moves of the pointer, oldest first: ``at``, ``action``, ``from``, ``to``, ``by``, ``reason``."""
        _check_use_case(use_case)
        try:
            lines = (self.releases_dir / use_case / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [orjson.loads(line) for line in lines]

    def read_release(self, use_case: str, release_name: str) -> ReleaseManifest:
        """Return the manifest of one release.

        Raises:
            ReleaseError: There is no such release, or its manifest is damaged.
        """
        path = self.release_dir(use_case, release_name) / RELEASE_FILE
        try:
            return ReleaseManifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            known = ", ".join(sorted(entry.parent.name for entry in path.parent.parent.glob(f"*/{RELEASE_FILE}")))
            raise ReleaseError(f"{use_case} has no release {release_name!r}; there are: {known or 'none'}") from None
        except ValidationError as error:
            raise ReleaseError(f"{path} is damaged; roll back to another release") from error

    def release_dir(self, use_case: str, release_name: str) -> Path:
        """Return the folder of a release, whether it exists or not."""
        if not _RELEASE_NAME.match(release_name):
            raise ReleaseError(f"{release_name!r} is not a release name; names look like 0003-202608-1a2b3c4d5e")
        return self.releases_dir / use_case / release_name

    def open_snapshot(self, manifest: ReleaseManifest, directory: Path | None = None) -> FeatureStore:
        """Open the feature snapshot of a release after checking that nothing altered it.

        Args:
            manifest: The release.
            directory: Where it lies; the default is its place among the releases.

        Raises:
            ReleaseError: The snapshot is gone or differs from what was published.
        """
        path = (directory or self.release_dir(manifest.use_case, manifest.name)) / SNAPSHOT_FILE
        if not path.is_file():
            raise ReleaseError(
                f"the feature snapshot of {manifest.use_case} {manifest.name} was pruned or lost; "
                "publish its bundle again instead"
            )
        digest = _sha256(path)
        if digest != manifest.files[SNAPSHOT_FILE]:
            raise ReleaseError(f"{path} is not the file that was published; roll back to another release")
        return self._open_features(path, digest)

    def load(self, manifest: ReleaseManifest, directory: Path | None = None) -> "ReleasedModel":
        """Load a release with its model and snapshot, after verifying both.

        Args:
            manifest: The release.
            directory: Where it lies; the default is its place among the releases.

        Raises:
            ReleaseError: The release is damaged, or written by incompatible libraries.
            SchemaMismatchError: Its features are not those of this version.
        """
        from serving.released_model import ReleaseIdentity

        snapshot = self.open_snapshot(manifest, directory)
        bundle = self._read_stored_bundle(manifest.use_case, manifest.bundle_version)
        identity = ReleaseIdentity(
            use_case=manifest.use_case,
            release=manifest.name,
            model_version=manifest.bundle_version,
            released_at=manifest.released_at,
        )
        model = load_released_model(identity, bundle, snapshot)
        definitions = self._read_definitions(manifest, directory)
        if definitions is not None:
            # Here, because Dagster loads this module too and makes no features of raw rows.
            from serving.raw_features import RawFeatureMaker

            model.raw_features = RawFeatureMaker(definitions, snapshot.columns)
        return model

    def _read_definitions(self, manifest: ReleaseManifest, directory: Path | None) -> FeatureDefinitions | None:
        """Return how a release makes features of raw rows; None for releases that cannot.

        Raises:
            ReleaseError: The definitions are gone or differ from what was published.
        """
        if DEFINITIONS_FILE not in manifest.files:
            return None
        path = (directory or self.release_dir(manifest.use_case, manifest.name)) / DEFINITIONS_FILE
        if not path.is_file() or _sha256(path) != manifest.files[DEFINITIONS_FILE]:
            raise ReleaseError(f"{path} is not the file that was published; roll back to another release")
        return FeatureDefinitions.model_validate_json(path.read_bytes())

    def _read_stored_bundle(self, use_case: str, version: str) -> Bundle:
        try:
            return read_bundle(self.bundle_dir(use_case, version))
        except BundleError as error:
            raise ReleaseError(f"{use_case}:{version} cannot be served: {error}") from error

    def _try_out(self, manifest: ReleaseManifest, directory: Path) -> None:
        """Load a release as the server would and let it predict, so that a bad one never reaches the pointer."""
        try:
            self.load(manifest, directory).try_out(_TRIAL_CUSTOMERS)
        except ReleaseError:
            raise
        # What estimators raise when features do not fit them; anything else is a fault of ours and stays one.
        except (KilowiseError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ReleaseError(
                f"{manifest.use_case}:{manifest.bundle_version} does not work with the features of marts "
                f"{manifest.marts_version}: {type(error).__name__}: {error}"
            ) from error

    def _current_if_sound(self, use_case: str) -> ReleaseManifest | None:
        """Return the current release, or None when there is none or publishing anew is the cure for it."""
        try:
            current = self.current_release(use_case)
            if current is not None:
                self.open_snapshot(current)
        except KilowiseError:
            return None
        return current

    def _next_number(self, folder: Path) -> int:
        numbers = [_release_number(entry.name) for entry in folder.iterdir() if _RELEASE_NAME.match(entry.name)]
        return max(numbers, default=0) + 1

    def _point_to(self, manifest: ReleaseManifest, *, action: str, by: str, reason: str) -> None:
        folder = self.releases_dir / manifest.use_case
        previous = self.current_name(manifest.use_case)
        temporary = folder / f".{POINTER_FILE}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(manifest.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / POINTER_FILE)
        _flush_directory(folder)
        entry = {
            "at": datetime.now(UTC).isoformat(),
            "action": action,
            "from": previous,
            "to": manifest.name,
            "by": by,
            "reason": reason,
        }
        with (folder / HISTORY_FILE).open("ab") as file:
            file.write(orjson.dumps(entry) + b"\n")

    def _prune_snapshots(self, use_case: str, *, keep: int) -> None:
        trial = self.current_trial(use_case)
        in_use = {self.current_name(use_case), None if trial is None else trial.release}
        for manifest in self.list_releases(use_case)[max(keep, 1) :]:
            if manifest.name not in in_use:
                (self.release_dir(use_case, manifest.name) / SNAPSHOT_FILE).unlink(missing_ok=True)

    def _replace_snapshot(self, manifest: ReleaseManifest, customer_key: str) -> None:
        """Put a release without the customer in the place of one with the customer."""
        folder = self.releases_dir / manifest.use_case
        incoming = folder / f".incoming-{manifest.name}"
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(folder / manifest.name, incoming)
        left = erase_from_snapshot(incoming / SNAPSHOT_FILE, customer_key)
        files = {**manifest.files, SNAPSHOT_FILE: _sha256(incoming / SNAPSHOT_FILE)}
        changed = manifest.model_copy(update={"customers_count": left, "files": files})
        (incoming / RELEASE_FILE).write_bytes(orjson.dumps(changed.model_dump(mode="json"), option=orjson.OPT_INDENT_2))
        _flush_tree(incoming)
        replaced = folder / f"{_REPLACED}{manifest.name}"
        (folder / manifest.name).rename(replaced)
        incoming.rename(folder / manifest.name)
        _flush_directory(folder)
        shutil.rmtree(replaced)

    def _settle_interrupted_erasures(self, folder: Path) -> None:
        for replaced in folder.glob(f"{_REPLACED}*"):
            release = folder / replaced.name.removeprefix(_REPLACED)
            if release.exists():
                shutil.rmtree(replaced)
            else:
                replaced.rename(release)

    def _renew_latest(self, use_case: str) -> None:
        """Let BentoML's pointer to the latest model name one that is there."""
        folder = self.bentoml_home / "models" / use_case
        versions = sorted(folder.glob("*/"), key=lambda path: path.stat().st_mtime)
        if versions:
            latest = folder / ".latest.tmp"
            latest.write_text(versions[-1].name, encoding="utf-8")
            latest.replace(folder / "latest")
        else:
            (folder / "latest").unlink(missing_ok=True)

    def _model_dir(self, use_case: str, version: str) -> Path:
        # BentoML's own layout of a model store; reading it directly spares the server BentoML's process-wide
        # BENTOML_HOME and lets one test process work with several stores.
        return self.bentoml_home / "models" / use_case / version

    def _create_bentoml_model(self, directory: Path, manifest: BundleManifest, target: Path) -> None:
        # BentoML copies into the final folder, so a kill halfway would leave a model without model.yaml on which
        # every `bentoml models list` fails; hence a staging store beside it and one rename.
        os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
        import bentoml.models
        from bentoml._internal.models import ModelStore as BentoModelStore

        staging = self.bentoml_home / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        with bentoml.models.create(
            f"{manifest.use_case}:{manifest.version}",
            labels={"use_case": manifest.use_case, "data_fingerprint": manifest.data_fingerprint[:60]},
            metadata={"code_version": manifest.code_version, "seed": manifest.seed},
            _model_store=BentoModelStore(staging),
        ) as model:
            shutil.copytree(directory, model.path_of("bundle"))
        staged = staging / manifest.use_case / manifest.version
        _flush_tree(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        latest = target.parent / ".latest.tmp"
        latest.write_text(manifest.version, encoding="utf-8")
        latest.replace(target.parent / "latest")
        _flush_directory(target.parent)
        shutil.rmtree(staging)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep every other publisher out; the kernel frees the lock when a process dies."""
        self.releases_dir.mkdir(parents=True, exist_ok=True)
        with (self.releases_dir / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _check_use_case(use_case: str) -> None:
    if use_case not in USE_CASES:
        raise ReleaseError(f"there is no use case {use_case!r}; there are: {', '.join(USE_CASES)}")


def _release_number(name: str) -> int:
    return int(name.split("-", 1)[0])


def _is_of(
    release: ReleaseManifest, bundle_version: str, marts_version: str, definitions: FeatureDefinitions | None
) -> bool:
    lacks_definitions = definitions is not None and DEFINITIONS_FILE not in release.files
    return not lacks_definitions and (release.bundle_version, release.marts_version) == (bundle_version, marts_version)


def _latest_month(features: "pd.DataFrame") -> date | None:
    import pandas as pd

    latest = pd.to_datetime(features[AS_OF_MONTH]).max()
    return None if pd.isna(latest) else latest.date()


def _overall_metrics(bundle: Bundle) -> list[Metric]:
    key = bundle.evaluation.key_metric
    others = [m for m in bundle.evaluation.metrics if m.slice_column is None and m.name != key.name]
    return [key, *others]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_tree(directory: Path) -> None:
    for entry in directory.rglob("*"):
        if entry.is_file():
            with entry.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _flush_directory(entry)
    _flush_directory(directory)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
