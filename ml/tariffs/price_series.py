"""Prices that a time series gives for every interval: band names, or numbers in a formula, summed exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pandas as pd
import polars as pl

from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, IntArray, Money, multiply, to_scaled
from ml.tariffs.load_cube import to_polars, utc_column
from ml.tariffs.priced_load import PricedLoad
from ml.tariffs.schema import EnergySeriesComponent, Tariff

_ONE_FACTOR = 10**FACTOR_DECIMALS
_REST_SPLIT = 10**7  # rests of 10**11 intervals add up within 64 bits


@dataclass(frozen=True, slots=True)
class SeriesSum:
    """Energy and exact money of one band, of all intervals of a price series, or of a cover.

    Attributes:
        period: Band, or ``all``.
        energy: In 1e-4 kWh, shape (customers, windows).
        price: In 1e-8 per kWh, shape (windows,); None where every interval has its own.
        factor: In 1e-4, where a cover takes a share of the energy.
        amount: Money.
        part: ``cover`` or ``spot`` where a cover splits the energy.
    """

    period: str
    energy: IntArray
    price: IntArray | None
    factor: IntArray | None
    amount: Money
    part: str | None = None


def series_sums(
    component: EnergySeriesComponent,
    load: PricedLoad,
    series: Mapping[str, pd.DataFrame | pl.DataFrame],
    tariff: Tariff,
) -> list[SeriesSum]:
    """Return what a component charges, per band or for all intervals of a price series.

    Args:
        component: The component.
        load: Made from readings.
        series: Tables ``read_at`` and ``value`` by name.
        tariff: To which the component belongs.

    Raises:
        TariffError: The series is missing, has two values for one instant, or none for an instant that was read.
    """
    where = f"{tariff.tariff_id}: {component.name}: series `{component.series}`"
    if load.readings is None or int(load.cube.kwh.sum()) != load.readings.frame.get_column("kwh").sum():
        raise TariffError(f"{where} prices the intervals as they were read; use price_intervals without scaling")
    interval_minutes = load.readings.interval_minutes
    values = _values(component, series, interval_minutes, where)
    if values.get_column("read_at").is_duplicated().any():
        raise TariffError(f"{where} has two values for one instant")
    closest = values.get_column("read_at").sort().diff().dt.total_minutes().min()
    if isinstance(closest, int) and closest < interval_minutes:
        raise TariffError(
            f"{where} has a value every {closest} minutes, so readings of {interval_minutes} minutes do not say how "
            "much energy each value prices; give readings at least as fine"
        )
    joined = load.readings.frame.join(values, on="read_at", how="left")
    gaps = joined.filter(pl.col("value").is_null()).get_column("read_at")
    if len(gaps):
        raise TariffError(f"{where} has no value for {gaps.sort()[0]} and {gaps.n_unique() - 1} other instants read")
    joined = joined.with_columns(window=pl.Series(load.window_of_part[joined.get_column("part").to_numpy()]))
    if component.bands is not None:
        return _band_sums(component, joined, load.shape, where, tariff)
    energy, spot = _spot_sum(component, joined, load.shape, tariff)
    if component.cover_share is None or component.cover_price is None:
        return [SeriesSum(ALL_PERIODS, energy, None, None, spot)]
    share = to_scaled(component.cover_share, FACTOR_DECIMALS)
    price = np.full(load.shape[1], to_scaled(component.cover_price, PRICE_DECIMALS), np.int64)
    cover = np.full(load.shape, share, np.int64)
    covered = multiply(energy, price, tariff.rounding.decimals, factor=cover)
    return [
        SeriesSum(ALL_PERIODS, energy, price, cover, covered, "cover"),
        SeriesSum(ALL_PERIODS, energy, None, _ONE_FACTOR - cover, spot, "spot"),
    ]


def _band_sums(
    component: EnergySeriesComponent, joined: pl.DataFrame, shape: tuple[int, int], where: str, tariff: Tariff
) -> list[SeriesSum]:
    bands = component.bands or {}
    unknown = sorted(set(joined.get_column("value").cast(pl.String).unique().to_list()) - set(bands))
    if unknown:
        raise TariffError(f"{where} holds band `{unknown[0]}`, which has no price in `bands`")
    sums = []
    for band, price in bands.items():
        in_band = joined.filter(pl.col("value").cast(pl.String) == band)
        energy = _dense(in_band.group_by("customer", "window").agg(pl.col("kwh").sum()), "kwh", shape)
        prices = np.full(shape[1], to_scaled(price, PRICE_DECIMALS), np.int64)
        sums.append(SeriesSum(band, energy, prices, None, multiply(energy, prices, tariff.rounding.decimals)))
    return sums


def _spot_sum(
    component: EnergySeriesComponent, joined: pl.DataFrame, shape: tuple[int, int], tariff: Tariff
) -> tuple[IntArray, Money]:
    """Return energy and exact money over all intervals of a window, the money for the share that is not covered."""
    prices = _formula_prices(component, joined.get_column("value"))
    share = None
    if component.cover_share is not None:
        share = np.full(len(prices), _ONE_FACTOR - to_scaled(component.cover_share, FACTOR_DECIMALS), np.int64)
    amount = multiply(joined.get_column("kwh").to_numpy(), prices, tariff.rounding.decimals, factor=share)
    part = (
        joined.with_columns(
            units=pl.Series(amount.units),
            rest_high=pl.Series(amount.rest // _REST_SPLIT),
            rest_low=pl.Series(amount.rest % _REST_SPLIT),
        )
        .group_by("customer", "window")
        .agg(pl.col("kwh", "units", "rest_high", "rest_low").sum())
    )
    high, low = _dense(part, "rest_high", shape), _dense(part, "rest_low", shape)
    head = 10**amount.rest_decimals // _REST_SPLIT
    high = high + low // _REST_SPLIT
    rest = (high % head) * _REST_SPLIT + low % _REST_SPLIT
    units = _dense(part, "units", shape) + high // head
    return _dense(part, "kwh", shape), Money.of_parts(units, rest, tariff.rounding.decimals)


def _values(
    component: EnergySeriesComponent,
    series: Mapping[str, pd.DataFrame | pl.DataFrame],
    interval_minutes: int,
    where: str,
) -> pl.DataFrame:
    """Return ``read_at`` and ``value`` of the series that was given, or else of the one in the tariff.

    A value of the tariff that holds for several intervals is repeated for each.
    """
    if component.series in series:
        given = to_polars(series[component.series])
        return given.select(utc_column(given, "read_at"), "value")
    if component.values is None:
        raise TariffError(f"{where} is missing; it was given {', '.join(series) or 'no series'}")
    own = component.values
    repeats, remainder = divmod(own.interval_minutes, interval_minutes)
    if remainder and repeats:
        raise TariffError(
            f"{where} has a value every {own.interval_minutes} minutes, which readings of {interval_minutes} minutes "
            "do not divide"
        )
    step = interval_minutes if repeats else own.interval_minutes
    read_at = pl.datetime_range(
        own.starts_at.astimezone(UTC),
        own.ends_at.astimezone(UTC),
        f"{step}m",
        closed="left",
        time_unit="us",
        time_zone="UTC",
        eager=True,
    )
    return pl.DataFrame({"read_at": read_at, "value": [value for value in own.values for _ in range(max(repeats, 1))]})


def _formula_prices(component: EnergySeriesComponent, values: pl.Series) -> IntArray:
    """Return ``multiplier * value + adder`` within floor and cap in 1e-8, products rounded half up to that."""
    scaled = np.rint(values.cast(pl.Float64).to_numpy() * 10**PRICE_DECIMALS).astype(np.int64)
    prices = (scaled * to_scaled(component.multiplier, FACTOR_DECIMALS) + _ONE_FACTOR // 2) // _ONE_FACTOR
    prices = prices + to_scaled(component.adder, PRICE_DECIMALS)
    if component.floor is not None:
        prices = np.maximum(prices, to_scaled(component.floor, PRICE_DECIMALS))
    if component.cap is not None:
        prices = np.minimum(prices, to_scaled(component.cap, PRICE_DECIMALS))
    return prices


def _dense(part: pl.DataFrame, name: str, shape: tuple[int, int]) -> IntArray:
    values = np.zeros(shape, np.int64)
    customer, window, value = (part.get_column(column).to_numpy() for column in ("customer", "window", name))
    values[customer, window] = value
    return values
