"""The tariff model: what a tariff can say, and refusal of what it cannot say precisely.

A tariff is a list of components whose amounts add up. Rules that hold for every tariff:

* Prices are in the tariff's currency per kWh, kW, kVA, day or month, with at most eight decimals.
* A price table applies to whole local calendar months; exactly one table applies to every month of the validity.
* Amounts are rounded half away from zero, to ``rounding.decimals``, per line or once per bill as ``rounding.scope`` says.
* Demand is the largest power of an interval reading in the month.
* Unknown fields are refused.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS, Calendar, MonthNumber, month_starts, next_month
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS

CustomerClass = Literal["residential", "commercial", "industrial", "agricultural"]
VoltageLevel = Literal["lt1kV", "1-10(20)kV", "35kV", "110kV", "220kV+"]
SupplyRoute = Literal["catalogue", "agency", "retail_market", "wholesale_market"]
BillingBasis = Literal["capacity", "contracted_demand", "actual_demand"]

Price = Annotated[Decimal, Field(decimal_places=PRICE_DECIMALS, allow_inf_nan=False)]
TierPrices = Annotated[
    tuple[Price, ...], BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,))
]
Quantity = Annotated[Decimal, Field(decimal_places=QUANTITY_DECIMALS, gt=0, allow_inf_nan=False)]
Factor = Annotated[Decimal, Field(decimal_places=FACTOR_DECIMALS, ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100)]

_NUMBER = re.compile(r"-?\d+(\.\d{1,8})?")
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MONTHS_CHECKED_AFTER_LAST_CHANGE = 12


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Model):
    """Limits of a number; every limit that is given must hold."""

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
    """Who may take the tariff; an empty list or an absent bound restricts nothing."""

    customer_classes: tuple[CustomerClass, ...] = ()
    voltage_levels: tuple[VoltageLevel, ...] = ()
    supply_routes: tuple[SupplyRoute, ...] = ()
    capacity_kva: Bounds | None = None


class Rounding(_Model):
    """Where money is rounded: every line, or only the total of a bill."""

    scope: Literal["line", "total"] = "line"
    decimals: Annotated[int, Field(ge=0, le=4)] = 2


class _Table(_Model):
    """Validity of a price table: local calendar months, by date and by number."""

    valid_from: date | None = None
    valid_to: date | None = None
    months: tuple[MonthNumber, ...] = tuple(range(1, 13))

    @model_validator(mode="after")
    def _applies_to_whole_months(self) -> Self:
        if self.valid_from is not None and self.valid_from.day != 1:
            raise ValueError(
                f"valid_from: {self.valid_from} is not the first day of a month; prices change at month starts"
            )
        if self.valid_to is not None and next_month(self.valid_to) != _day_after(self.valid_to):
            raise ValueError(f"valid_to: {self.valid_to} is not the last day of a month; prices change at month starts")
        if self.valid_from is not None and self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to: {self.valid_to} is before valid_from {self.valid_from}")
        return self

    def applies_to(self, month: date) -> bool:
        """Return whether the table prices the month that starts on ``month``."""
        return (
            month.month in self.months
            and (self.valid_from is None or month >= self.valid_from)
            and (self.valid_to is None or month <= self.valid_to)
        )


class PeriodPrices(_Table):
    """Prices per kWh by period (or ``all``), and by tier where the component has tiers.

    A single number stands for the same price in every tier.
    """

    prices: dict[str, TierPrices] = Field(min_length=1)


class UnitPrice(_Table):
    """One price."""

    price: Price


class Tiers(_Model):
    """Blocks of consumption, each with its own price.

    Attributes:
        basis: Whether consumption is counted anew every month or from 1 January.
        limits_kwh: Upper limits of all tiers but the last, rising. What lies exactly on a limit belongs below it.
        allocation: ``single_ladder`` counts all kWh on one ladder and needs one price for all periods;
            ``ladder_per_period`` counts every period on a ladder of its own.
    """

    basis: Literal["month", "year"]
    limits_kwh: tuple[Quantity, ...] = Field(min_length=1)
    allocation: Literal["single_ladder", "ladder_per_period"] = "single_ladder"

    @model_validator(mode="after")
    def _limits_rise(self) -> Self:
        for index, (lower, upper) in enumerate(zip(self.limits_kwh, self.limits_kwh[1:], strict=False)):
            if upper <= lower:
                raise ValueError(f"limits_kwh[{index + 1}]: must be larger than {lower}, found {upper}")
        return self


class _Component(_Model):
    """Common to all components.

    Attributes:
        name: Shown on the bill; unique in the tariff.
        name_zh: The same in Chinese.
        billing_basis: If given, the component is billed only to customers who chose this basis.
    """

    name: Name
    name_zh: str | None = None
    billing_basis: BillingBasis | None = None


class EnergyComponent(_Component):
    """A price per kWh by period and tier. Several energy components add up, as surcharges and time-of-use adders do."""

    kind: Literal["energy"]
    tiers: Tiers | None = None
    tables: tuple[PeriodPrices, ...] = Field(min_length=1)


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
    """

    kind: Literal["energy_series"]
    series: Name
    values: SeriesValues | None = None
    bands: dict[str, Price] | None = None
    multiplier: Factor = Decimal(1)
    adder: Price = Decimal(0)
    cap: Price | None = None
    floor: Price | None = None

    @model_validator(mode="after")
    def _formula_is_for_numbers(self) -> Self:
        is_formula = self.multiplier != 1 or self.adder != 0 or self.cap is not None or self.floor is not None
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
    """A factor on the demand price in months whose kWh per kVA reach a threshold (China's 260 rule)."""

    kwh_per_kva: Quantity = Decimal(260)
    factor: Factor = Decimal("0.9")


