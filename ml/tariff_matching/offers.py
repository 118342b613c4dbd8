"""What each customer may take, with every choice of options, and what it costs on a given load.

A column is a tariff with one choice of options (billing basis, contracted demand). The columns are the same for all
customers of a computation; which of them a customer may take is a mask. Contracted demands are the customer's own
numbers: the one agreed today, and shares of the largest demand of the past months.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_KEY
from ml.errors import TariffError
from ml.splits import add_months
from ml.tariff_matching.blocks import BLOCKS_COUNT, FACTOR_SCALE
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import (
    BoolArray,
    FloatArray,
    IntArray,
    carried_forward,
    carried_prices,
    class_codes,
    districts_of,
    interval_amount_arrays,
    redated,
    window,
)
from ml.tariff_matching.forecast import LoadForecast, ScenarioCube
from ml.tariff_matching.similar_customers import KnownOfCustomers
from ml.tariffs.eligibility import CustomerTable, ineligibility_reasons
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, price_cube
from ml.tariffs.schema import (
    BillingBasis,
    CapacityComponent,
    ContractedDemandComponent,
    DemandComponent,
    EnergyComponent,
    MinimumComponent,
    PowerFactorComponent,
    Tariff,
)

CONTRACTED = "contracted_demand"
Options: TypeAlias = dict[str, str | float | dict[str, float]]

MonthlyChoice: TypeAlias = dict[int, npt.NDArray[np.intp]]
"""For every column with a contract by month: the column of the whole-year contract that stands for each calendar month,
(customers, 12)."""
PLAIN_KINDS = ("energy", "capacity", "contracted_demand", "demand", "fixed")
PLAIN_TIERS = ("month", "year")

SHIFTS_IN_MONTHS = (0, -12, 12, -24, 24, -36, 36)
"""A month outside of a tariff's validity takes the prices of the same month of the nearest year inside."""


@dataclass(frozen=True, slots=True)
class OfferColumn:
    """A tariff with one choice of options.

    Attributes:
        tariff: The tariff.
        billing_basis: Chosen basis of the basic charge, where the tariff has several.
        contracted_level: Share of the largest demand free of excess charge that is contracted; ``None`` for the
            contract of today, or where nothing is contracted.
        is_monthly: Whether a demand is contracted for each month by itself.
    """

    tariff: Tariff
    billing_basis: BillingBasis | None = None
    contracted_level: float | None = None
    is_monthly: bool = False

    def options(self, contracted_kw: float, by_month: Mapping[str, float] | None = None) -> Options:
        """Return the options to choose, as they are shown to the customer.

        Args:
            contracted_kw: Contracted demand of the whole year.
            by_month: Contracted demand of each month (``2026-10``), for a column with one for each.
        """
        if self.billing_basis is None:
            return {}
        if self.billing_basis != CONTRACTED:
            return {"billing_basis": self.billing_basis}
        if self.is_monthly:
            return {"billing_basis": self.billing_basis, "contracted_kw_by_month": dict(by_month or {})}
        return {"billing_basis": self.billing_basis, "contracted_kw": float(contracted_kw)}


@dataclass(frozen=True, slots=True)
class NotPriced:
    """A tariff that is left out for one customer.

    Attributes:
        tariff_id: The tariff.
        reason: Why, in words.
    """

    tariff_id: str
    reason: str


