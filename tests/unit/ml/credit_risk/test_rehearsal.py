"""The dry run of a policy: who is affected, who wrongly, at what cost."""

from datetime import date

import pandas as pd
import pytest

from ml.credit_risk.policy_schema import CreditPolicy
from ml.credit_risk.register import CustomerStanding, Register
from ml.credit_risk.rehearsal import HANDLING_COST_AMOUNTS, Rehearsal, rehearse
from ml.credit_risk.rehearsal_report import plot, render_report, summary, tables
from ml.errors import InsufficientDataError, SchemaMismatchError
from tests.unit.ml.credit_risk.policy_cases import BAD_PAYER, CHINA, GOOD_PAYER, POLICIES, with_status

MONTHS = [date(2026, month, 1) for month in (1, 2, 3)]
STATE = POLICIES["us_oklahoma"]


def snapshots(*customers: tuple[str, dict, str]) -> pd.DataFrame:
    """Return three months of customers given by key, facts and class, each with bills of 100 a month."""
    return pd.DataFrame(
        [
            {
                "customer_key": key, "as_of_month": month, "district": "north", "customer_class": customer_class,
                "default_probability": 0.2, "credit_rating": "C", "mean_bill_12m_amount": 100.0, **facts,
            }
            for month in MONTHS
            for key, facts, customer_class in customers
        ]
    )  # fmt: skip


def outcomes(**defaults: bool | None) -> pd.DataFrame:
    """Return outcomes by key; ``None`` for a customer who is in default already."""
    return pd.DataFrame(
        [
            {
                "customer_key": key, "as_of_month": month, "is_mature": True, "is_default": bool(value),
                "exclusion": "in_default" if value is None else None,
            }
            for month in MONTHS
            for key, value in defaults.items()
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def rehearsal() -> Rehearsal:
    late = {**GOOD_PAYER, "late_bills_12m_count": 3.0}
    return rehearse(
        STATE,
        snapshots(
            ("a", late, "commercial"), ("b", late, "residential"), ("c", GOOD_PAYER, "residential"),
            ("d", late, "residential"), ("e", GOOD_PAYER, "industrial"),
        ),
        outcomes(a=True, b=False, c=False, d=None, e=True),
    )  # fmt: skip


def test_a_measure_that_still_holds_is_not_counted_again(rehearsal: Rehearsal) -> None:
    [deposit] = rehearsal.measures.to_dict("records")

    assert (deposit["kind"], deposit["customers_count"], deposit["new_count"]) == ("deposit", 3, 3)
    assert len(rehearsal.rows) == 9
    assert list(rehearsal.monthly["deposit_count"]) == [3, 0, 0]


def test_false_alarms_are_burdens_on_customers_who_then_paid(rehearsal: Rehearsal) -> None:
    [deposit] = rehearsal.measures.to_dict("records")

    assert (deposit["judged_count"], deposit["wrong_count"], deposit["in_default_count"]) == (2, 1, 1)
    assert deposit["wrong_share"] == 0.5
    assert deposit["asked_amount"] == 3 * 200
    assert deposit["asked_of_payers_amount"] == 200
    assert deposit["defaulted_exposure_amount"] == 200
    assert deposit["handling_cost_amount"] == 3 * HANDLING_COST_AMOUNTS["deposit"]


def test_defaults_without_a_burden_are_counted_as_missed(rehearsal: Rehearsal) -> None:
    assert rehearsal.missed == {"snapshots": 12, "defaults": 6, "missed": 3, "missed_amount": 600}


def test_groups_show_who_carries_the_burden(rehearsal: Rehearsal) -> None:
    by_class = rehearsal.groups[rehearsal.groups["group"] == "customer_class"].set_index("value")

    assert list(by_class["burdened_share"].round(3)) == [1.0, 0.0, 0.667]
    assert by_class.loc["residential", "false_alarm_share"] == 0.5


def test_rating_in_force_decides_where_it_is_known_and_else_that_of_the_month() -> None:
    rows = snapshots(("a", GOOD_PAYER, "commercial"), ("b", GOOD_PAYER, "commercial"))
    rows["rating_in_force"] = rows["customer_key"].map({"a": "AA"})

    made = rehearse(CHINA, rows, outcomes(a=False, b=False)).rows

    assert set(made.loc[made["customer_key"] == "a", "kind"]) == {"red_list"}
    assert set(made.loc[made["customer_key"] == "b", "kind"]) == {"reminder"}


def test_measure_that_nobody_could_judge_has_a_dash_and_groups_are_named_in_both_languages() -> None:
    rehearsal = rehearse(CHINA, snapshots(("a", BAD_PAYER, "commercial")), outcomes(a=None))

    page = render_report(rehearsal, "CNY", b"picture")

    assert "– – –" not in page
    assert "0 (–)" not in page
    assert "用电类别：商业" in page
    assert "地方电力客户信用管理办法" in page


def test_what_is_on_record_then_counts() -> None:
    def protected(_key: str, _day: date) -> CustomerStanding:
        return with_status("low_income")

    late = snapshots(("a", {**GOOD_PAYER, "late_bills_12m_count": 3.0}, "residential"))

    spared = rehearse(STATE, late, outcomes(a=False), standing_of=protected)

    assert spared.measures.empty
    assert spared.withheld.to_dict("records") == [
        {"kind": "deposit", "reason_code": "protection", "snapshots_count": 3, "customers_count": 1}
    ]
    assert summary(spared, "USD").endswith("no deposit, prepayment or notice of the black list in these months.")


@pytest.mark.parametrize("policy", [CHINA, STATE], ids=lambda policy: policy.policy_id)
def test_report_names_every_rule_and_its_figures(policy: CreditPolicy) -> None:
    rehearsal = rehearse(
        policy,
        snapshots(("a", BAD_PAYER, "commercial"), ("b", GOOD_PAYER, "residential")),
        outcomes(a=True, b=False),
        standing_of=Register().standing,
        trained_until=date(2026, 2, 1),
    )

    page = render_report(rehearsal, "CNY", plot(rehearsal))

    for rule in policy.rules:
        assert rule.name.replace("'", "&#39;") in page
        assert rule.name_zh in page
    assert "trained on months up to 2026-02" in page
    assert "a" in set(tables(rehearsal)["rows"]["customer_key"])


def test_mistakes_are_named() -> None:
    rows = snapshots(("a", BAD_PAYER, "commercial"))

    with pytest.raises(SchemaMismatchError, match="lack the columns credit_rating"):
        rehearse(CHINA, rows.drop(columns="credit_rating"), outcomes(a=True))
    with pytest.raises(InsufficientDataError, match="No month holds a scored customer"):
        rehearse(CHINA, rows.iloc[:0], outcomes(a=True))