class DemandComponent(_Component):
    """A price per kW of the month's largest demand, in all or in named periods."""

    kind: Literal["demand"]
    periods: tuple[Name, ...] = ()
    discount: LoadFactorDiscount | None = None
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


class ContractedDemandComponent(_Component):
    """A price per kW of agreed demand, and a multiple of it for what exceeds the tolerance.

    ``c = max(contracted_kw, floor_share_of_kva * kVA)``; billed are ``c`` at the price, and
    ``max(0, maximum - tolerance * c)`` at ``excess_multiplier`` times the price.
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
    """A price per kVA of transformer capacity and month."""

    kind: Literal["capacity"]
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


class FixedComponent(_Component):
    """An amount that does not depend on use.

    Attributes:
        per: ``month``; ``day`` counts the month's real days; ``mean_day`` counts 365 / 12 = 30.4167 days every month.
    """

    kind: Literal["fixed"]
    per: Literal["month", "day", "mean_day"]
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


class MinimumComponent(_Component):
    """Tops the month's amount up to a minimum.

    Attributes:
        covers: Components that count towards it, by name; empty means all that stand before it.
    """

    kind: Literal["minimum"]
    covers: tuple[Name, ...] = ()
    tables: tuple[UnitPrice, ...] = Field(min_length=1)


Component = Annotated[
    EnergyComponent
    | EnergySeriesComponent
    | DemandComponent
    | ContractedDemandComponent
    | CapacityComponent
    | FixedComponent
    | MinimumComponent,
    Field(discriminator="kind"),
]


class Tariff(_Model):
    """One version of a tariff.

    Attributes:
        tariff_id: Stable over versions.
        version: Unique for the tariff_id.
        name: For people.
        name_zh: The same in Chinese.
        valid_from: First local day, a month's first.
        valid_to: Last local day, a month's last; open where absent.
        currency: ISO 4217 code of all prices.
        vat_included: Whether prices include value-added tax; unknown where absent.
        jurisdiction: Where it applies, such as ``CN-SD``.
        eligibility: Who may take it.
        calendar: Price periods; needed only where a component names periods.
        rounding: Where money is rounded.
        components: What is charged; amounts add up.
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
    components: tuple[Component, ...] = Field(min_length=1)
    source: tuple[str, ...] = ()
    verified: bool = False
    unverified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _Table(valid_from=self.valid_from, valid_to=self.valid_to)
        if self.verified and self.unverified:
            raise ValueError("unverified: a verified tariff has nothing unverified; set `verified: false`")
        if not self.verified and not self.unverified:
            raise ValueError("unverified: say what is not verified and why, or set `verified: true`")
        names: set[str] = set()
        for index, component in enumerate(self.components):
            path = f"components[{index}]"
            if component.name in names:
                raise ValueError(f"{path}.name: `{component.name}` is used twice")
            match component:
                case EnergyComponent():
                    self._check_energy(component, path)
                case DemandComponent():
                    self._check_periods(component.periods, f"{path}.periods")
                case MinimumComponent():
                    for covered in component.covers:
                        if covered not in names:
                            raise ValueError(f"{path}.covers: no component named `{covered}` stands before it")
            if not isinstance(component, EnergySeriesComponent):
                self._check_months(component.tables, f"{path}.tables")
            names.add(component.name)
        return self

    def _check_energy(self, component: EnergyComponent, path: str) -> None:
        tier_count = 1 if component.tiers is None else len(component.tiers.limits_kwh) + 1
        for index, table in enumerate(component.tables):
            where = f"{path}.tables[{index}].prices"
            if ALL_PERIODS in table.prices and len(table.prices) > 1:
                raise ValueError(f"{where}: `{ALL_PERIODS}` stands for every period; name no other beside it")
            if ALL_PERIODS not in table.prices:
                self._check_periods(tuple(table.prices), where)
                self._check_no_period_is_forgotten(table, where)
                if component.tiers is not None and component.tiers.allocation == "single_ladder":
                    raise ValueError(
                        f"{where}: one ladder for several periods does not say which kWh belong to which tier; "
                        f"use `{ALL_PERIODS}` and a second energy component that adds per period, "
                        "or `allocation: ladder_per_period`"
                    )
            for period, prices in table.prices.items():
                if len(prices) not in {1, tier_count}:
                    raise ValueError(f"{where}.{period}: {len(prices)} prices for {tier_count} tiers")

    def _check_no_period_is_forgotten(self, table: PeriodPrices, where: str) -> None:
        if self.calendar is None:
            return
        for schedule in self.calendar.schedules:
            if not set(schedule.months) & set(table.months):
                continue
            for period in (*schedule.periods, schedule.otherwise):
                if period is not None and period not in table.prices:
                    raise ValueError(f"{where}: no price for period `{period}`")

    def _check_periods(self, periods: tuple[str, ...], where: str) -> None:
        known = () if self.calendar is None else self.calendar.period_names
        for period in periods:
            if period not in known:
                raise ValueError(f"{where}: `{period}` is not a period of the calendar ({', '.join(known) or 'none'})")

    def _check_months(self, tables: tuple[_Table, ...], where: str) -> None:
        changes = [day for table in tables for day in (table.valid_from, table.valid_to) if day is not None]
        last = max([self.valid_from, *changes])
        last = date(last.year + _MONTHS_CHECKED_AFTER_LAST_CHANGE // 12, last.month, 1)
        if self.valid_to is not None:
            last = min(last, self.valid_to)
        for month in month_starts(self.valid_from, last):
            matching = [index for index, table in enumerate(tables) if table.applies_to(month)]
            if not matching:
                raise ValueError(f"{where}: no price for {month:%Y-%m}")
            if len(matching) > 1:
                raise ValueError(f"{where}[{matching[1]}]: prices {month:%Y-%m}, as tables[{matching[0]}] does")

    @property
    def is_verified(self) -> bool:
        """Whether every figure is verified."""
        return self.verified

    @property
    def requires_intervals(self) -> bool:
        """Whether some price differs between days of one type, so that the load cube cannot price the tariff."""
        return any(isinstance(component, EnergySeriesComponent) for component in self.components)

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
        TariffError: The tariff says something that cannot be priced; the message names each field by its path.
    """
    if isinstance(source, Path):
        document = read_document(source)
        label = source.name
    elif isinstance(source, str):
        document = _parse(source, "tariff")
        label = "tariff"
    else:
        document = source
        label = "tariff"
    if not isinstance(document, Mapping):
        raise TariffError(f"{label}: expected a mapping of fields, found {type(document).__name__}")
    try:
        return Tariff.model_validate(document)
    except ValidationError as error:
        name = document.get("tariff_id", label)
        raise TariffError("\n".join(f"{name}: {message}" for message in _messages(error))) from error


def read_document(path: Path) -> Any:
    """Parse a YAML or JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TariffError(f"{path.name}: cannot be read as UTF-8 text ({error})") from error
    return _parse(text, path.name)


def _parse(text: str, label: str) -> Any:
    try:
        if text.lstrip().startswith(("{", "[")):
            return json.loads(text, parse_float=Decimal)
        return yaml.load(text, Loader=_YAML_LOADER)  # noqa: S506 - a safe loader
    except (ValueError, yaml.YAMLError) as error:
        raise TariffError(f"{label}: neither valid JSON nor YAML ({error})") from error


def _messages(error: ValidationError) -> list[str]:
    messages = []
    details = error.errors(include_url=False)
    for detail in details:
        path = ""
        location = detail["loc"]
        is_echo = detail["type"] == "too_short" and any(
            len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details
        )
        if is_echo:  # the list counts as empty only because its items were refused
            continue
        for position, part in enumerate(location):
            is_union_tag = position >= 2 and location[position - 2] == "components" and isinstance(part, str)
            if isinstance(part, int):
                path += f"[{part}]"
            elif not is_union_tag:
                path += f".{part}" if path else part
        text = detail["msg"].removeprefix("Value error, ")
        if detail["type"] != "value_error":
            messages.append(f"{path}: {text}")
        else:
            messages.append(f"{path}.{text}" if path else text)
    return messages


def _day_after(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)