@dataclass(frozen=True)
class Situation:
    """Customers at one decision: what is known, what they may take, what they have.

    Attributes:
        features: Prepared rows, one per customer.
        classes: Class code of every customer; 0 also where the class is not known, for nothing is offered there.
        customers: Facts for eligibility and pricing.
        history: Loads of the months before the decision.
        carried: The same, carried forward to the months after it.
        columns: Offers.
        contracted_kw: Contracted demand per customer and column, NaN where there is none.
        is_offered: Whether a customer may take a column, or has it today.
        current: Column of today's tariff and options, -1 where it is not known.
        interval_amounts: Given bills of tariffs that need interval prices, by tariff, for the months of ``history``.
        unpriced: Tariffs that cannot be priced for anybody, with the reason.
    """

    features: pd.DataFrame
    classes: npt.NDArray[np.intp]
    customers: CustomerTable
    history: LoadCube
    carried: LoadCube
    columns: tuple[OfferColumn, ...]
    contracted_kw: FloatArray
    is_offered: BoolArray
    current: npt.NDArray[np.intp]
    interval_amounts: Mapping[str, FloatArray]
    unpriced: tuple[NotPriced, ...]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def districts(self) -> npt.NDArray[np.object_]:
        """District of every customer, ``None`` where it is not known."""
        return districts_of(self.features)

    def part(self, rows: npt.NDArray[np.intp]) -> "Situation":
        """Return some of the customers."""
        return replace(
            self,
            features=self.features.iloc[rows].reset_index(drop=True),
            classes=self.classes[rows],
            customers=self.customers.aligned_to(self.customers.customer_keys[rows]),
            history=self.history.take(rows),
            carried=self.carried.take(rows),
            contracted_kw=self.contracted_kw[rows],
            is_offered=self.is_offered[rows],
            current=self.current[rows],
            interval_amounts={name: amounts[rows] for name, amounts in self.interval_amounts.items()},
        )

    def monthly_columns(self) -> dict[int, list[int]]:
        """Return, for every column with a contract by month, the columns whose months it is put together from."""
        return {
            number: [
                other
                for other, candidate in enumerate(self.columns)
                if candidate.tariff is column.tariff and candidate.contracted_level is not None
            ]
            for number, column in enumerate(self.columns)
            if column.is_monthly
        }

    def contracted_by_month(self, choice: MonthlyChoice, number: int, row: int) -> dict[str, float]:
        """Return a customer's contracted demand of each coming month, for a column with a contract by month."""
        return {
            f"{month:%Y-%m}": float(self.contracted_kw[row, choice[number][row, month.month - 1]])
            for month in self.carried.months
        }


@dataclass(frozen=True)
class WindowBills:
    """Bills of a window.

    Attributes:
        amounts: Per customer and column, NaN where not offered or not priced. A column with a contract by month has
            NaN until ``with_monthly`` fills it.
        components: Amounts per component name and column, NaN likewise; filled on request only.
        months: Months of the window.
        by_month: For columns that others are put together from, amounts per customer and month.
        components_by_month: The same per component name; filled on request only.
    """

    amounts: FloatArray
    components: list[dict[str, FloatArray]] = field(default_factory=list)
    months: tuple[date, ...] = ()
    by_month: dict[int, FloatArray] = field(default_factory=dict)
    components_by_month: dict[int, dict[str, FloatArray]] = field(default_factory=dict)

    def cheapest_months(self, situation: Situation) -> MonthlyChoice:
        """Return the contracts that would have cost least in each month, by calendar month."""
        choice = {}
        for number, parts in situation.monthly_columns().items():
            stacked = np.stack([self.by_month.get(part, np.full(self._shape, np.inf)) for part in parts])
            stacked = np.where(np.isfinite(stacked), stacked, np.inf)
            choice[number] = _by_calendar_month(np.array(parts)[stacked.argmin(axis=0)], self.months)
        return choice

    def with_monthly(self, choice: MonthlyChoice) -> "WindowBills":
        """Return the bills with the columns that have a contract by month, for the given contracts.

        Exact, because the contract of a month enters the bill of that month only.
        """
        amounts, components = self.amounts.copy(), [dict(one) for one in self.components]
        rows = np.arange(len(amounts))
        for number, columns in choice.items():
            total = np.zeros(len(amounts))
            by_component: dict[str, FloatArray] = {}
            for position, month in enumerate(self.months):
                chosen = columns[:, month.month - 1]
                for part in np.unique(chosen):
                    members = rows[chosen == part]
                    if part not in self.by_month:
                        total[members] = np.nan
                        continue
                    total[members] += self.by_month[part][members, position]
                    for name, values in self.components_by_month.get(part, {}).items():
                        by_component.setdefault(name, np.zeros(len(amounts)))[members] += values[members, position]
            amounts[:, number] = total
            if components:
                components[number] = by_component
        return replace(self, amounts=amounts, components=components)

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.amounts), len(self.months)


