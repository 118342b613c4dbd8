"""Computes a logged credit decision again, from what is stored, to the identical number.

The way back is request id, prediction log, release, bundle, training data; each step is said in a sentence, and so is
what is missing on the way. The features are those that the log kept, and are compared with what the release knew of
the customer. No Dagster in here.
"""

import math
from collections.abc import Callable
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
    import pandas as pd

    from ml.bundle import Bundle
    from serving.model_store import ModelStore, ReleaseManifest

Say = Callable[[str], None]

USE_CASE = "credit_risk"
_SHOWN = 5
"""Decisions of a batch that are told one by one."""


class ReplayError(KilowiseError):
    """Something on the way back from a decision is missing; the message says what and since when."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Decisions that were computed again.

    Attributes:
        decisions: Logged rows of the request.
        differing: Of them, those that gave another answer; empty when all are identical.
        sentences: The way back and the result, in words.
    """

    decisions: int
    differing: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        """Whether every decision gave the identical answer."""
        return not self.differing


def replay(settings: PlatformSettings, request_id: str, *, customer_id: str = "") -> Replay:
    """Compute the decisions of a request again and compare every digit.

    Args:
        settings: Settings of the platform.
        request_id: Id of an answer of the API, or of a batch (``batch-<release>-<month>``).
        customer_id: Only this customer of a batch, by the supplier's id; empty for all.

    Raises:
        ReplayError: The decision, its release or its bundle is no longer there, or other code wrote it.
    """
    from ml.columns import names
    from ml.credit_risk.model import CreditRiskModel
    from ml.credit_risk.schema import FEATURES, PREDICTIONS
    from serving.model_store import ModelStore

    key = customer_key(customer_id, settings.pseudonym_key.get_secret_value()) if customer_id else ""
    rows, file = _logged(settings, request_id, key)
    first = rows.iloc[0]
    store = ModelStore(settings.home)
    release = _release(store, str(first["release"]))
    bundle = _bundle(store, str(first["model_version"]))
    manifest = bundle.manifest
    missing = [name for name in (*names(FEATURES), *names(PREDICTIONS)) if name not in rows.columns]
    if missing:
        raise ReplayError(
            f"{file} was logged without {', '.join(missing)}, which this code needs: the decision is older. Replay it "
            f"with the code of its time ({manifest.code_version})."
        )
    model = CreditRiskModel.from_files(bundle.estimator_files())
    again = model.predict(rows.reset_index(drop=True))
    differing = _differences(rows[names(PREDICTIONS)], again[names(PREDICTIONS)])
    sentences = [
        f"Request {request_id}: {plural(len(rows), 'credit decision')} of {_instant(first['decided_at'])}, logged in "
        f"{file.relative_to(settings.home)}.",
        f"Release {release.name}, let out on {_instant(release.released_at)} by {release.approved_by}; features from "
        f"the marts {release.marts_version}{_marts_left(settings, release)}.",
        f"Bundle {USE_CASE}:{manifest.version}, trained on {manifest.data_window.first_month:%Y-%m} to "
        f"{manifest.data_window.last_month:%Y-%m} (data {manifest.data_fingerprint[:12]}, code "
        f"{manifest.code_version}, seed {manifest.seed}); files, libraries and schema verified.",
        _snapshot_sentence(store, release, rows, names(FEATURES)),
        *_decision_sentences(settings, rows, again),
    ]
    if differing:
        sentences.append(f"NOT identical: {len(differing):,} of {plural(len(rows), 'decision')} differ. {differing[0]}")
    else:
        sentences.append(f"Identical: {plural(len(rows), 'decision')}, the same answer to the last digit.")
    return Replay(len(rows), tuple(differing), tuple(sentences))


def decided_at(settings: PlatformSettings, request_id: str, customer_key: str) -> datetime:
    """Return when a customer got a logged answer.

    Raises:
        ReplayError: No such answer of this customer is logged.
    """
    rows, _ = _logged(settings, request_id, customer_key)
    instant: datetime = rows["decided_at"].iloc[0].to_pydatetime()
    return instant


def run_command(settings: PlatformSettings, request_id: str, customer_id: str, say: Say) -> int:
    """Replay for the command line; return 0 when everything is identical."""
    result = replay(settings, request_id, customer_id=customer_id)
    for sentence in result.sentences:
        say(sentence)
    return 0 if result.is_identical else 1


def _logged(settings: PlatformSettings, request_id: str, key: str) -> "tuple[pd.DataFrame, Path]":
    """Return the logged rows of a request, in their order, and a file that holds them."""
    import pandas as pd
    import pyarrow.parquet as pq

    parts, found = [], []
    for place in ("log", "batch"):
        for path in sorted((settings.predictions_dir / place / USE_CASE).rglob("*.parquet")):
            table = pq.read_table(path, filters=[("request_id", "==", request_id)], partitioning=None)
            if table.num_rows:
                parts.append(table.to_pandas(date_as_object=False))
                found.append(path)
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if rows.empty:
        raise ReplayError(
            f"No credit decision of the request {request_id} is logged below {settings.predictions_dir}. The id is "
            "mistyped or of another use case, the answer is younger than the last ten seconds, logging was off "
            "(KILOWISE_LOG_PREDICTIONS), a later batch of the month replaced it, or the customer was erased."
        )
    if key:
        rows = rows[rows["customer_key"] == key]
        if rows.empty:
            raise ReplayError(f"The request {request_id} is logged, but not with this customer; check the id.")
    return rows, found[0]


