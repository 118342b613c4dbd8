"""Meter readings as Arrow tables: the clean rows of a block, rows that come late, and the dirt among them."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from orchestration.ingestion.simulated_supplier.calendar import MICROSECONDS_PER_MINUTE, MonthCalendar
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.metering import (
    ABSENT,
    ACTUAL,
    KWH_SCALE,
    LATE,
    MISSING,
    BlockReadings,
    Metering,
)
from orchestration.ingestion.simulated_supplier.randomness import stream

ENERGY_TYPE = pa.decimal64(14, 4)
QUALITIES = pa.array(["actual", "estimated", "missing"])
SCHEMA = pa.schema(
    [
        ("meter_id", pa.dictionary(pa.int32(), pa.string())),
        ("read_at", pa.timestamp("us")),
        ("kwh", ENERGY_TYPE),
        ("kvarh", ENERGY_TYPE),
        ("export_kwh", ENERGY_TYPE),
        ("quality", pa.dictionary(pa.int8(), pa.string())),
    ]
)

NEGATIVE_ROWS = 3
ABSURD_ROWS = 3
CONFLICTING_ROWS = 2
ORPHAN_ROWS = 5
OFF_GRID_ROWS = 3
BEFORE_INSTALLATION_ROWS = 2
CORRECTED_ROWS = 10
DUPLICATE_ROWS = 10
REPEATED_ROWS = 10
ABSURD_KWH = 250_000
QUARANTINED_PER_MONTH = (
    NEGATIVE_ROWS + ABSURD_ROWS + 2 * CONFLICTING_ROWS + ORPHAN_ROWS + OFF_GRID_ROWS + BEFORE_INSTALLATION_ROWS
)


def _energy(values: np.ndarray, is_null: np.ndarray | None = None) -> pa.Array:
    validity = None if is_null is None else pa.py_buffer(np.packbits(~is_null, bitorder="little"))
    return pa.Array.from_buffers(ENERGY_TYPE, values.size, [validity, pa.py_buffer(np.ascontiguousarray(values))])


def _table(
    meter_ids: list[str],
    meter_codes: np.ndarray,
    read_at_us: np.ndarray,
    kwh: np.ndarray,
    quality: np.ndarray,
    kvarh: pa.Array | None = None,
    export: pa.Array | None = None,
) -> pa.Table:
    is_missing = quality == MISSING
    empty = pa.nulls(kwh.size, ENERGY_TYPE)
    return pa.table(
        [
            pa.DictionaryArray.from_arrays(pa.array(meter_codes.astype(np.int32)), pa.array(meter_ids, pa.string())),
            pa.array(read_at_us, pa.timestamp("us")),
            _energy(kwh, is_missing if is_missing.any() else None),
            empty if kvarh is None else kvarh,
            empty if export is None else export,
            pa.DictionaryArray.from_arrays(pa.array(quality.astype(np.int8)), QUALITIES),
        ],
        schema=SCHEMA,
    )


def joined(tables: list[pa.Table]) -> pa.Table:
    """Return all rows as one table that names no meter but theirs."""
    table = pa.concat_tables([SCHEMA.empty_table(), *tables]).unify_dictionaries()
    meter_ids = table.column("meter_id").cast(pa.string()).combine_chunks().dictionary_encode()
    return table.set_column(0, SCHEMA.field("meter_id"), meter_ids)


class BlockTables:
    """Tables of arbitrary cells (row of the block, tick) of one block's readings."""

    def __init__(self, readings: BlockReadings, metering: Metering, calendar: MonthCalendar) -> None:
        """Name the meters of the block: for each customer the one at the start of the month and its successor."""
        self.readings = readings
        self.calendar = calendar
        first = readings.block.start
        self._meter_ids = [
            metering.meter_id(first + row, int(metering.suffix[first + row]) + successor)
            for row in range(len(readings.raw))
            for successor in (0, 1)
        ]

    def delivered(self) -> pa.Table:
        """Return the rows that arrive with the month, ordered by meter and time."""
        return self.cells(np.flatnonzero(self.readings.fate.reshape(-1) <= MISSING))

    def late(self) -> pa.Table:
        """Return the rows that arrive a month later."""
        return self.cells(np.flatnonzero(self.readings.fate.reshape(-1) == LATE))

    def cells(self, cells: np.ndarray, shift_minutes: int = 0) -> pa.Table:
        """Return the rows of some cells, given as positions in the flattened block."""
        readings = self.readings
        ticks = self.calendar.ticks_count
        row, tick = np.divmod(cells, ticks)
        fate = readings.fate.reshape(-1)[cells]
        quality = np.where(fate <= MISSING, fate, ACTUAL)
        return _table(
            self._meter_ids,
            2 * row + readings.meter_index.reshape(-1)[cells],
            self.calendar.read_at_us[tick] + shift_minutes * MICROSECONDS_PER_MINUTE,
            readings.raw.reshape(-1)[cells],
            quality,
            self._sparse(readings.raw_kvarh, readings.reactive_rows, row, tick, quality),
            self._sparse(readings.raw_export, readings.solar_rows, row, tick, quality),
        )

    def _sparse(
        self, values: np.ndarray, rows: np.ndarray, row: np.ndarray, tick: np.ndarray, quality: np.ndarray
    ) -> pa.Array | None:
        """Return a column that only some customers of the block have."""
        if rows.size == 0:
            return None
        position = np.full(len(self.readings.raw), -1)
        position[rows] = np.arange(rows.size)
        compact = position[row]
        present = (compact >= 0) & (quality != MISSING)
        column = np.zeros(row.size, dtype=np.int64)
        column[present] = values[compact[present], tick[present]]
        return _energy(column, ~present)


