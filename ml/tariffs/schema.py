"""The tariff model: what a tariff can say, and refusal of what it cannot say precisely.

A tariff is a list of components whose amounts add up, in the order written. ``docs/tariffs.md`` states every rule in
full; those that hold for every tariff:

* Prices are in the tariff's currency per kWh, kW, kVA, day, month or year, with at most eight decimals.
* A price table may start on any local day; exactly one table applies to every day of the validity.
* Amounts are rounded half away from zero, to ``rounding.decimals``, per line or once per bill as ``rounding.scope`` says.
* Demand is the largest mean power of an interval.
* Unknown fields are refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS, Calendar, MonthNumber, month_starts
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS
from ml.tariffs.refusals import prefixed, refusals_of

CustomerClass = Literal["residential", "commercial", "industrial", "agricultural"]
VoltageLevel = Literal["lt1kV", "1-10(20)kV", "35kV", "110kV", "220kV+"]
SupplyRoute = Literal["catalogue", "agency", "retail_market", "wholesale_market"]
BillingBasis = Literal["capacity", "contracted_demand", "actual_demand"]
TierBasis = Literal["month", "year", "day", "daily_allowance", "kwh_per_kw", "kwh_per_kva"]
Allocation = Literal["single_ladder", "prorata", "chronological", "ladder_per_period"]

Price = Annotated[Decimal, Field(decimal_places=PRICE_DECIMALS, allow_inf_nan=False)]
TierPrices = Annotated[
    tuple[Price, ...], BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,))
]
Quantity = Annotated[Decimal, Field(decimal_places=QUANTITY_DECIMALS, gt=0, allow_inf_nan=False)]
Limits = tuple[Quantity, ...]
Factor = Annotated[Decimal, Field(decimal_places=FACTOR_DECIMALS, ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Share = Annotated[Decimal, Field(decimal_places=FACTOR_DECIMALS, gt=0, le=1, allow_inf_nan=False)]
Percent = Annotated[Decimal, Field(decimal_places=PRICE_DECIMALS - 2, allow_inf_nan=False)]
RatchetPercent = Annotated[Decimal, Field(decimal_places=FACTOR_DECIMALS - 2, ge=0, le=100, allow_inf_nan=False)]

_NUMBER = re.compile(r"-?\d+(\.\d{1,8})?")
_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MONTHS_CHECKED_AFTER_LAST_CHANGE = 12


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Model):
    """Limits of a number; every limit that is given must hold.

    Attributes:
        gt: The number is larger than this.
        ge: The number is this or larger.
        lt: The number is smaller than this.
        le: The number is this or smaller.
    """

    gt: Decimal | None = None
    ge: Decimal | None = None
    lt: Decimal | None = None
    le: Decimal | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        lower = max((limit for limit in (self.gt, self.ge) if limit is not None), default=None)
        upper = min((limit for limit in (self.lt, self.le) if limit is not None), default=None)
        if lower is None and upper is None:
            raise ValueError("give at least one of gt, ge, lt, le")
        if lower is not None and upper is not None and lower > upper:
            raise ValueError(f"no number is above {lower} and below {upper}")
        return self

    def contains(self, value: float) -> bool:
        """Return whether ``value`` keeps every limit."""
        return (
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    def __str__(self) -> str:
        signs = (("above", self.gt), ("from", self.ge), ("below", self.lt), ("up to", self.le))
        return " and ".join(f"{sign} {limit}" for sign, limit in signs if limit is not None)


class Eligibility(_Model):
    """Who may take the tariff; an empty list or an absent bound restricts nothing.

    Attributes:
        customer_classes: Classes of use.
        voltage_levels: Levels at which the customer is supplied.
        supply_routes: By whom the energy is bought.
        capacity_kva: Bounds of the contracted transformer capacity.
    """

    customer_classes: tuple[CustomerClass, ...] = ()
    voltage_levels: tuple[VoltageLevel, ...] = ()
    supply_routes: tuple[SupplyRoute, ...] = ()
    capacity_kva: Bounds | None = None


class Rounding(_Model):
    """Where money is rounded: every line, or only the total of a bill.

    Attributes:
        scope: ``line`` rounds every line, and the total is their sum; ``total`` rounds once.
        decimals: Of the money; halves are rounded away from zero.
    """

    scope: Literal["line", "total"] = "line"
    decimals: Annotated[int, Field(ge=0, le=4)] = 2


class DatedTable(_Model):
    """Validity of a price table: local days from ``valid_from`` to ``valid_to``, both included, in ``months``.

    Attributes:
        valid_from: First local day; that of the tariff by default.
        valid_to: Last local day; that of the tariff by default.
        months: Calendar months in which the table applies.
    """

    valid_from: date | None = None
    valid_to: date | None = None
    months: tuple[MonthNumber, ...] = tuple(range(1, 13))

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.valid_from is not None and self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to: {self.valid_to} is before valid_from {self.valid_from}")
        return self

    def applies_to(self, day: date) -> bool:
        """Return whether the table prices a local day."""
        return (
            day.month in self.months
            and (self.valid_from is None or day >= self.valid_from)
            and (self.valid_to is None or day <= self.valid_to)
        )

    @property
    def changes(self) -> tuple[date, ...]:
        """Days on which the table begins to apply or no longer applies, apart from the months it names."""
        ends = () if self.valid_to is None else (_day_after(self.valid_to),)
        return ends if self.valid_from is None else (self.valid_from, *ends)


class PeriodPrices(DatedTable):
    """Prices per kWh by period (or ``all``), and by tier where the component has tiers.

    A single number stands for the same price in every tier.

    Attributes:
        prices: Prices by period.
        limits_kwh: Limits of the tiers while this table applies, in place of those of the component.
        limits_kwh_by_period: The same where every period has a ladder of its own.
    """

    prices: dict[str, TierPrices] = Field(min_length=1)
    limits_kwh: Limits = ()
    limits_kwh_by_period: dict[str, Limits] | None = None

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        _check_limits(self.limits_kwh, self.limits_kwh_by_period)
        return self


class UnitPrice(DatedTable):
    """One price.

    Attributes:
        price: Per kW, kVA, day, month or year, as the component says.
    """

    price: Price


class Tiers(_Model):
    """Blocks of consumption, each with its own price.

    Attributes:
        basis: Over what consumption is counted: ``month``, calendar ``year`` or local ``day``; ``daily_allowance`` is a
            month whose limits are multiplied by its days, ``kwh_per_kw`` and ``kwh_per_kva`` a month whose limits are
            multiplied by its largest kW and by the contracted kVA.
        limits_kwh: Upper limits of all tiers but the last, rising, in kWh (per day, kW or kVA as ``basis`` says). What
            lies exactly on a limit belongs below it.
        limits_kwh_by_period: Instead of ``limits_kwh``, limits of each period's own ladder.
        allocation: Which kWh of which period belong to which tier. ``single_ladder`` counts all kWh on one ladder and
            needs one price for all periods; ``prorata`` splits each tier's kWh over the periods in proportion to the
            periods' kWh; ``chronological`` lets the intervals climb one ladder in order of time;
            ``ladder_per_period`` counts every period on a ladder of its own.
    """

    basis: TierBasis
    limits_kwh: Limits = ()
    limits_kwh_by_period: dict[str, Limits] | None = None
    allocation: Allocation = "single_ladder"

    @model_validator(mode="after")
    def _says_how_to_count(self) -> Self:
        _check_limits(self.limits_kwh, self.limits_kwh_by_period)
        if bool(self.limits_kwh) == (self.limits_kwh_by_period is not None):
            raise ValueError("limits_kwh: give either limits_kwh or limits_kwh_by_period, with at least one limit")
        if self.basis == "day" and self.allocation == "prorata":
            raise ValueError("allocation: `prorata` splits the kWh of a month; with basis `day` use `chronological`")
        return self


def _check_limits(limits_kwh: Limits, limits_kwh_by_period: Mapping[str, Limits] | None) -> None:
    ladders = {"limits_kwh": limits_kwh}
    for period, limits in (limits_kwh_by_period or {}).items():
        ladders[f"limits_kwh_by_period.{period}"] = limits
    for path, limits in ladders.items():
        _check_rising(limits, path)


def _check_rising(limits: Limits, path: str) -> None:
    for index, (lower, upper) in enumerate(pairwise(limits)):
        if upper <= lower:
            raise ValueError(f"{path}[{index + 1}]: must be larger than {lower}, found {upper}")


class _Component(_Model):
    """Common to all components.

    Attributes:
        kind: What is charged, and by which rule.
        name: Shown on the bill; unique in the tariff.
        name_zh: The same in Chinese.
        billing_basis: If given, the component is billed only to customers who chose this basis.
    """

    name: Name
    name_zh: str | None = None
    billing_basis: BillingBasis | None = None


class EnergyComponent(_Component):
    """A price per kWh by period and tier. Several energy components add up, as surcharges and time-of-use adders do.

    Attributes:
        tiers: How kWh are counted into tiers; none by default.
        tables: Prices.
    """

    kind: Literal["energy"]
    tiers: Tiers | None = None
    tables: tuple[PeriodPrices, ...] = Field(min_length=1)

    def limits_kwh(self, table: PeriodPrices, period: str) -> Limits:
        """Return the limits of a period's ladder while ``table`` applies; none without tiers."""
        if self.tiers is None:
            return ()
        for source in (table, self.tiers):
            if source.limits_kwh_by_period is not None:
                return source.limits_kwh_by_period.get(period, ())
            if source.limits_kwh:
                return source.limits_kwh
        return ()


