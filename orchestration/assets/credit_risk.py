"""Assets of credit risk. The modelling is in ``ml.credit_risk``."""

from collections.abc import Sequence

import dagster as dg

from orchestration.assets.model_assets import ModelAssetTexts, build_model_assets
from orchestration.use_cases import CreditRisk

TEXTS = ModelAssetTexts(
    sufficiency="Whether there are bills, payments and enough matured labels of both kinds. "
    "When it warns: read the sentence; without payments there is no credit model.",
    model="Gradient-boosted trees with monotone constraints and calibration: the probability that a bill stays unpaid "
    "30 days past due within six months. One bundle in the model store.",
    evaluation="Held-out months and customers: discrimination, calibration, fairness by class and district, against "
    "a logistic model and last month's status, and the gate's decision. Read the model card before you approve.",
    predictions="Probability, points, rating and reason codes of every customer, one file per as-of month, by the "
    "released model.",
)


def build_credit_risk_assets(months: dg.MonthlyPartitionsDefinition) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the use case."""
    return build_model_assets(CreditRisk(), TEXTS, months)
