"""The dunning list: whom to contact first about overdue bills when the day is short.

Expected loss is the probability of default times the money at stake. The list ranks by it and deals the ranks out to
working days by the daily capacity. Its back-test asks how much of the money that was still owed months later a list
would have reached, against the usual ranking by age of debt, by balance, by probability alone, and a perfect ranking.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import InsufficientDataError, SchemaMismatchError
from ml.evaluation import FloatArray, bootstrap
from ml.splits import add_months, month_start

REFERENCE = "debt_age"
RANKINGS: Mapping[str, str] = {
    "expected_loss": "expected loss",
    REFERENCE: "age of debt",
    "overdue_amount": "overdue balance",
    "probability": "probability of default",
    "perfect": "perfect knowledge",
}
"""Rankings of the back-test with their names; ``perfect`` is the most that any ranking could reach."""

WORKING_DAYS = (1, 5, 21)
"""Working days after which the back-test looks: a day, a week, a month."""

_DAYS_OF_A_MONTH = 30
_REPLICATES = 200
_REQUIRED = (
    CUSTOMER_KEY,
    AS_OF_MONTH,
    "default_probability",
    "credit_rating",
    "mean_bill_12m_amount",
    "unpaid_balance_ratio",
)


class DunningConfig(BaseModel):
    """Settings of the list and its back-test.

    Attributes:
        daily_capacity: Customers whom the desk can contact on a working day.
        working_days: Working days that a list is made for.
        exposure_months: Months of charges at stake beside the overdue balance.
        judged_after_months: Months after which the back-test looks what is still owed.
        recovery_share: Share of the money still owed that a contact would have brought in: an assumption, the same for
            every ranking, so that it scales the money and changes no comparison.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    daily_capacity: int = Field(default=5, ge=1, le=100_000)
    working_days: int = Field(default=21, ge=1, le=31)
    exposure_months: float = Field(default=2.0, ge=0, le=12)
    judged_after_months: int = Field(default=3, ge=1, le=12)
    recovery_share: float = Field(default=0.3, gt=0, le=1)


@dataclass(frozen=True, slots=True)
class DunningList:
    """Whom to contact, in order.

    Attributes:
        month: As-of month of the scores.
        rows: ``rank`` and ``working_day`` (both from 1), key, class, district, probability, rating in force,
            overdue balance, money at stake, expected loss, age of the debt.
        beyond_capacity_count: Customers with an overdue balance for whom there is no time.
        beyond_capacity_loss_amount: Their expected loss.
        disputing_count: Customers left out because they contest what they owe.
    """

    month: date
    rows: pd.DataFrame
    beyond_capacity_count: int
    beyond_capacity_loss_amount: float
    disputing_count: int


@dataclass(frozen=True, slots=True)
class DunningBackTest:
    """How much of the money that stayed unpaid each ranking reaches.

    Attributes:
        months: As-of months that were judged, oldest first.
        rows: One row per ranking and number of working days: ``reached_share`` of the money still owed,
            ``reached_amount`` and ``recovered_amount`` a month, and the difference of the share to the ranking by age
            of debt with its 95 % interval over customers.
        remaining_amount: Money still owed ``judged_after_months`` later, mean of a month.
        unjudged_count: Customers and months without a later snapshot.
    """

    months: tuple[date, ...]
    rows: pd.DataFrame
    remaining_amount: float
    unjudged_count: int


