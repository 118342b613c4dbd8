"""Fixtures of the monitoring tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.monitoring.factories import MONTH, Platform, prediction_frame, reference_frame


@pytest.fixture
def make_platform(tmp_path: Path) -> Callable[..., Platform]:
    """Return a function that lays out a released model with a reference and one month of batch predictions."""

    def make(use_case: str = "credit_risk", rows: int = 1_000, months: int = 12) -> Platform:
        platform = Platform(tmp_path, use_case)
        platform.write_reference(reference_frame(use_case, months=months))
        if rows:
            platform.write_batch(prediction_frame(use_case, MONTH, rows, seed=1))
        return platform

    return make
