"""Price simulation: what changed or new tariffs do to revenue, to customers and to the peak.

The loads of twelve past months are priced as if they came again: before, each customer on today's tariff; after, those
whom a proposal concerns on the proposed one. Both take the prices of the twelve months that follow; a month outside of
a tariff's validity takes those of the same calendar month of the nearest year inside, so that a tariff which starts
half a year from now is judged by a whole year. Bills are exact, from ``ml.tariffs``. What was not read is not filled
up::

    result = simulate_prices(
        cube.last_months(12), customers, {"a": "sd_res_tier"}, load_catalogue(), [proposal], mode="offer",
        uptake_share=0.3, days=DayCalendar(holidays), responses=[zero_response(), elasticity_set("low", date.today())],
    )
    result.outcomes[0].groups

**Modes.** ``replace``: each proposal is the next version of a tariff, and everybody on that tariff gets it, with the
options chosen today. ``offer``: each proposal is a new tariff beside the present ones; of the customers who may take
it and would have paid less with their present loads, a share does, with the best of its options and, of several
proposals, on the cheapest. Who does is fixed by a hash of the customer's key: a larger share adds customers, and a
customer's choice depends on nobody else.

**System load.** The load cube keeps energy by month, day type and slot and not the course of single days, so the load
of a slot is a mean power: all customers' energy there divided by the hours that the days of this type have in it. The
peak is the largest of these in a month: that of the average day, which is below the peak of the coldest or hottest
day. The largest power of a customer, which charges per kW are made of, is the exact one of the cube.

**Response.** See ``ml.tariff_matching.price_response``. Customers who take an offer decide by the bill without it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_KEY, DAY_TYPES
from ml.errors import InsufficientDataError, TariffError
from ml.splits import add_months
from ml.tariff_matching.features import BoolArray, FloatArray, IntArray, redated
from ml.tariff_matching.offers import OfferColumn, can_be_billed, months_in_validity
from ml.tariff_matching.price_response import ElasticitySet, has_price_periods, respond, slot_prices, zero_response
from ml.tariffs.calendar import DayCalendar, days_in_month
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, offers_of, price_cube
from ml.tariffs.schema import BillingBasis, Tariff

Mode = Literal["replace", "offer"]
MODES: tuple[Mode, ...] = ("replace", "offer")

MONTHS_COUNT = 12
DIMENSIONS = ("all", "customer_class", "voltage_level", "segment", "present_tariff_id")
LARGEST_COUNT = 10
_UNIT_DECIMALS = 4
_UNIT = 10**_UNIT_DECIMALS
_NOT_KNOWN = "not known"
_CHUNK_CUSTOMERS = 500
_QUANTILES = (10, 50, 90)


@dataclass(frozen=True)
class Outcome:
    """What the proposals do under one assumption on response.

    Amounts are in the currency of the simulation over twelve months; a change is after less before, so a negative one
    is a saving of the customer. Percentages are of the amount before.

    Attributes:
        elasticities: The assumption.
        customers: One row per priced customer: ``customer_key``, ``customer_class``, ``voltage_level``, ``segment``,
            ``present_tariff_id``, ``new_tariff_id`` (equal to the present one for those whom no proposal concerns),
            ``is_affected``, ``before_kwh``, ``after_kwh``, ``before_amount``, ``after_amount``, ``change_amount``,
            ``change_pct``.
        revenue: One row per month and one of the year (``month`` is NaT): ``before_amount``, ``after_amount``,
            ``change_amount``, ``change_pct``, ``before_kwh``, ``after_kwh``.
        groups: One row per ``dimension`` and ``value``: ``customers_count``, ``affected_count``, ``winners_count``,
            ``losers_count``, ``unchanged_count``, ``before_amount``, ``after_amount``, ``change_amount``,
            ``change_pct`` of all of the group, and of the affected ``mean_change_amount``, ``mean_change_pct`` and the
            quantiles ``p10_change_amount``, ``p10_change_pct`` and so on, ``largest_saving_amount`` and
            ``largest_increase_amount``.
        largest: The rows of ``customers`` with the largest savings and increases.
        peak: One row per ``scope`` (``system``: every customer with a load; ``affected``) and month of the loads:
            ``before_kw``, ``before_day_type``, ``before_time``, the same after, ``change_kw``, ``change_pct``.
        load: Mean power by ``scope``, ``month``, ``day_type`` and ``time``: ``before_kw``, ``after_kw``.
    """

    elasticities: ElasticitySet
    customers: pd.DataFrame
    revenue: pd.DataFrame
    groups: pd.DataFrame
    largest: pd.DataFrame
    peak: pd.DataFrame
    load: pd.DataFrame

    @property
    def revenue_change_amount(self) -> float:
        """Change of the year's revenue."""
        return float(self.revenue["change_amount"].iloc[-1])


