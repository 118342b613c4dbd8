"""Erases a customer from the landing and proves it.

Identities are the only landing files with a supplier's customer_id or personal values; quarantined rows may repeat
them as raw text. Marts, releases and prediction logs are made from the landing and keep keys only: run the pipeline
after an erasure, so that they are made anew without the customer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestration.ingestion.locking import INCOMING, locked
from orchestration.ingestion.pseudonym import customer_key, erasure_mark
from orchestration.ingestion.workspace import read_erasure_marks, write_erasure_marks

_JSON_COLUMNS = frozenset({"raw_row", "attributes", "personal", "tariff_json"})


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What an erasure removed.

    Attributes:
        rows_removed: Rows removed from all files of the landing.
        files_rewritten: Files that held any of them, relative to the landing.
    """

    rows_removed: int
    files_rewritten: tuple[str, ...]


def erase_customer(landing_dir: Path, customer_id: str, pseudonym_key: str) -> ErasureReport:
    """Remove every trace of a customer from the landing; later deliveries of the customer are refused.

    Each file is replaced atomically. An interrupted erasure is completed by calling it again.

    Args:
        landing_dir: Root of the landing.
        customer_id: The supplier's id of the customer.
        pseudonym_key: Key that the pseudonyms were made with.
    """
    key = customer_key(customer_id, pseudonym_key)
    with locked(landing_dir):
        # What names the customer's meters and bills goes last, so that an interrupted erasure still finds them.
        own_ids = {
            name: _own_ids(landing_dir, entity, name, key)
            for entity, name in (("meters", "meter_id"), ("bills", "bill_id"))
        }
        marks = {erasure_mark(customer_id, pseudonym_key)}
        marks |= {erasure_mark(own, pseudonym_key, name) for name, ids in own_ids.items() for own in ids}
        write_erasure_marks(landing_dir, read_erasure_marks(landing_dir) | marks)
        removed = 0
        rewritten: list[str] = []
        for path in _parquet_files(landing_dir):
            rows = _rewrite_without(path, customer_id, key, own_ids, landing_dir)
            if rows:
                removed += rows
                rewritten.append(path.relative_to(landing_dir).as_posix())
    return ErasureReport(removed, tuple(rewritten))


def find_traces(landing_dir: Path, customer_id: str, pseudonym_key: str) -> list[str]:
    """Return every place of the landing that names a customer by id or key; empty after an erasure.

    Args:
        landing_dir: Root of the landing.
        customer_id: The supplier's id of the customer.
        pseudonym_key: Key that the pseudonyms were made with.
    """
    key = customer_key(customer_id, pseudonym_key)
    traces: list[str] = []
    for path in sorted(path for path in landing_dir.rglob("*") if path.is_file()):
        place = path.relative_to(landing_dir).as_posix()
        if path.suffix == ".parquet":
            traces.extend(f"{place}: {column}" for column in _columns_with(path, customer_id, key))
        else:
            text = path.read_text(encoding="utf-8", errors="replace")
            if key in text or _has_token(text, customer_id):
                traces.append(place)
    return traces


def is_erased(landing_dir: Path, customer_id: str, pseudonym_key: str) -> bool:
    """Return whether a customer's erasure was begun; from then on deliveries of the customer are refused."""
    return erasure_mark(customer_id, pseudonym_key) in read_erasure_marks(landing_dir)


def _own_ids(landing_dir: Path, entity: str, name: str, key: str) -> set[str]:
    """Return ids that only ever belonged to the customer."""
    own: set[str] = set()
    others: set[str] = set()
    for path in (landing_dir / "deliveries").glob(f"*/{entity}/*.parquet"):
        table = pq.read_table(path, columns=[name, "customer_key"])
        is_own = pc.equal(table["customer_key"], key)
        own.update(table.filter(is_own)[name].to_pylist())
        others.update(table.filter(pc.invert(is_own))[name].to_pylist())
    return own - others


def _parquet_files(landing_dir: Path) -> list[Path]:
    def is_source_of_ids(path: Path) -> bool:
        return path.parent.name in ("meters", "bills")

    paths = [
        path
        for folder in ("deliveries", "identities", "quarantine")
        for path in (landing_dir / folder).rglob("*.parquet")
    ]
    return sorted(paths, key=lambda path: (is_source_of_ids(path), path))


def _rewrite_without(path: Path, customer_id: str, key: str, own_ids: dict[str, set[str]], landing_dir: Path) -> int:
    """Replace a file by one without the customer's rows; return how many there were."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        is_quarantine = "raw_row" in names
        if not is_quarantine and "customer_key" not in names and not ("meter_id" in names and own_ids["meter_id"]):
            return 0
        keeps = [
            _kept(file.read_row_group(number), customer_id, key, own_ids, is_quarantine)
            for number in range(file.num_row_groups)
        ]
        removed = sum(len(keep) - pc.sum(keep).as_py() for keep in keeps if len(keep))
        if not removed:
            return 0
        staged = landing_dir / INCOMING / f"{path.name}.erasing"
        with pq.ParquetWriter(staged, file.schema_arrow, compression="zstd") as writer:
            for number, keep in enumerate(keeps):
                writer.write_table(file.read_row_group(number).filter(keep))
    staged.replace(path)
    return int(removed)


def _kept(table: pa.Table, customer_id: str, key: str, own_ids: dict[str, set[str]], is_quarantine: bool) -> pa.Array:
    if is_quarantine:
        ids = {customer_id, *own_ids["meter_id"], *own_ids["bill_id"]}
        values = zip(table["value"].to_pylist(), table["raw_row"].to_pylist(), strict=True)
        return pa.array([not (value in ids or _names_any(raw, ids)) for value, raw in values], pa.bool_())
    if "customer_key" in table.column_names:
        is_own = pc.equal(table["customer_key"], key)
    else:
        is_own = pc.is_in(table["meter_id"], pa.array(sorted(own_ids["meter_id"]), pa.string()))
    return pc.invert(pc.fill_null(is_own, False)).combine_chunks()


def _names_any(raw: str | None, ids: set[str]) -> bool:
    if raw is None:
        return False
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return any(_has_token(raw, identifier) for identifier in ids)
    return any(str(value) in ids for value in _leaves(document))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _has_token(text: str, token: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(token)}(?!\w)", text) is not None


def _columns_with(path: Path, customer_id: str, key: str) -> list[str]:
    found: list[str] = []
    with pq.ParquetFile(path) as file:
        names = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        for name in names:
            for number in range(file.num_row_groups):
                values = pc.unique(file.read_row_group(number, columns=[name])[name])
                suspects = pc.or_(pc.match_substring(values, customer_id), pc.match_substring(values, key))
                suspicious = values.filter(pc.fill_null(suspects, False)).to_pylist()
                if any(_is_trace(value, name, customer_id, key) for value in suspicious):
                    found.append(name)
                    break
    return found


def _is_trace(value: str, column: str, customer_id: str, key: str) -> bool:
    if key in value or value == customer_id:
        return True
    if column in _JSON_COLUMNS:
        return _names_any(value, {customer_id})
    return column == "text" and _has_token(value, customer_id)
