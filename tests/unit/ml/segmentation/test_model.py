import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.columns import names
from ml.errors import BundleError, KilowiseError, SchemaMismatchError
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.model import SegmentationModel
from ml.segmentation.schema import FEATURES, PREDICTIONS, SHAPE_COLUMNS
from ml.segmentation.training import train

SHAPES = [name for name in names(FEATURES) if "_shape_" in name]


@pytest.fixture(scope="module")
def model(features: pd.DataFrame, small_config: SegmentationConfig) -> SegmentationModel:
    trained = train(features, config=small_config).model
    assert isinstance(trained, SegmentationModel)
    return trained


@pytest.fixture(scope="module")
def latest(features: pd.DataFrame) -> pd.DataFrame:
    return features[features["as_of_month"] == features["as_of_month"].max()].reset_index(drop=True)


@pytest.fixture(scope="module")
def batch(model: SegmentationModel, latest: pd.DataFrame) -> pd.DataFrame:
    return model.predict(latest)


@settings(max_examples=20, deadline=None)
@given(row=st.integers(min_value=0, max_value=149))
def test_one_customer_gets_the_same_answer_as_in_the_batch(
    model: SegmentationModel, latest: pd.DataFrame, batch: pd.DataFrame, row: int
) -> None:
    pd.testing.assert_frame_equal(model.predict(latest.iloc[[row]]), batch.iloc[[row]], check_exact=True)
    as_json = pd.DataFrame([latest.iloc[row].to_dict()])
    pd.testing.assert_frame_equal(model.predict(as_json), batch.iloc[[row]].reset_index(drop=True), check_exact=True)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(min_value=0, max_value=100_000))
