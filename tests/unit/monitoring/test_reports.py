"""Evidently's side: same numbers as ours, found by type and column, on pages of bounded size."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.datasets import load_current, load_reference
from monitoring.drift import psi, psi_of_shares
from monitoring.policy import load_policy
from monitoring.reports import (
    columns_to_draw,
    drift_scores,
    drifted_columns_count,
    evidently_at_work,
    method_name,
    run_report,
    save_page,
)
from monitoring.scoring import compare
from monitoring.sections import ColumnImportance, ConceptDrift, GroupResidual, ImportanceShift
from monitoring.workspace import WORKSPACE_NAME, open_workspace, project_id, store_run
from tests.unit.monitoring.factories import MONTH, RELEASE, prediction_frame

POLICY = load_policy("credit_risk", MONTH)


def workspace_files(reports_dir: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (reports_dir / WORKSPACE_NAME).rglob("*.json")}


@pytest.fixture
def reviewed(make_platform):
    platform = make_platform(rows=0)
    frame = prediction_frame("credit_risk", MONTH, 800, seed=1)
    frame["late_bills_3m_count"] += 1
    frame.loc[:20, "tenure_months"] = np.inf
    frame.loc[:50, "customer_class"] = "moon_base"
    platform.write_batch(frame)
    current = load_current(
        "credit_risk",
        MONTH,
        predictions_dir=platform.predictions_dir,
        log_dir=platform.log_dir,
        release=RELEASE,
        sample=POLICY.sample,
    )
    reference = load_reference("credit_risk", platform.bundle_dir, POLICY.sample, POLICY.reference)
    compared = compare(current, reference, MONTH, POLICY)
    rows = replace(current, frame=compared.current)
    run = partial(run_report, rows, compared.reference, policy=POLICY, month=MONTH, release=RELEASE)
    return platform, compared.scores, run


def test_evidently_reports_the_scores_that_decide(reviewed, tmp_path) -> None:
    platform, scores, make_run = reviewed
    run = make_run(scores)
    ours = {score.column: score.score for score in scores}
    assert set(run.scores) == set(columns_to_draw(scores, POLICY))
    assert run.scores == pytest.approx({column: ours[column] for column in run.scores}, abs=1e-9)
    assert drifted_columns_count(run.snapshot) == sum(score.level in ("drifted", "strong") for score in scores)

    kinds = {metric["config"]["type"].rpartition(":")[2] for metric in run.snapshot.dict()["metrics"]}
    assert {"DatasetMissingValueCount", "ConstantColumnsCount", "MissingValueCount"} <= kinds

    save_page(run.snapshot, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<title>Credit risk 信用风险 2026-08 · 0001-202608-abc · Kilowise</title>") == 1
    heading = page[page.index("<body>") : page.index("</header>")]
    assert re.search(r"<h1[^>]*>Credit risk <span[^>]*>信用风险</span> · 2026-08</h1>", heading)
    assert RELEASE in heading

    store_run(run.snapshot, POLICY, platform.reports_dir)
    store_run(run.snapshot, POLICY, platform.reports_dir)
    workspace = open_workspace(platform.reports_dir)
    (project,) = workspace.list_projects()
    (run_id,) = workspace.list_runs(project.id)
    stored = workspace.get_run(project.id, run_id)
    assert (project.id, project.name) == (project_id("credit_risk"), "credit_risk")
    assert (stored.metadata["month"], stored.metadata["release"]) == ("2026-08", RELEASE)
    assert stored.name == f"Credit risk 2026-08 {RELEASE}"
    assert stored.tags == ["credit_risk", "2026-08", RELEASE]
    assert "Drift of default_probability by month" in {panel.title for panel in project.dashboard.model().panels}


def test_reviewing_a_month_again_leaves_every_byte_of_the_workspace(reviewed) -> None:
    platform, scores, make_run = reviewed
    stored = []
    for _ in range(2):
        store_run(make_run(scores[:2]).snapshot, POLICY, platform.reports_dir)
        stored.append(workspace_files(platform.reports_dir))
    assert stored[0] == stored[1]
    assert len(stored[0]) == 3


def test_what_evidently_has_no_metric_for_stands_on_its_page_and_in_its_monthly_series(reviewed, tmp_path) -> None:
    platform, scores, make_run = reviewed
    importance = ImportanceShift(
        method="explanations", moved_share=0.234, rank_correlation=0.9, rows_reference=800, rows_current=800,
        columns=(
            ColumnImportance(
                column="late_bills_3m_count", share_reference=0.21, share_current=0.42, rank_reference=3, rank_current=1
            ),
        ),
    )  # fmt: skip
    group = GroupResidual(
        dimension="all", group="all", rows=1_400, events=70, predicted=0.05, observed=0.075, gap=0.025, gap_lower=0.01,
        gap_upper=0.04, gap_at_release=0.001,
    )  # fmt: skip
    concept = ConceptDrift(
        column="default_probability", months=(MONTH,), rows=1_400,
        groups=(group.model_copy(update={"dimension": "district", "group": "east", "gap": 0.06}), group),
    )  # fmt: skip

    stored = []
    for _ in range(2):
        run = make_run(scores[:2], importance=importance, concept=concept)
        store_run(run.snapshot, POLICY, platform.reports_dir)
        stored.append(workspace_files(platform.reports_dir))
    assert stored[0] == stored[1]

    workspace = open_workspace(platform.reports_dir)
    (project,) = workspace.list_projects()
    (run_id,) = workspace.list_runs(project.id)
    results = workspace.get_run(project.id, run_id).metric_results.values()
    values = {result.metric_value_location.metric.params["type"]: result for result in results}
    assert values["evidently:metric_v2:PredictionDriversMoved"].value == pytest.approx(0.234)
    assert values["evidently:metric_v2:ObservedMinusPredicted"].value == pytest.approx(2.5)
    drawn = {metric["metric"] for panel in project.dashboard.model().panels for metric in panel.dict()["values"]}
    assert {"evidently:metric_v2:PredictionDriversMoved", "evidently:metric_v2:ObservedMinusPredicted"} <= drawn

    save_page(run.snapshot, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for expected in ("23.4 %", "42.0 %", "1 (3)", "district: east", "+6.0 (+1.0", "1,400"):
        assert expected in page or expected.encode("ascii", "backslashreplace").decode() in page, expected


def test_scores_are_found_by_type_method_and_column_in_any_order() -> None:
    class Snapshot:
        def __init__(self, metrics) -> None:
            self.metrics = metrics

        def dict(self):
            return {"metrics": self.metrics}

    def metric(kind: str, column: str, value: float, method: str = "ours"):
        config = {"type": f"evidently:metric_v2:{kind}", "column": column, "method": method}
        return {"config": config, "value": value}

    metrics = [
        metric("MissingValueCount", "a", 9.0),
        metric("ValueDrift", "b", 0.2),
        metric("ValueDrift", "a", 0.7, method="psi"),
        metric("ValueDrift", "a", 0.1),
    ]
    expected = {"a": 0.1, "b": 0.2}
    assert drift_scores(Snapshot(metrics), "ours") == drift_scores(Snapshot(metrics[::-1]), "ours") == expected


def evidently_psi(reference: pd.Series, current: pd.Series) -> float:
    with evidently_at_work():
        from evidently.legacy.calculations.stattests import psi_stat_test
        from evidently.legacy.core import ColumnType

    return psi_stat_test(reference, current, ColumnType.Numerical, None).drift_score


def plain_psi_over_pooled_bins(reference: pd.Series, current: pd.Series) -> float:
    """PSI as Evidently computes it: equal widths between the pooled extremes, number of bins by Sturges."""
    edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins="sturges")
    then = np.histogram(reference, edges)[0] / len(reference)
    now = np.histogram(current, edges)[0] / len(current)
    return psi_of_shares(then, now)


def test_evidently_psi_takes_its_bins_from_both_samples_whatever_bins_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    reference, current = pd.Series(rng.normal(size=4_000)), pd.Series(rng.normal(0.3, 1, size=2_000))
    assert evidently_psi(reference, current) == pytest.approx(plain_psi_over_pooled_bins(reference, current), rel=0.05)


def test_one_extreme_value_blinds_evidently_psi_and_not_ours() -> None:
    rng = np.random.default_rng(0)
    reference, current = pd.Series(rng.lognormal(0, 1, 4_000)), pd.Series(rng.lognormal(0.7, 1, 2_000))
    rule = {"bins": POLICY.numeric.bins, "rare_share_pct": POLICY.categorical.rare_share_pct}
    with_extreme = pd.concat([current, pd.Series([1e6])])
    assert psi(reference, with_extreme, "numeric", **rule) > POLICY.numeric.act
    assert evidently_psi(reference, with_extreme) < 0.02


def test_the_method_name_says_what_is_fixed() -> None:
    assert method_name(POLICY) == "psi_10_reference_bins"
