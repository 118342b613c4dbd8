"""Next year's load of every customer, as scenarios: what happened to similar customers happens again.

Three parts. *Carried forward*: the same calendar months of the past year. *Growth*: a ridge model of the year-on-year
ratio of a customer's energy, relative to the customer's class. *Surprises*: how the loads of other customers differed
from that forecast in the year that followed, kept whole, so that months, hours and peaks move together as they really
do. A customer's scenarios are the surprises of the most similar customers.

What all customers of a class had in common (the weather of that one year) says how far a year can be off, but not in
which direction the next one will be: it is taken out of every surprise and put back with both signs.

Factors are integers and energies are integers, so a customer's scenarios do not depend on who else is computed with
them.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from ml.columns import CUSTOMER_CLASSES, DAY_TYPES
from ml.errors import BundleError
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import FloatArray, IntArray, usable_months
from ml.tariffs.load_cube import LoadCube

FACTOR_SCALE = 1_000
"""Factors are held in thousandths."""

FACTOR_MIN, FACTOR_MAX = 0.1, 10.0
BLOCKS_PER_DAY = 8
DAY_GROUPS = 2
BLOCKS_COUNT = DAY_GROUPS * BLOCKS_PER_DAY
"""Hours of the day in blocks of three, working days and days off apart: finer surprises are noise of single hours."""

SMOOTHING_SHARE = 0.05
"""Share of a mean block that is added to both sides of a ratio, so that a nearly empty block has no wild one."""

MEAN_MONTH_HOURS = 365.25 / 12 * 24
NIGHT_HOURS = (22, 23, 0, 1, 2, 3, 4, 5)
DESCRIPTORS = ("log_month_kwh", "recent_3m", "recent_6m", "night_share", "log_load_factor", "days_off_share")
SIMILARITY_DESCRIPTORS = (0, 3, 4, 5)
"""Which descriptors say that two customers are alike: size and shape, not last year's trend."""

