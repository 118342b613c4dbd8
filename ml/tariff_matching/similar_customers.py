"""Loads of customers whose intervals were never read, estimated from similar customers.

Of a new customer, or one with a monthly meter, at most the energy of the year and of its seasons is known. Hours and
peaks are those of the customers of the same class who were read: the estimate is the class's mean profile at the
customer's own energy, and every scenario is the profile of one of the most similar customers (class, level, season)
together with what happened to that customer in the following year. So the scenarios are as different from each other
as customers of one class are, and their intervals are wider than those of customers who were read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_CLASSES, DAY_TYPES
from ml.splits import add_months
from ml.tariff_matching.blocks import BLOCKS_COUNT, FACTOR_SCALE, block_codes, log_ratio
from ml.tariff_matching.features import FloatArray
from ml.tariff_matching.schema import ANNUAL_ENERGY, CLASS_ONLY
from ml.tariffs.calendar import days_in_month, month_starts
from ml.tariffs.load_cube import LoadCube

SUMMER_MONTHS, WINTER_MONTHS = (6, 7, 8), (12, 1, 2)
LOG_LIMIT = 20.0
_LEVEL_FLOOR_KWH = 1.0
_RATIO_SCALE = 0.3
"""Difference of a seasonal ratio that counts as much as a factor e in energy."""


@dataclass(frozen=True, slots=True)
class KnownOfCustomers:
    """What is known of customers without interval readings, (customers,) each, NaN where it is not.

    Attributes:
        mean_month_kwh: Energy of a mean month.
        summer_ratio: Mean day of June to August over the mean day of the year.
        winter_ratio: Mean day of December to February over the mean day of the year.
    """

    mean_month_kwh: FloatArray
    summer_ratio: FloatArray
    winter_ratio: FloatArray

    @classmethod
    def from_features(cls, features: pd.DataFrame) -> "KnownOfCustomers":
        """Read prepared rows: ``annual_kwh`` is the energy of ``observed_months_count`` months."""
        months = features["observed_months_count"].to_numpy(dtype=np.float64)
        annual = features["annual_kwh"].to_numpy(dtype=np.float64)
        return cls(
            annual / np.where(np.isfinite(months) & (months >= 1), months, 12.0),
            features["summer_ratio"].to_numpy(dtype=np.float64),
            features["winter_ratio"].to_numpy(dtype=np.float64),
        )

    @classmethod
    def from_months(cls, history: LoadCube) -> "KnownOfCustomers":
        """Read what a monthly meter would have said of customers who were read."""
        return cls(
            mean_month_kwh=history.month_kwh().sum(axis=1) / 1e4 / np.maximum(history.present.sum(axis=1), 1),
            summer_ratio=_day_ratio(history, SUMMER_MONTHS),
            winter_ratio=_day_ratio(history, WINTER_MONTHS),
        )

    def take(self, rows: npt.NDArray[np.intp]) -> "KnownOfCustomers":
        """Return some of the customers."""
        return KnownOfCustomers(self.mean_month_kwh[rows], self.summer_ratio[rows], self.winter_ratio[rows])

    def forgotten(self) -> "KnownOfCustomers":
        """Return the same customers as if nothing were known of them."""
        nothing = np.full(len(self.mean_month_kwh), np.nan)
        return KnownOfCustomers(nothing, nothing, nothing)

    def bases(self) -> npt.NDArray[np.object_]:
        """Return ``annual_energy`` or ``class_only`` for every customer."""
        return np.where(np.isfinite(self.mean_month_kwh), ANNUAL_ENERGY, CLASS_ONLY).astype(object)


@dataclass(frozen=True, slots=True)
class SimilarCustomers:
    """Profiles of the customers who were read.

    Attributes:
        class_kwh: Energy of a cell over the energy of the mean month, (classes, calendar months, day types, slots).
        class_peak_kw: Largest power of a cell over the energy of the mean month, same shape.
        class_month_kwh: Median energy of a mean month, (classes,).
        months_known: Calendar months of which there are readings, (12,).
        levels: Log of every donor's mean month over the class's median, (donors,).
        seasons: Summer and winter ratio of every donor, NaN where not read, (donors, 2).
        shapes: Log ratio of a donor's energy by calendar month and block to that of the class, both over the mean
            month, in thousandths, (donors, 12, blocks).
        peak_shapes: The same of the month's largest power, (donors, 12).
    """

    class_kwh: FloatArray
    class_peak_kw: FloatArray
    class_month_kwh: FloatArray
    months_known: npt.NDArray[np.bool_]
    levels: FloatArray
    seasons: FloatArray
    shapes: npt.NDArray[np.int16]
    peak_shapes: npt.NDArray[np.int16]

    @classmethod
    def of(cls, history: LoadCube, classes: npt.NDArray[np.intp]) -> "SimilarCustomers":
        """Collect the profiles of customers who were read; a month that one lacks is as their class's."""
        known = KnownOfCustomers.from_months(history)
        own_level = np.maximum(known.mean_month_kwh, 1e-9)
        slots_count = history.kwh.shape[3]
        shape = (len(CUSTOMER_CLASSES), 12, len(DAY_TYPES), slots_count)
        class_kwh, class_peak, class_month = np.zeros(shape), np.zeros(shape), np.zeros(len(CUSTOMER_CLASSES))
        months_known = np.zeros(12, bool)
        for code in range(len(CUSTOMER_CLASSES)):
            # A class of which nobody was read is as everybody.
            members = np.flatnonzero(classes == code)
            members = members if len(members) else np.arange(len(history))
            class_month[code] = np.median(known.mean_month_kwh[members])
            for position, month in enumerate(history.months):
                read = members[history.present[members, position] & (known.mean_month_kwh[members] > 0)]
                if not len(read):
                    continue
                months_known[month.month - 1] = True
                scale = 1e4 * own_level[read, None, None]
                class_kwh[code, month.month - 1] = (history.kwh[read, position] / scale).mean(axis=0)
                class_peak[code, month.month - 1] = (history.peak_kw[read, position] / scale).mean(axis=0)
            for values in (class_kwh, class_peak):
                filled = months_known if months_known.any() else np.ones(12, bool)
                values[code, ~filled] = values[code, filled].mean(axis=0)
        class_kwh, class_peak = np.round(class_kwh, 9), np.round(class_peak, 9)
        shapes, peak_shapes = _shapes(history, classes, own_level, class_kwh, class_peak)
        levels: FloatArray = np.log(
            (known.mean_month_kwh + _LEVEL_FLOOR_KWH) / (class_month[classes] + _LEVEL_FLOOR_KWH)
        )
        return cls(
            class_kwh=class_kwh,
            class_peak_kw=class_peak,
            class_month_kwh=np.round(class_month, 6),
            months_known=months_known,
            levels=np.asarray(np.round(levels, 6), np.float64),
            seasons=np.asarray(np.round(np.stack([known.summer_ratio, known.winter_ratio], axis=1), 6), np.float64),
            shapes=shapes,
            peak_shapes=peak_shapes,
        )

    def part(self, donors: npt.NDArray[np.intp]) -> "SimilarCustomers":
        """Return the same with some of the donors only."""
        return replace(
            self,
            levels=self.levels[donors],
            seasons=self.seasons[donors],
            shapes=self.shapes[donors],
            peak_shapes=self.peak_shapes[donors],
        )

    @property
    def slot_minutes(self) -> int:
        """Length of a slot of the profiles."""
        return 24 * 60 // int(self.class_kwh.shape[3])

    def estimated_load(
        self,
        keys: Sequence[str],
        classes: npt.NDArray[np.intp],
        known: KnownOfCustomers,
        last_month: date,
        months_count: int,
    ) -> LoadCube:
        """Return the mean profile of the class at the customer's energy, for the months up to ``last_month``."""
        first = add_months(last_month, 1 - months_count)
        months = month_starts(first, last_month)
        of_class = self.class_month_kwh[classes]
        level = np.where(np.isfinite(known.mean_month_kwh), known.mean_month_kwh, of_class)
        numbers = [month.month - 1 for month in months]
        scale = 1e4 * level[:, None, None, None]
        kwh = np.rint(self.class_kwh[classes][:, numbers] * scale).astype(np.int64)
        peak_kw = np.rint(self.class_peak_kw[classes][:, numbers] * scale).astype(np.int64)
        before = [month.month - 1 for month in month_starts(date(first.year, 1, 1), first)[:-1]]
        opening = np.rint(self.class_kwh[classes][:, before] * scale).astype(np.int64).sum(axis=(1, 2, 3))
        return LoadCube.from_arrays(
            np.asarray(keys, dtype=object),
            months,
            kwh=kwh,
            peak_kw=peak_kw,
            slot_minutes=self.slot_minutes,
            opening_kwh=opening,
        )

    def nearest(
        self,
        known: KnownOfCustomers,
        classes: npt.NDArray[np.intp],
        donor_classes: npt.NDArray[np.int8],
        count: int,
    ) -> npt.NDArray[np.intp]:
        """Return the most similar donors of every customer by level and season, of the same class where it has enough.

        Without the energy, donors of all levels are taken, spread evenly from the smallest to the largest.
        """
        count = min(count, len(self.levels))
        donors = np.empty((len(classes), count), np.intp)
        for row, code in enumerate(classes):
            candidates = np.flatnonzero(donor_classes == code)
            if len(candidates) < count:
                candidates = np.arange(len(donor_classes))
            if not np.isfinite(known.mean_month_kwh[row]):
                by_level = candidates[np.argsort(self.levels[candidates], kind="stable")]
                donors[row] = by_level[((np.arange(count) + 0.5) * len(by_level) / count).astype(np.intp)]
                continue
            own = np.log(
                (known.mean_month_kwh[row] + _LEVEL_FLOOR_KWH) / (self.class_month_kwh[code] + _LEVEL_FLOOR_KWH)
            )
            season = np.array([known.summer_ratio[row], known.winter_ratio[row]])
            difference = np.nan_to_num((self.seasons[candidates] - season) / _RATIO_SCALE)
            distance = (self.levels[candidates] - own) ** 2 + (difference**2).sum(axis=1)
            donors[row] = candidates[np.argsort(distance, kind="stable")[:count]]
        return donors

    def log_factors(self, months: Sequence[date]) -> tuple[FloatArray, FloatArray]:
        """Return every donor's log ratio to the class by month and block, and of peaks by month."""
        numbers = [month.month - 1 for month in months]
        return self.shapes[:, numbers] / FACTOR_SCALE, self.peak_shapes[:, numbers] / FACTOR_SCALE


