from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from monitoring.datasets import (
    CurrentRows,
    ReferenceUnreadableError,
    load_current,
    load_reference,
    months_between,
    same_season,
    schema_columns,
)
from monitoring.policy import ReferenceRule, SampleRule, SeasonRule
from tests.unit.monitoring.factories import MONTH, RELEASE, Platform, prediction_frame

SAMPLE = SampleRule(rows=50_000, seed=1, reason="large enough for the whole month")

YEAR = ReferenceRule(latest_months=12, reason="a year holds every season once")


def read(platform: Platform, sample: SampleRule = SAMPLE, release: str = RELEASE) -> CurrentRows:
    return load_current(
        platform.use_case,
        MONTH,
        predictions_dir=platform.predictions_dir,
        log_dir=platform.log_dir,
        release=release,
        sample=sample,
    )


def online(rows: int, **changes) -> pd.DataFrame:
    """Logged rows about customers that the batch does not hold."""
    frame = prediction_frame("credit_risk", MONTH, rows, seed=9)
    frame["customer_key"] = [f"online-{number}" for number in range(rows)]
    frame["request_id"] = [f"request-{number}" for number in range(rows)]
    return frame.assign(source="online", **changes)


def test_batch_and_log_of_a_month_are_read_together(make_platform) -> None:
    platform = make_platform(rows=100)
    platform.write_log(online(7), date(2026, 9, 3), "a")
    platform.write_log(online(5, as_of_month=date(2026, 9, 1)), date(2026, 10, 3), "b")
    current = read(platform)
    assert len(current.frame) == current.rows_available == 107
    assert set(current.frame["source"]) == {"batch", "online"}


def test_rows_without_as_of_month_count_in_the_month_of_their_decision(make_platform) -> None:
    platform = make_platform(rows=0)
    decided = pd.Series([datetime(2026, 8, 31, 23, tzinfo=UTC), datetime(2026, 9, 1, 0, tzinfo=UTC)])
    platform.write_log(online(2, as_of_month=None, decided_at=decided), date(2026, 8, 31), "a")
    assert read(platform).frame["request_id"].tolist() == ["request-0"]


def test_mixed_time_zones_meet_in_utc(make_platform) -> None:
    platform = make_platform(rows=0)
    shanghai = timezone(timedelta(hours=8))
    moments = {
        "shanghai": pd.Series([datetime(2026, 9, 1, 7, 30, tzinfo=shanghai)]),
        "naive": pd.Series([datetime(2026, 8, 31, 23, 30)]),
        "text": pd.Series(["2026-08-31T23:30:00+00:00"]),
    }
    for name, moment in moments.items():
        frame = online(1, as_of_month=None, decided_at=moment).assign(customer_key=name, request_id=name)
        platform.write_log(frame, date(2026, 8, 31), name)
    current = read(platform)
    assert set(current.frame["customer_key"]) == set(moments)
    assert current.frame["decided_at"].nunique() == 1


def test_a_time_without_zone_is_counted_where_the_month_follows_from_it(make_platform) -> None:
    platform = make_platform(rows=0)
    naive, text = pd.Series([datetime(2026, 8, 31, 23, 30)] * 3), pd.Series(["2026-08-31T23:30:00"] * 2)
    platform.write_log(online(3, as_of_month=None, decided_at=naive), date(2026, 8, 31), "naive")
    platform.write_log(
        online(2, as_of_month=None, decided_at=text).assign(customer_key="text"), date(2026, 8, 31), "text"
    )
    platform.write_log(online(4, decided_at=pd.Series([datetime(2026, 8, 31, 23, 30)] * 4)), date(2026, 8, 31), "dated")
    assert read(platform).rows_zone_assumed == 5


def test_the_month_is_the_one_that_its_writers_clock_showed(make_platform) -> None:
    shanghai = pd.Timestamp("2026-08-01", tz="Asia/Shanghai")
    platform = make_platform(rows=0)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 40, seed=1).assign(as_of_month=shanghai))
    assert (len(read(platform).frame), read(platform).rows_undated) == (40, 0)


@pytest.mark.parametrize(
    ("as_of_month", "rows", "rows_undated"),
    [
        (pd.Timestamp("2026-07-31 16:00", tz="UTC"), 0, 47),
        ("2026-08-15", 0, 47),
        (date(2026, 7, 1), 0, 40),  # the log's rows are July's
        ("August", 40, 7),  # the batch's rows are those of their folder
        (202608, 40, 7),
    ],
)
def test_rows_of_a_month_that_is_none_are_counted_and_not_compared(
    make_platform, as_of_month, rows, rows_undated
) -> None:
    platform = make_platform(rows=0)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 40, seed=1).assign(as_of_month=as_of_month))
    platform.write_log(online(7, as_of_month=as_of_month, decided_at="yesterday"), date(2026, 9, 3), "a")
    current = read(platform)
    assert (len(current.frame), current.rows_undated) == (rows, rows_undated)


