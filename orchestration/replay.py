"""Computes logged decisions again, from what is stored, to the identical answer.

The way back is request id, prediction log, release, bundle, training data; each step is said in a sentence, and so is
what is missing on the way. The features are those that the log kept, and are compared with what the release knew of
the customer. No Dagster in here.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ml.errors import BundleError, KilowiseError, OtherCodeError
from ml.wording import plural
from orchestration.ingestion.pseudonym import customer_key
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from ml.credit_risk.policy import PolicyOutcome
    from serving.model_store import ModelStore, ReleaseManifest
    from serving.released_model import ReleasedModel, ScoringResult

Say = Callable[[str], None]
Row = Mapping[str, Any]

CREDIT_RISK = "credit_risk"
_SHOWN = 5
"""Decisions of a batch that are told one by one."""
_BATCH_PREFIX = "batch-"
_TITLES = {"segmentation": "segment", "tariff_matching": "tariff recommendation", CREDIT_RISK: "credit decision"}


class ReplayError(KilowiseError):
    """Something on the way back from a decision is missing; the message says what and since when."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Decisions that were computed again.

    Attributes:
        decisions: Logged rows of the request.
        differing: Of them, those that gave another answer; empty when all are identical.
        sentences: The way back and the result, in words.
        answers: The results as the API answers them, without the customer's id, which nobody keeps.
    """

    decisions: int
    differing: tuple[str, ...]
    sentences: tuple[str, ...]
    answers: tuple[dict[str, Any], ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether every decision gave the identical answer."""
        return not self.differing


@dataclass(frozen=True, slots=True)
class _Logged:
    """The rows of one request and a file that holds them."""

    use_case: str
    rows: list[Row]
    file: Path


def replay(settings: PlatformSettings, request_id: str, *, customer_id: str = "") -> Replay:
    """Compute the decisions of a request again and compare every digit.

    Args:
        settings: Settings of the platform.
        request_id: Id of an answer of the API, or of a batch (``batch-<release>-<month>``).
        customer_id: Only this customer of a batch, by the supplier's id; empty for all.

    Raises:
        ReplayError: The decision, its release or its bundle is no longer there, or other code wrote it.
    """
    key = customer_key(customer_id, settings.pseudonym_key.get_secret_value()) if customer_id else ""
    return Replayer(settings).replay(request_id, key=key)


