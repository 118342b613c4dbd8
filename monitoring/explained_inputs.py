"""What a released model would predict of its reference if some inputs were spread as they are in the month.

Predictions follow the weather because inputs do. A move of the predictions that comes from inputs whose own move the
weather explains is no second finding: so these inputs of the reference are given the spread that they have in the
month, the model is asked again, and the month's predictions are held against its answers. What remains is what other
inputs do. (The decomposition of a difference into the spread of the inputs and the rest: DiNardo, Fortin and Lemieux,
1996, Labor market institutions and the distribution of wages, Econometrica 64; by ranks as in Machado and Mata, 2005,
Journal of Applied Econometrics 20.)

Only a model that reads nothing but the logged row can be asked again.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import Column
from ml.errors import BundleError
from monitoring.drift import usable_values

if TYPE_CHECKING:
    from ml.credit_risk.model import CreditRiskModel

AskAgain = Callable[[pd.DataFrame], pd.DataFrame]
"""Takes feature rows and returns the model's numbers about them, with the index of the rows."""

_CLASS_COLUMN = "customer_class"
# A class with fewer rows on either side has no spread to speak of; its values stay as they are.
_CLASS_ROWS_MIN_COUNT = 20


def released_credit_model(use_case: str, bundle_dir: Path) -> "CreditRiskModel | None":
    """Return the released model if it reads nothing but the logged row; None if it reads more or cannot be loaded."""
    if use_case != "credit_risk" or not (bundle_dir / "bundle.json").exists():
        return None
    from ml.bundle import read_bundle
    from ml.credit_risk.model import CreditRiskModel

    try:
        return CreditRiskModel.from_files(read_bundle(bundle_dir).estimator_files())
    except BundleError:
        return None


def asking(use_case: str, bundle_dir: Path) -> AskAgain | None:
    """Return a function that asks the released model about rows; None where it cannot be asked."""
    model = released_credit_model(use_case, bundle_dir)
    if model is None:
        return None
    from ml.credit_risk.model import ScoringRows

    def ask(features: pd.DataFrame) -> pd.DataFrame:
        scores = model.score(ScoringRows.of_frame(features))
        return pd.DataFrame(
            {
                "default_probability": scores.probabilities,
                "credit_points": scores.points,
                "credit_rating": scores.ratings,
                "scorecard_points": scores.scorecard_points,
            },
            index=features.index,
        )

    return ask


def spread_as_now(reference: pd.DataFrame, current: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """Return the reference with some columns spread as they are in the month.

    By class of customer, a value becomes the value of the same rank in the month; missing values stay missing.

    Args:
        reference: Reference rows.
        current: Rows of the month.
        columns: Numeric columns that take the spread of the month; others stay as they are.
    """
    spread = {}
    for column in columns:
        if column.kind != "numeric":
            continue
        then = usable_values(reference[column.name], column.kind).astype(np.float64)
        now = usable_values(current[column.name], column.kind).astype(np.float64)
        classes_then, classes_now = reference.loc[then.index, _CLASS_COLUMN], current.loc[now.index, _CLASS_COLUMN]
        values = reference[column.name].astype(np.float64)
        for name in classes_then.dropna().unique():
            rows, sample = then.index[classes_then == name], now[classes_now == name].to_numpy()
            if min(len(rows), len(sample)) >= _CLASS_ROWS_MIN_COUNT:
                values.loc[rows] = _by_rank(then.loc[rows].to_numpy(), sample)
        spread[column.name] = values
    return reference.assign(**spread)


def _by_rank(values: npt.NDArray[np.float64], sample: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values of the sample, each of the rank that the given value has among its own."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = (np.arange(len(values)) + 0.5) / len(values)
    spread: npt.NDArray[np.float64] = np.quantile(sample, ranks, method="inverted_cdf")
    return spread
