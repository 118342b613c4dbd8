from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.incidents import Incident, IncidentMonth
from monitoring.model_events import events_of
from monitoring.model_history import Model, ServedChange
from monitoring.outcomes import Outcomes, SegmentStability
from monitoring.policy import load_policy
from monitoring.retrainings import Refusal, Retraining
from monitoring.timeline import SHOWN_MONTHS, SLOT_WIDTHS, draw_timeline
from monitoring.verdicts import Outcome, PerformanceResult, Reason, Verdict

RELEASE = "0001-202608-abc"
NOON = datetime(2026, 9, 3, 12, tzinfo=UTC)
MOVED = Reason(code="prediction_drift", severity="act", sentence_en="They moved.", sentence_zh="发生偏移。")


def known(month: date, auc: float) -> PerformanceResult:
    return PerformanceResult(
        months=(month,),
        rows=800,
        events=40,
        auc=auc,
        auc_lower=auc - 0.03,
        auc_upper=auc + 0.03,
        brier=0.04,
        calibration_error=0.01,
        mean_predicted=0.05,
        mean_observed=0.05,
        auc_at_release=0.84,
    )


def verdict(month: date, outcome: Outcome = "stable", score: float | None = 0.05, auc: float | None = None) -> Verdict:
    return Verdict(
        use_case="credit_risk",
        month=month,
        release=RELEASE,
        model_version="202608-abc",
        outcome=outcome,
        reasons=(MOVED,),
        columns=(),
        rows_current=800,
        rows_available=800,
        rows_reference=3000,
        columns_judged=60,
        columns_drifted=0,
        prediction_column="default_probability",
        prediction_score=score,
        performance=None if auc is None else known(month, auc),
        policy_version="2026-01-01",
        owner="owner",
        reviewed_at=NOON,
        report_path=None,
    )


