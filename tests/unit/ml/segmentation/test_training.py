from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult, read_bundle
from ml.columns import names
from ml.errors import InsufficientDataError, SchemaMismatchError
from ml.gate import decide
from ml.segmentation import training
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.evaluation import agreement, compare_with_champion
from ml.segmentation.features import prepare_features
from ml.segmentation.gate_policy import GATE_POLICY
from ml.segmentation.model import SegmentationModel
from ml.segmentation.predecessor import Predecessor
from ml.segmentation.schema import FEATURES, HOUR_COLUMNS, PREDICTIONS, SEASON_BLOCKS, SHAPE_COLUMNS
from ml.segmentation.sufficiency import check_sufficiency
from ml.segmentation.training import train
from ml.wording import METRIC_TITLES, PART_TITLES, SLICE_TITLES


@pytest.fixture(scope="module")
def result(features: pd.DataFrame, small_config: SegmentationConfig) -> TrainingResult:
    return train(features, config=small_config)


@pytest.fixture(scope="module")
def model(result: TrainingResult) -> SegmentationModel:
    assert isinstance(result.model, SegmentationModel)
    return result.model


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take much of a training, and what is tried does not depend on them."""
    monkeypatch.setattr(training, "_plots", lambda *_: {})


def _types(features: pd.DataFrame) -> pd.Series:
    return features["customer_key"].str.rsplit("-", n=1).str[0]


def test_the_known_types_are_found(model: SegmentationModel, features: pd.DataFrame) -> None:
    latest = features[features["as_of_month"] == features["as_of_month"].max()]
    assert agreement(_types(latest).tolist(), model.predict(latest)["segment_id"].tolist()) > 0.99


def test_names_say_what_the_types_are(model: SegmentationModel) -> None:
    tags = {segment.tags[0] for segment in model.segments if segment.centre}
    assert tags == {"evening_peak", "daytime_home", "night_use", "day_shift", "round_the_clock", "evening_trade"}
    segment_names = [segment.name for segment in model.segments]
    assert len(set(segment_names)) == len(segment_names)
    assert len({segment.name_zh for segment in model.segments}) == len(segment_names)


def test_every_segment_says_what_to_do(model: SegmentationModel) -> None:
    for segment in model.segments:
        assert segment.description
        assert segment.description_zh
        assert segment.offer
        assert segment.offer_zh
        assert segment.avoid
        assert segment.avoid_zh


def test_a_good_division_passes_the_gate(result: TrainingResult) -> None:
    decision = decide(result.evaluation, policy=GATE_POLICY, decided_on=date(2026, 1, 5), has_champion=False)
    assert decision.approved, decision.reason


@pytest.mark.usefixtures("without_plots")
def test_shapes_without_structure_are_not_released(
    feature_rows: Callable[..., pd.DataFrame], small_config: SegmentationConfig
) -> None:
    rows = feature_rows(customers_per_type_count=15, months_count=4)
    shape_columns = [name for name in names(FEATURES) if "_shape_" in name]
    rng = np.random.default_rng(0)
    rows[shape_columns] = rng.uniform(0.5, 1.5, (len(rows), 48))
    result = train(rows, config=small_config)
    decision = decide(result.evaluation, policy=GATE_POLICY, decided_on=date(2026, 1, 5), has_champion=False)
    assert not decision.approved


def test_the_bundle_has_the_same_bytes_whatever_the_order_of_the_rows(
    result: TrainingResult, features: pd.DataFrame, small_config: SegmentationConfig, tmp_path: Path
) -> None:
    first = result.write(tmp_path / "first")
    second = train(features.sample(frac=1, random_state=3), config=small_config).write(tmp_path / "second")
    assert first == second


@pytest.mark.usefixtures("without_plots")
def test_another_seed_finds_the_same_segments(
    model: SegmentationModel, features: pd.DataFrame, small_config: SegmentationConfig
) -> None:
    other = train(features, config=small_config, seed=99).model
    assert isinstance(other, SegmentationModel)
    assert (
        agreement(model.predict(features)["segment_id"].tolist(), other.predict(features)["segment_id"].tolist()) > 0.99
    )


@pytest.mark.usefixtures("without_plots")
def test_identifiers_and_names_continue_in_the_next_release(
    model: SegmentationModel, feature_rows: Callable[..., pd.DataFrame], small_config: SegmentationConfig
) -> None:
    grown = feature_rows(customers_per_type_count=30, months_count=4, seed=8)
    # The night type disappears and the evening type becomes the smallest.
    kept = grown[~grown["customer_key"].str.startswith("night") & ~grown["customer_key"].str.match("evening-00[12]")]
    config = small_config.model_copy(update={"residential_segments_min_count": 2})
    later = train(kept, config=config, previous_model=model).model
    assert isinstance(later, SegmentationModel)
    before = {segment.tags[0]: segment for segment in model.segments if segment.centre}
    after = {segment.tags[0]: segment for segment in later.segments if segment.centre}
    assert set(before) - set(after) == {"night_use"}
    assert later.succession is not None
    assert later.succession.vanished == {before["night_use"].segment_id: before["night_use"].name}
    for tag, segment in after.items():
        assert (segment.segment_id, segment.name, segment.name_zh) == (
            before[tag].segment_id,
            before[tag].name,
            before[tag].name_zh,
        )


@pytest.mark.usefixtures("without_plots")
def test_identifiers_and_names_last_six_monthly_retrains_of_drifting_customers(
    feature_rows: Callable[..., pd.DataFrame], small_config: SegmentationConfig
) -> None:
    rows = feature_rows(customers_per_type_count=12, months_count=10, noise=0.2, seed=5)
    months = sorted(rows["as_of_month"].unique())
    elapsed = rows["as_of_month"].map(months.index).to_numpy()
    evenings = rows["customer_key"].str.startswith("evening-").to_numpy()
    # The summer ratio of one type wanders around the limit of its tag, and its peak is worn down by a fifth.
    rows.loc[evenings, "summer_ratio"] = 1.24 + 0.03 * np.sin(elapsed[evenings] * 2.0)
    peak = [f"weekday_shape_{hour:02d}" for hour in (19, 20, 21)]
    rows.loc[evenings, peak] *= (1 - 0.02 * elapsed[evenings])[:, None]
    # The number of segments is given, because what is tried here is what becomes of their names.
    given = {f"{group}_segments_{end}_count": 3 for group in ("residential", "business") for end in ("min", "max")}
    config = small_config.model_copy(update={**given, "kmeans_starts_count": 2, "bootstrap_runs_count": 50})
    released: list[SegmentationModel] = []
    for window in range(4, len(months) + 1):
        known = rows[rows["as_of_month"].isin(months[:window])]
        previous = released[-1] if released else None
        result = train(known, config=config, seed=100 + window, previous_model=previous)
        assert isinstance(result.model, SegmentationModel)
        released.append(result.model)
    assert len(released) == 7
    names = [{one.segment_id: (one.name, one.name_zh) for one in model.segments} for model in released]
    assert all(later == names[0] for later in names[1:])
    assert all(model.succession and model.succession.sentences == () for model in released[1:])
    tables = {table.name: table for table in result.evaluation.tables}
    customers_count = rows["customer_key"].nunique()
    assert sum(int(row[6] or 0) for row in tables["succession"].rows) == customers_count
    assert sum(int(row[1] or 0) for row in tables["confidence"].rows) == customers_count
    assert {metric.name for metric in result.evaluation.metrics} <= set(METRIC_TITLES)


@pytest.mark.usefixtures("without_plots")
def test_the_number_of_a_retired_segment_is_not_used_again(
    model: SegmentationModel, features: pd.DataFrame, small_config: SegmentationConfig
) -> None:
    retired = model.model_copy(
        update={"segments": tuple(segment for segment in model.segments if segment.segment_id != "R1")}
    )
    later = train(features, config=small_config, previous_model=retired).model
    assert isinstance(later, SegmentationModel)
    assert {segment.segment_id for segment in later.segments if segment.group == "R"} == {"R0", "R2", "R3", "R4"}


@pytest.mark.usefixtures("without_plots")
def test_no_release_uses_a_number_that_another_one_used(
    features: pd.DataFrame, small_config: SegmentationConfig
) -> None:
    # After a rollback the served model does not know the numbers of the release that was taken back.
    later = train(features, config=small_config, used_numbers={"R": 9}).model
    assert isinstance(later, SegmentationModel)
    assert [one.segment_id for one in later.shaped_segments("R")] == ["R10", "R11", "R12"]
    assert [one.segment_id for one in later.shaped_segments("B")] == ["B1", "B2", "B3"]
    assert later.last_numbers == {"R": 12, "B": 3}


@pytest.mark.usefixtures("without_plots")
def test_without_a_model_to_ask_identifiers_follow_what_customers_were_told(
    model: SegmentationModel,
    features: pd.DataFrame,
    small_config: SegmentationConfig,
) -> None:
    latest = features[features["as_of_month"] == features["as_of_month"].max()]
    told = model.predict(latest)
    # R1 is called R7 there, so that nothing continues by chance; of some customers nothing was told.
    told["segment_id"] = told["segment_id"].replace({"R1": "R7"})
    result = train(features, config=small_config, previous_segments=told.iloc[::2])
    assert isinstance(result.model, SegmentationModel)
    expected = dict.fromkeys(["R7" if one.segment_id == "R1" else one.segment_id for one in model.segments])
    assert {one.segment_id for one in result.model.segments} == set(expected)
    assert result.model.last_numbers == {"R": 7, "B": 3}
    by_id = {one.segment_id: one for one in model.segments}
    for one in result.model.shaped_segments("R"):
        assert one.name == by_id["R1" if one.segment_id == "R7" else one.segment_id].name
    assert result.model.succession is not None
    assert result.model.succession.sentences == ()
    assert Predecessor.of(prepare_features(latest), None, told.head(0)) is None


def test_the_champion_comparison_prefers_the_model_that_fits(
    result: TrainingResult, model: SegmentationModel, tmp_path: Path
) -> None:
    result.write(tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle")
    holdout = bundle.holdout()
    assert holdout is not None
    loaded = SegmentationModel.from_files(bundle.estimator_files())
    assert loaded == model
    flat = tuple(
        segment.model_copy(update={"centre": tuple([1.0] * 48 + [0.0] * 17)}) if segment.centre else segment
        for segment in model.segments
    )
    worse = compare_with_champion(
        model, model.model_copy(update={"segments": flat}), holdout, champion_version="202501-0000000000"
    )
    assert worse.difference.lower is not None
    assert worse.difference.lower > 0
    same = compare_with_champion(model, model, holdout, champion_version="202501-0000000000")
    assert same.difference.value == pytest.approx(0.0, abs=0.01)


def test_every_figure_has_a_title(result: TrainingResult) -> None:
    metrics = result.evaluation.metrics
    assert {metric.name for metric in metrics} <= set(METRIC_TITLES)
    assert {metric.slice_column for metric in metrics} <= {None, *SLICE_TITLES}
    assert set(result.rows) <= set(PART_TITLES)


def test_the_reference_holds_every_feature_and_prediction(result: TrainingResult) -> None:
    assert {*names(FEATURES), *names(PREDICTIONS)} <= set(result.reference.columns)


def test_one_as_of_month_is_said_to_be_too_few(features: pd.DataFrame, small_config: SegmentationConfig) -> None:
    only = features[features["as_of_month"] == features["as_of_month"].max()]
    report = check_sufficiency(only, small_config)
    assert [finding.check for finding in report.missing] == ["later_window"]
    with pytest.raises(InsufficientDataError, match="deliver a longer history"):
        train(only, config=small_config)


def test_few_customers_are_said_to_be_too_few(features: pd.DataFrame) -> None:
    few = features[features["customer_key"].str.endswith("0001")]
    assert "3 residential and 3 business customers have a load shape" in check_sufficiency(few).sentence()


@pytest.mark.usefixtures("without_plots")
def test_customers_without_a_class_are_counted_and_keep_no_other_out(
    features: pd.DataFrame, small_config: SegmentationConfig
) -> None:
    classless = features.copy()
    classless["customer_class"] = classless["customer_class"].where(classless["customer_key"] != "night-0000", None)

    result = train(classless, config=small_config)

    assert any("1 customers have no customer_class" in note for note in result.evaluation.notes)
    reference = result.reference.set_index("customer_key")["segment_id"]
    assert set(reference["night-0000"]) == {"unknown"}
    assert "unknown" not in set(reference.drop("night-0000"))


@pytest.mark.parametrize(
    "all_have",
    [
        pytest.param({"observed_days_count": 14.0}, id="two weeks of readings"),
        pytest.param({"annual_kwh": 0.0, "mean_daily_kwh": 0.0}, id="no use at all"),
    ],
)
def test_what_is_unusable_of_everybody_is_said_to_be_too_little(
    features: pd.DataFrame, small_config: SegmentationConfig, all_have: dict[str, float]
) -> None:
    unusable = features.assign(**all_have)
    assert "0 residential and 0 business customers have a load shape" in check_sufficiency(unusable).sentence()
    with pytest.raises(InsufficientDataError, match="0 residential and 0 business customers"):
        train(unusable, config=small_config)


def test_no_customers_are_said_to_be_none(features: pd.DataFrame) -> None:
    assert "There are no customers with interval readings" in check_sufficiency(features.head(0)).sentence()


def test_daily_readings_are_said_to_hold_no_shape(features: pd.DataFrame) -> None:
    daily = features.copy()
    shape_columns = [name for name in names(FEATURES) if "_shape_" in name]
    daily[shape_columns] = 0.0
    daily[["weekday_shape_00", "weekend_shape_00"]] = 24.0
    assert "read once a day" in check_sufficiency(daily).sentence()


def test_a_group_with_too_few_customers_is_answered_unknown(
    feature_rows: Callable[..., pd.DataFrame], small_config: SegmentationConfig
) -> None:
    rows = feature_rows(customers_per_type_count=20, months_count=4)
    few_firms = rows[~rows["customer_key"].str.match(r"(shift|always|evening_shop)-00(0[3-9]|1)")]
    result = train(few_firms, config=small_config)
    assert isinstance(result.model, SegmentationModel)
    predictions = result.model.predict(few_firms)
    is_home = (few_firms["customer_class"] == "residential").to_numpy()
    assert (predictions.loc[~is_home, "segment_id"] == "unknown").all()
    assert (predictions.loc[is_home, "segment_id"] != "unknown").all()


def _without_hours(features: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as daily readings would give them: two kinds of year instead of shapes by hour."""
    daily = features.copy()
    daily[[column.name for column in (*HOUR_COLUMNS, *SEASON_BLOCKS)]] = np.nan
    is_heated = daily["customer_key"].str.match("evening|shift").to_numpy()
    rng = np.random.default_rng(2)
    daily["winter_level_shift"] = np.where(is_heated, 0.9, 0.0) + rng.normal(0, 0.04, len(daily))
    return daily


