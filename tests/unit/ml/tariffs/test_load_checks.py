"""Loads in W or Wh are not taken for kW or kWh."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import SchemaMismatchError
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_checks import check_scale
from ml.tariffs.load_cube import LoadCube


def cube_of(peak_kw: float) -> LoadCube:
    peak = np.zeros((1, 1, 3, 24), np.int64)
    peak[0, 0, 0, 7] = round(peak_kw * 10_000)
    return LoadCube.from_arrays(["c"], [date(2025, 1, 1)], kwh=peak, peak_kw=peak, slot_minutes=60)


def customer(**facts: object) -> CustomerTable:
    return CustomerTable.from_frame(pd.DataFrame([{"customer_key": "c"} | facts]))


@pytest.mark.parametrize(
    ("peak_kw", "facts"),
    [(9.0, {"customer_class": "residential"}), (700.0, {"contract_capacity_kva": 800.0}), (50_000.0, {})],
)
def test_credible_loads_pass_and_a_thousandfold_is_refused(peak_kw: float, facts: dict[str, object]) -> None:
    check_scale(cube_of(peak_kw), customer(**facts))

    with pytest.raises(SchemaMismatchError, match=r"load of customer c: .* the readings look like W or Wh"):
        check_scale(cube_of(1000 * peak_kw), customer(**facts))


def test_without_facts_only_what_nobody_draws_is_refused() -> None:
    check_scale(cube_of(100_000.0))

    with pytest.raises(SchemaMismatchError, match="3,000,000 kW is above the 2,000,000 kW"):
        check_scale(cube_of(3e6))
