"""The manifest that dbt writes about its project and from which the assets are made when they are imported."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestration.settings import DBT_PROJECT_DIR

MANIFEST = Path("target") / "manifest.json"
_SOURCES = ("*.sql", "*.yml", "*.csv")


def renew_manifest(project_dir: Path = DBT_PROJECT_DIR) -> None:
    """Have dbt parse its project where the manifest is missing or older than a file of the project.

    `make` does so before its commands; after an upgrade any other command would meet models and tests that the
    manifest does not know. Call this before anything imports the assets.
    """
    if is_manifest_current(project_dir):
        return
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "parse", "--profiles-dir", "."]
    subprocess.run(command, cwd=project_dir, check=True)  # noqa: S603  # our own dbt
    (project_dir / MANIFEST).touch()


def is_manifest_current(project_dir: Path) -> bool:
    """Return whether the manifest is as new as every file that dbt reads."""
    manifest = project_dir / MANIFEST
    if not manifest.exists():
        return False
    read_at = manifest.stat().st_mtime
    return all(path.stat().st_mtime <= read_at for path in project_files(project_dir))


def project_files(project_dir: Path = DBT_PROJECT_DIR) -> Sequence[Path]:
    """Return every file that dbt reads, in a fixed order."""
    target = project_dir / MANIFEST.parent
    found = (path for pattern in _SOURCES for path in project_dir.rglob(pattern) if target not in path.parents)
    return sorted(found)
