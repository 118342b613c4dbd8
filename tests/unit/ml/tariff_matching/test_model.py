import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bundle import TrainingResult
from ml.errors import BundleError, InsufficientDataError, SchemaMismatchError
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import window
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube


@pytest.fixture(scope="module")
def model(small_result: TrainingResult) -> TariffMatchingModel:
    assert isinstance(small_result.model, TariffMatchingModel)
    return small_result.model


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


def test_the_expected_saving_is_the_difference_of_the_expected_bills(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    for entry in model.advise(facts.iloc[[0, 1, 60, 61]], town):
        today = next(one for one in entry.alternatives if one.is_current)
        for one in entry.alternatives:
            assert one.expected_saving_amount == pytest.approx(today.expected_amount - one.expected_amount, abs=0.011)


def test_a_firm_is_compared_on_every_billing_basis_and_several_contracted_demands(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    advice = model.advise(facts.iloc[[70]], town)[0]
    bases = [one.options.get("billing_basis") for one in advice.alternatives if one.tariff_id == "sd_ic_two_10"]
    assert {"capacity", "contracted_demand", "actual_demand"} <= set(bases)
    # Demands of the whole year, and one for each month.
    assert bases.count("contracted_demand") == len(model.config.contracted_levels) + 1
    by_month = [
        one.options["contracted_kw_by_month"]
        for one in advice.alternatives
        if len(one.options) == 2 and "contracted_kw_by_month" in one.options
    ]
    assert len(by_month) == 1
    assert len(by_month[0]) == 12


def test_a_customer_without_readings_is_estimated_from_similar_customers_and_marked(
    model: TariffMatchingModel, facts: pd.DataFrame, batch: pd.DataFrame
) -> None:
    known = facts.head(1)
    nothing_known = known.assign(annual_kwh=np.nan, observed_months_count=0.0, summer_ratio=np.nan, winter_ratio=np.nan)
    by_energy = model.advise(known, None)[0]
    by_class = model.advise(nothing_known, None)[0]
    assert by_energy.prediction["load_basis"] == "annual_energy"
    assert by_class.prediction["load_basis"] == "class_only"
    assert by_energy.observed_months_count == by_class.observed_months_count == 0
    assert "estimated" in by_energy.reason
    assert batch["load_basis"].iloc[0] == "readings"
    # The less is known, the wider the interval of the bill.
    assert by_energy.bill is not None
    assert by_class.bill is not None
    assert by_energy.bill.upper_amount - by_energy.bill.lower_amount < (
        by_class.bill.upper_amount - by_class.bill.lower_amount
    )


def test_the_estimate_has_the_customers_own_energy(model: TariffMatchingModel, facts: pd.DataFrame) -> None:
    flat = model.advise(facts.head(1).assign(annual_kwh=2_400.0, tariff_id="sd_res_tier"), None)[0]
    current = next(one for one in flat.alternatives if one.is_current)
    # 2,400 kWh lie in the first block of 2,520 kWh a year.
    assert current.past_amount == pytest.approx(2_400 * 0.5469, rel=1e-3)


def test_a_customer_without_readings_changes_nothing_for_the_others(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, batch: pd.DataFrame
) -> None:
    without = town.take(np.arange(1, len(town)))
    prediction = model.predict(facts, without)
    pd.testing.assert_frame_equal(prediction.iloc[1:], batch.iloc[1:])
    assert prediction["load_basis"].iloc[0] == "annual_energy"


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


def test_an_infinite_or_negative_energy_is_refused_with_the_customer(
    model: TariffMatchingModel, facts: pd.DataFrame
) -> None:
    for value in (np.inf, -5.0):
        with pytest.raises(SchemaMismatchError, match="annual_kwh of customer home-0000 is"):
            model.predict(facts.head(1).assign(annual_kwh=value), None)


def test_a_reading_that_is_not_a_number_is_refused_with_its_row(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, row_maker: Callable[[LoadCube], pl.DataFrame]
) -> None:
    rows = row_maker(town.take(np.array([0])))
    broken = rows.with_columns(kwh=pl.when(pl.col("slot") == 3).then(float("nan")).otherwise(pl.col("kwh")))
    with pytest.raises(SchemaMismatchError, match="row 3: kwh of customer home-0000 in 2024-09-01, slot 3, is nan"):
        model.predict(facts.head(1), broken)


@pytest.mark.parametrize(("read", "said"), [(12, "12 months of readings."), (7, "the 5 others are taken as")])
def test_months_that_were_not_read_are_estimated_and_counted(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, read: int, said: str
) -> None:
    own = town.take(np.array([0]))
    present = own.present.copy()
    present[0, 13 : 13 + 12 - read] = False
    advice = model.advise(facts.head(1), replace(own, present=present, _cache={}))[0]
    assert advice.observed_months_count == read
    assert said in advice.reason


def test_a_constant_load_is_priced_exactly(model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube) -> None:
    own = town.take(np.array([0]))
    days = np.array([21, 8, 1])[None, None, :, None]
    constant = replace(
        own, kwh=np.zeros_like(own.kwh) + 1_000 * days, peak_kw=np.full_like(own.peak_kw, 1_000), _cache={}
    )
    advice = model.advise(facts.head(1), constant)[0]
    current = next(one for one in advice.alternatives if one.is_current)
    # 0.1 kWh an hour on 30 days a month: 864 kWh a year, all in the first block.
    assert current.past_amount == pytest.approx(864 * 0.5469, abs=0.05)
    share = next(one for one in advice.break_evens if one.lever == "cheap_hours_share")
    # Ten hours of the night in seven months, twelve from November to March; the forecast may move some of it.
    assert share.value_now == pytest.approx((7 * 10 + 5 * 12) / 12 / 24, abs=0.02)


def test_the_breakdown_adds_up_to_both_past_bills(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    for advice in model.advise(facts.iloc[[0, 61, 75]], town):
        current = next(one for one in advice.alternatives if one.is_current)
        compared = next(
            one
            for one in advice.alternatives
            if one.tariff_id == advice.compared_tariff_id
            and (one.is_recommended or not advice.prediction["is_switch_recommended"])
            and not one.is_current
        )
        assert sum(line.now_amount for line in advice.breakdown) == pytest.approx(current.past_amount, abs=0.05)
        assert sum(line.proposed_amount for line in advice.breakdown) == pytest.approx(compared.past_amount, abs=0.05)


def test_the_response_to_prices_stands_beside_the_advice_and_zero_leaves_it_out(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    without = TariffMatchingModel(
        model.config.model_copy(update={"response_set": "zero"}), model.tariffs, model.forecast
    )
    with_response, plain = (one.advise(facts.head(1), town)[0] for one in (model, without))
    assert plain.response is None
    assert with_response.response is not None
    assert with_response.response.sources
    assert with_response.prediction == plain.prediction
    assert with_response.alternatives == plain.alternatives


def test_a_demand_for_each_month_is_never_dearer_than_one_for_the_year(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    """A whole-year demand is a plan with twelve equal months, so the best plan costs at most as much."""
    for advice in model.advise(facts.iloc[60:66], town):
        contracted = [one for one in advice.alternatives if one.options.get("billing_basis") == "contracted_demand"]
        by_month = [one.expected_amount for one in contracted if "contracted_kw_by_month" in one.options]
        whole_year = [one.expected_amount for one in contracted if "contracted_kw" in one.options]
        assert len(by_month) == 1
        assert by_month[0] <= min(whole_year) + 0.01


def test_a_month_for_which_no_tariff_has_prices_is_named(
    model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube
) -> None:
    long_ago = facts.head(1).assign(as_of_month=pd.Timestamp("1995-06-01"))

    with pytest.raises(InsufficientDataError, match="no tariff can be priced for the year up to 1995-06"):
        model.advise(long_ago, town)


def test_an_incomplete_bundle_is_refused(model: TariffMatchingModel) -> None:
    files = model.to_files()
    with pytest.raises(BundleError, match=r"forecast\.npz"):
        TariffMatchingModel.from_files({name: data for name, data in files.items() if name != "forecast.npz"})
    with pytest.raises(BundleError, match="cannot be read"):
        TariffMatchingModel.from_files({**files, "forecast.npz": b"not an archive"})
