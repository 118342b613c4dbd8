"""Customers compared with those of as long a history: counts over twelve months can only grow in the first year.

What a row can know is bounded twice: by the month in which its customer came, and by the first month of the platform's
data. The reference is thinned until its lengths of history are those of the month under review (direct standardisation,
as epidemiologists compare populations of other ages: Breslow and Day, 1987, Statistical Methods in Cancer Research II,
chapter 2, by rows instead of weights). Customers of whose length the reference has too few are set aside and counted.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import AS_OF_MONTH
from monitoring.policy import HistoryRule
from monitoring.verdicts import HistoryShift

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

# Share of the rows that must have a length of history of their own for the column to be read.
_TOLD_MIN_SHARE = 0.5


@dataclass(frozen=True)
class LikeHistory:
    """Rows that are compared, and how the lengths of history differ.

    Attributes:
        reference_rows: True for reference rows that are compared.
        current_rows: True for rows of the month that are compared.
        shift: The shares without a full history.
        is_thinned: Whether any row was left out.
    """

    reference_rows: BoolArray
    current_rows: BoolArray
    shift: HistoryShift
    is_thinned: bool


def as_of_months(frame: pd.DataFrame, month: date) -> "pd.Series[pd.Period]":
    """Return the as-of month of each row as a period; rows without one, such as inline requests, take ``month``."""
    return pd.to_datetime(frame[AS_OF_MONTH]).fillna(pd.Timestamp(month)).dt.to_period("M")


def platform_months(months: "pd.Series[pd.Period]", data_since: date | None) -> npt.NDArray[np.float64]:
    """Return how many months of data each as-of month has behind it, itself included; infinite if that is not known."""
    if data_since is None:
        return np.full(len(months), np.inf)
    first = pd.Period(data_since, freq="M").ordinal
    return np.asarray(pd.PeriodIndex(months).astype("int64") - first + 1, dtype=np.float64)


def like_history(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    month: date,
    rule: HistoryRule,
    *,
    data_since: date | None,
    minimum_rows: int,
) -> LikeHistory:
    """Choose the rows of both sides that have as long a history.

    Args:
        reference: Reference rows.
        current: Rows of the month.
        month: Month under review.
        rule: Bands of history, and the column that says when a customer came.
        data_since: First month of the platform's data; None if it is not known.
        minimum_rows: Reference rows below which a band is not compared.

    Returns:
        The choice. Where one side has no band that the other has in sufficient number, no row is chosen.
    """
    bands_then, bands_now = (
        np.searchsorted(np.asarray(rule.bands_months, dtype=np.float64), history, side="right")
        for history in months_of_history(reference, current, month, rule, data_since)
    )
    full = len(rule.bands_months)
    counts_then = np.bincount(bands_then, minlength=full + 1)
    counts_now = np.bincount(bands_now, minlength=full + 1)
    is_common = (counts_then >= minimum_rows) & (counts_now > 0)
    current_rows = is_common[bands_now]
    reference_rows = _thinned(bands_then, counts_then, np.where(is_common, counts_now, 0))
    return LikeHistory(
        reference_rows=reference_rows,
        current_rows=current_rows,
        shift=HistoryShift(
            full_months=rule.full_months,
            short_reference_pct=_short_pct(counts_then),
            short_current_pct=_short_pct(counts_now),
            rows_reference=int(reference_rows.sum()),
            rows_set_aside=int((~current_rows).sum()),
        ),
        is_thinned=not (reference_rows.all() and current_rows.all()),
    )


def months_of_history(
    reference: pd.DataFrame, current: pd.DataFrame, month: date, rule: HistoryRule, data_since: date | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how many months each row of both sides can look back; infinite where nothing bounds it."""
    sides = (reference, current)
    histories = [platform_months(as_of_months(frame, month), data_since) for frame in sides]
    # A column that has fallen silent on one side is a finding by itself and tells nobody's history.
    if rule.column is not None and min(side[rule.column].notna().mean() for side in sides) >= _TOLD_MIN_SHARE:
        # Who is not known to be new is taken for an old customer.
        histories = [
            np.fmin(history, side[rule.column].to_numpy(dtype=np.float64))
            for history, side in zip(histories, sides, strict=True)
        ]
    return histories[0], histories[1]


def _thinned(bands: IntArray, counts: IntArray, wanted: IntArray) -> BoolArray:
    """Return rows, spread evenly over each band, whose shares of the bands are those of the wanted counts."""
    chosen = np.zeros(len(bands), dtype=bool)
    used = wanted > 0
    if not used.any():
        return chosen
    factor = float((counts[used] / wanted[used]).min())
    for band in np.flatnonzero(used):
        rows = np.flatnonzero(bands == band)
        keep = min(len(rows), max(1, round(factor * wanted[band])))
        chosen[rows[np.linspace(0, len(rows) - 1, keep).round().astype(np.intp)]] = True
    return chosen


def _short_pct(counts: IntArray) -> float:
    total = int(counts.sum())
    return 100 * float(counts[:-1].sum()) / total if total else 0.0
