"""The typed Python client of the Kilowise API; it needs nothing but httpx.

Start with `KilowiseClient`. Errors are subclasses of `KilowiseApiError`.
"""

from kilowise_client.answers import (
    Answer,
    BatchAnswer,
    CreditRiskPrediction,
    Problem,
    Result,
    SegmentationPrediction,
    TariffMatchingPrediction,
)
from kilowise_client.client import KilowiseClient, UseCase
from kilowise_client.errors import (
    ConflictError,
    ForbiddenError,
    IncompleteAnswerError,
    InvalidRequestError,
    KilowiseApiError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnknownCustomerError,
)

__all__ = [
    "Answer",
    "BatchAnswer",
    "ConflictError",
    "CreditRiskPrediction",
    "ForbiddenError",
    "IncompleteAnswerError",
    "InvalidRequestError",
    "KilowiseApiError",
    "KilowiseClient",
    "Problem",
    "Result",
    "SegmentationPrediction",
    "ServerError",
    "TariffMatchingPrediction",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownCustomerError",
    "UseCase",
]
