"""Serves credit risk: probability of default, points, ratings and the reasons for them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ml.columns import by_name
from ml.credit_risk.model import CreditRiskModel, Explanation
from ml.credit_risk.rating import veto_text
from ml.credit_risk.reasons import dimension_title
from ml.credit_risk.schema import FEATURES
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult

_COLUMNS = by_name(FEATURES)


class ReleasedCreditRisk(ReleasedModel):
    """The credit model of one release; adds the reasons in words to each answer."""

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = CreditRiskModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        answers = self._model.predict_records([item.features for item in inputs])
        points = self._model.points_per_log_odds
        return [
            ScoringResult(
                prediction, {**_in_force(item.context, prediction), **_details(prediction, explanation, points)}
            )
            for item, (prediction, explanation) in zip(inputs, answers, strict=True)
        ]


def _in_force(context: Mapping[str, Any], prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rating in force; of a row whose months before are not known, the rating of that row."""
    rating = context.get("rating_in_force")
    if rating is None:
        return {
            "rating_in_force": prediction["credit_rating"],
            "in_force_since_month": None,
            "moved_by": None,
            "rating_basis": "row",
        }
    return {
        "rating_in_force": rating,
        "in_force_since_month": date.fromisoformat(context["in_force_since_month"]),
        "moved_by": context["moved_by"],
        "rating_basis": "months",
    }


def _details(prediction: Mapping[str, Any], explanation: Explanation, points_per_log_odds: float) -> dict[str, Any]:
    veto = prediction["rating_veto_code"]
    text = veto_text(veto) if veto is not None else None
    return {
        "reasons": [
            {
                "code": reason.code,
                "dimension": reason.dimension,
                "text": reason.text,
                "text_zh": reason.text_zh,
                "value": reason.value,
                "unit": _COLUMNS[reason.code].unit,
                "points_lost": round(reason.effect * points_per_log_odds, 1),
                "improvement": reason.improvement,
                "improvement_zh": reason.improvement_zh,
            }
            for reason in explanation.reasons
        ],
        "dimensions": [
            {
                "dimension": dimension,
                "title": title,
                "title_zh": title_zh,
                # Without the sign that a tiny loss leaves on a zero.
                "points": round(-effect * points_per_log_odds, 1) + 0.0,
            }
            for dimension, effect in explanation.dimension_effects.items()
            for title, title_zh in (dimension_title(dimension),)
        ],
        "rating_veto": text.en if text else None,
        "rating_veto_zh": text.zh if text else None,
    }


SERVING_CLASS = ReleasedCreditRisk
