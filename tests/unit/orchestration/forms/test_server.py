"""Connection strings come from the environment, from a file or from the servers of this machine, or are refused."""

from pathlib import Path

import pytest

from orchestration import forms
from orchestration.forms.errors import FormError, GroupMissingError
from orchestration.forms.server import ServerSettings
from orchestration.settings import PlatformSettings

POSTGRES = "postgresql://kilowise:a-secret@127.0.0.1:5432/dagster"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def server(home: Path, **values: object) -> ServerSettings:
    return ServerSettings(home=home, _env_file=None, **values)  # type: ignore[arg-type]  # fields of many types


def test_a_file_stands_for_a_connection_string(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(POSTGRES + "\n")

    assert server(tmp_path, postgres_url_file=secret).postgres().get_secret_value() == POSTGRES


def test_what_server_up_wrote_is_taken_where_nothing_is_set(tmp_path: Path) -> None:
    settings = server(tmp_path)
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "redis_url").write_text("redis://:secret@127.0.0.1:6390/0")

    assert settings.redis().get_secret_value() == "redis://:secret@127.0.0.1:6390/0"


def test_no_connection_string_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FormError, match=r"KILOWISE_SERVER_POSTGRES_URL is not set: .*make server-up"):
        server(tmp_path).postgres()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormError, match=r"KILOWISE_SERVER_REDIS_URL_FILE names .*nowhere"):
        server(tmp_path, redis_url_file=tmp_path / "nowhere").redis()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://kilowise:a-secret@127.0.0.1/dagster",
        "postgresql://kilowise:a-secret@127.0.0.1:5432",
        "postgresql://kilowise:a-secret@127.0.0.1:port/dagster",
        "a-secret",
    ],
)
def test_what_is_no_connection_string_is_refused_without_repeating_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(FormError, match="KILOWISE_SERVER_POSTGRES_URL") as refusal:
        server(tmp_path, postgres_url=url).postgres()

    assert "a-secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["redis://:a-secret@127.0.0.1:6390/queue", "redis://:a-secret@127.0.0.1:port/0"])
def test_what_is_no_address_of_a_queue_is_refused_without_repeating_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(FormError, match="KILOWISE_SERVER_REDIS_URL") as refusal:
        server(tmp_path, redis_url=url).redis()

    assert "a-secret" not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_told_without_codes(tmp_path: Path) -> None:
    with pytest.raises(FormError, match=r"_FILE, cannot be read: Is a directory\."):
        server(tmp_path, redis_url_file=tmp_path).redis()


def test_production_demands_tls_on_the_way_to_another_machine(tmp_path: Path) -> None:
    far = POSTGRES.replace("127.0.0.1", "database.example.org")

    with pytest.raises(FormError, match="sslmode=verify-full"):
        server(tmp_path, is_production=True, postgres_url=far).postgres()
    with pytest.raises(FormError, match="rediss://"):
        server(tmp_path, is_production=True, redis_url="redis://:secret@queue.example.org/0").redis()
    assert server(tmp_path, is_production=True, postgres_url=far + "?sslmode=verify-full").postgres()
    assert server(tmp_path, is_production=True, redis_url="rediss://:secret@queue.example.org/0").redis()


def test_production_demands_a_password_of_redis(tmp_path: Path) -> None:
    with pytest.raises(FormError, match="has no password"):
        server(tmp_path, is_production=True, redis_url="redis://127.0.0.1:6390/0").redis()


def test_no_secret_is_printed_with_the_settings(tmp_path: Path) -> None:
    assert "a-secret" not in repr(server(tmp_path, postgres_url=POSTGRES))


def test_a_value_that_cannot_be_used_is_named_by_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILOWISE_SERVER_LEASE_SECONDS", "soon")

    with pytest.raises(FormError, match="KILOWISE_SERVER_LEASE_SECONDS: "):
        ServerSettings.of(PlatformSettings(home=tmp_path))


def test_a_profile_without_its_packages_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(forms, "_is_installed", lambda name: name != "dagster_celery")

    with pytest.raises(GroupMissingError, match=r"\(dagster_celery\): run `make env-server`"):
        forms.executor(PlatformSettings(home=tmp_path, profile="server"))


def test_the_embedded_profile_runs_in_this_process(tmp_path: Path) -> None:
    assert forms.executor(PlatformSettings(home=tmp_path)).name == "in_process"
