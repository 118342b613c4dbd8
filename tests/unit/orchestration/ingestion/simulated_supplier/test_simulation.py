"""Causes show in the load, the bills and the payments as they would at a real supplier."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ml.tariffs.eligibility import CustomerFacts
from orchestration.ingestion.simulated_supplier.billing import SUPPLY_ROUTE, supplier_catalogue, voltage_levels
from orchestration.ingestion.simulated_supplier.calendar import HOLIDAY, WORKDAY
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.kinds import CLASS_SHARES, KINDS
from orchestration.ingestion.simulated_supplier.service import CONTACT_CHANNELS
from orchestration.ingestion.simulated_supplier.truth import hidden_truth
from tests.unit.orchestration.ingestion.simulated_supplier.simulated_worlds import World, run_world

JANUARY, FEBRUARY = 4, 5


def _rows(world: World, *kinds: str) -> np.ndarray:
    names = np.array([kind.name for kind in KINDS])[world.simulation.population.kind]
    return np.isin(names, kinds)


def test_classes_have_the_shares_of_a_county(quiet_world: World) -> None:
    for name, share in CLASS_SHARES.items():
        assert quiet_world.of_class(name).mean() == pytest.approx(share, abs=0.01)


def test_registers_never_count_backwards(quiet_world: World) -> None:
    assert min(month.min() for month in quiet_world.kwh) == 0


def test_factories_rest_at_the_spring_festival_and_migrants_come_home(quiet_world: World) -> None:
    def festival_level(rows: np.ndarray) -> float:
        days = quiet_world.kwh[JANUARY][rows].reshape(rows.sum(), -1, 24).sum(axis=(0, 2))
        ordinary = days[:20][quiet_world.day_types[JANUARY][:20] == WORKDAY].mean()
        return float(days[quiet_world.day_types[JANUARY] == HOLIDAY][-4:].mean() / ordinary)

    assert festival_level(_rows(quiet_world, "one_shift", "two_shifts")) < 0.4
    assert festival_level(_rows(quiet_world, "migrant")) > 1.5


def test_offices_work_on_weekdays_and_by_day(quiet_world: World) -> None:
    rows = _rows(quiet_world, "office")
    hourly = quiet_world.kwh[0][rows].reshape(rows.sum(), -1, 24)
    workday = hourly[:, quiet_world.day_types[0] == WORKDAY].mean(axis=(0, 1))
    rest = hourly[:, quiet_world.day_types[0] != WORKDAY].mean(axis=(0, 1))

    assert workday[9:17].mean() > 2.5 * workday[0:5].mean()
    assert workday.sum() > 1.5 * rest.sum()


def test_solar_customers_feed_in_by_day_only() -> None:
    config = SupplierConfig(customers=400, months=1)
    world = run_world(config)
    population = world.simulation.population
    solar = population.solar_kw > 0
    plain = (population.customer_class == "residential") & ~solar
    hourly = world.kwh[0].reshape(population.size, -1, 24)

    assert solar.sum() >= 5
    assert (
        hourly[solar & (population.customer_class == "residential")][:, :, 11:14].mean()
        < 0.5 * hourly[plain][:, :, 11:14].mean()
    )


def test_vehicles_charge_with_all_their_power_on_about_half_of_the_days() -> None:
    world = run_world(SupplierConfig(customers=400, months=1))
    population = world.simulation.population
    drives = (population.vehicle_kw > 0) & (population.customer_class == "residential")
    daily_peak_kw = world.kwh[0].reshape(population.size, -1, 24).max(axis=2)
    charging_days_share = (daily_peak_kw >= 0.9 * population.vehicle_kw[:, None])[drives].mean()

    assert drives.sum() >= 5
    assert 0.25 < charging_days_share < 0.75


def test_bills_carry_exactly_what_the_registers_counted(quiet_world: World) -> None:
    bills = quiet_world.money.bills
    counted = quiet_world.monthly_kwh()[bills.row, bills.month]

    np.testing.assert_allclose(bills.kwh / 10_000, counted, atol=5e-5)


def test_every_enrolment_is_open_to_its_customer(quiet_world: World) -> None:
    population = quiet_world.simulation.population
    catalogue = supplier_catalogue(quiet_world.simulation.config)
    voltage = voltage_levels(population)
    on_date = quiet_world.simulation.config.start_month
    for item in quiet_world.simulation.enrolments:
        name = population.customer_class[item.row]
        facts = CustomerFacts(name, voltage[item.row], SUPPLY_ROUTE[name], float(population.capacity_kva[item.row]))
        assert item.tariff_id in [tariff.tariff_id for tariff in catalogue.eligible(facts, on_date)]


def test_some_two_part_customers_contracted_too_much_and_some_too_little() -> None:
    world = run_world(SupplierConfig(customers=2000, months=2))
    ratios = []
    for item in world.simulation.enrolments:
        peak_kw = max(float(month[item.row].max()) for month in world.kwh)
        if item.contracted_kw is not None and peak_kw > 0:
            ratios.append(item.contracted_kw / peak_kw)

    assert min(ratios) < 1 / 1.05 < 1.2 < max(ratios)


def test_payments_add_up_to_the_settled_bills(quiet_world: World) -> None:
    bills, payments = quiet_world.money.bills, quiet_world.money.behaviour.payments
    settled = quiet_world.money.behaviour.settled < 10**6
    paid = np.bincount(payments.bill, weights=payments.cents, minlength=bills.size)

    np.testing.assert_array_equal(paid[settled], bills.cents[settled])
    assert (paid[~settled] < bills.cents[~settled]).all()
    assert (payments.paid > bills.issued[payments.bill] - 1).all()


@dataclass(frozen=True)
class CreditHistory:
    """Days late (at most 90), outcome and hidden chance of every bill, each by customer and month."""

    late_days: np.ndarray
    is_default: np.ndarray
    chance: np.ndarray
    has_bill: np.ndarray


@pytest.fixture(scope="module")
def credit_history() -> CreditHistory:
    """1,200 customers over 22 months."""
    truth = hidden_truth(SupplierConfig(customers=1200, months=22))
    late_days, is_default, chance, has_bill = np.zeros((4, len(truth.customer_ids), 22))
    cell = (truth.bills.row, truth.bills.month)
    late_days[cell] = np.clip(truth.settled_day - truth.bills.due, 0, 90)
    is_default[cell], chance[cell], has_bill[cell] = truth.is_default, truth.default_chance, 1
    return CreditHistory(late_days, is_default, chance, has_bill.astype(bool))


def test_five_to_nine_percent_of_customer_half_years_default(credit_history: CreditHistory) -> None:
    rates = [
        credit_history.is_default[credit_history.has_bill[:, start]][:, start : start + 6].max(axis=1).mean()
        for start in range(4, 16)
    ]

    assert 0.05 < np.mean(rates) < 0.09


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 0.6), (0.6, 1.0)])
def test_hidden_chance_is_the_chance(credit_history: CreditHistory, low: float, high: float) -> None:
    cell = credit_history.has_bill & (credit_history.chance >= low) & (credit_history.chance < high)
    expected = credit_history.chance[cell].mean()

    assert credit_history.is_default[cell].mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / cell.sum()))


def _snapshot(history: CreditHistory, as_of: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of payments at a month's end, and whether a bill defaults in the six months after it."""
    # The bill of the month before is due on about the 20th, so at most nine days of its lateness are known.
    known = history.late_days[:, as_of - 7 : as_of].copy()
    known[:, -1] = np.minimum(known[:, -1], 9)
    features = np.stack([known.mean(axis=1), known[:, -3:].mean(axis=1), known.max(axis=1)], axis=1)
    features = np.column_stack([np.log1p(features), (known > 0).mean(axis=1)])
    present = history.has_bill[:, as_of - 7 : as_of + 1].all(axis=1)
    return features[present], history.is_default[present, as_of - 1 : as_of + 5].max(axis=1)