def current_tariffs(tariffs: Sequence[Tariff], on_date: date) -> list[Tariff]:
    """Return the version of every tariff that is valid on a day, ordered by id."""
    valid = [tariff for tariff in tariffs if tariff.is_valid_on(on_date)]
    return sorted(valid, key=lambda tariff: tariff.tariff_id)


def build_situation(
    features: pd.DataFrame,
    cube: LoadCube,
    tariffs: Sequence[Tariff],
    last_month: date,
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None = None,
    *,
    history_months: int | None = None,
    horizon_months: int | None = None,
) -> Situation:
    """Collect what is known at the end of a month.

    Args:
        features: Prepared rows, one per customer, each with a load in ``cube``.
        cube: Loads; months after ``last_month`` are not looked at.
        tariffs: The catalogue.
        last_month: The last month that is known.
        config: Settings.
        interval_amounts: Bills of tariffs that need interval prices.
        history_months: Months before the decision; the setting by default.
        horizon_months: Months after it; the setting by default.
    """
    keys = features[CUSTOMER_KEY].to_numpy(dtype=object)
    history = window(cube.take(keys), last_month, history_months or config.history_months, config)
    carried = carried_forward(history, horizon_months or config.horizon_months)
    customers = CustomerTable.from_frame(features)
    given = interval_amount_arrays(interval_amounts, keys, history.months)
    columns: list[OfferColumn] = []
    unpriced: list[NotPriced] = []
    # Those that have started when the decision takes effect, so that a new tariff is on offer at once.
    for tariff in current_tariffs(tariffs, last_month):
        reason = _why_not_priced(tariff, history, carried, given)
        if reason is not None:
            unpriced.append(NotPriced(tariff.tariff_id, reason))
            continue
        # Bills from readings are on the basis that the customer has: there is nothing to choose.
        columns += [OfferColumn(tariff)] if tariff.tariff_id in given else _columns_of(tariff, config)
    contracted_kw = _contracted_kw(columns, history, customers)
    current = _current_columns(columns, features, contracted_kw)
    is_offered = np.zeros((len(features), len(columns)), bool)
    classes = class_codes(features)
    is_comparable = history.present.any(axis=1) & (classes >= 0)
    for number, column in enumerate(columns):
        may_take = customers.is_eligible(column.tariff) | (current == number)
        is_offered[:, number] = may_take & is_comparable & can_be_billed(column, customers, contracted_kw[:, number])
        is_offered[:, number] &= is_read_for(column, history)
        if column.tariff.tariff_id in given:
            amounts = given[column.tariff.tariff_id]
            is_offered[:, number] &= (~history.present | np.isfinite(amounts)).all(axis=1)
    current = np.where(
        (current >= 0) & np.take_along_axis(is_offered, np.maximum(current, 0)[:, None], axis=1)[:, 0]
        if columns
        else np.zeros(len(features), bool),
        current,
        -1,
    )
    return Situation(
        features=features,
        classes=np.maximum(classes, 0),
        customers=customers,
        history=history,
        carried=carried,
        columns=tuple(columns),
        contracted_kw=contracted_kw,
        is_offered=is_offered,
        current=current,
        interval_amounts=given,
        unpriced=tuple(unpriced),
    )


