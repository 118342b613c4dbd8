"""The life of a model, the same for every use case: check, train, judge, release, score, review.

No Dagster in here: the assets call these functions and report what they return. What differs between the use cases
is in ``use_cases.py``.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ml.errors import BundleError, KilowiseError
from orchestration.feature_definitions import read_feature_definitions
from orchestration.files import replace_text
from orchestration.forms.engines import scoring_engine
from orchestration.marts import CustomerRange, MartsVersion
from orchestration.scoring import PARTS_FOLDER, ScoringTask, customer_ranges, join_parts
from orchestration.settings import PlatformSettings
from orchestration.surroundings import review_surroundings, surroundings_fingerprint
from orchestration.trials import evidence_of, trial_requirement

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from ml.gate import GateDecision
    from ml.sufficiency import SufficiencyReport
    from monitoring.verdicts import Verdict
    from orchestration.use_cases import UseCase
    from serving.model_store import ReleaseManifest

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Challenger:
    """The bundle that the last training produced.

    Attributes:
        bundle: The bundle, read from the model store.
        was_trained_now: False when unchanged data, code, seed and settings made a training unnecessary.
    """

    bundle: "Bundle"
    was_trained_now: bool


@dataclass(frozen=True, slots=True)
class ScoredMonth:
    """What scoring one month wrote.

    Attributes:
        month: First day of the as-of month.
        path: Parquet file with features and predictions, ``None`` when there was nothing to score.
        rows: Customers scored.
        release: Name of the release that scored them; empty when there is none.
        note: Why nothing was scored or why an earlier result was kept; empty otherwise.
    """

    month: date
    path: Path | None
    rows: int
    release: str
    note: str = ""


def check_data(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings) -> "SufficiencyReport":
    """Return whether the data can support a model; the report of the same data, code and settings is kept."""
    from ml.sufficiency import SufficiencyReport

    basis = json.dumps(_training_basis(use_case, marts, settings), sort_keys=True)
    key = hashlib.sha256(basis.encode()).hexdigest()
    path = settings.reports_dir / use_case.name / "sufficiency.json"
    if path.exists():
        kept = json.loads(path.read_bytes())
        if kept["key"] == key:
            return SufficiencyReport.model_validate(kept["report"])
    report = use_case.check(learning_marts(use_case, marts, settings), settings)
    replace_text(path, json.dumps({"key": key, "report": report.model_dump(mode="json")}, indent=2))
    return report


def _training_basis(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings) -> dict[str, Any]:
    """Return everything on which a training of the use case depends."""
    from ml.bundle import code_version

    sample = learning_marts(use_case, marts, settings).customers
    return {
        "data_fingerprint": _fingerprint(
            marts.fingerprint(*use_case.training_marts),
            use_case.input_fingerprint(settings),
            *([sample.last] if sample else []),
        ),
        "code_version": code_version(use_case.name),
        "seed": settings.seed,
        "config": use_case.config(settings).model_dump(mode="json"),
    }


def learning_marts(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings) -> MartsVersion:
    """Return the marts of the customers that a use case learns from.

    Of more customers than the setting those with the smallest keys: a key is a keyed hash of an identifier, so these
    are a random sample, which stays the same as others come, and which is read without the rest.
    """
    if not use_case.learns_from_sample or marts.row_counts[use_case.feature_mart] <= settings.training_customers:
        return marts
    latest = latest_months(marts, 1, date.min)[-1]
    parts = customer_ranges(marts, use_case.feature_mart, latest, settings.training_customers)
    return marts if len(parts) < 2 else marts.of_customers(CustomerRange("", parts[0].last))


def train_challenger(
    use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings, log: Log
) -> Challenger | None:
    """Train a challenger and store its bundle, unless nothing that matters changed since the last one.

    Returns:
        The challenger, or ``None`` when the data is not sufficient.
    """
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    pointer = _challenger_pointer(settings, use_case.name)
    basis = _training_basis(use_case, marts, settings)
    known = read_challenger(use_case.name, settings)
    if known is not None and known.manifest.model_dump(mode="json", include=set(basis)) == basis:
        log(f"Nothing changed since {known.manifest.version} was trained; it stays the challenger.")
        return Challenger(known, was_trained_now=False)
    report = check_data(use_case, marts, settings)
    if not report.is_sufficient:
        pointer.unlink(missing_ok=True)
        log(report.sentence())
        return None
    result = use_case.train(learning_marts(use_case, marts, settings), settings, basis["data_fingerprint"])
    with TemporaryDirectory(prefix="kilowise-bundle-") as folder:
        manifest = result.write(Path(folder) / "bundle")
        store.store_bundle(Path(folder) / "bundle")
    replace_text(pointer, manifest.version)
    bundle = read_challenger(use_case.name, settings)
    if bundle is None:
        raise KilowiseError(f"The bundle {use_case.name}:{manifest.version} vanished from {settings.home / 'models'}.")
    return Challenger(bundle, was_trained_now=True)


def read_challenger(use_case: str, settings: PlatformSettings) -> "Bundle | None":
    """Return the bundle of the last training, verified, or ``None`` before the first.

    After an upgrade that changed what a bundle holds there is none either, so that the next run trains one.
    """
    from ml.bundle import read_bundle_of_this_code
    from serving.model_store import ModelStore

    pointer = _challenger_pointer(settings, use_case)
    if not pointer.exists():
        return None
    directory = ModelStore(settings.home).bundle_dir(use_case, pointer.read_text(encoding="utf-8").strip())
    return read_bundle_of_this_code(directory) if directory.exists() else None


def has_new_training_data(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings) -> bool:
    """Return whether the data differs from what the served model and the last challenger learned from."""
    from serving.model_store import ModelStore

    release = ModelStore(settings.home).current_release(use_case.name)
    pointer = _challenger_pointer(settings, use_case.name)
    versions = {release.bundle_version} if release else set()
    if pointer.exists():
        versions.add(pointer.read_text(encoding="utf-8").strip())
    learned = {_learned_from(settings, use_case.name, version) for version in versions}
    return _training_basis(use_case, marts, settings)["data_fingerprint"] not in learned


def _learned_from(settings: PlatformSettings, use_case: str, version: str) -> str:
    """Return the fingerprint of the data that a stored bundle was trained on; empty if the bundle is gone."""
    from ml.bundle import MANIFEST_FILE
    from serving.model_store import ModelStore, ReleaseError

    try:
        manifest = ModelStore(settings.home).bundle_dir(use_case, version) / MANIFEST_FILE
    except ReleaseError:
        return ""
    return str(json.loads(manifest.read_bytes())["data_fingerprint"])


def forget_lost_challengers(settings: PlatformSettings) -> None:
    """Let no use case name a challenger that the model store no longer holds, so that the next run trains one."""
    from ml.columns import USE_CASES
    from serving.model_store import ModelStore, ReleaseError

    store = ModelStore(settings.home)
    for use_case in USE_CASES:
        pointer = _challenger_pointer(settings, use_case)
        if not pointer.exists():
            continue
        try:
            store.bundle_dir(use_case, pointer.read_text(encoding="utf-8").strip())
        except ReleaseError:
            pointer.unlink()


def judge_challenger(
    use_case: "UseCase", bundle: "Bundle", marts: MartsVersion, settings: PlatformSettings, *, decided_on: date
) -> "GateDecision":
    """Compare the challenger with its baselines and the champion, decide, and keep the decision with its card.

    The decision and the card stay in the reports whatever it says: a refused challenger keeps its report.
    """
    from ml.bundle import read_bundle_of_this_code
    from ml.gate import GateDecision, decide
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    champion = store.current_release(use_case.name)
    folder = decision_dir(settings, use_case.name, bundle.manifest.version)
    path = folder / "decision.json"
    if champion is not None and champion.bundle_version == bundle.manifest.version and path.exists():
        # The challenger is what is served; to judge it against itself would say nothing new.
        return GateDecision.model_validate_json(path.read_text(encoding="utf-8"))
    # A champion that other code trained cannot be scored, so the challenger stands as a first model does.
    champion_bundle = (
        read_bundle_of_this_code(store.bundle_dir(use_case.name, champion.bundle_version)) if champion else None
    )
    comparison = None
    if champion_bundle is not None:
        try:
            comparison = use_case.compare(bundle, champion_bundle, marts, settings)
        except BundleError:
            # Its hashes prove it unchanged, so what cannot be read was written by other code.
            champion_bundle = None
    # Before the first release there is no traffic to try a model on.
    requirement = trial_requirement(settings, use_case.name) if champion else None
    version = bundle.manifest.version
    decision = decide(
        bundle.evaluation,
        policy=use_case.gate_policy().model_copy(update={"trial": requirement}),
        trial=evidence_of(settings, use_case.name, version) if requirement else None,
        challenger_version=version,
        decided_on=decided_on,
        has_champion=champion_bundle is not None,
        champion=comparison,
    )
    replace_text(folder / "model_card.html", bundle.render_card(gate=decision))
    replace_text(path, decision.model_dump_json(indent=2))
    return decision


def decision_dir(settings: PlatformSettings, use_case: str, bundle_version: str) -> Path:
    """Return the folder that keeps the gate's decision on a bundle and the card that shows it."""
    return settings.reports_dir / use_case / "decisions" / bundle_version


