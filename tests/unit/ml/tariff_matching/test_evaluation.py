from datetime import date

import numpy as np
import pytest

from ml.bundle import TrainingResult
from ml.evaluation import BaselineComparison, Criterion, Metric
from ml.gate import decide
from ml.tariff_matching.backtest import Origin, other_origins
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.evaluation import (
    POLICY_NAMES,
    _captures_more,
    _harms_fewer,
    captured_share,
)
from ml.tariff_matching.gate_policy import GATE_POLICY
from ml.tariffs.calendar import month_starts


def difference(value: float, lower: float = -1.0) -> BaselineComparison:
    metric = Metric(name="captured_saving_share", value=value, lower=lower, upper=1.0)
    return BaselineComparison(name=f"b{value}", description="a baseline", metric=metric, difference=metric)


def harm_criterion(ours: float | None, theirs: float | None) -> Criterion:
    metrics = [
        Metric(name="harmed_share", value=value, slice_column="policy", slice_value=POLICY_NAMES[policy][0])
        for policy, value in (("model", ours), ("cheapest_last_year", theirs))
    ]
    harm = Metric(name="harmed_share", value=0.0, lower=-0.1, upper=0.1)
    return _harms_fewer(metrics, harm, TariffMatchingConfig())


@pytest.mark.parametrize(("values", "passed"), [((0.5, 0.1, 0.01), True), ((0.5, 0.0), False), ((0.5, -0.001), False)])
def test_an_equal_or_smaller_share_than_any_baseline_is_not_enough(values: tuple[float, ...], passed: bool) -> None:
    assert _captures_more([difference(value) for value in values]).passed is passed


def test_a_gain_within_the_interval_passes_and_says_that_it_is_in_doubt() -> None:
    doubtful = _captures_more([difference(0.02, lower=-0.05)])
    assert doubtful.passed
    assert "includes zero" in doubtful.reason
    assert "includes zero" not in _captures_more([difference(0.02, lower=0.01)]).reason


def test_a_missing_baseline_is_not_judged() -> None:
    missing = Metric(name="captured_saving_share", value=None)
    assert _captures_more([BaselineComparison(name="b", metric=missing, difference=missing)]).passed is None


@pytest.mark.parametrize(
    ("ours", "theirs", "passed"),
    [(0.0, 0.0, True), (0.01, 0.02, True), (0.01, 0.01, False), (0.02, 0.01, False), (None, 0.01, None)],
)
def test_fewer_customers_must_be_harmed_unless_nobody_is(
    ours: float | None, theirs: float | None, passed: bool | None
) -> None:
    assert harm_criterion(ours, theirs).passed is passed


def test_nothing_attainable_has_no_captured_share() -> None:
    assert np.isnan(captured_share(np.zeros(3), np.zeros(3))(np.ones(3)))


def test_further_decisions_leave_half_a_year_on_both_sides(config: TariffMatchingConfig) -> None:
    months = month_starts(date(2024, 9, 1), date(2026, 9, 1))
    main = Origin(date(2025, 9, 1), 12, 12)
    assert other_origins(months, main, config) == [
        Origin(date(2025, 3, 1), 7, 12),
        Origin(date(2025, 6, 1), 10, 12),
        Origin(date(2025, 12, 1), 12, 9),
        Origin(date(2026, 3, 1), 12, 6),
    ]
    assert other_origins(months[:12], Origin(date(2025, 2, 1), 6, 6), config) == []


def test_without_one_of_the_demands_there_is_no_release(small_result: TrainingResult) -> None:
    for name in GATE_POLICY.required_criteria:
        left = tuple(one for one in small_result.evaluation.criteria if one.name != name)
        decision = decide(
            small_result.evaluation.model_copy(update={"criteria": left}),
            policy=GATE_POLICY,
            decided_on=date(2026, 10, 3),
            has_champion=False,
        )
        assert not decision.approved


def test_the_tables_say_who_was_harmed_where_and_what_is_known_without_readings(small_result: TrainingResult) -> None:
    tables = {table.name: table for table in small_result.evaluation.tables}
    assert {"back_test", "back_test_by_group", "load_basis", "load_forecast"} <= set(tables)
    assert {row[0] for row in tables["back_test_by_group"].rows} == {"class", "history", "decision"}
    assert [row[0] for row in tables["load_basis"].rows] == [
        "Own interval readings",
        "Monthly energy only",
        "Class only",
    ]
    # The last column but none is the largest regret: what staying costs is at least what the advice costs.
    largest = {row[0]: row[-1] for row in tables["back_test"].rows}
    assert all(float(value) >= 0 for value in largest.values() if value is not None)
    for table in tables.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
