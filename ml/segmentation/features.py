"""From rows of ``marts.customer_segmentation_features`` to the arrays that the clustering works on.

A load shape is 48 ratios (24 hours of working days, 24 hours of weekends and holidays) to the mean of the day, so
that it says when a customer uses electricity and not how much. Training, batch scoring and a single request all come
through these functions; that is what makes one customer's assignment equal to the training's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, by_name, names
from ml.errors import SchemaMismatchError
from ml.segmentation.schema import FEATURES, HOUR_COLUMNS, HOURS

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

GROUPS = ("R", "B")
GROUP_NAMES = {"R": "residential", "B": "business"}
SHAPE_NAMES = names(HOUR_COLUMNS)

WORKING_DAY_WEIGHT = 5 / 7
"""A shape counts each kind of day as often as a week holds it."""

SHAPE_WEIGHTS: FloatArray = np.concatenate(
    [
        np.full(len(HOURS), WORKING_DAY_WEIGHT / len(HOURS)),
        np.full(len(HOURS), (1 - WORKING_DAY_WEIGHT) / len(HOURS)),
    ]
)
"""Weights of the 48 shape hours; they add up to one, so a distance is a root mean square over the week's hours."""


def require_columns(features: pd.DataFrame, needed: Sequence[str], table: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        SchemaMismatchError: Names the table and every missing column.
    """
    missing = [name for name in needed if name not in features.columns]
    if missing:
        raise SchemaMismatchError(
            f"{table} lacks the column(s) {', '.join(missing)}: rebuild the mart, or send them with the request"
        )


def prepare_features(features: pd.DataFrame) -> pd.DataFrame:
    """Return the feature columns with plain types: floats for numbers, text for categories.

    A missing number is NaN whatever the caller used for it (None, NA, decimals), so that one row given as JSON and
    the same row read from a mart meet the same arithmetic.

    Raises:
        SchemaMismatchError: A column is missing, is not numeric where it must be, or a class is unknown.
    """
    require_columns(features, [CUSTOMER_KEY, *names(FEATURES)], "customer_segmentation_features")
    prepared: dict[str, pd.Series] = {CUSTOMER_KEY: features[CUSTOMER_KEY].astype(str)}
    for name in (AS_OF_MONTH, "district"):
        if name in features.columns:
            prepared[name] = features[name]
    for column in FEATURES:
        values = features[column.name]
        if column.kind == "categorical":
            texts = values.astype(object)
            texts[values.isna()] = None
            prepared[column.name] = texts
            continue
        try:
            prepared[column.name] = pd.to_numeric(values, errors="raise").astype("float64")
        except (TypeError, ValueError) as error:
            raise SchemaMismatchError(f"column {column.name} must hold numbers: {error}") from error
    frame = pd.DataFrame(prepared, index=features.index)
    allowed = by_name(FEATURES)["customer_class"].allowed
    unknown = sorted({str(value) for value in frame["customer_class"].dropna()} - set(allowed))
    if unknown:
        raise SchemaMismatchError(
            f"customer_class holds {', '.join(unknown[:5])}: allowed are {', '.join(allowed)}; map the supplier's "
            "classes to these in the mapping file"
        )
    return frame


def group_of(customer_class: pd.Series) -> npt.NDArray[np.str_]:
    """Return ``R`` for residential customers, ``B`` for other classes, and nothing where no class was delivered."""
    return np.select([customer_class.isna(), customer_class == "residential"], ["", "R"], default="B")


def shape_matrix(features: pd.DataFrame, ceiling: float) -> FloatArray:
    """Return the shapes, one row of 48 ratios per customer; a missing ratio stays NaN.

    Args:
        features: Prepared features.
        ceiling: Ratios above it count as this much.
    """
    # Row by row in memory, whatever the frame looks like: sums along a row then have one order, and one result.
    return np.clip(np.ascontiguousarray(features[SHAPE_NAMES].to_numpy(dtype=np.float64)), 0.0, ceiling)


def present_weight(shapes: FloatArray) -> FloatArray:
    """Return for each shape the weight of the hours that are present, from 0 to 1."""
    return np.where(np.isnan(shapes), 0.0, SHAPE_WEIGHTS).sum(axis=1)


def has_enough_days(features: pd.DataFrame, minimum_observed_days: int) -> BoolArray:
    """Return which customers have readings on enough days to say anything about their load."""
    return features["observed_days_count"].fillna(0).to_numpy() >= minimum_observed_days


def is_unused(features: pd.DataFrame, minimum_observed_days: int) -> BoolArray:
    """Return which customers were metered for long enough and used nothing at all."""
    return has_enough_days(features, minimum_observed_days) & (features["annual_kwh"].to_numpy() == 0.0)


def has_usable_shape(features: pd.DataFrame, minimum_observed_days: int) -> BoolArray:
    """Return which customers have a complete load shape from enough days: those that may shape the centres."""
    complete = np.isfinite(features[SHAPE_NAMES].to_numpy(dtype=np.float64)).all(axis=1)
    return complete & has_enough_days(features, minimum_observed_days) & ~is_unused(features, minimum_observed_days)


def as_of_months(features: pd.DataFrame) -> list[pd.Timestamp]:
    """Return the as-of months in the table, earliest first."""
    return sorted(pd.to_datetime(features[AS_OF_MONTH]).unique())


def rows_as_of(features: pd.DataFrame, month: pd.Timestamp) -> pd.DataFrame:
    """Return the rows of one as-of month, ordered by customer, so that the order of the mart does not matter."""
    rows = features[pd.to_datetime(features[AS_OF_MONTH]) == month]
    return rows.sort_values(CUSTOMER_KEY, kind="stable").reset_index(drop=True)
