"""Serves credit risk: probability of default, points, rating and the reasons for them."""

from collections.abc import Sequence
from typing import Any

from ml.columns import by_name
from ml.credit_risk.model import CreditRiskModel
from ml.credit_risk.reasons import Reason
from ml.credit_risk.schema import FEATURES
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult

_COLUMNS = by_name(FEATURES)

_SMALLEST_FRAME_ROWS = 16
"""From here on a data frame is the faster way in: 1,000 rows take 27 ms instead of 97 ms, but one row 3 ms, not 0.6."""


class ReleasedCreditRisk(ReleasedModel):
    """The credit model of one release; adds the reasons in words to each answer."""

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = CreditRiskModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        if len(inputs) >= _SMALLEST_FRAME_ROWS:
            frame = self._feature_frame(inputs)
            records = self._prediction_records(self._model.predict(frame))
            explained = self._model.explain(frame)
        else:
            records = self._model.predict_records([item.features for item in inputs])
            explained = [record.pop("reasons") for record in records]
        return [
            ScoringResult(record, {"reasons": [_reason_record(reason) for reason in reasons]})
            for record, reasons in zip(records, explained, strict=True)
        ]


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
