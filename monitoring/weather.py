"""How warm it was: the weather behind each row of a review, and the sentence that a reader needs of it.

A load column looks back over some months, so what moved it is not the weather of one month but that of its window:
its degrees of heating and of cooling (Thom, H. C. S., 1954, The rational relationship between heating degree days and
temperature, Monthly Weather Review 82), how unlike its months were, or how it differed from the same window a year
before. Which of these a column follows is declared in ``ml/*/schema.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import Column
from ml.errors import KilowiseError
from ml.tariff_matching.weather import MonthlyWeather
from monitoring.policy import WeatherRule
from monitoring.verdicts import MonthWeather

FloatArray = npt.NDArray[np.float64]

DAILY_COLUMNS = ("district", "local_date", "mean_temperature_c")
"""Columns of the daily temperatures that a review takes: one row per district and local day."""
EVERYWHERE = ""
"""Stands for customers whose district is not known or has no weather of its own: the mean of the districts."""
_SUMMER, _WINTER = (6, 7, 8), (12, 1, 2)
_YEAR_MONTHS = 12
_QUARTER_MONTHS = 3
# A month with fewer observed days says little about its mean.
_MONTH_DAYS_MIN_COUNT = 20


class WeatherUnreadableError(KilowiseError):
    """The daily temperatures lack a column."""


@dataclass(frozen=True)
class Weather:
    """Weather of the months by district.

    Attributes:
        monthly: Indexed by district and month (a monthly period), every month between the first and the last; mean
            degrees of heating and of cooling per day, mean temperature, and days observed. NaN in months with too few
            days. The district ``EVERYWHERE`` is the mean of all.
    """

    monthly: pd.DataFrame

    @classmethod
    def of(cls, daily: pd.DataFrame, rule: WeatherRule) -> "Weather | None":
        """Build from daily temperatures; None if there are none.

        Args:
            daily: Rows of ``DAILY_COLUMNS``; days without a temperature are left out.
            rule: Bases of the degree days.

        Raises:
            WeatherUnreadableError: If a column is missing.
        """
        if missing := [name for name in DAILY_COLUMNS if name not in daily.columns]:
            raise WeatherUnreadableError(f"the daily temperatures lack {', '.join(missing)}; publish the marts again")
        known = daily.dropna(subset=["local_date", "mean_temperature_c"])
        if known.empty:
            return None
        temperature = known["mean_temperature_c"].astype("float64")
        days = pd.DataFrame(
            {
                "district": known["district"].fillna(EVERYWHERE).astype(str),
                "month": pd.to_datetime(known["local_date"]).dt.to_period("M"),
                "heating_c": (rule.heating_base_c - temperature).clip(lower=0),
                "cooling_c": (temperature - rule.cooling_base_c).clip(lower=0),
                "temperature_c": temperature,
            }
        )
        measures = ["heating_c", "cooling_c", "temperature_c"]
        grouped = days.groupby(["district", "month"])
        monthly = grouped[measures].mean().assign(days_count=grouped.size())
        monthly.loc[monthly["days_count"] < _MONTH_DAYS_MIN_COUNT, measures] = np.nan
        if EVERYWHERE not in monthly.index.get_level_values("district"):
            overall = monthly.groupby(level="month").mean()
            monthly = pd.concat([monthly, pd.concat({EVERYWHERE: overall}, names=["district"])])
        months = pd.period_range(days["month"].min(), days["month"].max(), freq="M")
        districts = monthly.index.get_level_values("district").unique()
        every = pd.MultiIndex.from_product([districts, months], names=["district", "month"])
        return cls(monthly.reindex(every))

    def drivers(self, column: Column, districts: Sequence[object], months: "pd.Series[pd.Period]") -> FloatArray:
        """Return what of the weather moves a column in each row, as degrees of heating and of cooling per day.

        Args:
            column: Column with a weather response.
            districts: District of each row; None or one without weather takes the mean of all.
            months: As-of month of each row, as a monthly period.

        Returns:
            (rows, 2); NaN where the weather of the row's whole window is not known.
        """
        known = set(self.monthly.index.get_level_values("district"))
        places = pd.Index([name if name in known else EVERYWHERE for name in map(_district, districts)], dtype=object)
        wanted = pd.MultiIndex.from_arrays([places, months])
        return np.asarray(self._driver_table(column).reindex(wanted), dtype=np.float64)

    def of_month(self, month: date, districts: Sequence[object]) -> MonthWeather | None:
        """Return the weather of a month where the customers are; None if it is not known.

        Args:
            month: First day of the month.
            districts: District of each customer; the weather is weighed by them.
        """
        names = pd.Series([_district(name) for name in districts], dtype=object)
        known = self.monthly.index.get_level_values("district").unique()
        names = names.where(names.isin(known), EVERYWHERE)
        shares = names.value_counts(normalize=True)
        temperatures = self._weighed("temperature_c", shares)
        period = pd.Period(month, freq="M")
        if not np.isfinite(temperatures.get(period, np.nan)):
            return None
        normals = MonthlyWeather.of({place.start_time.date(): value for place, value in temperatures.items()}).normals(
            (period - 1).start_time.date()
        )
        normal = float(normals[month.month - 1])
        window = [period - back for back in range(_QUARTER_MONTHS)]
        anomalies = [temperatures.get(place, np.nan) - normals[place.month - 1] for place in window]
        days = self._weighed("days_count", shares)[period]
        return MonthWeather(
            mean_temperature_c=temperatures[period],
            normal_temperature_c=normal if np.isfinite(normal) else None,
            anomaly_3m_c=float(np.mean(anomalies)) if np.isfinite(anomalies).all() else None,
            heating_degree_days=days * self._weighed("heating_c", shares)[period],
            cooling_degree_days=days * self._weighed("cooling_c", shares)[period],
            districts_count=int((shares.index != EVERYWHERE).sum()),
        )

    def _weighed(self, measure: str, shares: "pd.Series[float]") -> dict[pd.Period, float]:
        table = self.monthly[measure].unstack("district")[list(shares.index)]
        # A district that was not observed in a month leaves its weight to the others.
        weights = table.notna().mul(shares.to_numpy(), axis=1)
        weighed = (table.fillna(0) * weights).sum(axis=1) / weights.sum(axis=1).replace(0, np.nan)
        return dict(zip(pd.PeriodIndex(weighed.index), weighed.to_list(), strict=True))

    @cached_property
    def _degrees(self) -> pd.DataFrame:
        return self.monthly[["heating_c", "cooling_c"]]

    def _driver_table(self, column: Column) -> pd.DataFrame:
        table = self._window_table(column)
        return table.groupby(level="district").shift(column.window_lag_months) if column.window_lag_months else table

    def _window_table(self, column: Column) -> pd.DataFrame:
        """Return what moves a column whose window ends with each month."""
        window = column.window_months
        degrees = self._degrees
        if column.weather == "level":
            return _rolled(degrees, window, "mean")
        if column.weather == "spread":
            return _rolled(degrees, window, "std")
        if column.weather == "change":
            level = _rolled(degrees, window, "mean")
            return level - level.groupby(level="district").shift(_YEAR_MONTHS)
        calendar_month = pd.PeriodIndex(degrees.index.get_level_values("month")).month
        summer = degrees["cooling_c"].where(calendar_month.isin(_SUMMER))
        winter = degrees["heating_c"].where(calendar_month.isin(_WINTER))
        table = pd.DataFrame({"heating_c": _latest_season(winter, window), "cooling_c": _latest_season(summer, window)})
        if column.weather == "summer":
            return table.assign(heating_c=table["cooling_c"] * 0)
        if column.weather == "winter":
            return table.assign(cooling_c=table["heating_c"] * 0)
        return table


def _district(name: object) -> str:
    return name if isinstance(name, str) else EVERYWHERE


def _rolled(degrees: pd.DataFrame, window: int, measure: str) -> pd.DataFrame:
    rolling = degrees.groupby(level="district", group_keys=False).rolling(window)
    rolled = rolling.mean() if measure == "mean" else rolling.std(ddof=0)
    return rolled.droplevel(0)


def _latest_season(degrees: "pd.Series[float]", window: int) -> "pd.Series[float]":
    """Return the mean over the months of a season that lie in the window; NaN before a window is complete."""
    grouped = degrees.groupby(level="district", group_keys=False)
    mean = grouped.rolling(window, min_periods=1).mean().droplevel(0)
    is_complete = degrees.groupby(level="district").cumcount() >= window - 1
    return mean.where(is_complete)
