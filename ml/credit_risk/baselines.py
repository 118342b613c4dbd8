"""What the model must beat: today's debt alone, the count of late bills alone, a logistic regression."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ml.credit_risk.labels import label_array
from ml.credit_risk.schema import CREDIT_RECORD, LOAD_STABILITY, RECOVERY, TIMELINESS
from ml.evaluation import FloatArray

DIMENSION_COLUMNS = [column.name for column in RECOVERY + TIMELINESS + LOAD_STABILITY + CREDIT_RECORD]


def baseline_scores(train: pd.DataFrame, holdout: pd.DataFrame) -> dict[str, FloatArray]:
    """Return a risk score per baseline for the hold-out rows; a higher score means more risk.

    Args:
        train: Rows from which the logistic regression learns, the same as the model's.
        holdout: Rows to score.
    """
    return {
        "last_status": _numbers(holdout, ["unpaid_balance_ratio"])[:, 0],
        "late_bill_count": _numbers(holdout, ["late_bills_12m_count"])[:, 0],
        "logistic_dimensions": _logistic_scores(train, holdout),
    }


def _numbers(rows: pd.DataFrame, columns: list[str]) -> FloatArray:
    return np.nan_to_num(_raw(rows, columns), nan=0.0)


def _raw(rows: pd.DataFrame, columns: list[str]) -> FloatArray:
    return np.column_stack([rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in columns])


def _logistic_scores(train: pd.DataFrame, holdout: pd.DataFrame) -> FloatArray:
    known, asked = _raw(train, DIMENSION_COLUMNS), _raw(holdout, DIMENSION_COLUMNS)
    used = ~np.isnan(known).all(axis=0)
    if not used.any():
        return np.zeros(len(holdout))
    known, asked = known[:, used], asked[:, used]
    centre = np.nanmedian(known, axis=0)
    # Robust limits, so that one absurd bill does not decide the scale of its column.
    low, high = np.nanquantile(known, [0.005, 0.995], axis=0)

    def prepare(values: FloatArray) -> FloatArray:
        gaps = np.isnan(values)
        filled = np.clip(np.where(gaps, centre, values), low, high)
        return np.hstack([filled, gaps.astype(np.float64)])

    train_matrix, holdout_matrix = prepare(known), prepare(asked)
    mean, deviation = train_matrix.mean(axis=0), train_matrix.std(axis=0)
    varies = deviation > 1e-12
    train_matrix = (train_matrix[:, varies] - mean[varies]) / deviation[varies]
    holdout_matrix = (holdout_matrix[:, varies] - mean[varies]) / deviation[varies]
    if not varies.any():
        return np.zeros(len(holdout))
    model = LogisticRegression(C=0.1, max_iter=5000).fit(train_matrix, label_array(train))
    return np.asarray(model.decision_function(holdout_matrix), dtype=np.float64)
