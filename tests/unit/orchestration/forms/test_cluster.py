"""Where the cluster is and how one logs in to it: wrong settings are refused by name, and no password is shown."""

from pathlib import Path

import pytest
import yaml

from orchestration.forms.cluster import ClusterSettings, cluster_settings, local_secret_path
from orchestration.forms.errors import FormError
from orchestration.forms.local_cluster import SESSION_SETTINGS
from orchestration.settings import DBT_PROJECT_DIR


def test_defaults_are_those_of_the_cluster_on_this_machine() -> None:
    settings = ClusterSettings(_env_file=None)

    assert (settings.address, settings.master_url) == ("127.0.0.1:10000", "spark://127.0.0.1:10001")
    assert settings.password_text() is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"PORT": "80"}, "KILOWISE_CLUSTER_PORT"),
        ({"PORT": "thrift"}, "KILOWISE_CLUSTER_PORT"),
        ({"AUTH": "LDAP"}, "KILOWISE_CLUSTER_PASSWORD_FILE"),
        ({"AUTH": "NONE", "PASSWORD": "planted"}, "KILOWISE_CLUSTER_AUTH=NONE knows no passwords"),
        ({"AUTH": "LDAP", "PASSWORD": "planted", "PASSWORD_FILE": "/file"}, "both set"),
        ({"WORKER_MEMORY": "lots", "PASSWORD": "planted"}, "KILOWISE_CLUSTER_WORKER_MEMORY"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"KILOWISE_CLUSTER_{name}", value)

    with pytest.raises(FormError) as refused:
        cluster_settings()

    assert named in str(refused.value)
    assert "planted" not in str(refused.value)


def test_password_is_read_from_its_file_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("planted\n")
    settings = ClusterSettings(auth="LDAP", password_file=file, _env_file=None)

    assert settings.password_text() == "planted"
    assert "planted" not in repr(settings)


@pytest.mark.parametrize("text", [None, "  \n"])
def test_a_password_that_cannot_be_read_is_refused_with_its_file(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "password"
    if text is not None:
        file.write_text(text)
    settings = ClusterSettings(auth="CUSTOM", password_file=file, _env_file=None)

    with pytest.raises(FormError, match=f"KILOWISE_CLUSTER_PASSWORD_FILE={file}"):
        settings.password_text()


def test_secret_of_the_cluster_on_this_machine_is_found(tmp_path: Path) -> None:
    settings = ClusterSettings(_env_file=None)
    assert settings.spark_secret(tmp_path) is None

    local_secret_path(tmp_path).parent.mkdir(parents=True)
    local_secret_path(tmp_path).write_text("secret")

    assert settings.spark_secret(tmp_path) == "secret"


def test_dbt_sets_what_every_other_session_of_ours_sets() -> None:
    profile = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text())["kilowise"]["outputs"]["spark"]

    parameters = profile["server_side_parameters"]

    assert parameters == {f"set:hiveconf:{name}": value for name, value in SESSION_SETTINGS.items()}
