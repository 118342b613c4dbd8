"""The electricity that customers use: people and machines, weather, vehicles, sun, trends. True energy, no metering."""

import math
from dataclasses import dataclass

import numpy as np

from orchestration.ingestion.simulated_supplier.calendar import (
    DAY_TYPES_COUNT,
    HOLIDAY,
    WORKDAY,
    MonthCalendar,
)
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.kinds import (
    BUSINESS_COOLING_PRESENCE,
    COOLING_PRESENCE,
    HEATING_PRESENCE,
    IRRIGATION_MONTH_FACTOR,
    KINDS,
    template_array,
)
from orchestration.ingestion.simulated_supplier.population import Population
from orchestration.ingestion.simulated_supplier.randomness import stream

COOLING_DEGREES_CAP = 12.0
HEATING_DEGREES_CAP = 22.0
HOURS_TO_REMEMBER = 0.30
"""Share of an interval's noise that comes from the hour before: cooking and washing last longer than an interval."""

FESTIVAL_PROFILE_DAYS = (-8, 16)
AWAY_MIN_DAYS, AWAY_MAX_DAYS = 2, 8


@dataclass(frozen=True)
class MonthWeather:
    """Weather of one month.

    Attributes:
        temperature_c: Shape (districts, days, slots).
        sun_share: Share of the clear-sky sun by day, shape (days,).
    """

    temperature_c: np.ndarray
    sun_share: np.ndarray


@dataclass(frozen=True)
class BlockLoad:
    """Load of one block of customers in one month, mean kW per interval, shape (customers, ticks).

    Attributes:
        import_kw: Power taken from the grid.
        export_kw: Power fed into the grid, of the customers in ``solar_rows`` only.
        solar_rows: Rows of the block with solar panels.
    """

    import_kw: np.ndarray
    export_kw: np.ndarray
    solar_rows: np.ndarray


