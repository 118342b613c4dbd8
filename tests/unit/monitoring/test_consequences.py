"""What the move of one column does to decisions and money, on frames small enough to compute by hand."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.consequences import Stakes, leading_columns, money_of, strain_of
from monitoring.policy import load_policy
from monitoring.verdicts import ColumnScore, Consequence

POLICY = load_policy("credit_risk", date(2026, 11, 22))


def stakes(decisions: list[str | None], money: list[float]) -> Stakes:
    customers = pd.Series([f"{number:032x}" for number in range(len(decisions))])
    return Stakes(pd.Series(decisions), pd.Series(money).dropna(), customers, "expected_loss")


def moved(column: str, *, effect: float = 0.0, decisions_pct: float = 0.0, money_pct: float = 0.0) -> ColumnScore:
    consequence = Consequence(
        decisions_changed_pct=decisions_pct,
        money_kind="expected_loss",
        money_reference_amount=200.0,
        money_shifted_amount=200.0 * (1 + money_pct / 100),
    )
    return ColumnScore(
        column=column,
        role="feature",
        kind="numeric",
        status="judged",
        score=0.2,
        level="drifted",
        limit_watch=0.1,
        limit_act=0.25,
        effect=effect,
        consequence=consequence,
    )


def test_decisions_and_money_follow_the_new_shares_of_the_bins() -> None:
    """Half of the customers is in each bin; a fifth of all moves from the good bin to the bad one."""
    found = stakes(["A", "A", "C", "C"], [10.0, 30.0, 100.0, 200.0]).consequence(
        pd.Series([0, 0, 1, 1]), np.array([-0.2, 0.2])
    )
    assert found.decisions_changed_pct == pytest.approx(20)
    assert found.money_reference_amount == pytest.approx(85)
    assert found.money_shifted_amount == pytest.approx(0.3 * 20 + 0.7 * 150)
    assert found.money_change_pct == pytest.approx(100 * (111 - 85) / 85)


def test_a_column_that_decides_nothing_has_no_consequence() -> None:
    found = stakes(["A", "C", "A", "C"], [10.0, 20.0, 10.0, 20.0]).consequence(
        pd.Series([0, 0, 1, 1]), np.array([-0.4, 0.4])
    )
    assert found.decisions_changed_pct == pytest.approx(0)
    assert found.money_change_pct == pytest.approx(0)


def test_rows_without_decision_or_money_are_left_out_and_no_money_at_all_is_unknown() -> None:
    found = stakes(["A", None, "C", "C"], [np.nan] * 4).consequence(pd.Series([0, 0, 1, 1]), np.array([-0.5, 0.5]))
    assert found.decisions_changed_pct == pytest.approx(50)
    assert (found.money_reference_amount, found.money_shifted_amount, found.money_change_pct) == (None, None, None)


@settings(max_examples=40)
@given(
    bins=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    now=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    data=st.data(),
)
def test_no_more_decisions_change_than_customers_moved(bins, now, data) -> None:
    decided = data.draw(st.lists(st.sampled_from("ABC"), min_size=len(bins), max_size=len(bins)))
    shares_then = np.bincount(bins, minlength=4) / len(bins)
    change = np.array(now) / sum(now) - shares_then
    found = stakes(decided, [1.0] * len(bins)).consequence(pd.Series(bins), change)
    assert -1e-9 <= found.decisions_changed_pct <= 50 * np.abs(change).sum() + 1e-9
    assert found.money_change_pct == pytest.approx(0, abs=1e-6)


def test_a_few_large_customers_are_chance_and_no_evidence() -> None:
    """Nearly all money is one customer's, whose bin has become more frequent."""
    found = stakes(["A"] * 100, [1.0] * 99 + [10_000.0]).consequence(
        pd.Series([0] * 50 + [1] * 50), np.array([-0.3, 0.3])
    )
    assert found.money_change_pct == pytest.approx(59, abs=1)
    assert found.money_evidence_pct == 0


