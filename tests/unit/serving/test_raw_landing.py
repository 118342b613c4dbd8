"""Raw rows of a request are judged as the landing judges a supplier's file: both see the same rows."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from serving.raw_landing import RefusedRowError, landed_rows
from serving.raw_schemas import RawCustomer
from tests.unit.orchestration.ingestion.supplier import Supplier

ZONE = "Europe/Berlin"
METER = {"meter_id": "M1", "interval_minutes": 60, "installed_date": "2025-01-01", "removed_date": "2025-12-31"}
BILL = {
    "bill_id": "B1",
    "period_start": "2025-03-01",
    "period_end": "2025-04-01",
    "kwh": 100.5,
    "amount": 55.1,
    "issued_date": "2025-04-03",
    "due_date": "2025-04-20",
}
PAYMENT = {"payment_id": "P1", "bill_id": "B1", "paid_date": "2025-04-10", "amount": 55.1, "channel": "app"}

Rows = Sequence[Mapping[str, Any]]


def reading(read_at: str, kwh: float | None = 0.5, **more: Any) -> dict[str, Any]:
    return {"meter_id": "M1", "read_at": read_at, "kwh": kwh, **more}


def day_of(kwh: float) -> list[dict[str, Any]]:
    return [reading(f"2025-05-0{day}T{hour:02d}:00", kwh) for day in (1, 2) for hour in range(24)]


def raw_of(entities: Mapping[str, Rows], customer: Mapping[str, Any]) -> RawCustomer:
    return RawCustomer.model_validate_json(json.dumps({"customer": customer, **entities}))


def as_csv(rows: Rows, customer_id: str | None) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    writer = csv.DictWriter(text, ["customer_id", *names] if customer_id else names)
    writer.writeheader()
    writer.writerows({**({"customer_id": customer_id} if customer_id else {}), **row} for row in rows)
    return text.getvalue()


def landed(tmp_path: Path, entities: Mapping[str, Rows], customer: Mapping[str, Any]) -> Supplier:
    """Land the same rows as files."""
    supplier = Supplier(tmp_path)
    without_customer = ("payments", "meter_readings")
    files = {
        f"{entity}.csv": as_csv(rows, None if entity in without_customer else "C1") for entity, rows in entities.items()
    }
    supplier.deliver("2025-06", {"customers.csv": as_csv([customer], "C1"), **files})
    supplier.land(ZONE)
    return supplier


HOUSEHOLD = {"customer_class": "residential"}
FACTORY = {"customer_class": "industrial", "contract_capacity_kva": 50}
REFUSED: dict[str, tuple[dict[str, Rows], dict[str, Any], str, str]] = {
    "a reading off the meter's intervals": (
        {"meters": [METER], "meter_readings": [reading("2025-03-01T00:00"), reading("2025-03-01T00:30")]}, HOUSEHOLD,
        "impossible_value", "meter_readings[1].read_at",
    ),
    "a reading before the meter was installed": (
        {"meters": [METER], "meter_readings": [reading("2024-12-31T22:00")]}, HOUSEHOLD,
        "outside_meter_life", "meter_readings[0].read_at",
    ),
    "a reading after the meter was removed": (
        {"meters": [METER], "meter_readings": [reading("2025-12-31T23:00")]}, HOUSEHOLD,
        "outside_meter_life", "meter_readings[0].read_at",
    ),
    "a reading of an unknown meter": (
        {"meters": [METER], "meter_readings": [{**reading("2025-03-01T00:00"), "meter_id": "M2"}]}, HOUSEHOLD,
        "orphan", "meter_readings[0].meter_id",
    ),
    "a reading without energy": (
        {"meters": [METER], "meter_readings": [reading("2025-03-01T00:00"), reading("2025-03-01T01:00", None)]},
        HOUSEHOLD, "missing_value", "meter_readings[1].kwh",
    ),
    "more than a household can draw": (
        {"meters": [METER], "meter_readings": [reading("2025-03-01T00:00", 100.5)]}, HOUSEHOLD,
        "impossible_value", "meter_readings[0].kwh",
    ),
    "more than ten times the contracted capacity": (
        {"meters": [{**METER, "multiplier": 10}], "meter_readings": [reading("2025-03-01T00:00", 50.5)]}, FACTORY,
        "impossible_value", "meter_readings[0].kwh",
    ),
    "Wh under the name of kWh": (
        {"meters": [METER], "meter_readings": day_of(60.0)}, HOUSEHOLD, "wrong_unit", "meter_readings",
    ),
    "two readings of one hour that differ": (
        {"meters": [METER], "meter_readings": [reading("2025-03-01T00:00", 1.0), reading("2025-03-01T00:00", 2.0)]},
        HOUSEHOLD, "duplicate_key", "meter_readings[1].read_at",
    ),
    "a payment towards an unknown bill": (
        {"bills": [BILL], "payments": [{**PAYMENT, "bill_id": "B9"}]}, HOUSEHOLD, "orphan", "payments[0].bill_id",
    ),
    "two bills of one id that differ": (
        {"bills": [BILL, {**BILL, "amount": 66.0}]}, HOUSEHOLD, "duplicate_key", "bills[1].bill_id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_landing_refuses_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    entities, customer, reason, field = REFUSED[case]

    assert {row[0] for row in landed(tmp_path, entities, customer).quarantine("reason")} == {reason}
    with pytest.raises(RefusedRowError) as refused:
        landed_rows(raw_of(entities, customer), time_zone=ZONE, adds_up_parallel_meters=True)
    assert refused.value.field == field
    assert str(refused.value).startswith(field)


ACCEPTED: dict[str, tuple[dict[str, Rows], dict[str, Any]]] = {
    "hours around the clock changes, in UTC": (
        {
            "meters": [METER],
            "meter_readings": [
                reading(f"{day}T0{hour}:00", hour + 1.0) for day in ("2025-03-30", "2025-10-26") for hour in range(3)
            ],
        },
        HOUSEHOLD,
    ),
    "times with an offset": (
        {"meters": [METER], "meter_readings": [reading("2025-10-26T02:00+01:00", 1.0), reading("2025-03-01T00:00Z")]},
        HOUSEHOLD,
    ),
    "repeated rows": (
        {
            "meters": [METER, METER],
            "meter_readings": [reading("2025-03-01T00:00")] * 2,
            "bills": [BILL, BILL],
            "payments": [PAYMENT, PAYMENT],
        },
        HOUSEHOLD,
    ),
    "readings that are missing or estimated": (
        {
            "meters": [METER],
            "meter_readings": [
                reading("2025-03-01T00:00", None, quality="missing"),
                reading("2025-03-01T01:00", 0.25, quality="estimated"),
            ],
        },
        HOUSEHOLD,
    ),
    "a busy day that is no wrong unit": ({"meters": [METER], "meter_readings": day_of(20.0)}, HOUSEHOLD),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_the_landing_loads_is_taken_as_it_loads_it(tmp_path: Path, case: str) -> None:
    entities, customer = ACCEPTED[case]
    supplier = landed(tmp_path, entities, customer)

    rows = landed_rows(raw_of(entities, customer), time_zone=ZONE, adds_up_parallel_meters=True)

    assert supplier.quarantine() == []
    taken = [(row["read_at"], row["kwh"], row["quality"]) for row in rows.tables["meter_readings"]]
    loaded = supplier.rows("meter_readings", "read_at, cast(kwh as double), quality", "meter_id is not null")
    assert sorted(taken) == loaded
    assert [row["bill_id"] for row in rows.tables["bills"]] == [
        bill_id for (bill_id,) in supplier.rows("bills", "bill_id", "bill_id is not null")
    ]


def test_a_list_that_is_left_out_is_not_known_and_an_empty_one_says_none() -> None:
    rows = landed_rows(RawCustomer(bills=[], payments=[]), time_zone=ZONE, adds_up_parallel_meters=True)

    assert rows.has == {"bills", "payments"}
    assert rows.latest_date is None


def test_meters_side_by_side_are_refused_where_no_rule_adds_them_up() -> None:
    raw = raw_of({"meters": [METER, {**METER, "meter_id": "M2", "installed_date": "2025-12-31"}]}, HOUSEHOLD)

    with pytest.raises(RefusedRowError, match="send the main meter alone") as refused:
        landed_rows(raw, time_zone=ZONE, adds_up_parallel_meters=False)

    assert refused.value.field == "meters[1].installed_date"
    assert landed_rows(raw, time_zone=ZONE, adds_up_parallel_meters=True).has == {"meters"}


def test_the_latest_day_is_local() -> None:
    raw = raw_of({"meters": [METER], "meter_readings": [reading("2025-05-31T22:00Z")]}, HOUSEHOLD)

    assert landed_rows(raw, time_zone=ZONE, adds_up_parallel_meters=True).latest_date == date(2025, 6, 1)
