"""Loads that cannot be priced are refused in words that say what to change; odd but honest loads get their bill."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from ml.errors import KilowiseError
from ml.tariffs.bill import bill_from_cube, bill_from_intervals, bill_of
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, price_billing_periods, price_intervals, price_tariffs
from ml.tariffs.schema import Tariff, load_tariff

DAYS = DayCalendar()


def flat_tariff(**fields: Any) -> Tariff:
    record = {
        "tariff_id": "t",
        "version": "1",
        "name": "T",
        "valid_from": "2024-01-01",
        "currency": "GBP",
        "verified": True,
        "components": [
            {"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": "0.25"}}]},
            {"kind": "demand", "name": "Demand", "tables": [{"price": "10"}]},
        ],
    }
    return load_tariff(record | fields)


def readings(*, minutes: int = 30, count: int = 4, **columns: Any) -> pd.DataFrame:
    starts = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes * index) for index in range(count)]
    return pd.DataFrame({"customer_key": "c", "read_at": starts, "kwh": [1.0] * count} | columns)


def price(frame: pd.DataFrame, tariff: Tariff | None = None, **arguments: Any) -> BillArray:
    usual: dict[str, Any] = {"interval_minutes": 30, "time_zone": "Europe/London", "days": DAYS}
    return price_intervals(flat_tariff() if tariff is None else tariff, frame, **(usual | arguments))


def whole_month(month: date, following: date, zone: str, minutes: int = 30, kwh: float = 1.0) -> pd.DataFrame:
    start, end = (datetime(day.year, day.month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) for day in (month, following))
    count = int((end - start) / timedelta(minutes=minutes))
    starts = [start + timedelta(minutes=minutes * index) for index in range(count)]
    return pd.DataFrame({"customer_key": "c", "read_at": starts, "kwh": kwh})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"kwh": [1.0, float("nan"), 1.0, 1.0]}, r"kwh of customer c at 2025-01-01 00:30:00.* is missing"),
        ({"kwh": [1.0, None, 1.0, 1.0]}, r"kwh of customer c at 2025-01-01 00:30:00.* is missing"),
        ({"kwh": [1.0, -0.5, 1.0, 1.0]}, r"kwh of customer c at 2025-01-01 00:30:00.* negative"),
        ({"kwh": [1.0, float("inf"), 1.0, 1.0]}, "kwh"),
        ({"kwh": [1e15] * 4}, "kwh"),
        ({"kwh": ["one"] * 4}, "kwh"),
        ({"read_at": [pd.Timestamp("2025-01-01T00:00Z")] * 4}, "customer c has two readings at 2025-01-01"),
        ({"read_at": ["2025-01-01"] * 4}, "read_at holds String, expected instants"),
        ({"customer_key": [None, "c", "c", "c"]}, "customer_key None is missing"),
    ],
)
def test_unusable_readings_are_refused_with_column_and_row(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(KilowiseError, match=message):
        price(readings(**columns))


@pytest.mark.parametrize("name", ["w", "kw", "wh", "mwh"])
def test_energy_in_another_unit_is_not_taken_for_kwh(name: str) -> None:
    with pytest.raises(KilowiseError, match="missing columns kwh"):
        price(readings().rename(columns={"kwh": name}))


def test_readings_closer_than_the_interval_they_claim_are_refused() -> None:
    """Quarter-hours priced as half-hours would halve the demand without a word."""
    with pytest.raises(KilowiseError, match="interval"):
        price(readings(minutes=15))


def test_readings_off_the_clock_of_their_interval_are_refused() -> None:
    off = [datetime(2025, 1, 1, 0, 7, tzinfo=UTC) + timedelta(minutes=30 * index) for index in range(4)]

    with pytest.raises(KilowiseError, match="interval"):
        price(readings(read_at=off))


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(KilowiseError, match="Mars/Olympus"):
        price(readings(), time_zone="Mars/Olympus")


def test_no_readings_are_nothing_to_price() -> None:
    with pytest.raises(KilowiseError, match="no rows, so there is nothing to price"):
        price(readings(count=0))


@pytest.mark.parametrize(
    ("month", "following", "hours"),
    [
        (date(2025, 3, 1), date(2025, 4, 1), 31 * 24 - 1),
        (date(2025, 10, 1), date(2025, 11, 1), 31 * 24 + 1),
        (date(2024, 2, 1), date(2024, 3, 1), 29 * 24),
    ],
)
def test_short_and_long_days_and_leap_years_are_billed_for_every_hour_they_have(
    month: date, following: date, hours: int
) -> None:
    bills = price(whole_month(month, following, "Europe/London"))

    assert bills.lines[0].quantity[0, 0] == 2 * hours * 10_000
    assert bills.total_units[0, 0] == 2 * hours * 25 + 2 * 1000


def test_the_repeated_hour_of_autumn_is_priced_twice_in_its_period() -> None:
    night_and_day = {"schedules": [{"periods": {"night": ["00:00-07:00"]}, "otherwise": "day"}]}
    by_time = [{"kind": "energy", "name": "Energy", "tables": [{"prices": {"night": "1", "day": "0"}}]}]
    frame = whole_month(date(2025, 10, 1), date(2025, 11, 1), "Europe/London", kwh=0.5)

    bills = price(frame, flat_tariff(calendar=night_and_day, components=by_time))

    assert bills.total_units[0, 0] == (31 * 7 + 1) * 100


@pytest.mark.parametrize("kwh", [0.0, 1.0])
def test_loads_that_never_change_get_their_bill(kwh: float) -> None:
    bills = price(whole_month(date(2025, 1, 1), date(2025, 2, 1), "Europe/London", kwh=kwh))

    assert bills.is_priced.all()
    assert Decimal(int(bills.total_units[0, 0])).scaleb(-2) == Decimal(str(kwh)) * (31 * 48 * Decimal("0.25") + 20)


def test_a_month_without_any_reading_has_no_bill_instead_of_one_of_zero() -> None:
    frame = pd.concat([readings(), readings(read_at=[datetime(2025, 3, 1, hour, tzinfo=UTC) for hour in range(4)])])

    bills = price(frame)

    assert bills.is_priced.tolist() == [[True, False, True]]
    assert pd.isna(bills.total_amount[0, 1])


def test_readings_in_watts_are_refused_wherever_facts_tell() -> None:
    frame = whole_month(date(2025, 1, 1), date(2025, 2, 1), "Europe/London", kwh=800.0)
    place: dict[str, Any] = {"interval_minutes": 30, "time_zone": "Europe/London", "days": DAYS}
    home = CustomerTable.from_frame(pd.DataFrame({"customer_key": ["c"], "customer_class": ["residential"]}))
    cube = LoadCube.from_intervals(frame, **place)
    month, end = date(2025, 1, 1), date(2025, 2, 1)

    for priced in (
        lambda: price_intervals(flat_tariff(), frame, customers=home, **place),
        lambda: price_billing_periods(flat_tariff(), frame, [(month, end)], customers=home, **place),
        lambda: price_tariffs([flat_tariff()], cube, home),
        lambda: bill_from_cube(flat_tariff(), cube, "c", month, home),
        lambda: bill_from_intervals(flat_tariff(), frame, "c", month, customers=home, **place),
    ):
        with pytest.raises(KilowiseError, match="the readings look like W or Wh"):
            priced()


def test_an_unknown_policy_for_missing_readings_is_refused() -> None:
    with pytest.raises(KilowiseError, match="missing: `guess` is not one of as_zero, refuse, scale_to_complete"):
        price(readings(), missing="guess")


def test_a_bill_that_is_not_there_says_which_are() -> None:
    bills = price(readings())
    with pytest.raises(KilowiseError, match=r"no bill of customer c that begins on 2025-01-10; .* from 2025-01-01$"):
        bill_of(bills, "c", date(2025, 1, 10))
    with pytest.raises(KilowiseError, match="no bill of customer d is among these"):
        bill_of(bills, "d", date(2025, 1, 1))
    with pytest.raises(KilowiseError, match="readings: none of customer d"):
        bill_from_intervals(
            flat_tariff(),
            readings(),
            "d",
            date(2025, 1, 1),
            interval_minutes=30,
            time_zone="Europe/London",
            days=DAYS,
        )


def test_a_bill_in_another_language_is_refused() -> None:
    bill = bill_of(price(readings()), "c", date(2025, 1, 1))
    with pytest.raises(KilowiseError, match="language: `de` is not one of en, zh"):
        bill.to_text("de")  # type: ignore[arg-type]  # what a caller without a type checker may write
