"""The landing contract as data: every entity, column, type, key and limit that a supplier's files must reach.

This module is the one source of truth. The mapping checks its YAML against it, the landing casts and judges rows by
it, the simulated supplier and the dbt sources are tested against it. Add a column here and nowhere else; keep file
formats, SQL and anything that touches a disk out of this module, except the zero-row files that carry the types.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ml.columns import CUSTOMER_CLASSES, MARKETING_CHANNELS, SUPPLY_ROUTES, VOLTAGE_LEVELS

CONTRACT_DELIVERY_ID = "0000-contract"
"""The bootstrap delivery with one zero-row file per entity, so that no glob over the landing is ever empty."""

CONTRACT_READ_MONTH = "1970-01-01"
"""Partition under which the zero-row readings file of the bootstrap delivery lies."""

INTERVAL_MINUTES = (15, 30, 60, 120, 180, 240, 360, 480, 720, 1440)
"""Reading intervals that fill a day and start on ticks of the 15-minute calendar."""

MAX_KWH_PER_INTERVAL = 1e5
"""No meter of a retail customer passes more in one interval, whatever its length (400 MW for 15 minutes)."""

Kind = Literal["text", "number", "integer", "date", "timestamp"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the contract as a supplier delivers it.

    Attributes:
        name: Name of the column in files that follow the contract.
        duckdb_type: Type in the landing file; ``customer_id`` never lands and becomes ``customer_key``.
        description: What a value means, with unit and boundary rules.
        required: Whether a row without a value is quarantined.
        personal: Whether the values go to the restricted identities instead of the landing table.
        allowed: Accepted codes; empty means any value of the type.
        minimum: Smallest accepted value, inclusive.
        maximum: Largest accepted value, inclusive.
        unit: Unit that ``units:`` of a mapping may convert from, such as ``kWh``; empty when there is none.
        expected: Whether a file without the column is refused although single values may be missing.
    """

    name: str
    duckdb_type: str
    description: str
    required: bool = False
    personal: bool = False
    allowed: tuple[str | int, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    expected: bool = False

    @property
    def kind(self) -> Kind:
        """How a text value is read: the rules of casting depend on the kind only."""
        if self.duckdb_type.startswith(("DECIMAL", "DOUBLE")):
            return "number"
        if self.duckdb_type in ("INTEGER", "SMALLINT"):
            return "integer"
        if self.duckdb_type == "DATE":
            return "date"
        return "timestamp" if self.duckdb_type == "TIMESTAMP" else "text"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column whose value must name a row of another entity; a row that does not is an orphan."""

    column: str
    entity: str


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of the contract.

    Attributes:
        name: Name of the entity, its folder in the landing and its section in a mapping.
        description: Grain of the entity.
        key: Columns that identify a row, as the supplier names them.
        parts: Columns that tell apart the rows of one key within a delivery, where a key may have several.
        columns: Columns that the supplier delivers.
        references: Columns that must name a row of another entity.
        ordered: Pairs of columns of which the first may not be later than the second.
        strictly_ordered: Pairs of columns of which the first must be earlier than the second.
        takes_attributes: Whether extra columns of the source are kept as JSON in ``attributes``.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    parts: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    ordered: tuple[tuple[str, str], ...] = ()
    strictly_ordered: tuple[tuple[str, str], ...] = ()
    takes_attributes: bool = False

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns that a supplier may deliver."""
        return tuple(column.name for column in self.columns)

    @property
    def personal_columns(self) -> tuple[str, ...]:
        """Names of the columns that go to the identities only."""
        return tuple(column.name for column in self.columns if column.personal)

    @property
    def landing_key(self) -> tuple[str, ...]:
        """The key as it stands in the landing file, where ``customer_key`` replaces ``customer_id``."""
        return tuple("customer_key" if name == "customer_id" else name for name in self.key)


CUSTOMER_KEY_COLUMN = Column("customer_key", "VARCHAR", "HMAC-SHA256 of the customer_id, first 32 hex digits")

PROVENANCE_COLUMNS = (
    Column("delivery_id", "VARCHAR", "Delivery that brought the row"),
    Column("known_at", "TIMESTAMP", "UTC instant from which the row counts as known"),
    Column("source_file", "VARCHAR", "File of the delivery that held the row"),
    Column("revision", "INTEGER", "0 for the first version of a key, n for its n-th correction"),
)

_CUSTOMER_ID = Column("customer_id", "VARCHAR", "The supplier's id of the customer", required=True)
_CUSTOMER = Reference("customer_id", "customers")

_ENTITIES = (
    Entity(
        name="customers",
        description="One row per customer.",
        key=("customer_id",),
        columns=(
            _CUSTOMER_ID,
            Column("customer_class", "VARCHAR", "Class of use", allowed=CUSTOMER_CLASSES),
            Column("name", "VARCHAR", "Name of the customer", personal=True),
            Column("id_number", "VARCHAR", "Identity card or registration number", personal=True),
            Column("phone", "VARCHAR", "Telephone number", personal=True),
            Column("address", "VARCHAR", "Postal address", personal=True),
            Column("district", "VARCHAR", "District of the supply area; joins the weather"),
            Column("transformer_id", "VARCHAR", "Distribution transformer"),
            Column("feeder_id", "VARCHAR", "Medium-voltage feeder"),
            Column("voltage_level", "VARCHAR", "Voltage at the point of supply", allowed=VOLTAGE_LEVELS),
            Column("contract_capacity_kva", "DOUBLE", "Contracted capacity in kVA", minimum=0, maximum=1e7, unit="kVA"),
            Column("industry_code", "VARCHAR", "Industry classification code"),
            Column("supply_route", "VARCHAR", "Who sells the energy", allowed=SUPPLY_ROUTES),
            Column(
                "credit_limit_amount",
                "DECIMAL(18,2)",
                "Most that the customer may owe: a credit limit, or a security that covers debt",
                minimum=0,
                maximum=1e12,
            ),
            Column("registered_date", "DATE", "First local day as a customer"),
            Column("closed_date", "DATE", "Last local day as a customer"),
        ),
        ordered=(("registered_date", "closed_date"),),
        takes_attributes=True,
    ),
    Entity(
        name="meters",
        description="One row per meter and occupancy; a meter that passes on to another customer has one row each.",
        key=("meter_id",),
        parts=("customer_id", "installed_date"),
        columns=(
            Column("meter_id", "VARCHAR", "The supplier's id of the meter", required=True),
            _CUSTOMER_ID,
            Column(
                "interval_minutes", "INTEGER", "Length of a reading interval", required=True, allowed=INTERVAL_MINUTES
            ),
            Column(
                "multiplier", "DOUBLE", "Factor on what is read (CT/VT ratio); 1 when absent", minimum=1e-6, maximum=1e5
            ),
            Column("installed_date", "DATE", "First local day of the meter at this customer"),
            Column("removed_date", "DATE", "Last local day of the meter at this customer"),
        ),
        references=(_CUSTOMER,),
        ordered=(("installed_date", "removed_date"),),
    ),
    Entity(
        name="tariffs",
        description="One row per tariff and version.",
        key=("tariff_id", "version"),
        columns=(
            Column("tariff_id", "VARCHAR", "Id of the tariff", required=True),
            Column("version", "VARCHAR", "Version of its prices", required=True),
            Column("valid_from", "DATE", "First local day of the version"),
            Column("valid_to", "DATE", "Last local day of the version"),
            Column("tariff_json", "VARCHAR", "The whole tariff as JSON", required=True),
        ),
        ordered=(("valid_from", "valid_to"),),
    ),
    Entity(
        name="tariff_enrolments",
        description="One row per customer and first day on a tariff.",
        key=("customer_id", "valid_from"),
        columns=(
            _CUSTOMER_ID,
            Column("valid_from", "DATE", "First local day on the tariff", required=True),
            Column("tariff_id", "VARCHAR", "Tariff of the catalogue or of the entity tariffs", required=True),
            Column("valid_to", "DATE", "Last local day on the tariff; empty while it lasts"),
            Column("billing_basis", "VARCHAR", "Chosen basis of the demand charge, where the tariff offers a choice"),
            Column("contracted_kw", "DOUBLE", "Contracted demand in kW", minimum=0, maximum=1e7, unit="kW"),
        ),
        references=(_CUSTOMER,),
        ordered=(("valid_from", "valid_to"),),
    ),
    Entity(
        name="bills",
        description="One row per bill.",
        key=("bill_id",),
        columns=(
            Column("bill_id", "VARCHAR", "The supplier's id of the bill", required=True),
            _CUSTOMER_ID,
            Column("period_start", "DATE", "First local day that is billed", required=True),
            Column("period_end", "DATE", "First local day that is no longer billed", required=True),
            Column(
                "kwh",
                "DECIMAL(18,4)",
                "Billed energy; negative on a credit note",
                minimum=-1e9,
                maximum=1e9,
                unit="kWh",
            ),
            Column("amount", "DECIMAL(18,2)", "Amount due", required=True, minimum=-1e12, maximum=1e12),
            Column("issued_date", "DATE", "Local day on which the bill was issued", required=True),
            Column("due_date", "DATE", "Last local day on which payment is in time", required=True),
        ),
        references=(_CUSTOMER,),
        ordered=(("issued_date", "due_date"),),
        strictly_ordered=(("period_start", "period_end"),),
    ),
    Entity(
        name="payments",
        description="One row per payment towards a bill.",
        key=("payment_id",),
        columns=(
            Column("payment_id", "VARCHAR", "The supplier's id of the payment", required=True),
            Column("bill_id", "VARCHAR", "Bill that is paid", required=True),
            Column("paid_date", "DATE", "Local day on which the money arrived", required=True),
            Column(
                "amount",
                "DECIMAL(18,2)",
                "Amount paid; negative when paid back",
                required=True,
                minimum=-1e12,
                maximum=1e12,
            ),
            Column("channel", "VARCHAR", "Way of paying; carried_over: no money came, a later bill contains it"),
        ),
        references=(Reference("bill_id", "bills"),),
    ),
    Entity(
        name="service_contacts",
        description="One row per contact of a customer with the service desk.",
        key=("contact_id",),
        columns=(
            Column("contact_id", "VARCHAR", "The supplier's id of the contact", required=True),
            _CUSTOMER_ID,
            Column("opened_at", "TIMESTAMP", "Instant at which the contact was opened", required=True),
            Column(
                "first_response_at",
                "TIMESTAMP",
                "Instant of the first answer by a person or a system that deals with the matter; empty while there is "
                "none, and where nobody records it",
            ),
            Column("closed_at", "TIMESTAMP", "Instant at which it was closed; empty while it is open"),
            Column("channel", "VARCHAR", "Way of contact"),
            Column("topic", "VARCHAR", "What it was about, as a category"),
            Column("text", "VARCHAR", "Free text", personal=True),
            Column("satisfaction", "SMALLINT", "Satisfaction from 1 (worst) to 5", allowed=(1, 2, 3, 4, 5)),
        ),
        references=(_CUSTOMER,),
        ordered=(("opened_at", "first_response_at"), ("first_response_at", "closed_at"), ("opened_at", "closed_at")),
    ),
    Entity(
        name="programme_enrolments",
        description="One row per customer, programme and day of joining.",
        key=("customer_id", "programme", "joined_date"),
        columns=(
            _CUSTOMER_ID,
            Column("programme", "VARCHAR", "Value-added service, demand response, app", required=True),
            Column("joined_date", "DATE", "First local day in the programme", required=True),
            Column("left_date", "DATE", "Last local day in the programme"),
        ),
        references=(_CUSTOMER,),
        ordered=(("joined_date", "left_date"),),
    ),
    Entity(
        name="marketing_consents",
        description="One row per customer, channel and day on which the customer agreed to offers on that channel.",
        key=("customer_id", "channel", "given_date"),
        columns=(
            _CUSTOMER_ID,
            Column(
                "channel",
                "VARCHAR",
                "Way of contact that the consent covers",
                required=True,
                allowed=MARKETING_CHANNELS,
            ),
            Column("given_date", "DATE", "Local day on which it was given", required=True),
            Column("withdrawn_date", "DATE", "Local day on which it was withdrawn; from that day on it does not hold"),
        ),
        references=(_CUSTOMER,),
        ordered=(("given_date", "withdrawn_date"),),
    ),
    Entity(
        name="inspections",
        description="One row per inspection of a customer's installation.",
        key=("inspection_id",),
        columns=(
            Column("inspection_id", "VARCHAR", "The supplier's id of the inspection", required=True),
            _CUSTOMER_ID,
            Column("inspected_date", "DATE", "Local day of the inspection", required=True),
            Column(
                "outcome",
                "VARCHAR",
                "What was found",
                required=True,
                allowed=("normal", "theft", "tampering", "meter_fault"),
            ),
        ),
        references=(_CUSTOMER,),
    ),
    Entity(
        name="weather",
        description="One row per district and instant of observation.",
        key=("district", "observed_at"),
        columns=(
            Column("district", "VARCHAR", "District of the supply area", required=True),
            Column("observed_at", "TIMESTAMP", "Instant of the observation", required=True),
            Column(
                "temperature_c", "DOUBLE", "Air temperature in degrees Celsius", required=True, minimum=-70, maximum=60
            ),
        ),
    ),
    Entity(
        name="meter_readings",
        description="One row per meter and interval.",
        key=("meter_id", "read_at"),
        columns=(
            Column("meter_id", "VARCHAR", "Meter that was read", required=True),
            Column("read_at", "TIMESTAMP", "Start of the interval", required=True),
            Column(
                "kwh",
                "DECIMAL(14,4)",
                "Energy of the interval, in the file before the meter's multiplier and here with it; empty only when "
                "quality is missing",
                minimum=0,
                maximum=MAX_KWH_PER_INTERVAL,
                unit="kWh",
                expected=True,
            ),
            Column(
                "kvarh",
                "DECIMAL(14,4)",
                "Reactive energy of the interval",
                minimum=-MAX_KWH_PER_INTERVAL,
                maximum=MAX_KWH_PER_INTERVAL,
                unit="kvarh",
            ),
            Column(
                "export_kwh",
                "DECIMAL(14,4)",
                "Energy fed in during the interval",
                minimum=0,
                maximum=MAX_KWH_PER_INTERVAL,
                unit="kWh",
            ),
            Column(
                "quality",
                "VARCHAR",
                "How the value came about; actual when absent",
                allowed=("actual", "estimated", "missing"),
            ),
        ),
        references=(Reference("meter_id", "meters"),),
    ),
)

ENTITIES: Mapping[str, Entity] = MappingProxyType({entity.name: entity for entity in _ENTITIES})
"""The entities in the order in which they land: what is referred to comes before what refers to it."""

METER_REGISTER_COLUMNS = (
    Column("meter_id", "VARCHAR", "Meter whose supplier delivers register values"),
    Column("read_at", "TIMESTAMP", "UTC instant of its last register value"),
    Column("register_kwh", "DECIMAL(14,4)", "That value, multiplier applied; the next delivery continues from it"),
)

DELIVERY_SUMMARY_COLUMNS = (
    Column("delivery_id", "VARCHAR", "Delivery"),
    Column("known_at", "TIMESTAMP", "UTC instant at which the supplier delivered"),
    Column("landed_at", "TIMESTAMP", "UTC instant at which the delivery was landed"),
    Column("entity", "VARCHAR", "Entity that the file was read as"),
    Column("source_file", "VARCHAR", "File of the delivery"),
    Column("rows_in", "BIGINT", "Rows in the file; when it is read again, the orphans that it had left"),
    Column("rows_loaded", "BIGINT", "Rows that were loaded, corrections included"),
    Column("rows_duplicate", "BIGINT", "Exact duplicates of rows that were loaded before"),
    Column("rows_quarantined", "BIGINT", "Rows that were refused with a reason"),
)

READING_MONTH_COLUMNS = (
    Column("delivery_id", "VARCHAR", "Delivery"),
    Column("landed_at", "TIMESTAMP", "UTC instant at which the delivery was landed"),
    Column("read_month", "DATE", "UTC month in which the delivery has readings"),
)

METER_TOTAL_COLUMNS = (
    Column("meter_id", "VARCHAR", "Meter"),
    Column("hours", "DOUBLE", "Hours that the delivery's readings of the meter cover"),
    Column("kwh", "DOUBLE", "Energy of these hours; the yardstick for the unit of later deliveries"),
)


def landing_columns(entity_name: str) -> tuple[Column, ...]:
    """Return the columns of an entity's landing files, provenance included, in file order."""
    entity = ENTITIES[entity_name]
    columns: list[Column] = []
    for column in entity.columns:
        if column.name == "customer_id":
            columns.append(CUSTOMER_KEY_COLUMN)
        elif not column.personal:
            columns.append(column)
    if entity_name == "payments":
        columns.insert(2, CUSTOMER_KEY_COLUMN)
    if entity_name == "meter_readings":
        columns.insert(1, CUSTOMER_KEY_COLUMN)
        columns.insert(3, Column("interval_minutes", "SMALLINT", "Length of the interval"))
    if entity.takes_attributes:
        columns.append(Column("attributes", "VARCHAR", "Further columns of the source as a JSON object"))
    return (*columns, *PROVENANCE_COLUMNS)


def landing_tables() -> dict[str, tuple[Column, ...]]:
    """Return every table of the landing with its columns: the entities and the summaries of deliveries."""
    return {
        **{name: landing_columns(name) for name in ENTITIES},
        "deliveries": DELIVERY_SUMMARY_COLUMNS,
        "reading_months": READING_MONTH_COLUMNS,
        "meter_totals": METER_TOTAL_COLUMNS,
        "meter_registers": METER_REGISTER_COLUMNS,
    }


def contract_fingerprint() -> str:
    """Return a hash of the contract; it changes when any entity, column or limit does."""
    document = {
        "entities": {name: asdict(entity) for name, entity in ENTITIES.items()},
        "tables": {name: [asdict(column) for column in columns] for name, columns in landing_tables().items()},
    }
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write_contract_delivery(directory: Path) -> None:
    """Write the bootstrap delivery into an empty folder: a typed zero-row file for every landing table.

    Args:
        directory: Folder that becomes ``deliveries/0000-contract``; the caller publishes it.
    """
    for name, columns in landing_tables().items():
        folder = directory / name
        if name == "meter_readings":
            folder /= f"read_month={CONTRACT_READ_MONTH}"
        folder.mkdir(parents=True)
        schema = pa.schema([(column.name, _arrow_type(column.duckdb_type)) for column in columns])
        pq.write_table(schema.empty_table(), folder / "contract.parquet")
    (directory / "delivery.json").write_bytes(
        orjson.dumps({"delivery_id": CONTRACT_DELIVERY_ID, "contract": contract_fingerprint(), "files": []})
    )


def _arrow_type(duckdb_type: str) -> pa.DataType:
    if duckdb_type.startswith("DECIMAL"):
        precision, scale = duckdb_type.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return {
        "VARCHAR": pa.string(),
        "DOUBLE": pa.float64(),
        "INTEGER": pa.int32(),
        "SMALLINT": pa.int16(),
        "BIGINT": pa.int64(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
    }[duckdb_type]
