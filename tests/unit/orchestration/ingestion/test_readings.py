from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.ingestion.readings import _without

DAY = date(2024, 1, 1)
periods = st.tuples(st.integers(0, 60), st.integers(0, 30)).map(
    lambda pair: (DAY + timedelta(days=pair[0]), DAY + timedelta(days=pair[0] + pair[1]))
)


def days_of(period: tuple[date, date]) -> set[date]:
    return {period[0] + timedelta(days=offset) for offset in range((period[1] - period[0]).days + 1)}


@given(period=periods, taken=st.lists(periods, max_size=5))
def test_what_is_left_of_a_period_is_exactly_the_days_that_nobody_took(
    period: tuple[date, date], taken: list[tuple[date, date]]
) -> None:
    pieces = [days_of(piece) for piece in _without(*period, taken)]

    expected = days_of(period) - set().union(*(days_of(other) for other in taken)) if taken else days_of(period)
    assert set().union(*pieces) == expected if pieces else not expected
    assert sum(len(piece) for piece in pieces) == len(expected)
