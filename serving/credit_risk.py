"""Serves credit risk: probability of default, points, rating and the reasons for them."""

from collections.abc import Sequence
from typing import Any

from ml.columns import by_name
from ml.credit_risk.model import CreditRiskModel
from ml.credit_risk.reasons import Reason
from ml.credit_risk.schema import FEATURES
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult

_COLUMNS = by_name(FEATURES)


class ReleasedCreditRisk(ReleasedModel):
    """The credit model of one release; adds the reasons in words to each answer."""

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = CreditRiskModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        results = []
        for record in self._model.predict_records([item.features for item in inputs]):
            reasons = [_reason_record(reason) for reason in record.pop("reasons")]
            results.append(ScoringResult(prediction=record, details={"reasons": reasons}))
        return results


def _reason_record(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "dimension": reason.dimension,
        "text": reason.text,
        "text_zh": reason.text_zh,
        "value": reason.value,
        "unit": _COLUMNS[reason.code].unit,
    }


SERVING_CLASS = ReleasedCreditRisk