def test_a_torn_last_log_file_is_skipped_and_counted(make_platform) -> None:
    platform = make_platform(rows=100)
    platform.write_log(online(5), date(2026, 9, 3), "whole")
    torn = platform.write_log(online(5), date(2026, 9, 4), "torn")
    torn.write_bytes(torn.read_bytes()[:-200])
    (torn.parent / "empty.parquet").touch()
    current = read(platform)
    assert set(current.files_unreadable) == {"torn.parquet", "empty.parquet"}
    assert current.files_read == 2
    assert len(current.frame) == 105


def test_a_file_with_a_whole_footer_and_a_broken_page_is_skipped(make_platform) -> None:
    platform = make_platform(rows=100)
    broken = platform.write_log(online(200), date(2026, 9, 4), "broken")
    content = bytearray(broken.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    broken.write_bytes(content)
    current = read(platform)
    assert current.files_unreadable == ("broken.parquet",)
    assert len(current.frame) == 100


def test_duplicated_rows_are_dropped_and_counted(make_platform) -> None:
    platform = make_platform(rows=100)
    platform.write_log(online(5), date(2026, 9, 3), "first")
    platform.write_log(online(5), date(2026, 9, 3), "again")
    current = read(platform)
    assert (len(current.frame), current.rows_duplicated, current.rows_superseded) == (105, 5, 0)


def test_a_customer_who_is_asked_about_often_counts_once_with_the_latest_decision(make_platform) -> None:
    platform = make_platform(rows=100)
    frame = online(50).assign(
        customer_key="often",
        decided_at=[datetime(2026, 9, 3, tzinfo=UTC) + timedelta(minutes=number) for number in range(50)],
        credit_points=np.arange(50.0),
    )
    platform.write_log(frame.sample(frac=1, random_state=0), date(2026, 9, 3), "a")
    current = read(platform)
    assert current.rows_superseded == 49
    assert current.frame.loc[current.frame["customer_key"] == "often", "credit_points"].tolist() == [49.0]


def test_rows_without_customer_are_kept_each(make_platform) -> None:
    platform = make_platform(rows=0)
    platform.write_log(online(20).assign(customer_key=None), date(2026, 9, 3), "a")
    assert len(read(platform).frame) == 20


def test_rows_of_one_request_that_name_nobody_count_each_and_the_same_row_again_once(make_platform) -> None:
    platform = make_platform(rows=0)
    frame = online(20).assign(customer_key=None, request_id="one request")
    platform.write_log(frame, date(2026, 9, 3), "a")
    platform.write_log(frame.head(3), date(2026, 9, 3), "again")
    current = read(platform)
    assert (len(current.frame), current.rows_duplicated) == (20, 3)


def test_rows_of_other_releases_are_counted_and_not_compared(make_platform) -> None:
    platform = make_platform(rows=100)
    current = read(platform, release="0002-other")
    assert (len(current.frame), current.rows_of_other_releases) == (0, 100)


def test_the_sample_is_bounded_seeded_and_independent_of_file_order(make_platform) -> None:
    platform = make_platform(rows=6_000)
    small = SampleRule(rows=1_000, seed=1, reason="a sixth of the month's rows")
    first, again = read(platform, small), read(platform, small)
    assert len(first.frame) == 1_000
    assert first.rows_available == 6_000
    platform.write_batch(prediction_frame("credit_risk", MONTH, 6_000, seed=1).iloc[::-1])
    reordered = read(platform, small)
    other_seed = read(platform, SampleRule(rows=1_000, seed=2, reason="a sixth of the month's rows"))
    keys = [set(rows.frame["customer_key"]) for rows in (first, again, reordered, other_seed)]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_load_test_on_few_customers_does_not_crowd_out_the_others(make_platform) -> None:
    platform = make_platform(rows=900)
    platform.write_log(online(5_000).assign(customer_key="load-test"), date(2026, 9, 3), "a")
    current = read(platform, SampleRule(rows=1_000, seed=1, reason="smaller than the number of rows"))
    assert len(current.frame) == 901


def test_vanished_new_and_retyped_columns_are_reported(make_platform) -> None:
    platform = make_platform(rows=0)
    frame = prediction_frame("credit_risk", MONTH, 50, seed=1)
    frame = frame.drop(columns="tenure_months").assign(brand_new=1, bills_12m_count="twelve")
    # Kept beside the predictions on purpose.
    frame = frame.assign(as_of_at=pd.Timestamp("2026-09-01", tz="UTC"), rating_in_force="B")
    platform.write_batch(frame)
    current = read(platform)
    assert current.columns_absent == ("tenure_months",)
    assert current.columns_unknown == ("brand_new",)
    assert list(current.columns_retyped) == ["bills_12m_count"]
    assert current.frame["bills_12m_count"].isna().all()


def test_files_of_two_schemas_are_read_together(make_platform) -> None:
    platform = make_platform(rows=100)
    platform.write_log(online(5).drop(columns="tenure_months"), date(2026, 9, 3), "older")
    current = read(platform)
    assert current.columns_absent == ()
    assert current.frame["tenure_months"].isna().sum() == 5


@pytest.mark.parametrize(
    "value", [[1.0], {"a": 1}, b"bytes", timedelta(1), date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), True, "x", 7]
)
@pytest.mark.parametrize("column", ["tenure_months", "customer_class", "district", "as_of_month", "decided_at"])
def test_no_type_of_a_column_stops_a_review(make_platform, column, value) -> None:
    platform = make_platform(rows=0)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 5, seed=1).assign(**{column: [value] * 5}))
    current = read(platform)
    assert current.files_unreadable == ()
    if column in ("tenure_months", "customer_class"):
        is_fitting = isinstance(value, (bool, int) if column == "tenure_months" else str)
        assert (column in current.columns_retyped) != is_fitting
        assert len(current.frame) == 5