class Replayer:
    """Replays any number of requests; releases are loaded once, and `read` reads the log once for all of them.

    Args:
        settings: Settings of the platform.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._logged: dict[str, _Logged] = {}
        self._models: dict[tuple[str, str], tuple[ReleaseManifest, Bundle, ReleasedModel]] = {}

    def read(self, request_ids: Iterable[str]) -> None:
        """Find the rows of requests, so that replaying them reads no file again."""
        self._logged |= _logged(self._settings, set(request_ids))

    def replay(self, request_id: str, *, key: str = "") -> Replay:
        """Compute the decisions of a request again; with a key, only that customer's.

        Raises:
            ReplayError: As `replay`.
        """
        from ml.columns import names
        from serving.log_replay import PrunedSnapshotError, score_again
        from serving.model_store import ReleaseError
        from serving.use_cases import feature_columns, prediction_columns

        if request_id not in self._logged:
            self.read([request_id])
        found = _of_customer(self._logged, self._settings, request_id, key)
        use_case, rows, file = found.use_case, found.rows, found.file
        first = rows[0]
        release, bundle, model = self._release(use_case, str(first["release"]), str(first["model_version"]))
        manifest = bundle.manifest
        predictions = names(prediction_columns(use_case))
        missing = [name for name in (*names(feature_columns(use_case)), *predictions) if name not in first]
        if missing:
            raise ReplayError(
                f"{file} was logged without {', '.join(missing)}, which this code needs: the decision is older. Replay "
                f"it with the code of its time ({manifest.code_version})."
            )
        try:
            again = score_again(model, rows)
        except (PrunedSnapshotError, ReleaseError) as error:
            raise ReplayError(f"The decision cannot be computed again: {error}.") from error
        differing = _differences(rows, [result.prediction for result in again], predictions)
        outcomes = _policy_outcomes(self._settings, rows, again) if use_case == CREDIT_RISK else [None] * len(rows)
        what = plural(len(rows), _TITLES[use_case])
        sentences = [
            f"Request {request_id}: {what} of {_instant(first['decided_at'])}, logged in "
            f"{file.relative_to(self._settings.home)}.",
            f"Release {release.name}, let out on {_instant(release.released_at)} by {release.approved_by}; features "
            f"from the marts {release.marts_version}{_marts_left(self._settings, release)}.",
            f"Bundle {use_case}:{manifest.version}, trained on {manifest.data_window.first_month:%Y-%m} to "
            f"{manifest.data_window.last_month:%Y-%m} (data {manifest.data_fingerprint[:12]}, code "
            f"{manifest.code_version}, seed {manifest.seed}); files, libraries and schema verified.",
            _snapshot_sentence(model, rows, names(feature_columns(use_case))),
            *_decision_sentences(use_case, rows, again, outcomes),
        ]
        if differing:
            sentences.append(
                f"NOT identical: {len(differing):,} of {plural(len(rows), 'decision')} differ. {differing[0]}"
            )
        else:
            sentences.append(f"Identical: {plural(len(rows), 'decision')}, the same answer to the last digit.")
        answers = tuple(
            _answer(row, result, outcome) for row, result, outcome in zip(rows, again, outcomes, strict=True)
        )
        return Replay(len(rows), tuple(differing), tuple(sentences), answers)

    def _release(self, use_case: str, name: str, version: str) -> "tuple[ReleaseManifest, Bundle, ReleasedModel]":
        from serving.log_replay import replaying_model
        from serving.model_store import ModelStore, ReleaseError

        if (use_case, name) not in self._models:
            store = ModelStore(self._settings.home)
            release = _release(store, use_case, name)
            bundle = _bundle(store, use_case, version)
            try:
                model = replaying_model(store, release, bundle)
            except ReleaseError as error:
                raise ReplayError(f"The release {name} cannot be trusted any more: {error}.") from error
            self._models[use_case, name] = (release, bundle, model)
        return self._models[use_case, name]


def decided_at(settings: PlatformSettings, use_case: str, request_id: str, customer_key: str) -> datetime:
    """Return when a customer got a logged answer of a use case.

    Raises:
        ReplayError: No such answer of this customer is logged.
    """
    found = _of_customer(_logged(settings, {request_id}), settings, request_id, customer_key)
    if found.use_case != use_case:
        raise ReplayError(f"The request {request_id} was one of {found.use_case}; give one of {use_case}.")
    instant: datetime = found.rows[0]["decided_at"]
    return instant


def run_command(settings: PlatformSettings, request_id: str, customer_id: str, say: Say) -> int:
    """Replay for the command line; return 0 when everything is identical."""
    result = replay(settings, request_id, customer_id=customer_id)
    for sentence in result.sentences:
        say(sentence)
    return 0 if result.is_identical else 1


def _logged(settings: PlatformSettings, request_ids: set[str]) -> dict[str, _Logged]:
    """Return the logged rows of requests, in their order."""
    import pyarrow.parquet as pq

    found: dict[str, _Logged] = {}
    places = {"batch" if request_id.startswith(_BATCH_PREFIX) else "log" for request_id in request_ids}
    for place in sorted(places):
        for use_case in _TITLES:
            for path in sorted((settings.predictions_dir / place / use_case).rglob("*.parquet")):
                table = pq.read_table(path, filters=[("request_id", "in", request_ids)], partitioning=None)
                for row in table.to_pylist():
                    known = found.setdefault(row["request_id"], _Logged(use_case, [], path))
                    known.rows.append(row)
    return found


def _of_customer(logged: Mapping[str, _Logged], settings: PlatformSettings, request_id: str, key: str) -> _Logged:
    """Return the rows of a request, with a key only that customer's."""
    found = logged.get(request_id)
    if found is None:
        raise ReplayError(
            f"No decision of the request {request_id} is logged below {settings.predictions_dir}. The id is mistyped, "
            "the answer is younger than the last ten seconds, logging was off (KILOWISE_LOG_PREDICTIONS), the day is "
            "beyond the retention of the log, a later batch of the month replaced it, or the customer was erased."
        )
    rows = [row for row in found.rows if not key or row["customer_key"] == key]
    if not rows:
        raise ReplayError(f"The request {request_id} is logged, but not with this customer; check the id.")
    return _Logged(found.use_case, rows, found.file)


def _release(store: "ModelStore", use_case: str, name: str) -> "ReleaseManifest":
    from serving.model_store import ReleaseError

    try:
        return store.read_release(use_case, name)
    except ReleaseError as error:
        raise ReplayError(
            f"The decision was made by the release {name}, which is gone: {error}. An erasure removes releases whose "
            "model held the erased customer; restore the release from a backup to replay it."
        ) from error


def _bundle(store: "ModelStore", use_case: str, version: str) -> "Bundle":
    from ml.bundle import read_bundle
    from serving.model_store import ReleaseError

    try:
        return read_bundle(store.bundle_dir(use_case, version))
    except ReleaseError as error:
        raise ReplayError(f"The decision was made by a bundle that is gone: {error}.") from error
    except OtherCodeError as error:
        raise ReplayError(
            f"The bundle {use_case}:{version} is whole, but belongs to other code: {error}. Replay it with the code of "
            "its time, which the file manifest.json beside it names."
        ) from error
    except BundleError as error:
        raise ReplayError(f"The bundle {use_case}:{version} cannot be trusted any more: {error}") from error


def _marts_left(settings: PlatformSettings, release: "ReleaseManifest") -> str:
    folder = settings.marts_dir / "versions" / release.marts_version
    return "" if folder.is_dir() else ", which newer marts have replaced; the release keeps its own snapshot"


