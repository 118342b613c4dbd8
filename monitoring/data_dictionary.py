"""The data dictionary: every column of every mart, in words, from what dbt knows about itself.

It is read from the manifest of dbt's last run (descriptions, units, owners, tests, Chinese texts in ``meta``) and from
the column lineage beside it. Columns that models read have their Chinese text in ``ml``, where it is said once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.columns import Column
from ml.credit_risk import schema as credit_risk
from ml.segmentation import schema as segmentation
from ml.tariff_matching import schema as tariff_matching
from ml.wording import Bilingual

DICTIONARY_PAGE = "data_dictionary.html"
MANIFEST = Path("warehouse") / "dbt_target" / "manifest.json"
LINEAGE = Path("warehouse") / "column_lineage.json"

_MARTS_SCHEMA = "marts"
_VOCABULARY: Mapping[str, Column] = {
    column.name: column
    for schema in (credit_risk, tariff_matching, segmentation)
    for column in (*schema.PREDICTIONS, *schema.FEATURES)
}
# Columns that many marts share and no model reads.
_SHARED_ZH = {
    "customer_key": "由供电企业户号加密生成的客户代码，不含个人信息",
    "as_of_month": "本行数据所属月份，仅含该月末已知的信息",
    "as_of_at": "数据截至时刻（UTC）",
    "month": "所属月份的第一天",
    "district": "供电区域",
    "kwh": "电量",
    "peak_kw": "最大负荷",
    "tariff_id": "电价代码",
    "currency": "金额的币种代码",
}


@dataclass(frozen=True)
class Entry:
    """One column of a mart.

    Attributes:
        name: Name of the column.
        data_type: Type that the mart's contract enforces.
        meaning: What a value means; the Chinese text is empty where nobody wrote one.
        label_zh: Short Chinese name; empty when there is none.
        unit: Unit of the values; empty for ratios, counts and texts.
        section: Section of the portrait, which names its date, source and confidence columns; empty elsewhere.
        sources: Tables and columns that it is computed from.
        tests: What is tested of it.
        is_required: Whether the contract refuses a missing value.
    """

    name: str
    data_type: str
    meaning: Bilingual
    label_zh: str
    unit: str
    section: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    is_required: bool


@dataclass(frozen=True)
class Mart:
    """One mart.

    Attributes:
        name: Name of the table.
        meaning: What a row is.
        owner: Team that answers for it.
        entries: Its columns, in their order.
        tests: What is tested of the rows.
    """

    name: str
    meaning: Bilingual
    owner: str
    entries: tuple[Entry, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class DataDictionary:
    """All marts, the portrait first.

    Attributes:
        marts: The marts.
        described_at: When dbt read its project last.
    """

    marts: tuple[Mart, ...]
    described_at: str


def read_data_dictionary(home: Path) -> DataDictionary | None:
    """Return the dictionary of dbt's last run below a home folder, or ``None`` before the first."""
    path = home / MANIFEST
    if not path.exists():
        return None
    lineage = home / LINEAGE
    return data_dictionary(json.loads(path.read_bytes()), json.loads(lineage.read_bytes()) if lineage.exists() else {})


def data_dictionary(manifest: Mapping[str, Any], lineage: Mapping[str, Any]) -> DataDictionary:
    """Return the dictionary that dbt's metadata tell.

    Args:
        manifest: dbt's manifest.
        lineage: By model, the sources of each column, as ``orchestration.column_lineage`` keeps them.
    """
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    origins = _origins(manifest, lineage)
    marts = [
        _mart(unique_id, node, tests, origins.get(node["name"], {}))
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] == _MARTS_SCHEMA
    ]
    marts.sort(key=lambda mart: (not mart.name.startswith("customer_portrait"), mart.name))
    return DataDictionary(tuple(marts), str(manifest["metadata"]["generated_at"])[:10])


def _origins(manifest: Mapping[str, Any], lineage: Mapping[str, Any]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return by mart and column what it is computed from, behind other marts that it repeats."""
    by_mart: dict[str, dict[str, list[list[str]]]] = {
        manifest["nodes"][model]["name"]: entry["columns"]
        for model, entry in lineage.items()
        if model in manifest["nodes"] and manifest["nodes"][model]["schema"] == _MARTS_SCHEMA
    }

    def behind(mart: str, column: str) -> list[str]:
        found: list[str] = []
        for schema, table, name in by_mart.get(mart, {}).get(column, []):
            further = behind(table, name) if schema == _MARTS_SCHEMA else []
            found += further or [f"{table}.{name}"]
        return list(dict.fromkeys(found))

    return {mart: {column: behind(mart, column) for column in columns} for mart, columns in by_mart.items()}


def _mart(
    unique_id: str,
    node: Mapping[str, Any],
    tests: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Sequence[str]],
) -> Mart:
    own = [test for test in tests if test.get("attached_node") == unique_id]
    return Mart(
        name=node["name"],
        meaning=Bilingual(en=node["description"], zh=node["config"]["meta"].get("description_zh", "")),
        owner=str(node["config"]["meta"].get("owner", "")).removeprefix("team:"),
        entries=tuple(
            _entry(column, [test for test in own if test.get("column_name") == name], sources.get(name, ()))
            for name, column in node["columns"].items()
        ),
        tests=tuple(sorted(_test_text(test) for test in own if not test.get("column_name"))),
    )


def _entry(column: Mapping[str, Any], tests: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Entry:
    meta = {**column.get("meta", {}), **column.get("config", {}).get("meta", {})}
    known = _VOCABULARY.get(column["name"])
    meaning_zh = meta.get("description_zh") or (known.description_zh if known else _SHARED_ZH.get(column["name"], ""))
    return Entry(
        name=column["name"],
        data_type=column.get("data_type") or "",
        meaning=Bilingual(en=column["description"], zh=meaning_zh),
        label_zh=meta.get("label_zh", ""),
        unit=meta.get("unit", ""),
        section=meta.get("section", ""),
        sources=tuple(sources),
        tests=tuple(sorted(_test_text(test) for test in tests)),
        is_required=any(constraint["type"] == "not_null" for constraint in column.get("constraints", ())),
    )


def _test_text(test: Mapping[str, Any]) -> str:
    """Return what a test demands: its own words, or its name, which is written to be read."""
    described = test.get("description") or test.get("meta", {}).get("description")
    metadata = test.get("test_metadata") or {}
    arguments = metadata.get("kwargs", {})
    if described:
        return str(described)
    match metadata.get("name"):
        case "accepted_values":
            return " | ".join(map(str, arguments["values"]))
        case "accepted_range":
            bounds = (("≥", arguments.get("minimum")), ("≤", arguments.get("maximum")))
            return " ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
        case "unique_combination":
            return f"unique: {', '.join(arguments['columns'])}"
        case "holds":
            return str(arguments["condition"])
    return str(test["name"]).replace("_", " ")
