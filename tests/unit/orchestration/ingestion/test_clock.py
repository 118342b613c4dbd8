from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingestion.clock import local_clock

ZONES = ("Asia/Shanghai", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")


def first_utc(zone: str, local: datetime) -> datetime:
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def exists(zone: str, local: datetime) -> bool:
    there = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return there.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local


def occurs_twice(zone: str, local: datetime) -> bool:
    moments = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    return moments[0] != moments[1] and exists(zone, local)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=150, deadline=None)
@given(zone=st.sampled_from(ZONES), minutes=st.integers(0, 3 * 366 * 24 * 4))
def test_every_local_time_converts_as_the_zone_says(
    connection: duckdb.DuckDBPyConnection, zone: str, minutes: int
) -> None:
    local = datetime(2023, 1, 1) + timedelta(minutes=15 * minutes)
    clock = local_clock(zone, datetime(2023, 1, 1), datetime(2026, 1, 5))
    column = f"timestamp '{local}'"

    [(utc, never, twice)] = connection.execute(
        f"select {clock.utc_sql(column)}, {clock.never_sql(column)}, {clock.twice_sql(column)}"
    ).fetchall()

    assert never == (not exists(zone, local))
    assert twice == occurs_twice(zone, local)
    if not never:
        assert utc == first_utc(zone, local)


@pytest.mark.parametrize(
    ("zone", "changes", "repeated"),
    [("Europe/London", 2, 60), ("Australia/Lord_Howe", 2, 30), ("Asia/Shanghai", 0, 0), ("UTC", 0, 0)],
)
def test_clock_changes_of_a_year(zone: str, changes: int, repeated: int) -> None:
    clock = local_clock(zone, datetime(2024, 1, 10), datetime(2024, 12, 10))

    assert len(clock.changes) == changes
    assert clock.repeated == timedelta(minutes=repeated)


def test_absurd_years_do_not_stop_the_clock() -> None:
    clock = local_clock("Europe/London", datetime(1, 1, 1), datetime(9999, 12, 31))

    assert clock.changes[0].at.year == 1980
    assert clock.changes[-1].at.year == 2099
