"""Monthly temperatures of the districts: how warm a month normally is, and how far last year's was from that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.splits import month_start

FloatArray = npt.NDArray[np.float64]

TEMPERATURE_COLUMNS = ("district", "month", "mean_temperature_c")
_HARMONIC_MONTHS_MIN_COUNT = 8
_EVERYWHERE = ""


@dataclass(frozen=True, slots=True)
class MonthlyWeather:
    """Mean temperature of the months of one place; empty where none is known.

    Attributes:
        months: First days, ascending.
        temperature_c: Mean air temperature.
    """

    months: tuple[date, ...] = ()
    temperature_c: tuple[float, ...] = ()

    @classmethod
    def of(cls, temperature_c: Mapping[date, float]) -> "MonthlyWeather":
        """Build from temperatures by month; months without a finite one are left out."""
        known = sorted((month, round(float(value), 3)) for month, value in temperature_c.items() if np.isfinite(value))
        return cls(tuple(month for month, _ in known), tuple(value for _, value in known))

    def normals(self, last_month: date) -> FloatArray:
        """Return the normal temperature of the twelve calendar months, from what was known at a month; NaN if unknown.

        A constant and one harmonic of the year, least squares: a month that was too warm last year stands out.
        """
        known = [
            (month.month, value)
            for month, value in zip(self.months, self.temperature_c, strict=True)
            if month <= last_month
        ]
        if len({number for number, _ in known}) < _HARMONIC_MONTHS_MIN_COUNT:
            return np.full(12, np.nan)
        numbers, values = np.array(known, dtype=np.float64).T
        solved, *_ = np.linalg.lstsq(_harmonic(numbers), values, rcond=None)
        return np.round(_harmonic(np.arange(1, 13, dtype=np.float64)) @ solved, 3)

    def anomalies(self, last_month: date, months: Sequence[date]) -> FloatArray:
        """Return how much warmer than normal each month was; NaN where that is not known."""
        normals = self.normals(last_month)
        by_month = dict(zip(self.months, self.temperature_c, strict=True))
        return np.array(
            [
                by_month.get(month, np.nan) - normals[month.month - 1] if month <= last_month else np.nan
                for month in months
            ]
        )


@dataclass(frozen=True, slots=True)
class DistrictWeather:
    """Temperatures of the months by district, as known when the forecast was fitted.

    Attributes:
        mean: Mean over all customers, for those whose district has no weather of its own.
        by_district: By name of the district.
    """

    mean: MonthlyWeather = field(default_factory=MonthlyWeather)
    by_district: Mapping[str, MonthlyWeather] = field(default_factory=dict)

    @classmethod
    def of(cls, temperatures: pd.DataFrame) -> "DistrictWeather":
        """Build from rows of ``TEMPERATURE_COLUMNS``, a row per customer and month or per district and month.

        Rows without a district count for the mean only, rows without a temperature not at all.
        """
        known = temperatures.dropna(subset=["month", "mean_temperature_c"]).astype({"mean_temperature_c": "float64"})
        return cls(
            _series(known),
            {str(name): _series(rows) for name, rows in known.groupby("district", sort=True)},
        )

    def of_customers(
        self, districts: npt.NDArray[np.object_], last_month: date, months: Sequence[date], sources: Sequence[date]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the normal temperatures of months, and how much warmer than normal others were, where customers are.

        Args:
            districts: District of every customer, ``None`` where it is not known.
            last_month: Last month whose temperatures are known.
            months: Months of the normals.
            sources: Months of the differences from normal.

        Returns:
            (customers, months) and (customers, sources), NaN where not known.
        """
        names, codes = np.unique(np.array([name or _EVERYWHERE for name in districts], dtype=str), return_inverse=True)
        places = [self._at(str(name), last_month) for name in names]
        normals = [
            [normal[month.month - 1] for month in months] for normal in (at.normals(last_month) for at in places)
        ]
        anomalies = [place.anomalies(last_month, sources) for place in places]
        return (
            np.array(normals).reshape(-1, len(months))[codes.ravel()],
            np.array(anomalies).reshape(-1, len(sources))[codes.ravel()],
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the temperatures as arrays without objects."""
        places = {_EVERYWHERE: self.mean, **self.by_district}
        rows = [
            (name, month, value)
            for name, place in sorted(places.items())
            for month, value in zip(place.months, place.temperature_c, strict=True)
        ]
        return {
            "district": np.array([name for name, _, _ in rows], dtype=str),
            "month": np.array([month for _, month, _ in rows], "datetime64[D]").astype(np.int64),
            "temperature_c": np.array([value for _, _, value in rows], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "DistrictWeather":
        """Return the temperatures of ``to_arrays``."""
        months = arrays["month"].astype("datetime64[D]").tolist()
        places: dict[str, dict[date, float]] = {}
        for name, month, value in zip(
            arrays["district"].tolist(), months, arrays["temperature_c"].tolist(), strict=True
        ):
            places.setdefault(name, {})[month] = value
        series = {name: MonthlyWeather.of(values) for name, values in places.items()}
        return cls(series.pop(_EVERYWHERE, MonthlyWeather()), series)

    def _at(self, district: str, last_month: date) -> MonthlyWeather:
        """Return the district's own weather where enough of it is known to say what is normal, else the mean."""
        own = self.by_district.get(district)
        if own is None or np.isnan(own.normals(last_month)).all():
            return self.mean
        return own


def _series(rows: pd.DataFrame) -> MonthlyWeather:
    means = rows.groupby("month")["mean_temperature_c"].mean()
    return MonthlyWeather.of({month_start(month): float(value) for month, value in means.items()})


def _harmonic(numbers: FloatArray) -> FloatArray:
    angle = numbers / 12 * 2 * np.pi
    return np.stack([np.ones_like(angle), np.sin(angle), np.cos(angle)], axis=1)
