"""Published marts: versioned Parquet files that everything after dbt reads, so that nothing waits for the warehouse.

A version is a folder that becomes visible by one rename; ``CURRENT`` names the version to read and is replaced
atomically. A reader that resolved a version keeps a consistent set of files while the next one is published.
No Dagster in here.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ml.columns import CUSTOMER_KEY
from ml.errors import KilowiseError
from orchestration.files import replace_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from orchestration.forms.warehouse import MartSource

KEPT_VERSIONS = 3

Sorting: TypeAlias = Mapping[str, tuple[str, ...]]
"""Marts with their sort order; a fixed order makes equal content equal bytes."""

MARTS: Sorting = {
    "customer_load_profile": ("customer_key", "season", "day_type", "hour"),
    "customer_load_cube": ("customer_key", "month", "day_type", "slot"),
    "customer_monthly_load": ("customer_key", "month"),
    "customer_segmentation_features": ("as_of_month", "customer_key"),
    "customer_segmentation_outcomes": ("as_of_month", "customer_key"),
    "customer_tariff_features": ("as_of_month", "customer_key"),
    "customer_credit_features": ("as_of_month", "customer_key"),
    "customer_credit_outcomes": ("as_of_month", "customer_key"),
    "credit_unusual_input": ("subject", "case_code"),
    "credit_vintages": ("as_of_month", "customer_class", "months_since"),
    "customer_interval_load": ("customer_key", "read_at"),
    "tariff_catalogue": ("tariff_id", "version"),
    "district_daily_temperature": ("district", "local_date"),
}
"""Marts that models learn and score from, and by which reviews explain the weather."""

MARTS_AFTER_MODELS: Sorting = {
    "customer_portrait": ("customer_key",),
    "customer_portrait_history": ("as_of_month", "customer_key"),
    "customer_contact_status": ("customer_key",),
    "customer_programmes": ("customer_key", "programme", "joined_date"),
    "service_quality_monthly": ("month", "district", "channel", "topic", "segment_id"),
    "service_quality_by_dimension": ("month", "dimension", "value"),
    "segment_migration_monthly": ("as_of_month", "customer_group", "from_segment_id", "to_segment_id"),
}
"""Marts for people, which tell of predictions too. They have versions of their own, in ``after_models``: a model would
otherwise seem to come from other data whenever it has scored."""


class MartsNotPublishedError(KilowiseError):
    """No version of the marts is there yet."""


@dataclass(frozen=True, slots=True)
class CustomerRange:
    """Customers whose keys lie next to each other, so that a part of a sorted mart is read without the rest.

    Attributes:
        first: Smallest key.
        last: Largest key, which is one of them.
    """

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class MartsVersion:
    """One published set of marts.

    Attributes:
        name: Name of the version; equal content has an equal name.
        directory: Folder with one Parquet file per mart.
        row_counts: Rows by mart.
        fingerprints: SHA-256 of each mart's file.
        customers: The customers whose rows are read; ``None`` for everybody. Marts without customers are read whole.
    """

    name: str
    directory: Path
    row_counts: Mapping[str, int]
    fingerprints: Mapping[str, str]
    customers: CustomerRange | None = None

    def of_customers(self, customers: CustomerRange) -> "MartsVersion":
        """Return the same version, of which only the rows of these customers are read."""
        return replace(self, customers=customers)

    def path(self, mart: str) -> Path:
        """Return the Parquet file of a mart."""
        return self.directory / f"{mart}.parquet"

    def read(
        self,
        mart: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] | None = None,
    ) -> "pd.DataFrame":
        """Read a mart, or the columns and rows that are asked for, as a pandas frame."""
        return self.read_table(mart, columns=columns, filters=filters).to_pandas(date_as_object=False)

    def read_table(
        self,
        mart: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] | None = None,
    ) -> "pa.Table":
        """Read a mart as an Arrow table, in which decimals stay decimals at no cost."""
        import pyarrow.parquet as pq

        conditions = [*(filters or ()), *self._own_customers(mart)]
        return pq.read_table(
            self.path(mart),
            columns=list(columns) if columns else None,
            filters=conditions or None,
            partitioning=None,
        )

    def parts_by_customer(self, mart: str) -> "Iterator[pa.Table]":
        """Read a mart of all customers that is sorted by them, some at a time; no customer is in two parts."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self.path(mart))
        begun = file.schema_arrow.empty_table()
        for group in range(file.num_row_groups):
            rows = pa.concat_tables([begun, file.read_row_group(group)])
            keys = rows.column(CUSTOMER_KEY).to_numpy()
            # The last customer may go on in the next group of rows.
            complete = int(np.searchsorted(keys, keys[-1])) if len(keys) else 0
            if complete:
                yield rows.slice(0, complete)
            begun = rows.slice(complete)
        if len(begun):
            yield begun

    def _own_customers(self, mart: str) -> list[tuple[str, str, object]]:
        import pyarrow.parquet as pq

        if self.customers is None or CUSTOMER_KEY not in pq.read_schema(self.path(mart)).names:
            return []
        return [(CUSTOMER_KEY, ">=", self.customers.first), (CUSTOMER_KEY, "<=", self.customers.last)]

    def fingerprint(self, *marts: str) -> str:
        """Return one hash over the content of several marts."""
        return hashlib.sha256("".join(self.fingerprints[mart] for mart in sorted(marts)).encode()).hexdigest()


