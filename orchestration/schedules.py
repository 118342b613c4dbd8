"""Schedules: what happens by the calendar. All are off until an operator switches them on in the UI."""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from orchestration import jobs
from orchestration.settings import PlatformSettings


def build_schedules(
    settings: PlatformSettings, months: dg.MonthlyPartitionsDefinition
) -> Sequence[dg.ScheduleDefinition]:
    """Return the schedules, in the local time of the supplier.

    A month is scored when the lag after its end is over, and reviewed an hour later, so that the review
    finds the scores.
    """
    scoring_day = settings.as_of_lag_days + 1

    def monthly(name: str, job: UnresolvedAssetJobDefinition, hour: int, description: str) -> dg.ScheduleDefinition:
        @dg.schedule(
            name=name,
            job=job,
            cron_schedule=f"0 {hour} {scoring_day} * *",
            execution_timezone=settings.time_zone,
            description=description,
        )
        def latest_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
            # The month before the tick, also when the daemon was down and evaluates it late.
            month = months.get_partition_keys(current_time=context.scheduled_execution_time)[-1]
            return dg.RunRequest(run_key=f"{name}-{month}", partition_key=month)

        return latest_month

    return [
        dg.ScheduleDefinition(
            name="refresh_data_nightly",
            job=jobs.refresh_data,
            cron_schedule="30 2 * * *",
            execution_timezone=settings.time_zone,
            description="Every night: land what suppliers delivered and bring the marts up to date.",
        ),
        dg.ScheduleDefinition(
            name="check_serving_parity_nightly",
            job=jobs.check_serving_parity,
            cron_schedule="30 3 * * *",
            execution_timezone=settings.time_zone,
            description="Every night, after the data: compute a sample of the API's answers again and compare.",
        ),
        dg.ScheduleDefinition(
            name="tidy_up_weekly",
            job=jobs.tidy_up,
            cron_schedule="0 4 * * 0",
            execution_timezone=settings.time_zone,
            description="Every Sunday: readings into fewer files; runs, logs and drift pages that are too old go.",
        ),
        dg.ScheduleDefinition(
            name="train_models_quarterly",
            job=jobs.train_models,
            cron_schedule="0 4 5 1,4,7,10 *",
            execution_timezone=settings.time_zone,
            description="Every quarter: train challengers and judge them; a release stays a decision of its own.",
        ),
        monthly("score_customers_monthly", jobs.score_customers, 5, "Scores every customer for the month that ended."),
        monthly("review_drift_monthly", jobs.review_drift, 6, "Reviews the month that ended, after its scoring."),
    ]
