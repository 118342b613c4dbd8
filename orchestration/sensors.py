"""Sensors: what happens when something arrives or changes."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

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
    job=jobs.retrain_model,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts retrain_model for a use case whose latest verdict says act, when KILOWISE_RETRAIN_ON_ACT is "
    "set, the data is fit and the policy allows another training. Only the gate decides about a release. What was "
    "decided, and why not, is in reports/<use case>/retrainings.jsonl and on the model's page.",
)
def drift_verdict_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[PlatformSettings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Open at most one training per verdict, and follow those that were opened."""
    from orchestration.retraining import (
        RUN_TAG,
        open_trainings,
        retrained_assets,
        run_key,
        standing_refusals,
        upstream_in,
    )

    repository = context.repository_def
    if repository is None:
        raise dg.DagsterInvariantViolationError(
            "The sensor needs the definitions: which checks are upstream of a model?"
        )
    now = datetime.now(ZoneInfo(settings.time_zone))
    opened = open_trainings(settings, context.instance, upstream_in(repository), now)
    for retraining in opened:
        name = retraining.use_case
        yield dg.RunRequest(
            run_key=run_key(retraining),
            partition_key=retraining.month.isoformat(),
            asset_selection=retrained_assets(name),
            tags={
                RUN_TAG: run_key(retraining),
                "kilowise/reason": f"verdict act on {name} in {retraining.month:%Y-%m}",
            },
        )
    if not opened:
        yield dg.SkipReason(" ".join(standing_refusals(settings, now)) or "No verdict says act.")


@dg.sensor(
    # By its name: a job of ops given as an object makes Dagster warn of a parameter of its own that is in beta.
    job_name=jobs.deliver_alerts.name,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts deliver_alerts when somebody is still to be told of an incident: a message did not arrive, or "
    "a silence ended. Tells the API, too, what was acknowledged and silenced since the last review.",
)
def alert_sensor(settings: dg.ResourceParam[PlatformSettings]) -> dg.RunRequest | dg.SkipReason:
    """Look for messages that are due; each failure makes the next look later."""
    from monitoring.alerts import undelivered
    from monitoring.incidents import renew_incidents
    from orchestration.alerting import alert_channels
    from orchestration.model_verdicts import publish_verdicts

    renew_incidents(settings.reports_dir)
    publish_verdicts(settings)
    waiting = undelivered(settings.reports_dir, alert_channels(settings))
    return dg.RunRequest() if waiting else dg.SkipReason("Everybody knows of every incident what there is to know.")
