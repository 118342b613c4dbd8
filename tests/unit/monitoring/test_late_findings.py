"""Outcomes against the limits of the policies: what is a finding, and what is none."""

from datetime import date

import pytest

from monitoring.late_findings import late_label_reasons
from monitoring.late_labels import LateLabels
from monitoring.outcomes import (
    Estimated,
    EstimateRecord,
    PerformanceEstimate,
    SegmentStability,
    VintagePoint,
    VintageResult,
)
from monitoring.policy import load_policy
from tests.unit.monitoring.test_outcomes import cohort

TODAY = date(2026, 11, 22)
CREDIT, TARIFFS, SEGMENTS = (load_policy(name, TODAY) for name in ("credit_risk", "tariff_matching", "segmentation"))
MONTH = date(2026, 1, 1)


def severities(late: LateLabels, policy=CREDIT) -> dict[str, str]:
    return {reason.code: reason.severity for reason in late_label_reasons(late, policy)}


def estimated(rate: tuple[float, float, float], auc: tuple[float, float, float] = (0.8, 0.7, 0.9)) -> LateLabels:
    value, lower, upper = rate
    return LateLabels(
        estimate=PerformanceEstimate(
            rows=1_000,
            coverage_pct=90,
            default_rate=Estimated(value=value, lower=lower, upper=upper),
            auc=Estimated(value=auc[0], lower=auc[1], upper=auc[2]),
            brier=Estimated(value=0.05, lower=0.04, upper=0.06),
            independent_windows=1,
            default_rate_at_release=0.05,
            auc_at_release=0.8,
        )
    )


@pytest.mark.parametrize(
    ("rate", "severity"),
    [
        ((0.05, 0.04, 0.06), "info"),
        # Far above the release, but the interval allows no rise.
        ((0.11, 0.049, 0.2), "info"),
        ((0.08, 0.06, 0.1), "watch"),
        ((0.11, 0.08, 0.15), "act"),
        # Fewer defaults are no trouble.
        ((0.01, 0.005, 0.02), "info"),
    ],
)
def test_an_estimated_rise_of_defaults_counts_where_the_interval_lies_above_the_release(rate, severity) -> None:
    assert severities(estimated(rate))["estimate_default_rate"] == severity


@pytest.mark.parametrize(
    ("auc", "severity"), [((0.8, 0.7, 0.9), "info"), ((0.72, 0.6, 0.81), "info"), ((0.72, 0.65, 0.79), "watch")]
)
def test_an_estimated_loss_of_ranking_counts_where_the_interval_lies_below_the_release(auc, severity) -> None:
    assert severities(estimated((0.05, 0.04, 0.06), auc))["estimate_auc"] == severity


def test_what_the_interval_of_the_release_allows_is_no_finding() -> None:
    late = estimated((0.11, 0.08, 0.15), (0.6, 0.5, 0.7))
    assert set(severities(late).values()) == {"act"}
    assert late.estimate is not None
    unsure = late.estimate.model_copy(update={"default_rate_release_upper": 0.09, "auc_release_lower": 0.68})
    assert set(severities(LateLabels(estimate=unsure)).values()) == {"info"}


@pytest.mark.parametrize(
    ("months", "windows", "inside", "severity"),
    [
        (5, 5, 0, "info"),
        (10, 10, 9, "info"),
        (10, 10, 4, "watch"),
        (10, 10, 1, "act"),
        (6, 1.8, 0, "info"),
        (11, 2.7, 0, "info"),
        (14, 3.2, 0, "act"),
        (24, 4.8, 0, "act"),
        (24, 4.8, 6, "info"),
    ],
)
def test_a_record_of_wrong_estimates_is_told_once_it_is_long_enough(months, windows, inside, severity) -> None:
    """Six overlapping months that miss are one bad half-year; once in a thousand is what independent windows say."""
    record = EstimateRecord(
        months=months,
        stated_pct=90,
        default_rate_inside=inside,
        auc_inside=months,
        brier_inside=months,
        independent_windows=windows,
    )
    assert severities(LateLabels(estimate_record=record)) == {"estimate_record": severity}


@pytest.mark.parametrize(
    ("late", "upper", "severity"), [(20, 3, "info"), (60, 3, "act"), (34, 3, "watch"), (60, 7, "info")]
)
def test_a_vintage_counts_where_its_arrears_are_beyond_what_months_differ_by(late, upper, severity) -> None:
    point = VintagePoint(
        month=MONTH,
        months_since=2,
        customers=1_000,
        past_due_30d_customers=late,
        past_due_60d_customers=0,
        past_due_90d_customers=0,
        due_amount=1.0,
        past_due_30d_amount=0.0,
        past_due_60d_amount=0.0,
        past_due_90d_amount=0.0,
    )
    result = VintageResult(point=point, usual_pct=2, upper_pct=upper, vintages=8)
    assert severities(LateLabels(vintage=result)) == {"vintage": severity}


@pytest.mark.parametrize(
    ("changes", "saving", "coverage"),
    [
        ({}, "info", "info"),
        ({"realised_saving_amount": 200.0}, "act", "info"),
        ({"customers_saving": 70}, "watch", "info"),
        ({"customers_inside": 50}, "info", "watch"),
        # A single month says too little to be a finding.
        ({"realised_saving_amount": 200.0, "customers_inside": 10, "months_since": 1}, "info", "info"),
    ],
)
def test_advice_is_held_against_what_it_promised(changes, saving, coverage) -> None:
    found = severities(LateLabels(tariff_outcomes=(cohort(**changes),)), TARIFFS)
    assert found == {"tariff_saving": saving, "tariff_coverage": coverage}


def test_a_shortfall_that_chance_explains_is_no_finding() -> None:
    short = cohort(realised_saving_amount=500.0)
    assert severities(LateLabels(tariff_outcomes=(short,)), TARIFFS)["tariff_saving"] == "watch"
    by_chance = short.model_copy(update={"saving_chance_pct": 60.0})
    assert severities(LateLabels(tariff_outcomes=(by_chance,)), TARIFFS)["tariff_saving"] == "info"


def test_few_savings_outside_of_their_interval_may_be_chance() -> None:
    for judged, inside, severity in ((30, 18, "info"), (300, 180, "watch")):
        few = cohort(customers_judged=judged, customers_inside=inside, customers_saving=judged)
        assert severities(LateLabels(tariff_outcomes=(few,)), TARIFFS)["tariff_coverage"] == severity


def test_a_cohort_of_few_customers_is_not_told() -> None:
    assert severities(LateLabels(tariff_outcomes=(cohort(customers_judged=20),)), TARIFFS) == {}


@pytest.mark.parametrize(
    ("stayed", "is_same_release", "severity"),
    [(990, True, "info"), (930, True, "watch"), (800, True, "act"), (500, False, "info")],
)
def test_moved_customers_count_within_one_release(stayed, is_same_release, severity) -> None:
    stability = SegmentStability(
        month=MONTH,
        release="0001",
        is_same_release=is_same_release,
        customers=1_000,
        customers_stayed=stayed,
        customers_new=0,
        customers_lost=0,
        adjusted_rand_index=0.9,
        segments=(),
    )
    assert severities(LateLabels(segment_stability=stability), SEGMENTS) == {"segment_stability": severity}


def test_a_use_case_without_rules_has_no_finding() -> None:
    assert severities(estimated((0.5, 0.4, 0.6)), SEGMENTS) == {}
