import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.evaluation import (
    BaselineComparison,
    Evaluation,
    EvaluationTable,
    Metric,
    Statistic,
    bootstrap,
    bootstrap_weights,
    weighted_mean,
)


def test_a_figure_that_is_not_a_number_is_missing():
    metric = Metric(name="roc_auc", value=math.nan, lower=-math.inf, upper=0.9)
    assert (metric.value, metric.lower, metric.upper) == (None, None, 0.9)


def test_table_cells_keep_text_and_whole_numbers_and_drop_nan():
    table = EvaluationTable(name="t", title="T", columns=("a", "b", "c"), rows=(("12", 3, math.nan),))
    assert table.rows == (("12", 3, None),)


def test_an_evaluation_survives_json():
    metric = Metric(name="roc_auc", value=0.75, lower=0.7, upper=0.8, rows=10)
    district = metric.model_copy(update={"slice_column": "district", "slice_value": "east"})
    evaluation = Evaluation(
        use_case="credit_risk",
        holdout_description="later months",
        key_metric=metric,
        metrics=(metric, district),
        baselines=(BaselineComparison(name="chance", metric=metric, difference=metric),),
    )
    loaded = Evaluation.model_validate(json.loads(evaluation.model_dump_json()))
    assert loaded == evaluation
    assert loaded.metric("roc_auc") == metric
    assert loaded.slices("roc_auc", "district") == [district]
    assert loaded.metric("roc_auc", "district", "west") is None
    assert loaded.baseline("chance") is not None
    assert loaded.baseline("other") is None


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError):
        Metric.model_validate({"name": "x", "value": 1.0, "vlaue": 2.0})


def test_rows_of_one_cluster_are_drawn_together():
    clusters = np.array(["a", "b", "a", "c", "b"])
    for weights in bootstrap_weights(clusters, 20, seed=3):
        assert weights[0] == weights[2]
        assert weights[1] == weights[4]
        assert weights[0] + weights[1] + weights[3] == 3


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=200)
    statistics = {"mean": weighted_mean(values)}
    assert bootstrap(statistics, range(200), seed=5) == bootstrap(statistics, range(200), seed=5)
    assert bootstrap(statistics, range(200), seed=5) != bootstrap(statistics, range(200), seed=6)


def test_the_interval_of_a_mean_matches_its_standard_error():
    values = np.random.default_rng(1).normal(size=2000)
    value, lower, upper = bootstrap({"mean": weighted_mean(values)}, range(2000), replicates=800)["mean"]
    assert value == pytest.approx(values.mean())
    assert lower is not None
    assert upper is not None
    assert upper - lower == pytest.approx(2 * 1.96 / math.sqrt(2000), rel=0.15)


def test_repeated_rows_of_a_customer_do_not_narrow_the_interval():
    values = np.random.default_rng(2).normal(size=100)
    once = bootstrap({"mean": weighted_mean(values)}, range(100), replicates=400)["mean"]
    tenfold = bootstrap({"mean": weighted_mean(np.repeat(values, 10))}, np.repeat(range(100), 10), replicates=400)[
        "mean"
    ]
    assert tenfold == pytest.approx(once)


def test_differences_on_the_same_draws_are_paired():
    values = np.random.default_rng(3).normal(size=300)
    one, other = weighted_mean(values), weighted_mean(values + 0.1)
    figure = bootstrap({"difference": lambda weights: other(weights) - one(weights)}, range(300))["difference"]
    assert figure == pytest.approx((0.1, 0.1, 0.1))


def mean_distance(values: np.ndarray) -> Statistic:
    """Return a statistic like the calibration error: the mean size of the weighted means of twenty groups."""
    groups = np.arange(len(values)) % 20

    def statistic(weights: np.ndarray) -> float:
        sums = np.bincount(groups, weights=weights * values, minlength=20)
        return float(np.abs(sums).sum() / weights.sum())

    return statistic


def test_the_draws_of_a_distance_lie_above_it_so_that_percentiles_alone_would_miss_it():
    values = np.random.default_rng(4).normal(size=400)
    for group in range(20):
        values[group::20] -= 0.9 * values[group::20].mean()
    distance = mean_distance(values)
    value, lower, upper = bootstrap({"distance": distance}, range(400))["distance"]
    assert value is not None
    assert lower is not None
    assert value < lower

    same, below, above = bootstrap({"distance": distance}, range(400), distances=("distance",))["distance"]
    assert same == value
    assert below is not None
    assert above is not None
    assert upper is not None
    assert 0 <= below < value < above < upper


@given(st.integers(0, 2**32 - 1), st.integers(20, 120))
@settings(max_examples=15, deadline=None)
def test_the_interval_of_a_distance_holds_it_and_no_negative_number(seed: int, rows: int):
    distance = mean_distance(np.random.default_rng(seed).normal(size=rows))
    value, lower, upper = bootstrap({"distance": distance}, range(rows), replicates=60, distances=("distance",))[
        "distance"
    ]
    assert value is not None
    assert lower is not None
    assert upper is not None
    assert 0 <= lower <= value <= upper


def test_a_figure_that_is_mostly_undefined_gets_no_interval():
    draws = iter([0.5] + [math.nan] * 200)
    assert bootstrap({"x": lambda _: next(draws)}, range(10), replicates=200)["x"] == (0.5, None, None)


def test_no_rows_give_no_figure():
    assert bootstrap({"x": weighted_mean(np.empty(0))}, [])["x"] == (None, None, None)
