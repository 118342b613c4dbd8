"""A bill explains itself: its lines can be worked again by hand, and both routes print the same."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import SchemaMismatchError
from ml.tariffs.bill import Bill, bill_from_cube, bill_from_intervals
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import MinimumComponent, Tariff
from tests.unit.ml.tariffs.strategies import DAYS, as_frame, loads, tariffs

ZONE = "Asia/Shanghai"
CUSTOMERS = CustomerTable.from_frame(
    pd.DataFrame({"customer_key": ["c"], "contract_capacity_kva": [200.0], "contracted_kw": [90.0]})
)
JANUARY = date(2025, 1, 1)


def january_load() -> pl.DataFrame:
    """1 kWh in every hour of January 2025 in Shanghai, and 5 kWh more at 18:00 on the 10th."""
    start = datetime(2024, 12, 31, 16, tzinfo=UTC)
    hours = [(start + timedelta(hours=i), Decimal(1)) for i in range(31 * 24)]
    hours[9 * 24 + 18] = (hours[9 * 24 + 18][0], Decimal(6))
    return as_frame(hours)


def bill_of_january(tariff_id: str, customers: CustomerTable = CUSTOMERS) -> Bill:
    return bill_from_intervals(
        load_catalogue().get(tariff_id), january_load(), "c", JANUARY, interval_minutes=60, time_zone=ZONE, days=DAYS,
        customers=customers,
    )  # fmt: skip


def test_lines_of_a_household() -> None:
    bill = bill_of_january("sd_res_tier_tou")

    assert [
        (line.component, line.period, line.tier, line.quantity, line.price, line.amount) for line in bill.lines
    ] == [
        ("Energy by block", "all", 1, Decimal(749), Decimal("0.5469"), Decimal("409.63")),
        ("Time-of-use difference", "peak", None, Decimal(377), Decimal("0.03"), Decimal("11.31")),
        ("Time-of-use difference", "valley", None, Decimal(372), Decimal("-0.20"), Decimal("-74.40")),
    ]
    assert bill.total == Decimal("346.54")
    assert (bill.kwh, bill.peak_kw, bill.coverage_pct) == (749, 6, 100.0)


def test_options_decide_which_basic_charge_is_billed() -> None:
    by_capacity = bill_of_january("sd_ic_two_10", CUSTOMERS.with_billing_basis("capacity"))
    by_contract = bill_of_january("sd_ic_two_10", CUSTOMERS.with_billing_basis("contracted_demand"))

    assert by_capacity.amount_by_component()["Capacity charge"] == Decimal("4800.00")
    assert by_contract.amount_by_component()["Contracted demand charge"] == Decimal("3456.00")
    assert "Capacity charge" not in by_contract.amount_by_component()


@settings(max_examples=60, deadline=None)
@given(
    tariff=tariffs(), load=loads(ZONE, 30), basis=st.sampled_from(["capacity", "contracted_demand", "actual_demand"])
)
def test_every_line_can_be_worked_again_and_the_lines_add_up(tariff: Tariff, load: list, basis: str) -> None:
    customers = CUSTOMERS.with_billing_basis(basis)
    cube = LoadCube.from_intervals(as_frame(load), interval_minutes=30, time_zone=ZONE, days=DAYS)
    month = cube.months[0]
    cent = Decimal(1).scaleb(-tariff.rounding.decimals)
    minimums = {part.name for part in tariff.components if isinstance(part, MinimumComponent)}
    opening = None if month.month == 1 else Decimal(50)

    bill = bill_from_intervals(
        tariff, as_frame(load), "c", month, interval_minutes=30, time_zone=ZONE, days=DAYS, customers=customers,
        opening_kwh=opening,
    )  # fmt: skip

    for line in bill.lines:
        if line.component not in minimums:
            exact = line.quantity * line.factor * line.price
            assert line.amount == (exact.quantize(cent, ROUND_HALF_UP) if tariff.rounding.scope == "line" else exact)
    total = sum((line.amount for line in bill.lines), Decimal(0))
    assert bill.total == total.quantize(cent, ROUND_HALF_UP)


def test_cube_and_interval_bills_are_equal_in_every_line() -> None:
    tariff = load_catalogue().get("sd_ic_two_10")
    cube = LoadCube.from_intervals(january_load(), interval_minutes=60, time_zone=ZONE, days=DAYS)

    assert bill_from_cube(tariff, cube, "c", JANUARY, CUSTOMERS) == bill_of_january("sd_ic_two_10")


@pytest.mark.parametrize(("customer", "month"), [("nobody", JANUARY), ("c", date(2025, 2, 1))])
def test_a_bill_that_was_not_priced_is_refused(customer: str, month: date) -> None:
    cube = LoadCube.from_intervals(january_load(), interval_minutes=60, time_zone=ZONE, days=DAYS)

    with pytest.raises(SchemaMismatchError, match="customer"):
        bill_from_cube(load_catalogue().get("sd_res_tier"), cube, customer, month)


def test_a_month_without_readings_has_no_bill() -> None:
    frame = as_frame([(datetime(2025, 1, 15, tzinfo=UTC), Decimal(1)), (datetime(2025, 3, 15, tzinfo=UTC), Decimal(1))])
    cube = LoadCube.from_intervals(frame, interval_minutes=60, time_zone=ZONE, days=DAYS)

    with pytest.raises(SchemaMismatchError, match="no reading in 2025-02: nothing to bill"):
        bill_from_cube(load_catalogue().get("sd_res_tier"), cube, "c", date(2025, 2, 1))
