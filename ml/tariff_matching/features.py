"""Inputs of tariff matching: who the customers are, and their loads cut to the months around a decision.

A window holds the same months for every customer; a month that a customer lacks is marked absent instead of shifting
anything. Every figure of a customer depends on the customer's own rows alone, which makes a single request and a batch
give the same answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from ml.columns import AS_OF_MONTH, CUSTOMER_CLASSES, CUSTOMER_KEY, DAY_TYPES, Column, by_name, names
from ml.errors import SchemaMismatchError
from ml.splits import add_months, month_start
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.schema import FEATURES
from ml.tariffs.calendar import month_starts
from ml.tariffs.load_cube import LoadCube, to_polars
from ml.wording import plural

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

CubeRows: TypeAlias = LoadCube | pd.DataFrame | pl.DataFrame | pa.Table

_INTERVAL_COLUMNS = (CUSTOMER_KEY, "month", "tariff_id", "amount")


def prepare_features(features: pd.DataFrame) -> pd.DataFrame:
    """Return customer_key, as_of_month and the feature columns with plain types, missing texts as ``None``.

    Raises:
        SchemaMismatchError: A column is missing, is not numeric where it must be, or a category is unknown.
    """
    missing = [name for name in (CUSTOMER_KEY, *names(FEATURES)) if name not in features.columns]
    if missing:
        raise SchemaMismatchError(
            f"customer_tariff_features lacks {', '.join(missing)}: rebuild the mart, or send them with the request"
        )
    prepared: dict[str, object] = {CUSTOMER_KEY: features[CUSTOMER_KEY].astype(str)}
    has_month = AS_OF_MONTH in features.columns
    prepared[AS_OF_MONTH] = [
        month_start(month) if has_month and pd.notna(month) else None
        for month in (features[AS_OF_MONTH] if has_month else [None] * len(features))
    ]
    if "district" in features.columns:
        prepared["district"] = features["district"]
    for column in FEATURES:
        values = features[column.name]
        if column.kind == "categorical":
            texts = values.astype(object).to_numpy().copy()
            texts[values.isna().to_numpy()] = None
            prepared[column.name] = texts
            continue
        try:
            prepared[column.name] = pd.to_numeric(values, errors="raise").astype("float64")
        except (TypeError, ValueError) as error:
            raise SchemaMismatchError(f"column {column.name} must hold numbers: {error}") from error
        _check_bounds(features, column, np.asarray(prepared[column.name], dtype=np.float64))
    frame = pd.DataFrame(prepared, index=features.index)
    for name, column in by_name(FEATURES).items():
        if column.allowed:
            unknown = sorted({value for value in frame[name] if value is not None} - set(column.allowed))
            if unknown:
                raise SchemaMismatchError(
                    f"{name} holds {', '.join(map(str, unknown[:5]))}: allowed are {', '.join(column.allowed)}; map "
                    "the supplier's values to these in the mapping file"
                )
    return frame


def _check_bounds(features: pd.DataFrame, column: Column, values: FloatArray) -> None:
    """Refuse an infinite number, and one below what the column can be, with the customer's key."""
    is_bad = np.isinf(values)
    if column.minimum is not None:
        is_bad |= values < column.minimum
    if is_bad.any():
        row = int(np.flatnonzero(is_bad)[0])
        at_least = "" if column.minimum is None else f" of at least {column.minimum:g}"
        raise SchemaMismatchError(
            f"{column.name} of customer {features[CUSTOMER_KEY].iat[row]} is {values[row]:g}: it must be a number"
            f"{at_least}, or missing where it is not known ({plural(int(is_bad.sum()), 'such row')})"
        )


def classless_sentence(latest: pd.DataFrame) -> str:
    """Return the sentence about customers whose class is not known; empty when there are none.

    Args:
        latest: Prepared rows, one per customer.
    """
    count = int(latest["customer_class"].isna().sum())
    return f"{count:,} customers without customer_class get no advice." if count else ""


