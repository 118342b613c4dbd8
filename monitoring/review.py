"""Reviews one released model for one month: the single entry for orchestration.

Bad content (an empty month, torn files, columns that vanished) leads to a verdict; only misuse raises.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import KilowiseError
from monitoring.hysteresis import earlier_months, hold
from monitoring.late_labels import KnownOutcomes, LateLabels, look_back
from monitoring.policy import DriftPolicy, load_policy
from monitoring.sections import ConceptDrift, ImportanceShift, ReviewSlice
from monitoring.verdicts import (
    ColumnScore,
    PerformanceResult,
    Verdict,
    outcome_of,
    record_verdict,
    verdict_directory,
    write_atomically,
)

if TYPE_CHECKING:
    import pandas as pd

    from monitoring.datasets import CurrentRows, ReferenceRows
    from monitoring.scoring import Compared


class ReviewError(KilowiseError):
    """A review was asked for something that cannot be reviewed."""


@dataclass(frozen=True)
class Evidence:
    """What outcomes that have become known say about the predictions of earlier months.

    Attributes:
        performance: Discrimination and calibration.
        concept: Residuals by class, district and segment.
        late: Estimates until outcomes are known, their record, and what else became of the predictions.
    """

    performance: PerformanceResult | None = None
    concept: ConceptDrift | None = None
    late: LateLabels | None = None


@dataclass(frozen=True)
class Surroundings:
    """What explains rows from outside of them.

    Attributes:
        daily_temperatures: Rows of ``monitoring.weather.DAILY_COLUMNS``; None if no weather is known.
        data_since: First month of the platform's data, which bounds what any row can know; None if it is not known.
    """

    daily_temperatures: "pd.DataFrame | None" = None
    data_since: date | None = None


def review_month(
    use_case: str,
    month: date,
    *,
    predictions_dir: Path,
    log_dir: Path,
    bundle_dir: Path,
    release: str,
    reports_dir: Path,
    policy: DriftPolicy | None = None,
    outcomes: "pd.DataFrame | None" = None,
    vintages: "pd.DataFrame | None" = None,
    advised_bills: "pd.DataFrame | None" = None,
    surroundings: Surroundings | None = None,
    with_report: bool = True,
) -> Verdict:
    """Compare what a release predicted for a month with its reference, and record the verdict.

    Writes the Evidently page, the verdict, its row in the table, the run in the workspace, and the model's incident if
    it has one; nobody is told yet. Reviewing again replaces all of them.

    Args:
        use_case: Use case of the model.
        month: First day of the as-of month.
        predictions_dir: Folder of the use case's batch predictions, with ``as_of_month=…`` folders.
        log_dir: Folder of the use case's online log, with ``date=…`` folders; it may be missing.
        bundle_dir: Folder of the released bundle.
        release: Name of the release.
        reports_dir: Folder of all reports.
        policy: Rules; None takes the version that is valid today.
        outcomes: What happened to customers, for use cases with a performance rule.
        vintages: Arrears by month of scoring, for use cases with a rule of vintages.
        advised_bills: Bills since earlier advice, for use cases with a rule of tariff outcomes.
        surroundings: What explains rows from outside of them, such as the weather.
        with_report: False leaves out Evidently's page and workspace run, where many months are judged only for their
            verdicts, as in drills.

    Returns:
        The verdict.

    Raises:
        ReviewError: If the month is not the first day of a month.
        PolicyError: If there is no valid policy.
        ReferenceUnreadableError: If the bundle has no readable reference.
    """
    from monitoring.datasets import load_current, load_reference
    from monitoring.incidents import record_incident

    if month.day != 1:
        raise ReviewError(f"month is {month}; pass the first day of a month, such as {month.replace(day=1)}")
    policy = policy or load_policy(use_case, datetime.now(UTC).date())
    current = load_current(
        use_case, month, predictions_dir=predictions_dir, log_dir=log_dir, release=release, sample=policy.sample
    )
    reference = load_reference(use_case, bundle_dir, policy.sample, policy.reference)
    evidence = Evidence()
    if outcomes is not None and policy.performance is not None:
        evidence = _evidence(month, outcomes, predictions_dir, bundle_dir, release, policy)
    late = look_back(
        policy,
        month,
        KnownOutcomes(outcomes, vintages, advised_bills),
        predictions_dir=predictions_dir,
        bundle_dir=bundle_dir,
        release=release,
        reports_dir=reports_dir,
        seen_until=_seen_until(bundle_dir),
    )
    evidence = replace(evidence, late=late)
    directory = verdict_directory(reports_dir, use_case, month, release)
    verdict = judge(
        current,
        reference,
        policy,
        month=month,
        release=release,
        bundle_dir=bundle_dir,
        evidence=evidence,
        surroundings=surroundings,
        reports_dir=reports_dir,
        page=directory / "report.html" if with_report else None,
    )
    verdict = hold(verdict, earlier_months(reports_dir, use_case, release, month), policy.hysteresis)
    write_atomically(directory / "verdict.json", verdict.model_dump_json(indent=1).encode())
    record_verdict(verdict, reports_dir)
    record_incident(verdict, reports_dir)
    return verdict


def judge(
    current: "CurrentRows",
    reference: "ReferenceRows",
    policy: DriftPolicy,
    *,
    month: date,
    release: str,
    bundle_dir: Path,
    evidence: Evidence,
    surroundings: Surroundings | None = None,
    reports_dir: Path,
    page: Path | None,
    part: ReviewSlice | None = None,
) -> Verdict:
    """Compare rows with the reference and conclude; writes the report and its run in the workspace, nothing else.

    Args:
        current: Rows of the month, or of the part under review.
        reference: Rows of the reference that they are compared with.
        policy: Rules.
        month: Month under review; of a longer window the last.
        release: Name of the release.
        bundle_dir: Folder of its bundle.
        evidence: What is known of outcomes.
        surroundings: What explains rows from outside of them.
        reports_dir: Folder of all reports.
        page: Where Evidently's page goes, below ``reports_dir``; None leaves it out.
        part: What a review on demand looks at; such a review is no point of the workspace's monthly series.

    Returns:
        The verdict, which is not recorded yet.
    """
    from monitoring.consequences import leading_columns
    from monitoring.explained_inputs import asking
    from monitoring.findings import find_reasons
    from monitoring.importance import importance_shift
    from monitoring.quality import data_quality
    from monitoring.scoring import compare

    scores: tuple[ColumnScore, ...] = ()
    importance = compared = None
    if min(len(current.frame), len(reference.frame)) >= policy.minimum.rows:
        compared = compare(
            current,
            reference,
            month,
            policy,
            daily_temperatures=surroundings.daily_temperatures if surroundings else None,
            data_since=surroundings.data_since if surroundings else None,
            ask=asking(policy.use_case, bundle_dir),
        )
        scores = compared.scores
        importance = importance_shift(current, reference, policy, bundle_dir)
    quality = data_quality(policy.use_case, current, reference, scores)
    report_path = None
    if page is not None and compared is not None and any(score.status == "judged" for score in scores):
        found = (importance, evidence.concept)
        scores = _report(current, compared, policy, found, month=month, release=release, page=page, part=part)
        report_path = str(page.relative_to(reports_dir))
    reasons = find_reasons(
        current,
        reference,
        scores,
        evidence.performance,
        policy,
        quality=quality,
        importance=importance,
        concept=evidence.concept,
        late=evidence.late,
        weather=compared.weather if compared else None,
        history=compared.history if compared else None,
    )
    versions = current.frame["model_version"].dropna()
    return Verdict(
        use_case=policy.use_case,
        month=month,
        release=release,
        model_version=str(versions.iloc[0]) if len(versions) else str(_manifest(bundle_dir).get("version", "")),
        outcome=outcome_of(reasons),
        error_outcomes=policy.check.errors,
        reasons=reasons,
        columns=scores,
        rows_current=len(current.frame),
        rows_available=current.rows_available,
        rows_reference=len(reference.frame),
        columns_judged=sum(score.status == "judged" for score in scores),
        columns_drifted=sum(score.level in ("drifted", "strong") for score in scores),
        prediction_column=policy.prediction.column,
        prediction_score=next((score.score for score in scores if score.column == policy.prediction.column), None),
        performance=evidence.performance,
        quality=quality,
        importance=importance,
        concept=evidence.concept,
        **(evidence.late.for_verdict() if evidence.late else {}),
        weather=compared.weather if compared else None,
        history=compared.history if compared else None,
        leading_columns=leading_columns(scores, policy),
        part=part,
        policy_version=policy.version,
        owner=policy.owner,
        reviewed_at=datetime.now(UTC),
        report_path=report_path,
    )


def _report(
    current: "CurrentRows",
    compared: "Compared",
    policy: DriftPolicy,
    found: tuple[ImportanceShift | None, ConceptDrift | None],
    *,
    month: date,
    release: str,
    page: Path,
    part: ReviewSlice | None,
) -> tuple[ColumnScore, ...]:
    """Write the page, and of a whole month the workspace run; return the scores with Evidently's own number beside."""
    from monitoring.reports import run_report, save_page
    from monitoring.workspace import store_run

    rows = replace(current, frame=compared.current)
    importance, concept = found
    run = run_report(
        rows,
        compared.reference,
        compared.scores,
        policy,
        month=month,
        release=release,
        importance=importance,
        concept=concept,
    )
    save_page(run.snapshot, page)
    if part is None:
        store_run(run.snapshot, policy, page.parents[3])
    return tuple(
        score.model_copy(update={"evidently_psi": run.evidently_psi.get(score.column)}) for score in compared.scores
    )


