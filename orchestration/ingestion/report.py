"""What a landing did, for people and for asset metadata: counts per file, sentences, findings."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from orchestration.ingestion.quarantine import Reason


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileReport(_Frozen):
    """Rows of one file that was read as one entity."""

    delivery_id: str
    entity: str
    source_file: str
    rows_in: int
    rows_loaded: int
    rows_corrected: int = Field(description="Loaded rows that replace an earlier version")
    rows_duplicate: int
    rows_quarantined: int
    quarantined_by_reason: dict[str, int]
    retried_delivery_id: str | None = Field(
        default=None,
        description="Delivery whose reading of the file left the orphans that are the rows here; it counted them, too",
    )

    @property
    def is_reconciled(self) -> bool:
        """Whether every row is accounted for exactly once."""
        by_reason = sum(self.quarantined_by_reason.values())
        accounted = self.rows_loaded + self.rows_duplicate + self.rows_quarantined
        return self.rows_in == accounted and by_reason == self.rows_quarantined


class UnreadableFile(_Frozen):
    """A file that could not be read at all."""

    delivery: str
    entity: str
    source_file: str
    message: str


class DeliveryReport(_Frozen):
    """One delivery that was landed."""

    delivery_id: str
    name: str
    known_at: datetime
    read_months: tuple[str, ...]
    files: tuple[FileReport, ...]
    seconds: float


class LandingReport(_Frozen):
    """Everything that one landing did.

    Attributes:
        deliveries: Deliveries that were published, in order.
        unreadable: Files that could not be read; they are tried again at the next landing.
        findings: What a person should look at although nothing was refused.
        messages: Sentences about refused rows, at most a few per file and reason.
        skipped_files: Files that had been landed before and changed nothing.
    """

    deliveries: tuple[DeliveryReport, ...]
    unreadable: tuple[UnreadableFile, ...]
    findings: tuple[str, ...]
    messages: tuple[str, ...]
    skipped_files: int

    @property
    def files(self) -> tuple[FileReport, ...]:
        """The files of all deliveries."""
        return tuple(file for delivery in self.deliveries for file in delivery.files)

    @property
    def rows_in(self) -> int:
        """Rows in all files that were read; an orphan that was taken up in the same landing counts once."""
        return sum(file.rows_in for file in self.files) - self._rows_counted_twice

    @property
    def rows_loaded(self) -> int:
        """Rows that were loaded, corrections included."""
        return sum(file.rows_loaded for file in self.files)

    @property
    def rows_duplicate(self) -> int:
        """Exact duplicates that were not loaded again."""
        return sum(file.rows_duplicate for file in self.files)

    @property
    def rows_quarantined(self) -> int:
        """Rows that were refused with a reason."""
        return sum(file.rows_quarantined for file in self.files) - self._rows_counted_twice

    @property
    def quarantined_by_reason(self) -> dict[str, int]:
        """Refused rows per reason, most frequent first."""
        return _summed(
            [*(file.quarantined_by_reason for file in self.files), {Reason.ORPHAN.value: -self._rows_counted_twice}]
        )

    @property
    def _rows_counted_twice(self) -> int:
        own = {delivery.delivery_id for delivery in self.deliveries}
        return sum(file.rows_in for file in self.files if file.retried_delivery_id in own)

    @property
    def read_months(self) -> tuple[str, ...]:
        """UTC months in which any delivery had readings, in order."""
        return tuple(sorted({month for delivery in self.deliveries for month in delivery.read_months}))

    def sentence(self) -> str:
        """Return the landing in one sentence."""
        if not self.deliveries:
            return f"nothing new to land ({self.skipped_files} files were landed before)" + self._unreadable_words()
        return (
            f"{len(self.deliveries)} deliveries: {self.rows_in:,} rows in = {self.rows_loaded:,} loaded + "
            f"{self.rows_duplicate:,} exact duplicates + {self.rows_quarantined:,} quarantined"
            + self._unreadable_words()
        )

    def _unreadable_words(self) -> str:
        return f"; {len(self.unreadable)} files could not be read" if self.unreadable else ""


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for reason, rows in count.items():
            total[reason] = total.get(reason, 0) + rows
    return dict(
        sorted(((reason, rows) for reason, rows in total.items() if rows), key=lambda item: (-item[1], item[0]))
    )
