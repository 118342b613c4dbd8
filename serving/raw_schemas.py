"""Raw data of one customer in a request: rows in the names, types and limits of the landing contract.

What a supplier's files may say of a customer, a request may say too, except what identifies a person: names, addresses
and texts are refused like any unknown field. A test compares every field here with the contract of the landing.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ml.columns import CUSTOMER_CLASSES, SUPPLY_ROUTES, VOLTAGE_LEVELS
from serving.identity import CustomerId

MOST_READINGS = 40_000
"""A year of readings every 15 minutes has 35,136."""

MOST_ROWS = 1_000
"""Rows of any other kind."""

MOST_RAW_CUSTOMERS = 20
"""Customers with raw rows in one request: their features are made while it waits."""


def _year_is_plausible(value: date) -> date:
    if not 1900 <= value.year <= 2199:
        raise PydanticCustomError("implausible_year", "the year must be from 1900 to 2199")
    return value


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


Text = Annotated[str, Field(min_length=1, max_length=128)]
Day = Annotated[date, AfterValidator(_year_is_plausible)]
Instant = Annotated[datetime, AfterValidator(_year_is_plausible), AfterValidator(_in_utc)]
"""With its offset from UTC; without one it is UTC, as in the landing contract."""
Amount = Annotated[float, Field(ge=-1e12, le=1e12)]


class RawRow(BaseModel):
    """One row: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def _ordered(self, first: str, second: str, *, strictly: bool = False) -> None:
        earlier, later = getattr(self, first), getattr(self, second)
        if earlier is None or later is None:
            return
        if earlier > later or (strictly and earlier == later):
            raise PydanticCustomError("wrong_order", f"{second} is {'not after' if strictly else 'before'} {first}")


