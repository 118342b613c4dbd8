from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ml.bundle import TrainingResult, read_bundle
from ml.columns import names
from ml.errors import InsufficientDataError, TariffError
from ml.gate import decide
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.evaluation import compare_with_champion
from ml.tariff_matching.gate_policy import GATE_POLICY
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.schema import FEATURES, PREDICTIONS
from ml.tariff_matching.sufficiency import check_sufficiency
from ml.tariff_matching.training import train
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import load_tariff
from ml.wording import METRIC_TITLES, PART_TITLES, SLICE_TITLES


@pytest.fixture(scope="module")
def result(small_result: TrainingResult) -> TrainingResult:
    return small_result


@pytest.fixture(scope="module")
def model(result: TrainingResult) -> TariffMatchingModel:
    assert isinstance(result.model, TariffMatchingModel)
    return result.model


def test_the_advice_captures_more_than_staying(result: TrainingResult) -> None:
    stay = result.evaluation.baseline("stay")
    assert stay is not None
    assert stay.metric.value == 0.0
    assert stay.difference.lower is not None
    assert stay.difference.lower > 0.5


def test_the_attainable_saving_is_never_exceeded(result: TrainingResult) -> None:
    captured = [m.value for m in result.evaluation.metrics if m.name == "captured_saving_share"]
    assert captured
    assert all(value is not None and value <= 1.0 for value in captured)


def test_the_back_test_pays_bills_after_the_decision_only(result: TrainingResult, town: LoadCube) -> None:
    assert "Decided at the end of 2025-09" in result.evaluation.holdout_description
    assert "12 months to 2026-09" in result.evaluation.holdout_description
    assert "4 more months from 2025-03 to 2026-03" in result.evaluation.holdout_description
    assert result.data_window.last_month == town.months[-1]


