"""One customer's bill: every line with what it was computed from, in decimals that add up.

The data of a bill and how it is taken out of an array of bills; ``ml.tariffs.bill_document`` prints it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl

from ml.errors import SchemaMismatchError
from ml.tariffs.bill_document import bill_html, bill_text
from ml.tariffs.bill_wording import Language
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, IntArray, from_scaled
from ml.tariffs.load_checks import check_scale
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.priced_load import MissingIntervals
from ml.tariffs.pricing import BillArray, LineArray, price_cube, price_intervals
from ml.tariffs.schema import MinimumComponent, Rounding, Tariff
from ml.tariffs.windows import Window


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line: ``amount = quantity * factor * price``, rounded as the tariff says.

    The line of a minimum shows the minimum as its price, and as its amount what the lines before it lack to reach it.

    Attributes:
        component: Name of the tariff component.
        component_zh: The same in Chinese, if the tariff gives it.
        kind: Kind of the component, such as ``energy``.
        period: Price period, or ``all``; ``excess`` for demand above the tolerance of a contract.
        tier: Number of the tier from 1, where there are tiers.
        part: ``fixed`` and ``floating``, ``cover`` and ``spot``, where a price has parts.
        days: Days that the line covers, where a price changes inside the window.
        quantity: What is charged.
        unit: Unit of the quantity; the currency where a percentage is taken of an amount.
        factor: One unless a discount or a multiple applies.
        price: Per unit; None where every interval has its own price, or a minimum changes inside the window.
        amount: Money.
        metered_kw: On lines of demand, the demand as metered, before ratchet and contract.
    """

    component: str
    component_zh: str | None
    kind: str
    period: str
    tier: int | None
    part: str | None
    days: Window | None
    quantity: Decimal
    unit: str
    factor: Decimal
    price: Decimal | None
    amount: Decimal
    metered_kw: Decimal | None


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of a calendar month or of a billing period.

    Attributes:
        customer_key: Who.
        window: Local days that the bill covers.
        tariff_id: Tariff.
        tariff_version: Its version.
        tariff_name: Its name for people.
        tariff_name_zh: The same in Chinese, if the tariff gives it.
        currency: Of all amounts.
        lines: What adds up.
        total: Sum of the lines; rounded here if the tariff rounds per total.
        rounding: Where money was rounded.
        kwh: Energy of the window.
        peak_kw: Largest interval power of the window.
        interval_count: Intervals of the window that were read.
        expected_interval_count: Intervals that the window has; zero where that is not known.
        missing: What was done about intervals that were not read.
        is_verified: Whether every price of the tariff is verified.
        vat_included: Whether prices include value-added tax; None where not known.
        notes: What the tariff wants a reader of its bills to know.
    """

    customer_key: str
    window: Window
    tariff_id: str
    tariff_version: str
    tariff_name: str
    tariff_name_zh: str | None
    currency: str
    lines: tuple[BillLine, ...]
    total: Decimal
    rounding: Rounding
    kwh: Decimal
    peak_kw: Decimal
    interval_count: int
    expected_interval_count: int
    missing: MissingIntervals
    is_verified: bool
    vat_included: bool | None
    notes: tuple[str, ...]

    @property
    def month(self) -> date:
        """First day of the window."""
        return self.window.first

    @property
    def coverage_pct(self) -> Decimal | None:
        """Share of the window's intervals that were read, in %; None where not known."""
        if self.expected_interval_count == 0:
            return None
        return Decimal(100 * self.interval_count) / self.expected_interval_count

    def amount_by_component(self) -> dict[str, Decimal]:
        """Return the sum of the lines of each component."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            sums[line.component] = sums.get(line.component, Decimal(0)) + line.amount
        return sums

    def to_text(self, language: Language = "en") -> str:
        """Return the bill as plain text, in English or Chinese."""
        return bill_text(self, language)

    def to_html(self, language: Language = "en") -> str:
        """Return the bill as one self-contained HTML page, in English or Chinese."""
        return bill_html(self, language)


def bill_from_cube(
    tariff: Tariff,
    cube: LoadCube,
    customer_key: str,
    month: date,
    customers: CustomerTable | None = None,
    *,
    missing: MissingIntervals = "as_zero",
) -> Bill:
    """Return the bill of one customer and month from the load cube.

    Args:
        tariff: The tariff.
        cube: Loads; earlier months of the same year are used by tiers that count from 1 January.
        customer_key: Who.
        month: First day of the month.
        customers: See ``price_cube``.
        missing: What to do about intervals that were not read.
    """
    own = cube.take(np.array([customer_key], dtype=object))
    check_scale(own, customers)
    return bill_of(price_cube(tariff, own, customers, missing=missing), customer_key, month)


def bill_from_intervals(
    tariff: Tariff,
    readings: pd.DataFrame | pl.DataFrame,
    customer_key: str,
    month: date,
    *,
    interval_minutes: int,
    time_zone: str,
    days: DayCalendar,
    series: Mapping[str, pd.DataFrame | pl.DataFrame] | None = None,
    customers: CustomerTable | None = None,
    opening_kwh: Decimal | None = None,
    missing: MissingIntervals = "as_zero",
) -> Bill:
    """Return the bill of one customer and month from interval readings; arguments as in ``price_intervals``.

    For a billing period, take it with ``bill_of`` out of the bills of ``price_billing_periods``.
    """
    frame = readings if isinstance(readings, pl.DataFrame) else pl.from_pandas(readings)
    own = frame.filter(pl.col("customer_key").cast(pl.String) == customer_key)
    if own.is_empty():
        raise SchemaMismatchError(f"readings: none of customer {customer_key}")
    bills = price_intervals(
        tariff,
        own,
        interval_minutes=interval_minutes,
        time_zone=time_zone,
        days=days,
        series=series,
        customers=customers,
        opening_kwh=None if opening_kwh is None else {customer_key: opening_kwh},
        missing=missing,
    )
    return bill_of(bills, customer_key, month)


def bill_of(bills: BillArray, customer_key: str, first_day: date) -> Bill:
    """Return one bill out of an array of bills.

    Args:
        bills: Bills of any customers and windows on one tariff.
        customer_key: Who.
        first_day: First day of the month or billing period.

    Raises:
        SchemaMismatchError: There is no such bill, or nothing was read in its window.
    """
    found = np.flatnonzero(bills.customer_keys == customer_key)
    if not found.size or first_day not in bills.months:
        starts = ", ".join(f"{day}" for day in bills.months[:3]) + (", …" if len(bills.months) > 3 else "")
        raise SchemaMismatchError(
            f"no bill of customer {customer_key} that begins on {first_day}; there are bills from {starts}"
            if found.size
            else f"no bill of customer {customer_key} is among these"
        )
    row, column = int(found[0]), bills.months.index(first_day)
    if not bills.is_priced[row, column]:
        raise SchemaMismatchError(f"customer {customer_key} has no reading in {first_day:%Y-%m}: nothing to bill")
    tariff, load = bills.tariff, bills.load
    read, expected = (
        load.sum_by_window(counts) for counts in (load.cube.interval_count, load.cube.expected_interval_count)
    )
    lines = (_line(bills, line, row, column) for line in bills.lines)
    return Bill(
        customer_key=customer_key,
        window=bills.windows[column],
        tariff_id=tariff.tariff_id,
        tariff_version=tariff.version,
        tariff_name=tariff.name,
        tariff_name_zh=tariff.name_zh,
        currency=tariff.currency,
        lines=tuple(line for line in lines if line is not None),
        total=from_scaled(bills.total_units[row, column], bills.unit_decimals),
        rounding=tariff.rounding,
        kwh=from_scaled(load.kwh()[row, column], QUANTITY_DECIMALS),
        peak_kw=from_scaled(load.peak_kw()[row, column], QUANTITY_DECIMALS),
        interval_count=int(read[row, column]),
        expected_interval_count=int(expected[row, column]),
        missing=bills.missing,
        is_verified=tariff.is_verified,
        vat_included=tariff.vat_included,
        notes=tariff.notes,
    )


def _line(bills: BillArray, line: LineArray, row: int, column: int) -> BillLine | None:
    """Return a line of one bill; None where it charges for nothing."""

    def cell(values: IntArray, decimals: int) -> Decimal:
        return from_scaled(np.broadcast_to(values, bills.is_priced.shape)[row, column], decimals)

    applies = np.broadcast_to(line.applies, bills.is_priced.shape)[row, column]
    quantity = cell(line.quantity, QUANTITY_DECIMALS)
    is_empty = line.amount.units[row, column] == 0 and line.amount.rest[row, column] == 0
    if not applies or quantity == 0 or (is_empty and isinstance(line.component, MinimumComponent)):
        return None
    decimals = bills.unit_decimals
    amount = cell(line.amount.units, decimals) + cell(line.amount.rest, line.amount.rest_decimals + decimals)
    if bills.tariff.rounding.scope == "line":
        amount = amount.quantize(Decimal(1).scaleb(-decimals))
    return BillLine(
        component=line.component.name,
        component_zh=line.component.name_zh,
        kind=line.component.kind,
        period=line.period,
        tier=line.tier,
        part=line.part,
        days=None if line.days is None or line.days[column] == bills.windows[column] else line.days[column],
        quantity=quantity,
        unit=line.unit,
        factor=Decimal(1) if line.factor is None else cell(line.factor, FACTOR_DECIMALS),
        price=None if line.price is None else cell(line.price, PRICE_DECIMALS),
        amount=amount,
        metered_kw=None if line.metered is None else cell(line.metered, QUANTITY_DECIMALS),
    )
