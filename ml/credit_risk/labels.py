"""Snapshots with known outcomes, and how they are cut into training and hold-out rows.

A snapshot counts when its outcome window is over (``is_mature``) and nothing excludes it. Where the history allows,
the latest months are held out, and months whose outcome window reaches into them are purged; every customer is then
judged by a model that was trained on other customers (folds). Where it does not, customers are held out.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.credit_risk.config import CreditRiskConfig
from ml.errors import SchemaMismatchError
from ml.splits import TimeSplit, add_months, customer_parts, month_start, purged_time_split

LABEL = "is_default"
SALT = "credit_risk"
_OUTCOME_COLUMNS = (CUSTOMER_KEY, AS_OF_MONTH, "is_mature", LABEL, "exclusion", "window_end_date")


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Snapshots with known outcomes.

    Attributes:
        rows: Feature rows with ``is_default`` (bool), ``window_end_date`` and ``as_of_month`` as date, sorted by
            customer and month.
        immature: Snapshots whose outcome window is not over.
        excluded: Snapshots left out, by reason.
    """

    rows: pd.DataFrame
    immature: int
    excluded: dict[str, int]

    @property
    def months(self) -> list[date]:
        """As-of months with labelled snapshots, in order."""
        return sorted(set(self.rows[AS_OF_MONTH]))


@dataclass(frozen=True, slots=True)
class Cut:
    """The parts of the labelled rows.

    Attributes:
        parts: Rows by part. By time: ``train`` and ``holdout``, both with all customers, to be taken apart by folds
            of customers. By customer only: the same names, with different customers.
        time: Months of each part; ``None`` when rows are cut by customer only.
        outcome_months: Length of the outcome window in months.
        warm_up_months: First months left out because too little past is visible in them.
        why_not_time: Why rows could not be cut by time.
    """

    parts: dict[str, pd.DataFrame]
    time: TimeSplit | None
    outcome_months: int
    warm_up_months: int = 0
    why_not_time: str = ""

    @property
    def kind(self) -> Literal["time and customer", "customer"]:
        """By what the hold-out differs from the training rows."""
        return "customer" if self.time is None else "time and customer"

    def sentence(self) -> str:
        """Say in words how the hold-out was cut."""
        holdout = self.parts["holdout"]
        size = f"{len(holdout):,} snapshots of {holdout[CUSTOMER_KEY].nunique():,} customers"
        if self.time is None:
            return f"Held out by customer only: {size} of whom nothing was used in training. {self.why_not_time}"
        first, last = self.time.holdout_months[0], self.time.holdout_months[-1]
        span = f"{first:%Y-%m}" if first == last else f"{first:%Y-%m} to {last:%Y-%m}"
        train_last = self.time.train_months[-1]
        warm_up = (
            f", and the first {self.warm_up_months} months, which see too little past" if self.warm_up_months else ""
        )
        return (
            f"Held out by time and by customer at once: {size}, as of {span}, each judged by a model that was trained "
            f"on other customers. Training ends with snapshots of {train_last:%Y-%m}, whose {self.outcome_months} "
            f"months of outcome are over before the hold-out begins; {len(self.time.purged_months)} months between are "
            f"left out{warm_up}."
        )


def labelled_rows(features: pd.DataFrame, outcomes: pd.DataFrame) -> LabelledRows:
    """Join features with mature outcomes.

    Args:
        features: Rows of ``marts.customer_credit_features``.
        outcomes: Rows of ``marts.customer_credit_outcomes``.

    Raises:
        SchemaMismatchError: If a column is missing or a key occurs twice.
    """
    for name, frame, columns in (
        ("customer_credit_features", features, (CUSTOMER_KEY, AS_OF_MONTH)),
        ("customer_credit_outcomes", outcomes, _OUTCOME_COLUMNS),
    ):
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise SchemaMismatchError(f"marts.{name} lacks the columns {', '.join(missing)}")
        if frame.duplicated([CUSTOMER_KEY, AS_OF_MONTH]).any():
            raise SchemaMismatchError(f"marts.{name} holds a customer and month twice; its key test must have failed")
    outcomes = outcomes[list(_OUTCOME_COLUMNS)]
    mature = outcomes["is_mature"].fillna(False).astype(bool) & outcomes[LABEL].notna()
    excluded = outcomes["exclusion"].notna()
    usable = outcomes[mature & ~excluded].drop(columns=["is_mature", "exclusion"])
    rows = features.drop(columns=[LABEL, "window_end_date"], errors="ignore").merge(
        usable, on=[CUSTOMER_KEY, AS_OF_MONTH], how="inner", validate="one_to_one"
    )
    rows[LABEL] = rows[LABEL].astype(bool)
    rows[AS_OF_MONTH] = [month_start(month) for month in rows[AS_OF_MONTH]]
    rows = rows.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable", ignore_index=True)
    counts = outcomes.loc[excluded, "exclusion"].value_counts()
    return LabelledRows(
        rows=rows,
        immature=int((~mature & ~excluded).sum()),
        excluded={str(reason): int(count) for reason, count in sorted(counts.items())},
    )


