"""Day types and clocks."""

from datetime import date, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from ml.columns import DAY_TYPES
from ml.errors import TariffError
from ml.tariffs.calendar import Calendar, DayCalendar, Schedule, days_in_month, month_starts, next_month

CHINESE_NEW_YEAR_2025 = DayCalendar(
    holidays=[date(2025, 1, 28) + timedelta(days=i) for i in range(8)],
    working_days=[date(2025, 1, 26), date(2025, 2, 8)],
)


@pytest.mark.parametrize(
    ("day", "day_type"),
    [
        (date(2025, 1, 24), "workday"),
        (date(2025, 1, 25), "weekend"),
        (date(2025, 1, 26), "workday"),  # a Sunday worked for the holiday
        (date(2025, 1, 29), "holiday"),
        (date(2025, 2, 1), "holiday"),  # a Saturday inside the holiday
    ],
)
def test_day_type(day: date, day_type: str) -> None:
    assert CHINESE_NEW_YEAR_2025.day_type(day) == day_type


def test_codes_of_instants_are_those_of_their_days() -> None:
    instants = np.array(["2025-01-25T23:45", "2025-01-26T00:00", "2025-01-29T12:00"], "datetime64[m]")

    codes = CHINESE_NEW_YEAR_2025.day_type_codes(instants)

    assert [DAY_TYPES[code] for code in codes] == ["weekend", "workday", "holiday"]
    assert DayCalendar().day_type_codes(instants[:0]).size == 0


def test_a_day_cannot_be_both_holiday_and_working_day() -> None:
    with pytest.raises(TariffError, match="2025-10-01 is listed both"):
        DayCalendar([date(2025, 10, 1)], [date(2025, 10, 1)])


def test_months() -> None:
    assert month_starts(date(2024, 11, 30), date(2025, 2, 1)) == [
        date(2024, 11, 1),
        date(2024, 12, 1),
        date(2025, 1, 1),
        date(2025, 2, 1),
    ]
    assert next_month(date(2025, 12, 5)) == date(2026, 1, 1)
    assert (days_in_month(date(2024, 2, 10)), days_in_month(date(2025, 2, 1))) == (29, 28)


def test_period_codes_follow_month_day_type_and_clock() -> None:
    calendar = Calendar.model_validate(
        {
            "schedules": [
                {"months": [1, 2, 12], "periods": {"peak": ["08:00-20:00"]}, "otherwise": "valley"},
                {
                    "months": list(range(3, 12)),
                    "day_types": ["workday"],
                    "periods": {"valley": ["22:00-06:00"]},
                    "otherwise": "peak",
                },
                {"months": list(range(3, 12)), "day_types": ["weekend", "holiday"], "otherwise": "valley"},
            ]
        }
    )

    january, june = calendar.period_codes(1, 60), calendar.period_codes(6, 30)

    assert calendar.period_names == ("peak", "valley")
    assert january[0].tolist() == january[2].tolist() == [1] * 8 + [0] * 12 + [1] * 4
    assert june[0].tolist() == [1] * 12 + [0] * 32 + [1] * 4
    assert set(june[1].tolist()) == {1}


def test_a_period_may_last_until_midnight() -> None:
    minutes = Schedule(periods={"late": ("18:00-24:00",)}, otherwise="rest").minutes()

    assert minutes.count("late") == 360
    assert minutes[-1] == "late"


def test_a_clock_inside_a_slot_is_refused() -> None:
    calendar = Calendar.model_validate({"schedules": [{"periods": {"peak": ["07:15-09:00"]}, "otherwise": "flat"}]})

    assert calendar.period_codes(1, 15).shape == (3, 96)
    with pytest.raises(TariffError, match="30-minute slot that starts at 07:00 in month 1"):
        calendar.period_codes(1, 30)


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        ([{"periods": {"peak": ["08:00-20:00"]}}], "no period at 00:00"),
        ([{"periods": {"a": ["00:00-12:00"], "b": ["11:00-24:00"]}}], "b: 11:00-24:00 overlaps a at 11:00"),
        ([{"periods": {"a": ["8-20"]}, "otherwise": "b"}], "`8-20` is not a range"),
        ([{"periods": {"a": ["08:00-08:00"]}, "otherwise": "b"}], "empty"),
        ([{"periods": {"a": ["20:00-24:30"]}, "otherwise": "b"}], "passes 24:00"),
        ([{"months": [1], "otherwise": "a"}], "no schedule for month 2 workday"),
        (
            [{"otherwise": "a"}, {"months": [3], "day_types": ["weekend"], "otherwise": "a"}],
            r"schedules\[1\]: month 3 weekend is already covered by schedules\[0\]",
        ),
        ([{"otherwise": "all"}], "`all` stands for every period"),
    ],
)
def test_gaps_overlaps_and_unreadable_ranges_are_refused(schedules: list[dict], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Calendar.model_validate({"schedules": schedules})
