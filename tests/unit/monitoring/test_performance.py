from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import SchemaMismatchError
from monitoring.findings import _performance
from monitoring.performance import (
    ReleaseAuc,
    area_under_curve,
    calibration_error,
    chance_calibration_error,
    matured_predictions,
    measure,
    predicted_probabilities,
    release_auc,
)
from monitoring.policy import SampleRule, load_policy
from tests.unit.monitoring.factories import RELEASE, prediction_frame

MONTHS = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
RULE = load_policy("credit_risk", date(2026, 11, 22)).performance


def outcomes_of(frames: list[pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    joined = pd.concat(frames)
    return pd.DataFrame(
        {
            "customer_key": joined["customer_key"],
            "as_of_month": joined["as_of_month"],
            "is_mature": True,
            "is_default": rng.random(len(joined)) < joined["default_probability"],
            "exclusion": None,
            "window_end_date": joined["as_of_month"],
        }
    )


@pytest.fixture
def scored(make_platform):
    platform = make_platform(rows=0)
    frames = [prediction_frame("credit_risk", month, 500, seed=3) for month in MONTHS]
    for month, frame in zip(MONTHS, frames, strict=True):
        platform.write_batch(frame, month)
    return platform, outcomes_of(frames)


def matured(platform, outcomes, month=MONTHS[-1], months=6, seen_until=None, release=RELEASE) -> pd.DataFrame:
    return matured_predictions(
        month,
        outcomes,
        platform.predictions_dir,
        release=release,
        column="default_probability",
        months=months,
        seen_until=seen_until,
    )


def test_auc_equals_scikit_learn_with_ties_and_weights() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    probability = rng.integers(0, 10, 500) / 10
    happened = rng.random(500) < probability
    weights = rng.integers(0, 3, 500).astype(float)
    assert area_under_curve(probability, happened) == pytest.approx(roc_auc_score(happened, probability))
    assert area_under_curve(probability, happened, weights) == pytest.approx(
        roc_auc_score(happened, probability, sample_weight=weights)
    )


def test_calibration_error_is_the_mean_gap_between_promise_and_outcome() -> None:
    probability = np.repeat(np.arange(10) / 10, 100)
    happened = np.concatenate([np.arange(100) < 100 * level for level in np.arange(10) / 10])
    assert calibration_error(probability, happened) == pytest.approx(0)
    assert calibration_error(probability + 0.05, happened) == pytest.approx(0.05)


def test_right_probabilities_seldom_exceed_what_chance_alone_gives() -> None:
    rng = np.random.default_rng(1)
    customers = np.arange(500).astype(str).astype(object)
    probability = rng.beta(1, 12, 500)
    level = chance_calibration_error(probability, customers)
    errors = [calibration_error(probability, rng.random(500) < probability) for _ in range(200)]
    assert np.percentile(errors, 95) < level < 1.5 * max(errors)
    assert calibration_error(probability, rng.random(500) < 3 * probability) > level


def test_months_of_one_customer_are_not_more_evidence_than_one() -> None:
    probability = np.random.default_rng(1).beta(1, 12, 500)
    once = chance_calibration_error(probability, np.arange(500).astype(str).astype(object))
    six_times = chance_calibration_error(np.tile(probability, 6), np.tile(np.arange(500), 6).astype(str).astype(object))
    assert six_times == pytest.approx(once, rel=0.1)


def test_a_good_or_a_bad_year_is_no_miscalibration_however_many_customers() -> None:
    rng = np.random.default_rng(1)
    customers = np.arange(5_000).astype(str).astype(object)
    probability = rng.beta(1, 12, 5_000)
    odds = probability / (1 - probability)
    bad_year = rng.random(5_000) < 1.4 * odds / (1 + 1.4 * odds)
    found = calibration_error(probability, bad_year)
    assert chance_calibration_error(probability, customers) < found
    assert found < chance_calibration_error(probability, customers, common_shift_sd=0.2)
    assert calibration_error(probability, rng.random(5_000) < 3 * probability) > chance_calibration_error(
        probability, customers, common_shift_sd=0.2
    )


def test_matured_months_up_to_the_reviewed_one_are_joined(scored) -> None:
    platform, outcomes = scored
    assert sorted(matured(platform, outcomes)["as_of_month"].unique()) == MONTHS
    assert sorted(matured(platform, outcomes, month=MONTHS[1])["as_of_month"].unique()) == MONTHS[:2]
    assert sorted(matured(platform, outcomes, months=1)["as_of_month"].unique()) == MONTHS[2:]


def test_immature_outcomes_and_other_releases_are_left_out(scored) -> None:
    platform, outcomes = scored
    outcomes["is_mature"] = outcomes["as_of_month"] == MONTHS[0]
    assert set(matured(platform, outcomes)["as_of_month"]) == {MONTHS[0]}
    assert matured(platform, outcomes, release="0002-other").empty


def test_an_outcome_that_became_known_after_the_reviewed_month_is_not_used_for_it(scored) -> None:
    platform, outcomes = scored
    outcomes["window_end_date"] = [date(month.year, month.month + 1, 28) for month in outcomes["as_of_month"]]
    assert sorted(matured(platform, outcomes, month=MONTHS[2])["as_of_month"].unique()) == MONTHS[:2]


def test_customers_whom_the_model_does_not_judge_are_left_out(scored) -> None:
    platform, outcomes = scored
    outcomes.loc[outcomes.index < 100, "exclusion"] = "in_default"
    assert len(matured(platform, outcomes)) == 3 * 400


def test_a_sample_holds_the_same_customers_in_every_month(scored) -> None:
    platform, _ = scored
    rule = SampleRule(rows=1_000, seed=1, reason="As many as are allowed to be few.").model_copy(update={"rows": 100})
    drawn = [
        predicted_probabilities(
            month, platform.predictions_dir, release=RELEASE, column="default_probability", sample=rule
        )
        for month in MONTHS
    ]
    assert [50 < len(rows) < 160 for rows in drawn] == [True] * 3
    assert set(drawn[0]["customer_key"]) == set(drawn[1]["customer_key"]) == set(drawn[2]["customer_key"])


def test_months_that_the_model_has_seen_are_no_evidence(scored) -> None:
    platform, outcomes = scored
    assert set(matured(platform, outcomes, seen_until=MONTHS[1])["as_of_month"]) == {MONTHS[2]}


def test_measured_figures_are_those_of_the_joined_rows(scored) -> None:
    platform, outcomes = scored
    joined = matured(platform, outcomes)
    result = measure(joined, RULE, at_release=ReleaseAuc(0.8))
    assert result.rows == 1_500
    assert result.events == int(joined["is_default"].sum())
    assert result.auc_lower < result.auc < result.auc_upper
    assert result.brier == pytest.approx(((joined["probability"] - joined["is_default"]) ** 2).mean())
    assert result.calibration_error < 0.05


@pytest.mark.parametrize("is_default", [False, True])
def test_outcomes_without_both_kinds_are_not_measured(scored, is_default) -> None:
    platform, outcomes = scored
    assert measure(matured(platform, outcomes.assign(is_default=is_default)), RULE, None) is None


def test_an_unreadable_month_adds_no_evidence(scored) -> None:
    platform, outcomes = scored
    (platform.predictions_dir / f"as_of_month={MONTHS[2]}" / "predictions.parquet").write_bytes(b"torn")
    assert sorted(matured(platform, outcomes)["as_of_month"].unique()) == MONTHS[:2]


def test_outcomes_of_another_form_are_refused(scored) -> None:
    platform, outcomes = scored
    with pytest.raises(SchemaMismatchError, match="outcomes lack is_default"):
        matured(platform, outcomes.drop(columns="is_default"))


def test_the_release_figure_is_the_overall_auc() -> None:
    evaluation = {
        "key_metric": {"name": "brier", "value": 0.1},
        "metrics": [
            {"name": "roc_auc", "value": 0.9, "slice_column": "district"},
            {"name": "roc_auc", "value": 0.8, "lower": 0.75, "upper": 0.85, "slice_column": None},
        ],
    }
    assert release_auc(evaluation) == ReleaseAuc(0.8, 0.75, 0.85)
    assert release_auc({"metrics": []}) is None


@pytest.mark.parametrize(("chance", "severity"), [(0.02, "act"), (0.09, "info"), (None, "act")])
def test_a_calibration_error_that_chance_explains_is_no_finding(scored, chance, severity) -> None:
    platform, outcomes = scored
    result = measure(matured(platform, outcomes), RULE, at_release=None)
    told = result.model_copy(update={"calibration_error": 0.08, "calibration_chance": chance})
    (reason,) = _performance(told, load_policy("credit_risk", date(2026, 11, 22)))
    assert (reason.code, reason.severity) == ("calibration", severity)


@pytest.mark.parametrize(
    ("at_release", "severity"),
    [(ReleaseAuc(0.85), "act"), (ReleaseAuc(0.85, 0.84, 0.86), "act"), (ReleaseAuc(0.85, 0.74, 0.93), "info")],
)
def test_a_drop_of_the_auc_that_the_interval_of_the_release_allows_is_no_finding(scored, at_release, severity) -> None:
    platform, outcomes = scored
    result = measure(matured(platform, outcomes), RULE, at_release=at_release)
    told = result.model_copy(update={"auc": 0.75, "auc_lower": 0.7, "auc_upper": 0.8})
    reason, *_ = _performance(told, load_policy("credit_risk", date(2026, 11, 22)))
    assert (reason.code, reason.severity) == ("performance", severity)