def test_customers_with_daily_readings_have_segments_of_their_own(
    feature_rows: Callable[..., pd.DataFrame], small_config: SegmentationConfig
) -> None:
    hourly = feature_rows(customers_per_type_count=20, months_count=4)
    daily = _without_hours(hourly[hourly["customer_class"] == "residential"])
    daily["customer_key"] = "daily-" + daily["customer_key"]
    rows = pd.concat([hourly, daily], ignore_index=True)

    result = train(rows, config=small_config)

    assert isinstance(result.model, SegmentationModel)
    segments = result.model.predict(rows)["segment_id"]
    has_hours = rows["weekday_shape_00"].notna()
    assert set(segments[~has_hours]) == {"RD1", "RD2", "RD3"}
    assert set(segments[has_hours].str[:2]).isdisjoint({"RD"})
    names_by_id = {segment.segment_id: segment for segment in result.model.segments}
    daily_segments = [names_by_id[key] for key in ("RD1", "RD2", "RD3")]
    assert {segment.tags[0] for segment in daily_segments} == {"winter_heavy", "summer_heavy", "even_year"}
    assert all("peak" not in segment.description for segment in daily_segments)
    assert agreement(segments[~has_hours].tolist(), _types(rows[~has_hours]).tolist()) > 0.99
    assert "shapes_residential_with_daily_readings.png" in result.plots


