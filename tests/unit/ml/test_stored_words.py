import re
from datetime import date

import pytest

from ml.credit_risk.gate_policy import GATE_POLICY as CREDIT_RISK
from ml.evaluation import Criterion, Evaluation, Metric
from ml.gate import GateDecision, Override, decide
from ml.segmentation.gate_policy import GATE_POLICY as SEGMENTATION
from ml.stored_words import decision_words, in_chinese, shortage_words, stored
from ml.sufficiency import Finding, SufficiencyReport
from ml.tariff_matching.gate_policy import GATE_POLICY as TARIFF_MATCHING

ENGLISH = re.compile(r"[A-Za-z]{3,}")


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("0.8368 (0.7961 to 0.8711)", "0.8368 (0.7961 至 0.8711)"),
        ("+11.49 points (+4.69 to +20.88)", "+11.49 个百分点 (+4.69 至 +20.88)"),
        ("at least 0.67 and at most 1.5 (any part of the interval)", "不低于 0.67，且不高于 1.5（区间任一部分）"),
        ("0.0355 (0.0269 to 0.0456) for customer class industrial", "0.0355 (0.0269 至 0.0456)（用电类别：工业）"),
        ("at least 0, and the lower end of the interval at least -0.02", "不低于 0，且区间下限不低于 -0.02"),
        ("interval of the difference not wholly below -0.01", "差值区间不完全低于 -0.01"),
        ("80% within 3%, interval considered", "80%，容差 3%，计入区间"),
        ("dongjiao", "dongjiao"),
    ],
)
def test_figures_and_demands_are_said_in_chinese_with_the_same_numbers(text, chinese) -> None:
    assert in_chinese(text) == chinese


@pytest.mark.parametrize(
    "text",
    [
        "Held out by time and by customer at once: 7,124 snapshots of 1,821 customers, as of 2025-12 to 2026-03, each "
        "judged by a model that was trained on other customers. Training ends with snapshots of 2025-06, whose 6 "
        "months of outcome are over before the hold-out begins; 5 months between are left out, and the first 3 months, "
        "which see too little past.",
        "Held out by time and by customer at once: 7,124 snapshots of 1,821 customers, as of 2025-12, each judged by a "
        "model that was trained on other customers. Training ends with snapshots of 2025-06, whose 6 months of "
        "outcome are over before the hold-out begins; 5 months between are left out.",
        "As many segments as are released, found on the window ending 2025-10, judged on the shapes of the window "
        "ending 2026-09 (1,835 residential and business customers). The two trailing windows share no readings.",
        "Decided at the end of 2025-09 on 12 months of readings, by forecasts learned from other customers; the exact "
        "bills of the 12 months to 2026-09 (or as many as were left) were then paid (1,675 customers with a known "
        "tariff and an alternative).",
    ],
)
def test_how_figures_were_held_out_is_said_in_chinese_with_every_number(text) -> None:
    told = in_chinese(text)
    assert not ENGLISH.search(told)
    assert sorted(re.findall(r"[\d,]*\d", told)) == sorted(re.findall(r"[\d,]*\d", text))


@pytest.mark.parametrize(
    ("policy", "figure"),
    [
        (CREDIT_RISK, Metric(name="roc_auc", value=0.5, lower=0.45, upper=0.55)),
        (SEGMENTATION, Metric(name="explained_shape_variance", value=0.5)),
        (TARIFF_MATCHING, Metric(name="captured_saving_share", value=None)),
    ],
)
def test_every_demand_of_the_built_in_gates_is_said_in_chinese(policy, figure) -> None:
    evaluation = Evaluation(use_case=policy.use_case, holdout_description="none", key_metric=figure, metrics=(figure,))
    decision = decide(evaluation, policy=policy, decided_on=date(2026, 11, 1), has_champion=True)
    for criterion in decision.criteria:
        assert not ENGLISH.search(in_chinese(criterion.required)), criterion.required
        assert not ENGLISH.search(in_chinese(criterion.observed)), criterion.observed
    assert not ENGLISH.search(decision_words(decision).zh.replace("AUC", "").replace("PSI", ""))


def test_an_approval_names_who_overrode_what() -> None:
    override = Override(criterion="roc_auc", person="Li Na", reason="Pilot in one town.", expires_on=date(2026, 12, 1))
    decision = GateDecision(
        use_case="credit_risk",
        approved=True,
        decided_on=date(2026, 11, 1),
        policy_valid_from=date(2026, 1, 1),
        criteria=(Criterion(name="roc_auc", passed=False, overridden_by="Li Na"),),
        overrides=(override,),
        reason="Approved with 1 overridden.",
    )
    assert decision_words(decision).zh == (
        "通过，其中特批 1 项：排序能力（AUC）（Li Na，有效至 2026-12-01：Pilot in one town.）。"
    )


def test_what_data_lacks_is_said_with_what_to_deliver() -> None:
    report = SufficiencyReport.of("credit_risk", [Finding.at_least("customers", 20, 300, missing="Only 20.")])
    assert shortage_words(report).en == "Only 20."
    assert shortage_words(report).zh == "客户数：现为 20，要求不低于 300。请提供更多客户。"


@pytest.mark.parametrize(
    "text",
    [
        "The scorecard is taken: the trees do not predict better beyond doubt. By how much the trees lower the "
        "logarithmic loss, same rows: -0.0148 (-0.0238 to -0.0043).",
        "residential: 4 segment(s) by Ward hierarchy from 1,606 customers; 14 unusual shapes were left out while the "
        "centres were found and are assigned to the nearest, as are 25 that lack a season or a kind of day.",
        "Joining a programme: Left out: it ranks customers no better than chance beyond doubt (AUC 0.503, 0.395 to "
        "0.615). Held out by time and by customer: 1,173 rows of 392 customers, as of 2025-07 to 2025-09, each judged "
        "by a model that was trained on other customers; training ends with 2025-04, whose outcome was known before.",
        "Add the points of the one line that fits in each block to the start. 600 points are odds of 50 good to 1 bad, "
        "and every 20 points more double them: probability of default = 1 / (1 + 50 x 2 ^ ((points - 600) / 20)). 487 "
        "points are even odds.",
        "17 as-of months have known outcomes (2024-02 to 2025-06); 2,177 snapshots are still waiting for theirs, 19 "
        "are excluded (supply closed), 502 are excluded (without bills), 3 are excluded (too new).",
    ],
)
def test_the_prose_of_a_model_card_is_said_in_chinese_with_every_number(text) -> None:
    told = in_chinese(text)
    assert not ENGLISH.search(told.replace("AUC", "").replace("Ward", ""))
    assert sorted(re.findall(r"[\d,]*\d", told)) == sorted(re.findall(r"[\d,]*\d", text))


def test_a_text_of_which_a_part_is_unknown_stays_as_it_is() -> None:
    assert in_chinese("Bills issued in 12 months") == "Bills issued in 12 months"
    assert in_chinese("at least 3 (any luck)") == "at least 3 (any luck)"


def test_what_has_no_words_is_the_same_in_both_languages() -> None:
    assert stored("Li Na").zh == stored("Li Na").en
