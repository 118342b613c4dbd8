"""Write the simulated supplier's deliveries: one dated folder per month, as a real supplier would drop them.

A delivery appears in the inbox by one rename, so no half-written one is ever visible. The folder's name is the day of
delivery, the 2nd of the following month. ``simulated_supplier.json`` in the inbox remembers what was written and from
which configuration: a rerun skips it, a longer run continues it, a different one is refused.
"""

import datetime as dt
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml.errors import KilowiseError
from orchestration.ingestion.simulated_supplier import entities
from orchestration.ingestion.simulated_supplier.behaviour import (
    Bills,
    PaymentBehaviour,
    StressPaths,
    issue_bills,
    pay_bills,
    stress_paths,
)
from orchestration.ingestion.simulated_supplier.billing import (
    Enrolment,
    MeteredCube,
    enrolments,
    monthly_cents,
    moved_by_reform,
    supplier_catalogue,
)
from orchestration.ingestion.simulated_supplier.calendar import MonthCalendar
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.load import LoadModel, MonthWeather
from orchestration.ingestion.simulated_supplier.metering import (
    ALIVE,
    BlockReadings,
    MeterChange,
    Metering,
    MeteringMonth,
)
from orchestration.ingestion.simulated_supplier.population import (
    DISTRICTS,
    NEVER,
    Population,
    build_population,
    peak_estimate_kw,
)
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.readings import SCHEMA, BlockTables, MonthDirt, disturb
from orchestration.ingestion.simulated_supplier.scenarios import REFORM_VALLEY_SHIFT, recession_load_factor
from orchestration.ingestion.simulated_supplier.service import (
    autopay_months,
    contacts,
    inspections,
    programme_enrolments,
)
from orchestration.ingestion.simulated_supplier.weather import cloudiness, temperatures_c

GENERATOR_VERSION = 1
"""Raise it with every change that alters the bytes of a delivery, so that an old inbox is not continued."""

STATE_FILE = "simulated_supplier.json"
STAGING_FOLDER = ".simulating"
DELIVERY_DAY = 2
DELIVERED_AT_UTC = dt.time(14, 0)
ORDER_PERSISTENCE = 0.8
ORDER_INNOVATION = 0.035
WORKERS = 2

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
        simulation = _Simulation(config, inbox / STAGING_FOLDER, missing, say)
        for counts, fingerprint in simulation.run():
            final = inbox / counts.name
            os.rename(inbox / STAGING_FOLDER / counts.name, final)
            known[counts.name] = {"fingerprint": fingerprint, "counts": counts.__dict__}
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


def _read_state(inbox: Path) -> dict[str, dict]:
    path = inbox / STATE_FILE
    return json.loads(path.read_text(encoding="utf-8"))["deliveries"] if path.exists() else {}


