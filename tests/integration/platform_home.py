"""A platform's home in a test: runs the real command in a process of its own and looks at what it left behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq

from orchestration.column_lineage import CACHE_FILE
from orchestration.definitions import build_definitions
from orchestration.partitions import partition_range_tags
from orchestration.settings import PROJECT_ROOT, PlatformSettings
from serving.model_store import ModelStore

USE_CASES = ("segmentation", "tariff_matching", "credit_risk")

# Files below these are never changed in place, so copies of a home may share them.
_IMMUTABLE_FOLDERS = ("inbox", "landing/deliveries", "marts/versions")
# Only a run that hangs takes so long: a busy machine takes many times as long as a quiet one.
_RUN_SECONDS = 3000
# Of the last home in which a main job ended; dbt's SQL is the same in all.
_known_lineage: list[bytes] = []
_LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class PlatformHome:
    """A home with the settings that a test chose.

    Attributes:
        path: The state folder.
        choices: Settings that differ from the defaults, by name.
    """

    path: Path
    choices: Mapping[str, object] = field(default_factory=dict)

    @property
    def settings(self) -> PlatformSettings:
        return PlatformSettings(home=self.path, **self.choices, _env_file=None)  # type: ignore[arg-type]  # by name

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.path)

    def choose(self, **choices: object) -> "PlatformHome":
        """Return the same home with other settings."""
        return PlatformHome(self.path, {**self.choices, **choices})

    def copy_to(self, path: Path) -> "PlatformHome":
        """Return a copy on which a test may do what it likes."""
        shared = tuple(str(self.path / folder) for folder in _IMMUTABLE_FOLDERS)

        def link_or_copy(source: str, target: str) -> str:
            if source.startswith(shared):
                os.link(source, target)
                return target
            return shutil.copy2(source, target)

        shutil.copytree(self.path, path, copy_function=link_or_copy)
        return PlatformHome(path, self.choices)

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that works on this home, without what the developer has set."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KILOWISE_", "DAGSTER_HOME", "BENTOML_HOME", "DBT_"))
        }
        chosen = {f"KILOWISE_{name.upper()}": str(value) for name, value in self.choices.items()}
        return {
            **inherited,
            **chosen,
            "KILOWISE_HOME": str(self.path),
            "PYTHONPATH": str(PROJECT_ROOT),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "BENTOML_DO_NOT_TRACK": "True",
        }

    def run(self, before_start: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
        """Do the main job as an operator does and wait for its end."""
        self._borrow_lineage()
        completed = subprocess.run(
            [sys.executable, "-m", "orchestration", "run"],
            cwd=self.path.parent,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
            preexec_fn=before_start,
        )
        self._lend_lineage()
        return completed

    def run_and_kill_when(self, pattern: str, containing: str = "") -> None:
        """Start the main job and kill it with all its children when a file of the home exists, or says something.

        Args:
            pattern: Glob of the file below the home.
            containing: Text that one of these files must contain by then.
        """
        self._borrow_lineage()
        output = self.path.with_name(f"{self.path.name}.output.txt")
        with output.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestration", "run"],
                cwd=self.path.parent,
                env=self.environment(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + _RUN_SECONDS
            while not any(containing in _text(path) for path in self.path.glob(pattern)):
                assert process.poll() is None, "the run ended before this moment:\n" + output.read_text()[-2000:]
                assert time.monotonic() < deadline, "the run never came to this moment"
                time.sleep(_LOOK_SECONDS)
        finally:
            # Also when the test gives up: nobody else would end a group of its own.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _borrow_lineage(self) -> None:
        """Start with the column lineage that an earlier home has read: reading the same SQL again takes two seconds."""
        path = self._lineage_path
        path.parent.mkdir(parents=True, exist_ok=True)
        if _known_lineage and not path.exists():
            path.write_bytes(_known_lineage[0])

    def _lend_lineage(self) -> None:
        if self._lineage_path.exists():
            _known_lineage[:] = [self._lineage_path.read_bytes()]

    @property
    def _lineage_path(self) -> Path:
        return self.settings.warehouse_path.with_name(CACHE_FILE)

    def execute(
        self, job: str, months: list[str] | None = None, assets: list[str] | None = None, **run_config: object
    ) -> dg.ExecuteInProcessResult:
        """Run a job in this process, as the UI would; failed steps are in the result."""
        definitions = build_definitions(self.settings)
        with self.instance() as instance:
            return definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **run_config},
                tags=partition_range_tags(months) if months else None,
                asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets] if assets else None,
            )

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the run history of the home."""
        with dg.DagsterInstance.from_config(str(self.path / "dagster")) as instance:
            yield instance

    def marts_version(self) -> str:
        return (self.path / "marts" / "CURRENT").read_text(encoding="utf-8")

    def bundle_versions(self) -> dict[str, list[str]]:
        """Return the stored bundles by use case."""
        folder = self.path / "models" / "models"
        return {
            use_case: sorted(path.name for path in (folder / use_case).glob("*") if path.is_dir())
            for use_case in USE_CASES
        }

    def released_bundles(self) -> dict[str, str | None]:
        """Return the bundle that each use case serves."""
        releases = {use_case: self.store.current_release(use_case) for use_case in USE_CASES}
        return {use_case: release.bundle_version if release else None for use_case, release in releases.items()}

    def predictions(self) -> dict[str, pd.DataFrame]:
        """Return all batch predictions by file, without the times at which they were made."""
        root = self.path / "predictions" / "batch"
        return {
            path.relative_to(root).as_posix(): pq.read_table(path, partitioning=None)
            .to_pandas()
            .drop(columns="decided_at")
            for path in sorted(root.rglob("*.parquet"))
        }

    def files(self) -> dict[str, int]:
        """Return every file that is not Dagster's or dbt's own, nor a lock, with the time of its last change."""
        return {
            path.relative_to(self.path).as_posix(): path.stat().st_mtime_ns
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
            and path.relative_to(self.path).parts[0] not in ("dagster", "warehouse")
            and not path.name.endswith(".lock")
        }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        # A folder has no text, and what the run renames or removes meanwhile is no longer there.
        return ""
