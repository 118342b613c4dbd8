"""Makes features of raw rows by the statements that made the marts: the definitions of training, not a copy of them.

A release brings the SQL of its feature mart (``ml.feature_definitions``). It is planned once, in an engine of the
release's own: in memory, with one thread, little memory and no access to any file. Each request is one transaction
that is rolled back, so nothing of it stays. This is the one module of ``serving`` that imports DuckDB. It must stay so:
the warehouse belongs to the pipeline, and an API that opened it would lock it.
"""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from ml.columns import CUSTOMER_KEY
from ml.errors import KilowiseError
from ml.feature_definitions import AS_OF_MONTHS, FeatureDefinitions, RelationColumn
from serving.raw_landing import FIRST_KNOWN_AT, LandedRows, landed_rows, utc_of_local
from serving.raw_schemas import RawCustomer

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_LIMIT = "400MB"
_LONGEST_SECONDS = 20.0

_MONTHS_LOOKED_BACK = 36
"""Readings before these months reach no feature, and the calendar would have to reach back to them."""

_CONFIGURATION = {
    "threads": 1,
    "memory_limit": _MEMORY_LIMIT,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_DELIVERY_ID = "request"


class RawFeaturesError(KilowiseError):
    """Features cannot be made of raw rows: too many, values that no sum can hold, or no customer in that month."""


@dataclass(frozen=True, slots=True)
class RawFeatures:
    """Features of one customer, made of raw rows.

    Attributes:
        as_of_month: Month at whose end they were known.
        district: Context for the prediction log.
        features: Value by column.
        tables: Further rows of the customer by the name of their mart.
    """

    as_of_month: date
    district: str | None
    features: dict[str, Any]
    tables: Mapping[str, pa.Table]


class RawFeatureMaker:
    """Runs the definitions of one release; used by any number of threads, by one at a time.

    Args:
        definitions: How the features are made.
        feature_names: The features that the model reads.
    """

    def __init__(self, definitions: FeatureDefinitions, feature_names: Sequence[str]) -> None:
        self._definitions = definitions
        self._feature_names = tuple(feature_names)
        self._zone = ZoneInfo(definitions.time_zone)
        self._rows_taken_along = {
            step.name: _arrow_rows(step.columns, step.rows) for step in definitions.steps if step.kind == "rows"
        }
        self._lock = threading.Lock()
        self._connection: DuckDBPyConnection | None = None

    def make(self, raw: RawCustomer, *, now: datetime) -> RawFeatures:
        """Return the features of one customer.

        Args:
            raw: The customer's rows.
            now: Time of the request, with time zone; a month that is not over then cannot be looked back upon.

        Raises:
            RefusedRowError: The landing would not have loaded a row.
            RawFeaturesError: The month is not over, nobody was a customer in it, or the engine could not make features
                of these values.
        """
        landed = landed_rows(
            raw,
            time_zone=self._definitions.time_zone,
            adds_up_parallel_meters=self._definitions.adds_up_parallel_meters,
        )
        month = self._as_of_month(raw, landed, now)
        with self._lock:
            try:
                made = self._made(landed, month)
            except duckdb.InterruptException:
                raise RawFeaturesError(
                    f"making features of these rows takes longer than {_LONGEST_SECONDS:g} seconds; send fewer rows"
                ) from None
            except duckdb.OutOfMemoryException:
                raise RawFeaturesError(
                    f"making features of these rows takes more than {_MEMORY_LIMIT}; send fewer rows"
                ) from None
            except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
                raise RawFeaturesError("these values are too large to be added up; check their units") from error
        if made is None:
            raise RawFeaturesError(
                f"the customer was none in {month:%Y-%m}: not registered yet, or closed before; correct as_of_month, "
                "customer.registered_date or customer.closed_date, or leave the two days out"
            )
        return made

    def _made(self, landed: LandedRows, month: date) -> RawFeatures | None:
        """Return the features, or None when the mart has no row for this month."""
        connection = self._connection or self._open()
        self._connection = None
        timer = threading.Timer(_LONGEST_SECONDS, connection.interrupt)
        timer.start()
        try:
            connection.execute("begin transaction")
            self._land(connection, landed, month)
            for step in self._definitions.steps:
                if step.kind == "table":
                    connection.execute(f'execute "{step.name}"')
            made = self._result(connection, month)
            connection.execute("rollback")
        except duckdb.Error:
            # Whatever state it is in: the next request gets another one.
            connection.close()
            raise
        finally:
            timer.cancel()
        self._connection = connection
        return made

    def _open(self) -> "DuckDBPyConnection":
        """Return an engine in which every step is planned and holds no row."""
        connection = duckdb.connect(":memory:", config=_CONFIGURATION)
        # Planning costs more than a few thousand rows, and the optimizer, a third of it, gives nothing back.
        connection.execute("set TimeZone = 'UTC'; pragma disable_optimizer; set lock_configuration = true")
        for schema in ("landing", "seeds", "staging", "intermediate", "marts"):
            connection.execute(f"create schema {schema}")
        for name, columns in self._definitions.landing.items():
            # The folder of a landed file gives its readings their month.
            partition = (RelationColumn(name="read_month", type="DATE"),) if name == "meter_readings" else ()
            connection.execute(f'create table landing."{name}" ({_types((*columns, *partition))})')
        connection.execute(f"create table intermediate.{AS_OF_MONTHS} ({_types(self._definitions.as_of_months)})")
        for step in self._definitions.steps:
            target = f'"{step.schema_name}"."{step.name}"'
            if step.kind == "rows":
                with _registered(connection, self._rows_taken_along[step.name]) as relation:
                    connection.execute(f"create table {target} as select {_casts(step.columns)} from {relation}")
            elif step.kind == "view":
                connection.execute(f"create view {target} as {step.sql}")
            else:
                described = connection.execute(f"describe {step.sql}").fetchall()
                columns = tuple(RelationColumn(name=column[0], type=column[1]) for column in described)
                connection.execute(f"create table {target} ({_types(columns)})")
                connection.execute(f'prepare "{step.name}" as insert into {target} {step.sql}')
        return connection

    def _as_of_month(self, raw: RawCustomer, landed: LandedRows, now: datetime) -> date:
        first_of_month = now.astimezone(self._zone).date().replace(day=1)
        last_month_over = (first_of_month - timedelta(days=1)).replace(day=1)
        if raw.as_of_month is not None:
            if raw.as_of_month > last_month_over:
                raise RawFeaturesError(
                    f"as_of_month {raw.as_of_month} is not over yet; the latest month that is over is {last_month_over}"
                )
            return raw.as_of_month
        return min((landed.latest_date or last_month_over).replace(day=1), last_month_over)

    def _land(self, connection: "DuckDBPyConnection", landed: LandedRows, month: date) -> None:
        """Fill the landing tables and the month that is looked back upon."""
        for name, rows in landed.tables.items():
            if rows and name in self._definitions.landing:
                self._insert(connection, name, rows, month)
        if "reading_months" in self._definitions.landing:
            connection.execute(
                f"insert into landing.reading_months by name select distinct '{_DELIVERY_ID}' as delivery_id, "
                "read_month from landing.meter_readings"
            )
        months = pa.Table.from_pylist([self._month(month, landed.has)])
        with _registered(connection, months) as relation:
            values = _casts(self._definitions.as_of_months)
            connection.execute(f"insert into intermediate.{AS_OF_MONTHS} select {values} from {relation}")

    def _insert(self, connection: "DuckDBPyConnection", name: str, rows: Sequence[dict[str, Any]], month: date) -> None:
        columns = self._definitions.landing[name]
        given = {column.name for column in columns} & set(rows[0])
        provenance = {
            CUSTOMER_KEY: "'customer'",
            "delivery_id": f"'{_DELIVERY_ID}'",
            "known_at": f"timestamp '{FIRST_KNOWN_AT}'",
            "source_file": f"'{_DELIVERY_ID}'",
            "revision": "0",
        }
        values = {
            column.name: f'cast("{column.name}" as {column.type})' if column.name in given else provenance[column.name]
            for column in columns
            if column.name in given or column.name in provenance
        }
        condition = ""
        if name == "meter_readings":
            for column in ("kwh", "kvarh", "export_kwh"):
                # As the landing does it: exact where there is nothing to multiply.
                exact = f"cast({column} as decimal(14, 4))"
                values[column] = (
                    f"case when multiplier = 1 then {exact} else try_cast({exact} * multiplier as decimal(14, 4)) end"
                )
            values["read_month"] = "cast(date_trunc('month', read_at) as date)"
            first, last = self._bounds(month)
            condition = f"where read_at >= timestamp '{first}' and read_at < timestamp '{last}'"
        selected = ", ".join(f'{value} as "{column}"' for column, value in values.items())
        with _registered(connection, _arrow(rows)) as relation:
            connection.execute(f'insert into landing."{name}" by name select {selected} from {relation} {condition}')

    def _bounds(self, month: date) -> tuple[datetime, datetime]:
        """Return the UTC instants between which readings are looked at."""
        first = _months_later(month, -_MONTHS_LOOKED_BACK)
        return self._midnight(first), self._midnight(_months_later(month, 1))

    def _month(self, month: date, has: frozenset[str]) -> dict[str, Any]:
        following = _months_later(month, 1)
        return {
            "as_of_month_number": month.year * 12 + month.month - 1,
            "recency_rank": 1,
            "has_payments": "payments" in has,
            "has_contacts": "service_contacts" in has,
            "has_programmes": "programme_enrolments" in has,
            "has_inspections": "inspections" in has,
            "as_of_month": month,
            "month_end_date": following - timedelta(days=1),
            "as_of_at": self._midnight(following + timedelta(days=self._definitions.as_of_lag_days)),
        }

    def _midnight(self, day: date) -> datetime:
        return utc_of_local(datetime.combine(day, time()), self._zone)

    def _result(self, connection: "DuckDBPyConnection", month: date) -> RawFeatures | None:
        mart = f'marts."{self._definitions.feature_table}"'
        rows = connection.sql(f"from {mart}").to_arrow_table().to_pylist()
        if not rows:
            return None
        (row,) = rows
        return RawFeatures(
            as_of_month=month,
            district=row.get("district"),
            features={name: _plain(row[name]) for name in self._feature_names},
            tables={
                name: connection.sql(f'from marts."{name}"').to_arrow_table()
                for name in self._definitions.customer_tables
            },
        )


@contextmanager
def _registered(connection: "DuckDBPyConnection", table: pa.Table) -> Iterator[str]:
    connection.register("rows_of_request", table)
    try:
        yield "rows_of_request"
    finally:
        connection.unregister("rows_of_request")


def _arrow(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.table({name: [row[name] for row in rows] for name in rows[0]})


def _arrow_rows(columns: Sequence[RelationColumn], rows: Sequence[Sequence[Any]]) -> pa.Table:
    return pa.table({column.name: [row[position] for row in rows] for position, column in enumerate(columns)})


def _types(columns: Sequence[RelationColumn]) -> str:
    return ", ".join(f'"{column.name}" {column.type}' for column in columns)


def _casts(columns: Sequence[RelationColumn]) -> str:
    return ", ".join(f'cast("{column.name}" as {column.type}) as "{column.name}"' for column in columns)


def _months_later(month: date, count: int) -> date:
    number = month.year * 12 + month.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it: missing and non-finite numbers become None."""
    if value is None or isinstance(value, str | bool):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