def current_marts(marts_dir: Path) -> MartsVersion:
    """Return the version that readers use now.

    Raises:
        MartsNotPublishedError: If nothing was published yet.
    """
    pointer = marts_dir / "CURRENT"
    if not pointer.exists():
        raise MartsNotPublishedError(
            f"No marts are published in {marts_dir}. Run the job refresh_data first (or `make run`)."
        )
    directory = marts_dir / "versions" / pointer.read_text(encoding="utf-8").strip()
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    return MartsVersion(
        name=directory.name,
        directory=directory,
        row_counts={mart: entry["rows"] for mart, entry in manifest.items()},
        fingerprints={mart: entry["sha256"] for mart, entry in manifest.items()},
    )


def publish_marts(source: "MartSource", marts_dir: Path, *, marts: Sorting = MARTS) -> MartsVersion:
    """Copy marts out of the warehouse and make them the current version.

    Args:
        source: The open warehouse; the caller must hold its pool.
        marts_dir: Folder of the published marts.
        marts: The marts to publish, with their sort order.

    Returns:
        The version that is current afterwards. Unchanged content keeps its version and moves nothing.
    """
    versions = marts_dir / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(versions)
    staging = versions / f".incoming-{uuid.uuid4().hex}"
    staging.mkdir()
    published = _published_files(marts_dir)
    manifest: dict[str, dict[str, object]] = {}
    for mart, order in marts.items():
        path = staging / f"{mart}.parquet"
        rows, content = source.content("marts", mart)
        if content in published:
            # Sorting and writing what did not change would be the longest part of a run with nothing new.
            file, sha256 = published[content]
            shutil.copyfile(file, path)
        else:
            source.export(mart, order, path)
            sha256 = _sha256(path)
        manifest[mart] = {"rows": rows, "sha256": sha256, "content": content}
    files = {mart: [entry["rows"], entry["sha256"]] for mart, entry in manifest.items()}
    name = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    (staging / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    if (versions / name).exists():
        shutil.rmtree(staging)
    else:
        staging.rename(versions / name)
    os.utime(versions / name)
    replace_text(marts_dir / "CURRENT", name)
    _prune(versions, keep=name)
    return current_marts(marts_dir)


def _published_files(marts_dir: Path) -> Mapping[str, tuple[Path, str]]:
    """Return file and fingerprint of each mart of the current version, by content."""
    if not (marts_dir / "CURRENT").exists():
        return {}
    current = current_marts(marts_dir)
    manifest = json.loads((current.directory / "manifest.json").read_text(encoding="utf-8"))
    return {
        entry["content"]: (current.path(mart), entry["sha256"])
        for mart, entry in manifest.items()
        if "content" in entry
    }


def _remove_unfinished(versions: Path) -> None:
    for leftover in versions.glob(".incoming-*"):
        shutil.rmtree(leftover)


def _prune(versions: Path, *, keep: str) -> None:
    newest_first = sorted(versions.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in [path for path in newest_first if path.name != keep][KEPT_VERSIONS - 1 :]:
        shutil.rmtree(old)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
