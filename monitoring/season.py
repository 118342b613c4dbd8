"""The forms of the reference that a column of the month can be compared with.

A column that follows season and weather is looked at three times: against the whole reference, against its same season,
and against its same season moved to the weather of the month. Which of these decides is said by the policy; all of them
are shown. Other columns have one form, in which values that run by themselves (ages) are moved on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_KEY, Column, WeatherResponse
from monitoring.datasets import same_season, schema_columns
from monitoring.drift import usable_values
from monitoring.history import as_of_months, months_of_history, platform_months
from monitoring.policy import DriftPolicy
from monitoring.response import category_uncertainty, move_to_weather
from monitoring.verdicts import Basis
from monitoring.weather import Weather

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_CLASS_COLUMN = "customer_class"
_YEAR_MONTHS = 12
# Of fewer months a response to heating and to cooling is a guess.
_ESTIMABLE_MONTHS = 8
# Fewer rows of a season and a length of history have no share of missing values to speak of.
_ALIKE_ROWS_MIN_COUNT = 20


@dataclass(frozen=True)
class Form:
    """One form of the reference for one column.

    Attributes:
        basis: Which form it is.
        values: Values of the rows that belong to it, missing ones included; empty if it could not be made.
        uncertainty: Score that an error in making it can cause; 0 where values are as they were.
        why_en: Why it could not be made; empty if it could.
        why_zh: The same in Chinese.
    """

    basis: Basis
    values: "pd.Series[Any]"
    uncertainty: float = 0.0
    why_en: str = ""
    why_zh: str = ""


@dataclass(frozen=True)
class Sides:
    """Both sides of a review, in a form in which their values mean the same.

    Attributes:
        reference: Reference rows that are compared.
        current: Rows of the month that are compared.
        month: Month under review.
        policy: Rules.
        weather: Weather of the months; None if it is not known.
        data_since: First month of the platform's data; None if it is not known.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    month: date
    policy: DriftPolicy
    weather: Weather | None
    data_since: date | None = None

    @classmethod
    def of(
        cls,
        reference: pd.DataFrame,
        current: pd.DataFrame,
        month: date,
        policy: DriftPolicy,
        weather: Weather | None,
        data_since: date | None,
    ) -> "Sides":
        """Round values to what means anything, and forget events that only one of the sides could know."""
        features, predictions = schema_columns(policy.use_case)
        known_months = platform_months(as_of_months(reference, month), data_since)
        horizon = float(known_months.min()) if len(known_months) else np.inf
        changed_then: dict[str, Any] = {}
        changed_now: dict[str, Any] = {}
        for column in (*features, *predictions):
            for changed, frame in ((changed_then, reference), (changed_now, current)):
                values = frame[column.name]
                if column.clock == "since_event" and np.isfinite(horizon):
                    changed[column.name] = values.mask(values.gt(horizon))
                if rule := policy.resolution.get(column.name):
                    changed[column.name] = (values / rule.step).round() * rule.step
        return cls(reference.assign(**changed_then), current.assign(**changed_now), month, policy, weather, data_since)

    def forms(self, column: Column) -> tuple[Form, ...]:
        """Return the forms of the reference for a column; the whole reference is the first."""
        values = self.reference[column.name]
        if column.season == "same_season":
            return Form("whole_reference", values), self._same_season(values), self._weather_adjusted(column, values)
        return (Form("whole_reference", self._aged(values) if column.clock == "age" else values),)

    def missing_like_now_pct(self, column: Column) -> float | None:
        """Return how often a seasonal column is missing where the season and the customers' history are the same.

        A household of six months has a summer behind it in November and none in March. So each customer is held
        against those whose history began in the same month of the calendar, in the same month or else the nearest of
        the season; who has no like is taken to be as in the month, since nothing can be said.

        Returns:
            The share in percent; None if the column has no season.
        """
        if column.season != "same_season":
            return None
        missing_then = self.reference[column.name].isna().to_numpy(dtype=bool)
        missing_now = self.current[column.name].isna().to_numpy(dtype=bool)
        expected = missing_now.astype(np.float64)
        for rows, like in self._alike:
            expected[rows] = missing_then[like].mean()
        return 100 * float(expected.mean())

    @cached_property
    def _alike(self) -> list[tuple[BoolArray, BoolArray]]:
        """Rows of the month and the reference rows that are like them, by when in the calendar their history began."""
        full = self.policy.history.full_months
        then, now = months_of_history(self.reference, self.current, self.month, self.policy.history, self.data_since)
        half_year = _YEAR_MONTHS // 2
        away = (self._months_then + 1 - self.month.month + half_year) % _YEAR_MONTHS - half_year
        begun_then, begun_now = np.minimum(then - away, full), np.minimum(now, full)
        around = self.policy.season.months_around
        alike = []
        for begun in np.unique(begun_now):
            for distance in sorted(range(-around, around + 1), key=abs):
                like = (away == distance) & (begun_then == begun)
                if np.count_nonzero(like) >= _ALIKE_ROWS_MIN_COUNT:
                    alike.append((begun_now == begun, like))
                    break
        return alike

    @cached_property
    def customers_then(self) -> "pd.Series[int]":
        """Number of the customer of each reference row; rows without a customer have a number each."""
        return _customer_numbers(self.reference)

    @cached_property
    def customers_now(self) -> "pd.Series[int]":
        """Number of the customer of each row of the month; rows without a customer have a number each."""
        return _customer_numbers(self.current)

    @cached_property
    def in_season(self) -> BoolArray:
        """Reference rows of the same season as any month under review."""
        is_same = np.zeros(len(self.reference), dtype=bool)
        for month in np.unique(self._months_now):
            first = pd.Period(ordinal=int(month), freq="M").start_time.date()
            is_same |= same_season(self.reference, first, self.policy.season).to_numpy(dtype=bool)
        return is_same

    @cached_property
    def _months_then(self) -> IntArray:
        return _ordinals(self.reference, self.month)

    @cached_property
    def _months_now(self) -> IntArray:
        return _ordinals(self.current, self.month)

    @cached_property
    def _classes(self) -> tuple[IntArray, IntArray]:
        codes, _ = pd.factorize(pd.concat([self.reference[_CLASS_COLUMN], self.current[_CLASS_COLUMN]]))
        return codes[: len(self.reference)], codes[len(self.reference) :]

    @cached_property
    def _drivers(self) -> Mapping[tuple[WeatherResponse, int, int], tuple[FloatArray, FloatArray]]:
        """Degrees behind the rows of both sides, by what of the weather a column follows and over which window."""
        if self.weather is None:
            return {}
        features, predictions = schema_columns(self.policy.use_case)
        by_response = {_response_of(column): column for column in (*features, *predictions)}
        months = [as_of_months(frame, self.month) for frame in (self.reference, self.current)]
        return {
            response: (
                self.weather.drivers(column, list(self.reference["district"]), months[0]),
                self.weather.drivers(column, list(self.current["district"]), months[1]),
            )
            for response, column in by_response.items()
            if column.weather != "none"
        }

    def _aged(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        """Return ages moved on by the part of the time since that brings them nearest to the month.

        Customers whom nobody joins grow older by a month each month; those who are renewed all the time do not.
        """
        now = self.current[values.name]
        if values.notna().any() and now.notna().any():
            aged = values + (self._months_now.max() - self._months_then)
            span = float(aged.median() - values.median())
            if span > 0:
                share = float(np.clip((now.median() - values.median()) / span, 0, 1))
                return values + share * (aged - values)
        return values

    def _same_season(self, values: "pd.Series[Any]") -> Form:
        if not self.in_season.any():
            why = ("no same season in the reference", "参考样本中没有同季节数据")
            return Form("same_season", values.iloc[:0], why_en=why[0], why_zh=why[1])
        return Form("same_season", values[self.in_season])

    def _weather_adjusted(self, column: Column, values: "pd.Series[Any]") -> Form:
        if self.weather is None:
            return _impossible(values, "no weather is known", "没有天气数据")
        drivers_then, drivers_now = self._drivers[_response_of(column)]
        usable = values.index.isin(usable_values(values, column.kind).index)
        usable_now = self.current.index.isin(usable_values(self.current[column.name], column.kind).index)
        is_known = usable & np.isfinite(drivers_then).all(axis=1)
        if not (is_known.any() and usable_now.any() and np.isfinite(drivers_now[usable_now]).all()):
            return _impossible(values, "the weather behind the values is not known", "数据对应的天气未知")
        base = is_known & self.in_season
        if base.sum() < self.policy.minimum.column_rows:
            base = is_known
        # Rows with a value but without weather are neither moved nor missing.
        is_kept = base | (~usable & (self.in_season | (base == is_known).all()))
        response = self.policy.weather.response_per_degree
        if column.kind != "numeric":
            difference = drivers_now[usable_now].mean(axis=0) - drivers_then[base].mean(axis=0)
            uncertainty = category_uncertainty(values[base], response * float(np.hypot(*difference)))
            return Form("weather_adjusted", values[is_kept], uncertainty)
        classes_then, classes_now = self._classes
        moved = move_to_weather(
            values[is_known].to_numpy(dtype=np.float64),
            classes_then[is_known],
            self._months_then[is_known],
            drivers_then[is_known],
            base[is_known],
            drivers_now[usable_now],
            classes_now[usable_now],
            response_per_degree=response,
            # A window of a year holds every season once, so a reference of a year shows no response to the weather.
            is_estimable=column.window_months < _YEAR_MONTHS
            and len(np.unique(self._months_then[is_known])) >= _ESTIMABLE_MONTHS,
        )
        form = values[is_kept].astype(np.float64)
        form.loc[values.index[base]] = moved.values
        return Form("weather_adjusted", form, moved.uncertainty)


def _response_of(column: Column) -> tuple[WeatherResponse, int, int]:
    """Return what of the weather a column follows, over which window, ending how long before the as-of month."""
    return column.weather, column.window_months, column.window_lag_months


def _impossible(values: "pd.Series[Any]", why_en: str, why_zh: str) -> Form:
    return Form("weather_adjusted", values.iloc[:0], why_en=why_en, why_zh=why_zh)


def _customer_numbers(rows: pd.DataFrame) -> "pd.Series[int]":
    numbers, known = pd.factorize(rows[CUSTOMER_KEY])
    is_nobody = numbers < 0
    numbers[is_nobody] = len(known) + np.arange(is_nobody.sum())
    return pd.Series(numbers, index=rows.index)


def _ordinals(frame: pd.DataFrame, month: date) -> IntArray:
    return np.asarray(pd.PeriodIndex(as_of_months(frame, month)).astype("int64"), dtype=np.intp)
