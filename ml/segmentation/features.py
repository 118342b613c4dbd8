"""From rows of ``marts.customer_segmentation_features`` to the arrays that the clustering works on.

A load shape says when a customer uses electricity and not how much. With hourly readings it has 65 numbers: 24 hours
of working days and 24 of weekends and holidays as ratios to the mean of the day, how summer and winter move the use
between six blocks of the day, and how the seasons and the rest days differ in level. With daily readings only, it has
the last five of them. Training, batch scoring and a single request all come through these functions; that is what
makes one customer's assignment equal to the training's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, Column, by_name, names
from ml.errors import SchemaMismatchError
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.schema import (
    BLOCK_STARTS,
    DAILY_COLUMNS,
    FEATURES,
    HOUR_COLUMNS,
    HOURS,
    SEASON_BLOCKS,
    SHAPE_COLUMNS,
    WEEKDAY_SHAPE,
    WEEKEND_SHAPE,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

GROUPS = ("R", "B", "RD", "BD")
GROUP_NAMES = {
    "R": "residential",
    "B": "business",
    "RD": "residential with daily readings",
    "BD": "business with daily readings",
}
GROUP_NAMES_ZH = {"R": "居民", "B": "企业", "RD": "居民（仅日冻结电量）", "BD": "企业（仅日冻结电量）"}
DAILY_GROUPS = ("RD", "BD")
"""Customers whose readings have no hours: they are divided by season and rest days alone, apart from the others."""

WORKING_DAY_SHARE = 5 / 7
SEASON_SHARES = {"mild": 1 / 2, "summer": 1 / 4, "winter": 1 / 4}

_COLUMN_WEIGHTS = {
    **{column.name: WORKING_DAY_SHARE / len(HOURS) for column in WEEKDAY_SHAPE},
    **{column.name: (1 - WORKING_DAY_SHARE) / len(HOURS) for column in WEEKEND_SHAPE},
    # A difference d between a part p of the hours and the rest adds p (1 - p) d² to their mean square.
    **{
        column.name: SEASON_SHARES[season] * (1 - SEASON_SHARES[season]) / len(BLOCK_STARTS)
        for column in SEASON_BLOCKS
        for season in [column.name.split("_")[0]]
    },
    **{f"{season}_level_shift": SEASON_SHARES[season] * (1 - SEASON_SHARES[season]) for season in ("summer", "winter")},
    **{
        f"{season}_rest_day_shift": share * WORKING_DAY_SHARE * (1 - WORKING_DAY_SHARE)
        for season, share in SEASON_SHARES.items()
    },
}
"""What each number counts: about as much as it moves the load, relative to the customer's mean, over all hours of the
year. So a squared distance is close to the mean squared difference of two such loads."""


@dataclass(frozen=True, slots=True, eq=False)
class ShapeSpace:
    """The numbers that a load shape has, and what each counts.

    Attributes:
        names: Columns, in the order of a centre.
        weights: One weight per column; they add up to one.
        is_ratio: Which columns are ratios to a mean, from 0; the others are differences around 0.
    """

    names: tuple[str, ...]
    weights: FloatArray
    is_ratio: BoolArray

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "ShapeSpace":
        """Return the space of some shape columns."""
        weights = np.array([_COLUMN_WEIGHTS[column.name] for column in columns])
        ratios = set(names(HOUR_COLUMNS))
        is_ratio = np.array([column.name in ratios for column in columns])
        return cls(tuple(names(columns)), weights / weights.sum(), is_ratio)


YEAR_SPACE = ShapeSpace.of(SHAPE_COLUMNS)
"""65 numbers: hours, seasonal blocks, levels of seasons and rest days."""

HOUR_SPACE = ShapeSpace.of(HOUR_COLUMNS)
"""The first 48 of them: hours of working days and of rest days."""

DAILY_SPACE = ShapeSpace.of(DAILY_COLUMNS)
"""The last five: levels of seasons and rest days, which need no hours."""

HOUR_NAMES = list(HOUR_SPACE.names)
SHAPE_NAMES = list(YEAR_SPACE.names)


def space_of(group: str) -> ShapeSpace:
    """Return the numbers that the shapes and centres of a group have."""
    return DAILY_SPACE if group in DAILY_GROUPS else YEAR_SPACE


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
        if values.dtype == np.float64:
            prepared[column.name] = values
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


def distinct_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without exact repetitions.

    Raises:
        SchemaMismatchError: A customer has two different rows for one as-of month; the message names both.
    """
    key = [CUSTOMER_KEY, AS_OF_MONTH]
    suspects = features[features.duplicated(key, keep=False)]
    if suspects.empty:
        return features
    distinct = suspects.drop_duplicates()
    repeated = distinct.duplicated(key, keep=False)
    if repeated.any():
        first = distinct[repeated].iloc[0]
        raise SchemaMismatchError(
            f"customer_segmentation_features holds {int(repeated.sum())} rows that differ for the same customer and "
            f"month, the first of them customer {first[CUSTOMER_KEY]} in {pd.Timestamp(first[AS_OF_MONTH]):%Y-%m}: "
            "there must be one row each; rebuild the mart"
        )
    return features[~features.duplicated(key)]


