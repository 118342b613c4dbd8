"""Next year's energy of every customer, month and block of hours: three forecasts, and which one is the nearest.

Each forecast is a factor on the load carried forward from the same month of last year:

- ``same_as_last_year``: one.
- ``seasonal_mean``: the customer's mean block over the whole history, times the season of the class.
- ``xgboost``: boosted trees over all customers. They see the customer's history (level, recent trend, shape, heating
  and cooling), the class, the group of customers with a like shape, the block, working days of both months, and the
  weather of the district: how warm the month normally is, and how far last year's month was from that. Normals are a
  harmonic of the year fitted to the months that are known.

What a class had in common in the months to learn from (the weather of that one year) is no part of the target: it says
nothing about the next year.

The forecasts are judged on held-out time: months later than all months that the trees were fitted on, of customers
whom they have not seen. The nearest one is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from ml.errors import BundleError
from ml.splits import hash_shares
from ml.tariff_matching.blocks import (
    BLOCKS_COUNT,
    BLOCKS_PER_DAY,
    DESCRIPTORS,
    FACTOR_SCALE,
    as_factor,
    block_kwh,
    class_month_levels,
    descriptors,
    log_ratio,
    without_common,
)
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import BoolArray, FloatArray, IntArray
from ml.tariff_matching.shape_groups import ShapeGroups, load_shapes
from ml.tariff_matching.weather import DistrictWeather
from ml.tariffs.load_cube import LoadCube

SAME_AS_LAST_YEAR, SEASONAL_MEAN, XGBOOST = "same_as_last_year", "seasonal_mean", "xgboost"
POINT_MODELS = (SAME_AS_LAST_YEAR, SEASONAL_MEAN, XGBOOST)

MATRIX_NAMES = (
    "class_code",
    *DESCRIPTORS,
    "block_hour",
    "is_day_off",
    "block_share",
    "block_season",
    "block_trend",
    "summer_ratio",
    "winter_ratio",
    "normal_temperature_c",
    "last_year_anomaly_c",
    "workdays_change",
    "has_last_year",
    "shape_group",
)
MATRIX_TYPES = tuple("c" if name == "shape_group" else "q" for name in MATRIX_NAMES)
"""Kinds of the columns as XGBoost names them: groups have no order."""

_GROUP_COLUMN = MATRIX_NAMES.index("shape_group")
SUMMER_MONTHS, WINTER_MONTHS = (6, 7, 8), (12, 1, 2)
TARGET_LIMIT = 1.5
"""Largest log ratio that is learned from: beyond it a customer moved in, out, or closed."""

_TREES = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_depth": 3,
    "eta": 0.1,
    # One pair of years: what only some hundred customer-blocks show is that year's accident.
    "min_child_weight": 200,
    "lambda": 10.0,
    "max_bin": 64,
    "nthread": 1,
    "verbosity": 0,
    "seed": 7,
}
SMALL_KWH = 0.1
ERROR_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class PointForecast:
    """A fitted forecast of energy by month and block.

    Attributes:
        name: One of ``POINT_MODELS``.
        trees: The boosted trees in XGBoost's UBJSON; empty for the other two.
        trust: Share of the trees' log factor that is used.
        groups: Groups of customers with like shapes that the trees know.
        weather: Temperatures of the months.
    """

    name: str = SAME_AS_LAST_YEAR
    trees: bytes = b""
    trust: float = 1.0
    groups: ShapeGroups = field(default_factory=ShapeGroups)
    weather: DistrictWeather = field(default_factory=DistrictWeather)

    def factors(
        self,
        history: LoadCube,
        carried: LoadCube,
        classes: npt.NDArray[np.intp],
        districts: npt.NDArray[np.object_],
        month_level: FloatArray,
    ) -> IntArray:
        """Return the factor on the load carried forward, in thousandths, (customers, months, blocks)."""
        shape = (len(history), len(carried.months), BLOCKS_COUNT)
        if self.name == SAME_AS_LAST_YEAR or not len(history):
            return np.full(shape, FACTOR_SCALE, np.int64)
        if self.name == SEASONAL_MEAN:
            return seasonal_mean_factors(history, carried, classes, month_level)
        matrix = design_matrix(history, carried, classes, districts, month_level, self.weather)
        in_group = self.groups.codes(load_shapes(history), classes)
        return predicted_factors(booster_of(self.trees), _with_groups(matrix, in_group), self.trust).reshape(shape)


@dataclass(frozen=True)
class CrossFitted:
    """Forecasts of customers by trees that saw neither them nor their half of the horizon.

    Attributes:
        factors: By forecast, in thousandths, (customers, months, blocks).
        errors: By forecast and customer: sum of absolute errors over months and blocks of the later half of the
            horizon, over the energy that was used then.
        best: Name of the forecast with the smallest mean error.
    """

    factors: dict[str, IntArray]
    errors: dict[str, FloatArray]
    best: str


def seasonal_mean_factors(
    history: LoadCube, carried: LoadCube, classes: npt.NDArray[np.intp], month_level: FloatArray
) -> IntArray:
    """Return the mean block of the history, with the class's season, over the block carried forward."""
    level = np.exp(month_level[classes])
    of_history = level[:, [month.month - 1 for month in history.months]] * history.present
    mean_level = of_history.sum(axis=1) / np.maximum(history.present.sum(axis=1), 1)
    mean_block = (block_kwh(history) * history.present[:, :, None]).sum(axis=1) / np.maximum(
        history.present.sum(axis=1), 1
    )[:, None]
    season = level[:, [month.month - 1 for month in carried.months]] / np.maximum(mean_level, 1e-9)[:, None]
    return as_factor(log_ratio(mean_block[:, None, :] * season[:, :, None], block_kwh(carried)))


