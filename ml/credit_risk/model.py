"""The credit-risk model: a calibrated probability, points, a rating and reasons.

Either a readable scorecard or boosted trees answer; which of them, training decides and the settings say. The
scorecard is always there and its points are part of every answer. A row gets the same answer alone or in any batch,
before and after saving, in training and in the service: every path ends in `CreditRiskModel.score`.
"""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost as xgb
from pydantic import BaseModel, ConfigDict, ValidationError

from ml.calibration import Calibrator
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.credit_risk.config import Candidate
from ml.credit_risk.features import FEATURE_OF, MATRIX_NAMES, Matrix, matrix_from_records, numbers_of_records, to_matrix
from ml.credit_risk.rating import capped_ratings, rating_history
from ml.credit_risk.reasons import Reason, reason
from ml.credit_risk.schema import DIMENSIONS, FEATURES, PREDICTIONS
from ml.credit_risk.scorecard import PointScale
from ml.credit_risk.woe_scorecard import Columns, PointTables, WoeScorecard, columns_of_frame, columns_of_records
from ml.errors import BundleError
from ml.evaluation import FloatArray

BOOSTER_FILE = "booster.ubj"
SCORECARD_FILE = "scorecard.json"
SETTINGS_FILE = "model.json"
REASONS = 3
_FEATURE_NAMES = names(FEATURES)
_DIMENSION_OF = [list(DIMENSIONS).index(column.dimension) for column in FEATURES]
_feature_values = operator.itemgetter(*_FEATURE_NAMES)
_Part = TypeVar("_Part", bound=BaseModel)


class ModelSettings(BaseModel):
    """What a model needs beside its scorecard and its trees.

    Attributes:
        answers_by: Which of them gives the probability.
        matrix_names: Columns that the trees were trained on.
        calibrator: From the trees' log odds to a probability; ``None`` for the scorecard, whose points are scaled.
        base_points: Points at the base odds.
        base_odds: Good to bad odds at the base points.
        points_to_double_odds: Points by which the odds double.
        minimum_reason_effect: Log odds below which nothing is a reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers_by: Candidate
    matrix_names: tuple[str, ...]
    calibrator: Calibrator | None
    base_points: float
    base_odds: float
    points_to_double_odds: float
    minimum_reason_effect: float


class ScoringRows:
    """Rows in the two forms that models read.

    Attributes:
        columns: float64 and text as delivered, for the scorecard and the vetoes.
    """

    def __init__(self, columns: Columns, make_matrix: Callable[[], Matrix]) -> None:
        self.columns = columns
        self._make_matrix = make_matrix

    @cached_property
    def matrix(self) -> Matrix:
        """float32, for the trees; made when they ask for it, which a scorecard never does."""
        return self._make_matrix()

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(next(iter(self.columns.values())))

    @classmethod
    def of_frame(cls, features: pd.DataFrame) -> Self:
        """Return the rows of a frame with the columns of ``FEATURES``; others are ignored."""
        matrix = to_matrix(features)
        return cls(columns_of_frame(features), lambda: matrix)

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, Any]]) -> Self:
        """Return the rows given as mappings."""
        numbers = numbers_of_records(records)
        return cls(columns_of_records(records, numbers), lambda: matrix_from_records(records, numbers))


@dataclass(frozen=True, slots=True)
class Scores:
    """Answers for rows.

    Attributes:
        probabilities: Calibrated probability of default.
        points: Credit points.
        ratings: Rating.
        vetoes: Code of the fact that lowered the rating; ``None`` where none did.
        scorecard_points: Points of the readable scorecard.
        effects: Contribution of each feature (columns as in ``FEATURES``) to the log odds, against the mean customer.
    """

    probabilities: FloatArray
    points: FloatArray
    ratings: list[str]
    vetoes: list[str | None]
    scorecard_points: FloatArray
    effects: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row got its answer.

    Attributes:
        reasons: What raises the risk most, largest effect first; empty when nothing does.
        dimension_effects: Log odds of a default that all columns of each dimension add, against the mean customer;
            negative where a dimension speaks for the customer.
    """

    reasons: list[Reason]
    dimension_effects: dict[str, float]


