"""Write the simulated supplier's deliveries: one dated folder per month, as a real supplier would drop them.

A delivery appears in the inbox by one rename, so no half-written one is ever visible. The folder's name is the day of
delivery, the 2nd of the following month. ``simulated_supplier.json`` in the inbox remembers what was written and from
which configuration: a rerun skips it, a longer run continues it, a different one is refused.
"""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import KilowiseError
from orchestration.ingestion.simulated_supplier import entities
from orchestration.ingestion.simulated_supplier.billing import supplier_catalogue
from orchestration.ingestion.simulated_supplier.calendar import MonthCalendar
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import DISTRICTS
from orchestration.ingestion.simulated_supplier.readings import SCHEMA, BlockTables, MonthDirt, disturb, joined
from orchestration.ingestion.simulated_supplier.simulation import Money, SimulatedMonth, Simulation

GENERATOR_VERSION = 3
"""Raise it with every change that alters the bytes of a delivery, so that an old inbox is not continued."""

STATE_FILE = "simulated_supplier.json"
STAGING_FOLDER = ".simulating"
DELIVERY_DAY = 2
DELIVERED_AT_UTC = dt.time(14, 0)

Progress = Callable[[str], None]


class SimulatedSupplierError(KilowiseError):
    """The inbox already holds deliveries that do not come from this simulation."""


@dataclass
class DeliveryCounts:
    """Rows of one delivery by entity, for comparison with what landing makes of them.

    Attributes:
        name: Folder of the delivery.
        rows: Rows in the files.
        quarantined: Rows that the landing contract refuses.
        duplicates: Rows that repeat an earlier or other row exactly.
    """

    name: str
    rows: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)

    def add(self, entity: str, rows: int, quarantined: int = 0, duplicates: int = 0) -> None:
        """Count rows of one file."""
        for counts, count in ((self.rows, rows), (self.quarantined, quarantined), (self.duplicates, duplicates)):
            if count or counts is self.rows:
                counts[entity] = counts.get(entity, 0) + count


@dataclass(frozen=True)
class SupplierReport:
    """What a simulation delivered.

    Attributes:
        deliveries: Every delivery of the configured months, written now or before.
        written: Names of the deliveries written by this call.
        customers: Customers simulated.
        seconds: Wall-clock time of the call.
    """

    deliveries: tuple[DeliveryCounts, ...]
    written: tuple[str, ...]
    customers: int
    seconds: float

    def total(self, kind: str, entity: str | None = None) -> int:
        """Return the sum of ``rows``, ``quarantined`` or ``duplicates`` over all deliveries."""
        return sum(
            count
            for delivery in self.deliveries
            for name, count in getattr(delivery, kind).items()
            if entity is None or name == entity
        )


def delivery_name(config: SupplierConfig, month_index: int) -> str:
    """Return the folder name of the delivery that brings a month: the day on which it is delivered."""
    return config.month_at(month_index + 1).replace(day=DELIVERY_DAY).isoformat()


def _fingerprint(config: SupplierConfig, month_index: int) -> str:
    text = f"{GENERATOR_VERSION}:{config.as_of(month_index).model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_deliveries(config: SupplierConfig, inbox: Path, progress: Progress | None = None) -> SupplierReport:
    """Write one delivery folder per simulated month into the inbox; folders that are there already are kept.

    Args:
        config: What to simulate.
        inbox: Folder that receives ``<YYYY-MM-DD>/`` folders; created when missing.
        progress: Called with a sentence now and then.

    Returns:
        Counts by delivery and entity.

    Raises:
        SimulatedSupplierError: The inbox holds a delivery of the same name that this configuration did not write.
    """
    started = time.perf_counter()
    say = progress or (lambda _: None)
    inbox.mkdir(parents=True, exist_ok=True)
    known = _read_state(inbox)
    missing = _missing_months(config, inbox, known)
    if missing:
        writer = _DeliveryWriter(config, inbox / STAGING_FOLDER, missing, say)
        for counts, fingerprint in writer.run():
            (inbox / STAGING_FOLDER / counts.name).rename(inbox / counts.name)
            known[counts.name] = {"fingerprint": fingerprint, "counts": dataclasses.asdict(counts)}
            _write_state(inbox, known)
        shutil.rmtree(inbox / STAGING_FOLDER)
    names = [delivery_name(config, month) for month in range(config.months)]
    deliveries = tuple(DeliveryCounts(**known[name]["counts"]) for name in names)
    return SupplierReport(
        deliveries=deliveries,
        written=tuple(delivery_name(config, month) for month in missing),
        customers=config.customers,
        seconds=time.perf_counter() - started,
    )


