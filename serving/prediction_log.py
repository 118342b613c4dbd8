"""The prediction log: one row per online prediction, written away from the request path.

Rows wait in bounded memory and a thread writes them as Parquet files ``<directory>/<use_case>/date=YYYY-MM-DD/
<stream>-<number>.parquet`` that appear complete by a rename. Row columns are those of batch predictions, so monitoring
reads both alike. No personal data: the customer appears by key only. A normal stop loses nothing; a kill loses at most
one flush interval, and the next start says how many rows that was; when memory is full, new rows are dropped and
counted. What a challenger says in shadow lies apart, below ``<directory>/shadow``, because nobody was told it.

`serving.log_ledger` keeps the chain that shows whether anything was changed since.
"""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, ColumnKind
from serving import metrics
from serving.background import BackgroundWork
from serving.log_ledger import DAY_PREFIX, Ledger, Stream, relative, settle_dead_streams, sha256
from serving.row_digests import SEQUENCE, add_row_digests
from serving.use_cases import feature_columns, logged_context_columns, prediction_columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

logger = logging.getLogger(__name__)

SOURCE_ONLINE = "online"
SHADOW_FOLDER = "shadow"

CHAMPION = "champion"
CHALLENGER = "challenger"
SHADOW = "shadow"

# Python runs one thread at a time: while this one makes columns of rows, requests wait. So it takes small parts and
# pauses after each, which it has ten seconds for.
_ROWS_AT_ONCE = 250
_ROWS_OF_A_GROUP = 2000
_PAUSE_SECONDS = 0.001

