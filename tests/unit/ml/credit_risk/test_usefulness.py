import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult
from ml.credit_risk.config import ActionConfig
from ml.credit_risk.usefulness import (
    decision_value_table,
    feature_stability_table,
    gains_table,
    stability_index,
    top_tenth_metrics,
)


def rows(count: int = 1000) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_key": np.arange(count),
            "mean_bill_12m_amount": np.where(np.arange(count) % 2, 200.0, np.nan),
            "late_bills_3m_count": np.where(np.arange(count) < 100, 1.0, 0.0),
            "is_default": np.arange(count) < 50,
        }
    )


def test_a_perfect_ranking_finds_all_defaults_in_the_first_tenth():
    frame = rows()
    perfect = 1 - np.arange(1000) / 1000
    figures = {m.name: m for m in top_tenth_metrics(perfect, frame, replicates=40, seed=1)}
    assert figures["top_tenth_capture"].value == 1
    assert figures["top_tenth_lift"].value == pytest.approx(10)
    assert figures["top_tenth_money_capture"].value == 1
    worst = {m.name: m.value for m in top_tenth_metrics(1 - perfect, frame, replicates=40, seed=1)}
    assert worst["top_tenth_capture"] == 0

    table = gains_table(perfect, frame["is_default"].to_numpy(dtype=float))
    assert [row[1] for row in table.rows] == [100] * 10
    assert table.rows[0][2:] == (0.5, 10.0, 1.0)
    assert table.rows[9][4] == 1


def test_the_value_of_acting_is_counted_by_hand():
    frame = rows()
    sure = np.where(frame["is_default"], 0.9, 0.01)
    action = ActionConfig(cost_amount=10, success_share=0.5)
    table = decision_value_table(sure, frame, action, currency="CNY", replicates=40, seed=1)
    values = {row[0]: row[1:4] for row in table.rows}
    # 25 of the 50 who default have a bill of 200: an action on them saves 100 and costs 10.
    assert values["by this model"] == (0.025, 1.0, 25 * 90)
    assert values["rated C or D"] == (0.05, 1.0, 25 * 100 - 50 * 10)
    assert values["late in the last 3 months"] == (0.1, 1.0, 25 * 100 - 100 * 10)
    assert values["everybody"] == (1.0, 1.0, 25 * 100 - 1000 * 10)


def test_stability_is_that_of_the_formula_and_sees_numbers_categories_gaps_and_rare_values():
    generator = np.random.default_rng(0)
    base = generator.normal(size=5000)
    assert stability_index(base, generator.normal(size=5000)) < 0.02
    assert stability_index(base, generator.normal(1, 1, 5000)) > 0.5
    assert stability_index(base, np.where(generator.random(5000) < 0.5, np.nan, base)) > 0.5
    # Nearly all zero, as overdue balances are: all tenths end at zero, and what is above it must still be seen.
    rare, often = (np.where(generator.random(5000) < share, 3.0, 0.0) for share in (0.03, 0.3))
    assert stability_index(rare, often) > 0.25
    before, after = np.array(["a"] * 90 + ["b"] * 10, dtype=object), np.array(["a"] * 60 + ["b"] * 40, dtype=object)
    assert stability_index(before, after) == pytest.approx(0.3 * np.log(40.5 / 10.5 * 90.5 / 60.5), rel=0.02)


def test_every_input_has_its_stability_the_least_stable_first(trained: TrainingResult):
    holdout = trained.holdout
    assert holdout is not None
    moved = holdout.assign(late_bills_12m_count=holdout["late_bills_12m_count"] + 6)
    table = feature_stability_table(holdout, moved)
    assert table.rows[0][0].startswith("Bills due in 12 months and not fully paid")
    assert table.rows[0][2] == "moved"
    assert {row[2] for row in table.rows[1:]} == {"stable"}
