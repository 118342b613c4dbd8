"""Builds the SQL that casts a file's rows to the contract and judges each row by itself.

One statement per file reads it, evaluates the mapping's expressions, casts them and numbers the first check that a
row fails (0 = none). What needs other rows or other entities (duplicates, orphans, the life of a meter) comes after,
in ``landing`` and ``readings``.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from orchestration.ingestion.clock import LocalClock, local_clock
from orchestration.ingestion.contract import Column, Entity
from orchestration.ingestion.errors import UnreadableFileError
from orchestration.ingestion.mapping import UNIT_FACTORS, EntitySource
from orchestration.ingestion.quarantine import Reason, RowCheck
from orchestration.ingestion.sources import ROW, OpenedSource, first_line, quoted

_AGAIN = "correct the value and deliver the file again"
_OFFSET = r"\d[Tt ]\d.*([Zz]|[+-]\d{2}(:?\d{2})?)$"
_IDENTIFIER = re.compile(r'^("([^"]+)"|[A-Za-z_]\w*)$')
_KIND_WORDS = {"number": "number", "integer": "whole number", "date": "date (YYYY-MM-DD)", "timestamp": "point in time"}


@dataclass(frozen=True, slots=True)
class Projection:
    """A file's rows in the terms of the contract.

    Attributes:
        sql: Query with ``__row``, each contract column, ``known_at``, ``attributes``, ``personal``, ``is_repeated``,
            ``problem`` and ``problem_value``.
        clock: Clock that local times of the file were read with.
    """

    sql: str
    clock: LocalClock


@dataclass(frozen=True, slots=True)
class _Value:
    """SQL of one column: the cast value, whether the file had one, and the value as text."""

    typed: str
    is_present: str
    text: str
    never: str = "false"
    twice: str = "false"


def project_rows(
    connection: duckdb.DuckDBPyConnection,
    entity: Entity,
    source: EntitySource,
    opened: OpenedSource,
    *,
    file_name: str,
    time_zone: str,
    number_check: Callable[[RowCheck], int],
) -> Projection:
    """Return the query that reads a file as rows of an entity.

    Args:
        connection: Where the file is open.
        entity: The entity.
        source: How the mapping reads the file.
        opened: The file.
        file_name: Name for messages.
        time_zone: Zone of timestamps without offset.
        number_check: Registers a check and returns the number under which rows carry it.

    Raises:
        UnreadableFileError: When a column is missing or an expression does not fit the file.
    """
    expressions = _expressions(entity, source, opened, file_name)
    known_at = {"known_at": source.known_at} if source.known_at else {}
    kinds = _expression_types(connection, opened, {**expressions, **known_at}, file_name)
    clock = _clock(connection, opened, source, {**expressions, **known_at}, kinds, entity, time_zone)
    values: dict[str, _Value] = {}
    for column in entity.columns:
        if column.name in expressions:
            values[column.name] = _value(column, kinds[column.name], source, opened.is_text, clock, time_zone)
    names = {name: _shown_name(name, expression) for name, expression in expressions.items()}
    conditions = _conditions(entity, values, names, number_check)
    if source.known_at:
        value = _value(Column("known_at", "TIMESTAMP", ""), kinds["known_at"], source, opened.is_text, clock, time_zone)
        check = RowCheck(Reason.WRONG_TYPE, "known_at", f"is not a point in time; {_AGAIN}")
        conditions.append((f"{value.is_present} and known_at is null", number_check(check), value.text))
        values["known_at"] = value
    time_column = next(
        (name for name in entity.key if name in values and entity.column(name).kind == "timestamp"), None
    )
    raw = ", ".join(
        f"({expression}) as {quoted('x_' + name)}" for name, expression in {**expressions, **known_at}.items()
    )
    absent = {column.name: f"cast(null as {column.duckdb_type})" for column in entity.columns}
    typed = ", ".join(
        f"{values[name].typed if name in values else absent[name]} as {quoted(name)}" for name in entity.column_names
    )
    kept = ", ".join([ROW, *(quoted(name) for name in entity.column_names), "known_at", "attributes", "personal"])
    whens = " ".join(f"when {condition} then {number}" for condition, number, _ in conditions)
    texts = " ".join(f"when {number} then {text}" for _, number, text in conditions if text != "null")
    sql = f"""
        with raw as (
            select {ROW}, {raw}, {_attributes(entity, source, opened, expressions)} as attributes,
                {_json(source.personal)} as personal
            from {opened.relation}
            {f"where ({source.where})" if source.where else ""}
        ),
        typed as (
            select *, {typed}, {values["known_at"].typed if source.known_at else "cast(null as timestamp)"} as known_at
            from raw
        ),
        judged as (
            select *, cast({f"case {whens} else 0 end" if whens else "0"} as smallint) as problem from typed
        )
        select {kept}, {values[time_column].twice if time_column else "false"} as is_repeated, problem,
            cast({f"case problem {texts} end" if texts else "null"} as varchar) as problem_value
        from judged
    """
    return Projection(sql, clock)


def _expressions(entity: Entity, source: EntitySource, opened: OpenedSource, file_name: str) -> dict[str, str]:
    if source.columns is not None:
        return dict(source.columns)
    by_lower = {name.lower(): name for name in opened.columns}
    expressions = {column.name: quoted(by_lower[column.name]) for column in entity.columns if column.name in by_lower}
    missing = [
        column for column in entity.columns if (column.required or column.expected) and column.name not in expressions
    ]
    if missing:
        raise UnreadableFileError(_missing_columns_message(file_name, entity, missing, opened))
    return expressions


def _missing_columns_message(file_name: str, entity: Entity, missing: list[Column], opened: OpenedSource) -> str:
    found = list(opened.columns)
    message = (
        f"{file_name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(column.name for column in missing)} "
        f"of {entity.name}; its columns are {', '.join(found[:20])}"
    )
    if len(found) == 1:
        return f"{message}: is it separated by another character? Set csv.delimiter in the mapping"
    lowered = {name.lower(): name for name in found}
    for column in missing:
        if close := difflib.get_close_matches(column.name, list(lowered), n=1):
            message += f" (is {lowered[close[0]]} the {column.name}?)"
    return f"{message}; rename the column, or say in the mapping which one it is (entities.{entity.name}.columns)"


def _expression_types(
    connection: duckdb.DuckDBPyConnection, opened: OpenedSource, expressions: dict[str, str], file_name: str
) -> dict[str, str]:
    together = ", ".join(f"({expression}) as {quoted(name)}" for name, expression in expressions.items())
    try:
        rows = connection.execute(f"describe select {together} from {opened.relation}").fetchall()
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException):
        for name, expression in expressions.items():
            _check_expression(connection, opened, name, expression, file_name)
        raise
    return {str(row[0]): str(row[1]) for row in rows}


def _check_expression(
    connection: duckdb.DuckDBPyConnection, opened: OpenedSource, name: str, expression: str, file_name: str
) -> None:
    try:
        connection.execute(f"describe select ({expression}) as value from {opened.relation}")
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        raise UnreadableFileError(
            f"{file_name}: the mapping's expression for {name}, {expression}, does not fit the file "
            f"({first_line(error)}); its columns are {', '.join(list(opened.columns)[:20])}; "
            "correct the mapping, or deliver the file again with the column"
        ) from error


def _clock(
    connection: duckdb.DuckDBPyConnection,
    opened: OpenedSource,
    source: EntitySource,
    expressions: dict[str, str],
    kinds: dict[str, str],
    entity: Entity,
    time_zone: str,
) -> LocalClock:
    """Return the clock over the range of the file's local times."""
    steady = local_clock(time_zone, datetime(1992, 1, 1), datetime(2040, 1, 1))
    names = [column.name for column in entity.columns if column.kind == "timestamp" and column.name in expressions]
    names += ["known_at"] if source.known_at else []
    if not steady.changes or not names:
        return steady
    bounds = ", ".join(
        f"min(try_cast(({expressions[name]}) as timestamp)), max(try_cast(({expressions[name]}) as timestamp))"
        for name in names
        if kinds[name] != "TIMESTAMP WITH TIME ZONE"
    )
    if not bounds:
        return steady
    found = [value for value in connection.execute(f"select {bounds} from {opened.relation}").fetchall()[0] if value]
    if not found:
        return steady
    return local_clock(time_zone, min(found), max(found))


