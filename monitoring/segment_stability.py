"""How far the segments of a month are those of the month before: who stayed, who moved, which segments grew.

A segment that nobody stays in cannot carry a plan. Read from the batch predictions of two months. A customer of whom
too little is known has no segment; the first one that they get is no move.
"""

from datetime import date
from pathlib import Path

import pandas as pd
from sklearn.metrics import adjusted_rand_score

from ml.columns import CUSTOMER_KEY
from ml.segmentation.model import UNKNOWN_SEGMENT_ID
from ml.splits import add_months
from monitoring.outcomes import SegmentChange, SegmentStability


def segment_stability(month: date, predictions_dir: Path, *, release: str, column: str) -> SegmentStability | None:
    """Compare the segments of a month with those of the month before.

    Args:
        month: As-of month.
        predictions_dir: Folder of the batch predictions of segmentation.
        release: Release under review; the month before may have been assigned by another one.
        column: Segment of the customer.

    Returns:
        The comparison; None if one of both months was not scored or cannot be read.
    """
    now, before = (_segments(one, predictions_dir, column) for one in (month, add_months(month, -1)))
    now = now[now["release"] == release]
    if now.empty or before.empty:
        return None
    both = now.merge(before, on=CUSTOMER_KEY, suffixes=("_now", "_before"))
    if both.empty:
        return None
    stayed = both["segment_now"] == both["segment_before"]
    sizes_now, sizes_before = both["segment_now"].value_counts(), both["segment_before"].value_counts()
    stayed_by_segment = both.loc[stayed, "segment_now"].value_counts()
    segments = sorted({*sizes_now.index, *sizes_before.index}, key=lambda name: (-sizes_now.get(name, 0), name))
    return SegmentStability(
        month=month,
        release=release,
        is_same_release=bool((both["release_before"] == release).all()),
        customers=len(both),
        customers_stayed=int(stayed.sum()),
        customers_new=len(now) - len(both),
        customers_lost=len(before) - len(both),
        adjusted_rand_index=float(adjusted_rand_score(both["segment_before"], both["segment_now"])),
        segments=tuple(
            SegmentChange(
                segment_id=name,
                customers_before=int(sizes_before.get(name, 0)),
                customers_now=int(sizes_now.get(name, 0)),
                customers_stayed=int(stayed_by_segment.get(name, 0)),
            )
            for name in segments
        ),
    )


def _segments(month: date, predictions_dir: Path, column: str) -> pd.DataFrame:
    """Read key, segment and release of the assigned customers; without rows if the file is missing or not readable."""
    import polars as pl

    path = predictions_dir / f"as_of_month={month.isoformat()}" / "predictions.parquet"
    nobody = pd.DataFrame(columns=[CUSTOMER_KEY, "segment", "release"])
    if not path.exists():
        return nobody
    try:
        rows = (
            pl.scan_parquet(path, hive_partitioning=False)
            .select(CUSTOMER_KEY, "release", segment=pl.col(column).cast(pl.String))
            .filter(pl.col("segment") != UNKNOWN_SEGMENT_ID)
            .unique(CUSTOMER_KEY, keep="last")
            .collect()
        )
    except (pl.exceptions.PolarsError, OSError):
        return nobody
    return rows.sort(CUSTOMER_KEY).to_pandas()