class BandPrices(DatedTable):
    """The two parts of a price per kWh: ``fixed``, and ``floating`` that is multiplied by the band's factor.

    Attributes:
        fixed: The part that is the same in every period.
        floating: The part that is multiplied by the period's factor.
        factors: Factors by period while this table applies, in place of those of the component.
    """

    fixed: Price
    floating: Price
    factors: dict[str, Factor] | None = None


class BandEnergyComponent(_Component):
    """A price per kWh of ``fixed + factor * floating`` with a factor for each period, as in Chinese time-of-use prices.

    Attributes:
        factors: Factor of each period; a table may bring its own.
        tables: Fixed and floating part of the price.
    """

    kind: Literal["band_energy"]
    factors: dict[str, Factor] = Field(min_length=1)
    tables: tuple[BandPrices, ...] = Field(min_length=1)


class SeriesValues(_Model):
    """The values of a price series, when the tariff brings them along.

    Attributes:
        starts_at: Instant at which the first value begins to hold.
        interval_minutes: How long each value holds.
        values: Band names, or prices per kWh as decimal numbers, one after the other without gaps.
    """

    starts_at: AwareDatetime
    interval_minutes: Annotated[int, Field(gt=0)]
    values: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda values: [str(v) for v in values] if isinstance(values, list | tuple) else values),
        Field(min_length=1),
    ]

    @property
    def ends_at(self) -> datetime:
        """Instant at which the last value ceases to hold."""
        return self.starts_at + timedelta(minutes=self.interval_minutes * len(self.values))


