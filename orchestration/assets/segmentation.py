"""Assets of customer segmentation. The modelling is in ``ml.segmentation``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import Segmentation

TEXTS = ModelAssetTexts(
    sufficiency="Is the data enough? Whether there are enough customers with enough observed days to find load-shape "
    "segments. When it warns: read the sentence; usually readings are missing or history is short.",
    model="The trained challenger. The best of three clustering methods on load shapes by hour, kind of day and "
    "season, homes and businesses apart, with value tier and life-cycle stage beside. One bundle in the model store; "
    "unchanged input is kept, not trained again.",
    evaluation="Judgement and gate. How well the segments describe a later window that they were not found on, and how "
    "stable they are over half-samples. When refused: the table gate names the criterion that failed, and the served "
    "release stays. Read the model card before you approve.",
    predictions="Batch scores. Segment, tiers of value and behaviour, and life-cycle stage of every customer, one "
    "file per as-of month, by the released model.",
)


def build_segmentation_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(Segmentation(), TEXTS, months)
