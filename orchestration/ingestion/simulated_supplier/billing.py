"""Which tariff every customer is on, and what the bill engine charges for each month."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.tariffs.catalogue import Catalogue, load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import Tariff, load_tariff
from orchestration.ingestion.simulated_supplier.calendar import days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import NEVER, Population
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import REFORM_MOVED_SHARE, REFORM_PRICE_STRETCH

BLOCKS, BLOCKS_TOU = "sd_res_tier", "sd_res_tier_tou"
SUPPLY_ROUTE = {
    "residential": "catalogue", "agricultural": "catalogue", "commercial": "agency", "industrial": "agency",
}  # fmt: skip
TOU_SHARE = 0.22
TOU_SHARE_OF_VEHICLE_OWNERS = 0.6
TOU_SWITCH_CHANCE_PER_MONTH = 0.003
BILLING_BASES = ("capacity", "contracted_demand", "actual_demand")
BILLING_BASIS_SHARES = (0.4, 0.4, 0.2)
SLOT_MINUTES = 60


def voltage_levels(population: Population) -> np.ndarray:
    """Return the voltage level of every customer's supply."""
    capacity = population.capacity_kva
    return np.select(
        [capacity >= 16_000, capacity >= 6_300, capacity >= 100], ["110kV", "35kV", "1-10(20)kV"], default="lt1kV"
    )


@dataclass(frozen=True)
class Enrolment:
    """One customer on one tariff.

    Attributes:
        row: Row of the customer in the population.
        tariff_id: The tariff.
        first_month: First month index, -1 when from before the simulation or from the registration.
        end_month: First month index in which it no longer holds, NEVER while it lasts.
        billing_basis: Chosen basis of the basic charge, or None.
        contracted_kw: Contracted demand, or None.
    """

    row: int
    tariff_id: str
    first_month: int
    end_month: int
    billing_basis: str | None = None
    contracted_kw: float | None = None


def _business_tariffs(population: Population) -> np.ndarray:
    voltage = voltage_levels(population)
    two_part = np.select(
        [voltage == "110kV", voltage == "35kV"], ["sd_ic_two_110", "sd_ic_two_35"], default="sd_ic_two_10"
    )
    single = np.where(voltage == "lt1kV", "sd_ic_single_lt1", "sd_ic_single_10")
    return np.where(population.two_part, two_part, single)


def enrolments(config: SupplierConfig, population: Population, expected_peak_kw: np.ndarray) -> list[Enrolment]:
    """Return who is on which tariff from when to when, ordered by customer.

    Businesses chose their billing basis and contracted demand years ago, with errors, so advice can save them money.
    """
    draws = stream(config.seed, "enrolments").random((population.size, 6))
    reform = config.scenario_start("tariff_reform")
    business = _business_tariffs(population)
    result: list[Enrolment] = []
    basis_edges = np.cumsum(BILLING_BASIS_SHARES)
    for row in range(population.size):
        customer_class = population.customer_class[row]
        if customer_class == "agricultural":
            result.append(Enrolment(row, "sd_agricultural", -1, NEVER))
        elif customer_class == "residential":
            result.extend(_residential_enrolments(population, row, draws[row], reform))
        elif population.two_part[row]:
            basis = BILLING_BASES[min(int(np.searchsorted(basis_edges, draws[row, 0])), 2)]
            contracted = None
            if basis == "contracted_demand":
                guess = expected_peak_kw[row] * (0.5 + 0.7 * draws[row, 1])
                contracted = float(max(10 * round(guess / 10), 10))
            result.append(Enrolment(row, str(business[row]), -1, NEVER, basis, contracted))
        else:
            result.append(Enrolment(row, str(business[row]), -1, NEVER))
    return result


def _residential_enrolments(
    population: Population, row: int, draws: np.ndarray, reform: int | None
) -> Iterator[Enrolment]:
    likes_tou = TOU_SHARE_OF_VEHICLE_OWNERS if population.vehicle_kw[row] > 0 else TOU_SHARE
    if draws[0] < likes_tou:
        yield Enrolment(row, BLOCKS_TOU, -1, NEVER)
        return
    own_switch = 1 + int(np.log(max(draws[1], 1e-12)) / np.log1p(-TOU_SWITCH_CHANCE_PER_MONTH))
    own_switch += max(int(population.join_month[row]), 0)
    switch = own_switch
    if reform is not None and draws[2] < REFORM_MOVED_SHARE:
        switch = min(own_switch, max(reform, int(population.join_month[row])))
    if switch <= max(int(population.join_month[row]), 0):
        yield Enrolment(row, BLOCKS_TOU, -1, NEVER)
        return
    yield Enrolment(row, BLOCKS, -1, switch)
    yield Enrolment(row, BLOCKS_TOU, switch, NEVER)


def moved_by_reform(config: SupplierConfig, all_enrolments: list[Enrolment]) -> np.ndarray:
    """Return the rows whose tariff changes to time-of-use in the month of a reform."""
    reform = config.scenario_start("tariff_reform")
    if reform is None:
        return np.zeros(0, dtype=np.int64)
    return np.array([item.row for item in all_enrolments if item.first_month == reform], dtype=np.int64)


