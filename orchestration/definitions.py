"""The code location: everything that Dagster knows. Assembly only."""

from collections.abc import Mapping

import dagster as dg

# Imported late by what runs. `dg launch` has the project's folder on the path only while this module is loaded; what is
# imported by then is found afterwards, too.
import monitoring  # noqa: F401
import serving  # noqa: F401
from orchestration import forms, jobs
from orchestration.assets.credit_risk import build_credit_risk_assets
from orchestration.assets.drift import build_drift_asset, build_pipeline_health_asset, build_site_asset
from orchestration.assets.ingestion import build_inbox_asset, landing
from orchestration.assets.release import build_release_asset
from orchestration.assets.segmentation import build_segmentation_assets
from orchestration.assets.serving_parity import build_serving_parity_asset
from orchestration.assets.tariff_matching import build_tariff_matching_assets
from orchestration.assets.transformation import dbt_models, dbt_models_after_scoring
from orchestration.assets.trials import build_trial_asset
from orchestration.automation import build_automation_sensor
from orchestration.partitions import build_monthly_partitions
from orchestration.progress import progress_logger
from orchestration.resources import build_resources
from orchestration.schedules import build_schedules
from orchestration.sensors import alert_sensor, drift_verdict_sensor, inbox_sensor
from orchestration.settings import PlatformSettings
from orchestration.state_version import refuse_newer_state
from orchestration.use_cases import USE_CASES


def build_definitions(
    settings: PlatformSettings, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Return the definitions for some settings.

    Args:
        settings: Settings of the platform.
        resource_overrides: Resources that replace the default ones of the same name.
    """
    months = build_monthly_partitions(settings)
    assets = [
        build_inbox_asset(settings),
        landing,
        *(_in_engine(models, forms.engine(settings)) for models in (dbt_models, dbt_models_after_scoring)),
        *build_segmentation_assets(months),
        *build_tariff_matching_assets(months),
        *build_credit_risk_assets(months),
        *(build_release_asset(use_case) for use_case in USE_CASES),
        *(build_drift_asset(use_case, months) for use_case in USE_CASES),
        *(build_trial_asset(use_case) for use_case in USE_CASES),
        *(build_serving_parity_asset(use_case) for use_case in USE_CASES),
        build_pipeline_health_asset(USE_CASES),
        build_site_asset(USE_CASES),
    ]
    # A range of months is one run only if nothing in it asks for a run per month, whatever has no months included.
    in_one_run = [
        asset.with_attributes(backfill_policy=dg.BackfillPolicy.single_run())
        if isinstance(asset, dg.AssetsDefinition)
        else asset
        for asset in assets
    ]
    return dg.Definitions(
        assets=in_one_run,
        jobs=[*jobs.ASSET_JOBS, *jobs.SINGLE_JOBS],
        schedules=build_schedules(settings, months),
        sensors=[inbox_sensor, drift_verdict_sensor, alert_sensor, build_automation_sensor()],
        resources={**build_resources(settings), **(resource_overrides or {})},
        executor=forms.executor(settings),
        loggers={"console": dg.colored_console_logger, "progress": progress_logger},
    )


def _in_engine(models: dg.AssetsDefinition, engine: str) -> dg.AssetsDefinition:
    """Return dbt's models with the kind of the engine that builds them, where that is not the usual one."""
    if engine == forms.DUCKDB:
        return models
    return models.map_asset_specs(lambda spec: spec.replace_attributes(kinds=(spec.kinds - {forms.DUCKDB}) | {engine}))


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the settings of the environment."""
    settings = PlatformSettings()
    # The web server shows the sentence in place of the assets, and no run of the daemon or the UI touches the home.
    refuse_newer_state(settings.home)
    return build_definitions(settings)
