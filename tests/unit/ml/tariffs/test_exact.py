"""Integer arithmetic equals rational arithmetic, however large the numbers."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml.errors import TariffError
from ml.tariffs.exact import Money, from_scaled, multiply, to_scaled

quantities = st.integers(0, 10**17)
prices = st.integers(-(10**14), 10**14)
small_quantities = st.integers(0, 10**12)
small_prices = st.integers(-(10**10), 10**10)


def value_of(money: Money, decimals: int) -> Fraction:
    exact = int(money.units[0]) + Fraction(int(money.rest[0]), 10**money.rest_decimals)
    return exact / 10**decimals


@given(
    st.one_of(st.tuples(quantities, small_prices), st.tuples(st.integers(0, 10**12), prices)),
    st.one_of(st.none(), st.integers(0, 30_000)),
    st.integers(0, 4),
)
def test_product_is_exact(operands: tuple[int, int], factor: int | None, decimals: int) -> None:
    quantity, price = operands
    exact = Fraction(quantity, 10**4) * Fraction(price, 10**8) * (1 if factor is None else Fraction(factor, 10**4))
    if abs(exact) * 10**decimals > 2**62:
        return

    money = multiply(
        np.array([quantity]), np.array([price]), decimals, factor=None if factor is None else np.array([factor])
    )

    assert value_of(money, decimals) == exact
    assert 0 <= money.rest[0] < 10**money.rest_decimals


@given(small_quantities, small_prices, small_quantities, small_prices)
def test_sum_and_negation_are_exact(q: int, p: int, other_q: int, other_p: int) -> None:
    left, right = multiply(np.array([q]), np.array([p]), 2), multiply(np.array([other_q]), np.array([other_p]), 2)

    assert value_of(left + -right, 2) == Fraction(q * p - other_q * other_p, 10**12)
    assert value_of(left.positive_part(), 2) == max(Fraction(0), Fraction(q * p, 10**12))


@given(st.lists(st.tuples(st.one_of(quantities, small_quantities), small_prices), min_size=1, max_size=6))
def test_sums_of_small_and_large_amounts_are_exact(operands: list[tuple[int, int]]) -> None:
    exact = sum((Fraction(quantity * price, 10**12) for quantity, price in operands), Fraction(0))
    assume(all(abs(quantity * price) < 10**25 for quantity, price in operands))

    total = Money.zero((1,), 2)
    for quantity, price in operands:
        total = total + multiply(np.array([quantity]), np.array([price]), 2)

    assert value_of(total, 2) == exact
    assert value_of(-total, 2) == -exact
    assert value_of(total.positive_part(), 2) == max(exact, 0)
    whole = Decimal(exact.numerator * 10**12 // exact.denominator).scaleb(-12)  # twelve decimals are all there are
    with localcontext(prec=60):
        assert Decimal(int(total.rounded().units[0])).scaleb(-2) == whole.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert Decimal(int(total.to_quantity()[0])).scaleb(-4) == whole.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def test_columns_stand_side_by_side_whatever_their_size() -> None:
    small, large = multiply(np.array([1]), np.array([3]), 2), multiply(np.array([10**17]), np.array([10**10]), 2)

    table = Money.of_columns([small, large, Money.zero((1,), 2)])

    assert table.units.shape == (1, 3)
    assert [value_of(table.column(index), 2) for index in range(3)] == [value_of(small, 2), value_of(large, 2), 0]


@given(st.integers(0, 10**8), small_prices)
def test_rounding_is_half_away_from_zero(quantity: int, price: int) -> None:
    rounded = multiply(np.array([quantity]), np.array([price]), 2).rounded()

    exact = Decimal(quantity * price).scaleb(-12)
    assert Decimal(int(rounded.units[0])).scaleb(-2) == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert rounded.rest[0] == 0


@pytest.mark.parametrize(("price", "cents"), [(50_000_000, 1), (-50_000_000, -1), (49_999_999, 0), (-49_999_999, 0)])
def test_half_a_cent(price: int, cents: int) -> None:
    assert multiply(np.array([100]), np.array([price]), 2).rounded().units[0] == cents


def test_scaled_integers_come_back_as_the_same_decimal() -> None:
    assert from_scaled(to_scaled(Decimal("0.02716875"), 8), 8) == Decimal("0.02716875")


def test_a_finer_decimal_than_the_scale_is_refused() -> None:
    with pytest.raises(TariffError, match=r"0\.00001 has more than 4 decimals"):
        to_scaled(Decimal("0.00001"), 4)


def test_an_amount_beyond_64_bits_is_refused() -> None:
    with pytest.raises(TariffError, match="wrong unit"):
        multiply(np.array([10**18]), np.array([10**14]), 2)
