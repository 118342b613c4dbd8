"""What the tests of `deploy/` share: its files, and the programs that check them."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
KUBERNETES_FILES = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")


def program(name: str, remedy: str) -> str:
    """Return the path of a checking program; the test that needs it skips where it is missing."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {remedy}")
    return found


@pytest.fixture(scope="session")
def manifests() -> dict[str, dict[str, Any]]:
    """Kubernetes objects by kind."""
    objects = [yaml.safe_load(path.read_text()) for path in KUBERNETES_FILES]
    return {entry["kind"]: entry for entry in objects}


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The Compose file."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return content
