"""Assets of tariff matching. The modelling is in ``ml.tariff_matching``, the bills in ``ml.tariffs``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import TariffMatching

TEXTS = ModelAssetTexts(
    sufficiency="Is the data enough? Whether there are readings, tariffs and enough history: some to advise on, some "
    "to judge the advice by. When it warns: read the sentence.",
    model="The trained challenger. A model of next year's consumption by month and time slot, with its uncertainty, on "
    "top of exact bills. One bundle in the model store; unchanged input is kept, not trained again.",
    evaluation="Judgement and gate. A back-test: advice given with what was known a year ago, paid with the bills "
    "since. Shows the share of the attainable saving that was captured and who was made worse off, against three "
    "baselines. When refused: the table gate names the criterion that failed, and the served release stays.",
    predictions="Batch scores. For every customer the bill on today's tariff, the recommended tariff and options, and "
    "the expected saving with its interval, one file per as-of month, by the released model.",
)


def build_tariff_matching_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(TariffMatching(), TEXTS, months)
