"""From feature rows to the numbers that the trees see: one path for training, batch and service.

The matrix is float32 from here on, because XGBoost computes in float32: whoever casts later, or not at all, gets
another answer in the last digit.
"""

import operator
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

_NUMERIC_POSITIONS = [position for position, (_, category) in enumerate(ENCODED) if category is None]
_LARGEST = float(np.finfo(np.float32).max)
_numeric_values = operator.itemgetter(*NUMERIC)


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


def numbers_of_records(records: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
    """Return the numeric columns of mappings, in the order of ``NUMERIC``; ``None`` becomes NaN.

    Raises:
        SchemaMismatchError: If a column is missing, or a value is not a finite number.
    """
    try:
        # NumPy reads None as NaN when it is told that all are numbers.
        numbers = np.array([_numeric_values(record) for record in records], dtype=np.float64)
    except KeyError as error:
        raise _lacking(error) from error
    except (TypeError, ValueError) as error:
        raise _not_a_number(records) from error
    numbers = numbers.reshape(len(records), len(NUMERIC))
    bad = np.abs(numbers) > _LARGEST
    if np.count_nonzero(bad):
        row, column = np.argwhere(bad)[0]
        raise SchemaMismatchError(
            f"column {NUMERIC[column]} holds {numbers[row, column]} in row {row}, which is not a usable number"
        )
    return numbers


def matrix_from_records(records: Sequence[Mapping[str, Any]], numbers: npt.NDArray[np.float64] | None = None) -> Matrix:
    """Return the matrix of feature rows given as mappings, equal to `to_matrix` of the same rows.

    Data frames cost a millisecond per request; this path serves single requests.

    Args:
        records: The rows.
        numbers: What `numbers_of_records` gives for them, when it is known already.
    """
    matrix = np.empty((len(records), len(ENCODED)), dtype=np.float32)
    matrix[:, _NUMERIC_POSITIONS] = numbers_of_records(records) if numbers is None else numbers
    for position, (name, category) in enumerate(ENCODED):
        if category is not None:
            try:
                matrix[:, position] = [record[name] == category for record in records]
            except KeyError as error:
                raise _lacking(error) from error
    return matrix


def _lacking(error: KeyError) -> SchemaMismatchError:
    return SchemaMismatchError(f"credit-risk features lack the column {error.args[0]}")


def _not_a_number(records: Sequence[Mapping[str, Any]]) -> SchemaMismatchError:
    """Return what is wrong with the first column that NumPy refuses as numbers."""
    for name in NUMERIC:
        try:
            np.array([record[name] for record in records], dtype=np.float64)
        except (TypeError, ValueError) as error:
            return SchemaMismatchError(f"column {name} holds a value that is not a number: {error}")
    raise AssertionError("called for records whose columns are all numbers")


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
    bad = np.abs(values) > _LARGEST
    if bad.any():
        row = int(np.argmax(bad))
        raise SchemaMismatchError(f"column {name} holds {values[row]} in row {row}, which is not a usable number")