def dunning_list(
    snapshots: pd.DataFrame, config: DunningConfig, *, month: date | None = None, disputing: Collection[str] = ()
) -> DunningList:
    """Return the list of one month.

    Args:
        snapshots: Features and scores, one row per customer and as-of month; earlier months tell the age of debt.
        config: Capacity and money at stake.
        month: As-of month; by default the latest.
        disputing: Customers who contest what they owe: nobody is pressed for a bill that is under appeal.

    Raises:
        InsufficientDataError: The month holds no scored customer.
        SchemaMismatchError: A column is missing.
    """
    rows = _with_amounts(snapshots, config)
    months = sorted(set(rows[AS_OF_MONTH]))
    if not months or (month is not None and month not in months):
        raise InsufficientDataError(
            f"No customer is scored as of {month:%Y-%m}." if month else "No customer is scored in any month."
        )
    chosen: date = month or months[-1]
    own = rows[(rows[AS_OF_MONTH] == chosen) & (rows["overdue_amount"] > 0)]
    is_disputing = own[CUSTOMER_KEY].isin(set(disputing)).to_numpy(dtype=bool)
    ranked = own[~is_disputing].sort_values(
        ["expected_loss_amount", CUSTOMER_KEY], ascending=[False, True], kind="stable", ignore_index=True
    )
    ranked["rank"] = np.arange(1, len(ranked) + 1)
    ranked["working_day"] = (ranked["rank"] - 1) // config.daily_capacity + 1
    is_listed = ranked["working_day"] <= config.working_days
    columns = [
        "rank",
        "working_day",
        CUSTOMER_KEY,
        AS_OF_MONTH,
        *[name for name in ("customer_class", "district") if name in ranked.columns],
        "default_probability",
        "rating_in_force",
        "overdue_amount",
        "exposure_amount",
        "expected_loss_amount",
        "debt_age_days",
    ]
    return DunningList(
        month=chosen,
        rows=ranked.loc[is_listed, columns].reset_index(drop=True),
        beyond_capacity_count=int((~is_listed).sum()),
        beyond_capacity_loss_amount=float(ranked.loc[~is_listed, "expected_loss_amount"].sum()),
        disputing_count=int(is_disputing.sum()),
    )


def back_test(
    snapshots: pd.DataFrame, config: DunningConfig, *, months_count: int = 12, seed: int = 0
) -> DunningBackTest:
    """Return how much of the money that was still owed later each ranking would have reached.

    What is still owed is the overdue balance ``judged_after_months`` later, but no more than was at stake when the list
    was made. A ranking is judged by what its first contacts reach of it; the money is summed over months.

    Args:
        snapshots: Features and scores of past months.
        config: Capacity, money at stake, horizon.
        months_count: Latest months to judge.
        seed: Seed of the intervals.

    Raises:
        InsufficientDataError: No month has a later one to judge it by, or nobody owed anything.
        SchemaMismatchError: A column is missing.
    """
    rows = _with_amounts(snapshots, config)
    known = set(rows[AS_OF_MONTH])
    months = [month for month in sorted(known) if add_months(month, config.judged_after_months) in known]
    months = months[-months_count:]
    later = rows[[CUSTOMER_KEY, AS_OF_MONTH, "overdue_amount"]].assign(
        **{AS_OF_MONTH: [add_months(month, -config.judged_after_months) for month in rows[AS_OF_MONTH]]}
    )
    own = rows[rows[AS_OF_MONTH].isin(months) & (rows["overdue_amount"] > 0)].merge(
        later, on=[CUSTOMER_KEY, AS_OF_MONTH], how="left", suffixes=("", "_later"), validate="one_to_one"
    )
    judged = own[own["overdue_amount_later"].notna()].reset_index(drop=True)
    judged["remaining_amount"] = np.minimum(judged["exposure_amount"], judged["overdue_amount_later"])
    total = float(judged["remaining_amount"].sum())
    if not months or total <= 0:
        raise InsufficientDataError(
            f"A back-test of the dunning list needs scored months with another {config.judged_after_months} months "
            f"later, and money that was still owed then; there are {len(months)} such months."
        )
    table = []
    remaining = judged["remaining_amount"].to_numpy(dtype=np.float64)
    for days in WORKING_DAYS:
        capacity = config.daily_capacity * days
        reached = {name: _first(judged, name, capacity) for name in RANKINGS}
        for name, chosen in reached.items():
            difference, lower, upper = bootstrap(
                {"difference": _difference(remaining, chosen, reached[REFERENCE])},
                judged[CUSTOMER_KEY].to_numpy(),
                replicates=_REPLICATES,
                seed=seed,
            )["difference"]
            amount = float(remaining[chosen].sum()) / len(months)
            table.append(
                {
                    "ranking": name,
                    "working_days": days,
                    "contacts_count": float(chosen.sum()) / len(months),
                    "reached_share": float(remaining[chosen].sum()) / total,
                    "reached_amount": amount,
                    "recovered_amount": amount * config.recovery_share,
                    "difference": difference,
                    "difference_lower": lower,
                    "difference_upper": upper,
                }
            )
    return DunningBackTest(
        months=tuple(months),
        rows=pd.DataFrame(table),
        remaining_amount=total / len(months),
        unjudged_count=len(own) - len(judged),
    )


