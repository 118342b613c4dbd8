from datetime import date

import pandas as pd
import pytest

from ml.errors import SchemaMismatchError
from ml.splits import add_months
from monitoring.policy import VintageRule, load_policy
from monitoring.vintages import judge_vintage, vintage_points

POLICY = load_policy("credit_risk", date(2026, 11, 22)).vintages
assert POLICY is not None
RULE: VintageRule = POLICY
FIRST = date(2025, 1, 1)


def vintages(late_customers: list[int], customers: int = 1_000) -> pd.DataFrame:
    """Rows of two classes and two ages, oldest month first; half of the late customers are past due after a month."""
    return pd.DataFrame(
        [
            {
                "as_of_month": add_months(FIRST, position),
                "customer_class": customer_class,
                "months_since": age,
                "customers_count": customers // 2,
                "past_due_30d_customers_count": late // (4 if age == 1 else 2),
                "past_due_60d_customers_count": 0,
                "past_due_90d_customers_count": 0,
                "due_amount": 1_000,
                "past_due_30d_amount": 10,
                "past_due_60d_amount": 0,
                "past_due_90d_amount": 0,
            }
            for position, late in enumerate(late_customers)
            for customer_class in ("residential", "commercial")
            for age in (1, 2)
        ]
    )


def test_points_add_the_classes_and_leave_out_what_was_not_known() -> None:
    known = vintage_points(vintages([20, 24]), known_by=date(2025, 3, 1))
    assert [(point.month, point.months_since) for point in known] == [
        (date(2025, 1, 1), 1),
        (date(2025, 1, 1), 2),
        (date(2025, 2, 1), 1),
    ]
    assert (known[1].customers, known[1].past_due_30d_customers, known[1].due_amount) == (1_000, 20, 2_000)


def test_a_vintage_is_compared_with_earlier_ones_of_its_age() -> None:
    late = [20, 24, 18, 22, 20, 16, 60]
    month = add_months(FIRST, 8)
    result = judge_vintage(vintage_points(vintages(late), month), month, RULE)
    assert result is not None
    assert result.point.month == add_months(FIRST, 6)
    assert (result.vintages, result.usual_pct, result.ratio) == (6, pytest.approx(2.0), pytest.approx(3.0))
    assert 2.0 < result.upper_pct < 6.0


def test_an_unremarkable_vintage_lies_below_what_chance_gives_once_in_a_hundred_months() -> None:
    month = add_months(FIRST, 8)
    result = judge_vintage(vintage_points(vintages([20, 24, 18, 22, 20, 16, 24]), month), month, RULE)
    assert result is not None
    assert result.point.customers_pct() < result.upper_pct


@pytest.mark.parametrize(("late", "customers"), [([20] * 6, 1_000), ([2] * 9, 100)])
def test_few_vintages_or_few_customers_are_not_judged(late: list[int], customers: int) -> None:
    month = add_months(FIRST, len(late) + 1)
    assert judge_vintage(vintage_points(vintages(late, customers), month), month, RULE) is None


def test_a_month_whose_vintage_is_missing_is_not_judged() -> None:
    month = add_months(FIRST, 30)
    assert judge_vintage(vintage_points(vintages([20] * 9), month), month, RULE) is None


def test_vintages_of_another_form_are_refused() -> None:
    with pytest.raises(SchemaMismatchError, match="vintages lack due_amount"):
        vintage_points(vintages([1]).drop(columns="due_amount"), FIRST)
