"""What each scenario changes. Every function returns "no change" unless its scenario acts in the month."""

from dataclasses import dataclass

import numpy as np

from orchestration.ingestion.simulated_supplier.config import ScenarioName, SupplierConfig

HEAT_WAVE_DEGREES_C = 5.0
HEAT_WAVE_SEASONAL_MEAN_C = 18.0
RECESSION_RAMP_MONTHS = 3
RECESSION_STRESS = 0.9
RECESSION_LOAD_CUT = {"commercial": 0.10, "industrial": 0.22}
METER_FAULT_SHARE = 0.06
METER_FAULT_RECORDED_SHARE = 0.35
WAVE_SHARE = 0.15
REFORM_MOVED_SHARE = 0.6
REFORM_VALLEY_SHIFT = 0.12
REFORM_PRICE_STRETCH = 1.6


@dataclass(frozen=True)
class Acting:
    """How long a scenario has been acting in a month.

    Attributes:
        months: Months since its start, 0 in its first month; negative or None when it does not act.
    """

    months: int | None

    def __bool__(self) -> bool:
        """Whether the scenario acts."""
        return self.months is not None and self.months >= 0


def acting(config: SupplierConfig, name: ScenarioName, month_index: int) -> Acting:
    """Return how long a scenario has acted in a month."""
    start = config.scenario_start(name)
    return Acting(None if start is None else month_index - start)


def heat_wave_degrees_c(config: SupplierConfig, month_index: int, seasonal_mean_c: np.ndarray) -> np.ndarray:
    """Return the degrees a heat wave adds on each day: only days of the warm season become hotter."""
    if not acting(config, "heat_wave", month_index):
        return np.zeros_like(seasonal_mean_c)
    return np.where(seasonal_mean_c > HEAT_WAVE_SEASONAL_MEAN_C, HEAT_WAVE_DEGREES_C, 0.0)


def recession_strength(config: SupplierConfig, month_index: int) -> float:
    """Return the depth of the recession in a month, 0 (none) to 1 (full); it deepens over three months."""
    state = acting(config, "recession", month_index)
    if not state or state.months is None:
        return 0.0
    return min(1.0, (state.months + 1) / RECESSION_RAMP_MONTHS)


def recession_load_factor(config: SupplierConfig, month_index: int, customer_class: np.ndarray) -> np.ndarray:
    """Return the factor on each customer's load: businesses produce and sell less."""
    strength = recession_strength(config, month_index)
    cut = np.zeros(len(customer_class), dtype=np.float32)
    for name, share in RECESSION_LOAD_CUT.items():
        cut[customer_class == name] = share * strength
    return 1 - cut


def meter_fault_factor(config: SupplierConfig, month_index: int, batch_rank: np.ndarray) -> np.ndarray:
    """Return the share of the load that each meter records: one production batch begins to under-record."""
    faulty = batch_rank < METER_FAULT_SHARE
    if not acting(config, "meter_fault", month_index):
        return np.ones(len(batch_rank), dtype=np.float32)
    return np.where(faulty, METER_FAULT_RECORDED_SHARE, 1.0).astype(np.float32)


def wave_customers(config: SupplierConfig) -> tuple[int, int]:
    """Return the month index of a new-customer wave and how many customers it brings, 0 without one."""
    start = config.scenario_start("new_customer_wave")
    if start is None or start >= config.months:
        return -1, 0
    return start, round(config.customers * WAVE_SHARE)
