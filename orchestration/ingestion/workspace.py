"""What the steps of one landing share: the engine, the limits, and what earlier deliveries brought."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from orchestration.ingestion.contract import CONTRACT_DELIVERY_ID, ENTITIES, PROVENANCE_COLUMNS, Entity, landing_columns
from orchestration.ingestion.locking import INCOMING
from orchestration.ingestion.mapping import EntitySource
from orchestration.ingestion.pseudonym import customer_key, erasure_mark
from orchestration.ingestion.retention import read_retention
from orchestration.ingestion.sources import literal

ERASED_FILE = "erased.txt"
"""File among the identities with one mark per erased customer, and per meter and bill of theirs."""


def read_erasure_marks(landing_dir: Path) -> set[str]:
    """Return the marks of everything that was erased."""
    path = landing_dir / "identities" / ERASED_FILE
    return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


def write_erasure_marks(landing_dir: Path, marks: set[str]) -> None:
    """Replace the marks of everything that was erased."""
    staged = landing_dir / INCOMING / ERASED_FILE
    staged.write_text("\n".join(sorted(marks)) + "\n", encoding="utf-8")
    staged.replace(landing_dir / "identities" / ERASED_FILE)


class LandingLimits(BaseModel):
    """Limits above which a reading is held to be an error rather than a big customer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    residential_max_kw: float = Field(default=100.0, gt=0, description="No household's connection passes more")
    capacity_factor: float = Field(
        default=10.0, gt=1, description="Times the contracted capacity that a meter can pass"
    )
    household_daily_kwh: float = Field(
        default=1000.0, gt=0, description="Median daily energy above which a household's file is held to be in Wh"
    )
    messages_per_check: int = Field(default=3, ge=1, description="Sentences per file and kind of problem")


@dataclass(frozen=True, slots=True)
class FileWork:
    """One file that is to be read as one entity.

    Attributes:
        entity: Name of the entity.
        source: How the mapping reads the file.
        path: The file.
        name: Its name in the delivery.
        sha256: Hash of its content.
        fingerprint: Hash of its content and of everything that decides how it is read.
        orphans: Quarantine that holds the orphans for whose sake the file is read again; its other rows were settled
            before. None when the file is read for the first time.
    """

    entity: str
    source: EntitySource
    path: Path
    name: str
    sha256: str
    fingerprint: str
    orphans: Path | None = None


@dataclass(frozen=True, slots=True)
class DeliveryWork:
    """One delivery that is to be landed."""

    delivery_id: str
    name: str
    root: Path
    known_at: datetime
    files: tuple[FileWork, ...]

    @property
    def is_retry(self) -> bool:
        """Whether files are read again because their orphans have found their parents."""
        return any(file.orphans is not None for file in self.files)

    def place(self, file_name: str) -> str:
        """Return the name of a file as the inbox knows it: the delivery's folder comes first where there is one."""
        has_folder = self.root.as_posix().endswith(f"/{self.name}")
        return f"{self.name}/{file_name}" if has_folder else file_name


