"""What was found while a month was read: losses, repeats, and columns that are not what they were."""

import numpy as np

from ml.columns import names
from monitoring.datasets import CurrentRows, ReferenceRows, schema_columns
from monitoring.sections import DataQuality
from monitoring.verdicts import ColumnScore

_VARIED_SHARE = 0.99
"""Largest share of one bin in the reference at which a column counts as having varied."""


def data_quality(
    use_case: str, current: CurrentRows, reference: ReferenceRows, scores: tuple[ColumnScore, ...]
) -> DataQuality:
    """Put together what is known about the form of the rows, beside how their values are spread.

    Args:
        use_case: Use case of the rows.
        current: Rows of the month.
        reference: Reference sample.
        scores: Scores of all columns; empty if there were too few rows to compare.
    """
    features, predictions = schema_columns(use_case)
    numeric = [column.name for column in (*features, *predictions) if column.kind == "numeric"]
    return DataQuality(
        rows_read=current.rows_available,
        rows_of_other_releases=current.rows_of_other_releases,
        rows_duplicated=current.rows_duplicated,
        rows_superseded=current.rows_superseded,
        duplicated_pct=_percentage(current.rows_duplicated, current.rows_drawn),
        rows_undated=current.rows_undated,
        rows_zone_assumed=current.rows_zone_assumed,
        files_read=current.files_read,
        files_unreadable=current.files_unreadable,
        batch_files_unreadable=current.batch_files_unreadable,
        columns_vanished=current.columns_absent,
        columns_appeared=current.columns_unknown,
        columns_retyped=current.columns_retyped,
        columns_silent=tuple(score.column for score in scores if _fell_silent(score, current)),
        columns_constant=tuple(score.column for score in scores if _became_constant(score, current)),
        missing_pct=_missing_pct(current, names(features)),
        missing_reference_pct=_missing_pct(reference, names(features)),
        infinite_count=int(np.isinf(current.frame[numeric].to_numpy(dtype=float)).sum()),
    )


def lost_files_pct(quality: DataQuality) -> float:
    """Return the share of the files that could not be read."""
    lost = len(quality.files_unreadable)
    return _percentage(lost, quality.files_read + lost)


def lost_rows_pct(quality: DataQuality) -> float:
    """Return the share of the rows that belong to no month."""
    dated = quality.rows_read + quality.rows_of_other_releases
    return _percentage(quality.rows_undated, dated + quality.rows_undated)


def _fell_silent(score: ColumnScore, current: CurrentRows) -> bool:
    is_silent = score.missing_current_pct == 100 > score.missing_reference_pct
    return is_silent and score.column not in current.columns_absent


def _became_constant(score: ColumnScore, current: CurrentRows) -> bool:
    if score.status != "judged" or current.frame[score.column].nunique() > 1:
        return False
    return max(score.bin_shares_reference) < _VARIED_SHARE


def _missing_pct(rows: CurrentRows | ReferenceRows, columns: list[str]) -> float | None:
    return 100 * float(rows.frame[columns].isna().to_numpy().mean()) if len(rows.frame) else None


def _percentage(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
