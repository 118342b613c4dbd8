"""Assets of tariff matching. The modelling is in ``ml.tariff_matching``, the bills in ``ml.tariffs``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import TariffMatching

TEXTS = ModelAssetTexts(
    sufficiency="Whether there are readings, tariffs and two years of history: one to advise on, one to judge the "
    "advice by. When it warns: read the sentence.",
    model="A model of next year's consumption by month and time slot, with its uncertainty, on top of exact bills. "
    "One bundle in the model store.",
    evaluation="A back-test: advice given with what was known a year ago, paid with the bills since. Shows the share "
    "of the attainable saving that was captured and who was made worse off, against three baselines, and the gate's "
    "decision.",
    predictions="For every customer the bill on today's tariff, the recommended tariff and options, and the expected "
    "saving with its interval, one file per as-of month.",
)


def build_tariff_matching_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(TariffMatching(), TEXTS, months)
