import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.drift import (
    SHARE_FLOOR,
    UNSEEN,
    chance_level,
    common_shift_level,
    effect_on_prediction,
    psi,
    psi_of_shares,
    reference_bins,
    unseen_chance_level,
    usable_values,
)

RULE = {"bins": 10, "rare_share_pct": 0.5}
numbers = st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=60)


@given(numbers, numbers, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_score_is_never_negative_and_ignores_the_order_of_rows(reference, current, random) -> None:
    shuffled = list(current)
    random.shuffle(shuffled)
    score = psi(pd.Series(reference), pd.Series(current), "numeric", **RULE)
    assert score >= 0
    assert psi(pd.Series(reference), pd.Series(shuffled), "numeric", **RULE) == score


@given(numbers)
@settings(max_examples=60, deadline=None)
def test_a_column_compared_with_itself_scores_zero(values) -> None:
    assert psi(pd.Series(values), pd.Series(values), "numeric", **RULE) == 0


@given(numbers)
@settings(max_examples=60, deadline=None)
def test_every_finite_value_falls_into_exactly_one_bin_with_a_label(values) -> None:
    column = pd.Series(values)
    bins = reference_bins(column, "numeric", **RULE)
    assert bins.shares(column).sum() == pytest.approx(1)
    assert len(bins.labels) == len(bins.shares(column)) == bins.count


def test_score_equals_the_formula_worked_by_hand() -> None:
    reference, current = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    by_hand = (0.4 - 0.5) * np.log(0.4 / 0.5) + (0.3 - 0.2) * np.log(0.3 / 0.2)
    assert psi_of_shares(reference, current) == pytest.approx(by_hand)


def test_an_empty_bin_counts_with_the_floor() -> None:
    score = psi_of_shares(np.array([1.0, 0.0]), np.array([0.9, 0.1]))
    assert score == pytest.approx((0.9 - 1.0) * np.log(0.9) + (0.1 - SHARE_FLOOR) * np.log(0.1 / SHARE_FLOOR))


def test_bins_do_not_depend_on_the_month() -> None:
    reference = pd.Series(np.random.default_rng(0).lognormal(size=5_000))
    current = pd.Series(np.random.default_rng(1).lognormal(size=5_000))
    with_extreme = pd.concat([current, pd.Series([1e9])])
    plain, extreme = (psi(reference, values, "numeric", **RULE) for values in (current, with_extreme))
    assert extreme == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("share_of_zeros", [0.3, 0.9])
def test_a_loss_of_zeros_is_seen_as_well_as_a_gain(share_of_zeros) -> None:
    rng = np.random.default_rng(0)
    reference = pd.Series(np.where(rng.random(5_000) < 0.6, 0.0, rng.poisson(3, 5_000)))
    current = pd.Series(np.where(rng.random(5_000) < share_of_zeros, 0.0, rng.poisson(3, 5_000)))
    assert psi(reference, current, "numeric", **RULE) > 0.25


@pytest.mark.parametrize("value", [-1.0, 8.0])
def test_a_constant_reference_sees_values_on_either_side(value) -> None:
    reference = pd.Series([7.0] * 500)
    assert psi(reference, pd.Series([value] * 500), "numeric", **RULE) > 1


def test_labels_of_a_count_column_name_the_count() -> None:
    counts = pd.Series([0.0] * 50 + [1.0] * 30 + [2.0] * 20)
    assert reference_bins(counts, "numeric", **RULE).labels[1] == "0"


def test_labels_of_close_edges_tell_them_apart() -> None:
    coverage = pd.Series(np.linspace(99.90, 99.99, 1000))

    labels = reference_bins(coverage, "numeric", **RULE).labels

    assert len(set(labels)) == len(labels)
    assert labels[0].startswith("≤ 99.9")


def test_missing_and_infinite_values_are_not_part_of_the_score() -> None:
    column = pd.Series([1.0, np.nan, np.inf, -np.inf, 2.0])
    assert usable_values(column, "numeric").tolist() == [1.0, 2.0]
    assert usable_values(pd.Series(["a", None]), "categorical").tolist() == ["a"]


def test_rare_categories_share_a_bin_and_new_ones_have_their_own() -> None:
    reference = pd.Series(["a"] * 996 + ["b", "c", "d", "e"])
    bins = reference_bins(reference, "categorical", **RULE)
    assert bins.categories == ("a",)
    shares = dict(zip(bins.labels, bins.shares(pd.Series(["a", "b", "x", "y"])), strict=True))
    assert shares == {"a": 0.25, "(rare)": 0.25, UNSEEN: 0.5}


def test_chance_level_is_exceeded_about_once_in_a_thousand_comparisons() -> None:
    rng = np.random.default_rng(4)
    level = chance_level(10, 4_000, 1_000)
    scores = [
        psi(pd.Series(rng.normal(size=4_000)), pd.Series(rng.normal(size=1_000)), "numeric", **RULE) for _ in range(600)
    ]
    assert np.mean(np.array(scores) > level) <= 0.01
    assert max(scores) > level / 2


def test_effect_is_the_shift_of_the_mean_that_the_shares_imply() -> None:
    bin_of_row = np.array([0] * 80 + [1] * 20)
    prediction = pd.Series([0.1] * 80 + [0.5] * 20)
    effect = effect_on_prediction(bin_of_row, np.array([-0.3, 0.3]), prediction, "numeric")
    assert effect.shift == pytest.approx(0.3 * 0.4)
    assert effect.size == pytest.approx(0.12 / prediction.std(ddof=0))


def test_effect_on_a_category_is_the_share_of_rows_that_change_it() -> None:
    bin_of_row = np.array([0] * 50 + [1] * 50)
    prediction = pd.Series(["S1"] * 50 + ["S2"] * 50)
    effect = effect_on_prediction(bin_of_row, np.array([-0.2, 0.2]), prediction, "categorical")
    assert effect.size == pytest.approx(0.2)
    assert effect.shift is None


def test_a_column_that_does_not_matter_has_no_effect() -> None:
    rng = np.random.default_rng(0)
    effect = effect_on_prediction(
        rng.integers(0, 2, 10_000), np.array([-0.5, 0.5]), pd.Series(rng.normal(size=10_000)), "numeric"
    )
    assert effect.size < 0.05


def test_unseen_categories_are_expected_as_often_as_categories_occur_once() -> None:
    """Good's estimate: six of 300 values occur once, so a fiftieth of a second sample is unseen, give or take."""
    reference = pd.Series(["usual"] * 294 + list("abcdef"))
    assert unseen_chance_level(reference, 300) == pytest.approx(0.02 + 3.0902 * (0.02 * 2 / 300) ** 0.5)
    assert unseen_chance_level(pd.Series(["usual"] * 20_000), 20_000) < 0.001
    # Of 300 rows, chance leaves out a category of 2.3 % once in a thousand.
    assert 0.0227 < unseen_chance_level(pd.Series(["usual"] * 300), 10**9) < 0.0229
    assert unseen_chance_level(pd.Series([], dtype=object), 300) == 0


def test_chance_exceeds_its_level_of_unseen_categories_almost_never() -> None:
    rng = np.random.default_rng(0)
    exceeded = 0
    for _ in range(300):
        then, now = (pd.Series(rng.zipf(1.6, 400).clip(max=500).astype(str)) for _ in range(2))
        exceeded += float((~now.isin(then)).mean()) > unseen_chance_level(then, len(now))
    assert exceeded <= 3


def test_a_common_shift_of_a_yes_or_no_scores_as_worked_by_hand() -> None:
    """Odds of 1:4 times exp(3.0902 * 0.2) are 1.8553:4, a share of 31.68 %."""
    score = (0.3168 - 0.2) * np.log(0.3168 / 0.2) + (0.6832 - 0.8) * np.log(0.6832 / 0.8)
    assert common_shift_level(np.array([0.8, 0.2]), 0.2) == pytest.approx(score, rel=1e-3)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=10), st.floats(0.05, 0.5))
@settings(max_examples=40, deadline=None)
def test_a_common_shift_explains_the_less_the_fewer_bins_can_tell_of_it(weights, shift) -> None:
    shares = np.array(weights) / sum(weights)
    level = common_shift_level(shares, shift)
    assert 0 <= level < (3.0902 * shift) ** 2 / 2
    if len(shares) > 1:
        merged = np.array([shares[0] + shares[1], *shares[2:]])
        assert common_shift_level(merged, shift) <= level + 1e-9
