"""What the main job says at its end: what came in, which models are served and how good they are, what to do next."""

from pathlib import Path

from ml.columns import USE_CASES
from ml.errors import KilowiseError
from orchestration.forms import dagster_ui
from orchestration.lifecycle import check_data, decision_dir, latest_verdicts, read_challenger
from orchestration.main_run import RunOutcome
from orchestration.marts import MartsNotPublishedError, current_marts
from orchestration.metadata import key_figure_sentence
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES as USE_CASE_ADAPTERS


def render_summary(settings: PlatformSettings, outcome: RunOutcome) -> str:
    """Return the summary as text for a terminal."""
    lines = ["", f"Kilowise: {_headline(outcome)}", ""]
    lines += _data_lines(settings)
    lines += [line for use_case in USE_CASES for line in _model_lines(settings, use_case)]
    lines += _report_lines(settings)
    command, address = dagster_ui(settings)
    lines += [
        "Next:",
        f"  {command:<14} the asset graph in the Dagster UI     {address}",
        "  make serve     the HTTP API                          http://127.0.0.1:3100/docs",
        "  make reports   model cards and drift reports         http://127.0.0.1:3200",
        "",
    ]
    return "\n".join(lines)


def _headline(outcome: RunOutcome) -> str:
    if not outcome.succeeded:
        failed = ", ".join(step.replace("__", "/") for step in outcome.failed_steps)
        return f"the run did not finish, {failed} failed; see above."
    if outcome.refused_use_cases:
        return (
            f"everything is done; the gate refused the new model of {' and of '.join(outcome.refused_use_cases)}, so "
            "what is served stays as it was."
        )
    return "everything is done."


def _data_lines(settings: PlatformSettings) -> list[str]:
    from orchestration.ingestion.totals import landed_totals

    totals = landed_totals(settings.landing_dir)
    rows_in = sum(total.rows_in for total in totals.values())
    quarantined = sum(total.rows_quarantined for total in totals.values())
    duplicates = sum(total.rows_duplicate for total in totals.values())
    lines = [
        f"Data      {rows_in:,} rows in, {rows_in - quarantined - duplicates:,} loaded, {duplicates:,} exact "
        f"duplicates, {quarantined:,} quarantined with a reason",
    ]
    try:
        marts = current_marts(settings.marts_dir)
    except MartsNotPublishedError:
        return [*lines, "          no marts are published", ""]
    try:
        customers = current_marts(settings.after_models_marts_dir).row_counts["customer_portrait"]
    except MartsNotPublishedError:
        return [*lines, f"          no customer portrait yet (marts version {marts.name})", ""]
    return [*lines, f"          {customers:,} customers in the marts (version {marts.name})", ""]


def _model_lines(settings: PlatformSettings, use_case: str) -> list[str]:
    from serving.model_store import ModelStore

    release = ModelStore(settings.home).current_release(use_case)
    challenger = read_challenger(use_case, settings)
    if release is None and challenger is None:
        adapter = next(adapter for adapter in USE_CASE_ADAPTERS if adapter.name == use_case)
        try:
            sentence = check_data(adapter, current_marts(settings.marts_dir), settings).sentence()
        except MartsNotPublishedError:
            sentence = "no data"
        except KilowiseError as error:
            # What stopped the use case must not hide what became of the others.
            sentence = str(error)
        return [f"{use_case}", f"          no model: {sentence}", ""]
    lines = [use_case]
    if challenger is not None:
        lines.append(f"          {key_figure_sentence(challenger.evaluation)}")
        lines += _refusal_lines(settings, use_case, challenger.manifest.version)
    lines.append(f"          served: release {release.name}" if release else "          nothing is released yet")
    return [*lines, ""]


def _refusal_lines(settings: PlatformSettings, use_case: str, bundle_version: str) -> list[str]:
    from ml.gate import GateDecision

    folder = decision_dir(settings, use_case, bundle_version)
    if not (folder / "decision.json").exists():
        return []
    decision = GateDecision.model_validate_json((folder / "decision.json").read_bytes())
    if decision.approved:
        return []
    return [f"          {decision.reason}", f"          model card: {folder / 'model_card.html'}"]


def _report_lines(settings: PlatformSettings) -> list[str]:
    site: Path = settings.reports_dir / "site" / "index.html"
    lines = [f"Reports   {site}"] if site.exists() else []
    lines += [f"          {verdict.sentence()}" for verdict in latest_verdicts(settings)]
    return [*lines, ""]
