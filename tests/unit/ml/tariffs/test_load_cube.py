"""The cube holds what the readings say, from every source, and refuses what it cannot hold."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import SchemaMismatchError
from ml.tariffs.calendar import DayCalendar, month_starts
from ml.tariffs.load_cube import LoadCube
from tests.unit.ml.tariffs.strategies import DAYS, as_frame, as_readings, loads

ROW = {
    "customer_key": "a", "month": date(2025, 1, 1), "day_type": "workday", "slot": 7, "slot_minutes": 60,
    "kwh": Decimal("12.3456"), "peak_kw": Decimal("3.5"), "kvarh": Decimal("0.25"), "interval_count": 20,
    "expected_interval_count": 23,
}  # fmt: skip


def rows_of(*changes: dict) -> pl.DataFrame:
    return pl.DataFrame(
        [ROW | change for change in changes],
        schema_overrides={"kwh": pl.Decimal(18, 4), "peak_kw": pl.Decimal(14, 4), "kvarh": pl.Decimal(18, 4)},
    )


class TestFromFrame:
    def test_cells_stand_where_they_belong(self) -> None:
        cube = LoadCube.from_frame(
            rows_of({}, {"customer_key": "b", "month": date(2025, 3, 1), "day_type": "holiday", "slot": 23})
        )

        assert cube.customer_keys.tolist() == ["a", "b"]
        assert cube.months == (date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1))
        assert cube.kwh.shape == (2, 3, 3, 24)
        assert cube.kwh[0, 0, 0, 7] == cube.kwh[1, 2, 2, 23] == 123_456
        assert cube.kwh.sum() == 2 * 123_456
        assert cube.peak_kw[0, 0, 0, 7] == 35_000
        assert cube.kvarh[0].tolist() == [2500, 0, 0]
        assert cube.present.tolist() == [[True, False, False], [False, False, True]]
        assert cube.coverage_pct[0, 0] == pytest.approx(100 * 20 / 23)
        assert np.isnan(cube.coverage_pct[0, 1])

    def test_pandas_floats_arrow_and_parquet_mean_the_same(self, tmp_path: Path) -> None:
        rows = rows_of({}, {"slot": 8, "kwh": Decimal("0.0001")})
        rows.write_parquet(tmp_path / "cube.parquet")
        floats = rows.with_columns(pl.col("kwh", "peak_kw", "kvarh").cast(pl.Float64)).to_pandas()

        expected = LoadCube.from_frame(rows).kwh

        for cube in (
            LoadCube.from_frame(floats),
            LoadCube.from_frame(rows.to_pandas()),
            LoadCube.from_frame(rows.to_arrow()),
            LoadCube.from_parquet(tmp_path / "cube.parquet"),
        ):
            assert cube.kwh.tolist() == expected.tolist()

    def test_reactive_energy_is_absent_where_nobody_meters_it(self) -> None:
        assert LoadCube.from_frame(rows_of({"kvarh": None})).kvarh is None
        assert LoadCube.from_frame(rows_of({}).drop("kvarh")).kvarh is None

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ([{}, {}], "more than one row for customer a, month 2025-01-01, workday, slot 7"),
            ([{}, {"slot": 24}], "row 1: slot 24 is not from 0 to 23"),
            ([{"day_type": "sunday"}], "row 0: day_type 'sunday' is not one of workday"),
            ([{}, {"slot": 1, "kwh": None}], "row 1: kwh None is missing or negative"),
            ([{"kwh": Decimal(-1)}], "row 0: kwh -1.0 is missing or negative"),
            ([{}, {"slot": 1, "slot_minutes": 30}], r"expected one slot_minutes, found \[30, 60\]"),
            ([{"customer_key": None}], "customer_key None is missing"),
        ],
    )
    def test_bad_rows_are_named(self, changes: list[dict], message: str) -> None:
        with pytest.raises(SchemaMismatchError, match=message):
            LoadCube.from_frame(rows_of(*changes))

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0, float("nan")], "row 1: kwh nan is no possible number"),
            ([float("inf"), 1.0], "row 0: kwh inf is no possible number"),
            (["one", "two"], "kwh holds String, expected numbers"),
        ],
    )
    def test_quantities_that_are_no_numbers_are_named(self, values: list, message: str) -> None:
        rows = rows_of({}, {"slot": 8}).with_columns(kwh=pl.Series(values))

        with pytest.raises(SchemaMismatchError, match=message):
            LoadCube.from_frame(rows)

    def test_missing_columns_and_empty_tables_are_refused(self) -> None:
        with pytest.raises(SchemaMismatchError, match="missing columns slot, kwh"):
            LoadCube.from_frame(rows_of({}).drop("slot", "kwh"))
        with pytest.raises(SchemaMismatchError, match="no rows"):
            LoadCube.from_frame(rows_of({}).clear())


class TestFromReadings:
    @settings(max_examples=40, deadline=None)
    @given(load=loads("Europe/London", 30))
    def test_every_reading_lies_in_the_cell_of_its_local_time(self, load: list) -> None:
        cube = LoadCube.from_intervals(
            as_frame(load), interval_minutes=30, time_zone="Europe/London", days=DAYS, slot_minutes=60
        )

        energy: dict[tuple, Decimal] = {}
        power: dict[tuple, Decimal] = {}
        for reading in as_readings(load, "Europe/London"):
            month = cube.months.index(reading.local_start.date().replace(day=1))
            cell = (0, month, ("workday", "weekend", "holiday").index(reading.day_type), reading.local_start.hour)
            energy[cell] = energy.get(cell, Decimal(0)) + reading.kwh
            power[cell] = max(power.get(cell, Decimal(0)), reading.kwh * 2)
        for found, expected in ((cube.kwh, energy), (cube.peak_kw, power)):
            assert {tuple(cell): found[tuple(cell)] for cell in np.argwhere(found)} == {
                cell: value * 10_000 for cell, value in expected.items() if value
            }

    @pytest.mark.parametrize("time_zone", ["Asia/Shanghai", "Europe/London"])
    def test_series_of_all_customers_and_single_readings_agree(self, time_zone: str) -> None:
        generator = np.random.default_rng(4)
        start, end = (datetime(2025, month, 1, tzinfo=ZoneInfo(time_zone)) for month in (3, 5))
        utc = pd.date_range(start, end, freq="30min", inclusive="left").tz_convert("UTC")
        energy = generator.integers(0, 50_000, (3, len(utc)))
        local = utc.tz_convert(time_zone).tz_localize(None).to_numpy()
        frame = pd.DataFrame(
            {"customer_key": np.repeat(["a", "b", "c"], len(utc)), "read_at": utc.to_series().tolist() * 3,
             "kwh": energy.ravel() / 10_000}
        )  # fmt: skip

        by_series = LoadCube.from_series(["a", "b", "c"], local, energy, interval_minutes=30, days=DAYS)
        by_reading = LoadCube.from_intervals(
            frame.sample(frac=1, random_state=1), interval_minutes=30, time_zone=time_zone, days=DAYS, slot_minutes=60
        )

        for name in ("kwh", "peak_kw", "present", "interval_count", "expected_interval_count"):
            assert getattr(by_series, name).tolist() == getattr(by_reading, name).tolist()
        assert (by_series.coverage_pct == 100).all()

    def test_a_spring_day_has_23_hours_and_an_autumn_day_25(self) -> None:
        for month, hours in ((3, 31 * 24 - 1), (10, 31 * 24 + 1)):
            read_at = pd.date_range(f"2025-{month:02d}-15", periods=1, freq="h")
            cube = LoadCube.from_intervals(
                pd.DataFrame({"customer_key": "a", "read_at": read_at, "kwh": 1.0}),
                interval_minutes=60, time_zone="Europe/London", days=DayCalendar(),
            )  # fmt: skip
            assert cube.expected_interval_count[0, 0] == hours

    def test_unread_intervals_count_as_missing_and_not_as_use(self) -> None:
        local = np.arange("2025-01-01", "2025-03-01", dtype="datetime64[h]")
        energy = np.full((1, len(local)), 10_000)
        is_read = np.ones_like(energy, dtype=bool)
        is_read[0, : 31 * 24] = False

        cube = LoadCube.from_series(["a"], local, energy, interval_minutes=60, days=DAYS, is_read=is_read)

        assert cube.present.tolist() == [[False, True]]
        assert cube.month_kwh().tolist() == [[0, 28 * 24 * 10_000]]

    def test_power_follows_the_interval(self) -> None:
        for interval_minutes, power in ((15, 40_000), (30, 20_000), (60, 10_000), (1440, 417)):
            cube = LoadCube.from_series(
                ["a"], np.array(["2025-01-01T00:00"], "datetime64[m]"), np.array([[10_000]]),
                interval_minutes=interval_minutes, days=DAYS, slot_minutes=max(60, interval_minutes),
            )  # fmt: skip
            assert cube.month_peak_kw().tolist() == [[power]]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"kwh": [1.0, -1.0]}, "kwh of customer a at 2025-01-01 01:00:00.* is missing or negative"),
            ({"kwh": [1.0, None]}, "is missing or negative"),
            ({"read_at": [datetime(2025, 1, 1)] * 2}, "customer a has two readings at 2025-01-01"),
            ({"read_at": ["2025-01-01", "2025-01-02"]}, "column read_at holds String, expected instants"),
        ],
    )
    def test_unusable_readings_are_named(self, change: dict, message: str) -> None:
        readings = {
            "customer_key": ["a", "a"],
            "read_at": [datetime(2025, 1, 1), datetime(2025, 1, 1, 1)],
            "kwh": [1.0, 1.0],
        }

        with pytest.raises(SchemaMismatchError, match=message):
            LoadCube.from_intervals(
                pl.DataFrame(readings | change), interval_minutes=60, time_zone="Asia/Shanghai", days=DAYS
            )

    @pytest.mark.parametrize(("interval", "slot"), [(7, 60), (60, 30), (0, 60), (60, 420)])
    def test_intervals_that_do_not_fill_slots_are_refused(self, interval: int, slot: int) -> None:
        with pytest.raises(SchemaMismatchError, match="minutes"):
            LoadCube.from_series(
                ["a"], np.array(["2025-01-01"], "datetime64[m]"), np.array([[1]]), interval_minutes=interval, days=DAYS,
                slot_minutes=slot,
            )  # fmt: skip


def numbered_cube(first: date, count: int, opening: int | None = None) -> LoadCube:
    """Month number i holds i + 1 kWh for customer a and ten times that for b."""
    months = month_starts(first, first + timedelta(days=31 * count))[:count]
    kwh = np.zeros((2, count, 3, 24), np.int64)
    kwh[:, :, 0, 0] = np.outer([1, 10], np.arange(1, count + 1)) * 10_000
    return LoadCube.from_arrays(
        ["a", "b"], months, kwh=kwh, peak_kw=kwh, slot_minutes=60,
        opening_kwh=None if opening is None else np.array([opening, opening]) * 10_000,
    )  # fmt: skip


class TestSelection:
    def test_customers_by_key_position_and_mask(self) -> None:
        cube = numbered_cube(date(2025, 1, 1), 2)

        for chosen in (["b"], np.array([1]), np.array([False, True])):
            part = cube.take(chosen)
            assert part.customer_keys.tolist() == ["b"]
            assert part.month_kwh().tolist() == [[100_000, 200_000]]
        with pytest.raises(SchemaMismatchError, match="no load for customer z"):
            cube.take(["z"])

    def test_the_energy_since_january_follows_a_selection(self) -> None:
        cube = numbered_cube(date(2024, 11, 1), 8)

        part = cube.select(date(2025, 3, 1), date(2025, 4, 1))

        assert part.months == (date(2025, 3, 1), date(2025, 4, 1))
        assert part.opening_kwh.tolist() == [(3 + 4) * 10_000, (30 + 40) * 10_000]
        assert cube.select(date(2025, 1, 1), date(2025, 2, 1)).opening_kwh.tolist() == [0, 0]
        assert cube.select(date(2024, 12, 1), date(2025, 2, 1)).opening_kwh is None

    def test_a_given_opening_grows_with_the_months_left_out(self) -> None:
        cube = numbered_cube(date(2024, 10, 1), 6, opening=500)

        assert cube.last_months(4).opening_kwh.tolist() == [(500 + 1 + 2) * 10_000, (500 + 10 + 20) * 10_000]

    def test_a_following_cube_goes_on_where_this_one_ends(self) -> None:
        cube = numbered_cube(date(2024, 11, 1), 8)

        assert cube.following_opening_kwh().tolist() == [sum(range(3, 9)) * 10_000, sum(range(3, 9)) * 100_000]
        assert cube.select(date(2024, 11, 1), date(2024, 12, 1)).following_opening_kwh().tolist() == [0, 0]
        assert cube.select(date(2024, 11, 1), date(2024, 11, 1)).following_opening_kwh() is None

    def test_an_unknown_opening_is_estimated_from_the_same_months_a_year_later(self) -> None:
        year = numbered_cube(date(2024, 10, 1), 12).with_opening_from_window()
        short = numbered_cube(date(2024, 12, 1), 3).with_opening_from_window()

        # January to September 2025 are numbers 4 to 12.
        assert year.opening_kwh[0] == sum(range(4, 13)) * 10_000
        # January and February are there; nine further months at the mean of 2.
        assert short.opening_kwh[0] == (2 + 3 + 9 * 2) * 10_000

    def test_a_known_opening_is_not_touched(self) -> None:
        known = numbered_cube(date(2024, 10, 1), 12, opening=7)

        assert known.with_opening_from_window() is known
        assert numbered_cube(date(2025, 1, 1), 2).with_opening_from_window().opening_kwh is None

    @pytest.mark.parametrize("count", [0, 9])
    def test_more_months_than_there_are_is_refused(self, count: int) -> None:
        with pytest.raises(SchemaMismatchError, match="loads exist for 8"):
            numbered_cube(date(2024, 11, 1), 8).last_months(count)

    def test_months_outside_are_refused(self) -> None:
        with pytest.raises(
            SchemaMismatchError, match="2024-10 to 2024-12 was asked for, loads exist for 2024-11 to 2025-06"
        ):
            numbered_cube(date(2024, 11, 1), 8).select(date(2024, 10, 1), date(2024, 12, 1))


class TestFromArrays:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"kwh": np.zeros((1, 1, 3, 24))}, "must be int64"),
            ({"kwh": np.zeros((1, 2, 3, 24), np.int64)}, r"expected shape \(1, 1, 3, 24\)"),
            ({"kwh": np.full((1, 1, 3, 24), -1)}, "cannot be negative"),
            ({"months": [date(2025, 1, 15)]}, "consecutive first days"),
        ],
    )
    def test_arrays_that_are_no_load_are_refused(self, change: dict, message: str) -> None:
        arguments = {"months": [date(2025, 1, 1)], "kwh": np.zeros((1, 1, 3, 24), np.int64)} | change

        with pytest.raises(SchemaMismatchError, match=message):
            LoadCube.from_arrays(["a"], peak_kw=np.zeros((1, 1, 3, 24), np.int64), slot_minutes=60, **arguments)


class TestPeriods:
    @given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 5]), st.sampled_from([1, 130]))
    @settings(max_examples=20, deadline=None)
    def test_sums_and_peaks_are_those_of_the_slots(self, seed: int, period_count: int, customers: int) -> None:
        random = np.random.default_rng(seed)
        shape = (customers, 2, 3, 24)
        kwh, peak_kw = random.integers(0, 10**15, (2, *shape))
        months = month_starts(date(2025, 1, 1), date(2025, 2, 1))
        keys = [f"c{index}" for index in range(customers)]
        cube = LoadCube.from_arrays(keys, months, kwh=kwh, peak_kw=peak_kw, slot_minutes=60)
        codes = random.integers(0, period_count, shape[1:]).astype(np.int8)

        sums = cube.period_kwh(codes, period_count)

        for period in range(period_count):
            inside = codes == period
            assert (sums[:, :, period] == np.where(inside, kwh, 0).sum(axis=(2, 3))).all()
            assert (cube.period_peak_kw(inside) == np.where(inside, peak_kw, 0).max(axis=(2, 3))).all()

    def test_customers_in_a_row_are_not_copied(self) -> None:
        cube = numbered_cube(date(2025, 1, 1), 2)

        assert np.shares_memory(cube.take(np.array([0])).kwh, cube.kwh)