def test_the_months_of_one_customer_are_no_independent_evidence() -> None:
    rng = np.random.default_rng(0)
    money = np.repeat(rng.lognormal(3, 1, 40), 12)
    bins = pd.Series(np.repeat(np.arange(40) % 2, 12))
    change = np.array([-0.2, 0.2])
    customers = pd.Series(np.repeat(np.arange(40), 12).astype(str))
    whole = Stakes(pd.Series(["A"] * 480), pd.Series(money), customers, "expected_loss").consequence(bins, change)
    strangers = Stakes(
        pd.Series(["A"] * 480), pd.Series(money), pd.Series([None] * 480, dtype=object), "expected_loss"
    ).consequence(bins, change)
    assert whole.money_chance_amount == pytest.approx(strangers.money_chance_amount * 12**0.5)
    by_hand = sum(money[bins == side].reshape(-1, 12)[:, 0].var() / 20 for side in (0, 1)) * 0.2**2
    assert whole.money_chance_amount == pytest.approx(3.0902 * by_hand**0.5)


def test_a_share_of_decisions_that_other_customers_would_give_as_well_is_no_evidence() -> None:
    """Decisions are drawn without regard to the bin, so that every change of them is chance."""
    change = np.array([-0.3, 0.3])
    exceeded = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = stakes(list(rng.choice(list("ABCDE"), 300)), [1.0] * 300).consequence(
            pd.Series(rng.integers(0, 2, 300)), change
        )
        assert found.decisions_changed_pct > 0
        exceeded += found.decisions_evidence_pct > 0
    assert exceeded <= 1


def test_a_share_of_decisions_that_the_column_decides_is_evidence() -> None:
    found = stakes(["A"] * 140 + ["B"] * 10 + ["B"] * 140 + ["A"] * 10, [1.0] * 300).consequence(
        pd.Series([0] * 150 + [1] * 150), np.array([-0.3, 0.3])
    )
    assert found.decisions_changed_pct == pytest.approx(26)
    assert 15 < found.decisions_evidence_pct < 26


def test_two_decisions_of_strangers_have_the_chance_of_a_share() -> None:
    """Of two decisions the share is the size of one shift, which is normal."""
    rng = np.random.default_rng(0)
    bins = pd.Series(np.arange(400) % 2)
    found = stakes(list(rng.choice(list("AB"), 400)), [1.0] * 400).consequence(bins, np.array([-0.2, 0.2]))
    deviation = 100 * 0.2 * (2 * 0.25 / 200) ** 0.5
    half_normal = deviation * ((2 / np.pi) ** 0.5 + 3.0902 * (1 - 2 / np.pi) ** 0.5)
    assert found.decisions_chance_pct == pytest.approx(half_normal, rel=0.15)


def test_money_is_what_the_use_case_counts() -> None:
    credit = pd.DataFrame(
        {
            "default_probability": [0.1, 0.1, 0.5],
            "mean_bill_12m_amount": [300.0, np.nan, -20.0],
            "unpaid_balance_ratio": [1.5, 1.0, np.nan],
        }
    )
    assert money_of(credit, "expected_loss").tolist() == pytest.approx([0.1 * 300 * (1.5 + 2), 0, 0])
    advice = pd.DataFrame(
        {
            "current_tariff_id": ["flat", "flat"],
            "recommended_tariff_id": ["night", "flat"],
            "expected_saving_amount": [80.0, 5.0],
        }
    )
    assert money_of(advice, "expected_saving").tolist() == [80, 0]
    assert money_of(pd.DataFrame({"billed_amount_12m_amount": [7.0]}), "billed_amount").tolist() == [7]


def test_the_columns_that_matter_most_come_first_whatever_they_move() -> None:
    scores = [
        moved("tenure_months", decisions_pct=1),
        moved("contacts_3m_count", money_pct=-30),
        moved("late_bills_3m_count", decisions_pct=10),
        moved("oldest_debt_days", effect=0.4),
    ]
    assert leading_columns(scores, POLICY) == ("oldest_debt_days", "contacts_3m_count", "late_bills_3m_count")
    assert [strain_of(score, POLICY) for score in scores] == pytest.approx([0.2, 3, 2, 4])


def test_what_did_not_move_strains_nothing() -> None:
    quiet = moved("tenure_months", effect=0.4).model_copy(update={"level": "quiet"})
    assert strain_of(quiet, POLICY) == 0
