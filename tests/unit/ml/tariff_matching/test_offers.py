from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import carried_forward, prepare_features, window
from ml.tariff_matching.forecast import fit_forecast
from ml.tariff_matching.offers import build_situation, not_priced_for, price_column, price_scenarios, price_window
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff, load_tariff

DECISION = date(2026, 9, 1)


def with_components(*components: dict[str, object], **fields: object) -> Tariff:
    energy = {"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": "0.6"}}]}
    return load_tariff(
        {
            "tariff_id": "other",
            "version": "1",
            "name": "Other",
            "valid_from": "2024-01-01",
            "currency": "CNY",
            "jurisdiction": "CN-SD",
            "verified": True,
            "components": [energy, *components],
            **fields,
        }
    )


def test_a_tariff_that_needs_what_was_not_metered_is_left_out_with_the_reason(
    town: LoadCube, facts: pd.DataFrame, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    reactive = with_components({"kind": "power_factor", "name": "Power factor", "standard": "0.90", "base": ["Energy"]})
    tariffs = [*catalogue.tariffs, reactive]

    situation = build_situation(prepare_features(facts), town, tariffs, DECISION, config)

    assert "other" not in {column.tariff.tariff_id for column in situation.columns}
    reason = next(entry.reason for entry in not_priced_for(situation, tariffs, 0) if entry.tariff_id == "other")
    assert "kvarh" in reason


POWER_FACTOR = {"kind": "power_factor", "name": "Power factor", "standard": "0.90", "base": ["Energy"]}


def with_reactive(town: LoadCube, tangent: float) -> LoadCube:
    """Return the town with kvarh of every firm, ``tangent`` of its kWh, and none of the homes."""
    is_firm = np.array([str(key).startswith("firm") for key in town.customer_keys])
    has_kvarh = np.broadcast_to(is_firm[:, None], town.present.shape).copy()
    kvarh = np.where(has_kvarh, np.rint(town.month_kwh() * tangent).astype(np.int64), 0)
    return replace(town, kvarh=kvarh, has_kvarh=has_kvarh, _cache={})


def test_a_power_factor_is_priced_in_the_past_and_in_every_scenario(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> None:
    """A tangent of 0.75 is a power factor of 0.80: 5 % more than the energy, whatever the load does."""
    tariffs = [with_components(), with_components(POWER_FACTOR, tariff_id="reactive")]
    firms = np.arange(60, 64)
    part = with_reactive(town, 0.75).take(firms)
    rows = prepare_features(facts.iloc[firms].reset_index(drop=True))
    situation = build_situation(rows, part, tariffs, DECISION, config)
    assert situation.is_offered.all()

    bills = price_window(situation, situation.history, {}).amounts
    assert bills[:, 1] == pytest.approx(1.05 * bills[:, 0], rel=1e-6)

    history = window(part, town.months[12], 12, config)
    forecast = fit_forecast(
        history, carried_forward(history, 12), window(part, town.months[24], 12, config), situation.classes, config
    )
    (scenarios,) = price_scenarios(situation, forecast, config)
    assert scenarios.amounts[:, 1] == pytest.approx(1.05 * scenarios.amounts[:, 0], rel=1e-6)
    assert len(np.unique(scenarios.amounts[0, 0])) > 1


def test_months_without_kvarh_take_a_power_factor_off_the_offer_and_are_named(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> None:
    metered = with_reactive(town, 0.75)
    metered.has_kvarh[60, [20, 22]] = False
    tariffs = [with_components(), with_components(POWER_FACTOR, tariff_id="reactive")]

    situation = build_situation(prepare_features(facts), metered, tariffs, DECISION, config)

    assert not situation.is_offered[:61, 1].any()
    assert situation.is_offered[61:, 1].all()
    (entry,) = not_priced_for(situation, tariffs, 60)
    assert entry.reason.endswith("kvarh of every month, and none were metered in 2026-05 and 1 more")
    bills = price_window(situation, window(metered, town.months[20], 12, config), {}).amounts
    assert np.isnan(bills[:61, 1]).all()
    assert np.isfinite(bills[61:, 1]).all()


def test_carried_reactive_energy_keeps_the_ratio_of_its_month_or_else_of_the_year(
    town: LoadCube, config: TariffMatchingConfig
) -> None:
    metered = with_reactive(town, 0.5)
    metered.has_kvarh[60, 20] = False
    metered.kvarh[61, 20] *= 2
    history = window(metered, town.months[24], 12, config)

    carried = carried_forward(history, 12)

    at = next(index for index, month in enumerate(carried.months) if month.month == town.months[20].month)
    ratios = carried.kvarh[60:62] / carried.month_kwh()[60:62]
    assert ratios[0] == pytest.approx(np.full(12, 0.5), abs=1e-6)
    assert ratios[1] == pytest.approx(np.where(np.arange(12) == at, 1.0, 0.5), abs=1e-6)
    assert carried.has_kvarh[60:].all()
    assert not carried.has_kvarh[:60].any()


def test_tiers_by_capacity_are_offered_where_the_capacity_is_known(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> None:
    by_capacity = with_components(
        {
            "kind": "energy",
            "name": "Use",
            "tiers": {"basis": "kwh_per_kva", "limits_kwh": [100]},
            "tables": [{"prices": {"all": ["0.2", "0.1"]}}],
        }
    )
    tariffs = [by_capacity]

    situation = build_situation(prepare_features(facts), town, tariffs, DECISION, config)

    assert np.isfinite(price_window(situation, situation.history, {}).amounts[:, 0]).sum() == 30
    (entry,) = not_priced_for(situation, tariffs, 0)
    assert "contract_capacity_kva" in entry.reason


def test_a_demand_for_each_month_is_put_together_from_exact_bills(
    town: LoadCube, facts: pd.DataFrame, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    firms = facts.iloc[60:64].reset_index(drop=True)
    situation = build_situation(prepare_features(firms), town, catalogue.tariffs, DECISION, config)
    bills = price_window(situation, situation.history, {}, with_components=True)
    choice = bills.cheapest_months(situation)
    (number,) = (
        one
        for one in choice
        if situation.columns[one].tariff.tariff_id == "sd_ic_two_10" and situation.is_offered[0, one]
    )

    filled = bills.with_monthly(choice)

    parts = situation.monthly_columns()[number]
    whole_year = np.stack([filled.amounts[:, part] for part in parts])
    assert (filled.amounts[:, number] <= whole_year.min(axis=0) + 1e-9).all()
    by_component = np.sum(list(filled.components[number].values()), axis=0)
    # Each of twelve months has a few components, each rounded to a cent.
    assert np.allclose(by_component, filled.amounts[:, number], atol=0.5)
    for row in range(4):
        load = situation.history.take(np.array([row]))
        again = price_column(situation, number, load, np.array([row]), choice)
        assert np.isclose(again[0], filled.amounts[row, number], atol=1e-6)


def test_only_jurisdictions_of_the_setting_have_a_demand_for_each_month(
    town: LoadCube, facts: pd.DataFrame, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    elsewhere = config.model_copy(update={"monthly_contract_jurisdictions": ("XX",)})
    situation = build_situation(prepare_features(facts), town, catalogue.tariffs, DECISION, elsewhere)
    assert situation.monthly_columns() == {}


def test_a_minimum_of_the_year_leaves_only_demands_for_the_year(
    town: LoadCube, facts: pd.DataFrame, config: TariffMatchingConfig
) -> None:
    contract = {
        "kind": "contracted_demand",
        "name": "Contract",
        "billing_basis": "contracted_demand",
        "tables": [{"price": "35.2"}],
    }
    minimum = {"kind": "minimum", "name": "Minimum", "per": "year", "tables": [{"price": "100"}]}
    free, tied = with_components(contract), with_components(contract, minimum)
    for tariff, count in ((free, 1), (tied, 0)):
        situation = build_situation(prepare_features(facts), town, [tariff], DECISION, config)
        assert len(situation.monthly_columns()) == count
