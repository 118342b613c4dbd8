from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.tariff_matching.weather import DistrictWeather, MonthlyWeather
from ml.tariffs.calendar import month_starts

TWO_YEARS = month_starts(date(2024, 9, 1), date(2026, 8, 1))


def harmonic_temperature(month: date) -> float:
    return 14.0 - 13.0 * float(np.cos((month.month - 1) / 12 * 2 * np.pi))


def temperatures(**warmer_by_district: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"district": name, "month": month, "mean_temperature_c": harmonic_temperature(month) + warmer}
            for name, warmer in warmer_by_district.items()
            for month in TWO_YEARS
        ]
    )


def names(*districts: str | None) -> np.ndarray:
    return np.array(districts, dtype=object)


def test_normals_are_the_harmonic_of_the_year_and_a_warm_month_stands_out() -> None:
    weather = MonthlyWeather.of(
        {month: harmonic_temperature(month) + 3.0 * (month == date(2026, 1, 1)) for month in TWO_YEARS}
    )

    before = weather.normals(date(2025, 9, 1))

    assert before == pytest.approx([harmonic_temperature(date(2025, n, 1)) for n in range(1, 13)], abs=1e-3)
    after = weather.anomalies(date(2026, 8, 1), [date(2026, 1, 1), date(2026, 4, 1)])
    assert after[0] > 2.0
    assert abs(after[1]) < 0.5


def test_weather_after_the_decision_is_not_known() -> None:
    weather = MonthlyWeather.of({month: harmonic_temperature(month) for month in TWO_YEARS})
    assert np.isnan(weather.anomalies(date(2025, 9, 1), [date(2025, 10, 1)])).all()
    assert np.isnan(weather.normals(date(2024, 12, 1))).all()
    assert np.isnan(MonthlyWeather().normals(date(2026, 1, 1))).all()


def test_months_without_a_temperature_are_left_out() -> None:
    weather = MonthlyWeather.of({date(2025, 1, 1): float("nan"), date(2025, 2, 1): 3.0})
    assert weather.months == (date(2025, 2, 1),)


def test_customers_have_the_weather_of_their_district_and_without_one_the_mean() -> None:
    weather = DistrictWeather.of(temperatures(coast=0.0, hills=-4.0))
    months = month_starts(date(2026, 1, 1), date(2026, 3, 1))

    normals, _ = weather.of_customers(names("hills", "coast", None, "new"), date(2026, 8, 1), months, months)

    own = np.array([harmonic_temperature(month) for month in months])
    assert normals == pytest.approx(np.array([own - 4.0, own, own - 2.0, own - 2.0]), abs=2e-3)


def test_only_the_district_that_was_too_warm_stands_out() -> None:
    rows = temperatures(coast=0.0, hills=0.0)
    is_warm = (rows["district"] == "coast") & (rows["month"] == date(2026, 1, 1))
    weather = DistrictWeather.of(rows.assign(mean_temperature_c=rows["mean_temperature_c"] + 5.0 * is_warm))

    january = [date(2026, 1, 1)]
    _, anomalies = weather.of_customers(names("coast", "hills"), date(2026, 8, 1), january, january)

    assert anomalies[0, 0] > 3.0
    assert anomalies[1, 0] == pytest.approx(0.0, abs=2e-3)


def test_a_district_of_which_too_little_is_known_has_the_mean() -> None:
    rows = temperatures(coast=0.0, hills=-4.0)
    short = rows[(rows["district"] == "coast") | (rows["month"] < date(2025, 2, 1))]
    weather = DistrictWeather.of(short)

    normals, _ = weather.of_customers(names("hills", None), date(2026, 8, 1), TWO_YEARS, TWO_YEARS)

    assert (normals[0] == normals[1]).all()


def test_rows_without_a_district_or_a_temperature_count_where_they_can() -> None:
    rows = pd.DataFrame(
        {
            "district": [None, "coast", "coast"],
            "month": [date(2026, 1, 1), date(2026, 1, 1), date(2026, 2, 1)],
            "mean_temperature_c": [2.0, 4.0, None],
        }
    )
    weather = DistrictWeather.of(rows)
    assert weather.mean == MonthlyWeather((date(2026, 1, 1),), (3.0,))
    assert weather.by_district == {"coast": MonthlyWeather((date(2026, 1, 1),), (4.0,))}


def test_the_arrays_of_a_bundle_hold_the_same_weather() -> None:
    weather = DistrictWeather.of(temperatures(coast=0.0, hills=-4.0))
    assert DistrictWeather.from_arrays(weather.to_arrays()) == weather
    assert DistrictWeather.from_arrays(DistrictWeather().to_arrays()) == DistrictWeather()
