"""A restored home goes on as if nothing had been, and so does one whose readings were tidied up: nothing changes."""

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from orchestration.backup import backup, restore
from orchestration.feature_definitions import DEFINITIONS_FILE
from orchestration.ingestion.compaction import compact_readings
from orchestration.ingestion.retention import read_retention, remove_old_readings
from orchestration.state_version import STATE_FILE, migrate
from tests.integration.platform_home import PlatformHome

# With the forms of the platform, since it runs the main job again.
pytestmark = pytest.mark.server

_RESULTS = ("marts", "predictions/batch", "releases", "models/models")


def results(home: PlatformHome) -> dict[str, str]:
    """Return the hash of every file that others read, by its place."""
    return {
        path.relative_to(home.path).as_posix(): hashlib.sha256(what_is_read(path)).hexdigest()
        for folder in _RESULTS
        for path in sorted((home.path / folder).rglob("*"))
        if path.is_file() and path.name not in ("latest", ".lock")
    }


def what_is_read(path: Path) -> bytes:
    """Return a file's content; of the definitions of features not the hash of dbt's code, which names the home."""
    content = path.read_bytes()
    if (path.parent.name, path.name) != ("marts", DEFINITIONS_FILE):
        return content
    return json.dumps(json.loads(content)["definitions"], sort_keys=True).encode()


def say_nothing(_sentence: str) -> None:
    """Take a sentence."""


def run_again(home: PlatformHome) -> str:
    """Do the main job and return what it said."""
    done = home.run()
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_runs_after_a_restore_a_compaction_and_a_removal_of_readings_change_nothing(
    finished_home: PlatformHome, tmp_path: Path
) -> None:
    before = results(finished_home)
    written = backup(finished_home.settings, tmp_path / "home.tar", say_nothing)
    restored = PlatformHome(tmp_path / "restored", finished_home.choices)
    restore(restored.settings, written, say_nothing)
    assert results(restored) == before

    assert "Nothing that these models are made from has changed" in run_again(restored)
    assert results(restored) == before

    landing = restored.settings.landing_dir
    files = len(list((landing / "deliveries").glob("*/meter_readings/*/*.parquet")))
    assert compact_readings(landing, from_files=2)
    assert len(list((landing / "deliveries").glob("*/meter_readings/*/*.parquet"))) < files
    removed = remove_old_readings(landing, date(2024, 12, 1))
    assert removed.rows_count > 0
    assert read_retention(landing).rows_count == removed.rows_count

    # dbt looks at every month and finds none to compute, and its tests allow for what was removed.
    run_again(restored)
    assert results(restored) == before


def test_releases_of_an_older_home_of_the_same_form_are_served_after_its_migration(
    finished_home: PlatformHome, tmp_path: Path
) -> None:
    older = finished_home.copy_to(tmp_path / "older")
    (older.path / STATE_FILE).unlink(missing_ok=True)
    said: list[str] = []
    assert migrate(older.settings, said.append) == 0
    assert sum("is served by this version" in sentence for sentence in said) == 3
