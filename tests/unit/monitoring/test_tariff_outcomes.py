from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import SchemaMismatchError
from monitoring.policy import TariffOutcomeRule, load_policy
from monitoring.tariff_outcomes import promised_savings, tariff_cohorts

POLICY = load_policy("tariff_matching", date(2026, 11, 22)).tariff_outcomes
assert POLICY is not None
RULE: TariffOutcomeRule = POLICY
MONTH = date(2026, 1, 1)


def advised(months_since: int = 12, **changes: object) -> pd.DataFrame:
    """One customer who was promised 120 a year (100 to 150) after a past year that would have saved 96."""
    row = {
        "customer_key": "c",
        "as_of_month": MONTH,
        "release": "0001",
        "months_since": months_since,
        "is_followed": True,
        "current_annual_amount": 1_000.0,
        "recommended_annual_amount": 904.0,
        "expected_saving_amount": 120.0,
        "saving_lower_amount": 100.0,
        "saving_upper_amount": 150.0,
        "stayed_amount": 1_010.0,
        "advised_amount": 900.0,
        "stayed_before_amount": np.nan,
        "advised_before_amount": np.nan,
    }
    return pd.DataFrame([row | changes])


def test_after_a_year_the_saving_is_held_against_the_whole_promise() -> None:
    (cohort,) = tariff_cohorts(pd.concat([advised(), advised(advised_amount=915.0)]), RULE)
    assert cohort.is_complete
    assert (cohort.expected_saving_amount, cohort.realised_saving_amount) == (240, 110 + 95)
    assert (cohort.customers_judged, cohort.customers_inside, cohort.customers_saving) == (2, 1, 2)
    assert cohort.customers_followed == 2


def test_before_that_against_what_the_same_months_saved_and_their_share_of_the_expected_change() -> None:
    rows = advised(3, stayed_before_amount=300.0, advised_before_amount=260.0)
    promised, lower, upper = promised_savings(rows, 3)
    assert promised.tolist() == [40 + (120 - 96) * 3 / 12]
    assert lower.tolist() == [46 - 20 * np.sqrt(3 / 12)]
    assert upper.tolist() == [46 + 30 * np.sqrt(3 / 12)]


def test_a_customer_without_the_year_before_is_promised_an_even_share() -> None:
    promised, _, _ = promised_savings(advised(3), 3)
    assert promised.tolist() == [30]


def test_customers_whose_bills_are_not_known_are_advised_and_not_judged() -> None:
    (cohort,) = tariff_cohorts(pd.concat([advised(), advised(stayed_amount=np.nan)]), RULE)
    assert (cohort.customers_advised, cohort.customers_judged) == (2, 1)


def test_one_large_customer_makes_a_shortfall_that_chance_gives_and_many_small_ones_do_not() -> None:
    """A hundred customers come to half of the promise: all alike, or nearly all to it and one giant to nothing."""
    alike = pd.concat([advised(advised_amount=950.0)] * 100)
    giant = advised(stayed_amount=10_000.0, advised_amount=10_000.0, expected_saving_amount=12_000.0)
    few = pd.concat([*[advised(advised_amount=890.0)] * 99, giant])
    (of_many,), (of_one,) = (tariff_cohorts(rows, RULE) for rows in (alike, few))
    assert of_many.realised_share_pct == pytest.approx(50, abs=1)
    assert of_one.realised_share_pct == pytest.approx(50, abs=1)
    assert of_many.saving_chance_pct == pytest.approx(0, abs=1e-6)
    assert of_one.saving_chance_pct is not None
    assert of_one.saving_chance_pct > 50


def test_cohorts_are_told_apart_by_month_and_release_in_the_order_of_months() -> None:
    later = advised(3, as_of_month=date(2026, 10, 1))
    cohorts = tariff_cohorts(pd.concat([later, advised(), advised(release="0002")]), RULE)
    assert [(cohort.month, cohort.release) for cohort in cohorts] == [
        (MONTH, "0001"),
        (MONTH, "0002"),
        (date(2026, 10, 1), "0001"),
    ]


def test_no_advice_makes_no_cohort_and_another_form_is_refused() -> None:
    assert tariff_cohorts(advised().iloc[:0], RULE) == ()
    with pytest.raises(SchemaMismatchError, match="bills since the advice lack is_followed"):
        tariff_cohorts(advised().drop(columns="is_followed"), RULE)
