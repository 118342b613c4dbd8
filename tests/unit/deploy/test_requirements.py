"""What is installed for the API alone is what the whole project is tested with."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT_ROOT = Path(__file__).resolve().parents[3]


def bounds(requirements: list[str]) -> dict[str, str]:
    return {Requirement(line).name: str(Requirement(line).specifier) for line in requirements}


def pins(lock: str) -> set[str]:
    """Return ``name==version`` of each package; which extras of it were asked for is left out."""
    lines = re.findall(r"^([a-z0-9._-]+)(?:\[\S+\])?(==\S+)", (PROJECT_ROOT / lock).read_text(), re.MULTILINE)
    return {name + version for name, version in lines}


def test_the_group_serving_has_the_projects_bounds() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    group = bounds(project["dependency-groups"]["serving"])

    assert group.items() <= bounds(project["project"]["dependencies"]).items()


def test_pins_are_those_of_the_tested_environment() -> None:
    assert pins("requirements-serving.lock")
    assert pins("requirements-serving.lock") <= pins("requirements.lock")


@pytest.mark.parametrize("addition", ["peers", "deploy", "server", "cluster"])
def test_what_is_installed_beside_the_environment_changes_nothing_in_it(addition: str) -> None:
    environment = pins("requirements.lock")
    names = {pin.split("==")[0] for pin in environment}

    added = pins(f"requirements-{addition}.lock")

    assert {pin for pin in added if pin.split("==")[0] in names} <= environment


def test_the_serving_lock_leaves_the_platform_out() -> None:
    names = {pin.split("==")[0] for pin in pins("requirements-serving.lock")}

    assert not names & {"dagster", "dbt-core", "evidently", "pytest"}


@pytest.mark.parametrize("lock", sorted(path.name for path in PROJECT_ROOT.glob("requirements*.lock")))
def test_locks_name_no_index_and_a_hash_for_each_package(lock: str) -> None:
    text = (PROJECT_ROOT / lock).read_text()

    assert "://" not in text
    assert len(re.findall(r"^[a-z0-9].*==.*\\$", text, re.MULTILINE)) == len(pins(lock))
