"""The dunning list and its back-test."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.credit_risk.dunning import REFERENCE, DunningConfig, back_test, dunning_list
from ml.credit_risk.dunning_report import plot, render_report, summary, tables
from ml.errors import InsufficientDataError, SchemaMismatchError
from ml.splits import add_months

FIRST = date(2026, 1, 1)


def snapshot(key: str, month: date, probability: float, balance: float, bill: float = 100.0) -> dict:
    """Return one customer and month; ``balance`` is the overdue balance in mean bills."""
    return {
        "customer_key": key, "as_of_month": month, "customer_class": "commercial", "district": "north",
        "default_probability": probability, "credit_rating": "B", "mean_bill_12m_amount": bill,
        "unpaid_balance_ratio": balance,
    }  # fmt: skip


def history(customers: int = 40, months: int = 8, seed: int = 3) -> pd.DataFrame:
    """Return customers who pay with their own probability every month, and whose debts pile up until they do."""
    generator = np.random.default_rng(seed)
    probabilities = generator.uniform(0.02, 0.7, customers)
    bills = generator.lognormal(4, 1.5, customers)
    balances = np.zeros(customers)
    rows = []
    for offset in range(months):
        stays = generator.random(customers) < probabilities
        balances = np.where(stays, balances + 1, 0)
        month = add_months(FIRST, offset)
        rows += [
            snapshot(f"{position:03d}", month, probabilities[position], balances[position], bills[position])
            for position in range(customers)
        ]
    return pd.DataFrame(rows)


def test_list_ranks_by_probability_times_money_at_stake_and_deals_out_days() -> None:
    rows = pd.DataFrame(
        [
            snapshot("a", FIRST, 0.1, 1, 100),  # 0.1 x 300
            snapshot("b", FIRST, 0.5, 1, 100),  # 0.5 x 300
            snapshot("c", FIRST, 0.2, 2, 500),  # 0.2 x 2,000
            snapshot("d", FIRST, 0.9, 0, 500),  # owes nothing
            snapshot("e", FIRST, 0.01, 1, 100),
        ]
    )

    made = dunning_list(rows, DunningConfig(daily_capacity=1, working_days=3))

    assert list(made.rows["customer_key"]) == ["c", "b", "a"]
    assert list(made.rows["expected_loss_amount"]) == [400, 150, 30]
    assert list(made.rows["working_day"]) == [1, 2, 3]
    assert (made.beyond_capacity_count, made.beyond_capacity_loss_amount) == (1, 3.0)


def test_list_shows_the_rating_in_force_where_it_is_known() -> None:
    rows = pd.DataFrame([snapshot("a", FIRST, 0.5, 1), snapshot("b", FIRST, 0.1, 1)]).assign(
        rating_in_force=["C", None]
    )

    assert list(dunning_list(rows, DunningConfig()).rows["rating_in_force"]) == ["C", "B"]
    assert set(dunning_list(rows.drop(columns="rating_in_force"), DunningConfig()).rows["rating_in_force"]) == {"B"}


def test_who_contests_the_debt_is_left_out_and_counted() -> None:
    rows = pd.DataFrame([snapshot("a", FIRST, 0.1, 1), snapshot("b", FIRST, 0.5, 1)])

    made = dunning_list(rows, DunningConfig(), disputing={"b"})

    assert list(made.rows["customer_key"]) == ["a"]
    assert made.disputing_count == 1


def test_age_of_debt_is_that_of_the_oldest_bill_or_else_the_months_with_a_balance() -> None:
    rows = pd.DataFrame([snapshot("a", add_months(FIRST, offset), 0.1, offset > 1) for offset in range(5)])

    counted = dunning_list(rows, DunningConfig()).rows["debt_age_days"]
    exact = dunning_list(rows.assign(oldest_debt_days=17.0), DunningConfig()).rows["debt_age_days"]

    assert list(counted) == [90]
    assert list(exact) == [17]


@given(st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_no_ranking_reaches_more_than_perfect_knowledge_and_more_contacts_reach_more(capacity: int, seed: int) -> None:
    tested = back_test(history(seed=seed), DunningConfig(daily_capacity=capacity)).rows
    shares = tested.pivot(index="ranking", columns="working_days", values="reached_share")

    assert (shares.loc["perfect"] >= shares.max() - 1e-12).all()
    assert (shares[5] >= shares[1] - 1e-12).all()
    assert shares.to_numpy().max() <= 1 + 1e-12
    assert tested.loc[tested["ranking"] == REFERENCE, "difference"].eq(0).all()


def test_back_test_counts_what_is_still_owed_up_to_what_was_at_stake() -> None:
    later = add_months(FIRST, 3)
    rows = pd.DataFrame(
        [
            snapshot("small", FIRST, 0.9, 1, 100), snapshot("small", later, 0.9, 1, 100),
            snapshot("large", FIRST, 0.5, 1, 1000), snapshot("large", later, 0.5, 9, 1000),
            snapshot("paid", FIRST, 0.1, 1, 9000), snapshot("paid", later, 0.1, 0, 9000),
            snapshot("gone", FIRST, 0.9, 1, 100),
        ]
    )  # fmt: skip

    tested = back_test(rows, DunningConfig(daily_capacity=1, recovery_share=0.5))

    by_ranking = tested.rows[tested.rows["working_days"] == 1].set_index("ranking")
    assert tested.months == (FIRST,)
    assert tested.remaining_amount == 100 + 3000
    assert tested.unjudged_count == 1
    assert by_ranking.loc["expected_loss", "reached_amount"] == 0  # 0.1 x 27,000 is the largest expected loss
    assert by_ranking.loc["probability", "reached_amount"] == 100
    assert by_ranking.loc["perfect", "recovered_amount"] == 0.5 * 3000


def test_expected_loss_reaches_more_than_age_of_debt_where_debts_differ() -> None:
    rows = back_test(history(), DunningConfig(daily_capacity=3)).rows
    [first] = rows[(rows["ranking"] == "expected_loss") & (rows["working_days"] == 1)].to_dict("records")

    assert first["difference"] > 0
    assert first["difference_lower"] <= first["difference"] <= first["difference_upper"]


def test_too_little_history_and_missing_columns_are_said() -> None:
    rows = history(months=3)

    with pytest.raises(InsufficientDataError, match="another 3 months later"):
        back_test(rows, DunningConfig())
    with pytest.raises(InsufficientDataError, match="No customer is scored as of 2027-01"):
        dunning_list(rows, DunningConfig(), month=date(2027, 1, 1))
    with pytest.raises(SchemaMismatchError, match="lack the columns default_probability"):
        dunning_list(rows.drop(columns="default_probability"), DunningConfig())


def test_report_shows_list_and_back_test() -> None:
    rows, config = history(), DunningConfig(daily_capacity=3)
    made, tested = dunning_list(rows, config), back_test(rows, config)

    page = render_report(made, tested, config, "CNY", plot(tested), date(2026, 2, 1))
    young = render_report(made, None, config, "CNY", None, date(2026, 2, 1))

    assert str(made.rows["customer_key"].iloc[0]) in page
    assert "age of debt" in page
    assert "scores flatter" in page
    assert "to judge it by" in young
    assert "by age of debt" in summary(made, tested, config, "CNY")
    assert set(tables(made, tested)) == {"customers", "back_test"}
