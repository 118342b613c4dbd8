"""Pricing equals hand-worked examples and a slow reference, by the cube and by the intervals."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import SchemaMismatchError, TariffError
from ml.tariffs.calendar import DayCalendar, month_starts
from ml.tariffs.catalogue import Catalogue, load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import (
    BillArray,
    monthly_amounts_from_intervals,
    offers_of,
    price_cube,
    price_intervals,
    price_tariffs,
)
from ml.tariffs.schema import Rounding, Tariff, load_tariff
from tests.unit.ml.tariffs.reference import Customer, Reading, reference_totals
from tests.unit.ml.tariffs.strategies import DAYS, as_frame, as_readings, loads, tariffs

ZONE = "Asia/Shanghai"
BASES = ("capacity", "contracted_demand", "actual_demand")


def tariff_of(*components: dict[str, Any], **fields: Any) -> Tariff:
    record = {
        "tariff_id": "t",
        "version": "1",
        "name": "T",
        "valid_from": "2024-01-01",
        "currency": "CNY",
        "verified": True,
        "components": list(components),
    }
    return load_tariff(record | fields)


def energy(price: str, name: str = "Energy") -> dict[str, Any]:
    return {"kind": "energy", "name": name, "tables": [{"prices": {"all": price}}]}


def cube_of(month_kwh: list[float], first: date, *, peak_kw: float = 0.0, opening: float | None = None) -> LoadCube:
    """One customer whose energy lies in the first slot of workdays."""
    months = month_starts(
        first,
        date(first.year + (first.month + len(month_kwh) - 2) // 12, (first.month + len(month_kwh) - 2) % 12 + 1, 1),
    )
    kwh = np.zeros((1, len(months), 3, 24), np.int64)
    kwh[0, :, 0, 0] = np.rint(np.array(month_kwh) * 1e4)
    peak = np.zeros_like(kwh)
    peak[0, :, 0, 0] = round(peak_kw * 1e4)
    return LoadCube.from_arrays(
        ["c"],
        months,
        kwh=kwh,
        peak_kw=peak,
        slot_minutes=60,
        opening_kwh=None if opening is None else np.array([round(opening * 1e4)]),
    )


def customer(kva: float | None = None, contracted_kw: float | None = None, basis: str | None = None) -> CustomerTable:
    return CustomerTable.from_frame(
        pd.DataFrame(
            {
                "customer_key": ["c"],
                "contract_capacity_kva": [kva],
                "contracted_kw": [contracted_kw],
                "billing_basis": [basis],
            }
        )
    )


class TestWorkedExamples:
    YEAR = (150.0, 140, 160, 180, 240, 330, 520, 560, 410, 230, 190, 210)

    def test_annual_blocks(self) -> None:
        tariff = load_catalogue().get("sd_res_tier")

        bills = price_cube(tariff, cube_of(list(self.YEAR), date(2025, 1, 1)))
        in_tenths_of_a_fen = tariff.model_copy(update={"rounding": Rounding(decimals=3)})
        unrounded = price_cube(in_tenths_of_a_fen, cube_of(list(self.YEAR), date(2025, 1, 1)))

        september = [line.amount.units[0, 8] for line in bills.lines]
        assert [line.quantity[0, 8] for line in bills.lines] == [240_0000, 170_0000, 0]
        assert september == [13126, 10147, 0]  # 131.256 and 101.473: together 232.729
        assert unrounded.total_units[0, 8] == 232_729
        assert unrounded.sum_units[0] == 1_855_708

    def test_annual_blocks_begin_anew_in_january(self) -> None:
        tariff = load_catalogue().get("sd_res_tier")

        two_years = price_cube(tariff, cube_of([*self.YEAR, *self.YEAR], date(2025, 1, 1)))

        assert two_years.total_units[0, :12].tolist() == two_years.total_units[0, 12:].tolist()

    @pytest.mark.parametrize(
        ("contracted_kw", "peak_kw", "amount"),
        [(600, 625, "21120"), (600, 700, "26048"), (400, 540, "18656")],
    )
    def test_contracted_demand(self, contracted_kw: float, peak_kw: float, amount: str) -> None:
        tariff = load_catalogue().get("sd_ic_two_35")
        cube = cube_of([1000], date(2025, 1, 1), peak_kw=peak_kw)

        bills = price_cube(tariff, cube, customer(1250, contracted_kw, "contracted_demand"))

        assert bills.component_units["Contracted demand charge"][0, 0] == Decimal(amount) * 100
        assert bills.component_units["Capacity charge"][0, 0] == 0

    @pytest.mark.parametrize(("kwh", "amount"), [(208_000, 15_840), (207_999.9999, 17_600)])
    def test_discount_from_260_kwh_per_kva(self, kwh: float, amount: int) -> None:
        tariff = load_catalogue().get("sd_ic_two_35")

        bills = price_cube(tariff, cube_of([kwh], date(2025, 1, 1), peak_kw=500), customer(800, None, "actual_demand"))

        assert bills.component_units["Actual demand charge"][0, 0] == amount * 100

    def test_capacity(self) -> None:
        bills = price_cube(
            load_catalogue().get("sd_ic_two_35"), cube_of([0], date(2025, 1, 1)), customer(800, None, "capacity")
        )

        assert bills.component_units["Capacity charge"][0, 0] == 17_600 * 100


class TestReference:
    @settings(max_examples=80, deadline=None)
    @given(tariff=tariffs(), load=loads(ZONE, 30), basis=st.sampled_from(BASES), opening=st.integers(0, 200))
    def test_cube_intervals_and_reference_agree_to_the_last_decimal(
        self, tariff: Tariff, load: list, basis: str, opening: int
    ) -> None:
        facts = CustomerTable.from_frame(
            pd.DataFrame(
                {
                    "customer_key": ["c"],
                    "contract_capacity_kva": [31.5],
                    "contracted_kw": [14.25],
                    "billing_basis": [basis],
                }
            )
        )
        frame = as_frame(load)
        needs_opening = as_readings(load, ZONE)[0].local_start.month != 1

        cube = LoadCube.from_intervals(frame, interval_minutes=30, time_zone=ZONE, days=DAYS)
        rows = LoadCube.from_frame(_cube_rows(cube))
        rows = replace(rows, opening_kwh=np.array([opening * 10_000]) if needs_opening else None)
        by_cube = price_cube(tariff, rows, facts)
        by_intervals = price_intervals(
            tariff,
            frame,
            interval_minutes=30,
            time_zone=ZONE,
            days=DAYS,
            customers=facts,
            opening_kwh={"c": Decimal(opening)} if needs_opening else None,
        )
        expected = reference_totals(
            tariff,
            as_readings(load, ZONE),
            Customer(Decimal("31.5"), Decimal("14.25"), basis),
            30,
            Decimal(opening if needs_opening else 0),
        )

        assert _totals(by_cube) == expected
        assert _totals(by_intervals) == expected

    @settings(max_examples=30, deadline=None)
    @given(load=loads("Europe/London", 30), data=st.data())
    def test_price_series_and_bands_agree_with_the_reference(self, load: list, data: st.DataObject) -> None:
        bands = {"High": "0.672", "Low": "0.0399"}
        chosen = data.draw(st.lists(st.sampled_from(list(bands)), min_size=len(load), max_size=len(load)))
        prices = data.draw(st.lists(st.decimals("-0.5", "1", places=5), min_size=len(load), max_size=len(load)))
        by_band = tariff_of({"kind": "energy_series", "name": "E", "series": "s", "bands": bands})
        by_price = tariff_of(
            {
                "kind": "energy_series",
                "name": "E",
                "series": "s",
                "multiplier": "2.2",
                "adder": "0.12",
                "cap": "0.9",
                "floor": "-0.3",
            },
            rounding={"scope": "total"},
        )
        instants = [instant for instant, _ in load]
        for tariff, values in ((by_band, chosen), (by_price, prices)):
            series = pl.DataFrame(
                {"read_at": instants, "value": values if tariff is by_band else [float(value) for value in values]},
                schema_overrides={"read_at": pl.Datetime("us", "UTC")},
            )
            bills = price_intervals(
                tariff, as_frame(load), interval_minutes=30, time_zone="Europe/London", days=DAYS, series={"s": series}
            )
            readings = [
                Reading(reading.local_start, reading.day_type, reading.kwh, value)
                for reading, value in zip(as_readings(load, "Europe/London"), values, strict=True)
            ]
            assert _totals(bills) == reference_totals(
                tariff, readings, Customer(Decimal(1), Decimal(1), "capacity"), 30, Decimal(0)
            )


class TestPriceSeries:
    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(
            st.tuples(st.decimals("0", "30", places=4), st.decimals("-0.5", "1", places=8)), min_size=2, max_size=40
        )
    )
    def test_the_sum_over_all_intervals_is_exact_before_it_is_rounded(self, pairs: list) -> None:
        tariff = tariff_of(
            {"kind": "energy_series", "name": "E", "series": "s"}, rounding={"scope": "total", "decimals": 2}
        )
        instants = [datetime(2025, 1, 2, tzinfo=UTC) + timedelta(hours=hour) for hour in range(len(pairs))]
        series = pd.DataFrame({"read_at": instants, "value": [float(price) for _, price in pairs]})
        load = [(instant, kwh) for instant, (kwh, _) in zip(instants, pairs, strict=True)]

        bills = price_intervals(
            tariff, as_frame(load), interval_minutes=60, time_zone=ZONE, days=DAYS, series={"s": series}
        )

        amount = bills.lines[0].amount
        exact = Decimal(int(amount.units[0, 0])) + Decimal(int(amount.rest[0, 0])).scaleb(-amount.rest_decimals)
        assert exact.scaleb(-2) == sum(kwh * price for kwh, price in pairs)


class TestRounding:
    def test_lines_are_rounded_before_they_are_added_unless_the_tariff_says_total(self) -> None:
        parts = [energy("0.0049", name) for name in ("a", "b")]
        cube = cube_of([1], date(2025, 1, 1))

        by_line = price_cube(tariff_of(*parts), cube)
        by_total = price_cube(tariff_of(*parts, rounding={"scope": "total"}), cube)

        assert (by_line.sum_units[0], by_total.sum_units[0]) == (0, 1)

    def test_amounts_beyond_64_bits_stay_exact(self) -> None:
        cube = cube_of([0], date(2025, 1, 1))
        cube.kwh[0, 0, 0, 0] = 9 * 10**14 + 7  # 90 TWh in a month

        bills = price_cube(tariff_of(energy("99.12345678")), cube)

        exact = Decimal(9 * 10**14 + 7) / 10**4 * Decimal("99.12345678") * 100
        assert bills.sum_units[0] == int(exact.quantize(Decimal(1)))


class TestTables:
    def test_amounts_are_in_the_currency_and_absent_where_nothing_was_read(self) -> None:
        cube = replace(cube_of([10, 20, 30], date(2025, 1, 1)), present=np.array([[True, False, True]]))

        bills = price_cube(tariff_of(energy("0.5")), cube)
        frame = bills.to_frame()

        assert frame["amount"].tolist() == frame["Energy"].tolist() == [5.0, 15.0]
        assert frame["month"].tolist() == [pd.Timestamp("2025-01-01"), pd.Timestamp("2025-03-01")]
        assert bills.sum_amount.tolist() == [20.0]
        np.testing.assert_array_equal(bills.total_amount, [[5.0, np.nan, 15.0]])

    def test_pricing_from_the_public_london_trial(self, shared_data: Path) -> None:
        readings = pl.read_parquet(shared_data / "lcl" / "halfhourly_2013.parquet").select(
            customer_key="lclid", read_at="ts", kwh="kwh"
        )
        prices = pl.read_parquet(shared_data / "lcl" / "dtou_price_2013.parquet")
        some = readings.filter(pl.col("customer_key").is_in(readings["customer_key"].unique().sort()[:5].implode()))
        dynamic = tariff_of(
            {"kind": "energy_series", "name": "E", "series": "dtou",
             "bands": {"High": "0.6720", "Normal": "0.1176", "Low": "0.0399"}},
            currency="GBP", valid_from="2013-01-01", rounding={"scope": "total", "decimals": 4},
        )  # fmt: skip
        flat = tariff_of(energy("0.14228"), currency="GBP", valid_from="2013-01-01")

        bills = [
            price_intervals(
                tariff, some, interval_minutes=30, time_zone="UTC", days=DAYS,
                series={"dtou": prices.select(read_at="ts", value="band")},
            )
            for tariff in (dynamic, flat)
        ]  # fmt: skip

        plain = (
            some.join(prices, left_on="read_at", right_on="ts")
            .group_by("customer_key")
            .agg(dynamic=(pl.col("kwh") * pl.col("pence_per_kwh")).sum() / 100, flat=pl.col("kwh").sum() * 0.14228)
            .sort("customer_key")
        )
        np.testing.assert_allclose(bills[0].sum_amount, plain["dynamic"], atol=0.001)
        np.testing.assert_allclose(bills[1].sum_amount, plain["flat"], atol=0.06)


class TestMonthlyAmountsFromIntervals:
    READ_AT = pd.date_range("2024-12-01", "2025-04-01", freq="30min", inclusive="left")

    @pytest.fixture
    def readings(self) -> pd.DataFrame:
        return pd.DataFrame({"customer_key": "c", "read_at": self.READ_AT, "interval_minutes": 30, "kwh": 0.5})

    def spot(self, **fields: Any) -> Tariff:
        values = ["High" if i % 2 else "Low" for i in range(48 * 59)]  # January and February
        series = {"starts_at": "2025-01-01T00:00:00Z", "interval_minutes": 30, "values": values}
        component = {
            "kind": "energy_series",
            "name": "E",
            "series": "s",
            "bands": {"High": 2, "Low": 1},
            "values": series,
        }
        return tariff_of(component, **fields)

    def test_only_whole_months_inside_series_and_validity_have_an_amount(self, readings: pd.DataFrame) -> None:
        catalogue = Catalogue.of([*load_catalogue().tariffs, self.spot(valid_to="2025-01-31")])

        amounts = monthly_amounts_from_intervals(catalogue, readings, time_zone="UTC")

        assert amounts.to_dict("records") == [
            {"customer_key": "c", "month": pd.Timestamp("2025-01-01"), "tariff_id": "t", "amount": 31 * 24 * 1.5}
        ]

    def test_a_month_that_starts_before_the_series_has_no_amount(self, readings: pd.DataFrame) -> None:
        catalogue = Catalogue.of([self.spot()])

        # In Shanghai January starts eight hours before the series does, and February is whole.
        amounts = monthly_amounts_from_intervals(catalogue, readings, time_zone="Asia/Shanghai")

        assert amounts["month"].tolist() == [pd.Timestamp("2025-02-01")]

    def test_nothing_to_price_is_an_empty_table(self, readings: pd.DataFrame) -> None:
        amounts = monthly_amounts_from_intervals(load_catalogue(), readings, time_zone="UTC")

        assert amounts.empty
        assert amounts.columns.tolist() == ["customer_key", "month", "tariff_id", "amount"]

    def test_a_calendar_asks_for_day_types(self, readings: pd.DataFrame) -> None:
        tariff = self.spot(calendar={"schedules": [{"otherwise": "day"}]})

        with pytest.raises(TariffError, match="t: calendar: its periods may depend on the day type"):
            monthly_amounts_from_intervals(Catalogue.of([tariff]), readings, time_zone="UTC")


class TestMinimum:
    def test_tops_up_what_it_covers_and_nothing_else(self) -> None:
        tariff = tariff_of(
            energy("0.5"),
            {"kind": "fixed", "name": "Meter", "per": "month", "tables": [{"price": 3}]},
            {"kind": "minimum", "name": "Minimum", "covers": ["Energy"], "tables": [{"price": 10}]},
        )

        bills = price_cube(tariff, cube_of([4, 40], date(2025, 1, 1)))

        assert bills.component_units["Minimum"][0].tolist() == [800, 0]
        assert bills.total_units[0].tolist() == [1300, 2300]


class TestRefusals:
    def test_annual_tiers_without_the_start_of_the_year(self) -> None:
        tariff = load_catalogue().get("sd_res_tier")

        with pytest.raises(TariffError, match="starts in 2025-04 with no energy known"):
            price_cube(tariff, cube_of([100], date(2025, 4, 1)))

    def test_month_outside_the_validity(self) -> None:
        tariff = load_catalogue().get("sd_ic_single_lt1")

        with pytest.raises(TariffError, match="valid from 2024-01-01 to 2027-12-31, so it cannot price 2028-01"):
            price_cube(tariff, cube_of([100], date(2028, 1, 1)))

    def test_energy_series_from_the_cube(self) -> None:
        tariff = tariff_of({"kind": "energy_series", "name": "E", "series": "spot"})

        with pytest.raises(TariffError, match="use price_intervals"):
            price_cube(tariff, cube_of([1], date(2025, 1, 1)))

    def test_clock_finer_than_the_slots(self) -> None:
        tariff = tariff_of(
            {"kind": "energy", "name": "E", "tables": [{"prices": {"peak": 1, "flat": 1}}]},
            calendar={"schedules": [{"periods": {"peak": ["07:30-09:00"]}, "otherwise": "flat"}]},
        )

        with pytest.raises(TariffError, match="60-minute slot that starts at 07:00"):
            price_cube(tariff, cube_of([1], date(2025, 1, 1)))

    def test_capacity_charge_without_a_capacity(self) -> None:
        tariff = load_catalogue().get("sd_ic_two_10")

        with pytest.raises(TariffError, match=r"components\[3\]: contract_capacity_kva is missing for customer c"):
            price_cube(tariff, cube_of([1], date(2025, 1, 1)), customer())

    def test_contracted_demand_without_a_contract(self) -> None:
        tariff = load_catalogue().get("sd_ic_two_10")

        with pytest.raises(TariffError, match=r"components\[4\]: contracted_kw is missing for customer c"):
            price_cube(tariff, cube_of([1], date(2025, 1, 1)), customer(800, None, "contracted_demand"))

    def test_unknown_billing_basis(self) -> None:
        with pytest.raises(TariffError, match="billing_basis 'kva' is not offered; choose one of capacity"):
            price_cube(load_catalogue().get("sd_ic_two_10"), cube_of([1], date(2025, 1, 1)), customer(800, None, "kva"))

    def test_customer_without_a_row(self) -> None:
        other = CustomerTable.from_frame(pd.DataFrame({"customer_key": ["somebody"]}))

        with pytest.raises(SchemaMismatchError, match="no row for 1 customer with a load, such as c"):
            price_cube(load_catalogue().get("sd_res_shared"), cube_of([1], date(2025, 1, 1)), other)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ({}, "series `s` is missing; it was given no series"),
            ({"s": [("2025-01-01T00:30", "High")]}, "has no value for 2025-01-01 00:00:00"),
            ({"s": [("2025-01-01T00:00", "Mad")]}, "holds band `Mad`"),
            ({"s": [("2025-01-01T00:00", "High")] * 2}, "two values for one instant"),
        ],
    )
    def test_incomplete_series(self, rows: dict[str, list], message: str) -> None:
        tariff = tariff_of({"kind": "energy_series", "name": "E", "series": "s", "bands": {"High": 1}})
        readings = pd.DataFrame({"customer_key": ["c"], "read_at": [pd.Timestamp("2025-01-01")], "kwh": [1.0]})
        series = {
            name: pd.DataFrame({"read_at": pd.to_datetime([at for at, _ in found]), "value": [v for _, v in found]})
            for name, found in rows.items()
        }

        with pytest.raises(TariffError, match=message):
            price_intervals(
                tariff, readings, interval_minutes=30, time_zone="Europe/London", days=DayCalendar(), series=series
            )


class TestOffers:
    @pytest.fixture
    def table(self) -> Any:
        kwh = np.full((3, 1, 3, 24), 100_0000, np.int64)
        cube = LoadCube.from_arrays(
            ["home", "shop", "empty"],
            [date(2025, 1, 1)],
            kwh=kwh,
            peak_kw=kwh,
            slot_minutes=60,
            present=np.array([[True], [True], [False]]),
        )
        customers = CustomerTable.from_frame(
            pd.DataFrame(
                {
                    "customer_key": ["empty", "shop", "home"],
                    "customer_class": ["residential", "commercial", "residential"],
                    "voltage_level": ["lt1kV", "1-10(20)kV", "lt1kV"],
                    "supply_route": ["catalogue", "agency", "catalogue"],
                    "contract_capacity_kva": [None, 200, None],
                }
            )
        )
        return price_tariffs(load_catalogue().tariffs, cube, customers)

    def test_only_eligible_offers_have_an_amount(self, table: Any) -> None:
        open_to = table.to_frame().notna()

        assert open_to.columns[open_to.loc["home"]].tolist() == ["sd_res_tier", "sd_res_tier_tou"]
        # Without a contracted_kw there is no price by contracted demand.
        assert open_to.columns[open_to.loc["shop"]].tolist() == [
            "sd_ic_single_10",
            "sd_ic_two_10/capacity",
            "sd_ic_two_10/actual_demand",
        ]
        assert not open_to.loc["empty"].any()

    def test_amounts_equal_single_pricing(self, table: Any) -> None:
        assert table.to_frame().loc["home", "sd_res_tier"] == pytest.approx(
            2520 * 0.5469 + 2280 * 0.5969 + 2400 * 0.8469
        )

    def test_every_billing_basis_is_an_offer(self) -> None:
        labels = [offer.label for offer in offers_of([load_catalogue().get("sd_ic_two_10")])]

        assert labels == [f"sd_ic_two_10/{basis}" for basis in BASES]

    def test_currencies_are_not_mixed(self) -> None:
        pounds = tariff_of(energy("0.14"), currency="GBP", tariff_id="gb")

        with pytest.raises(TariffError, match="CNY and GBP cannot be compared"):
            price_tariffs([pounds, load_catalogue().get("sd_res_tier")], cube_of([1], date(2025, 1, 1)), customer())


def _totals(bills: BillArray) -> dict[date, Decimal]:
    return {
        month: Decimal(int(bills.total_units[0, index])).scaleb(-bills.unit_decimals)
        for index, month in enumerate(bills.months)
        if bills.is_priced[0, index]
    }


def _cube_rows(cube: LoadCube) -> pl.DataFrame:
    """Rows of the mart for the cells that hold anything, as dbt writes them."""
    customer_index, month, day_type, slot = np.nonzero((cube.kwh > 0) | cube.present[:, :, None, None])
    return pl.DataFrame(
        {
            "customer_key": cube.customer_keys[customer_index].tolist(),
            "month": [cube.months[index] for index in month],
            "day_type": [("workday", "weekend", "holiday")[index] for index in day_type],
            "slot": slot,
            "slot_minutes": np.full(len(slot), cube.slot_minutes),
            "kwh": [Decimal(int(v)).scaleb(-4) for v in cube.kwh[customer_index, month, day_type, slot]],
            "peak_kw": [Decimal(int(v)).scaleb(-4) for v in cube.peak_kw[customer_index, month, day_type, slot]],
        },
        schema_overrides={"kwh": pl.Decimal(18, 4), "peak_kw": pl.Decimal(14, 4)},
    )