def outcome_months(rows: pd.DataFrame) -> int:
    """Return the length of the outcome window in months, rounded up.

    A window is counted from the end of the as-of month; days by which the as-of instant lags behind the end of the
    month shift the start and the end of every window alike.
    """
    longest = 0
    pairs = rows[[AS_OF_MONTH, "window_end_date"]].drop_duplicates()
    lag = _lag_days(rows)
    for month, end in zip(pairs[AS_OF_MONTH], pd.to_datetime(pairs["window_end_date"]), strict=True):
        if pd.isna(end):
            continue
        months = 0
        while pd.Timestamp(add_months(month, months + 1)) + pd.Timedelta(days=lag) < end:
            months += 1
        longest = max(longest, months)
    return longest


def cut(rows: pd.DataFrame, config: CreditRiskConfig) -> Cut:
    """Cut labelled rows by time where both outcomes remain in every part, otherwise by customer.

    Args:
        rows: Labelled snapshots.
        config: Shares, months and the fewest rows of each outcome in a part.
    """
    months_ahead = outcome_months(rows)
    months = sorted(set(rows[AS_OF_MONTH]))
    warm = [month for month in months if month >= add_months(months[0], config.warm_up_months)]
    time = purged_time_split(
        warm,
        outcome_months=months_ahead,
        holdout_months=config.holdout_months,
        calibration_months=0,
        minimum_train_months=config.minimum_train_months,
    )
    if time is None:
        why = (
            f"A cut by time needs {config.minimum_train_months} months whose outcome of {months_ahead} months is over "
            f"before the hold-out begins, and the data has {len(months)} labelled "
            f"{'month' if len(months) == 1 else 'months'}."
        )
        return Cut(_parts_by_customer(rows, config), None, months_ahead, why_not_time=why)
    parts = {
        "train": rows[rows[AS_OF_MONTH].isin(time.train_months)].reset_index(drop=True),
        "holdout": rows[rows[AS_OF_MONTH].isin(time.holdout_months)].reset_index(drop=True),
    }
    short = thin_parts(parts, config)
    if short:
        why = f"Cut by time, too little remains: {short}."
        return Cut(_parts_by_customer(rows, config), None, months_ahead, why_not_time=why)
    return Cut(parts, time, months_ahead, warm_up_months=len(months) - len(warm))


def _parts_by_customer(rows: pd.DataFrame, config: CreditRiskConfig) -> dict[str, pd.DataFrame]:
    shares = {
        "train": 1 - config.holdout_customer_share,
        "holdout": config.holdout_customer_share,
    }
    part_of_row = customer_parts(rows[CUSTOMER_KEY], shares, salt=SALT)
    return {part: rows[part_of_row == part].reset_index(drop=True) for part in shares}


def thin_parts(parts: dict[str, pd.DataFrame], config: CreditRiskConfig) -> str:
    """Name the parts with too few rows of an outcome, in words; empty when every part has enough."""
    least = config.minimum_part_class_rows
    texts = []
    for part, frame in parts.items():
        defaults = int(frame[LABEL].sum())
        if min(defaults, len(frame) - defaults) < least:
            texts.append(f"{part} has {defaults:,} defaults among {len(frame):,} snapshots")
    return "; ".join(texts)


def label_array(rows: pd.DataFrame) -> np.ndarray:
    """Return the labels as floats, 1 for a default."""
    return rows[LABEL].to_numpy(dtype=np.float64)


def _lag_days(rows: pd.DataFrame) -> int:
    """Return the days between the end of the as-of month and the as-of instant, rounded up."""
    if "as_of_at" not in rows.columns or not len(rows):
        return 1
    pairs = rows[[AS_OF_MONTH, "as_of_at"]].dropna().drop_duplicates()
    ends = pd.to_datetime([add_months(month, 1) for month in pairs[AS_OF_MONTH]])
    instants = pd.to_datetime(pairs["as_of_at"], utc=True).dt.tz_localize(None)
    lags = (instants.to_numpy() - ends.to_numpy()) / np.timedelta64(1, "D")
    return max(1, int(np.ceil(lags.max()))) if len(lags) else 1