class LoadModel:
    """Load of a population, block by block and month by month.

    Attributes:
        config: What to simulate.
        population: Whose load.
        templates_: Personal relative power, shape (customers, day types, slots), mean 1 over an ordinary week.
    """

    def __init__(self, config: SupplierConfig, population: Population) -> None:
        """Prepare the personal daily templates."""
        self.config = config
        self.population = population
        self.templates_ = self._personal_templates()
        self._festival_levels = np.array([kind.festival_level for kind in KINDS], dtype=np.float32)
        names = np.array([kind.name for kind in KINDS])
        self._is_irrigation = (names == "irrigation")[population.kind]
        self._is_residential = population.customer_class == "residential"
        self._away_chance = np.array([kind.away_chance for kind in KINDS])[population.kind]

    def _personal_templates(self) -> np.ndarray:
        """Mix two kinds, shift in time, tilt the weekend, and sample at the middle of each slot."""
        population = self.population
        hourly = template_array()
        mix = population.mix[:, None, None]
        mixed = (1 - mix) * hourly[population.kind] + mix * hourly[population.second_kind]
        mixed[:, WORKDAY + 1 :] *= population.weekend_tilt[:, None, None]
        slots = 1440 // self.config.interval_minutes
        slot_hours = (np.arange(slots) + 0.5) * (self.config.interval_minutes / 60)
        position = (slot_hours[None, :] - 0.5 - population.phase_hours[:, None]) % 24
        below = np.floor(position).astype(np.int64) % 24
        weight = (position - np.floor(position)).astype(np.float32)[:, None, :]
        low = np.take_along_axis(mixed, np.broadcast_to(below[:, None, :], (len(mixed), DAY_TYPES_COUNT, slots)), 2)
        high = np.take_along_axis(
            mixed, np.broadcast_to((below[:, None, :] + 1) % 24, (len(mixed), DAY_TYPES_COUNT, slots)), 2
        )
        return ((1 - weight) * low + weight * high).astype(np.float32)

    def block_load(
        self, block: slice, month_index: int, calendar: MonthCalendar, weather: MonthWeather, level: np.ndarray
    ) -> BlockLoad:
        """Return the load of one block of customers in one month.

        Args:
            block: Rows of the population.
            month_index: Month since the start.
            calendar: The month.
            weather: Its weather.
            level: Factor on each customer's own load (trend, business, stress), shape (block,).
        """
        population = self.population
        random = stream(self.config.seed, "load", month_index, int(population.number[block.start]))
        size = block.stop - block.start
        days, slots = calendar.days_count, calendar.slots_per_day
        shape = (size, days, slots)

        mean_kw = population.annual_kwh[block] / 8760 * level
        base = population.base_share[block]
        day_level = self._day_levels(random, block, calendar)
        noise = self._noise(random, block, days * slots).reshape(shape)
        active = self.templates_[block][:, calendar.day_types, :]
        active *= noise
        active *= (mean_kw * (1 - base))[:, None, None] * day_level[:, :, None]
        power = active
        power += (mean_kw * base)[:, None, None] * self._base_level(block, calendar)[:, :, None]
        if self._is_irrigation[block].any():
            power[self._is_irrigation[block]] *= IRRIGATION_MONTH_FACTOR[calendar.first.month - 1]
        self._add_weather_load(power, random, block, calendar, weather, day_level, level)
        self._add_vehicles(power, random, block, calendar)
        return self._split_solar(power, random, block, calendar, weather)

    def shift_to_valley(self, rows: np.ndarray, share: float) -> None:
        """Let customers move a share of what they switch between 08:00 and 22:00 into the night, for good."""
        slot_hours = (np.arange(self.templates_.shape[2]) + 0.5) * (self.config.interval_minutes / 60)
        night = (slot_hours < 6) | (slot_hours >= 22)
        day = (slot_hours >= 8) & (slot_hours < 22)
        templates = self.templates_[rows]
        moved = share * templates[:, :, day].sum(axis=2, keepdims=True)
        templates[:, :, day] *= 1 - share
        templates[:, :, night] += moved / night.sum()
        self.templates_[rows] = templates

    def estimated_kw(self, row: int, level: float) -> np.ndarray:
        """Return what the supplier would estimate for a customer without readings, shape (day types, slots)."""
        population = self.population
        base = population.base_share[row]
        mean_kw = population.annual_kwh[row] / 8760 * level
        return mean_kw * (base + (1 - base) * self.templates_[row])

    def _noise(self, random: np.random.Generator, block: slice, ticks: int) -> np.ndarray:
        """Return positive noise of mean 1: exponential draws to a personal power, remembering the hour before."""
        exponent = self.population.burstiness[block]
        noise = random.standard_exponential((block.stop - block.start, ticks), dtype=np.float32)
        np.maximum(noise, np.float32(1e-12), out=noise)
        np.log(noise, out=noise)
        noise *= exponent[:, None]
        np.exp(noise, out=noise)
        noise /= _weibull_mean(exponent)[:, None]
        remembered = 60 // self.config.interval_minutes
        memory = np.float32(HOURS_TO_REMEMBER)
        mixed = noise * (1 - memory)
        mixed[:, remembered:] += memory * noise[:, :-remembered]
        mixed[:, :remembered] += memory * noise[:, :remembered]
        return mixed

    def _day_levels(self, random: np.random.Generator, block: slice, calendar: MonthCalendar) -> np.ndarray:
        """Return the level of each day: ordinary variation that lasts a while, journeys, the Spring Festival."""
        size, days = block.stop - block.start, calendar.days_count
        draws = random.standard_normal((size, days), dtype=np.float32)
        draws[:, 1:] = 0.85 * draws[:, 1:] + 0.53 * draws[:, :-1]
        sigma = self.population.day_sigma[block][:, None]
        level = np.exp(sigma * draws - sigma**2 / 2)
        starts = random.integers(0, days, size)
        lengths = random.integers(AWAY_MIN_DAYS, AWAY_MAX_DAYS, size)
        leaves = random.random(size) < self._away_chance[block]
        offset = np.arange(days)[None, :] - starts[:, None]
        away = leaves[:, None] & (offset >= 0) & (offset < lengths[:, None])
        level[away] *= 0.04
        festival = self._festival_levels[self.population.kind[block]][:, None]
        near = _festival_nearness(calendar)[None, :]
        return level * (1 + (festival - 1) * near)

    def _base_level(self, block: slice, calendar: MonthCalendar) -> np.ndarray:
        """Return the level of the base load: what never switches off does so only in factories at the festival."""
        closes = self._festival_levels[self.population.kind[block]] < 0.5
        near = _festival_nearness(calendar)[None, :]
        return np.where(closes[:, None], 1 - 0.5 * near, 1.0).astype(np.float32)

    def _add_weather_load(
        self,
        power: np.ndarray,
        random: np.random.Generator,
        block: slice,
        calendar: MonthCalendar,
        weather: MonthWeather,
        day_level: np.ndarray,
        level: np.ndarray,
    ) -> None:
        population = self.population
        temperature = weather.temperature_c[population.district[block]]
        slot_of_hour = (np.arange(calendar.slots_per_day) * self.config.interval_minutes) // 60
        present = np.clip(day_level, 0, 1.3)
        wish = np.exp(0.3 * random.standard_normal(day_level.shape, dtype=np.float32))
        for kw_per_degree, threshold, sign, cap, home_presence in (
            (population.cooling_kw_per_degree, population.cooling_from_c, 1, COOLING_DEGREES_CAP, COOLING_PRESENCE),
            (population.heating_kw_per_degree, population.heating_from_c, -1, HEATING_DEGREES_CAP, HEATING_PRESENCE),
        ):
            gap = sign * (temperature.mean(axis=2) - threshold[block][:, None])
            rows = np.flatnonzero((kw_per_degree[block] > 0) & (gap.max(axis=1) > -8))
            if rows.size == 0:
                continue
            degrees = temperature[rows] - threshold[block][rows, None, None]
            degrees *= sign
            np.clip(degrees, 0, cap, out=degrees)
            business_presence = BUSINESS_COOLING_PRESENCE[slot_of_hour]
            home = self._is_residential[block][rows]
            presence = np.where(home[:, None], home_presence[slot_of_hour], business_presence)
            closed = (calendar.day_types[None, :] == HOLIDAY) & ~home[:, None]
            factor = kw_per_degree[block][rows, None] * present[rows] * wish[rows] * level[rows, None]
            factor = np.where(closed, 0.4 * factor, factor)
            degrees *= presence[:, None, :]
            degrees *= factor[:, :, None]
            power[rows] += degrees

    def _add_vehicles(
        self, power: np.ndarray, random: np.random.Generator, block: slice, calendar: MonthCalendar
    ) -> None:
        """Add charging sessions: some evenings, from about the usual hour, until the day's driving is replaced."""
        rows = np.flatnonzero(self.population.vehicle_kw[block] > 0)
        if rows.size == 0:
            return
        count = calendar.days_count
        charges = random.random((rows.size, count)) < 0.45
        start = self.population.vehicle_hour[block][rows, None] + random.normal(0, 0.7, (rows.size, count))
        duration = random.gamma(4.0, 0.75, (rows.size, count))
        kw = self.population.vehicle_kw[block][rows]
        interval_hours = self.config.interval_minutes / 60
        tick_start = np.arange(calendar.ticks_count) * interval_hours
        for row, vehicle_kw, row_charges, row_start, row_hours in zip(rows, kw, charges, start, duration, strict=True):
            # The layout of the array decides whether a reshaped row is a view, so it is a copy and put back.
            line = power[row].flatten()
            for day in np.flatnonzero(row_charges):
                begin = 24 * day + row_start[day]
                end = begin + row_hours[day]
                ticks = slice(int(max(begin, 0) / interval_hours), int(end / interval_hours) + 1)
                since = np.maximum(tick_start[ticks], begin)
                until = np.minimum(tick_start[ticks] + interval_hours, end)
                line[ticks] += vehicle_kw * np.clip((until - since) / interval_hours, 0, 1)
            power[row] = line.reshape(power[row].shape)

    def _split_solar(
        self,
        power: np.ndarray,
        random: np.random.Generator,
        block: slice,
        calendar: MonthCalendar,
        weather: MonthWeather,
    ) -> BlockLoad:
        rows = np.flatnonzero(self.population.solar_kw[block] > 0)
        import_kw = power.reshape(len(power), -1)
        if rows.size:
            sun = _clear_sky_share(calendar) * weather.sun_share[:, None]
            flicker = np.clip(1 + 0.15 * random.standard_normal((rows.size, *sun.shape), dtype=np.float32), 0.2, 1.3)
            produced = self.population.solar_kw[block][rows, None, None] * sun[None] * flicker
            net = import_kw[rows] - produced.reshape(rows.size, -1)
            import_kw[rows] = np.maximum(net, 0)
            export_kw = np.maximum(-net, 0).astype(np.float32)
        else:
            export_kw = np.zeros((0, import_kw.shape[1]), dtype=np.float32)
        return BlockLoad(import_kw=import_kw, export_kw=export_kw, solar_rows=rows)


