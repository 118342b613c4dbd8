import hashlib
from pathlib import Path

import pytest

from serving.__main__ import main, server_environment
from serving.settings import ServingSettings


def test_new_key_prints_a_key_and_the_entry_that_accepts_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-key"]) == 0

    lines = capsys.readouterr().out.splitlines()
    key, entry = (line.split()[-1] for line in lines[:2])
    assert hashlib.sha256(key.encode()).hexdigest() == entry
    ServingSettings(_env_file=None, api_keys=(entry,))


def test_an_unsafe_configuration_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_ENVIRONMENT", "production")

    assert main([]) == 2
    assert "KILOWISE_PSEUDONYM_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CREDIT_POLICY", "mine", "the API does not start: No credit policy 'mine' applies on"),
        ("TIME_ZONE", "Asia/Nowhere", "'Asia/Nowhere' is no IANA time zone such as Asia/Shanghai"),
    ],
)
def test_settings_that_no_worker_could_start_with_are_refused_in_words(
    name: str,
    value: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv(f"KILOWISE_{name}", value)

    assert main([]) == 2
    assert sentence in capsys.readouterr().err


def test_telemetry_is_off_and_the_model_store_is_ours(tmp_path: Path) -> None:
    environment = server_environment(ServingSettings(_env_file=None, home=tmp_path))

    assert environment["BENTOML_HOME"] == str(tmp_path / "models")
    assert environment["BENTOML_DO_NOT_TRACK"] == "True"
    assert environment["OTEL_SDK_DISABLED"] == "true"
