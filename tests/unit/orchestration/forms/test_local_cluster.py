"""A cluster on this machine: which Java it takes, what it refuses before it starts anything, what it calls its own."""

import json
import os
import socket
from pathlib import Path

import pytest

from orchestration.forms import local_cluster
from orchestration.forms.cluster import ClusterSettings
from orchestration.forms.errors import FormError, VersionError
from orchestration.forms.local_cluster import LocalCluster, check_java, java_release


@pytest.mark.parametrize(
    ("told", "release"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('java version "1.8.0_402"', 8),
        ("17.0.15", 17),
        ("no Java at all", None),
    ],
)
def test_release_is_read_from_what_java_tells(told: str, release: int | None) -> None:
    assert java_release(told) == release


def java_of(folder: Path, version: str) -> None:
    program = folder / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)


def test_java_of_the_environment_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_of(tmp_path, "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert check_java() == tmp_path / "bin" / "java"


def test_another_release_of_java_is_refused_with_those_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_of(tmp_path, "11.0.22")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(VersionError, match="is Java 11, and Spark needs Java 17 or 21"):
        check_java()


def test_no_java_is_refused_with_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(VersionError, match="apt-get install openjdk-17-jre-headless"):
        check_java()


def test_a_cluster_elsewhere_is_not_started_here(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, ClusterSettings(host="spark.example.org", _env_file=None))

    with pytest.raises(FormError, match=r"KILOWISE_CLUSTER_HOST=spark\.example\.org is another machine's"):
        cluster.up()


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_cluster, "_spark_home", lambda: tmp_path)
    monkeypatch.setattr(local_cluster, "check_java", lambda: tmp_path / "bin" / "java")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        master_port = taken.getsockname()[1]
        cluster = LocalCluster(tmp_path / "home", ClusterSettings(port=master_port - 1, _env_file=None))

        with pytest.raises(FormError, match=f"Port {master_port} for Spark's master is taken"):
            cluster.up()

    assert cluster.processes() == []
    secret = cluster.folder / "conf" / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (cluster.folder / "conf" / "spark-defaults.conf").stat().st_mode & 0o777 == 0o600
    assert secret.read_text() in (cluster.folder / "conf" / "spark-defaults.conf").read_text()


def test_a_process_of_somebody_else_with_a_noted_id_is_not_ours(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, ClusterSettings(_env_file=None))
    cluster.folder.mkdir()
    noted = {"name": "master", "pid": os.getpid(), "started_at": 1.0, "port": 10001}
    (cluster.folder / "processes.json").write_text(json.dumps([noted]))

    said: list[str] = []
    cluster.down(said.append)

    assert said == [f"Nothing of the cluster in {cluster.folder} is running."]
