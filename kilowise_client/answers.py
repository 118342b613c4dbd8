"""Answers of the API as typed values. A field that a later API adds is found in ``details``; nothing breaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, Self, TypedDict, TypeVar

PredictionT = TypeVar("PredictionT")


class SegmentationPrediction(TypedDict):
    """What the segmentation says of a customer."""

    segment_id: str
    segment_name: str
    segment_name_zh: str
    segment_distance: float | None
    segment_confidence: float | None
    runner_up_segment_id: str | None
    value_tier: str
    life_cycle_stage: str
    loyalty_tier: str
    payment_behaviour: str
    channel_preference: str
    leaving_probability: float | None
    leaving_reason_code: str | None
    potential_probability: float | None
    potential_reason_code: str | None


class TariffMatchingPrediction(TypedDict):
    """What the tariff advice says of a customer; amounts are in the answer's currency."""

    current_tariff_id: str | None
    recommended_tariff_id: str
    recommended_options: str
    is_switch_recommended: bool
    current_annual_amount: float | None
    recommended_annual_amount: float | None
    expected_saving_amount: float | None
    saving_lower_amount: float | None
    saving_upper_amount: float | None
    saving_probability: float | None
    load_basis: str
    price_is_verified: bool


class CreditRiskPrediction(TypedDict):
    """What the credit model says of a customer."""

    default_probability: float
    credit_points: float
    credit_rating: str
    rating_veto_code: str | None
    scorecard_points: float
    reason_1_code: str | None
    reason_2_code: str | None
    reason_3_code: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one customer of a batch has no prediction."""

    type: str
    title: str
    detail: str
    field: str | None = None
    allowed: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Result(Generic[PredictionT]):
    """What the API says of one customer.

    Attributes:
        customer_id: As sent; None for features or raw data without an id.
        decision_id: Under which the API remembers the decision; None with an error.
        features_as_of_month: How fresh the features are; None for what was sent inline.
        prediction: What the model says; None with an error.
        details: Everything else: reasons, policy, segment in words, alternatives.
        error: Only in batches, instead of a prediction.
        line: Line of the request, only in an answer in lines.
    """

    customer_id: str | None
    decision_id: str | None
    features_as_of_month: date | None
    prediction: PredictionT | None
    details: Mapping[str, Any]
    error: Problem | None
    line: int | None = None

    @classmethod
    def of(cls, result: Mapping[str, Any], *, line: int | None = None) -> Self:
        """Return a result of an answer."""
        rest = dict(result)
        month, error = rest.pop("features_as_of_month", None), rest.pop("error", None)
        return cls(
            customer_id=rest.pop("customer_id", None),
            decision_id=rest.pop("decision_id", None),
            features_as_of_month=None if month is None else date.fromisoformat(month),
            prediction=rest.pop("prediction", None),
            error=None if error is None else Problem(**{name: error.get(name) for name in Problem.__slots__}),
            details=rest,
            line=line,
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer says about itself.

    Attributes:
        request_id: Finds the answer in the prediction log.
        use_case: Use case that answers.
        release: Release that decided; pin it with ``release=``.
        model_version: Model in that release.
        released_at: When the release was made.
        decided_at: When this was decided.
        currency: ISO 4217 code of all amounts.
    """

    request_id: str
    use_case: str
    release: str
    model_version: str
    released_at: datetime
    decided_at: datetime
    currency: str


@dataclass(frozen=True, slots=True)
class Answer(Envelope, Generic[PredictionT]):
    """Answer for one customer."""

    result: Result[PredictionT]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return an answer of the API."""
        return cls(**_envelope(answer), result=Result.of(answer["result"]))


@dataclass(frozen=True, slots=True)
class BatchAnswer(Envelope, Generic[PredictionT]):
    """Answer for many customers, in the order of the request."""

    results: list[Result[PredictionT]]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return an answer of the API."""
        return cls(**_envelope(answer), results=[Result.of(result) for result in answer["results"]])


def _envelope(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "request_id": answer["request_id"],
        "use_case": answer["use_case"],
        "release": answer["release"],
        "model_version": answer["model_version"],
        "released_at": datetime.fromisoformat(answer["released_at"]),
        "decided_at": datetime.fromisoformat(answer["decided_at"]),
        "currency": answer["currency"],
    }
