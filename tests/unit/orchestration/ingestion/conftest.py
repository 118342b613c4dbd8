"""The supplier that tests of the landing write files for."""

from pathlib import Path

import pytest

from tests.unit.orchestration.ingestion.supplier import Supplier


@pytest.fixture
def supplier(tmp_path: Path) -> Supplier:
    """A supplier with an empty inbox."""
    return Supplier(tmp_path)
