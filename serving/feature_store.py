"""Feature snapshots: the features of every customer as one release knows them, in one read-only SQLite file.

A snapshot is written once with its release and never changes, so readers map it into memory and need no locks. Where
else features may be read from is another `FeatureStore` (``serving.redis_features``). Besides the
feature row it can hold, per customer, context that follows from more than that row (the rating in force for credit
risk), and the rows of further marts (the load cube for tariff matching) as compressed Arrow. Nothing here knows a
use case.
"""

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, Column
from ml.errors import KilowiseError

DISTRICT = "district"
FORMAT_VERSION = "2"

# SQLite accepts at most 999 variables per statement in builds that are still in use.
_KEYS_PER_QUERY = 900

SnapshotRecord = tuple[str | None, str | None, bytes, bytes | None]
"""As-of month, district, features and context of a customer as they are stored, the last two in JSON."""


class FeatureSnapshotError(KilowiseError):
    """A feature snapshot is missing, damaged, or lacks a column that its model needs."""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What a snapshot knows about one customer.

    Attributes:
        as_of_month: Month at whose as-of time the features were known.
        district: Where the customer is supplied; context for reports, never a feature.
        features: Value by column name, missing values as None.
        context: What else the release knows, by name; dates as ISO text. Empty where it knows nothing else.
    """

    as_of_month: date | None
    district: str | None
    features: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)


CustomerTables: TypeAlias = Mapping[str, "pd.DataFrame | pa.Table | Iterable[pa.Table]"]
"""Tables of customers by name, whole or in parts of whole customers."""


def write_feature_snapshot(
    path: Path,
    features: pd.DataFrame,
    columns: Sequence[Column],
    *,
    context_columns: Sequence[str] = (),
    customer_tables: CustomerTables | None = None,
) -> int:
    """Write a snapshot and return the number of customers in it.

    Args:
        path: File to create; an existing file is refused.
        features: One row per customer and as-of month with ``customer_key``, ``as_of_month``, ``district`` (optional)
            and the given columns. Of several months of one customer the latest is kept.
        columns: The features, in the order of the model's schema.
        context_columns: Columns of the table that are kept beside the features.
        customer_tables: Further tables by name; each has ``customer_key`` and any number of rows per customer, and may
            come in parts of whole customers, so that it need not fit into memory.

    Raises:
        FeatureSnapshotError: A column is missing or a customer appears twice for one month.
    """
    wanted = [CUSTOMER_KEY, AS_OF_MONTH, *(column.name for column in columns), *context_columns]
    missing = [name for name in wanted if name not in features.columns]
    if missing:
        raise FeatureSnapshotError(
            f"the feature table lacks the column(s) {', '.join(missing)}; rebuild the marts before releasing"
        )
    if path.exists():
        raise FeatureSnapshotError(f"{path} exists already; a snapshot is never changed")
    latest = features.sort_values([CUSTOMER_KEY, AS_OF_MONTH])
    if latest.duplicated([CUSTOMER_KEY, AS_OF_MONTH]).any():
        raise FeatureSnapshotError(
            "the feature table has more than one row for a customer and as-of month; its key is "
            f"({CUSTOMER_KEY}, {AS_OF_MONTH})"
        )
    latest = latest.drop_duplicates(CUSTOMER_KEY, keep="last")

    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    try:
        # The file becomes visible only by the rename of its folder, so a journal would protect nobody.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.execute(
            "CREATE TABLE features (customer_key TEXT PRIMARY KEY, as_of_month TEXT, district TEXT, "
            "row BLOB NOT NULL, context BLOB) WITHOUT ROWID"
        )
        connection.execute(
            "CREATE TABLE customer_tables (name TEXT NOT NULL, customer_key TEXT NOT NULL, rows BLOB NOT NULL, "
            "PRIMARY KEY (name, customer_key)) WITHOUT ROWID"
        )
        connection.executemany(
            "INSERT INTO features VALUES (?, ?, ?, ?, ?)", _feature_records(latest, columns, context_columns)
        )
        for name, table in sorted((customer_tables or {}).items()):
            for part in [table] if isinstance(table, pd.DataFrame | pa.Table) else table:
                connection.executemany("INSERT INTO customer_tables VALUES (?, ?, ?)", _table_records(name, part))
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("format", FORMAT_VERSION),
                ("columns", orjson.dumps([column.name for column in columns]).decode()),
                ("customers", str(len(latest))),
            ],
        )
        connection.commit()
    finally:
        connection.close()
    return len(latest)


def erase_from_snapshot(path: Path, customer_key: str) -> int:
    """Remove a customer from a snapshot that nobody serves yet and return the number of customers left in it."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("DELETE FROM features WHERE customer_key = ?", (customer_key,))
        connection.execute("DELETE FROM customer_tables WHERE customer_key = ?", (customer_key,))
        (left,) = connection.execute("SELECT count(*) FROM features").fetchone()
        connection.execute("UPDATE meta SET value = ? WHERE name = 'customers'", (str(left),))
        connection.commit()
        # Deleted rows stay readable in free pages until the file is written anew.
        connection.execute("VACUUM")
    finally:
        connection.close()
    return int(left)


