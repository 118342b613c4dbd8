from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.splits import add_months, customer_parts, hash_shares, month_start, purged_time_split

MONTHS = st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True).map(
    lambda offsets: [add_months(date(2024, 1, 1), offset) for offset in offsets]
)


def test_months_roll_over_the_year():
    assert add_months(date(2024, 11, 1), 3) == date(2025, 2, 1)
    assert add_months(date(2024, 1, 1), -1) == date(2023, 12, 1)
    assert month_start("2024-05-17") == date(2024, 5, 1)


def test_a_customer_stays_on_its_side_whatever_the_others_are():
    keys = [f"customer {i}" for i in range(500)]
    shares = {"train": 0.7, "holdout": 0.3}
    parts = dict(zip(keys, customer_parts(keys, shares), strict=True))
    fewer = keys[::-3]
    assert list(customer_parts(fewer, shares)) == [parts[key] for key in fewer]


def test_shares_are_kept_roughly_and_salts_are_independent():
    keys = [f"{i}" for i in range(20_000)]
    first = customer_parts(keys, {"train": 0.7, "holdout": 0.3}, salt="one")
    second = customer_parts(keys, {"train": 0.7, "holdout": 0.3}, salt="two")
    assert (first == "holdout").mean() == pytest.approx(0.3, abs=0.02)
    assert ((first == "holdout") & (second == "holdout")).mean() == pytest.approx(0.09, abs=0.01)


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="add up"):
        customer_parts(["a"], {"train": 0.7, "holdout": 0.2})


@given(st.lists(st.text(max_size=5), max_size=50))
def test_hash_shares_lie_between_zero_and_one_and_follow_the_key(keys: list[str]):
    shares = hash_shares(keys, "salt")
    assert ((shares >= 0) & (shares < 1)).all()
    by_key = dict(zip(keys, shares, strict=True))
    assert np.array_equal(hash_shares(keys[::-1], "salt"), np.array([by_key[key] for key in keys[::-1]]))


@given(MONTHS, st.integers(0, 8), st.integers(1, 5), st.integers(0, 4), st.integers(1, 6))
def test_no_outcome_window_reaches_into_a_later_part(
    months: list[date], outcome: int, holdout: int, calibration: int, least: int
):
    split = purged_time_split(
        months,
        outcome_months=outcome,
        holdout_months=holdout,
        calibration_months=calibration,
        minimum_train_months=least,
    )
    if split is None:
        return
    parts = [split.train_months, split.calibration_months, split.holdout_months, split.purged_months]
    assert sorted(month for part in parts for month in part) == sorted(months)
    assert len(split.train_months) >= least
    assert 1 <= len(split.holdout_months) <= holdout
    assert split.holdout_months[-1] == max(months)
    for earlier, later in (
        (split.train_months, split.calibration_months),
        (split.train_months, split.holdout_months),
        (split.calibration_months, split.holdout_months),
    ):
        if earlier and later:
            assert add_months(max(earlier), outcome) <= min(later)
            assert max(earlier) < min(later)


def test_a_long_history_has_calibration_months_of_its_own():
    months = [add_months(date(2024, 1, 1), offset) for offset in range(36)]
    split = purged_time_split(months, outcome_months=6, holdout_months=4, calibration_months=3, minimum_train_months=3)
    assert split is not None
    assert not split.calibration_shares_months
    assert [len(split.train_months), len(split.calibration_months), len(split.holdout_months)] == [19, 3, 4]
    assert len(split.purged_months) == 10


def test_a_short_history_shares_the_months_of_training_and_a_shorter_one_is_not_cut():
    months = [add_months(date(2024, 1, 1), offset) for offset in range(14)]
    cut = {"outcome_months": 6, "holdout_months": 4, "calibration_months": 3, "minimum_train_months": 3}
    split = purged_time_split(months, **cut)
    assert split is not None
    assert split.calibration_shares_months
    assert len(split.train_months) == 5
    assert purged_time_split(months[:6], **cut) is None