@dataclass
class Workspace:
    """The engine and the memory of one landing.

    Attributes:
        connection: In-memory engine; spills into ``scratch``.
        landing_dir: Root of the landing.
        scratch: Private folder that is removed at the end.
        pseudonym_key: Key of the pseudonyms; never part of an SQL text.
        time_zone: Zone of local days.
        source_time_zone: Zone of timestamps without offset in the files.
        limits: Limits of plausible readings.
        progress: Receives a sentence per step.
        month_paths: Readings files of earlier deliveries by month.
        erased: Marks of erased customers and of their meters and bills.
        first_kept_month: First UTC month whose readings are kept; None while none were removed.
        spans_are_current: Whether the table of meters and their customers holds all that is known.
    """

    connection: duckdb.DuckDBPyConnection
    landing_dir: Path
    scratch: Path
    pseudonym_key: str
    time_zone: str
    source_time_zone: str
    limits: LandingLimits
    progress: Callable[[str], None]
    month_paths: dict[str, list[Path]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    first_kept_month: date | None = None
    spans_are_current: bool = False

    def rows(self, sql: str) -> list[tuple]:
        """Run a query and return its rows."""
        return self.connection.execute(sql).fetchall()

    def scalar(self, sql: str) -> int:
        """Run a query that counts and return its number."""
        return int(self.rows(sql)[0][0] or 0)

    def remember_earlier_deliveries(self) -> None:
        """Fill the memory from the landing as it stands."""
        connection = self.connection
        connection.execute(
            "create temp table customer_keys (customer_id varchar, customer_key varchar, is_erased boolean)"
        )
        self.erased = read_erasure_marks(self.landing_dir)
        self.first_kept_month = read_retention(self.landing_dir).first_kept
        for entity in ENTITIES.values():
            if entity.name != "meter_readings":
                connection.execute(f"create temp table known_{entity.name} as {self._known_sql(entity)}")
        connection.execute(f"create temp table meter_history as {self._table_sql('meter_totals')}")
        connection.execute(
            f"create temp table register_state as select meter_id, max(read_at) as read_at, "
            "arg_max(register_kwh, read_at) as register_kwh "
            f"from ({self._table_sql('meter_registers')}) group by meter_id"
        )
        for path in sorted((self.landing_dir / "deliveries").glob("*/meter_readings/read_month=*/*.parquet")):
            self.remember_readings(path)

    def remember_readings(self, path: Path) -> None:
        """Note a readings file, so that later deliveries are compared with it."""
        if path.parts[-4] != CONTRACT_DELIVERY_ID:
            self.month_paths.setdefault(path.parent.name.removeprefix("read_month="), []).append(path)

    def add_customer_ids(self, sql: str) -> None:
        """Make pseudonyms for the customer_ids that a query returns."""
        new = [
            str(row[0])
            for row in self.rows(
                f"select distinct customer_id from ({sql}) where customer_id is not null "
                "and customer_id not in (select customer_id from customer_keys)"
            )
        ]
        self.insert(
            "customer_keys",
            {
                "customer_id": new,
                "customer_key": [customer_key(customer_id, self.pseudonym_key) for customer_id in new],
                "is_erased": [
                    bool(self.erased) and erasure_mark(customer_id, self.pseudonym_key) in self.erased
                    for customer_id in new
                ],
            },
        )

    def erasure_marks(self, column: str, sql: str) -> dict[str, str]:
        """Return the mark that each id of a query has once it is erased."""
        ids = [str(row[0]) for row in self.rows(f"select distinct {column} from ({sql}) where {column} is not null")]
        return {identifier: erasure_mark(identifier, self.pseudonym_key, column) for identifier in ids}

    def insert(self, table: str, columns: dict[str, list]) -> None:
        """Append rows to a temporary table."""
        if next(iter(columns.values())):
            self.connection.register("new_rows", pa.table(columns))
            self.connection.execute(f"insert into {table} ({', '.join(columns)}) select * from new_rows")
            self.connection.unregister("new_rows")

    def _table_sql(self, name: str) -> str:
        pattern = self.landing_dir / "deliveries" / "*" / name / "*.parquet"
        return f"select * from read_parquet({literal(str(pattern))})"

    def _known_sql(self, entity: Entity) -> str:
        keys = ", ".join(known_key(entity))
        extras = known_extras(entity)
        if entity.personal_columns:
            identities = sorted((self.landing_dir / "identities").glob("*.parquet"))
            paths = ", ".join(literal(str(path)) for path in identities)
            contents = (
                f"select record_id, customer_key, content, revision from read_parquet([{paths}]) "
                f"where entity = '{entity.name}'"
                if identities
                else "select '' as record_id, '' as customer_key, '' as content, 0 as revision limit 0"
            )
            match = (
                "l.customer_key = i.customer_key" if entity.name == "customers" else f"l.{entity.key[0]} = i.record_id"
            )
            return (
                f"select {', '.join(f'l.{name}' for name in known_key(entity))}, i.content, l.revision, "
                f"l.known_at{extras} from ({self._table_sql(entity.name)}) l "
                f"join ({contents}) i on {match} and l.revision = i.revision"
            )
        return (
            f"select {keys}, {content_sql(entity)} as content, revision, known_at{extras} "
            f"from ({self._table_sql(entity.name)})"
        )


def known_key(entity: Entity) -> tuple[str, ...]:
    """Return the landing columns that tell versions of one row from other rows."""
    parts = tuple("customer_key" if name == "customer_id" else name for name in entity.parts)
    return (*entity.landing_key, *(name for name in parts if name not in entity.landing_key))


def known_extras(entity: Entity) -> str:
    """Return further columns that later entities need of this one, as the tail of a select list."""
    return {
        "customers": ", customer_class, contract_capacity_kva",
        "meters": ", interval_minutes, multiplier, removed_date",
        "bills": ", customer_key",
    }.get(entity.name, "")


def content_columns(entity: Entity) -> list[str]:
    """Return the columns whose values make up the content of a landed row."""
    provenance = {column.name for column in PROVENANCE_COLUMNS}
    return [column.name for column in landing_columns(entity.name) if column.name not in provenance]


def content_sql(entity: Entity, further: Iterable[str] = ()) -> str:
    """Return SQL that hashes the content of a row; equal content has an equal hash in every run."""
    texts = ", ".join(f"coalesce(cast({name} as varchar), chr(30))" for name in (*content_columns(entity), *further))
    return f"md5(concat_ws(chr(31), {texts}))"
