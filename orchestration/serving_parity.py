"""Computes a sample of the API's logged answers again by the offline path, and says where the two differ.

Three things are compared, each to the last digit: the answer, scored again with the release that gave it; features
that came from a release's snapshot, with the mart of their month; features that were made of raw rows, with those that
the definitions of the current marts make of the same rows. No Dagster in here.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import KilowiseError
from ml.wording import plural
from orchestration.feature_definitions import read_feature_definitions
from orchestration.marts import MartsVersion, current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from orchestration.use_cases import UseCase
    from serving.released_model import ReleasedModel

Row = Mapping[str, Any]

DAYS = 2
"""Days of the log that are looked at; a nightly check sees every day twice, should one night fail."""

LARGEST_SAMPLE = 200
_MOST_FILES = 400
_SHOWN = 10


@dataclass
class Parity:
    """What a sample of logged answers showed.

    Attributes:
        decisions_count: Logged decisions in the sample.
        replayed_count: Of them, answers that were computed again.
        marts_count: Features of snapshots that were compared with their mart.
        raw_count: Features that were made of the raw rows again.
        not_comparable: Why some could not be compared, with how often.
        differences: What differs, a sentence each; it names the request and the column, never a customer.
    """

    decisions_count: int = 0
    replayed_count: int = 0
    marts_count: int = 0
    raw_count: int = 0
    not_comparable: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def sentence(self) -> str:
        """The result in words."""
        if not self.decisions_count:
            return f"The API logged no answer in the last {plural(DAYS, 'day')}, so there is nothing to compare."
        compared = (
            f"{plural(self.replayed_count, 'answer')} computed again, features of {self.marts_count} compared with the "
            f"marts and of {self.raw_count} made of their raw rows again"
        )
        if self.is_equal:
            return f"Online and offline are equal: {compared}."
        return f"{plural(len(self.differences), 'difference')}; {compared}. " + " ".join(self.differences[:_SHOWN])

    def leave_out(self, reason: str) -> None:
        """Count a decision that cannot be compared."""
        self.not_comparable[reason] = self.not_comparable.get(reason, 0) + 1


def check_parity(
    use_case: "UseCase", settings: PlatformSettings, *, now: datetime, sample_size: int = LARGEST_SAMPLE
) -> Parity:
    """Compare a sample of the answers of the last days with the offline path.

    Args:
        use_case: The use case.
        settings: Settings of the platform; its seed and the day decide what is in the sample.
        now: Time of the check, with time zone.
        sample_size: Most decisions that are looked at.
    """
    parity = Parity()
    rows = _sampled(use_case.name, settings, now, sample_size)
    parity.decisions_count = len(rows)
    if rows:
        _replay(rows, use_case.name, settings, parity)
        marts = current_marts(settings.marts_dir)
        _compare_with_mart([row for row in rows if row.get("features_from") == "snapshot"], use_case, marts, parity)
        _make_again([row for row in rows if row.get("raw") is not None], use_case, settings, parity)
    return parity


def _sampled(use_case: str, settings: PlatformSettings, now: datetime, sample_size: int) -> list[Row]:
    """Return some decisions of the last days: all that came with raw rows first, since they are the rarest."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = []
    for path in _files(settings.predictions_dir / "log" / use_case, now):
        table = pq.read_table(path, columns=_known(path, ["request_id", "decision_id", "raw"]), partitioning=None)
        if "decision_id" in table.column_names:
            is_raw = pc.is_valid(table["raw"]) if "raw" in table.column_names else pa.array([False] * len(table))
            tables.append(
                pa.table({"decision_id": table["decision_id"], "is_raw": is_raw, "file": [str(path)] * len(table)})
            )
    if not tables:
        return []
    found = pa.concat_tables(tables).to_pylist()
    generator = random.Random(f"{settings.seed} {now.date()}")  # noqa: S311  # a sample, no secret
    generator.shuffle(found)
    chosen = sorted(found, key=lambda row: not row["is_raw"])[:sample_size]
    wanted = {row["decision_id"] for row in chosen}
    rows: list[Row] = []
    for file in sorted({row["file"] for row in chosen}):
        rows += pq.read_table(file, filters=[("decision_id", "in", wanted)], partitioning=None).to_pylist()
    return rows


