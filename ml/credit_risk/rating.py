"""Ratings: a letter by probability, facts that cap it, and two months of evidence before a rating in force moves.

The rating of a row follows from the row alone, so the service and a batch give the same. The rating in force follows
from the months of a customer: it moves when two months in a row say so, so that no letter goes out because of one
late transfer; a cap by a fact takes effect at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.credit_risk.schema import RATINGS
from ml.credit_risk.scorecard import ratings
from ml.evaluation import EvaluationTable, FloatArray
from ml.splits import add_months, month_start
from ml.wording import Bilingual

MONTHS_TO_MOVE = 2
"""Months in a row that must point to the same side before the rating in force moves."""

HISTORY_COLUMNS = ("rating_in_force", "in_force_since_month", "moved_by")
"""What `rating_history` adds."""

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Veto:
    """A fact that no probability outweighs.

    Attributes:
        code: Name in predictions and logs.
        cap: Best rating that is left.
        applies: Which rows it applies to; a missing value never does.
        text: The fact in words.
    """

    code: str
    cap: str
    applies: Callable[[Columns], npt.NDArray[np.bool_]]
    text: Bilingual


VETOES = (
    Veto(
        "open_default",
        "D",
        lambda rows: (rows["unpaid_balance_ratio"] > 0) & (rows["months_since_overdue_30d_months"] <= 0),
        Bilingual(
            en="A bill passed 30 days unpaid this month and money is still owed",
            zh="本月有账单逾期满三十日且尚有欠费",
        ),
    ),
    Veto(
        "three_months_owed",
        "C",
        lambda rows: rows["unpaid_balance_ratio"] >= 3,
        Bilingual(en="Three mean bills or more are overdue", zh="欠费达到三个月平均电费"),
    ),
    Veto(
        "confirmed_breach",
        "C",
        lambda rows: rows["confirmed_breaches_24m_count"] >= 1,
        Bilingual(en="Theft or tampering was found in the last 24 months", zh="近二十四月查实窃电或违约用电"),
    ),
    Veto(
        "unsettled_bill",
        "BBB",
        lambda rows: rows["unpaid_balance_ratio"] > 0,
        Bilingual(en="A bill is overdue", zh="有逾期未结清电费"),
    ),
    Veto(
        "new_customer",
        "BBB",
        lambda rows: rows["bills_12m_count"] < 3,
        Bilingual(en="Fewer than three bills are known", zh="已知账单不足三张"),
    ),
)
"""Strictest first, after the one-vote vetoes of Chinese practice. The cap of the first that applies holds."""

_VETO_BY_CODE = {veto.code: veto for veto in VETOES}
_POSITION = {rating: position for position, rating in enumerate(RATINGS)}


def rating_of(row: Mapping[str, Any]) -> str:
    """Return the rating by which a customer is treated: the one in force, or that of the row where no month is known.

    Args:
        row: ``credit_rating``, and ``rating_in_force`` where the months of the customer are known.
    """
    found = row.get("rating_in_force")
    return found if isinstance(found, str) else str(row["credit_rating"])


def veto_text(code: str) -> Bilingual:
    """Return a veto in words."""
    return _VETO_BY_CODE[code].text


def capped_ratings(probabilities: FloatArray, columns: Columns) -> tuple[list[str], list[str | None]]:
    """Return the rating of each row, and the veto that lowered it (``None`` where none did).

    Args:
        probabilities: Calibrated probability of default.
        columns: Feature columns of the same rows; NaN is missing.
    """
    found = ratings(probabilities)
    vetoes: list[str | None] = [None] * len(found)
    for veto in VETOES:
        for row in veto.applies(columns).nonzero()[0].tolist():
            if vetoes[row] is None and _POSITION[found[row]] < _POSITION[veto.cap]:
                found[row], vetoes[row] = veto.cap, veto.code
    return found, vetoes


def rating_history(monthly: pd.DataFrame) -> pd.DataFrame:
    """Return the rating in force of every customer and month.

    The first known month sets it. After that it moves to the milder of the last two months' ratings when both are
    worse, and to the worse of them when both are better; a cap by a fact holds from its month on, and lifting it again
    takes two months. A month without a row, such as one before the customer's first bill, interrupts the count.

    Args:
        monthly: One row per customer and month with ``customer_key``, ``as_of_month``, ``credit_rating`` and
            ``rating_veto_code``.

    Returns:
        The rows by customer and month with `HISTORY_COLUMNS`: the rating, the month since when it holds, and what
        moved it in this month (``first``, ``two_months``, ``veto`` or ``None``).
    """
    rows = monthly.assign(**{AS_OF_MONTH: [month_start(month) for month in monthly[AS_OF_MONTH]]})
    rows = rows.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable", ignore_index=True)
    keys, months = rows[CUSTOMER_KEY].tolist(), rows[AS_OF_MONTH].tolist()
    now = [_POSITION[rating] for rating in rows["credit_rating"]]
    vetoes = [_VETO_BY_CODE.get(code) for code in rows["rating_veto_code"]]
    in_force: list[int] = []
    since: list[date] = []
    moved: list[str | None] = []
    for row, key in enumerate(keys):
        if row == 0 or keys[row - 1] != key:
            in_force.append(now[row])
            since.append(months[row])
            moved.append("first")
            continue
        before = in_force[-1]
        follows = months[row] == add_months(months[row - 1], MONTHS_TO_MOVE - 1)
        place, why = _next_place(before, now[row - 1] if follows else before, now[row])
        veto = vetoes[row]
        if veto is not None and place < _POSITION[veto.cap]:
            place, why = _POSITION[veto.cap], "veto"
        in_force.append(place)
        since.append(since[-1] if place == before else months[row])
        moved.append(why if place != before else None)
    rows["rating_in_force"] = [RATINGS[place] for place in in_force]
    rows["in_force_since_month"] = since
    rows["moved_by"] = pd.Series(moved, dtype="object")
    return rows


def migration_tables(
    history: pd.DataFrame, column: str = "rating_in_force", *, latest_months: int = 12
) -> tuple[EvaluationTable, EvaluationTable]:
    """Return how many customers went from each rating to each in one month: over all months, and month by month.

    Args:
        history: As from `rating_history`.
        column: Which rating.
        latest_months: How many months are shown one by one.
    """
    migrations = monthly_migrations(history, column)
    counts = sum(migrations.values(), np.zeros((len(RATINGS), len(RATINGS)), dtype=np.int64))
    rows = tuple((rating, *_counted(counts[place])) for place, rating in enumerate(RATINGS))
    by_month = tuple(
        (f"{month:%Y-%m}", rating, *_counted(table[place]))
        for month, table in list(migrations.items())[-latest_months:]
        for place, rating in enumerate(RATINGS)
        if table[place].any()
    )
    return (
        EvaluationTable(
            name="rating_migration",
            title="From one month to the next: ratings in force",
            title_zh="信用等级逐月迁移",
            columns=("from", "snapshots", *RATINGS),
            rows=rows,
            note="Rows are the rating in one month, columns the one a month later; all months together.",
        ),
        EvaluationTable(
            name="rating_migration_by_month",
            title="Ratings in force, month by month",
            title_zh="信用等级迁移（分月）",
            columns=("month", "from", "snapshots", *RATINGS),
            rows=by_month,
            note=f"The latest {latest_months} months. Rows are the rating a month before, columns that of the month.",
        ),
    )


def _counted(counts: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return int(counts.sum()), *(int(count) for count in counts)


def monthly_migrations(history: pd.DataFrame, column: str = "rating_in_force") -> dict[Any, npt.NDArray[np.int64]]:
    """Return per month the counts from each rating a month before (rows) to each rating now (columns).

    Args:
        history: As from `rating_history`.
        column: Which rating.
    """
    before = history[[CUSTOMER_KEY, AS_OF_MONTH, column]].assign(
        **{AS_OF_MONTH: [add_months(month, 1) for month in history[AS_OF_MONTH]]}
    )
    pairs = before.merge(
        history[[CUSTOMER_KEY, AS_OF_MONTH, column]], on=[CUSTOMER_KEY, AS_OF_MONTH], suffixes=("_from", "_to")
    )
    tables = {}
    for month, group in pairs.groupby(AS_OF_MONTH):
        table = np.zeros((len(RATINGS), len(RATINGS)), dtype=np.int64)
        origins = [_POSITION[rating] for rating in group[f"{column}_from"]]
        np.add.at(table, (origins, [_POSITION[rating] for rating in group[f"{column}_to"]]), 1)
        tables[month] = table
    return tables


def _next_place(before: int, last: int, now: int) -> tuple[int, str]:
    if last > before and now > before:
        return min(last, now), "two_months"
    if last < before and now < before:
        return max(last, now), "two_months"
    return before, ""
