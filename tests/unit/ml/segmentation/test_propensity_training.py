"""Leaving and joining are learned where enough customers did it, and left out with a reason where they did not."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import BundleError, SchemaMismatchError
from ml.segmentation.config import PropensityConfig
from ml.segmentation.propensity import INPUT_NAMES, LEAVING, POTENTIAL, Encoding, PropensityModel
from ml.segmentation.propensity_training import (
    PropensityResult,
    cut_rows,
    labelled_rows,
    summary_table,
    train_propensities,
    train_propensity,
)
from ml.splits import add_months

CONFIG = PropensityConfig(
    depths=(2,),
    learning_rate=0.2,
    max_rounds=40,
    early_stopping_rounds=8,
    bootstrap_replicates=60,
    deciding_replicates=60,
)
MONTHS = [add_months(date(2025, 1, 1), month) for month in range(9)]


def rows(customers: int = 500, months: list[date] = MONTHS, strength: float = 2.5, seed: int = 3) -> pd.DataFrame:
    """Return features with both labels; the margin drives leaving, with a bend that a straight line does not follow."""
    generator = np.random.default_rng(seed)
    margin = generator.normal(0, 1, customers)
    channel = generator.choice(["agent", "web", "phone"], customers)
    tenure = generator.uniform(1, 120, customers)
    chance = 1 / (1 + np.exp(3.2 - strength * (np.abs(margin) - 1) - 0.5 * (channel == "agent")))
    frames = []
    for month in months:
        known = generator.random(customers) < 0.95
        frames.append(
            pd.DataFrame(
                {
                    "customer_key": [f"c{number:04d}" for number in range(customers)],
                    "as_of_month": month,
                    "annual_margin_amount": np.where(known, margin, np.nan),
                    "tenure_months": tenure,
                    "sales_channel": channel,
                    "programmes_count": generator.integers(0, 3, customers).astype(float),
                    "is_leaving": generator.random(customers) < chance,
                    "is_joining": generator.random(customers) < 0.08,
                    "is_mature": True,
                    "exclusion": None,
                    "window_end_date": pd.Timestamp(add_months(month, 4)) - pd.Timedelta(days=1),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


LABELS = ["is_leaving", "is_joining", "is_mature", "exclusion", "window_end_date"]


def taken_apart(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame.drop(columns=LABELS), frame[["customer_key", "as_of_month", *LABELS]]


@pytest.fixture(scope="module")
def result() -> PropensityResult:
    return train_propensity(*taken_apart(rows()), LEAVING, CONFIG, seed=7)


def test_what_customers_do_is_learned_and_released(result: PropensityResult) -> None:
    auc, tenure = result.metric("roc_auc"), result.metric("tenure_roc_auc")

    assert result.is_released
    assert auc is not None
    assert tenure is not None
    assert auc.value is not None
    assert auc.value > 0.7
    assert tenure.value is not None
    assert tenure.value < 0.6
    assert result.reason.startswith("Released: AUC 0.")


def test_a_bend_is_found_by_trees(result: PropensityResult) -> None:
    assert result.model is not None
    assert result.model.method == "trees"
    gain = result.metric("gain_over_logistic")
    assert gain is not None
    assert gain.lower is not None
    assert gain.lower > 0


def test_rows_are_held_out_by_time_and_customer(result: PropensityResult) -> None:
    frame = rows(200)
    cut = cut_rows(labelled_rows(*taken_apart(frame), LEAVING), LEAVING, CONFIG)

    assert "by time and by customer" in result.holdout_description
    assert cut is not None
    assert cut.time is not None
    # An outcome of three months: what trains is known before the first month held out.
    assert add_months(max(cut.train["as_of_month"]), 3) <= min(cut.holdout["as_of_month"])


def test_one_month_is_held_out_by_customer() -> None:
    frame = rows(2500, MONTHS[:1])

    found = train_propensity(*taken_apart(frame), LEAVING, CONFIG, seed=7)
    cut = cut_rows(labelled_rows(*taken_apart(frame), LEAVING), LEAVING, CONFIG)

    assert found.is_released
    assert "Held out by customer:" in found.holdout_description
    assert cut is not None
    assert not set(cut.train["customer_key"]) & set(cut.holdout["customer_key"])
    assert len(cut.holdout) / len(frame) == pytest.approx(CONFIG.holdout_customer_share, abs=0.03)


def test_chance_is_left_out_and_says_so() -> None:
    found = train_propensity(*taken_apart(rows(300)), POTENTIAL, CONFIG, seed=7)

    assert not found.is_released
    assert found.reason.startswith("Left out: it ")
    assert found.metric("roc_auc") is not None


def test_a_gain_must_exceed_the_margin_beyond_doubt(result: PropensityResult) -> None:
    gain = result.metric("gain_over_tenure")
    assert gain is not None
    assert gain.lower is not None
    # The same figures, and a margin just above the lower end of the gain.
    strict = CONFIG.model_copy(update={"minimum_gain": gain.lower + 0.001})

    found = train_propensity(*taken_apart(rows()), LEAVING, strict, seed=7)

    assert not found.is_released
    assert found.metrics == result.metrics
    assert found.reason.startswith("Left out: it is not better than the time as a customer alone by 0.")


def test_the_same_rows_in_any_order_give_the_same_model(result: PropensityResult) -> None:
    shuffled = rows().sample(frac=1, random_state=1)

    assert train_propensity(*taken_apart(shuffled), LEAVING, CONFIG, seed=7).model == result.model


def test_one_row_is_answered_as_in_the_batch_before_and_after_saving(result: PropensityResult) -> None:
    assert result.model is not None
    frame = rows(40, MONTHS[:1])
    batch, reasons = result.model.predict(frame)
    loaded = PropensityModel.from_files("leaving", result.model.to_files())

    assert loaded == result.model
    for position in range(len(frame)):
        alone, reason = loaded.predict(frame.iloc[[position]])
        assert (alone[0], reason[0]) == (batch[position], reasons[position])
    assert ((batch > 0) & (batch < 1)).all()
    assert set(reasons) <= {*INPUT_NAMES, None}
    assert "annual_margin_amount" in reasons


def test_the_reason_is_the_input_that_speaks_for_it(result: PropensityResult) -> None:
    assert result.model is not None
    frame = rows(1, MONTHS[:1]).assign(annual_margin_amount=3.0, sales_channel="web")

    probability, reason = result.model.predict(frame)

    assert probability[0] > 0.3
    assert reason[0] == "annual_margin_amount"


def test_nobody_is_asked_and_nobody_answered(result: PropensityResult) -> None:
    assert result.model is not None
    probabilities, reasons = result.model.predict(rows(3, MONTHS[:1]).iloc[:0])

    assert (len(probabilities), len(reasons)) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"is_leaving": False}, "0 customers left within the horizon of 4,500 rows; 50 are needed"),
        ({"is_leaving": True}, "0 customers did not within the horizon"),
        ({"is_mature": False}, "it is not known of any customer whether the customer left"),
        ({"is_leaving": None}, "it is not known of any customer whether the customer left"),
        ({"exclusion": "closing_announced"}, "it is not known of any customer whether the customer left"),
    ],
)
def test_labels_of_one_kind_are_left_out_with_the_reason(changes: dict[str, object], sentence: str) -> None:
    found = train_propensity(*taken_apart(rows().assign(**changes)), LEAVING, CONFIG, seed=7)

    assert found.model is None
    assert found.reason.startswith("Left out: ")
    assert sentence in found.reason
    assert found.metrics == ()


def test_without_outcomes_every_target_is_left_out() -> None:
    features, _ = taken_apart(rows(20))

    found = train_propensities(features, None, CONFIG, seed=7)

    assert [one.is_released for one in found] == [False, False]
    assert [row[2] for row in summary_table(found).rows] == ["left out", "left out"]


def test_customers_who_differ_in_nothing_known_are_left_out() -> None:
    features, outcomes = taken_apart(rows(300))

    found = train_propensity(features[["customer_key", "as_of_month"]], outcomes, LEAVING, CONFIG, seed=7)

    assert found.reason == "Left out: nothing is known of the customers that differs between them."


def test_a_table_without_its_key_is_refused_by_name() -> None:
    features, outcomes = taken_apart(rows(20))

    with pytest.raises(SchemaMismatchError, match="features lack the columns as_of_month"):
        train_propensity(features.drop(columns="as_of_month"), outcomes, LEAVING, CONFIG, seed=7)
    with pytest.raises(SchemaMismatchError, match="holds a customer and month twice"):
        train_propensity(pd.concat([features, features]), outcomes, LEAVING, CONFIG, seed=7)


def test_an_unknown_category_and_a_missing_column_have_an_answer(result: PropensityResult) -> None:
    assert result.model is not None
    frame = rows(5, MONTHS[:1]).assign(sales_channel="pigeon").drop(columns="annual_margin_amount")

    probabilities, _ = result.model.predict(frame)

    assert np.isfinite(probabilities).all()


def test_rare_categories_and_constant_numbers_are_no_inputs() -> None:
    frame = rows(300, MONTHS[:1]).assign(programmes_count=1.0)
    frame.loc[0, "sales_channel"] = "pigeon"

    encoding = Encoding.of(frame, minimum_share=0.01)

    assert encoding.numeric == ("tenure_months", "annual_margin_amount")
    assert encoding.categories == {"sales_channel": ("agent", "phone", "web")}


def test_files_that_do_not_belong_together_are_refused(result: PropensityResult) -> None:
    assert result.model is not None
    files = result.model.to_files()

    assert PropensityModel.from_files("potential", files) is None
    with pytest.raises(BundleError, match=r"has no leaving\.ubj"):
        PropensityModel.from_files("leaving", {"leaving.json": files["leaving.json"]})
    with pytest.raises(BundleError, match="is not a propensity"):
        PropensityModel.from_files("leaving", {**files, "leaving.json": b"{}"})
