"""A unit that changed at the source shows in the size of a whole delivery."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.ingestion.magnitudes import changed_magnitudes

ROWS = 200


def deliver(landing: Path, month: int, factor: float = 1.0, rows: int = ROWS) -> None:
    """Land bills of a month, whose winter bills are three times those of summer."""
    folder = landing / "deliveries" / f"2026-{month:02d}"
    (folder / "bills").mkdir(parents=True)
    (folder / "delivery.json").write_text(json.dumps({"known_at": f"2026-{month:02d}-02T00:00:00"}))
    season = 2 + np.cos(np.pi * month / 6)
    amount = factor * season * np.random.default_rng(month).lognormal(4, 1, rows)
    pq.write_table(pa.table({"amount": amount, "kwh": 2 * amount / factor}), folder / "bills" / "part-0.parquet")


def found(landing: Path) -> list[tuple[str, str, str]]:
    return [(change.entity, change.column, change.delivery) for change in changed_magnitudes(landing, 100)]


def test_seasons_are_no_change_of_unit(tmp_path: Path) -> None:
    for month in range(1, 13):
        deliver(tmp_path, month)
        assert found(tmp_path) == []


@pytest.mark.parametrize("factor", [0.01, 0.001, 100, 1000])
def test_change_of_unit_is_found_in_its_column_only(tmp_path: Path, factor: float) -> None:
    for month in range(1, 6):
        deliver(tmp_path, month)
    deliver(tmp_path, 6, factor)

    assert found(tmp_path) == [("bills", "amount", "2026-06")]


def test_change_stays_suspicious_until_most_deliveries_have_the_new_unit(tmp_path: Path) -> None:
    for month in range(1, 13):
        deliver(tmp_path, month, 0.01 if month >= 6 else 1.0)
        assert bool(found(tmp_path)) is (6 <= month <= 11)


def test_few_corrections_and_the_first_delivery_say_nothing(tmp_path: Path) -> None:
    deliver(tmp_path, 1)
    assert found(tmp_path) == []
    deliver(tmp_path, 2, 0.01, rows=99)
    assert found(tmp_path) == []


def test_without_deliveries_nothing_is_found(tmp_path: Path) -> None:
    assert found(tmp_path) == []
