"""Batch scoring in parts of customers, so that memory does not grow with their number.

A part is a range of customer keys: the marts are sorted by them, so a part is read without the rest. Every answer
depends on the rows of its customer alone, so the parts together are what scoring everybody at once would give.

No Dagster in here.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import KilowiseError
from orchestration.marts import CustomerRange, MartsVersion
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from orchestration.use_cases import UseCase

PARTS_FOLDER = ".parts-"
"""Start of the name of a folder with parts; what a killed run left behind is removed by its age."""


class IncompleteScoringError(KilowiseError):
    """The parts do not add up to the customers of the month."""


@dataclass(frozen=True, slots=True)
class ScoringTask:
    """All that is needed to score customers of one month, in this process or in another.

    Attributes:
        use_case: The use case.
        month: As-of month.
        marts: What is scored.
        settings: Settings of the platform.
        bundle_dir: The released bundle.
        release: Name of the release.
        bundle_version: Version of its bundle.
        decided_at: Time of the whole scoring.
    """

    use_case: "UseCase"
    month: date
    marts: MartsVersion
    settings: PlatformSettings
    bundle_dir: Path
    release: str
    bundle_version: str
    decided_at: datetime

    def score(self, customers: CustomerRange | None) -> "pa.Table":
        """Return log columns, features and predictions of these customers, or of everybody."""
        import pyarrow as pa

        marts = self.marts.of_customers(customers) if customers else self.marts
        scored = self.use_case.score(self.bundle_dir, marts, self.month, self.settings)
        context: dict[str, Any] = {
            "request_id": [f"batch-{self.release}-{month:%Y%m}" for month in scored[AS_OF_MONTH]],
            "decided_at": self.decided_at,
            "use_case": self.use_case.name,
            "release": self.release,
            "model_version": self.bundle_version,
            "source": "batch",
        }
        frame = scored.assign(**context)
        ordered = frame[[*context, *[column for column in scored.columns if column not in context]]]
        return pa.Table.from_pandas(ordered, preserve_index=False)

    def write(self, customers: CustomerRange, folder: Path) -> Path:
        """Score these customers into a file that appears whole, named by their first key, and return it."""
        import pyarrow.parquet as pq

        path = folder / f"{customers.first}.part"
        temporary = folder / f".{uuid.uuid4().hex}"
        pq.write_table(self.score(customers), temporary, compression="zstd")
        temporary.replace(path)
        return path


class ScoringEngine(Protocol):
    """Scores the parts of a task, one after the other or on many machines."""

    def score(self, task: ScoringTask, parts: Sequence[CustomerRange], folder: Path) -> Sequence[Path]:
        """Write one file per part into the folder, and return them in the order of the parts."""


class InSequence:
    """Scores the parts one after the other in this process."""

    def score(self, task: ScoringTask, parts: Sequence[CustomerRange], folder: Path) -> Sequence[Path]:
        """Write one file per part into the folder, and return them in the order of the parts."""
        return [task.write(part, folder) for part in parts]


def customer_ranges(marts: MartsVersion, mart: str, month: date, customers_per_part: int) -> list[CustomerRange]:
    """Return the parts of the customers who have a row for a month; of the keys only the ends of the parts are kept.

    Args:
        marts: Marts to score.
        mart: Feature mart, sorted by month and customer.
        month: As-of month.
        customers_per_part: Most customers of a part.
    """
    import pyarrow.dataset as ds

    rows = ds.dataset(marts.path(mart), partitioning=None)
    keys = rows.scanner(columns=[CUSTOMER_KEY], filter=ds.field(AS_OF_MONTH) == _month_of(rows, month))
    ranges: list[CustomerRange] = []
    first, last, count = "", "", 0
    for batch in keys.to_batches():
        column, position = batch.column(0), 0
        while position < len(column):
            if count == 0:
                first = column[position].as_py()
            taken = min(customers_per_part - count, len(column) - position)
            count, position = count + taken, position + taken
            last = column[position - 1].as_py()
            if count == customers_per_part:
                ranges.append(CustomerRange(first, last))
                count = 0
    return [*ranges, CustomerRange(first, last)] if count else ranges


def _month_of(rows: Any, month: date) -> Any:
    """Return the month in the type of the mart's column, which is a date or a timestamp."""
    import pyarrow as pa

    return pa.scalar(month, pa.date32()).cast(rows.schema.field(AS_OF_MONTH).type)


def join_parts(parts: Sequence[Path], path: Path, source: bytes) -> int:
    """Write the rows of the parts into one file, part by part, and return how many there are.

    A column that is empty in one part and a text or a fraction in another gets the type that all of them fit in, as
    it would have if all rows had been made at once.

    Args:
        parts: Files of `ScoringTask.write`.
        path: File to write.
        source: What was scored, kept in the file as ``kilowise.source``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(part).remove_metadata() for part in parts]
    joined = pa.unify_schemas(schemas, promote_options="permissive")
    described = pa.Table.from_pandas(joined.empty_table().to_pandas(), preserve_index=False).schema.metadata or {}
    joined = joined.with_metadata({**described, b"kilowise.source": source})
    rows = 0
    with pq.ParquetWriter(path, joined, compression="zstd") as writer:
        for part in parts:
            table = pq.read_table(part, partitioning=None).cast(joined)
            writer.write_table(table)
            rows += len(table)
    return rows