class CreditRiskModel:
    """A trained credit-risk model.

    Attributes:
        settings: Which of both answers, calibration, scale of the points and reasons.
        scorecard: The readable scorecard.
        booster: The trees; ``None`` when the scorecard answers.
    """

    def __init__(self, settings: ModelSettings, scorecard: WoeScorecard, booster: xgb.Booster | None = None) -> None:
        if len({booster is None, settings.calibrator is None, settings.answers_by == "scorecard"}) > 1:
            raise BundleError("a credit-risk model holds trees and their calibration if and only if the trees answer")
        self.settings = settings
        self.scorecard = scorecard
        self.booster = booster
        self._point_tables = PointTables(scorecard)
        self._feature_of_characteristic = [
            _FEATURE_NAMES.index(characteristic.column) for characteristic in scorecard.characteristics
        ]
        # Of a scorecard most columns never have an effect, and adding them up would change no sum.
        self._telling = (
            sorted(set(self._feature_of_characteristic)) if booster is None else list(range(len(_FEATURE_NAMES)))
        )
        self._telling_dimensions = [_DIMENSION_OF[feature] for feature in self._telling]

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Score feature rows.

        Args:
            features: One row per customer with the columns of ``FEATURES`` and ``customer_key``; others are ignored.

        Returns:
            ``customer_key`` and the columns of ``PREDICTIONS``, in the order of the rows.
        """
        return self._predictions(features, self.score(ScoringRows.of_frame(features)))

    def predict_and_explain(self, features: pd.DataFrame) -> tuple[pd.DataFrame, list[Explanation]]:
        """Return what `predict` and `explain` return, at the cost of one."""
        scores = self.score(ScoringRows.of_frame(features))
        values = features[_FEATURE_NAMES].to_numpy(dtype=object).tolist()
        return self._predictions(features, scores), self._explanations(scores.effects, values)

    def predict_records(self, records: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any], Explanation]]:
        """Score feature rows given as mappings; equal to `predict_and_explain`, without the cost of a data frame.

        Returns:
            Per row a mapping with the names of ``PREDICTIONS``, and the explanation.
        """
        scores = self.score(ScoringRows.of_records(records))
        explained = self._explanations(scores.effects, [_feature_values(record) for record in records])
        return [
            (
                {
                    "default_probability": float(scores.probabilities[row]),
                    "credit_points": float(scores.points[row]),
                    "credit_rating": scores.ratings[row],
                    "rating_veto_code": scores.vetoes[row],
                    "scorecard_points": float(scores.scorecard_points[row]),
                    **{
                        f"reason_{rank + 1}_code": reasons[rank].code if rank < len(reasons) else None
                        for rank in range(REASONS)
                    },
                },
                explanation,
            )
            for row, explanation in enumerate(explained)
            for reasons in (explanation.reasons,)
        ]

    def explain(self, features: pd.DataFrame) -> list[Explanation]:
        """Return the reasons of each row in words, and what each dimension adds."""
        return self.predict_and_explain(features)[1]

    def rating_history(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the rating in force of every customer and month; see ``rating.rating_history``.

        Args:
            features: Feature rows of all months up to the last that is asked for.
        """
        rows = ScoringRows.of_frame(features)
        if self.booster is None or self.settings.calibrator is None:
            probabilities = self.scorecard.probabilities(self.scorecard.points(rows.columns))
        else:
            probabilities = self.settings.calibrator.probabilities(_margins(self.booster, rows.matrix))
        found, vetoes = capped_ratings(probabilities, rows.columns)
        monthly = features[[CUSTOMER_KEY, AS_OF_MONTH]].assign(
            credit_rating=found, rating_veto_code=pd.Series(vetoes, dtype="object", index=features.index)
        )
        return rating_history(monthly)

    @property
    def points_per_log_odds(self) -> float:
        """Credit points that one unit of log odds is worth."""
        return self._scale.factor

    def score(self, rows: ScoringRows) -> Scores:
        """Score rows."""
        count = len(rows)
        if count == 0:
            empty = np.empty(0)
            return Scores(empty, empty, [], [], empty, np.empty((0, len(_FEATURE_NAMES)), dtype=np.float32))
        parts = self._point_tables.parts(rows.columns)
        card_points = parts.sum(axis=1) + self.scorecard.start_points
        effects = np.zeros((count, len(_FEATURE_NAMES)), dtype=np.float32)
        if self.booster is None or self.settings.calibrator is None:
            probabilities = self.scorecard.probabilities(card_points)
            points = card_points.astype(np.float64)
            effects[:, self._feature_of_characteristic] = self._point_tables.effects(parts)
        else:
            margins, contributions = _tree_answers(self.booster, rows.matrix)
            probabilities = self.settings.calibrator.probabilities(margins)
            points = self._scale.points(probabilities)
            for column, feature in enumerate(FEATURE_OF):
                effects[:, feature] += contributions[:, column]
        found, vetoes = capped_ratings(probabilities, rows.columns)
        return Scores(probabilities, points, found, vetoes, card_points.astype(np.float64), effects)

    def to_files(self) -> dict[str, bytes]:
        """Return the files from which `from_files` makes an equal model."""
        files = {SETTINGS_FILE: _json(self.settings), SCORECARD_FILE: _json(self.scorecard)}
        if self.booster is not None:
            files[BOOSTER_FILE] = bytes(self.booster.save_raw("ubj"))
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Return the model of these files.

        Raises:
            BundleError: If a file is missing or does not belong to this code.
        """
        settings = _read(ModelSettings, SETTINGS_FILE, files)
        scorecard = _read(WoeScorecard, SCORECARD_FILE, files)
        if settings.matrix_names != MATRIX_NAMES:
            raise BundleError("the credit-risk estimator was trained on other columns; train the model again")
        if settings.answers_by == "scorecard":
            return cls(settings, scorecard)
        booster = xgb.Booster(params={"nthread": 1})
        booster.load_model(bytearray(_file(BOOSTER_FILE, files)))
        return cls(settings, scorecard, booster)

    @property
    def _scale(self) -> PointScale:
        settings = self.settings
        return PointScale(settings.base_points, settings.base_odds, settings.points_to_double_odds)

    def _reason_positions(self, effects: npt.NDArray[np.float32]) -> list[list[int]]:
        """Return the positions in ``FEATURES`` of the columns that raise the risk most; ties keep schema order."""
        order = (-effects).argsort(axis=1, kind="stable")[:, :REASONS].tolist()
        least = self.settings.minimum_reason_effect
        return [[position for position in row if effects[index, position] > least] for index, row in enumerate(order)]

    def _explanations(self, effects: npt.NDArray[np.float32], values: Sequence[Sequence[Any]]) -> list[Explanation]:
        by_dimension = [_dimension_sums(self._telling_dimensions, row) for row in effects[:, self._telling].tolist()]
        return [
            Explanation(
                reasons=[
                    reason(_FEATURE_NAMES[position], float(effects[row, position]), _plain(values[row][position]))
                    for position in positions
                ],
                dimension_effects=dict(zip(DIMENSIONS, by_dimension[row], strict=True)),
            )
            for row, positions in enumerate(self._reason_positions(effects))
        ]

    def _predictions(self, features: pd.DataFrame, scores: Scores) -> pd.DataFrame:
        codes = self._reason_positions(scores.effects)
        frame = pd.DataFrame({CUSTOMER_KEY: features[CUSTOMER_KEY].to_numpy()})
        frame["default_probability"] = scores.probabilities
        frame["credit_points"] = scores.points
        frame["credit_rating"] = scores.ratings
        frame["rating_veto_code"] = pd.Series(scores.vetoes, dtype="object")
        frame["scorecard_points"] = scores.scorecard_points
        for rank in range(REASONS):
            frame[f"reason_{rank + 1}_code"] = pd.Series(
                [_FEATURE_NAMES[row[rank]] if rank < len(row) else None for row in codes], dtype="object"
            )
        return frame[[CUSTOMER_KEY, *names(PREDICTIONS)]]


def _dimension_sums(dimensions: Sequence[int], effects: Sequence[float]) -> list[float]:
    """Return the sum of one row's effects by dimension, added one by one so that no batch changes the last bit."""
    sums = [0.0] * len(DIMENSIONS)
    for dimension, effect in zip(dimensions, effects, strict=True):
        sums[dimension] += effect
    return sums


