"""Where `make` keeps the state, which every command of the pages is typed with, and what it installs."""

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


def dry_run(folder: Path, target: str, **environment: str) -> list[str]:
    """Return the lines that `make` would run in a folder."""
    # The suite itself is started by make, which tells its children so.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("KILOWISE_", "MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", "--dry-run", "--file", str(MAKEFILE), target],
        cwd=folder,
        env=inherited | {"HOME": "/home/operator"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def home_of_make(folder: Path, **environment: str) -> str:
    """Return the state folder that `make` would remove when it is run in a folder."""
    return dry_run(folder, "reset", **environment)[-1].removeprefix('rm -rf "').removesuffix('"')


def test_state_lies_in_data_unless_said_otherwise(tmp_path: Path) -> None:
    assert home_of_make(tmp_path) == str(tmp_path / "data")


def test_relative_home_becomes_absolute(tmp_path: Path) -> None:
    assert home_of_make(tmp_path, KILOWISE_HOME="./data/county one") == str(tmp_path / "data" / "county one")


@pytest.mark.parametrize(
    "line",
    ["KILOWISE_HOME=./county", "export KILOWISE_HOME='./county'", 'KILOWISE_HOME = "county"  # of the trial'],
)
def test_home_of_the_env_file_counts(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# KILOWISE_HOME=./data   state\nKILOWISE_TIME_ZONE=UTC\n{line}\n")

    assert home_of_make(tmp_path) == str(tmp_path / "county")
    assert home_of_make(tmp_path, KILOWISE_HOME="/srv/kilowise") == "/srv/kilowise"


def test_home_of_the_env_file_may_begin_with_a_tilde(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KILOWISE_HOME=~/county\n")

    assert home_of_make(tmp_path) == "/home/operator/county"


LOCKS = ("requirements.lock", "requirements-server.lock", "requirements-cluster.lock")


def environment_of(folder: Path, *groups: str) -> list[str]:
    """Return the lines by which `make env` would renew an environment to which groups were added."""
    (folder / ".venv").mkdir()
    for group in groups:
        (folder / ".venv" / f".{group}").touch()
    for lock in LOCKS:
        (folder / lock).touch()
    return dry_run(folder, "env")


def test_environment_without_groups_gets_the_first_lock_alone(tmp_path: Path) -> None:
    lines = environment_of(tmp_path)

    assert any("uv pip sync --quiet requirements.lock )" in line for line in lines)
    assert lines[-1].split() == ["touch", ".venv/.ready"]


def test_groups_that_were_added_stay_when_the_environment_is_renewed(tmp_path: Path) -> None:
    lines = environment_of(tmp_path, "server", "cluster")

    assert any(f"uv pip sync --quiet {' '.join(LOCKS)} )" in line for line in lines)
    assert any("--require-hashes -r requirements.lock -r requirements-server.lock -r" in line for line in lines)
    assert lines[-1].split() == ["touch", ".venv/.ready", ".venv/.server", ".venv/.cluster"]


def test_group_is_added_to_an_environment_that_lacks_it(tmp_path: Path) -> None:
    environment_of(tmp_path)

    lines = dry_run(tmp_path, "env-cluster")
    added = [line.split("-r ")[-1] for line in lines if " -r requirements-" in line]
    assert added == ["requirements-server.lock", "requirements-cluster.lock"]
