"""What a disturbed run left, against what an undisturbed one left: nothing is missing, and nothing is there twice."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ml.columns import USE_CASES
from orchestration.marts import MARTS, current_marts
from orchestration.parity import compare_homes, compare_marts
from serving.model_store import ModelStore

# What a program writes before it is renamed to what others see.
_UNFINISHED = ("landing/.incoming/*", "marts/versions/.incoming-*", "marts/after_models/versions/.incoming-*")


@dataclass(frozen=True, slots=True)
class StateComparison:
    """What comparing two homes showed.

    Attributes:
        tables: Tables that were compared row by row.
        rows: Their rows.
        landed_rows: Rows of the landing.
        releases: Releases.
        differences: A sentence for each difference; empty when the homes are equal.
    """

    tables: int
    rows: int
    landed_rows: int
    releases: int
    differences: tuple[str, ...]


def compare_states(undisturbed: Path, disturbed: Path, *, data_only: bool = False) -> StateComparison:
    """Compare marts and predictions row by row, landed rows by delivery and table, releases by their history.

    Args:
        undisturbed: Home of a run that nothing disturbed.
        disturbed: Home that was hurt.
        data_only: Compare only what is made without models.
    """
    if data_only:
        first, second = current_marts(undisturbed / "marts"), current_marts(disturbed / "marts")
        tables = list(compare_marts(first, second, MARTS))
    else:
        tables = list(compare_homes(undisturbed, disturbed))
    landed, releases = landed_rows(disturbed), _releases(disturbed)
    differences = [f"{table.table} differs" for table in tables if not table.is_equal]
    differences += _unequal("rows of the landing", landed_rows(undisturbed), landed)
    differences += _unequal("releases", _releases(undisturbed), releases)
    differences += [f"{path.relative_to(disturbed)} is left over" for path in leftovers(disturbed)]
    return StateComparison(
        tables=len(tables),
        rows=sum(table.rows[1] for table in tables),
        landed_rows=sum(landed.values()),
        releases=sum(len(names) for names in releases.values()),
        differences=tuple(differences),
    )


def landed_rows(home: Path) -> dict[str, int]:
    """Return the rows of each table of each delivery, as its files hold them.

    Raises:
        ValueError: If a delivery says that it has other rows than its files hold.
    """
    found: dict[str, int] = {}
    for document in sorted((home / "landing" / "deliveries").glob("*/delivery.json")):
        delivery = document.parent
        said: dict[str, int] = {}
        for file in json.loads(document.read_bytes())["files"]:
            said[file["entity"]] = said.get(file["entity"], 0) + file["rows_loaded"]
        for entity, rows in said.items():
            held = sum(pq.read_metadata(path).num_rows for path in (delivery / entity).rglob("*.parquet"))
            if held != rows:
                raise ValueError(f"{delivery.name}: {entity} should have {rows} rows and has {held}.")
            found[f"{delivery.name}/{entity}"] = held
    return found


def leftovers(home: Path) -> Iterator[Path]:
    """Yield what was begun and neither finished nor removed."""
    for pattern in _UNFINISHED:
        yield from home.glob(pattern)


def _releases(home: Path) -> dict[str, list[str]]:
    """Return each move of the pointers, and the releases that there are."""
    store = ModelStore(home)
    return {
        use_case: [f"{entry['action']} {entry['to']}" for entry in store.history(use_case)]
        + sorted(release.name for release in store.list_releases(use_case))
        for use_case in USE_CASES
    }


def _unequal(what: str, first: Mapping[str, object], second: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*first, *second}):
        if first.get(name) != second.get(name):
            yield f"{what}: {name} is {second.get(name)} instead of {first.get(name)}"