@dataclass(frozen=True)
class PriceSimulation:
    """A finished simulation.

    Attributes:
        mode: How the proposals were assigned.
        uptake_share: Share of those who gain who take an offer.
        currency: Of all amounts.
        load_months: Months whose loads were priced.
        price_months: Months whose prices were asked for.
        present_tariffs: Today's tariffs of the priced customers, by id.
        proposed_tariffs: The proposals.
        outcomes: One per assumption on response, in the order given.
        unpriced: Customers left out of revenue, with ``reason``, ``customers_count`` and ``kwh``. Their load counts in
            the system's.
        notes: What a reader must know, in sentences.
    """

    mode: Mode
    uptake_share: float
    currency: str
    load_months: tuple[date, ...]
    price_months: tuple[date, ...]
    present_tariffs: tuple[Tariff, ...]
    proposed_tariffs: tuple[Tariff, ...]
    outcomes: tuple[Outcome, ...]
    unpriced: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        """Whether every price of every tariff is verified."""
        return all(tariff.verified for tariff in (*self.present_tariffs, *self.proposed_tariffs))


@dataclass(frozen=True)
class _Move:
    """Customers who go from one tariff to another with one choice of options."""

    rows: npt.NDArray[np.intp]
    present: Tariff
    proposed: Tariff
    billing_basis: BillingBasis | None


@dataclass(frozen=True)
class _Population:
    """Customers of a simulation, in the order of the loads.

    Attributes:
        loads: Twelve months, under their own dates.
        customers: Facts and options.
        tariff_ids: Today's tariff or None.
        segments: Segment, or the word for none.
        reasons: Why a customer is not priced, empty for the others.
    """

    loads: LoadCube
    customers: CustomerTable
    tariff_ids: npt.NDArray[np.object_]
    segments: npt.NDArray[np.object_]
    reasons: npt.NDArray[np.object_]

    @property
    def is_priced(self) -> BoolArray:
        return np.array([not reason for reason in self.reasons], bool)


def simulate_prices(
    loads: LoadCube,
    customers: CustomerTable,
    current_tariff_ids: Mapping[str, str | None],
    catalogue: Catalogue,
    proposals: Sequence[Tariff],
    *,
    mode: Mode,
    days: DayCalendar,
    uptake_share: float = 1.0,
    responses: Sequence[ElasticitySet] = (),
    segments: Mapping[str, str] | None = None,
) -> PriceSimulation:
    """Simulate what proposed tariffs do, see the module.

    Args:
        loads: Exactly twelve months of loads.
        customers: Facts and chosen options of at least the customers with loads, any order.
        current_tariff_ids: Today's tariff by customer; customers that are absent have none that is known.
        catalogue: Present tariffs.
        proposals: New versions of present tariffs (``replace``) or new tariffs (``offer``), each id once.
        mode: How customers get to the proposals.
        days: Day types, as the loads were binned by.
        uptake_share: Share of those who would gain from an offer who take it; in mode ``replace`` it must be 1.
        responses: Assumptions on response; none means zero response alone.
        segments: Segment by customer, where known.

    Raises:
        InsufficientDataError: The loads are not twelve months, or nobody can be priced.
        TariffError: A proposal does not fit the mode, concerns nobody, cannot be priced from a load cube, is in another
            currency, or has no prices that a response could compare.
    """
    if len(loads.months) != MONTHS_COUNT:
        raise InsufficientDataError(
            f"a price simulation needs {MONTHS_COUNT} months of loads, a whole year; found {len(loads.months)}"
        )
    present = {tariff.tariff_id: tariff for tariff in catalogue.valid_on(loads.months[-1])}
    price_months = tuple(add_months(month, MONTHS_COUNT) for month in loads.months)
    _check_proposals(proposals, present, mode, uptake_share, price_months)
    population = _population(loads, customers, current_tariff_ids, segments, present, price_months)
    used_ids = {str(name) for name in population.tariff_ids[population.is_priced]}
    used = tuple(present[name] for name in sorted(used_ids))
    currency = _one_currency([*used, *proposals])
    if mode == "replace":
        _check_somebody_is_on(proposals, population)
        population = _without_those_who_lack_facts(population, proposals)
    before_units = np.zeros(loads.present.shape, np.int64)
    for tariff in used:
        rows = _rows_on(population, tariff.tariff_id)
        before_units[rows] = _bill_units(tariff, population.loads.take(rows), population.customers)
    if mode == "replace":
        moves = [
            _Move(_rows_on(population, tariff.tariff_id), present[tariff.tariff_id], tariff, None)
            for tariff in proposals
        ]
    else:
        moves = _takers(population, proposals, present, before_units.sum(axis=1), uptake_share)
    outcomes = tuple(
        _outcome(population, moves, before_units, elasticities, days)
        for elasticities in responses or (zero_response(),)
    )
    return PriceSimulation(
        mode=mode,
        uptake_share=uptake_share,
        currency=currency,
        load_months=loads.months,
        price_months=price_months,
        present_tariffs=used,
        proposed_tariffs=tuple(proposals),
        outcomes=outcomes,
        unpriced=_unpriced_table(population),
        notes=tuple(_notes(population, proposals, mode, moves, price_months)),
    )