def not_priced_for(situation: Situation, tariffs: Sequence[Tariff], row: int) -> list[NotPriced]:
    """Return the tariffs of the catalogue that one customer is not compared on, with the reason."""
    facts = situation.customers.facts(row)
    offered = {
        column.tariff.tariff_id
        for column, is_offered in zip(situation.columns, situation.is_offered[row], strict=True)
        if is_offered
    }
    unpriced = {entry.tariff_id: entry for entry in situation.unpriced}
    entries = []
    for tariff in current_tariffs(tariffs, situation.history.months[-1]):
        if tariff.tariff_id in offered:
            continue
        reasons = ineligibility_reasons(tariff, facts)
        if facts.customer_class is None:
            entries.append(NotPriced(tariff.tariff_id, "customer_class is missing"))
        elif reasons:
            entries.append(NotPriced(tariff.tariff_id, "; ".join(reasons)))
        elif tariff.tariff_id in unpriced:
            entries.append(unpriced[tariff.tariff_id])
        elif not situation.history.present[row].any():
            entries.append(NotPriced(tariff.tariff_id, "no load was read in the months before the decision"))
        else:
            entries.append(NotPriced(tariff.tariff_id, _why_not_billed(situation, tariff, row)))
    return entries


def _why_not_billed(situation: Situation, tariff: Tariff, row: int) -> str:
    """Return what is missing of a customer that a tariff charges for."""
    history, customers = situation.history, situation.customers
    columns = [OfferColumn(tariff, basis) for basis in tariff.billing_bases or (None,)]
    if not any(is_read_for(column, history)[row] for column in columns):
        is_missing = history.present[row] & ~history.is_reactive_metered[row]
        first, *more = [month for month, lacks in zip(history.months, is_missing, strict=True) if lacks]
        months = f"{first:%Y-%m}" + (f" and {len(more)} more" if more else "")
        return f"its power factor needs kvarh of every month, and none were metered in {months}"
    if not any(can_be_billed(column, customers, customers.contracted_kw)[row] for column in columns):
        return "it depends on contract_capacity_kva or contracted_kw, which is missing for the customer"
    if tariff.tariff_id in situation.interval_amounts:
        return f"it needs interval readings ({tariff.route.reason}), and not every month has a bill from them"
    return "a fact that the price depends on is missing for the customer"


def price_column(
    situation: Situation,
    number: int,
    cube: LoadCube,
    rows: npt.NDArray[np.intp],
    choice: MonthlyChoice,
) -> FloatArray:
    """Return the sum of the bills of any loads on one column.

    Args:
        situation: Customers and offers.
        number: The column; not one that needs interval prices.
        cube: Loads in any number.
        rows: Whose facts and contracts every load has.
        choice: Contracted demands by month, for a column with a contract by month.
    """
    if not situation.columns[number].is_monthly:
        bills = bills_of(situation, number, cube, rows, choice)
        return bills.sum_units / 10**bills.unit_decimals
    total = np.zeros(len(cube))
    in_months = choice[number][rows][:, [month.month - 1 for month in cube.months]]
    for part in np.unique(in_months):
        bills = bills_of(situation, int(part), cube, rows, choice)
        total += (bills.total_units * (in_months == part)).sum(axis=1) / 10**bills.unit_decimals
    return total


def bills_of(
    situation: Situation, number: int, cube: LoadCube, rows: npt.NDArray[np.intp], choice: MonthlyChoice
) -> BillArray:
    """Return the bills of any loads; those of a column with a contract by month on its first month's contract.

    Arguments as for ``price_column``.
    """
    numbers = np.arange(len(cube)).astype(object)
    keys = situation.customers.customer_keys[rows]
    customers = replace(situation.customers.aligned_to(keys), customer_keys=numbers)
    if situation.columns[number].is_monthly:
        number = int(choice[number][rows[0], 0])
    contracted_kw = situation.contracted_kw[rows, number]
    return bills_on_offer(situation.columns[number], replace(cube, customer_keys=numbers), customers, contracted_kw)