def class_group_of(customer_class: pd.Series) -> npt.NDArray[np.str_]:
    """Return ``R`` for residential customers, ``B`` for other classes, and nothing where no class was delivered."""
    return np.select([customer_class.isna(), customer_class == "residential"], ["", "R"], default="B")


def group_of(features: pd.DataFrame, config: SegmentationConfig) -> npt.NDArray[np.str_]:
    """Return within which group each customer is segmented: by class, and apart where there are no hours.

    Args:
        features: Prepared features.
        config: Settings; ``minimum_shape_weight`` says when a shape is known well enough.
    """
    groups = class_group_of(features["customer_class"])
    has_hours, has_days = (
        present_weight(shape_matrix(features, config.shape_ceiling, space), space.weights)
        >= config.minimum_shape_weight
        for space in (HOUR_SPACE, DAILY_SPACE)
    )
    is_daily = (groups != "") & ~has_hours & has_days
    return np.where(is_daily, np.char.add(groups, "D"), groups)


def shape_matrix(features: pd.DataFrame, ceiling: float, space: ShapeSpace = YEAR_SPACE) -> FloatArray:
    """Return the shapes, one row per customer; a missing number stays NaN.

    Args:
        features: Prepared features.
        ceiling: Larger numbers count as this much, so that one spike does not decide; ratios below 0 count as 0.
        space: The numbers wanted.
    """
    # Row by row in memory, whatever the frame looks like: sums along a row then have one order, and one result.
    values = np.ascontiguousarray(features[list(space.names)].to_numpy(dtype=np.float64))
    return np.clip(values, np.where(space.is_ratio, 0.0, -ceiling), ceiling)


def present_weight(shapes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return for each shape the weight of the numbers that are present, from 0 to 1."""
    return np.where(np.isnan(shapes), 0.0, weights).sum(axis=1)


def is_assignable(features: pd.DataFrame, config: SegmentationConfig) -> BoolArray:
    """Return of which customers enough is known to say the nearest segment of their group."""
    known = [
        present_weight(shape_matrix(features, config.shape_ceiling, space), space.weights)
        for space in (HOUR_SPACE, DAILY_SPACE)
    ]
    has_shape = np.maximum(*known) >= config.minimum_shape_weight
    days = config.minimum_observed_days
    return has_shape & has_enough_days(features, days) & ~is_unused(features, days)


def has_enough_days(features: pd.DataFrame, minimum_observed_days: int) -> BoolArray:
    """Return which customers have readings on enough days to say anything about their load."""
    return features["observed_days_count"].fillna(0).to_numpy() >= minimum_observed_days


def is_unused(features: pd.DataFrame, minimum_observed_days: int) -> BoolArray:
    """Return which customers were metered for long enough and used nothing at all."""
    return has_enough_days(features, minimum_observed_days) & (features["annual_kwh"].to_numpy() == 0.0)


def has_usable_shape(features: pd.DataFrame, config: SegmentationConfig) -> BoolArray:
    """Return which customers may shape the centres: assignable, and with all hours where readings have hours."""
    has_no_gap = np.isfinite(features[HOUR_NAMES].to_numpy(dtype=np.float64)).all(axis=1)
    return is_assignable(features, config) & (has_no_gap | np.isin(group_of(features, config), DAILY_GROUPS))


def as_of_months(features: pd.DataFrame) -> list[pd.Timestamp]:
    """Return the as-of months in the table, earliest first."""
    return sorted(pd.to_datetime(features[AS_OF_MONTH]).unique())


def rows_as_of(features: pd.DataFrame, month: pd.Timestamp) -> pd.DataFrame:
    """Return the rows of one as-of month, ordered by customer, so that the order of the mart does not matter."""
    rows = features[pd.to_datetime(features[AS_OF_MONTH]) == month]
    return rows.sort_values(CUSTOMER_KEY, kind="stable").reset_index(drop=True)