def _shapes(
    history: LoadCube,
    classes: npt.NDArray[np.intp],
    own_level: FloatArray,
    class_kwh: FloatArray,
    class_peak: FloatArray,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    codes = block_codes(history.kwh.shape[3])
    count = len(history)
    shapes, peaks = np.zeros((count, 12, BLOCKS_COUNT)), np.zeros((count, 12))
    of_class = np.stack([class_kwh[:, :, codes == block].sum(axis=2) for block in range(BLOCKS_COUNT)], axis=2)
    class_month_peak = class_peak.max(axis=(2, 3))
    for position, month in enumerate(history.months):
        number = month.month - 1
        own = np.stack([history.kwh[:, position, codes == block].sum(axis=1) for block in range(BLOCKS_COUNT)], axis=1)
        foretold = of_class[classes, number]
        ratio = log_ratio((own / 1e4 / own_level[:, None])[:, None, :], foretold[:, None, :])[:, 0]
        is_read = history.present[:, position]
        shapes[:, number] = np.where(is_read[:, None], ratio, 0.0)
        peak = history.peak_kw[:, position].max(axis=(1, 2)) / 1e4 / own_level
        peak_ratio = np.log((peak + 1e-6) / (class_month_peak[classes, number] + 1e-6))
        peaks[:, number] = np.where(is_read, peak_ratio, 0.0)
    limit = FACTOR_SCALE * LOG_LIMIT
    return (
        np.rint(np.clip(shapes * FACTOR_SCALE, -limit, limit)).astype(np.int16),
        np.rint(np.clip(peaks * FACTOR_SCALE, -limit, limit)).astype(np.int16),
    )


def _day_ratio(history: LoadCube, numbers: Sequence[int]) -> FloatArray:
    """Return the mean day of some calendar months over the mean day of all months read, NaN where none was read."""
    days = np.array([days_in_month(month) for month in history.months]) * history.present
    inside = np.array([month.month in numbers for month in history.months])
    month_kwh = history.month_kwh() / 1e4
    whole = month_kwh.sum(axis=1) / np.maximum(days.sum(axis=1), 1)
    days_inside = days[:, inside].sum(axis=1)
    season = month_kwh[:, inside].sum(axis=1) / np.maximum(days_inside, 1)
    return np.where((days_inside > 0) & (whole > 0), season / np.maximum(whole, 1e-9), np.nan)