@dataclass
class MonthDirt:
    """Rows that disturb one month's delivery, and what the next delivery sets right.

    Attributes:
        rows: Rows added to this month's delivery.
        repaired: Rows that the next delivery brings: true values of what was refused or wrong, and repetitions.
        quarantined: Rows of this delivery that the contract refuses.
        duplicates: Rows of this delivery that repeat another row exactly.
        repeated: Rows of the next delivery that repeat a row of this one exactly.
    """

    rows: list[pa.Table] = field(default_factory=list)
    repaired: list[pa.Table] = field(default_factory=list)
    quarantined: int = 0
    duplicates: int = 0
    repeated: int = 0


def disturb(
    config: SupplierConfig, metering: Metering, month_index: int, calendar: MonthCalendar, readings: BlockReadings
) -> MonthDirt:
    """Spoil some cells of a block and return the rows that go with them; changes ``readings`` in place.

    Negative and absurd values replace the true one, which the next delivery brings. Conflicting rows stand beside the
    true one, so that both are refused. Corrected cells are first delivered at half their value.
    """
    dirt = MonthDirt()
    random = stream(config.seed, "dirt", month_index)
    tables = BlockTables(readings, metering, calendar)
    flat_raw, flat_fate = readings.raw.reshape(-1), readings.fate.reshape(-1)
    usable = np.flatnonzero((flat_fate == ACTUAL) & (flat_raw > 100))
    sizes = (
        NEGATIVE_ROWS, ABSURD_ROWS, CONFLICTING_ROWS, CORRECTED_ROWS, DUPLICATE_ROWS, REPEATED_ROWS, OFF_GRID_ROWS
    )  # fmt: skip
    picked = random.choice(usable, size=sum(sizes), replace=False)
    parts = np.split(picked, np.cumsum(sizes)[:-1])
    negative, absurd, conflicting, corrected, duplicated, repeated, off_grid = (np.sort(part) for part in parts)

    dirt.repaired.append(tables.cells(np.sort(np.concatenate([negative, absurd, conflicting, corrected]))))
    dirt.rows.append(_with_kwh(tables.cells(negative), -flat_raw[negative]))
    dirt.rows.append(_with_kwh(tables.cells(absurd), np.full(ABSURD_ROWS, ABSURD_KWH * KWH_SCALE)))
    dirt.rows.append(_with_kwh(tables.cells(conflicting), flat_raw[conflicting] + 5_000))
    dirt.rows.append(tables.cells(duplicated))
    dirt.rows.append(tables.cells(off_grid, shift_minutes=7))
    dirt.rows.append(_orphans(random, calendar))
    dirt.rows.append(_before_installation(metering, readings))
    dirt.repaired.append(tables.cells(repeated))
    flat_fate[np.concatenate([negative, absurd])] = ABSENT
    flat_raw[corrected] //= 2
    dirt.quarantined = QUARANTINED_PER_MONTH
    dirt.duplicates = DUPLICATE_ROWS
    dirt.repeated = REPEATED_ROWS
    return dirt


def _with_kwh(table: pa.Table, kwh: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index("kwh"), SCHEMA.field("kwh"), _energy(kwh.astype(np.int64)))


def _orphans(random: np.random.Generator, calendar: MonthCalendar) -> pa.Table:
    ticks = np.sort(random.choice(calendar.ticks_count, ORPHAN_ROWS, replace=False))
    kwh = random.integers(1_000, 20_000, ORPHAN_ROWS)
    return _table(
        ["M999999901"], np.zeros(ORPHAN_ROWS), calendar.read_at_us[ticks], kwh, np.zeros(ORPHAN_ROWS, dtype=np.int8)
    )


def _before_installation(metering: Metering, readings: BlockReadings) -> pa.Table:
    """Return readings of the oldest connected customers' meters from a year before they were installed."""
    first = readings.block.start
    registered = metering.population.registered_day[readings.block]
    in_supply = np.flatnonzero(readings.supplied)
    rows = np.sort(in_supply[np.argsort(registered[in_supply], kind="stable")[:BEFORE_INSTALLATION_ROWS]])
    meter_ids = [metering.meter_id(first + int(row), int(metering.suffix[first + row])) for row in rows]
    start_of_day_us = (registered[rows] - 365) * 1440 * MICROSECONDS_PER_MINUTE
    return _table(
        meter_ids, np.arange(rows.size), start_of_day_us, np.full(rows.size, 4_321), np.zeros(rows.size, dtype=np.int8)
    )