def test_an_empty_column_of_another_type_has_not_changed_its_type(make_platform) -> None:
    platform = make_platform(rows=0)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 5, seed=1).assign(rating_veto_code=np.nan))
    assert read(platform).columns_retyped == {}


def test_a_window_holds_each_customer_once_a_month(make_platform) -> None:
    platform = make_platform(rows=60)
    platform.write_batch(prediction_frame("credit_risk", date(2026, 7, 1), 50, seed=2), date(2026, 7, 1))
    platform.write_batch(prediction_frame("credit_risk", date(2026, 6, 1), 40, seed=3), date(2026, 6, 1))
    platform.write_log(online(3, decided_at=datetime(2026, 9, 6, tzinfo=UTC)), date(2026, 9, 6), "a")
    window = load_current(
        platform.use_case,
        MONTH,
        first_month=date(2026, 7, 1),
        predictions_dir=platform.predictions_dir,
        log_dir=platform.log_dir,
        release=RELEASE,
        sample=SAMPLE,
    )
    assert window.frame["as_of_month"].dt.month.value_counts().to_dict() == {8: 63, 7: 50}
    assert months_between(date(2025, 11, 1), date(2026, 2, 1)) == [
        date(2025, 11, 1),
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2026, 2, 1),
    ]


def test_an_empty_month_gives_no_rows_and_all_columns(make_platform) -> None:
    platform = make_platform(rows=0)
    features, predictions = schema_columns("credit_risk")
    current = read(platform)
    assert current.rows_available == 0
    assert {column.name for column in (*features, *predictions)} <= set(current.frame.columns)


def test_a_missing_or_broken_reference_is_refused(make_platform) -> None:
    platform = make_platform(rows=0)
    reference = platform.bundle_dir / "reference.parquet"
    reference.write_bytes(reference.read_bytes()[:100])
    with pytest.raises(ReferenceUnreadableError, match="not readable as Parquet"):
        load_reference("credit_risk", platform.bundle_dir, SAMPLE, YEAR)
    reference.unlink()
    with pytest.raises(ReferenceUnreadableError, match="has no reference sample"):
        load_reference("credit_risk", platform.bundle_dir, SAMPLE, YEAR)


def test_a_reference_of_an_older_schema_names_what_it_lacks(make_platform) -> None:
    platform = make_platform(rows=0)
    frame = prediction_frame("credit_risk", MONTH, 50, seed=1).drop(columns=["tenure_months"])
    platform.write_reference(frame)
    assert load_reference("credit_risk", platform.bundle_dir, SAMPLE, YEAR).columns_absent == ("tenure_months",)


def test_only_the_latest_year_of_a_longer_reference_is_compared_with(make_platform) -> None:
    platform = make_platform(rows=0, months=18)
    months = pd.to_datetime(load_reference("credit_risk", platform.bundle_dir, SAMPLE, YEAR).frame["as_of_month"])
    assert (months.min(), months.max(), months.nunique()) == (pd.Timestamp(2025, 9, 1), pd.Timestamp(MONTH), 12)


@pytest.mark.parametrize(
    ("month", "expected"), [(date(2026, 1, 1), {12, 1, 2}), (date(2026, 12, 1), {11, 12, 1}), (MONTH, {7, 8, 9})]
)
def test_the_same_season_reaches_around_the_turn_of_the_year(month, expected) -> None:
    reference = pd.DataFrame({"as_of_month": [date(2025, number, 1) for number in range(1, 13)]})
    rule = SeasonRule(months_around=1, decides=("same_season",), reason="neighbouring months share their window")
    season = same_season(reference, month, rule)
    assert {number + 1 for number in np.flatnonzero(season)} == expected