def test_random_rows_get_one_answer_alone_together_and_in_any_order(
    model: SegmentationModel, latest: pd.DataFrame, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = latest.sample(12, replace=True, random_state=seed).reset_index(drop=True)
    rows["customer_key"] = [f"random-{number}" for number in range(len(rows))]
    rows[SHAPES] = np.clip(rows[SHAPES] * rng.lognormal(0, 0.8, (len(rows), len(SHAPES))), 0, 24)
    rows[SHAPES] = rows[SHAPES].mask(rng.uniform(size=(len(rows), len(SHAPES))) < rng.choice([0.0, 0.1, 0.6]))
    rows["observed_days_count"] = rng.choice([0.0, 10.0, 28.0, 360.0], len(rows))
    rows.loc[rng.uniform(size=len(rows)) < 0.2, "annual_kwh"] = 0.0
    together = model.predict(rows)
    for number in range(len(rows)):
        pd.testing.assert_frame_equal(
            model.predict(rows.iloc[[number]]), together.iloc[[number]], check_exact=True, check_dtype=False
        )
    shuffled = rows.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(model.predict(shuffled).sort_index(), together, check_exact=True)
    missing = pd.Series(model.missing_data(rows))
    assert (missing.notna() == (together["segment_id"] == "unknown")).all()


def test_what_is_missing_is_said_in_a_sentence(model: SegmentationModel, latest: pd.DataFrame) -> None:
    row = latest.head(1)
    no_shape = row.copy()
    no_shape[SHAPES[:40]] = np.nan
    without_homes = model.model_copy(
        update={"segments": tuple(one for one in model.segments if one.group != "R" or not one.centre)}
    )
    sentences = [
        answer.en if answer else None
        for answer in (
            *model.missing_data(row),
            *model.missing_data(row.assign(observed_days_count=10.0)),
            *model.missing_data(row.assign(customer_class=None)),
            *model.missing_data(no_shape),
            *without_homes.missing_data(row),
        )
    ]
    assert sentences == [
        None,
        "Readings of 10 days are known; 28 are needed.",
        "The class of the customer is not known.",
        "10% of the load shape is known; 60% is needed.",
        "Too few residential customers had a load shape when this release was trained: they have no segments.",
    ]


def test_the_predictions_have_the_columns_of_the_schema(batch: pd.DataFrame) -> None:
    assert list(batch.columns) == ["customer_key", *names(PREDICTIONS)]


def test_the_nearest_centre_wins(model: SegmentationModel, latest: pd.DataFrame, batch: pd.DataFrame) -> None:
    assert (batch["segment_id"] != batch["runner_up_segment_id"]).all()
    assert batch["segment_confidence"].between(0, 1).all()
    on_centre = latest.head(1).copy()
    segment = model.shaped_segments("R")[0]
    on_centre[names(SHAPE_COLUMNS)] = np.array(segment.centre)
    answer = model.predict(on_centre).iloc[0]
    assert (answer["segment_id"], answer["segment_distance"], answer["segment_confidence"]) == (
        segment.segment_id,
        0.0,
        1.0,
    )


def test_too_little_data_is_answered_unknown(model: SegmentationModel, latest: pd.DataFrame) -> None:
    few_days = latest.head(1).assign(observed_days_count=10.0)
    no_shape = latest.head(1).copy()
    no_shape[SHAPES] = np.nan
    for rows in (few_days, no_shape):
        answer = model.predict(rows).iloc[0]
        assert answer["segment_id"] == "unknown"
        assert answer["segment_name"] == "Cannot say yet"
        assert np.isnan(answer["segment_distance"])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_customer_without_a_class_is_answered_unknown(
    model: SegmentationModel, latest: pd.DataFrame, batch: pd.DataFrame, missing: object
) -> None:
    features = latest.copy()
    features["customer_class"] = features["customer_class"].astype(object)
    features.loc[features.index[0], "customer_class"] = missing

    predictions = model.predict(features)

    assert predictions["segment_id"].iloc[0] == "unknown"
    pd.testing.assert_frame_equal(predictions.iloc[1:], batch.iloc[1:])


def test_a_shape_without_weekends_is_assigned_by_its_working_days(
    model: SegmentationModel, latest: pd.DataFrame, batch: pd.DataFrame
) -> None:
    partial = latest.copy()
    partial[[name for name in SHAPES if name.startswith("weekend")]] = np.nan
    assert (model.predict(partial)["segment_id"] == batch["segment_id"]).mean() > 0.95


def test_a_customer_who_uses_nothing_has_a_segment_of_its_own(model: SegmentationModel, latest: pd.DataFrame) -> None:
    idle = latest.iloc[[0, 110]].assign(annual_kwh=0.0, zero_days_count=360.0)
    idle[SHAPES] = np.nan
    answer = model.predict(idle)
    assert answer["segment_id"].tolist() == ["R0", "B0"]
    assert answer["life_cycle_stage"].tolist() == ["at_risk", "at_risk"]


def test_a_constant_load_is_assigned(model: SegmentationModel, latest: pd.DataFrame) -> None:
    constant = latest.iloc[[110]].copy()
    constant[SHAPES] = 1.0
    answer = model.predict(constant).iloc[0]
    assert model.segment(answer["segment_id"]).tags[0] == "round_the_clock"


def test_an_absurd_spike_does_not_move_a_customer_far(model: SegmentationModel, latest: pd.DataFrame) -> None:
    spike = latest.head(1).copy()
    spike["weekday_shape_03"] = 24.0
    distance = model.predict(spike)["segment_distance"].iloc[0]
    assert distance <= model.config.shape_ceiling * np.sqrt(5 / 7 / 24) + 1


@pytest.mark.parametrize(
    ("tenure", "change", "zero_days", "stage"),
    [
        (3, 80.0, 0, "new"),
        (60, -70.0, 0, "at_risk"),
        (60, -20.0, 90, "at_risk"),
        (60, 20.0, 0, "growing"),
        (60, -20.0, 0, "shrinking"),
        (60, 5.0, 0, "stable"),
        (60, np.nan, 0, "unknown"),
        (np.nan, np.nan, 0, "unknown"),
    ],
)
def test_life_cycle_stages_follow_their_rules(
    model: SegmentationModel, latest: pd.DataFrame, tenure: float, change: float, zero_days: float, stage: str
) -> None:
    row = latest.head(1).assign(tenure_months=tenure, kwh_change_yoy_pct=change, zero_days_count=zero_days)
    assert model.predict(row)["life_cycle_stage"].iloc[0] == stage


def test_value_tiers_divide_each_class_by_its_own_bills(
    model: SegmentationModel, latest: pd.DataFrame, batch: pd.DataFrame
) -> None:
    for _, rows in batch.groupby(latest["customer_class"]):
        shares = rows["value_tier"].value_counts(normalize=True)
        assert shares["high"] == pytest.approx(0.2, abs=0.03)
        assert shares["low"] == pytest.approx(0.4, abs=0.03)
    unbilled = latest.head(1).assign(billed_amount_12m_amount=np.nan)
    assert model.predict(unbilled)["value_tier"].iloc[0] == "unknown"


def test_a_missing_column_is_named(model: SegmentationModel, latest: pd.DataFrame) -> None:
    with pytest.raises(SchemaMismatchError, match="night_share"):
        model.predict(latest.drop(columns="night_share"))


def test_an_unknown_class_is_named(model: SegmentationModel, latest: pd.DataFrame) -> None:
    with pytest.raises(SchemaMismatchError, match="customer_class holds palace"):
        model.predict(latest.head(1).assign(customer_class="palace"))


def test_text_in_a_number_is_refused(model: SegmentationModel, latest: pd.DataFrame) -> None:
    with pytest.raises(SchemaMismatchError, match="peak_kw must hold numbers"):
        model.predict(latest.head(1).assign(peak_kw="much"))


def test_an_unknown_segment_is_refused(model: SegmentationModel) -> None:
    with pytest.raises(KilowiseError, match="'R99' is not one of"):
        model.segment("R99")


def test_a_broken_bundle_is_refused() -> None:
    with pytest.raises(BundleError, match=r"no model\.json"):
        SegmentationModel.from_files({})
    with pytest.raises(BundleError, match="not a segmentation"):
        SegmentationModel.from_files({"model.json": b'{"segments": []}'})


def test_two_weeks_of_readings_are_too_few_to_say(model: SegmentationModel, latest: pd.DataFrame) -> None:
    answer = model.predict(latest.head(3).assign(observed_days_count=14.0))
    assert set(answer["segment_id"]) == {"unknown"}
    assert answer["segment_confidence"].isna().all()


def test_export_counts_as_no_load(model: SegmentationModel, latest: pd.DataFrame) -> None:
    exporting, idle = latest.head(1).copy(), latest.head(1).copy()
    at_noon = [f"weekday_shape_{hour:02d}" for hour in range(10, 15)]
    exporting[at_noon] = -2.0
    idle[at_noon] = 0.0
    pd.testing.assert_frame_equal(model.predict(exporting), model.predict(idle))


def test_daily_readings_are_unknown_to_a_model_that_has_seen_none(
    model: SegmentationModel, latest: pd.DataFrame
) -> None:
    daily = latest.head(2).copy()
    daily[[name for name in names(SHAPE_COLUMNS) if "level" not in name and "rest_day" not in name]] = np.nan
    assert set(model.predict(daily)["segment_id"]) == {"unknown"}
    assert all(model.missing_data(daily))
