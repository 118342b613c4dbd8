"""Bills from readings: whose, on which basis, and what is left out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import polars as pl
import pytest

from ml.tariff_matching.interval_bills import interval_bills
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff, load_tariff

HOURS = 31 * 24
LADDER = {
    "kind": "energy",
    "name": "Energy",
    "tiers": {"basis": "day", "limits_kwh": [12], "allocation": "chronological"},
    "tables": [{"prices": {"all": [0.5, 1]}}],
}
ENERGY = 31 * 18.0


def tariff(*components: dict[str, Any], **fields: Any) -> Tariff:
    return load_tariff(
        {
            "tariff_id": "ladder",
            "version": "1",
            "name": "Ladder",
            "valid_from": "2025-01-01",
            "currency": "CNY",
            "verified": True,
            "components": [LADDER, *components],
            **fields,
        }
    )


def readings(**minutes_by_customer: int) -> pl.DataFrame:
    """Return one kWh in every hour of March 2026 in Shanghai."""
    start = datetime(2026, 2, 28, 16, tzinfo=UTC)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "customer_key": key,
                    "read_at": [start + timedelta(minutes=at) for at in range(0, HOURS * 60, minutes)],
                    "interval_minutes": minutes,
                    "kwh": minutes / 60,
                }
            )
            for key, minutes in minutes_by_customer.items()
        ]
    )


@pytest.fixture
def features(town: LoadCube, fact_maker: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    rows = fact_maker(town).iloc[[60, 61]].reset_index(drop=True)
    return rows.assign(customer_key=["first", "second"], contract_capacity_kva=100.0)


def bills(one: Tariff, features: pd.DataFrame, of: pl.DataFrame) -> dict[str, float]:
    found = interval_bills([one], features, of, time_zone="Asia/Shanghai", days=DayCalendar())
    return {} if found is None else dict(zip(found["customer_key"], found["amount"], strict=True))


def test_every_customer_is_billed_on_the_basis_of_today_or_the_first(features: pd.DataFrame) -> None:
    one = tariff(
        {"kind": "capacity", "name": "By kVA", "billing_basis": "capacity", "tables": [{"price": 1}]},
        {"kind": "contracted_demand", "name": "By kW", "billing_basis": "contracted_demand", "tables": [{"price": 2}]},
    )
    chosen = features.assign(billing_basis=["contracted_demand", None], contracted_kw=[40.0, None])
    assert bills(one, chosen, readings(first=60, second=60)) == {"first": ENERGY + 80, "second": ENERGY + 100}


def test_whoever_may_not_take_the_tariff_has_no_bill_unless_it_is_todays(features: pd.DataFrame) -> None:
    for_homes = tariff(eligibility={"customer_classes": ["residential"]})
    of_today = features.assign(tariff_id=["ladder", "sd_ic_two_10"])
    assert bills(for_homes, of_today, readings(first=60, second=60)) == {"first": ENERGY}


def test_readings_too_long_for_the_tariff_leave_out_their_customers_only(features: pd.DataFrame) -> None:
    demand = tariff({"kind": "demand", "name": "Demand", "interval_minutes": 15, "tables": [{"prices": [10]}]})
    assert bills(demand, features, readings(first=15, second=60)) == {"first": ENERGY + 10}


def test_nothing_needs_readings() -> None:
    flat = load_tariff(
        tariff().model_dump() | {"components": [{**LADDER, "tiers": None, "tables": [{"prices": {"all": 1}}]}]}
    )
    assert interval_bills([flat], pd.DataFrame(), pl.DataFrame(), time_zone="UTC", days=DayCalendar()) is None
