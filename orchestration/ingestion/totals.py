"""What the landing holds in all, by entity: the sums over every delivery that was ever landed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.ingestion.contract import ENTITIES


@dataclass(frozen=True, slots=True)
class EntityTotals:
    """Rows of one entity over all deliveries; ``rows_in`` is the sum of the other three."""

    rows_in: int = 0
    rows_loaded: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0


def landed_totals(landing_dir: Path) -> Mapping[str, EntityTotals]:
    """Return the totals of every entity of the contract; zeros where nothing was landed."""
    import polars as pl

    files = sorted((landing_dir / "deliveries").glob("*/deliveries/*.parquet"))
    if not files:
        return {entity: EntityTotals() for entity in ENTITIES}
    columns = ["rows_in", "rows_loaded", "rows_duplicate", "rows_quarantined"]
    sums = pl.scan_parquet(files).group_by("entity").agg(pl.col(columns).sum()).collect()
    by_entity = {row["entity"]: EntityTotals(*(row[column] for column in columns)) for row in sums.to_dicts()}
    return {entity: by_entity.get(entity, EntityTotals()) for entity in ENTITIES}
