"""Arrears by month of scoring: the earliest sign that customers pay worse, months before an outcome has matured.

A vintage is compared with earlier ones at the same age, so that young vintages do not look better for being young.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ml.columns import AS_OF_MONTH
from ml.errors import SchemaMismatchError
from ml.splits import add_months
from monitoring.outcomes import VintagePoint, VintageResult
from monitoring.policy import VintageRule

_COUNTS = tuple(f"past_due_{days}d_customers" for days in (30, 60, 90))
_AMOUNTS = ("due_amount", *(f"past_due_{days}d_amount" for days in (30, 60, 90)))
_BY_CHANCE = 0.001
"""How often a quiet vintage may lie above the upper end: a false alarm in some eighty years of months is few enough."""


def vintage_points(vintages: pd.DataFrame, known_by: date) -> tuple[VintagePoint, ...]:
    """Add the classes of customers together.

    Args:
        vintages: Rows of ``marts.credit_vintages``.
        known_by: First day of the month at whose end a point had to be known; later ones are left out.

    Returns:
        One point per month and age, in this order.

    Raises:
        SchemaMismatchError: If a column is missing.
    """
    sources = {"customers": "customers_count", **{name: f"{name}_count" for name in _COUNTS}}
    needed = (AS_OF_MONTH, "months_since", *sources.values(), *_AMOUNTS)
    if absent := [name for name in needed if name not in vintages.columns]:
        raise SchemaMismatchError(f"vintages lack {', '.join(absent)}; pass marts.credit_vintages")
    rows = vintages.assign(**{AS_OF_MONTH: pd.to_datetime(vintages[AS_OF_MONTH]).dt.date})
    rows[list(_AMOUNTS)] = rows[list(_AMOUNTS)].astype(float)
    sums = rows.groupby([AS_OF_MONTH, "months_since"], sort=True)[[*sources.values(), *_AMOUNTS]].sum().reset_index()
    return tuple(
        VintagePoint(
            month=row[AS_OF_MONTH],
            months_since=int(row["months_since"]),
            **{name: int(row[source]) for name, source in sources.items()},
            **{name: float(row[name]) for name in _AMOUNTS},
        )
        for row in sums.to_dict("records")
        if add_months(row[AS_OF_MONTH], int(row["months_since"])) <= known_by
    )


def judge_vintage(points: Sequence[VintagePoint], month: date, rule: VintageRule) -> VintageResult | None:
    """Compare the vintage that reached the age of the policy in a month with earlier ones.

    Args:
        points: Points of all vintages.
        month: Month under review.
        rule: Age, smallest numbers and limits.

    Returns:
        The comparison; None if the vintage is too small or too few earlier ones are known.
    """
    of_age = {point.month: point for point in points if point.months_since == rule.months_since}
    newest = of_age.get(add_months(month, -rule.months_since))
    if newest is None or newest.customers < rule.minimum_customers:
        return None
    earlier = [of_age[one] for one in sorted(of_age) if one < newest.month][-rule.latest_vintages :]
    if len(earlier) < rule.minimum_vintages:
        return None
    shares = np.array([point.customers_pct() for point in earlier])
    usual = float(shares.mean())
    # Small vintages differ by chance alone, large ones because no two months are alike: the larger of both counts.
    by_chance = usual * (100 - usual) / newest.customers
    spread = np.sqrt(max(float(shares.var(ddof=1)), by_chance) * (1 + 1 / len(earlier)))
    return VintageResult(
        point=newest,
        usual_pct=usual,
        upper_pct=usual + float(student.ppf(1 - _BY_CHANCE, len(earlier) - 1)) * float(spread),
        vintages=len(earlier),
    )