def latest_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the latest as-of month of every customer, ordered by customer."""
    if AS_OF_MONTH not in features.columns:
        return features.sort_values(CUSTOMER_KEY, kind="stable").reset_index(drop=True)
    ordered = features.assign(_month=pd.to_datetime(features[AS_OF_MONTH])).sort_values(
        [CUSTOMER_KEY, "_month"], kind="stable"
    )
    return ordered.drop_duplicates(CUSTOMER_KEY, keep="last").drop(columns="_month").reset_index(drop=True)


def rows_at(features: pd.DataFrame, month: date) -> pd.DataFrame:
    """Return one row per customer, ordered by customer: the last known at ``month``, else the first after it.

    A mart keeps a limited number of as-of months; the first one after the month is then nearest to what was known.
    """
    if features[AS_OF_MONTH].isna().any():
        return latest_rows(features)
    is_later = np.array([own > month for own in features[AS_OF_MONTH]], dtype=bool)
    known = latest_rows(features[~is_later])
    later = features[is_later & ~features[CUSTOMER_KEY].isin(known[CUSTOMER_KEY]).to_numpy()]
    first_later = later.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable").drop_duplicates(CUSTOMER_KEY)
    rows = pd.concat([known, first_later]) if len(known) else first_later
    return rows.sort_values(CUSTOMER_KEY, kind="stable").reset_index(drop=True)


def as_load_cube(rows: CubeRows) -> LoadCube:
    """Return rows of ``customer_load_cube`` as a load cube; a load cube is returned as it is.

    Raises:
        SchemaMismatchError: A row is missing something, negative, or not a number; the message names the first one.
    """
    if isinstance(rows, LoadCube):
        return rows
    frame = to_polars(rows)
    floats = [name for name in ("kwh", "peak_kw") if name in frame.columns and frame.schema[name].is_float()]
    for name in floats:
        bad = frame.with_row_index("row").filter(~pl.col(name).is_finite())
        if len(bad):
            first = bad.row(0, named=True)
            raise SchemaMismatchError(
                f"customer_load_cube: row {first['row']}: {name} of customer {first[CUSTOMER_KEY]} in "
                f"{first['month']}, slot {first['slot']}, is {first[name]} ({plural(len(bad), 'such row')}): leave out "
                "the rows of months that were not read"
            )
    return LoadCube.from_frame(frame)


def is_among(keys: npt.NDArray[np.object_], known: npt.NDArray[np.object_]) -> BoolArray:
    """Return which keys are among the known ones, in time of their sum: `numpy.isin` compares each with each."""
    return np.asarray(pd.Index(keys, dtype=object).isin(known), dtype=bool)


def usable_months(cube: LoadCube, coverage_pct: float) -> BoolArray:
    """Return which months of which customers were read to at least this share of their intervals.

    A month whose expected intervals are not known counts as read when it has any reading.
    """
    coverage = cube.coverage_pct
    return cube.present & (np.isnan(coverage) | (coverage >= coverage_pct))


def window(cube: LoadCube, last_month: date, months_count: int, config: TariffMatchingConfig) -> LoadCube:
    """Return the cube of consecutive months that end with ``last_month``; what is not there or hardly read is absent.

    The energy from 1 January to the start of the window, which yearly tiers need, is taken from the earlier months
    where they were read, and otherwise from the same month of the window or the customer's mean month.
    """
    months = month_starts(add_months(last_month, 1 - months_count), last_month)
    shape = (len(cube), months_count)
    cells = (len(DAY_TYPES), cube.kwh.shape[3])
    is_read = usable_months(cube, config.minimum_coverage_pct)
    position = {month: index for index, month in enumerate(cube.months)}
    inside = [index for index, month in enumerate(months) if month in position]
    source = [position[months[index]] for index in inside]
    kwh = np.zeros((*shape, *cells), np.int64)
    peak_kw = np.zeros((*shape, *cells), np.int64)
    present = np.zeros(shape, bool)
    interval_count = np.zeros(shape, np.int64)
    expected = np.zeros(shape, np.int64)
    kvarh = None if cube.kvarh is None else np.zeros(shape, np.int64)
    has_kvarh = None if cube.has_kvarh is None else np.zeros(shape, bool)
    if inside:
        present[:, inside] = is_read[:, source]
        kwh[:, inside] = np.where(is_read[:, source, None, None], cube.kwh[:, source], 0)
        peak_kw[:, inside] = np.where(is_read[:, source, None, None], cube.peak_kw[:, source], 0)
        interval_count[:, inside] = cube.interval_count[:, source]
        expected[:, inside] = cube.expected_interval_count[:, source]
        if kvarh is not None and cube.kvarh is not None:
            kvarh[:, inside] = cube.kvarh[:, source]
        if has_kvarh is not None and cube.has_kvarh is not None:
            has_kvarh[:, inside] = cube.has_kvarh[:, source]
    totals = kwh.sum(axis=(2, 3))
    opening = np.zeros(len(cube), np.int64)
    mean_month = totals.sum(axis=1) // np.maximum(present.sum(axis=1), 1)
    for month in month_starts(date(months[0].year, 1, 1), months[0])[:-1]:
        estimate = mean_month
        stand_in = next((index for index, one in enumerate(months) if one.month == month.month), None)
        if stand_in is not None:
            estimate = np.where(present[:, stand_in], totals[:, stand_in], estimate)
        if month in position:
            index = position[month]
            estimate = np.where(is_read[:, index], cube.kwh[:, index].sum(axis=(1, 2)), estimate)
        opening += estimate
    return LoadCube(
        customer_keys=cube.customer_keys,
        months=tuple(months),
        slot_minutes=cube.slot_minutes,
        kwh=kwh,
        peak_kw=peak_kw,
        present=present,
        interval_count=interval_count,
        expected_interval_count=expected,
        kvarh=kvarh,
        opening_kwh=opening,
        has_kvarh=has_kvarh,
    )


def empty_cube(customer_keys: Sequence[str], last_month: date, slot_minutes: int = 60) -> LoadCube:
    """Return the cube of customers of whom nothing was read."""
    shape = (len(customer_keys), 1, len(DAY_TYPES), 24 * 60 // slot_minutes)
    zeros = np.zeros(shape, np.int64)
    return LoadCube.from_arrays(
        np.asarray(customer_keys, dtype=object),
        [last_month],
        kwh=zeros,
        peak_kw=zeros.copy(),
        slot_minutes=slot_minutes,
        present=np.zeros(shape[:2], bool),
    )


def joined(cubes: Sequence[LoadCube]) -> LoadCube:
    """Return the customers of several cubes of the same months and slots as one."""
    first, *_ = cubes
    return LoadCube.from_arrays(
        np.concatenate([cube.customer_keys for cube in cubes]),
        first.months,
        kwh=np.concatenate([cube.kwh for cube in cubes]),
        peak_kw=np.concatenate([cube.peak_kw for cube in cubes]),
        slot_minutes=first.slot_minutes,
        present=np.concatenate([cube.present for cube in cubes]),
        opening_kwh=np.concatenate(
            [np.zeros(len(cube), np.int64) if cube.opening_kwh is None else cube.opening_kwh for cube in cubes]
        ),
    )


def carried_forward(history: LoadCube, months_count: int) -> LoadCube:
    """Return "the same as last year" for the months after a window.

    A month takes the same calendar month of the window, filled up to complete reading; where the customer lacks it, the
    customer's mean month. Demand is carried forward likewise.
    """
    first = add_months(history.months[-1], 1)
    months = month_starts(first, add_months(first, months_count - 1))
    scale_known = (history.interval_count > 0) & (history.expected_interval_count > history.interval_count)
    complete = history.kwh
    if scale_known.any():
        numerator = np.where(scale_known, history.expected_interval_count, 1)[:, :, None, None]
        denominator = np.where(scale_known, history.interval_count, 1)[:, :, None, None]
        complete = history.kwh * numerator // denominator
    months_read = history.present.sum(axis=1)
    has_load = months_read > 0
    divisor = np.maximum(months_read, 1)[:, None, None]
    mean_kwh = complete.sum(axis=1) // divisor
    mean_peak_kw = history.peak_kw.max(axis=1, initial=0)
    kwh = np.empty((len(history), len(months), *history.kwh.shape[2:]), np.int64)
    peak_kw = np.empty_like(kwh)
    for index, month in enumerate(months):
        source = next((i for i, one in enumerate(history.months) if one.month == month.month), None)
        if source is None:
            kwh[:, index], peak_kw[:, index] = mean_kwh, mean_peak_kw
            continue
        is_read = history.present[:, source, None, None]
        kwh[:, index] = np.where(is_read, complete[:, source], mean_kwh)
        peak_kw[:, index] = np.where(is_read, history.peak_kw[:, source], mean_peak_kw)
    opening = np.zeros(len(history), np.int64)
    mean_month = complete.sum(axis=(1, 2, 3)) // np.maximum(months_read, 1)
    for month in month_starts(date(first.year, 1, 1), first)[:-1]:
        source = next((i for i, one in enumerate(history.months) if one == month), None)
        known = mean_month if source is None else complete[:, source].sum(axis=(1, 2))
        opening += known if source is None else np.where(history.present[:, source], known, mean_month)
    kvarh, has_kvarh = _carried_kvarh(history, kwh.sum(axis=(2, 3)), months)
    carried = LoadCube.from_arrays(
        history.customer_keys,
        months,
        kwh=kwh,
        peak_kw=peak_kw,
        slot_minutes=history.slot_minutes,
        present=np.broadcast_to(has_load[:, None], (len(history), len(months))).copy(),
        kvarh=kvarh,
        opening_kwh=opening,
    )
    return replace(carried, has_kvarh=has_kvarh)


def _carried_kvarh(
    history: LoadCube, month_kwh: IntArray, months: Sequence[date]
) -> tuple[IntArray | None, BoolArray | None]:
    """Return reactive energy of the months after a window, and for whom it is known; ``None`` if for nobody.

    Its ratio to the energy is that of the same calendar month, or else of all months in which it was metered.
    """
    if history.kvarh is None:
        return None, None
    is_known = history.present & history.is_reactive_metered
    metered, energy = np.where(is_known, history.kvarh, 0), np.where(is_known, history.month_kwh(), 0)
    kvarh = np.empty_like(month_kwh)
    for index, month in enumerate(months):
        source = next((i for i, one in enumerate(history.months) if one.month == month.month), None)
        reactive, active = metered.sum(axis=1), energy.sum(axis=1)
        if source is not None:
            has_own = energy[:, source] > 0
            reactive = np.where(has_own, metered[:, source], reactive)
            active = np.where(has_own, energy[:, source], active)
        kvarh[:, index] = in_proportion(reactive, active, month_kwh[:, index])
    return kvarh, np.repeat(is_known.any(axis=1, keepdims=True), len(months), axis=1)


def in_proportion(values: IntArray, before: IntArray, after: IntArray) -> IntArray:
    """Return ``values`` times ``after / before``, zero where there was nothing before."""
    ratio = np.divide(after, before, out=np.zeros(np.broadcast_shapes(before.shape, after.shape)), where=before > 0)
    return np.rint(values * ratio).astype(np.int64)


def with_energy(cube: LoadCube, kwh: IntArray, peak_kw: IntArray) -> LoadCube:
    """Return the loads with other energies and powers; reactive energy keeps each month's ratio to the energy."""
    kvarh = None if cube.kvarh is None else in_proportion(cube.kvarh, cube.month_kwh(), kwh.sum(axis=(2, 3)))
    return replace(cube, kwh=kwh, peak_kw=peak_kw, kvarh=kvarh, _cache={})


