"""What each scenario changes. Every function returns "no change" unless its scenario acts in the month.

Five scenarios change the world. Three leave it as it is and change what the supplier's systems deliver of it: a unit,
a column, a delay.
"""

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
BILL_AMOUNT_FACTOR = 100
PAYMENT_DELAY_MONTHS = 3
REFORM_MOVED_SHARE = 0.6
REFORM_VALLEY_SHIFT = 0.12
REFORM_PRICE_STRETCH = 1.6


def months_acting(config: SupplierConfig, name: ScenarioName, month_index: int) -> int:
    """Return for how many months a scenario has acted by a month's end: 1 in its first month, 0 without it."""
    start = config.scenario_start(name)
    return 0 if start is None else max(0, month_index - start + 1)


def heat_wave_degrees_c(config: SupplierConfig, month_index: int, seasonal_mean_c: np.ndarray) -> np.ndarray:
    """Return the degrees a heat wave adds on each day: only days of the warm season become hotter."""
    if months_acting(config, "heat_wave", month_index) == 0:
        return np.zeros_like(seasonal_mean_c)
    return np.where(seasonal_mean_c > HEAT_WAVE_SEASONAL_MEAN_C, HEAT_WAVE_DEGREES_C, 0.0)


def recession_strength(config: SupplierConfig, month_index: int) -> float:
    """Return the depth of the recession in a month, 0 (none) to 1 (full); it deepens over three months."""
    return min(1.0, months_acting(config, "recession", month_index) / RECESSION_RAMP_MONTHS)


def recession_load_factor(config: SupplierConfig, month_index: int, customer_class: np.ndarray) -> np.ndarray:
    """Return the factor on each customer's load: businesses produce and sell less."""
    strength = recession_strength(config, month_index)
    cut = np.zeros(len(customer_class), dtype=np.float32)
    for name, share in RECESSION_LOAD_CUT.items():
        cut[customer_class == name] = share * strength
    return 1 - cut


def meter_fault_factor(config: SupplierConfig, month_index: int, batch_rank: np.ndarray) -> np.ndarray:
    """Return the share of the load that each meter records: one production batch begins to under-record."""
    if months_acting(config, "meter_fault", month_index) == 0:
        return np.ones(len(batch_rank), dtype=np.float32)
    return np.where(batch_rank < METER_FAULT_SHARE, METER_FAULT_RECORDED_SHARE, 1.0).astype(np.float32)


def wave_customers(config: SupplierConfig) -> tuple[int, int]:
    """Return the month index of a new-customer wave and how many customers it brings, 0 without one."""
    start = config.scenario_start("new_customer_wave")
    if start is None or start >= config.months:
        return -1, 0
    return start, round(config.customers * WAVE_SHARE)


def _acts_from(config: SupplierConfig, name: ScenarioName, month_index: np.ndarray) -> np.ndarray:
    start = config.scenario_start(name)
    return np.zeros(len(month_index), dtype=bool) if start is None else month_index >= start


def bill_amount_factor(config: SupplierConfig, delivery_month: np.ndarray) -> np.ndarray:
    """Return the factor on the amounts of bills by month of delivery: the billing system begins to write hundredths."""
    return np.where(_acts_from(config, "unit_change", delivery_month), BILL_AMOUNT_FACTOR, 1)


def payment_delay_months(config: SupplierConfig, delivery_month: np.ndarray) -> np.ndarray:
    """Return by how many months later payments are delivered, by the month of delivery that they would have."""
    return np.where(_acts_from(config, "label_delay", delivery_month), PAYMENT_DELAY_MONTHS, 0)


def capacity_lost_from(config: SupplierConfig) -> int | None:
    """Return the month index from which customers are delivered without contracted capacity, None if never.

    A new customer system delivers every customer again in its first month, and leaves that column empty.
    """
    start = config.scenario_start("null_column")
    return None if start is None or start >= config.months else start