def _write_state(inbox: Path, deliveries: dict[str, dict]) -> None:
    temporary = inbox / f"{STATE_FILE}.tmp"
    temporary.write_text(json.dumps({"deliveries": deliveries}, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, inbox / STATE_FILE)


def _missing_months(config: SupplierConfig, inbox: Path, known: dict[str, dict]) -> list[int]:
    missing = []
    for month in range(config.months):
        name = delivery_name(config, month)
        is_there = (inbox / name).exists()
        same = name in known and known[name]["fingerprint"] == _fingerprint(config, month)
        if is_there and not same:
            raise SimulatedSupplierError(
                f"{inbox.name}/{name}: this delivery was not written by the simulated supplier with the present settings; "
                "empty the inbox and the landing, or simulate into another folder"
            )
        if not is_there:
            missing.append(month)
    return missing


class _Simulation:
    """One run over all months; months that the inbox has already are simulated for what they lead to, not written."""

    def __init__(self, config: SupplierConfig, staging: Path, months_to_write: list[int], say: Progress) -> None:
        self.config = config
        self.staging = staging
        self.months_to_write = set(months_to_write)
        self.say = say
        self.population: Population = build_population(config)
        self.metering = Metering(config, self.population)
        self.stress: StressPaths = stress_paths(config, self.population, config.months + 1)
        self.enrolments: list[Enrolment] = enrolments(
            config, self.population, peak_estimate_kw(self.population.kind, self.population.annual_kwh)
        )
        self.model = LoadModel(config, self.population)
        size = self.population.size
        self.kwh = np.zeros((size, config.months, 3, 24), dtype=np.int64)
        self.peak_kw = np.zeros_like(self.kwh)
        self.kvarh = np.zeros((size, config.months), dtype=np.int64)
        self.supplied = np.zeros((size, config.months), dtype=bool)
        self.changes: dict[int, list[MeterChange]] = {}
        self.outage_rows: dict[int, np.ndarray] = {}
        self.dead_meter_rows: dict[int, np.ndarray] = {}
        self.orders = np.zeros(size)
        self.counts = {month: DeliveryCounts(delivery_name(config, month)) for month in range(config.months)}
        self.weather: dict[int, np.ndarray] = {}

    def run(self) -> Iterator[tuple[DeliveryCounts, str]]:
        """Simulate everything and yield each finished delivery, oldest first."""
        shutil.rmtree(self.staging, ignore_errors=True)
        for month in sorted(self.months_to_write):
            (self.staging / self.counts[month].name).mkdir(parents=True)
        self._simulate_readings()
        self._write_entities()
        for month in sorted(self.months_to_write):
            self._write_delivery_note(month)
            yield self.counts[month], _fingerprint(self.config, month)

    def _folder(self, month: int) -> Path:
        return self.staging / self.counts[month].name

    def _simulate_readings(self) -> None:
        config = self.config
        reform = config.scenario_start("tariff_reform")
        late_rows: list[pa.Table] = []
        repaired = MonthDirt()
        with ThreadPoolExecutor(WORKERS) as pool:
            for month_index in range(config.months):
                calendar = MonthCalendar(config.month_at(month_index), config.interval_minutes)
                if month_index == reform:
                    self.model.shift_to_valley(moved_by_reform(config, self.enrolments), REFORM_VALLEY_SHIFT)
                weather = MonthWeather(
                    temperatures_c(config, month_index, calendar), cloudiness(config, calendar)
                )
                self.weather[month_index] = weather.temperature_c
                level = self._levels(month_index)
                faults = self.metering.begin_month(month_index, calendar)
                self._note_events(month_index, faults)

                def read(
                    block: slice,
                    month_index: int = month_index,
                    calendar: MonthCalendar = calendar,
                    weather: MonthWeather = weather,
                    level: np.ndarray = level,
                    faults: MeteringMonth = faults,
                ) -> BlockReadings:
                    load = self.model.block_load(block, month_index, calendar, weather, level[block])
                    return self.metering.read_block(
                        load, block, month_index, calendar, faults,
                        lambda row: self.model.estimated_kw(block.start + row, float(level[block.start + row])),
                    )  # fmt: skip

                blocks = pool.map(read, self.population.blocks())
                late_rows, repaired = self._write_readings(month_index, calendar, blocks, late_rows, repaired)
                self.changes[month_index] = self.metering.end_month(month_index, calendar)
                if month_index % 6 == 5 or month_index == config.months - 1:
                    self.say(f"simulated {month_index + 1} of {config.months} months of readings")

    def _levels(self, month_index: int) -> np.ndarray:
        """Return the factor on each customer's own load: trend, orders, stress, recession."""
        population = self.population
        random = stream(self.config.seed, "orders", month_index)
        is_business = population.customer_class != "residential"
        innovation = ORDER_INNOVATION * random.standard_normal(population.size)
        self.orders = ORDER_PERSISTENCE * self.orders + innovation * is_business
        stress = np.clip(self.stress.values[:, month_index], 0, 4)
        exponent = population.trend_per_year * month_index / 12 + self.orders - population.stress_load_share * stress
        recession = recession_load_factor(self.config, month_index, population.customer_class)
        return (np.exp(exponent) * recession).astype(np.float32)

    def _note_events(self, month_index: int, faults: MeteringMonth) -> None:
        dark = [feeder for feeder, _, _ in faults.outages]
        self.outage_rows[month_index] = np.flatnonzero(np.isin(self.population.feeder, dark))
        self.dead_meter_rows[month_index] = np.flatnonzero(self.metering.dead_from < ALIVE)

    def _write_readings(
        self,
        month_index: int,
        calendar: MonthCalendar,
        blocks: Iterator[BlockReadings],
        late_rows: list[pa.Table],
        repaired: MonthDirt,
    ) -> tuple[list[pa.Table], MonthDirt]:
        """Write one month's readings and return what the next delivery has to bring."""
        is_written = month_index in self.months_to_write
        counts = self.counts[month_index]
        next_late: list[pa.Table] = []
        dirt = MonthDirt()
        extra = [*late_rows, *repaired.repaired]
        path = self._folder(month_index) / "meter_readings.parquet"
        writer = _readings_writer(path) if is_written else None
        try:
            for readings in blocks:
                block = readings.block
                self.kwh[block, month_index] = readings.cube
                self.peak_kw[block, month_index] = readings.peaks
                self.kvarh[block, month_index] = readings.kvarh
                self.supplied[block, month_index] = readings.supplied
                if self.config.dirty and block.start == 0:
                    dirt = disturb(self.config, self.metering, month_index, calendar, readings)
                tables = BlockTables(readings, self.metering, calendar)
                next_late.append(tables.late())
                if writer is not None:
                    delivered = tables.delivered()
                    writer.write_table(delivered)
                    counts.add("meter_readings", delivered.num_rows)
        finally:
            if writer is not None:
                writer.close()
        supplement = pa.concat_tables([table.unify_dictionaries() for table in (*extra, *dirt.rows)] or [SCHEMA.empty_table()])
        if is_written and supplement.num_rows:
            with _readings_writer(path.with_name("meter_readings_supplement.parquet")) as extra_writer:
                extra_writer.write_table(supplement.unify_dictionaries())
        counts.add("meter_readings", supplement.num_rows, dirt.quarantined, dirt.duplicates + repaired.repeated)
        return next_late, dirt

    def _write_entities(self) -> None:
        config, population = self.config, self.population
        self.say("pricing bills")
        cube = MeteredCube(self.kwh, self.peak_kw, self.kvarh, self.supplied)
        cents = monthly_cents(config, population, cube, self.enrolments)
        kwh = self.kwh.sum(axis=(2, 3))
        bills = issue_bills(config, population, kwh, cents, _supplied_days(config, population))
        programmes = programme_enrolments(config, population)
        behaviour: PaymentBehaviour = pay_bills(
            config, population, bills, self.stress, autopay_months(config, population, programmes)
        )
        self.say("writing customers, bills, payments and contacts")
        contact_rows = contacts(config, population, bills, behaviour, self.outage_rows, self.dead_meter_rows)
        inspection_rows = inspections(config, population, self.dead_meter_rows)
        frames = {
            "customers": entities.customers_frame(config, population),
            "meters": entities.meters_frame(config, self.metering, self.changes),
            "tariff_enrolments": entities.enrolments_frame(config, population, self.enrolments),
            "bills": entities.bills_frame(config, population, bills),
            "payments": entities.payments_frame(config, population, bills, behaviour.payments),
            "service_contacts": entities.contacts_frame(config, population, contact_rows),
            "programme_enrolments": entities.programmes_frame(config, population, programmes),
            "inspections": entities.inspections_frame(config, population, inspection_rows),
        }
        for name, frame in frames.items():
            parts = frame.partition_by(entities.DELIVERY, as_dict=True, include_key=False, maintain_order=True)
            for month in self.months_to_write:
                part = parts.get((month,))
                if part is not None:
                    self._write_csv(month, name, part)
        for month in self.months_to_write:
            self._write_csv(month, "weather", self._weather_frame(month))
        self._write_tariffs()
        if config.dirty:
            self._spoil_entities(bills)

    def _write_csv(self, month: int, name: str, frame: pl.DataFrame) -> None:
        frame.write_csv(self._folder(month) / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
        self.counts[month].add(name, frame.height)

    def _weather_frame(self, month: int) -> pl.DataFrame:
        calendar = MonthCalendar(self.config.month_at(month), 60)
        step = 60 // self.config.interval_minutes
        temperatures = self.weather[month][:, :, ::step].reshape(len(DISTRICTS), -1)
        return pl.DataFrame(
            {
                "district": np.repeat(DISTRICTS, calendar.ticks_count).tolist(),
                "observed_at": pl.Series(np.tile(calendar.read_at_us, len(DISTRICTS))).cast(pl.Datetime("us")),
                "temperature_c": temperatures.reshape(-1).astype(np.float64).round(1),
            }
        )

    def _write_tariffs(self) -> None:
        """Deliver the catalogue with the first delivery, and again when a reform changes it."""
        reform = self.config.scenario_start("tariff_reform")
        before = supplier_catalogue(self.config.as_of(0)) if self.config.months else None
        for month, catalogue in ((0, before), (reform, supplier_catalogue(self.config))):
            if catalogue is None or month is None or month not in self.months_to_write:
                continue
            tariffs = [json.loads(tariff.to_json()) for tariff in catalogue.tariffs]
            text = json.dumps({"tariffs": tariffs}, ensure_ascii=False, indent=1)
            (self._folder(month) / "tariffs.json").write_text(text, encoding="utf-8")
            self.counts[month].add("tariffs", len(tariffs))

    def _spoil_entities(self, bills: Bills) -> None:
        """Append rows to the CSV files that the landing contract must refuse, and repeat some others."""
        for month in sorted(self.months_to_write):
            following = self.config.month_at(month + 1)
            stamp = f"{self.config.month_at(month):%Y%m}"
            due = following + dt.timedelta(days=20)
            period = f"{self.config.month_at(month)},{following}"
            self._append(month, "bills", f"X{stamp}0000001,C9999999,{period},100.0000,54.69,{following},{due}")
            self._append(month, "bills", f"X{stamp}0000002,C0000001,{period},100.0000,n/a,{following},{due}")
            self._append(month, "payments", f"X{stamp}0000001,B00000000000000,{following},54.69,counter")
            self._append(month, "weather", f"{DISTRICTS[0]},{following}T00:00:00Z,99.9")
            self._append(month, "inspections", f"X{stamp}0000001,C0000001,{following},unclear")
            self._repeat_last_good_row(month, "payments")

    def _append(self, month: int, name: str, line: str) -> None:
        path = self._folder(month) / f"{name}.csv"
        if path.exists():
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(line + "\n")
            self.counts[month].add(name, 1, quarantined=1)

    def _repeat_last_good_row(self, month: int, name: str) -> None:
        path = self._folder(month) / f"{name}.csv"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if len(lines) > 2:
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(lines[1] + "\n")
            self.counts[month].add(name, 1, duplicates=1)

    def _write_delivery_note(self, month: int) -> None:
        delivered = dt.datetime.combine(
            self.config.month_at(month + 1).replace(day=DELIVERY_DAY), DELIVERED_AT_UTC, tzinfo=dt.UTC
        )
        note = f"supplier: simulated\ndelivered_at: {delivered:%Y-%m-%dT%H:%M:%SZ}\n"
        (self._folder(month) / "delivery.yaml").write_text(note, encoding="utf-8")


def _readings_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, SCHEMA, compression="zstd", compression_level=1, store_decimal_as_integer=True,
        use_dictionary=["meter_id", "read_at", "kvarh", "export_kwh", "quality"],
    )  # fmt: skip


def _supplied_days(config: SupplierConfig, population: Population) -> np.ndarray:
    """Return first day and day after the last day of supply by customer and month, as days since 1970."""
    starts = np.array([(config.month_at(month) - entities.EPOCH).days for month in range(config.months + 1)])
    first = np.maximum(population.registered_day[:, None], starts[None, :-1])
    closes_here = population.close_month[:, None] == np.arange(config.months)[None, :]
    last = starts[None, :-1] + population.close_day_of_month[:, None]
    end = np.where(closes_here & (population.close_month < NEVER)[:, None], last, starts[None, 1:])
    return np.stack([first, end], axis=2)
