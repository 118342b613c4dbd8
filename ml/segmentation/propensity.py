"""How likely a customer leaves, or joins a programme: a calibrated probability, and what speaks most for it.

Either a logistic regression or boosted trees answer; which of them, and whether any, training decides
(`ml.segmentation.propensity_training`). A row gets the same answer alone or in any batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.bundle import canonical_json
from ml.calibration import Calibrator
from ml.columns import Column, by_name, names
from ml.errors import BundleError
from ml.evaluation import FloatArray
from ml.segmentation.schema import BEHAVIOUR_COLUMNS, CONTRACT_COLUMNS, FEATURES, LOAD_COLUMNS, RELATIONSHIP_COLUMNS
from ml.wording import Bilingual

if TYPE_CHECKING:
    import xgboost as xgb

Matrix = npt.NDArray[np.float32]
Method = Literal["logistic", "trees"]

_NOT_AN_INPUT = ("peak_hour", "closing_in_days")
"""An hour has no order, and an announced end is the outcome itself."""

INPUTS: tuple[Column, ...] = (
    by_name(FEATURES)["customer_class"],
    *(
        column
        for column in LOAD_COLUMNS + BEHAVIOUR_COLUMNS + RELATIONSHIP_COLUMNS + CONTRACT_COLUMNS
        if column.name not in _NOT_AN_INPUT
    ),
)
"""Columns that a propensity may learn from: everything but the hours of the load shape. Unknown ones are left out."""

INPUT_NAMES = tuple(names(INPUTS))


@dataclass(frozen=True, slots=True)
class Target:
    """Something that customers may do within the horizon.

    Attributes:
        name: Name in code, and prefix of its figures.
        label: Column of ``customer_segmentation_outcomes``.
        probability: Column of the prediction.
        reason: Column of the prediction with the input that speaks most for it.
        title: What it is called.
        doing: The event in a sentence: customers who ….
    """

    name: str
    label: str
    probability: str
    reason: str
    title: Bilingual
    doing: str


LEAVING = Target(
    "leaving",
    "is_leaving",
    "leaving_probability",
    "leaving_reason_code",
    Bilingual(en="Leaving", zh="流失"),
    "left",
)
POTENTIAL = Target(
    "potential",
    "is_joining",
    "potential_probability",
    "potential_reason_code",
    Bilingual(en="Joining a programme", zh="增值服务开通"),
    "joined a programme",
)
TARGETS = (LEAVING, POTENTIAL)


class Encoding(BaseModel):
    """How a row becomes numbers: numeric inputs as they are, categories as ones and zeros.

    Attributes:
        numeric: Numeric inputs.
        categories: Values of each categorical input that have a column of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    numeric: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, rows: pd.DataFrame, minimum_share: float) -> "Encoding":
        """Return the encoding of the inputs that vary in these rows.

        Args:
            rows: Training rows; inputs that they lack are left out.
            minimum_share: Share of the rows below which a category has no column.
        """
        numeric, categories = [], {}
        for column in INPUTS:
            if column.name not in rows.columns:
                continue
            values = rows[column.name].dropna()
            if column.kind == "numeric":
                # An input that is known for some and equal for all still says who they are.
                if values.nunique() > 1 or 0 < len(values) < len(rows):
                    numeric.append(column.name)
                continue
            shares = values.astype(str).value_counts() / max(len(rows), 1)
            common = tuple(sorted(str(value) for value in shares.index[shares >= minimum_share]))
            if len(common) > 1 or (common and len(values) < len(rows)):
                categories[column.name] = common
        return cls(numeric=tuple(numeric), categories=categories)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the matrix."""
        coded = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        return (*self.numeric, *coded)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The input behind each column of the matrix."""
        coded = [name for name, values in self.categories.items() for _ in values]
        return (*self.numeric, *coded)

    def matrix(self, rows: pd.DataFrame) -> Matrix:
        """Return the numbers of the rows; an unknown number is NaN, an unknown category has no one."""
        found = np.full((len(rows), len(self.columns)), np.nan, dtype=np.float32)
        for position, name in enumerate(self.numeric):
            if name in rows.columns:
                found[:, position] = pd.to_numeric(rows[name]).to_numpy(dtype=np.float64, na_value=np.nan)
        position = len(self.numeric)
        for name, values in self.categories.items():
            given = rows[name].astype(object).to_numpy() if name in rows.columns else np.full(len(rows), None)
            for value in values:
                found[:, position] = [0.0 if one is None else float(str(one) == value) for one in given]
                position += 1
        return found


