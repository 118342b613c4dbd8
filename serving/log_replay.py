"""Scores logged decisions again with the released model that made them: the same code as in a request, no HTTP."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from ml.bundle import Bundle
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import KilowiseError
from serving.feature_store import DISTRICT, FeatureRow, FeatureStore
from serving.model_store import SNAPSHOT_FILE, ModelStore, ReleaseManifest
from serving.prediction_log import unpacked_tables
from serving.released_model import ReleasedModel, ReleaseIdentity, ScoringInput, ScoringResult
from serving.use_cases import context_columns, feature_columns, load_released_model


class PrunedSnapshotError(KilowiseError):
    """A decision needs more of the release's snapshot than the log keeps, and the snapshot is gone."""


class PrunedSnapshot(FeatureStore):
    """Stands for the snapshot of a release that has none any more; what only the snapshot knew is refused.

    Args:
        use_case: Whose features it would hold.
        release: The release, for the message.
    """

    def __init__(self, use_case: str, release: str) -> None:
        self.columns = tuple(column.name for column in feature_columns(use_case))
        self.customers_count = 0
        self._release = release

    def get_many(self, customer_keys: Sequence[str]) -> dict[str, FeatureRow]:
        """Return nothing for nobody."""
        self._refuse(customer_keys)
        return {}

    def table(self, name: str, customer_keys: Sequence[str]) -> pa.Table | None:  # noqa: ARG002  # as the parent's
        """Return nothing for nobody."""
        self._refuse(customer_keys)
        return None

    def _refuse(self, customer_keys: Sequence[str]) -> None:
        if customer_keys:
            raise PrunedSnapshotError(
                f"the feature snapshot of the release {self._release} was pruned, and with it the load that the answer "
                "was computed from; keep more of them with KILOWISE_RETAINED_SNAPSHOTS"
            )


def replaying_model(store: ModelStore, manifest: ReleaseManifest, bundle: Bundle) -> ReleasedModel:
    """Load the model of a release, also of one that lost its snapshot.

    Args:
        store: Where the release lies.
        manifest: The release.
        bundle: Its bundle, verified.

    Raises:
        ReleaseError: The snapshot is there and was altered.
        SchemaMismatchError: The release's features are not those of this version.
    """
    has_snapshot = (store.release_dir(manifest.use_case, manifest.name) / SNAPSHOT_FILE).is_file()
    snapshot = store.open_snapshot(manifest) if has_snapshot else PrunedSnapshot(manifest.use_case, manifest.name)
    identity = ReleaseIdentity(manifest.use_case, manifest.name, manifest.bundle_version, manifest.released_at)
    return load_released_model(identity, bundle, snapshot)


def logged_input(use_case: str, row: Mapping[str, Any]) -> ScoringInput:
    """Return what was scored, from a row of the log or of the batch predictions."""
    month = row[AS_OF_MONTH]
    tables = row.get("tables")
    return ScoringInput(
        features={column.name: row[column.name] for column in feature_columns(use_case)},
        customer_key=row[CUSTOMER_KEY],
        as_of_month=month.date() if isinstance(month, datetime) else month,
        district=row.get(DISTRICT),
        context=_logged_context(use_case, row),
        tables=None if tables is None else unpacked_tables(tables),
    )


def score_again(model: ReleasedModel, rows: Sequence[Mapping[str, Any]]) -> list[ScoringResult]:
    """Score the rows of one request again, in their order."""
    return model.predict([logged_input(model.identity.use_case, row) for row in rows])


def _logged_context(use_case: str, row: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: row.get(name) for name in context_columns(use_case)}
    # A rating in force without a month since when it holds was the rating of the row alone.
    if any(name.endswith("_month") and value is None for name, value in known.items()):
        return {}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in known.items()}
