"""Cuts of snapshots into training, calibration and hold-out rows, by time and by customer.

The side of a customer depends on the customer's key alone (a hash with a fixed salt), so it is the same in every
training run: the champion never trained on a customer by whom the challenger is judged.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd


def hash_shares(keys: Iterable[object], salt: str) -> np.ndarray:
    """Return a number in [0, 1) per key that depends on key and salt only.

    Args:
        keys: Customer keys; equal keys get equal numbers.
        salt: Name of the cut; different salts give independent cuts.
    """
    # A dict, not pandas.factorize: that compares text only up to a NUL character.
    by_key: dict[str, float] = {}
    shares = []
    for key in map(str, keys):
        if key not in by_key:
            digest = hashlib.blake2b(f"{salt}\x00{key}".encode(), digest_size=8).digest()
            # 53 bits are what a float holds exactly; more would round up to 1.
            by_key[key] = (int.from_bytes(digest, "big") >> 11) / 2**53
        shares.append(by_key[key])
    return np.array(shares, dtype=np.float64)


def customer_parts(keys: Iterable[object], shares: Mapping[str, float], salt: str = "kilowise") -> np.ndarray:
    """Return the name of the part of each customer.

    Args:
        keys: Customer keys, one per row.
        shares: Share of the customers per part; must add up to one.
        salt: Name of the cut.
    """
    if abs(sum(shares.values()) - 1.0) > 1e-9:
        raise ValueError(f"shares add up to {sum(shares.values())}, not to 1")
    edges = np.cumsum(list(shares.values()))[:-1]
    names = np.asarray(list(shares), dtype=object)
    return names[np.searchsorted(edges, hash_shares(keys, salt), side="right")]


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Months of each part; a month between them whose outcome would overlap a later part is purged.

    Attributes:
        train_months: First part.
        calibration_months: Second part; empty when calibration has to share the months of training.
        holdout_months: Last part.
        purged_months: Months used by no part.
    """

    train_months: tuple[date, ...]
    calibration_months: tuple[date, ...]
    holdout_months: tuple[date, ...]
    purged_months: tuple[date, ...]

    @property
    def calibration_shares_months(self) -> bool:
        """Whether calibration rows come from the same months as training rows (and differ by customer only)."""
        return not self.calibration_months


def month_start(value: object) -> date:
    """Return the first day of the month of a date, timestamp or ISO string."""
    timestamp = pd.Timestamp(value)  # type: ignore[arg-type]  # pandas-stubs do not accept object
    return date(timestamp.year, timestamp.month, 1)


def add_months(month: date, months: int) -> date:
    """Return the first day of the month that lies this many months later."""
    index = month.year * 12 + month.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def purged_time_split(
    months: Sequence[date],
    *,
    outcome_months: int,
    holdout_months: int,
    calibration_months: int,
    minimum_train_months: int,
) -> TimeSplit | None:
    """Cut months into train, calibration and hold-out so that no outcome window reaches into a later part.

    The snapshot of month ``m`` looks ``outcome_months`` ahead: it may train a model that is judged on month ``h``
    only if ``m + outcome_months <= h``. When too few months remain for a calibration part of its own, calibration
    shares the months of training; when training itself has too few, there is no split.

    Args:
        months: Months that have labelled snapshots.
        outcome_months: Length of the outcome window; 0 when the outcome is known at once.
        holdout_months: Largest number of months held out; at least one.
        calibration_months: Number of months wanted for calibration.
        minimum_train_months: Fewest months on which training makes sense.

    Returns:
        The split, or ``None`` when time alone cannot separate the parts.
    """
    ordered = sorted({month_start(month) for month in months})
    for held in range(min(holdout_months, len(ordered)), 0, -1):
        holdout = ordered[-held:]
        before = [month for month in ordered[:-held] if add_months(month, outcome_months) <= holdout[0]]
        if len(before) < minimum_train_months:
            continue
        train, calibration = before, []
        if calibration_months and len(before) > calibration_months:
            wanted = before[-calibration_months:]
            earlier = [
                month for month in before[:-calibration_months] if add_months(month, outcome_months) <= wanted[0]
            ]
            if len(earlier) >= minimum_train_months:
                train, calibration = earlier, wanted
        used = {*train, *calibration, *holdout}
        return TimeSplit(
            train_months=tuple(train),
            calibration_months=tuple(calibration),
            holdout_months=tuple(holdout),
            purged_months=tuple(month for month in ordered if month not in used),
        )
    return None
