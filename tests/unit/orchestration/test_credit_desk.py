"""The credit desk from the command line: outcomes, statuses, entries, appeals."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ml.credit_risk.register import Register
from orchestration.__main__ import main
from orchestration.credit_desk import due_sentences
from orchestration.ingestion.pseudonym import customer_key
from orchestration.settings import PlatformSettings
from tests.unit.ml.credit_risk.policy_cases import BAD_PAYER, GOOD_PAYER

PSEUDONYM_KEY = "a key of thirty-two characters or more"
BAD, GOOD = "CUST-0001", "CUST-0002"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    """Settings of a home with two scored customers; commands find it by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KILOWISE_PSEUDONYM_KEY", PSEUDONYM_KEY)
    settings = PlatformSettings()
    month = date(2026, 8, 1)
    rows = pd.DataFrame(
        [
            {
                "request_id": "batch-1", "customer_key": customer_key(customer, PSEUDONYM_KEY), "as_of_month": month,
                "customer_class": "commercial", "mean_bill_12m_amount": 1000.0, "default_probability": probability,
                "credit_rating": rating, **facts,
            }
            for customer, facts, probability, rating in ((BAD, BAD_PAYER, 0.5, "D"), (GOOD, GOOD_PAYER, 0.004, "AAA"))
        ]
    )  # fmt: skip
    version = settings.marts_dir / "versions" / "v1"
    version.mkdir(parents=True)
    rows.to_parquet(version / "customer_credit_features.parquet")
    (version / "manifest.json").write_text(json.dumps({"customer_credit_features": {"rows": 2, "sha256": "0"}}))
    (settings.marts_dir / "CURRENT").write_text("v1")
    scored = settings.predictions_dir / "batch" / "credit_risk" / f"as_of_month={month}"
    scored.mkdir(parents=True)
    rows.to_parquet(scored / "predictions.parquet")
    return settings


def log_answer(
    settings: PlatformSettings, customer: str, request_id: str, *, days_ago: int, use_case: str = "credit_risk"
) -> None:
    """Log an answer of the API."""
    folder = settings.predictions_dir / "log" / use_case
    folder.mkdir(parents=True, exist_ok=True)
    row = {
        "request_id": request_id,
        "customer_key": customer_key(customer, PSEUDONYM_KEY),
        "decided_at": pd.Timestamp.now("UTC") - pd.Timedelta(days=days_ago),
    }
    pd.DataFrame([row]).to_parquet(folder / f"{request_id}.parquet")


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command of the desk that works and return what it said."""
    assert main(["credit", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command of the desk that is refused and return why."""
    assert main(["credit", *arguments]) == 1
    return capsys.readouterr().err


def records(settings: PlatformSettings) -> list[Any]:
    return [record for own in Register.read(settings.credit_register_path).records.values() for record in own]


@pytest.mark.usefixtures("settings")
def test_show_says_what_follows_why_and_how_to_appeal(capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "show", BAD)

    assert "Rating in force by month: 2026-08 D; probability of default 50.0 %." in said
    assert "Notice of an entry on the black list" in said
    assert "rule veto_arrears: Three months of this year's bills are unpaid" in said
    assert "一票否决" in said
    assert "Appeal until" in said
    assert BAD not in said


