"""What the three released models have in common: features in, predictions out, no HTTP.

A released model is loaded once, never changes, and is used by many requests at a time. A request takes one
reference to it and keeps it to the end, so that no answer mixes two releases.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.bundle import Bundle
from ml.columns import CUSTOMER_KEY
from ml.errors import KilowiseError, SchemaMismatchError
from serving.feature_store import FeatureStore, plain_values
from serving.raw_schemas import RawCustomer
from serving.use_cases import feature_columns, prediction_columns

if TYPE_CHECKING:
    from serving.raw_features import RawFeatureMaker


class RawDataUnavailableError(KilowiseError):
    """A release cannot make features of raw rows, because it was published without their definitions."""


@dataclass(frozen=True, slots=True)
class ReleaseIdentity:
    """What an answer says about the release behind it."""

    use_case: str
    release: str
    model_version: str
    released_at: datetime


@dataclass(frozen=True, slots=True)
class ScoringInput:
    """One customer to score.

    Attributes:
        features: Value by column name; absent and None both mean "not known".
        customer_key: The customer, or None for inline features without an id.
        as_of_month: Month at whose as-of time the features were known; None for inline features.
        district: Context for the prediction log.
        context: What else the release knows of the customer; empty for inline features.
        tables: Further rows of the customer by the name of their mart, made of raw rows; None for everyone whose rows
            the snapshot may hold.
    """

    features: dict[str, Any]
    customer_key: str | None = None
    as_of_month: date | None = None
    district: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] | None = None


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """One scored customer.

    Attributes:
        prediction: Value by column of the use case's ``PREDICTIONS``, as plain Python values.
        details: What the answer says beyond the prediction, such as reasons; holds the use case's ``context_columns``.
    """

    prediction: dict[str, Any]
    details: dict[str, Any]


class ReleasedModel(ABC):
    """A model with the feature snapshot that was released with it.

    Attributes:
        is_cheap: Whether scoring one customer takes less than handing over to a thread.
        raw_features: Makes features of raw rows; None where the release was published without their definitions.
    """

    is_cheap: ClassVar[bool] = True

    def __init__(self, identity: ReleaseIdentity, bundle: Bundle, features: FeatureStore) -> None:
        self.identity = identity
        self.features = features
        self.raw_features: RawFeatureMaker | None = None
        self._feature_columns = feature_columns(identity.use_case)
        self._prediction_columns = prediction_columns(identity.use_case)
        expected = tuple(column.name for column in self._feature_columns)
        if features.columns != expected:
            raise SchemaMismatchError(
                f"the feature snapshot of {identity.use_case} {identity.release} does not fit this version's schema: "
                f"{', '.join(sorted(set(expected) ^ set(features.columns))) or 'another order'}; publish it again"
            )
        self._load(bundle.estimator_files())

    def predict(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        """Score customers, in their order."""
        results = self._score(inputs) if inputs else []
        if len(results) != len(inputs):
            raise SchemaMismatchError(
                f"the model of {self.identity.use_case} gave {len(results)} answers for {len(inputs)} customers"
            )
        return results

    def many_from_snapshot(self, customer_keys: Sequence[str]) -> dict[str, ScoringInput]:
        """Return the released features of the customers that the snapshot holds."""
        return {
            key: ScoringInput(row.features, key, row.as_of_month, row.district, row.context)
            for key, row in self.features.get_many(customer_keys).items()
        }

    def from_raw(self, raw: RawCustomer, *, customer_key: str | None, now: datetime) -> ScoringInput:
        """Return the features of a customer whose raw rows a request brings, made as the release's own were.

        Args:
            raw: The customer's rows.
            customer_key: The customer, or None for a stranger.
            now: Time of the request, with time zone.

        Raises:
            RawDataUnavailableError: The release cannot make features.
            RefusedRowError: The landing would not have loaded a row.
            RawFeaturesError: No features can be made of these rows.
        """
        if self.raw_features is None:
            raise RawDataUnavailableError(
                f"release {self.identity.release} of {self.identity.use_case} was published without the definitions of "
                "its features, so it cannot make them of raw rows; send features, or publish it again with `make run`"
            )
        made = self.raw_features.make(raw, now=now)
        return ScoringInput(made.features, customer_key, made.as_of_month, made.district, tables=made.tables)

    def try_out(self, count: int) -> None:
        """Score some customers of the snapshot, together and alone, and a stranger of whom there are no rows."""
        keys = self.features.sample_keys(count)
        known = self.many_from_snapshot(keys)
        inputs = [known[key] for key in keys]
        if not inputs:
            raise SchemaMismatchError(
                f"the feature snapshot of {self.identity.use_case} holds no customer; check the feature mart"
            )
        together = self.predict(inputs)
        alone = self.predict(inputs[:1])
        if together[0].prediction != alone[0].prediction:
            raise SchemaMismatchError(f"the model of {self.identity.use_case} scores a customer differently in a batch")
        if self.raw_features is not None:
            self.raw_features.make(RawCustomer(), now=datetime.now(UTC))

    @property
    def runs_in_event_loop(self) -> bool:
        """Whether one customer is looked up and scored so fast that handing over to a thread would cost more."""
        return self.is_cheap and self.features.is_local

    @abstractmethod
    def _load(self, files: dict[str, bytes]) -> None:
        """Load the estimator."""

    @abstractmethod
    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        """Score at least one customer."""

    def _feature_frame(self, inputs: Sequence[ScoringInput]) -> pd.DataFrame:
        """Return the feature matrix: float64 for numbers, objects for categories, NaN and None for unknown."""
        data: dict[str, Any] = {
            # A row needs a key that is unique within the batch; the model's answer is matched by position.
            CUSTOMER_KEY: [item.customer_key or f"inline-{position}" for position, item in enumerate(inputs)]
        }
        for column in self._feature_columns:
            values = [item.features.get(column.name) for item in inputs]
            data[column.name] = (
                np.array(values, dtype=np.float64) if column.kind == "numeric" else np.array(values, dtype=object)
            )
        return pd.DataFrame(data)

    def _prediction_records(self, predictions: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a model's answer as plain Python values, one mapping per row."""
        expected = [CUSTOMER_KEY, *(column.name for column in self._prediction_columns)]
        if list(predictions.columns) != expected:
            raise SchemaMismatchError(
                f"the model of {self.identity.use_case} answered the columns {list(predictions.columns)}, "
                f"its schema has {expected}"
            )
        names = [column.name for column in self._prediction_columns]
        values = [plain_values(predictions[column.name], column) for column in self._prediction_columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