class EnergySeriesComponent(_Component):
    """A price per kWh that a time series gives for every interval: by band name, or as a number.

    Attributes:
        series: Name of the series; it is supplied with the readings, or stands in ``values``.
        values: The series itself, where the tariff brings it along.
        bands: Price of each band where the series holds band names; without it the series holds prices per kWh.
        multiplier: Factor on a price series.
        adder: Added to the multiplied price.
        cap: Highest price.
        floor: Lowest price; without it prices may be negative.
        cover_share: Share of every interval's energy that is bought at ``cover_price``; the series prices the rest.
        cover_price: Price per kWh of that share.
    """

    kind: Literal["energy_series"]
    series: Name
    values: SeriesValues | None = None
    bands: dict[str, Price] | None = None
    multiplier: Factor = Decimal(1)
    adder: Price = Decimal(0)
    cap: Price | None = None
    floor: Price | None = None
    cover_share: Share | None = None
    cover_price: Price | None = None

    @model_validator(mode="after")
    def _formula_is_for_numbers(self) -> Self:
        is_formula = self.multiplier != 1 or self.adder != 0 or self.cap is not None or self.floor is not None
        if (self.cover_share is None) != (self.cover_price is None):
            raise ValueError("cover_share: a cover needs both cover_share and cover_price")
        if self.bands is not None and self.cover_share is not None:
            raise ValueError("bands: cover_share applies to a series of prices, not of bands")
        if self.bands is not None and is_formula:
            raise ValueError("bands: multiplier, adder, cap and floor apply to a series of prices, not of bands")
        if self.cap is not None and self.floor is not None and self.cap < self.floor:
            raise ValueError(f"cap: {self.cap} is below the floor {self.floor}")
        return self

    @model_validator(mode="after")
    def _values_have_a_price(self) -> Self:
        for value in dict.fromkeys(() if self.values is None else self.values.values):
            if self.bands is None and not _NUMBER.fullmatch(value):
                raise ValueError(f"values.values: `{value}` is not a price; name the price of each band in `bands`")
            if self.bands is not None and value not in self.bands:
                raise ValueError(f"values.values: `{value}` is not one of the bands {', '.join(self.bands)}")
        return self


class LoadFactorDiscount(_Model):
    """A factor on the demand price in months whose kWh per kVA reach a threshold (China's 260 rule).

    Attributes:
        kwh_per_kva: The threshold; a month that reaches it has the discount.
        factor: On the price.
    """

    kwh_per_kva: Quantity = Decimal(260)
    factor: Factor = Decimal("0.9")


class Ratchet(_Model):
    """A demand of earlier months below which the billed demand does not fall.

    Billed are ``max(demand, percent of the highest demand of the earlier months, floor_kw)``.

    Attributes:
        percent: Of the highest demand of the earlier months.
        range_months: How many months before the billed one are looked at.
        months: Calendar months whose demand counts, among those.
        periods: Price periods whose demand counts; those of the component by default.
        floor_kw: Lowest billed demand.
        missing_history: Whether a month whose earlier months are not all known is refused, or billed on the known ones.
    """

    percent: RatchetPercent
    range_months: Annotated[int, Field(ge=1, le=24)] = 11
    months: tuple[MonthNumber, ...] = tuple(range(1, 13))
    periods: tuple[Name, ...] | None = None
    floor_kw: Quantity | None = None
    missing_history: Literal["refuse", "use_known"] = "refuse"


