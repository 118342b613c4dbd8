"""Assets of customer segmentation. The modelling is in ``ml.segmentation``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import Segmentation

TEXTS = ModelAssetTexts(
    sufficiency="Whether there are enough customers with enough observed days to find load-shape segments. "
    "When it warns: read the sentence; usually readings are missing or history is short.",
    model="K-means on the hourly shapes of working and rest days, homes and businesses apart, with value tier and "
    "life-cycle stage beside. One bundle in the model store. Re-run it after new months; unchanged input is kept.",
    evaluation="How well the segments describe a later window that they were not found on, how stable they are over "
    "half-samples, and the gate's decision. Read the model card before you approve.",
    predictions="The segment, value tier and life-cycle stage of every customer, one file per as-of month, by the "
    "released model.",
)


def build_segmentation_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(Segmentation(), TEXTS, months)