def price_window(
    situation: Situation,
    cube: LoadCube,
    interval_amounts: Mapping[str, FloatArray],
    *,
    with_components: bool = False,
) -> WindowBills:
    """Price a window of the situation's customers on every column that they may take, exactly.

    Args:
        situation: Customers and offers.
        cube: Loads of the same customers in the same order.
        interval_amounts: Given bills for the months of ``cube``.
        with_components: Whether to keep the amounts by component.
    """
    amounts = np.full(situation.is_offered.shape, np.nan)
    components: list[dict[str, FloatArray]] = [{} for _ in situation.columns]
    by_month: dict[int, FloatArray] = {}
    components_by_month: dict[int, dict[str, FloatArray]] = {}
    parts_of_others = {part for parts in situation.monthly_columns().values() for part in parts}
    has_load = cube.present.any(axis=1)
    for number, column in enumerate(situation.columns):
        rows = np.flatnonzero(situation.is_offered[:, number] & has_load & is_read_for(column, cube))
        if not len(rows) or column.is_monthly:
            continue
        given = interval_amounts.get(column.tariff.tariff_id)
        if given is not None:
            read = cube.present[rows]
            amounts[rows, number] = np.where(read, given[rows], 0.0).sum(axis=1)
            amounts[rows[(read & np.isnan(given[rows])).any(axis=1)], number] = np.nan
            continue
        part = cube if len(rows) == len(cube) else cube.take(rows)
        bills = bills_on_offer(column, part, situation.customers, situation.contracted_kw[rows, number])
        amounts[rows, number] = bills.sum_amount
        scale = 10**bills.unit_decimals
        if number in parts_of_others:
            by_month[number] = _scattered(bills.total_units / scale, rows, len(situation))
        if with_components:
            for name, units in bills.component_units.items():
                values = np.full(len(situation), np.nan)
                values[rows] = units.sum(axis=1) / scale
                components[number][name] = values
                if number in parts_of_others:
                    in_months = _scattered(units / scale, rows, len(situation))
                    components_by_month.setdefault(number, {})[name] = in_months
    return WindowBills(amounts, components, tuple(cube.months), by_month, components_by_month)


