import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.bundle import TrainingResult
from ml.columns import Column, names
from ml.credit_risk.features import to_matrix
from ml.credit_risk.model import BOOSTER_FILE, SCORECARD_FILE, SETTINGS_FILE, CreditRiskModel, ScoringRows
from ml.credit_risk.rating import VETOES
from ml.credit_risk.schema import DIMENSIONS, FEATURES, PREDICTIONS, RATINGS
from ml.credit_risk.woe_scorecard import columns_of_frame
from ml.errors import BundleError

SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.none() | st.floats(-1e6, 1e6, allow_nan=False)
CLASSES = st.none() | st.sampled_from(["residential", "commercial", "space station"])
ROWS = st.lists(
    st.fixed_dictionaries({c.name: NUMBERS if c.kind == "numeric" else CLASSES for c in FEATURES}),
    min_size=1,
    max_size=70,
)


@pytest.fixture(scope="module", params=["scorecard", "boosted_trees"])
def model(request: pytest.FixtureRequest) -> CreditRiskModel:
    result: TrainingResult = request.getfixturevalue("trained" if request.param == "scorecard" else "trained_trees")
    assert isinstance(result.model, CreditRiskModel)
    assert result.model.settings.answers_by == request.param
    return result.model


@pytest.fixture(scope="module")
def trees(trained_trees: TrainingResult) -> CreditRiskModel:
    assert isinstance(trained_trees.model, CreditRiskModel)
    return trained_trees.model


@pytest.fixture(scope="module")
def rows(trained: TrainingResult) -> pd.DataFrame:
    assert trained.holdout is not None
    return trained.holdout.head(300).reset_index(drop=True)


@SETTINGS
@given(ROWS, st.data())
def test_a_row_gets_the_same_answer_alone_in_any_batch_and_as_a_record(
    model: CreditRiskModel, records: list[dict[str, object]], data: st.DataObject
):
    frame = pd.DataFrame(records).assign(customer_key=[str(position) for position in range(len(records))])
    batch = model.predict(frame)
    order = data.draw(st.permutations(range(len(records))))
    shuffled = model.predict(frame.iloc[order]).set_index("customer_key").loc[batch["customer_key"]].reset_index()
    pd.testing.assert_frame_equal(shuffled, batch, check_exact=True)
    position = order[0]
    alone = model.predict(frame.iloc[[position]]).iloc[0]
    as_record, as_words = model.predict_records([records[position]])[0]
    for name in names(PREDICTIONS):
        assert alone[name] == batch[name][position]
        assert as_record[name] == batch[name][position]
    assert as_words == model.explain(frame)[position]


def test_saving_changes_no_bit(model: CreditRiskModel, rows: pd.DataFrame):
    files = model.to_files()
    loaded = CreditRiskModel.from_files(files)
    pd.testing.assert_frame_equal(loaded.predict(rows), model.predict(rows), check_exact=True)
    assert loaded.to_files() == files
    assert set(files) - {BOOSTER_FILE} == {SCORECARD_FILE, SETTINGS_FILE}


def test_answers_have_the_columns_of_the_schema_and_its_values(model: CreditRiskModel, rows: pd.DataFrame):
    answers = model.predict(rows)
    assert list(answers.columns) == ["customer_key", *names(PREDICTIONS)]
    assert answers["customer_key"].equals(rows["customer_key"])
    assert answers["default_probability"].between(0, 1, inclusive="neither").all()
    assert set(answers["credit_rating"]) <= set(RATINGS)
    assert set(answers["rating_veto_code"].dropna()) <= {veto.code for veto in VETOES}
    codes = answers[[f"reason_{rank}_code" for rank in (1, 2, 3)]]
    assert set(codes.stack().dropna()) <= set(names(FEATURES))


def test_no_rows_give_no_answers(model: CreditRiskModel, rows: pd.DataFrame):
    assert list(model.predict(rows.head(0)).columns) == ["customer_key", *names(PREDICTIONS)]
    assert len(model.predict(rows.head(0))) == 0
    assert model.predict_records([]) == []


def test_a_row_without_any_value_is_scored(model: CreditRiskModel):
    answer, _ = model.predict_records([{column.name: None for column in FEATURES}])[0]
    assert 0 < answer["default_probability"] < 1


