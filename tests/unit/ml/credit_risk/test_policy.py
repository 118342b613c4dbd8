"""What follows from a score: rules, protections, caps, appeals, ends."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.credit_risk.policy import CustomerCase, PolicyDay, PolicyOutcome, case_of, decide
from ml.credit_risk.policy_schema import HARSHNESS, PROTECTIVE_STATUSES, CreditPolicy
from tests.unit.ml.credit_risk.policy_cases import (
    BAD_PAYER,
    CHINA,
    DAY,
    GOOD_PAYER,
    KEY,
    POLICIES,
    appeal,
    black_entry,
    case,
    cases,
    decision,
    policies,
    register_of,
    with_status,
)


def kinds(outcome: PolicyOutcome) -> list[str]:
    return [measure.kind for measure in outcome.measures]


def withheld(outcome: PolicyOutcome) -> set[tuple[str, str, str]]:
    return {(one.rule_id, one.kind, one.reason_code) for one in outcome.withheld}


@given(policies(), cases())
@settings(max_examples=150)
def test_every_outcome_names_its_rules_ends_and_says_how_to_appeal(
    policy: CreditPolicy, customer: CustomerCase
) -> None:
    outcome = decide(policy, customer, DAY)

    named = {rule.rule_id for rule in outcome.rules}
    accounted = [rule for one in outcome.measures for rule in one.rule_ids]
    accounted += [one.rule_id for one in outcome.withheld]
    assert sorted(accounted) == sorted(named)
    assert outcome.as_of < outcome.expires_on
    for one in outcome.measures:
        assert one.rule_ids
        assert one.takes_effect_on < one.review_on <= one.expires_on
        assert one.text
        assert one.text_zh
    assert outcome.appeal.until > outcome.as_of
    assert outcome.text
    assert outcome.text_zh


@given(policies(), st.lists(cases(), min_size=2, max_size=6))
@settings(max_examples=60)
def test_a_day_decides_many_customers_as_it_decides_each_alone(
    policy: CreditPolicy, customers: list[CustomerCase]
) -> None:
    day = PolicyDay(policy, DAY)

    together = [day.outcome(customer) for customer in (*customers, *customers)]

    assert together == [decide(policy, customer, DAY) for customer in (*customers, *customers)]


@given(policies(), cases(), st.data())
@settings(max_examples=150)
def test_protected_customer_never_gets_a_harsher_outcome(
    policy: CreditPolicy, customer: CustomerCase, data: st.DataObject
) -> None:
    protecting = sorted({status for one in policy.protections for status in one.statuses} & PROTECTIVE_STATUSES)
    status = data.draw(st.sampled_from(protecting))
    without = replace(customer.standing, statuses=customer.standing.statuses - set(protecting))
    protected = replace(customer.standing, statuses=without.statuses | {status})

    plain = decide(policy, replace(customer, standing=without), DAY)
    spared = decide(policy, replace(customer, standing=protected), DAY)

    assert spared.harshness <= plain.harshness
    assert set(kinds(spared)) - set(kinds(plain)) <= {"deposit", "red_list"}


@given(policies(), cases())
@settings(max_examples=150)
def test_no_amount_is_above_its_cap(policy: CreditPolicy, customer: CustomerCase) -> None:
    for one in decide(policy, customer, DAY).measures:
        if one.amount is None:
            continue
        for cap in policy.caps:
            concerns = cap.kind == one.kind
            concerns &= not cap.customer_classes or customer.customer_class in cap.customer_classes
            concerns &= not cap.statuses or not customer.standing.statuses.isdisjoint(cap.statuses)
            if concerns:
                assert one.amount <= cap.months_of_charges * (customer.monthly_charges_amount or 0)


@given(policies(), cases(), st.data())
@settings(max_examples=100)
def test_less_knowledge_never_makes_an_outcome_harsher_where_no_exception_rests_on_it(
    policy: CreditPolicy, customer: CustomerCase, data: st.DataObject
) -> None:
    excepting = {
        name
        for conditions in (*(rule.unless for rule in policy.rules), *(one.unless for one in policy.protections))
        for condition in conditions
        for name in condition.facts
    }
    forgotten = data.draw(st.sampled_from(sorted(set(customer.facts) - excepting)))

    known = decide(policy, customer, DAY)
    unknown = decide(policy, replace(customer, facts={**customer.facts, forgotten: None}), DAY)

    assert {rule.rule_id for rule in unknown.rules} <= {rule.rule_id for rule in known.rules}


@pytest.mark.parametrize(("rating", "listed"), [("AAA", True), ("AA", True), ("A", False), ("BBB", False)])
def test_red_list_of_the_chinese_rule_is_for_spotless_customers_rated_aa_or_better(rating: str, listed: bool) -> None:
    spotless = decide(CHINA, case(GOOD_PAYER, rating=rating), DAY)
    once_late = decide(CHINA, case({**GOOD_PAYER, "late_bills_12m_count": 1.0}, rating=rating), DAY)

    assert ("red_list" in kinds(spotless)) is listed
    assert "red_list" not in kinds(once_late)


def test_what_is_withheld_is_not_said_to_be_unasked() -> None:
    reminded = {**GOOD_PAYER, "late_bills_12m_count": 4.0}
    spared = register_of(appeal("remind_before_due_date"), decision("upheld")).standing(KEY, DAY)

    nothing = decide(CHINA, case({}, rating="BB"), DAY)
    all_withheld = decide(CHINA, case(reminded, rating="BB", standing=spared), DAY)

    assert nothing.text == "Nothing follows: no rule of the policy asks for a measure."
    assert all_withheld.text == "Nothing follows: what rules ask for is withheld."
    assert kinds(all_withheld) == []


def test_outcome_of_a_bad_payer_lists_rules_with_their_evidence_in_both_languages() -> None:
    outcome = decide(CHINA, case(BAD_PAYER), DAY)

    assert kinds(outcome) == ["black_list", "prepayment", "reminder", "instalment_plan"]
    [veto] = [rule for rule in outcome.rules if rule.rule_id == "veto_arrears"]
    assert "bills of 12 months that were unpaid 30 days after the due date: 3" in veto.text
    assert "欠费余额与月均电费之比：3.2" in veto.text_zh
    notice = outcome.measures[0]
    assert (notice.takes_effect_on, notice.review_on) == (date(2026, 9, 19), date(2026, 12, 18))
    assert "a person must confirm it" in notice.text
    assert outcome.measures[1].amount == 1000.0


def test_good_payer_is_proposed_for_the_red_list_and_not_within_a_year_of_the_black_one() -> None:
    good = case(GOOD_PAYER, rating="AA", probability=0.006)
    past = black_entry(
        notified_on=date(2025, 10, 1), effective_on=date(2025, 10, 16), review_on=date(2026, 1, 14),
        expires_on=date(2026, 1, 14),
    )  # fmt: skip
    standing = register_of(past).standing(KEY, DAY)
    features = {**GOOD_PAYER, "customer_class": "commercial", "mean_bill_12m_amount": 1000.0}

    since = case_of(features, probability=0.006, rating="AA", policy=CHINA, as_of=DAY, standing=standing)

    assert kinds(decide(CHINA, good, DAY)) == ["red_list"]
    assert since.facts["days_since_black_list_days"] == 233
    assert kinds(decide(CHINA, since, DAY)) == []
    later = date(2027, 2, 1)
    cleared = register_of(past).standing(KEY, later)
    again = case_of(features, probability=0.006, rating="AA", policy=CHINA, as_of=later, standing=cleared)
    assert kinds(decide(CHINA, again, later)) == ["red_list"]


def test_nothing_follows_is_said_in_words() -> None:
    outcome = decide(CHINA, case({}, rating="BBB", probability=0.03), DAY)

    assert outcome.rules == ()
    assert outcome.text == "Nothing follows: no rule of the policy asks for a measure."
    assert outcome.harshness == (0, 0.0)


def test_household_in_need_is_neither_listed_nor_asked_for_money_and_the_outcome_says_why() -> None:
    outcome = decide(CHINA, case(BAD_PAYER, customer_class="residential", standing=with_status("extreme_poverty")), DAY)

    assert kinds(outcome) == ["reminder", "instalment_plan"]
    assert ("veto_arrears", "black_list", "protection") in withheld(outcome)


def test_upheld_appeal_changes_the_outcome_until_it_ends() -> None:
    register = register_of(appeal("veto_arrears", "prepayment_at_high_risk"), decision("upheld"))

    def outcome_on(day: date) -> PolicyOutcome:
        return decide(CHINA, case(BAD_PAYER, standing=register.standing(KEY, day)), day)

    assert kinds(outcome_on(DAY)) == ["reminder", "instalment_plan"]
    assert ("veto_arrears", "black_list", "appeal_upheld") in withheld(outcome_on(DAY))
    assert kinds(outcome_on(date(2027, 9, 2))) == ["reminder", "instalment_plan"]
    assert kinds(outcome_on(date(2027, 9, 3)))[:2] == ["black_list", "prepayment"]


def test_waiting_appeal_suspends_a_burden_and_a_rejected_one_does_not() -> None:
    waiting = register_of(appeal("veto_arrears")).standing(KEY, DAY)
    rejected = register_of(appeal("veto_arrears"), decision("rejected")).standing(KEY, DAY)

    assert ("veto_arrears", "black_list", "appeal_waiting") in withheld(
        decide(CHINA, case(BAD_PAYER, standing=waiting), DAY)
    )
    assert "black_list" in kinds(decide(CHINA, case(BAD_PAYER, standing=rejected), DAY))


def test_entry_that_holds_is_shown_and_not_given_notice_of_again() -> None:
    outcome = decide(CHINA, case(BAD_PAYER, standing=register_of(black_entry()).standing(KEY, DAY)), DAY)

    assert [(one.list_name, one.review_on) for one in outcome.lists] == [("black", date(2026, 10, 14))]
    assert ("veto_arrears", "black_list", "superseded") in withheld(outcome)


@pytest.mark.parametrize(
    ("policy_id", "facts", "changes", "amount"),
    [
        # DOMAIN 5.4. New York: at most two average months, and only for the delinquent, seasonal or cut off.
        ("us_new_york", BAD_PAYER, {}, 2000.0),
        ("us_new_york", GOOD_PAYER, {}, None),
        ("us_new_york", GOOD_PAYER, {"standing": with_status("seasonal")}, 2000.0),
        ("us_new_york", BAD_PAYER, {"standing": with_status("public_assistance", "disconnected")}, None),
        ("us_new_york", BAD_PAYER, {"standing": with_status("elderly")}, None),
        ("us_new_york", BAD_PAYER, {"standing": with_status("elderly", "disconnected")}, 2000.0),
        # Illinois: a third of a year's charges, a sixth from households and small business.
        ("us_illinois", BAD_PAYER, {}, 4000.0),
        ("us_illinois", BAD_PAYER, {"customer_class": "residential"}, 2000.0),
        ("us_illinois", BAD_PAYER, {"standing": with_status("small_business")}, 2000.0),
        ("us_illinois", GOOD_PAYER, {}, 2000.0),
        ("us_illinois", GOOD_PAYER, {"standing": with_status("low_income")}, None),
        ("us_illinois", BAD_PAYER, {"customer_class": "residential", "standing": with_status("low_income")}, 2000.0),
        # Maryland: 2/12 of a year's charges with monthly bills, 3/12 with quarterly ones.
        ("us_maryland", BAD_PAYER, {}, 2000.0),
        ("us_maryland", BAD_PAYER, {"standing": with_status("quarterly_billing")}, 3000.0),
        # Oklahoma: after two late payments, a returned payment or a cut-off.
        ("us_oklahoma", {**GOOD_PAYER, "late_bills_12m_count": 2.0}, {}, 2000.0),
        ("us_oklahoma", {**GOOD_PAYER, "late_bills_12m_count": 1.0}, {}, None),
        ("us_oklahoma", GOOD_PAYER, {"standing": with_status("returned_payment")}, 2000.0),
    ],
)  # fmt: skip
def test_rules_of_four_states(policy_id: str, facts: dict, changes: dict, amount: float | None) -> None:
    outcome = decide(POLICIES[policy_id], case(facts, **changes), DAY, currency="USD")

    deposits = [measure.amount for measure in outcome.measures if measure.kind == "deposit"]

    assert deposits == ([] if amount is None else [amount])


def test_delinquent_customer_of_new_york_gets_twenty_days_and_instalments() -> None:
    [deposit] = decide(POLICIES["us_new_york"], case(BAD_PAYER), DAY, currency="USD").measures

    assert deposit.takes_effect_on - DAY == timedelta(days=20)
    assert deposit.instalments_count == 12
    assert deposit.review_on - deposit.takes_effect_on == timedelta(days=365)
    assert "2,000.00 USD" in deposit.text


def test_rounded_amount_stays_within_its_cap() -> None:
    [deposit] = decide(POLICIES["us_oklahoma"], case(BAD_PAYER, monthly_charges_amount=33.337), DAY).measures

    assert deposit.amount == 66.67


def test_nobody_is_asked_for_an_amount_that_cannot_be_computed() -> None:
    outcome = decide(POLICIES["us_oklahoma"], case(BAD_PAYER, monthly_charges_amount=None), DAY)

    assert outcome.measures == ()
    assert ("deposit_after_late_payments", "deposit", "charges_unknown") in withheld(outcome)


def test_case_of_features_measures_the_money_at_stake() -> None:
    features = {"mean_bill_12m_amount": 300.0, "unpaid_balance_ratio": 1.5, "late_bills_12m_count": float("nan")}

    monthly = case_of(features, probability=0.1, rating="B", policy=CHINA, as_of=DAY)
    quarterly = case_of(
        features, probability=0.1, rating="B", policy=CHINA, as_of=DAY, standing=with_status("quarterly_billing")
    )

    assert monthly.exposure_amount == 1.5 * 300 + 2 * 300
    assert quarterly.exposure_amount == 1.5 * 300 + 2 * 100
    assert monthly.facts["late_bills_12m_count"] is None


def test_every_kind_of_measure_has_a_harshness() -> None:
    asked = {rule.then.kind for policy in POLICIES.values() for rule in policy.rules}

    assert asked == set(HARSHNESS)