def _check_proposals(
    proposals: Sequence[Tariff], present: Mapping[str, Tariff], mode: Mode, uptake_share: float, months: Sequence[date]
) -> None:
    if not 0 <= uptake_share <= 1 or (mode == "replace" and uptake_share != 1):
        raise TariffError(
            f"uptake_share {uptake_share}: must be from 0 to 1, and 1 in mode replace, where everybody on a tariff "
            "gets its next version"
        )
    if not proposals:
        raise TariffError("no tariff is proposed; give at least one")
    ids = [tariff.tariff_id for tariff in proposals]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise TariffError(f"{', '.join(twice)}: proposed more than once; keep one version of each tariff")
    for tariff in proposals:
        is_present = tariff.tariff_id in present
        if mode == "replace" and not is_present:
            raise TariffError(
                f"{tariff.tariff_id}: no present tariff has this id, so there is none to replace; there are: "
                f"{', '.join(sorted(present))}. A new tariff takes the mode `offer`"
            )
        if mode == "offer" and is_present:
            raise TariffError(
                f"{tariff.tariff_id}: a present tariff has this id; give the new tariff an id of its own, or take the "
                "mode `replace`"
            )
        if tariff.requires_intervals:
            raise TariffError(
                f"{tariff.tariff_id}: its price changes from interval to interval, which a load cube cannot price; "
                "simulate tariffs whose prices depend on month, day type and clock"
            )
        if months_in_validity(tariff, months) is None:
            raise TariffError(
                f"{tariff.tariff_id}: valid from {tariff.valid_from} to {tariff.valid_to}, which holds no price for "
                "every calendar month; simulate a whole year"
            )


def _check_somebody_is_on(proposals: Sequence[Tariff], population: _Population) -> None:
    for tariff in proposals:
        if not len(_rows_on(population, tariff.tariff_id)):
            raise TariffError(
                f"nobody with a load that can be priced is on {tariff.tariff_id}, so its new version changes nothing"
            )


def _one_currency(tariffs: Sequence[Tariff]) -> str:
    currencies = sorted({tariff.currency for tariff in tariffs})
    if len(currencies) > 1:
        raise TariffError(f"tariffs in {' and '.join(currencies)} cannot be compared: propose them in one currency")
    return currencies[0]


