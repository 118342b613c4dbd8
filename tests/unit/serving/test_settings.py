from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestration.settings import DEVELOPMENT_PSEUDONYM_KEY as PLATFORM_DEVELOPMENT_KEY
from serving.settings import DEVELOPMENT_PSEUDONYM_KEY, ServingConfigurationError, ServingSettings


def test_development_key_is_the_platforms() -> None:
    assert DEVELOPMENT_PSEUDONYM_KEY == PLATFORM_DEVELOPMENT_KEY


def test_defaults_listen_on_loopback_beside_dagster() -> None:
    settings = ServingSettings(_env_file=None)

    assert (settings.host, settings.port) == ("127.0.0.1", 3100)


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv("KILOWISE_API_KEYS_FILE", "secrets/keys.json")

    settings = ServingSettings(_env_file=None)

    assert (settings.home, settings.api_keys_path) == (tmp_path, Path.cwd() / "secrets" / "keys.json")


def test_the_key_file_lies_in_the_home_unless_said_otherwise(tmp_path: Path) -> None:
    assert ServingSettings(_env_file=None, home=tmp_path).api_keys_path == tmp_path / "keys" / "api_keys.json"


def test_development_pseudonym_key_is_refused_in_production() -> None:
    with pytest.raises(ServingConfigurationError, match="KILOWISE_PSEUDONYM_KEY"):
        ServingSettings(_env_file=None, environment="production")


def test_a_short_pseudonym_key_is_refused_in_production() -> None:
    with pytest.raises(ServingConfigurationError, match="32 characters"):
        ServingSettings(_env_file=None, environment="production", pseudonym_key=SecretStr("s" * 31))


def test_production_takes_a_key_of_32_characters() -> None:
    settings = ServingSettings(_env_file=None, environment="production", pseudonym_key=SecretStr("s" * 32))

    assert settings.environment == "production"


def test_secrets_are_not_printed() -> None:
    settings = ServingSettings(_env_file=None, pseudonym_key=SecretStr("very secret"))

    assert "very secret" not in repr(settings)


@pytest.mark.parametrize("address", ["lmdb", "http://127.0.0.1:6379", ""])
def test_features_come_from_the_file_or_from_redis(address: str) -> None:
    with pytest.raises(ValueError, match=r"redis://127\.0\.0\.1:6379/0"):
        ServingSettings(_env_file=None, feature_store=SecretStr(address))
