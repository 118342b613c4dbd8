import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from orchestration.settings import DEVELOPMENT_PSEUDONYM_KEY as PLATFORM_DEVELOPMENT_KEY
from serving.settings import DEVELOPMENT_PSEUDONYM_KEY, ServingConfigurationError, ServingSettings

DIGEST = hashlib.sha256(b"key").hexdigest()


def test_development_key_is_the_platforms() -> None:
    assert DEVELOPMENT_PSEUDONYM_KEY == PLATFORM_DEVELOPMENT_KEY


def test_defaults_listen_on_loopback_beside_dagster() -> None:
    settings = ServingSettings(_env_file=None)

    assert (settings.host, settings.port) == ("127.0.0.1", 3100)


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv("KILOWISE_API_KEYS", f'["{DIGEST}"]')

    settings = ServingSettings(_env_file=None)

    assert (settings.home, settings.api_keys) == (tmp_path, (DIGEST,))


def test_development_pseudonym_key_is_refused_in_production() -> None:
    with pytest.raises(ServingConfigurationError, match="KILOWISE_PSEUDONYM_KEY"):
        ServingSettings(_env_file=None, environment="production", api_keys=(DIGEST,))


def test_a_short_pseudonym_key_is_refused_in_production() -> None:
    with pytest.raises(ServingConfigurationError, match="32 characters"):
        ServingSettings(_env_file=None, environment="production", api_keys=(DIGEST,), pseudonym_key=SecretStr("s" * 31))


def test_production_needs_api_keys() -> None:
    with pytest.raises(ServingConfigurationError, match="new-key"):
        ServingSettings(_env_file=None, environment="production", pseudonym_key=SecretStr("s" * 32))


def test_production_starts_with_both_keys() -> None:
    settings = ServingSettings(
        _env_file=None, environment="production", pseudonym_key=SecretStr("s" * 32), api_keys=(DIGEST,)
    )

    assert settings.environment == "production"


@pytest.mark.parametrize("entry", ["key", DIGEST.upper(), DIGEST[:-1]])
def test_api_keys_in_plain_text_are_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match="SHA-256"):
        ServingSettings(_env_file=None, api_keys=(entry,))


def test_secrets_are_not_printed() -> None:
    settings = ServingSettings(_env_file=None, pseudonym_key=SecretStr("very secret"))

    assert "very secret" not in repr(settings)
