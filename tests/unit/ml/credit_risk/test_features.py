import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.columns import names
from ml.credit_risk.features import (
    ENCODED,
    FEATURE_OF,
    MATRIX_NAMES,
    MONOTONE,
    matrix_from_records,
    telling_columns,
    to_matrix,
)
from ml.credit_risk.schema import FEATURES
from ml.errors import SchemaMismatchError

VALUES = st.none() | st.floats(min_value=-1e30, max_value=1e30, allow_nan=False) | st.integers(-1000, 1000)
CLASSES = st.none() | st.sampled_from(["residential", "industrial", "space station", ""])
ROWS = st.lists(
    st.fixed_dictionaries({c.name: VALUES if c.kind == "numeric" else CLASSES for c in FEATURES}),
    min_size=1,
    max_size=5,
)


@given(ROWS)
def test_frames_and_records_give_the_same_matrix(records: list[dict[str, object]]):
    frame = to_matrix(pd.DataFrame(records))
    assert frame.dtype == np.float32
    np.testing.assert_array_equal(frame, matrix_from_records(records))


def row(**values: object) -> dict[str, object]:
    return {column.name: None for column in FEATURES} | values


def test_an_unseen_class_is_no_class_and_a_missing_value_is_missing():
    matrix = to_matrix(pd.DataFrame([row(customer_class="space station", tenure_months=3.0)]))[0]
    by_name = dict(zip(MATRIX_NAMES, matrix, strict=True))
    assert [value for name, value in by_name.items() if name.startswith("customer_class=")] == [0, 0, 0, 0]
    assert by_name["tenure_months"] == 3
    assert np.isnan(by_name["mean_bill_12m_amount"])


def test_every_matrix_column_belongs_to_its_feature_and_carries_its_direction():
    features = names(FEATURES)
    for position, (feature, category) in enumerate(ENCODED):
        assert features[FEATURE_OF[position]] == feature
        expected = next(column.monotone for column in FEATURES if column.name == feature)
        assert MONOTONE[position] == (expected if category is None else 0)


def test_a_missing_column_is_refused_by_its_name():
    with pytest.raises(SchemaMismatchError, match="lack the columns tenure_months"):
        to_matrix(pd.DataFrame([row()]).drop(columns=["tenure_months"]))
    with pytest.raises(SchemaMismatchError, match="lack the column recovery_rate_due_3m_pct"):
        matrix_from_records([{}])


@pytest.mark.parametrize("value", ["much", float("inf"), 1e39])
def test_a_value_that_is_no_usable_number_is_refused_by_its_column(value: object):
    record = row(tenure_months=value)
    with pytest.raises(SchemaMismatchError, match="column tenure_months"):
        to_matrix(pd.DataFrame([record]))
    with pytest.raises(SchemaMismatchError, match="column tenure_months"):
        matrix_from_records([record])


def test_columns_of_one_value_and_repeated_columns_are_not_offered_to_the_trees():
    nothing = np.nan
    matrix = np.array(
        [
            # missing, constant, repeated, its repetition, known or not, telling
            [nothing, 3, 1, 1, nothing, 5],
            [nothing, 3, 2, 2, 7, 6],
            [nothing, 3, nothing, nothing, 7, 5],
        ],
        dtype=np.float32,
    )
    assert telling_columns(matrix).tolist() == [0, 0, 0, 1, 1, 1]