def _read_state(inbox: Path) -> dict[str, Any]:
    path = inbox / STATE_FILE
    if not path.exists():
        return {}
    deliveries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["deliveries"]
    return deliveries


def _write_state(inbox: Path, deliveries: dict[str, Any]) -> None:
    temporary = inbox / f"{STATE_FILE}.tmp"
    temporary.write_text(json.dumps({"deliveries": deliveries}, indent=1, ensure_ascii=False), encoding="utf-8")
    temporary.replace(inbox / STATE_FILE)


def _missing_months(config: SupplierConfig, inbox: Path, known: dict[str, Any]) -> list[int]:
    missing = []
    for month in range(config.months):
        name = delivery_name(config, month)
        is_there = (inbox / name).exists()
        same = name in known and known[name]["fingerprint"] == _fingerprint(config, month)
        if is_there and not same:
            raise SimulatedSupplierError(
                f"{inbox.name}/{name}: this delivery was not written by the simulated supplier with the present "
                "settings; empty the inbox and the landing, or simulate into another folder"
            )
        if not is_there:
            missing.append(month)
    return missing


class _DeliveryWriter:
    """Turns one simulation into files; months that the inbox has already are simulated, not written."""

    def __init__(self, config: SupplierConfig, staging: Path, months_to_write: list[int], say: Progress) -> None:
        self.config = config
        self.staging = staging
        self.months_to_write = set(months_to_write)
        self.say = say
        self.counts = {month: DeliveryCounts(delivery_name(config, month)) for month in range(config.months)}

    def run(self) -> Iterator[tuple[DeliveryCounts, str]]:
        """Simulate everything and yield each finished delivery with its fingerprint, oldest first."""
        shutil.rmtree(self.staging, ignore_errors=True)
        for month in self.months_to_write:
            self._folder(month).mkdir(parents=True)
        simulation = Simulation(self.config)
        self._write_all_readings(simulation)
        self.say("pricing bills, paying them, answering contacts")
        self._write_entities(simulation, simulation.money())
        self._write_tariffs()
        if self.config.dirty:
            self._spoil_entities()
        for month in sorted(self.months_to_write):
            self._write_delivery_note(month)
            yield self.counts[month], _fingerprint(self.config, month)

    def _folder(self, month: int) -> Path:
        return self.staging / self.counts[month].name

    def _write_all_readings(self, simulation: Simulation) -> None:
        follow_up = _FollowUp()
        for month in simulation.months():
            follow_up = self._write_readings(simulation, month, follow_up)
            if month.index in self.months_to_write:
                self._write_csv(month.index, "weather", _weather_frame(month))
            if month.index % 6 == 5 or month.index == self.config.months - 1:
                self.say(f"simulated {month.index + 1} of {self.config.months} months of readings")

    def _write_readings(self, simulation: Simulation, month: SimulatedMonth, brought: "_FollowUp") -> "_FollowUp":
        """Write one month's readings and return what the next delivery has to bring."""
        is_written = month.index in self.months_to_write
        counts = self.counts[month.index]
        follow_up = _FollowUp()
        dirt = MonthDirt()
        path = self._folder(month.index) / "meter_readings.parquet"
        with _readings_writer(path) if is_written else contextlib.nullcontext() as writer:
            for readings in month.blocks:
                if self.config.dirty and readings.block.start == 0:
                    dirt = disturb(self.config, simulation.metering, month.index, month.calendar, readings)
                tables = BlockTables(readings, simulation.metering, month.calendar)
                follow_up.tables.append(tables.late())
                delivered = tables.delivered()
                # A block of customers who are still to come must leave no trace, not even an empty row group.
                if writer is not None and delivered.num_rows:
                    writer.write_table(delivered)
                    counts.add("meter_readings", delivered.num_rows)
        follow_up.tables.extend(dirt.repaired)
        follow_up.repeated_rows = dirt.repeated
        supplement = joined([*brought.tables, *dirt.rows])
        if is_written and supplement.num_rows:
            with _readings_writer(path.with_name("meter_readings_supplement.parquet")) as extra_writer:
                extra_writer.write_table(supplement)
        counts.add("meter_readings", supplement.num_rows, dirt.quarantined, dirt.duplicates + brought.repeated_rows)
        return follow_up

    def _write_entities(self, simulation: Simulation, money: Money) -> None:
        config, population = self.config, simulation.population
        frames = {
            "customers": entities.customers_frame(config, population),
            "meters": entities.meters_frame(config, simulation.metering, simulation.meter_changes),
            "tariff_enrolments": entities.enrolments_frame(config, population, simulation.enrolments),
            "bills": entities.bills_frame(config, population, money.bills),
            "payments": entities.payments_frame(config, population, money.bills, money.behaviour.payments),
            "service_contacts": entities.contacts_frame(config, population, money.contacts),
            "programme_enrolments": entities.programmes_frame(config, population, money.programmes),
            "marketing_consents": entities.consents_frame(config, population, money.consents),
            "inspections": entities.inspections_frame(config, population, money.inspections),
        }
        for name, frame in frames.items():
            parts = frame.partition_by(entities.DELIVERY, as_dict=True, include_key=False, maintain_order=True)
            for month in self.months_to_write:
                if (month,) in parts:
                    self._write_csv(month, name, parts[(month,)])

    def _write_csv(self, month: int, name: str, frame: pl.DataFrame) -> None:
        frame.write_csv(self._folder(month) / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
        self.counts[month].add(name, frame.height)

    def _write_tariffs(self) -> None:
        """Deliver the catalogue with the first delivery, and again when a reform changes it."""
        catalogues = {0: supplier_catalogue(self.config.as_of(0))}
        reform = self.config.scenario_start("tariff_reform")
        if reform is not None:
            catalogues[reform] = supplier_catalogue(self.config)
        for month in self.months_to_write & catalogues.keys():
            self._write_csv(month, "tariffs", entities.tariffs_frame(catalogues[month]))

    def _spoil_entities(self) -> None:
        """Append rows to the CSV files that the landing contract must refuse, and repeat one payment."""
        for month in sorted(self.months_to_write):
            following = self.config.month_at(month + 1)
            stamp = f"{self.config.month_at(month):%Y%m}"
            due = following + dt.timedelta(days=20)
            period = f"{self.config.month_at(month)},{following}"
            self._append(month, "bills", f"X{stamp}0000001,C9999999,{period},100.0000,54.69,{following},{due}")
            self._append(month, "bills", f"X{stamp}0000002,C0000001,{period},100.0000,n/a,{following},{due}")
            self._append(month, "payments", f"X{stamp}0000001,B0000000000000,{following},54.69,counter")
            self._append(month, "weather", f"{DISTRICTS[0]},{following}T00:00:00Z,99.9")
            self._append(month, "inspections", f"X{stamp}0000001,C0000001,{following},unclear")
            self._repeat_first_row(month, "payments")

    def _append(self, month: int, name: str, line: str) -> None:
        path = self._folder(month) / f"{name}.csv"
        if path.exists():
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(line + "\n")
            self.counts[month].add(name, 1, quarantined=1)

    def _repeat_first_row(self, month: int, name: str) -> None:
        path = self._folder(month) / f"{name}.csv"
        if path.exists():
            first_row = path.read_text(encoding="utf-8").splitlines()[1]
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(first_row + "\n")
            self.counts[month].add(name, 1, duplicates=1)

    def _write_delivery_note(self, month: int) -> None:
        delivered = dt.datetime.combine(
            self.config.month_at(month + 1).replace(day=DELIVERY_DAY), DELIVERED_AT_UTC, tzinfo=dt.UTC
        )
        note = f"supplier: simulated\ndelivered_at: {delivered:%Y-%m-%dT%H:%M:%SZ}\n"
        (self._folder(month) / "delivery.yaml").write_text(note, encoding="utf-8")


@dataclass
class _FollowUp:
    """Reading rows that the next delivery brings: late ones, true values of what was wrong, repetitions."""

    tables: list[pa.Table] = field(default_factory=list)
    repeated_rows: int = 0


def _weather_frame(month: SimulatedMonth) -> pl.DataFrame:
    hours = MonthCalendar(month.calendar.first, 60)
    step = month.calendar.slots_per_day // 24
    return pl.DataFrame(
        {
            "district": np.repeat(DISTRICTS, hours.ticks_count).tolist(),
            "observed_at": pl.Series(np.tile(hours.read_at_us, len(DISTRICTS))).cast(pl.Datetime("us")),
            "temperature_c": month.temperature_c[:, :, ::step].reshape(-1).astype(np.float64).round(1),
        }
    )


def _readings_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, SCHEMA, compression="zstd", compression_level=1, store_decimal_as_integer=True,
        use_dictionary=["meter_id", "read_at", "kvarh", "export_kwh", "quality"],
    )  # fmt: skip
