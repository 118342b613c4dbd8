import pytest

from ml.errors import InsufficientDataError
from ml.sufficiency import Finding, SufficiencyReport


def finding(found: float, required: float) -> Finding:
    return Finding.at_least("months", found, required, missing="Only few months: deliver more.")


def test_a_report_without_findings_is_not_sufficient():
    report = SufficiencyReport.of("credit_risk", [])
    assert not report.is_sufficient
    assert "Nothing was checked" in report.sentence()


def test_one_missing_requirement_makes_the_report_insufficient_and_names_only_that():
    met = Finding.at_least("customers", 10, 5, missing="Too few customers.")
    report = SufficiencyReport.of("credit_risk", [met, finding(2, 12)])
    assert not report.is_sufficient
    assert report.missing == (report.findings[1],)
    assert report.sentence() == "Not enough data for credit_risk: Only few months: deliver more."


def test_the_limit_itself_is_enough():
    assert finding(12, 12).passed
    assert not finding(11.999, 12).passed


def test_require_raises_the_sentence_only_when_something_is_missing():
    SufficiencyReport.of("credit_risk", [finding(12, 12)]).require()
    with pytest.raises(InsufficientDataError, match=r"Only few months: deliver more\."):
        SufficiencyReport.of("credit_risk", [finding(1, 12)]).require()


def test_a_met_requirement_says_what_was_found():
    assert finding(1200, 12).message == "Months: 1,200 (at least 12 needed)."


def test_a_large_count_is_printed_to_its_last_digit():
    assert finding(2_910_712, 0.5).found == "2,910,712"
    assert finding(2_910_712, 0.5).required == "at least 0.5"
