from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from monitoring.estimates import (
    MonthEvidence,
    believe,
    estimate,
    evidence_at_release,
    evidence_of,
    realise,
    release_figures,
)
from monitoring.outcomes import FIGURES, Figure, PerformanceEstimate, independent_windows
from monitoring.policy import EstimateRule, load_policy

POLICY = load_policy("credit_risk", date(2026, 11, 22)).estimates
assert POLICY is not None
RULE: EstimateRule = POLICY


def probabilities(rows: int = 2_000, seed: int = 0, centre: float = -3.2) -> np.ndarray:
    return expit(np.random.default_rng(seed).normal(centre, 1.2, rows))


def happened(probability: np.ndarray, seed: int, shift: float = 0.0, slope: float = 1.0) -> np.ndarray:
    log_odds = np.log(probability / (1 - probability))
    return np.random.default_rng(seed).random(len(probability)) < expit(shift + slope * log_odds)


def told(probability: np.ndarray, *evidence: MonthEvidence, windows: float = 0.0) -> PerformanceEstimate:
    found = estimate(probability, evidence, windows, RULE, seed=1)
    assert found is not None
    return found


def test_calibrated_probabilities_hold_what_their_outcomes_give() -> None:
    probability = probabilities(rows=40_000)
    came = happened(probability, seed=2)
    found = told(probability)
    assert found.default_rate.value == pytest.approx(came.mean(), rel=0.1)
    assert found.auc is not None
    assert found.auc.value == pytest.approx(roc_auc_score(came, probability), abs=0.015)
    assert found.brier.value == pytest.approx(np.mean((probability - came) ** 2), rel=0.1)
    assert found.default_rate.lower < found.default_rate.value < found.default_rate.upper


def test_too_few_customers_or_defaults_are_not_estimated() -> None:
    assert estimate(probabilities(rows=RULE.minimum_rows - 1, centre=-1), (), 0, RULE, seed=1) is None
    assert estimate(np.full(1_000, (RULE.minimum_events - 1) / 1_000), (), 0, RULE, seed=1) is None


def test_a_record_of_too_many_defaults_raises_the_estimate_and_one_of_many_months_narrows_it() -> None:
    probability = probabilities()
    above = MonthEvidence(shift=0.6, log_slope=0.0, shift_variance=0.01, log_slope_variance=0.01)
    without, with_record = told(probability), told(probability, *[above] * 12, windows=3.0)
    assert with_record.default_rate.value > 1.3 * without.default_rate.value
    long_record = told(probability, *[above] * 120, windows=20.0)
    assert _width(long_record) < 0.7 * _width(with_record)
    assert with_record.independent_windows == 3


def _width(found: PerformanceEstimate) -> float:
    return (found.default_rate.upper - found.default_rate.lower) / found.default_rate.value


def test_intervals_hold_about_as_often_as_they_state_when_months_differ_as_assumed() -> None:
    generator = np.random.default_rng(5)
    inside: dict[Figure, list[bool]] = {figure: [] for figure in FIGURES}
    for seed in range(40):
        probability = probabilities(rows=1_000, seed=seed, centre=-2.5)
        shift, slope = generator.normal(0, RULE.shift_sd), float(np.exp(generator.normal(0, RULE.slope_sd)))
        log_odds = np.log(probability / (1 - probability))
        # The shift moves the whole rate, also where the slope changes.
        constant = shift + (1 - slope) * float(np.average(log_odds, weights=probability))
        came = realise(probability, happened(probability, seed=1_000 + seed, shift=constant, slope=slope))
        found = told(probability)
        for figure in FIGURES:
            inside[figure].append(getattr(found, figure).holds(getattr(came, figure)))
    assert all(np.mean(held) >= 0.85 for held in inside.values()), inside


def test_recalibration_of_a_month_is_found_again() -> None:
    probability = probabilities(rows=60_000)
    came = realise(probability, happened(probability, seed=3, shift=0.4))
    assert came.shift == pytest.approx(0.4, abs=0.06)
    spread = realise(probability, happened(probability, seed=3, slope=0.7))
    assert spread.slope == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize(("rate", "events"), [(0.0, 0), (1.0, 500)])
def test_a_month_in_which_nobody_or_everybody_defaulted_has_no_ranking_and_a_finite_shift(rate, events) -> None:
    came = realise(probabilities(rows=500), np.full(500, bool(rate)))
    assert (came.events, came.auc, came.slope) == (events, None, None)
    assert np.isfinite(came.shift)
    assert evidence_of(came).log_slope is None


@settings(max_examples=30, deadline=None)
@given(
    shifts=st.lists(st.floats(-2, 2), max_size=8),
    windows=st.floats(0, 8),
)
def test_belief_lies_between_no_bias_and_the_record_and_is_never_certain(shifts: list[float], windows: float) -> None:
    believed = believe([(shift, 0.01) for shift in shifts], windows, 0.2, 4)
    mean = float(np.mean(shifts)) if shifts else 0.0
    assert min(0.0, mean) - 1e-9 <= believed.mean <= max(0.0, mean) + 1e-9
    assert believed.scale > 0
    assert believed.freedom >= 4


def test_overlapping_windows_are_not_counted_as_independent() -> None:
    months = [date(2026, month, 1) for month in range(1, 8)]
    assert independent_windows(months, 6) == 2
    assert independent_windows(months[:1], 6) == 1
    assert independent_windows([], 6) == 0


def test_the_hold_out_of_the_release_is_the_first_evidence(tmp_path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(
        '{"metrics": [{"name": "default_rate", "value": 0.05, "rows": 7000, "slice_column": "district"},'
        '{"name": "default_rate", "value": 0.05, "rows": 7000, "slice_column": null},'
        '{"name": "mean_probability", "value": 0.06, "rows": 7000, "slice_column": null},'
        '{"name": "calibration_slope", "value": null, "rows": 7000, "slice_column": null}]}'
    )
    found = evidence_at_release(release_figures(path))
    assert found is not None
    assert found.shift == pytest.approx(np.log(0.05 / 0.95) - np.log(0.06 / 0.94))
    assert found.log_slope is None
    assert release_figures(tmp_path / "none.json") == {}
    assert evidence_at_release({}) is None
