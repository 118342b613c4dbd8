"""What an operator may set in the environment."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import ValidationError

from ml.credit_risk.register import REGISTER_FILE
from orchestration.forms.server import ServerSettings
from orchestration.settings import PROJECT_ROOT, PlatformSettings
from serving.settings import ServingSettings


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


def test_example_of_the_settings_file_can_be_taken_as_it_stands(tmp_path: Path) -> None:
    example = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
    file = tmp_path / ".env"
    file.write_text(re.sub(r"(?m)^# (?=KILOWISE_)", "", example), encoding="utf-8")

    platform, serving = PlatformSettings(_env_file=file), ServingSettings(_env_file=file)

    server = ServerSettings(home=tmp_path, _env_file=file)

    names = {name.removeprefix("KILOWISE_").lower() for name in dotenv_values(file)}
    of_server = {name.removeprefix("server_") for name in names if name.startswith("server_")}
    assert of_server <= ServerSettings.model_fields.keys() & server.model_fields_set
    names = {name for name in names if not name.startswith(("server_", "cluster_"))}
    assert names <= PlatformSettings.model_fields.keys() | ServingSettings.model_fields.keys()
    assert names <= platform.model_fields_set | serving.model_fields_set
    assert platform.home == serving.home == Path("data").resolve()
    assert platform.time_zone == "Asia/Shanghai"
    assert serving.api_keys_path == Path("data/keys/api_keys.json").resolve()


@pytest.mark.parametrize("name", ["home", "currency", "time_zone", "credit_policy", "credit_policy_paths"])
def test_platform_and_api_have_the_same_default(name: str) -> None:
    assert PlatformSettings.model_fields[name].default == ServingSettings.model_fields[name].default


def test_platform_and_api_read_the_same_credit_register(tmp_path: Path) -> None:
    assert PlatformSettings(home=tmp_path, _env_file=None).credit_register_path == tmp_path / REGISTER_FILE