class DemandPrice(DatedTable):
    """A price per kW, or prices by tier of demand.

    Attributes:
        price: Of every kW.
        prices: Of the kW in each tier, lowest tier first.
        limits_kw: Upper limits of all tiers but the last, rising.
    """

    price: Price | None = None
    prices: tuple[Price, ...] = ()
    limits_kw: Limits = ()

    @model_validator(mode="after")
    def _is_one_price_or_several(self) -> Self:
        if (self.price is None) == (not self.prices):
            raise ValueError("price: give either price, or prices with limits_kw")
        if len(self.limits_kw) != max(len(self.prices) - 1, 0):
            raise ValueError(f"limits_kw: {len(self.prices)} prices need {max(len(self.prices) - 1, 0)} limits")
        _check_rising(self.limits_kw, "limits_kw")
        return self

    @property
    def tier_prices(self) -> tuple[Price, ...]:
        """Prices of all tiers, lowest tier first."""
        return self.prices if self.price is None else (self.price,)


class DemandComponent(_Component):
    """A price per kW of the month's largest demand, in all or in named periods.

    Time-of-use demand is several components, one for each period; their charges add up.

    Attributes:
        periods: Price periods whose demand counts; all by default.
        interval_minutes: Minutes over which demand is measured; the readings' own interval by default.
        ratchet: Share of earlier demand that is billed at least.
        discount: Factor on the price in months of high use.
        tables: Prices.
    """

    kind: Literal["demand"]
    periods: tuple[Name, ...] = ()
    interval_minutes: Literal[15, 30, 60] | None = None
    ratchet: Ratchet | None = None
    discount: LoadFactorDiscount | None = None
    tables: tuple[DemandPrice, ...] = Field(min_length=1)


