from collections.abc import Callable
from itertools import product
from pathlib import Path

import duckdb
import jinja2
import pandas as pd
import pytest

from ml.segmentation.config import BehaviourConfig
from ml.segmentation.features import prepare_features
from ml.segmentation.value_tiers import (
    CUSTOMER_TIERS,
    channel_preferences,
    customer_tier,
    expected_value_amount,
    loyalty_points,
    loyalty_tiers,
    payment_behaviours,
    value_basis,
    value_thresholds,
    value_tiers,
)

CONFIG = BehaviourConfig()
RATINGS = ("AAA", "AA", "A", "BBB", "BB", "B", "C", "D", None)


@pytest.fixture
def one(features: pd.DataFrame) -> Callable[..., pd.DataFrame]:
    """Return a prepared row with some facts changed."""

    def changed(**facts: object) -> pd.DataFrame:
        return prepare_features(features.iloc[[0]].assign(**facts))

    return changed


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"kwh_change_yoy_pct": 10.0}, 1100),
        ({"kwh_change_yoy_pct": 300.0}, 1500),
        ({"kwh_change_yoy_pct": -90.0}, 500),
        ({"kwh_change_yoy_pct": None, "billed_kwh_change_yoy_pct": -20.0}, 800),
        ({"kwh_change_yoy_pct": None, "billed_kwh_change_yoy_pct": None}, 1000),
    ],
)
def test_expected_value_is_the_amount_with_its_growth_within_limits(one, facts: dict, expected: float) -> None:
    row = one(billed_amount_12m_amount=1000.0, **facts)

    assert expected_value_amount(row, "billed", CONFIG)[0] == pytest.approx(expected)


def test_value_is_margin_where_most_customers_have_one(features: pd.DataFrame) -> None:
    bare = prepare_features(features)
    known = prepare_features(features.assign(annual_margin_amount=100.0))

    assert value_basis(bare, CONFIG) == "billed"
    assert value_basis(known, CONFIG) == "margin"
    assert value_basis(bare.iloc[:0], CONFIG) == "billed"


def test_value_tiers_are_quantiles_of_the_class(features: pd.DataFrame) -> None:
    rows = prepare_features(features[features["as_of_month"] == features["as_of_month"].max()])
    limits = value_thresholds(rows, low_quantile=0.4, high_quantile=0.8, minimum_customers=10, config=CONFIG)
    tiers = pd.Series(value_tiers(rows, limits, CONFIG)).groupby(rows["customer_class"].to_numpy())

    assert set(limits) == set(rows["customer_class"])
    for _, found in tiers:
        shares = found.value_counts(normalize=True)
        assert shares["high"] == pytest.approx(0.2, abs=0.05)
        assert shares["low"] == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize(
    ("facts", "points"),
    [
        ({}, 2),
        ({"tenure_months": 30}, 1),
        ({"tenure_months": 29}, 0),
        ({"programmes_count": 2}, 4),
        ({"programmes_left_12m_count": 1}, 1),
        ({"billing_contacts_6m_count": 2}, 1),
        ({"billing_contacts_6m_count": 5, "mean_satisfaction_12m": 1}, 1),
        ({"kwh_change_yoy_pct": -30.0}, 1),
        ({"contract_left_days": 90}, 1),
        ({"contract_left_days": 91, "programmes_count": None}, 2),
    ],
)
def test_loyalty_points_add_up_as_the_formula_says(one, facts: dict, points: float) -> None:
    assert loyalty_points(one(**{"kwh_change_yoy_pct": 0.0, **facts}), CONFIG)[0] == points


def test_loyalty_is_unknown_without_the_years_of_supply(one) -> None:
    assert loyalty_tiers(one(tenure_months=None, programmes_count=3), CONFIG)[0] == "unknown"
    assert loyalty_tiers(one(programmes_count=1), CONFIG)[0] == "loyal"
    assert loyalty_tiers(one(tenure_months=3), CONFIG)[0] == "loose"


@pytest.mark.parametrize(
    ("facts", "behaviour"),
    [
        ({"unpaid_balance_ratio": 1.0}, "in_arrears"),
        ({"on_time_share_12m_pct": 74.9}, "often_late"),
        ({"on_time_share_12m_pct": 99.0}, "sometimes_late"),
        ({"automatic_payment_share_12m": 0.51}, "automatic"),
        ({"automatic_payment_share_12m": 0.5}, "punctual"),
        ({"automatic_payment_share_12m": None}, "punctual"),
        ({"on_time_share_12m_pct": None, "unpaid_balance_ratio": None}, "unknown"),
    ],
)
def test_payment_behaviour_is_the_first_rule_that_holds(one, facts: dict, behaviour: str) -> None:
    assert payment_behaviours(one(**facts), CONFIG)[0] == behaviour


@pytest.mark.parametrize(
    ("automatic", "digital", "counter", "contacts", "channel"),
    [
        (0.0, 0.6, 0.4, 0.0, "digital"),
        (1.0, 0.0, 0.0, 0.8, "digital"),
        (1.0, 0.0, 0.0, None, "automatic"),
        (0.1, 0.3, 0.6, 1.0, "counter"),
        (0.4, 0.3, 0.3, 1.0, "mixed"),
        (None, None, None, 0.9, "digital"),
        (None, None, None, 0.1, "mixed"),
        (None, None, None, None, "unknown"),
    ],
)
def test_the_channel_is_that_of_most_payments(one, automatic, digital, counter, contacts, channel: str) -> None:
    row = one(
        automatic_payment_share_12m=automatic,
        digital_payment_share_12m=digital,
        counter_payment_share_12m=counter,
        digital_contact_share_12m=contacts,
    )

    assert channel_preferences(row)[0] == channel


def test_every_combination_of_value_loyalty_and_risk_has_a_tier() -> None:
    found = {
        (value, loyalty, rating): customer_tier(value, loyalty, rating)
        for value, loyalty, rating in product(
            ("high", "medium", "low", "unknown"), ("loyal", "steady", "loose", "unknown"), RATINGS
        )
    }

    assert set(found.values()) == set(CUSTOMER_TIERS)
    assert found["high", "loyal", "AA"] == "key"
    assert found["high", "loose", "AA"] == "retain"
    assert found["high", "loyal", "D"] == "secure"
    assert found["medium", "steady", None] == "develop"
    assert found["low", "loyal", "A"] == "develop"
    assert found["low", "loyal", None] == "maintain"
    assert found["low", "loose", "AAA"] == "basic"
    assert {tier for (value, _, _), tier in found.items() if value == "unknown"} == {"unknown"}


def test_the_tier_in_sql_is_the_tier_in_python() -> None:
    macros = Path(__file__).resolve().parents[4] / "dbt_project" / "macros" / "tiers.sql"
    template = jinja2.Environment().from_string(macros.read_text(encoding="utf-8"))
    expression = template.module.customer_tier("value_tier", "loyalty_tier", "credit_rating")  # type: ignore[attr-defined]  # a macro
    rows = pd.DataFrame(
        product(("high", "medium", "low", "unknown"), ("loyal", "steady", "loose", "unknown"), RATINGS),
        columns=["value_tier", "loyalty_tier", "credit_rating"],
    )

    with duckdb.connect() as connection:
        found = connection.from_df(rows).select(f"*, {expression} as tier").df()

    expected = [customer_tier(*row) for row in rows.itertuples(index=False)]
    assert found["tier"].tolist() == expected
