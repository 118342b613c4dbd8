"""Model bundles: a folder that holds everything about one trained model and proves that it is unchanged.

Layout::

    bundle.json        manifest: what, from which data, with which code and libraries, hash of every file
    estimator/*        the model, in formats that cannot run code when they are loaded
    evaluation.json    figures with intervals, baselines, criteria
    reference.parquet  sample of features and predictions against which drift is measured
    holdout.parquet    rows on which challenger and champion are compared (when the use case keeps them)
    model_card.json    contents of the model card, so that a release can render it again with the gate's decision
    model_card.html    the card itself
    plots/*.png

The same model, data and seed give the same bytes: no clock, no path and no machine name is written. The version is
derived from the contents, so two bundles with one version are one bundle.
"""

import hashlib
import importlib
import importlib.metadata
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.columns import USE_CASES, names
from ml.errors import BundleError, OtherCodeError
from ml.evaluation import Evaluation, Metric
from ml.gate import GateDecision
from ml.model_card import ModelCard, render_model_card

FORMAT_VERSION = 1
MANIFEST_FILE = "bundle.json"
SAFE_SUFFIXES = (".json", ".ubj", ".skops", ".parquet", ".npz")
"""Formats that may hold an estimator. Pickle and joblib run code when loaded and are refused."""

LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "skops", "xgboost")
_DISTRIBUTIONS = {"xgboost": ("xgboost-cpu", "xgboost")}


class DataWindow(BaseModel):
    """Months of data behind a model, both inclusive.

    Attributes:
        first_month: First day of the first as-of month.
        last_month: First day of the last as-of month.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_month: date
    last_month: date


class BundleManifest(BaseModel):
    """What a bundle says about itself.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        version: ``<last month>-<hash of the contents>``.
        data_window: Months behind the model.
        data_fingerprint: Hash of the training data, as given by who supplied it.
        code_version: Version of the package and hash of the source that trained the model.
        library_versions: Versions of the numeric libraries.
        seed: Seed of everything random.
        config: Configuration of the training.
        features: Names and order of the inputs.
        predictions: Names and order of the outputs.
        key_metric: The figure by which models of this use case are compared.
        rows: Rows behind the model, by part (such as ``train``, ``holdout``).
        files: SHA-256 of every file but the manifest and the rendered card, which repeats what the others say.
        model_card_sha256: SHA-256 of the rendered card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    use_case: str
    version: str = ""
    data_window: DataWindow
    data_fingerprint: str
    code_version: str
    library_versions: dict[str, str]
    seed: int
    config: dict[str, Any]
    features: list[str]
    predictions: list[str]
    key_metric: Metric
    rows: dict[str, int] = Field(default_factory=dict)
    files: dict[str, str]
    model_card_sha256: str = ""