def _plain(value: Any) -> float | str | None:
    if value is None or value is pd.NA:
        return None
    return value if isinstance(value, str) else float(value)


def _margins(booster: xgb.Booster, matrix: Matrix) -> FloatArray:
    data = xgb.DMatrix(matrix, feature_names=list(MATRIX_NAMES), nthread=1)
    return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)


def _tree_answers(booster: xgb.Booster, matrix: Matrix) -> tuple[FloatArray, npt.NDArray[np.float32]]:
    """Return log odds and the exact contribution of every column of the matrix to them."""
    data = xgb.DMatrix(matrix, feature_names=list(MATRIX_NAMES), nthread=1)
    margins = booster.predict(data, output_margin=True).astype(np.float64)
    return margins, booster.predict(data, pred_contribs=True)[:, :-1]


def _json(part: BaseModel) -> bytes:
    return json.dumps(part.model_dump(mode="json"), sort_keys=True, indent=1).encode()


def _file(name: str, files: Mapping[str, bytes]) -> bytes:
    if name not in files:
        raise BundleError(f"the credit-risk estimator lacks {name}")
    return files[name]


def _read(kind: type[_Part], name: str, files: Mapping[str, bytes]) -> _Part:
    try:
        return kind.model_validate_json(_file(name, files))
    except ValidationError as error:
        raise BundleError(f"{name} of the credit-risk estimator is not valid: {error}") from error
