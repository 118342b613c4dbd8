"""What the API answered, computed again by the offline path; the assets hold the result of the latest comparison."""

from datetime import UTC, datetime

import dagster as dg

from orchestration.assets.model_assets import OWNER_BY_USE_CASE
from orchestration.checks import parity_result, parity_spec
from orchestration.serving_parity import check_parity
from orchestration.settings import PlatformSettings
from orchestration.use_cases import UseCase


def build_serving_parity_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """Return the asset that compares online with offline for a use case."""
    key = dg.AssetKey(["serving", use_case.name])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(["releases", use_case.name])],
        group_name=use_case.name,
        owners=[OWNER_BY_USE_CASE[use_case.name]],
        kinds={"parity"},
        check_specs=[parity_spec(key)],
        description="What the API answered: a sample of the last days' logged answers, computed again. Answers by "
        "their release, features by the marts, features of raw rows by the definitions of the marts. When the check "
        "fails, online and offline disagree: look at the named requests with `python -m orchestration replay`, and "
        "release nothing before it is understood.",
    )
    def serving(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        parity = check_parity(use_case, settings, now=datetime.now(UTC))
        context.log.info(f"{use_case.name}: {parity.sentence}")
        return dg.MaterializeResult(
            metadata={
                "decisions": parity.decisions_count,
                "answers computed again": parity.replayed_count,
                "features compared with the marts": parity.marts_count,
                "features made of raw rows again": parity.raw_count,
                "not comparable": dg.JsonMetadataValue(parity.not_comparable),
            },
            check_results=[parity_result(parity)],
        )

    return serving
