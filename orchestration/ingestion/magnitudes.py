"""Whether amounts of the latest delivery are of the size that they used to be: a unit that changed at the source.

A system that begins to write hundredths or Wh delivers rows that break no rule, each by itself. Together they show it:
the median of some hundred bills does not move tenfold from one delivery to the next, whatever the season.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

import orjson

MEASURES = (("bills", "amount"), ("bills", "kwh"), ("payments", "amount"))
"""Columns in which a whole delivery is of one unit, and small enough to read every time."""

_SUSPICIOUS_RATIO = 8.0
"""Medians of a month of bills differ up to threefold over the year, so a unit that differs by 10 may pass in the low
season; one that differs by 100 or 1,000 cannot."""
_COMPARED_DELIVERIES = 12


@dataclass(frozen=True, slots=True)
class ChangedMagnitude:
    """A column whose values are suddenly of another size.

    Attributes:
        entity: Entity of the landing contract.
        column: Its column.
        delivery: Name of the latest delivery.
        median_before: Median of the medians of the deliveries before.
        median_now: Median of the latest delivery.
    """

    entity: str
    column: str
    delivery: str
    median_before: float
    median_now: float


def changed_magnitudes(landing_dir: Path, minimum_rows: int) -> Iterator[ChangedMagnitude]:
    """Yield the columns whose median in the latest delivery is far from that of the deliveries before.

    Args:
        landing_dir: Folder of the landing.
        minimum_rows: Rows of an entity below which a delivery says nothing, as one with corrections only.
    """
    folders = _folders_by_time(landing_dir)
    for entity, measures in groupby(MEASURES, key=lambda measure: measure[0]):
        for _, column in measures:
            found = [
                (folder.name, value)
                for folder in folders
                if (value := _median(folder / entity, column, minimum_rows)) is not None
            ][-_COMPARED_DELIVERIES - 1 :]
            if len(found) < 2:
                continue
            (delivery, now), before = found[-1], median(value for _, value in found[:-1])
            if max(now, before) >= _SUSPICIOUS_RATIO * min(now, before):
                yield ChangedMagnitude(entity, column, delivery, before, now)


def _folders_by_time(landing_dir: Path) -> list[Path]:
    manifests = {
        path.parent: orjson.loads(path.read_bytes()) for path in landing_dir.glob("deliveries/*/delivery.json")
    }
    known = {folder: manifest["known_at"] for folder, manifest in manifests.items() if "known_at" in manifest}
    return sorted(known, key=lambda folder: (known[folder], folder.name))


def _median(folder: Path, column: str, minimum_rows: int) -> float | None:
    """Return the median of the positive values of a column; None if there are too few."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not folder.is_dir():
        return None
    values = pq.read_table(folder, columns=[column], partitioning=None).column(column).cast("double")
    positive = values.filter(pc.greater(values, 0.0))
    return float(pc.quantile(positive, 0.5)[0].as_py()) if len(positive) >= minimum_rows else None
