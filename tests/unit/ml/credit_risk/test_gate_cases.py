"""What the gate refuses, each shown on the report of a good model in which one thing is wrong."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult
from ml.credit_risk.evaluation import (
    KEY_METRIC,
    baseline_comparisons,
    compare_with_champion,
    overall_metrics,
    slice_metrics,
)
from ml.credit_risk.gate_policy import GATE_POLICY
from ml.credit_risk.model import CreditRiskModel
from ml.credit_risk.training import train
from ml.errors import InsufficientDataError
from ml.evaluation import ChampionComparison, Evaluation
from ml.gate import GateDecision, decide

DRAWS = {"replicates": 60, "seed": 1}


@pytest.fixture(scope="module")
def holdout(trained: TrainingResult) -> pd.DataFrame:
    assert trained.holdout is not None
    return trained.holdout.reset_index(drop=True)


@pytest.fixture(scope="module")
def honest(holdout: pd.DataFrame) -> np.ndarray:
    """Return probabilities that are as good as the outcomes are random."""
    labels = holdout["is_default"].to_numpy(dtype=float)
    log_odds = np.random.default_rng(2).normal(-2.2 + 1.8 * labels, 1.0)
    bins = pd.qcut(log_odds, 20, labels=False)
    return pd.Series(labels).groupby(bins).transform("mean").clip(0.002, 0.98).to_numpy()


def report(trained: TrainingResult, holdout: pd.DataFrame, probabilities: np.ndarray) -> Evaluation:
    """Return the report of a model that gave these probabilities."""
    metrics = overall_metrics(
        probabilities, holdout, development=probabilities, current=probabilities, **DRAWS
    ) + slice_metrics(probabilities, holdout, **DRAWS)
    names = [requirement.name for requirement in GATE_POLICY.baselines]
    debt = holdout["unpaid_balance_ratio"].to_numpy(dtype=float)
    return trained.evaluation.model_copy(
        update={
            "metrics": tuple(metrics),
            "key_metric": next(metric for metric in metrics if metric.name == KEY_METRIC),
            "baselines": tuple(baseline_comparisons(probabilities, dict.fromkeys(names, debt), holdout, **DRAWS)),
        }
    )


def judge(evaluation: Evaluation | None, champion: ChampionComparison | None = None) -> GateDecision:
    return decide(
        evaluation,
        policy=GATE_POLICY,
        decided_on=date(2026, 11, 22),
        has_champion=champion is not None,
        champion=champion,
    )


def failed(decision: GateDecision) -> set[str]:
    return {criterion.name for criterion in decision.criteria if criterion.passed is not True}


def test_the_good_report_is_approved(trained: TrainingResult, holdout: pd.DataFrame, honest: np.ndarray):
    decision = judge(report(trained, holdout, honest))
    assert decision.approved, decision.reason


def test_a_missing_report_is_refused():
    assert not judge(None).approved


@pytest.mark.parametrize("part", ["metrics", "baselines"])
def test_a_report_without_a_part_is_refused(trained: TrainingResult, part: str):
    assert not judge(trained.evaluation.model_copy(update={part: ()})).approved


def test_a_model_worse_than_the_baselines_is_refused(
    trained: TrainingResult, holdout: pd.DataFrame, honest: np.ndarray
):
    chance = np.random.default_rng(1).permutation(honest)
    assert {"better than last_status", "better than late_bill_count"} <= failed(judge(report(trained, holdout, chance)))


def test_a_model_worse_than_the_champion_is_refused(trained: TrainingResult, holdout: pd.DataFrame, honest: np.ndarray):
    assert isinstance(trained.model, CreditRiskModel)
    card = trained.model.scorecard
    weakened = card.model_copy(update={"characteristics": card.characteristics[-1:]})
    worse = CreditRiskModel(trained.model.settings, weakened)
    comparison = compare_with_champion(worse, trained.model, holdout, champion_version="202601-abc", replicates=60)
    decision = judge(report(trained, holdout, honest), comparison)
    assert failed(decision) == {"not worse than the champion"}


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_miscalibrated_model_is_refused(
    trained: TrainingResult, holdout: pd.DataFrame, honest: np.ndarray, factor: float
):
    decision = judge(report(trained, holdout, np.clip(factor * honest, 0, 0.99)))
    assert {"calibration_ratio", "expected_calibration_error"} & failed(decision)
    assert not decision.approved


@pytest.mark.parametrize("column", ["district", "customer_class"])
def test_a_model_that_treats_a_group_unfairly_is_refused(
    trained: TrainingResult, holdout: pd.DataFrame, honest: np.ndarray, column: str
):
    group = {"district": "north", "customer_class": "commercial"}[column]
    harsh = np.where(holdout[column] == group, np.clip(4 * honest, 0, 0.98), honest)
    decision = judge(report(trained, holdout, harsh))
    assert {f"calibration_gap by {column}", f"false_alarm_gap by {column}"} <= failed(decision)
    assert f"{group}" in decision.reason


def test_too_little_data_gives_no_model_and_a_report_of_too_few_customers_is_not_enough(
    marts: tuple[pd.DataFrame, pd.DataFrame],
    trained: TrainingResult,
    holdout: pd.DataFrame,
    honest: np.ndarray,
):
    features, outcomes = marts
    keys = features["customer_key"].unique()[:40]
    with pytest.raises(InsufficientDataError):
        train(*(frame[frame["customer_key"].isin(keys)] for frame in (features, outcomes)))
    few = holdout["customer_key"].isin(holdout["customer_key"].unique()[:12]).to_numpy()
    decision = judge(report(trained, holdout[few].reset_index(drop=True), honest[few]))
    assert not decision.approved
