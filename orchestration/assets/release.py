"""Releases: the only assets that change what is served."""

from datetime import UTC, datetime

import dagster as dg

from orchestration.assets.model_assets import OWNER_BY_USE_CASE
from orchestration.lifecycle import release_challenger
from orchestration.marts import current_marts
from orchestration.metadata import report_link
from orchestration.retraining import RUN_TAG, faults_of_today, upstream_in
from orchestration.settings import PlatformSettings
from orchestration.trials import settle_trial
from orchestration.use_cases import UseCase


class ReleaseConfig(dg.Config):
    """Who approves; needed only when the release policy is ``approval``."""

    approved_by: str = ""


def build_release_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """Return the release asset of a use case."""

    @dg.asset(
        key=["releases", use_case.name],
        deps=[
            dg.AssetKey(["evaluations", use_case.name]),
            *(dg.AssetKey(["marts", mart]) for mart in use_case.scoring_marts),
        ],
        group_name=use_case.name,
        owners=[OWNER_BY_USE_CASE[use_case.name]],
        kinds={"release", "bentoml"},
        description="What is served. The release that the API answers from: model, feature snapshot, figures and who "
        "approved. Runs only behind the gate; servers take a new release up without a restart. To go back, run the job "
        "rollback_release.",
    )
    def release(
        context: dg.AssetExecutionContext, config: ReleaseConfig, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        if RUN_TAG in context.run.tags:
            stop_at_faults(use_case, settings, context)
        manifest = release_challenger(
            use_case, current_marts(settings.marts_dir), settings, approved_by=config.approved_by
        )
        trial = settle_trial(use_case, current_marts(settings.marts_dir), settings)
        if manifest is None:
            context.log.info(f"{use_case.name}: nothing is released.")
            return dg.MaterializeResult(metadata={"status": "nothing is released"})
        context.log.info(f"{use_case.name}: release {manifest.name} is served.")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(manifest.name),
            metadata={
                "release": manifest.name,
                "bundle_version": manifest.bundle_version,
                "released_at": manifest.released_at.isoformat(),
                "approved_by": manifest.approved_by,
                "customers": manifest.customers_count,
                "features_as_of": f"{manifest.feature_as_of_month:%Y-%m}",
                "trial": "none" if trial is None else f"{trial.release}: {trial.mode}, {trial.share:.1%}",
                "page": report_link(settings, settings.reports_dir / "site" / use_case.name / "index.html"),
            },
        )

    return release


def stop_at_faults(use_case: UseCase, settings: PlatformSettings, context: dg.AssetExecutionContext) -> None:
    """Leave a challenger that nobody watched to a person, if the data broke while it was trained.

    Args:
        use_case: Use case of the challenger.
        settings: Settings of the platform.
        context: Context of the release.

    Raises:
        dg.Failure: If something is broken.
    """
    faults = faults_of_today(
        use_case, settings, context.instance, upstream_in(context.repository_def), datetime.now(UTC)
    )
    if faults:
        sentences = " ".join(fault.sentence_en for fault in faults)
        raise dg.Failure(
            f"{use_case.name}: nothing is released by itself, since the data is not fit. {sentences} Start the job "
            "release_models when the challenger is good all the same.",
            allow_retries=False,
        )