def test_payment_history_predicts_default_well_but_never_perfectly(credit_history: CreditHistory) -> None:
    earlier = [_snapshot(credit_history, as_of) for as_of in (7, 8, 9)]
    later = [_snapshot(credit_history, as_of) for as_of in (15, 16, 17)]
    model = LogisticRegression().fit(np.vstack([x for x, _ in earlier]), np.concatenate([y for _, y in earlier]))
    scores = model.predict_proba(np.vstack([x for x, _ in later]))[:, 1]

    assert 0.78 < roc_auc_score(np.concatenate([y for _, y in later]), scores) < 0.90


def test_contacts_are_answered_before_they_are_closed_and_by_telephone_at_once(quiet_world: World) -> None:
    contacts = quiet_world.money.contacts
    hours = (contacts["responded_us"] - contacts["opened_us"]) / 3.6e9
    by_channel = contacts.with_columns(hours=hours).group_by("channel").agg(pl.col("hours").median())
    medians = dict(by_channel.iter_rows())

    assert (contacts["opened_us"] < contacts["responded_us"]).all()
    assert (contacts["responded_us"] <= contacts["closed_us"]).all()
    assert medians[CONTACT_CHANNELS.index("phone")] < 0.3 < medians[CONTACT_CHANNELS.index("app")]


def test_some_customers_agree_to_offers_and_some_of_them_withdraw(quiet_world: World) -> None:
    consents = quiet_world.money.consents
    share = consents["row"].n_unique() / quiet_world.simulation.population.size
    withdrawn = consents.filter(pl.col("left_day") >= 0)

    assert 0.5 < share < 0.9
    assert consents.select("row", "channel").is_unique().all()
    assert 0 < withdrawn.height < 0.2 * consents.height
    assert (withdrawn["left_day"] > withdrawn["joined_day"]).all()
