import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.classification import (
    average_precision,
    calibration_slope,
    expected_calibration_error,
    ks_statistic,
    roc_auc,
)

SAMPLES = st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 3)), min_size=4, max_size=60).filter(
    lambda rows: len({label for _, label, weight in rows if weight}) == 2
)


@given(SAMPLES)
def test_weighted_figures_equal_those_of_scikit_learn_with_ties(sample: list[tuple[int, bool, int]]):
    scores, labels, weights = (np.array(column, dtype=float) for column in zip(*sample, strict=True))
    assert roc_auc(scores, labels)(weights) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert average_precision(scores, labels)(weights) == pytest.approx(
        average_precision_score(labels, scores, sample_weight=weights)
    )


def test_one_outcome_only_gives_no_figure_instead_of_a_made_up_one():
    scores, ones = np.arange(5.0), np.ones(5)
    for figure in (roc_auc, ks_statistic):
        assert np.isnan(figure(scores, np.zeros(5))(ones))
    assert np.isnan(average_precision(scores, np.zeros(5))(ones))
    assert np.isnan(calibration_slope(np.full(5, 0.2), np.zeros(5))(ones))


def test_ks_is_the_largest_distance_of_both_distributions():
    scores = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    labels = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    assert ks_statistic(scores, labels)(np.ones(5)) == 1
    assert ks_statistic(np.zeros(5), labels)(np.ones(5)) == 0


def test_calibration_figures_see_what_is_wrong():
    generator = np.random.default_rng(0)
    log_odds = generator.normal(-1, 1.5, 20_000)
    p = 1 / (1 + np.exp(-log_odds))
    labels = (generator.random(len(p)) < p).astype(float)
    ones = np.ones(len(p))
    overconfident = 1 / (1 + np.exp(-2 * log_odds))
    assert calibration_slope(p, labels)(ones) == pytest.approx(1, abs=0.05)
    assert calibration_slope(overconfident, labels)(ones) == pytest.approx(0.5, abs=0.03)
    assert expected_calibration_error(p, labels)(ones) < 0.015
    assert expected_calibration_error(overconfident, labels)(ones) > 0.05
    fitted = LogisticRegression(C=np.inf).fit(log_odds[:, None], labels).coef_[0, 0]
    assert calibration_slope(p, labels)(ones) == pytest.approx(fitted, abs=1e-3)