FROM_SNAPSHOT = "snapshot"
FROM_REQUEST = "request"
FROM_RAW = "raw"


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One row of the log.

    Attributes:
        request_id: Request that asked for it; a batch has many rows with one id.
        decision_id: Names this row alone; the answer has it too, and outcomes are joined to it.
        decided_at: When, with time zone.
        use_case: One of ``ml.columns.USE_CASES``.
        release: Release that decided.
        model_version: Bundle in that release.
        customer_key: The customer, or None for inline features without an id.
        as_of_month: Month of the features, or None for inline features.
        district: Context.
        features: Value by feature.
        prediction: Value by column of ``PREDICTIONS``.
        context: Value by name of the use case's ``logged_context_columns``.
        scoring_ms: Time that the model took, of a batch per customer.
        arm: While a trial is on: `CHAMPION` or `CHALLENGER`, whichever answered, or `SHADOW` for what the challenger
            would have said, under the ``decision_id`` of the answer that was given. None without a trial.
        error: Why the challenger gave no prediction; None otherwise.
        tables: Further rows of the customer that came with the request, by the name of their mart; they are nowhere
            else, and a replay needs them.
        features_from: `FROM_SNAPSHOT`, `FROM_REQUEST` or `FROM_RAW`: where the features came from.
        raw: Raw rows behind the features as `serving.raw_keeping` packs them; of few requests only.
    """

    request_id: str
    decision_id: str
    decided_at: datetime
    use_case: str
    release: str
    model_version: str
    customer_key: str | None
    as_of_month: date | None
    district: str | None
    features: dict[str, Any]
    prediction: dict[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    scoring_ms: float | None = None
    arm: str | None = None
    error: str | None = None
    tables: "Mapping[str, pa.Table] | None" = None
    features_from: str | None = None
    raw: bytes | None = None


class PredictionLog:
    """Collects rows from any thread and writes them in the background.

    Args:
        directory: Folder of the log; created with the first file.
        key: Key of the chain, as ``serving.log_ledger.ledger_key`` returns it.
        capacity_rows: Rows held in memory; more are dropped.
        flush_seconds: Longest time that a row stays in memory.
        retention_days: Days that are kept beside today; None keeps all.
    """

    def __init__(
        self,
        directory: Path,
        *,
        key: bytes,
        capacity_rows: int,
        flush_seconds: float,
        retention_days: int | None = None,
    ) -> None:
        self._directory = directory
        self._ledger = Ledger(directory, key)
        self._stream: Stream | None = None
        self._files_count = 0
        self._waiting: list[tuple[Path, Path]] = []
        self._accepted_count = 0
        self._dropped_count = 0
        self._capacity_rows = capacity_rows
        self._retention_days = retention_days
        self._expired_on: date | None = None
        self._pending: list[LoggedPrediction] = []
        self._rows_in_writing_count = 0
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._writing = BackgroundWork("prediction-log", self._flush_and_expire, every_seconds=flush_seconds)

    def start(self) -> None:
        """Settle what killed processes left behind, and start writing in the background."""
        try:
            self._open_stream()
        except OSError as error:
            self._report(error, 0)
        self._writing.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread that writes is at work."""
        return self._writing.is_running

    def record(self, rows: Sequence[LoggedPrediction]) -> None:
        """Take rows; never blocks on the disk and never raises. What does not fit is dropped and counted."""
        with self._lock:
            free = max(self._capacity_rows - len(self._pending) - self._rows_in_writing_count, 0)
            self._pending.extend(rows[:free])
            pending_count = len(self._pending)
            dropped_count = max(len(rows) - free, 0)
            self._accepted_count += len(rows) - dropped_count
            self._dropped_count += dropped_count
            if self._stream is not None:
                self._stream.count(self._accepted_count, self._dropped_count)
        metrics.LOG_PENDING_ROWS.set(pending_count)
        if dropped_count:
            metrics.LOG_ROWS.labels("dropped").inc(dropped_count)
        # Half full: do not wait for the interval to pass.
        if pending_count * 2 >= self._capacity_rows:
            self._writing.wake()

    def flush(self) -> int:
        """Write what is pending and return the number of rows written; rows whose write fails stay pending."""
        with self._flush_lock:
            with self._lock:
                batch, self._pending = self._pending, []
                self._rows_in_writing_count = len(batch)
            groups: dict[tuple[str, bool, date], list[LoggedPrediction]] = defaultdict(list)
            for row in batch:
                groups[row.use_case, row.arm == SHADOW, row.decided_at.date()].append(row)
            batch.clear()
            written_count = 0
            unwritten: list[LoggedPrediction] = []
            for (use_case, is_shadow, day), rows in groups.items():
                try:
                    self._write(self._folder(use_case, day, is_shadow=is_shadow), rows)
                except OSError as error:
                    metrics.LOG_WRITE_FAILURES.inc()
                    self._report(error, len(rows))
                    unwritten += rows
                else:
                    metrics.LOG_ROWS.labels("written").inc(len(rows))
                    written_count += len(rows)
                    self._let_go(rows)
            self._put_in_place()
            with self._lock:
                self._pending[:0] = unwritten
                self._rows_in_writing_count = 0
                metrics.LOG_PENDING_ROWS.set(len(self._pending))
            return written_count

    def stop(self) -> None:
        """Write everything and stop; nothing may be recorded afterwards."""
        self._writing.stop()
        self.flush()
        with self._lock:
            lost_count = len(self._pending)
            stream, self._stream = self._stream, None
        if lost_count:
            metrics.LOG_ROWS.labels("lost").inc(lost_count)
            logger.error("%d rows of the prediction log could not be written before the stop", lost_count)
        if stream is None or self._waiting:
            # The next start says in the ledger how the stream ended, and puts what waits in its place.
            return
        try:
            stream.close(self._ledger, accepted=self._accepted_count, dropped=self._dropped_count)
            logger.info("the prediction log is closed; head of its chain: %s", self._ledger.head())
        except OSError as error:
            self._report(error, 0)

    def _flush_and_expire(self) -> None:
        self.flush()
        self._expire()

    def _expire(self) -> None:
        today = datetime.now(UTC).date()
        if self._retention_days is None or self._expired_on == today:
            return
        self._expired_on = today
        try:
            self._ledger.expire(today - timedelta(days=self._retention_days))
        except OSError as error:
            self._report(error, 0)

    def _open_stream(self) -> Stream:
        """Return the stream of this process, begun when the disk first allows it."""
        if self._stream is not None:
            return self._stream
        with self._ledger.exclusive():
            for closed in settle_dead_streams(self._ledger):
                metrics.LOG_ROWS.labels("lost").inc(closed.lost or 0)
                logger.error(
                    "a process was killed before: %d rows of its prediction log %s were lost",
                    closed.lost,
                    closed.stream,
                )
            stream = Stream(self._ledger)
        with self._lock:
            stream.count(self._accepted_count, self._dropped_count)
            self._stream = stream
        return stream

    def _folder(self, use_case: str, day: date, *, is_shadow: bool) -> Path:
        root = self._directory / SHADOW_FOLDER if is_shadow else self._directory
        return root / use_case / f"{DAY_PREFIX}{day.isoformat()}"

    def _let_go(self, rows: list[LoggedPrediction]) -> None:
        """Free rows in parts: all at once, tens of thousands of them would keep requests waiting for a tenth second."""
        while rows:
            del rows[-_ROWS_AT_ONCE:]
            self._give_way()

    def _write(self, folder: Path, rows: Sequence[LoggedPrediction]) -> None:
        stream = self._open_stream()
        content, rows_count = self._content(rows, stream.rows_written + 1)
        if rows_count == 0:
            return
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{stream.name}-{self._files_count + 1:06d}.parquet"
        temporary = folder / f".{place.stem}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._ledger.exclusive():
                self._ledger.append(
                    kind="written",
                    stream=stream.name,
                    path=relative(self._directory, place),
                    sha256=sha256(content),
                    rows=rows_count,
                    first_sequence=stream.rows_written + 1,
                    stream_rows=stream.rows_written + rows_count,
                )
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        # The ledger has these rows, so they are not written again, whatever happens to the rename.
        stream.rows_written += rows_count
        self._files_count += 1
        self._waiting.append((temporary, place))
        self._put_in_place()

    def _content(self, rows: Sequence[LoggedPrediction], first_sequence: int) -> tuple[bytes, int]:
        """Return rows of one use case as a Parquet file, and how many of them fitted into it."""
        import pyarrow as pa

        buffer = pa.BufferOutputStream()
        rows_count = 0
        with ExitStack() as stack:
            writer: pq.ParquetWriter | None = None
            for first in range(0, len(rows), _ROWS_OF_A_GROUP):
                table = self._table(rows[first : first + _ROWS_OF_A_GROUP], first_sequence + rows_count)
                self._give_way()
                if writer is None:
                    writer = stack.enter_context(_writer(buffer, table.schema))
                writer.write_table(table)
                rows_count += table.num_rows
                self._give_way()
        return buffer.getvalue().to_pybytes(), rows_count

    def _give_way(self) -> None:
        """Pause for the requests, unless the process stops or memory runs out."""
        if len(self._pending) * 4 < self._capacity_rows:
            self._writing.give_way(_PAUSE_SECONDS)

    def _put_in_place(self) -> None:
        for names in list(self._waiting):
            try:
                names[0].replace(names[1])
            except OSError as error:
                self._report(error, 0)
            else:
                self._waiting.remove(names)

    def _table(self, rows: Sequence[LoggedPrediction], first_sequence: int) -> "pa.Table":
        """Return rows of one use case as a table; a row that does not fit its columns costs nobody else's."""
        try:
            return log_table(rows, key=self._ledger.key, first_sequence=first_sequence, between_parts=self._give_way)
        except (TypeError, ValueError) as error:
            fitting = [row for row in rows if _fits(row, self._ledger.key)]
            metrics.LOG_ROWS.labels("lost").inc(len(rows) - len(fitting))
            logger.error("%d rows do not fit the prediction log and are lost: %s", len(rows) - len(fitting), error)
        return log_table(fitting, key=self._ledger.key, first_sequence=first_sequence, use_case=rows[0].use_case)

    def _report(self, error: OSError, rows_count: int) -> None:
        logger.error(
            "the prediction log cannot be written to %s (%s); %d rows stay in memory and are tried again",
            self._directory,
            error.strerror,
            rows_count,
        )


