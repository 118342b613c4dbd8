"""Exact decimal arithmetic on integer arrays: how a bill for 20,000 customers stays equal to one worked by hand.

A quantity is an ``int64`` in ten-thousandths of its unit (kWh, kW, kVA, days), a price an integer in 1e-8 of the
currency, money their exact product. Nothing in here is a float; what would not fit into 64 bits is kept in two
integers, or computed with Python's unbounded ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import TariffError

IntArray = NDArray[np.int64]

QUANTITY_DECIMALS = 4
PRICE_DECIMALS = 8
FACTOR_DECIMALS = 4
_EXACT_DECIMALS = QUANTITY_DECIMALS + PRICE_DECIMALS + FACTOR_DECIMALS
_SPLIT = 10**6
_INT64_MAX = int(np.iinfo(np.int64).max)
_LARGEST_VALUE = 2**61  # of amounts in one integer: room for halves to be added


def to_scaled(value: Decimal, decimals: int) -> int:
    """Return ``value`` as an integer in units of ``10**-decimals``; refuse a value that is finer than that."""
    scaled = value.scaleb(decimals)
    if scaled != scaled.to_integral_value():
        raise TariffError(f"{value} has more than {decimals} decimals")
    return int(scaled)


def from_scaled(value: int, decimals: int) -> Decimal:
    """Return the decimal that ``value`` units of ``10**-decimals`` stand for."""
    return Decimal(int(value)).scaleb(-decimals)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact sum of money per array element.

    As long as the amounts fit, they are one integer each, in ``10**-value_decimals`` of the currency; beyond 64 bits
    they are whole smallest units and a rest. Which of the two it is changes no result, only the time.

    Attributes:
        decimals: Of the smallest money unit (2 for 0.01).
        value: Amounts; rounded towards minus infinity where there is a ``fine_rest``.
        value_decimals: Decimals of ``value``.
        bound: No amount of ``value`` is larger, whatever its sign; counted only without ``fine_rest``.
        is_signed: Whether amounts may be negative.
        fine_rest: What is left of ``value``, in 1e-16 of the currency, from 0 to below one unit.
    """

    decimals: int
    value: IntArray
    value_decimals: int
    bound: int
    is_signed: bool = True
    fine_rest: IntArray | None = None

    @classmethod
    def zero(cls, shape: tuple[int, ...], decimals: int) -> "Money":
        """Return nothing, ``shape`` times, in money with ``decimals`` decimals."""
        return cls(decimals, np.zeros(shape, np.int64), decimals, 0, is_signed=False)

    @classmethod
    def of_units(cls, units: IntArray, decimals: int) -> "Money":
        """Return whole units as exact money."""
        return cls(decimals, units, decimals, _largest(units))

    @classmethod
    def of_parts(cls, units: IntArray, rest: IntArray, decimals: int) -> "Money":
        """Return whole units and a rest in 1e-16 of the currency, from 0 to below one unit, as exact money."""
        return cls(decimals, units, decimals, _INT64_MAX, fine_rest=rest)

    @classmethod
    def of_columns(cls, columns: Sequence["Money"]) -> "Money":
        """Return one-dimensional amounts side by side as two-dimensional money."""
        units, rest = (np.stack([getattr(column, name) for column in columns], axis=1) for name in ("units", "rest"))
        return cls.of_parts(units, rest, columns[0].decimals)

    @property
    def units(self) -> IntArray:
        """Whole smallest units, rounded towards minus infinity."""
        return self.value if self.value_decimals == self.decimals else self.value // self._unit

    @property
    def rest(self) -> IntArray:
        """What is left over, in ``10**-rest_decimals`` of a unit."""
        if self.fine_rest is not None:
            return self.fine_rest
        return (self.value - self.units * self._unit) * 10 ** (_EXACT_DECIMALS - self.value_decimals)

    @property
    def rest_decimals(self) -> int:
        """Decimals of ``rest``; they depend on the money's decimals only."""
        return _EXACT_DECIMALS - self.decimals

    @property
    def _unit(self) -> int:
        return int(10 ** (self.value_decimals - self.decimals))

    def __add__(self, other: "Money") -> "Money":
        if self.fine_rest is None and other.fine_rest is None:
            for nothing, amounts in ((self, other), (other, self)):
                if nothing.bound == 0 and nothing.value.shape == amounts.value.shape:
                    return amounts
            finest = max(self.value_decimals, other.value_decimals)
            finer = [int(10 ** (finest - amounts.value_decimals)) for amounts in (self, other)]
            bound = self.bound * finer[0] + other.bound * finer[1]
            if bound <= _LARGEST_VALUE:
                left, right = (
                    amounts.value if factor == 1 else amounts.value * factor
                    for amounts, factor in zip((self, other), finer, strict=True)
                )
                return Money(self.decimals, left + right, finest, bound, self.is_signed or other.is_signed)
        rest = self.rest + other.rest
        unit = 10**self.rest_decimals
        carry = rest // unit
        return Money.of_parts(self.units + other.units + carry, rest - carry * unit, self.decimals)

    def __neg__(self) -> "Money":
        if self.fine_rest is None:
            return Money(self.decimals, -self.value, self.value_decimals, self.bound)
        borrow = (self.rest > 0).astype(np.int64)
        return Money.of_parts(-self.units - borrow, borrow * 10**self.rest_decimals - self.rest, self.decimals)

    def positive_part(self) -> "Money":
        """Return the amounts above zero, and zero elsewhere."""
        return self.where(self.value >= 0) if self.is_signed else self

    def rounded(self) -> "Money":
        """Return whole units, halves rounded away from zero."""
        if self.fine_rest is not None:
            units = self.units + _rounds_up(self.fine_rest, 10**self.rest_decimals, self.units)
            return Money.of_units(units, self.decimals)
        if self.value_decimals == self.decimals:
            return self
        nearest = self.value + self._unit // 2
        if self.is_signed:
            nearest += self.value >> 63  # minus one where negative: there a half goes down
        nearest //= self._unit
        return Money(self.decimals, nearest, self.decimals, self.bound // self._unit + 1, self.is_signed)

    def broadcast_to(self, shape: tuple[int, ...]) -> "Money":
        """Return the same amounts repeated to ``shape``."""
        return self._mapped(lambda values: np.broadcast_to(values, shape))

    def column(self, index: int) -> "Money":
        """Return one column of two-dimensional money."""
        return self._mapped(lambda values: values[:, index])

    def to_quantity(self) -> IntArray:
        """Return the amounts in 1e-4 of the currency, halves rounded away from zero, to take a percentage of."""
        finer = 10 ** (QUANTITY_DECIMALS - self.decimals)
        rest_unit = 10**self.rest_decimals // finer
        rest = self.rest
        quotient = rest // rest_unit
        units = self.units * finer + quotient
        return units + _rounds_up(rest - quotient * rest_unit, rest_unit, units)

    def where(self, mask: NDArray[np.bool_]) -> "Money":
        """Return the amounts where ``mask`` holds, and zero elsewhere."""
        keeps_shape = np.broadcast_shapes(mask.shape, self.value.shape) == self.value.shape
        return self if keeps_shape and mask.all() else self._mapped(lambda values: np.where(mask, values, 0))

    def _mapped(self, change: Callable[[IntArray], IntArray]) -> "Money":
        fine_rest = None if self.fine_rest is None else change(self.fine_rest)
        return replace(self, value=change(self.value), fine_rest=fine_rest)


def _rounds_up(rest: IntArray, unit: int, floor: IntArray) -> NDArray[np.bool_]:
    """Return where ``floor + rest / unit`` is rounded up, halves away from zero."""
    twice = 2 * rest
    return (twice > unit) | ((twice == unit) & (floor >= 0))


def multiply(quantity: IntArray, price: IntArray, money_decimals: int, *, factor: IntArray | None = None) -> Money:
    """Return ``quantity * factor * price`` exactly.

    Args:
        quantity: In 1e-4 units.
        price: In 1e-8 of the currency, broadcast against ``quantity``.
        money_decimals: Decimals of the smallest money unit.
        factor: In 1e-4, broadcast against ``quantity``; one where absent.
    """
    value_decimals = QUANTITY_DECIMALS + PRICE_DECIMALS
    bound = _largest(quantity) * _largest(price)
    is_signed = _is_signed(quantity) or _is_signed(price)
    if factor is not None:
        value_decimals += FACTOR_DECIMALS
        bound *= _largest(factor)
        is_signed = is_signed or _is_signed(factor)
    if bound <= _LARGEST_VALUE:
        product = quantity * price if factor is None else quantity * factor * price
        return Money(money_decimals, product, value_decimals, bound, is_signed)
    return _split_product(quantity, price, money_decimals, factor)


def _split_product(quantity: IntArray, price: IntArray, money_decimals: int, factor: IntArray | None) -> Money:
    operand: NDArray[Any] = quantity
    divisor_decimals = QUANTITY_DECIMALS + PRICE_DECIMALS - money_decimals
    largest_quantity = _largest(quantity)
    largest_price = _largest(price)
    if factor is not None:
        largest_quantity *= _largest(factor)
        divisor_decimals += FACTOR_DECIMALS
        operand = quantity.astype(object) * factor if largest_quantity > _INT64_MAX else quantity * factor
    # The largest intermediate values of the split product below.
    largest_high = (largest_quantity // _SPLIT + 1) * largest_price
    largest_low = 10**divisor_decimals + _SPLIT * largest_price
    if max(largest_high, largest_low) > _INT64_MAX:
        operand = operand.astype(object)
    divisor = 10**divisor_decimals
    high = operand // _SPLIT
    low = operand - high * _SPLIT
    high_product = high * price
    head_divisor = divisor // _SPLIT
    units = high_product // head_divisor
    tail = (high_product - units * head_divisor) * _SPLIT + low * price
    carry = tail // divisor
    rest = (tail - carry * divisor) * 10 ** (_EXACT_DECIMALS - money_decimals - divisor_decimals)
    return Money.of_parts(_as_int64(units + carry), _as_int64(rest), money_decimals)


def _is_signed(values: IntArray) -> bool:
    return bool(values.size) and int(values.min()) < 0


def _largest(values: NDArray[Any]) -> int:
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0


def _as_int64(values: NDArray[Any]) -> IntArray:
    if values.dtype == object and _largest(values) > _INT64_MAX:
        raise TariffError("an amount exceeds 92 quadrillion money units: the quantity or the price has a wrong unit")
    return values.astype(np.int64, copy=False)


def divide_product(left: IntArray, right: IntArray, divisor: IntArray) -> tuple[IntArray, IntArray]:
    """Return quotient and remainder of ``left * right / divisor`` exactly, although the product may exceed 64 bits.

    Args:
        left: Non-negative.
        right: Non-negative.
        divisor: From 1 to 2**60; quotients must stay below 2**53.
    """
    estimate = (left.astype(np.float64) * right / divisor).astype(np.int64)
    # The products wrap around, their difference does not: the estimate is off by a few units at most.
    rest = left * right - estimate * divisor
    correction = rest // divisor
    return estimate + correction, rest - correction * divisor
