"""One run of the simulated world: months of readings first, then the money and the contacts that follow from them."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from orchestration.ingestion.simulated_supplier.behaviour import (
    Bills,
    PaymentBehaviour,
    StressPaths,
    issue_bills,
    pay_bills,
    stress_paths,
)
from orchestration.ingestion.simulated_supplier.billing import (
    Enrolment,
    MeteredCube,
    enrolments,
    monthly_cents,
    moved_by_reform,
)
from orchestration.ingestion.simulated_supplier.calendar import MonthCalendar, days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.load import LoadModel, MonthWeather
from orchestration.ingestion.simulated_supplier.metering import (
    ALIVE,
    BlockReadings,
    MeterChange,
    Metering,
    MeteringMonth,
)
from orchestration.ingestion.simulated_supplier.population import NEVER, Population, build_population, peak_estimate_kw
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import REFORM_VALLEY_SHIFT, recession_load_factor
from orchestration.ingestion.simulated_supplier.service import (
    autopay_months,
    contacts,
    inspections,
    marketing_consents,
    programme_enrolments,
)
from orchestration.ingestion.simulated_supplier.weather import cloudiness, temperatures_c

ORDER_PERSISTENCE = 0.8
ORDER_INNOVATION = 0.035
WORKERS = 2


@dataclass(frozen=True)
class SimulatedMonth:
    """One month of readings.

    Attributes:
        index: Month index.
        calendar: The month.
        temperature_c: Shape (districts, days, slots).
        blocks: Readings block by block, in the order of the customers; may be consumed once.
    """

    index: int
    calendar: MonthCalendar
    temperature_c: np.ndarray
    blocks: Iterator[BlockReadings]


@dataclass(frozen=True)
class Money:
    """What follows from the readings of all months.

    Attributes:
        bills: Bills issued.
        behaviour: How they were paid.
        programmes: Programme enrolments, see ``service.programme_enrolments``.
        consents: Marketing consents, see ``service.marketing_consents``.
        contacts: Service contacts, see ``service.contacts``.
        inspections: Inspections, see ``service.inspections``.
    """

    bills: Bills
    behaviour: PaymentBehaviour
    programmes: pl.DataFrame
    consents: pl.DataFrame
    contacts: pl.DataFrame
    inspections: pl.DataFrame


class Simulation:
    """The simulated world.

    Attributes:
        config: What to simulate.
        population: The customers.
        metering: Their meters.
        stress: Their hidden financial stress.
        enrolments: Their tariffs.
        meter_changes: Meters that began or ended, by month index; complete once all months were read.
    """

    def __init__(self, config: SupplierConfig) -> None:
        """Create the customers."""
        self.config = config
        self.population: Population = build_population(config)
        self.metering = Metering(config, self.population)
        self.stress: StressPaths = stress_paths(config, self.population, config.months + 1)
        self.enrolments: list[Enrolment] = enrolments(
            config, self.population, peak_estimate_kw(self.population.kind, self.population.annual_kwh)
        )
        self.meter_changes: dict[int, list[MeterChange]] = {}
        size = self.population.size
        self._model = LoadModel(config, self.population)
        self._cube = MeteredCube(
            kwh=np.zeros((size, config.months, 3, 24), dtype=np.int64),
            peak_kw=np.zeros((size, config.months, 3, 24), dtype=np.int64),
            kvarh=np.zeros((size, config.months), dtype=np.int64),
            supplied=np.zeros((size, config.months), dtype=bool),
        )
        self._orders = np.zeros(size)
        self._outage_rows: dict[int, np.ndarray] = {}
        self._dead_meter_rows: dict[int, np.ndarray] = {}

    def months(self) -> Iterator[SimulatedMonth]:
        """Yield the months in order; each one's blocks must be consumed before the next is asked for."""
        config = self.config
        reform = config.scenario_start("tariff_reform")
        with ThreadPoolExecutor(WORKERS) as pool:
            for index in range(config.months):
                calendar = MonthCalendar(config.month_at(index), config.interval_minutes)
                if index == reform:
                    self._model.shift_to_valley(moved_by_reform(config, self.enrolments), REFORM_VALLEY_SHIFT)
                weather = MonthWeather(temperatures_c(config, index, calendar), cloudiness(config, calendar))
                faults = self.metering.begin_month(index, calendar)
                dark = [feeder for feeder, _, _ in faults.outages]
                self._outage_rows[index] = np.flatnonzero(np.isin(self.population.feeder, dark))
                self._dead_meter_rows[index] = np.flatnonzero(self.metering.dead_from < ALIVE)
                read = functools.partial(self._read_block, index, calendar, weather, faults, self._levels(index))
                blocks = self._collected(index, pool.map(read, self.population.blocks()))
                yield SimulatedMonth(index, calendar, weather.temperature_c, blocks)
                self.meter_changes[index] = self.metering.end_month(index, calendar)

    def _read_block(
        self,
        index: int,
        calendar: MonthCalendar,
        weather: MonthWeather,
        faults: MeteringMonth,
        level: np.ndarray,
        block: slice,
    ) -> BlockReadings:
        def estimate_kw(row: int) -> np.ndarray:
            return self._model.estimated_kw(block.start + row, float(level[block.start + row]))

        load = self._model.block_load(block, index, calendar, weather, level[block])
        return self.metering.read_block(load, block, index, calendar, faults, estimate_kw)

    def _collected(self, index: int, blocks: Iterator[BlockReadings]) -> Iterator[BlockReadings]:
        """Pass the blocks on, keeping what the bills need."""
        for readings in blocks:
            self._cube.kwh[readings.block, index] = readings.cube
            self._cube.peak_kw[readings.block, index] = readings.peaks
            self._cube.kvarh[readings.block, index] = readings.kvarh
            self._cube.supplied[readings.block, index] = readings.supplied
            yield readings

    def _levels(self, index: int) -> np.ndarray:
        """Return the factor on each customer's own load: trend, orders, stress, recession."""
        population = self.population
        random = stream(self.config.seed, "orders", index)
        is_business = population.customer_class != "residential"
        innovation = ORDER_INNOVATION * random.standard_normal(population.size)
        self._orders = ORDER_PERSISTENCE * self._orders + innovation * is_business
        stress = np.clip(self.stress.values[:, index], 0, 4)
        exponent = population.trend_per_year * index / 12 + self._orders - population.stress_load_share * stress
        recession = recession_load_factor(self.config, index, population.customer_class)
        return (np.exp(exponent) * recession).astype(np.float32)

    def money(self) -> Money:
        """Return bills, payments and contacts; all months must have been read."""
        config, population = self.config, self.population
        cents = monthly_cents(config, population, self._cube, self.enrolments)
        kwh = self._cube.kwh.sum(axis=(2, 3))
        bills = issue_bills(config, population, kwh, cents, _supplied_days(config, population))
        programmes = programme_enrolments(config, population)
        has_autopay = autopay_months(config, population, programmes)
        behaviour = pay_bills(config, population, bills, self.stress, has_autopay)
        return Money(
            bills=bills,
            behaviour=behaviour,
            programmes=programmes,
            consents=marketing_consents(config, population),
            contacts=contacts(config, population, bills, behaviour, self._outage_rows, self._dead_meter_rows),
            inspections=inspections(config, population, self._dead_meter_rows),
        )


def _supplied_days(config: SupplierConfig, population: Population) -> np.ndarray:
    """Return first day and day after the last day of supply by customer and month, as days since 1970."""
    starts = np.array([days_since_1970(config.month_at(month)) for month in range(config.months + 1)])
    first = np.maximum(population.registered_day[:, None], starts[None, :-1])
    closes_here = population.close_month[:, None] == np.arange(config.months)[None, :]
    last = starts[None, :-1] + population.close_day_of_month[:, None]
    end = np.where(closes_here & (population.close_month < NEVER)[:, None], last, starts[None, 1:])
    return np.stack([first, end], axis=2)