def _with_amounts(snapshots: pd.DataFrame, config: DunningConfig) -> pd.DataFrame:
    """Return the snapshots with overdue balance, money at stake, expected loss and age of debt."""
    missing = [name for name in _REQUIRED if name not in snapshots.columns]
    if missing:
        raise SchemaMismatchError(f"The scored snapshots lack the columns {', '.join(missing)}.")
    rows = snapshots.copy()
    rows[AS_OF_MONTH] = [month_start(month) for month in rows[AS_OF_MONTH]]
    rows = rows.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable", ignore_index=True)
    mean_bill = rows["mean_bill_12m_amount"].fillna(0).clip(lower=0).to_numpy(dtype=np.float64)
    rows["overdue_amount"] = mean_bill * rows["unpaid_balance_ratio"].fillna(0).to_numpy(dtype=np.float64)
    rows["exposure_amount"] = rows["overdue_amount"] + config.exposure_months * mean_bill
    rows["expected_loss_amount"] = rows["default_probability"] * rows["exposure_amount"]
    rows["debt_age_days"] = _debt_age_days(rows)
    known = rows["rating_in_force"] if "rating_in_force" in rows.columns else rows["credit_rating"]
    rows["rating_in_force"] = known.fillna(rows["credit_rating"])
    return rows


def _debt_age_days(rows: pd.DataFrame) -> FloatArray:
    """Return the age of the oldest overdue bill; where older scores lack it, count the months with a balance."""
    has_debt = rows["overdue_amount"].to_numpy() > 0
    counted = np.zeros(len(rows))
    keys = rows[CUSTOMER_KEY].to_numpy()
    for position in range(len(rows)):
        if has_debt[position]:
            goes_on = position > 0 and keys[position] == keys[position - 1]
            counted[position] = _DAYS_OF_A_MONTH + (counted[position - 1] if goes_on else 0)
    if "oldest_debt_days" not in rows.columns:
        return counted
    exact = rows["oldest_debt_days"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(exact), counted, exact)


def _first(judged: pd.DataFrame, ranking: str, capacity: int) -> np.ndarray:
    """Return which rows a ranking reaches with a capacity in each month; ties go by balance, then by key."""
    column = {
        "expected_loss": "expected_loss_amount",
        REFERENCE: "debt_age_days",
        "overdue_amount": "overdue_amount",
        "probability": "default_probability",
        "perfect": "remaining_amount",
    }[ranking]
    order = judged.sort_values(
        [AS_OF_MONTH, column, "overdue_amount", CUSTOMER_KEY]
        if column != "overdue_amount"
        else [AS_OF_MONTH, column, CUSTOMER_KEY],
        ascending=[True, False, False, True] if column != "overdue_amount" else [True, False, True],
        kind="stable",
    )
    place = order.groupby(AS_OF_MONTH).cumcount().reindex(judged.index)
    return (place < capacity).to_numpy(dtype=bool)


def _difference(remaining: FloatArray, chosen: np.ndarray, reference: np.ndarray) -> Callable[[FloatArray], float]:
    gain = remaining * (chosen.astype(np.float64) - reference.astype(np.float64))

    def statistic(weights: FloatArray) -> float:
        total = float((weights * remaining).sum())
        return float((weights * gain).sum()) / total if total > 0 else float("nan")

    return statistic
