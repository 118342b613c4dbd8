"""Tariffs as documents: YAML that loads as the same tariff, and the JSON Schema by which editors and others check it.

The schema's words are those of the docstrings in ``ml.tariffs.schema``; nothing is described twice.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import yaml
from pydantic import BaseModel

from ml.tariffs import calendar, schema
from ml.tariffs.schema import Tariff

_DRAFT = "http://json-schema.org/draft-07/schema#"  # the newest that the usual YAML editors know in full
_LINE_LENGTH = 120
_LONGEST_LIST = 80
_ATTRIBUTE = re.compile(r"^    (\w+): ", re.MULTILINE)
_RARE_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")
_ABSENT = {"type": "null"}
_TEXT = {"type": "string"}
_NUMBER_PATTERN = r"^-?\d+(\.\d+)?$"

_EXAMPLES: dict[str, dict[str, Any]] = {
    "Tariff": {
        "tariff_id": "sd_res_tier",
        "version": "2026",
        "name": "Residential blocks",
        "name_zh": "居民阶梯电价",
        "valid_from": "2026-01-01",
        "currency": "CNY",
        "jurisdiction": "CN-SD",
        "source": ["鲁发改价格〔2026〕556号"],
        "unverified": ["The limits of the blocks."],
    },
    "Schedule": {
        "months": [6, 7, 8],
        "day_types": ["workday"],
        "periods": {"peak": ["08:00-12:00", "17:00-21:00"], "valley": ["23:00-07:00"]},
        "otherwise": "flat",
    },
    "Tiers": {"basis": "year", "limits_kwh": [2520, 4800]},
    "PeriodPrices": {"prices": {"all": [0.5469, 0.5969, 0.8469]}, "months": [4, 5, 6, 7, 8, 9, 10]},
    "BandEnergyComponent": {"factors": {"peak": 1.7, "flat": 1, "valley": 0.3}},
    "EnergySeriesComponent": {"series": "day_ahead", "multiplier": 2.2, "adder": 0.12, "cap": 0.78},
    "DemandPrice": {"price": 38.4},
    "UnitPrice": {"price": 24},
    "PercentTable": {"percent": 5},
    "Bounds": {"ge": 315},
}
"""What fields may look like, by model."""


def tariff_to_yaml(tariff: Tariff) -> str:
    """Return a tariff as YAML; ``load_tariff`` reads the same tariff back, to the last decimal.

    Fields that hold their default are left out. Numbers stand without quotes wherever a reader that takes them for
    binary floats still finds the same decimal.
    """
    document = tariff.model_dump(exclude_defaults=True)
    document["components"] = [_short_form(component) for component in document["components"]]
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=_LINE_LENGTH
    )


def _short_form(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component that begins with its kind, and names a price that holds for all tiers once."""
    tables = [dict(table) for table in component.get("tables", ())]
    for table in tables:
        if isinstance(table.get("prices"), Mapping):
            table["prices"] = {
                period: found[0] if len(found) == 1 else found for period, found in table["prices"].items()
            }
    return {"kind": component["kind"], **component} | ({"tables": tables} if tables else {})


