"""One customer's bill of one month: every line with what it was computed from, in decimals that add up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl

from ml.errors import SchemaMismatchError
from ml.tariffs.calendar import ALL_PERIODS, DayCalendar
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, from_scaled
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, price_cube, price_intervals
from ml.tariffs.schema import MinimumComponent, Tariff


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line: ``amount = quantity * factor * price``, rounded as the tariff says.

    The line of a minimum shows the minimum as its price, and as its amount what the lines before it lack to reach it.

    Attributes:
        component: Name of the tariff component.
        component_zh: The same in Chinese, if the tariff gives it.
        period: Price period, or ``all``.
        tier: Number of the tier from 1, where there are tiers.
        quantity: What is charged.
        unit: Unit of the quantity.
        factor: One unless a discount or a multiple applies.
        price: Per unit; None where every interval has its own price.
        amount: Money.
    """

    component: str
    component_zh: str | None
    period: str
    tier: int | None
    quantity: Decimal
    unit: str
    factor: Decimal
    price: Decimal | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """A month's bill.

    Attributes:
        customer_key: Who.
        month: First day of the local month.
        tariff_id: Tariff.
        tariff_version: Its version.
        currency: Of all amounts.
        lines: What adds up.
        total: Sum of the lines; rounded here if the tariff rounds per total.
        kwh: Energy of the month.
        peak_kw: Largest interval power of the month.
        coverage_pct: Share of the month's intervals that were read.
        is_verified: Whether every price of the tariff is verified.
    """

    customer_key: str
    month: date
    tariff_id: str
    tariff_version: str
    currency: str
    lines: tuple[BillLine, ...]
    total: Decimal
    kwh: Decimal
    peak_kw: Decimal
    coverage_pct: float
    is_verified: bool

    def amount_by_component(self) -> dict[str, Decimal]:
        """Return the sum of the lines of each component."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            sums[line.component] = sums.get(line.component, Decimal(0)) + line.amount
        return sums

    def to_text(self) -> str:
        """Return the bill as plain text, one row per line."""
        rows = [("", "quantity", "unit", "factor", "price", f"amount {self.currency}")]
        for line in self.lines:
            label = line.component
            if line.period != ALL_PERIODS:
                label += f", {line.period}"
            if line.tier is not None:
                label += f", tier {line.tier}"
            rows.append(
                (
                    label,
                    f"{line.quantity.normalize():f}",
                    line.unit,
                    "" if line.factor == 1 else f"{line.factor.normalize():f}",
                    "" if line.price is None else f"{line.price.normalize():f}",
                    f"{line.amount:f}",
                )
            )
        rows.append(("Total", "", "", "", "", f"{self.total:f}"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        body = [
            "  ".join(
                cell.ljust(width) if column in {0, 2} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        tariff = f"tariff {self.tariff_id} ({self.tariff_version})"
        heading = f"Bill of {self.month:%B %Y}, customer {self.customer_key}, {tariff}"
        energy, peak = self.kwh.normalize(), self.peak_kw.normalize()
        use = f"{energy:f} kWh, peak {peak:f} kW, {self.coverage_pct:.1f} % of intervals read"
        warning = [] if self.is_verified else ["Prices are not verified: for demonstration only."]
        return "\n".join([heading, use, *warning, "", *body, ""])


def bill_from_cube(
    tariff: Tariff, cube: LoadCube, customer_key: str, month: date, customers: CustomerTable | None = None
) -> Bill:
    """Return the bill of one customer and month from the load cube.

    Args:
        tariff: The tariff.
        cube: Loads; earlier months of the same year are used by tiers that count from 1 January.
        customer_key: Who.
        month: First day of the month.
        customers: See ``price_cube``.
    """
    own = cube.take(np.array([customer_key], dtype=object))
    return bill_of(price_cube(tariff, own, customers), own, customer_key, month)


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
) -> Bill:
    """Return the bill of one customer and month from interval readings; arguments as in ``price_intervals``."""
    frame = readings if isinstance(readings, pl.DataFrame) else pl.from_pandas(readings)
    own = frame.filter(pl.col("customer_key").cast(pl.String) == customer_key)
    cube = LoadCube.from_intervals(own, interval_minutes=interval_minutes, time_zone=time_zone, days=days)
    bills = price_intervals(
        tariff,
        own,
        interval_minutes=interval_minutes,
        time_zone=time_zone,
        days=days,
        series=series,
        customers=customers,
        opening_kwh=None if opening_kwh is None else {customer_key: opening_kwh},
    )
    return bill_of(bills, cube, customer_key, month)


def bill_of(bills: BillArray, cube: LoadCube, customer_key: str, month: date) -> Bill:
    """Return one bill out of an array of bills that were priced from ``cube``."""
    found = np.flatnonzero(bills.customer_keys == customer_key)
    if not found.size or month not in bills.months:
        raise SchemaMismatchError(f"no bill of customer {customer_key} for {month:%Y-%m}")
    row, column = int(found[0]), bills.months.index(month)
    if not bills.is_priced[row, column]:
        raise SchemaMismatchError(f"customer {customer_key} has no reading in {month:%Y-%m}: nothing to bill")
    decimals = bills.unit_decimals
    lines = []
    for line in bills.lines:
        applies = np.broadcast_to(line.applies, bills.is_priced.shape)[row, column]
        quantity = from_scaled(line.quantity[row, column], QUANTITY_DECIMALS)
        is_empty = line.amount.units[row, column] == 0 and line.amount.rest[row, column] == 0
        if not applies or quantity == 0 or (is_empty and isinstance(line.component, MinimumComponent)):
            continue
        money = from_scaled(line.amount.units[row, column], decimals)
        money += from_scaled(line.amount.rest[row, column], line.amount.rest_decimals + decimals)
        if bills.tariff.rounding.scope == "line":
            money = money.quantize(Decimal(1).scaleb(-decimals))
        lines.append(
            BillLine(
                component=line.component.name,
                component_zh=line.component.name_zh,
                period=line.period,
                tier=line.tier,
                quantity=quantity,
                unit=line.unit,
                factor=Decimal(1)
                if line.factor is None
                else from_scaled(np.broadcast_to(line.factor, bills.is_priced.shape)[row, column], FACTOR_DECIMALS),
                price=None
                if line.price is None
                else from_scaled(np.broadcast_to(line.price, bills.is_priced.shape)[row, column], PRICE_DECIMALS),
                amount=money,
            )
        )
    return Bill(
        customer_key=customer_key,
        month=month,
        tariff_id=bills.tariff.tariff_id,
        tariff_version=bills.tariff.version,
        currency=bills.tariff.currency,
        lines=tuple(lines),
        total=from_scaled(bills.total_units[row, column], decimals),
        kwh=from_scaled(cube.month_kwh()[row, column], QUANTITY_DECIMALS),
        peak_kw=from_scaled(cube.month_peak_kw()[row, column], QUANTITY_DECIMALS),
        coverage_pct=float(cube.coverage_pct[row, column]),
        is_verified=bills.tariff.is_verified,
    )