def log_schema(use_case: str) -> "pa.Schema":
    """Return the columns of the log of a use case: what happened, then features, predictions and their context."""
    import pyarrow as pa

    types: dict[ColumnKind, pa.DataType] = {
        "numeric": pa.float64(),
        "categorical": pa.string(),
        "boolean": pa.bool_(),
    }
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("decision_id", pa.string()),
            ("decided_at", pa.timestamp("us", tz="UTC")),
            ("use_case", pa.string()),
            ("release", pa.string()),
            ("model_version", pa.string()),
            (CUSTOMER_KEY, pa.string()),
            ("source", pa.string()),
            (AS_OF_MONTH, pa.date32()),
            ("district", pa.string()),
            *((column.name, types[column.kind]) for column in feature_columns(use_case)),
            *((column.name, types[column.kind]) for column in prediction_columns(use_case)),
            *(
                (name, pa.date32() if name.endswith("_month") else pa.string())
                for name in logged_context_columns(use_case)
            ),
            ("scoring_ms", pa.float64()),
            ("arm", pa.string()),
            ("error", pa.string()),
            ("tables", pa.binary()),
            ("features_from", pa.string()),
            ("raw", pa.binary()),
        ]
    )


def log_table(
    rows: Sequence[LoggedPrediction],
    *,
    key: bytes,
    first_sequence: int,
    use_case: str | None = None,
    between_parts: Callable[[], None] = lambda: None,
) -> "pa.Table":
    """Return rows as a table in the log's schema, numbered and with a digest each.

    Args:
        rows: Rows of one use case.
        key: Key of the chain.
        first_sequence: Number of the first row.
        use_case: Whose rows they are; needed only when there may be none.
        between_parts: Called after every few hundred rows, whose conversion kept other threads waiting.
    """
    import pyarrow as pa

    use_case = use_case or rows[0].use_case
    schema = log_schema(use_case)
    parts = [schema.empty_table()]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        columns = zip(*_values(rows[first : first + _ROWS_AT_ONCE], use_case), strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        parts.append(pa.Table.from_arrays(arrays, schema=schema))
        between_parts()
    table = pa.concat_tables(parts).combine_chunks()
    table = table.append_column(SEQUENCE, pa.array(range(first_sequence, first_sequence + len(rows)), pa.int64()))
    return add_row_digests(table, key)


def _values(rows: Sequence[LoggedPrediction], use_case: str) -> list[tuple[Any, ...]]:
    """Return the values of each row in the order of `log_schema`."""
    of_features = _values_of([column.name for column in feature_columns(use_case)])
    of_prediction = _values_of([column.name for column in prediction_columns(use_case)])
    context = logged_context_columns(use_case)
    return [
        (
            row.request_id,
            row.decision_id,
            row.decided_at,
            row.use_case,
            row.release,
            row.model_version,
            row.customer_key,
            SOURCE_ONLINE,
            row.as_of_month,
            row.district,
            *of_features(row.features),
            *of_prediction(row.prediction),
            *map(row.context.get, context),
            row.scoring_ms,
            row.arm,
            row.error,
            packed_tables(row.tables) if row.tables else None,
            row.features_from,
            row.raw,
        )
        for row in rows
    ]


def _values_of(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Iterable[Any]]:
    """Return a function that takes some values of a row in order, None where it has none."""
    at_once = itemgetter(*names)

    def take(values: Mapping[str, Any]) -> Iterable[Any]:
        try:
            taken: Iterable[Any] = at_once(values)
        except KeyError:
            return map(values.get, names)
        return taken

    return take


def _writer(buffer: "pa.BufferOutputStream", schema: "pa.Schema") -> "pq.ParquetWriter":
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Numbers hardly repeat; a dictionary of them would take twice the time and more room.
    texts = [field.name for field in schema if field.type == pa.string()]
    return pq.ParquetWriter(buffer, schema, compression="zstd", use_dictionary=texts)


def packed_tables(tables: "Mapping[str, pa.Table]") -> bytes:
    """Return tables as they stand in the log: one after the other as Arrow streams, named in their metadata."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    for name, table in sorted(tables.items()):
        named = table.replace_schema_metadata({"name": name})
        with pa.ipc.new_stream(sink, named.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(named)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def unpacked_tables(content: bytes) -> "dict[str, pa.Table]":
    """Return the tables that `packed_tables` packed, by name."""
    import pyarrow as pa

    source = pa.BufferReader(content)
    tables = {}
    while source.tell() < source.size():
        table = pa.ipc.open_stream(source).read_all()
        tables[table.schema.metadata[b"name"].decode()] = table.replace_schema_metadata(None)
    return tables


def _fits(row: LoggedPrediction, key: bytes) -> bool:
    try:
        log_table([row], key=key, first_sequence=0)
    except (TypeError, ValueError):
        return False
    return True