def release_challenger(
    use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings, *, approved_by: str
) -> "ReleaseManifest | None":
    """Release the challenger that the gate approved, or renew the feature snapshot of the served bundle.

    What a person rolled back is not released again unless a person asks for it by name.

    Args:
        use_case: The use case.
        marts: Where the feature snapshot comes from.
        settings: Settings of the platform.
        approved_by: Person who approves; empty when nobody was asked.

    Returns:
        The release that is served afterwards, or ``None`` when there is none.
    """
    from ml.gate import GateDecision
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    bundle = read_challenger(use_case.name, settings)
    current = store.current_release(use_case.name)
    if bundle is None:
        return current
    path = decision_dir(settings, use_case.name, bundle.manifest.version) / "decision.json"
    if not path.exists():
        return current
    decision = GateDecision.model_validate_json(path.read_text(encoding="utf-8"))
    awaits_person = settings.release_policy == "approval" and not approved_by
    is_new = current is None or current.bundle_version != bundle.manifest.version
    was_taken_back = is_new and not approved_by and store.is_rolled_back(use_case.name, bundle.manifest.version)
    if not decision.approved or (is_new and awaits_person) or was_taken_back:
        return current
    definitions = read_feature_definitions(settings.marts_dir, use_case.name)
    if store.serves(use_case.name, bundle.manifest.version, marts.name, definitions):
        return current
    use_case.before_release(bundle, settings)
    return store.publish_release(
        use_case.name,
        bundle.manifest.version,
        use_case.snapshot_features(bundle, marts),
        gate=decision,
        approved_by=approved_by or "gate",
        marts_version=marts.name,
        customer_tables=use_case.snapshot_tables(marts, settings),
        definitions=definitions,
        retained_snapshots=settings.retained_snapshots,
    )


