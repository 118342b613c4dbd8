"""Which columns drive the predictions: the figures against scipy and a plain sum, and what a changed model shows."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal

from monitoring.datasets import ReferenceRows, load_current
from monitoring.importance import _explained_share, importance_shift
from monitoring.policy import load_policy
from tests.unit.monitoring.factories import MONTH, RELEASE, prediction_frame, reference_frame

REFERENCE = reference_frame("segmentation", rows=100)
POLICY = load_policy("credit_risk", MONTH)


def shift_of(make_platform, frame: pd.DataFrame, use_case: str = "credit_risk", reference: pd.DataFrame | None = None):
    platform = make_platform(use_case, rows=0)
    platform.write_batch(frame)
    policy = load_policy(use_case, MONTH)
    current = load_current(
        use_case,
        MONTH,
        predictions_dir=platform.predictions_dir,
        log_dir=platform.log_dir,
        release=RELEASE,
        sample=policy.sample,
    )
    then = ReferenceRows(frame=reference_frame(use_case) if reference is None else reference, columns_absent=())
    return importance_shift(current, then, policy, platform.bundle_dir)


def test_the_share_of_an_amount_is_the_effect_size_of_kruskal_and_wallis() -> None:
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 5, 400)
    amount = pd.Series(rng.lognormal(size=400) + bins)
    h_statistic = kruskal(*(amount[bins == number] for number in range(5))).statistic
    expected = (h_statistic - 5 + 1) / (400 - 5)
    assert _explained_share(bins, amount.rank().to_numpy(), np.ones(400)) == pytest.approx(expected, rel=1e-9)


def test_the_share_of_a_category_is_goodman_and_kruskals_tau_less_chance() -> None:
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 4, 500)
    codes = np.where(rng.random(500) < 0.7, bins % 3, rng.integers(0, 3, 500))
    table = np.array([[np.sum((bins == row) & (codes == column)) for column in range(3)] for row in range(4)]) / 500
    gini = 1 - (table.sum(axis=0) ** 2).sum()
    gini_within = 1 - (table**2 / table.sum(axis=1, keepdims=True)).sum()
    tau = (gini - gini_within) / gini
    expected = 1 - (1 - tau) * 499 / (500 - 4)
    assert _explained_share(bins, codes, np.ones(500)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("prediction", [np.arange(300.0), np.arange(300) % 7])
def test_a_column_without_relation_explains_nothing(prediction) -> None:
    rng = np.random.default_rng(0)
    shares = [_explained_share(rng.integers(0, 10, 300), rng.permutation(prediction), np.ones(300)) for _ in range(500)]
    assert np.count_nonzero(shares) <= 5


def test_the_column_that_decides_leads_and_a_quiet_month_stays_below_chance(make_platform) -> None:
    shift = shift_of(make_platform, prediction_frame("credit_risk", MONTH, 800, seed=1))
    assert shift is not None
    assert (shift.method, shift.columns[0].column, shift.columns[0].rank_reference) == (
        "association",
        "late_bills_3m_count",
        1,
    )
    assert shift.columns[0].share_current > 0.8
    assert (shift.moved_share < POLICY.importance.watch, shift.chance_level) == (True, None)
    assert sum(column.share_current for column in shift.columns) == pytest.approx(1)


def test_a_model_that_follows_another_column_is_seen(make_platform) -> None:
    frame = prediction_frame("credit_risk", MONTH, 800, seed=1)
    frame["default_probability"] = 0.9 - 0.008 * frame["on_time_share_12m_pct"]
    shift = shift_of(make_platform, frame)
    assert shift.columns[0].column == "on_time_share_12m_pct"
    assert shift.moved_share > 0.8 > 0.3 > shift.chance_level
    assert shift.rank_correlation < 0.9


@pytest.mark.parametrize("value", [None, 0.2])
def test_predictions_without_spread_have_no_importance(make_platform, value) -> None:
    frame = prediction_frame("credit_risk", MONTH, 400, seed=1).assign(default_probability=value)
    assert shift_of(make_platform, frame) is None


def test_predictions_that_follow_no_column_have_no_importance(make_platform) -> None:
    assert shift_of(make_platform, prediction_frame("tariff_matching", MONTH, 400, seed=1), "tariff_matching") is None


def by_night(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(segment_id=np.where(frame["night_share"] > 0.3, "R1", "R2"))


def test_segments_are_categories(make_platform) -> None:
    now, then = (by_night(frame) for frame in (prediction_frame("segmentation", MONTH, 400, seed=1), REFERENCE))
    shift = shift_of(make_platform, now, "segmentation", then)
    assert shift.columns[0].column == "night_share"
    assert shift.columns[0].share_current > 0.9


def test_customers_without_a_segment_say_nothing_about_what_drives_the_segments(make_platform) -> None:
    now, then = (by_night(frame) for frame in (prediction_frame("segmentation", MONTH, 400, seed=1), REFERENCE))
    too_new = then["tenure_months"].rank(pct=True) < 0.6
    then = then.assign(segment_id=then["segment_id"].mask(too_new, "unknown"))
    shift = shift_of(make_platform, now, "segmentation", then)
    assert shift.rows_reference == (~too_new).sum()
    assert shift.moved_share < POLICY.importance.watch


def test_a_month_in_which_nothing_drives_the_predictions_is_not_compared(make_platform) -> None:
    now = prediction_frame("segmentation", MONTH, 400, seed=1)
    assert shift_of(make_platform, now, "segmentation", by_night(REFERENCE)) is None
