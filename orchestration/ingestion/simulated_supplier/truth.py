"""What the files do not say. For tests and benchmarks only: nothing in the pipeline may read it."""

from dataclasses import dataclass

import numpy as np

from orchestration.ingestion.simulated_supplier.behaviour import Bills
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import Population
from orchestration.ingestion.simulated_supplier.simulation import Simulation

DEFAULT_DAYS = 30


@dataclass(frozen=True)
class HiddenTruth:
    """Hidden causes of one simulation.

    Attributes:
        customer_ids: The supplier's ids, in the order of every first axis.
        population: Kinds, appliances, thefts and dispositions.
        stress: Financial stress, shape (customers, months + 1).
        bills: Every bill.
        settled_day: Day since 1970 on which each bill was paid in full, far in the future if never.
        default_chance: Chance of each bill to be unpaid 30 days past due, given what came before.
        is_default: Whether it was.
    """

    customer_ids: tuple[str, ...]
    population: Population
    stress: np.ndarray
    bills: Bills
    settled_day: np.ndarray
    default_chance: np.ndarray
    is_default: np.ndarray


def hidden_truth(config: SupplierConfig) -> HiddenTruth:
    """Simulate again, without writing, and return the causes and the outcomes."""
    simulation = Simulation(config)
    for month in simulation.months():
        for _ in month.blocks:
            pass
    money = simulation.money()
    return HiddenTruth(
        customer_ids=tuple(simulation.population.customer_ids()),
        population=simulation.population,
        stress=simulation.stress.values,
        bills=money.bills,
        settled_day=money.behaviour.settled,
        default_chance=money.behaviour.default_chance,
        is_default=money.behaviour.settled > money.bills.due + DEFAULT_DAYS,
    )