class LogisticWeights(BaseModel):
    """A logistic regression on robustly standardised inputs; a gap is filled with the median and flagged.

    Attributes:
        low: Values below it count as this much.
        high: Values above it count as this much.
        fill: Stands for a missing value.
        centre: Mean after filling.
        scale: Standard deviation after filling; 1 where it is none.
        weights: Log odds per standard deviation.
        gap_weights: Log odds of a missing value.
        intercept: Log odds of the mean row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: tuple[float, ...]
    high: tuple[float, ...]
    fill: tuple[float, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    gap_weights: tuple[float, ...]
    intercept: float

    def effects(self, matrix: Matrix) -> FloatArray:
        """Return what each column adds to the log odds of each row."""
        standardised, gaps = self.prepare(matrix)
        return np.asarray(standardised * np.array(self.weights) + gaps * np.array(self.gap_weights))

    def prepare(self, matrix: Matrix) -> tuple[FloatArray, FloatArray]:
        """Return the standardised values and which of them were missing."""
        values = matrix.astype(np.float64)
        gaps = np.isnan(values)
        filled = np.clip(np.where(gaps, np.array(self.fill), values), np.array(self.low), np.array(self.high))
        return (filled - np.array(self.centre)) / np.array(self.scale), gaps.astype(np.float64)


class PropensityModel(BaseModel):
    """A trained probability of one target.

    Attributes:
        target: Name of the target.
        method: Which model answers.
        encoding: From a row to numbers.
        calibrator: From the model's log odds to a probability.
        logistic: The regression, when it answers.
        booster: The trees as UBJSON, when they answer; kept in a file of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    method: Method
    encoding: Encoding
    calibrator: Calibrator
    logistic: LogisticWeights | None = None
    booster: bytes = Field(b"", exclude=True, repr=False)

    def predict(self, rows: pd.DataFrame) -> tuple[FloatArray, npt.NDArray[np.object_]]:
        """Return the probability of each row, and the input that speaks most for the event; ``None`` when none does."""
        if not len(rows):
            return np.empty(0), np.empty(0, dtype=object)
        effects, margins = self._answers(self.encoding.matrix(rows))
        inputs = np.array(self.encoding.inputs, dtype=object)
        by_input = pd.DataFrame(effects.T).groupby(inputs, sort=False).sum()
        strongest = by_input.to_numpy().argmax(axis=0)
        reasons = by_input.index.to_numpy(dtype=object)[strongest]
        reasons[by_input.to_numpy().max(axis=0) <= 0] = None
        return self.calibrator.probabilities(margins), reasons

    def to_files(self) -> dict[str, bytes]:
        """Return the model as files; `from_files` gives an equal model."""
        files = {_settings_file(self.target): canonical_json(self.model_dump(mode="json"))}
        return files | ({_booster_file(self.target): self.booster} if self.booster else {})

    @classmethod
    def from_files(cls, target: str, files: Mapping[str, bytes]) -> "PropensityModel | None":
        """Load the model of a target; ``None`` when the bundle has none.

        Raises:
            BundleError: What is there is not a propensity of this version.
        """
        if _settings_file(target) not in files:
            return None
        try:
            model = cls.model_validate_json(files[_settings_file(target)])
        except ValidationError as error:
            raise BundleError(f"{_settings_file(target)} is not a propensity of this version: {error}") from error
        if model.method == "logistic":
            return model
        if _booster_file(target) not in files:
            raise BundleError(f"the segmentation bundle has no {_booster_file(target)}: train the model again")
        return model.model_copy(update={"booster": files[_booster_file(target)]})

    def _answers(self, matrix: Matrix) -> tuple[FloatArray, FloatArray]:
        """Return what each column adds to the log odds, and the log odds."""
        if self.logistic is not None:
            effects = self.logistic.effects(matrix)
            # Column by column: a product of matrices may differ in the last bit with the size of the batch.
            margins = np.full(len(matrix), self.logistic.intercept)
            for column in range(effects.shape[1]):
                margins += effects[:, column]
            return effects, margins
        import xgboost as xgb

        data = xgb.DMatrix(matrix, feature_names=list(self.encoding.columns), nthread=1)
        margins = self._trees.predict(data, output_margin=True).astype(np.float64)
        return self._trees.predict(data, pred_contribs=True)[:, :-1].astype(np.float64), margins

    @cached_property
    def _trees(self) -> "xgb.Booster":
        from ml.boosting import loaded

        return loaded(self.booster)


def _settings_file(target: str) -> str:
    return f"{target}.json"


def _booster_file(target: str) -> str:
    return f"{target}.ubj"