class ContractedDemandComponent(_Component):
    """A price per kW of agreed demand, and a multiple of it for what exceeds the tolerance.

    ``c = max(contracted_kw, floor_share_of_kva * kVA)``; billed are ``c`` at the price, and
    ``max(0, maximum - tolerance * c)`` at ``excess_multiplier`` times the price.

    Attributes:
        floor_share_of_kva: Share of the capacity that is billed at least.
        tolerance: Multiple of the billed demand up to which nothing more is charged.
        excess_multiplier: Multiple of the price for what lies above the tolerance.
        discount: Factor on the price in months of high use.
        tables: Prices per kW and month.
    """

    kind: Literal["contracted_demand"]
    floor_share_of_kva: Factor = Decimal("0.4")
    tolerance: Annotated[Factor, Field(ge=1)] = Decimal("1.05")
    excess_multiplier: Annotated[Factor, Field(ge=1)] = Decimal(2)
    discount: LoadFactorDiscount | None = None
    tables: tuple[UnitPrice, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _factors_stay_exact(self) -> Self:
        if self.discount is not None:
            product = (self.excess_multiplier * self.discount.factor).normalize()
            if -int(product.as_tuple().exponent) > FACTOR_DECIMALS:
                raise ValueError(
                    f"discount.factor: times excess_multiplier it is {product}, more than {FACTOR_DECIMALS} decimals"
                )
        return self


class CapacityComponent(_Component):
    """A price per kVA of transformer capacity and month.

    Attributes:
        tables: Prices.
    """

    kind: Literal["capacity"]
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


class FixedComponent(_Component):
    """An amount that does not depend on use; a negative price is a credit.

    Attributes:
        per: ``day`` counts real days; ``mean_day`` counts 365 / 12 = 30.4167 days every month; ``month``; ``year`` is
            spread over the months at a twelfth of the price each, or charged whole in ``charged_in_month``.
        charged_in_month: Calendar month whose bill carries the whole year's price.
        tables: Prices.
    """

    kind: Literal["fixed"]
    per: Literal["month", "day", "mean_day", "year"]
    charged_in_month: MonthNumber | None = None
    tables: tuple[UnitPrice, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _month_is_for_years(self) -> Self:
        if self.charged_in_month is not None and self.per != "year":
            raise ValueError(f"charged_in_month: applies to a price per year, not per {self.per}")
        return self


class MinimumComponent(_Component):
    """Tops the bill up to a minimum.

    Attributes:
        per: ``month``, real ``day``, or calendar ``year``, which is settled in the bill that holds 31 December.
        covers: Components that count towards it, by name; empty means all that stand before it.
        tables: Minimum amounts.
    """

    kind: Literal["minimum"]
    per: Literal["month", "day", "year"] = "month"
    covers: tuple[Name, ...] = ()
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


class PowerFactorStep(_Model):
    """The adjustment from a power factor up to the next step.

    Attributes:
        at_least: Power factor from which the step holds.
        percent: Adjustment in percent; negative for a reward.
    """

    at_least: Annotated[Decimal, Field(decimal_places=2, ge=0, le=1, allow_inf_nan=False)]
    percent: Percent


class PowerFactorComponent(_Component):
    """A reward or surcharge in percent of other components, by the month's power factor.

    Attributes:
        standard: One of China's three standards, 0.90, 0.85 or 0.80, with its table.
        table: Instead of a standard, an own table with falling ``at_least``, the last of them zero.
        base: Components of whose amounts the percentage is taken, by name.
    """

    kind: Literal["power_factor"]
    standard: Annotated[Decimal, Field(decimal_places=2)] | None = None
    table: tuple[PowerFactorStep, ...] = ()
    base: tuple[Name, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_table(self) -> Self:
        if (self.standard is None) == (not self.table):
            raise ValueError("standard: give either standard or table")
        if self.standard is not None and self.standard not in POWER_FACTOR_STANDARDS:
            raise ValueError(f"standard: {self.standard} is not one of 0.90, 0.85, 0.80; write an own table instead")
        for index, (higher, lower) in enumerate(pairwise(self.table)):
            if lower.at_least >= higher.at_least:
                raise ValueError(
                    f"table[{index + 1}].at_least: must be below {higher.at_least}, found {lower.at_least}"
                )
        if self.table and self.table[-1].at_least != 0:
            raise ValueError(f"table[{len(self.table) - 1}].at_least: the last step must start at 0")
        return self

    def percent_of(self, power_factor: Decimal) -> Decimal:
        """Return the adjustment in percent for a power factor that is rounded to 0.01; negative for a reward."""
        if self.standard is not None:
            return _standard_percent(self.standard, power_factor)
        return next(step.percent for step in self.table if power_factor >= step.at_least)


# Per standard, (from, percent per 0.01): rewards upwards from the standard until the best power factor that still earns
# more, then surcharges downwards. (83) 水电财字第215号.
_REWARDS = {
    Decimal("0.90"): ((Decimal("0.90"), Decimal("0.15")),),
    Decimal("0.85"): ((Decimal("0.85"), Decimal("0.10")), (Decimal("0.90"), Decimal("0.15"))),
    Decimal("0.80"): ((Decimal("0.80"), Decimal("0.10")), (Decimal("0.90"), Decimal("0.15"))),
}
_BEST_POWER_FACTOR = {
    Decimal("0.90"): Decimal("0.95"),
    Decimal("0.85"): Decimal("0.94"),
    Decimal("0.80"): Decimal("0.92"),
}
_SURCHARGES = (
    (Decimal("0"), Decimal("0.5")),
    (Decimal("0.20"), Decimal(1)),
    (Decimal("0.25"), Decimal(2)),
)  # distance below the standard from which each 0.01 costs so much
POWER_FACTOR_STANDARDS = tuple(_REWARDS)


def _standard_percent(standard: Decimal, power_factor: Decimal) -> Decimal:
    cent = Decimal("0.01")
    percent = Decimal(0)
    if power_factor >= standard:
        reached = min(power_factor, _BEST_POWER_FACTOR[standard])
        for (start, step), (end, _) in pairwise((*_REWARDS[standard], (reached, Decimal(0)))):
            percent -= max(min(end, reached) - start, Decimal(0)) / cent * step
        return percent
    distance = standard - power_factor
    for (start, step), (end, _) in pairwise((*_SURCHARGES, (distance, Decimal(0)))):
        percent += max(min(end, distance) - start, Decimal(0)) / cent * step
    return percent


class PercentTable(DatedTable):
    """A percentage.

    Attributes:
        percent: Of the base; negative for a credit.
    """

    percent: Percent


class PercentageComponent(_Component):
    """A surcharge, tax or (negative) credit in percent of other components.

    Attributes:
        base: Components of whose amounts it is taken, by name; empty means all that stand before it.
        tables: Percentages.
    """

    kind: Literal["percentage"]
    base: tuple[Name, ...] = ()
    tables: tuple[PercentTable, ...] = Field(min_length=1)


class ExportComponent(_Component):
    """A price per kWh that is paid to the customer for energy fed into the grid.

    Attributes:
        rule: ``net_billing`` pays for what the meter exports; ``buy_all_sell_all`` is the same arithmetic on a load
            whose ``kwh`` is all that was used and whose ``export_kwh`` is all that was generated.
        tables: Sell prices by period; positive prices lower the bill.
    """

    kind: Literal["export"]
    rule: Literal["net_billing", "buy_all_sell_all"]
    tables: tuple[PeriodPrices, ...] = Field(min_length=1)


class NetMetering(_Model):
    """Exported energy is taken off the energy bought in the same price period of the month.

    Attributes:
        carry_over: What becomes of a period's surplus: ``forfeit`` at the month's end, or ``next_month``, where it is
            taken off the same period's energy.
        expires_in_month: Calendar month at whose start what is still carried is forfeited; never by default.
    """

    carry_over: Literal["forfeit", "next_month"]
    expires_in_month: MonthNumber | None = None

    @model_validator(mode="after")
    def _only_what_is_carried_expires(self) -> Self:
        if self.carry_over == "forfeit" and self.expires_in_month is not None:
            raise ValueError("expires_in_month: nothing is carried over that could expire")
        return self


Component = Annotated[
    EnergyComponent
    | BandEnergyComponent
    | EnergySeriesComponent
    | DemandComponent
    | ContractedDemandComponent
    | CapacityComponent
    | FixedComponent
    | MinimumComponent
    | PowerFactorComponent
    | PercentageComponent
    | ExportComponent,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Route:
    """How a tariff is priced, and the reason in words."""

    kind: Literal["cube", "intervals"]
    reason: str


_NOT_PRICED = {
    "coincident_demand": "demand at the hour of the system's peak needs that hour, which no load holds",
    "demand_coincident": "demand at the hour of the system's peak needs that hour, which no load holds",
}


class Tariff(_Model):
    """One version of a tariff.

    Attributes:
        tariff_id: Stable over versions.
        version: Unique for the tariff_id.
        name: For people.
        name_zh: The same in Chinese.
        valid_from: First local day.
        valid_to: Last local day; open where absent.
        currency: ISO 4217 code of all prices.
        vat_included: Whether prices include value-added tax; unknown where absent.
        jurisdiction: Where it applies, such as ``CN-SD``.
        eligibility: Who may take it.
        calendar: Price periods; needed only where a component names periods.
        rounding: Where money is rounded.
        proration: What a billing period other than a calendar month is charged of monthly prices and given of monthly
            tier limits: ``by_days``, its share of the days of each month that it touches, or ``none``, one month.
        net_metering: Whether exported energy is taken off the energy bought before that is priced.
        components: What is charged, in this order; amounts add up.
        source: Where the figures come from.
        verified: Whether every figure was read in an official text or agrees between two sources.
        unverified: What is not verified, and why; required unless ``verified``.
        notes: Anything a reader of a bill should know.
    """

    tariff_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    version: Name
    name: Name
    name_zh: str | None = None
    valid_from: date
    valid_to: date | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    vat_included: bool | None = None
    jurisdiction: str | None = None
    eligibility: Eligibility = Eligibility()
    calendar: Calendar | None = None
    rounding: Rounding = Rounding()
    proration: Literal["by_days", "none"] = "by_days"
    net_metering: NetMetering | None = None
    components: tuple[Component, ...] = Field(min_length=1)
    source: tuple[str, ...] = ()
    verified: bool = False
    unverified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuses_by_name_what_is_not_priced(cls, document: Any) -> Any:
        components = document.get("components") if isinstance(document, Mapping) else None
        for index, component in enumerate(components if isinstance(components, list | tuple) else ()):
            kind = component.get("kind") if isinstance(component, Mapping) else None
            if kind in _NOT_PRICED:
                raise ValueError(f"components[{index}].kind: `{kind}` is not priced: {_NOT_PRICED[kind]}")
        return document

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        DatedTable(valid_from=self.valid_from, valid_to=self.valid_to)
        if self.verified and self.unverified:
            raise ValueError("unverified: a verified tariff has nothing unverified; set `verified: false`")
        if not self.verified and not self.unverified:
            raise ValueError("unverified: say what is not verified and why, or set `verified: true`")
        names: set[str] = set()
        problems = []
        for index, component in enumerate(self.components):
            try:
                self._check_in_place(component, f"components[{index}]", names)
            except ValueError as error:
                problems.append(str(error))
            names.add(component.name)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _check_in_place(self, component: "Component", path: str, names_before: set[str]) -> None:
        if component.name in names_before:
            raise ValueError(f"{path}.name: `{component.name}` is used twice")
        self._check_component(component, path, names_before)
        if not isinstance(component, EnergySeriesComponent | PowerFactorComponent):
            self._check_days(component.tables, f"{path}.tables")

    def _check_component(self, component: "Component", path: str, names_before: set[str]) -> None:
        match component:
            case EnergyComponent():
                self._check_energy(component, path)
            case BandEnergyComponent():
                for index, band in enumerate(component.tables):
                    where = f"{path}.factors" if band.factors is None else f"{path}.tables[{index}].factors"
                    self._check_priced_periods(band.factors or component.factors, band, where)
            case EnergySeriesComponent() if self.net_metering is not None:
                raise ValueError(
                    f"{path}.kind: net metering nets a month's kWh, which an interval's own price cannot follow; "
                    "use a component of kind export"
                )
            case DemandComponent():
                self._check_periods(component.periods, f"{path}.periods")
                if component.ratchet is not None:
                    self._check_periods(component.ratchet.periods or (), f"{path}.ratchet.periods")
            case MinimumComponent():
                _check_before(component.covers, names_before, f"{path}.covers")
            case PowerFactorComponent() | PercentageComponent():
                _check_before(component.base, names_before, f"{path}.base")
            case ExportComponent():
                if self.net_metering is not None:
                    raise ValueError(f"{path}.kind: exported energy is either netted (net_metering) or sold, not both")
                for index, table in enumerate(component.tables):
                    where = f"{path}.tables[{index}].prices"
                    self._check_priced_periods(table.prices, table, where)
                    _check_single_prices(table, where)

    def _check_energy(self, component: EnergyComponent, path: str) -> None:
        tiers = component.tiers
        own_ladders = tiers is not None and tiers.allocation == "ladder_per_period"
        if tiers is not None and self.net_metering is not None:
            counts_intervals = tiers.allocation == "chronological" or tiers.basis == "day"
            if counts_intervals:
                raise ValueError(
                    f"{path}.tiers: net metering nets a month's kWh; count tiers by month, not by interval"
                )
        for index, table in enumerate(component.tables):
            where = f"{path}.tables[{index}].prices"
            self._check_priced_periods(table.prices, table, where)
            if tiers is None and (table.limits_kwh or table.limits_kwh_by_period is not None):
                raise ValueError(f"{path}.tables[{index}].limits_kwh: the component has no tiers")
            if tiers is not None and ALL_PERIODS not in table.prices and tiers.allocation == "single_ladder":
                raise ValueError(
                    f"{where}: one ladder for several periods does not say which kWh belong to which tier; "
                    f"use `{ALL_PERIODS}` and a second energy component that adds per period, "
                    "or `allocation: prorata`, `chronological` or `ladder_per_period`"
                )
            ladders = (tiers and tiers.limits_kwh_by_period, table.limits_kwh_by_period)
            if any(ladder is not None for ladder in ladders) and not own_ladders:
                raise ValueError(f"{path}.tiers.limits_kwh_by_period: needs `allocation: ladder_per_period`")
            for period, prices in table.prices.items():
                limits = component.limits_kwh(table, period)
                if tiers is not None and not limits and tiers.limits_kwh_by_period is None:
                    raise ValueError(f"{path}.tables[{index}].limits_kwh_by_period: no limits for `{period}`")
                if len(prices) not in {1, len(limits) + 1}:
                    raise ValueError(f"{where}.{period}: {len(prices)} prices for {len(limits) + 1} tiers")

    def _check_priced_periods(self, priced: Mapping[str, Any], table: DatedTable, where: str) -> None:
        if ALL_PERIODS in priced:
            if len(priced) > 1:
                raise ValueError(f"{where}: `{ALL_PERIODS}` stands for every period; name no other beside it")
            return
        self._check_periods(tuple(priced), where)
        for schedule in () if self.calendar is None else self.calendar.schedules:
            if not set(schedule.months) & set(table.months):
                continue
            for period in (*schedule.periods, schedule.otherwise):
                if period is not None and period not in priced:
                    raise ValueError(f"{where}: no price for period `{period}`")

    def _check_periods(self, periods: tuple[str, ...], where: str) -> None:
        known = () if self.calendar is None else self.calendar.period_names
        for period in periods:
            if period not in known:
                raise ValueError(f"{where}: `{period}` is not a period of the calendar ({', '.join(known) or 'none'})")

    def _check_days(self, tables: tuple[DatedTable, ...], where: str) -> None:
        """Refuse days that no table prices or that two price; tables change at month starts and at their own dates."""
        changes = sorted(day for table in tables for day in table.changes)
        last = max([self.valid_from, *changes])
        last = date(last.year + _MONTHS_CHECKED_AFTER_LAST_CHANGE // 12, last.month, 1)
        if self.valid_to is not None:
            last = min(last, self.valid_to)
        for day in sorted({self.valid_from, *month_starts(self.valid_from, last), *changes}):
            if not self.valid_from <= day <= last:
                continue
            matching = [index for index, table in enumerate(tables) if table.applies_to(day)]
            shown = f"{day:%Y-%m}" if day.day == 1 else f"{day}"
            if not matching:
                raise ValueError(f"{where}: no price for {shown}")
            if len(matching) > 1:
                raise ValueError(f"{where}[{matching[1]}]: prices {shown}, as tables[{matching[0]}] does")

    @property
    def is_verified(self) -> bool:
        """Whether every figure is verified."""
        return self.verified

    @property
    def route(self) -> Route:
        """How the tariff is priced, and why: from the load cube wherever that holds all that the bill depends on."""
        for index, component in enumerate(self.components):
            reason = _reason_for_intervals(component)
            if reason is not None:
                return Route("intervals", f"components[{index}] ({component.name}): {reason}")
        if self.net_metering is not None:
            return Route("intervals", "net_metering: the load cube does not keep exported energy")
        return Route("cube", "every price depends on nothing but month, day type and clock")

    @property
    def requires_intervals(self) -> bool:
        """Whether the load cube does not hold all that the bill depends on; ``route`` says why."""
        return self.route.kind == "intervals"

    @property
    def billing_bases(self) -> tuple[BillingBasis, ...]:
        """Bases of the basic charge between which a customer chooses; empty where there is no choice."""
        return tuple(dict.fromkeys(part.billing_basis for part in self.components if part.billing_basis is not None))

    def is_valid_on(self, day: date) -> bool:
        """Return whether ``day`` lies in the validity."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def to_json(self) -> str:
        """Return the tariff as JSON with prices as exact decimal strings; ``load_tariff`` reads it back."""
        return self.model_dump_json(exclude_defaults=True)


def load_tariff(source: Path | str | Mapping[str, Any]) -> Tariff:
    """Read one tariff.

    Args:
        source: A YAML or JSON file, a JSON or YAML text, or the parsed mapping.

    Raises:
        TariffError: The tariff says something that cannot be priced. The message has a line for every problem, with
            the file, the tariff and the path of the field.
    """
    if isinstance(source, Path):
        document, labels = read_document(source), [source.name]
    elif isinstance(source, str):
        document, labels = _parse(source, "tariff"), []
    else:
        document, labels = source, []
    if not isinstance(document, Mapping):
        found = f"expected a mapping of fields, found {_kind_of(document)}"
        raise TariffError(prefixed([found], *(labels or ["tariff"])))
    try:
        return Tariff.model_validate(document)
    except ValidationError as error:
        labels.append(str(document.get("tariff_id", "tariff")))
        raise TariffError(prefixed(refusals_of(error, Tariff), *labels)) from error


def read_document(path: Path) -> Any:
    """Parse a YAML or JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TariffError(f"{path.name}: cannot be read as UTF-8 text ({error})") from error
    return _parse(text, path.name)


class RepeatedFieldError(ValueError):
    """A field stands twice in one mapping, of which parsers silently keep the last."""


class _Loader(_YAML_LOADER):
    """The safe loader, refusing a field that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        fields = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = [key for key, _ in node.value if fields.count(key.value) > 1]
        if repeated:
            line = repeated[-1].start_mark.line + 1
            raise RepeatedFieldError(f"line {line}: `{repeated[-1].value}` stands twice; keep one of them")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a JSON object.

    Raises:
        RepeatedFieldError: A field stands twice.
    """
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedFieldError(
            f"`{next(name for name in names if names.count(name) > 1)}` stands twice; keep one of them"
        )
    return fields


def _parse(text: str, label: str) -> Any:
    try:
        if text.lstrip().startswith(("{", "[")):
            return json.loads(text, parse_float=Decimal, object_pairs_hook=unique_fields)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except RepeatedFieldError as error:
        raise TariffError(f"{label}: {error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise TariffError(f"{label}: neither valid JSON nor YAML ({error})") from error


def _kind_of(document: object) -> str:
    if isinstance(document, str):
        hint = "; pass a file as a Path" if document.endswith((".yaml", ".yml", ".json")) else ""
        return f"`{document}`{hint}"
    return "nothing" if document is None else type(document).__name__


def _reason_for_intervals(component: Component) -> str | None:
    """Return why the load cube cannot price a component; None if it can."""
    match component:
        case EnergySeriesComponent():
            return "a component of kind energy_series has a price per interval, which the load cube does not keep"
        case ExportComponent():
            return "the load cube does not keep exported energy"
        case DemandComponent(interval_minutes=int(minutes)):
            return (
                f"demand is measured over {minutes} minutes, and the load cube keeps it over the readings' own interval"
            )
        case EnergyComponent(tiers=Tiers(basis="day")):
            return "tiers count every day, which the load cube does not keep"
        case EnergyComponent(tiers=Tiers(allocation="chronological")) if any(
            ALL_PERIODS not in table.prices for table in component.tables
        ):
            return "tiers are climbed in order of time, which the load cube does not keep"
    if isinstance(component, PowerFactorComponent):
        return None
    inside = [day for table in component.tables for day in table.changes if day.day != 1]
    return f"a price changes on {inside[0]}, inside a month" if inside else None


def _check_before(names: tuple[str, ...], names_before: set[str], where: str) -> None:
    for name in names:
        if name not in names_before:
            raise ValueError(f"{where}: no component named `{name}` stands before it")


def _check_single_prices(table: PeriodPrices, where: str) -> None:
    if table.limits_kwh or table.limits_kwh_by_period is not None:
        raise ValueError(f"{where}: exported energy has no tiers; remove the limits")
    for period, prices in table.prices.items():
        if len(prices) > 1:
            raise ValueError(f"{where}.{period}: {len(prices)} prices; exported energy has no tiers")


def _day_after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
