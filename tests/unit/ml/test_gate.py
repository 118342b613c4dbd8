from datetime import date

import pytest
from pydantic import ValidationError

from ml.evaluation import BaselineComparison, ChampionComparison, Criterion, Evaluation, Metric
from ml.gate import (
    BaselineRequirement,
    ChampionRequirement,
    GateDecision,
    GatePolicy,
    MetricLimit,
    Override,
    decide,
)
from ml.sufficiency import Finding, SufficiencyReport
from ml.trials import TrialRequirement

TODAY = date(2026, 11, 22)
POLICY = GatePolicy(
    use_case="credit_risk",
    valid_from=date(2026, 1, 1),
    baselines=(BaselineRequirement(name="last_status", judged_by="lower"),),
    champion=ChampionRequirement(tolerance=0.005),
    limits=(
        MetricLimit(metric="calibration_error", aspect="calibration", maximum=0.05),
        MetricLimit(
            metric="gap", aspect="fairness", maximum=0.1, judged_by="interval", slice_column="district", minimum_rows=50
        ),
    ),
    required_criteria=("stability",),
)


def figure(name: str, value: float | None, width: float = 0.01, **more: object) -> Metric:
    ends = {} if value is None else {"lower": value - width, "upper": value + width}
    return Metric.model_validate({"name": name, "value": value, **ends, **more})


def evaluation(**changes: object) -> Evaluation:
    auc = figure("roc_auc", 0.75, rows=500)
    good = Evaluation(
        use_case="credit_risk",
        holdout_description="later months",
        key_metric=auc,
        metrics=(
            auc,
            figure("calibration_error", 0.02),
            figure("gap", 0.02, rows=200, slice_column="district", slice_value="east"),
            figure("gap", 0.5, rows=20, slice_column="district", slice_value="tiny"),
        ),
        baselines=(BaselineComparison(name="last_status", metric=auc, difference=figure("difference", 0.05)),),
        criteria=(Criterion(name="stability", passed=True, reason="Stable."),),
        sufficiency=SufficiencyReport.of("credit_risk", [Finding.at_least("bills", 5, 1, missing="No bills.")]),
    )
    return good.model_copy(update=changes)


def champion(difference: float) -> ChampionComparison:
    return ChampionComparison(
        champion_version="202601-abc",
        challenger=figure("roc_auc", 0.75),
        champion=figure("roc_auc", 0.75 - difference),
        difference=figure("difference", difference, 0.004),
        rows=500,
    )


def judge(found: Evaluation | None, **more: object) -> GateDecision:
    arguments = {"policy": POLICY, "decided_on": TODAY, "has_champion": False, **more}
    return decide(found, **arguments)


def failed_names(decision: GateDecision) -> list[str]:
    return [criterion.name for criterion in decision.criteria if criterion.passed is not True]


def test_a_good_model_passes_every_criterion():
    decision = judge(evaluation())
    assert decision.approved
    assert decision.reason == "Approved: all 6 criteria are met."
    assert decision.decided_on == TODAY


def test_a_missing_report_is_refused():
    decision = judge(None)
    assert not decision.approved
    assert decision.reason == "Refused: There is no evaluation report."


def test_criteria_that_fail_for_one_reason_say_it_once():
    unstable = [Criterion(name=name, passed=False, reason="Nothing is stable.") for name in ("stability", "size")]
    policy = POLICY.model_copy(update={"required_criteria": ("stability", "size")})

    decision = decide(evaluation(criteria=tuple(unstable)), policy=policy, decided_on=TODAY, has_champion=False)

    assert decision.reason == "Refused: Nothing is stable."


def test_a_report_of_another_use_case_is_refused():
    assert not judge(evaluation(use_case="segmentation")).approved


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"sufficiency": None}, "sufficiency"),
        ({"sufficiency": SufficiencyReport.of("credit_risk", [])}, "sufficiency"),
        ({"key_metric": figure("roc_auc", None)}, "key_metric"),
        ({"key_metric": Metric(name="roc_auc", value=0.9)}, "key_metric"),
        ({"baselines": ()}, "better than last_status"),
        ({"criteria": ()}, "stability"),
        ({"criteria": (Criterion(name="stability", passed=None),)}, "stability"),
        ({"criteria": (Criterion(name="stability", passed=False, reason="Unstable."),)}, "stability"),
    ],
)
def test_anything_missing_is_refused_by_its_name(changes: dict[str, object], failed: str):
    decision = judge(evaluation(**changes))
    assert not decision.approved
    assert failed_names(decision) == [failed]
    assert len(decision.reason) > len("Refused: ")


@pytest.mark.parametrize("name", ["calibration_error", "gap"])
def test_a_missing_figure_is_refused(name: str):
    kept = tuple(metric for metric in evaluation().metrics if metric.name != name)
    decision = judge(evaluation(metrics=kept))
    assert not decision.approved
    assert any(name in failed for failed in failed_names(decision))


def test_a_figure_without_value_is_refused_although_it_is_listed():
    metrics = (*(m for m in evaluation().metrics if m.name != "calibration_error"), figure("calibration_error", None))
    decision = judge(evaluation(metrics=metrics))
    assert not decision.approved
    assert next(c for c in decision.criteria if c.name == "calibration_error").passed is None


