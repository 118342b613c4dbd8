"""Next year's load of every customer, as scenarios: what happened to similar customers happens again.

Three parts. *Carried forward*: the same calendar months of the past year. *Point forecast*: a factor on it by month and
block of hours (see ``point_forecast``). *Surprises*: how the loads of other customers differed from that forecast in
the year that followed, kept whole, so that months, hours and peaks move together as they really do. A customer's
scenarios are the surprises of the most similar customers.

What all customers of a class had in common (the weather of that one year) says how far a year can be off, but not in
which direction the next one will be: it is taken out of every surprise and put back with both signs.

Factors are integers and energies are integers, so a customer's scenarios do not depend on who else is computed with
them.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from ml.columns import CUSTOMER_CLASSES
from ml.errors import BundleError
from ml.tariff_matching.blocks import (
    BLOCKS_COUNT,
    FACTOR_MAX,
    FACTOR_SCALE,
    as_factor,
    block_codes,
    block_kwh,
    class_month_levels,
    descriptors,
    log_ratio,
    without_common,
)
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import FloatArray, IntArray, in_proportion, usable_months, with_energy
from ml.tariff_matching.point_forecast import PointForecast
from ml.tariff_matching.schema import ANNUAL_ENERGY, CLASS_ONLY, READINGS
from ml.tariff_matching.shape_groups import ShapeGroups
from ml.tariff_matching.similar_customers import KnownOfCustomers, SimilarCustomers
from ml.tariff_matching.weather import DistrictWeather
from ml.tariffs.load_cube import LoadCube

SIMILARITY_DESCRIPTORS = (0, 3, 4, 5)
"""Which descriptors say that two customers are alike: size and shape, not last year's trend."""

