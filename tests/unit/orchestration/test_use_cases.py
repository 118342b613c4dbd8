"""The adapters between marts and models: what is priced from readings, and what is left out of it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from ml.tariffs.catalogue import Catalogue
from ml.tariffs.schema import load_tariff
from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings
from orchestration.use_cases import _interval_amounts

HOURS_OF_MARCH = 31 * 24


def tariff(tariff_id: str, *components: dict[str, Any]) -> Any:
    return load_tariff(
        {
            "tariff_id": tariff_id,
            "version": "1",
            "name": tariff_id,
            "valid_from": "2025-01-01",
            "currency": "CNY",
            "verified": True,
            "components": list(components),
        }
    )


LADDER_IN_TIME = {
    "kind": "energy",
    "name": "energy",
    "tiers": {"basis": "day", "limits_kwh": [12], "allocation": "chronological"},
    "tables": [{"prices": {"all": [0.5, 1]}}],
}
CAPACITY = {"kind": "capacity", "name": "capacity", "tables": [{"price": 20}]}


@pytest.fixture
def marts() -> MartsVersion:
    """One customer, one kWh in every hour of March 2026 in Shanghai."""
    start = datetime(2026, 2, 28, 16, tzinfo=UTC)
    readings = pa.table(
        {
            "customer_key": ["c"] * HOURS_OF_MARCH,
            "read_at": [start + timedelta(hours=hour) for hour in range(HOURS_OF_MARCH)],
            "interval_minutes": [60] * HOURS_OF_MARCH,
            "kwh": [Decimal("1.0000")] * HOURS_OF_MARCH,
        }
    )
    return cast("MartsVersion", SimpleNamespace(read_table=lambda _mart: readings))


def test_tariffs_that_need_readings_are_priced_and_those_that_lack_facts_are_left_out(marts: MartsVersion) -> None:
    catalogue = Catalogue.of([tariff("ladder", LADDER_IN_TIME), tariff("needs_kva", LADDER_IN_TIME, CAPACITY)])

    amounts = _interval_amounts(marts, catalogue, PlatformSettings(_env_file=None))

    assert amounts is not None
    [row] = amounts.to_dict("records")
    assert (row["tariff_id"], row["customer_key"]) == ("ladder", "c")
    assert row["amount"] == pytest.approx(31 * (12 * 0.5 + 12 * 1))


def test_readings_are_not_read_when_the_cube_prices_everything(marts: MartsVersion) -> None:
    flat = {"kind": "energy", "name": "energy", "tables": [{"prices": {"all": 0.5}}]}

    nothing = _interval_amounts(marts, Catalogue.of([tariff("flat", flat)]), PlatformSettings(_env_file=None))

    assert nothing is None