MONTHS_READ_SHARE_MIN = 0.75
_FLOAT64_EXACT = 2**53
_PRICE, _COMMON_PRICE = "price:", "common_price:"


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """A fitted forecast.

    Attributes:
        month_level: Log of the class's monthly energy relative to its mean month, (classes, 12 calendar months).
        growth_coefficients: Of the standardised descriptors, for the log of the year-on-year ratio.
        descriptor_means: For standardising.
        descriptor_scales: For standardising.
        uses_growth: Whether the growth model was better than none on customers that it had not seen.
        pair_month_numbers: Calendar months of the surprises, in the order of their axis.
        donor_classes: Class of every donor.
        donor_descriptors: Descriptors of every donor.
        donor_surprises: Log ratio of energy to forecast, common part removed, in thousandths, (donors, months, blocks).
        donor_peak_surprises: The same of the month's largest demand, (donors, months).
        common: The common part, in thousandths, (classes, months, blocks).
        common_peak: The same of demand, (classes, months).
        price_surprises: For tariffs that need interval prices: log ratio of the month's mean price to the one carried
            forward, own part of every donor, in thousandths, (donors, months) by tariff.
        common_price: The common part of it, (months,) by tariff.
        spread: Factor on the distance of every scenario from the median, by class, calibrated on held-out customers.
    """

    month_level: FloatArray
    growth_coefficients: FloatArray
    descriptor_means: FloatArray
    descriptor_scales: FloatArray
    uses_growth: bool
    pair_month_numbers: tuple[int, ...]
    donor_classes: npt.NDArray[np.int8]
    donor_descriptors: FloatArray
    donor_surprises: npt.NDArray[np.int16]
    donor_peak_surprises: npt.NDArray[np.int16]
    common: npt.NDArray[np.int16]
    common_peak: npt.NDArray[np.int16]
    price_surprises: Mapping[str, npt.NDArray[np.int16]]
    common_price: Mapping[str, npt.NDArray[np.int16]]
    spread: FloatArray

    def with_spread(self, spread: FloatArray) -> "LoadForecast":
        """Return the forecast with another calibration of its scenarios."""
        return replace(self, spread=spread)

    def growth(self, history: LoadCube, classes: npt.NDArray[np.intp]) -> IntArray:
        """Return the year-on-year factor of every customer, in thousandths."""
        if not self.uses_growth:
            return np.full(len(history), FACTOR_SCALE, np.int64)
        return _as_factor(self._log_growth(descriptors(history, classes, self.month_level)))

    def _log_growth(self, customer_descriptors: FloatArray) -> FloatArray:
        standardised = (customer_descriptors - self.descriptor_means) / self.descriptor_scales
        # A sum along each row, not a matrix product: the same bits whatever the number of rows.
        return np.clip((standardised * self.growth_coefficients).sum(axis=1), -0.7, 0.7)

    def scenarios(
        self, history: LoadCube, carried: LoadCube, classes: npt.NDArray[np.intp], config: TariffMatchingConfig
    ) -> "ScenarioCube":
        """Return the scenarios of every customer: all of the first customer, then all of the second, and so on.

        Args:
            history: The months before the decision.
            carried: The same months of the year carried forward.
            classes: Class of every customer.
            config: Settings.
        """
        growth = self.growth(history, classes)
        base = replace(
            carried,
            kwh=carried.kwh * growth[:, None, None, None] // FACTOR_SCALE,
            peak_kw=carried.peak_kw * growth[:, None, None, None] // FACTOR_SCALE,
            _cache={},
        )
        donors = self.nearest_donors(descriptors(history, classes, self.month_level), classes, config.neighbours_count)
        positions = self._month_positions(carried.months)
        classes_of_donors = self.donor_classes
        energy_factors = _both_signs(self.donor_surprises[:, positions], self.common[:, positions][classes_of_donors])
        peak_factors = _both_signs(
            self.donor_peak_surprises[:, positions], self.common_peak[:, positions][classes_of_donors]
        )
        price_factors = {
            tariff_id: _both_signs(own[:, positions], self.common_price[tariff_id][positions])
            for tariff_id, own in self.price_surprises.items()
        }
        both_signs = np.concatenate([donors, donors + len(self.donor_classes)], axis=1)
        return ScenarioCube.of(base, both_signs, energy_factors, peak_factors, price_factors)

    def nearest_donors(
        self, customer_descriptors: FloatArray, classes: npt.NDArray[np.intp], count: int
    ) -> npt.NDArray[np.intp]:
        """Return the most similar donors of every customer, of the same class where it has enough."""
        chosen = list(SIMILARITY_DESCRIPTORS)
        scales = self.descriptor_scales[chosen]
        own = customer_descriptors[:, chosen] / scales
        others = self.donor_descriptors[:, chosen] / scales
        count = min(count, len(others))
        donors = np.empty((len(own), count), np.intp)
        for code in np.unique(classes):
            candidates = np.flatnonzero(self.donor_classes == code)
            if len(candidates) < count:
                candidates = np.arange(len(others))
            rows = np.flatnonzero(classes == code)
            for start in range(0, len(rows), 500):
                part = rows[start : start + 500]
                distances = ((own[part, None, :] - others[None, candidates, :]) ** 2).sum(axis=2)
                order = np.argsort(distances, axis=1, kind="stable")[:, :count]
                donors[part] = candidates[order]
        return donors

    def _month_positions(self, months: Sequence[date]) -> list[int]:
        """Return which month of the surprises stands for each month; without the same calendar month, in turn."""
        numbers = list(self.pair_month_numbers)
        return [
            numbers.index(month.month) if month.month in numbers else position % len(numbers)
            for position, month in enumerate(months)
        ]

    def to_npz(self) -> bytes:
        """Return the forecast as bytes that depend on it only."""
        arrays: dict[str, np.ndarray] = {
            "month_level": self.month_level,
            "growth_coefficients": self.growth_coefficients,
            "descriptor_means": self.descriptor_means,
            "descriptor_scales": self.descriptor_scales,
            "uses_growth": np.array([self.uses_growth]),
            "pair_month_numbers": np.array(self.pair_month_numbers, np.int64),
            "donor_classes": self.donor_classes,
            "donor_descriptors": self.donor_descriptors,
            "donor_surprises": self.donor_surprises,
            "donor_peak_surprises": self.donor_peak_surprises,
            "common": self.common,
            "common_peak": self.common_peak,
            "spread": self.spread,
        }
        arrays |= {f"{_PRICE}{tariff_id}": values for tariff_id, values in self.price_surprises.items()}
        arrays |= {f"{_COMMON_PRICE}{tariff_id}": values for tariff_id, values in self.common_price.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, data: bytes) -> "LoadForecast":
        """Load a forecast; nothing in the file can run code.

        Raises:
            BundleError: The bytes are not a forecast.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                values: dict[str, np.ndarray] = {name: arrays[name] for name in arrays.files}
            by_tariff = {
                prefix: {
                    name.removeprefix(prefix): values.pop(name) for name in list(values) if name.startswith(prefix)
                }
                for prefix in (_PRICE, _COMMON_PRICE)
            }
            return cls(
                price_surprises=by_tariff[_PRICE],
                common_price=by_tariff[_COMMON_PRICE],
                uses_growth=bool(values.pop("uses_growth")[0]),
                pair_month_numbers=tuple(int(number) for number in values.pop("pair_month_numbers")),
                **values,
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise BundleError(f"the load forecast of the bundle cannot be read: {error}") from error


class ScenarioCube(LoadCube):
    """Many scenarios of many customers, as loads that are never written out.

    Every sum over slots that a tariff asks for is computed from the customer's base load by blocks and the block
    factors of the scenario. The arrays of single slots are not filled; pricing asks for sums only.
    """

    base: LoadCube
    donors: npt.NDArray[np.intp]
    energy_factors: IntArray
    peak_factors: IntArray
    interval_price_factors: Mapping[str, IntArray]

    @classmethod
    def of(
        cls,
        base: LoadCube,
        donors: npt.NDArray[np.intp],
        energy_factors: IntArray,
        peak_factors: IntArray,
        interval_price_factors: Mapping[str, IntArray] | None = None,
    ) -> "ScenarioCube":
        """Build the scenarios.

        Args:
            base: The expected load of every customer.
            donors: Rows of the factors, (customers, scenarios).
            energy_factors: In thousandths, (rows, months, blocks).
            peak_factors: In thousandths, (rows, months).
            interval_price_factors: By tariff that needs interval prices, in thousandths, (rows, months).
        """
        scenarios_count = donors.shape[1]
        shape = (donors.size, *base.kwh.shape[1:])
        empty = np.broadcast_to(np.zeros((), np.int64), shape)
        cube = cls(
            customer_keys=np.repeat(base.customer_keys, scenarios_count),
            months=base.months,
            slot_minutes=base.slot_minutes,
            kwh=empty,
            peak_kw=empty,
            present=np.repeat(base.present, scenarios_count, axis=0),
            interval_count=np.repeat(base.interval_count, scenarios_count, axis=0),
            expected_interval_count=np.repeat(base.expected_interval_count, scenarios_count, axis=0),
            opening_kwh=None if base.opening_kwh is None else np.repeat(base.opening_kwh, scenarios_count),
        )
        for name, value in (
            ("base", base),
            ("donors", donors),
            ("energy_factors", energy_factors),
            ("peak_factors", peak_factors),
            ("interval_price_factors", interval_price_factors or {}),
        ):
            object.__setattr__(cube, name, value)
        return cube

    def with_months(self, months: tuple[date, ...]) -> "ScenarioCube":
        """Return the same scenarios as if they belonged to other months."""
        moved = ScenarioCube.of(
            replace(self.base, months=months),
            self.donors,
            self.energy_factors,
            self.peak_factors,
            self.interval_price_factors,
        )
        # Sums over slots do not depend on the date, so what was computed stays valid.
        moved._cache.update(self._cache)
        return moved

    def with_keys(self, keys: npt.NDArray[np.object_]) -> "ScenarioCube":
        """Return the same scenarios under other keys, one per scenario."""
        renamed = self.with_months(self.months)
        object.__setattr__(renamed, "customer_keys", keys)
        return renamed

    def month_kwh(self) -> IntArray:
        """Return energy per scenario and month in 1e-4 kWh."""
        codes = np.zeros((len(self.months), *self.base.kwh.shape[2:]), np.int8)
        return self._cached("month_kwh", lambda: self.period_kwh(codes, 1)[:, :, 0])

    def period_kwh(self, codes: npt.NDArray[np.int8], period_count: int) -> IntArray:
        """Return energy per scenario, month and period in 1e-4 kWh."""

        def sums() -> IntArray:
            energy = np.empty((len(self), len(self.months), period_count), np.int64)
            blocks = block_codes(self.base.kwh.shape[3]).ravel()
            for index in range(len(self.months)):
                cell = blocks * period_count + codes[index].ravel()
                membership = np.zeros((cell.size, BLOCKS_COUNT * period_count))
                membership[np.arange(cell.size), cell] = 1.0
                base = self.base.kwh[:, index].reshape(len(self.base), -1)
                by_block = base.astype(np.float64) @ membership
                by_block = by_block.reshape(len(self.base), BLOCKS_COUNT, period_count)
                factors = self.energy_factors[self.donors, index]
                largest = float(by_block.sum(axis=(1, 2)).max(initial=0.0)) * float(factors.max(initial=0))
                if largest >= _FLOAT64_EXACT:
                    # Slower, but exact where products no longer fit into a float64.
                    scaled = np.einsum("nsb,nbp->nsp", factors, by_block.astype(np.int64))
                else:
                    scaled = (factors.astype(np.float64) @ by_block).astype(np.int64)
                energy[:, index] = (scaled // FACTOR_SCALE).reshape(-1, period_count)
            return energy

        return self._cached(("period_kwh", codes.tobytes(), period_count), sums)

    def month_peak_kw(self) -> IntArray:
        """Return the largest demand per scenario and month in 1e-4 kW."""
        return self._cached("month_peak_kw", lambda: self._scaled_peaks(self.base.month_peak_kw()))

    def period_peak_kw(self, is_in_period: npt.NDArray[np.bool_]) -> IntArray:
        """Return the largest demand in the given slots per scenario and month in 1e-4 kW."""
        return self._cached(
            ("period_peak_kw", is_in_period.tobytes()),
            lambda: self._scaled_peaks(self.base.period_peak_kw(is_in_period)),
        )

    def price_factors(self, tariff_id: str) -> FloatArray:
        """Return the factor on a tariff's mean price per interval, (customers, scenarios, months)."""
        factors = self.interval_price_factors.get(tariff_id)
        if factors is None:
            return np.ones((*self.donors.shape, len(self.months)))
        return factors[self.donors] / FACTOR_SCALE

    def _scaled_peaks(self, peaks: IntArray) -> IntArray:
        scaled = peaks[:, None, :] * self.peak_factors[self.donors] // FACTOR_SCALE
        return scaled.reshape(len(self), len(self.months))


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


