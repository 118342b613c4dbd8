from datetime import date

import numpy as np
import pandas as pd

from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import prepare_features
from ml.tariff_matching.offers import build_situation, not_priced_for, price_column, price_window
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
