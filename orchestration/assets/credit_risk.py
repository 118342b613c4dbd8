"""Assets of credit risk. The modelling is in ``ml.credit_risk``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import CreditRisk

TEXTS = ModelAssetTexts(
    sufficiency="Is the data enough? Whether there are bills, payments and enough matured labels of both kinds. "
    "When it warns: read the sentence; without payments there is no credit model.",
    model="The trained challenger. The probability that a bill stays unpaid 30 days past due within six months, by a "
    "scorecard that adds up by hand, or by gradient-boosted trees with monotone constraints where they predict better "
    "beyond doubt. One bundle in the model store; unchanged input is kept, not trained again.",
    evaluation="Judgement and gate. Held-out months and customers: discrimination, calibration, fairness by class and "
    "district, against simpler rankings and a logistic model. When refused: the table gate names the criterion that "
    "failed, and the served release stays. Read the model card before you approve.",
    predictions="Batch scores. Probability, points, rating and reason codes of every customer, one file per as-of "
    "month, by the released model.",
)


def build_credit_risk_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(CreditRisk(), TEXTS, months)
