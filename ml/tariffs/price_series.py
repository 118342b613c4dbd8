"""Prices that a time series gives for every interval: band names, or numbers in a formula, summed exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

import numpy as np
import pandas as pd
import polars as pl

from ml.columns import CUSTOMER_KEY
from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, IntArray, Money, multiply, to_scaled
from ml.tariffs.load_cube import LoadCube, local_readings, to_polars, utc_column
from ml.tariffs.schema import EnergySeriesComponent, Tariff

_ONE_FACTOR = 10**FACTOR_DECIMALS
_REST_SPLIT = 10**7  # rests of 10**11 intervals add up within 64 bits


@dataclass(frozen=True, slots=True)
class SeriesSum:
    """Energy and exact money of one band, or of all intervals of a price series."""

    period: str
    energy: IntArray
    price: IntArray | None
    amount: Money


def series_sums(
    component: EnergySeriesComponent,
    readings: pd.DataFrame | pl.DataFrame,
    time_zone: str,
    cube: LoadCube,
    series: Mapping[str, pd.DataFrame | pl.DataFrame],
    tariff: Tariff,
) -> list[SeriesSum]:
    """Return what a component charges, per band or for all intervals of a price series.

    Args:
        component: The component.
        readings: See ``LoadCube.from_intervals``.
        time_zone: IANA name of the tariff's zone.
        cube: Made from the same readings; gives the order of customers and months.
        series: Tables ``read_at`` and ``value`` by name.
        tariff: To which the component belongs.

    Raises:
        TariffError: The series is missing, has two values for one instant, or none for an instant that was read.
    """
    where = f"{tariff.tariff_id}: {component.name}: series `{component.series}`"
    values = _values(component, series, where)
    if values.get_column("read_at").is_duplicated().any():
        raise TariffError(f"{where} has two values for one instant")
    joined = local_readings(readings, time_zone).join(values, on="read_at", how="left")
    gaps = joined.filter(pl.col("value").is_null()).get_column("read_at")
    if len(gaps):
        raise TariffError(f"{where} has no value for {gaps.sort()[0]} and {gaps.n_unique() - 1} other instants read")
    joined = joined.with_columns(
        customer=pl.col(CUSTOMER_KEY).cast(pl.Enum(list(cube.customer_keys))).to_physical().cast(pl.Int64),
        month=(pl.col("local_at").dt.year().cast(pl.Int64) - cube.months[0].year) * 12
        + pl.col("local_at").dt.month().cast(pl.Int64)
        - cube.months[0].month,
    )
    shape = (len(cube), len(cube.months))
    if component.bands is not None:
        found = joined.get_column("value").cast(pl.String).unique().to_list()
        unknown = sorted(set(found) - set(component.bands))
        if unknown:
            raise TariffError(f"{where} holds band `{unknown[0]}`, which has no price in `bands`")
        sums = []
        for band, price in component.bands.items():
            in_band = joined.filter(pl.col("value").cast(pl.String) == band)
            energy = _dense(in_band.group_by("customer", "month").agg(pl.col("kwh").sum()), "kwh", shape)
            prices = np.full(shape[1], to_scaled(price, PRICE_DECIMALS), np.int64)
            sums.append(SeriesSum(band, energy, prices, multiply(energy, prices, tariff.rounding.decimals)))
        return sums
    prices = _formula_prices(component, joined.get_column("value"))
    amount = multiply(joined.get_column("kwh").to_numpy(), prices, tariff.rounding.decimals)
    part = (
        joined.with_columns(
            units=pl.Series(amount.units),
            rest_high=pl.Series(amount.rest // _REST_SPLIT),
            rest_low=pl.Series(amount.rest % _REST_SPLIT),
        )
        .group_by("customer", "month")
        .agg(pl.col("kwh", "units", "rest_high", "rest_low").sum())
    )
    high, low = _dense(part, "rest_high", shape), _dense(part, "rest_low", shape)
    head = 10**amount.rest_decimals // _REST_SPLIT
    high = high + low // _REST_SPLIT
    rest = (high % head) * _REST_SPLIT + low % _REST_SPLIT
    money = Money(_dense(part, "units", shape) + high // head, rest, amount.rest_decimals)
    return [SeriesSum(ALL_PERIODS, _dense(part, "kwh", shape), None, money)]


def _values(
    component: EnergySeriesComponent, series: Mapping[str, pd.DataFrame | pl.DataFrame], where: str
) -> pl.DataFrame:
    """Return ``read_at`` and ``value`` of the series that was given, or else of the one in the tariff."""
    if component.series in series:
        given = to_polars(series[component.series])
        return given.select(utc_column(given, "read_at"), "value")
    if component.values is None:
        raise TariffError(f"{where} is missing; it was given {', '.join(series) or 'no series'}")
    own = component.values
    read_at = pl.datetime_range(
        own.starts_at.astimezone(UTC),
        own.ends_at.astimezone(UTC),
        f"{own.interval_minutes}m",
        closed="left",
        time_unit="us",
        time_zone="UTC",
        eager=True,
    )
    return pl.DataFrame({"read_at": read_at, "value": own.values})


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
    customer, month, value = (part.get_column(column).to_numpy() for column in ("customer", "month", name))
    values[customer, month] = value
    return values