@pytest.mark.usefixtures("without_plots")
def test_daily_readings_alone_suffice(features: pd.DataFrame, small_config: SegmentationConfig) -> None:
    daily = _without_hours(features)
    result = train(daily, config=small_config)
    assert isinstance(result.model, SegmentationModel)
    assert result.evaluation.key_metric is not None
    assert result.evaluation.key_metric.value is not None
    assert result.evaluation.key_metric.value > 0.8
    assert {segment.group for segment in result.model.segments if segment.centre} == {"RD", "BD"}


@pytest.mark.usefixtures("without_plots")
def test_a_season_that_nobody_has_seen_speaks_for_no_segment(
    features: pd.DataFrame, small_config: SegmentationConfig, model: SegmentationModel
) -> None:
    no_winter = features.copy()
    no_winter[[name for name in names(SHAPE_COLUMNS) if name.startswith("winter")]] = np.nan
    found = train(no_winter, config=small_config).model
    assert isinstance(found, SegmentationModel)
    winter = [number for number, name in enumerate(names(SHAPE_COLUMNS)) if name.startswith("winter")]
    assert all(segment.centre[number] == 0 for segment in found.shaped_segments("R") for number in winter)
    assert agreement(found.predict(no_winter)["segment_id"].tolist(), _types(features).tolist()) > 0.99
    # A customer who lacks a season is assigned by the rest, also by a model that knows it.
    assert agreement(model.predict(no_winter)["segment_id"].tolist(), _types(features).tolist()) > 0.99