class FeatureStore(ABC):
    """Read access to the features of one release from any number of threads.

    Attributes:
        columns: Names of the features it holds, in order.
        customers_count: Customers in it.
        is_local: Whether an answer takes microseconds, so that asking may hold up an event loop.
    """

    columns: tuple[str, ...]
    customers_count: int
    is_local: ClassVar[bool] = True

    def get(self, customer_key: str) -> FeatureRow | None:
        """Return what is known about one customer, or None when the snapshot does not hold it."""
        return self.get_many([customer_key]).get(customer_key)

    @abstractmethod
    def get_many(self, customer_keys: Sequence[str]) -> dict[str, FeatureRow]:
        """Return what is known about the given customers; unknown ones are absent from the answer."""

    @abstractmethod
    def table(self, name: str, customer_keys: Sequence[str]) -> pa.Table | None:
        """Return the rows of a customer table for the given customers, or None when there are none."""

    def sample_keys(self, count: int) -> list[str]:  # noqa: ARG002  # for stores that know customers
        """Return up to ``count`` customer keys, always the same ones; a store without customers has none."""
        return []

    def renew(self) -> None:  # noqa: B027  # a file needs none
        """Keep the features where they are read from; whoever serves the release calls this every few seconds."""


class SnapshotFile(FeatureStore):
    """The features of a release in its snapshot file, mapped into memory.

    Args:
        path: The snapshot.

    Raises:
        FeatureSnapshotError: There is no file, it is not complete, or it has another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise FeatureSnapshotError(f"the feature snapshot {path} does not exist")
        self._local = threading.local()
        try:
            meta = dict(self._connection().execute("SELECT name, value FROM meta").fetchall())
            found_format = meta["format"]
            self.columns = tuple(orjson.loads(meta["columns"]))
            self.customers_count = int(meta["customers"])
        except (sqlite3.DatabaseError, KeyError, ValueError) as error:
            raise FeatureSnapshotError(f"{path} is not a complete feature snapshot: {error}") from error
        if found_format != FORMAT_VERSION:
            raise FeatureSnapshotError(
                f"{path} has snapshot format {found_format}, this version reads {FORMAT_VERSION}; publish it again"
            )

    def get_many(self, customer_keys: Sequence[str]) -> dict[str, FeatureRow]:
        """Return what is known about the given customers; unknown ones are absent from the answer."""
        rows: dict[str, FeatureRow] = {}
        for keys in _chunks(customer_keys):
            marks = ",".join("?" * len(keys))
            query = (
                "SELECT customer_key, as_of_month, district, row, context FROM features "
                f"WHERE customer_key IN ({marks})"
            )
            for key, *record in self._connection().execute(query, keys):
                rows[key] = feature_row(*record)
        return rows

    def table(self, name: str, customer_keys: Sequence[str]) -> pa.Table | None:
        """Return the rows of a customer table for the given customers, or None when there are none."""
        blobs: list[bytes] = []
        for keys in _chunks(customer_keys):
            marks = ",".join("?" * len(keys))
            query = f"SELECT rows FROM customer_tables WHERE name = ? AND customer_key IN ({marks})"
            blobs += [blob for (blob,) in self._connection().execute(query, [name, *keys])]
        return joined_table(blobs)

    def sample_keys(self, count: int) -> list[str]:
        """Return up to ``count`` customer keys, always the same ones."""
        rows = self._connection().execute("SELECT customer_key FROM features ORDER BY customer_key LIMIT ?", (count,))
        return [key for (key,) in rows]

    def table_names(self) -> list[str]:
        """Return the names of the customer tables."""
        return [name for (name,) in self._connection().execute("SELECT DISTINCT name FROM customer_tables")]

    def records(self) -> Iterator[tuple[str, SnapshotRecord]]:
        """Return every customer's key and record, as they are stored."""
        query = "SELECT customer_key, as_of_month, district, row, context FROM features"
        for key, *record in self._connection().execute(query):
            yield key, tuple(record)

    def table_records(self) -> Iterator[tuple[str, str, bytes]]:
        """Return the name, the customer's key and the rows of every customer table, as they are stored."""
        yield from self._connection().execute("SELECT name, customer_key, rows FROM customer_tables")

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection; it closes when the thread or the store is gone."""
        handle: _ConnectionHandle | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = self._local.handle = _ConnectionHandle(self.path)
        return handle.connection


class _ConnectionHandle:
    """Closes its connection when nobody holds it any more.

    A connection is part of a reference cycle (its statement cache), so left alone it would keep its file open until
    the garbage collector comes by, which in a server is seldom.
    """

    def __init__(self, path: Path) -> None:
        # immutable: no locks, no journal look-up; legal because a published snapshot never changes. One thread uses
        # a connection, but another may be the one that drops the store last.
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        # All processes share the pages of the file, and a look-up takes 6 microseconds in place of 10.
        self.connection.execute(f"PRAGMA mmap_size = {path.stat().st_size}")

    def __del__(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()


def feature_row(
    as_of_month: str | None, district: str | None, row: bytes | str, context: bytes | str | None
) -> FeatureRow:
    """Return a stored record as values."""
    return FeatureRow(
        as_of_month=date.fromisoformat(as_of_month) if as_of_month else None,
        district=district,
        features=orjson.loads(row),
        context=orjson.loads(context) if context else {},
    )


def joined_table(blobs: Sequence[bytes]) -> pa.Table | None:
    """Return the stored rows of several customers as one table, or None when there are none."""
    return pa.concat_tables([pa.ipc.open_stream(blob).read_all() for blob in blobs]) if blobs else None


def _feature_records(
    frame: pd.DataFrame, columns: Sequence[Column], context_columns: Sequence[str]
) -> Iterator[tuple[str, str | None, str | None, bytes, bytes | None]]:
    names = [column.name for column in columns]
    values = [plain_values(frame[column.name], column) for column in columns]
    months = pd.to_datetime(frame[AS_OF_MONTH]).dt.strftime("%Y-%m-%d")
    districts = frame[DISTRICT] if DISTRICT in frame.columns else pd.Series([None] * len(frame), dtype=object)
    contexts: Iterable[bytes | None] = [None] * len(frame)
    if context_columns:
        known = zip(*(frame[name] for name in context_columns), strict=True)
        contexts = (_context(context_columns, own) for own in known)
    for key, month, district, context, *row in zip(
        frame[CUSTOMER_KEY], months, districts, contexts, *values, strict=True
    ):
        yield (
            str(key),
            None if pd.isna(month) else str(month),
            None if pd.isna(district) else str(district),
            orjson.dumps(dict(zip(names, row, strict=True))),
            context,
        )


def _context(names: Sequence[str], values: Iterable[Any]) -> bytes | None:
    known = [None if pd.isna(value) else value for value in values]
    return orjson.dumps(dict(zip(names, known, strict=True))) if any(value is not None for value in known) else None


def plain_values(series: pd.Series, column: Column) -> list[Any]:
    """Return the values as JSON knows them: missing and non-finite numbers become None."""
    if column.kind == "numeric":
        numbers = pd.to_numeric(series).to_numpy(dtype=float, na_value=np.nan)
        return [value if np.isfinite(value) else None for value in numbers.tolist()]
    if column.kind == "boolean":
        return [None if pd.isna(value) else bool(value) for value in series]
    return [None if pd.isna(value) else str(value) for value in series]


def _table_records(name: str, table: pd.DataFrame | pa.Table) -> Iterator[tuple[str, str, bytes]]:
    arrow = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    if CUSTOMER_KEY not in arrow.column_names:
        raise FeatureSnapshotError(f"the table {name} lacks the column {CUSTOMER_KEY}")
    arrow = arrow.sort_by(CUSTOMER_KEY).combine_chunks().replace_schema_metadata(None)
    keys = arrow.column(CUSTOMER_KEY).to_numpy(zero_copy_only=False)
    if len(keys) == 0:
        return
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.append(starts[1:], len(keys))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, arrow.schema, options=options) as writer:
            writer.write_table(arrow.slice(start, end - start))
        yield name, str(keys[start]), sink.getvalue().to_pybytes()


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        yield list(keys[start : start + _KEYS_PER_QUERY])
