"""Loads by month and block of hours: the grain on which next year's load is foretold.

A block is three hours of the day, on working days or on days off. Finer than that, the difference between two years is
noise of single hours.
"""

import numpy as np
import numpy.typing as npt

from ml.columns import CUSTOMER_CLASSES, DAY_TYPES
from ml.tariff_matching.features import FloatArray, IntArray
from ml.tariffs.load_cube import LoadCube

FACTOR_SCALE = 1_000
"""Factors are held in thousandths."""

FACTOR_MIN, FACTOR_MAX = 0.1, 10.0
BLOCKS_PER_DAY = 8
DAY_GROUPS = 2
BLOCKS_COUNT = DAY_GROUPS * BLOCKS_PER_DAY

SMOOTHING_SHARE = 0.05
"""Share of a mean block that is added to both sides of a ratio, so that a nearly empty block has no wild one."""

MEAN_MONTH_HOURS = 365.25 / 12 * 24
NIGHT_HOURS = (22, 23, 0, 1, 2, 3, 4, 5)
DESCRIPTORS = ("log_month_kwh", "recent_3m", "recent_6m", "night_share", "log_load_factor", "days_off_share")


def block_codes(slots_count: int) -> npt.NDArray[np.intp]:
    """Return the block of every day type and slot, shape (day types, slots)."""
    in_day = np.arange(slots_count) * BLOCKS_PER_DAY // slots_count
    group = np.array([0 if day_type == "workday" else 1 for day_type in DAY_TYPES])
    return group[:, None] * BLOCKS_PER_DAY + in_day[None, :]


def block_kwh(cube: LoadCube) -> FloatArray:
    """Return energy by block in kWh, shape (customers, months, blocks)."""
    codes = block_codes(cube.kwh.shape[3])
    energy = np.empty((len(cube), len(cube.months), BLOCKS_COUNT))
    for block in range(BLOCKS_COUNT):
        energy[:, :, block] = cube.kwh[:, :, codes == block].sum(axis=2) / 1e4
    return energy


def log_ratio(happened: FloatArray, foretold: FloatArray) -> FloatArray:
    """Return the log of happened over foretold energy by month and block, both smoothed by a share of a mean block."""
    smoothing = SMOOTHING_SHARE * foretold.mean(axis=(1, 2), keepdims=True) + 1e-6
    ratio: FloatArray = np.log((happened + smoothing) / (foretold + smoothing))
    return ratio


def as_factor(log_values: FloatArray) -> IntArray:
    """Return the exponential in thousandths, within the limits of a factor."""
    return np.rint(np.clip(np.exp(log_values), FACTOR_MIN, FACTOR_MAX) * FACTOR_SCALE).astype(np.int64)


def class_month_levels(history: LoadCube, classes: npt.NDArray[np.intp]) -> FloatArray:
    """Return the log of every class's mean monthly energy relative to the mean month, zero where a month is unknown."""
    month_kwh = history.month_kwh() / 1e4
    own_mean = (month_kwh * history.present).sum(axis=1) / np.maximum(history.present.sum(axis=1), 1)
    relative = month_kwh / np.maximum(own_mean, 1e-9)[:, None]
    is_known = history.present & (own_mean > 0)[:, None]
    levels = np.zeros((len(CUSTOMER_CLASSES), 12))
    for code in range(len(CUSTOMER_CLASSES)):
        members = classes == code
        for index, month in enumerate(history.months):
            values = relative[members & is_known[:, index], index]
            if len(values):
                levels[code, month.month - 1] = np.log(max(float(values.mean()), 0.05))
    return np.round(levels, 6)


def descriptors(history: LoadCube, classes: npt.NDArray[np.intp], month_level: FloatArray) -> FloatArray:
    """Return what is known of every customer before the decision, one row per customer in the order of DESCRIPTORS."""
    is_read = history.present
    level = month_level[classes][:, [month.month - 1 for month in history.months]]
    # Without its class's season, a month says how the customer stands against the own year. Row by row in memory:
    # sums along a row then have one order, and a customer's figures do not depend on who else is computed.
    adjusted = np.ascontiguousarray(history.month_kwh() / 1e4 / np.exp(level))
    floor = 1.0

    def mean_of_last(months_count: int) -> FloatArray:
        total = (adjusted * is_read)[:, -months_count:].sum(axis=1)
        return total / np.maximum(is_read[:, -months_count:].sum(axis=1), 1)

    whole = mean_of_last(len(history.months))
    recent = [
        np.where(is_read[:, -last:].any(axis=1), np.log((mean_of_last(last) + floor) / (whole + floor)), 0.0)
        for last in (3, 6)
    ]
    slots_count = history.kwh.shape[3]
    is_night = np.isin(np.arange(slots_count) * 24 // slots_count, NIGHT_HOURS)
    is_day_off = np.array([day_type != "workday" for day_type in DAY_TYPES])
    cells = history.kwh.sum(axis=1)
    total = np.maximum(cells.sum(axis=(1, 2)), 1)
    night_share = cells[:, :, is_night].sum(axis=(1, 2)) / total
    days_off_share = cells[:, is_day_off].sum(axis=(1, 2)) / total
    months_read = np.maximum(is_read.sum(axis=1), 1)
    mean_month_kwh = history.month_kwh().sum(axis=1) / months_read / 1e4
    peak_kw = history.month_peak_kw().max(axis=1, initial=0) / 1e4
    load_factor = np.clip(mean_month_kwh / MEAN_MONTH_HOURS / np.maximum(peak_kw, 1e-9), 1e-3, 1.0)
    columns = [np.log(mean_month_kwh + floor), *recent, night_share, np.log(load_factor), days_off_share]
    return np.round(np.stack(columns, axis=1), 6)


def without_common(
    surprises: FloatArray, is_read: npt.NDArray[np.bool_], classes: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Return each customer's own part, and the class's common part (median by month and block)."""
    common = np.zeros((len(CUSTOMER_CLASSES), *surprises.shape[1:]))
    masked = np.where(is_read[:, :, None], surprises, np.nan)
    for code in np.unique(classes):
        members = np.flatnonzero(classes == code)
        for month in range(surprises.shape[1]):
            read = members[is_read[members, month]]
            if len(read):
                common[code, month] = np.median(surprises[read, month], axis=0)
    own = masked - common[classes]
    months_read = np.maximum(is_read.sum(axis=1), 1)[:, None]
    own_mean = np.where(is_read[:, :, None], own, 0.0).sum(axis=1) / months_read
    # A month that was not read deviates as the customer's other months do on average.
    return np.where(is_read[:, :, None], own, own_mean[:, None, :]), common
