from datetime import date

import pandas as pd
import pytest

from ml.credit_risk.config import CreditRiskConfig
from ml.credit_risk.labels import cut, labelled_rows, outcome_months
from ml.errors import SchemaMismatchError
from ml.splits import add_months

Marts = tuple[pd.DataFrame, pd.DataFrame]


def test_immature_and_excluded_snapshots_are_counted_and_left_out(marts: Marts):
    features, outcomes = marts
    outcomes = outcomes.copy()
    outcomes.loc[outcomes.index[:5], "exclusion"] = "closed"
    outcomes.loc[outcomes.index[5:9], "is_mature"] = False
    labelled = labelled_rows(features, outcomes)
    assert labelled.excluded == {"closed": 5}
    assert labelled.immature == 4
    assert len(labelled.rows) == len(outcomes) - 9
    assert labelled.rows["is_default"].dtype == bool


def test_rows_come_in_one_order_whatever_the_order_of_the_marts(marts: Marts):
    features, outcomes = marts
    shuffled = labelled_rows(features.sample(frac=1, random_state=1), outcomes.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(shuffled.rows, labelled_rows(features, outcomes).rows)


def test_a_repeated_key_is_refused(marts: Marts):
    features, outcomes = marts
    with pytest.raises(SchemaMismatchError, match="customer_credit_outcomes holds a customer and month twice"):
        labelled_rows(features, pd.concat([outcomes, outcomes.head(1)]))
    with pytest.raises(SchemaMismatchError, match="customer_credit_outcomes lacks the columns is_mature"):
        labelled_rows(features, outcomes.drop(columns=["is_mature"]))


def test_the_outcome_window_is_measured_in_months_from_the_as_of_instant(marts: Marts):
    rows = labelled_rows(*marts).rows
    assert outcome_months(rows) == 6
    assert outcome_months(rows.drop(columns=["as_of_at"])) == 7
    later = rows.assign(window_end_date=[add_months(month, 8) for month in rows["as_of_month"]])
    assert outcome_months(later) == 7


def test_outcomes_of_training_are_over_when_the_hold_out_begins(marts: Marts):
    made = cut(labelled_rows(*marts).rows, CreditRiskConfig())
    assert made.kind == "time and customer"
    assert set(made.parts) == {"train", "holdout"}
    first_holdout = made.parts["holdout"]["as_of_month"].min()
    first_instant = pd.Timestamp(add_months(first_holdout, 1)) + pd.Timedelta(days=3)
    assert made.parts["train"]["window_end_date"].max() <= first_instant.date()
    assert "by time and by customer" in made.sentence()


def test_months_that_see_too_little_past_are_left_out_only_when_others_remain(marts: Marts):
    rows = labelled_rows(*marts).rows
    made = cut(rows, CreditRiskConfig())
    assert made.parts["train"]["as_of_month"].min() == date(2025, 4, 1)
    assert "the first 3 months" in made.sentence()
    assert cut(rows, CreditRiskConfig(warm_up_months=0)).parts["train"]["as_of_month"].min() == date(2025, 1, 1)
    everything = cut(rows, CreditRiskConfig(warm_up_months=12))
    assert everything.kind == "customer"
    assert sum(len(part) for part in everything.parts.values()) == len(rows)


def test_a_single_month_is_cut_by_customer_and_says_so(marts: Marts):
    rows = labelled_rows(*marts).rows
    made = cut(rows[rows["as_of_month"] == date(2025, 5, 1)], CreditRiskConfig())
    assert made.kind == "customer"
    assert "1 labelled month." in made.why_not_time
    assert made.sentence().startswith("Held out by customer only")
    assert all(len(part) for part in made.parts.values())
    customers = [set(part["customer_key"]) for part in made.parts.values()]
    assert len(set.union(*customers)) == sum(map(len, customers))


def test_too_few_defaults_in_a_time_part_fall_back_to_customers(marts: Marts):
    rows = labelled_rows(*marts).rows
    late = rows["as_of_month"] >= date(2026, 1, 1)
    made = cut(rows.assign(is_default=rows["is_default"] & ~late), CreditRiskConfig())
    assert made.kind == "customer"
    assert "holdout has 0 defaults" in made.why_not_time
