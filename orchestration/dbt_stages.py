"""What the two stages of dbt depend on, so that one is left out when nothing of it changed. No Dagster in here.

The first stage builds what models learn from, out of what was landed. The second builds the marts that tell of
predictions, out of tables of the first and the files of batch predictions. SQL and variables of the project count for
both. Looking at all of that takes less than a second, dbt ten times as long.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestration.dbt import AFTER_MODELS, dbt_variables
from orchestration.files import replace_text
from orchestration.forms.warehouse import MartSource, warehouse
from orchestration.manifest import project_files
from orchestration.marts import (
    MARTS,
    MARTS_AFTER_MODELS,
    MartsNotPublishedError,
    Sorting,
    current_marts,
)
from orchestration.predictions import batch_files
from orchestration.settings import PlatformSettings


@dataclass(frozen=True)
class Stage:
    """One of the two stages.

    Attributes:
        notes_file: Name of the file that says from what its tables were made.
        marts: The marts that it publishes.
        marts_dir_setting: The setting with the folder of these marts.
    """

    notes_file: str
    marts: Sorting
    marts_dir_setting: str

    def marts_dir(self, settings: PlatformSettings) -> Path:
        """Return the folder of the published marts."""
        folder: Path = getattr(settings, self.marts_dir_setting)
        return folder

    def notes_path(self, settings: PlatformSettings) -> Path:
        """Return the file of the notes: beside the warehouse, so who removes that removes what was built from it."""
        return settings.warehouse_path.with_name(self.notes_file)


FIRST_STAGE = Stage("first_stage_notes.json", MARTS, "marts_dir")
AFTER_MODELS_STAGE = Stage("after_models_notes.json", MARTS_AFTER_MODELS, "after_models_marts_dir")


@dataclass(frozen=True)
class CheckOutcome:
    """What a test of dbt found when the tables were built.

    Attributes:
        asset: Layer and name of the table that it tests.
        name: Name of the test.
        is_passed: Whether no row failed.
        is_warning: Whether a failure only warns.
        failed_rows_count: Rows that failed, where dbt counted them.
    """

    asset: tuple[str, ...]
    name: str
    is_passed: bool
    is_warning: bool
    failed_rows_count: int | None


@dataclass(frozen=True)
class StageNotes:
    """What the tables of a stage were last made from, and what their tests found.

    Attributes:
        fingerprint: That of its inputs.
        tests: The outcome of each test that ran.
    """

    fingerprint: str
    tests: tuple[CheckOutcome, ...]


def first_stage_fingerprint(settings: PlatformSettings) -> str:
    """Return a hash of everything that decides what the first stage builds."""
    return _fingerprint(settings, landing=_states(_landed_files(settings), settings.landing_dir))


def second_stage_fingerprint(settings: PlatformSettings, manifest: Mapping[str, Any]) -> str:
    """Return a hash of everything that decides what the second stage builds.

    Args:
        settings: Settings of the platform; the warehouse must hold the tables of the first stage.
        manifest: dbt's manifest of the project.
    """
    models = {name: node for name, node in manifest["nodes"].items() if AFTER_MODELS in node.get("tags", ())}
    parents = sorted({parent for node in models.values() for parent in node["depends_on"]["nodes"]} - set(models))
    relations = [manifest["nodes"][parent] for parent in parents if parent in manifest["nodes"]]
    with closing(warehouse(settings).open()) as source:
        tables = {node["name"]: _content(source, node) for node in relations}
    predictions = _states(batch_files(settings.predictions_dir), settings.predictions_dir)
    return _fingerprint(settings, tables=tables, predictions=predictions)


def notes_in_force(stage: Stage, settings: PlatformSettings, fingerprint: str) -> StageNotes | None:
    """Return the notes of a stage if it was last built from these inputs and its marts are still published."""
    notes = _read_notes(stage.notes_path(settings))
    if notes is None or notes.fingerprint != fingerprint or not warehouse(settings).is_built():
        return None
    try:
        published = current_marts(stage.marts_dir(settings))
    except MartsNotPublishedError:
        return None
    return notes if set(published.row_counts) == set(stage.marts) else None


def note_stage(stage: Stage, settings: PlatformSettings, fingerprint: str, tests: Sequence[CheckOutcome]) -> None:
    """Remember from what the published marts were made, and what their tests found."""
    replace_text(stage.notes_path(settings), json.dumps(asdict(StageNotes(fingerprint, tuple(tests)))))


def forget_stage(stage: Stage, settings: PlatformSettings) -> None:
    """Forget from what the tables were made, before they are made anew: dbt may end half-way."""
    stage.notes_path(settings).unlink(missing_ok=True)


def _fingerprint(settings: PlatformSettings, **inputs: Any) -> str:
    # A home that was moved holds what it held; what lies on its paths is among the inputs.
    place = warehouse(settings)
    variables = {name: value for name, value in dbt_variables(settings, place).items() if not name.endswith("_path")}
    decisive = {**inputs, "code": _code(), "engines": place.engine_versions(), "variables": variables}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _landed_files(settings: PlatformSettings) -> Iterable[Path]:
    return sorted((settings.landing_dir / "deliveries").glob("**/*.parquet"))


def _states(files: Iterable[Path], folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of the last change of each file."""
    found = [(path, path.stat()) for path in files]
    return [(path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns) for path, state in found]


def _read_notes(path: Path) -> StageNotes | None:
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    tests = [CheckOutcome(**{**test, "asset": tuple(test["asset"])}) for test in found["tests"]]
    return StageNotes(found["fingerprint"], tuple(tests))


def _content(source: MartSource, node: Mapping[str, Any]) -> str:
    """Return a hash of a table; one that is made month by month says of each month what it was made from."""
    if node["config"]["materialized"] != "monthly_batches":
        return source.content(node["schema"], node["name"])[1]
    return source.months_content(node["name"])


def _code() -> str:
    """Return a hash of the project: any macro, variable or test of it may concern a stage."""
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in project_files()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
