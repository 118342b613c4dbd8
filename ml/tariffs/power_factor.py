"""The power factor of a month and its reward or surcharge."""

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from ml.tariffs.exact import IntArray, to_scaled
from ml.tariffs.schema import PowerFactorComponent

PERCENT_DECIMALS = 6
_NEAR_A_TIE = 1e-6


def power_factor_hundredths(kwh: IntArray, kvarh: IntArray) -> NDArray[np.int64]:
    """Return ``kwh / sqrt(kwh**2 + kvarh**2)`` in hundredths, rounded half up; 100 where there is neither.

    Args:
        kwh: Active energy, any unit.
        kvarh: Reactive energy in the same unit and shape.
    """
    apparent = np.hypot(kwh.astype(np.float64), kvarh.astype(np.float64))
    exact = np.where(apparent > 0, 100.0 * kwh / np.where(apparent > 0, apparent, 1.0), 100.0)
    hundredths = np.floor(exact + 0.5).astype(np.int64)
    for place in zip(*np.nonzero(np.abs(exact - np.floor(exact) - 0.5) < _NEAR_A_TIE), strict=True):
        hundredths[place] = _compared_with_tie(int(kwh[place]), int(kvarh[place]), int(np.floor(exact[place])))
    return hundredths


def _compared_with_tie(kwh: int, kvarh: int, lower: int) -> int:
    """Return ``lower`` or the next hundredth, by comparing squares of integers with the tie between them."""
    is_up = (200 * kwh) ** 2 >= (2 * lower + 1) ** 2 * (kwh**2 + kvarh**2)
    return lower + is_up


def power_factor_percents(component: PowerFactorComponent, kwh: IntArray, kvarh: IntArray) -> IntArray:
    """Return the adjustment in 1e-6 percent for every element; zero where neither energy was used."""
    table = [component.percent_of(Decimal(hundredths).scaleb(-2)) for hundredths in range(101)]
    percents = np.array([to_scaled(percent, PERCENT_DECIMALS) for percent in table], np.int64)
    return np.where((kwh > 0) | (kvarh > 0), percents[power_factor_hundredths(kwh, kvarh)], 0)
