"""Worlds that several tests look at; simulated once."""

import pytest

from tests.unit.orchestration.ingestion.simulated_supplier.simulated_worlds import World, config_with, run_world


@pytest.fixture(scope="package")
def quiet_world() -> World:
    """300 customers, September 2024 to April 2025, no scenario."""
    return run_world(config_with(None))
