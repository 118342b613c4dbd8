"""Incidents: they begin, go on and end with months, whatever is reviewed how often."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.acknowledgements import record_acknowledgement
from monitoring.incidents import (
    STATE_NAME,
    Delivery,
    Incident,
    IncidentError,
    IncidentMonth,
    due_message,
    read_incidents,
    record_delivery,
    record_incident,
    renew_incidents,
)
from monitoring.verdicts import Outcome, Reason, Severity, Verdict, record_verdict, verdict_directory, write_atomically
from tests.unit.monitoring.test_verdicts import verdict

NOW = datetime(2026, 9, 5, 8, tzinfo=UTC)
SEVERITY: dict[Outcome, Severity] = {"stable": "info", "watch": "watch", "act": "act", "not_enough_data": "unknown"}


def reviewed(month: int, outcome: Outcome, use_case: str = "credit_risk", *, code: str = "column_drift") -> Verdict:
    """Return a verdict with the finding that leads to its outcome."""
    finding = Reason(
        code=code,
        severity=SEVERITY[outcome],
        sentence_en=f"Found in month {month}.",
        sentence_zh=f"{month} 月发现。",
        column="late_bills_3m_count",
    )
    plain = verdict(month=date(2026, month, 1), outcome=outcome, use_case=use_case)
    return plain.model_copy(update={"reasons": (finding,)})


def review(
    directory: Path, month: int, outcome: Outcome, *, use_case: str = "credit_risk", now: datetime = NOW
) -> None:
    """Store a verdict with an outcome."""
    store(directory, reviewed(month, outcome, use_case), now)


def store(directory: Path, stored: Verdict, now: datetime = NOW) -> None:
    """Store a verdict as a review does."""
    folder = verdict_directory(directory, stored.use_case, stored.month, stored.release)
    write_atomically(folder / "verdict.json", stored.model_dump_json().encode())
    record_verdict(stored, directory)
    record_incident(stored, directory, now=now)


def course(incident: Incident) -> list[tuple[int, Outcome]]:
    return [(month.month.month, month.outcome) for month in incident.course]


def test_stable_months_are_no_incident(tmp_path: Path) -> None:
    review(tmp_path, 1, "stable")

    assert read_incidents(tmp_path) == ()


def test_one_incident_runs_from_the_first_month_of_trouble_to_the_stable_one(tmp_path: Path) -> None:
    for month, outcome in enumerate(("stable", "watch", "act", "watch", "stable", "stable", "watch"), start=1):
        review(tmp_path, month, outcome)

    first, second = read_incidents(tmp_path)
    assert course(first) == [(2, "watch"), (3, "act"), (4, "watch"), (5, "stable")]
    assert (first.incident_id, first.worst_outcome, first.is_open) == ("credit_risk-2026-02", "act", False)
    assert course(second) == [(7, "watch")]
    assert second.is_open


def test_same_review_again_changes_nothing(tmp_path: Path) -> None:
    review(tmp_path, 2, "watch")
    written = (tmp_path / STATE_NAME).read_bytes()
    review(tmp_path, 2, "watch", now=NOW + timedelta(days=1))

    assert (tmp_path / STATE_NAME).read_bytes() == written


def test_month_that_is_reviewed_again_is_kept_as_it_was_first_and_last(tmp_path: Path) -> None:
    courses = []
    for outcome in ("act", "watch", "stable", "stable", "watch", "act"):
        review(tmp_path, 2, outcome)
        [incident] = read_incidents(tmp_path)
        courses.append([outcome for _, outcome in course(incident)])

    assert courses == [["act"], ["act", "watch"], *[["act", "stable"]] * 2, ["act", "watch"], ["act"]]
    assert (incident.worst_outcome, incident.closed_at) == ("act", None)


def test_incident_that_ends_in_its_first_month_still_says_what_began_it(tmp_path: Path) -> None:
    review(tmp_path, 2, "act")
    review(tmp_path, 2, "stable")

    [incident] = read_incidents(tmp_path)
    assert not incident.is_open
    assert [reason.severity for reason in incident.course[0].reasons] == ["act"]


def test_reviewing_the_past_again_is_no_news(tmp_path: Path) -> None:
    review(tmp_path, 6, "stable")
    review(tmp_path, 2, "act")

    assert read_incidents(tmp_path) == ()


def test_models_have_incidents_of_their_own(tmp_path: Path) -> None:
    review(tmp_path, 6, "watch")
    review(tmp_path, 6, "act", use_case="segmentation")
    review(tmp_path, 7, "stable")

    assert [(incident.use_case, incident.is_open) for incident in read_incidents(tmp_path)] == [
        ("credit_risk", False),
        ("segmentation", True),
    ]


def silence(directory: Path) -> None:
    record_acknowledgement(
        directory,
        "silence",
        "credit_risk",
        by="Wang",
        reason="Payment holiday, known and over soon",
        until=date(2026, 9, 30),
        code="column_drift",
        recorded_at=NOW,
    )


def test_silenced_findings_begin_no_incident_until_the_silence_ends(tmp_path: Path) -> None:
    silence(tmp_path)
    review(tmp_path, 8, "act")
    assert read_incidents(tmp_path) == ()

    renew_incidents(tmp_path, now=datetime(2026, 10, 1, tzinfo=UTC))

    [incident] = read_incidents(tmp_path)
    assert incident.now.outcome == "act"


def unknown(directory: Path, month: int, code: str) -> None:
    """Store a verdict of a month of which too little is known."""
    store(directory, reviewed(month, "not_enough_data", code=code))


def test_too_little_data_is_an_incident_only_where_the_policy_says_so(tmp_path: Path) -> None:
    unknown(tmp_path, 6, "prediction_not_judged")
    assert read_incidents(tmp_path) == ()

    unknown(tmp_path, 7, "too_few_rows")
    unknown(tmp_path, 8, "prediction_not_judged")
    [incident] = read_incidents(tmp_path)
    assert course(incident) == [(7, "not_enough_data"), (8, "not_enough_data")]
    assert due_message(incident, Delivery(channel="log")) is None
    review(tmp_path, 9, "stable")
    assert not read_incidents(tmp_path)[0].is_open


def test_a_month_that_nobody_can_judge_neither_ends_nor_worsens_an_incident(tmp_path: Path) -> None:
    review(tmp_path, 6, "watch")
    unknown(tmp_path, 7, "prediction_not_judged")

    [incident] = read_incidents(tmp_path)
    assert incident.is_open
    assert incident.worst_outcome == "watch"
    assert due_message(incident, Delivery(channel="log", told="watch")) is None


def test_silence_makes_an_incident_quiet_but_does_not_end_it(tmp_path: Path) -> None:
    review(tmp_path, 8, "act")
    silence(tmp_path)
    renew_incidents(tmp_path, now=NOW)

    [incident] = read_incidents(tmp_path)
    assert incident.is_open
    assert incident.now.is_silenced
    assert due_message(incident, Delivery(channel="log")) is None


def test_damaged_state_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_text("[{]")

    with pytest.raises(IncidentError, match=r"incident_log\.json: not readable .* restore it .*, or remove it"):
        read_incidents(tmp_path)


def test_delivery_of_one_channel_leaves_those_of_others(tmp_path: Path) -> None:
    review(tmp_path, 8, "act")
    for channel in ("log", "webhook", "log"):
        record_delivery("credit_risk-2026-08", Delivery(channel=channel, messages_count=1), tmp_path)

    [incident] = read_incidents(tmp_path)
    assert sorted(delivery.channel for delivery in incident.deliveries) == ["log", "webhook"]


def incident_of(outcome: Outcome, month: int = 8) -> Incident:
    now = IncidentMonth(
        month=date(2026, month, 1),
        outcome=outcome,
        release="0001",
        reviewed_at=NOW,
        owner="owner",
        reasons=(),
        report_path=None,
    )
    return Incident(
        incident_id="credit_risk-2026-06", use_case="credit_risk", opened_at=NOW, worst_outcome="act", course=(now,)
    )


@pytest.mark.parametrize(
    ("told", "outcome", "message"),
    [
        (None, "watch", "opened"),
        (None, "stable", None),
        ("watch", "act", "escalated"),
        ("not_enough_data", "watch", "escalated"),
        ("watch", "watch", None),
        ("act", "watch", None),
        ("act", "not_enough_data", None),
        ("watch", "stable", "closed"),
        ("stable", "stable", None),
        ("stable", "watch", "reopened"),
    ],
)
def test_worse_and_over_are_told_and_easing_is_not(told: Outcome | None, outcome: Outcome, message: str | None) -> None:
    assert due_message(incident_of(outcome), Delivery(channel="log", told=told)) == message


def test_end_is_told_once_per_month() -> None:
    told_before = Delivery(channel="log", told="watch", end_told_month=date(2026, 8, 1))

    assert due_message(incident_of("stable", month=8), told_before) is None
    assert due_message(incident_of("stable", month=9), told_before) == "closed"


def test_what_was_over_before_it_could_be_told_is_told_where_telling_had_failed() -> None:
    assert due_message(incident_of("stable"), Delivery(channel="webhook", failed_count=2)) == "closed"