def _population(
    loads: LoadCube,
    customers: CustomerTable,
    current_tariff_ids: Mapping[str, str | None],
    segments: Mapping[str, str] | None,
    present: Mapping[str, Tariff],
    price_months: Sequence[date],
) -> _Population:
    keys = loads.customer_keys
    aligned = customers.aligned_to(keys)
    tariff_ids = np.array([current_tariff_ids.get(key) for key in keys], object)
    reasons = np.full(len(keys), "", object)
    reasons[~loads.present.any(axis=1)] = "no load was read in the twelve months"
    for tariff_id in {name for name in tariff_ids if name is not None}:
        rows = tariff_ids == tariff_id
        tariff = present.get(tariff_id)
        if tariff is None:
            reasons[rows] = f"on {tariff_id}, which the catalogue does not hold"
        elif tariff.requires_intervals:
            reasons[rows] = f"on {tariff_id}, whose prices change from interval to interval"
        elif months_in_validity(tariff, price_months) is None:
            reasons[rows] = f"on {tariff_id}, whose validity holds no price for every calendar month"
        else:
            reasons[rows & ~_has_facts_for(tariff, aligned)] = f"a fact that {tariff_id} charges by is missing"
    reasons[[name is None for name in tariff_ids]] = "today's tariff is not known"
    population = _Population(
        # The months that precede the priced ones are those of the loads themselves.
        loads=replace(loads, opening_kwh=loads.following_opening_kwh(), _cache={}),
        customers=aligned,
        tariff_ids=tariff_ids,
        segments=np.array([(segments or {}).get(key, _NOT_KNOWN) for key in keys], object),
        reasons=reasons,
    )
    if not population.is_priced.any():
        raise InsufficientDataError(
            f"none of the {len(keys)} customers can be priced: {'; '.join(sorted({str(text) for text in reasons}))}"
        )
    return population


def _without_those_who_lack_facts(population: _Population, proposals: Sequence[Tariff]) -> _Population:
    """Leave out those on a replaced tariff who cannot be billed on its new version."""
    reasons = population.reasons.copy()
    for tariff in proposals:
        lacks = population.is_priced & (population.tariff_ids == tariff.tariff_id)
        lacks &= ~_has_facts_for(tariff, population.customers)
        reasons[lacks] = f"a fact or option that the proposed {tariff.tariff_id} charges by is missing"
    left = replace(population, reasons=reasons)
    _check_somebody_is_on(proposals, left)
    return left


def _has_facts_for(tariff: Tariff, customers: CustomerTable) -> BoolArray:
    """Return for whom a tariff can be billed with the options chosen today."""
    if not tariff.billing_bases:
        return can_be_billed(OfferColumn(tariff), customers, customers.contracted_kw)
    default = tariff.billing_bases[0]
    chosen = np.array([default if basis is None else basis for basis in customers.billing_basis], object)
    has_facts = np.zeros(len(customers), bool)
    for basis in tariff.billing_bases:
        can = can_be_billed(OfferColumn(tariff, basis), customers, customers.contracted_kw)
        has_facts |= (chosen == basis) & can
    return has_facts


def _rows_on(population: _Population, tariff_id: str) -> npt.NDArray[np.intp]:
    return np.flatnonzero(population.is_priced & (population.tariff_ids == tariff_id))


def _bills(
    tariff: Tariff, loads: LoadCube, customers: CustomerTable, billing_basis: BillingBasis | None = None
) -> tuple[BillArray, LoadCube]:
    """Price loads at the prices of the year after, and return the loads under the dates of those prices too."""
    months = months_in_validity(tariff, [add_months(month, MONTHS_COUNT) for month in loads.months])
    if months is None:
        raise TariffError(f"{tariff.tariff_id}: its validity holds no price for every calendar month")
    dated = redated(loads, months)
    chosen = customers if billing_basis is None else customers.with_billing_basis(billing_basis)
    return price_cube(tariff, dated, chosen), dated


def _bill_units(
    tariff: Tariff, loads: LoadCube, customers: CustomerTable, billing_basis: BillingBasis | None = None
) -> IntArray:
    """Return monthly bills in 1e-4 of the currency."""
    bills, _ = _bills(tariff, loads, customers, billing_basis)
    return bills.total_units * 10 ** (_UNIT_DECIMALS - bills.unit_decimals)


