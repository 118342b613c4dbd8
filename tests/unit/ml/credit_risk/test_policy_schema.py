"""The policy document: what it refuses, and with which path."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from ml.columns import names
from ml.credit_risk.policy_schema import (
    FACTS,
    POLICIES_DIRECTORY,
    STATUSES,
    PolicyError,
    load_policies,
    policy_on,
)
from ml.credit_risk.schema import FEATURES

TEXT = (POLICIES_DIRECTORY / "us_oklahoma.yaml").read_text(encoding="utf-8").replace("us_oklahoma", "mine")


def load(tmp_path: Path, text: str) -> str:
    """Return what is said of a policy file; empty when it is taken."""
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        load_policies([file])
    except PolicyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("notice_days: 15", "notice_days: -1", "mine.yaml: rules[0].then.notice_days: Input should be greater than"),
        ("kind: deposit, months", "kind: fine, months", "mine.yaml: rules[0].then: Input tag 'fine'"),
        ("late_bills_12m_count: {at_least: 2}", "late_bill: {at_least: 2}",
         "mine.yaml: rules[0].when[0]: 'late_bill' is no fact; there are: late_bills_12m_count"),
        ("late_bills_12m_count: {at_least: 2}", "late_bills_12m_count: {}",
         "mine.yaml: rules[0].when[0].facts.late_bills_12m_count: give at_least, at_most or both"),
        ("statuses: [returned_payment]", "statuses: [poor]",
         "mine.yaml: rules[1].when[0]: 'poor' is no status; there are: low_income"),
        ("review_after_days: 365", "review_after_days: 400",
         "mine.yaml: rules[0].then: review_after_days 400 is after expires_after_days 365"),
        ("    kind: deposit\n    months_of_charges: 2", "    kind: prepayment\n    months_of_charges: 2",
         "mine.yaml: document: caps: a rule asks for a deposit, so a cap on it must cover every customer class"),
        ("rule_id: deposit_after_cut_off", "rule_id: deposit_after_returned_payment",
         "mine.yaml: document: rule_id deposit_after_returned_payment is given twice"),
        ("forbids: [deposit]", "forbids: []", "mine.yaml: protections[0].forbids: Tuple should have at least 1 item"),
        ("jurisdiction: US-OK", "jurisdiction: Oklahoma", "mine.yaml: jurisdiction: String should match pattern"),
        ("  - facts: {late_bills_12m_count: {at_least: 2}}", "  - customer_classes: [residential]",
         "mine.yaml: rules[0]: a deposit needs evidence: give ratings, facts or statuses in each `when`"),
        ("kind: deposit\n    months_of_charges: 2", "kind: deposit\n    months_of_charges: 0",
         "mine.yaml: caps[0].months_of_charges: Input should be greater than 0"),
        ("statuses: [returned_payment]", "statuses: [elderly]",
         "mine.yaml: rules[1]: a deposit may not rest on the status 'elderly', which protects"),
        ("appeal:", "complaint:", "mine.yaml: appeal: Field required"),
    ],
)  # fmt: skip
def test_wrong_policy_is_refused_with_file_and_field(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    assert old in TEXT

    assert sentence in load(tmp_path, TEXT.replace(old, new, 1))


def test_black_list_without_notice_is_no_policy(tmp_path: Path) -> None:
    document = yaml.safe_load(TEXT)
    document["rules"][0]["then"] = {
        "kind": "black_list", "notice_days": 0, "review_after_days": 90, "expires_after_days": 365,
    }  # fmt: skip

    assert "rules[0].then.notice_days: Input should be greater than or equal to 7" in load(
        tmp_path, yaml.safe_dump(document)
    )


def test_every_problem_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    said = load(tmp_path, TEXT.replace("jurisdiction: US-OK", "jurisdiction: x").replace("exposure_months: 2", ""))

    assert [line.split(": ")[1] for line in said.splitlines()] == ["jurisdiction", "exposure_months"]


def test_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    assert load(tmp_path, "rules: [").startswith("mine.yaml: cannot be read as YAML")


def test_version_that_applies_on_a_day_is_chosen(tmp_path: Path) -> None:
    for day in ("2025-01-01", "2026-07-01"):
        (tmp_path / f"{day}.yaml").write_text(TEXT.replace("2024-01-01", day), encoding="utf-8")
    policies = load_policies([tmp_path])

    assert policy_on(policies, "mine", date(2026, 6, 30)).version == "mine@2025-01-01"
    assert policy_on(policies, "mine", date(2026, 7, 1)).version == "mine@2026-07-01"
    with pytest.raises(PolicyError, match="No credit policy 'mine' applies on 2024-12-31; there are: cn_local, "):
        policy_on(policies, "mine", date(2024, 12, 31))


def test_two_files_of_one_version_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(TEXT, encoding="utf-8")

    with pytest.raises(PolicyError, match=r"a\.yaml: mine@2024-01-01 is given in two files"):
        load_policies([tmp_path])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="There is no policy file"):
        load_policies([tmp_path / "nowhere.yaml"])


def test_facts_are_features_and_the_days_since_the_black_list() -> None:
    assert set(FACTS) - set(names(FEATURES)) == {"days_since_black_list_days"}


def test_each_built_in_policy_protects_only_by_known_statuses_and_says_where_it_comes_from() -> None:
    for policy in load_policies():
        assert {status for one in policy.protections for status in one.statuses} <= set(STATUSES)
        assert any(source.is_verified for source in policy.sources)