def test_repeated_rows_count_once_and_rows_that_differ_are_refused(
    features: pd.DataFrame, small_config: SegmentationConfig
) -> None:
    repeated = pd.concat([features, features.head(7)], ignore_index=True)
    assert check_sufficiency(repeated, small_config) == check_sufficiency(features, small_config)
    contradicting = pd.concat([features, features.head(1).assign(peak_kw=99.0)], ignore_index=True)
    with pytest.raises(SchemaMismatchError, match=r"2 rows that differ .* evening-0000 in 2025-01.*rebuild the mart"):
        train(contradicting, config=small_config)


@pytest.mark.usefixtures("without_plots")
def test_a_handful_of_giants_and_exporters_moves_no_segment(
    features: pd.DataFrame, small_config: SegmentationConfig, model: SegmentationModel
) -> None:
    odd = features.copy()
    giants = odd["customer_key"].isin([f"evening-000{number}" for number in range(3)])
    odd.loc[giants, ["annual_kwh", "mean_daily_kwh", "peak_kw", "billed_amount_12m_amount"]] *= 1e6
    odd.loc[giants, "peak_contribution"] = 500.0
    exporters = odd["customer_key"].isin([f"daytime-000{number}" for number in range(3)])
    odd.loc[exporters, [f"weekday_shape_{hour:02d}" for hour in range(10, 15)]] = -3.0
    found = train(odd, config=small_config).model
    assert isinstance(found, SegmentationModel)
    rest = features[~giants & ~exporters]
    assert agreement(found.predict(rest)["segment_id"].tolist(), model.predict(rest)["segment_id"].tolist()) == 1.0
    like_them = features["customer_key"].str.startswith("evening-") & ~giants
    assert set(found.predict(odd[giants])["segment_id"]) == set(found.predict(odd[like_them])["segment_id"])


@pytest.mark.usefixtures("without_plots")
def test_a_segment_that_empties_later_vanishes_and_is_told(
    features: pd.DataFrame, small_config: SegmentationConfig, model: SegmentationModel
) -> None:
    months = sorted(features["as_of_month"].unique())
    night = features["customer_key"].str.startswith("night")
    emptied = features[~night | (features["as_of_month"] == months[0])]
    result = train(emptied, config=small_config, previous_model=model)
    assert isinstance(result.model, SegmentationModel)
    gone = next(segment for segment in model.segments if segment.tags[0] == "night_use")
    assert gone.segment_id not in {segment.segment_id for segment in result.model.segments}
    assert any(gone.segment_id in note for note in result.evaluation.notes)
