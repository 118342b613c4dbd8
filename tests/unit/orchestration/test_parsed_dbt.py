"""When dbt goes on from the parsed project, and when it has to parse."""

import json

import pytest

from orchestration import parsed_dbt
from orchestration.manifest import MANIFEST
from orchestration.settings import DBT_PROJECT_DIR


def test_parsed_project_is_that_of_the_manifest() -> None:
    parsed = parsed_dbt._parsed_project(["build"])

    assert parsed is not None
    assert set(parsed.nodes) == set(json.loads((DBT_PROJECT_DIR / MANIFEST).read_bytes())["nodes"])


def test_another_target_is_parsed() -> None:
    assert parsed_dbt._parsed_project(["build", "--target", "spark"]) is None


def test_changed_project_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed_dbt, "is_manifest_current", lambda _: False)

    assert parsed_dbt._parsed_project(["build"]) is None


def test_another_dbt_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed_dbt, "version", lambda _: "1.0.0")

    assert parsed_dbt._parsed_project(["build"]) is None