@pytest.mark.parametrize("column", [column for column in FEATURES if column.monotone], ids=lambda column: column.name)
def test_the_probability_moves_only_in_the_direction_of_the_schema(
    model: CreditRiskModel, rows: pd.DataFrame, column: Column
):
    values = np.linspace(_or(column.minimum, -5), _or(column.maximum, 120), 60)
    for _, row in rows.head(3).iterrows():
        grid = pd.DataFrame([row] * len(values)).assign(**{column.name: values})
        steps = np.diff(model.predict(grid)["default_probability"])
        assert (steps * column.monotone >= 0).all()


def test_reasons_are_the_exact_contributions_that_raise_the_risk(model: CreditRiskModel, rows: pd.DataFrame):
    scores = model.score(ScoringRows.of_frame(rows))
    answers = model.predict(rows)
    feature_names = names(FEATURES)
    for position, explanation in enumerate(model.explain(rows)):
        reasons = explanation.reasons
        effects = dict(zip(feature_names, scores.effects[position], strict=True))
        assert [r.effect for r in reasons] == sorted((r.effect for r in reasons), reverse=True)
        largest = sorted((effect for effect in effects.values() if effect > 0.02), reverse=True)[:3]
        assert [r.effect for r in reasons] == pytest.approx(largest)
        for rank in range(3):
            code = answers[f"reason_{rank + 1}_code"][position]
            assert code == (reasons[rank].code if rank < len(reasons) else None)
        for found in reasons:
            value = rows[found.code][position]
            assert found.value == (None if pd.isna(value) else value)


def test_dimensions_add_up_to_all_contributions(model: CreditRiskModel, rows: pd.DataFrame):
    effects = model.score(ScoringRows.of_frame(rows)).effects
    for position, explanation in enumerate(model.explain(rows)):
        assert list(explanation.dimension_effects) == list(DIMENSIONS)
        assert sum(explanation.dimension_effects.values()) == pytest.approx(effects[position].sum(), abs=1e-4)
        timely = [column.dimension == "timeliness" for column in FEATURES]
        expected = effects[position][timely].sum()
        assert explanation.dimension_effects["timeliness"] == pytest.approx(expected, abs=1e-4)


def test_contributions_of_the_trees_add_up_to_the_log_odds(trees: CreditRiskModel, rows: pd.DataFrame):
    import xgboost as xgb

    from ml.credit_risk.features import MATRIX_NAMES

    assert trees.booster is not None
    data = xgb.DMatrix(to_matrix(rows), feature_names=list(MATRIX_NAMES))
    margins = trees.booster.predict(data, output_margin=True)
    bias = trees.booster.predict(data, pred_contribs=True)[:, -1]
    effects = trees.score(ScoringRows.of_frame(rows)).effects
    np.testing.assert_allclose(effects.sum(axis=1) + bias, margins, atol=1e-4)


def test_the_points_of_the_card_are_part_of_every_answer_and_are_the_credit_points_where_it_answers(
    model: CreditRiskModel, rows: pd.DataFrame
):
    answers = model.predict(rows)
    expected = model.scorecard.points(columns_of_frame(rows))
    np.testing.assert_array_equal(answers["scorecard_points"], expected)
    if model.settings.answers_by == "scorecard":
        np.testing.assert_array_equal(answers["credit_points"], expected)


def test_files_that_are_not_this_model_are_refused(model: CreditRiskModel):
    files = model.to_files()
    for name in files:
        with pytest.raises(BundleError, match=f"lacks {name}"):
            CreditRiskModel.from_files({other: data for other, data in files.items() if other != name})
    with pytest.raises(BundleError, match="is not valid"):
        CreditRiskModel.from_files({**files, SETTINGS_FILE: b"{}"})
    other = files[SETTINGS_FILE].replace(b"tenure_months", b"shoe_size")
    with pytest.raises(BundleError, match="trained on other columns"):
        CreditRiskModel.from_files({**files, SETTINGS_FILE: other})


def test_settings_and_parts_must_agree(trees: CreditRiskModel):
    with pytest.raises(BundleError, match="if and only if the trees answer"):
        CreditRiskModel(trees.settings, trees.scorecard)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def test_the_rating_in_force_starts_from_the_ratings_of_the_answers(model: CreditRiskModel, rows: pd.DataFrame):
    history = model.rating_history(rows)
    answers = model.predict(rows)
    keys = ["customer_key", "as_of_month"]
    expected = rows[keys].assign(**answers[["credit_rating", "rating_veto_code"]]).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(history[expected.columns], expected, check_dtype=False)
    assert (history["in_force_since_month"] <= history["as_of_month"]).all()
