import re
from pathlib import Path

import pandas as pd
import pytest

from ml.credit_risk.config import CreditRiskConfig
from ml.credit_risk.sufficiency import _UNUSUAL_ROWS, check_sufficiency
from ml.errors import SchemaMismatchError

DBT_MODELS = Path(__file__).parents[4] / "dbt_project" / "models"
Marts = tuple[pd.DataFrame, pd.DataFrame]


def test_complete_marts_suffice(marts: Marts):
    report = check_sufficiency(*marts)
    assert report.is_sufficient, report.sentence()
    assert [finding.check for finding in report.findings] == [
        "bills",
        "payments",
        "mature_months",
        "customers",
        "labelled_snapshots",
        "defaults",
        "good_payers",
        "parts",
        "unusual_input",
    ]


def test_missing_bills_and_payments_are_named(marts: Marts):
    features, outcomes = marts
    shares = ["recovery_rate_due_12m_pct", "recovery_rate_30d_12m_pct", "on_time_share_12m_pct"]
    unpaid = features.assign(**dict.fromkeys(shares, 0.0))
    assert "There are no payments" in check_sufficiency(unpaid, outcomes).sentence()
    nothing = features.assign(**dict.fromkeys(shares, float("nan")), bills_12m_count=0.0)
    sentence = check_sufficiency(nothing, outcomes).sentence()
    assert "There are no bills" in sentence
    assert "There are no payments" in sentence


def test_empty_marts_are_an_outcome_and_not_a_crash(marts: Marts):
    features, outcomes = marts
    report = check_sufficiency(features.head(0), outcomes.head(0))
    assert not report.is_sufficient
    assert "There are no bills" in report.sentence()


def test_waiting_outcomes_are_counted(marts: Marts):
    features, outcomes = marts
    outcomes = outcomes.assign(is_mature=False, is_default=None)
    sentence = check_sufficiency(features, outcomes).sentence()
    assert f"No snapshot has a known outcome yet: {len(outcomes):,} are waiting" in sentence


def test_exclusions_are_shown(marts: Marts):
    features, outcomes = marts
    sentence = check_sufficiency(features, outcomes.assign(exclusion="closed")).sentence()
    assert f"{len(outcomes):,} are excluded (supply closed)" in sentence


@pytest.mark.parametrize(
    ("outcome", "words"), [(False, "There are no defaults"), (True, "no snapshots without a default")]
)
def test_one_outcome_only_is_not_enough(marts: Marts, outcome: bool, words: str):
    features, outcomes = marts
    report = check_sufficiency(features, outcomes.assign(is_default=outcome))
    assert not report.is_sufficient
    assert words in report.sentence()
    assert "a model learns from both outcomes" in report.sentence()


def test_few_customers_are_not_enough(marts: Marts):
    features, outcomes = marts
    kept = sorted(set(features["customer_key"]))[:50]
    report = check_sufficiency(
        features[features["customer_key"].isin(kept)], outcomes[outcomes["customer_key"].isin(kept)]
    )
    assert "Only 50 customers have a known outcome; 200 are needed." in report.sentence()


def test_parts_that_come_out_too_thin_are_named(marts: Marts):
    report = check_sufficiency(*marts, CreditRiskConfig(minimum_part_class_rows=2000))
    assert [finding.check for finding in report.missing] == ["parts"]
    assert "too little remains" in report.sentence()


def test_a_mart_without_a_column_is_a_schema_error(marts: Marts):
    features, outcomes = marts
    with pytest.raises(SchemaMismatchError, match="lacks the columns tenure_months"):
        check_sufficiency(features.drop(columns=["tenure_months"]), outcomes)


def test_unusual_input_is_counted_and_stops_nothing(marts: Marts):
    features, outcomes = (frame.copy() for frame in marts)
    features["money_received_12m_pct"] = 100.0
    features["partial_payments_12m_count"] = 0.0
    features.loc[features.index[:3], "bills_12m_count"] = 1.0
    features.loc[features.index[3:5], ["bills_12m_count", "money_received_12m_pct"]] = [0.0, float("nan")]
    features.loc[features.index[5:9], "money_received_12m_pct"] = 0.0
    features.loc[features.index[9:10], "customer_class"] = None

    report = check_sufficiency(features, outcomes)

    assert report.is_sufficient, report.sentence()
    assert report.findings[-1].message == (
        f"Of {len(features):,} snapshots 2 have no bill of a positive amount in 12 months, 3 rest on a single bill, "
        "4 have bills due and no money for them, 4 have bills that were settled without money, or are unpaid, "
        "1 are of customers without customer_class."
    )


def test_input_without_oddities_is_said_to_have_none(marts: Marts):
    features, outcomes = marts
    plain = features.assign(money_received_12m_pct=100.0, partial_payments_12m_count=0.0)
    assert check_sufficiency(plain, outcomes).findings[-1].message == "No snapshot rests on unusual input."


def test_unusual_bills_payments_and_customers_are_told_and_stop_nothing(marts: Marts):
    counts = pd.DataFrame(
        [
            {"subject": subject, "case_code": case, "rows_count": 0, "customers_count": 0, "of_rows_count": 1000}
            for subject, cases in {
                "bills": "credit_note_or_empty without_payment paid_in_parts overpaid payment_taken_back "
                "settled_without_money in_future refused",
                "payments": "without_bill early negative in_future refused",
                "customers": "one_bill no_class",
            }.items()
            for case in cases.split()
        ]
    ).set_index(["subject", "case_code"])
    counts.loc[("bills", "credit_note_or_empty"), ["rows_count", "customers_count"]] = [12, 9]
    counts.loc[("bills", "refused"), ["rows_count", "of_rows_count"]] = [3, 1003]
    counts.loc[("customers", "one_bill"), ["rows_count", "customers_count"]] = [2, 2]

    report = check_sufficiency(*marts, unusual_input=counts.reset_index())

    assert report.is_sufficient, report.sentence()
    told = {finding.check: finding.message for finding in report.findings}
    assert told["unusual_bills"] == (
        "Of 1,003 bills: 12 of zero or less (credit notes) (customers: 9), 3 refused. None: due without a payment, "
        "paid in parts, overpaid or paid twice, with a payment taken back, settled without money, dated in the future."
    )
    assert told["unusual_payments"] == "Of 1,000 payments: none is unusual."
    assert told["unusual_customers"] == "Of 1,000 customers: 2 with a single bill. None: without customer_class."


def test_what_was_not_delivered_is_not_unusual(marts: Marts):
    nothing = pd.DataFrame(columns=["subject", "case_code", "rows_count", "customers_count", "of_rows_count"])
    findings = check_sufficiency(*marts, unusual_input=nothing).findings
    assert findings[-1].message == "Of 0 customers: none is unusual."


def test_every_case_of_the_mart_is_told():
    query = (DBT_MODELS / "marts" / "credit_unusual_input.sql").read_text(encoding="utf-8")
    cases = set(re.findall(r"unusual_rows\('(\w+)', '(\w+)'", query))
    assert cases | {("bills", "refused"), ("payments", "refused")} == set(_UNUSUAL_ROWS)
