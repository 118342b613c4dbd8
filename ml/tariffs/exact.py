"""Exact decimal arithmetic on integer arrays: how a bill for 20,000 customers stays equal to one worked by hand.

A quantity is an ``int64`` in ten-thousandths of its unit (kWh, kW, kVA, days), a price an integer in 1e-8 of the
currency, money an integer in the smallest unit to which the tariff rounds plus a non-negative rest. Nothing in here is
a float; what would not fit into 64 bits is computed with Python's unbounded integers.
"""

from dataclasses import dataclass
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
    """An exact sum of money per array element: ``units + rest / 10**rest_decimals``, the rest from 0 to below one unit.

    Attributes:
        units: Whole smallest money units (0.01 for two decimals), rounded towards minus infinity.
        rest: What is left over, in ``10**-rest_decimals`` of a unit.
        rest_decimals: Depends on the money's decimals only, so amounts of one tariff can be added.
    """

    units: IntArray
    rest: IntArray
    rest_decimals: int

    @classmethod
    def zero(cls, shape: tuple[int, ...], decimals: int) -> "Money":
        """Return nothing, ``shape`` times, in money with ``decimals`` decimals."""
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64), _EXACT_DECIMALS - decimals)

    @classmethod
    def of_units(cls, units: IntArray, decimals: int) -> "Money":
        """Return whole units as exact money."""
        return cls(units, np.zeros_like(units), _EXACT_DECIMALS - decimals)

    def __add__(self, other: "Money") -> "Money":
        rest = self.rest + other.rest
        unit = 10**self.rest_decimals
        carry = rest // unit
        return Money(self.units + other.units + carry, rest - carry * unit, self.rest_decimals)

    def __neg__(self) -> "Money":
        borrow = (self.rest > 0).astype(np.int64)
        return Money(-self.units - borrow, borrow * 10**self.rest_decimals - self.rest, self.rest_decimals)

    def positive_part(self) -> "Money":
        """Return the amounts above zero, and zero elsewhere."""
        is_positive = self.units >= 0
        return Money(np.where(is_positive, self.units, 0), np.where(is_positive, self.rest, 0), self.rest_decimals)

    def rounded(self) -> "Money":
        """Return whole units, halves rounded away from zero."""
        twice = 2 * self.rest
        unit = 10**self.rest_decimals
        is_up = (twice > unit) | ((twice == unit) & (self.units >= 0))
        return Money(self.units + is_up, np.zeros_like(self.rest), self.rest_decimals)

    def broadcast_to(self, shape: tuple[int, ...]) -> "Money":
        """Return the same amounts repeated to ``shape``."""
        return Money(np.broadcast_to(self.units, shape), np.broadcast_to(self.rest, shape), self.rest_decimals)

    def column(self, index: int) -> "Money":
        """Return one column of two-dimensional money."""
        return Money(self.units[:, index], self.rest[:, index], self.rest_decimals)

    def to_quantity(self) -> IntArray:
        """Return the amounts in 1e-4 of the currency, halves rounded away from zero, to take a percentage of."""
        decimals = _EXACT_DECIMALS - self.rest_decimals
        finer = 10 ** (QUANTITY_DECIMALS - decimals)
        rest_unit = 10**self.rest_decimals // finer
        quotient = self.rest // rest_unit
        units = self.units * finer + quotient
        twice = 2 * (self.rest - quotient * rest_unit)
        is_up = (twice > rest_unit) | ((twice == rest_unit) & (units >= 0))
        return units + is_up

    def where(self, mask: NDArray[np.bool_]) -> "Money":
        """Return the amounts where ``mask`` holds, and zero elsewhere."""
        return Money(np.where(mask, self.units, 0), np.where(mask, self.rest, 0), self.rest_decimals)


def multiply(quantity: IntArray, price: IntArray, money_decimals: int, *, factor: IntArray | None = None) -> Money:
    """Return ``quantity * factor * price`` exactly.

    Args:
        quantity: In 1e-4 units.
        price: In 1e-8 of the currency, broadcast against ``quantity``.
        money_decimals: Decimals of the smallest money unit.
        factor: In 1e-4, broadcast against ``quantity``; one where absent.
    """
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
    rest_decimals = _EXACT_DECIMALS - money_decimals
    rest = (tail - carry * divisor) * 10 ** (rest_decimals - divisor_decimals)
    return Money(_as_int64(units + carry), _as_int64(rest), rest_decimals)


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
