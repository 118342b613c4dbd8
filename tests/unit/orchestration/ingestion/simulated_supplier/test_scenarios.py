"""Each scenario changes what it says, from its month onward, and nothing before."""

import numpy as np
import polars as pl
import pytest

from orchestration.ingestion.simulated_supplier import entities
from orchestration.ingestion.simulated_supplier.billing import BLOCKS, BLOCKS_TOU, supplier_catalogue
from orchestration.ingestion.simulated_supplier.config import Scenario, ScenarioName, SupplierConfig
from orchestration.ingestion.simulated_supplier.population import DISTRICTS
from orchestration.ingestion.simulated_supplier.scenarios import (
    BILL_AMOUNT_FACTOR,
    METER_FAULT_RECORDED_SHARE,
    METER_FAULT_SHARE,
    PAYMENT_DELAY_MONTHS,
)
from tests.unit.orchestration.ingestion.simulated_supplier.simulated_worlds import World, config_with, run_world

START = 4


@pytest.mark.parametrize("name", ["tariff_reform", "recession", "meter_fault", "new_customer_wave", "heat_wave"])
def test_months_before_a_scenario_are_unchanged(name: ScenarioName, quiet_world: World) -> None:
    world = run_world(config_with(name, months=START + 1))
    customers = quiet_world.simulation.population.size

    for month in range(START):
        np.testing.assert_array_equal(world.kwh[month][:customers], quiet_world.kwh[month])


def test_heat_wave_raises_cooling_load_in_summer_only() -> None:
    quiet = run_world(config_with(None, customers=120, months=12))
    hot = run_world(config_with("heat_wave", "2025-01-01", customers=120, months=12))
    january, july = 4, 10
    residential = quiet.of_class("residential")

    assert hot.temperature_c[july].mean() - quiet.temperature_c[july].mean() == pytest.approx(5.0, abs=0.01)
    assert hot.temperature_c[january].mean() == quiet.temperature_c[january].mean()
    assert hot.kwh[july][residential].sum() > 1.2 * quiet.kwh[july][residential].sum()
    assert hot.kwh[january].sum() == quiet.kwh[january].sum()


def test_tariff_reform_moves_most_block_customers_and_widens_the_price_difference(quiet_world: World) -> None:
    world = run_world(config_with("tariff_reform"))
    moved = [item for item in world.simulation.enrolments if item.first_month == START and item.tariff_id == BLOCKS_TOU]
    on_blocks = [item for item in quiet_world.simulation.enrolments if item.tariff_id == BLOCKS]
    versions = [item for item in supplier_catalogue(world.simulation.config).tariffs if item.tariff_id == BLOCKS_TOU]

    assert 0.5 < len(moved) / len(on_blocks) < 0.7
    assert [version.version for version in versions] == ["2022", "reform-2025-01"]


def test_tariff_reform_shifts_load_of_the_moved_into_the_night(quiet_world: World) -> None:
    world = run_world(config_with("tariff_reform"))
    rows = [
        item.row for item in world.simulation.enrolments if item.first_month == START and item.tariff_id == BLOCKS_TOU
    ]

    def night_share(some_world: World) -> float:
        by_hour = some_world.kwh[START][rows].reshape(len(rows), -1, 24).sum(axis=(0, 1))
        return float((by_hour[:6].sum() + by_hour[22:].sum()) / by_hour.sum())

    assert night_share(world) > night_share(quiet_world) + 0.03


def test_recession_deepens_over_three_months(quiet_world: World) -> None:
    world = run_world(config_with("recession"))
    industrial = world.of_class("industrial")
    ratio = [world.kwh[month][industrial].sum() / quiet_world.kwh[month][industrial].sum() for month in range(START, 8)]

    assert ratio[0] > ratio[1] > ratio[2]
    assert ratio[3] < 0.85


def test_recession_makes_customers_pay_later(quiet_world: World) -> None:
    world = run_world(config_with("recession"))

    assert np.nanmean(world.late_days()[:, 6:]) > 1.3 * np.nanmean(quiet_world.late_days()[:, 6:])


def test_meter_fault_lets_one_batch_record_a_fraction(quiet_world: World) -> None:
    world = run_world(config_with("meter_fault"))
    before, after = quiet_world.monthly_kwh()[:, START], world.monthly_kwh()[:, START]
    in_use = before > 1
    ratio = after[in_use] / before[in_use]
    faulty = ratio < 0.99

    assert faulty.mean() == pytest.approx(METER_FAULT_SHARE, abs=0.03)
    np.testing.assert_allclose(ratio[faulty], METER_FAULT_RECORDED_SHARE, rtol=0.01)


