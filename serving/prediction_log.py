"""The prediction log: one row per online prediction, written away from the request path.

Rows wait in bounded memory and a thread writes them as Parquet files ``<directory>/<use_case>/date=YYYY-MM-DD/
<uuid>.parquet`` that appear complete by a rename. Row columns are those of batch predictions, so monitoring reads
both alike. No personal data: the customer appears by key only. A normal stop loses nothing; a kill loses at most
one flush interval; when memory is full, new rows are dropped and counted.
"""

import logging
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, ColumnKind
from serving import metrics
from serving.use_cases import feature_columns, logged_context_columns, prediction_columns

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

SOURCE_ONLINE = "online"


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


class PredictionLog:
    """Collects rows from any thread and writes them in the background.

    Args:
        directory: Folder of the log; created with the first file.
        capacity_rows: Rows held in memory; more are dropped.
        flush_seconds: Longest time that a row stays in memory.
    """

    def __init__(self, directory: Path, *, capacity_rows: int, flush_seconds: float) -> None:
        self._directory = directory
        self._capacity_rows = capacity_rows
        self._flush_seconds = flush_seconds
        self._pending: list[LoggedPrediction] = []
        self._rows_in_writing_count = 0
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start writing in the background."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def record(self, rows: Sequence[LoggedPrediction]) -> None:
        """Take rows; never blocks on the disk and never raises. What does not fit is dropped and counted."""
        with self._lock:
            free = max(self._capacity_rows - len(self._pending) - self._rows_in_writing_count, 0)
            self._pending.extend(rows[:free])
            pending_count = len(self._pending)
        if len(rows) > free:
            metrics.LOG_ROWS.labels("dropped").inc(len(rows) - free)
        # Half full: do not wait for the interval to pass.
        if pending_count * 2 >= self._capacity_rows:
            self._wake.set()

    def flush(self) -> int:
        """Write what is pending and return the number of rows written; rows whose write fails stay pending."""
        with self._flush_lock:
            with self._lock:
                batch, self._pending = self._pending, []
                self._rows_in_writing_count = len(batch)
            groups: dict[tuple[str, date], list[LoggedPrediction]] = defaultdict(list)
            for row in batch:
                groups[row.use_case, row.decided_at.date()].append(row)
            unwritten: list[LoggedPrediction] = []
            for (use_case, day), rows in groups.items():
                try:
                    self._write(use_case, day, rows)
                except OSError as error:
                    metrics.LOG_WRITE_FAILURES.inc()
                    logger.error(
                        "the prediction log cannot be written to %s (%s); %d rows stay in memory and are tried again",
                        self._directory,
                        error.strerror,
                        len(rows),
                    )
                    unwritten += rows
                else:
                    metrics.LOG_ROWS.labels("written").inc(len(rows))
            with self._lock:
                self._pending[:0] = unwritten
                self._rows_in_writing_count = 0
                metrics.LOG_PENDING_ROWS.set(len(self._pending))
            return len(batch) - len(unwritten)

    def stop(self) -> None:
        """Write everything and stop; nothing may be recorded afterwards."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.flush()
        with self._lock:
            lost_count = len(self._pending)
        if lost_count:
            metrics.LOG_ROWS.labels("lost").inc(lost_count)
            logger.error("%d rows of the prediction log could not be written before the stop", lost_count)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._flush_seconds)
            self._wake.clear()
            self.flush()

    def _write(self, use_case: str, day: date, rows: Sequence[LoggedPrediction]) -> None:
        import pyarrow.parquet as pq

        folder = self._directory / use_case / f"date={day.isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        temporary = folder / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                pq.write_table(log_table(use_case, rows), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / f"{name}.parquet")
        finally:
            temporary.unlink(missing_ok=True)


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
        ]
    )


def log_table(use_case: str, rows: Sequence[LoggedPrediction]) -> "pa.Table":
    """Return rows of one use case as a table in the log's schema."""
    import pyarrow as pa

    records = [
        {
            "request_id": row.request_id,
            "decision_id": row.decision_id,
            "decided_at": row.decided_at,
            "use_case": row.use_case,
            "release": row.release,
            "model_version": row.model_version,
            CUSTOMER_KEY: row.customer_key,
            "source": SOURCE_ONLINE,
            AS_OF_MONTH: row.as_of_month,
            "district": row.district,
            **row.features,
            **row.prediction,
            **row.context,
            "scoring_ms": row.scoring_ms,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(records, schema=log_schema(use_case))