def _takers(
    population: _Population,
    proposals: Sequence[Tariff],
    present: Mapping[str, Tariff],
    before_units: IntArray,
    uptake_share: float,
) -> list[_Move]:
    """Return who takes which offer: those who gain by it with the loads as they are, as far as the share goes."""
    offers = offers_of(proposals)
    best_units = before_units.copy()
    best_offer = np.full(len(before_units), -1)
    is_asked = np.zeros(len(before_units), bool)
    for number, offer in enumerate(offers):
        column = OfferColumn(offer.tariff, offer.billing_basis)
        can = population.customers.is_eligible(offer.tariff) & population.is_priced
        can &= can_be_billed(column, population.customers, population.customers.contracted_kw)
        rows = np.flatnonzero(can)
        is_asked |= can
        if not len(rows):
            continue
        loads = population.loads.take(rows)
        units = _bill_units(offer.tariff, loads, population.customers, offer.billing_basis).sum(axis=1)
        is_better = units < best_units[rows]
        best_units[rows[is_better]] = units[is_better]
        best_offer[rows[is_better]] = number
    if not is_asked.any():
        raise TariffError(
            f"nobody may take {', '.join(tariff.tariff_id for tariff in proposals)}: no customer that can be priced "
            "meets the eligibility"
        )
    draws = np.array([_uniform(str(key)) for key in population.loads.customer_keys])
    best_offer[draws >= uptake_share] = -1
    moves = []
    for number, offer in enumerate(offers):
        taken = best_offer == number
        for tariff_id in sorted({str(name) for name in population.tariff_ids[taken]}):
            rows = np.flatnonzero(taken & (population.tariff_ids == tariff_id))
            moves.append(_Move(rows, present[tariff_id], offer.tariff, offer.billing_basis))
    return moves


