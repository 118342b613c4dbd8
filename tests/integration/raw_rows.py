"""Landed rows of one customer as a request would send them: the latest versions that were known at an instant."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from serving.raw_schemas import RawCustomer, RawRow

_KEYS = {
    "customers": ("customer_key",),
    "meters": ("meter_id", "installed_date"),
    "meter_readings": ("meter_id", "read_at"),
    "bills": ("bill_id",),
    "payments": ("payment_id",),
    "service_contacts": ("contact_id",),
    "tariff_enrolments": ("valid_from",),
    "programme_enrolments": ("programme", "joined_date"),
    "inspections": ("inspection_id",),
}


def raw_request(
    landing_dir: Path, customer_key: str, as_of_month: date, known_before: datetime, entities: Sequence[str]
) -> dict[str, Any]:
    """Return the raw data of a customer as JSON values.

    Args:
        landing_dir: The landing.
        customer_key: The customer.
        as_of_month: Month that the features are wanted for.
        known_before: UTC instant, without zone, from which later rows are left out.
        entities: Entities that the supplier delivers; of them an empty list says that there were no rows.
    """
    rows = {entity: _latest(landing_dir, entity, customer_key, known_before) for entity in entities}
    customer = rows.pop("customers", [])
    return {
        "as_of_month": as_of_month.isoformat(),
        "customer": _sent(RawCustomer.model_fields["customer"].annotation, customer[0]) if customer else {},
        **{entity: [_sent(_row_model(entity), row) for row in found] for entity, found in rows.items()},
    }


def _latest(landing_dir: Path, entity: str, customer_key: str, known_before: datetime) -> list[dict[str, Any]]:
    pattern = landing_dir / "deliveries" / "*" / entity / ("*/*.parquet" if entity == "meter_readings" else "*.parquet")
    keys = ", ".join(_KEYS[entity])
    # Landed readings carry the multiplier of their meter already.
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        return (
            connection.sql(
                f"select * from read_parquet('{pattern}', union_by_name = true, hive_partitioning = false) "
                f"where customer_key = '{customer_key}' and known_at < timestamp '{known_before}' "
                f"qualify row_number() over (partition by {keys} order by known_at desc, revision desc) = 1 "
                f"order by {keys}"
            )
            .to_arrow_table()
            .to_pylist()
        )


def _row_model(entity: str) -> type[RawRow]:
    annotation: Any = RawCustomer.model_fields[entity].annotation
    (rows,) = [part for part in annotation.__args__ if part is not type(None)]
    model: type[RawRow] = rows.__args__[0]
    return model


def _sent(model: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _json(name, row[name])
        for name in model.model_fields
        if name not in ("customer_id", "multiplier") and row.get(name) is not None
    }


def _json(name: str, value: Any) -> Any:
    if name == "attributes":
        return json.loads(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value