def test_new_customer_wave_brings_fifteen_percent_at_once_to_one_district(quiet_world: World) -> None:
    world = run_world(config_with("new_customer_wave", months=START + 1))
    old, population = quiet_world.simulation.population.size, world.simulation.population

    assert population.size - old == 45
    assert world.kwh[START - 1][old:].sum() == 0
    assert (world.kwh[START][old:].sum(axis=1) > 0).mean() > 0.9
    assert {DISTRICTS[index] for index in population.district[old:]} == {"dongjiao"}
    assert population.vehicle_kw[old:].astype(bool).mean() > 2 * population.vehicle_kw[:old].astype(bool).mean()


@pytest.fixture(scope="module")
def faulty_systems(quiet_world: World) -> SupplierConfig:
    """The quiet world's configuration, with all three scenarios that change only what is delivered."""
    names: list[ScenarioName] = ["unit_change", "null_column", "label_delay"]
    from_month = quiet_world.simulation.config.month_at(START)
    scenarios = tuple(Scenario(name=name, from_month=from_month) for name in names)
    return quiet_world.simulation.config.model_copy(update={"scenarios": scenarios})


def test_unit_change_delivers_bills_in_hundredths_from_its_delivery_on(
    quiet_world: World, faulty_systems: SupplierConfig
) -> None:
    bills = (quiet_world.simulation.population, quiet_world.money.bills)
    quiet, changed = (
        entities.bills_frame(config, *bills) for config in (quiet_world.simulation.config, faulty_systems)
    )
    factor = (changed["amount"] / quiet["amount"]).cast(pl.Float64)
    is_after = (quiet[entities.DELIVERY] >= START).to_numpy()

    np.testing.assert_allclose(factor.filter(is_after), BILL_AMOUNT_FACTOR)
    np.testing.assert_allclose(factor.filter(~is_after), 1)
    assert changed.drop("amount").equals(quiet.drop("amount"))


def test_null_column_delivers_each_customer_again_without_a_contracted_capacity(
    quiet_world: World, faulty_systems: SupplierConfig
) -> None:
    population = quiet_world.simulation.population
    quiet, changed = (
        entities.customers_frame(config, population) for config in (quiet_world.simulation.config, faulty_systems)
    )
    known_before = quiet.filter(pl.col(entities.DELIVERY) < START)["customer_id"].unique()
    after = changed.filter(pl.col(entities.DELIVERY) >= START)

    assert set(known_before) <= set(after["customer_id"])
    assert after["contract_capacity_kva"].null_count() == len(after)
    assert after.filter(pl.col(entities.DELIVERY) == START)["customer_id"].is_unique().all()
    assert changed.filter(pl.col(entities.DELIVERY) < START).equals(quiet.filter(pl.col(entities.DELIVERY) < START))


def test_a_customer_who_left_is_delivered_again_as_left(quiet_world: World, faulty_systems: SupplierConfig) -> None:
    population = quiet_world.simulation.population
    quiet, changed = (
        entities.customers_frame(config, population) for config in (quiet_world.simulation.config, faulty_systems)
    )
    left = quiet.filter((pl.col(entities.DELIVERY) < START) & pl.col("closed_date").is_not_null())
    again = changed.filter(pl.col(entities.DELIVERY) == START).join(left, on="customer_id", suffix="_then")

    assert len(again) == len(left) > 0
    assert again["closed_date"].equals(again["closed_date_then"].alias("closed_date"))


def test_label_delay_delivers_the_same_payments_three_months_later(
    quiet_world: World, faulty_systems: SupplierConfig
) -> None:
    payments = (quiet_world.simulation.population, quiet_world.money.bills, quiet_world.money.behaviour.payments)
    quiet, delayed = (
        entities.payments_frame(config, *payments).sort("payment_id")
        for config in (quiet_world.simulation.config, faulty_systems)
    )
    later = (delayed[entities.DELIVERY] - quiet[entities.DELIVERY]).to_numpy()
    is_after = (quiet[entities.DELIVERY] >= START).to_numpy()

    assert set(later[is_after]) == {PAYMENT_DELAY_MONTHS}
    assert set(later[~is_after]) == {0}
    assert delayed.drop(entities.DELIVERY).equals(quiet.drop(entities.DELIVERY))