@dataclass(frozen=True)
class ScenarioBills:
    """Scenario bills of some customers who may take the same columns.

    Attributes:
        rows: Rows of the situation.
        columns: Columns that all of them may take.
        amounts: (rows, columns, scenarios).
        choice: For columns with a contract by month, the contracts with the lowest expected bill of each month.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    amounts: FloatArray
    choice: MonthlyChoice


def price_scenarios(
    situation: Situation,
    forecast: LoadForecast,
    config: TariffMatchingConfig,
    factors: IntArray | None = None,
    known: KnownOfCustomers | None = None,
) -> Iterator[ScenarioBills]:
    """Price the scenarios of the coming months, a part of the customers at a time.

    Args:
        situation: Customers and offers.
        forecast: Makes the scenarios.
        config: Settings.
        factors: Point forecast to use instead of the forecast's own.
        known: What is known of customers without interval readings, if these are such.
    """
    signatures, inverse = np.unique(situation.is_offered, axis=0, return_inverse=True)
    for code, signature in enumerate(signatures):
        columns = np.flatnonzero(signature)
        members = np.flatnonzero(inverse.ravel() == code)
        if not len(columns):
            continue
        for start in range(0, len(members), config.chunk_customers_count):
            rows = members[start : start + config.chunk_customers_count]
            carried, classes = situation.carried.take(rows), situation.classes[rows]
            if known is None:
                history = situation.history.take(rows)
                if factors is None:
                    own_factors = forecast.block_factors(history, carried, classes, situation.districts[rows])
                else:
                    own_factors = factors[rows]
                scenarios = forecast.scenarios(history, carried, classes, own_factors, config)
            else:
                scenarios = forecast.estimated_scenarios(carried, known.take(rows), classes, config)
            yield _scenario_bills(situation, scenarios, rows, columns)


def options_json(options: Options) -> str:
    """Return the options of an offer as JSON text with sorted keys."""
    return json.dumps(options, sort_keys=True)


def _scenario_bills(
    situation: Situation, scenarios: ScenarioCube, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> ScenarioBills:
    scenarios_count = len(scenarios) // len(rows)
    bills = np.empty((len(rows), len(columns), scenarios_count))
    monthly = {number: parts for number, parts in situation.monthly_columns().items() if number in columns}
    parts_of_others = {part for parts in monthly.values() for part in parts}
    by_month: dict[int, FloatArray] = {}
    for position, number in enumerate(columns):
        column = situation.columns[number]
        if column.is_monthly:
            continue
        if column.tariff.tariff_id in situation.interval_amounts:
            amounts = _interval_scenarios(situation, scenarios, rows, column.tariff.tariff_id)
        else:
            contracted = np.repeat(situation.contracted_kw[rows, number], scenarios_count)
            priced = bills_on_offer(column, scenarios, situation.customers, contracted)
            amounts = priced.sum_units / 10**priced.unit_decimals
            if number in parts_of_others:
                in_months = priced.total_units / 10**priced.unit_decimals
                by_month[int(number)] = in_months.reshape(len(rows), scenarios_count, -1)
        bills[:, position, :] = amounts.reshape(len(rows), scenarios_count)
    choice = {}
    for number, parts in monthly.items():
        # Row by row in memory, so that a mean does not depend on who else is computed.
        priced_parts = np.stack([by_month[part] for part in parts], axis=1)
        best = np.ascontiguousarray(priced_parts.transpose(0, 1, 3, 2)).mean(axis=3).argmin(axis=1)
        chosen = np.take_along_axis(priced_parts, best[:, None, None, :], axis=1)[:, 0]
        bills[:, list(columns).index(number), :] = chosen.sum(axis=2)
        choice[number] = _by_calendar_month(np.array(parts)[best], scenarios.months)
    return ScenarioBills(rows, columns, bills, choice)


def _by_calendar_month(columns: npt.NDArray[np.intp], months: Sequence[date]) -> npt.NDArray[np.intp]:
    """Return columns by calendar month; a month that is not there takes the largest contract."""
    by_calendar_month = np.empty((len(columns), 12), np.intp)
    largest = columns.max(axis=1, initial=0) if columns.shape[1] else np.zeros(len(columns), np.intp)
    for number in range(1, 13):
        position = next((index for index, month in enumerate(months) if month.month == number), None)
        # The largest of the contracts is the one without surprises in a month of which nothing is known.
        by_calendar_month[:, number - 1] = largest if position is None else columns[:, position]
    return by_calendar_month


def _scattered(values: FloatArray, rows: npt.NDArray[np.intp], count: int) -> FloatArray:
    scattered = np.full((count, values.shape[1]), np.nan)
    scattered[rows] = values
    return scattered


def _interval_scenarios(
    situation: Situation, scenarios: ScenarioCube, rows: npt.NDArray[np.intp], tariff_id: str
) -> FloatArray:
    """Return scenario bills of a tariff that needs interval prices: mean prices carried forward, with surprises."""
    given = situation.interval_amounts[tariff_id][rows]
    prices = carried_prices(situation.history.take(rows), given, scenarios.months)
    scenario_kwh = scenarios.month_kwh().reshape(len(rows), -1, len(scenarios.months))
    amounts = scenario_kwh * prices[:, None, :] * scenarios.price_factors(tariff_id)
    return np.ascontiguousarray(amounts).sum(axis=2).ravel()


def bills_on_offer(
    column: OfferColumn, cube: LoadCube, customers: CustomerTable, contracted_kw: FloatArray
) -> BillArray:
    """Price any loads on one offer, exactly.

    Args:
        column: The offer; not one with a contract by month.
        cube: Loads; rows are customers, or scenarios of customers. Months outside of the tariff's validity take the
            prices of the same months of other years.
        customers: Facts of at least these customers.
        contracted_kw: Contracted demand of each row, for an offer that has one.

    Raises:
        TariffError: No year of the tariff's validity holds these months.
    """
    months = months_in_validity(column.tariff, cube.months)
    if months is None:
        raise TariffError(f"{column.tariff.tariff_id}: no year of its validity can price these months")
    if months == cube.months:
        priced = cube
    elif isinstance(cube, ScenarioCube):
        priced = cube.with_months(months)
    else:
        priced = redated(cube, months)
    if column.billing_basis is None:
        return price_cube(column.tariff, priced, customers)
    aligned = customers.aligned_to(cube.customer_keys).with_billing_basis(column.billing_basis)
    if column.billing_basis == CONTRACTED:
        aligned = replace(aligned, contracted_kw=contracted_kw)
    if isinstance(cube, ScenarioCube):
        # Pricing looks customers up by key, which must be unique: every scenario is a customer of its own here.
        numbers = np.arange(len(cube)).astype(object)
        priced = priced.with_keys(numbers) if isinstance(priced, ScenarioCube) else priced
        aligned = replace(aligned, customer_keys=numbers)
    return price_cube(column.tariff, priced, aligned)


def _why_not_priced(
    tariff: Tariff, history: LoadCube, carried: LoadCube, given: Mapping[str, FloatArray]
) -> str | None:
    if tariff.requires_intervals:
        if tariff.tariff_id in given:
            return None
        return f"it needs interval readings ({tariff.route.reason}), and no bills from interval readings were given"
    for cube in (history, carried):
        if months_in_validity(tariff, cube.months) is None:
            return f"valid from {tariff.valid_from} to {tariff.valid_to}, which holds no prices for every month needed"
    if tariff.calendar is not None:
        try:
            for month in range(1, 13):
                tariff.calendar.period_codes(month, history.slot_minutes)
        except TariffError as error:
            return str(error)
    return None if _is_plain(tariff) else _why_not_foretold(tariff, carried)


def _is_plain(tariff: Tariff) -> bool:
    """Return whether energies by period and the month's largest demand are all that the tariff's bills depend on."""
    return all(
        component.kind in PLAIN_KINDS
        and not (isinstance(component, DemandComponent) and (component.ratchet or component.interval_minutes))
        and not (
            isinstance(component, EnergyComponent) and component.tiers and component.tiers.basis not in PLAIN_TIERS
        )
        for component in tariff.components
    )


def _why_not_foretold(tariff: Tariff, carried: LoadCube) -> str | None:
    """Price one scenario of a small load, and return why that is not possible."""
    count = len(carried.months)
    small = LoadCube.from_arrays(
        ["probe"],
        carried.months,
        kwh=np.ones((1, *carried.kwh.shape[1:]), np.int64),
        peak_kw=np.ones((1, *carried.kwh.shape[1:]), np.int64),
        slot_minutes=carried.slot_minutes,
        kvarh=None if carried.kvarh is None else np.zeros((1, count), np.int64),
        opening_kwh=np.zeros(1, np.int64),
    )
    same = np.full((1, count, BLOCKS_COUNT), FACTOR_SCALE, np.int64)
    scenario = ScenarioCube.of(small, np.zeros((1, 1), np.intp), same, same[:, :, 0])
    customer = CustomerTable.from_frame(
        pd.DataFrame({CUSTOMER_KEY: ["probe"], "contract_capacity_kva": [100.0], "contracted_kw": [50.0]})
    )
    try:
        for basis in tariff.billing_bases or (None,):
            bills_on_offer(OfferColumn(tariff, basis), scenario, customer, np.array([50.0]))
    except TariffError as error:
        return f"its coming bills cannot be foretold: {error}"
    return None


def months_in_validity(tariff: Tariff, months: Sequence[date]) -> tuple[date, ...] | None:
    """Return the months whose prices apply: the months themselves, or the same months of other years."""
    priced = []
    for month in months:
        moved = (add_months(month, shift) for shift in SHIFTS_IN_MONTHS)
        valid = next((one for one in moved if tariff.is_valid_on(one)), None)
        if valid is None:
            return None
        priced.append(valid)
    return tuple(priced)


def _columns_of(tariff: Tariff, config: TariffMatchingConfig) -> list[OfferColumn]:
    columns = []
    for basis in tariff.billing_bases or (None,):
        columns.append(OfferColumn(tariff, basis))
        if basis == CONTRACTED:
            columns += [OfferColumn(tariff, basis, level) for level in config.contracted_levels]
            # A minimum of a whole year would tie the months together.
            has_annual_minimum = any(
                isinstance(part, MinimumComponent) and part.per == "year" for part in tariff.components
            )
            may_change = (tariff.jurisdiction or "").startswith(config.monthly_contract_jurisdictions)
            if may_change and not has_annual_minimum:
                columns.append(OfferColumn(tariff, basis, is_monthly=True))
    return columns


def _contracted_kw(columns: Sequence[OfferColumn], history: LoadCube, customers: CustomerTable) -> FloatArray:
    contracted = np.full((len(history), len(columns)), np.nan)
    largest_kw = history.month_peak_kw().max(axis=1, initial=0) / 1e4
    for number, column in enumerate(columns):
        if column.billing_basis != CONTRACTED:
            continue
        if column.contracted_level is None and not column.is_monthly:
            contracted[:, number] = customers.contracted_kw
            continue
        parts = [part for part in column.tariff.components if isinstance(part, ContractedDemandComponent)]
        tolerance = float(parts[0].tolerance)
        floor = np.nan_to_num(customers.contract_capacity_kva) * float(parts[0].floor_share_of_kva)
        level = 1.0 if column.contracted_level is None else column.contracted_level
        wanted = np.ceil(np.round(level * largest_kw / tolerance, 6))
        contracted[:, number] = np.maximum(np.maximum(wanted, np.ceil(floor)), 1.0)
    return contracted


def _current_columns(
    columns: Sequence[OfferColumn], features: pd.DataFrame, contracted_kw: FloatArray
) -> npt.NDArray[np.intp]:
    """Return the column of every customer's tariff and options of today, -1 where the catalogue does not hold it."""
    current = np.full(len(features), -1, np.intp)
    tariff_ids = features["tariff_id"].to_numpy()
    chosen_bases = features["billing_basis"].to_numpy()
    for number, column in enumerate(columns):
        if column.contracted_level is not None or column.is_monthly:
            continue
        matches = tariff_ids == column.tariff.tariff_id
        if column.billing_basis is not None:
            default = column.tariff.billing_bases[0]
            basis = np.array([default if chosen is None else chosen for chosen in chosen_bases], dtype=object)
            matches &= basis == column.billing_basis
            if column.billing_basis == CONTRACTED:
                matches &= contracted_kw[:, number] > 0
        current[matches] = number
    return current


def is_read_for(column: OfferColumn, cube: LoadCube) -> BoolArray:
    """Return for which customers everything was metered that the column charges for, in all months that were read."""
    bases = (None, column.billing_basis)
    components = column.tariff.components
    if not any(isinstance(one, PowerFactorComponent) and one.billing_basis in bases for one in components):
        return np.ones(len(cube), bool)
    return np.asarray((~cube.present | cube.is_reactive_metered).all(axis=1))


def can_be_billed(column: OfferColumn, customers: CustomerTable, contracted_kw: FloatArray) -> BoolArray:
    """Return for which customers every number is known that the column charges for."""
    can = np.ones(len(customers), bool)
    for component in column.tariff.components:
        if component.billing_basis not in (None, column.billing_basis):
            continue
        needs_capacity = (
            isinstance(component, CapacityComponent | ContractedDemandComponent)
            or (isinstance(component, DemandComponent) and component.discount is not None)
            or (
                isinstance(component, EnergyComponent)
                and component.tiers is not None
                and component.tiers.basis == "kwh_per_kva"
            )
        )
        if needs_capacity:
            can &= customers.contract_capacity_kva > 0
        if isinstance(component, ContractedDemandComponent):
            can &= contracted_kw > 0
    return can