def _uniform(key: str) -> float:
    """Return a number from 0 to below 1 that belongs to a key, the same in every simulation."""
    digest = hashlib.sha256(b"uptake of an offer:" + key.encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _outcome(
    population: _Population,
    moves: Sequence[_Move],
    before_units: IntArray,
    elasticities: ElasticitySet,
    days: DayCalendar,
) -> Outcome:
    loads = population.loads
    after_units = before_units.copy()
    kwh_after = loads.kwh.copy()
    new_ids = population.tariff_ids.copy()
    is_affected = np.zeros(len(loads), bool)
    for move in moves:
        new_ids[move.rows] = move.proposed.tariff_id
        is_affected[move.rows] = True
        for rows, responded in _responded(population, move, elasticities):
            kwh_after[rows] = responded.kwh
            after_units[rows] = _bill_units(move.proposed, responded, population.customers, move.billing_basis)
    hours = _hours(loads, days)
    power = [("system", _mean_kw(loads.kwh, hours), _mean_kw(kwh_after, hours))]
    if is_affected.any():
        power.append(("affected", _mean_kw(loads.kwh[is_affected], hours), _mean_kw(kwh_after[is_affected], hours)))
    customers = _customer_table(population, new_ids, is_affected, before_units, after_units, kwh_after)
    return Outcome(
        elasticities=elasticities,
        customers=customers,
        revenue=_revenue_table(population, before_units, after_units, kwh_after),
        groups=_group_table(customers),
        largest=_largest(customers),
        peak=pd.concat([_peak_table(scope, loads, before, after) for scope, before, after in power], ignore_index=True),
        load=pd.concat([_load_table(scope, loads, before, after) for scope, before, after in power], ignore_index=True),
    )


def _responded(
    population: _Population, move: _Move, elasticities: ElasticitySet
) -> Iterator[tuple[npt.NDArray[np.intp], LoadCube]]:
    """Yield the loads of those who move after their response, a part of them at a time."""
    substitution, own_price = elasticities.values(population.customers.customer_class[move.rows])
    reacts = (substitution != 0) | (own_price != 0)
    calm = move.rows[~reacts]
    if len(calm):
        yield calm, population.loads.take(calm)
    has_periods = False
    for start in range(0, int(reacts.sum()), _CHUNK_CUSTOMERS):
        chosen = np.flatnonzero(reacts)[start : start + _CHUNK_CUSTOMERS]
        rows = move.rows[chosen]
        loads = population.loads.take(rows)
        before = slot_prices(*_bills(move.present, loads, population.customers))
        after = slot_prices(*_bills(move.proposed, loads, population.customers, move.billing_basis))
        has_periods |= has_price_periods(before) or has_price_periods(after)
        yield rows, respond(loads, before, after, substitution[chosen], own_price[chosen])
    if reacts.any() and not own_price.any() and not has_periods:
        raise TariffError(
            f"{move.present.tariff_id} and {move.proposed.tariff_id}: both have one price at all hours of a day, so a "
            f"substitution between hours has nothing to compare; the elasticity set {elasticities.name!r} needs an own-"
            "price elasticity, or take `zero`"
        )


def _hours(loads: LoadCube, days: DayCalendar) -> FloatArray:
    """Return the hours that a month's days of one type spend in a slot, shape (months, day types)."""
    hours = np.zeros((len(loads.months), len(DAY_TYPES)))
    for index, month in enumerate(loads.months):
        for day in range(1, days_in_month(month) + 1):
            hours[index, DAY_TYPES.index(days.day_type(month.replace(day=day)))] += loads.slot_minutes / 60
    return hours


def _mean_kw(kwh: IntArray, hours: FloatArray) -> FloatArray:
    """Return the mean power of all customers, shape (months, day types, slots); NaN where there is no such day."""
    energy = kwh.sum(axis=0) / 1e4
    is_there = np.broadcast_to(hours[:, :, None] > 0, energy.shape)
    return np.divide(energy, hours[:, :, None], out=np.full(energy.shape, np.nan), where=is_there)


def _peak_table(scope: str, loads: LoadCube, before: FloatArray, after: FloatArray) -> pd.DataFrame:
    columns: dict[str, object] = {"scope": scope, "month": pd.to_datetime(pd.Series(loads.months, dtype=object))}
    for name, by_slot in (("before", before), ("after", after)):
        power = by_slot.reshape(len(loads.months), -1)
        cell = np.nanargmax(power, axis=1)
        columns[f"{name}_kw"] = power[np.arange(len(cell)), cell]
        columns[f"{name}_day_type"] = [DAY_TYPES[index] for index in cell // by_slot.shape[2]]
        columns[f"{name}_time"] = [_clock(int(index), loads.slot_minutes) for index in cell % by_slot.shape[2]]
    table = pd.DataFrame(columns)
    return table.assign(
        change_kw=table["after_kw"] - table["before_kw"], change_pct=_percent(table["after_kw"], table["before_kw"])
    )


def _load_table(scope: str, loads: LoadCube, before: FloatArray, after: FloatArray) -> pd.DataFrame:
    month, day_type, slot = np.nonzero(np.isfinite(before))
    return pd.DataFrame(
        {
            "scope": scope,
            "month": pd.to_datetime(pd.Series(loads.months, dtype=object)).to_numpy()[month],
            "day_type": np.array(DAY_TYPES, object)[day_type],
            "time": [_clock(int(index), loads.slot_minutes) for index in slot],
            "before_kw": before[month, day_type, slot],
            "after_kw": after[month, day_type, slot],
        }
    )


def _customer_table(
    population: _Population,
    new_ids: npt.NDArray[np.object_],
    is_affected: BoolArray,
    before_units: IntArray,
    after_units: IntArray,
    kwh_after: IntArray,
) -> pd.DataFrame:
    facts = population.customers
    before, after = before_units.sum(axis=1), after_units.sum(axis=1)
    table = pd.DataFrame(
        {
            CUSTOMER_KEY: population.loads.customer_keys,
            "customer_class": _texts(facts.customer_class),
            "voltage_level": _texts(facts.voltage_level),
            "segment": population.segments,
            "present_tariff_id": population.tariff_ids,
            "new_tariff_id": new_ids,
            "is_affected": is_affected,
            "before_kwh": population.loads.kwh.sum(axis=(1, 2, 3)) / 1e4,
            "after_kwh": kwh_after.sum(axis=(1, 2, 3)) / 1e4,
            "before_amount": before / _UNIT,
            "after_amount": after / _UNIT,
            "change_amount": (after - before) / _UNIT,
        }
    )
    table = table.assign(change_pct=_percent(table["after_amount"], table["before_amount"]))
    return table[population.is_priced].reset_index(drop=True)


def _revenue_table(
    population: _Population, before_units: IntArray, after_units: IntArray, kwh_after: IntArray
) -> pd.DataFrame:
    rows = population.is_priced
    months = pd.to_datetime(pd.Series([*population.loads.months, None], dtype=object))

    def with_total(values: IntArray, unit: float) -> FloatArray:
        totals: FloatArray = np.append(values, values.sum()) / unit
        return totals

    table = pd.DataFrame(
        {
            "month": months,
            "before_amount": with_total(before_units[rows].sum(axis=0), _UNIT),
            "after_amount": with_total(after_units[rows].sum(axis=0), _UNIT),
            "change_amount": with_total((after_units - before_units)[rows].sum(axis=0), _UNIT),
            "before_kwh": with_total(population.loads.kwh[rows].sum(axis=(0, 2, 3)), 1e4),
            "after_kwh": with_total(kwh_after[rows].sum(axis=(0, 2, 3)), 1e4),
        }
    )
    return table.assign(change_pct=_percent(table["after_amount"], table["before_amount"]))


def _group_table(customers: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for dimension in DIMENSIONS:
        values = customers[dimension] if dimension != "all" else pd.Series("all", index=customers.index)
        for value, group in customers.groupby(values, sort=True):
            rows.append({"dimension": dimension, "value": value, **_group_figures(group)})
    return pd.DataFrame(rows)


def _group_figures(group: pd.DataFrame) -> dict[str, float]:
    affected = group[group["is_affected"]]
    change = affected["change_amount"]
    before, after = group["before_amount"].sum(), group["after_amount"].sum()
    figures: dict[str, float] = {
        "customers_count": len(group),
        "affected_count": len(affected),
        "winners_count": int((change < 0).sum()),
        "losers_count": int((change > 0).sum()),
        "unchanged_count": int((change == 0).sum()),
        "before_amount": round(before, _UNIT_DECIMALS),
        "after_amount": round(after, _UNIT_DECIMALS),
        "change_amount": round(after - before, _UNIT_DECIMALS),
        "change_pct": 100 * (after - before) / before if before else np.nan,
        "mean_change_amount": change.mean(),
        "mean_change_pct": affected["change_pct"].mean(),
    }
    for quantile in _QUANTILES:
        figures[f"p{quantile}_change_amount"] = change.quantile(quantile / 100)
        figures[f"p{quantile}_change_pct"] = affected["change_pct"].quantile(quantile / 100)
    figures["largest_saving_amount"] = abs(min(change.min(), 0.0)) if len(change) else np.nan
    figures["largest_increase_amount"] = max(change.max(), 0.0) if len(change) else np.nan
    return figures


def _largest(customers: pd.DataFrame) -> pd.DataFrame:
    ordered = customers.sort_values(["change_amount", CUSTOMER_KEY], kind="stable")
    savings = ordered[ordered["change_amount"] < 0].head(LARGEST_COUNT)
    increases = ordered[ordered["change_amount"] > 0].tail(LARGEST_COUNT).iloc[::-1]
    return pd.concat([savings, increases], ignore_index=True)


def _unpriced_table(population: _Population) -> pd.DataFrame:
    kwh = population.loads.kwh.sum(axis=(1, 2, 3)) / 1e4
    left_out = sorted((str(reason), float(kwh[row])) for row, reason in enumerate(population.reasons) if reason)
    rows = []
    for reason, entries in groupby(left_out, key=lambda entry: entry[0]):
        amounts = [amount for _, amount in entries]
        rows.append({"reason": reason, "customers_count": len(amounts), "kwh": sum(amounts)})
    return pd.DataFrame(rows, columns=["reason", "customers_count", "kwh"])


def _notes(
    population: _Population, proposals: Sequence[Tariff], mode: Mode, moves: Sequence[_Move], months: Sequence[date]
) -> Iterator[str]:
    months_read = int(population.loads.present[population.is_priced].sum())
    months_all = int(population.is_priced.sum()) * MONTHS_COUNT
    yield (
        f"Loads of {population.loads.months[0]:%Y-%m} to {population.loads.months[-1]:%Y-%m} at the prices of "
        f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}. Of the priced customers' months {months_read / months_all:.1%} were "
        "read; months that were not read are not filled up."
    )
    if mode == "replace":
        for tariff in proposals:
            rows = _rows_on(population, tariff.tariff_id)
            count = int((~population.customers.is_eligible(tariff))[rows].sum())
            if count:
                yield (
                    f"{count} customers on {tariff.tariff_id} do not meet the eligibility of its new version and are "
                    "moved to it all the same."
                )
    elif not moves:
        yield "Nobody takes an offer: no customer who may take one would pay less, or the uptake share is too small."
    unverified = [tariff.tariff_id for tariff in proposals if not tariff.verified]
    if unverified:
        yield f"Not every price of {', '.join(unverified)} is verified against an official text."


def _texts(values: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    return np.array([_NOT_KNOWN if value is None else value for value in values], object)


def _percent(after: pd.Series, before: pd.Series) -> pd.Series:
    return 100 * (after - before) / before.where(before != 0)


def _clock(slot: int, slot_minutes: int) -> str:
    minute = slot * slot_minutes
    return f"{minute // 60:02d}:{minute % 60:02d}"
