"""When dbt has to read its project again before the assets are made from its manifest."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestration import manifest
from orchestration.dbt import dbt_variables
from orchestration.manifest import (
    MANIFEST,
    PARSED_PROJECT,
    is_manifest_current,
    project_files,
    renew_manifest,
    source_pattern,
)
from orchestration.settings import DBT_PROJECT_DIR, PlatformSettings

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


class Dbt:
    """Stands in for dbt: writes what it would write, and counts how often it was asked."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.parses_count = 0

    def __call__(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.parses_count += 1
        folder = Path(command[command.index("--target-path") + 1])
        if "--partial-parse-file-path" in command:
            # dbt itself ends with an error here; a new clone has no such file.
            assert Path(command[command.index("--partial-parse-file-path") + 1]).exists()
        # Half-written files are seen by nobody.
        assert (self.project / MANIFEST).read_text() == ""
        (folder / MANIFEST.name).write_text("new")
        (folder / PARSED_PROJECT.name).write_text("new")
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def dbt(project: Path, monkeypatch: pytest.MonkeyPatch) -> Dbt:
    dbt = Dbt(project)
    monkeypatch.setattr(manifest.subprocess, "run", dbt)
    return dbt


def test_renewed_files_are_put_in_place_whole_and_nothing_else_is_left(project: Path, dbt: Dbt) -> None:
    (project / "models/bills.sql").touch()

    renew_manifest(project)

    assert is_manifest_current(project)
    assert (project / MANIFEST).read_text() == (project / PARSED_PROJECT).read_text() == "new"
    assert list((project / "target").glob(".parsing-*")) == []
    renew_manifest(project)
    assert dbt.parses_count == 1


def test_of_several_processes_one_parses(project: Path, dbt: Dbt) -> None:
    (project / "models/bills.sql").touch()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(renew_manifest, [project] * 4))

    assert dbt.parses_count == 1


def test_change_during_a_parse_is_not_missed(project: Path, dbt: Dbt, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse_while_somebody_edits(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        (project / "models/bills.sql").touch()
        return dbt(command)

    monkeypatch.setattr(manifest.subprocess, "run", parse_while_somebody_edits)
    (project / "models/bills.sql").touch()

    renew_manifest(project)

    assert not is_manifest_current(project)


def test_what_dbt_parses_depends_on_no_setting() -> None:
    # Only then does one parse hold for every home: settings may decide what SQL says, not which models there are.
    nodes = json.loads((DBT_PROJECT_DIR / MANIFEST).read_bytes())["nodes"].values()
    assert [node["name"] for node in nodes if "var(" in str(node.get("unrendered_config"))] == []

    names = "|".join(dbt_variables(PlatformSettings(_env_file=None)))
    # `{{ config(...) }}` and `{% if var(...) %}`, `{% for x in var(...) %}`, `{% set x = var(...) %}`.
    decided_early = re.compile(rf"(config\([^}}]*|{{%[^}}]*)var\(.({names})\b")
    texts = {path.name: path.read_text(encoding="utf-8") for path in project_files() if path.suffix == ".sql"}
    assert [name for name, text in texts.items() if decided_early.search(text)] == []


def test_files_of_a_source_are_found_in_compiled_sql_wherever_they_lie() -> None:
    source = {"relation_name": "read_parquet('$landing_path/deliveries/*/bills/*.parquet', union_by_name = true)"}
    sql = "select * from read_parquet('/a b/deliveries/*/bills/*.parquet', union_by_name = true) where a = 'b'"

    assert source_pattern(source).sub("bills", sql) == "select * from bills where a = 'b'"
    assert source_pattern({"relation_name": "read_parquet('/landing/*/bills')"}).search(sql) is None
