"""How use follows prices: elasticities as dated settings, and loads that respond to a change of tariff.

Within an average day of one type in a month, a slot's energy follows the model that pricing experiments are read by::

    x'_s = E' * w_s / sum_s(w_s),    w_s = x_s * (p'_s / p_s) ** -substitution
    E'   = E * (P' / P) ** own_price,    P' / P = sum_s(x_s * p'_s) / sum_s(x_s * p_s)

with ``x_s`` the slot's energy and ``p_s`` its price per kWh before, primes after, and ``E`` the energy of all slots.
The first line has a constant elasticity of substitution between any two slots, since ``ln(x'_s / x'_t) -
ln(x_s / x_t) = -substitution * (ln(p'_s / p'_t) - ln(p_s / p_t))``, and leaves the day's energy as it is; the second
lets that energy follow the mean price of the use before. Sources: Caves and Christensen, *Econometric analysis of
residential time-of-use electricity pricing experiments*, Journal of Econometrics 14 (1980); Faruqui and Sergici,
*Dynamic pricing of electricity in the mid-Atlantic region*, Journal of Regulatory Economics 40 (2011), who estimate
these two equations.

The price of a slot is what the customer pays per kWh there on average over blocks, as their bill has it: households
answer to the average price and not to that of the last block (Ito, *Do consumers respond to marginal or average
price?*, American Economic Review 104 (2014)). Charges per kW, per kVA and per month move nobody here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ml.columns import DAY_TYPES
from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.exact import FACTOR_DECIMALS, PRICE_DECIMALS, IntArray
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import BillArray, LineArray
from ml.tariffs.schema import CustomerClass

FloatArray = npt.NDArray[np.float64]

ELASTICITIES_FILE = Path(__file__).with_name("elasticities.yaml")
_ENERGY_UNIT = "kWh"
_EXPORT = "export"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Elasticity(_Frozen):
    """How one class of customers reacts.

    Attributes:
        substitution: Percent by which the ratio of the energies of two slots of a day falls when the ratio of their
            prices rises by one percent.
        own_price: Percent by which a day's energy changes when its mean price rises by one percent; not positive.
    """

    substitution: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    own_price: Annotated[float, Field(ge=-5, le=0, allow_inf_nan=False)] = 0.0


class ElasticitySet(_Frozen):
    """A dated, named assumption on how customers react to prices.

    Attributes:
        name: How it is chosen.
        valid_from: First day on which this version of it is used.
        description: In one sentence.
        description_zh: The same in Chinese.
        sources: Where the numbers come from.
        by_class: By class of customer; classes that are not named do not react.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    valid_from: date
    description: Annotated[str, Field(min_length=10)]
    description_zh: str = ""
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    by_class: Mapping[CustomerClass, Elasticity] = Field(default_factory=dict)

    @property
    def is_zero(self) -> bool:
        """Whether nobody reacts."""
        return all(one.substitution == 0 and one.own_price == 0 for one in self.by_class.values())

    def values(self, customer_class: np.ndarray) -> tuple[FloatArray, FloatArray]:
        """Return substitution and own-price elasticity of every customer, by class."""
        known = {str(name): elasticity for name, elasticity in self.by_class.items()}
        rows = [known.get(str(name), Elasticity()) for name in customer_class]
        return np.array([row.substitution for row in rows]), np.array([row.own_price for row in rows])


