"""Boosted trees as every use case grows them: their size by folds of customers, one order of sums, one file.

What differs between the use cases (columns, constraints, weights of columns) is handed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from ml.evaluation import FloatArray


class TreeSettings(Protocol):
    """Settings of the trees, as the configuration of a use case holds them."""

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths of a tree to choose from."""

    @property
    def learning_rate(self) -> float:
        """What one tree counts."""

    @property
    def min_child_weight(self) -> float:
        """Least sum of second derivatives in a leaf."""

    @property
    def subsample(self) -> float:
        """Share of the rows that a tree sees."""

    @property
    def colsample_bytree(self) -> float:
        """Share of the columns that a tree sees."""

    @property
    def reg_lambda(self) -> float:
        """Ridge penalty of the leaves."""

    @property
    def max_rounds(self) -> int:
        """Most trees."""

    @property
    def early_stopping_rounds(self) -> int:
        """Trees without a gain after which no more are tried."""


@dataclass(frozen=True, slots=True)
class TreeRows:
    """Rows that trees are grown on.

    Attributes:
        matrix: Inputs in single precision, NaN where unknown; shape (rows, columns).
        labels: 0 or 1 per row.
        names: Names of the columns.
        column_weights: How likely a tree is to be given a column, by column.
    """

    matrix: npt.NDArray[np.float32]
    labels: FloatArray
    names: Sequence[str]
    column_weights: npt.NDArray[np.float32]

    def data(self, threads: int) -> xgb.DMatrix:
        """Return the rows in XGBoost's own form."""
        return xgb.DMatrix(
            self.matrix,
            label=self.labels,
            feature_names=list(self.names),
            feature_weights=self.column_weights,
            nthread=threads,
        )


class Trainer(Protocol):
    """Grows trees somewhere: in this process, or on many machines where the rows outgrow one."""

    @property
    def rows_to_choose_size(self) -> int | None:
        """Rows beyond which depth and number of trees are chosen on a sample of customers; ``None`` for never."""

    def grow(self, rows: TreeRows, parameters: Mapping[str, object], rounds: int) -> bytes:
        """Return the trees as UBJSON, the same as of a training in one process.

        Args:
            rows: What to learn from.
            parameters: Of `tree_parameters`.
            rounds: Number of trees.
        """


class LocalTrainer:
    """Grows trees in this process."""

    rows_to_choose_size = None

    def grow(self, rows: TreeRows, parameters: Mapping[str, object], rounds: int) -> bytes:
        """Return the trees as UBJSON."""
        threads = int(str(parameters["nthread"]))
        return bytes(xgb.train(dict(parameters), rows.data(threads), num_boost_round=rounds).save_raw("ubj"))


def choose_size(
    data: xgb.DMatrix,
    fold_of_row: np.ndarray,
    settings: TreeSettings,
    seed: int,
    *,
    further: Mapping[str, object] | None = None,
) -> tuple[int, int]:
    """Return depth and number of trees with the smallest mean loss over folds of customers.

    Folds are by customer, because rows of one customer resemble each other: by row, the trees would grow far too
    many. Early stopping looks at the mean of the folds, because a single fold of few events stops by chance.

    Args:
        data: Rows with their labels.
        fold_of_row: Fold of each row; a customer is in one fold only.
        settings: Depths and numbers of trees to choose from.
        seed: Seed of the trees.
        further: Parameters beside those of `tree_parameters`.
    """
    folds = [
        (np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)) for fold in np.unique(fold_of_row)
    ]
    labels = _labels(data)
    best: list[tuple[float, int, int]] = []
    for depth in settings.depths:
        losses = xgb.cv(
            tree_parameters(settings, depth, labels, seed, further=further),
            data,
            num_boost_round=settings.max_rounds,
            folds=folds,
            early_stopping_rounds=settings.early_stopping_rounds,
            as_pandas=False,
            seed=seed,
        )["test-logloss-mean"]
        rounds = int(np.argmin(losses)) + 1
        best.append((losses[rounds - 1], depth, rounds))
    _, depth, rounds = min(best)
    return depth, rounds


def tree_parameters(
    settings: TreeSettings,
    depth: int,
    labels: FloatArray,
    seed: int,
    *,
    further: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the parameters of `xgboost.train`: one thread, unless ``further`` says otherwise.

    Args:
        settings: Settings of the use case.
        depth: Depth of a tree.
        labels: 0 or 1 per row; the trees start from their mean.
        seed: Seed of the trees.
        further: Parameters that the use case adds or sets otherwise.
    """
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_depth": depth,
        "learning_rate": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "subsample": settings.subsample,
        "colsample_bytree": settings.colsample_bytree,
        "reg_lambda": settings.reg_lambda,
        "base_score": float(np.clip(labels.mean(), 1e-4, 1 - 1e-4)),
        "nthread": 1,
        "seed": seed,
        "verbosity": 1,
        **(further or {}),
    }


def grow(
    data: xgb.DMatrix,
    depth: int,
    rounds: int,
    settings: TreeSettings,
    seed: int,
    *,
    further: Mapping[str, object] | None = None,
) -> bytes:
    """Grow trees and return them as UBJSON: what is saved, judged and served must be the same object.

    Args:
        data: Rows with their labels.
        depth: Depth of a tree.
        rounds: Number of trees.
        settings: Settings of the use case.
        seed: Seed of the trees.
        further: Parameters beside those of `tree_parameters`.
    """
    parameters = tree_parameters(settings, depth, _labels(data), seed, further=further)
    return bytes(xgb.train(parameters, data, num_boost_round=rounds).save_raw("ubj"))


def loaded(trees: bytes) -> xgb.Booster:
    """Return trees from their file; they answer in one thread, so that sums have one order."""
    booster = xgb.Booster(params={"nthread": 1})
    booster.load_model(bytearray(trees))
    return booster


def _labels(data: xgb.DMatrix) -> FloatArray:
    # Labels are kept in single precision, in which the mean of many rows would be another number.
    return np.asarray(data.get_label(), dtype=np.float64)