class EstimatorModel(Protocol):
    """What a model of any use case can do for its bundle."""

    def to_files(self) -> dict[str, bytes]:
        """Return the files of the estimator by name; loading them gives an equal model."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Everything that a training run produced; `write` turns it into a bundle.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        model: The trained model.
        evaluation: Its figures.
        reference: Features and predictions for drift monitoring: customer_key, as_of_month, district, features,
            predictions, and the label where there is one.
        holdout: Rows on which a champion is compared; ``None`` when the use case rebuilds them from the marts.
        plots: PNG files by name (without folder).
        model_card: Contents of the model card.
        config: Configuration of the training.
        seed: Seed of everything random.
        data_window: Months behind the model.
        data_fingerprint: Hash of the training data.
        rows: Rows by part.
    """

    use_case: str
    model: EstimatorModel
    evaluation: Evaluation
    reference: pd.DataFrame
    holdout: pd.DataFrame | None
    plots: Mapping[str, bytes]
    model_card: ModelCard
    config: BaseModel
    seed: int
    data_window: DataWindow
    data_fingerprint: str
    rows: Mapping[str, int]

    def write(self, directory: Path) -> BundleManifest:
        """Write the bundle into a new folder and return its manifest."""
        return write_bundle(
            directory,
            use_case=self.use_case,
            estimator_files=self.model.to_files(),
            evaluation=self.evaluation,
            reference=self.reference,
            holdout=self.holdout,
            model_card=self.model_card,
            plots=self.plots,
            config=self.config.model_dump(mode="json"),
            seed=self.seed,
            data_window=self.data_window,
            data_fingerprint=self.data_fingerprint,
            rows=self.rows,
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose integrity has been verified.

    Attributes:
        directory: Where it lies.
        manifest: Its manifest.
        evaluation: Its figures.
        model_card: Contents of its card.
    """

    directory: Path
    manifest: BundleManifest
    evaluation: Evaluation
    model_card: ModelCard

    def estimator_files(self) -> dict[str, bytes]:
        """Return the estimator's files by name, as ``from_files`` of the use case's model takes them."""
        return {
            name.removeprefix("estimator/"): (self.directory / name).read_bytes()
            for name in self.manifest.files
            if name.startswith("estimator/")
        }

    def plots(self) -> dict[str, bytes]:
        """Return the plots by name."""
        return {
            name.removeprefix("plots/"): (self.directory / name).read_bytes()
            for name in self.manifest.files
            if name.startswith("plots/")
        }

    def reference(self) -> pd.DataFrame:
        """Return the reference sample for drift monitoring."""
        return pd.read_parquet(self.directory / "reference.parquet")

    def holdout(self) -> pd.DataFrame | None:
        """Return the rows on which models are compared, when the bundle keeps them."""
        if "holdout.parquet" not in self.manifest.files:
            return None
        return pd.read_parquet(self.directory / "holdout.parquet")

    def render_card(self, gate: GateDecision | None = None) -> str:
        """Return the model card as HTML, with the gate's decision when there is one."""
        return _render(self.model_card, self.manifest, self.evaluation, self.plots(), gate)


def write_bundle(
    directory: Path,
    *,
    use_case: str,
    estimator_files: Mapping[str, bytes],
    evaluation: Evaluation,
    reference: pd.DataFrame,
    model_card: ModelCard,
    plots: Mapping[str, bytes],
    config: Mapping[str, Any],
    seed: int,
    data_window: DataWindow,
    data_fingerprint: str,
    holdout: pd.DataFrame | None = None,
    rows: Mapping[str, int] | None = None,
) -> BundleManifest:
    """Write a bundle into a new folder, all at once: a reader sees the whole bundle or none.

    Args:
        directory: Folder to create; it must not exist.
        use_case: One of ``ml.columns.USE_CASES``.
        estimator_files: Files of the model by name; only safe formats (`SAFE_SUFFIXES`).
        evaluation: Figures of the model.
        reference: Sample for drift monitoring; must hold every feature and prediction.
        model_card: Contents of the card; the HTML is rendered here, because it shows the version.
        plots: PNG files by name.
        config: Configuration of the training, JSON types only.
        seed: Seed of everything random.
        data_window: Months behind the model.
        data_fingerprint: Hash of the training data.
        holdout: Rows on which models are compared.
        rows: Rows by part.

    Raises:
        BundleError: If the folder exists, a format is unsafe, or the reference lacks a column.
    """
    features, predictions = schema_names(use_case)
    unsafe = sorted(name for name in estimator_files if not name.endswith(SAFE_SUFFIXES) or "/" in name)
    if unsafe or not estimator_files:
        raise BundleError(
            f"estimator files {unsafe or '(none)'} are not allowed: "
            f"give plain names ending in {', '.join(SAFE_SUFFIXES)}"
        )
    lacking = [name for name in (*features, *predictions) if name not in reference.columns]
    if lacking:
        raise BundleError(f"the reference sample lacks the columns {', '.join(lacking)}")
    if evaluation.use_case != use_case:
        raise BundleError(f"the evaluation is of {evaluation.use_case}, the bundle of {use_case}")
    contents = {f"estimator/{name}": data for name, data in estimator_files.items()}
    contents |= {f"plots/{name}": data for name, data in plots.items()}
    contents["evaluation.json"] = canonical_json(evaluation.model_dump(mode="json"))
    contents["model_card.json"] = canonical_json(model_card.model_dump(mode="json"))
    contents["reference.parquet"] = frame_bytes(reference)
    if holdout is not None:
        contents["holdout.parquet"] = frame_bytes(holdout)
    manifest = BundleManifest(
        use_case=use_case,
        data_window=data_window,
        data_fingerprint=data_fingerprint,
        code_version=code_version(use_case),
        library_versions=installed_library_versions(),
        seed=seed,
        config=dict(config),
        features=features,
        predictions=predictions,
        key_metric=evaluation.key_metric,
        rows=dict(rows or {}),
        files={name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)},
    )
    manifest = manifest.model_copy(update={"version": content_version(manifest)})
    card = _render(model_card, manifest, evaluation, plots, None).encode()
    manifest = manifest.model_copy(update={"model_card_sha256": hashlib.sha256(card).hexdigest()})
    contents["model_card.html"] = card
    contents[MANIFEST_FILE] = canonical_json(manifest.model_dump(mode="json"))
    _publish(directory, contents)
    return manifest


