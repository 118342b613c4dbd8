"""What would turn an advice into a bad one: how far a customer's use may move before the saving is gone.

Three things move by themselves while the rest stays as expected: the share of the energy in the cheap hours, the
largest demand, and the energy of the year. Both offers are priced exactly on a grid of each, and the point where the
saving changes its sign is interpolated between two neighbours of the grid. For tariffs that are linear in what moves,
such as the optional time-of-use prices of households, that is the exact point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml.tariff_matching.features import BoolArray, FloatArray, with_energy
from ml.tariff_matching.offers import MonthlyChoice, Situation, price_column
from ml.tariffs.bill_wording import period_name
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import EnergyComponent, Tariff
from ml.wording import Bilingual

Lever = Literal["cheap_hours_share", "peak_kw", "annual_kwh"]

CUSTOMERS_AT_ONCE = 50
SHARE_GRID = np.linspace(0.0, 1.0, 21)
FACTOR_GRID = np.array([0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0])


@dataclass(frozen=True, slots=True)
class BreakEven:
    """A limit beyond which the advice would be another one.

    Attributes:
        lever: What moves: ``cheap_hours_share`` (share of the year's energy), ``peak_kw`` (largest demand of the year),
            ``annual_kwh``.
        direction: On which side of the limit the advice is bad.
        threshold: The limit.
        value_now: The expected value.
        text: In one sentence.
        text_zh: The same in Chinese.
    """

    lever: Lever
    direction: Literal["below", "above"]
    threshold: float
    value_now: float
    text: str
    text_zh: str


@dataclass(frozen=True)
class _Moved:
    """Loads of one customer with one thing moved, one per point of the grid."""

    lever: Lever
    grid: FloatArray
    now: float
    kwh: npt.NDArray[np.int64]
    peak_kw: npt.NDArray[np.int64]


def break_evens(
    situation: Situation, expected: LoadCube, choice: MonthlyChoice, pairs: Mapping[int, tuple[int, int]]
) -> dict[int, list[BreakEven]]:
    """Return, by customer, where the better of two offers changes: the nearest limit of each lever and direction.

    Args:
        situation: Customers and offers.
        expected: Expected load of the coming months, rows as in ``situation``.
        choice: Contracted demands by month.
        pairs: By row, the offer that is better and the other one. Offers with prices per interval have no limits.
    """
    found: dict[int, list[BreakEven]] = {row: [] for row in pairs}
    by_pair: dict[tuple[int, int], list[int]] = {}
    for row, pair in pairs.items():
        tariffs = [situation.columns[number].tariff for number in pair]
        if not any(tariff.tariff_id in situation.interval_amounts for tariff in tariffs):
            by_pair.setdefault(pair, []).append(row)
    for pair, rows in by_pair.items():
        for start in range(0, len(rows), CUSTOMERS_AT_ONCE):
            part = rows[start : start + CUSTOMERS_AT_ONCE]
            found |= dict(zip(part, _limits(situation, expected, choice, part, pair), strict=True))
    return found


def _limits(
    situation: Situation, expected: LoadCube, choice: MonthlyChoice, rows: list[int], pair: tuple[int, int]
) -> list[list[BreakEven]]:
    """Return the limits of customers who have one pair of offers."""
    tariffs = [situation.columns[number].tariff for number in pair]
    moves: list[tuple[int, _Moved, Bilingual]] = []
    for row in rows:
        load = expected.take(np.array([row]))
        cheap = _cheap_hours(tariffs[0], load) or _cheap_hours(tariffs[1], load)
        if cheap is not None:
            moves.append((row, _share_moved(load, cheap.is_cheap), cheap.names))
        moves += [(row, _peaks_moved(load), Bilingual(en="")), (row, _energy_moved(load), Bilingual(en=""))]
    counts = [len(moved.grid) for _, moved, _ in moves]
    owners = np.repeat(np.array([row for row, _, _ in moves]), counts)
    cube = with_energy(
        expected.take(owners),
        np.concatenate([moved.kwh for _, moved, _ in moves]),
        np.concatenate([moved.peak_kw for _, moved, _ in moves]),
    )
    better, other = (price_column(situation, number, cube, owners, choice) for number in pair)
    savings = np.split(other - better, np.cumsum(counts)[:-1])
    found: dict[int, list[BreakEven]] = {row: [] for row in rows}
    for (row, moved, names), saving in zip(moves, savings, strict=True):
        for direction, threshold in _crossings(moved.grid, saving, moved.now):
            found[row].append(_in_words(moved, direction, threshold, names))
    return [found[row] for row in rows]


@dataclass(frozen=True)
class _CheapHours:
    is_cheap: BoolArray
    names: Bilingual


def _cheap_hours(tariff: Tariff, load: LoadCube) -> _CheapHours | None:
    """Return the hours in which a tariff is cheaper than on average, (months, day types, slots), with their names."""
    if tariff.calendar is None:
        return None
    codes = np.stack([tariff.calendar.period_codes(month.month, load.slot_minutes) for month in load.months])
    names = tariff.calendar.period_names
    prices = np.zeros(codes.shape)
    for component in tariff.components:
        if not isinstance(component, EnergyComponent):
            continue
        for index, month in enumerate(load.months):
            table = next((one for one in component.tables if one.applies_to(month)), None)
            for period, ladder in (table.prices if table is not None else {}).items():
                if period in names:
                    prices[index][codes[index] == names.index(period)] += float(ladder[0])
    if float(prices.max()) - float(prices.min()) < 1e-9:
        return None
    weights = load.kwh[0] / max(int(load.kwh[0].sum()), 1)
    is_cheap = prices < float((prices * weights).sum()) - 1e-9
    if not is_cheap.any() or is_cheap.all():
        return None
    inside = [names[code] for code in np.unique(codes[is_cheap])]
    only = [name for name in inside if not (codes[~is_cheap] == names.index(name)).any()]
    return _CheapHours(
        is_cheap,
        Bilingual(
            en=", ".join(period_name(name, "en") for name in only or inside),
            zh="、".join(period_name(name, "zh") for name in only or inside),
        ),
    )


def _share_moved(load: LoadCube, is_cheap: BoolArray) -> _Moved:
    energy = load.kwh[0].astype(np.float64)
    total = max(float(energy.sum()), 1.0)
    now = float(energy[is_cheap].sum()) / total
    grid = np.unique(np.append(SHARE_GRID, now))
    inside, outside = np.maximum(now, 1e-9), np.maximum(1 - now, 1e-9)
    factors = np.where(
        is_cheap[None], (grid / inside)[:, None, None, None], ((1 - grid) / outside)[:, None, None, None]
    )
    kwh = np.rint(energy[None] * factors).astype(np.int64)
    return _Moved("cheap_hours_share", grid, now, kwh, np.broadcast_to(load.peak_kw, kwh.shape).copy())


def _peaks_moved(load: LoadCube) -> _Moved:
    peak_kw = np.rint(load.peak_kw * FACTOR_GRID[:, None, None, None]).astype(np.int64)
    now = float(load.month_peak_kw().max(initial=0)) / 1e4
    return _Moved("peak_kw", FACTOR_GRID * now, now, np.broadcast_to(load.kwh, peak_kw.shape).copy(), peak_kw)


def _energy_moved(load: LoadCube) -> _Moved:
    factors = FACTOR_GRID[:, None, None, None]
    now = float(load.kwh.sum()) / 1e4
    return _Moved(
        "annual_kwh",
        FACTOR_GRID * now,
        now,
        np.rint(load.kwh * factors).astype(np.int64),
        np.rint(load.peak_kw * factors).astype(np.int64),
    )


def _crossings(grid: FloatArray, saving: FloatArray, now: float) -> list[tuple[Literal["below", "above"], float]]:
    """Return the nearest points on either side of today's value at which the saving ends."""
    start = int(np.argmin(np.abs(grid - now)))
    if not np.isfinite(saving).all() or saving[start] <= 0:
        return []
    found: list[tuple[Literal["below", "above"], float]] = []
    sides: list[tuple[Literal["below", "above"], range, Callable[[int], int]]] = [
        ("below", range(start - 1, -1, -1), lambda index: index + 1),
        ("above", range(start + 1, len(grid)), lambda index: index - 1),
    ]
    for direction, indices, towards_now in sides:
        for index in indices:
            if saving[index] < 0:
                near = towards_now(index)
                share = saving[near] / (saving[near] - saving[index])
                found.append((direction, float(grid[near] + share * (grid[index] - grid[near]))))
                break
    return found


def _in_words(
    moved: _Moved, direction: Literal["below", "above"], threshold: float, cheap_hours: Bilingual
) -> BreakEven:
    less, less_zh = ("less than", "低于") if direction == "below" else ("more than", "高于")
    if moved.lever == "cheap_hours_share":
        text = (
            f"{less} {threshold:.1%} of the energy is used in cheap hours ({cheap_hours.en}); "
            f"expected are {moved.now:.1%}"
        )
        text_zh = f"低价时段（{cheap_hours.zh}）用电占比{less_zh} {threshold:.1%}（预计 {moved.now:.1%}）"
    elif moved.lever == "peak_kw":
        text = f"the largest demand of the year is {less} {threshold:,.1f} kW; expected are {moved.now:,.1f} kW"
        text_zh = f"年最大需量{less_zh} {threshold:,.1f} kW（预计 {moved.now:,.1f} kW）"
    else:
        text = f"the energy of the year is {less} {threshold:,.0f} kWh; expected are {moved.now:,.0f} kWh"
        text_zh = f"年用电量{less_zh} {threshold:,.0f} kWh（预计 {moved.now:,.0f} kWh）"
    decimals = 4 if moved.lever == "cheap_hours_share" else 1
    return BreakEven(
        moved.lever,
        direction,
        round(threshold, decimals),
        round(moved.now, decimals),
        f"It costs more than the alternative if {text}.",
        f"若{text_zh}，则不再划算。",
    )
