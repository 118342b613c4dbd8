"""The manifest that dbt writes about its project and from which the assets are made when they are imported.

``python -m orchestration.manifest`` renews it, whatever its age.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration.settings import DBT_PROJECT_DIR

MANIFEST = Path("target") / "manifest.json"
PARSED_PROJECT = Path("target") / "partial_parse.msgpack"
"""The same in the form from which dbt itself goes on."""
_SOURCES = ("*.sql", "*.yml", "*.csv")


def renew_manifest(project_dir: Path = DBT_PROJECT_DIR) -> None:
    """Have dbt parse its project where the manifest is missing or older than a file of the project.

    `make` does so before its commands; after an upgrade any other command would meet models and tests that the
    manifest does not know. Call this before anything imports the assets. Of several processes one parses, and whoever
    reads meanwhile sees the old files or the new ones, each whole.
    """
    if is_manifest_current(project_dir):
        return
    with _only_one(project_dir):
        if not is_manifest_current(project_dir):
            _parse(project_dir)


@contextmanager
def _only_one(project_dir: Path) -> Iterator[None]:
    """Wait until no other process parses the project."""
    target = project_dir / MANIFEST.parent
    target.mkdir(exist_ok=True)
    with (target / ".parsing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parse(project_dir: Path) -> None:
    """Have dbt parse the project beside the old files, then put the new ones in their place."""
    started_at = time.time()
    with tempfile.TemporaryDirectory(prefix=".parsing-", dir=project_dir / MANIFEST.parent) as folder:
        command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "parse", "--profiles-dir", "."]
        command += ["--target-path", folder]
        if (project_dir / PARSED_PROJECT).exists():
            # What was parsed before spares dbt the files that have not changed.
            command += ["--partial-parse-file-path", str(project_dir / PARSED_PROJECT)]
        subprocess.run(command, cwd=project_dir, check=True)  # noqa: S603  # our own dbt
        # Where no file has changed, dbt leaves what it parsed as it is.
        if Path(folder, PARSED_PROJECT.name).exists():
            Path(folder, PARSED_PROJECT.name).replace(project_dir / PARSED_PROJECT)
        # A file that changed meanwhile is newer than its manifest.
        os.utime(Path(folder, MANIFEST.name), (started_at, started_at))
        Path(folder, MANIFEST.name).replace(project_dir / MANIFEST)


def is_manifest_current(project_dir: Path) -> bool:
    """Return whether the manifest is as new as every file that dbt reads."""
    manifest = project_dir / MANIFEST
    if not manifest.exists():
        return False
    read_at = manifest.stat().st_mtime
    return all(path.stat().st_mtime <= read_at for path in project_files(project_dir))


def source_pattern(source: Mapping[str, Any]) -> re.Pattern[str]:
    """Return what finds the files of a source of the manifest in compiled SQL.

    There the folder stands where the manifest has the name of its variable.
    """
    return re.compile(re.sub(r"\\\$\w+_path", "[^']*", re.escape(source["relation_name"])))


def project_files(project_dir: Path = DBT_PROJECT_DIR) -> Sequence[Path]:
    """Return every file that dbt reads, in a fixed order."""
    target = project_dir / MANIFEST.parent
    found = (path for pattern in _SOURCES for path in project_dir.rglob(pattern) if target not in path.parents)
    return sorted(found)


if __name__ == "__main__":
    with _only_one(DBT_PROJECT_DIR):
        _parse(DBT_PROJECT_DIR)
