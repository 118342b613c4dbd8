"""Drift reviews by month, the pipeline's health, and the model owners' site. The judging is in ``monitoring``."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import checks
from orchestration.alerting import tell_people
from orchestration.assets.model_assets import OWNER_BY_USE_CASE
from orchestration.automation import RENEW_AFTER_INPUTS
from orchestration.lifecycle import review_month
from orchestration.marts import current_marts
from orchestration.metadata import report_link
from orchestration.model_verdicts import publish_verdicts
from orchestration.pipeline_health import collect_pipeline_health
from orchestration.settings import PlatformSettings
from orchestration.use_cases import UseCase

if TYPE_CHECKING:
    from monitoring.verdicts import Verdict

PIPELINE_HEALTH = dg.AssetKey(["monitoring", "pipeline_health"])


def build_drift_asset(use_case: UseCase, months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the drift review of a use case."""
    key = dg.AssetKey(["monitoring", f"{use_case.name}_drift"])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(["predictions", use_case.prediction])],
        partitions_def=months,
        group_name=use_case.name,
        owners=[OWNER_BY_USE_CASE[use_case.name]],
        kinds={"evidently"},
        description="What changed in the data and the predictions of a month against the reference of the released "
        "model, with a verdict in sentences. Act: open the report and follow its first reason.",
        check_specs=[checks.stable_spec(key)],
    )
    def drift(context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> dg.MaterializeResult:
        marts = current_marts(settings.marts_dir)
        verdicts = [review_month(use_case, marts, settings, date.fromisoformat(key)) for key in context.partition_keys]
        reviewed = [verdict for verdict in verdicts if verdict is not None]
        for verdict in reviewed:
            context.log.info(f"{verdict.month:%Y-%m}: {verdict.sentence()}")
        # Once, when all months are known: what began and ended between them is the past and no news.
        told = tell_people(settings)
        for line in (*told.delivered, *told.problems):
            context.log.info(line)
        table = [
            dg.TableRecord({"month": f"{v.month:%Y-%m}", "verdict": v.outcome, "in words": v.sentence()})
            for v in reviewed
        ]
        metadata: dict[str, dg.MetadataValue] = {"verdicts": dg.MetadataValue.table(table)} if table else {}
        if reviewed and reviewed[-1].report_path:
            metadata["report"] = report_link(settings, settings.reports_dir / reviewed[-1].report_path)
        publish_verdicts(settings)
        return dg.MaterializeResult(metadata=metadata, check_results=[_check_result(reviewed, settings)])

    return drift


def _check_result(reviewed: "Sequence[Verdict]", settings: PlatformSettings) -> dg.AssetCheckResult:
    from monitoring.acknowledgements import told_outcome

    if not reviewed:
        return checks.stable_result(None)
    latest = reviewed[-1]
    return checks.stable_result(latest, told_outcome(latest, settings.reports_dir, datetime.now(UTC).date()))


def build_pipeline_health_asset(use_cases: Sequence[UseCase]) -> dg.AssetsDefinition:
    """Return the asset that collects the health of the pipeline, after everything whose checks it tells of."""

    @dg.asset(
        key=PIPELINE_HEALTH,
        deps=[
            dg.AssetKey(["landing", "deliveries"]),
            dg.AssetKey(["marts", "customer_portrait"]),
            *(dg.AssetKey(["monitoring", f"{use_case.name}_drift"]) for use_case in use_cases),
        ],
        group_name="monitoring",
        owners=["team:data-platform"],
        kinds={"json"},
        automation_condition=RENEW_AFTER_INPUTS,
        description="How fresh each source is, rows and quarantine by month, checks that fail and since when, and run "
        "times, from the landing and the run history. The model owners' site shows it. A late source: ask its "
        "supplier; a failed check: open it here by its asset.",
    )
    def pipeline_health(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        from monitoring.pipeline_health import write_pipeline_health

        health = collect_pipeline_health(settings, context.instance, datetime.now(UTC))
        path = write_pipeline_health(health, settings.reports_dir)
        late = [source.entity for source in health.sources if source.state(health.collected_at) == "late"]
        return dg.MaterializeResult(
            metadata={
                "late sources": ", ".join(late) or "none",
                "failed checks": len(health.failed_checks),
                "checks": health.checks_count,
                "file": dg.MetadataValue.path(str(path)),
            }
        )

    return pipeline_health


def build_site_asset(use_cases: Sequence[UseCase]) -> dg.AssetsDefinition:
    """Return the site asset, which is built after all reviews."""

    @dg.asset(
        key=["monitoring", "model_owner_site"],
        deps=[
            *(dg.AssetKey(["monitoring", f"{use_case.name}_drift"]) for use_case in use_cases),
            PIPELINE_HEALTH,
            # The pages of the segments and of the service quality tell of them.
            dg.AssetKey(["marts", "customer_portrait"]),
            dg.AssetKey(["marts", "segment_migration_monthly"]),
            dg.AssetKey(["marts", "service_quality_by_dimension"]),
        ],
        group_name="monitoring",
        owners=["team:data-platform"],
        kinds={"html"},
        automation_condition=RENEW_AFTER_INPUTS,
        description="The pages that model owners read: all models at a glance, each model's history, model cards, "
        "drift reports, segments, service quality and the health of the pipeline. `make reports` serves them.",
    )
    def model_owner_site(settings: dg.ResourceParam[PlatformSettings]) -> dg.MaterializeResult:
        from monitoring.site import build_site

        index = build_site(settings.home, settings.service_targets)
        return dg.MaterializeResult(
            metadata={"site": report_link(settings, index), "file": dg.MetadataValue.path(str(index))}
        )

    return model_owner_site