def supplier_catalogue(config: SupplierConfig) -> Catalogue:
    """Return the tariffs that the supplier bills: the built-in ones, and their new version after a reform."""
    built_in = load_catalogue()
    reform = config.scenario_start("tariff_reform")
    if reform is None:
        return built_in
    reform_month = config.month_at(reform)
    tariffs: list[Tariff] = []
    for tariff in built_in.tariffs:
        if tariff.tariff_id == BLOCKS_TOU:
            tariffs.extend(_reformed(tariff, reform_month))
        else:
            tariffs.append(tariff)
    return Catalogue.of(tariffs)


def _reformed(tariff: Tariff, reform_month: dt.date) -> list[Tariff]:
    """Split a tariff at the reform; afterwards its time-of-use differences are wider."""
    before = json.loads(tariff.to_json())
    after = json.loads(tariff.to_json())
    before["valid_to"] = (reform_month - dt.timedelta(days=1)).isoformat()
    after["valid_from"] = reform_month.isoformat()
    after["version"] = f"reform-{reform_month:%Y-%m}"
    for component in after["components"]:
        for table in component["tables"]:
            prices = table.get("prices", {})
            for period in prices.keys() - {"all"}:
                values = prices[period] if isinstance(prices[period], list) else [prices[period]]
                prices[period] = [str(round(float(value) * REFORM_PRICE_STRETCH, 4)) for value in values]
    return [load_tariff(before), load_tariff(after)]


@dataclass(frozen=True)
class MeteredCube:
    """What the registers counted, by month.

    Attributes:
        kwh: Energy in 0.0001 kWh, shape (customers, months, day types, slots of an hour).
        peak_kw: Largest interval power in 0.0001 kW, likewise.
        kvarh: Reactive energy, shape (customers, months).
        supplied: Whether the customer was supplied in a month, likewise.
    """

    kwh: np.ndarray
    peak_kw: np.ndarray
    kvarh: np.ndarray
    supplied: np.ndarray


def opening_kwh(config: SupplierConfig, population: Population) -> np.ndarray:
    """Return the energy from 1 January to the start that annual blocks begin with, in 0.0001 kWh.

    The simulation has no readings before its start; the customer's usual level stands for them.
    """
    start_day = days_since_1970(config.start_month)
    january = days_since_1970(config.start_month.replace(month=1))
    days = np.clip(start_day - np.maximum(population.registered_day, january), 0, None)
    weather_share = 1.15
    return np.rint(population.annual_kwh * weather_share * days / 365 * 10_000).astype(np.int64)


def monthly_cents(
    config: SupplierConfig, population: Population, cube: MeteredCube, all_enrolments: list[Enrolment]
) -> np.ndarray:
    """Return the bill of every customer and month in hundredths of the currency, zero without supply."""
    months = [config.month_at(index) for index in range(config.months)]
    catalogue = supplier_catalogue(config)
    keys = np.array(population.customer_ids(), dtype=object)
    opening = opening_kwh(config, population)
    cents = np.zeros((population.size, config.months), dtype=np.int64)
    by_tariff: dict[str, list[Enrolment]] = {}
    for enrolment in all_enrolments:
        if enrolment.first_month < config.months:
            by_tariff.setdefault(enrolment.tariff_id, []).append(enrolment)
    for tariff_id, items in sorted(by_tariff.items()):
        rows = np.array([item.row for item in items])
        options = CustomerTable.from_frame(
            pd.DataFrame(
                {
                    "customer_key": keys[rows],
                    "contract_capacity_kva": population.capacity_kva[rows],
                    "billing_basis": [item.billing_basis for item in items],
                    "contracted_kw": [item.contracted_kw for item in items],
                }
            ).astype({"contracted_kw": float})
        )
        first = np.array([item.first_month for item in items])
        end = np.array([item.end_month for item in items])
        holds = (np.arange(config.months) >= first[:, None]) & (np.arange(config.months) < end[:, None])
        for version in (item for item in catalogue.tariffs if item.tariff_id == tariff_id):
            valid = np.array([version.is_valid_on(month) for month in months])
            if not valid.any():
                continue
            span = slice(int(np.argmax(valid)), int(np.argmax(valid)) + int(valid.sum()))
            load = LoadCube.from_arrays(
                keys[rows],
                months[span],
                kwh=cube.kwh[rows, span],
                peak_kw=cube.peak_kw[rows, span],
                slot_minutes=SLOT_MINUTES,
                present=cube.supplied[rows, span],
                kvarh=cube.kvarh[rows, span],
                opening_kwh=_opening_at(span.start, months, opening[rows], cube.kwh[rows]),
            )
            units = price_cube(version, load, options).total_units
            cents[rows[:, None], np.arange(config.months)[span][None, :]] += np.where(holds[:, span], units, 0)
    return cents


def _opening_at(start: int, months: list[dt.date], opening: np.ndarray, kwh: np.ndarray) -> np.ndarray:
    """Return the energy of the calendar year before the month at ``start``."""
    total = opening.copy()
    for index in range(start):
        if months[index].month == 1:
            total[:] = 0
        total += kwh[:, index].sum(axis=(1, 2))
    return np.zeros_like(total) if months[start].month == 1 else total
