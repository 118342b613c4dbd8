"""The weather behind a row: degree days of its window, and the words for it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.columns import Column
from monitoring.policy import WeatherRule
from monitoring.weather import Weather, WeatherUnreadableError

RULE = WeatherRule(heating_base_c=18, cooling_base_c=22, response_per_degree=0.5, reason="bases of these tests only")


def daily(first: str, last: str, celsius_of_month: dict[int, float], district: str = "east") -> pd.DataFrame:
    days = pd.date_range(first, last)
    return pd.DataFrame(
        {
            "district": district,
            "local_date": days.date,
            "mean_temperature_c": [celsius_of_month.get(day.month, 20.0) for day in days],
        }
    )


def column(weather: str, window_months: int) -> Column:
    return Column("load", "numeric", "", "", season="same_season", weather=weather, window_months=window_months)


def drivers_of(frame: pd.DataFrame, weather: str, window_months: int, month: str, district: object = "east") -> list:
    built = Weather.of(frame, RULE)
    assert built is not None
    months = pd.Series([pd.Period(month, freq="M")])
    return built.drivers(column(weather, window_months), [district], months)[0].tolist()


YEARS = daily("2024-01-01", "2025-12-31", {1: -2.0, 2: 8.0, 7: 27.0, 8: 25.0})


def test_a_window_has_the_mean_degrees_of_its_months() -> None:
    assert drivers_of(YEARS, "level", 3, "2025-02") == pytest.approx([(0 + 20 + 10) / 3, 0])
    assert drivers_of(YEARS, "level", 3, "2025-08") == pytest.approx([0, (0 + 5 + 3) / 3])


def test_the_spread_is_how_unlike_the_months_of_a_window_are() -> None:
    assert drivers_of(YEARS, "spread", 3, "2025-02") == pytest.approx([np.std([0, 20, 10]), 0])
    assert drivers_of(YEARS, "spread", 3, "2025-05") == [0, 0]


def test_a_change_is_against_the_same_window_a_year_before() -> None:
    warmer = pd.concat([YEARS[YEARS["local_date"] < date(2025, 7, 1)], daily("2025-07-01", "2025-12-31", {7: 31.0})])
    assert drivers_of(warmer, "change", 3, "2025-07") == pytest.approx([0, 4 / 3])
    assert np.isnan(drivers_of(warmer, "change", 3, "2025-01")).all()


def test_the_window_of_a_bill_ends_before_the_month_in_which_it_is_issued() -> None:
    built = Weather.of(YEARS, RULE)
    assert built is not None
    billed = replace(column("level", 3), window_lag_months=1)
    issued = built.drivers(billed, ["east"], pd.Series([pd.Period("2025-03", freq="M")]))[0].tolist()
    assert issued == drivers_of(YEARS, "level", 3, "2025-02")


def test_summers_and_winters_count_as_long_as_they_are_in_the_window() -> None:
    assert drivers_of(YEARS, "summer", 12, "2025-03") == pytest.approx([0, (0 + 5 + 3) / 3])
    assert drivers_of(YEARS, "winter", 12, "2025-03") == pytest.approx([(0 + 20 + 10) / 3, 0])
    assert drivers_of(YEARS, "both_seasons", 12, "2025-03") == pytest.approx([10, 8 / 3])


def test_a_window_that_reaches_before_the_weather_is_unknown() -> None:
    assert np.isnan(drivers_of(YEARS, "level", 3, "2024-02")).all()
    assert np.isnan(drivers_of(YEARS, "summer", 12, "2024-09")).all()


def test_a_month_with_few_observed_days_is_unknown() -> None:
    holes = YEARS[~YEARS["local_date"].between(date(2025, 5, 1), date(2025, 5, 15))]
    assert np.isnan(drivers_of(holes, "level", 1, "2025-05")).all()


@pytest.mark.parametrize("district", ["nowhere", None, float("nan")])
def test_customers_without_weather_of_their_own_take_the_mean_of_the_districts(district) -> None:
    both = pd.concat([YEARS, daily("2024-01-01", "2025-12-31", {1: 2.0}, district="west")])
    assert drivers_of(both, "level", 1, "2025-01", district) == pytest.approx([18.0, 0])


def test_a_month_is_described_against_the_months_before_it() -> None:
    celsius = {month: 13 - 14 * np.cos(2 * np.pi * (month - 1) / 12) for month in range(1, 13)}
    usual = daily("2024-01-01", "2025-06-30", celsius)
    hot = daily("2025-07-01", "2025-07-31", {7: celsius[7] + 5})
    weather = Weather.of(pd.concat([usual, hot]), RULE)
    assert weather is not None
    july = weather.of_month(date(2025, 7, 1), ["east", "east"])
    assert july is not None
    assert july.normal_temperature_c == pytest.approx(27.0, abs=0.01)
    assert july.anomaly_c == pytest.approx(5.0, abs=0.01)
    assert july.anomaly_3m_c == pytest.approx(5 / 3, abs=0.01)
    assert july.cooling_degree_days == pytest.approx(31 * (32 - 22), abs=0.1)
    assert (july.heating_degree_days, july.districts_count) == (0, 1)
    assert weather.of_month(date(2025, 9, 1), ["east"]) is None


def test_half_a_year_of_weather_has_no_normal() -> None:
    weather = Weather.of(daily("2025-01-01", "2025-06-30", {}), RULE)
    assert weather is not None
    june = weather.of_month(date(2025, 6, 1), ["east"])
    assert june is not None
    assert (june.normal_temperature_c, june.anomaly_c, june.anomaly_3m_c) == (None, None, None)


def test_no_temperatures_are_no_weather() -> None:
    assert Weather.of(YEARS.iloc[:0], RULE) is None
    assert Weather.of(YEARS.assign(mean_temperature_c=np.nan), RULE) is None


def test_temperatures_without_a_column_are_refused_by_its_name() -> None:
    with pytest.raises(WeatherUnreadableError, match="local_date"):
        Weather.of(YEARS.drop(columns="local_date"), RULE)
