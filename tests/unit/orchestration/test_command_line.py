"""`python -m orchestration run` with settings that cannot work: one line each, and nothing is begun."""

from pathlib import Path

import pytest

from orchestration.__main__ import main


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("TIME_ZONE", "Asia/Nowhere", "'Asia/Nowhere' is no IANA time zone such as Asia/Shanghai"),
        ("SIMULATED_CUSTOMERS", "3", "Input should be greater than or equal to 20"),
        ("CURRENCY", "yuan", "String should match pattern"),
        ("RELEASE_POLICY", "sometimes", "Input should be 'automatic' or 'approval'"),
        ("AS_OF_LAG_DAYS", "three", "Input should be a valid integer"),
    ],
)
def test_wrong_setting_is_one_clear_line(
    setting: str,
    value: str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(f"KILOWISE_{setting}", value)

    assert main(["run"]) == 1

    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"Setting KILOWISE_{setting}: ")
    assert line in said
    assert not (tmp_path / "home").exists()


def test_production_refuses_the_development_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KILOWISE_ENVIRONMENT", "production")

    assert main(["run"]) == 1

    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(
        "the development pseudonym key is refused in environment production; set KILOWISE_PSEUDONYM_KEY"
    )
    assert not (tmp_path / "home").exists()