def _evidence(
    month: date, outcomes: "pd.DataFrame", predictions_dir: Path, bundle_dir: Path, release: str, policy: DriftPolicy
) -> Evidence:
    from monitoring.performance import matured_predictions, measure, release_auc
    from monitoring.residuals import concept_drift, with_groups

    rule = policy.performance
    if rule is None:
        return Evidence()
    matured = matured_predictions(
        month,
        outcomes,
        predictions_dir,
        release=release,
        column=policy.prediction.column,
        months=rule.months,
        seen_until=_seen_until(bundle_dir),
        sample=policy.sample,
    )
    evaluation = bundle_dir / "evaluation.json"
    common_shift_sd = policy.economy.shift_sd if policy.economy else 0.0
    promised = release_auc(json.loads(evaluation.read_bytes())) if evaluation.exists() else None
    concept = None
    if policy.concept is not None:
        grouped = with_groups(
            matured,
            probability="probability",
            outcome="is_default",
            predictions_dir=predictions_dir,
            segments_dir=predictions_dir.with_name("segmentation"),
        )
        concept = concept_drift(
            grouped,
            bundle_dir,
            column=policy.prediction.column,
            label="is_default",
            rule=policy.concept,
            common_shift_sd=common_shift_sd,
        )
    return Evidence(measure(matured, rule, promised, common_shift_sd=common_shift_sd), concept)


def _seen_until(bundle_dir: Path) -> date | None:
    """Return the last month whose data the model was built from."""
    seen = _manifest(bundle_dir).get("data_window", {}).get("last_month")
    return date.fromisoformat(str(seen)) if seen else None


def _manifest(bundle_dir: Path) -> dict[str, Any]:
    path = bundle_dir / "bundle.json"
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
