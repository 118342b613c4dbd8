"""Opens one supplier file in DuckDB, whatever its format, or says in a sentence why it cannot be read.

A file becomes a relation with its own columns plus ``__row``, its row number as a person counts it: for a CSV the
header is row 1, for Parquet the first row is row 1. Casting and judging values is the business of staging.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import orjson
import yaml

from orchestration.ingestion.errors import UnreadableFileError
from orchestration.ingestion.mapping import CsvOptions, EntitySource

ROW = "__row"
"""Name of the column with the row number."""

DOCUMENT = "tariff_json"
"""Name of the column with the whole of a YAML or JSON document."""

_SAMPLE_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 22
_DELIMITERS = (",", ";", "\t", "|")
_BINARY_KINDS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
}


@dataclass(frozen=True, slots=True)
class MalformedRow:
    """A row of a CSV file that does not split into the file's columns."""

    row: int
    message: str
    text: str


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A file as a relation.

    Attributes:
        relation: SQL that stands after FROM; holds the file's columns and ``__row``.
        columns: Type of each column of the file by name.
        malformed: Rows that could not be split; they are not in the relation.
        is_text: Whether the values come from a CSV file and need the text rules of casting.
    """

    relation: str
    columns: dict[str, str]
    malformed: tuple[MalformedRow, ...] = ()
    is_text: bool = False


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def open_source(
    connection: duckdb.DuckDBPyConnection, path: Path, source: EntitySource, *, root: Path, scratch: Path, table: str
) -> OpenedSource:
    """Make a file available as a relation.

    Args:
        connection: Where the relation is made.
        path: The file.
        source: How the mapping reads it.
        root: Folder of the delivery, below which lookups are found.
        scratch: Folder for a transcoded copy.
        table: Name for a temporary table, replaced when it exists.

    Raises:
        UnreadableFileError: With a sentence that names the file and the remedy.
    """
    opened = _open_file(connection, path, source, scratch=scratch, table=table)
    if source.from_ is None:
        return opened
    _view(connection, "source", opened)
    for position, (name, pattern) in enumerate(source.lookups.items()):
        paths = sorted(root.glob(pattern))
        if not paths:
            raise UnreadableFileError(f"{path.name}: no file matches its lookup {name}: {pattern}; deliver it as well")
        parts = []
        for number, lookup_path in enumerate(paths):
            part = f"{table}_lookup_{position}_{number}"
            _view(
                connection,
                part,
                _open_file(connection, lookup_path, source, scratch=scratch, table=f"{part}_rows"),
            )
            parts.append(f"select * from {part}")
        connection.execute(f"create or replace temp view {quoted(name)} as {' union all by name '.join(parts)}")
    reshaped = f"{table}_reshaped"
    try:
        connection.execute(
            f"create or replace temp table {reshaped} as select row_number() over () as {ROW}, * from ({source.from_})"
        )
    except (
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ParserException,
        duckdb.ConversionException,
    ) as error:
        raise UnreadableFileError(f"{path.name}: the mapping's `from` failed: {first_line(error)}") from error
    return OpenedSource(reshaped, _described(connection, reshaped), opened.malformed)


def first_line(error: duckdb.Error) -> str:
    """Return the first line of an engine's message without the values it quotes, which may be personal."""
    line = str(error).splitlines()[0]
    parts = line.split("'")
    if isinstance(error, duckdb.ConversionException | duckdb.InvalidInputException) and len(parts) > 2:
        line = "'…'".join(parts[::2])
    return line


def _view(connection: duckdb.DuckDBPyConnection, name: str, opened: OpenedSource) -> None:
    connection.execute(f"create or replace temp view {quoted(name)} as select * exclude ({ROW}) from {opened.relation}")


def _open_file(
    connection: duckdb.DuckDBPyConnection, path: Path, source: EntitySource, *, scratch: Path, table: str
) -> OpenedSource:
    if path.stat().st_size == 0:
        raise UnreadableFileError(f"{path.name} is empty (0 bytes); deliver the file again")
    file_format = source.format or {
        ".csv": "csv",
        ".txt": "csv",
        ".tsv": "csv",
        ".parquet": "parquet",
        ".pq": "parquet",
        ".yaml": "yaml",
        ".yml": "yaml",
        ".json": "json",
    }.get(path.suffix.lower())
    if file_format is None:
        raise UnreadableFileError(
            f"{path.name} has an ending that says nothing of its format; "
            "set format: csv, parquet, yaml or json in the mapping"
        )
    if file_format == "parquet":
        return _open_parquet(connection, path)
    if file_format == "csv":
        return _open_csv(connection, path, source.csv, scratch=scratch, table=table)
    return _open_documents(connection, path, file_format, table=table)


