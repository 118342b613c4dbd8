"""Mapping files: how a supplier's files of any shape become the entities of the landing contract.

A mapping is YAML: per entity a file glob and one SQL expression (DuckDB) per column of the contract, with options for
reshaping, filtering, units and time. Everything that a person may write in such a file is declared and validated
here, and each error names the path inside the YAML. Nothing here opens a supplier's file.
"""

import difflib
import hashlib
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from orchestration.ingestion.contract import ENTITIES
from orchestration.ingestion.errors import MappingError

BUILT_IN_MAPPING = Path(__file__).parent / "mappings" / "landing_contract.yaml"
"""Mapping of files that are already named and shaped as in the contract."""

UNIT_FACTORS = MappingProxyType(
    {
        "kWh": {"Wh": 0.001, "kWh": 1.0, "MWh": 1000.0},
        "kvarh": {"varh": 0.001, "kvarh": 1.0, "Mvarh": 1000.0},
        "kW": {"W": 0.001, "kW": 1.0, "MW": 1000.0},
        "kVA": {"VA": 0.001, "kVA": 1.0, "MVA": 1000.0},
    }
)
"""Factor from the unit in the file to the unit of the contract."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvOptions(_Strict):
    """How to read a CSV file; what is left out is detected from the file."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Separator of the columns; detected among comma, semicolon, tab and bar when absent"
    )
    encoding: str | None = Field(
        default=None, description="Python name of the encoding; UTF-8, UTF-16 with mark and GB18030 are detected"
    )
    header: bool = Field(default=True, description="Whether the first row names the columns")
    column_names: tuple[str, ...] = Field(default=(), description="Names of the columns of a file without header")
    quote: Annotated[str, Field(min_length=1, max_length=1)] = Field(default='"', description="Quoting character")
    decimal: Literal[".", ","] = Field(default=".", description="Decimal mark of numbers")
    null_values: tuple[str, ...] = Field(default=("",), description="Texts that stand for a missing value")

    @model_validator(mode="after")
    def _names_need_no_header(self) -> "CsvOptions":
        if not self.header and not self.column_names:
            raise ValueError("a file without header needs column_names")
        if self.header and self.column_names:
            raise ValueError("column_names are for files without header; set header: false")
        return self


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class EntitySource(_Strict):
    """One kind of file that an entity is read from."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    file: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)] = Field(
        description="Globs of the files, relative to the delivery"
    )
    format: Literal["csv", "parquet", "yaml", "json"] | None = Field(
        default=None, description="Format of the files; taken from the ending when absent"
    )
    csv: CsvOptions = Field(default=CsvOptions(), description="Options for CSV files")
    lookups: dict[str, str] = Field(
        default_factory=dict, description="Further files of the delivery by the name they have in `from`"
    )
    from_: str | None = Field(
        default=None, alias="from", description="SELECT that reshapes the file, which it finds under the name source"
    )
    where: str | None = Field(default=None, description="Condition that rows must meet to belong to the entity")
    columns: dict[str, str] | None = Field(
        default=None, description="SQL expression per column of the contract; same names when absent"
    )
    attributes: dict[str, str] | Literal["extra"] | None = Field(
        default=None, description="Customers only: expressions of free attributes, or extra = all further columns"
    )
    personal: dict[str, str] = Field(
        default_factory=dict, description="Customers only: further personal columns, kept in the identities alone"
    )
    units: dict[str, str] = Field(default_factory=dict, description="Unit of a column where it is not the contract's")
    known_at: str | None = Field(
        default=None, description="SQL expression of the instant from which a row was known; else the delivery's"
    )
    register_kind: Literal["interval", "cumulative"] = Field(
        default="interval", alias="register", description="Readings only: kwh is the interval's energy or a register"
    )
    multiplier_applied: bool = Field(
        default=False, description="Readings only: kwh already contains the meter's multiplier"
    )


class SourceMapping(_Strict):
    """A whole mapping file."""

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(description="Short name of the supplier")
    description: str = Field(default="", description="What the files are and where they come from")
    time_zone: str | None = Field(
        default=None, description="Zone of timestamps without offset; the platform's time zone when absent"
    )
    deliveries: str = Field(
        default="*", description="Glob of folders below the inbox that are one delivery each; '.' = the whole inbox"
    )
    entities: dict[str, Annotated[tuple[EntitySource, ...], BeforeValidator(_one_or_many)]] = Field(
        description="Sources per entity of the contract"
    )

    @model_validator(mode="after")
    def _follows_the_contract(self) -> "SourceMapping":
        problems = [*self._time_zone_problems()]
        for entity_name, sources in self.entities.items():
            if entity_name not in ENTITIES:
                problems.append(f"entities.{entity_name}: no such entity{_suggestion(entity_name, list(ENTITIES))}")
                continue
            for position, source in enumerate(sources):
                path = f"entities.{entity_name}[{position}]"
                problems.extend(f"{path}.{problem}" for problem in _source_problems(entity_name, source))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _time_zone_problems(self) -> list[str]:
        if self.time_zone is None:
            return []
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return [f"time_zone: {self.time_zone!r} is no IANA time zone such as Asia/Shanghai or UTC"]
        return []

    def fingerprint(self, entity_name: str, source: EntitySource) -> str:
        """Return a hash of everything that decides how a source's rows are read."""
        document = {"time_zone": self.time_zone, "entity": entity_name, "source": source.model_dump(mode="json")}
        return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load_mapping(path: Path | None = None) -> SourceMapping:
    """Read and validate a mapping file.

    Args:
        path: The YAML file; the built-in mapping of contract-shaped files when absent.

    Raises:
        MappingError: With one line per problem, each naming the path inside the YAML.
    """
    path = path or BUILT_IN_MAPPING
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MappingError(f"mapping file {path} does not exist; give the path of a YAML mapping") from error
    except UnicodeDecodeError as error:
        raise MappingError(f"{path.name} is not UTF-8 text; save the mapping as UTF-8") from error
    except yaml.YAMLError as error:
        raise MappingError(f"{path.name} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise MappingError(f"{path.name} holds no mapping; it must start with source: and entities:")
    try:
        return SourceMapping.model_validate(document)
    except ValidationError as error:
        raise MappingError(_mapping_message(path.name, error)) from error


def _mapping_message(name: str, error: ValidationError) -> str:
    lines: list[str] = []
    for detail in error.errors():
        message = detail["msg"].removeprefix("Value error, ")
        path = ""
        for part in detail["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        if detail["type"] == "extra_forbidden":
            message = f"unknown key{_suggestion(str(detail['loc'][-1]), _known_keys(detail['loc']))}"
        lines.extend(f"{path}: {line}" if path else line for line in message.splitlines())
    return "\n".join(f"{name}: {line}" for line in lines)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = SourceMapping
    if len(location) >= 2 and location[-2] == "csv":
        model = CsvOptions
    elif location[0] == "entities":
        model = EntitySource
    return [field.alias or name for name, field in model.model_fields.items()]


def _suggestion(found: str, known: list[str]) -> str:
    close = difflib.get_close_matches(found, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _source_problems(entity_name: str, source: EntitySource) -> list[str]:
    entity = ENTITIES[entity_name]
    known = list(entity.column_names)
    problems: list[str] = []
    for section, names in (("columns", source.columns or {}), ("units", source.units)):
        problems.extend(
            f"{section}.{name}: {entity_name} has no such column{_suggestion(name, known)}"
            for name in names
            if name not in known
        )
    if source.columns is not None:
        problems.extend(
            f"columns: {column.name} is required for {entity_name} ({column.description}) and not mapped"
            for column in entity.columns
            if column.required and column.name not in source.columns
        )
    for name, unit in source.units.items():
        if name in known:
            factors = UNIT_FACTORS.get(entity.column(name).unit)
            if factors is None:
                problems.append(f"units.{name}: this column has no unit to convert")
            elif unit not in factors:
                problems.append(f"units.{name}: {unit!r} is not one of {', '.join(factors)}")
    if not entity.takes_attributes:
        if source.attributes is not None:
            problems.append("attributes: only customers take free attributes")
        if source.personal:
            problems.append("personal: only customers take further personal columns")
    if entity_name != "meter_readings":
        if source.register_kind != "interval":
            problems.append("register: only meter_readings are read from registers")
        if source.multiplier_applied:
            problems.append("multiplier_applied: only meter_readings have a multiplier")
    if source.lookups and source.from_ is None:
        problems.append("lookups: further files are of use only together with `from`")
    problems.extend(
        f"lookups.{name}: this name is taken by the file itself" for name in source.lookups if name == "source"
    )
    return problems
