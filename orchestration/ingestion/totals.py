"""What the landing holds in all, by entity: the sums over every delivery that was ever landed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from orchestration.ingestion.contract import ENTITIES


@dataclass(frozen=True, slots=True)
class EntityTotals:
    """Rows of one entity over all deliveries; ``rows_in`` is the sum of the other three."""

    rows_in: int = 0
    rows_loaded: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0


def landed_totals(landing_dir: Path) -> Mapping[str, EntityTotals]:
    """Return the totals of every entity of the contract; zeros where nothing was landed.

    An orphan came in and was quarantined with its delivery. A later reading of its file only moves it to where it
    belongs now, so that each row counts once.
    """
    sums = {entity: [0, 0, 0, 0] for entity in ENTITIES}
    for path in (landing_dir / "deliveries").glob("*/delivery.json"):
        for file in orjson.loads(path.read_bytes()).get("files", []):
            retaken = file["rows_in"] if file.get("retried_delivery_id") else 0
            counts = (
                file["rows_in"] - retaken,
                file["rows_loaded"],
                file["rows_duplicate"],
                file["rows_quarantined"] - retaken,
            )
            sums[file["entity"]] = [total + count for total, count in zip(sums[file["entity"]], counts, strict=True)]
    return {entity: EntityTotals(*counts) for entity, counts in sums.items()}