def score_month(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings, month: date) -> ScoredMonth:
    """Score all customers of one as-of month with the released model and write features and predictions.

    More customers than a part holds are scored in parts. The file becomes visible by one rename. An equal scoring (same
    release, same marts) is kept, not repeated.
    """
    import pyarrow.parquet as pq

    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    release = store.current_release(use_case.name)
    if release is None:
        return ScoredMonth(month, None, 0, "", note="no model is released")
    path = predictions_path(settings, use_case.name, month)
    source = _fingerprint(marts.fingerprint(*use_case.scoring_marts), release.name)
    if path.exists():
        metadata = pq.read_schema(path).metadata or {}
        if metadata.get(b"kilowise.source") == source.encode():
            rows = pq.read_metadata(path).num_rows
            return ScoredMonth(month, path, rows, release.name, note="unchanged, kept")
    task = ScoringTask(
        use_case=use_case,
        month=month,
        marts=marts,
        settings=settings,
        bundle_dir=store.bundle_dir(use_case.name, release.bundle_version),
        release=release.name,
        bundle_version=release.bundle_version,
        decided_at=datetime.now(UTC).replace(microsecond=0),
    )
    parts = customer_ranges(marts, use_case.feature_mart, month, use_case.customers_per_part)
    if not parts:
        return ScoredMonth(month, None, 0, release.name, note="no customer has features for this month")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.parquet")
    if len(parts) == 1:
        table = task.score(None)
        described = {**(table.schema.metadata or {}), b"kilowise.source": source.encode()}
        pq.write_table(table.replace_schema_metadata(described), temporary, compression="zstd")
        rows = len(table)
    else:
        with TemporaryDirectory(prefix=PARTS_FOLDER, dir=path.parent) as folder:
            rows = join_parts(scoring_engine(settings).score(task, parts, Path(folder)), temporary, source.encode())
    temporary.replace(path)
    return ScoredMonth(month, path, rows, release.name)


