"""Tariff advice judged by the bills that followed: the promised saving against the one that the metered load gave.

An advice speaks of twelve months. Before they are over, the promise for the months so far is what the same calendar
months saved a year before, plus the months' share of what the advice expects to change against that year. The stated
interval shrinks with the square root of the months: errors of single months partly cancel, so that a share in
proportion would be too narrow (on the simulated supplier it held 59 % of savings after three months, the root 84 %).
"""

from datetime import date

import numpy as np
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from monitoring.drift import Z_999
from monitoring.outcomes import TariffCohort
from monitoring.policy import TariffOutcomeRule

_WHOLE_MONTHS = 12
ADVISED_BILL_COLUMNS = (
    CUSTOMER_KEY,
    AS_OF_MONTH,
    "release",
    "months_since",
    "is_followed",
    "current_annual_amount",
    "recommended_annual_amount",
    "expected_saving_amount",
    "saving_lower_amount",
    "saving_upper_amount",
    "stayed_amount",
    "advised_amount",
    "stayed_before_amount",
    "advised_before_amount",
)
"""What is told of each customer who was advised to change: the advice, and the bills since and a year before."""


def tariff_cohorts(advised_bills: pd.DataFrame, rule: TariffOutcomeRule) -> tuple[TariffCohort, ...]:
    """Judge the advice of each month.

    Args:
        advised_bills: One row per customer who was advised to change and month of advice, ``ADVISED_BILL_COLUMNS``.
        rule: Coverage that the intervals state.

    Returns:
        One cohort per month of advice and release, in this order.

    Raises:
        SchemaMismatchError: If a column is missing.
    """
    if absent := [name for name in ADVISED_BILL_COLUMNS if name not in advised_bills.columns]:
        raise SchemaMismatchError(f"bills since the advice lack {', '.join(absent)}")
    rows = advised_bills.assign(**{AS_OF_MONTH: pd.to_datetime(advised_bills[AS_OF_MONTH]).dt.date})
    keys = [AS_OF_MONTH, "release", "months_since"]
    return tuple(
        _cohort(month, release, months_since, rows[(rows[keys] == (month, release, months_since)).all(axis=1)], rule)
        for month, release, months_since in rows[keys].drop_duplicates().sort_values(keys).itertuples(index=False)
    )


def _cohort(month: date, release: str, months_since: int, rows: pd.DataFrame, rule: TariffOutcomeRule) -> TariffCohort:
    promised, lower, upper = promised_savings(rows, months_since)
    realised = rows["stayed_amount"] - rows["advised_amount"]
    is_judged = (realised.notna() & promised.notna()).to_numpy()
    came, stayed, expected = realised[is_judged], rows["stayed_amount"][is_judged], promised[is_judged]
    return TariffCohort(
        month=month,
        release=release,
        months_since=months_since,
        customers_advised=len(rows),
        customers_judged=int(is_judged.sum()),
        customers_followed=int(rows["is_followed"][is_judged].sum()),
        customers_saving=int((came > 0).sum()),
        customers_inside=int(((came >= lower[is_judged]) & (came <= upper[is_judged])).sum()),
        expected_saving_amount=float(expected.sum()),
        realised_saving_amount=float(came.sum()),
        stayed_amount=float(stayed.sum()),
        coverage_pct=rule.coverage_pct,
        saving_chance_pct=_saving_chance_pct(came, expected),
    )


def _saving_chance_pct(came: "pd.Series[float]", expected: "pd.Series[float]") -> float | None:
    """Return by how much of the expected sum the realised one falls short by chance, once in a thousand.

    The standard error of a ratio of two sums (Cochran, 1977, Sampling Techniques, 3rd edition, section 2.11): a few
    large customers hold much of the saving, and one of them who uses his power otherwise is no fault of the advice.
    """
    promised = float(expected.sum())
    if promised <= 0:
        return None
    errors = came - expected * (float(came.sum()) / promised)
    return 100 * Z_999 * float(np.sqrt((errors**2).sum())) / promised


def promised_savings(rows: pd.DataFrame, months_since: int) -> "tuple[pd.Series[float], ...]":
    """Return what the advice promised for its first months, with its interval.

    Args:
        rows: Advice and bills of customers.
        months_since: Months since the advice.

    Returns:
        Promise, lower and upper end per row.
    """
    share = months_since / _WHOLE_MONTHS
    expected = rows["expected_saving_amount"]
    promised = expected * share
    if months_since < _WHOLE_MONTHS:
        same_months = rows["stayed_before_amount"] - rows["advised_before_amount"]
        past_year = rows["current_annual_amount"] - rows["recommended_annual_amount"]
        seasonal = same_months + (expected - past_year) * share
        promised = seasonal.where(seasonal.notna(), promised)
    width = np.sqrt(share)
    return (
        promised,
        promised - width * (expected - rows["saving_lower_amount"]),
        promised + width * (rows["saving_upper_amount"] - expected),
    )
