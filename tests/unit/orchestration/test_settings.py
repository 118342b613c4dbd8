"""What an operator may set in the environment."""

import pytest
from pydantic import ValidationError

from orchestration.settings import PlatformSettings


@pytest.mark.parametrize("name", ["slot_minutes", "simulated_interval_minutes"])
@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_minutes_are_read_from_the_environment(name: str, minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"KILOWISE_{name.upper()}", str(minutes))

    assert getattr(PlatformSettings(), name) == minutes


@pytest.mark.parametrize("minutes", ["45", "30.5", "half an hour"])
def test_other_minutes_are_refused(minutes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILOWISE_SLOT_MINUTES", minutes)

    with pytest.raises(ValidationError, match="15, 30 or 60"):
        PlatformSettings()
