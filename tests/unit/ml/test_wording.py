from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.columns import USE_CASES
from ml.credit_risk.gate_policy import GATE_POLICY as CREDIT_RISK
from ml.gate import GatePolicy
from ml.segmentation.gate_policy import GATE_POLICY as SEGMENTATION
from ml.tariff_matching.gate_policy import GATE_POLICY as TARIFF_MATCHING
from ml.wording import (
    ASPECT_TITLES,
    BASELINE_TITLES,
    CRITERION_TITLES,
    EXCLUSION_TITLES,
    KEY_FIGURES,
    METRIC_TITLES,
    PART_TITLES,
    SLICE_TITLES,
    criterion_title,
    decimals_of,
    metric_title,
    number_text,
    plural,
    unit_text,
)


@pytest.mark.parametrize(
    "titles",
    [METRIC_TITLES, SLICE_TITLES, BASELINE_TITLES, CRITERION_TITLES, ASPECT_TITLES, PART_TITLES, EXCLUSION_TITLES],
)
def test_every_title_is_words_in_both_languages(titles):
    for title in titles.values():
        assert title.en
        assert title.zh
        assert "_" not in title.en + title.zh
        assert title.en.isascii()
        assert not title.zh.isascii()


def test_no_two_figures_share_a_title():
    assert len({title.en for title in METRIC_TITLES.values()}) == len(METRIC_TITLES)
    assert len({title.zh for title in METRIC_TITLES.values()}) == len(METRIC_TITLES)


@pytest.mark.parametrize("policy", [SEGMENTATION, TARIFF_MATCHING, CREDIT_RISK], ids=lambda policy: policy.use_case)
def test_every_criterion_of_a_gate_has_a_title(policy: GatePolicy):
    assert {limit.metric for limit in policy.limits} <= set(METRIC_TITLES)
    assert {limit.slice_column for limit in policy.limits} <= {None, *SLICE_TITLES}
    assert {baseline.name for baseline in policy.baselines} <= set(BASELINE_TITLES)
    assert {limit.aspect for limit in policy.limits} <= set(ASPECT_TITLES)
    assert set(policy.required_criteria) <= set(CRITERION_TITLES) | set(METRIC_TITLES)


@pytest.mark.parametrize(
    ("name", "english", "chinese"),
    [
        ("key_metric", "Key figure with its interval", "关键指标及其区间"),
        ("roc_auc", "AUC", "排序能力（AUC）"),
        ("calibration_gap by district", "Calibration gap by district", "校准差距（按供电区域）"),
        ("better than last_status", "Better than today's overdue balance alone", "优于仅按当前欠费余额排序"),
        ("better than new_rule", "Better than new rule", ""),
    ],
)
def test_criteria_are_named_in_words(name, english, chinese):
    title = criterion_title(name)
    assert (title.en, title.zh) == (english, chinese)


def test_the_key_figures_are_those_that_the_use_cases_report():
    assert {use_case: import_module(f"ml.{use_case}.evaluation").KEY_METRIC for use_case in USE_CASES} == KEY_FIGURES


def test_an_unknown_figure_is_shown_without_underscores():
    assert metric_title("mean_delay_days").en == "Mean delay days"


@pytest.mark.parametrize(("count", "text"), [(0, "0 columns"), (1, "1 column"), (1234, "1,234 columns")])
def test_a_count_agrees_with_its_noun(count, text):
    assert plural(count, "column") == text


def test_an_irregular_plural_is_given():
    assert plural(2, "category", "categories") == "2 categories"


def test_money_is_shown_by_the_code_of_the_currency():
    assert unit_text("currency", "CNY") == "CNY"
    assert unit_text("kWh", "CNY") == "kWh"
    assert unit_text("currency", "") == "currency"


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [(None, 3, False, "–"), (1.0, 3, False, "1.000"), (-0.0004, 3, True, "0.000"), (0.05, 3, True, "+0.050"),
     (12345.6, 0, False, "12,346")],
)  # fmt: skip
def test_numbers_keep_their_decimals(value, decimals, signed, text):
    assert number_text(value, decimals, signed=signed) == text


def test_a_share_of_two_in_ten_thousand_does_not_read_as_none():
    assert number_text(0.0002, decimals_of(0.0002)) == "0.0002"
    assert decimals_of(0.0) == 3


@given(st.floats(-1e12, 1e12))
def test_a_printed_figure_is_near_the_figure(value: float):
    decimals = decimals_of(value)
    assert float(number_text(value, decimals).replace(",", "")) == pytest.approx(value, abs=0.5001 * 10.0**-decimals)
