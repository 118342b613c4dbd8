"""What a customer's portrait says: its sections and columns, read from ``portrait.yaml``, and the answer made of them.

The YAML is taken from the descriptions of the mart ``customer_portrait``; a test compares the two, and renews the YAML
when ``KILOWISE_UPDATE_SNAPSHOTS`` is set. Nothing here knows where portraits are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, create_model

from ml.columns import USE_CASES, Column, by_name
from ml.credit_risk import schema as credit_risk_schema
from ml.segmentation import schema as segmentation_schema

PORTRAIT_FILE = Path(__file__).with_name("portrait.yaml")

CONFIDENCES = ("none", "low", "medium", "high")

_SCOPE_BY_SECTION = {
    "segmentation": "segmentation",
    "value": "segmentation",
    "life_cycle": "segmentation",
    "leaving": "segmentation",
    "advice": "tariff_matching",
    "payment": "credit_risk",
    "rating": "credit_risk",
}
"""Sections that not every key may read, with the scope that may; the others need any of the use cases' scopes."""

_TYPES: dict[str, Any] = {"text": str, "number": float, "integer": int, "boolean": bool, "date": date}
_REASONS: Mapping[str, Mapping[str, Column]] = {
    "rating": by_name(credit_risk_schema.FEATURES),
    "leaving": by_name(segmentation_schema.FEATURES),
}
"""Columns that a section's reason codes name."""


@dataclass(frozen=True, slots=True)
class PortraitColumn:
    """One fact of a portrait.

    Attributes:
        name: Column of the mart.
        type: ``text``, ``number``, ``integer``, ``boolean`` or ``date``.
        unit: Unit of the value; empty for ratios, counts and texts.
        description: What it means.
        description_zh: The same in Chinese.
    """

    name: str
    type: str
    unit: str
    description: str
    description_zh: str


@dataclass(frozen=True, slots=True)
class PortraitSection:
    """Facts that have one date, one source and one confidence.

    Attributes:
        name: Name of the section; the mart's columns ``<name>_as_of_date``, ``_source`` and ``_confidence`` go with it.
        title: What it is about, in words.
        title_zh: The same in Chinese.
        columns: Its facts.
    """

    name: str
    title: str
    title_zh: str
    columns: tuple[PortraitColumn, ...]

    @property
    def scope(self) -> str | None:
        """Scope that a key needs to see the section; None when any of the use cases' scopes will do."""
        return _SCOPE_BY_SECTION.get(self.name)

    @property
    def mart_columns(self) -> tuple[str, ...]:
        """Columns of the mart that the section shows."""
        about = (f"{self.name}_as_of_date", f"{self.name}_source", f"{self.name}_confidence")
        return (*about, *(column.name for column in self.columns))


@lru_cache(maxsize=1)
def portrait_sections() -> tuple[PortraitSection, ...]:
    """Return the sections of a portrait in their order."""
    document = yaml.safe_load(PORTRAIT_FILE.read_text(encoding="utf-8"))
    return tuple(
        PortraitSection(
            section["name"],
            section["title"],
            section["title_zh"],
            tuple(PortraitColumn(**column) for column in section["columns"]),
        )
        for section in document["sections"]
    )


def mart_columns() -> tuple[str, ...]:
    """Return every column of the mart that a portrait is made of, beside the customer's key."""
    return ("as_of_month", "currency", *(name for section in portrait_sections() for name in section.mart_columns))


def portrait_parts(row: Mapping[str, Any], scopes: frozenset[str]) -> dict[str, Any]:
    """Return what a caller may see of a portrait.

    Args:
        row: Value by column of the mart.
        scopes: Scopes of the caller's key.
    """
    shown: dict[str, Any] = {}
    withheld = []
    for section in portrait_sections():
        if section.scope is not None and section.scope not in scopes:
            withheld.append({"section": section.name, "scope": section.scope})
            continue
        shown[section.name] = {
            "title": section.title,
            "title_zh": section.title_zh,
            "as_of_date": row[f"{section.name}_as_of_date"],
            "source": row[f"{section.name}_source"],
            "confidence": row[f"{section.name}_confidence"],
            **{
                name: value
                for column in section.columns
                for name, value in _told(section.name, column.name, row[column.name])
            },
        }
    return {
        "as_of_month": row["as_of_month"],
        "currency": row["currency"],
        "sections": shown,
        "withheld": withheld,
    }


def may_read_portraits(scopes: frozenset[str]) -> bool:
    """Return whether a key with these scopes may read portraits at all."""
    return any(use_case in scopes for use_case in USE_CASES)


def _told(section_name: str, name: str, value: Any) -> list[tuple[str, Any]]:
    if not name.endswith("_code"):
        return [(name, value)]
    reason = _REASONS[section_name].get(value or "")
    words = (None, None) if reason is None else (reason.description, reason.description_zh)
    return [(name, value), *zip(_texts_of(name), words, strict=True)]


def _texts_of(code_name: str) -> tuple[str, str]:
    stem = code_name.removesuffix("_code")
    return f"{stem}_text", f"{stem}_text_zh"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WithheldSection(_Part):
    """A section that the key may not read."""

    section: str = Field(description="Name of the section")
    scope: str = Field(description="Scope that the key lacks")


def _section_model(section: PortraitSection) -> type[BaseModel]:
    fields: dict[str, Any] = {
        "title": (str, Field(description="What the section is about")),
        "title_zh": (str, Field(description="The same in Chinese / 中文标题")),
        "as_of_date": (date | None, Field(description="Day up to which the facts reach; null where there are none")),
        "source": (str | None, Field(description="Records, or release of the model, that they come from")),
        "confidence": (Literal[CONFIDENCES], Field(description="How far they can be relied upon; none: not known")),
    }
    for column in section.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        description = f"{column.description}{unit} / {column.description_zh}"
        fields[column.name] = (_TYPES[column.type] | None, Field(description=description))
        if column.name.endswith("_code"):
            text, text_zh = _texts_of(column.name)
            fields[text] = (str | None, Field(description="The code in words"))
            fields[text_zh] = (str | None, Field(description="The code in words, in Chinese / 中文说明"))
    name = "Portrait" + "".join(word.capitalize() for word in section.name.split("_"))
    return create_model(name, __base__=_Part, __doc__=f"{section.title} / {section.title_zh}.", **fields)


def _portrait_model() -> type[BaseModel]:
    sections: dict[str, Any] = {
        section.name: (
            _section_model(section) if section.scope is None else _section_model(section) | None,
            Field(description=section.title)
            if section.scope is None
            else Field(default=None, description=f"{section.title}; absent for keys without the scope {section.scope}"),
        )
        for section in portrait_sections()
    }
    return create_model(
        "CustomerPortrait",
        __base__=_Part,
        __doc__="What is known of one customer, as of now; without personal data.",
        request_id=(str, Field(description="Names this answer in messages")),
        customer_id=(str, Field(description="As asked for")),
        portrait_version=(str, Field(description="Version of the portraits; changes when any of them does")),
        as_of_month=(date | None, Field(description="Latest month that is over; null before there is one")),
        currency=(str, Field(description="ISO 4217 code of all amounts")),
        sections=(
            create_model("PortraitSections", __base__=_Part, __doc__="Facts by subject.", **sections),
            Field(description="Facts by subject, each with its date, source and confidence"),
        ),
        withheld=(list[WithheldSection], Field(description="Sections that the key may not read, and what it lacks")),
    )


CustomerPortrait = _portrait_model()
