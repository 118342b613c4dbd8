"""Small simulated worlds for tests: a simulation that has been run, with its energies as plain arrays."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from orchestration.ingestion.simulated_supplier.config import Scenario, ScenarioName, SupplierConfig
from orchestration.ingestion.simulated_supplier.metering import KWH_SCALE, LATE, MISSING
from orchestration.ingestion.simulated_supplier.simulation import Money, Simulation


@dataclass(frozen=True)
class World:
    """A finished simulation.

    Attributes:
        simulation: The simulation.
        money: Bills, payments, contacts.
        kwh: What the registers counted, by month, each of shape (customers, ticks).
        is_read: Whether a row with a value arrives for the interval, likewise.
        day_types: Day type of every day, by month.
        temperature_c: Mean temperature of every day, by month.
    """

    simulation: Simulation
    money: Money
    kwh: list[np.ndarray]
    is_read: list[np.ndarray]
    day_types: list[np.ndarray]
    temperature_c: list[np.ndarray]

    def of_class(self, name: str) -> np.ndarray:
        """Return which customers belong to a class."""
        return self.simulation.population.customer_class == name

    def monthly_kwh(self) -> np.ndarray:
        """Return energy by customer and month."""
        return np.stack([month.sum(axis=1) for month in self.kwh], axis=1)

    def bill_amounts(self) -> np.ndarray:
        """Return billed amounts by customer and month, zero without a bill."""
        amounts = np.zeros((self.simulation.population.size, self.simulation.config.months))
        bills = self.money.bills
        amounts[bills.row, bills.month] = bills.cents / 100
        return amounts

    def late_days(self) -> np.ndarray:
        """Return days from due date to full payment by customer and month, at most 90; NaN without a bill."""
        late = np.full((self.simulation.population.size, self.simulation.config.months), np.nan)
        bills = self.money.bills
        late[bills.row, bills.month] = np.clip(self.money.behaviour.settled - bills.due, 0, 90)
        return late


def run_world(config: SupplierConfig) -> World:
    """Simulate a configuration without writing anything."""
    simulation = Simulation(config)
    kwh, is_read, day_types, temperature_c = [], [], [], []
    for month in simulation.months():
        blocks = list(month.blocks)
        kwh.append(
            np.concatenate(
                [block.raw * simulation.metering.multiplier[block.block][:, None] / KWH_SCALE for block in blocks]
            )
        )
        is_read.append(np.concatenate([(block.fate < MISSING) | (block.fate == LATE) for block in blocks]))
        day_types.append(month.calendar.day_types)
        temperature_c.append(month.temperature_c.mean(axis=(0, 2)))
    return World(simulation, simulation.money(), kwh, is_read, day_types, temperature_c)


def config_with(
    name: ScenarioName | None, from_month: str = "2025-01-01", *, customers: int = 300, months: int = 8
) -> SupplierConfig:
    """Return a configuration with one scenario, or none; it starts in September 2024."""
    scenarios = () if name is None else (Scenario(name=name, from_month=dt.date.fromisoformat(from_month)),)
    return SupplierConfig(customers=customers, months=months, scenarios=scenarios)
