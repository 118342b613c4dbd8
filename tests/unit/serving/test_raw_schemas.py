"""Raw rows of a request follow the landing contract: the same names, codes and limits, and nothing personal."""

from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Le
from pydantic import ValidationError

from orchestration.ingestion.contract import ENTITIES, Column
from serving.raw_schemas import RawCustomer, RawRow

_KINDS = {"text": (str,), "number": (float,), "integer": (int,), "date": (date,), "timestamp": (datetime,)}
# Named once for all rows of a request.
_NOT_REPEATED = {"customer_id"}


def row_model(entity: str) -> type[RawRow]:
    if entity == "customers":
        model: Any = RawCustomer.model_fields["customer"].annotation
        return model
    rows: Any = RawCustomer.model_fields[entity].annotation
    return get_args(get_args(rows)[0])[0]


def without_none(annotation: Any) -> tuple[Any, list[Any]]:
    """Return the type of a field and the metadata that is inside of it."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = [part for part in get_args(annotation) if part is not NoneType]
    metadata = list(getattr(annotation, "__metadata__", ()))
    inner = [part for item in metadata for part in getattr(item, "metadata", [item])]
    return getattr(annotation, "__origin__", annotation) if metadata else annotation, inner


ENTITIES_IN_REQUESTS = [name for name in ENTITIES if name == "customers" or name in RawCustomer.model_fields]
COLUMNS = [
    (entity, column)
    for entity in ENTITIES_IN_REQUESTS
    for column in ENTITIES[entity].columns
    if column.name not in _NOT_REPEATED and not column.personal
]


def test_what_features_are_made_of_may_be_sent() -> None:
    left_out = set(ENTITIES) - set(ENTITIES_IN_REQUESTS)

    assert left_out == {"tariffs", "marketing_consents", "weather"}


@pytest.mark.parametrize("entity", ENTITIES_IN_REQUESTS)
def test_rows_have_the_columns_of_the_contract_without_personal_ones(entity: str) -> None:
    known = ENTITIES[entity]
    expected = {column.name for column in known.columns if not column.personal} - _NOT_REPEATED
    fields = set(row_model(entity).model_fields) - _NOT_REPEATED - ({"attributes"} if known.takes_attributes else set())

    assert fields == expected


@pytest.mark.parametrize(("entity", "column"), COLUMNS, ids=lambda value: getattr(value, "name", value))
def test_a_column_has_the_type_codes_and_limits_of_the_contract(entity: str, column: Column) -> None:
    field = row_model(entity).model_fields[column.name]
    annotation, inner = without_none(field.annotation)
    metadata = [*field.metadata, *inner]

    # Energy is judged with its meter's multiplier, so the schema is wider and serving.raw_landing decides.
    if (entity, column.name) != ("meter_readings", "kwh"):
        assert next((part.le for part in metadata if isinstance(part, Le)), None) == column.maximum
    assert next((part.ge for part in metadata if isinstance(part, Ge)), None) == column.minimum
    if column.allowed:
        assert get_origin(annotation) is Literal
        assert set(get_args(annotation)) == set(column.allowed)
    else:
        assert annotation in _KINDS[column.kind]
    assert field.is_required() == column.required


def test_what_names_a_person_is_refused() -> None:
    with pytest.raises(ValidationError, match="phone"):
        RawCustomer.model_validate({"customer": {"phone": "13800000000"}})


@pytest.mark.parametrize("entity", ENTITIES_IN_REQUESTS)
def test_days_are_in_the_order_that_the_contract_asks_for(entity: str) -> None:
    known = ENTITIES[entity]
    for pairs, gap in ((known.ordered, -1), (known.strictly_ordered, 0)):
        for first, second in pairs:
            is_time = known.column(first).kind == "timestamp"
            early, late = date(2026, 1, 2), date(2026, 1, 2 + gap)
            values: dict[str, Any] = {first: early, second: late}
            if is_time:
                values = {name: datetime.combine(day, datetime.min.time()) for name, day in values.items()}

            with pytest.raises(ValidationError) as refused:
                row_model(entity).model_validate({**_required(entity), **values})

            assert second in str(refused.value)


def _required(entity: str) -> dict[str, Any]:
    samples: dict[str, Any] = {
        "text": "a",
        "number": 1.0,
        "integer": 60,
        "date": date(2026, 1, 2),
        "timestamp": datetime(2026, 1, 2),
    }
    later = {"period_end": date(2026, 2, 1), "due_date": date(2026, 2, 1)}
    return {
        column.name: later.get(column.name, column.allowed[0] if column.allowed else samples[column.kind])
        for column in ENTITIES[entity].columns
        if column.required and column.name not in _NOT_REPEATED
    }
