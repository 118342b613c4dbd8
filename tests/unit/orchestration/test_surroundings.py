"""What reviews are told of the world outside of their rows."""

from datetime import date
from pathlib import Path

import pandas as pd

from orchestration.marts import MartsVersion
from orchestration.surroundings import review_surroundings, surroundings_fingerprint

DAYS = pd.DataFrame({"district": ["east"], "local_date": [date(2026, 1, 1)], "mean_temperature_c": [-2.5]})


def published(folder: Path, *, with_weather: bool) -> MartsVersion:
    months = pd.DataFrame({"customer_key": ["a", "a"], "month": [date(2025, 3, 1), date(2025, 2, 1)]})
    frames = {"customer_monthly_load": months, **({"district_daily_temperature": DAYS} if with_weather else {})}
    for mart, frame in frames.items():
        frame.to_parquet(folder / f"{mart}.parquet")
    return MartsVersion(
        "v", folder, {mart: len(frame) for mart, frame in frames.items()}, {mart: mart for mart in frames}
    )


def test_reviews_know_the_weather_and_since_when_there_is_data(tmp_path) -> None:
    surroundings = review_surroundings(published(tmp_path, with_weather=True))
    assert surroundings.data_since == date(2025, 2, 1)
    assert surroundings.daily_temperatures is not None
    assert surroundings.daily_temperatures["mean_temperature_c"].tolist() == [-2.5]


def test_marts_of_an_earlier_version_of_the_platform_hold_no_weather(tmp_path) -> None:
    marts = published(tmp_path, with_weather=False)
    assert review_surroundings(marts).daily_temperatures is None
    assert surroundings_fingerprint(marts) != surroundings_fingerprint(published(tmp_path, with_weather=True))
