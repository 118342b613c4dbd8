"""Figures that describe a panel of households, computed alike for simulated and for real ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

HOURS_PER_MONTH = 30 * 24


@dataclass(frozen=True)
class Panel:
    """Hourly energy of households.

    Attributes:
        kwh: Shape (households, days, 24), NaN where there is no reading.
        is_rest_day: Whether each day is a weekend or a holiday.
    """

    kwh: np.ndarray
    is_rest_day: np.ndarray


def daily_shape(panel: Panel) -> np.ndarray:
    """Return the mean of the households' mean days, each divided by its own mean, shape (24,)."""
    mean_day = np.nanmean(panel.kwh, axis=1)
    return (mean_day / mean_day.mean(axis=1, keepdims=True)).mean(axis=0)


def rest_day_ratio(panel: Panel, hours: slice = slice(None)) -> float:
    """Return the energy of rest days over that of workdays, all households together, in some hours."""
    part = panel.kwh[:, :, hours]
    return float(np.nanmean(part[:, panel.is_rest_day]) / np.nanmean(part[:, ~panel.is_rest_day]))


def load_factor(panel: Panel, hours: int | None = None) -> float:
    """Return the median over households of mean over peak power, of the whole panel or of stretches of some hours."""
    flat = panel.kwh.reshape(len(panel.kwh), -1)
    length = hours or flat.shape[1]
    factors: list[np.ndarray] = []
    for start in range(0, flat.shape[1] - length + 1, length):
        part = flat[:, start : start + length]
        part = part[np.nansum(part, axis=1) > 0]
        factors.append(np.nanmean(part, axis=1) / np.nanmax(part, axis=1))
    return float(np.median(np.concatenate(factors)))


def autocorrelation(panel: Panel, lag: int) -> float:
    """Return the median over households of the correlation of hourly energy with that ``lag`` hours before."""
    values = []
    for series in panel.kwh.reshape(len(panel.kwh), -1):
        now, before = series[lag:], series[:-lag]
        both = np.isfinite(now) & np.isfinite(before)
        values.append(np.corrcoef(now[both], before[both])[0, 1])
    return float(np.median(values))


def hourly_variation(panel: Panel) -> float:
    """Return the median over households of standard deviation over mean of hourly energy."""
    flat = panel.kwh.reshape(len(panel.kwh), -1)
    return float(np.median(np.nanstd(flat, axis=1) / np.nanmean(flat, axis=1)))


def daily_variation(panel: Panel) -> float:
    """Return the median over households of standard deviation over mean of daily energy."""
    days = np.nansum(panel.kwh, axis=2)
    return float(np.median(days.std(axis=1) / days.mean(axis=1)))


def quantiles_over_median(annual: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    """Return quantiles of annual energy divided by its median."""
    return np.asarray(np.quantile(annual, quantiles) / np.median(annual))


def degree_response_pct(daily: np.ndarray, temperature_c: np.ndarray, chosen: np.ndarray, mild: np.ndarray) -> float:
    """Return the slope of daily energy over temperature on the chosen days, in per cent of the mild days' median."""
    return float(np.polyfit(temperature_c[chosen], 100 * daily[chosen] / np.median(daily[mild]), 1)[0])


def gap_lengths(is_read: np.ndarray) -> np.ndarray:
    """Return the lengths of all stretches without readings inside each household's record."""
    lengths: list[int] = []
    for row in is_read:
        inside = np.flatnonzero(row)
        steps = np.diff(inside)
        lengths.extend((steps[steps > 1] - 1).tolist())
    return np.array(lengths)


def london_panel(folder: Path) -> Panel:
    """Return Low Carbon London's half-hourly households of 2013 as hours; hours with a missing half are missing.

    Households that joined during the year are left out.
    """
    hourly = (
        pl.read_parquet(folder / "lcl" / "halfhourly_2013.parquet")
        .group_by("lclid", pl.col("ts").dt.truncate("1h").alias("hour"))
        .agg(pl.col("kwh").sum(), halves=pl.col("kwh").count())
        .filter(pl.col("halves") == 2)
        .pivot(on="lclid", index="hour", values="kwh")
    )
    hours = pl.DataFrame(
        {"hour": pl.datetime_range(pl.datetime(2013, 1, 1), pl.datetime(2013, 12, 31, 23), "1h", eager=True)}
    ).with_columns(pl.col("hour").cast(hourly.schema["hour"]))
    table = hours.join(hourly, on="hour", how="left").drop("hour").to_numpy().T.astype(np.float64)
    table = table[np.isfinite(table).mean(axis=1) > 0.95]
    days = hours.get_column("hour").gather_every(24)
    return Panel(table.reshape(len(table), -1, 24), (days.dt.weekday() >= 6).to_numpy())


def swiss_panel(folder: Path) -> Panel:
    """Return the Swiss 15-minute households as hours of seven weeks; incomplete households are left out."""
    hourly = (
        pl.read_parquet(folder / "swiss_15min" / "interval_reads.parquet")
        .group_by("vid", ((pl.col("week") - 44) * 168 + pl.col("slot_15min") // 4).alias("hour"))
        .agg(pl.col("kwh").sum())
        .pivot(on="hour", index="vid", values="kwh")
        .drop("vid")
    )
    table = hourly.select([str(hour) for hour in range(7 * 168)]).to_numpy().astype(np.float64)
    table = table[np.isfinite(table).all(axis=1) & (table.mean(axis=1) > 0.01)]
    return Panel(table.reshape(len(table), -1, 24), np.tile([False] * 5 + [True] * 2, 7))