def _snapshot_sentence(model: "ReleasedModel", rows: Sequence[Row], features: list[str]) -> str:
    """Say whether the logged features are those that the release knew."""
    from serving.log_replay import PrunedSnapshot

    by_id = [row for row in rows if row["customer_key"] is not None and row["as_of_month"] is not None]
    if not by_id:
        return "The features came with the request; the log is the only place that has them."
    if isinstance(model.features, PrunedSnapshot):
        return "The release's feature snapshot was pruned; the features are those of the log."
    known = model.features.get_many([str(row["customer_key"]) for row in by_id])
    same = older = 0
    for row in by_id:
        stored = known.get(str(row["customer_key"]))
        if stored is None or stored.as_of_month != _month(row["as_of_month"]):
            older += 1
        else:
            same += all(_is_equal(row[name], stored.features[name]) for name in features)
    text = f"Features: {same:,} of {plural(len(by_id), 'decision')} exactly those of the release's snapshot"
    return f"{text}, {older:,} are of another month." if older else f"{text}."


def _decision_sentences(
    use_case: str,
    rows: Sequence[Row],
    again: "Sequence[ScoringResult]",
    outcomes: "Sequence[PolicyOutcome | str | None]",
) -> list[str]:
    """Tell the first decisions, then and now, and what the credit policy said with what was on record then."""
    sentences = []
    for row, result, outcome in list(zip(rows, again, outcomes, strict=True))[:_SHOWN]:
        sentences.append(_decision_sentence(use_case, row, result.prediction))
        if isinstance(outcome, str):
            sentences.append(f"What followed cannot be told: {outcome}")
        elif outcome is not None:
            sentences.append(f"By {outcome.policy_version}: {outcome.text}")
    if len(rows) > _SHOWN:
        sentences.append(f"... and {len(rows) - _SHOWN:,} more.")
    return sentences


def _decision_sentence(use_case: str, then: Row, now: Row) -> str:
    from ml.credit_risk.rating import rating_of

    if use_case == CREDIT_RISK:
        return (
            f"Probability {then['default_probability']!r} then, {now['default_probability']!r} now; "
            f"{then['credit_points']:.0f} points, rating {then['credit_rating']}, in force {rating_of(dict(then))}."
        )
    if use_case == "segmentation":
        return f"Segment {then['segment_id']} ({then['segment_name']}) then, {now['segment_id']} now."
    return (
        f"Tariff {then['recommended_tariff_id']} saving {then['expected_saving_amount']!r} then, "
        f"{now['recommended_tariff_id']} saving {now['expected_saving_amount']!r} now."
    )


def _policy_outcomes(
    settings: PlatformSettings, rows: Sequence[Row], again: "Sequence[ScoringResult]"
) -> "list[PolicyOutcome | str | None]":
    """Return what followed of credit scores, by the policy that decided and what was on record then, or why not."""
    from ml.credit_risk.policy import case_of, decide
    from ml.credit_risk.policy_schema import PolicyError
    from ml.credit_risk.rating import rating_of
    from ml.credit_risk.register import Register
    from orchestration.credit_policy import chosen_policy

    register = Register.read(settings.credit_register_path)
    outcomes: list[PolicyOutcome | str | None] = []
    for row, result in zip(rows, again, strict=True):
        then = dict(row)
        decided_at: datetime = then["decided_at"]
        day = decided_at.astimezone(ZoneInfo(settings.time_zone)).date()
        try:
            policy = chosen_policy(settings, day, _policy_id(then))
        except PolicyError as error:
            outcomes.append(str(error))
            continue
        case = case_of(
            then,
            probability=float(result.prediction["default_probability"]),
            rating=rating_of(then),
            policy=policy,
            as_of=day,
            standing=register.standing(then["customer_key"], day, known_at=decided_at),
        )
        outcomes.append(decide(policy, case, day, currency=settings.currency))
    return outcomes


def _answer(row: Row, result: "ScoringResult", outcome: "PolicyOutcome | str | None") -> dict[str, Any]:
    """Return the result as the API answers it; a batch prediction has no id of its decision."""
    return {
        "decision_id": row.get("decision_id"),
        "features_as_of_month": _month(row["as_of_month"]),
        "prediction": result.prediction,
        **result.details,
        **({} if outcome is None or isinstance(outcome, str) else {"policy": outcome}),
    }


def _policy_id(then: dict[str, Any]) -> str:
    """Return the policy that decided; empty, for that of the settings, in batches and in logs of before."""
    version = then.get("policy_version")
    return version.partition("@")[0] if isinstance(version, str) else ""


def _differences(rows: Sequence[Row], again: Sequence[Row], names: Sequence[str]) -> list[str]:
    found = []
    for position, (old, new) in enumerate(zip(rows, again, strict=True), start=1):
        changed = next((name for name in names if not _is_equal(old[name], new[name])), None)
        if changed is not None:
            found.append(f"Decision {position}: {changed} was {old[changed]!r} and is {new[changed]!r}.")
    return found


def _is_equal(first: Any, second: Any) -> bool:
    if _is_missing(first) or _is_missing(second):
        return _is_missing(first) and _is_missing(second)
    return bool(first == second)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _month(value: Any) -> Any:
    return value.date() if hasattr(value, "date") else value


def _instant(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"