def _value(column: Column, kind: str, source: EntitySource, is_text: bool, clock: LocalClock, time_zone: str) -> _Value:
    raw = quoted("x_" + column.name)
    is_varchar = kind == "VARCHAR"
    if is_varchar:
        # Full-width and non-breaking blanks are what spreadsheets leave around values.
        raw = f"nullif(trim({raw}, ' \t\r\n\u00a0\u3000'), '')" if is_text else f"nullif(trim({raw}), '')"
    is_present = f"{raw} is not null"
    if kind in ("FLOAT", "DOUBLE"):
        raw = f"(case when isnan({raw}) then null else {raw} end)"
        is_present = f"{raw} is not null"
    text = f"cast({raw} as varchar)"
    if column.kind == "text":
        return _Value(raw if is_varchar else f"nullif({text}, '')", is_present, text)
    if column.kind in ("number", "integer"):
        return _Value(_number(column, raw, is_varchar, kind, source), is_present, text)
    if column.kind == "date":
        if kind == "TIMESTAMP WITH TIME ZONE":
            raw = f"({raw} at time zone '{time_zone}')"
        return _Value(f"try_cast({raw} as date)", is_present, text)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return _Value(f"({raw} at time zone 'UTC')", is_present, text)
    local = f"try_cast({raw} as timestamp)"
    if not is_varchar:
        return _Value(clock.utc_sql(local), is_present, text, clock.never_sql(local), clock.twice_sql(local))
    has_offset = f"regexp_matches({raw}, '{_OFFSET}')"
    utc = f"(try_cast({raw} as timestamptz) at time zone 'UTC')"
    return _Value(
        f"(case when {has_offset} then {utc} else {clock.utc_sql(local)} end)",
        is_present,
        text,
        f"(not {has_offset} and {clock.never_sql(local)})",
        f"(not {has_offset} and {clock.twice_sql(local)})",
    )


