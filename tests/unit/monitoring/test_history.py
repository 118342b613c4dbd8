"""Customers are compared with customers of as long a history."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.history import LikeHistory, like_history
from monitoring.policy import HistoryRule

MONTH = date(2026, 8, 1)
RULE = HistoryRule(
    column="tenure_months", bands_months=(3, 6, 9, 12), watch=8, act=30, reason="rule of these tests only"
)


def rows(tenures: list[float], month: date = MONTH) -> pd.DataFrame:
    return pd.DataFrame({"as_of_month": pd.Timestamp(month), "tenure_months": np.array(tenures, dtype=float)})


def chosen(reference: pd.DataFrame, current: pd.DataFrame, **changed) -> LikeHistory:
    asked = {"rule": RULE, "data_since": None, "minimum_rows": 5, **changed}
    return like_history(reference, current, MONTH, **asked)


def test_old_customers_on_both_sides_are_all_compared() -> None:
    like = chosen(rows([12, 40, 300]), rows([13, 90]), minimum_rows=1)
    assert like.reference_rows.all()
    assert like.current_rows.all()
    assert not like.is_thinned
    assert (like.shift.short_reference_pct, like.shift.short_current_pct, like.shift.rise_pct) == (0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(10, 200), min_size=5, max_size=5), st.lists(st.integers(0, 200), min_size=5, max_size=5))
def test_the_reference_is_thinned_to_the_histories_of_the_month(then: list[int], now: list[int]) -> None:
    starts = [1, 4, 7, 10, 30]
    reference = rows([start for start, count in zip(starts, then, strict=True) for _ in range(count)])
    current = rows([start for start, count in zip(starts, now, strict=True) for _ in range(count)])
    like = chosen(reference, current)
    kept = reference.loc[like.reference_rows, "tenure_months"].value_counts()
    assert like.current_rows.all()
    assert like.shift.rows_set_aside == 0
    for start, count in zip(starts, now, strict=True):
        expected = len(kept) and kept.sum() * count / max(sum(now), 1)
        assert kept.get(start, 0) == pytest.approx(expected, abs=3)


def test_new_customers_whose_like_the_reference_lacks_are_set_aside_and_counted() -> None:
    like = chosen(rows([30.0] * 97 + [1.0] * 3), rows([30.0] * 80 + [1.0] * 20))
    assert like.current_rows.sum() == 80
    assert like.shift.rows_set_aside == 20
    assert like.shift.rise_pct == pytest.approx(17)
    assert like.is_thinned


def test_nobody_knows_more_of_old_customers_than_the_data_holds() -> None:
    """A new supplier: customers of many years, and data that begins in January."""
    march = rows([200.0] * 50, date(2026, 3, 1))
    july = rows([200.0] * 50, date(2026, 7, 1))
    like = chosen(pd.concat([march, july]), rows([200.0] * 40), data_since=date(2026, 1, 1))
    assert like.reference_rows.tolist() == [False] * 50 + [True] * 50
    assert like.shift.short_current_pct == 100


def test_a_first_year_that_is_longer_than_the_reference_knew_has_no_match() -> None:
    march = rows([200.0] * 50, date(2026, 3, 1))
    like = chosen(march, rows([200.0] * 40), data_since=date(2026, 1, 1))
    assert not like.reference_rows.any()
    assert (like.shift.rows_reference, like.shift.rows_set_aside) == (0, 40)


def test_a_column_that_fell_silent_makes_nobody_old() -> None:
    short = rows([2.0] * 60 + [50.0] * 40)
    silent = rows([float("nan")] * 30)
    assert not chosen(short, silent).is_thinned


def test_rows_without_month_count_in_the_month_under_review() -> None:
    inline = rows([50.0] * 9).assign(as_of_month=pd.NaT)
    like = chosen(rows([50.0] * 9), inline, data_since=date(2026, 1, 1))
    assert like.current_rows.all()
