"""Windows and their shares of months."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.tariffs.schema import UnitPrice
from ml.tariffs.windows import Window, share_of_days, stretches

YEAR = st.dates(date(2024, 1, 1), date(2025, 12, 31))


@settings(max_examples=60, deadline=None)
@given(first=YEAR, lengths=st.lists(st.integers(1, 70), min_size=1, max_size=5), quantity=st.integers(0, 10**9))
def test_shares_of_consecutive_periods_add_up_to_whole_months(first: date, lengths: list[int], quantity: int) -> None:
    start = first.replace(day=1)
    edges = [start]
    for length in lengths:
        edges.append(edges[-1] + timedelta(days=length))
    edges.append((edges[-1] + timedelta(days=31)).replace(day=1))
    periods = [Window(a, b) for a, b in pairwise(edges) if a < b]
    months = (edges[-1].year - start.year) * 12 + edges[-1].month - start.month

    shares = [share_of_days(quantity, period, period, "by_days") for period in periods]

    assert sum(shares) == months * quantity
    assert min(shares) >= 0


@pytest.mark.parametrize(("first", "end", "share"), [(14, 28, 5000), (1, 14, 4643)])
def test_a_share_is_rounded_half_up_from_the_start_of_the_month(first: int, end: int, share: int) -> None:
    days = Window(date(2025, 2, first), date(2025, 2, end))

    assert share_of_days(10_000, days, days, "by_days") == share
    assert share_of_days(10_000, days, days, "none") == 10_000


def test_stretches_join_days_of_one_table_and_part_at_changes() -> None:
    winter = UnitPrice(months=(12, 1, 2), price=1)
    rest = UnitPrice(months=(3, 4, 5, 6, 7, 8, 9, 10, 11), valid_to=date(2025, 4, 9), price=2)
    later = UnitPrice(months=(3, 4, 5, 6, 7, 8, 9, 10, 11), valid_from=date(2025, 4, 10), price=3)

    found = stretches(Window(date(2025, 1, 20), date(2025, 4, 20)), [winter, rest, later])

    assert [(run.days.first, run.days.end, run.table.price) for run in found] == [
        (date(2025, 1, 20), date(2025, 3, 1), 1),
        (date(2025, 3, 1), date(2025, 4, 10), 2),
        (date(2025, 4, 10), date(2025, 4, 20), 3),
    ]
