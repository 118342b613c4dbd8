"""The power factor of a month and China's three tables."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.tariffs.power_factor import power_factor_hundredths
from ml.tariffs.schema import PowerFactorComponent

ENERGY = st.integers(0, 10**12)


def component(standard: str) -> PowerFactorComponent:
    return PowerFactorComponent(kind="power_factor", name="PF", standard=Decimal(standard), base=("Energy",))


@settings(max_examples=200, deadline=None)
@given(kwh=ENERGY, kvarh=ENERGY)
@example(kwh=0, kvarh=1)
@example(kwh=3 * 10**12, kvarh=4 * 10**12)
# 0.125 is a tie of two hundredths: 1 / 8 with kvarh**2 = 63, so one below and one above it.
@example(kwh=10**11, kvarh=793725393319)
@example(kwh=10**11, kvarh=793725393320)
def test_hundredths_are_those_of_exact_arithmetic(kwh: int, kvarh: int) -> None:
    [found] = power_factor_hundredths(np.array([kwh]), np.array([kvarh])).tolist()

    if kwh == kvarh == 0:
        assert found == 100
        return
    squared = kwh**2 + kvarh**2
    assert (2 * found - 1) ** 2 * squared <= 40_000 * kwh**2 or found == 0
    assert 40_000 * kwh**2 < (2 * found + 1) ** 2 * squared


@pytest.mark.parametrize(
    ("standard", "power_factor", "percent"),
    [
        ("0.90", "1.00", "-0.75"), ("0.90", "0.95", "-0.75"), ("0.90", "0.94", "-0.60"), ("0.90", "0.90", "0"),
        ("0.90", "0.70", "10.0"), ("0.90", "0.65", "15.0"), ("0.90", "0.64", "17.0"),
        ("0.85", "0.90", "-0.50"), ("0.85", "0.94", "-1.10"), ("0.85", "0.99", "-1.10"), ("0.85", "0.84", "0.5"),
        ("0.85", "0.65", "10.0"), ("0.85", "0.60", "15.0"), ("0.85", "0.59", "17.0"),
        ("0.80", "0.90", "-1.00"), ("0.80", "0.92", "-1.30"), ("0.80", "1.00", "-1.30"), ("0.80", "0.60", "10.0"),
        ("0.80", "0.55", "15.0"), ("0.80", "0.54", "17.0"),
    ],
)  # fmt: skip
def test_standards_are_those_of_the_published_tables(standard: str, power_factor: str, percent: str) -> None:
    """DOMAIN 2.5, after (83) 水电财字第215号."""
    assert component(standard).percent_of(Decimal(power_factor)) == Decimal(percent)
