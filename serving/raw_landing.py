"""Judges the raw rows of one customer as the landing judges a supplier's files, and brings them into landing form.

What a row says by itself is judged by ``serving.raw_schemas``. Here is what needs other rows: names without a row of
that name, keys with two contents, and readings outside the life of their meter, off its intervals or beyond what it
can pass. The landing keeps such rows in quarantine and goes on; a request can be corrected at once, so
the first such row refuses the customer and says where it is. Exact duplicates are dropped by both.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel

from ml.errors import KilowiseError
from serving.raw_schemas import RawCustomer, RawMeter, RawReading

FIRST_KNOWN_AT = datetime(1900, 1, 1)
"""Rows of a request count from the day on which they happened: nobody says when a supplier would have known them."""

MOST_KWH_PER_INTERVAL = 1e5
RESIDENTIAL_MOST_KW = 100.0
CAPACITY_FACTOR = 10.0
HOUSEHOLD_DAILY_KWH = 1000.0
_UNIT_MINIMUM_HOURS = 24

_KEYS = {
    "meters": ("meter_id", "installed_date"),
    "bills": ("bill_id",),
    "payments": ("payment_id",),
    "service_contacts": ("contact_id",),
    "tariff_enrolments": ("valid_from",),
    "programme_enrolments": ("programme", "joined_date"),
    "inspections": ("inspection_id",),
}


class RefusedRowError(KilowiseError):
    """A raw row that the landing would not load.

    Attributes:
        field: Path of the row and column within the raw data, such as ``meter_readings[17].read_at``.
    """

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field} {what}")
        self.field = field


@dataclass(frozen=True, slots=True)
class LandedRows:
    """Rows of one customer in landing form.

    Attributes:
        tables: Rows by entity, each by column; readings carry the interval and the multiplier of their meter.
        has: Entities that the request speaks of, be it to say that there are no rows.
        latest_date: Latest local day on which something happened; None without any such row.
    """

    tables: Mapping[str, list[dict[str, Any]]]
    has: frozenset[str]
    latest_date: date | None


def landed_rows(raw: RawCustomer, *, time_zone: str, adds_up_parallel_meters: bool) -> LandedRows:
    """Return the rows of a request as the landing would have loaded them.

    Args:
        raw: The rows.
        time_zone: Zone of local days and of instants without offset.
        adds_up_parallel_meters: Whether the features are made by adding up meters that run side by side.

    Raises:
        RefusedRowError: A row would have gone to quarantine.
    """
    zone = ZoneInfo(time_zone)
    rows: dict[str, list[dict[str, Any]]] = {"customers": [_customer(raw)]}
    for entity, key in _KEYS.items():
        rows[entity] = _distinct(entity, getattr(raw, entity) or (), key)
    _check_payments(raw)
    _check_meters(raw.meters or (), adds_up_parallel_meters)
    rows["meter_readings"] = _readings(raw, zone)
    happened = [
        *(row["issued_date"] for row in rows["bills"]),
        *(row["paid_date"] for row in rows["payments"]),
        *(_local(row["opened_at"], zone).date() for row in rows["service_contacts"]),
    ]
    if rows["meter_readings"]:
        happened.append(_local(max(row["read_at"] for row in rows["meter_readings"]), zone).date())
    has = frozenset(entity for entity in (*_KEYS, "meter_readings") if getattr(raw, entity) is not None)
    return LandedRows(rows, has, max(happened, default=None))


def utc_of_local(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the UTC instant, without zone, of a local wall-clock time; of two, the first."""
    return (local - (local.replace(tzinfo=zone, fold=0).utcoffset() or timedelta(0))).replace(tzinfo=None)


def _customer(raw: RawCustomer) -> dict[str, Any]:
    row = raw.customer.model_dump(exclude={"customer_id"})
    attributes = row["attributes"]
    return {**row, "attributes": None if attributes is None else orjson.dumps(attributes).decode()}


