"""Tries the challenger of a use case on live traffic, summarises what the log holds of it, and hands it to the gate.

No Dagster in here. How a server chooses and scores is in ``serving.trial_traffic``, what is compared in ``ml.trials``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import KilowiseError
from orchestration.feature_definitions import read_feature_definitions
from orchestration.files import replace_text
from orchestration.marts import MartsVersion, current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import pandas as pd

    from ml.bundle import Bundle
    from ml.gate import GateDecision
    from ml.trials import Mode, TrialRequirement, TrialSummary
    from orchestration.use_cases import UseCase
    from serving.trials import Trial

_COMMON_COLUMNS = ("decision_id", "customer_key", "decided_at", "model_version", "arm", "scoring_ms", "error")


class TrialError(KilowiseError):
    """A trial cannot begin; the message says what to do first."""


def start_trial(settings: PlatformSettings, use_case_name: str, *, mode: "Mode", share: float, by: str) -> "Trial":
    """Try the challenger of the last training on live traffic.

    Args:
        settings: Settings of the platform.
        use_case_name: One of ``ml.columns.USE_CASES``.
        mode: In shadow, or with a share of the customers, which the gate must have approved of.
        share: Share of the traffic, above 0 and at most 1.
        by: Who asks for it.

    Raises:
        TrialError: There is no challenger, or it was not judged yet.
        ReleaseError: There is no champion, the challenger is what is served, or may not answer.
    """
    from orchestration.lifecycle import read_challenger

    use_case = use_case_of(use_case_name)
    if not 0 < share <= 1:
        raise TrialError(f"The share {share:g} is not above 0 and at most 1.")
    bundle = read_challenger(use_case.name, settings)
    if bundle is None:
        raise TrialError(f"{use_case.name} has no challenger; run the job train_models first.")
    marts = current_marts(settings.marts_dir)
    return _put_on_trial(use_case, bundle, marts, settings, mode=mode, share=share, by=by)


def stop_trial(settings: PlatformSettings, use_case_name: str, *, by: str) -> "tuple[Trial, TrialSummary]":
    """End a trial and return it with what it showed.

    Raises:
        ReleaseError: None is on.
    """
    from serving.model_store import ModelStore

    trial = ModelStore(settings.home).stop_trial(use_case_of(use_case_name).name, by=by)
    return trial, report_trial(settings, trial)


def settle_trial(use_case: "UseCase", marts: MartsVersion, settings: PlatformSettings) -> "Trial | None":
    """Bring a trial up to date after a release: renew its features with the marts, or end it with its champion.

    Returns:
        The trial that is on afterwards, or ``None``.
    """
    from ml.bundle import read_bundle
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    trial = store.current_trial(use_case.name)
    if trial is None:
        return None
    champion = store.current_release(use_case.name)
    if champion is None or champion.bundle_version != trial.champion_version:
        report_trial(settings, store.stop_trial(use_case.name, by="release of another model"))
        return None
    if store.read_release(use_case.name, trial.release).marts_version == marts.name:
        return trial
    bundle = read_bundle(store.bundle_dir(use_case.name, trial.bundle_version))
    return _put_on_trial(
        use_case, bundle, marts, settings, mode=trial.mode, share=trial.share, by=trial.started_by, renews=trial
    )


def _put_on_trial(
    use_case: "UseCase",
    bundle: "Bundle",
    marts: MartsVersion,
    settings: PlatformSettings,
    *,
    mode: "Mode",
    share: float,
    by: str,
    renews: "Trial | None" = None,
) -> "Trial":
    from serving.model_store import ModelStore

    return ModelStore(settings.home).start_trial(
        use_case.name,
        bundle.manifest.version,
        use_case.snapshot_features(bundle, marts),
        gate=_decision(use_case.name, bundle.manifest.version, settings),
        started_by=by,
        marts_version=marts.name,
        mode=mode,
        share=share,
        customer_tables=use_case.snapshot_tables(marts, settings),
        definitions=read_feature_definitions(settings.marts_dir, use_case.name),
        renews=renews,
    )


def trial_summary(settings: PlatformSettings, trial: "Trial") -> "TrialSummary":
    """Return what the log holds of a trial, compared."""
    from ml.trials import CHALLENGER, CHAMPION, DECISION_COLUMNS, TrialSummary, summarise_trial

    columns = DECISION_COLUMNS[trial.use_case]
    wanted = {**dict.fromkeys(columns.decision, "text"), columns.score: "number"}
    log_dir = settings.predictions_dir / "log"
    answered = _rows(log_dir / trial.use_case, trial, wanted)
    shadow = _rows(log_dir / "shadow" / trial.use_case, trial, wanted)
    version_by_arm = {CHAMPION: trial.champion_version, CHALLENGER: trial.bundle_version}
    told = answered[answered["model_version"] == answered["arm"].map(version_by_arm)]
    return summarise_trial(
        TrialSummary(
            trial_id=trial.trial_id,
            use_case=trial.use_case,
            mode=trial.mode,
            share=trial.share,
            champion_version=trial.champion_version,
            challenger_version=trial.bundle_version,
            started_at=trial.started_at,
        ),
        told,
        shadow[shadow["model_version"] == trial.bundle_version],
    )


def report_trial(settings: PlatformSettings, trial: "Trial") -> "TrialSummary":
    """Summarise a trial and keep the summary with the reports."""
    summary = trial_summary(settings, trial)
    replace_text(report_path(settings, trial), summary.model_dump_json(indent=2))
    return summary


def report_path(settings: PlatformSettings, trial: "Trial") -> Path:
    """Return the file that keeps the summary of a trial."""
    return settings.reports_dir / trial.use_case / "trials" / f"{trial.trial_id}.json"


def latest_trial(settings: PlatformSettings, use_case: str) -> "Trial | None":
    """Return the trial that is on, else the last one that ended."""
    from serving.trials import past_trials

    return next(iter(past_trials(settings.home / "releases", use_case)), None)


def trial_requirement(settings: PlatformSettings, use_case: str) -> "TrialRequirement | None":
    """Return what the operator demands of a trial before a release; ``None`` by default."""
    if use_case not in settings.trial_requirements:
        return None
    from ml.trials import TrialRequirement

    return TrialRequirement.model_validate(settings.trial_requirements[use_case])


def evidence_of(settings: PlatformSettings, use_case: str, bundle_version: str) -> "TrialSummary | None":
    """Return what the latest trial in shadow of a bundle showed, from the log as it is now; ``None`` without one."""
    from serving.trials import past_trials

    for trial in past_trials(settings.home / "releases", use_case):
        if trial.bundle_version == bundle_version and trial.mode == "shadow":
            return trial_summary(settings, trial)
    return None


def use_case_of(name: str) -> "UseCase":
    """Return a use case by its name.

    Raises:
        TrialError: There is none of this name.
    """
    from orchestration.use_cases import USE_CASES

    found = next((use_case for use_case in USE_CASES if use_case.name == name), None)
    if found is None:
        raise TrialError(f"There is no use case {name!r}; there are: {', '.join(one.name for one in USE_CASES)}.")
    return found


def _decision(use_case: str, bundle_version: str, settings: PlatformSettings) -> "GateDecision":
    from ml.gate import GateDecision
    from orchestration.lifecycle import decision_dir

    path = decision_dir(settings, use_case, bundle_version) / "decision.json"
    if not path.exists():
        raise TrialError(f"{use_case}:{bundle_version} was not judged yet; run the job train_models first.")
    return GateDecision.model_validate_json(path.read_text(encoding="utf-8"))


def _rows(folder: Path, trial: "Trial", wanted: dict[str, str]) -> "pd.DataFrame":
    """Return the rows of a trial; a file that cannot be read has none, which the verification of the log tells."""
    import pandas as pd
    import polars as pl

    types: dict[str, Any] = {
        **dict.fromkeys(_COMMON_COLUMNS, pl.String),
        "decided_at": pl.Datetime("us", "UTC"),
        "scoring_ms": pl.Float64,
        **{name: pl.String if kind == "text" else pl.Float64 for name, kind in wanted.items()},
    }
    parts = [pl.DataFrame(schema=types)]
    first_day = trial.started_at.date().isoformat()
    for day in sorted(folder.glob("date=*")):
        if day.name.removeprefix("date=") < first_day:
            continue
        for path in sorted(day.glob("*.parquet")):
            try:
                frame = pl.read_parquet(path, hive_partitioning=False)
            except (pl.exceptions.ComputeError, OSError):
                continue
            # Rows of before the log knew trials are of none.
            if "arm" in frame.columns:
                parts.append(frame.select(pl.col(name).cast(kind) for name, kind in types.items()))
    rows = pl.concat(parts).filter((pl.col("decided_at") >= trial.started_at) & pl.col("arm").is_not_null())
    return pd.DataFrame(rows.to_pandas())