def _described(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    rows = connection.execute(f"describe select * exclude ({ROW}) from {relation}").fetchall()
    return {str(name): str(kind) for name, kind, *_ in rows}


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> OpenedSource:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), io.SEEK_END)
        tail = file.read(4)
    if head != b"PAR1":
        raise UnreadableFileError(
            f"{path.name} is no Parquet file, whatever its ending says; export it again as Parquet"
        )
    if tail != b"PAR1" or path.stat().st_size < 12:
        raise UnreadableFileError(f"{path.name} ends too early: the Parquet file was truncated; deliver it again")
    relation = (
        f"(select file_row_number + 1 as {ROW}, * exclude (file_row_number) "
        f"from read_parquet({literal(str(path))}, file_row_number = true))"
    )
    try:
        return OpenedSource(relation, _described(connection, relation))
    except duckdb.Error as error:
        raise UnreadableFileError(
            f"{path.name} is a damaged Parquet file; deliver it again ({first_line(error)})"
        ) from error


def _open_documents(connection: duckdb.DuckDBPyConnection, path: Path, file_format: str, *, table: str) -> OpenedSource:
    """Read YAML or JSON documents: one row each, scalar keys as text columns, the whole as JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = yaml.safe_load(text) if file_format == "yaml" else orjson.loads(text)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path.name} is not UTF-8 text; save it as UTF-8") from error
    except (yaml.YAMLError, orjson.JSONDecodeError) as error:
        raise UnreadableFileError(
            f"{path.name} is not valid {file_format.upper()}: {str(error).splitlines()[0]}"
        ) from error
    documents = _documents(content)
    if documents is None:
        raise UnreadableFileError(f"{path.name} holds no list of documents with named fields")
    names = list(dict.fromkeys(key for document in documents for key, value in document.items() if _is_scalar(value)))
    columns = [name for name in names if name not in (DOCUMENT, ROW)]
    connection.execute(
        f"create or replace temp table {table} ({ROW} bigint, "
        + "".join(f"{quoted(name)} varchar, " for name in columns)
        + f"{DOCUMENT} varchar)"
    )
    for row, document in enumerate(documents, start=1):
        values = [None if document.get(name) is None else str(document[name]) for name in columns]
        body = orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        connection.execute(
            f"insert into {table} values ({', '.join('?' for _ in range(len(columns) + 2))})", [row, *values, body]
        )
    return OpenedSource(table, _described(connection, table), is_text=True)


def _documents(content: Any) -> list[dict[str, Any]] | None:
    if isinstance(content, dict):
        for key in ("tariffs", "items"):
            if isinstance(content.get(key), list):
                return _documents(content[key])
        content = [content]
    if isinstance(content, list) and all(isinstance(document, dict) for document in content):
        return [{str(key): value for key, value in document.items()} for document in content]
    return None


def _is_scalar(value: object) -> bool:
    return value is None or not isinstance(value, dict | list)


def _open_csv(
    connection: duckdb.DuckDBPyConnection, path: Path, options: CsvOptions, *, scratch: Path, table: str
) -> OpenedSource:
    encoding = _encoding(path, options)
    text_path = path if encoding == "utf-8" else _transcoded(path, encoding, scratch)
    delimiter, names = _layout(text_path, path.name, options)
    nulls = ", ".join(literal(text) for text in options.null_values)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    rejects = f"{table}_rejects"
    try:
        connection.execute(
            f"""
            create or replace temp table {table} as
            select row_number() over () + {int(options.header)} as {ROW}, *
            from read_csv({literal(str(text_path))}, auto_detect = false, header = {str(options.header).lower()},
                columns = {{{columns}}}, delim = {literal(delimiter)}, quote = {literal(options.quote)},
                escape = {literal(options.quote)}, nullstr = [{nulls}], store_rejects = true,
                rejects_table = '{rejects}', rejects_scan = '{rejects}_scan', rejects_limit = 0)
            """
        )
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.BinderException) as error:
        connection.execute(f"drop table if exists {rejects}; drop table if exists {rejects}_scan")
        if isinstance(error, duckdb.IOException) and "No space left" in str(error):
            raise
        raise UnreadableFileError(
            f"{path.name} cannot be read as CSV; deliver it again ({first_line(error)})"
        ) from error
    rejected = connection.execute(
        f"select line, min(error_type), any_value(csv_line) from {rejects} group by line order by line"
    ).fetchall()
    connection.execute(f"drop table {rejects}; drop table {rejects}_scan")
    malformed = tuple(
        MalformedRow(int(line), _malformed_message(str(kind), len(names)), str(text)) for line, kind, text in rejected
    )
    good_rows = connection.execute(f"select count(*) from {table}").fetchall()[0][0]
    if malformed and not good_rows:
        raise UnreadableFileError(
            f"{path.name}: not one row splits into the {len(names)} columns of its header at {delimiter!r}; "
            "set csv.delimiter and csv.quote in the mapping, or deliver the file again"
        )
    if malformed:
        _make_room_for_rejected(connection, table, [reject.row for reject in malformed])
    return OpenedSource(table, dict.fromkeys(names, "VARCHAR"), malformed, is_text=True)


def _make_room_for_rejected(connection: duckdb.DuckDBPyConnection, table: str, rejected_rows: list[int]) -> None:
    """Move row numbers down: the engine numbers only the rows that it kept."""
    # The n-th rejected row (from 0) stands after rejected_row - n kept rows, so from there on n + 1 rows are missing.
    steps = ", ".join(f"({row - position}, {position + 1})" for position, row in enumerate(rejected_rows))
    connection.execute(
        f"""
        create or replace temp table {table} as
        select kept.* replace (kept.{ROW} + coalesce(step.missing_rows, 0) as {ROW})
        from {table} as kept
        asof left join (
            select first_row, max(missing_rows) as missing_rows from (values {steps}) v(first_row, missing_rows)
            group by first_row
        ) as step
        on kept.{ROW} >= step.first_row
        order by 1
        """
    )


def _malformed_message(kind: str, columns_count: int) -> str:
    if kind == "UNQUOTED VALUE":
        return (
            "has a quotation mark that is never closed or stands inside a value; correct it and deliver the file again"
        )
    if kind in ("MISSING COLUMNS", "TOO MANY COLUMNS"):
        few = "fewer" if kind == "MISSING COLUMNS" else "more"
        return f"has {few} than the {columns_count} columns of the header; correct it and deliver the file again"
    return "cannot be split into columns; correct it and deliver the file again"


def _encoding(path: Path, options: CsvOptions) -> str:
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    for magic, kind in _BINARY_KINDS.items():
        if sample.startswith(magic):
            raise UnreadableFileError(f"{path.name} is not text but {kind}; export it as CSV and deliver it again")
    if options.encoding is not None:
        try:
            encoding = codecs.lookup(options.encoding).name
        except LookupError as error:
            raise UnreadableFileError(
                f"{path.name}: the mapping's csv.encoding {options.encoding!r} is unknown; use a name such as gb18030"
            ) from error
        if not _decodes(path, encoding):
            raise UnreadableFileError(
                f"{path.name} is not {options.encoding} text; correct csv.encoding in the mapping or leave it out"
            )
        return encoding
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in sample:
        raise UnreadableFileError(f"{path.name} is binary data, not text; export it as CSV and deliver it again")
    for encoding in ("utf-8", "gb18030"):
        if _decodes(path, encoding):
            return encoding
    raise UnreadableFileError(
        f"{path.name} is neither UTF-8 nor GB18030 text; name its encoding as csv.encoding in the mapping"
    )


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)


def _decodes(path: Path, encoding: str) -> bool:
    try:
        for _ in _decoded(path, encoding):
            pass
    except UnicodeError:
        return False
    return True


def _transcoded(path: Path, encoding: str, scratch: Path) -> Path:
    copy = scratch / f"{path.name}.utf8"
    with copy.open("w", encoding="utf-8", newline="") as file:
        for text in _decoded(path, encoding):
            file.write(text)
    return copy


def _layout(text_path: Path, name: str, options: CsvOptions) -> tuple[str, list[str]]:
    """Return the delimiter and the column names."""
    with text_path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        head = file.read(_SAMPLE_BYTES)
    first_row = next(iter(head.splitlines()), "")
    delimiter = options.delimiter or max(_DELIMITERS, key=first_row.count)
    if not options.header:
        return delimiter, list(options.column_names)
    names = [
        column.strip()
        for column in next(csv.reader(io.StringIO(head), delimiter=delimiter, quotechar=options.quote), [])
    ]
    if options.delimiter is not None and len(names) == 1:
        other = max(_DELIMITERS, key=first_row.count)
        if first_row.count(other):
            raise UnreadableFileError(
                f"{name} is not separated by {delimiter!r} but, it seems, by {other!r}; "
                "correct csv.delimiter in the mapping or leave it out"
            )
    names = [column or f"column_{position}" for position, column in enumerate(names, start=1)]
    repeated = sorted({column for column in names if [other.lower() for other in names].count(column.lower()) > 1})
    if repeated:
        raise UnreadableFileError(f"{name} names the column {repeated[0]} twice in its header; rename one of them")
    if ROW in names or not names:
        raise UnreadableFileError(f"{name} has no usable header row; set csv.header: false and csv.column_names")
    return delimiter, names