def read_bundle(directory: Path) -> Bundle:
    """Read a bundle and verify all of it: files, hashes, version, libraries, schema.

    Raises:
        BundleError: If anything differs; the message names what, what was expected, and what to do.
    """
    manifest = _read_manifest(directory)
    _verify_files(directory, manifest)
    if manifest.version != content_version(manifest):
        raise BundleError(
            f"{directory / MANIFEST_FILE}: the version {manifest.version} does not belong to these contents "
            f"({content_version(manifest)}); the manifest was altered. Restore the bundle from the model store."
        )
    _verify_schema(directory, manifest)
    _verify_libraries(directory, manifest)
    try:
        evaluation = Evaluation.model_validate_json((directory / "evaluation.json").read_bytes())
        card = ModelCard.model_validate_json((directory / "model_card.json").read_bytes())
    except (ValidationError, FileNotFoundError) as error:
        raise BundleError(f"{directory}: evaluation.json or model_card.json cannot be read: {error}") from error
    return Bundle(directory=directory, manifest=manifest, evaluation=evaluation, model_card=card)


def read_bundle_of_this_code(directory: Path) -> Bundle | None:
    """Read a bundle, or return ``None`` when other code or libraries wrote it, as after an upgrade.

    Raises:
        BundleError: If it is damaged or was altered.
    """
    try:
        return read_bundle(directory)
    except OtherCodeError:
        return None


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys and a fixed layout; NaN is refused, since it is not JSON."""
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def frame_bytes(frame: pd.DataFrame) -> bytes:
    """Return a frame as Parquet bytes that depend on its contents only."""
    # The pandas metadata would repeat the library's version, which the manifest holds.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def fingerprint_frames(frames: Mapping[str, pd.DataFrame]) -> str:
    """Return a hash of named frames: values, column names and order count, the index does not."""
    digest = hashlib.sha256()
    for name in sorted(frames):
        frame = frames[name]
        digest.update(f"{name}|{'|'.join(map(str, frame.columns))}|{len(frame)}".encode())
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def schema_names(use_case: str) -> tuple[list[str], list[str]]:
    """Return the names of features and predictions of a use case, from ``ml/<use_case>/schema.py``."""
    if use_case not in USE_CASES:
        raise BundleError(f"unknown use case {use_case!r}; known are {', '.join(USE_CASES)}")
    schema = importlib.import_module(f"ml.{use_case}.schema")
    return names(schema.FEATURES), names(schema.PREDICTIONS)


def installed_library_versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the installed version of each library."""
    return {library: _installed_version(library) for library in libraries}


_WORDS_AND_PLOTS = ("model_card.py", "plots.py", "stored_words.py", "wording.py")
"""What shows a model and cannot change it."""


@cache
def code_version(use_case: str) -> str:
    """Return the package's version and a hash of the source that can influence a model of this use case."""
    root = Path(__file__).parent
    shared = [path for path in root.glob("*.py") if path.name not in _WORDS_AND_PLOTS]
    own = [*(root / use_case).rglob("*.py")]
    if use_case == "tariff_matching":
        own += [*(root / "tariffs").rglob("*.py"), *(root / "tariffs").rglob("*.yaml")]
    digest = hashlib.sha256()
    for path in sorted({*shared, *own}):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    try:
        package = importlib.metadata.version("kilowise")
    except importlib.metadata.PackageNotFoundError:
        package = "0"  # runs from a source tree that is not installed; the hash tells the code apart
    return f"{package}+{digest.hexdigest()[:12]}"