def design_matrix(
    history: LoadCube,
    carried: LoadCube,
    classes: npt.NDArray[np.intp],
    districts: npt.NDArray[np.object_],
    month_level: FloatArray,
    weather: DistrictWeather,
) -> npt.NDArray[np.float32]:
    """Return (customers, months, blocks, columns), columns as in ``MATRIX_NAMES``.

    The groups are left unknown: which customers they are learned from is up to the fit (see ``ShapeGroups``).
    """
    blocks = block_kwh(carried)
    months_kwh = blocks.sum(axis=2)
    mean_month = months_kwh.mean(axis=1)
    floor = SMALL_KWH
    own_blocks = block_kwh(history)
    recent, whole = own_blocks[:, -3:].mean(axis=1), own_blocks.mean(axis=1)
    level = np.exp(month_level[classes][:, [month.month - 1 for month in history.months]])
    # The class's season is taken out, so that a summer is no trend.
    season = level[:, -3:].mean(axis=1) / level.mean(axis=1)
    trend = np.log((recent / season[:, None] + floor) / (whole + floor))
    last_month = history.months[-1]
    source = [next((one for one in history.months if one.month == month.month), None) for month in carried.months]
    normals, anomalies = weather.of_customers(
        districts, last_month, carried.months, [month or date.max for month in source]
    )
    shape = (len(history), len(carried.months), BLOCKS_COUNT)

    def by_customer(values: FloatArray | npt.NDArray[np.intp]) -> FloatArray:
        return np.broadcast_to(values[:, None, None], shape)

    def by_month(values: Sequence[float]) -> FloatArray:
        return np.broadcast_to(np.asarray(values, dtype=np.float64)[None, :, None], shape)

    def by_block(values: npt.NDArray[np.int64]) -> FloatArray:
        return np.broadcast_to(values[None, None, :], shape)

    block = np.arange(BLOCKS_COUNT)
    own = descriptors(history, classes, month_level)
    columns = [
        by_customer(classes),
        *(by_customer(own[:, index]) for index in range(own.shape[1])),
        by_block(block % BLOCKS_PER_DAY),
        by_block(block // BLOCKS_PER_DAY),
        blocks / np.maximum(months_kwh, floor)[:, :, None],
        np.log((blocks + floor) / (blocks.mean(axis=1, keepdims=True) + floor)),
        np.broadcast_to(trend[:, None, :], shape),
        by_customer(_season_ratio(months_kwh, mean_month, carried.months, SUMMER_MONTHS)),
        by_customer(_season_ratio(months_kwh, mean_month, carried.months, WINTER_MONTHS)),
        np.broadcast_to(normals[:, :, None], shape),
        np.broadcast_to(anomalies[:, :, None], shape),
        by_month(
            [
                np.nan if then is None else float(np.log(_workdays(month) / _workdays(then)))
                for month, then in zip(carried.months, source, strict=True)
            ]
        ),
        by_month([float(then is not None) for then in source]),
        np.full(shape, np.nan),
    ]
    # Rounded: a last bit that differs between machines must not send a customer down another branch.
    return np.round(np.stack(columns, axis=3), 5).astype(np.float32)


def _with_groups(matrix: npt.NDArray[np.float32], in_group: FloatArray) -> npt.NDArray[np.float32]:
    """Return the rows of some customers, (rows, columns), with the group of each filled in."""
    matrix[..., _GROUP_COLUMN] = in_group[:, None, None]
    return matrix.reshape(-1, len(MATRIX_NAMES))


def fit_trees(
    matrix: npt.NDArray[np.float32], target: FloatArray, weight: FloatArray, config: TariffMatchingConfig
) -> xgb.Booster:
    """Return boosted trees for the log ratio of what happened to what was carried forward."""
    data = _rows(matrix, label=target, weight=weight)
    return xgb.train(_TREES, data, num_boost_round=config.trees_count)


def predicted_factors(booster: xgb.Booster, matrix: npt.NDArray[np.float32], trust: float) -> IntArray:
    """Return the factor of every row in thousandths, with a share of the trees' log."""
    return as_factor(trust * booster.predict(_rows(matrix)).astype(np.float64))


def _rows(matrix: npt.NDArray[np.float32], **more: FloatArray) -> xgb.DMatrix:
    return xgb.DMatrix(
        matrix,
        feature_names=list(MATRIX_NAMES),
        feature_types=list(MATRIX_TYPES),
        enable_categorical=True,
        nthread=1,
        **more,
    )


def booster_of(trees: bytes) -> xgb.Booster:
    """Load trees from UBJSON.

    Raises:
        BundleError: The bytes are not trees.
    """
    booster = xgb.Booster(params={"nthread": 1})
    try:
        booster.load_model(bytearray(trees))
    except xgb.core.XGBoostError as error:
        raise BundleError(f"the trees of the load forecast cannot be read: {error}") from error
    return booster


def fit_point_forecast(
    name: str,
    history: LoadCube,
    carried: LoadCube,
    future: LoadCube,
    classes: npt.NDArray[np.intp],
    districts: npt.NDArray[np.object_],
    config: TariffMatchingConfig,
    weather: DistrictWeather,
) -> PointForecast:
    """Fit one of the forecasts on all customers and months."""
    if name != XGBOOST:
        return PointForecast(name=name, weather=weather)
    lesson = _Lesson.of(history, carried, future, classes, districts, weather)
    booster, groups = lesson.fit(np.ones(len(history), bool), np.ones(len(carried.months), bool), config)
    return PointForecast(name, bytes(booster.save_raw("ubj")), config.trees_trust, groups, weather)


def cross_fit(
    history: LoadCube,
    carried: LoadCube,
    future: LoadCube,
    classes: npt.NDArray[np.intp],
    districts: npt.NDArray[np.object_],
    config: TariffMatchingConfig,
    weather: DistrictWeather,
) -> CrossFitted:
    """Foretell every customer's months by trees that saw neither the customer nor that half of the horizon.

    With one pair of years there is no earlier pair to learn from. Other customers and the other half of the year are as
    near to an unseen year as it gets: no month's own weather reaches its forecast.

    Args:
        history: Months before the decision.
        carried: The same, carried forward.
        future: What happened.
        classes: Class of every customer.
        districts: District of every customer, ``None`` where it is not known.
        config: Settings.
        weather: Temperatures; those of the months before the decision are used.
    """
    shape = (len(history), len(carried.months), BLOCKS_COUNT)
    month_level = class_month_levels(history, classes)
    lesson = _Lesson.of(history, carried, future, classes, districts, weather)
    is_late = np.arange(shape[1]) >= shape[1] // 2
    trees = np.full(shape, FACTOR_SCALE, np.int64)
    is_first = hash_shares(history.customer_keys, "tariff_matching trees' customers") < 0.5
    for own in (is_first, ~is_first):
        if own.all() or not own.any():
            continue
        for learned_half in (False, True):
            booster, groups = lesson.fit(~own, is_late == learned_half, config)
            foretold = np.ix_(own, is_late != learned_half)
            matrix = _with_groups(lesson.matrix[foretold], groups.codes(lesson.shapes[own], classes[own]))
            trees[foretold] = predicted_factors(booster, matrix, config.trees_trust).reshape(
                int(own.sum()), -1, BLOCKS_COUNT
            )
    factors = {
        SAME_AS_LAST_YEAR: np.full(shape, FACTOR_SCALE, np.int64),
        SEASONAL_MEAN: seasonal_mean_factors(history, carried, classes, month_level),
        XGBOOST: trees,
    }
    happened, base = block_kwh(future), block_kwh(carried)
    judged = (future.present & is_late[None, :])[:, :, None]
    used = np.maximum((happened * judged).sum(axis=(1, 2)), SMALL_KWH)
    errors = {
        name: (np.abs(base * factor / FACTOR_SCALE - happened) * judged).sum(axis=(1, 2)) / used
        for name, factor in factors.items()
    }
    # A customer who hardly uses anything would outweigh all others by a ratio.
    means = {name: float(np.minimum(error, ERROR_LIMIT).mean()) for name, error in errors.items()}
    return CrossFitted(factors, errors, min(means, key=lambda name: means[name]))


@dataclass(frozen=True)
class _Lesson:
    """What trees can be fitted on.

    Attributes:
        matrix: (customers, months, blocks, columns), see ``design_matrix``.
        shapes: By which customers are grouped, see ``load_shapes``.
        target: Own part of the log ratio, (customers, months, blocks).
        weight: Share of the customer's energy, zero where nothing was read.
        order: Order in which customers are taken while there are more than enough.
        classes: Class of every customer.
    """

    matrix: npt.NDArray[np.float32]
    shapes: FloatArray
    target: FloatArray
    weight: FloatArray
    order: FloatArray
    classes: npt.NDArray[np.intp]

    @classmethod
    def of(
        cls,
        history: LoadCube,
        carried: LoadCube,
        future: LoadCube,
        classes: npt.NDArray[np.intp],
        districts: npt.NDArray[np.object_],
        weather: DistrictWeather,
    ) -> "_Lesson":
        month_level = class_month_levels(history, classes)
        base = block_kwh(carried)
        own, _ = without_common(log_ratio(block_kwh(future), base), future.present, classes)
        share = base / np.maximum(base.sum(axis=(1, 2), keepdims=True), SMALL_KWH)
        return cls(
            matrix=design_matrix(history, carried, classes, districts, month_level, weather),
            shapes=load_shapes(history),
            target=np.clip(own, -TARGET_LIMIT, TARGET_LIMIT),
            weight=np.round(share * future.present[:, :, None] * base[0].size, 6),
            order=hash_shares(history.customer_keys, "tariff_matching trees"),
            classes=classes,
        )

    def fit(
        self, customers: BoolArray, months: BoolArray, config: TariffMatchingConfig
    ) -> tuple[xgb.Booster, ShapeGroups]:
        """Fit groups and trees on some customers and months, at most so many customers of each class."""
        chosen: list[int] = []
        for code in np.unique(self.classes):
            members = np.flatnonzero(customers & (self.classes == code))
            in_order = members[np.argsort(self.order[members], kind="stable")]
            chosen += in_order[: config.trees_customers_max_count].tolist()
        rows = np.array(sorted(chosen))
        groups = ShapeGroups.fit(self.shapes[rows], self.classes[rows])
        cells = np.ix_(rows, months)
        weight = self.weight[cells].ravel()
        is_used = weight > 0
        matrix = _with_groups(self.matrix[cells], groups.codes(self.shapes[rows], self.classes[rows]))
        return fit_trees(matrix[is_used], self.target[cells].ravel()[is_used], weight[is_used], config), groups


def _season_ratio(
    months_kwh: FloatArray, mean_month: FloatArray, months: Sequence[date], season: Sequence[int]
) -> FloatArray:
    inside = [index for index, month in enumerate(months) if month.month in season]
    if not inside:
        return np.full(len(months_kwh), np.nan)
    ratio: FloatArray = months_kwh[:, inside].mean(axis=1) / np.maximum(mean_month, SMALL_KWH)
    return ratio


def _workdays(month: date) -> int:
    """Return Mondays to Fridays of a month; holidays of the coming year are not always known."""
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return int(np.busday_count(month, following))
