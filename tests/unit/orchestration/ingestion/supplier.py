"""A supplier whose files a test writes by hand, and the landing that reads them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping
from orchestration.ingestion.report import FileReport, LandingReport

PSEUDONYM_KEY = "a key for tests only, of no use elsewhere"

CUSTOMERS = (
    "customer_id,customer_class,name,phone\nC1,residential,Zhang Wei,13900000001\nC2,residential,Li Na,13900000002\n"
)
METERS = "meter_id,customer_id,interval_minutes,installed_date\nM1,C1,60,2024-01-01\nM2,C2,60,2024-01-01\n"
BILLS = (
    "bill_id,customer_id,period_start,period_end,kwh,amount,issued_date,due_date\n"
    "B1,C1,2024-08-01,2024-09-01,100,55.10,2024-09-03,2024-09-20\n"
    "B2,C2,2024-08-01,2024-09-01,120,65.20,2024-09-03,2024-09-20\n"
)
PAYMENTS = "payment_id,bill_id,paid_date,amount,channel\nP1,B1,2024-09-10,55.10,app\nP2,B2,2024-09-25,65.20,bank\n"


def readings_csv(rows: list[tuple[str, str, object]]) -> str:
    """Return a readings file of (meter_id, read_at, kwh)."""
    return "meter_id,read_at,kwh\n" + "".join(f"{meter},{read_at},{kwh}\n" for meter, read_at, kwh in rows)


def hourly(meter: str, day: str, kwh: float = 0.5, hours: int = 24) -> list[tuple[str, str, object]]:
    """Return hourly readings of one day."""
    return [(meter, f"{day} {hour:02d}:00", kwh) for hour in range(hours)]


class Supplier:
    """Writes deliveries, lands them and looks at what came out."""

    def __init__(self, home: Path) -> None:
        self.inbox = home / "inbox"
        self.landing = home / "landing"
        self.mapping_path = home / "mapping.yaml"
        self.inbox.mkdir()

    def deliver(self, name: str, files: Mapping[str, str | bytes], delivered_at: str | None = None) -> Path:
        """Write a delivery, or further files of one."""
        folder = self.inbox / name
        folder.mkdir(exist_ok=True)
        for file_name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / file_name).write_bytes(data)
        if delivered_at:
            (folder / "delivery.yaml").write_text(f"delivered_at: {delivered_at}\n")
        return folder

    def basics(self, **files: str | bytes) -> Path:
        """Deliver two customers with meters, bills and payments, and further files by entity."""
        contents: dict[str, str | bytes] = {
            "customers.csv": CUSTOMERS, "meters.csv": METERS, "bills.csv": BILLS, "payments.csv": PAYMENTS,
        }  # fmt: skip
        contents.update({f"{entity}.csv": content for entity, content in files.items()})
        return self.deliver("2024-09", contents)

    def mapping(self, text: str) -> None:
        """Use a mapping of the test's own instead of the built-in one."""
        self.mapping_path.write_text(text, encoding="utf-8")

    def land(
        self, time_zone: str = "Asia/Shanghai", landed_at: datetime | None = None, **options: Any
    ) -> LandingReport:
        """Land what is new."""
        mapping = load_mapping(self.mapping_path if self.mapping_path.exists() else None)
        return land_deliveries(
            self.inbox,
            mapping,
            self.landing,
            pseudonym_key=PSEUDONYM_KEY,
            time_zone=time_zone,
            landed_at=landed_at,
            **options,
        )

    def rows(self, table: str, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
        """Return rows of a landing table in the order of the columns."""
        return self._query(f"{self.landing}/deliveries/*/{table}/**/*.parquet", columns, where)

    def quarantine(self, columns: str = "entity, source_file, row_number, reason") -> list[tuple[Any, ...]]:
        """Return quarantined rows."""
        if not list((self.landing / "quarantine").glob("*/*.parquet")):
            return []
        return self._query(f"{self.landing}/quarantine/*/*.parquet", columns, "true")

    def _query(self, pattern: str, columns: str, where: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            return connection.execute(
                f"select {columns} from read_parquet('{pattern}', union_by_name = true) where {where} order by all"
            ).fetchall()

    def describe(self, pattern: str) -> dict[str, str]:
        """Return the types of the columns that Parquet files themselves hold."""
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"describe select * from read_parquet('{pattern}', hive_partitioning = false)"
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def in_file_order(self, path: Path, columns: str) -> list[tuple[Any, ...]]:
        """Return the rows of one file as they stand in it."""
        with duckdb.connect(config={"threads": 1}) as connection:
            return connection.execute(f"select {columns} from read_parquet('{path}')").fetchall()

    def file_rows(self, path: Path) -> list[dict[str, Any]]:
        """Return the rows of one file by column."""
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows

    def published(self) -> list[str]:
        """Return the names of published deliveries, the bootstrap delivery aside."""
        return sorted(path.name for path in (self.landing / "deliveries").iterdir() if not path.name.startswith("0000"))


def file_report(report: LandingReport, entity: str) -> FileReport:
    """Return the one file of an entity in a report."""
    [found] = [file for file in report.files if file.entity == entity]
    return found
