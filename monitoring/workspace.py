"""The Evidently workspace of the model owners: one project per use case, one run per month and release.

Ids follow from names, so that reviewing a month twice leaves the same workspace as reviewing it once. The files have
the layout of Evidently's ``Workspace`` but are written here: opening that class reads every stored run (a tenth of a
second each), and a run that is killed while it writes would leave a torn file at which the Evidently UI stops.
"""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitoring.policy import DriftPolicy
from monitoring.reports import evidently_at_work, method_name
from monitoring.verdicts import USE_CASE_TITLES, write_atomically

WORKSPACE_NAME = "workspace"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "kilowise.monitoring")


def store_run(snapshot: Any, policy: DriftPolicy, reports_dir: Path) -> None:
    """Put the run of a month into its project, in place of an earlier run of the same month and release.

    Args:
        snapshot: Evidently's snapshot with use case, month and release in its metadata.
        policy: Policy by which it was made; it chooses what the dashboard shows.
        reports_dir: Folder of reports.
    """
    project_dir = reports_dir / WORKSPACE_NAME / str(project_id(policy.use_case))
    with evidently_at_work():
        _write_project(project_dir, policy)
        model = snapshot.to_snapshot_model()
        run_id = uuid.uuid5(_NAMESPACE, "/".join([policy.use_case, model.metadata["month"], model.metadata["release"]]))
        _write_json(project_dir / "snapshots" / f"{run_id}.json", _with_lasting_ids(model.dict(), run_id))


def _with_lasting_ids(run: dict[str, Any], run_id: uuid.UUID) -> dict[str, Any]:
    """Return a run whose widgets are named by their order, where Evidently gives them a random id each time."""
    lasting: dict[str, str] = {}

    def renamed(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: name_of(value) if key == "id" else renamed(value) for key, value in node.items()}
        return [renamed(value) for value in node] if isinstance(node, list) else node

    def name_of(drawn: str) -> str:
        return lasting.setdefault(drawn, str(uuid.uuid5(run_id, str(len(lasting)))))

    results = {name: {**result, "widget": renamed(result["widget"])} for name, result in run["metric_results"].items()}
    whole = {part: renamed(run[part]) for part in ("widgets", "tests_widgets")}
    return {**run, "metric_results": results, **whole}


def project_id(use_case: str) -> uuid.UUID:
    """Return the id of a use case's project, which is also its address in the Evidently UI."""
    return uuid.uuid5(_NAMESPACE, use_case)


def open_workspace(reports_dir: Path) -> Any:
    """Return the workspace as Evidently sees it."""
    with evidently_at_work():
        from evidently.ui.workspace import Workspace

        return Workspace.create(str(reports_dir / WORKSPACE_NAME))


def _write_project(project_dir: Path, policy: DriftPolicy) -> None:
    from evidently.sdk.models import DashboardModel, DashboardTabModel, ProjectModel

    project = ProjectModel(
        id=project_id(policy.use_case),
        name=policy.use_case,
        description=f"{' '.join(USE_CASE_TITLES[policy.use_case])}. One run per month and release, "
        f"judged by policy {policy.version}.",
    )
    panels = [panel.copy(update={"id": uuid.uuid5(project.id, panel.title)}) for panel in _panels(policy)]
    tab = DashboardTabModel(id=uuid.uuid5(project.id, "Drift"), title="Drift", panels=[panel.id for panel in panels])
    _write_json(project_dir / "metadata.json", project.dict())
    _write_json(project_dir / "dashboard.json", DashboardModel(tabs=[tab], panels=panels).dict())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    from evidently.legacy.utils import NumpyEncoder

    write_atomically(path, json.dumps(content, cls=NumpyEncoder).encode())


def _panels(policy: DriftPolicy) -> Sequence[Any]:
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import bar_plot_panel, line_plot_panel

    def score_of(column: str) -> PanelMetric:
        return PanelMetric(
            legend=column, metric="ValueDrift", metric_labels={"column": column, "method": method_name(policy)}
        )

    def missing_share_of(column: str) -> PanelMetric:
        return PanelMetric(
            legend=column, metric="MissingValueCount", metric_labels={"column": column, "value_type": "share"}
        )

    by_group = [
        line_plot_panel(
            title="Observed minus predicted, all customers, points",
            description="By month of the review, of the outcomes known by then",
            values=[PanelMetric(legend="points", metric="ObservedMinusPredicted")],
            size="half",
        )
    ]
    return [
        line_plot_panel(
            title=f"Drift of {policy.prediction.column} by month",
            description=f"Watch from {policy.prediction.watch:g}, act from {policy.prediction.act:g}",
            values=[score_of(policy.prediction.column)],
            size="half",
        ),
        bar_plot_panel(
            title="Share of drifted columns by month",
            description=f"Watch from {policy.drifted_share_pct.watch:g} %, act from {policy.drifted_share_pct.act:g} %",
            values=[PanelMetric(legend="share", metric="DriftedColumnsCount", metric_labels={"value_type": "share"})],
            size="half",
        ),
        line_plot_panel(
            title="Drift of important columns by month",
            description=f"PSI over bins fixed by the reference; watch from {policy.numeric.watch:g}",
            values=[score_of(column) for column in policy.important_columns],
        ),
        bar_plot_panel(
            title="Compared rows by month",
            values=[PanelMetric(legend="rows", metric="RowCount")],
            size="half",
        ),
        line_plot_panel(
            title="Missing share of important columns by month",
            values=[missing_share_of(column) for column in policy.important_columns],
            size="half",
        ),
        line_plot_panel(
            title="What drives the predictions: share moved to other columns",
            description=f"Watch from {policy.importance.watch:g}",
            values=[PanelMetric(legend="share", metric="PredictionDriversMoved")],
            size="half",
        ),
        *(by_group if policy.concept else []),
    ]
