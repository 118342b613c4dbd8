"""Hourly temperature of each district: season, day, and weather that lasts for some days."""

import datetime as dt

import numpy as np

from orchestration.ingestion.simulated_supplier.calendar import MonthCalendar
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import heat_wave_degrees_c

ANNUAL_MEAN_C = 13.6
ANNUAL_AMPLITUDE_C = 14.4
HOTTEST_DAY_OF_YEAR = 202
DIURNAL_AMPLITUDE_C = 5.2
HOTTEST_HOUR = 15.0
DAY_PERSISTENCE = 0.72
DAY_NOISE_C = 2.3
SPIN_UP_DAYS = 20
DISTRICT_OFFSETS_C = (0.6, 0.1, -0.4, -1.1, 0.3)


def seasonal_mean_c(days: list[dt.date]) -> np.ndarray:
    """Return the climate's mean temperature of each day, for a county near 36.7 N 117 E."""
    day_of_year = np.array([day.timetuple().tm_yday for day in days], dtype=np.float64)
    return ANNUAL_MEAN_C + ANNUAL_AMPLITUDE_C * np.cos(2 * np.pi * (day_of_year - HOTTEST_DAY_OF_YEAR) / 365.25)


def _day_innovations(config: SupplierConfig, day: dt.date, districts: int) -> np.ndarray:
    random = stream(config.seed, "weather", day.isoformat())
    return DAY_NOISE_C * (0.9 * random.standard_normal() + 0.35 * random.standard_normal(districts))


def day_anomalies_c(config: SupplierConfig, days: list[dt.date], districts: int) -> np.ndarray:
    """Return the deviation of each day from climate, shape (districts, days).

    The recursion restarts a few weeks before the first day; its memory of earlier days is below 0.2 % by then, so a
    month's weather does not depend on where the simulation began.
    """
    anomaly = np.zeros(districts)
    lead = [days[0] - dt.timedelta(days=back) for back in range(SPIN_UP_DAYS, 0, -1)]
    columns = []
    for day in [*lead, *days]:
        anomaly = DAY_PERSISTENCE * anomaly + _day_innovations(config, day, districts)
        columns.append(anomaly)
    return np.stack(columns[SPIN_UP_DAYS:], axis=1)


def temperatures_c(config: SupplierConfig, month_index: int, calendar: MonthCalendar) -> np.ndarray:
    """Return the temperature at each slot, shape (districts, days, slots), float32."""
    offsets = np.array(DISTRICT_OFFSETS_C)
    seasonal = seasonal_mean_c(calendar.days)
    daily = seasonal + heat_wave_degrees_c(config, month_index, seasonal)
    daily = daily + offsets[:, None] + day_anomalies_c(config, calendar.days, len(offsets))
    random = stream(config.seed, "weather hours", calendar.first.isoformat())
    amplitude = DIURNAL_AMPLITUDE_C * random.uniform(0.5, 1.35, size=(1, calendar.days_count, 1))
    diurnal = amplitude * np.cos(2 * np.pi * (calendar.slot_hours - HOTTEST_HOUR) / 24)
    jitter = 0.3 * random.standard_normal((len(offsets), calendar.days_count, calendar.slots_per_day))
    return (daily[:, :, None] + diurnal + jitter).astype(np.float32)


def cloudiness(config: SupplierConfig, calendar: MonthCalendar) -> np.ndarray:
    """Return the share of clear-sky sun that reaches the ground on each day, shape (days,)."""
    random = stream(config.seed, "sky", calendar.first.isoformat())
    return (0.25 + 0.75 * random.beta(1.6, 0.9, size=calendar.days_count)).astype(np.float32)