def _weibull_mean(exponent: np.ndarray) -> np.ndarray:
    """Return the mean of an exponential variable to a power, by a polynomial for the gamma function on 1 to 2.5.

    Fitted to gamma(1 + x) on 0 <= x <= 1.3 with a relative error below 0.0005.
    """
    x = exponent.astype(np.float64)
    return np.polynomial.polynomial.polyval(x, _GAMMA_COEFFICIENTS).astype(np.float32)


def _gamma_coefficients() -> np.ndarray:
    nodes = np.linspace(0, 1.35, 40)
    return np.polynomial.polynomial.polyfit(nodes, [math.gamma(1 + node) for node in nodes], 7)


_GAMMA_COEFFICIENTS = _gamma_coefficients()


def _festival_nearness(calendar: MonthCalendar) -> np.ndarray:
    """Return how much of the Spring Festival is felt on each day: 1 in the first week, fading on both sides."""
    offset = calendar.festival_offsets.astype(np.float32)
    before, after = FESTIVAL_PROFILE_DAYS
    rising = np.clip((offset - before) / (-1 - before), 0, 1)
    falling = np.clip((after - offset) / (after - 7), 0, 1)
    return np.minimum(rising, falling).astype(np.float32)


def _clear_sky_share(calendar: MonthCalendar) -> np.ndarray:
    """Return the clear-sky output per installed power, shape (days, slots), near 36.7 N."""
    day_of_year = np.array([day.timetuple().tm_yday for day in calendar.days])
    declination = np.radians(23.44) * np.sin(2 * np.pi * (day_of_year - 81) / 365.25)
    latitude = np.radians(36.7)
    hour_angle = np.radians(15 * (calendar.slot_hours - 12.2))
    sine = np.sin(latitude) * np.sin(declination)[:, None] + np.cos(latitude) * np.cos(declination)[:, None] * np.cos(
        hour_angle
    )
    return (0.85 * np.clip(sine, 0, None) ** 1.15).astype(np.float32)