MONTHS_READ_SHARE_MIN = 0.75
_FLOAT64_EXACT = 2**53
_PRICE, _COMMON_PRICE, _SIMILAR, _WEATHER = "price:", "common_price:", "similar:", "weather:"
SPREAD_BASES = (READINGS, ANNUAL_ENERGY, CLASS_ONLY)
"""Ways in which a load is known that have a calibration of their own."""


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """A fitted forecast.

    Attributes:
        month_level: Log of the class's monthly energy relative to its mean month, (classes, 12 calendar months).
        descriptor_scales: Standard deviations of the descriptors, for distances between customers.
        point: The point forecast.
        last_month: Last month that was learned from.
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
        similar: Profiles of the donors, for customers without interval readings.
        spread: Factor on the distance of every scenario's saving from the median, (load bases, classes), calibrated on
            held-out customers; the load bases are those of ``SPREAD_BASES``.
        bill_spread: The same for the bill on today's offer.
    """

    month_level: FloatArray
    descriptor_scales: FloatArray
    point: PointForecast
    last_month: date
    pair_month_numbers: tuple[int, ...]
    donor_classes: npt.NDArray[np.int8]
    donor_descriptors: FloatArray
    donor_surprises: npt.NDArray[np.int16]
    donor_peak_surprises: npt.NDArray[np.int16]
    common: npt.NDArray[np.int16]
    common_peak: npt.NDArray[np.int16]
    price_surprises: Mapping[str, npt.NDArray[np.int16]]
    common_price: Mapping[str, npt.NDArray[np.int16]]
    similar: SimilarCustomers
    spread: FloatArray
    bill_spread: FloatArray

    def spreads(self, base: str, classes: npt.NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Return the factors of saving and bill for customers of some classes whose load is known in the same way."""
        position = SPREAD_BASES.index(base)
        return self.spread[position, classes], self.bill_spread[position, classes]

    def block_factors(
        self,
        history: LoadCube,
        carried: LoadCube,
        classes: npt.NDArray[np.intp],
        districts: npt.NDArray[np.object_],
    ) -> IntArray:
        """Return the point forecast as a factor on the load carried forward, in thousandths."""
        return self.point.factors(history, carried, classes, districts, self.month_level)

    def scenarios(
        self,
        history: LoadCube,
        carried: LoadCube,
        classes: npt.NDArray[np.intp],
        factors: IntArray,
        config: TariffMatchingConfig,
    ) -> "ScenarioCube":
        """Return the scenarios of every customer: all of the first customer, then all of the second, and so on.

        Args:
            history: The months before the decision.
            carried: The same months of the year carried forward.
            classes: Class of every customer.
            factors: Point forecast, (customers, months, blocks) in thousandths.
            config: Settings.
        """
        base = expected_load(carried, factors)
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

    def estimated_scenarios(
        self,
        carried: LoadCube,
        known: KnownOfCustomers,
        classes: npt.NDArray[np.intp],
        config: TariffMatchingConfig,
    ) -> "ScenarioCube":
        """Return scenarios of customers without interval readings: profiles of similar customers and their surprises.

        Args:
            carried: Estimated loads of the coming months (see ``SimilarCustomers.estimated_load``).
            known: What is known of the customers.
            classes: Class of every customer.
            config: Settings.
        """
        donors = self.similar.nearest(known, classes, self.donor_classes, config.neighbours_count)
        positions = self._month_positions(carried.months)
        shapes, peak_shapes = self.similar.log_factors(carried.months)
        of_class = self.donor_classes
        without_level = np.zeros(len(of_class))
        energy, peaks = [], []
        # The level of a donor counts only where the customer's own is not known.
        for level in (without_level, self.similar.levels):
            energy.append(
                _both_signs(
                    self.donor_surprises[:, positions],
                    self.common[:, positions][of_class],
                    shapes + level[:, None, None],
                )
            )
            peaks.append(
                _both_signs(
                    self.donor_peak_surprises[:, positions],
                    self.common_peak[:, positions][of_class],
                    peak_shapes + level[:, None],
                )
            )
        both_signs = np.concatenate([donors, donors + len(of_class)], axis=1)
        is_level_unknown = ~np.isfinite(known.mean_month_kwh)
        both_signs = both_signs + np.where(is_level_unknown, 2 * len(of_class), 0)[:, None]
        return ScenarioCube.of(carried, both_signs, np.concatenate(energy), np.concatenate(peaks))

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
            "descriptor_scales": self.descriptor_scales,
            "point_name": np.array([self.point.name]),
            "point_trust": np.array([self.point.trust]),
            "point_trees": np.frombuffer(self.point.trees, np.uint8),
            "group_classes": np.array(self.point.groups.classes, np.int64),
            "group_centres": np.array(self.point.groups.centres, np.float64),
            "last_month": np.array([self.last_month], "datetime64[D]").astype(np.int64),
            "pair_month_numbers": np.array(self.pair_month_numbers, np.int64),
            "donor_classes": self.donor_classes,
            "donor_descriptors": self.donor_descriptors,
            "donor_surprises": self.donor_surprises,
            "donor_peak_surprises": self.donor_peak_surprises,
            "common": self.common,
            "common_peak": self.common_peak,
            "spread": self.spread,
            "bill_spread": self.bill_spread,
        }
        arrays |= {f"{_SIMILAR}{one.name}": getattr(self.similar, one.name) for one in fields(SimilarCustomers)}
        arrays |= {f"{_WEATHER}{name}": values for name, values in self.point.weather.to_arrays().items()}
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
            parts = {
                prefix: {
                    name.removeprefix(prefix): values.pop(name) for name in list(values) if name.startswith(prefix)
                }
                for prefix in (_PRICE, _COMMON_PRICE, _SIMILAR, _WEATHER)
            }
            return cls(
                similar=SimilarCustomers(**parts[_SIMILAR]),
                price_surprises=parts[_PRICE],
                common_price=parts[_COMMON_PRICE],
                point=PointForecast(
                    name=str(values.pop("point_name")[0]),
                    trees=values.pop("point_trees").tobytes(),
                    trust=float(values.pop("point_trust")[0]),
                    groups=ShapeGroups(
                        tuple(values.pop("group_classes").tolist()),
                        tuple(tuple(centre) for centre in values.pop("group_centres").tolist()),
                    ),
                    weather=DistrictWeather.from_arrays(parts[_WEATHER]),
                ),
                last_month=values.pop("last_month").astype("datetime64[D]").tolist()[0],
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

    def month_kvarh(self) -> IntArray | None:
        """Return reactive energy per scenario and month in 1e-4 kvarh: in every month the ratio of the base load."""
        kvarh = self.base.kvarh
        if kvarh is None:
            return None
        count = self.donors.shape[1]
        of_base, kwh_of_base = (np.repeat(values, count, axis=0) for values in (kvarh, self.base.month_kwh()))
        return self._cached("month_kvarh", lambda: in_proportion(of_base, kwh_of_base, self.month_kwh()))

    @property
    def is_reactive_metered(self) -> npt.NDArray[np.bool_]:
        """Where reactive energy is known, shape (scenarios, months)."""
        return np.repeat(self.base.is_reactive_metered, self.donors.shape[1], axis=0)

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


def trainable(history: LoadCube, future: LoadCube, config: TariffMatchingConfig) -> npt.NDArray[np.bool_]:
    """Return which customers were read well enough before and after a decision to learn from."""
    before = usable_months(history, config.minimum_coverage_pct).mean(axis=1) >= MONTHS_READ_SHARE_MIN
    after = usable_months(future, config.complete_coverage_pct).mean(axis=1) >= MONTHS_READ_SHARE_MIN
    has_load = (history.month_kwh().sum(axis=1) > 0) & (future.month_kwh().sum(axis=1) > 0)
    return before & after & has_load


def expected_load(carried: LoadCube, factors: IntArray) -> LoadCube:
    """Return the load carried forward times the point forecast.

    Args:
        carried: Same as last year.
        factors: In thousandths, (customers, months, blocks).
    """
    cells = factors[:, :, block_codes(carried.kwh.shape[3])]
    return with_energy(carried, carried.kwh * cells // FACTOR_SCALE, carried.peak_kw * cells // FACTOR_SCALE)


def fit_forecast(
    history: LoadCube,
    carried: LoadCube,
    future: LoadCube,
    classes: npt.NDArray[np.intp],
    config: TariffMatchingConfig,
    *,
    point: PointForecast | None = None,
    factors: IntArray | None = None,
    mean_prices: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
) -> LoadForecast:
    """Learn surprises from customers who were read before and after a decision.

    Args:
        history: Months before.
        carried: The same, carried forward to the months of ``future``.
        future: What really happened.
        classes: Class of every customer.
        config: Settings.
        point: Point forecast for other customers; "same as last year" by default.
        factors: Point forecast of these customers by trees that have not seen them, so that the surprises are as large
            as those of other customers; "same as last year" by default.
        mean_prices: For tariffs that need interval prices: the month's mean price carried forward, and the real one.
    """
    month_level = class_month_levels(history, classes)
    own = descriptors(history, classes, month_level)
    base = carried if factors is None else expected_load(carried, factors)
    surprises = log_ratio(block_kwh(future), block_kwh(base))
    foretold_peak = base.month_peak_kw() / 1e4
    peak_surprises = log_ratio((future.month_peak_kw() / 1e4)[:, :, None], foretold_peak[:, :, None])
    is_read = usable_months(future, config.minimum_coverage_pct)
    surprises, common = without_common(surprises, is_read, classes)
    peak_surprises, common_peak = without_common(peak_surprises, is_read, classes)
    price_surprises, common_price = _price_surprises(mean_prices or {}, is_read)
    return LoadForecast(
        month_level=month_level,
        descriptor_scales=np.round(np.maximum(own.std(axis=0), 1e-3), 6),
        point=point or PointForecast(),
        last_month=future.months[-1],
        pair_month_numbers=tuple(month.month for month in future.months),
        donor_classes=classes.astype(np.int8),
        donor_descriptors=own,
        donor_surprises=_as_thousandths(surprises),
        donor_peak_surprises=_as_thousandths(peak_surprises[:, :, 0]),
        common=_as_thousandths(common),
        common_peak=_as_thousandths(common_peak[:, :, 0]),
        price_surprises=price_surprises,
        common_price=common_price,
        similar=SimilarCustomers.of(history, classes),
        spread=np.ones((len(SPREAD_BASES), len(CUSTOMER_CLASSES))),
        bill_spread=np.ones((len(SPREAD_BASES), len(CUSTOMER_CLASSES))),
    )


def _price_surprises(
    mean_prices: Mapping[str, tuple[FloatArray, FloatArray]], is_read: npt.NDArray[np.bool_]
) -> tuple[dict[str, npt.NDArray[np.int16]], dict[str, npt.NDArray[np.int16]]]:
    """Return own and common surprises of mean prices; the market is common to all classes."""
    own, common = {}, {}
    for tariff_id, (carried, happened) in mean_prices.items():
        is_known = is_read & (carried > 0) & (happened > 0)
        ratio = np.log(np.where(is_known, happened, 1.0) / np.where(is_known, carried, 1.0))
        one_class = np.zeros(len(ratio), np.intp)
        own_part, common_part = without_common(ratio[:, :, None], is_known, one_class)
        own[tariff_id] = _as_thousandths(own_part[:, :, 0])
        common[tariff_id] = _as_thousandths(common_part[0, :, 0])
    return own, common


def _as_thousandths(values: FloatArray) -> npt.NDArray[np.int16]:
    limit = FACTOR_SCALE * np.log(FACTOR_MAX)
    return np.rint(np.clip(values * FACTOR_SCALE, -limit, limit)).astype(np.int16)


def _both_signs(
    own: npt.NDArray[np.int16], common: npt.NDArray[np.int16], further: FloatArray | None = None
) -> IntArray:
    """Return the factors of every surprise with the common part upwards, followed by those with it downwards.

    The pair of common factors has the mean one: what has no known direction must not move an expected bill.

    Args:
        own: The donor's own part, in thousandths.
        common: What its class had in common, in thousandths.
        further: Another log factor of every donor.
    """
    own_part, common_part = own / FACTOR_SCALE, common / FACTOR_SCALE
    if further is not None:
        own_part = own_part + further
    centred = own_part - np.log(np.cosh(common_part))
    return np.concatenate([as_factor(centred + common_part), as_factor(centred - common_part)])


def part_of(forecast: LoadForecast, donors: npt.NDArray[np.intp]) -> LoadForecast:
    """Return the forecast with some of its donors only."""
    return replace(
        forecast,
        donor_classes=forecast.donor_classes[donors],
        donor_descriptors=forecast.donor_descriptors[donors],
        donor_surprises=forecast.donor_surprises[donors],
        donor_peak_surprises=forecast.donor_peak_surprises[donors],
        price_surprises={name: values[donors] for name, values in forecast.price_surprises.items()},
        similar=forecast.similar.part(donors),
    )
