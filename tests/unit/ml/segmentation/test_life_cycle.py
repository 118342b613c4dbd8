from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import prepare_features
from ml.segmentation.life_cycle import (
    DATED_STAGES,
    STAGES,
    life_cycle_stages,
    moves_table,
    stage_transitions,
    stages_in_force,
    transition_table,
)
from ml.segmentation.schema import PREDICTIONS


def monthly(**stages: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_key": key, "as_of_month": month.date(), "life_cycle_stage": stage}
        for key, of_customer in stages.items()
        for month, stage in zip(
            pd.date_range("2025-01-01", periods=len(of_customer), freq="MS"), of_customer, strict=True
        )
    )


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ({"closing_in_days": -3}, "closed"),
        ({"closing_in_days": 0}, "closed"),
        ({"closing_in_days": 20, "tenure_months": 2}, "leaving"),
        ({"tenure_months": 11, "kwh_change_yoy_pct": 90}, "new"),
        ({"returned_ago_months": 11}, "returned"),
        ({"returned_ago_months": 12, "kwh_change_yoy_pct": 0}, "stable"),
        ({"kwh_change_yoy_pct": -50}, "at_risk"),
        ({"kwh_change_yoy_pct": -15, "zero_days_count": 60}, "at_risk"),
        ({"kwh_change_yoy_pct": 15}, "growing"),
        ({"kwh_change_yoy_pct": -15}, "shrinking"),
        ({"kwh_change_yoy_pct": None, "billed_kwh_change_yoy_pct": 40}, "growing"),
        ({"kwh_change_yoy_pct": None}, "unknown"),
    ],
)
def test_a_stage_is_the_first_rule_that_holds(features: pd.DataFrame, facts: dict, stage: str) -> None:
    row = prepare_features(features.iloc[[0]].assign(**facts))

    assert life_cycle_stages(row, np.array([False]), SegmentationConfig())[0] == stage


def test_who_is_metered_and_uses_nothing_is_at_risk(features: pd.DataFrame) -> None:
    row = prepare_features(features.iloc[[0]].assign(kwh_change_yoy_pct=0))

    assert life_cycle_stages(row, np.array([True]), SegmentationConfig())[0] == "at_risk"


def test_the_stages_are_those_of_the_prediction() -> None:
    [column] = [column for column in PREDICTIONS if column.name == "life_cycle_stage"]
    assert set(column.allowed) == set(STAGES)


@pytest.mark.parametrize(
    ("seen", "in_force"),
    [
        (["stable", "growing", "stable", "growing"], ["stable"] * 4),
        (["stable", "growing", "growing"], ["stable", "stable", "growing"]),
        (["new", "growing", "stable"], ["new", "growing", "growing"]),
        (["stable", "leaving", "closed"], ["stable", "leaving", "closed"]),
        (["unknown", "stable"], ["unknown", "stable"]),
        (["growing", "shrinking", "stable", "stable"], ["growing", "growing", "growing", "stable"]),
    ],
)
def test_a_trend_counts_once_two_months_running_show_it(seen: list[str], in_force: list[str]) -> None:
    assert stages_in_force(monthly(a=seen)).tolist() == in_force


def test_a_month_without_a_row_breaks_the_run() -> None:
    rows = monthly(a=["stable", "growing", "growing"]).drop(index=1)

    assert stages_in_force(rows).tolist() == ["stable", "growing"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STAGES), min_size=2, max_size=14), st.integers(0, 999))
def test_a_trend_never_gives_way_to_another_that_was_seen_once(seen: list[str], order: int) -> None:
    rows = monthly(a=seen, b=seen[::-1])

    found = stages_in_force(rows.sample(frac=1, random_state=order)).reindex(rows.index)

    in_force = found[rows["customer_key"] == "a"].tolist()
    trends = set(STAGES) - {*DATED_STAGES, "unknown"}
    assert in_force[0] == seen[0]
    for month, (before, now) in enumerate(pairwise(in_force), start=1):
        assert now in (before, seen[month])
        if now != before and {now, before} <= trends:
            assert seen[month] == seen[month - 1] == now


def test_alternating_months_never_move_a_customer() -> None:
    assert set(stages_in_force(monthly(a=["stable", "growing"] * 6))) == {"stable"}


def test_transitions_count_customers_of_two_months_running() -> None:
    history = monthly(a=["stable", "growing"], b=["stable", "stable"], c=["growing"])

    found = stage_transitions(history)

    assert found[["from_stage", "to_stage", "customers_count", "share"]].to_numpy().tolist() == [
        ["stable", "growing", 1, 0.5],
        ["stable", "stable", 1, 0.5],
    ]
    assert found["as_of_month"].unique().tolist() == [pd.Timestamp("2025-02-01")]


def test_shares_of_the_transition_table_add_up_to_one() -> None:
    table = transition_table(monthly(a=["stable", "growing", "growing"], b=["new", "stable", "stable"]))

    assert [row[0] for row in table.rows] == ["new", "growing", "stable"]
    for row in table.rows:
        assert sum(row[2:]) == pytest.approx(1)


def test_one_month_has_no_transitions() -> None:
    assert transition_table(monthly(a=["stable"])).rows == ()


def test_moves_are_told_month_by_month_latest_first() -> None:
    table = moves_table(monthly(a=["stable", "growing", "growing"], b=["stable", "stable", "closed"], c=["new", "new"]))

    assert table.rows == (("2025-03", "stable", "closed", 1, 1.0), ("2025-02", "stable", "growing", 1, 0.5))