def _release(store: "ModelStore", name: str) -> "ReleaseManifest":
    from serving.model_store import ReleaseError

    try:
        return store.read_release(USE_CASE, name)
    except ReleaseError as error:
        raise ReplayError(
            f"The decision was made by the release {name}, which is gone: {error}. An erasure removes releases whose "
            "model held the erased customer; restore the release from a backup to replay it."
        ) from error


def _bundle(store: "ModelStore", version: str) -> "Bundle":
    from ml.bundle import read_bundle
    from serving.model_store import ReleaseError

    try:
        return read_bundle(store.bundle_dir(USE_CASE, version))
    except ReleaseError as error:
        raise ReplayError(f"The decision was made by a bundle that is gone: {error}.") from error
    except OtherCodeError as error:
        raise ReplayError(
            f"The bundle {USE_CASE}:{version} is whole, but belongs to other code: {error}. Replay it with the code of "
            "its time, which the file manifest.json beside it names."
        ) from error
    except BundleError as error:
        raise ReplayError(f"The bundle {USE_CASE}:{version} cannot be trusted any more: {error}") from error


def _marts_left(settings: PlatformSettings, release: "ReleaseManifest") -> str:
    folder = settings.marts_dir / "versions" / release.marts_version
    return "" if folder.is_dir() else ", which newer marts have replaced; the release keeps its own snapshot"


def _snapshot_sentence(
    store: "ModelStore", release: "ReleaseManifest", rows: "pd.DataFrame", features: list[str]
) -> str:
    """Say whether the logged features are those that the release knew."""
    by_id = rows[rows["customer_key"].notna() & rows["as_of_month"].notna()]
    if by_id.empty:
        return "The features came with the request; the log is the only place that has them."
    path = store.release_dir(USE_CASE, release.name) / "features.sqlite"
    if not path.is_file():
        return "The release's feature snapshot was pruned; the features are those of the log."
    known = store.open_snapshot(release).get_many([str(key) for key in by_id["customer_key"]])
    same = older = 0
    for row in by_id.to_dict("records"):
        stored = known.get(str(row["customer_key"]))
        if stored is None or stored.as_of_month != _month(row["as_of_month"]):
            older += 1
        else:
            same += all(_is_equal(row[name], stored.features[name]) for name in features)
    text = f"Features: {same:,} of {plural(len(by_id), 'decision')} exactly those of the release's snapshot"
    return f"{text}, {older:,} are of another month." if older else f"{text}."


def _decision_sentences(settings: PlatformSettings, rows: "pd.DataFrame", again: "pd.DataFrame") -> list[str]:
    """Tell the first decisions: score then and now, and what the policy said with what was on record then."""
    from ml.credit_risk.policy import case_of, decide
    from ml.credit_risk.policy_schema import PolicyError
    from ml.credit_risk.rating import rating_of
    from ml.credit_risk.register import Register
    from orchestration.credit_policy import chosen_policy

    register = Register.read(settings.credit_register_path)
    sentences = []
    for row, now in zip(rows.head(_SHOWN).to_dict("records"), again.head(_SHOWN).to_dict("records"), strict=True):
        then = {str(name): value for name, value in row.items()}
        decided_at: datetime = then["decided_at"].to_pydatetime()
        day = decided_at.astimezone(ZoneInfo(settings.time_zone)).date()
        sentences.append(
            f"Probability {then['default_probability']!r} then, {now['default_probability']!r} now; "
            f"{then['credit_points']:.0f} points, rating {then['credit_rating']}, in force {rating_of(then)}."
        )
        try:
            policy = chosen_policy(settings, day, _policy_id(then))
        except PolicyError as error:
            sentences.append(f"What followed cannot be told: {error}")
            continue
        key = then["customer_key"] if isinstance(then["customer_key"], str) else None
        case = case_of(
            then,
            probability=float(then["default_probability"]),
            rating=rating_of(then),
            policy=policy,
            as_of=day,
            standing=register.standing(key, day, known_at=decided_at),
        )
        outcome = decide(policy, case, day, currency=settings.currency)
        sentences.append(f"By {outcome.policy_version}: {outcome.text}")
    if len(rows) > _SHOWN:
        sentences.append(f"... and {len(rows) - _SHOWN:,} more.")
    return sentences


def _policy_id(then: dict[str, Any]) -> str:
    """Return the policy that decided; empty, for that of the settings, in batches and in logs of before."""
    version = then.get("policy_version")
    return version.partition("@")[0] if isinstance(version, str) else ""


def _differences(then: "pd.DataFrame", now: "pd.DataFrame") -> list[str]:
    found = []
    for position, (old, new) in enumerate(zip(then.to_dict("records"), now.to_dict("records"), strict=True)):
        changed = [name for name in old if not _is_equal(old[name], new[name])]
        if changed:
            name = str(changed[0])
            found.append(f"Decision {position + 1}: {name} was {old[changed[0]]!r} and is {new[changed[0]]!r}.")
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
