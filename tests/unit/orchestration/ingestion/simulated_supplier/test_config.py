import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.ingestion.simulated_supplier.config import Scenario, SupplierConfig

RECESSION = Scenario(name="recession", from_month=dt.date(2025, 3, 1))


def test_defaults_are_two_thousand_customers_and_twenty_five_hourly_months() -> None:
    config = SupplierConfig()

    assert (config.customers, config.months, config.interval_minutes) == (2000, 25, 60)


def test_month_in_the_middle_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="not the first day of a month; write 2025-03-01"):
        Scenario(name="recession", from_month=dt.date(2025, 3, 17))


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValidationError, match="heat_wave"):
        Scenario.model_validate({"name": "flood", "from_month": "2025-03-01"})


@given(st.integers(min_value=-200, max_value=200))
def test_month_at_and_month_index_are_inverse(index: int) -> None:
    config = SupplierConfig()

    assert config.month_index(config.month_at(index)) == index


def test_scenario_does_not_touch_what_came_before_it() -> None:
    quiet, shaken = SupplierConfig(), SupplierConfig(scenarios=(RECESSION,))
    start = shaken.month_index(RECESSION.from_month)

    assert shaken.as_of(start - 1) == quiet.as_of(start - 1)
    assert shaken.as_of(start) != quiet.as_of(start)


def test_order_of_scenarios_does_not_matter() -> None:
    heat = Scenario(name="heat_wave", from_month=dt.date(2025, 3, 1))

    assert SupplierConfig(scenarios=(RECESSION, heat)).as_of(20) == SupplierConfig(scenarios=(heat, RECESSION)).as_of(
        20
    )
