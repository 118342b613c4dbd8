"""A search for personal values in everything that a home holds: every encoding, behind every compression of ours."""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def is_restricted(path: Path, home: Path) -> bool:
    """Return whether personal data belongs here: what the supplier wrote, and two folders that only the owner opens."""
    return path.relative_to(home).as_posix().startswith(("inbox/", "landing/identities/", "landing/quarantine/"))


def files_below(home: Path) -> list[Path]:
    """Return every file of a home."""
    return [Path(folder) / name for folder, _, names in os.walk(home) for name in names]


def traces(paths: Iterable[Path], home: Path, values: Sequence[str]) -> list[str]:
    """Return which of the values stand in which files, in whatever encoding and behind whatever compression."""
    codes = {code: value for value in values for code in _encodings(value)}
    found = {
        (value, path)
        for path in paths
        for content in _contents(path)
        for code, value in codes.items()
        if code in content
    }
    return sorted(f"{value} in {path.relative_to(home)}" for value, path in found)


def _encodings(value: str) -> set[bytes]:
    escaped = value.encode("ascii", "backslashreplace")
    return {value.encode("utf-8"), value.encode("utf-16-le"), value.encode("gb18030"), escaped}


def _contents(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and its rows in words where a format compresses them."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield from _words(pq.read_table(path, partitioning=None))
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
            ).fetchall()
            for schema, table in tables:
                yield from _words(connection.sql(f'select * from "{schema}"."{table}"').to_arrow_table())
    if path.suffix in (".db", ".sqlite"):
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (name,) in names:
                rows = connection.execute(f'select * from "{name}"')
                while chunk := rows.fetchmany(1000):
                    yield b"\n".join(_inflated(value) for row in chunk for value in row)


def _words(table: pa.Table) -> Iterator[bytes]:
    for column in table.columns:
        # Measurements are no names, and their many values would take minutes.
        if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type) or pa.types.is_temporal(column.type):
            continue
        values = column if pa.types.is_nested(column.type) else column.unique()
        yield repr(values.to_pylist()).encode()


def _inflated(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