def test_what_follows_the_decision_does_not_reach_the_advice_of_the_back_test(
    result: TrainingResult, facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    """Doubling everybody's future is a common movement, of which only the size may be learned."""
    later = np.array([month > date(2025, 9, 1) for month in town.months])
    factor = np.where(later, 2, 1)[None, :, None, None]
    doubled = replace(town, kwh=town.kwh * factor, peak_kw=town.peak_kw * factor, _cache={})
    more = train(facts, doubled, catalogue, config=config)
    switched = [next(m.value for m in r.evaluation.metrics if m.name == "switched_share") for r in (result, more)]
    assert switched[0] == pytest.approx(switched[1], abs=0.1)


def test_the_bundle_has_the_same_bytes_for_the_same_data_and_seed(
    result: TrainingResult,
    facts: pd.DataFrame,
    town: LoadCube,
    catalogue: Catalogue,
    config: TariffMatchingConfig,
    tmp_path: Path,
) -> None:
    first = result.write(tmp_path / "first")
    shuffled = facts.sample(frac=1, random_state=5)
    second = train(shuffled, town, catalogue, config=config).write(tmp_path / "second")
    assert first == second
    for name in first.files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_loaded_model_gives_the_same_advice(
    result: TrainingResult, model: TariffMatchingModel, facts: pd.DataFrame, town: LoadCube, tmp_path: Path
) -> None:
    result.write(tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle")
    loaded = TariffMatchingModel.from_files(bundle.estimator_files())
    pd.testing.assert_frame_equal(loaded.predict(facts, town), model.predict(facts, town))
    assert loaded.to_files() == model.to_files()


def test_the_champion_comparison_of_a_model_with_itself_is_a_draw(
    result: TrainingResult, model: TariffMatchingModel, tmp_path: Path
) -> None:
    result.write(tmp_path / "bundle")
    holdout = read_bundle(tmp_path / "bundle").holdout()
    assert holdout is not None
    comparison = compare_with_champion(model, model, holdout, champion_version="202609-0000000000")
    assert comparison.difference.value == 0.0
    assert comparison.challenger.value is not None
    assert comparison.challenger.value > 0.5


def test_the_gate_judges_every_demand(result: TrainingResult) -> None:
    decision = decide(result.evaluation, policy=GATE_POLICY, decided_on=date(2026, 10, 3), has_champion=False)
    assert all(criterion.passed is not None for criterion in decision.criteria)


def test_every_figure_has_a_title(result: TrainingResult) -> None:
    metrics = result.evaluation.metrics
    assert {metric.name for metric in metrics} <= set(METRIC_TITLES)
    assert {metric.slice_column for metric in metrics} <= {None, *SLICE_TITLES}
    assert set(result.rows) <= set(PART_TITLES)


def test_amounts_are_in_the_currency_of_the_tariffs(result: TrainingResult) -> None:
    amounts = [metric for metric in result.evaluation.metrics if metric.name.endswith("_amount")]
    assert {metric.unit for metric in amounts} == {"CNY"}
    assert result.model_card.currency == "CNY"


def test_the_reference_holds_every_feature_and_prediction(result: TrainingResult) -> None:
    assert {*names(FEATURES), *names(PREDICTIONS)} <= set(result.reference.columns)


def test_rows_of_the_mart_and_a_cube_give_the_same_advice(
    model: TariffMatchingModel,
    facts: pd.DataFrame,
    town: LoadCube,
    row_maker: Callable[[LoadCube], pl.DataFrame],
) -> None:
    from_rows = model.predict(facts, row_maker(town))
    pd.testing.assert_frame_equal(from_rows, model.predict(facts, town))


def test_a_history_too_short_for_the_back_test_is_said_in_words(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    short = town.last_months(8)
    report = check_sufficiency(facts, short, catalogue, config=config)
    assert not report.is_sufficient
    assert "The loads span 8 months" in report.sentence()
    with pytest.raises(InsufficientDataError, match="deliver a longer history"):
        train(facts, short, catalogue, config=config)


def test_one_year_is_back_tested_on_its_halves(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    result = train(facts, town.last_months(12), catalogue, config=config)
    assert "on 6 months of readings" in result.evaluation.holdout_description
    assert any("history is short" in note for note in result.evaluation.notes)


def test_customers_without_a_class_are_counted_and_left_out(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    classless = facts.assign(customer_class=facts["customer_class"].where(facts.index > 2, None))

    result = train(classless, town.last_months(12), catalogue, config=config)

    said = "3 customers without customer_class get no advice."
    assert said in result.evaluation.notes
    assert result.evaluation.sufficiency is not None
    assert any(said in finding.message for finding in result.evaluation.sufficiency.findings)
    assert result.holdout is not None
    assert not set(classless["customer_key"].head(3)) & set(result.holdout["customer_key"])
    assert set(classless["customer_key"].head(3)) < set(result.reference["customer_key"])


def test_nobody_with_a_class_is_said_in_words(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    report = check_sufficiency(facts.assign(customer_class=None), town, catalogue, config=config)

    assert f"{len(facts)} customers without customer_class get no advice" in report.sentence()
    assert [finding.check for finding in report.missing] == ["customers"]


def test_tariffs_in_several_currencies_are_refused(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    foreign = catalogue.tariffs[0].model_copy(update={"tariff_id": "foreign", "currency": "EUR"})
    with pytest.raises(TariffError, match="tariffs in CNY and EUR cannot be compared"):
        train(facts, town, [*catalogue.tariffs, foreign], config=config)


def test_no_load_at_all_is_said_in_words(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, row_maker: Callable[[LoadCube], pl.DataFrame]
) -> None:
    report = check_sufficiency(facts, row_maker(town).head(0), catalogue)
    assert "There are no interval loads" in report.sentence()


def test_a_tariff_with_interval_prices_joins_when_its_bills_are_given(
    town_maker: Callable[..., LoadCube], fact_maker: Callable[..., pd.DataFrame], config: TariffMatchingConfig
) -> None:
    """A year of London: a flat tariff, and one whose price changes every half hour."""
    loads = town_maker(residential_count=40, business_count=0, months_count=12)
    common = {
        "version": "1",
        "valid_from": "2024-01-01",
        "valid_to": "2025-12-31",
        "currency": "GBP",
        "verified": True,
        "eligibility": {"customer_classes": ["residential"]},
    }
    flat = load_tariff(
        {
            **common,
            "tariff_id": "flat",
            "name": "Flat",
            "components": [{"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": "0.14228"}}]}],
        }
    )
    dynamic = load_tariff(
        {
            **common,
            "tariff_id": "dynamic",
            "name": "Dynamic",
            "components": [
                {"kind": "energy_series", "name": "Energy", "series": "dtou", "bands": {"High": "0.672", "Low": "0.04"}}
            ],
        }
    )
    rows = fact_maker(loads).assign(tariff_id="flat")
    without = check_sufficiency(rows, loads, [flat, dynamic], config=config)
    assert "no bills from interval readings were given" in without.sentence()
    month_kwh = loads.month_kwh() / 1e4
    customer, month = np.indices(month_kwh.shape)
    mean_price = np.where(np.arange(len(loads)) % 2 == 0, 0.11, 0.17)
    amounts = pd.DataFrame(
        {
            "customer_key": loads.customer_keys[customer.ravel()],
            "month": [loads.months[index] for index in month.ravel()],
            "tariff_id": "dynamic",
            "amount": (month_kwh * mean_price[:, None]).round(2).ravel(),
        }
    )
    result = train(rows, loads, [flat, dynamic], config=config, interval_amounts=amounts)
    assert isinstance(result.model, TariffMatchingModel)
    advice = result.model.predict(rows, loads, interval_amounts=amounts)
    assert advice["recommended_tariff_id"].tolist() == ["dynamic", "flat"] * 20
    unpriced = result.model.advise(rows.head(1), loads)[0]
    assert [entry.tariff_id for entry in unpriced.not_priced] == ["dynamic"]
    assert "interval" in unpriced.not_priced[0].reason


def test_fewer_customers_than_a_forecast_has_neighbours_are_enough(
    facts: pd.DataFrame, town: LoadCube, catalogue: Catalogue, config: TariffMatchingConfig
) -> None:
    few = facts[facts["customer_key"].isin(sorted(facts["customer_key"].unique())[::3][:30])]
    cube = town.take(few["customer_key"].drop_duplicates().to_numpy(dtype=object))
    many_neighbours = config.model_copy(update={"neighbours_count": 50, "origin_neighbours_count": 15})

    result = train(few, cube, catalogue, config=many_neighbours)

    assert result.evaluation.key_metric.value is not None


def test_power_factors_are_learned_from_advised_and_compared_with_metered_reactive_energy(
    town_maker: Callable[..., LoadCube], fact_maker: Callable[..., pd.DataFrame], config: TariffMatchingConfig
) -> None:
    """Half of the firms have no reactive meter: today's tariff cannot be priced for them alone."""
    firms = town_maker(residential_count=0, business_count=80, months_count=14)
    has_kvarh = np.broadcast_to((np.arange(80) % 2 == 0)[:, None], firms.present.shape).copy()
    metered = replace(firms, kvarh=firms.month_kwh() * 3 // 4 * has_kvarh, has_kvarh=has_kvarh, _cache={})
    energy = {"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": "0.6"}}]}
    reactive = {"kind": "power_factor", "name": "Power factor", "standard": "0.90", "base": ["Energy"]}
    tariffs = [
        load_tariff(
            {
                "tariff_id": name,
                "version": "1",
                "name": name,
                "valid_from": "2024-01-01",
                "currency": "CNY",
                "verified": True,
                "components": components,
            }
        )
        for name, components in (("with_factor", [energy, reactive]), ("without_factor", [energy]))
    ]
    facts = fact_maker(metered).assign(tariff_id="with_factor", billing_basis=None)

    result = train(facts, metered, tariffs, config=config)

    model, holdout = result.model, result.holdout
    assert isinstance(model, TariffMatchingModel)
    assert holdout is not None
    assert result.rows["judged"] == 40
    comparison = compare_with_champion(model, model, holdout, champion_version="202609-0000000000")
    assert comparison.challenger.value == pytest.approx(1.0)
    with_meter, without = model.advise(facts.head(2), metered)
    assert with_meter.prediction["recommended_tariff_id"] == "without_factor"
    assert {line.component for line in with_meter.breakdown} == {"Energy", "Power factor"}
    assert with_meter.prediction["expected_saving_amount"] == pytest.approx(
        0.05 * next(one.expected_amount for one in with_meter.alternatives if one.is_recommended), rel=0.01
    )
    assert without.reason.startswith("Today's tariff cannot be priced for this customer")
    assert "kvarh" in without.not_priced[0].reason