def _files(directory: Path, now: datetime) -> Iterator[Path]:
    days = [now.date() - timedelta(days=number) for number in range(DAYS + 1)]
    files = [path for day in days for path in sorted((directory / f"date={day}").glob("*.parquet"), reverse=True)]
    yield from files[:_MOST_FILES]


def _known(path: Path, columns: Sequence[str]) -> list[str]:
    import pyarrow.parquet as pq

    present = set(pq.read_schema(path).names)
    return [column for column in columns if column in present]


def _replay(rows: Sequence[Row], use_case: str, settings: PlatformSettings, parity: Parity) -> None:
    """Score each row again with the release that answered."""
    from ml.columns import names
    from serving.log_replay import score_again
    from serving.use_cases import prediction_columns

    columns = names(prediction_columns(use_case))
    models: dict[str, ReleasedModel | None] = {}
    for row in rows:
        release = row["release"]
        if release not in models:
            models[release] = _model(use_case, release, row["model_version"], settings)
        model = models[release]
        if model is None or any(column not in row for column in columns):
            parity.leave_out("the release or its model is gone, or belongs to other code")
            continue
        try:
            (again,) = score_again(model, [row])
        except KilowiseError:
            parity.leave_out("what the release knew of the customer is gone")
            continue
        parity.replayed_count += 1
        _compare(row, again.prediction, columns, "computed again it", parity)


def _model(use_case: str, release: str, version: str, settings: PlatformSettings) -> "ReleasedModel | None":
    from ml.bundle import read_bundle
    from serving.log_replay import replaying_model
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    try:
        bundle = read_bundle(store.bundle_dir(use_case, version))
        return replaying_model(store, store.read_release(use_case, release), bundle)
    except KilowiseError:
        return None


def _compare_with_mart(rows: Sequence[Row], use_case: "UseCase", marts: MartsVersion, parity: Parity) -> None:
    """Compare features by customer and month; a mart keeps the latest months only."""
    from ml.columns import names
    from serving.use_cases import feature_columns

    if not rows:
        return
    columns = names(feature_columns(use_case.name))
    keys = {row["customer_key"] for row in rows}
    mart = marts.read_table(
        use_case.feature_mart,
        columns=["customer_key", "as_of_month", *columns],
        filters=[("customer_key", "in", keys)],
    ).to_pylist()
    known = {(row["customer_key"], _day(row["as_of_month"])): row for row in mart}
    for row in rows:
        offline = known.get((row["customer_key"], _day(row["as_of_month"])))
        if offline is None:
            parity.leave_out("the marts no longer hold the month or the customer")
            continue
        parity.marts_count += 1
        _compare(row, offline, columns, "the mart", parity)


def _make_again(rows: Sequence[Row], use_case: "UseCase", settings: PlatformSettings, parity: Parity) -> None:
    from ml.columns import names
    from serving.raw_features import RawFeatureMaker
    from serving.raw_keeping import unpacked
    from serving.use_cases import feature_columns

    definitions = read_feature_definitions(settings.marts_dir, use_case.name) if rows else None
    if definitions is None:
        return
    columns = names(feature_columns(use_case.name))
    maker = RawFeatureMaker(definitions, columns)
    for row in rows:
        raw = unpacked(row["raw"]).model_copy(update={"as_of_month": _day(row["as_of_month"])})
        try:
            offline = maker.make(raw, now=row["decided_at"]).features
        except KilowiseError as error:
            parity.differences.append(f"Request {row['request_id']}: its raw rows are refused now: {error}.")
            continue
        parity.raw_count += 1
        _compare(row, offline, columns, "what the current definitions make of its raw rows", parity)


def _compare(row: Row, offline: Row, columns: Sequence[str], what: str, parity: Parity) -> None:
    for column in columns:
        online_value, offline_value = _plain(row[column]), _plain(offline[column])
        if online_value != offline_value:
            parity.differences.append(
                f"Request {row['request_id']}, {column}: answered with {online_value}, {what} has {offline_value}."
            )


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    number = float(value)
    return None if math.isnan(number) else number


def _day(value: Any) -> date:
    day: date = value.date() if isinstance(value, datetime) else value
    return day
