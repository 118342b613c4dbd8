"""Seven weeks at 15 minutes and 26 days at one reading a day: what is possible, said in words."""

from collections.abc import Callable
from datetime import date

import pytest

from tests.benchmarks.real_segments import customer_attributes, heating_separation, of_count, segmentation_features
from tests.integration.real_data.real_data_run import RealDataRun, query

NOTHING_RELEASED = {"segmentation": None, "tariff_matching": None, "credit_risk": None}


@pytest.fixture(scope="session")
def swiss(run_as_on_page: Callable[[str], RealDataRun]) -> RealDataRun:
    return run_as_on_page("Swiss households: seven weeks at 15 minutes")


@pytest.fixture(scope="session")
def chinese(run_as_on_page: Callable[[str], RealDataRun]) -> RealDataRun:
    return run_as_on_page("State Grid China: one reading a day")


def test_quarter_hours_reach_the_cube_as_quarter_hours(swiss: RealDataRun) -> None:
    assert swiss.exit_code == 0
    assert "1,774,162 rows in, 1,774,162 loaded, 0 exact duplicates, 0 quarantined" in swiss.summary
    assert query(
        "select count(distinct slot), min(slot_minutes), max(slot_minutes), sum(interval_count), "
        f"count(distinct customer_key) from '{swiss.marts.path('customer_load_cube')}'"
    ) == [(96, 15, 15, 1_773_408, 377)]


def test_seven_weeks_are_said_to_be_too_short(swiss: RealDataRun) -> None:
    segmentation = {finding.check: finding.passed for finding in swiss.sufficiency("segmentation").findings}

    assert segmentation == {"load_shapes": True, "hourly_readings": True, "later_window": False}
    assert "the as-of months span 2 month(s), and 3 are needed" in swiss.summary
    assert "A choice needs at least two tariffs" in swiss.summary
    assert "There are no payments" in swiss.summary
    assert swiss.home.released_bundles() == NOTHING_RELEASED


def test_swiss_load_shapes_know_the_heating_that_the_level_of_use_does_not(swiss: RealDataRun) -> None:
    home = swiss.home.path

    # Two segments: to choose a number would take longer than all the rest.
    config = of_count(2).model_copy(update={"choice_runs_count": 5, "stability_runs_count": 10})

    figures = heating_separation(
        segmentation_features(home), customer_attributes(home), config, repeats_count=2, seed=7
    )

    (level, _lower, level_upper), _gain = figures["level"]
    _area, (gain, gain_lower, _gain_upper) = figures["the chosen segments"]
    assert level is not None
    assert level_upper is not None
    assert gain is not None
    assert gain_lower is not None
    assert level < 0.6 < level_upper < 0.7
    assert gain > gain_lower > 0.1


def test_daily_readings_give_energy_and_no_shape(chinese: RealDataRun) -> None:
    assert chinese.exit_code == 0
    assert "508,958 rows in, 508,957 loaded, 0 exact duplicates, 1 quarantined" in chinese.summary
    assert chinese.marts.row_counts["customer_load_cube"] == 0
    assert query(
        "select count(*), count(kwh), count(peak_kw), min(month), max(month) "
        f"from '{chinese.marts.path('customer_monthly_load')}'"
    ) == [(18_124, 18_124, 0, date(2014, 1, 1), date(2014, 1, 1))]


def test_customers_without_class_or_shape_are_named_as_the_reason(chinese: RealDataRun) -> None:
    assert "18,124 customers have no customer_class and belong to no group" in chinese.summary
    assert "readings of 60 minutes or shorter" in chinese.summary
    assert chinese.home.released_bundles() == NOTHING_RELEASED