def test_a_figure_judged_by_its_interval_is_refused_when_it_has_none():
    bare = Metric(name="gap", value=0.01, rows=200, slice_column="district", slice_value="east")
    metrics = (*(m for m in evaluation().metrics if m.name != "gap"), bare)
    assert failed_names(judge(evaluation(metrics=metrics))) == ["gap by district"]


def test_slices_with_few_rows_are_not_judged_but_one_slice_must_be():
    only_tiny = tuple(metric for metric in evaluation().metrics if metric.slice_value != "east")
    assert failed_names(judge(evaluation(metrics=only_tiny))) == ["gap by district"]


def test_a_slice_beyond_its_limit_is_refused_and_named():
    unfair = figure("gap", 0.3, rows=90, slice_column="district", slice_value="west")
    decision = judge(evaluation(metrics=(*evaluation().metrics, unfair)))
    assert not decision.approved
    assert "district west" in decision.reason


def test_a_wide_interval_that_touches_the_limit_is_not_a_proof_of_unfairness():
    unsure = figure("gap", 0.12, 0.05, rows=90, slice_column="district", slice_value="west")
    assert judge(evaluation(metrics=(*evaluation().metrics, unsure))).approved


def test_an_improvement_within_the_noise_does_not_beat_a_baseline_judged_by_the_lower_end():
    auc = figure("roc_auc", 0.75)
    comparison = BaselineComparison(name="last_status", metric=auc, difference=figure("difference", 0.005))
    decision = judge(evaluation(baselines=(comparison,)))
    assert failed_names(decision) == ["better than last_status"]


@pytest.mark.parametrize(
    ("value", "width", "approved"),
    [(0.01, 0.02, True), (-0.001, 0.01, False), (0.01, 0.04, False), (0.01, None, False)],
)
def test_an_estimate_above_a_baseline_must_also_be_shown_by_enough_data(
    value: float, width: float | None, approved: bool
):
    requirement = BaselineRequirement(name="last_status", least_lower_end=-0.02)
    difference = figure("difference", value, width) if width else Metric(name="difference", value=value)
    compared = BaselineComparison(name="last_status", metric=figure("roc_auc", 0.7), difference=difference)
    decision = decide(
        evaluation(baselines=(compared,)),
        policy=POLICY.model_copy(update={"baselines": (requirement,)}),
        decided_on=TODAY,
        has_champion=False,
    )
    assert decision.approved == approved
    assert "lower end of the interval at least -0.02" in decision.criteria[2].required


def test_a_missing_comparison_with_the_champion_is_refused():
    decision = judge(evaluation(), has_champion=True)
    assert failed_names(decision) == ["not worse than the champion"]


@pytest.mark.parametrize(("difference", "approved"), [(0.02, True), (-0.006, True), (-0.02, False)])
def test_only_a_challenger_that_is_worse_beyond_doubt_is_refused(difference: float, approved: bool):
    assert judge(evaluation(), has_champion=True, champion=champion(difference)).approved is approved


def override(criterion: str = "calibration_error", expires_on: date = TODAY) -> Override:
    return Override(criterion=criterion, person="Li Wei", reason="Migration month, agreed.", expires_on=expires_on)


def badly_calibrated() -> Evaluation:
    metrics = (*(m for m in evaluation().metrics if m.name != "calibration_error"), figure("calibration_error", 0.2))
    return evaluation(metrics=metrics)


def test_an_override_approves_and_stands_on_the_decision():
    decision = judge(badly_calibrated(), overrides=[override()])
    assert decision.approved
    assert decision.overrides == (override(),)
    criterion = next(c for c in decision.criteria if c.name == "calibration_error")
    assert criterion.passed is False
    assert criterion.overridden_by is not None
    assert "Li Wei" in decision.reason
    assert "2026-11-22" in decision.reason


def test_an_expired_override_counts_for_nothing_and_is_mentioned():
    decision = judge(badly_calibrated(), overrides=[override(expires_on=date(2026, 11, 21))])
    assert not decision.approved
    assert decision.overrides == ()
    assert "has expired" in decision.reason


def test_an_override_of_another_criterion_does_not_help():
    assert not judge(badly_calibrated(), overrides=[override("stability")]).approved


def test_an_override_that_is_not_needed_does_not_appear():
    assert judge(evaluation(), overrides=[override()]).overrides == ()


@pytest.mark.parametrize("fields", [{"person": ""}, {"reason": "because"}, {"expires_on": None}, {"criterion": ""}])
def test_an_override_needs_a_name_a_reason_and_an_end(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        Override.model_validate({**override().model_dump(), **fields})


def test_a_limit_without_a_limit_is_refused():
    with pytest.raises(ValidationError, match="neither minimum nor maximum"):
        MetricLimit(metric="gap")


def test_a_decision_survives_json():
    decision = judge(badly_calibrated(), overrides=[override()])
    assert GateDecision.model_validate_json(decision.model_dump_json()) == decision


def test_a_trial_that_the_policy_demands_refuses_while_it_is_missing():
    demanding = POLICY.model_copy(update={"trial": TrialRequirement(decisions=10)})

    decision = judge(evaluation(), policy=demanding, challenger_version="v2")

    assert not decision.approved
    assert "A trial on live traffic is demanded, but v2 had none." in decision.reason
