"""What counts as caught, and what as a false alarm."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.drills import (
    DailyAlarm,
    DrillError,
    DrillReport,
    Expectation,
    Finding,
    JudgedMonth,
    Replay,
    drill_table,
    false_alarm_table,
    false_alarms,
    load_expectations,
    score_drill,
    write_drill_report,
)
from monitoring.verdicts import Outcome, Severity

RELEASED, ONSET = date(2025, 12, 1), date(2026, 4, 1)
MONTHS = [date(2026, month, 1) for month in (3, 4, 5)]
CAUGHT = Expectation(
    scenario="recession",
    title_en="Recession",
    title_zh="衰退",
    onset_months=4,
    replayed_months=2,
    expected="caught",
    use_cases=("credit_risk",),
    daily_checks=("freshness: payments",),
    within_days=40,
    reason="An expectation of a test needs a reason too.",
)
EXPLAINED = CAUGHT.model_copy(
    update={"scenario": "heat_wave", "expected": "explained", "explained_by": ("weather_expected",), "daily_checks": ()}
)


def finding(severity: Severity, code: str = "column_drift", column: str | None = "late_bills_3m_count") -> Finding:
    return Finding(code=code, severity=severity, column=column, sentence_en=f"{code} of {column} is {severity}.")


def judged(month: date, *findings: Finding, outcome: Outcome = "stable", use_case: str = "credit_risk") -> JudgedMonth:
    return JudgedMonth(
        use_case=use_case,
        month=month,
        known_on=date(month.year, month.month + 1, 4),
        outcome=outcome,
        columns_judged=50,
        columns_drifted=tuple(one.column for one in findings if one.column),
        findings=findings,
    )


def replay_of(
    expectation: Expectation | None, *months: JudgedMonth, alarms: tuple[DailyAlarm, ...] = (), seed: int = 7
) -> Replay:
    return Replay(
        scenario=expectation.scenario if expectation else None,
        seed=seed,
        released_month=RELEASED,
        onset_month=ONSET if expectation else None,
        months=months or tuple(judged(month) for month in MONTHS),
        daily_alarms=alarms,
    )


QUIET = replay_of(None)


def test_a_finding_that_the_quiet_twin_lacks_catches_the_scenario() -> None:
    replay = replay_of(CAUGHT, judged(MONTHS[1], finding("watch")), judged(MONTHS[2], finding("act")))

    result = score_drill(CAUGHT, replay, QUIET)

    assert result.result == "caught"
    assert result.counted is not None
    assert (result.counted.detector, result.counted.days) == ("verdict: credit_risk", 33)
    assert result.first_act_days == 64


def test_what_the_quiet_twin_says_too_catches_nothing() -> None:
    usual = judged(MONTHS[1], finding("watch"))
    quiet = replay_of(None, usual)

    assert score_drill(CAUGHT, replay_of(CAUGHT, usual), quiet).result == "missed"


def test_a_finding_that_became_more_urgent_than_in_the_twin_counts() -> None:
    quiet = replay_of(None, judged(MONTHS[1], finding("watch")))
    replay = replay_of(CAUGHT, judged(MONTHS[1], finding("act")))

    assert score_drill(CAUGHT, replay, quiet).result == "caught"


def test_another_model_than_expected_is_told_but_does_not_count() -> None:
    other = judged(MONTHS[1], finding("act"), use_case="segmentation")
    quiet = replay_of(None, judged(MONTHS[1], use_case="segmentation"))

    result = score_drill(CAUGHT, replay_of(CAUGHT, other), quiet)

    assert result.result == "missed"
    assert [one.detector for one in result.detections] == ["verdict: segmentation"]


def test_a_daily_check_counts_from_the_day_on_which_it_failed() -> None:
    late = DailyAlarm(name="freshness: payments", found_on=date(2026, 5, 10))

    result = score_drill(CAUGHT, replay_of(CAUGHT, judged(MONTHS[1]), alarms=(late,)), QUIET)

    assert (result.result, result.counted and result.counted.days) == ("caught", 39)


def test_after_the_allowed_days_it_is_late() -> None:
    replay = replay_of(CAUGHT, judged(MONTHS[2], finding("watch")))

    assert score_drill(CAUGHT, replay, QUIET).result == "late"


def test_what_is_only_information_catches_nothing() -> None:
    replay = replay_of(CAUGHT, judged(MONTHS[1], finding("info"), finding("unknown")))

    assert score_drill(CAUGHT, replay, QUIET).result == "missed"


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ((finding("info", code="weather_expected"),), "explained"),
        ((), "unexplained"),
        ((finding("info", code="weather_expected"), finding("watch")), "false_alarm"),
    ],
)
def test_a_scenario_that_is_no_trouble_must_be_explained(found: tuple[Finding, ...], result: str) -> None:
    assert score_drill(EXPLAINED, replay_of(EXPLAINED, judged(MONTHS[1], *found)), QUIET).result == result


@pytest.mark.parametrize(
    ("replay", "quiet", "words"),
    [
        (replay_of(EXPLAINED), QUIET, "not of recession"),
        (replay_of(CAUGHT), replay_of(None, seed=8), "seed 7 and 2025-12-01 are needed"),
        (replay_of(CAUGHT), replay_of(None, judged(MONTHS[0])), "lacks credit_risk of 2026-04"),
    ],
)
def test_replays_that_do_not_belong_together_are_refused(replay: Replay, quiet: Replay, words: str) -> None:
    with pytest.raises(DrillError, match=words):
        score_drill(CAUGHT, replay, quiet)


def test_false_alarms_count_columns_verdicts_and_what_could_not_be_judged() -> None:
    months = (
        judged(MONTHS[0], finding("watch"), finding("info", column="tenure_months"), outcome="watch"),
        judged(MONTHS[1], finding("act", code="calibration", column=None), outcome="act"),
        judged(MONTHS[2], outcome="not_enough_data"),
    )

    counts = false_alarms([replay_of(None, *months)])["credit_risk"]

    assert (counts.model_months, counts.not_judged_months, counts.watch_months, counts.act_months) == (2, 1, 1, 1)
    assert (counts.column_months, counts.drifted_column_months, counts.named_column_months) == (150, 2, 1)
    assert counts.drifted_pct == pytest.approx(100 * 2 / 150)
    assert counts.loud_months_by_finding == {"credit_risk.column_drift": 1, "credit_risk.calibration": 1}


def test_a_replay_with_a_scenario_is_not_counted_as_quiet() -> None:
    with pytest.raises(DrillError, match="recession is not quiet"):
        false_alarms([replay_of(CAUGHT)])


@settings(max_examples=20)
@given(st.lists(st.sampled_from(get_args(Severity)), min_size=1, max_size=4))
def test_a_replay_equal_to_its_twin_is_never_caught(severities: list[Severity]) -> None:
    months = [judged(month, *(finding(severity) for severity in severities)) for month in MONTHS]

    result = score_drill(CAUGHT, replay_of(CAUGHT, *months), replay_of(None, *months))

    assert (result.result, result.detections) == ("missed", ())


def test_the_tables_say_what_a_reader_asks(tmp_path: Path) -> None:
    replay = replay_of(CAUGHT, judged(MONTHS[1], finding("act")))
    report = DrillReport(
        measured_at=datetime(2026, 11, 22, tzinfo=UTC),
        customers=600,
        seeds=(7,),
        results=(score_drill(CAUGHT, replay, QUIET),),
        false_alarms=false_alarms([QUIET]),
    )

    assert "| Recession (`recession`) | caught | **caught** | verdict: credit_risk (act) | 33 | 33 days | – |" in (
        drill_table(report, {"recession": CAUGHT})
    )
    assert "| credit_risk | 3 | 0 | 0 | 150 | 0 (0.00 %) | 0 (0.00 %) | – |" in false_alarm_table(report)
    loud = QUIET.model_copy(update={"months": (judged(MONTHS[1], finding("act")),)})
    assert false_alarm_table(report.model_copy(update={"false_alarms": false_alarms([loud])})).endswith(
        f"| `{finding('act').code}` 1 |"
    )
    assert DrillReport.model_validate_json(write_drill_report(report, tmp_path).read_bytes()) == report


def test_each_scenario_of_the_supplier_has_an_expectation_with_a_reason() -> None:
    expectations = load_expectations()

    assert set(expectations) == {
        "heat_wave",
        "tariff_reform",
        "recession",
        "meter_fault",
        "new_customer_wave",
        "unit_change",
        "null_column",
        "label_delay",
    }
    assert all(len(expectation.reason) >= 20 for expectation in expectations.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scenarios: [{scenario: flood}]", r"scenarios\[0\].title_en: Field required"),
        ("scenarios: 3", "expected a list under 'scenarios'"),
        ("scenarios: [", "not readable as YAML"),
    ],
)
def test_a_broken_file_of_expectations_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "drills.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(DrillError, match=words):
        load_expectations(path)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"use_cases": ("weather",)}, "weather: no use case"),
        ({"within_days": None}, "needs within_days"),
        ({"expected": "explained"}, "needs use_cases and explained_by"),
    ],
)
def test_an_expectation_that_cannot_be_scored_is_refused(update: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Expectation.model_validate(CAUGHT.model_dump() | update)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DrillError, match="no such file"):
        load_expectations(tmp_path / "none.yaml")