def trainable(history: LoadCube, future: LoadCube, config: TariffMatchingConfig) -> npt.NDArray[np.bool_]:
    """Return which customers were read well enough before and after a decision to learn from."""
    before = usable_months(history, config.minimum_coverage_pct).mean(axis=1) >= MONTHS_READ_SHARE_MIN
    after = usable_months(future, config.complete_coverage_pct).mean(axis=1) >= MONTHS_READ_SHARE_MIN
    has_load = (history.month_kwh().sum(axis=1) > 0) & (future.month_kwh().sum(axis=1) > 0)
    return before & after & has_load


def fit_forecast(
    history: LoadCube,
    carried: LoadCube,
    future: LoadCube,
    classes: npt.NDArray[np.intp],
    config: TariffMatchingConfig,
    *,
    uses_growth: bool = True,
    mean_prices: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
) -> LoadForecast:
    """Learn growth and surprises from customers who were read before and after a decision.

    Args:
        history: Months before.
        carried: The same, carried forward to the months of ``future``.
        future: What really happened.
        classes: Class of every customer.
        config: Settings.
        uses_growth: Whether to use the growth model at all.
        mean_prices: For tariffs that need interval prices: the month's mean price carried forward, and the real one.
    """
    month_level = class_month_levels(history, classes)
    own = descriptors(history, classes, month_level)
    means = np.round(own.mean(axis=0), 6)
    scales = np.round(np.maximum(own.std(axis=0), 1e-3), 6)
    target = annual_log_ratio(carried, future, classes)
    standardised = (own - means) / scales
    penalty = config.ridge_penalty * np.eye(own.shape[1])
    solved: FloatArray = np.linalg.solve(standardised.T @ standardised + penalty, standardised.T @ target)
    # Rounded, so that the last bits of the linear algebra library do not reach the bundle.
    coefficients = np.round(solved, 6) if uses_growth else np.zeros_like(solved)
    forecast = LoadForecast(
        month_level=month_level,
        growth_coefficients=coefficients,
        descriptor_means=means,
        descriptor_scales=scales,
        uses_growth=uses_growth,
        pair_month_numbers=tuple(month.month for month in future.months),
        donor_classes=classes.astype(np.int8),
        donor_descriptors=own,
        donor_surprises=np.zeros((len(own), len(future.months), BLOCKS_COUNT), np.int16),
        donor_peak_surprises=np.zeros((len(own), len(future.months)), np.int16),
        common=np.zeros((len(CUSTOMER_CLASSES), len(future.months), BLOCKS_COUNT), np.int16),
        common_peak=np.zeros((len(CUSTOMER_CLASSES), len(future.months)), np.int16),
        price_surprises={},
        common_price={},
        spread=np.ones(len(CUSTOMER_CLASSES)),
    )
    growth = forecast.growth(history, classes) / FACTOR_SCALE
    foretold = block_kwh(carried) * growth[:, None, None]
    happened = block_kwh(future)
    smoothing = SMOOTHING_SHARE * foretold.mean(axis=(1, 2), keepdims=True) + 1e-6
    surprises = np.log((happened + smoothing) / (foretold + smoothing))
    foretold_peak = carried.month_peak_kw() / 1e4 * growth[:, None]
    peak_smoothing = SMOOTHING_SHARE * foretold_peak.mean(axis=1, keepdims=True) + 1e-6
    peak_surprises = np.log((future.month_peak_kw() / 1e4 + peak_smoothing) / (foretold_peak + peak_smoothing))
    is_read = usable_months(future, config.minimum_coverage_pct)
    surprises, common = _without_common(surprises, is_read, classes)
    peak_surprises, common_peak = _without_common(peak_surprises[:, :, None], is_read, classes)
    price_surprises, common_price = _price_surprises(mean_prices or {}, is_read)
    return replace(
        forecast,
        price_surprises=price_surprises,
        common_price=common_price,
        donor_surprises=_as_thousandths(surprises),
        donor_peak_surprises=_as_thousandths(peak_surprises[:, :, 0]),
        common=_as_thousandths(common),
        common_peak=_as_thousandths(common_peak[:, :, 0]),
    )