def redated(cube: LoadCube, months: Sequence[date]) -> LoadCube:
    """Return the same loads under other years' months, so that those years' prices apply.

    The order of the calendar months stays; the years need not follow each other.
    """
    return replace(cube, months=tuple(months))


def class_codes(features: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return the position of every customer's class in ``CUSTOMER_CLASSES``, -1 where the class is not known."""
    return pd.Categorical(features["customer_class"], categories=CUSTOMER_CLASSES).codes.astype(np.intp)


def districts_of(features: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the district of every customer, ``None`` where it is not known."""
    if "district" not in features.columns:
        return np.full(len(features), None, dtype=object)
    districts = features["district"].astype(object).to_numpy(dtype=object, copy=True)
    districts[features["district"].isna().to_numpy()] = None
    return districts


def carried_prices(history: LoadCube, amounts: FloatArray, months: Sequence[date]) -> FloatArray:
    """Return last year's mean price per 1e-4 kWh of each month, for tariffs that need interval prices.

    Args:
        history: Loads that the amounts belong to.
        amounts: Given bills, (customers, months of ``history``), NaN where none was given.
        months: Months to carry forward to; the same calendar month, or else the mean of those that are known.
    """
    month_kwh = history.month_kwh()
    is_known = history.present & np.isfinite(amounts)
    total_kwh = np.where(is_known, month_kwh, 0).sum(axis=1)
    mean_price = np.ascontiguousarray(np.where(is_known, amounts, 0.0)).sum(axis=1) / np.maximum(total_kwh, 1)
    prices = np.empty((len(history), len(months)))
    for index, month in enumerate(months):
        source = next((i for i, one in enumerate(history.months) if one.month == month.month), None)
        prices[:, index] = mean_price
        if source is not None:
            has_price = is_known[:, source] & (month_kwh[:, source] > 0)
            ratio = amounts[:, source] / np.maximum(month_kwh[:, source], 1)
            prices[:, index] = np.where(has_price, ratio, mean_price)
    return prices


def interval_amount_arrays(
    amounts: pd.DataFrame | None, customer_keys: Sequence[str] | npt.NDArray[np.object_], months: Sequence[date]
) -> dict[str, FloatArray]:
    """Return, by tariff, the given monthly bills of tariffs that need interval prices; NaN where none was given.

    Args:
        amounts: customer_key, month, tariff_id, amount.
        customer_keys: First axis.
        months: Second axis.
    """
    if amounts is None:
        return {}
    missing = [name for name in _INTERVAL_COLUMNS if name not in amounts.columns]
    if missing:
        raise SchemaMismatchError(f"interval_amounts lacks {', '.join(missing)}")
    rows = pd.Index(np.asarray(customer_keys, dtype=object)).get_indexer(pd.Index(amounts[CUSTOMER_KEY].astype(str)))
    month_index = pd.Index(pd.to_datetime(pd.Series(list(months), dtype=object)))
    columns = month_index.get_indexer(pd.Index(pd.to_datetime(amounts["month"])))
    is_inside = (rows >= 0) & (columns >= 0)
    values = amounts["amount"].astype(float).to_numpy()
    tariff_ids = amounts["tariff_id"].astype(str).to_numpy()
    arrays = {}
    for tariff_id in sorted(set(tariff_ids)):
        chosen = is_inside & (tariff_ids == tariff_id)
        array = np.full((len(customer_keys), len(months)), np.nan)
        array[rows[chosen], columns[chosen]] = values[chosen]
        arrays[tariff_id] = array
    return arrays