class RawCustomerRow(RawRow):
    """The customer. What is not known is left out."""

    customer_id: CustomerId | None = Field(default=None, description="Names the answer; for a stranger leave it out")
    customer_class: Literal[CUSTOMER_CLASSES] | None = Field(default=None, description="Class of use")  # type: ignore[valid-type]  # made from the house's list
    district: Text | None = Field(default=None, description="District of the supply area")
    transformer_id: Text | None = Field(default=None, description="Distribution transformer")
    feeder_id: Text | None = Field(default=None, description="Medium-voltage feeder")
    voltage_level: Literal[VOLTAGE_LEVELS] | None = Field(default=None, description="Voltage of the supply")  # type: ignore[valid-type]  # as above
    contract_capacity_kva: Annotated[float, Field(ge=0, le=1e7)] | None = Field(default=None, description="[kVA]")
    industry_code: Text | None = Field(default=None, description="Industry classification code")
    supply_route: Literal[SUPPLY_ROUTES] | None = Field(default=None, description="Who sells the energy")  # type: ignore[valid-type]  # as above
    credit_limit_amount: Annotated[float, Field(ge=0, le=1e12)] | None = Field(default=None, description="[currency]")
    registered_date: Day | None = Field(default=None, description="First local day as a customer")
    closed_date: Day | None = Field(default=None, description="Last local day as a customer")
    attributes: dict[str, str | float | bool | None] | None = Field(
        default=None, max_length=50, description="Further columns of the supplier, such as contract_end_date"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("registered_date", "closed_date")
        return self


class RawMeter(RawRow):
    """A meter while it stands at the customer."""

    meter_id: Text = Field(description="The supplier's id of the meter")
    interval_minutes: Literal[15, 30, 60, 120, 180, 240, 360, 480, 720, 1440] = Field(
        description="Length of a reading interval [min]"
    )
    multiplier: Annotated[float, Field(ge=1e-6, le=1e5)] | None = Field(
        default=None, description="Factor on kwh, kvarh and export_kwh of its readings; 1 when left out"
    )
    installed_date: Day | None = Field(default=None, description="First local day of the meter at this customer")
    removed_date: Day | None = Field(default=None, description="Last local day of the meter at this customer")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("installed_date", "removed_date")
        return self


class RawReading(RawRow):
    """Energy of one interval."""

    meter_id: Text = Field(description="Meter of the request that was read")
    read_at: Instant = Field(description="Start of the interval")
    kwh: Annotated[float, Field(ge=0, le=1e9)] | None = Field(
        default=None, description="Energy before the meter's multiplier [kWh]; empty only when quality is missing"
    )
    kvarh: Annotated[float, Field(ge=-1e5, le=1e5)] | None = Field(default=None, description="[kvarh]")
    export_kwh: Annotated[float, Field(ge=0, le=1e5)] | None = Field(default=None, description="Energy fed in [kWh]")
    quality: Literal["actual", "estimated", "missing"] | None = Field(default=None, description="actual when left out")


class RawBill(RawRow):
    """A bill."""

    bill_id: Text = Field(description="The supplier's id of the bill")
    period_start: Day = Field(description="First local day that is billed")
    period_end: Day = Field(description="First local day that is no longer billed")
    kwh: Annotated[float, Field(ge=-1e9, le=1e9)] | None = Field(default=None, description="Billed energy [kWh]")
    amount: Amount = Field(description="Amount due [currency]")
    issued_date: Day = Field(description="Local day on which the bill was issued")
    due_date: Day = Field(description="Last local day on which payment is in time")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("period_start", "period_end", strictly=True)
        self._ordered("issued_date", "due_date")
        return self


class RawPayment(RawRow):
    """A payment towards a bill of the request."""

    payment_id: Text = Field(description="The supplier's id of the payment")
    bill_id: Text = Field(description="Bill of the request that is paid")
    paid_date: Day = Field(description="Local day on which the money arrived")
    amount: Amount = Field(description="Amount paid; negative when paid back [currency]")
    channel: Text | None = Field(default=None, description="carried_over: no money came, a later bill contains it")


class RawContact(RawRow):
    """A contact with the service desk, without its text."""

    contact_id: Text = Field(description="The supplier's id of the contact")
    opened_at: Instant = Field(description="Instant at which the contact was opened")
    first_response_at: Instant | None = Field(
        default=None, description="Instant of the first answer; empty while there is none"
    )
    closed_at: Instant | None = Field(
        default=None, description="Instant at which it was closed; empty while it is open"
    )
    channel: Text | None = Field(default=None, description="Way of contact")
    topic: Text | None = Field(default=None, description="What it was about, as a category")
    satisfaction: Literal[1, 2, 3, 4, 5] | None = Field(default=None, description="From 1 (worst) to 5")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("opened_at", "first_response_at")
        self._ordered("first_response_at", "closed_at")
        self._ordered("opened_at", "closed_at")
        return self


class RawTariffEnrolment(RawRow):
    """From when to when the customer has a tariff."""

    valid_from: Day = Field(description="First local day on the tariff")
    tariff_id: Text = Field(description="Tariff of the catalogue")
    valid_to: Day | None = Field(default=None, description="Last local day on the tariff; empty while it lasts")
    billing_basis: Text | None = Field(
        default=None, description="Chosen basis of the demand charge, where the tariff offers a choice"
    )
    contracted_kw: Annotated[float, Field(ge=0, le=1e7)] | None = Field(default=None, description="[kW]")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("valid_from", "valid_to")
        return self


class RawProgrammeEnrolment(RawRow):
    """From when to when the customer takes part in a programme."""

    programme: Text = Field(description="Value-added service, demand response or app")
    joined_date: Day = Field(description="First local day in the programme")
    left_date: Day | None = Field(default=None, description="Last local day in the programme")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._ordered("joined_date", "left_date")
        return self


class RawInspection(RawRow):
    """An inspection of the installation."""

    inspection_id: Text = Field(description="The supplier's id of the inspection")
    inspected_date: Day = Field(description="Local day of the inspection")
    outcome: Literal["normal", "theft", "tampering", "meter_fault"] = Field(description="What was found")


RAW_EXAMPLE: dict[str, Any] = {
    "as_of_month": "2026-09-01",
    "customer": {"customer_class": "commercial", "registered_date": "2021-05-01"},
    "bills": [
        {
            "bill_id": "B7",
            "period_start": "2026-07-01",
            "period_end": "2026-08-01",
            "kwh": 830,
            "amount": 612.4,
            "issued_date": "2026-08-03",
            "due_date": "2026-08-20",
        }
    ],
    "payments": [
        {"payment_id": "P7", "bill_id": "B7", "paid_date": "2026-08-28", "amount": 612.4, "channel": "app"},
    ],
}
"""A customer of whom little is known, which is an answer too; every use case takes the same rows."""


class RawCustomer(RawRow):
    """Rows of one customer, as the landing contract names them.

    A list that is left out says "not known"; an empty list says "there were none".
    """

    as_of_month: Day | None = Field(
        default=None,
        description="First day of the month at whose end the features are wanted; later rows are not looked at. Left "
        "out: the latest month with rows that is over",
        examples=["2026-09-01"],
    )
    customer: RawCustomerRow = Field(default_factory=RawCustomerRow, description="Who the customer is")
    meters: list[RawMeter] | None = Field(default=None, max_length=20, description="Meters that stood at the customer")
    meter_readings: list[RawReading] | None = Field(
        default=None,
        max_length=MOST_READINGS,
        description="Readings; those of the 36 months up to as_of_month are looked at",
    )
    bills: list[RawBill] | None = Field(default=None, max_length=MOST_ROWS, description="Bills")
    payments: list[RawPayment] | None = Field(
        default=None, max_length=MOST_ROWS, description="Payments towards these bills"
    )
    service_contacts: list[RawContact] | None = Field(
        default=None, max_length=MOST_ROWS, description="Contacts with the service desk"
    )
    tariff_enrolments: list[RawTariffEnrolment] | None = Field(
        default=None, max_length=MOST_ROWS, description="Tariffs of the customer"
    )
    programme_enrolments: list[RawProgrammeEnrolment] | None = Field(
        default=None, max_length=MOST_ROWS, description="Programmes of the customer"
    )
    inspections: list[RawInspection] | None = Field(
        default=None, max_length=MOST_ROWS, description="Inspections of the installation"
    )

    @model_validator(mode="after")
    def _as_of_month_is_a_first(self) -> Self:
        if self.as_of_month is not None and self.as_of_month.day != 1:
            raise PydanticCustomError("not_a_month", "as_of_month must be the first day of a month, such as 2026-09-01")
        return self
