"""Where `make` keeps the state: every command of the pages is typed with it."""

import os
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


def home_of_make(folder: Path, **environment: str) -> str:
    """Return the state folder that `make` would remove when it is run in a folder."""
    # The suite itself is started by make, which tells its children so.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("KILOWISE_", "MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", "--dry-run", "--file", str(MAKEFILE), "reset"],
        cwd=folder,
        env=inherited | {"HOME": "/home/operator"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1].removeprefix('rm -rf "').removesuffix('"')


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
