"""Acknowledgements and silences: recorded with person, reason and expiry; they hide nothing and never outlive it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.__main__ import main
from monitoring.acknowledgement_commands import WHO_FOLLOWS
from monitoring.acknowledgements import (
    ACKNOWLEDGEMENTS_NAME,
    HELD,
    Acknowledgement,
    AcknowledgementError,
    end_acknowledgement,
    in_force,
    read_acknowledgements,
    record_acknowledgement,
    told_outcome,
)
from monitoring.verdicts import (
    SEVERITY_BY_OUTCOME,
    Reason,
    Severity,
    Verdict,
    outcome_of,
    verdict_directory,
    write_atomically,
)
from tests.unit.monitoring.test_verdicts import verdict

NOW = datetime(2026, 9, 5, 8, tzinfo=UTC)
TODAY = NOW.date()
UNTIL = date(2026, 9, 30)


def finding(severity: Severity, code: str = "column_drift", column: str | None = "late_bills_3m_count") -> Reason:
    return Reason(code=code, severity=severity, sentence_en="Moved.", sentence_zh="偏移。", column=column)


def judged(*reasons: Reason, month: date = date(2026, 8, 1), held_since: date | None = None) -> Verdict:
    return verdict(month=month, outcome=outcome_of(reasons)).model_copy(
        update={"reasons": reasons, "held_since": held_since}
    )


def silence(directory: Path, until: date = UNTIL, **names: str) -> Acknowledgement:
    return record_acknowledgement(
        directory,
        "silence",
        "credit_risk",
        by="A. Owner",
        reason="The payment feed is being repaired.",
        until=until,
        recorded_at=NOW,
        **names,
    )


def test_a_silenced_finding_stays_in_the_verdict_and_raises_nothing_until_it_ends(tmp_path) -> None:
    found = judged(finding("act"), finding("watch", "drifted_share", None))
    record = silence(tmp_path, column="late_bills_3m_count")

    told = told_outcome(found, tmp_path, TODAY)

    assert found.outcome == "act"
    assert told.outcome == "watch"
    assert told.silenced == (found.reasons[0],)
    assert told.silences == (record,)
    assert told.silenced_until == UNTIL
    assert told_outcome(found, tmp_path, UNTIL).outcome == "watch"
    assert told_outcome(found, tmp_path, UNTIL + timedelta(days=1)).outcome == "act"


def test_a_silence_covers_its_code_and_column_only(tmp_path) -> None:
    silence(tmp_path, code="missing_rise", column="late_bills_3m_count")
    assert told_outcome(judged(finding("act", "missing_rise")), tmp_path, TODAY).outcome == "stable"
    assert told_outcome(judged(finding("act", "column_retyped")), tmp_path, TODAY).outcome == "act"
    assert told_outcome(judged(finding("act", "missing_rise", "tenure_months")), tmp_path, TODAY).outcome == "act"


def test_an_acknowledgement_is_told_and_changes_no_outcome(tmp_path) -> None:
    record = record_acknowledgement(
        tmp_path, "acknowledge", "credit_risk", by="A. Owner", reason="I ask the bank.", until=UNTIL, recorded_at=NOW
    )
    told = told_outcome(judged(finding("act")), tmp_path, TODAY)
    assert told.outcome == "act"
    assert told.acknowledgements == (record,)
    assert told_outcome(judged(finding("info")), tmp_path, TODAY).acknowledgements == ()


def test_a_watch_that_is_held_for_a_silenced_month_is_silenced_too(tmp_path) -> None:
    july = judged(finding("act"), month=date(2026, 7, 1))
    folder = verdict_directory(tmp_path, july.use_case, july.month, july.release)
    write_atomically(folder / "verdict.json", july.model_dump_json().encode())
    held = judged(finding("watch", HELD, None), held_since=july.month)
    assert told_outcome(held, tmp_path, TODAY).outcome == "watch"

    record = silence(tmp_path, column="late_bills_3m_count")

    assert told_outcome(held, tmp_path, TODAY).outcome == "stable"
    assert told_outcome(held, tmp_path, TODAY).silences == (record,)


def test_a_watch_that_is_held_for_a_month_nobody_can_read_is_told(tmp_path) -> None:
    silence(tmp_path, column="late_bills_3m_count")
    held = judged(finding("watch", HELD, None), held_since=date(2026, 7, 1))
    assert told_outcome(held, tmp_path, TODAY).outcome == "watch"


def test_an_end_ends_one_record_and_is_itself_on_record(tmp_path) -> None:
    kept, ended = silence(tmp_path, code="column_drift"), silence(tmp_path, code="missing_rise")
    end_acknowledgement(tmp_path, ended.identifier, by="B. Owner", reason="Repaired by now.", recorded_at=NOW)
    records = read_acknowledgements(tmp_path)
    assert [record.kind for record in records] == ["silence", "silence", "end"]
    assert in_force(records, TODAY) == (kept,)
    with pytest.raises(AcknowledgementError, match=f"in force: {kept.identifier}"):
        end_acknowledgement(tmp_path, ended.identifier, by="B. Owner", reason="Repaired by now.", recorded_at=NOW)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_case": "theft"}, "unknown use case 'theft'"),
        ({"code": "no_such"}, r"unknown code 'no_such'; docs/review.md"),
        ({"column": "no_such"}, "no_such: no such column in ml/credit_risk"),
        ({"code": None}, "^a silence names a code or a column"),
        ({"until": date(2027, 9, 1)}, "^until is 2027-09-01; it must lie between 2026-09-05 and 2026-12-06"),
        ({"until": date(2026, 9, 4)}, "must lie between 2026-09-05"),
        ({"by": " "}, "by: "),
        ({"reason": "quiet"}, "reason: "),
    ],
)
def test_what_cannot_be_recorded_is_named(tmp_path, fields, message) -> None:
    valid = {
        "use_case": "credit_risk",
        "by": "A. Owner",
        "reason": "The feed is being repaired.",
        "until": UNTIL,
        "code": "column_drift",
        "recorded_at": NOW,
    }
    with pytest.raises(AcknowledgementError, match=message):
        record_acknowledgement(tmp_path, "silence", **{**valid, **fields})
    assert read_acknowledgements(tmp_path) == ()


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\u000b"])
def test_a_reason_may_hold_characters_that_end_a_line_of_text_elsewhere(tmp_path, separator) -> None:
    record = record_acknowledgement(
        tmp_path,
        "acknowledge",
        "credit_risk",
        by="A. Owner",
        reason=f"Pasted from{separator}another program.",
        until=UNTIL,
        recorded_at=NOW,
    )
    assert read_acknowledgements(tmp_path) == (record,)


def test_a_damaged_line_is_named_and_nothing_is_guessed(tmp_path) -> None:
    silence(tmp_path, code="column_drift")
    with (tmp_path / ACKNOWLEDGEMENTS_NAME).open("a") as file:
        file.write('{"kind": "sil')
    with pytest.raises(AcknowledgementError, match=r"line 2: .*remove the line"):
        read_acknowledgements(tmp_path)


@settings(max_examples=40)
@given(
    severities=st.lists(st.sampled_from(["info", "unknown", "watch", "act"]), min_size=1, max_size=4),
    silenced=st.sets(st.sampled_from(["column_drift", "missing_rise", "unseen_categories", "drifted_share"])),
)
def test_silences_can_only_calm_and_leave_what_they_do_not_name(tmp_path_factory, severities, silenced) -> None:
    directory = tmp_path_factory.mktemp("reports")
    codes = ["column_drift", "missing_rise", "unseen_categories", "drifted_share"]
    reasons = [finding(severity, code) for severity, code in zip(severities, codes, strict=False)]
    for code in silenced:
        silence(directory, code=code)

    told = told_outcome(judged(*reasons), directory, TODAY)

    assert SEVERITY_BY_OUTCOME[told.outcome] <= SEVERITY_BY_OUTCOME[judged(*reasons).outcome]
    assert told.outcome == outcome_of(tuple(reason for reason in reasons if reason.code not in silenced))
    assert {reason.code for reason in told.silenced} <= silenced


def test_the_command_line_records_lists_and_ends(tmp_path, capsys) -> None:
    until = (datetime.now(UTC) + timedelta(days=7)).date()
    home = ["--home", str(tmp_path)]
    person = ["--by", "A. Owner", "--reason", "The feed is being repaired."]
    assert main([*home, "list"]) == 0
    assert main([*home, "silence", "credit_risk", "--code", "column_drift", "--until", str(until), *person]) == 0
    (record,) = read_acknowledgements(tmp_path / "reports")
    assert main([*home, "list"]) == 0
    assert main([*home, "end", record.identifier, *person]) == 0
    assert main([*home, "list", "--all"]) == 0
    assert main([*home, "silence", "credit_risk", "--until", str(until), *person]) == 1

    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line != WHO_FOLLOWS][:3] == [
        "Nothing is acknowledged or silenced.",
        *[f"{record.identifier}  credit_risk: column_drift silenced until {until} by A. Owner: {record.reason}"] * 2,
    ]
    assert f"{record.identifier} was ended by A. Owner" in told.out
    assert "a silence names a code or a column" in told.err
