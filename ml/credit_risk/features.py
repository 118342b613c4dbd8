"""From feature rows to the numbers that the trees see: one path for training, batch and service.

The matrix is float32 from here on, because XGBoost computes in float32: whoever casts later, or not at all, gets
another answer in the last digit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import names
from ml.credit_risk.schema import FEATURES
from ml.errors import SchemaMismatchError

NUMERIC = tuple(column.name for column in FEATURES if column.kind == "numeric")
CATEGORICAL = tuple(column for column in FEATURES if column.kind == "categorical")

ENCODED: tuple[tuple[str, str | None], ...] = tuple(
    (column.name, None) if column.kind == "numeric" else (column.name, category)
    for column in FEATURES
    for category in ((None,) if column.kind == "numeric" else column.allowed)
)
"""Columns of the matrix as (feature, category); a category outside the schema sets none of its columns."""

MATRIX_NAMES = tuple(feature if category is None else f"{feature}={category}" for feature, category in ENCODED)
MONOTONE = tuple(
    next(column.monotone for column in FEATURES if column.name == feature) if category is None else 0
    for feature, category in ENCODED
)
FEATURE_OF = np.array([names(FEATURES).index(feature) for feature, _ in ENCODED])
"""Position in ``FEATURES`` of each matrix column, to add up the effects of the categories of one feature."""

Matrix = npt.NDArray[np.float32]


def to_matrix(features: pd.DataFrame) -> Matrix:
    """Return the matrix of a frame of feature rows; missing values are NaN.

    Raises:
        SchemaMismatchError: If a column is missing, or a value is not a finite number.
    """
    missing = [name for name in names(FEATURES) if name not in features.columns]
    if missing:
        raise SchemaMismatchError(
            f"credit-risk features lack the columns {', '.join(missing)}; see marts.customer_credit_features"
        )
    matrix = np.full((len(features), len(ENCODED)), np.nan, dtype=np.float32)
    for position, (name, category) in enumerate(ENCODED):
        column = features[name]
        if category is not None:
            matrix[:, position] = (column.astype("object") == category).to_numpy(dtype=bool)
            continue
        try:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise SchemaMismatchError(f"column {name} holds a value that is not a number: {error}") from error
        _refuse_out_of_range(name, values)
        matrix[:, position] = values
    return matrix


def matrix_from_records(records: Sequence[Mapping[str, Any]]) -> Matrix:
    """Return the matrix of feature rows given as mappings, equal to `to_matrix` of the same rows.

    Data frames cost a millisecond per request; this path serves single requests.
    """
    matrix = np.full((len(records), len(ENCODED)), np.nan, dtype=np.float32)
    for position, (name, category) in enumerate(ENCODED):
        try:
            column = [record[name] for record in records]
        except KeyError as error:
            raise SchemaMismatchError(f"credit-risk features lack the column {name}") from error
        if category is not None:
            matrix[:, position] = [value == category for value in column]
            continue
        try:
            values = np.array([math.nan if value is None else value for value in column], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SchemaMismatchError(f"column {name} holds a value that is not a number: {error}") from error
        _refuse_out_of_range(name, values)
        matrix[:, position] = values
    return matrix


def telling_columns(matrix: Matrix) -> Matrix:
    """Return 1 for every column of the matrix that can tell rows apart, and 0 for what adds nothing.

    A column that holds one value, or none, adds nothing, and neither does one that repeats a later column in every row
    (in half a year of history, the windows of six and of twelve months). The trees draw the columns of each tree by
    chance, and would else draw such ones instead of those that tell something.
    """
    same = (matrix == matrix[:1]) | (np.isnan(matrix) & np.isnan(matrix[:1]))
    weights = 1 - same.all(axis=0).astype(np.float32)
    seen: set[bytes] = set()
    for position in reversed(range(matrix.shape[1])):
        content = matrix[:, position].tobytes()
        if content in seen:
            weights[position] = 0
        seen.add(content)
    return weights


def _refuse_out_of_range(name: str, values: npt.NDArray[np.float64]) -> None:
    bad = np.abs(values) > np.finfo(np.float32).max
    if bad.any():
        row = int(np.argmax(bad))
        raise SchemaMismatchError(f"column {name} holds {values[row]} in row {row}, which is not a usable number")
