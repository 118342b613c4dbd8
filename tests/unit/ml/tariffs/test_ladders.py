"""Splitting tiers over periods."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.tariffs.exact import divide_product
from ml.tariffs.ladders import split_in_proportion

ENERGY = st.integers(0, 10**13)


@settings(max_examples=100, deadline=None)
@given(left=st.integers(0, 2**52), share=st.fractions(0, 1), divisor=st.integers(1, 2**60))
def test_products_beyond_64_bits_divide_exactly(left: int, share: Fraction, divisor: int) -> None:
    right = int(share * divisor)

    quotient, remainder = divide_product(np.array([left]), np.array([right]), np.array([divisor]))

    assert (quotient[0], remainder[0]) == divmod(left * right, divisor)


@settings(max_examples=100, deadline=None)
@given(tiers=st.lists(ENERGY, min_size=1, max_size=5), share=st.fractions(0, 1))
def test_shares_add_up_to_the_period_and_are_off_by_less_than_a_unit(tiers: list[int], share: Fraction) -> None:
    period = int(share * sum(tiers))

    parts = split_in_proportion(np.array([period]), [np.array([tier]) for tier in tiers])

    found = [int(part[0]) for part in parts]
    assert sum(found) == period
    assert all(
        abs(part - Fraction(tier * period, max(sum(tiers), 1))) < 1 for part, tier in zip(found, tiers, strict=True)
    )