def load_elasticity_sets(path: Path = ELASTICITIES_FILE) -> tuple[ElasticitySet, ...]:
    """Read every version of every set of a YAML file.

    Raises:
        TariffError: The file cannot be read, or a set says what cannot be; the message names the field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        sets = TypeAdapter(tuple[ElasticitySet, ...]).validate_python(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TariffError(f"{path.name}: cannot be read as YAML ({error})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TariffError(f"{path.name}: {where}: {first['msg']}") from error
    versions = [(entry.name, entry.valid_from) for entry in sets]
    if len(set(versions)) != len(versions):
        raise TariffError(f"{path.name}: a set has two versions of one valid_from; keep one of them")
    return sets


def elasticity_set(name: str, on_date: date, path: Path = ELASTICITIES_FILE) -> ElasticitySet:
    """Return the version of a set that is used on a day.

    Raises:
        TariffError: There is no such set on that day.
    """
    started = [entry for entry in load_elasticity_sets(path) if entry.valid_from <= on_date]
    versions = [entry for entry in started if entry.name == name]
    if not versions:
        known = ", ".join(dict.fromkeys(entry.name for entry in started))
        raise TariffError(f"no elasticity set {name!r} on {on_date}; there are: {known or 'none'}")
    return max(versions, key=lambda entry: entry.valid_from)


@cache
def zero_response() -> ElasticitySet:
    """Return the set in which nobody reacts."""
    return next(entry for entry in load_elasticity_sets() if entry.name == "zero")


def slot_prices(bills: BillArray, cube: LoadCube) -> FloatArray:
    """Return what every customer pays per kWh in each slot, averaged over blocks as their bills have it.

    Args:
        bills: Bills of the cube's customers and months.
        cube: Loads that were billed, under the months whose prices apply.

    Returns:
        In the currency per kWh, shape (customers, months, day types, slots).

    Raises:
        TariffError: The tariff has no price per kWh, or one that is not above zero where something is used.
    """
    tariff = bills.tariff
    lines = [line for line in bills.lines if line.unit == _ENERGY_UNIT and str(line.component.kind) != _EXPORT]
    if not lines or any(line.price is None for line in lines):
        raise TariffError(
            f"{tariff.tariff_id}: it has no price per kWh for every hour of a day, so there is nothing that a response "
            "could compare; simulate it with the elasticity set `zero`"
        )
    prices = np.zeros(cube.kwh.shape)
    for period, ladder in _ladders(lines):
        mean = _mean_price(ladder)[:, :, None, None]
        if period == ALL_PERIODS or tariff.calendar is None:
            prices += mean
            continue
        code = tariff.calendar.period_names.index(period)
        is_in_period = np.stack(
            [tariff.calendar.period_codes(month.month, cube.slot_minutes) == code for month in cube.months]
        )
        prices += mean * is_in_period
    is_bad = (prices <= 0) & (cube.kwh > 0)
    if is_bad.any():
        customer, month, day_type, slot = np.argwhere(is_bad)[0]
        clock = slot * cube.slot_minutes
        raise TariffError(
            f"{tariff.tariff_id}: its price on a {DAY_TYPES[day_type]} of {cube.months[month]:%Y-%m} at "
            f"{clock // 60:02d}:{clock % 60:02d} is {prices[customer, month, day_type, slot]:.4f} per kWh, and a "
            "constant elasticity needs prices above zero; simulate it with the elasticity set `zero`"
        )
    return prices


def has_price_periods(prices: FloatArray) -> bool:
    """Return whether some customer has more than one price in a day."""
    return bool((prices.max(axis=3) > prices.min(axis=3)).any())


def respond(
    cube: LoadCube,
    prices_before: FloatArray,
    prices_after: FloatArray,
    substitution: FloatArray,
    own_price: FloatArray,
) -> LoadCube:
    """Return the loads after a change of prices; the formulae are those of the module.

    Energies stay whole 1e-4 kWh: what rounding takes from a day it gives back to the slots that lost most, so that
    without own-price elasticity the energy of every customer, month and day type is the same to the last unit, and
    without any elasticity every slot is. The largest power of a slot changes by the same factor as its energy.

    Args:
        cube: Loads before.
        prices_before: Per kWh, shape of ``cube.kwh``; above zero where energy is.
        prices_after: The same after.
        substitution: Per customer, not negative.
        own_price: Per customer, not positive.
    """
    energy = cube.kwh.astype(np.float64)
    day_energy = cube.kwh.sum(axis=3)
    is_used = cube.kwh > 0
    ratio = np.divide(prices_after, prices_before, out=np.ones_like(energy), where=is_used)
    weights = energy * ratio ** -substitution[:, None, None, None]
    cost_before = (energy * prices_before).sum(axis=3)
    cost_after = (energy * prices_after).sum(axis=3)
    mean_ratio = np.divide(cost_after, cost_before, out=np.ones_like(cost_before), where=day_energy > 0)
    wanted = np.rint(day_energy * mean_ratio ** own_price[:, None, None]).astype(np.int64)
    total_weight = weights.sum(axis=3)
    scale = np.divide(wanted, total_weight, out=np.zeros_like(total_weight), where=total_weight > 0)
    kwh = _rounded_to_total(weights * scale[..., None], wanted)
    factor = np.divide(kwh, cube.kwh, out=np.ones_like(energy), where=is_used)
    peak_kw = np.rint(cube.peak_kw * factor).astype(np.int64)
    return replace(cube, kwh=kwh, peak_kw=peak_kw, _cache={})


def _ladders(lines: Sequence[LineArray]) -> list[tuple[str, list[LineArray]]]:
    """Return the lines of one component and period together: they are the blocks of one ladder."""
    ladders: dict[tuple[str, str], list[LineArray]] = {}
    for line in lines:
        ladders.setdefault((line.component.name, line.period), []).append(line)
    return [(period, ladder) for (_, period), ladder in ladders.items()]


def _mean_price(ladder: Sequence[LineArray]) -> FloatArray:
    """Return the mean price of a ladder's blocks by use, and the first block's where nothing is used."""
    unit_prices = [_unit_price(line) for line in ladder]
    quantities = [np.maximum(line.quantity, 0).astype(np.float64) for line in ladder]
    total = np.sum(quantities, axis=0)
    cost = np.sum([price * quantity for price, quantity in zip(unit_prices, quantities, strict=True)], axis=0)
    mean: FloatArray = np.divide(cost, total, out=unit_prices[0].copy(), where=total > 0)
    return mean


def _unit_price(line: LineArray) -> FloatArray:
    price = np.zeros(line.quantity.shape)
    if line.price is not None:
        price += line.price / 10.0**PRICE_DECIMALS
    if line.factor is not None:
        price *= line.factor / 10.0**FACTOR_DECIMALS
    return price * line.applies


def _rounded_to_total(values: FloatArray, totals: IntArray) -> IntArray:
    """Round down along the last axis and give what is missing to the largest remainders."""
    floors = np.floor(values)
    missing = totals - floors.sum(axis=-1).astype(np.int64)
    order = np.argsort(-(values - floors), axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    return floors.astype(np.int64) + (rank < missing[..., None])
