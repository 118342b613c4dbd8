"""The Evidently workspace of the model owners: one project per use case, one run per month and release.

Everything is looked up by name before it is created and replaced when a month is reviewed again, so that reviewing
twice leaves the same workspace as reviewing once.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitoring.policy import DriftPolicy
from monitoring.reports import method_name
from monitoring.verdicts import USE_CASE_TITLES, exclusive

WORKSPACE_NAME = "workspace"


def store_run(snapshot: Any, policy: DriftPolicy, reports_dir: Path) -> None:
    """Put the run of a month into its project, in place of an earlier run of the same month and release.

    Args:
        snapshot: Evidently's snapshot with use case, month and release in its metadata.
        policy: Policy by which it was made; it chooses what the dashboard shows.
        reports_dir: Folder of reports.
    """
    with exclusive(reports_dir, WORKSPACE_NAME):
        workspace = open_workspace(reports_dir)
        project = _project(workspace, policy)
        model = snapshot.to_snapshot_model()
        for run_id in workspace.list_runs(project.id):
            stored = workspace.get_run(project.id, run_id)
            if stored is not None and _identity(stored.metadata) == _identity(model.metadata):
                workspace.delete_run(project.id, run_id)
        workspace.add_run(project.id, snapshot)


def open_workspace(reports_dir: Path) -> Any:
    """Return the workspace; it is created if there is none."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently.ui.workspace import Workspace

    return Workspace.create(str(reports_dir / WORKSPACE_NAME))


def project_name(use_case: str) -> str:
    """Return the name of a use case's project; the spelling is the one used everywhere else."""
    return use_case


def _project(workspace: Any, policy: DriftPolicy) -> Any:
    found = workspace.search_project(project_name(policy.use_case))
    project = found[0] if found else workspace.create_project(project_name(policy.use_case))
    title = " ".join(USE_CASE_TITLES[policy.use_case])
    description = f"{title}. One run per month and release, judged by policy {policy.version}."
    if project.description != description:
        project.description = description
        project.save()
    wanted = _panels(policy)
    if [panel.title for panel in project.dashboard.model().panels] != [panel.title for panel in wanted]:
        project.dashboard.clear_dashboard()
        for panel in wanted:
            project.dashboard.add_panel(panel, tab="Drift")
    return project


def _panels(policy: DriftPolicy) -> Sequence[Any]:
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import bar_plot_panel, line_plot_panel

    def score_of(column: str) -> PanelMetric:
        return PanelMetric(
            legend=column, metric="ValueDrift", metric_labels={"column": column, "method": method_name(policy)}
        )

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
            title="Missing values by month",
            values=[
                PanelMetric(legend="share", metric="DatasetMissingValueCount", metric_labels={"value_type": "share"})
            ],
            size="half",
        ),
    ]


def _identity(metadata: dict[str, Any]) -> tuple[Any, Any]:
    return metadata.get("month"), metadata.get("release")
