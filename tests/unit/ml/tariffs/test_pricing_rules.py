"""Each rule of docs/tariffs.md on a load small enough to be worked by hand."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest

from ml.errors import TariffError
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, price_billing_periods, price_cube, price_intervals
from ml.tariffs.schema import Tariff, load_tariff

ZONE = "Asia/Shanghai"
DAYS = DayCalendar()
CLOCK = {"schedules": [{"periods": {"peak": ["12:00-24:00"]}, "otherwise": "valley"}]}


def tariff_of(*components: dict[str, Any], **fields: Any) -> Tariff:
    record = {
        "tariff_id": "t",
        "version": "1",
        "name": "T",
        "valid_from": "2024-01-01",
        "currency": "CNY",
        "verified": True,
        "calendar": CLOCK,
        "components": list(components),
    }
    return load_tariff(record | fields)


def energy(price: Any = "1", name: str = "Energy", **fields: Any) -> dict[str, Any]:
    prices = price if isinstance(price, dict) else {"all": price}
    return {"kind": "energy", "name": name, "tables": [{"prices": prices}]} | fields


def demand(**fields: Any) -> dict[str, Any]:
    return {"kind": "demand", "name": "Demand", "tables": [{"price": "10"}]} | fields


def readings(values: Iterable[tuple[str, float]], **columns: Any) -> pl.DataFrame:
    """Readings at local times ``2025-01-31 13`` (hour) or ``2025-01-31 13:15``."""
    rows = list(values)
    zone = ZoneInfo(ZONE)
    formats = {13: "%Y-%m-%d %H", 16: "%Y-%m-%d %H:%M"}
    starts = [datetime.strptime(at, formats[len(at)]).replace(tzinfo=zone).astimezone(UTC) for at, _ in rows]
    frame = {"customer_key": "c", "read_at": starts, "kwh": [kwh for _, kwh in rows]} | columns
    return pl.DataFrame(frame)


def price(tariff: Tariff, frame: pl.DataFrame, **arguments: Any) -> BillArray:
    usual: dict[str, Any] = {"interval_minutes": 60, "time_zone": ZONE, "days": DAYS}
    return price_intervals(tariff, frame, **(usual | arguments))


def by_period_and_tier(bills: BillArray, window: int = 0) -> dict[tuple[str, int | None], float]:
    return {
        (line.period, line.tier): line.quantity[0, window] / 10_000 for line in bills.lines if line.quantity[0, window]
    }


def facts(kva: float = 100.0, contracted_kw: float | None = None) -> CustomerTable:
    return CustomerTable.from_frame(
        pd.DataFrame({"customer_key": ["c"], "contract_capacity_kva": [kva], "contracted_kw": [contracted_kw]})
    )


class TestAllocation:
    LOAD = (("2025-01-01 06", 60), ("2025-01-01 13", 100), ("2025-01-02 06", 40), ("2025-01-02 13", 20))

    def priced(self, allocation: str, **tiers: Any) -> BillArray:
        component = energy(
            {"peak": [1, 2], "valley": [3, 4]},
            tiers={"basis": "month", "limits_kwh": [110], "allocation": allocation} | tiers,
        )
        return price(tariff_of(component), readings(self.LOAD))

    def test_prorata_splits_each_tier_in_proportion_to_the_periods(self) -> None:
        assert by_period_and_tier(self.priced("prorata")) == {
            ("peak", 1): 60, ("peak", 2): 60, ("valley", 1): 50, ("valley", 2): 50,
        }  # fmt: skip

    def test_chronological_lets_intervals_climb_in_order_of_time(self) -> None:
        assert by_period_and_tier(self.priced("chronological")) == {
            ("peak", 1): 50, ("peak", 2): 70, ("valley", 1): 60, ("valley", 2): 40,
        }  # fmt: skip

    def test_every_period_climbs_a_ladder_of_its_own(self) -> None:
        own = {"limits_kwh": (), "limits_kwh_by_period": {"peak": [100], "valley": [70]}}

        assert by_period_and_tier(self.priced("ladder_per_period", **own)) == {
            ("peak", 1): 100, ("peak", 2): 20, ("valley", 1): 70, ("valley", 2): 30,
        }  # fmt: skip

    def test_days_climb_anew(self) -> None:
        assert by_period_and_tier(self.priced("chronological", basis="day")) == {
            ("peak", 1): 70, ("peak", 2): 50, ("valley", 1): 100,
        }  # fmt: skip

    def test_a_remainder_goes_to_the_tier_with_the_largest_and_the_period_keeps_its_sum(self) -> None:
        component = energy(
            {"peak": [1, 2, 3], "valley": 1}, tiers={"basis": "month", "limits_kwh": [1, 2], "allocation": "prorata"}
        )

        bills = price(tariff_of(component), readings([("2025-01-01 13", 1), ("2025-01-01 06", 2)]))

        assert by_period_and_tier(bills) == {
            ("peak", 1): 0.3334, ("peak", 2): 0.3333, ("peak", 3): 0.3333,
            ("valley", 1): 0.6667, ("valley", 2): 0.6667, ("valley", 3): 0.6666,
        }  # fmt: skip

    def test_a_ladder_of_the_year_shares_out_each_years_tiers_among_that_years_periods(self) -> None:
        component = energy(
            {"peak": [1, 2], "valley": [3, 4]}, tiers={"basis": "year", "limits_kwh": [60], "allocation": "prorata"}
        )
        load = readings([("2024-12-25 13", 100), ("2025-01-05 06", 30)])

        bills = price_billing_periods(
            tariff_of(component),
            load,
            [(date(2024, 12, 20), date(2025, 1, 10))],
            interval_minutes=60,
            time_zone=ZONE,
            days=DAYS,
            opening_kwh={"c": Decimal(0)},
        )

        assert by_period_and_tier(bills) == {("peak", 1): 60, ("peak", 2): 40, ("valley", 1): 30}

    def test_shares_of_a_large_load_stay_exact_beyond_64_bits(self) -> None:
        component = energy(
            {"peak": [1, 2], "valley": 1},
            tiers={"basis": "month", "limits_kwh": [1_600_000], "allocation": "prorata"},
        )

        bills = price(tariff_of(component), readings([("2025-01-01 13", 1_700_001), ("2025-01-01 06", 1_200_002)]))

        exact = Decimal(1_600_000) * 1_700_001 / 2_900_003
        assert by_period_and_tier(bills)["peak", 1] == float(exact.quantize(Decimal("0.0001")))


class TestLimits:
    @pytest.mark.parametrize(
        ("basis", "limit", "first_tier"),
        [("daily_allowance", 3, 93), ("kwh_per_kw", "1.5", 150), ("kwh_per_kva", "1.25", 100), ("month", 120, 120)],
    )
    def test_the_basis_multiplies_the_limit(self, basis: str, limit: Any, first_tier: float) -> None:
        tariff = tariff_of(energy([1, 2], tiers={"basis": basis, "limits_kwh": [limit]}))

        bills = price(tariff, readings([("2025-01-01 06", 100), ("2025-01-02 06", 90)]), customers=facts(80))

        assert by_period_and_tier(bills) == {("all", 1): first_tier, ("all", 2): 190 - first_tier}

    def test_a_table_brings_limits_of_its_own(self) -> None:
        tables = [
            {"months": [1, 2, 3], "prices": {"all": [1, 2]}, "limits_kwh": [50]},
            {"months": [4, 5, 6, 7, 8, 9, 10, 11, 12], "prices": {"all": [1, 2]}},
        ]
        tariff = tariff_of(energy(tiers={"basis": "month", "limits_kwh": [80]}, tables=tables))

        bills = price(tariff, readings([("2025-03-01 06", 100), ("2025-04-01 06", 100)]))

        assert by_period_and_tier(bills, 0) == {("all", 1): 50, ("all", 2): 50}
        assert by_period_and_tier(bills, 1) == {("all", 1): 80, ("all", 2): 20}

    def test_chronological_year_begins_where_the_opening_ends(self) -> None:
        component = energy(
            {"peak": [1, 2], "valley": [3, 4]},
            tiers={"basis": "year", "limits_kwh": [100], "allocation": "chronological"},
        )
        load = readings([("2024-12-31 06", 30), ("2024-12-31 13", 30), ("2025-01-01 06", 30)])

        bills = price(tariff_of(component), load, opening_kwh={"c": Decimal(60)})

        assert by_period_and_tier(bills, 0) == {("valley", 1): 30, ("peak", 1): 10, ("peak", 2): 20}
        assert by_period_and_tier(bills, 1) == {("valley", 1): 30}


class TestBands:
    def test_floating_part_carries_the_factor_and_fixed_part_does_not(self) -> None:
        """110 kV two-part, January 2026: 0.1103 and 0.5385 with factors 1.7 and 0.3."""
        component = {
            "kind": "band_energy", "name": "Energy", "factors": {"peak": "1.7", "valley": "0.3"},
            "tables": [{"fixed": "0.1103", "floating": "0.5385"}],
        }  # fmt: skip

        bills = price(tariff_of(component), readings([("2026-01-01 06", 100), ("2026-01-01 13", 200)]))

        assert [(line.part, line.period, int(line.amount.units[0, 0])) for line in bills.lines] == [
            ("fixed", "all", 3309), ("floating", "peak", 18309), ("floating", "valley", 1616),
        ]  # fmt: skip

    def test_a_cover_buys_its_share_at_the_contract_price(self) -> None:
        component = {
            "kind": "energy_series", "name": "Spot", "series": "s", "cover_share": "0.8", "cover_price": "0.4",
            "values": {"starts_at": "2025-01-01T00:00:00+08:00", "interval_minutes": 60, "values": ["1", "-0.5"]},
        }  # fmt: skip

        bills = price(tariff_of(component), readings([("2025-01-01 00", 100), ("2025-01-01 01", 50)]))

        assert [(line.part, int(line.amount.units[0, 0])) for line in bills.lines] == [("cover", 4800), ("spot", 1500)]


class TestIntervalsOfSeries:
    def spot(self, minutes: int) -> Tariff:
        values = {"starts_at": "2025-01-01T00:00:00+08:00", "interval_minutes": minutes, "values": ["1", "2"]}
        return tariff_of({"kind": "energy_series", "name": "Spot", "series": "s", "values": values})

    def test_a_price_per_hour_holds_for_each_of_its_quarters(self) -> None:
        quarters = readings([("2025-01-01 00:00", 1), ("2025-01-01 00:45", 1), ("2025-01-01 01:15", 1)])

        assert price(self.spot(60), quarters, interval_minutes=15).total_units[0, 0] == 400

    @pytest.mark.parametrize(
        ("minutes", "message"),
        [
            (30, "a value every 30 minutes, so readings of 60 minutes do not say"),
            (90, "which readings of 60 minutes do not"),
        ],
    )
    def test_readings_that_hide_which_price_they_pay_are_refused(self, minutes: int, message: str) -> None:
        with pytest.raises(TariffError, match=message):
            price(self.spot(minutes), readings([("2025-01-01 00", 1)]))

    def test_a_given_series_that_is_finer_than_the_readings_is_refused(self) -> None:
        tariff = tariff_of({"kind": "energy_series", "name": "Spot", "series": "s"})
        hour = datetime(2025, 1, 1, tzinfo=UTC)
        series = pl.DataFrame({"read_at": [hour, hour + timedelta(minutes=30)], "value": [1.0, 2.0]})

        with pytest.raises(TariffError, match="a value every 30 minutes"):
            price(tariff, readings([("2025-01-01 08", 1)]), series={"s": series})


class TestDemand:
    LOAD = (("2025-01-10 13", 100), ("2025-02-10 06", 60), ("2025-03-10 06", 50))

    def billed(self, component: dict[str, Any], **arguments: Any) -> list[float]:
        bills = price(tariff_of(component), readings(self.LOAD), **arguments)
        return [sum(line.quantity[0, month] for line in bills.lines) / 10_000 for month in range(3)]

    def test_a_ratchet_keeps_a_share_of_the_highest_earlier_demand(self) -> None:
        ratchet = {"percent": 70, "missing_history": "use_known"}

        assert self.billed(demand(ratchet=ratchet)) == [100, 70, 70]
        assert self.billed(demand(ratchet=ratchet | {"range_months": 1})) == [100, 70, 50]
        assert self.billed(demand(ratchet=ratchet | {"months": [2]})) == [100, 60, 50]
        assert self.billed(demand(ratchet=ratchet | {"percent": 0, "floor_kw": 65})) == [100, 65, 65]

    def test_a_ratchet_may_look_at_other_periods_than_the_charge(self) -> None:
        ratchet = {"percent": 50, "missing_history": "use_known", "periods": ["peak"]}

        assert self.billed(demand(periods=["valley"], ratchet=ratchet)) == [0, 60, 50]

    def test_a_ratchet_without_its_history_is_refused(self) -> None:
        with pytest.raises(
            TariffError, match=r"components\[0\].ratchet: the bill from 2025-01-01 depends on the demand"
        ):
            self.billed(demand(ratchet={"percent": 70, "range_months": 3}))

    def test_kw_between_limits_pay_their_tiers_price(self) -> None:
        tariff = tariff_of(demand(tables=[{"prices": [1, 2, 3], "limits_kw": [40, 70]}]))

        bills = price(tariff, readings(self.LOAD))

        assert by_period_and_tier(bills, 0) == {("all", 1): 40, ("all", 2): 30, ("all", 3): 30}
        assert by_period_and_tier(bills, 2) == {("all", 1): 40, ("all", 2): 10}

    def test_demand_over_an_hour_is_the_mean_of_its_quarters(self) -> None:
        quarters = [("2025-01-01 06:00", 10), ("2025-01-01 06:15", 0), ("2025-01-01 06:45", 4), ("2025-01-01 07:00", 9)]

        over_hours = price(tariff_of(demand(interval_minutes=60)), readings(quarters), interval_minutes=15)
        over_quarters = price(tariff_of(demand()), readings(quarters), interval_minutes=15)

        assert [bills.lines[0].quantity[0, 0] for bills in (over_hours, over_quarters)] == [14_0000, 40_0000]

    def test_demand_over_less_than_a_reading_is_refused(self) -> None:
        with pytest.raises(
            TariffError, match=r"components\[0\].interval_minutes: demand over 15 minutes cannot be told"
        ):
            price(tariff_of(demand(interval_minutes=15)), readings(self.LOAD))


class TestChangesInsideAMonth:
    LOAD = (("2025-01-14 06", 30), ("2025-01-15 06", 50), ("2025-01-20 13", 20))

    @staticmethod
    def dated(first: Any, second: Any, name: str = "price") -> list[dict[str, Any]]:
        return [{"valid_to": "2025-01-14", name: first}, {"valid_from": "2025-01-15", name: second}]

    def test_energy_is_split_by_what_was_read_on_each_side(self) -> None:
        tariff = tariff_of(energy(tables=self.dated({"all": 1}, {"peak": 2, "valley": 3}, "prices")))

        bills = price(tariff, readings(self.LOAD))

        assert [(line.period, line.quantity[0, 0], line.days) for line in bills.lines] == [
            ("all", 30_0000, bills.lines[0].days),
            ("peak", 20_0000, bills.lines[1].days),
            ("valley", 50_0000, bills.lines[1].days),
        ]
        first, second = (line.days[0] for line in bills.lines[:2])
        assert (first.last, second.first, second.end) == (date(2025, 1, 14), date(2025, 1, 15), date(2025, 2, 1))

    def test_the_ladder_continues_across_the_change(self) -> None:
        tables = self.dated({"all": [1, 2]}, {"all": [3, 4]}, "prices")
        tariff = tariff_of(energy(tiers={"basis": "month", "limits_kwh": [40]}, tables=tables))

        bills = price(tariff, readings(self.LOAD))

        assert [int(line.quantity[0, 0]) for line in bills.lines] == [30_0000, 0, 10_0000, 60_0000]

    def test_monthly_charges_are_split_by_days_that_add_up(self) -> None:
        fixed = {"kind": "fixed", "name": "Fixed", "per": "month", "tables": self.dated(31, 62)}
        daily = {"kind": "fixed", "name": "Daily", "per": "day", "tables": self.dated(1, 2)}
        tariff = tariff_of(demand(tables=self.dated(10, 20)), fixed, daily)

        bills = price(tariff, readings(self.LOAD))

        # 50 kW x 14 / 31 = 22.58065, half up; the rest of the month takes the rest of the 50 kW.
        assert [int(line.quantity[0, 0]) for line in bills.lines] == [
            22_5806, 27_4194, 4516, 5484, 14_0000, 17_0000,
        ]  # fmt: skip
        assert bills.component_units["Fixed"][0, 0] == round(3100 * 0.4516) + round(6200 * 0.5484)

    def test_the_cube_leaves_it_to_the_intervals_and_says_why(self) -> None:
        tariff = tariff_of(energy(tables=self.dated({"all": 1}, {"all": 2}, "prices")))
        cube = LoadCube.from_intervals(readings(self.LOAD), interval_minutes=60, time_zone=ZONE, days=DAYS)

        assert tariff.route.kind == "intervals"
        with pytest.raises(TariffError, match="a price changes on 2025-01-15, inside a month; use price_intervals"):
            price_cube(tariff, cube)


class TestFixedAndMinimum:
    def test_a_year_is_spread_by_twelfths_or_charged_in_its_month(self) -> None:
        spread = {"kind": "fixed", "name": "Spread", "per": "year", "tables": [{"price": 100}]}
        whole = {"kind": "fixed", "name": "Whole", "per": "year", "charged_in_month": 2, "tables": [{"price": 100}]}

        bills = price(tariff_of(spread, whole), readings([("2025-01-01 06", 1), ("2025-02-01 06", 1)]))

        assert bills.component_units["Spread"].tolist() == [[833, 833]]
        assert bills.component_units["Whole"].tolist() == [[0, 10_000]]

    def test_a_minimum_per_day_counts_the_days_of_the_month(self) -> None:
        minimum = {"kind": "minimum", "name": "Minimum", "per": "day", "tables": [{"price": "0.5"}]}

        bills = price(tariff_of(energy(), minimum), readings([("2025-01-01 06", 3), ("2025-02-01 06", 3)]))

        assert bills.total_units.tolist() == [[1550, 1400]]

    def test_a_minimum_per_year_is_settled_in_december(self) -> None:
        minimum = {"kind": "minimum", "name": "Minimum", "per": "year", "tables": [{"price": 100}]}
        load = [(f"2025-{month:02d}-01 06", 5) for month in range(1, 13)] + [("2026-01-01 06", 5)]

        bills = price(tariff_of(energy(), minimum), readings(load))

        assert bills.component_units["Minimum"].tolist() == [[0] * 11 + [4000, 0]]

    def test_a_minimum_of_a_year_whose_start_is_unknown_is_refused(self) -> None:
        minimum = {"kind": "minimum", "name": "Minimum", "per": "year", "tables": [{"price": 100}]}

        with pytest.raises(TariffError, match="the load starts on 2025-12-01; give loads from 1 January"):
            price(tariff_of(energy(), minimum), readings([("2025-12-01 06", 5)]))


class TestPercentages:
    TAX: ClassVar[dict[str, Any]] = {"kind": "percentage", "name": "Tax", "tables": [{"percent": 10}]}
    MINIMUM: ClassVar[dict[str, Any]] = {"kind": "minimum", "name": "Minimum", "tables": [{"price": 50}]}

    @pytest.mark.parametrize(("components", "total"), [((TAX, MINIMUM), 5000), ((MINIMUM, TAX), 5500)])
    def test_the_order_of_tax_and_minimum_is_data(self, components: tuple, total: int) -> None:
        bills = price(tariff_of(energy(), *components), readings([("2025-01-01 06", 40)]))

        assert bills.total_units[0, 0] == total

    def test_a_percentage_is_taken_of_what_it_names(self) -> None:
        tax = self.TAX | {"base": ["Funds"]}

        bills = price(tariff_of(energy(), energy("0.5", "Funds"), tax), readings([("2025-01-01 06", 40)]))

        assert (bills.component_units["Tax"][0, 0], bills.lines[-1].quantity[0, 0]) == (200, 20_0000)

    def test_a_tax_that_changes_inside_the_month_is_taken_of_shares_of_days(self) -> None:
        tax = self.TAX | {
            "tables": [{"valid_to": "2025-01-14", "percent": 10}, {"valid_from": "2025-01-15", "percent": 20}]
        }

        bills = price(tariff_of(energy(), tax), readings([("2025-01-01 06", 31)]))

        assert [int(line.quantity[0, 0]) for line in bills.lines[1:]] == [14_0000, 17_0000]

    @pytest.mark.parametrize(
        ("kwh", "kvarh", "standard", "adjustment"),
        [
            (50_000, 24_000, "0.90", 0),
            (50_000, 24_000, "0.85", -15_000),
            (80_000, 70_000, "0.90", 225_000),
            (80_000, 0, "0.90", -22_500),
        ],
    )
    def test_power_factor_examples(self, kwh: float, kvarh: float, standard: str, adjustment: int) -> None:
        """DOMAIN 2.7: a base of 30,000 with PF 0.90 and 0.75; a pure PF earns at most 0.75 %."""
        base = {"kind": "fixed", "name": "Base", "per": "month", "tables": [{"price": 30_000}]}
        component = {"kind": "power_factor", "name": "PF", "standard": standard, "base": ["Base"]}

        bills = price(tariff_of(base, component), readings([("2025-01-01 06", kwh)], kvarh=[kvarh]))

        assert bills.component_units["PF"][0, 0] == adjustment

    def test_an_own_table_is_looked_up_from_above(self) -> None:
        steps = [{"at_least": 0.95, "percent": -1}, {"at_least": 0.9, "percent": 0}, {"at_least": 0, "percent": 5}]
        component = {"kind": "power_factor", "name": "PF", "table": steps, "base": ["Energy"]}

        bills = price(tariff_of(energy(), component), readings([("2025-01-01 06", 3)], kvarh=[4.0]))

        assert bills.component_units["PF"][0, 0] == 15

    def test_without_kvarh_there_is_no_power_factor(self) -> None:
        component = {"kind": "power_factor", "name": "PF", "standard": "0.90", "base": ["Energy"]}

        with pytest.raises(
            TariffError, match=r"components\[1\]: PF depends on kvarh, which was not metered for customer c"
        ):
            price(tariff_of(energy(), component), readings([("2025-01-01 06", 3)]))

    def test_a_customer_without_kvarh_among_others_is_named(self) -> None:
        component = {"kind": "power_factor", "name": "PF", "standard": "0.90", "base": ["Energy"]}
        metered = readings([("2025-01-01 06", 3)], kvarh=[4.0])
        unmetered = readings([("2025-01-01 06", 3)], kvarh=pl.Series([None], dtype=pl.Float64), customer_key="d")

        with pytest.raises(TariffError, match="which was not metered for customer d from 2025-01-01"):
            price(tariff_of(energy(), component), pl.concat([metered, unmetered]))


class TestExport:
    LOAD = (("2025-01-01 06", 10), ("2025-01-01 13", 2), ("2025-02-01 06", 10), ("2025-02-01 13", 10))
    SOLD = (0.0, 8.0, 4.0, 1.0)

    def test_what_is_fed_in_is_paid_by_period(self) -> None:
        sold = {"kind": "export", "name": "Feed-in", "rule": "net_billing",
                "tables": [{"prices": {"peak": "0.5", "valley": "0.2"}}]}  # fmt: skip

        bills = price(tariff_of(energy(), sold), readings(self.LOAD, export_kwh=list(self.SOLD)))

        assert bills.component_units["Feed-in"].tolist() == [[-400, -130]]
        assert bills.total_units.tolist() == [[800, 1870]]

    @pytest.mark.parametrize(
        ("rule", "february"),
        [
            ({"carry_over": "forfeit"}, {("peak", None): 9, ("valley", None): 6}),
            ({"carry_over": "next_month"}, {("peak", None): 3, ("valley", None): 6}),
            ({"carry_over": "next_month", "expires_in_month": 2}, {("peak", None): 9, ("valley", None): 6}),
        ],
    )
    def test_a_surplus_is_carried_within_its_period(self, rule: dict, february: dict) -> None:
        tariff = tariff_of(energy({"peak": 1, "valley": 2}), net_metering=rule)

        bills = price(tariff, readings(self.LOAD, export_kwh=list(self.SOLD)))

        assert by_period_and_tier(bills, 0) == {("valley", None): 10}
        assert by_period_and_tier(bills, 1) == february

    def test_without_exported_energy_it_is_refused(self) -> None:
        with pytest.raises(TariffError, match="net_metering: the readings have no export_kwh"):
            price(tariff_of(energy(), net_metering={"carry_over": "forfeit"}), readings(self.LOAD))


class TestBillingPeriods:
    PERIODS = ((date(2025, 3, 15), date(2025, 4, 15)), (date(2025, 4, 15), date(2025, 5, 15)))
    LOAD = (("2025-03-14 06", 99), ("2025-03-15 06", 300), ("2025-04-14 06", 150), ("2025-05-14 23", 10))

    def priced(self, *components: dict[str, Any], **fields: Any) -> BillArray:
        return price_billing_periods(
            tariff_of(*components, **fields), readings(self.LOAD), self.PERIODS, interval_minutes=60, time_zone=ZONE,
            days=DAYS, customers=facts(), opening_kwh={"c": Decimal(200)},
        )  # fmt: skip

    def test_readings_outside_are_passed_over(self) -> None:
        assert by_period_and_tier(self.priced(energy()), 0) == {("all", None): 450}

    def test_monthly_limits_and_charges_are_shared_by_days(self) -> None:
        fixed = {"kind": "fixed", "name": "Fixed", "per": "month", "tables": [{"price": 100}]}

        bills = self.priced(energy([1, 2], tiers={"basis": "month", "limits_kwh": [400]}), fixed)

        # 17 of 31 days of March and 14 of 30 of April: 0.5484 + 0.4667 months.
        assert by_period_and_tier(bills, 0) == {("all", 1): 406.0215, ("all", 2): 43.9785, ("all", None): 1.0151}

    def test_without_proration_a_period_is_one_month(self) -> None:
        fixed = {"kind": "fixed", "name": "Fixed", "per": "month", "tables": [{"price": 100}]}

        bills = self.priced(energy([1, 2], tiers={"basis": "month", "limits_kwh": [400]}), fixed, proration="none")

        assert by_period_and_tier(bills, 0) == {("all", 1): 400, ("all", 2): 50, ("all", None): 1}

    def test_a_year_continues_from_january(self) -> None:
        bills = self.priced(energy([1, 2], tiers={"basis": "year", "limits_kwh": [600]}))

        assert by_period_and_tier(bills, 0) == {("all", 1): 400, ("all", 2): 50}
        assert by_period_and_tier(bills, 1) == {("all", 2): 10}

    def test_a_year_that_ends_inside_a_period_starts_anew(self) -> None:
        tariff = tariff_of(energy([1, 2], tiers={"basis": "year", "limits_kwh": [100]}))

        bills = price_billing_periods(
            tariff, readings([("2024-12-31 06", 90), ("2025-01-01 06", 80)]), [(date(2024, 12, 15), date(2025, 1, 15))],
            interval_minutes=60, time_zone=ZONE, days=DAYS, opening_kwh={"c": Decimal(50)},
        )  # fmt: skip

        assert by_period_and_tier(bills) == {("all", 1): 130, ("all", 2): 40}

    def test_calendar_months_as_periods_are_the_months_bills(self) -> None:
        tariff = tariff_of(energy([1, 2], tiers={"basis": "month", "limits_kwh": [100]}), demand())
        months = [(date(2025, 3, 1), date(2025, 4, 1)), (date(2025, 4, 1), date(2025, 5, 1)),
                  (date(2025, 5, 1), date(2025, 6, 1))]  # fmt: skip

        as_periods = price_billing_periods(
            tariff, readings(self.LOAD), months, interval_minutes=60, time_zone=ZONE, days=DAYS
        )

        assert as_periods.total_units.tolist() == price(tariff, readings(self.LOAD)).total_units.tolist()

    @pytest.mark.parametrize(
        ("periods", "message"),
        [
            ([], "periods: none were given"),
            ([(date(2025, 3, 1), date(2025, 3, 1))], r"periods\[0\]: ends on 2025-03-01, not after"),
            ([(date(2025, 3, 1), date(2025, 3, 9)), (date(2025, 3, 8), date(2025, 4, 9))], r"periods\[1\]: starts on"),
            ([(date(2023, 12, 1), date(2024, 1, 9))], "cannot price 2023-12-01 to 2024-01-08"),
            ([(date(2026, 1, 1), date(2026, 2, 1))], "none lies in the billing periods from 2026-01-01 to 2026-01-31"),
        ],
    )
    def test_refusals(self, periods: list, message: str) -> None:
        with pytest.raises(TariffError, match=message):
            price_billing_periods(
                tariff_of(energy()), readings(self.LOAD), periods, interval_minutes=60, time_zone=ZONE, days=DAYS
            )


class TestMissingIntervals:
    def half_read(self) -> pl.DataFrame:
        start = datetime(2025, 1, 1)
        hours = [start + timedelta(hours=hour) for hour in range(0, 31 * 24, 2)]
        return readings([(f"{hour:%Y-%m-%d %H}", 1.0) for hour in hours])

    def test_zero_is_the_default_and_the_share_is_known(self) -> None:
        bills = price(tariff_of(energy()), self.half_read())

        assert (bills.total_units[0, 0], bills.load.coverage_pct()[0, 0]) == (37_200, 50.0)

    def test_scaling_fills_up_energy_and_leaves_power(self) -> None:
        bills = price(tariff_of(energy(), demand()), self.half_read(), missing="scale_to_complete")

        assert bills.component_units["Energy"][0, 0] == 74_400
        assert bills.component_units["Demand"][0, 0] == 1_000
        assert bills.missing == "scale_to_complete"

    def test_a_bill_that_must_be_complete_is_refused(self) -> None:
        with pytest.raises(TariffError, match="customer c has 372 of 744 intervals from 2025-01-01 to 2025-01-31"):
            price(tariff_of(energy()), self.half_read(), missing="refuse")

    def test_intervals_on_a_ladder_cannot_be_scaled(self) -> None:
        component = energy(
            {"peak": [1, 2], "valley": 1}, tiers={"basis": "month", "limits_kwh": [5], "allocation": "chronological"}
        )

        with pytest.raises(TariffError, match="without scale_to_complete"):
            price(tariff_of(component), self.half_read(), missing="scale_to_complete")
