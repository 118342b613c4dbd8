"""From true load to what meters record and what arrives: multipliers, faults, outages, gaps, late rows, dirt.

Energies are integers in units of 0.0001 kWh, so that what is billed and what is delivered agree to the last digit.
The register of a meter keeps counting while its interval readings get lost; a dead meter counts nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from orchestration.ingestion.simulated_supplier.calendar import DAY_TYPES_COUNT, MonthCalendar, days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.load import BlockLoad
from orchestration.ingestion.simulated_supplier.population import NEVER, Population
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import meter_fault_factor

KWH_SCALE = 10_000
ACTUAL, ESTIMATED, MISSING, ABSENT, LATE = range(5)
"""Fate of an interval: its row says actual, estimated or missing; there is no row; the row comes a month later."""

SHORT_GAPS_PER_METER_MONTH = 0.25
GAP_MARKED_MISSING_SHARE = 0.3
TRANSFORMER_SILENCE_CHANCE = 0.04
FEEDER_OUTAGE_CHANCE = 0.05
DEATH_CHANCE_PER_METER_MONTH = 0.0012
ESTIMATED_WHILE_DEAD_SHARE = 0.5
LATE_METER_SHARE = 0.004
ALIVE = 10**9


@dataclass
class MeterChange:
    """A meter that begins or ends at a customer.

    Attributes:
        row: Row of the customer in the population.
        suffix: Which meter of the customer, from 1.
        installed_day: First day, as days since 1970.
        removed_day: Last day, or None while it stays.
    """

    row: int
    suffix: int
    installed_day: int
    removed_day: int | None = None


@dataclass(frozen=True)
class BlockReadings:
    """What one block of meters recorded in one month.

    Attributes:
        block: Rows of the population.
        raw: Energy before the multiplier, shape (customers, ticks), units of 0.0001 kWh.
        raw_kvarh: Reactive energy of the customers in ``reactive_rows``, likewise.
        raw_export: Energy fed in, of the customers in ``solar_rows``, likewise.
        fate: Fate of each interval, shape (customers, ticks).
        meter_index: Which meter of the customer read the interval, 0 for the one at the month's start.
        cube: Energy billed by day type and hour with the multiplier, shape (customers, 3, 24).
        peaks: Largest interval power by day type and hour in 0.0001 kW with the multiplier, likewise.
        kvarh: Reactive energy of the month with the multiplier, shape (customers,).
        supplied: Whether there was supply in the month, shape (customers,).
        reactive_rows: Rows of the block with a reactive register.
        solar_rows: Rows of the block with solar panels.
    """

    block: slice
    raw: np.ndarray
    raw_kvarh: np.ndarray
    raw_export: np.ndarray
    fate: np.ndarray
    meter_index: np.ndarray
    cube: np.ndarray
    peaks: np.ndarray
    kvarh: np.ndarray
    supplied: np.ndarray
    reactive_rows: np.ndarray
    solar_rows: np.ndarray


@dataclass
class MeteringMonth:
    """Faults of one month, drawn for the whole population before its blocks are read.

    Attributes:
        silences: Transformer, first tick and last tick of lost communication, and whether the rows come late.
        outages: Feeder, first tick and last tick without supply.
    """

    silences: list[tuple[int, int, int, bool]] = field(default_factory=list)
    outages: list[tuple[int, int, int]] = field(default_factory=list)


class Metering:
    """The meters of a population, month by month.

    Attributes:
        multiplier: Factor of each customer's meter.
        suffix: Which meter of the customer is installed, from 1.
        dead_from: Tick since the simulation's start at which the installed meter died, ALIVE for most.
        replaced_on: Day since 1970 on which a dead meter is replaced.
    """

    def __init__(self, config: SupplierConfig, population: Population) -> None:
        """Install one meter per customer."""
        self.config = config
        self.population = population
        capacity = population.capacity_kva
        self.multiplier = np.select(
            [capacity >= 5000, capacity >= 1000, capacity >= 315, capacity >= 100], [400, 100, 40, 20], default=1
        ).astype(np.int64)
        self.suffix = np.ones(population.size, dtype=np.int64)
        self.dead_from = np.full(population.size, ALIVE, dtype=np.int64)
        self.replaced_on = np.full(population.size, ALIVE, dtype=np.int64)
        self._installed_on = population.registered_day.copy()
        self._tick_origin = 0

    def first_meters(self, rows: Iterable[int]) -> list[MeterChange]:
        """Return the first meter of each of these customers."""
        return [MeterChange(row, 1, int(self.population.registered_day[row])) for row in rows]

    def meter_id(self, row: int, suffix: int) -> str:
        """Return the supplier's id of a meter; ids sort by customer, then by age."""
        return f"M{self.population.number[row]:07d}{suffix:02d}"

    def begin_month(self, month_index: int, calendar: MonthCalendar) -> MeteringMonth:
        """Draw the month's faults and let meters die; must be called once per month, in order."""
        random = stream(self.config.seed, "metering", month_index)
        month = MeteringMonth()
        ticks, per_day = calendar.ticks_count, calendar.slots_per_day
        for transformer in np.unique(self.population.transformer):
            draws = stream(self.config.seed, "silence", month_index, int(transformer)).random(4)
            if draws[0] < TRANSFORMER_SILENCE_CHANCE:
                start = int(draws[1] * ticks)
                length = int((3 + 27 * draws[2] ** 2) * per_day / 24)
                month.silences.append((int(transformer), start, min(start + length, ticks), bool(draws[3] < 0.5)))
        for feeder in np.unique(self.population.feeder):
            draws = stream(self.config.seed, "outage", month_index, int(feeder)).random(3)
            if draws[0] < FEEDER_OUTAGE_CHANCE:
                start = int(draws[1] * ticks)
                length = max(1, int((1 + 4 * draws[2]) * per_day / 24))
                month.outages.append((int(feeder), start, min(start + length, ticks)))
        self._let_meters_die(random, month_index, calendar)
        return month

    def _let_meters_die(self, random: np.random.Generator, month_index: int, calendar: MonthCalendar) -> None:
        # Drawn for every customer in order, so that customers appended by a scenario leave the others' draws alone.
        draws = random.random((self.population.size, 3))
        first_day = days_since_1970(calendar.first)
        dying = (
            (draws[:, 0] < DEATH_CHANCE_PER_METER_MONTH)
            & (self.dead_from == ALIVE)
            & (self.population.registered_day < first_day)
            & (self.population.close_month > month_index + 2)
        )
        for row in np.flatnonzero(dying):
            day = int(draws[row, 1] * calendar.days_count)
            self.dead_from[row] = self._tick_origin + day * calendar.slots_per_day
            self.replaced_on[row] = first_day + day + 8 + int(draws[row, 2] * 28)

    def end_month(self, month_index: int, calendar: MonthCalendar) -> list[MeterChange]:
        """Replace meters whose day has come and return the meters that began or ended in the month."""
        first_day = days_since_1970(calendar.first)
        after_last_day = first_day + calendar.days_count
        population = self.population
        joined = np.flatnonzero((population.registered_day < after_last_day) & (population.registered_day >= first_day))
        if month_index == 0:
            joined = np.flatnonzero(population.registered_day < after_last_day)
        changes = self.first_meters(joined.tolist())
        for row in np.flatnonzero(self.replaced_on < after_last_day).tolist():
            replaced_on = int(self.replaced_on[row])
            changes.append(MeterChange(row, int(self.suffix[row]), int(self._installed_on[row]), replaced_on - 1))
            self.suffix[row] += 1
            self._installed_on[row] = replaced_on
            changes.append(MeterChange(row, int(self.suffix[row]), replaced_on))
            self.dead_from[row] = self.replaced_on[row] = ALIVE
        for row in np.flatnonzero(population.close_month == month_index).tolist():
            last_day = first_day + int(population.close_day_of_month[row]) - 1
            changes.append(MeterChange(row, int(self.suffix[row]), int(self._installed_on[row]), last_day))
        self._tick_origin += calendar.ticks_count
        # A meter that begins and ends in one month is delivered once, as it ended.
        return list({(change.row, change.suffix): change for change in changes}.values())

    def read_block(
        self,
        load: BlockLoad,
        block: slice,
        month_index: int,
        calendar: MonthCalendar,
        month: MeteringMonth,
        estimate_kw: Callable[[int], np.ndarray],
    ) -> BlockReadings:
        """Return what the meters of a block recorded, and what of it arrives.

        Args:
            load: True load of the block.
            block: Rows of the population.
            month_index: Month since the start.
            calendar: The month.
            month: Faults of the month.
            estimate_kw: What the supplier would estimate for one row of the block, shape (day types, slots).
        """
        population = self.population
        random = stream(self.config.seed, "readings", month_index, int(population.number[block.start]))
        size, ticks, per_day = block.stop - block.start, calendar.ticks_count, calendar.slots_per_day
        supplied = self._supplied(block, month_index, calendar)
        recorded_share = self._recorded_share(block, month_index)
        multiplier = self.multiplier[block]
        scale = (recorded_share * (KWH_SCALE * self.config.interval_minutes / 60) / multiplier).astype(np.float32)
        raw_float = load.import_kw
        raw_float *= scale[:, None]
        raw = np.rint(raw_float).astype(np.int64)
        fate = np.where(supplied, np.int8(ACTUAL), np.int8(ABSENT))
        meter_index = np.zeros((size, ticks), dtype=np.int8)

        for feeder, start, stop in month.outages:
            raw[population.feeder[block] == feeder, start:stop] = 0
        for transformer, start, stop, arrives_late in month.silences:
            rows = population.transformer[block] == transformer
            fate[rows, start:stop] = np.where(supplied[rows, start:stop], LATE if arrives_late else ABSENT, ABSENT)
        self._lose_short_gaps(random, fate)
        self._delay_last_days(random, fate, calendar)
        self._estimate_dead_meters(random, block, calendar, raw, fate, meter_index, estimate_kw, supplied)
        raw[~supplied] = 0

        reactive_rows = np.flatnonzero(population.tan_phi[block] > 0)
        tan_phi = population.tan_phi[block][reactive_rows, None] * np.exp(
            0.12 * np.repeat(random.standard_normal((reactive_rows.size, calendar.days_count)), per_day, axis=1)
        )
        raw_kvarh = np.rint(raw[reactive_rows] * tan_phi).astype(np.int64)
        solar = load.solar_rows
        raw_export = np.rint(load.export_kw * scale[solar, None]).astype(np.int64)
        raw_export[~supplied[solar]] = 0

        hourly_shape = (size, calendar.days_count, 24, per_day // 24)
        daily = (raw * multiplier[:, None]).reshape(hourly_shape)
        cube = np.zeros((size, DAY_TYPES_COUNT, 24), dtype=np.int64)
        peaks = np.zeros_like(cube)
        for day_type in np.unique(calendar.day_types):
            days = calendar.day_types == day_type
            cube[:, day_type] = daily[:, days].sum(axis=(1, 3))
            peaks[:, day_type] = daily[:, days].max(axis=(1, 3)) * (per_day // 24)
        in_supply: np.ndarray = np.any(supplied, axis=1)
        kvarh = np.zeros(size, dtype=np.int64)
        kvarh[reactive_rows] = raw_kvarh.sum(axis=1) * multiplier[reactive_rows]
        return BlockReadings(
            block, raw, raw_kvarh, raw_export, fate, meter_index, cube, peaks, kvarh, in_supply,
            reactive_rows, solar,
        )  # fmt: skip

    def _supplied(self, block: slice, month_index: int, calendar: MonthCalendar) -> np.ndarray:
        """Return whether each interval lies within the customer's supply, shape (customers, ticks)."""
        population = self.population
        first_day = days_since_1970(calendar.first)
        days = first_day + np.arange(calendar.days_count)
        begun = days[None, :] >= population.registered_day[block][:, None]
        close_month = population.close_month[block]
        last_day = np.where(
            close_month == month_index,
            first_day + population.close_day_of_month[block] - 1,
            np.where(close_month < month_index, 0, NEVER),
        )
        return np.repeat(begun & (days[None, :] <= last_day[:, None]), calendar.slots_per_day, axis=1)

    def _recorded_share(self, block: slice, month_index: int) -> np.ndarray:
        population = self.population
        stolen = np.where(population.theft_month[block] <= month_index, population.theft_share[block], 0.0)
        return (1 - stolen) * meter_fault_factor(self.config, month_index, population.meter_batch[block])

    def _lose_short_gaps(self, random: np.random.Generator, fate: np.ndarray) -> None:
        size, ticks = fate.shape
        count = random.poisson(SHORT_GAPS_PER_METER_MONTH * size)
        rows = random.integers(0, size, count)
        starts = random.integers(0, ticks, count)
        lengths = np.where(random.random(count) < 0.85, 1, 1 + random.geometric(0.2, count))
        marked = random.random(count) < GAP_MARKED_MISSING_SHARE
        for row, start, length, is_marked in zip(rows, starts, lengths, marked, strict=True):
            gap = fate[row, start : start + length]
            gap[gap == ACTUAL] = MISSING if is_marked else ABSENT

    def _delay_last_days(self, random: np.random.Generator, fate: np.ndarray, calendar: MonthCalendar) -> None:
        size = len(fate)
        late = np.flatnonzero(random.random(size) < LATE_METER_SHARE)
        days = random.integers(1, 5, size)
        for row in late:
            tail = fate[row, -days[row] * calendar.slots_per_day :]
            tail[tail == ACTUAL] = LATE

    def _estimate_dead_meters(
        self,
        random: np.random.Generator,
        block: slice,
        calendar: MonthCalendar,
        raw: np.ndarray,
        fate: np.ndarray,
        meter_index: np.ndarray,
        estimate_kw: Callable[[int], np.ndarray],
        supplied: np.ndarray,
    ) -> None:
        """Bill estimates while a meter is dead; some suppliers' rows say so, others are simply absent."""
        first_day = days_since_1970(calendar.first)
        draws = random.random((len(raw), 2))
        for row in np.flatnonzero(self.dead_from[block] < self._tick_origin + calendar.ticks_count):
            start = max(0, int(self.dead_from[block][row]) - self._tick_origin)
            stop = min(calendar.ticks_count, (int(self.replaced_on[block][row]) - first_day) * calendar.slots_per_day)
            error = np.exp(0.2 * (draws[row, 0] - 0.5))
            estimate = estimate_kw(int(row))[calendar.day_types].reshape(-1) * error
            scale = KWH_SCALE * self.config.interval_minutes / 60 / self.multiplier[block][row]
            dead = slice(start, max(start, stop))
            raw[row, dead] = np.rint(estimate[dead] * scale).astype(np.int64)
            shown = ESTIMATED if draws[row, 1] < ESTIMATED_WHILE_DEAD_SHARE else ABSENT
            fate[row, dead] = np.where(supplied[row, dead], shown, ABSENT)
            meter_index[row, dead.stop :] = 1