class _Dumper(yaml.SafeDumper):
    """Writes decimals as numbers, tuples as lists, and nothing twice by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the name is the library's
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        """Write short lists in one line, and sentences one below the other."""
        node = super().represent_sequence(tag, sequence, flow_style)
        if sum(len(str(item.value)) for item in node.value) > _LONGEST_LIST:
            node.flow_style = False
        return node


def _represent_decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    text = format(value, "f")
    if Decimal(repr(float(value))) != value:
        return dumper.represent_str(text)
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Unquoted or in single quotes, the rarer line breaks would be folded and read back as spaces.
    style = '"' if _RARE_LINE_BREAKS.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _represent_instant(dumper: yaml.SafeDumper, value: datetime) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", value.isoformat())


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(datetime, _represent_instant)
_Dumper.add_representer(Decimal, _represent_decimal)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


def tariff_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a tariff document: one tariff, or a mapping with a list ``tariffs``.

    It holds the shape: fields, types, allowed values, bounds. Rules between fields, such as rising limits or a clock
    without gaps, are checked by ``load_tariff`` only.
    """
    found = Tariff.model_json_schema()
    definitions = found.pop("$defs")
    definitions["Tariff"] = found
    for name, definition in definitions.items():
        _describe(definition, _model(name))
    _only_numbers_as_text(definitions)
    _accept_short_forms(definitions)
    one, several = {"$ref": "#/$defs/Tariff"}, {"type": "array", "items": {"$ref": "#/$defs/Tariff"}}
    return {
        "$schema": _DRAFT,
        "title": "Electricity tariff",
        "description": "One tariff, or several under `tariffs`.",
        "if": {"type": "object", "required": ["tariffs"]},
        "then": {"properties": {"tariffs": several}},
        "else": one,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def tariff_json_schema_text() -> str:
    """Return the JSON Schema as the text of a file."""
    return json.dumps(tariff_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _model(name: str) -> type[BaseModel]:
    module = schema if hasattr(schema, name) else calendar
    model = getattr(module, name)
    if not issubclass(model, BaseModel):
        raise TypeError(f"{name} is no model of a tariff")
    return model


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Replace the raw docstring by its text, and give every field its own words and examples."""
    definition["description"] = _in_one_line(inspect.getdoc(model) or "")
    words = dict(_attribute_words(model))
    examples = _EXAMPLES.get(model.__name__, {})
    for name, field in definition["properties"].items():
        field.pop("title", None)
        if field.get("default", ...) is None or isinstance(field.get("default"), dict):
            del field["default"]
        choices = [choice for choice in field.get("anyOf", ()) if choice != _ABSENT]
        if "anyOf" in field and len(choices) == 1:
            del field["anyOf"]
            field |= choices[0]
        if name in words:
            # Draft 7 knows no other word beside a reference.
            if "$ref" in field:
                field["allOf"] = [{"$ref": field.pop("$ref")}]
            field["description"] = words[name]
        if name in examples:
            field["examples"] = [examples[name]]


def _attribute_words(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield field and meaning from the ``Attributes`` of the docstrings of a model and, before it, of its bases."""
    for owner in reversed(model.__mro__):
        text = inspect.cleandoc(owner.__doc__ or "")
        _, _, attributes = text.partition("Attributes:\n")
        parts = _ATTRIBUTE.split(attributes)
        yield from ((name, _in_one_line(words)) for name, words in zip(parts[1::2], parts[2::2], strict=True))


def _in_one_line(text: str) -> str:
    """Return a docstring's text before its sections, as one line of Markdown."""
    return re.sub(r"\s+", " ", text.partition("Attributes:\n")[0]).strip().replace("``", "`")


def _only_numbers_as_text(node: Any) -> None:
    """Where a decimal may stand in quotes, allow only what reads as a number."""
    if isinstance(node, dict):
        choices = node.get("anyOf", ())
        if any(choice.get("type") == "number" for choice in choices) and _TEXT in choices:
            choices[choices.index(_TEXT)] = {"type": "string", "pattern": _NUMBER_PATTERN}
        for child in node.values():
            _only_numbers_as_text(child)
    elif isinstance(node, list):
        for child in node:
            _only_numbers_as_text(child)


def _accept_short_forms(definitions: dict[str, dict[str, Any]]) -> None:
    """Allow what ``load_tariff`` takes beside the model's own types: one price for a list, numbers for texts."""
    prices = definitions["PeriodPrices"]["properties"]["prices"]
    listed = prices["additionalProperties"]
    prices["additionalProperties"] = {"anyOf": [*listed["items"]["anyOf"], listed]}
    values = definitions["SeriesValues"]["properties"]["values"]
    values["items"] = {"type": ["string", "number"]}
