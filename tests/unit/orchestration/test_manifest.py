"""When dbt has to read its project again before the assets are made from its manifest."""

import os
from pathlib import Path

import pytest

from orchestration.manifest import is_manifest_current

WRITTEN_AT = 1_000_000_000


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that was parsed after its last change; what dbt compiles is newer than its manifest."""
    for name, age in {
        "models/bills.sql": 60,
        "models/_models.yml": 50,
        "target/manifest.json": 0,
        "target/a.sql": -9,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (WRITTEN_AT - age, WRITTEN_AT - age))
    return tmp_path


def test_manifest_newer_than_the_project_is_current(project: Path) -> None:
    assert is_manifest_current(project)


@pytest.mark.parametrize("name", ["models/bills.sql", "models/_models.yml", "seeds/holidays.csv"])
def test_changed_or_new_file_makes_the_manifest_stale(project: Path, name: str) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).touch()

    assert not is_manifest_current(project)


def test_missing_manifest_is_not_current(project: Path) -> None:
    (project / "target" / "manifest.json").unlink()

    assert not is_manifest_current(project)
