import multiprocessing
from datetime import UTC, date, datetime

import polars as pl
import pytest

from monitoring.verdicts import (
    TABLE_NAME,
    Outcome,
    Reason,
    Severity,
    Verdict,
    VerdictError,
    outcome_of,
    read_verdict,
    read_verdicts,
    record_verdict,
    write_atomically,
)


def reason(severity: Severity) -> Reason:
    return Reason(code="any", severity=severity, sentence_en="Something was found.", sentence_zh="有发现。")


def verdict(month: date = date(2026, 8, 1), outcome: Outcome = "stable", use_case: str = "credit_risk") -> Verdict:
    return Verdict(
        use_case=use_case,
        month=month,
        release="0001",
        model_version="v1",
        outcome=outcome,
        reasons=(reason("info"),),
        columns=(),
        rows_current=10,
        rows_available=10,
        rows_reference=10,
        columns_judged=0,
        columns_drifted=0,
        prediction_column="default_probability",
        prediction_score=None,
        policy_version="2026-01-01",
        owner="owner",
        reviewed_at=datetime(2026, 9, 5, tzinfo=UTC),
        report_path=None,
    )


@pytest.mark.parametrize(
    ("severities", "outcome"),
    [
        (["info"], "stable"),
        (["info", "unknown"], "not_enough_data"),
        (["unknown", "watch"], "watch"),
        (["watch", "unknown", "act"], "act"),
        ([], "stable"),
    ],
)
def test_evidence_comes_before_ignorance_and_ignorance_before_stable(severities, outcome) -> None:
    assert outcome_of(tuple(reason(severity) for severity in severities)) == outcome


def test_the_table_has_one_row_per_use_case_month_and_release(tmp_path) -> None:
    for outcome in ("watch", "stable"):
        record_verdict(verdict(outcome=outcome), tmp_path)
    record_verdict(verdict(month=date(2026, 7, 1)), tmp_path)
    record_verdict(verdict(use_case="segmentation"), tmp_path)
    table = read_verdicts(tmp_path)
    assert table.select("use_case", "month", "outcome").rows() == [
        ("credit_risk", date(2026, 7, 1), "stable"),
        ("credit_risk", date(2026, 8, 1), "stable"),
        ("segmentation", date(2026, 8, 1), "stable"),
    ]
    assert not list(tmp_path.glob("*.tmp"))


def _record_month(arguments) -> None:
    directory, month = arguments
    record_verdict(verdict(month=date(2025, month, 1)), directory)


def test_reviews_in_parallel_lose_no_row(tmp_path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_record_month, [(tmp_path, month) for month in range(1, 9)])
    assert len(read_verdicts(tmp_path)) == 8


def test_a_missing_or_broken_verdict_says_what_to_do(tmp_path) -> None:
    with pytest.raises(VerdictError, match="review credit_risk for 2026-08 again"):
        read_verdict(tmp_path, "credit_risk", date(2026, 8, 1), "0001")
    write_atomically(tmp_path / "credit_risk" / "2026-08" / "0001" / "verdict.json", b'{"use_case": 3}')
    with pytest.raises(VerdictError, match="not readable"):
        read_verdict(tmp_path, "credit_risk", date(2026, 8, 1), "0001")


def test_the_sentence_names_model_month_outcome_and_first_reason() -> None:
    assert verdict(outcome="watch").sentence() == "Credit risk, 2026-08: Watch. Something was found."
    assert verdict(outcome="watch").sentence("zh") == "信用风险 2026-08：关注。有发现。"
    assert verdict(outcome="not_enough_data").needs_attention


def test_a_table_of_an_older_version_is_read_with_what_it_said_as_finding(tmp_path) -> None:
    record_verdict(verdict(outcome="watch"), tmp_path)
    path = tmp_path / TABLE_NAME
    pl.read_parquet(path).drop("finding_outcome").write_parquet(path)
    record_verdict(verdict(month=date(2026, 9, 1)), tmp_path)
    assert read_verdicts(tmp_path).select("outcome", "finding_outcome").rows() == [("watch",) * 2, ("stable",) * 2]
