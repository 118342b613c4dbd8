"""The job of the drills, as an operator starts one: through the queue, waiting for its end.

``python -m orchestration.forms.drills.job FIRST_MONTH LAST_MONTH`` lands the deliveries, builds the marts, releases,
and scores some months; with ``data`` behind it, it ends with the marts. Its models are those of the home.
"""

import sys
from datetime import date

import dagster as dg

from orchestration import forms
from orchestration.assets.ingestion import landing
from orchestration.assets.transformation import dbt_models, dbt_models_after_scoring
from orchestration.definitions import build_definitions
from orchestration.partitions import partition_range_tags
from orchestration.settings import PlatformSettings
from serving.terminal import say

DRILL_TAG = {"kilowise/started_by": "drill"}
RELEASED, SCORED = "segmentation", ("credit_scores", "customer_segments", "tariff_recommendations")


def drilled_assets(*, data_only: bool) -> list[dg.AssetKey]:
    """Return what the job makes: everything but models, which are the longest part of a main job and like any step.

    Args:
        data_only: Leave out what needs models as well.
    """
    if data_only:
        return sorted({*landing.keys, *dbt_models.keys})
    predictions = [dg.AssetKey(["predictions", name]) for name in SCORED]
    return sorted(
        {*landing.keys, *dbt_models.keys, dg.AssetKey(["releases", RELEASED]), *predictions}
        | set(dbt_models_after_scoring.keys)
    )


def main(first: date, last: date, *, data_only: bool) -> int:
    """Submit the job and wait for its end; return 0 when it succeeded."""
    settings = PlatformSettings()
    tags = partition_range_tags([first.isoformat(), last.isoformat()])
    with forms.job_runner(settings, build_definitions(settings), DRILL_TAG) as runner:
        outcome = runner.run("full_refresh", tags=tags, asset_selection=drilled_assets(data_only=data_only))
    for step in outcome.failed_steps:
        say(f"failed: {step}")
    return 0 if outcome.succeeded else 1


if __name__ == "__main__":
    sys.exit(main(*map(date.fromisoformat, sys.argv[1:3]), data_only="data" in sys.argv[3:]))