def _number(column: Column, raw: str, is_varchar: bool, kind: str, source: EntitySource) -> str:
    if is_varchar and source.csv.decimal == ",":
        raw = f"replace(replace({raw}, '.', ''), ',', '.')"
    unit = source.units.get(column.name)
    factor = UNIT_FACTORS[column.unit][unit] if unit else 1.0
    if column.kind == "integer":
        if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
            return f"try_cast({raw} as {column.duckdb_type})"
        number = f"try_cast({raw} as double)"
        return f"(case when {number} = trunc({number}) then try_cast({number} as {column.duckdb_type}) end)"
    if factor != 1.0:
        raw = f"(try_cast({raw} as double) * {factor})"
    number = f"try_cast({raw} as {column.duckdb_type})"
    if column.duckdb_type == "DOUBLE":
        return f"(case when isfinite({number}) then {number} end)"
    return number


def _conditions(
    entity: Entity, values: dict[str, _Value], names: dict[str, str], number_check: Callable[[RowCheck], int]
) -> list[tuple[str, int, str]]:
    """Return (condition, number, text of the value) in the order in which a row is judged."""
    conditions: list[tuple[str, int, str]] = []

    def add(condition: str, column: Column, reason: Reason, what: str, text: str) -> None:
        is_secret = column.personal or column.name == "customer_id"
        check = RowCheck(reason, names.get(column.name, column.name), what, column.allowed, is_secret)
        conditions.append((condition, number_check(check), "null" if is_secret else text))

    for column in entity.columns:
        value = values.get(column.name)
        if value is None:
            continue
        if column.required:
            add(
                f"not ({value.is_present})",
                column,
                Reason.MISSING_VALUE,
                "is missing; fill it in and deliver the file again",
                "null",
            )
        if column.kind != "text":
            add(
                f"{value.is_present} and {quoted(column.name)} is null",
                column,
                Reason.WRONG_TYPE,
                f"is not a {_KIND_WORDS[column.kind]}; {_AGAIN}",
                value.text,
            )
        if value.never != "false":
            add(
                value.never,
                column,
                Reason.CLOCK_CHANGE,
                "is a local time that the clock change skipped; deliver it with its offset from UTC",
                value.text,
            )
        if column.allowed:
            codes = ", ".join(f"'{code}'" if isinstance(code, str) else str(code) for code in column.allowed)
            words = ", ".join(str(code) for code in column.allowed)
            add(
                f"{quoted(column.name)} not in ({codes})",
                column,
                Reason.NOT_ALLOWED,
                f"is not one of {words}; correct it, or translate it in the mapping (entities.{entity.name}.columns)",
                value.text,
            )
        if column.minimum is not None:
            add(
                f"{quoted(column.name)} < {column.minimum}",
                column,
                Reason.IMPOSSIBLE_VALUE,
                f"is {_below_words(column.minimum, column.unit)}; {_AGAIN}",
                value.text,
            )
        if column.maximum is not None:
            add(
                f"{quoted(column.name)} > {column.maximum}",
                column,
                Reason.IMPOSSIBLE_VALUE,
                f"is above {_amount_words(column.maximum, column.unit)}; {_AGAIN}",
                value.text,
            )
    pairs = [(pair, ">", "before") for pair in entity.ordered]
    pairs += [(pair, ">=", "not after") for pair in entity.strictly_ordered]
    for (first, second), operator, words in pairs:
        if first in values and second in values:
            add(
                f"{quoted(first)} {operator} {quoted(second)}",
                entity.column(second),
                Reason.IMPOSSIBLE_VALUE,
                f"is {words} {names[first]}; {_AGAIN}",
                values[second].text,
            )
    return conditions


def _below_words(minimum: float, unit: str) -> str:
    return "negative" if minimum == 0 else f"below {_amount_words(minimum, unit)}"


def _amount_words(amount: float, unit: str) -> str:
    return f"{amount:,.10g} {unit}".rstrip()


def _shown_name(name: str, expression: str) -> str:
    match = _IDENTIFIER.match(expression.strip())
    return (match.group(2) or match.group(1)) if match else name


def _attributes(entity: Entity, source: EntitySource, opened: OpenedSource, expressions: dict[str, str]) -> str:
    if source.attributes is None:
        return "cast(null as varchar)"
    if source.attributes != "extra":
        return _json(source.attributes)
    used = {
        *entity.column_names,
        *re.findall(r"\w+", " ".join([*expressions.values(), *source.personal.values()]).lower()),
    }
    return _json({name: quoted(name) for name in opened.columns if name.lower() not in used})


def _json(expressions: dict[str, str]) -> str:
    if not expressions:
        return "cast(null as varchar)"
    fields = ", ".join(f"{quoted(name)} := ({expression})" for name, expression in expressions.items())
    return f"cast(to_json(struct_pack({fields})) as varchar)"
