"""What must hold for every tariff and every load: the engine against the reference, and against itself.

``KILOWISE_PROPERTY_EXAMPLES=300`` searches longer, above 1,000 it shrinks what it finds; by default it takes seconds.
"""

import copy
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ml.tariffs import pricing
from ml.tariffs.bill import Bill, bill_of
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, price_billing_periods, price_cube, price_intervals
from ml.tariffs.schema import EnergyComponent, MinimumComponent, Tariff, load_tariff
from tests.unit.ml.tariffs import reference
from tests.unit.ml.tariffs.random_tariffs import ALL_KINDS, Case, cases, random_loads
from tests.unit.ml.tariffs.reference import Customer, Reading, Window, reference_bills
from tests.unit.ml.tariffs.strategies import DAYS, decimals

EXAMPLES = int(os.environ.get("KILOWISE_PROPERTY_EXAMPLES", "0"))
CENT = Decimal("0.01")
ENERGY_ONLY: frozenset[str] = frozenset()
NO_PERCENTAGES = ALL_KINDS - {"percentage", "power_factor", "export"}


def examples(count: int) -> settings:
    """Number of examples by default, or as many as the environment asks for."""
    return settings(
        max_examples=EXAMPLES or count,
        deadline=None,
        # Shrinking a failure takes minutes; a failing case prints whole tariff and load as it is.
        phases=tuple(Phase) if EXAMPLES > 1000 else (Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


@pytest.fixture(autouse=True, scope="module")
def random_loads_need_not_be_credible() -> Iterator[None]:
    """Random loads fit no random capacity; that such loads are refused is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pricing, "check_scale", lambda _cube, _customers: None)
        yield


def instants(case: Case) -> list[pd.Timestamp]:
    zone = ZoneInfo(case.time_zone)
    return [pd.Timestamp(reading.local_start.replace(tzinfo=zone)).tz_convert("UTC") for reading in case.readings]


def frame_of(case: Case, customer_key: str = "c") -> pl.DataFrame:
    columns = {
        "customer_key": [customer_key] * len(case.readings),
        "read_at": [instant.to_pydatetime() for instant in instants(case)],
        "kwh": [reading.kwh for reading in case.readings],
        "kvarh": [reading.kvarh for reading in case.readings],
        "export_kwh": [reading.export_kwh for reading in case.readings],
    }
    energy = pl.Decimal(14, 4)
    instant = pl.Datetime("us", "UTC")
    schema = {"customer_key": pl.String, "read_at": instant, "kwh": energy, "kvarh": energy, "export_kwh": energy}
    return pl.DataFrame(columns, schema=schema)


def facts_of(case: Case, *customer_keys: str) -> CustomerTable:
    keys = customer_keys or ("c",)
    facts = {
        "customer_key": keys,
        "contract_capacity_kva": float(case.customer.contract_capacity_kva),
        "contracted_kw": float(case.customer.contracted_kw),
        "billing_basis": case.customer.billing_basis
        if case.customer.billing_basis in case.tariff.billing_bases
        else None,
    }
    return CustomerTable.from_frame(pd.DataFrame(facts))


def by_intervals(case: Case, frame: pl.DataFrame | None = None, *customer_keys: str) -> BillArray:
    keys = customer_keys or ("c",)
    return price_intervals(case.tariff, frame_of(case) if frame is None else frame, **arguments_of(case, *keys))


def arguments_of(case: Case, *customer_keys: str) -> dict[str, Any]:
    keys = customer_keys or ("c",)
    values = [
        value if isinstance(value := reading.series_value, str) else float(str(value or 0)) for reading in case.readings
    ]
    return {
        "interval_minutes": case.interval_minutes,
        "time_zone": case.time_zone,
        "days": DAYS,
        "series": {"spot": pl.DataFrame({"read_at": instants(case), "value": values})},
        "customers": facts_of(case, *keys),
        "opening_kwh": None if case.opening_kwh is None else dict.fromkeys(keys, case.opening_kwh),
    }


def cube_of(case: Case) -> LoadCube:
    cube = LoadCube.from_intervals(
        frame_of(case), interval_minutes=case.interval_minutes, time_zone=case.time_zone, days=DAYS
    )
    if case.opening_kwh is None:
        return cube
    return replace(cube, opening_kwh=(pd.Series([case.opening_kwh]) * 10_000).astype("int64").to_numpy())


def by_billing_periods(case: Case, windows: Sequence[Window]) -> BillArray:
    return price_billing_periods(
        case.tariff, frame_of(case), [(window.first, window.end) for window in windows], **arguments_of(case)
    )


def expected_bills(case: Case, windows: Sequence[Window] | None = None) -> list[reference.Bill]:
    return reference_bills(
        case.tariff, case.readings, case.customer, case.interval_minutes, case.opening_kwh or Decimal(0), windows
    )


def printed_bills(case: Case, bills: BillArray | None = None) -> list[Bill]:
    found = by_intervals(case) if bills is None else bills
    return [bill_of(found, "c", month) for month, read in zip(found.months, found.is_priced[0], strict=True) if read]


def assert_equal_to_reference(case: Case, bills: BillArray, windows: Sequence[Window] | None = None) -> None:
    """Totals, amounts per component, and every line that charges for something."""
    expected = expected_bills(case, windows)
    decimals_shown = case.tariff.rounding.decimals

    def amounts(units: Any) -> list[Decimal]:
        return [Decimal(int(units[0, column])).scaleb(-decimals_shown) for column in columns]

    columns = [column for column, read in enumerate(bills.is_priced[0]) if read]
    assert [bills.months[column] for column in columns] == [bill.window.first for bill in expected]
    for name, units in bills.component_units.items():
        rounded = [reference.rounded_money(bill.amounts[name], decimals_shown) for bill in expected]
        assert amounts(units) == rounded, name
    assert amounts(bills.total_units) == [bill.total for bill in expected]
    for bill, own in zip(printed_bills(case, bills), expected, strict=True):
        assert printed_lines(case.tariff, bill) == reference_lines(case.tariff, own)


def printed_lines(tariff: Tariff, bill: Bill) -> Counter[tuple[Any, ...]]:
    """Lines of everything but minimums, whose line shows the minimum and not a product."""
    minimums = minimum_names(tariff)
    return Counter(
        (line.component, line.quantity, line.factor, line.price, line.amount)
        for line in bill.lines
        if line.quantity and line.component not in minimums
    )


def reference_lines(tariff: Tariff, bill: reference.Bill) -> Counter[tuple[Any, ...]]:
    minimums = minimum_names(tariff)
    return Counter(
        (line.component, line.quantity, line.factor, line.price, line.amount)
        for line in bill.lines
        if line.quantity and line.component not in minimums
    )


def consecutive(first: date, lengths: Sequence[int]) -> list[Window]:
    """Billing periods of so many days, one after the other; a whole calendar month is one by that name."""
    windows = []
    for length in lengths:
        end = first + timedelta(days=length)
        is_month = first.day == 1 and end == reference.first_of_next_month(first)
        windows.append(Window(first, end, is_billing_period=not is_month))
        first = end
    return windows


def minimum_names(tariff: Tariff) -> set[str]:
    return {component.name for component in tariff.components if isinstance(component, MinimumComponent)}


def changed(tariff: Tariff, **fields: Any) -> Tariff:
    return load_tariff(tariff.model_dump(mode="json", exclude_unset=True) | fields)


def of_three_periods(component: dict[str, Any], **fields: Any) -> Tariff:
    """A tariff of one component with the periods a (8 to 9 h), b (9 to 10 h) and c."""
    record = {
        "tariff_id": "t",
        "version": "1",
        "name": "T",
        "valid_from": "2024-11-01",
        "currency": "CNY",
        "verified": True,
        "calendar": {"schedules": [{"periods": {"a": ["08:00-09:00"], "b": ["09:00-10:00"]}, "otherwise": "c"}]},
        "components": [component],
        "rounding": {"scope": "total"},
    }
    return load_tariff(record | fields)


def with_readings(case: Case, readings: Sequence[Reading]) -> Case:
    return replace(case, readings=tuple(readings))


class TestReference:
    @examples(45)
    @given(cases())
    def test_intervals_give_the_bill_of_the_reference(self, case: Case) -> None:
        assert_equal_to_reference(case, by_intervals(case))

    @examples(45)
    @given(cases(cube_only=True))
    def test_cube_and_intervals_give_the_bill_of_the_reference(self, case: Case) -> None:
        assert not case.tariff.requires_intervals
        cube = cube_of(case)

        assert_equal_to_reference(case, price_cube(case.tariff, cube, facts_of(case)))
        assert_equal_to_reference(case, by_intervals(case))

    @examples(30)
    @given(cases(inside_months=True))
    def test_prices_that_change_inside_a_month(self, case: Case) -> None:
        assert_equal_to_reference(case, by_intervals(case))

    @examples(30)
    @given(
        balances=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=8),
        expires=st.sampled_from([None, 1, 2]),
    )
    def test_a_surplus_is_carried_until_it_expires(self, balances: list[tuple[int, int]], expires: int | None) -> None:
        """Four months with energy bought and exported in two periods of each."""
        component = {"kind": "energy", "name": "E", "tables": [{"prices": {"a": "1", "b": "1.5", "c": "2"}}]}
        tariff = of_three_periods(component, net_metering={"carry_over": "next_month", "expires_in_month": expires})
        hours = [
            datetime(year, month, 2, hour)
            for year, month in ((2024, 11), (2024, 12), (2025, 1), (2025, 2))
            for hour in (8, 9)
        ]
        readings = tuple(
            Reading(hour, "workday" if hour.weekday() < 5 else "weekend", Decimal(bought), export_kwh=Decimal(exported))
            for hour, (bought, exported) in zip(hours, balances, strict=True)
        )
        case = Case(tariff, readings, Customer(Decimal(1), Decimal(1), "capacity"), None)

        assert_equal_to_reference(case, by_intervals(case))

    @examples(10)
    @given(use=st.lists(st.integers(0, 60), min_size=24, max_size=24), least=st.integers(100, 700))
    def test_a_minimum_per_year_counts_each_year_anew(self, use: list[int], least: int) -> None:
        energy = {"kind": "energy", "name": "E", "tables": [{"prices": {"all": "1"}}]}
        minimum = {"kind": "minimum", "name": "M", "per": "year", "tables": [{"price": least}]}
        tariff = of_three_periods(energy, components=[energy, minimum], valid_from="2024-01-01")
        readings = tuple(
            Reading(datetime(2024 + index // 12, index % 12 + 1, 3), "workday", Decimal(kwh))
            for index, kwh in enumerate(use)
        )
        case = Case(tariff, readings, Customer(Decimal(1), Decimal(1), "capacity"), None)

        assert_equal_to_reference(case, by_intervals(case))
        assert (
            by_intervals(case).total_units[0].sum() == sum(max(least, sum(year)) for year in (use[:12], use[12:])) * 100
        )

    @examples(15)
    @given(cases(net_metering=True))
    def test_net_metering(self, case: Case) -> None:
        assert_equal_to_reference(case, by_intervals(case))

    @examples(30)
    @given(tenths=st.tuples(*[st.integers(0, 9)] * 3), limits=st.sets(st.integers(1, 12), min_size=1, max_size=3))
    def test_ties_of_a_split_in_proportion(self, tenths: tuple[int, ...], limits: set[int]) -> None:
        """A few units of 0.0001 kWh in each period, so that remainders are often equal."""
        prices = {period: list(range(1, len(limits) + 2)) for period in ("a", "b", "c")}
        tiers = {"basis": "month", "allocation": "prorata", "limits_kwh": [Decimal(n) / 10_000 for n in sorted(limits)]}
        tariff = of_three_periods({"kind": "energy", "name": "E", "tiers": tiers, "tables": [{"prices": prices}]})
        readings = tuple(
            Reading(datetime(2025, 1, 2, 8 + index), "workday", Decimal(count) / 10_000)
            for index, count in enumerate(tenths)
        )
        case = Case(tariff, readings, Customer(Decimal(1), Decimal(1), "capacity"), None)

        assert_equal_to_reference(case, by_intervals(case))
        assert_equal_to_reference(case, price_cube(tariff, cube_of(case)))

    @examples(15)
    @given(case=cases(kinds=frozenset({"demand", "fixed"}), memory=False), data=st.data())
    @pytest.mark.parametrize("night", [date(2025, 3, 30), date(2025, 10, 26)])
    def test_nights_in_which_the_clock_changes(self, night: date, case: Case, data: st.DataObject) -> None:
        last = night.replace(day=31)
        load = data.draw(random_loads(night, last, time_zone="Europe/London"))

        london = replace(case, readings=load, time_zone="Europe/London", opening_kwh=Decimal(50), interval_minutes=30)

        assert_equal_to_reference(london, by_intervals(london))


class TestBillingPeriods:
    @examples(30)
    @given(case=cases(inside_months=True), lengths=st.lists(st.integers(3, 70), min_size=1, max_size=4))
    def test_periods_that_are_no_months_give_the_bill_of_the_reference(self, case: Case, lengths: list[int]) -> None:
        windows = consecutive(case.readings[0].local_start.date().replace(day=1), [*lengths, 92])

        assert_equal_to_reference(case, by_billing_periods(case, windows), windows)

    @examples(15)
    @given(cases(inside_months=True))
    def test_periods_that_are_months_give_the_bills_of_the_months(self, case: Case) -> None:
        by_month = by_intervals(case)
        windows = [Window(month, reference.first_of_next_month(month)) for month in by_month.months]

        assert by_billing_periods(case, windows).total_units.tolist() == by_month.total_units.tolist()

    @examples(15)
    @given(case=cases(kinds=ENERGY_ONLY, memory=False), cut=st.integers(1, 30))
    def test_energy_without_ladders_costs_the_same_however_the_days_are_cut(self, case: Case, cut: int) -> None:
        records = case.tariff.model_dump(mode="json", exclude_unset=True)["components"]
        flat = [record for record in records if "tiers" not in record]
        assume(flat)
        exact = replace(case, tariff=changed(case.tariff, components=flat, rounding={"scope": "total", "decimals": 0}))
        first = case.readings[0].local_start.date().replace(day=1)
        whole, parts = consecutive(first, [92]), consecutive(first, [cut, 92 - cut])

        def amount(windows: Sequence[Window]) -> Decimal:
            bills = by_billing_periods(exact, windows)
            return sum((line.amount for bill in printed_bills(exact, bills) for line in bill.lines), Decimal(0))

        assert amount(parts) == amount(whole)


class TestInvariance:
    @examples(15)
    @given(case=cases(), seed=st.integers(0, 2**16))
    def test_the_order_of_readings_changes_nothing(self, case: Case, seed: int) -> None:
        frame = frame_of(case)
        shuffled = frame[random.Random(seed).sample(range(len(frame)), len(frame))]

        assert by_intervals(case, shuffled).total_units.tolist() == by_intervals(case).total_units.tolist()

    @examples(15)
    @given(case=cases(), order=st.permutations(["a", "b", "c"]), data=st.data())
    def test_other_customers_change_nothing(self, case: Case, order: list[str], data: st.DataObject) -> None:
        keys = {"a", "b", "c"}
        more = {key: data.draw(decimals("0", "9", 4)) for key in ("a", "b")}
        frame = pl.concat(
            frame_of(case, key).with_columns(pl.col("kwh") + pl.lit(more.get(key, Decimal(0)), pl.Decimal(14, 4)))
            for key in order
        ).with_columns(pl.col("kwh").cast(pl.Decimal(14, 4)))

        together = by_intervals(case, frame, *sorted(keys))
        alone = by_intervals(case)

        row = together.customer_keys.tolist().index("c")
        assert together.total_units[row].tolist() == alone.total_units[0].tolist()

    @examples(15)
    @given(cases(cube_only=True, memory=False))
    def test_months_priced_alone_add_up_to_months_priced_together(self, case: Case) -> None:
        cube, facts = cube_of(case), facts_of(case)

        alone = [price_cube(case.tariff, cube.select(month, month), facts).sum_units[0] for month in cube.months]

        assert sum(alone) == price_cube(case.tariff, cube, facts).sum_units[0]


class TestMoreAndLess:
    @examples(15)
    @given(case=cases(kinds=NO_PERCENTAGES), rise=decimals("0", "3", 4), which=st.integers(0, 20))
    def test_a_higher_price_never_makes_a_bill_lower(self, case: Case, rise: Decimal, which: int) -> None:
        records = case.tariff.model_dump(mode="json", exclude_unset=True)["components"]
        component = records[which % len(records)]
        for table in component.get("tables", []):
            for name in ("price", "fixed"):
                if table.get(name) is not None:
                    table[name] = str(Decimal(table[name]) + rise)
            if isinstance(table.get("prices"), dict):
                table["prices"] = {
                    period: [str(Decimal(price) + rise) for price in prices]
                    for period, prices in table["prices"].items()
                }
            elif table.get("prices"):
                table["prices"] = [str(Decimal(price) + rise) for price in table["prices"]]
        dearer = replace(case, tariff=changed(case.tariff, components=records))

        before, after = by_intervals(case), by_intervals(dearer)

        assert (after.total_units >= before.total_units).all()

    @examples(15)
    @given(case=cases(kinds=frozenset({"band_energy", "demand"}), memory=False), factor=st.integers(2, 7))
    def test_limits_and_load_grow_together_and_so_do_the_amounts(self, case: Case, factor: int) -> None:
        records = [
            {name: value for name, value in record.items() if name != "discount"}
            for record in case.tariff.model_dump(mode="json", exclude_unset=True)["components"]
            if not _is_no_product(record.get("tiers", {}))
        ]
        assume(records)
        grown = copy.deepcopy(records)
        for record in grown:
            for place in (record.get("tiers", {}), *record["tables"]):
                _multiply_limits(place, factor)
        exact = {"scope": "total", "decimals": 3}
        small = replace(case, tariff=changed(case.tariff, components=records, rounding=exact))
        large = replace(
            with_readings(small, [replace(reading, kwh=reading.kwh * factor) for reading in case.readings]),
            tariff=changed(case.tariff, components=grown, rounding=exact),
            opening_kwh=None if case.opening_kwh is None else case.opening_kwh * factor,
        )

        for one, many in zip(printed_bills(small), printed_bills(large), strict=True):
            assert {name: amount * factor for name, amount in one.amount_by_component().items()} == (
                many.amount_by_component()
            )

    @examples(15)
    @given(case=cases(kinds=ENERGY_ONLY, inside_months=True), share=decimals("-1", "1", 8))
    def test_a_component_in_two_parts_costs_as_much_as_the_whole(self, case: Case, share: Decimal) -> None:
        records = case.tariff.model_dump(mode="json", exclude_unset=True)["components"]
        parts = []
        for record in records:
            for name, part in (("rest", None), ("share", share)):
                tables = [
                    table
                    | {
                        "prices": {
                            period: [str(Decimal(price) - share if part is None else part) for price in prices]
                            for period, prices in table["prices"].items()
                        }
                    }
                    for table in record["tables"]
                ]
                parts.append(record | {"name": f"{record['name']} {name}", "tables": tables})
        exact = {"scope": "total", "decimals": 3}

        whole = by_intervals(replace(case, tariff=changed(case.tariff, rounding=exact)))
        split = by_intervals(replace(case, tariff=changed(case.tariff, components=parts, rounding=exact)))

        assert split.total_units.tolist() == whole.total_units.tolist()


class TestPrintedBill:
    @examples(20)
    @given(cases(inside_months=True))
    def test_a_clerk_can_work_every_line_and_the_total_again(self, case: Case) -> None:
        cent = Decimal(1).scaleb(-case.tariff.rounding.decimals)
        rounds_lines = case.tariff.rounding.scope == "line"

        for bill in printed_bills(case):
            for line in bill.lines:
                if line.component in minimum_names(case.tariff) or line.price is None:
                    continue
                exact = line.quantity * line.factor * line.price
                assert line.amount == (exact.quantize(cent, ROUND_HALF_UP) if rounds_lines else exact)
            total = sum((line.amount for line in bill.lines), Decimal(0))
            assert bill.total == total.quantize(cent, ROUND_HALF_UP)

    @examples(20)
    @given(cases(kinds=frozenset({"band_energy", "energy_series"}), inside_months=True))
    def test_energy_by_period_and_tier_adds_up_to_what_was_metered(self, case: Case) -> None:
        for bill in printed_bills(case):
            metered = sum(
                (reading.kwh for reading in case.readings if reading.local_start.date().replace(day=1) == bill.month),
                Decimal(0),
            )
            assert bill.kwh == metered
            for component in case.tariff.components:
                if isinstance(component, EnergyComponent):
                    own = [line.quantity for line in bill.lines if line.component == component.name]
                    assert sum(own, Decimal(0)) == metered


def _is_no_product(tiers: dict[str, Any]) -> bool:
    """Whether kWh are split by remainders, or limits per kW grow with the load already."""
    return tiers.get("allocation") == "prorata" or tiers.get("basis") in {"kwh_per_kw", "kwh_per_kva"}


def _multiply_limits(place: dict[str, Any], factor: int) -> None:
    for name in ("limits_kwh", "limits_kw"):
        if place.get(name):
            place[name] = [str(Decimal(limit) * factor) for limit in place[name]]
    if place.get("limits_kwh_by_period"):
        place["limits_kwh_by_period"] = {
            period: [str(Decimal(limit) * factor) for limit in limits]
            for period, limits in place["limits_kwh_by_period"].items()
        }
