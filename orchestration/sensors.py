"""Sensors: what happens when something arrives or changes."""

import hashlib
from collections.abc import Iterator

import dagster as dg

from orchestration import jobs
from orchestration.settings import PlatformSettings


@dg.sensor(
    job=jobs.refresh_data,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts refresh_data when the inbox holds files that are not landed yet and stopped growing.",
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[PlatformSettings]
) -> dg.RunRequest | dg.SkipReason:
    """Compare the inbox with what is landed; two equal looks in a row mean that nobody is writing any more."""
    from orchestration.ingestion.landing import pending_files

    pending = pending_files(settings.inbox_dir, settings.mapping, settings.landing_dir)
    if not pending:
        context.update_cursor("")
        return dg.SkipReason("Every file in the inbox is landed.")
    look = hashlib.sha256("\n".join(pending).encode()).hexdigest()
    if context.cursor != look:
        context.update_cursor(look)
        return dg.SkipReason(f"{len(pending)} new files; waiting one interval to see whether they still grow.")
    return dg.RunRequest(run_key=look)


@dg.sensor(
    job=jobs.train_models,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts train_models for a use case whose latest verdict says act, when KILOWISE_RETRAIN_ON_ACT is "
    "set. Only the gate decides about a release.",
)
def drift_verdict_sensor(settings: dg.ResourceParam[PlatformSettings]) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for one training per verdict."""
    from orchestration.lifecycle import latest_verdicts

    acting = [verdict for verdict in latest_verdicts(settings) if verdict.outcome == "act"]
    if not acting:
        yield dg.SkipReason("No verdict says act.")
        return
    if not settings.retrain_on_act:
        yield dg.SkipReason(
            f"{', '.join(verdict.use_case for verdict in acting)}: the verdict says act, but the policy leaves the "
            "training to a person (KILOWISE_RETRAIN_ON_ACT=false)."
        )
        return
    for verdict in acting:
        name = verdict.use_case
        yield dg.RunRequest(
            run_key=f"{name}-{verdict.month:%Y-%m}-{verdict.release}",
            asset_selection=[dg.AssetKey([layer, name]) for layer in ("sufficiency", "models", "evaluations")],
            tags={"kilowise/reason": f"drift of {name} in {verdict.month:%Y-%m}"},
        )