def test_upheld_appeal_changes_what_follows(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    filed = say(capsys, "appeal", BAD, "--rule", "veto_arrears", "--ground", "already_paid", "--by", "desk")
    appeal_id = records(settings)[0].appeal_id
    waiting = say(capsys, "show", BAD)
    decided = say(capsys, "decide", appeal_id, "upheld", "--by", "head of desk")
    after = say(capsys, "show", BAD)

    assert f"Appeal {appeal_id} recorded; decide it by " in filed
    assert "withheld black_list of veto_arrears" in waiting
    assert f"appeal {appeal_id} against veto_arrears: waits" in waiting
    assert "against veto_arrears" in decided
    assert "(appeal_upheld)" in after
    assert "Notice of an entry on the black list" not in after
    assert "is decided" in refusal(capsys, "decide", appeal_id, "rejected", "--by", "desk")


def test_appeal_after_the_window_is_refused_unless_somebody_allows_it_for_a_reason(
    settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    log_answer(settings, BAD, "req-1", days_ago=31)
    log_answer(settings, BAD, "req-2", days_ago=30)
    contested = ("appeal", BAD, "--rule", "veto_arrears", "--ground", "already_paid", "--by", "desk", "--request-id")

    late = refusal(capsys, *contested, "req-1")
    unallowed = refusal(capsys, *contested, "req-1", "--late-because", "illness")
    needless = refusal(capsys, *contested, "req-2", "--late-because", "illness", "--allowed-by", "head of desk")

    assert not settings.credit_register_path.exists()
    assert "could be contested until" in late
    assert "(cn_local@2024-01-01: 30 days)" in late
    assert "--late-because and --allowed-by NAME; reasons are: notice_not_received, illness" in late
    assert "a late appeal needs a reason and somebody who allows it" in unallowed
    assert "the appeal came in time, so nobody needs to allow it" in needless
    say(capsys, *contested, "req-1", "--late-because", "illness", "--allowed-by", "head of desk")
    say(capsys, *contested, "req-2")
    allowed, in_time = records(settings)
    assert (allowed.late_reason, allowed.late_allowed_by) == ("illness", "head of desk")
    assert allowed.filed_on - allowed.outcome_on == timedelta(days=31)
    assert in_time.open_until == in_time.filed_on
    assert in_time.late_reason is None


@pytest.mark.usefixtures("settings")
def test_window_of_an_entry_opens_with_its_notice_and_that_of_a_letter_with_its_day(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notified = date.today() - timedelta(days=40)
    say(capsys, "enter", BAD, "black", "--notified", notified.isoformat(), "--by", "desk")
    contested = ("appeal", BAD, "--ground", "hardship", "--by", "desk", "--rule")

    assert f"The outcome of {notified} could be contested until" in refusal(capsys, *contested, "veto_arrears")
    assert "recorded; decide it by" in say(capsys, *contested, "offer_instalments")
    for day, sentence in (
        (notified, f"The outcome of {notified} could be contested until"),
        (date.today() + timedelta(days=2), "does not exist yet"),
    ):
        assert sentence in refusal(capsys, *contested, "offer_instalments", "--outcome-on", day.isoformat())


def test_answer_that_somebody_else_got_is_not_contested(
    settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    log_answer(settings, GOOD, "req-1", days_ago=1)

    contested = ("appeal", BAD, "--rule", "veto_arrears", "--ground", "other", "--by", "desk", "--request-id")

    assert "not with this customer" in refusal(capsys, *contested, "req-1")
    assert "No decision of the request req-9 is logged" in refusal(capsys, *contested, "req-9")


def test_only_credit_answers_are_contested(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    log_answer(settings, BAD, "req-1", days_ago=1, use_case="segmentation")

    contested = ("appeal", BAD, "--rule", "veto_arrears", "--ground", "other", "--by", "desk", "--request-id", "req-1")

    assert "The request req-1 was one of segmentation; give one of credit_risk." in refusal(capsys, *contested)


def test_day_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["credit", "status", BAD, "elderly", "--until", "soon", "--by", "desk"])

    assert "argument --until: 'soon' is no day; write it as 2026-09-30" in capsys.readouterr().err


def test_who_left_is_judged_by_the_last_score(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    batch = settings.predictions_dir / "batch" / "credit_risk"
    rows = pd.read_parquet(batch / "as_of_month=2026-08-01", partitioning=None)
    later = batch / "as_of_month=2026-09-01"
    later.mkdir()
    rows[rows["credit_rating"] == "AAA"].to_parquet(later / "predictions.parquet")

    assert "Notice of an entry on the black list" in say(capsys, "show", BAD)


def test_what_is_due_is_told_the_most_urgent_first(
    settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing is due until" in say(capsys, "due")
    say(capsys, "enter", BAD, "black", "--by", "desk")
    say(capsys, "appeal", GOOD, "--rule", "grade_a", "--ground", "other", "--by", "desk")
    entry, appeal = records(settings)
    decide_by = appeal.filed_on + timedelta(days=15)

    assert say(capsys, "due", "--within-days", "15").splitlines() == [
        f"appeal {appeal.appeal_id} of {appeal.filed_on}: decide by {decide_by}."
    ]
    both = say(capsys, "due", "--within-days", "200").splitlines()
    assert both[1] == f"entry {entry.entry_id} on the black list: review by {entry.review_on}, or it ends there."
    assert both[0].startswith("appeal")
    late = due_sentences(settings, decide_by + timedelta(days=1), decide_by + timedelta(days=2))
    assert late == [f"appeal {appeal.appeal_id} of {appeal.filed_on}: decide by {decide_by} (overdue)."]
    say(capsys, "decide", appeal.appeal_id, "rejected", "--by", "head")
    say(capsys, "review", entry.entry_id, "remove", "--by", "head")
    assert "Nothing is due" in say(capsys, "due", "--within-days", "200")


def test_rejected_appeal_leaves_the_outcome(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    say(capsys, "appeal", BAD, "--rule", "veto_arrears", "--ground", "hardship", "--by", "desk")

    say(capsys, "decide", records(settings)[0].appeal_id, "rejected", "--by", "desk")

    assert "Notice of an entry on the black list" in say(capsys, "show", BAD)


def test_status_protects_from_the_black_list(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    until = (date.today() + timedelta(days=400)).isoformat()
    say(capsys, "status", BAD, "life_support", "--until", until, "--by", "desk")

    why = refusal(capsys, "enter", BAD, "black", "--by", "desk")

    assert why.startswith(
        "The policy does not propose this customer for the black list. veto_arrears: Households in need"
    )
    assert len(records(settings)) == 1


def test_entry_takes_its_days_from_the_policy_and_is_reviewed(
    settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    say(capsys, "enter", BAD, "black", "--by", "desk")
    [entry] = records(settings)

    assert (entry.effective_on - entry.notified_on).days == 15
    assert (entry.review_on - entry.effective_on).days == 90
    assert "veto_arrears" in entry.rule_ids
    later = (entry.review_on - timedelta(days=1)).isoformat()
    assert "stays until the review of" in say(capsys, "review", entry.entry_id, "keep", "--next", later, "--by", "desk")
    assert "ended on" in say(capsys, "review", entry.entry_id, "remove", "--by", "desk")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "CUST-0009"), "No customer of this id is in the marts"),
        (("enter", BAD, "grey", "--by", "desk"), "There is no grey list; there are: red, black."),
        (
            ("enter", GOOD, "black", "--by", "desk"),
            "does not propose this customer for the black list. See `credit show`",
        ),
        (
            ("appeal", BAD, "--rule", "mood", "--ground", "other", "--by", "x"),
            "has no rule 'mood'; there are: remind_of",
        ),
        (
            ("appeal", BAD, "--rule", "grade_a", "--ground", "why", "--by", "x"),
            "Nothing was recorded. ground: Input should",
        ),
        (
            ("status", BAD, "poor", "--until", "2030-01-01", "--by", "x"),
            "Nothing was recorded. status: 'poor' is none of",
        ),
        (("status", BAD, "elderly", "--until", "2001-01-01", "--by", "x"), "valid_until: must be after valid_from"),
        (("review", "nothing", "keep", "--by", "x"), "The register holds no entry nothing"),
        (("decide", "nothing", "upheld", "--by", "x"), "The register holds no appeal nothing"),
    ],
)
def test_mistake_is_one_sentence_and_records_nothing(
    arguments: tuple[str, ...], sentence: str, settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal(capsys, *arguments)
    assert not settings.credit_register_path.exists()