def annual_log_ratio(carried: LoadCube, future: LoadCube, classes: npt.NDArray[np.intp]) -> FloatArray:
    """Return the log of what happened over what was carried forward, months read only, less the class's median."""
    is_read = future.present
    happened = (future.month_kwh() * is_read).sum(axis=1) / 1e4
    expected = (carried.month_kwh() * is_read).sum(axis=1) / 1e4
    ratio = np.clip(np.log((happened + 1.0) / (expected + 1.0)), -1.5, 1.5)
    for code in np.unique(classes):
        ratio[classes == code] -= np.median(ratio[classes == code])
    return ratio


def _without_common(
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


def _price_surprises(
    mean_prices: Mapping[str, tuple[FloatArray, FloatArray]], is_read: npt.NDArray[np.bool_]
) -> tuple[dict[str, npt.NDArray[np.int16]], dict[str, npt.NDArray[np.int16]]]:
    """Return own and common surprises of mean prices; the market is common to all classes."""
    own, common = {}, {}
    for tariff_id, (carried, happened) in mean_prices.items():
        is_known = is_read & (carried > 0) & (happened > 0)
        ratio = np.log(np.where(is_known, happened, 1.0) / np.where(is_known, carried, 1.0))
        one_class = np.zeros(len(ratio), np.intp)
        own_part, common_part = _without_common(ratio[:, :, None], is_known, one_class)
        own[tariff_id] = _as_thousandths(own_part[:, :, 0])
        common[tariff_id] = _as_thousandths(common_part[0, :, 0])
    return own, common


def _as_thousandths(values: FloatArray) -> npt.NDArray[np.int16]:
    limit = FACTOR_SCALE * np.log(FACTOR_MAX)
    return np.rint(np.clip(values * FACTOR_SCALE, -limit, limit)).astype(np.int16)


def _both_signs(own: npt.NDArray[np.int16], common: npt.NDArray[np.int16]) -> IntArray:
    """Return the factors of every surprise with the common part upwards, followed by those with it downwards.

    The pair of common factors has the mean one: what has no known direction must not move an expected bill.
    """
    own_part, common_part = own / FACTOR_SCALE, common / FACTOR_SCALE
    centred = own_part - np.log(np.cosh(common_part))
    return np.concatenate([_as_factor(centred + common_part), _as_factor(centred - common_part)])


def _as_factor(log_values: FloatArray) -> IntArray:
    return np.rint(np.clip(np.exp(log_values), FACTOR_MIN, FACTOR_MAX) * FACTOR_SCALE).astype(np.int64)


def part_of(forecast: LoadForecast, donors: npt.NDArray[np.intp]) -> LoadForecast:
    """Return the forecast with some of its donors only."""
    return replace(
        forecast,
        donor_classes=forecast.donor_classes[donors],
        donor_descriptors=forecast.donor_descriptors[donors],
        donor_surprises=forecast.donor_surprises[donors],
        donor_peak_surprises=forecast.donor_peak_surprises[donors],
        price_surprises={name: values[donors] for name, values in forecast.price_surprises.items()},
    )


def spread_by_class(values: Mapping[str, float]) -> FloatArray:
    """Return spreads in the order of ``CUSTOMER_CLASSES``, one where none was calibrated."""
    return np.array([values.get(name, 1.0) for name in CUSTOMER_CLASSES])
