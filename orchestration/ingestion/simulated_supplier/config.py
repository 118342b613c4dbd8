"""What to simulate: size, period, seed, scenarios and dirt. Equal configurations give equal bytes."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ScenarioName = Literal[
    "heat_wave",
    "tariff_reform",
    "recession",
    "meter_fault",
    "new_customer_wave",
    "unit_change",
    "null_column",
    "label_delay",
]


def _require_first_of_month(value: dt.date) -> dt.date:
    if value.day != 1:
        raise ValueError(f"{value} is not the first day of a month; write {value.replace(day=1)}")
    return value


Month = Annotated[dt.date, AfterValidator(_require_first_of_month)]


class Scenario(BaseModel):
    """A change of the world, or of what is delivered of it, that begins with a month and stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ScenarioName = Field(description="Which change; see the scenarios module for what each one does.")
    from_month: Month = Field(description="First local month in which the change acts.")


class SupplierConfig(BaseModel):
    """Settings of the simulated supplier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customers: int = Field(default=2000, ge=20, le=200_000, description="Customers, all classes together.")
    months: int = Field(default=25, ge=1, le=120, description="Months delivered, one delivery per month.")
    start_month: Month = Field(default=dt.date(2024, 9, 1), description="First local month with readings.")
    interval_minutes: Literal[15, 30, 60] = Field(default=60, description="Length of a reading interval.")
    seed: int = Field(default=7, ge=0, le=2**31 - 1, description="Seed of every random draw.")
    scenarios: tuple[Scenario, ...] = Field(default=(), description="Changes switched on from a month onward.")
    dirty: bool = Field(
        default=True, description="Whether deliveries hold rows that landing must quarantine, correct or drop."
    )

    def month_at(self, month_index: int) -> dt.date:
        """Return the first day of the month that lies ``month_index`` months after the start."""
        months = self.start_month.year * 12 + self.start_month.month - 1 + month_index
        return dt.date(months // 12, months % 12 + 1, 1)

    def month_index(self, month: dt.date) -> int:
        """Return how many months after the start ``month`` lies; negative before it."""
        return (month.year - self.start_month.year) * 12 + month.month - self.start_month.month

    def scenario_start(self, name: ScenarioName) -> int | None:
        """Return the first month index in which a scenario acts, or None when it is not configured."""
        starts = [self.month_index(scenario.from_month) for scenario in self.scenarios if scenario.name == name]
        return min(starts) if starts else None

    def as_of(self, month_index: int) -> "SupplierConfig":
        """Return the configuration as far as it can influence the delivery of one month.

        Two configurations that agree here deliver the same bytes for that month, so a longer simulation, or one
        with a later scenario, continues an inbox instead of replacing it.
        """
        acting = tuple(
            sorted(
                (scenario for scenario in self.scenarios if self.month_index(scenario.from_month) <= month_index),
                key=lambda scenario: (scenario.from_month, scenario.name),
            )
        )
        return self.model_copy(update={"months": month_index + 1, "scenarios": acting})
