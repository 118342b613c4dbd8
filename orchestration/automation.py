"""Automation: which assets follow their inputs without being asked.

Scoring and reviewing follow the calendar (``schedules.py``), data follows deliveries (``sensors.py``), and releases
are decisions; so only the pages that repeat what others decided are renewed by condition.
"""

import dagster as dg

# Months that nobody reviewed are missing for ever; waiting for them would renew nothing.
RENEW_AFTER_INPUTS = dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions; declared, because the generated one is stopped by default."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        description="Renews the pipeline's health and the model owners' site when what they tell of is newer.",
        target=dg.AssetSelection.assets(
            dg.AssetKey(["monitoring", "pipeline_health"]), dg.AssetKey(["monitoring", "model_owner_site"])
        ),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=60,
    )
