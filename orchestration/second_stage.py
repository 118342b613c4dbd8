"""What the second stage of dbt depends on, so that it can be left out when nothing of it changed. No Dagster in here.

The second stage builds the marts that tell of predictions. It reads tables of the first stage and the files of batch
predictions; its SQL and its variables count as well. Looking at all of that takes less than a second, dbt ten times
as long.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.dbt import AFTER_MODELS, dbt_variables
from orchestration.files import replace_text
from orchestration.manifest import project_files
from orchestration.marts import MARTS_AFTER_MODELS, MartsNotPublishedError, current_marts, table_content
from orchestration.predictions import batch_files
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import duckdb

NOTES_FILE = "after_models_notes.json"


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
    """What the last finished second stage was made from and found.

    Attributes:
        fingerprint: That of its inputs.
        tests: The outcome of each test that ran.
    """

    fingerprint: str
    tests: tuple[CheckOutcome, ...]


def inputs_fingerprint(settings: PlatformSettings, manifest: Mapping[str, Any]) -> str:
    """Return a hash of everything that decides what the second stage builds.

    Args:
        settings: Settings of the platform; the warehouse must hold the tables of the first stage.
        manifest: dbt's manifest of the project.
    """
    import duckdb

    models = {name: node for name, node in manifest["nodes"].items() if AFTER_MODELS in node.get("tags", ())}
    parents = sorted({parent for node in models.values() for parent in node["depends_on"]["nodes"]} - set(models))
    relations = [manifest["nodes"][parent] for parent in parents if parent in manifest["nodes"]]
    limit = {"memory_limit": settings.duckdb_memory_limit}
    with duckdb.connect(str(settings.warehouse_path), read_only=True, config=limit) as connection:
        tables = {node["name"]: _content(connection, node) for node in relations}
    files = [(path, path.stat()) for path in batch_files(settings.predictions_dir)]
    inputs = {
        "tables": tables,
        "predictions": [
            (path.relative_to(settings.predictions_dir).as_posix(), state.st_size, state.st_mtime_ns)
            for path, state in files
        ],
        "code": _code(),
        # A home that was moved holds what it held; what lies on its paths is looked at above.
        "variables": {name: value for name, value in dbt_variables(settings).items() if not name.endswith("_path")},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def notes_in_force(settings: PlatformSettings, fingerprint: str) -> StageNotes | None:
    """Return the notes of the last finished second stage if it had these inputs and its marts are still published."""
    notes = _read_notes(_notes_path(settings))
    if notes is None or notes.fingerprint != fingerprint:
        return None
    try:
        published = current_marts(settings.after_models_marts_dir)
    except MartsNotPublishedError:
        return None
    return notes if set(published.row_counts) == set(MARTS_AFTER_MODELS) else None


def note_stage(settings: PlatformSettings, fingerprint: str, tests: Sequence[CheckOutcome]) -> None:
    """Remember from what the published marts were made, and what their tests found."""
    replace_text(_notes_path(settings), json.dumps(asdict(StageNotes(fingerprint, tuple(tests)))))


def _read_notes(path: Path) -> StageNotes | None:
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    tests = [CheckOutcome(**{**test, "asset": tuple(test["asset"])}) for test in found["tests"]]
    return StageNotes(found["fingerprint"], tuple(tests))


def _content(connection: "duckdb.DuckDBPyConnection", node: Mapping[str, Any]) -> str:
    """Return a hash of a table; one that is made month by month says of each month what it was made from."""
    if node["config"]["materialized"] != "monthly_batches":
        return table_content(connection, node["schema"], node["name"])[1]
    months = connection.execute(
        "from intermediate.processed_months where model_name = ? order by all", [node["name"]]
    ).fetchall()
    return hashlib.sha256(json.dumps(months, default=str).encode()).hexdigest()


def _notes_path(settings: PlatformSettings) -> Path:
    # Beside the warehouse: who removes that removes what was built from it.
    return settings.warehouse_path.with_name(NOTES_FILE)


def _code() -> str:
    """Return a hash of the project: any macro, variable or test of it may concern the second stage."""
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in project_files()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