def _distinct(entity: str, given: Sequence[BaseModel], key: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows without exact repetitions.

    Raises:
        RefusedRowError: Two rows of one key contradict each other.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for position, model in enumerate(given):
        row = model.model_dump()
        known = found.setdefault(tuple(row[name] for name in key), row)
        if known != row:
            raise RefusedRowError(
                f"{entity}[{position}].{key[0]}",
                f"has the same key ({', '.join(key)}) as an earlier row with other content; send the one that holds",
            )
    return list(found.values())


def _check_payments(raw: RawCustomer) -> None:
    bill_ids = {bill.bill_id for bill in raw.bills or ()}
    for position, payment in enumerate(raw.payments or ()):
        if payment.bill_id not in bill_ids:
            raise RefusedRowError(f"payments[{position}].bill_id", "names no row of bills; send that bill too")


def _check_meters(meters: Sequence[RawMeter], adds_up_parallel_meters: bool) -> None:
    if adds_up_parallel_meters:
        return
    for position, meter in enumerate(meters):
        for other in meters[:position]:
            if meter.meter_id != other.meter_id and _overlap(meter, other):
                raise RefusedRowError(
                    f"meters[{position}].installed_date",
                    "lies in the time of another meter; the features of this release know one meter at a time, "
                    "because no customer of the supplier has two: send the main meter alone",
                )


def _overlap(one: RawMeter, other: RawMeter) -> bool:
    return (one.installed_date or date.min) <= (other.removed_date or date.max) and (
        other.installed_date or date.min
    ) <= (one.removed_date or date.max)


@dataclass(frozen=True, slots=True)
class _Occupancy:
    """A meter while it stands at the customer, with what its readings must meet."""

    meter: RawMeter
    from_at: datetime
    to_at: datetime
    most_kwh: float


def _readings(raw: RawCustomer, zone: ZoneInfo) -> list[dict[str, Any]]:
    meters: dict[str, list[_Occupancy]] = defaultdict(list)
    for meter in raw.meters or ():
        meters[meter.meter_id].append(_occupancy(meter, raw, zone))
    offset = datetime(2024, 1, 1, tzinfo=zone).utcoffset() or timedelta(0)
    offset_minutes = int(offset.total_seconds()) // 60 % 60
    found: dict[tuple[str, datetime], dict[str, Any]] = {}
    for position, reading in enumerate(raw.meter_readings or ()):
        row = _reading(reading, _occupancy_at(meters, reading, position), position, offset_minutes)
        known = found.setdefault((reading.meter_id, reading.read_at), row)
        if known != row:
            raise RefusedRowError(
                f"meter_readings[{position}].read_at",
                "has a second reading of the same meter with different content; send the one that holds",
            )
    rows = list(found.values())
    _check_unit(rows, raw)
    return rows


def _occupancy(meter: RawMeter, raw: RawCustomer, zone: ZoneInfo) -> _Occupancy:
    hours = meter.interval_minutes / 60
    limits = [MOST_KWH_PER_INTERVAL]
    if raw.customer.customer_class == "residential":
        limits.append(RESIDENTIAL_MOST_KW * hours)
    if raw.customer.contract_capacity_kva:
        limits.append(CAPACITY_FACTOR * raw.customer.contract_capacity_kva * hours)
    return _Occupancy(
        meter,
        _midnight(meter.installed_date, zone) if meter.installed_date else datetime.min,
        _midnight(meter.removed_date + timedelta(days=1), zone) if meter.removed_date else datetime.max,
        min(limits),
    )


def _occupancy_at(meters: Mapping[str, list[_Occupancy]], reading: RawReading, position: int) -> _Occupancy:
    if reading.meter_id not in meters:
        raise RefusedRowError(f"meter_readings[{position}].meter_id", "names no row of meters; send it too")
    for occupancy in meters[reading.meter_id]:
        if occupancy.from_at <= reading.read_at < occupancy.to_at:
            return occupancy
    raise RefusedRowError(
        f"meter_readings[{position}].read_at",
        "is before the meter was installed or after it was removed; correct it, or the dates of the meter",
    )


def _reading(reading: RawReading, occupancy: _Occupancy, position: int, offset_minutes: int) -> dict[str, Any]:
    read_at = reading.read_at
    interval_minutes = occupancy.meter.interval_minutes
    minute = read_at.hour * 60 + read_at.minute
    if read_at.second or read_at.microsecond or (minute + offset_minutes) % min(interval_minutes, 60):
        raise RefusedRowError(
            f"meter_readings[{position}].read_at",
            "is not the start of an interval of this meter; correct it, or the meter's interval_minutes",
        )
    quality = reading.quality or "actual"
    if reading.kwh is None and quality != "missing":
        raise RefusedRowError(f"meter_readings[{position}].kwh", "is missing; fill it in, or set quality to missing")
    multiplier = occupancy.meter.multiplier or 1.0
    limits = {"kwh": occupancy.most_kwh, "kvarh": MOST_KWH_PER_INTERVAL, "export_kwh": MOST_KWH_PER_INTERVAL}
    for column, limit in limits.items():
        value = getattr(reading, column)
        if value is not None and abs(value) * multiplier > limit:
            raise RefusedRowError(
                f"meter_readings[{position}].{column}",
                "is more than the meter can pass in one interval; correct it, its unit or the meter's multiplier",
            )
    return {
        "meter_id": reading.meter_id,
        "read_at": read_at,
        "interval_minutes": interval_minutes,
        "multiplier": multiplier,
        "kwh": reading.kwh,
        "kvarh": reading.kvarh,
        "export_kwh": reading.export_kwh,
        "quality": quality,
    }


def _check_unit(rows: Iterable[Mapping[str, Any]], raw: RawCustomer) -> None:
    """Refuse energy that is about a thousand times too high for the customer: Wh under the name of kWh."""
    capacity = raw.customer.contract_capacity_kva or 0.0
    is_household = raw.customer.customer_class == "residential"
    if not is_household and not capacity:
        return
    daily = [row["kwh"] * row["multiplier"] * 1440 / row["interval_minutes"] for row in rows if row["kwh"] is not None]
    hours = sum(row["interval_minutes"] for row in rows if row["kwh"] is not None) / 60
    if hours < _UNIT_MINIMUM_HOURS:
        return
    mean_daily_kwh, median_daily_kwh = sum(daily) / len(daily), median(daily)
    is_above_household = is_household and min(mean_daily_kwh, median_daily_kwh) > HOUSEHOLD_DAILY_KWH
    is_above_capacity = mean_daily_kwh / 24 > 5 * capacity > 0 and median_daily_kwh > 24 * capacity
    if is_above_household or is_above_capacity:
        raise RefusedRowError(
            "meter_readings", "is about a thousand times what this meter can use: Wh instead of kWh? Send kWh"
        )


def _local(utc: datetime, zone: ZoneInfo) -> datetime:
    return utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return utc_of_local(datetime.combine(day, time()), zone)
