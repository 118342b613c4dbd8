"""Which months the main job scores, and what it says when there is none."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.main_run import NoMonthToScoreError, months_to_score
from orchestration.marts import MARTS
from orchestration.settings import PlatformSettings
from tests.unit.orchestration.published import publish_file

FIRST_MONTH = date(2024, 9, 1)


def settings_with_months(home: Path, *months: str) -> PlatformSettings:
    """Publish marts whose customers have features of these as-of months."""
    warehouse = home / "kilowise.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table months (as_of_month date)")
        for month in months:
            connection.execute("insert into months values (?)", [month])
        for mart, order in MARTS.items():
            others = "".join(f", 'one' as {column}" for column in order if column != "as_of_month")
            connection.execute(f"create table marts.{mart} as select as_of_month{others} from months")
    settings = PlatformSettings(home=home, first_month=FIRST_MONTH, review_months=2, _env_file=None)
    publish_file(warehouse, settings.marts_dir)
    return settings


def test_latest_months_are_scored_oldest_first(tmp_path: Path) -> None:
    settings = settings_with_months(tmp_path, "2024-11-01", "2024-08-01", "2024-10-01", "2024-09-01")

    assert months_to_score(settings) == [date(2024, 10, 1), date(2024, 11, 1)]


def test_months_before_the_first_one_are_left_out(tmp_path: Path) -> None:
    settings = settings_with_months(tmp_path, "2024-08-01", "2024-09-01")

    assert months_to_score(settings) == [date(2024, 9, 1)]


def test_data_without_a_complete_month_needs_known_at(tmp_path: Path) -> None:
    settings = settings_with_months(tmp_path)

    with pytest.raises(NoMonthToScoreError) as caught:
        months_to_score(settings)

    assert str(caught.value) == (
        "The data describes no complete month: nothing was known by the time a month was over. Old data that is "
        "delivered at once needs known_at in its mapping."
    )


def test_data_that_ends_before_the_first_month_names_the_setting(tmp_path: Path) -> None:
    settings = settings_with_months(tmp_path, "2013-01-01", "2013-12-01")

    with pytest.raises(NoMonthToScoreError) as caught:
        months_to_score(settings)

    assert str(caught.value) == (
        "The data ends in 2013-12, before the first month of the platform: set KILOWISE_FIRST_MONTH to the data's "
        "first month or earlier (now 2024-09-01)."
    )
