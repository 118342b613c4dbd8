"""The credit-risk model: boosted trees, a calibration, points, a rating and reasons.

A row gets the same answer alone or in any batch, before and after saving, in training and in the service: every path
ends in `CreditRiskModel.score` on a float32 matrix.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost as xgb
from pydantic import BaseModel, ConfigDict, ValidationError

from ml.columns import CUSTOMER_KEY, names
from ml.credit_risk.calibration import Calibrator
from ml.credit_risk.features import FEATURE_OF, MATRIX_NAMES, Matrix, matrix_from_records, to_matrix
from ml.credit_risk.reasons import Reason, reason
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from ml.credit_risk.scorecard import PointScale, ratings
from ml.errors import BundleError
from ml.evaluation import FloatArray

BOOSTER_FILE = "booster.ubj"
SETTINGS_FILE = "model.json"
REASONS = 3
_FEATURE_NAMES = names(FEATURES)


class ModelSettings(BaseModel):
    """What a model needs beside its trees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matrix_names: tuple[str, ...]
    calibrator: Calibrator
    base_points: float
    base_odds: float
    points_to_double_odds: float
    minimum_reason_effect: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Answers for the rows of a matrix.

    Attributes:
        probabilities: Calibrated probability of default.
        points: Credit points.
        ratings: Rating.
        effects: Contribution of each feature (columns as in ``FEATURES``) to the log odds, against the mean customer.
    """

    probabilities: FloatArray
    points: FloatArray
    ratings: list[str]
    effects: npt.NDArray[np.float32]


class CreditRiskModel:
    """A trained credit-risk model.

    Attributes:
        booster: The trees.
        settings: Calibration, scale of the points and reasons.
    """

    def __init__(self, booster: xgb.Booster, settings: ModelSettings) -> None:
        self.booster = booster
        self.settings = settings

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Score feature rows.

        Args:
            features: One row per customer with the columns of ``FEATURES`` and ``customer_key``; others are ignored.

        Returns:
            ``customer_key`` and the columns of ``PREDICTIONS``, in the order of the rows.
        """
        scores = self.score(to_matrix(features))
        codes = self._reason_positions(scores.effects)
        frame = pd.DataFrame({CUSTOMER_KEY: features[CUSTOMER_KEY].to_numpy()})
        frame["default_probability"] = scores.probabilities
        frame["credit_points"] = scores.points
        frame["credit_rating"] = scores.ratings
        for rank in range(REASONS):
            frame[f"reason_{rank + 1}_code"] = pd.Series(
                [_FEATURE_NAMES[row[rank]] if rank < len(row) else None for row in codes], dtype="object"
            )
        return frame[[CUSTOMER_KEY, *names(PREDICTIONS)]]

    def predict_records(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Score feature rows given as mappings; equal to `predict`, without the cost of a data frame.

        Returns:
            One mapping per row with the names of ``PREDICTIONS`` and ``reasons``, a list of `Reason`.
        """
        scores = self.score(matrix_from_records(records))
        explained = self._reasons(scores.effects, [[record[name] for name in _FEATURE_NAMES] for record in records])
        return [
            {
                "default_probability": float(scores.probabilities[row]),
                "credit_points": float(scores.points[row]),
                "credit_rating": scores.ratings[row],
                **{
                    f"reason_{rank + 1}_code": reasons[rank].code if rank < len(reasons) else None
                    for rank in range(REASONS)
                },
                "reasons": reasons,
            }
            for row, reasons in enumerate(explained)
        ]

    def explain(self, features: pd.DataFrame) -> list[list[Reason]]:
        """Return the reasons of each row in words, largest effect first; empty when nothing raises the risk."""
        scores = self.score(to_matrix(features))
        return self._reasons(scores.effects, features[_FEATURE_NAMES].to_numpy(dtype=object).tolist())

    def score(self, matrix: Matrix) -> Scores:
        """Score the rows of an encoded matrix (see ``features.to_matrix``)."""
        if len(matrix) == 0:
            empty = np.empty(0)
            return Scores(empty, empty, [], np.empty((0, len(_FEATURE_NAMES)), dtype=np.float32))
        data = xgb.DMatrix(matrix, feature_names=list(MATRIX_NAMES), nthread=1)
        margins = self.booster.predict(data, output_margin=True).astype(np.float64)
        probabilities = self.settings.calibrator.probabilities(margins)
        contributions = self.booster.predict(data, pred_contribs=True)[:, :-1]
        effects = np.zeros((len(matrix), len(_FEATURE_NAMES)), dtype=np.float32)
        for column, feature in enumerate(FEATURE_OF):
            effects[:, feature] += contributions[:, column]
        return Scores(
            probabilities=probabilities,
            points=self._scale.points(probabilities),
            ratings=ratings(probabilities),
            effects=effects,
        )

    def to_files(self) -> dict[str, bytes]:
        """Return the files from which `from_files` makes an equal model."""
        settings = json.dumps(self.settings.model_dump(mode="json"), sort_keys=True, indent=1)
        return {BOOSTER_FILE: bytes(self.booster.save_raw("ubj")), SETTINGS_FILE: settings.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Return the model of these files.

        Raises:
            BundleError: If a file is missing or does not belong to this code.
        """
        missing = [name for name in (BOOSTER_FILE, SETTINGS_FILE) if name not in files]
        if missing:
            raise BundleError(f"the credit-risk estimator lacks {', '.join(missing)}")
        try:
            settings = ModelSettings.model_validate_json(files[SETTINGS_FILE])
        except ValidationError as error:
            raise BundleError(f"{SETTINGS_FILE} of the credit-risk estimator is not valid: {error}") from error
        if settings.matrix_names != MATRIX_NAMES:
            raise BundleError("the credit-risk estimator was trained on other columns; train the model again")
        booster = xgb.Booster(params={"nthread": 1})
        booster.load_model(bytearray(files[BOOSTER_FILE]))
        return cls(booster, settings)

    @property
    def _scale(self) -> PointScale:
        settings = self.settings
        return PointScale(settings.base_points, settings.base_odds, settings.points_to_double_odds)

    def _reason_positions(self, effects: npt.NDArray[np.float32]) -> list[list[int]]:
        """Return the positions in ``FEATURES`` of the columns that raise the risk most; ties keep schema order."""
        order = np.argsort(-effects, axis=1, kind="stable")[:, :REASONS]
        least = self.settings.minimum_reason_effect
        return [
            [int(position) for position in row if effects[index, position] > least] for index, row in enumerate(order)
        ]

    def _reasons(self, effects: npt.NDArray[np.float32], values: Sequence[Sequence[Any]]) -> list[list[Reason]]:
        return [
            [
                reason(_FEATURE_NAMES[position], float(effects[row, position]), _plain(values[row][position]))
                for position in positions
            ]
            for row, positions in enumerate(self._reason_positions(effects))
        ]


def _plain(value: Any) -> float | str | None:
    if value is None or value is pd.NA:
        return None
    return value if isinstance(value, str) else float(value)
