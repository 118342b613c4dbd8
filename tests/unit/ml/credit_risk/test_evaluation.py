import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult
from ml.credit_risk.evaluation import (
    Choice,
    Development,
    choose,
    compare_with_champion,
    rating_stability_index,
    slice_metrics,
)
from ml.credit_risk.model import CreditRiskModel


def test_psi_is_small_for_the_same_and_large_for_another_population():
    generator = np.random.default_rng(0)
    base = generator.beta(1, 15, 5000)
    assert rating_stability_index(base, generator.beta(1, 15, 5000)) < 0.02
    assert rating_stability_index(base, np.minimum(3 * base, 1)) > 0.25
    assert rating_stability_index(np.full(100, 0.0201), np.full(50, 0.0202)) < 0.05
    assert np.isnan(rating_stability_index(np.empty(0), base))


def holdout(rows: int = 800) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "customer_key": [str(position // 2) for position in range(rows)],
            "as_of_month": "2026-01-01",
            "district": generator.choice(["east", "west"], rows),
            "customer_class": np.where(np.arange(rows) % 100 == 0, None, "residential"),
            "is_default": generator.random(rows) < 0.2,
        }
    )


def test_a_group_that_is_treated_unfairly_shows_it_and_a_missing_group_is_called_unknown():
    frame = holdout()
    probabilities = np.where(frame["district"] == "west", 0.5, 0.1)
    metrics = slice_metrics(probabilities, frame, replicates=50, seed=1)
    figures = {(m.name, m.slice_column, m.slice_value): m for m in metrics}
    west, east = (figures["calibration_gap", "district", district] for district in ("west", "east"))
    assert west.value == pytest.approx(0.3, abs=0.06)
    assert west.lower is not None
    assert west.lower > 0.2
    assert east.value == pytest.approx(0.1, abs=0.06)
    assert figures["false_alarm_gap", "district", "west"].value > 0.3
    assert figures["roc_auc", "customer_class", "unknown"].rows == 8


def test_every_slice_has_the_figures_of_the_whole_and_its_own_stability():
    frame = holdout().assign(tenure_months=np.arange(800) % 50)
    probabilities = np.random.default_rng(4).uniform(0.01, 0.4, len(frame))
    shifted = np.where(frame["district"] == "west", np.minimum(3 * probabilities, 1), probabilities)
    development = Development(frame, probabilities, shifted)
    metrics = slice_metrics(probabilities, frame, replicates=20, seed=1, development=development)
    figures = {(m.name, m.slice_column, m.slice_value): m for m in metrics}
    for name in ("average_precision", "ks_statistic", "brier_score", "calibration_slope", "top_tenth_lift"):
        for column, value in (
            ("district", "east"),
            ("tenure_band", "under 1 year"),
            ("as_of_month", "2026-01-01"),
            ("customer_class", "residential"),
        ):
            assert figures[name, column, value].lower is not None, (name, column)
    assert figures["gini", "district", "east"].value == 2 * figures["roc_auc", "district", "east"].value - 1
    assert figures["rating_psi", "district", "west"].value > 0.25
    assert figures["rating_psi", "district", "east"].value < 0.01
    # A month has no month of the same name in the training: it is compared with all of them.
    assert figures["rating_psi", "as_of_month", "2026-01-01"].value > 0.05


def test_a_model_against_itself_differs_by_nothing(trained: TrainingResult):
    assert isinstance(trained.model, CreditRiskModel)
    assert trained.holdout is not None
    comparison = compare_with_champion(
        trained.model, trained.model, trained.holdout, champion_version="202601-x", replicates=40
    )
    difference = comparison.difference
    assert (difference.value, difference.lower, difference.upper) == (0, 0, 0)
    assert comparison.challenger == comparison.champion
    assert comparison.challenger.value == pytest.approx(trained.evaluation.key_metric.value, abs=0.03)
    assert comparison.rows == len(trained.holdout)


def test_the_trees_are_taken_only_when_they_predict_better_beyond_doubt():
    rows = holdout(2000)
    generator = np.random.default_rng(3)
    truth = generator.beta(1, 9, len(rows))
    labels = generator.random(len(rows)) < truth
    rows["is_default"] = labels
    flat = np.full(len(rows), truth.mean())

    def choice(card: np.ndarray, trees: np.ndarray) -> Choice:
        return choose({"scorecard": card, "boosted_trees": trees}, rows, replicates=60, seed=1)

    better = choice(flat, truth)
    assert better.taken == "boosted_trees"
    assert "beyond doubt" in better.sentence
    # Equal ones, a hair's breadth by chance, and better ranks with dishonest probabilities do not displace the card.
    assert choice(truth, truth).taken == "scorecard"
    assert choice(truth, np.clip(truth + generator.normal(0, 1e-4, len(rows)), 0.001, 1)).taken == "scorecard"
    assert choice(flat, truth**0.1).taken == "scorecard"
    only = choose({"boosted_trees": truth}, rows, replicates=60, seed=1)
    assert only.taken == "boosted_trees"
    assert "Only one candidate" in only.sentence
