"""Trees of every use case are sized by folds of customers and answer the same after their file."""

import numpy as np
import pytest
import xgboost as xgb

from ml.boosting import LocalTrainer, TreeRows, choose_size, grow, loaded, tree_parameters
from ml.credit_risk.config import BoosterConfig
from ml.segmentation.config import PropensityConfig

SETTINGS = PropensityConfig(depths=(1, 3), learning_rate=0.3, max_rounds=30, early_stopping_rounds=5)
CUSTOMERS, ROWS_PER_CUSTOMER = 200, 4


def _rows(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, labels and folds; what a customer does is the same in all of its rows."""
    rng = np.random.default_rng(seed)
    customers = np.repeat(np.arange(CUSTOMERS), ROWS_PER_CUSTOMER)
    inputs = np.repeat(rng.normal(size=(CUSTOMERS, 4)), ROWS_PER_CUSTOMER, axis=0)
    labels = np.repeat(rng.random(CUSTOMERS) < 1 / (1 + np.exp(-2 * inputs[::ROWS_PER_CUSTOMER, 0])), ROWS_PER_CUSTOMER)
    return inputs.astype(np.float32), labels.astype(np.float64), customers % 4


def test_rows_that_repeat_a_customer_do_not_make_the_trees_larger() -> None:
    inputs, labels, folds = _rows()
    data = xgb.DMatrix(inputs, label=labels, nthread=1)

    by_customer = choose_size(data, folds, SETTINGS, seed=7)
    by_row = choose_size(data, np.arange(len(labels)) % ROWS_PER_CUSTOMER, SETTINGS, seed=7)

    assert by_customer[0] == 1
    assert by_row[0] == 3
    assert by_customer[1] < by_row[1]


def test_the_file_holds_the_trees_and_the_same_rows_give_the_same_file() -> None:
    inputs, labels, _folds = _rows()

    first, second = (grow(xgb.DMatrix(inputs, label=labels, nthread=1), 2, 10, SETTINGS, seed=7) for _ in range(2))

    assert first == second
    answers = loaded(first).predict(xgb.DMatrix(inputs, nthread=1))
    alone = loaded(first).predict(xgb.DMatrix(inputs[:1], nthread=1))
    assert alone[0] == answers[0]
    assert answers[labels > 0].mean() > answers[labels == 0].mean()


@pytest.mark.parametrize("settings", [SETTINGS, BoosterConfig()])
def test_a_use_case_may_set_parameters_otherwise(settings: BoosterConfig | PropensityConfig) -> None:
    parameters = tree_parameters(settings, 2, np.array([0.0, 1.0, 1.0, 1.0]), 7, further={"nthread": 3})

    assert parameters["nthread"] == 3
    assert parameters["base_score"] == 0.75
    assert parameters["learning_rate"] == settings.learning_rate


def test_trees_of_the_trainer_are_those_of_a_plain_training() -> None:
    inputs, labels, _folds = _rows()
    rows = TreeRows(inputs, labels, ("a", "b", "c", "d"), np.array([1, 1, 0, 1], np.float32))
    parameters = tree_parameters(SETTINGS, 2, labels, 7)

    trees = loaded(LocalTrainer().grow(rows, parameters, 10))

    plain = xgb.train(parameters, rows.data(1), num_boost_round=10)
    assert trees.feature_names == ["a", "b", "c", "d"]
    assert trees.num_boosted_rounds() == 10
    assert (trees.predict(rows.data(1)) == plain.predict(rows.data(1))).all()
    assert "c" not in trees.get_score()
