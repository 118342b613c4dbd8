"""The credit register: records, what stands on a day, and erasure."""

import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from ml.credit_risk.register import ListReview, Register, RegisterError, StatusRecord, append, erase
from tests.unit.ml.credit_risk.policy_cases import DAY, KEY, OTHER_KEY, RECORDED_AT, appeal, black_entry, decision


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy" / "register.jsonl"


def status(**changes: object) -> StatusRecord:
    values = {
        "recorded_at": RECORDED_AT, "recorded_by": "desk", "customer_key": KEY, "status": "low_income",
        "valid_from": date(2026, 1, 1), "valid_until": date(2027, 1, 1),
    }  # fmt: skip
    return StatusRecord.model_validate(values | changes)


def review(**changes: object) -> ListReview:
    values = {
        "recorded_at": RECORDED_AT, "recorded_by": "desk", "customer_key": KEY, "entry_id": "entry-1",
        "reviewed_on": date(2026, 10, 1), "decision": "keep", "next_review_on": date(2026, 12, 30),
    }  # fmt: skip
    return ListReview.model_validate(values | changes)


def test_records_come_back_as_they_were_made_and_nobody_else_may_read_them(path: Path) -> None:
    made = [status(), black_entry(), appeal("veto_arrears"), decision("upheld")]
    for record in made:
        append(path, record)

    assert Register.read(path).records == {KEY: made}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_status_holds_from_its_first_day_and_ends(path: Path) -> None:
    append(path, status())
    register = Register.read(path)

    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)]

    assert [bool(register.standing(KEY, day).statuses) for day in days] == [False, True, True, False]
    assert register.standing(OTHER_KEY, DAY).statuses == frozenset()
    assert register.standing(None, DAY).statuses == frozenset()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"effective_on": date(2026, 7, 3)}, "effective_on: must be at least 7 days after notified_on, found 2"),
        ({"review_on": date(2027, 8, 1)}, "review_on: must be after effective_on and no later than expires_on"),
        ({"rule_ids": ()}, "rule_ids"),
        ({"recorded_by": ""}, "recorded_by"),
        ({"customer_key": "C0000001"}, "customer_key"),
    ],
)
def test_nobody_is_listed_in_silence(changes: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        black_entry(**changes)


def test_black_entry_ends_when_nobody_reviews_it() -> None:
    register = Register({KEY: [black_entry()]})

    days = [date(2026, 7, 15), date(2026, 7, 16), date(2026, 10, 13), date(2026, 10, 14)]

    assert [register.standing(KEY, day).entries[0].is_in_force for day in days] == [False, True, True, False]


def test_review_keeps_an_entry_until_the_next_one_or_ends_it() -> None:
    kept = Register({KEY: [black_entry(), review()]})
    removed = Register({KEY: [black_entry(), review(decision="remove", next_review_on=None)]})
    too_late = Register({KEY: [black_entry(), review(reviewed_on=date(2026, 10, 20))]})

    day = date(2026, 11, 1)

    assert kept.standing(KEY, day).entries[0].is_in_force
    assert not removed.standing(KEY, day).entries[0].is_in_force
    assert not too_late.standing(KEY, day).entries[0].is_in_force
    assert removed.standing(KEY, day).days_since_black_list(day) == 31


def test_red_entry_stays_until_its_own_end_and_its_review_moves_on() -> None:
    entry = black_entry(list_name="red")
    day = date(2026, 11, 1)

    unreviewed = Register({KEY: [entry]}).standing(KEY, day).entries[0]
    kept = Register({KEY: [entry, review()]}).standing(KEY, day).entries[0]

    assert unreviewed.is_in_force
    assert (unreviewed.review_on, unreviewed.ends_on) == (entry.review_on, entry.expires_on)
    assert (kept.review_on, kept.ends_on) == (review().next_review_on, entry.expires_on)


def test_upheld_appeal_lifts_an_entry() -> None:
    register = Register({KEY: [black_entry(), appeal("veto_arrears"), decision("upheld")]})

    assert register.standing(KEY, date(2026, 9, 2)).entries[0].is_in_force
    assert not register.standing(KEY, date(2026, 9, 3)).entries[0].is_in_force


def test_what_was_recorded_later_was_not_known_then() -> None:
    register = Register({KEY: [appeal("veto_arrears"), decision("upheld")]})

    [then] = register.standing(KEY, DAY, known_at=RECORDED_AT + timedelta(hours=1)).appeals

    assert then.is_waiting
    assert not register.standing(KEY, DAY).appeals[0].is_waiting


def test_whoever_says_that_the_money_is_not_owed_is_disputing_until_it_is_decided() -> None:
    paid = appeal("veto_arrears", ground="already_paid")

    assert Register({KEY: [paid]}).disputing(DAY) == {KEY}
    assert Register({KEY: [appeal("veto_arrears", ground="hardship")]}).disputing(DAY) == frozenset()
    assert Register({KEY: [paid, decision("rejected")]}).disputing(DAY) == frozenset()


def test_decision_needs_an_appeal_that_waits(path: Path) -> None:
    with pytest.raises(RegisterError, match="holds no appeal appeal-1"):
        append(path, decision("upheld"))
    append(path, appeal("veto_arrears"))
    with pytest.raises(RegisterError, match="another customer"):
        append(path, decision("upheld", customer_key=OTHER_KEY))
    append(path, decision("rejected"))

    with pytest.raises(RegisterError, match="is decided"):
        append(path, decision("upheld"))


def test_review_prolongs_no_entry_beyond_its_end(path: Path) -> None:
    append(path, black_entry())

    with pytest.raises(RegisterError, match="an entry is not prolonged by a review"):
        append(path, review(next_review_on=date(2027, 8, 1)))


def test_damaged_line_is_named_and_nothing_is_guessed(path: Path) -> None:
    append(path, status())
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "status"\n')

    with pytest.raises(RegisterError, match=r"register\.jsonl, line 2: no record of the credit register"):
        Register.read(path)


def test_erasure_removes_a_customer_and_leaves_the_others_as_they_are(path: Path) -> None:
    other = status(customer_key=OTHER_KEY, recorded_at=datetime(2026, 9, 2, tzinfo=UTC))
    for record in (status(), appeal("veto_arrears"), other):
        append(path, record)

    assert erase(path, KEY) == 2

    assert KEY not in path.read_text(encoding="utf-8")
    assert Register.read(path).records == {OTHER_KEY: [other]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert erase(path, KEY) == 0