def _installed_version(library: str) -> str:
    for distribution in _DISTRIBUTIONS.get(library, (library,)):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise BundleError(f"the library {library} is not installed, so no bundle can be written or read")


def content_version(manifest: BundleManifest) -> str:
    """Return the version that belongs to the contents of a manifest."""
    contents = canonical_json(manifest.model_dump(mode="json", exclude={"version", "model_card_sha256"}))
    return f"{manifest.data_window.last_month:%Y%m}-{hashlib.sha256(contents).hexdigest()[:10]}"


def _render(
    card: ModelCard,
    manifest: BundleManifest,
    evaluation: Evaluation,
    plots: Mapping[str, bytes],
    gate: GateDecision | None,
) -> str:
    schema = importlib.import_module(f"ml.{manifest.use_case}.schema")
    return render_model_card(
        card,
        manifest=manifest.model_dump(mode="json"),
        evaluation=evaluation,
        plots=plots,
        features=schema.FEATURES,
        predictions=schema.PREDICTIONS,
        gate=gate,
    )


def _publish(directory: Path, contents: Mapping[str, bytes]) -> None:
    if directory.exists():
        raise BundleError(f"{directory} exists; a bundle is written once, so choose a new folder")
    directory.parent.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, data in contents.items():
            path = incoming / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        incoming.chmod(0o755)
        incoming.rename(directory)
    except OSError as error:
        shutil.rmtree(incoming, ignore_errors=True)
        raise BundleError(f"{directory} could not be written: {error}") from error


def _read_manifest(directory: Path) -> BundleManifest:
    path = directory / MANIFEST_FILE
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BundleError(f"{path} does not exist; this is not a model bundle") from error
    except ValueError as error:
        raise BundleError(f"{path} is not JSON: {error}") from error
    found = raw.get("format_version") if isinstance(raw, dict) else None
    if found != FORMAT_VERSION:
        raise OtherCodeError(
            f"{path} has format version {found}, this code reads {FORMAT_VERSION}; train the model again"
        )
    try:
        return BundleManifest.model_validate(raw)
    except ValidationError as error:
        raise BundleError(f"{path} is not a valid manifest: {error}") from error


def _verify_files(directory: Path, manifest: BundleManifest) -> None:
    expected = manifest.files | {"model_card.html": manifest.model_card_sha256}
    present = set(_relative_files(directory)) - {MANIFEST_FILE}
    missing = sorted(set(expected) - present)
    unknown = sorted(present - set(expected))
    altered = sorted(
        name
        for name, digest in expected.items()
        if name in present and hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest
    )
    problems = [
        f"{label}: {', '.join(files)}"
        for label, files in (("missing", missing), ("not in the manifest", unknown), ("altered", altered))
        if files
    ]
    if problems:
        raise BundleError(f"{directory}: {'; '.join(problems)}. Restore the bundle from the model store.")
    unsafe = [name for name in manifest.files if name.startswith("estimator/") and not name.endswith(SAFE_SUFFIXES)]
    if unsafe:
        raise BundleError(
            f"{directory}: {', '.join(unsafe)} is not a safe format; allowed are {', '.join(SAFE_SUFFIXES)}"
        )


def _relative_files(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_file():
            yield path.relative_to(directory).as_posix()


def _verify_schema(directory: Path, manifest: BundleManifest) -> None:
    features, predictions = schema_names(manifest.use_case)
    for label, found, expected in (
        ("features", manifest.features, features),
        ("predictions", manifest.predictions, predictions),
    ):
        if found != expected:
            added = [name for name in expected if name not in found]
            gone = [name for name in found if name not in expected]
            differs = f"new {added}, gone {gone}" if added or gone else "the order differs"
            raise OtherCodeError(
                f"{directory}: the {label} differ from ml/{manifest.use_case}/schema.py ({differs}); "
                "train the model again or run the code of its time"
            )


def _verify_libraries(directory: Path, manifest: BundleManifest) -> None:
    differing = []
    for library, written in manifest.library_versions.items():
        installed = _installed_version(library)
        if written.split(".")[:2] != installed.split(".")[:2]:
            differing.append(f"{library} {written} (installed: {installed})")
    if differing:
        raise OtherCodeError(
            f"{directory} was written with {', '.join(differing)}; install these versions or train the model again"
        )