def predictions_path(settings: PlatformSettings, use_case: str, month: date) -> Path:
    """Return the file with the batch predictions of one use case and as-of month."""
    return settings.predictions_dir / "batch" / use_case / f"as_of_month={month.isoformat()}" / "predictions.parquet"


def review_month(
    use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings, month: date, *, with_report: bool = True
) -> "Verdict | None":
    """Review the drift of one month of the released model; ``None`` when no model is released.

    A review of unchanged predictions, answers and outcomes is kept, not repeated.

    Args:
        use_case: The use case.
        marts: What really happened, and what explains it.
        settings: Settings of the platform.
        month: As-of month.
        with_report: False leaves out Evidently's page, for drills that judge hundreds of months.
    """
    from monitoring.hysteresis import earlier_months
    from monitoring.policy import load_policy
    from monitoring.review import review_month as review
    from monitoring.verdicts import read_verdict
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    release = store.current_release(use_case.name)
    if release is None:
        return None
    reviewed = settings.reports_dir / use_case.name / f"{month:%Y-%m}" / release.name / "reviewed_inputs"
    inputs = _fingerprint(
        *_file_states(predictions_path(settings, use_case.name, month).parent),
        *_file_states(settings.predictions_dir / "log" / use_case.name),
        marts.fingerprint(*use_case.outcome_marts) if use_case.outcome_marts else "",
        load_policy(use_case.name, datetime.now(UTC).date()).model_dump_json(),
        # A month holds what the months before it led to.
        *map(str, earlier_months(settings.reports_dir, use_case.name, release.name, month)),
        surroundings_fingerprint(marts),
    )
    if reviewed.exists() and reviewed.read_text(encoding="utf-8") == inputs:
        return read_verdict(settings.reports_dir, use_case.name, month, release.name)
    bundle_dir = store.bundle_dir(use_case.name, release.bundle_version)
    verdict = review(
        use_case.name,
        month,
        predictions_dir=settings.predictions_dir / "batch" / use_case.name,
        log_dir=settings.predictions_dir / "log" / use_case.name,
        bundle_dir=bundle_dir,
        release=release.name,
        reports_dir=settings.reports_dir,
        outcomes=use_case.outcomes(marts),
        vintages=use_case.vintages(marts),
        advised_bills=use_case.advised_bills(bundle_dir, marts, settings, month, release.name),
        surroundings=review_surroundings(marts),
        with_report=with_report,
    )
    replace_text(reviewed, inputs)
    return verdict


def latest_verdicts(settings: PlatformSettings) -> "Sequence[Verdict]":
    """Return the latest verdict of each use case on its current release."""
    from monitoring.verdicts import read_verdict, read_verdicts
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    rows = read_verdicts(settings.reports_dir).select("use_case", "month", "release").sort("month").iter_rows()
    latest = {
        use_case: (month, release) for use_case, month, release in rows if store.current_name(use_case) == release
    }
    return [
        read_verdict(settings.reports_dir, use_case, month, release)
        for use_case, (month, release) in sorted(latest.items())
    ]


def latest_months(marts: MartsVersion, count: int, first_month: date) -> Sequence[date]:
    """Return the latest as-of months for which customers have features, oldest first."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    months: set[date] = set()
    for mart in ("customer_segmentation_features", "customer_tariff_features", "customer_credit_features"):
        column = pq.read_table(marts.path(mart), columns=["as_of_month"], partitioning=None).column("as_of_month")
        months |= {value.as_py() for value in pc.unique(column)}
    return sorted(month for month in months if month >= first_month)[-count:]


def _file_states(folder: Path) -> list[str]:
    """Return name, size and time of every file below a folder, enough to see whether something was written."""
    files = [(path, path.stat()) for path in sorted(folder.rglob("*.parquet"))]
    return [f"{path.name} {state.st_size} {state.st_mtime_ns}" for path, state in files]


def _challenger_pointer(settings: PlatformSettings, use_case: str) -> Path:
    return settings.home / "releases" / use_case / "CHALLENGER"


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