def months(count: int, last: date = date(2026, 8, 1)) -> list[date]:
    number = 12 * last.year + last.month - 1
    return [date(place // 12, place % 12 + 1, 1) for place in range(number - count + 1, number + 1)]


def model(*verdicts: Verdict, **parts: Any) -> Model:
    newest_first = tuple(sorted(verdicts, key=lambda one: one.month, reverse=True))
    return Model("credit_risk", verdicts=newest_first, policy=load_policy("credit_risk", date(2026, 11, 22)), **parts)


def published(at: datetime) -> ServedChange:
    return ServedChange(at=at, action="publish", replaced="", release=RELEASE, by="gate", reason="")


def test_a_model_of_which_nothing_is_known_has_no_time_line() -> None:
    assert draw_timeline(Model("credit_risk")) is None


def test_every_month_has_its_own_slot_also_where_nothing_was_reviewed() -> None:
    drawn = draw_timeline(model(verdict(date(2025, 11, 1)), verdict(date(2026, 2, 1))))
    assert drawn is not None
    assert [f"{slot.month:%Y-%m}" for slot in drawn.months] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert [slot.verdict is not None for slot in drawn.months] == [True, False, False, True]
    assert {round(later.left - earlier.left, 6) for earlier, later in pairwise(drawn.months)} == {drawn.slot}
    assert [year for _, year in drawn.years] == [2025, 2026]


def test_a_long_history_shows_its_latest_months_wide_enough_to_be_touched() -> None:
    drawn = draw_timeline(model(*(verdict(month) for month in months(60))))
    assert drawn is not None
    assert len(drawn.months) == SHOWN_MONTHS
    assert drawn.months[-1].month == date(2026, 8, 1)
    assert SLOT_WIDTHS[0] <= drawn.slot <= SLOT_WIDTHS[1]


def test_verdicts_on_old_months_are_drawn_although_their_model_was_released_years_later() -> None:
    reviewed = months(10, last=date(2013, 12, 1))
    drawn = draw_timeline(model(*(verdict(month) for month in reviewed), served_changes=(published(NOON),)))
    assert drawn is not None
    assert [slot.month for slot in drawn.months if slot.verdict] == reviewed
    [mark] = drawn.marks
    assert mark.is_later
    assert drawn.width - drawn.slot < mark.x < drawn.width


def test_the_limits_stay_where_they_are_when_a_score_is_beyond_all_bounds() -> None:
    calm, wild = (draw_timeline(model(verdict(date(2026, 8, 1), "act", score))) for score in (0.3, 9.0))
    assert calm is not None
    assert wild is not None
    assert calm.limits == wild.limits
    top = wild.months[0].score_top
    assert top is not None
    assert top >= wild.lane("drift").top
    assert wild.months[0].score == "9.00"


def test_a_month_without_a_score_has_no_bar() -> None:
    drawn = draw_timeline(model(verdict(date(2026, 8, 1), "not_enough_data", None)))
    assert drawn is not None
    assert drawn.months[0].score_top is None


@given(st.lists(st.integers(min_value=0, max_value=300), min_size=1, max_size=12))
@settings(max_examples=25)
def test_no_two_marks_touch_and_each_stands_at_its_day(days: list[int]) -> None:
    times = [NOON - timedelta(days=number) for number in days]
    drawn = draw_timeline(model(verdict(date(2026, 8, 1)), served_changes=tuple(published(at) for at in times)))
    assert drawn is not None
    left = {slot.month: slot.left for slot in drawn.months}
    for mark in drawn.marks:
        start = left[mark.event.at.date().replace(day=1)]
        assert start < mark.x < start + drawn.slot
    for mark in drawn.marks:
        near = [other for other in drawn.marks if other is not mark and other.y == mark.y]
        assert all(abs(other.x - mark.x) >= 24 for other in near)


def test_performance_is_drawn_with_its_interval_and_the_figure_at_release() -> None:
    drawn = draw_timeline(model(*(verdict(month, auc=0.8) for month in months(3))))
    assert drawn is not None
    assert drawn.performance is not None
    assert drawn.performance.promised == "0.840"
    assert drawn.performance.points[0].text == "2026-06: 0.800 (0.770 – 0.830)"
    assert all(point.upper_y < point.y < point.lower_y for point in drawn.performance.points)


def test_segments_are_followed_by_the_customers_who_stayed() -> None:
    stability = SegmentStability(
        month=date(2026, 8, 1), release=RELEASE, is_same_release=True, customers=200, customers_stayed=190,
        customers_new=0, customers_lost=0, adjusted_rand_index=0.9, segments=(),
    )  # fmt: skip
    outcomes = Outcomes(use_case="segmentation", updated_at=NOON, segment_months=(stability,))
    seen = verdict(date(2026, 8, 1)).model_copy(update={"use_case": "segmentation"})
    drawn = draw_timeline(Model("segmentation", verdicts=(seen,), outcomes=outcomes))
    assert drawn is not None
    assert drawn.performance is not None
    assert [point.text for point in drawn.performance.points] == ["2026-08: 95.0"]


def incident(*course: tuple[date, Outcome]) -> Incident:
    entries = tuple(
        IncidentMonth(month=month, outcome=outcome, release=RELEASE, reviewed_at=NOON, owner="o", reasons=(MOVED,),
                      report_path=None)
        for month, outcome in course
    )  # fmt: skip
    closed_at = NOON if course[-1][1] == "stable" else None
    return Incident(
        incident_id="credit_risk-1", use_case="credit_risk", opened_at=NOON, worst_outcome="act", course=entries,
        closed_at=closed_at,
    )  # fmt: skip


def test_an_incident_covers_the_months_that_were_not_stable() -> None:
    june, july, august = months(3)
    history = [verdict(month) for month in (june, july, august)]
    drawn = draw_timeline(model(*history, incidents=(incident((june, "act"), (july, "watch"), (august, "stable")),)))
    assert drawn is not None
    [bar] = drawn.incidents
    assert bar.left == drawn.months[0].left
    assert bar.width == 2 * drawn.slot
    assert bar.text.en == "2026-06 – 2026-07: Act"


def test_a_refused_retraining_tells_why_and_a_closed_incident_both_of_its_ends() -> None:
    refused = Retraining(
        retraining_id="r", use_case="credit_risk", month=date(2026, 8, 1), release=RELEASE, status="refused", at=NOON,
        why_en="It moved.", why_zh="偏移。",
        refusals=(Refusal(code="cooldown", sentence_en="Trained last week.", sentence_zh="上周已训练。"),),
    )  # fmt: skip
    shown = events_of(
        model(
            verdict(date(2026, 8, 1)),
            retrainings=(refused,),
            incidents=(incident((date(2026, 7, 1), "act"), (date(2026, 8, 1), "stable")),),
        )
    )
    assert {event.kind for event in shown} == {"no_retraining", "opened", "closed"}
    [told] = [event for event in shown if event.kind == "no_retraining"]
    assert told.text.en == "No training · Trained last week."
