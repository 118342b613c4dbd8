import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BundleError, SchemaMismatchError
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import window
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.training import train
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube


@pytest.fixture(scope="module")
def model(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> TariffMatchingModel:
    trained = train(facts, town, catalogue, config=config).model
    assert isinstance(trained, TariffMatchingModel)
    return trained


@pytest.fixture(scope="module")
def batch(model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube) -> pd.DataFrame:
    return model.predict(facts, town)


@settings(max_examples=15, deadline=None)
@given(row=st.integers(min_value=0, max_value=89))
def test_one_customer_gets_the_same_advice_as_in_the_batch(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, batch: pd.DataFrame, row: int
) -> None:
    single = model.predict(facts.iloc[[row]], town.take(np.array([row])))
    pd.testing.assert_frame_equal(single, batch.iloc[[row]])


def test_the_advice_does_not_depend_on_the_order_of_customers(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, batch: pd.DataFrame
) -> None:
    shuffled = facts.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(model.predict(shuffled, town).sort_index(), batch)


def test_past_amounts_are_exact_bills(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    home = facts.head(1)
    advice = model.advise(home, town)[0]
    year = window(town, town.months[-1], 12, config).take(np.array([0]))
    for alternative in advice.alternatives:
        tariff = catalogue.get(alternative.tariff_id)
        bill = price_cube(tariff, year, CustomerTable.from_frame(home))
        assert alternative.past_amount == pytest.approx(bill.sum_units[0] / 100, abs=1e-9)
        assert sum(alternative.components.values()) == pytest.approx(alternative.past_amount)


def test_the_recommended_offer_has_the_lowest_expected_bill_when_a_change_is_advised(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    switched = 0
    for advice in model.advise(facts, town):
        recommended = next(one for one in advice.alternatives if one.is_recommended)
        if not advice.prediction["is_switch_recommended"]:
            assert recommended.is_current
            continue
        switched += 1
        assert recommended.expected_amount == min(one.expected_amount for one in advice.alternatives)
        assert recommended.saving_lower_amount <= recommended.expected_saving_amount <= recommended.saving_upper_amount
        assert recommended.saving_probability >= model.config.minimum_probability
    assert switched > 10


def test_every_offer_that_is_not_advised_says_why(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue
) -> None:
    for advice in model.advise(facts.iloc[[0, 70]], town):
        assert all(one.why_not and one.why_not_zh for one in advice.alternatives if not one.is_recommended)
        mentioned = {one.tariff_id for one in advice.alternatives} | {one.tariff_id for one in advice.not_priced}
        assert mentioned == {tariff.tariff_id for tariff in catalogue.tariffs}
        assert all(entry.reason for entry in advice.not_priced)
        json.dumps(advice.to_dict(), allow_nan=False)


def test_a_firm_is_compared_on_every_billing_basis_and_several_contracted_demands(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    advice = model.advise(facts.iloc[[70]], town)[0]
    bases = [one.options.get("billing_basis") for one in advice.alternatives if one.tariff_id == "sd_ic_two_10"]
    assert {"capacity", "contracted_demand", "actual_demand"} <= set(bases)
    assert bases.count("contracted_demand") == len(model.config.contracted_levels)


def test_a_customer_without_readings_is_advised_to_stay(model: TariffMatchingModel, facts: pd.DataFrame) -> None:
    for cube in (None,):
        prediction = model.predict(facts.head(2), cube)
        assert not prediction["is_switch_recommended"].any()
        assert prediction["recommended_tariff_id"].tolist() == ["sd_res_tier", "sd_res_tier"]
        assert prediction["expected_saving_amount"].isna().all()
    advice = model.advise(facts.head(1), None)[0]
    assert "No interval readings" in advice.reason
    assert advice.alternatives == ()


def test_a_customer_without_readings_changes_nothing_for_the_others(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, batch: pd.DataFrame
) -> None:
    without = town.take(np.arange(1, len(town)))
    prediction = model.predict(facts, without)
    pd.testing.assert_frame_equal(prediction.iloc[1:], batch.iloc[1:])
    assert np.isnan(prediction["expected_saving_amount"].iloc[0])


def test_an_unknown_tariff_of_today_gives_no_saving(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    rows = facts.head(1).assign(tariff_id="somebody_elses")
    prediction = model.predict(rows, town).iloc[0]
    assert not prediction["is_switch_recommended"]
    assert np.isnan(prediction["expected_saving_amount"])
    assert prediction["recommended_annual_amount"] > 0
    assert "not in the catalogue" in model.advise(rows, town)[0].reason


def test_a_customer_who_uses_nothing_stays(
    model: TariffMatchingModel,
    town_maker: Callable[..., LoadCube],
    fact_maker: Callable[..., pd.DataFrame],
) -> None:
    town = town_maker(residential_count=3, business_count=0)
    town.kwh[1] = 0
    town.peak_kw[1] = 0
    prediction = model.predict(fact_maker(town), town).iloc[1]
    assert not prediction["is_switch_recommended"]
    assert prediction["current_annual_amount"] == 0.0


def test_high_demands_on_the_evidence_turn_all_advice_into_staying(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    strict = model.config.model_copy(update={"minimum_saving_amount": 1e12})
    cautious = TariffMatchingModel(strict, model.tariffs, model.forecast)
    prediction = cautious.predict(facts, town)
    assert not prediction["is_switch_recommended"].any()
    assert (prediction["recommended_tariff_id"] == prediction["current_tariff_id"]).all()


def test_a_missing_column_is_named(model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube) -> None:
    with pytest.raises(SchemaMismatchError, match="supply_route"):
        model.predict(facts.drop(columns="supply_route"), town)


def test_an_unknown_class_is_named(model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube) -> None:
    with pytest.raises(SchemaMismatchError, match="customer_class holds palace"):
        model.predict(facts.head(1).assign(customer_class="palace"), town)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_customer_without_a_class_gets_no_advice_and_changes_no_other(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, missing: object
) -> None:
    features = facts.copy()
    features["customer_class"] = features["customer_class"].astype(object)
    features.loc[features.index[0], "customer_class"] = missing

    predictions = model.predict(features, town)
    advice = model.advise(features.head(1), town)[0]

    pd.testing.assert_frame_equal(predictions.iloc[1:], model.predict(facts, town).iloc[1:])
    first = predictions.iloc[0]
    assert first["recommended_tariff_id"] == first["current_tariff_id"] == "sd_res_tier"
    assert not first["is_switch_recommended"]
    assert first[["current_annual_amount", "expected_saving_amount", "saving_probability"]].isna().all()
    assert advice.reason == (
        "No advice: which tariffs are open depends on the customer's class, and customer_class is missing; deliver it."
    )
    assert "customer_class" in advice.reason_zh
    assert advice.alternatives == ()
    assert {entry.reason for entry in advice.not_priced} == {"customer_class is missing"}


def test_an_incomplete_bundle_is_refused(model: TariffMatchingModel) -> None:
    files = model.to_files()
    with pytest.raises(BundleError, match=r"forecast\.npz"):
        TariffMatchingModel.from_files({name: data for name, data in files.items() if name != "forecast.npz"})
    with pytest.raises(BundleError, match="cannot be read"):
        TariffMatchingModel.from_files({**files, "forecast.npz": b"not an archive"})
