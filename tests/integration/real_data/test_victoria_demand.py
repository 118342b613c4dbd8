"""Demand of Victoria (Australia): what weather explains of it, and what it leaves, on days that nobody simulated."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.response import move_to_weather


@pytest.fixture(scope="module")
def days(shared_data: Path) -> pd.DataFrame:
    """Return a row per day with demand, degrees of heating and cooling, and whether people rest."""
    demand = pd.read_parquet(shared_data / "vic_elec" / "demand_halfhourly.parquet")
    by_day = demand.groupby(pd.to_datetime(demand["ts_local"]).dt.normalize()).agg(
        demand_gwh=("demand_mwh", lambda half_hours: half_hours.sum() / 2_000),
        temperature_c=("temp_c", "mean"),
        is_holiday=("holiday", "max"),
    )
    return by_day.assign(
        rests=((by_day.index.dayofweek >= 5) | by_day["is_holiday"].astype(bool)).astype(np.intp),
        heating_c=(18 - by_day["temperature_c"]).clip(lower=0),
        cooling_c=(by_day["temperature_c"] - 22).clip(lower=0),
    )


@pytest.fixture(scope="module")
def changes(days) -> pd.DataFrame:
    """Return each month's mean demand against that of its season in 2012, in percent, with and without the weather."""
    reference = days[days.index.year == 2012]
    rows = {}
    later = days[days.index.year > 2012]
    for month, current in later.groupby(later.index.to_period("M")):
        in_season = np.isin((reference.index.month - month.month) % 12, [0, 1, 11])
        moved = move_to_weather(
            reference["demand_gwh"].to_numpy(),
            reference["rests"].to_numpy(),
            reference.index.month.to_numpy().astype(np.intp),
            reference[["heating_c", "cooling_c"]].to_numpy(),
            in_season,
            current[["heating_c", "cooling_c"]].to_numpy(),
            current["rests"].to_numpy(),
            response_per_degree=0.5,
            is_estimable=True,
        )
        season = reference.loc[in_season, "demand_gwh"].mean()
        mean = current["demand_gwh"].mean()
        rows[str(month)] = (100 * (mean / season - 1), 100 * (mean / moved.values.mean() - 1))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["same_season", "weather_adjusted"])


def test_without_the_weather_the_months_differ_less(changes) -> None:
    assert len(changes) == 18
    assert changes["weather_adjusted"].std() < 0.6 * changes["same_season"].std()


def test_the_heat_wave_of_january_2014_is_explained_and_the_fall_of_demand_is_not_hidden(changes) -> None:
    """Four days near 34 °C on average: more demand than in the summer of 2012, less than such heat had meant then."""
    january = changes.loc["2014-01"]
    assert january["same_season"] > 2
    assert january["weather_adjusted"] < -1
