from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult, read_bundle
from ml.classification import roc_auc
from ml.columns import names
from ml.credit_risk import training
from ml.credit_risk.config import CreditRiskConfig
from ml.credit_risk.gate_policy import GATE_POLICY
from ml.credit_risk.model import CreditRiskModel
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from ml.credit_risk.training import train
from ml.errors import InsufficientDataError
from ml.gate import decide

Marts = tuple[pd.DataFrame, pd.DataFrame]
DECIDED_ON = date(2026, 11, 22)


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take much of a training, and what is tried does not depend on them."""
    for name in ("ranking_plot", "reliability_plot", "rating_plot", "effects_plot"):
        monkeypatch.setattr(training, name, lambda *_: b"")


def test_the_same_rows_and_seed_give_the_same_bundle_whatever_their_order(
    trained: TrainingResult, marts: Marts, quick_config: CreditRiskConfig, tmp_path: Path
):
    features, outcomes = (frame.sample(frac=1, random_state=3) for frame in marts)
    again = train(features, outcomes, config=quick_config, data_fingerprint=trained.data_fingerprint)
    first, second = tmp_path / "first", tmp_path / "second"
    assert trained.write(first) == again.write(second)
    for path in sorted(path for path in first.rglob("*") if path.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_a_bundle_gives_the_model_that_was_judged(trained: TrainingResult, tmp_path: Path):
    trained.write(tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle")
    model = CreditRiskModel.from_files(bundle.estimator_files())
    reference, holdout = bundle.reference(), bundle.holdout()
    assert holdout is not None
    pd.testing.assert_frame_equal(
        model.predict(reference)[names(PREDICTIONS)], reference[names(PREDICTIONS)], check_exact=True
    )
    assert len(holdout) == bundle.manifest.rows["holdout"]


def test_the_released_model_answers_much_like_the_ones_that_were_judged(trained: TrainingResult):
    assert isinstance(trained.model, CreditRiskModel)
    assert trained.holdout is not None
    released = trained.model.predict(trained.holdout)["default_probability"]
    assert released.mean() == pytest.approx(trained.evaluation.metric("mean_probability").value, rel=0.05)
    # The released model knows the customers' earlier months: what that adds must be small.
    labels = trained.holdout["is_default"].to_numpy(dtype=float)
    auc = roc_auc(released.to_numpy(), labels)(np.ones(len(labels)))
    assert auc == pytest.approx(trained.evaluation.key_metric.value, abs=0.03)


def test_a_real_signal_passes_the_gate(trained: TrainingResult):
    decision = decide(trained.evaluation, policy=GATE_POLICY, decided_on=DECIDED_ON, has_champion=False)
    assert decision.approved, decision.reason


@pytest.mark.usefixtures("without_plots")
def test_noise_is_refused_by_the_gate(marts: Marts, quick_config: CreditRiskConfig):
    features, outcomes = marts
    noise = outcomes.assign(is_default=np.random.default_rng(0).random(len(outcomes)) < 0.1)
    result = train(features, noise, config=quick_config)
    decision = decide(result.evaluation, policy=GATE_POLICY, decided_on=DECIDED_ON, has_champion=False)
    assert not decision.approved
    assert 0.4 < (result.evaluation.key_metric.value or 0) < 0.6


def test_the_evaluation_holds_intervals_baselines_and_slices(trained: TrainingResult):
    evaluation = trained.evaluation
    assert {comparison.name for comparison in evaluation.baselines} == {
        "boosted_trees",
        "last_status",
        "late_bill_count",
        "logistic_dimensions",
    }
    for name in ("roc_auc", "average_precision", "ks_statistic", "brier_score", "calibration_slope"):
        metric = evaluation.metric(name)
        assert metric is not None
        assert metric.lower <= metric.value <= metric.upper
    assert {metric.slice_value for metric in evaluation.slices("roc_auc", "district")} == {"east", "west", "north"}
    assert len(evaluation.slices("roc_auc", "as_of_month")) == 4
    assert "by time and by customer" in evaluation.holdout_description


def test_the_reference_spans_the_data_window_and_knows_outcomes_where_there_are_any(trained: TrainingResult):
    reference = trained.reference
    assert set(names(FEATURES)) <= set(reference.columns)
    assert reference["as_of_month"].min() == trained.data_window.first_month
    assert reference["as_of_month"].max() == trained.data_window.last_month
    assert reference["is_default"].notna().any()


def test_one_labelled_month_is_judged_by_customer_and_says_so(marts: Marts, quick_config: CreditRiskConfig):
    month = date(2025, 5, 1)
    features, outcomes = (frame[frame["as_of_month"] == month] for frame in marts)
    config = quick_config.model_copy(update={"minimum_part_class_rows": 5, "minimum_class_rows": 40})
    result = train(features, outcomes, config=config)
    assert "Held out by customer only" in result.evaluation.holdout_description
    assert any("not on a later time" in note for note in result.evaluation.notes)


def test_missing_values_and_constant_columns_train(marts: Marts, quick_config: CreditRiskConfig):
    features, outcomes = marts
    load = [column.name for column in FEATURES if column.dimension == "load_stability"]
    bare = features.assign(**dict.fromkeys(load, np.nan), customer_class=None, district=None, tenure_months=7.0)
    result = train(bare, outcomes, config=quick_config)
    assert (result.evaluation.key_metric.value or 0) > 0.65
    assert [metric.slice_value for metric in result.evaluation.slices("roc_auc", "district")] == ["unknown"]


@pytest.mark.parametrize("customer_class", ["space station", None])
def test_a_customer_of_unknown_class_is_scored(trained: TrainingResult, customer_class: str | None):
    assert isinstance(trained.model, CreditRiskModel)
    rows = trained.holdout.head(5).assign(customer_class=customer_class)
    assert trained.model.predict(rows)["default_probability"].between(0, 1).all()


@pytest.mark.parametrize("outcome", [True, False])
def test_one_outcome_only_is_refused_in_words(marts: Marts, quick_config: CreditRiskConfig, outcome: bool):
    features, outcomes = marts
    with pytest.raises(InsufficientDataError, match="a model learns from both outcomes"):
        train(features, outcomes.assign(is_default=outcome), config=quick_config)


@pytest.mark.usefixtures("without_plots")
def test_the_seed_moves_trees_a_little_and_the_scorecard_not_at_all(
    trained: TrainingResult, trained_trees: TrainingResult, marts: Marts, quick_config: CreditRiskConfig
):
    for first, candidate in ((trained, "scorecard"), (trained_trees, "boosted_trees")):
        few = {"candidates": (candidate,), "bootstrap_replicates": 20}
        other = train(*marts, config=quick_config.model_copy(update=few), seed=8)
        assert (other.model.to_files() == first.model.to_files()) == (candidate == "scorecard")
        assert other.evaluation.key_metric.value == pytest.approx(first.evaluation.key_metric.value, abs=0.02)


def test_every_bundle_holds_a_readable_scorecard_and_the_evidence_for_the_choice(
    trained: TrainingResult, trained_trees: TrainingResult
):
    for result in (trained, trained_trees):
        assert isinstance(result.model, CreditRiskModel)
        tables = {table.name: table for table in result.evaluation.tables}
        assert tables["scorecard"] == result.model.scorecard.table()
        taken = [row[0] for row in tables["candidates"].rows if row[-1] == "yes"]
        assert taken == [result.model.settings.answers_by.replace("_", " ")]
        assert tables["candidates"].note in result.evaluation.notes
