"""Publishes the portraits of all customers for the API, whenever their mart has changed. No Dagster in here."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings

MART = "customer_portrait"


def publish_portraits(marts: MartsVersion, settings: PlatformSettings) -> bool:
    """Let the API answer from these portraits and return whether they are new.

    Args:
        marts: Marts of the second stage.
        settings: Settings of the platform.
    """
    from serving.portrait_schema import mart_columns
    from serving.portrait_store import current_version, publish_portraits

    version = marts.fingerprint(MART)[:16]
    if current_version(settings.home) == version:
        return False
    columns = mart_columns()
    publish_portraits(settings.home, version, columns, _rows(marts, columns))
    return True


def _rows(marts: MartsVersion, columns: tuple[str, ...]) -> Iterator[tuple[str, list[Any]]]:
    table = marts.read_table(MART, columns=["customer_key", *columns])
    for batch in table.to_batches(max_chunksize=1_000):
        keys, *values = (column.to_pylist() for column in batch.columns)
        for key, *row in zip(keys, *values, strict=True):
            yield key, [_plain(value) for value in row]


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; not a number means not known."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return None if isinstance(value, float) and value != value else value
