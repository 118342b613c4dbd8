from pathlib import Path

import pytest

from serving.__main__ import main, server_command, server_environment
from serving.api_keys import KeyRing
from serving.settings import ServingSettings


def test_the_verbs_of_keys_make_show_replace_and_end_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))

    def told(*arguments: str) -> str:
        assert main(["keys", *arguments]) == 0
        return capsys.readouterr().out

    def key_in(output: str) -> str:
        return output.splitlines()[0].split()[-1]

    first = key_in(told("add", "shop", "--scope", "credit_risk", "--scope", "segmentation", "--per-second", "7"))
    second = key_in(told("rotate", "shop", "--overlap-hours", "1"))
    told("add", "metrics", "--scope", "admin", "--per-day", "0", "--expires-days", "30")
    told("revoke", "metrics")
    table = told("list")

    assert [line.split()[2] for line in table.splitlines()[1:]] == ["active", "active", "revoked"]
    assert "segmentation credit_risk" in table
    assert not any(key in table for key in (first, second))
    ring = KeyRing(tmp_path / "keys" / "api_keys.json", may_be_open=False)
    callers = [ring.identify(key) for key in (first, second)]
    assert [getattr(caller, "name", None) for caller in callers] == ["shop", "shop"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["list"], "there is no key file"),
        (["rotate", "nobody"], "nobody has no active key"),
        (["revoke", "nobody"], "no active key has the name"),
        (["add", "Nobody!", "--scope", "admin"], "name: String should match"),
    ],
)
def test_mistakes_with_keys_end_in_words(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))

    assert main(["keys", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_outside_development_the_api_does_not_start_without_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv("KILOWISE_ENVIRONMENT", "production")
    monkeypatch.setenv("KILOWISE_PSEUDONYM_KEY", "s" * 32)

    assert main([]) == 2
    assert "python -m serving keys add NAME --scope SCOPE" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::"])
def test_without_keys_the_api_listens_on_its_own_machine_only(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv("KILOWISE_HOST", host)

    assert main([]) == 2
    assert f"on this machine only, not on {host}" in capsys.readouterr().err


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


def test_servers_of_one_home_keep_their_files_apart(tmp_path: Path) -> None:
    first = server_environment(ServingSettings(_env_file=None, home=tmp_path, port=3100))
    second = server_environment(ServingSettings(_env_file=None, home=tmp_path, port=3101))
    elsewhere = server_environment(ServingSettings(_env_file=None, home=tmp_path, runtime_dir=tmp_path / "run"))

    assert first["BENTOML_HOME"] == str(tmp_path / "server" / "3100")
    assert second["BENTOML_HOME"] == str(tmp_path / "server" / "3101")
    assert elsewhere["BENTOML_HOME"] == str(tmp_path / "run")


def test_spans_are_made_only_where_they_are_asked_for(tmp_path: Path) -> None:
    environment = server_environment(ServingSettings(_env_file=None, home=tmp_path, traces="console"))

    assert environment["OTEL_SDK_DISABLED"] == "false"


def test_with_json_lines_the_supervisor_is_quiet(tmp_path: Path) -> None:
    assert "--quiet" not in server_command(ServingSettings(_env_file=None, home=tmp_path))
    assert "--quiet" in server_command(ServingSettings(_env_file=None, home=tmp_path, log_format="json"))


def test_requests_in_work_have_the_time_that_the_operator_gives(tmp_path: Path) -> None:
    command = server_command(ServingSettings(_env_file=None, home=tmp_path, shutdown_seconds=17))

    assert command[command.index("--timeout-graceful-shutdown") + 1] == "17"


def test_telemetry_is_off(tmp_path: Path) -> None:
    environment = server_environment(ServingSettings(_env_file=None, home=tmp_path))

    assert environment["BENTOML_DO_NOT_TRACK"] == "True"
    assert environment["OTEL_SDK_DISABLED"] == "true"
