from ml.bundle import TrainingResult
from ml.credit_risk.evaluation import BASELINES
from ml.credit_risk.gate_policy import GATE_POLICY


def test_the_policy_names_only_what_an_evaluation_holds(trained: TrainingResult):
    assert {requirement.name for requirement in GATE_POLICY.baselines} == set(BASELINES)
    for limit in GATE_POLICY.limits:
        found = (
            trained.evaluation.slices(limit.metric, limit.slice_column)
            if limit.slice_column
            else [trained.evaluation.metric(limit.metric)]
        )
        assert found, limit.name
        assert found[0] is not None, limit.name


def test_criteria_have_names_of_their_own_so_that_an_override_means_one_thing():
    names = [limit.name for limit in GATE_POLICY.limits]
    assert len(names) == len(set(names))


def test_ranking_calibration_stability_and_fairness_are_all_demanded():
    aspects = {limit.aspect for limit in GATE_POLICY.limits}
    assert {"accuracy", "calibration", "stability", "fairness"} <= aspects
