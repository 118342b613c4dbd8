"""Whether the inputs of the model tell a group that is no input itself.

Leaving a column out does not keep a model from knowing it: other columns may stand for it. For each group this asks how
well the inputs tell its members, all together and the best one alone, and how much the model makes of that one. The
fairness figures say whether the group is treated differently; this table says by which input it could be.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xgboost as xgb

from ml.classification import roc_auc
from ml.columns import CUSTOMER_KEY
from ml.credit_risk.features import ENCODED, Matrix, to_matrix
from ml.evaluation import Cell, EvaluationTable, FloatArray
from ml.splits import customer_parts

GROUP_COLUMNS = ("district",)
MINIMUM_CUSTOMERS = 50
"""Customers inside and outside a group from which it is looked at."""
ROUNDS = 40


def proxy_table(rows: pd.DataFrame, importances: Sequence[tuple[str, float]], *, seed: int) -> EvaluationTable:
    """Return, per group, how well the inputs tell its members, as Gini coefficients (0 not at all, 1 always).

    Args:
        rows: Feature rows with the columns of the groups; the last one of each customer counts.
        importances: Share of each input in the effects of the model.
        seed: Seed of the trees that look for the group.
    """
    latest = rows.drop_duplicates(CUSTOMER_KEY, keep="last")
    matrix, shares = to_matrix(latest), dict(importances)
    half = customer_parts(latest[CUSTOMER_KEY], {"one": 0.5, "other": 0.5}, salt="proxies") == "one"
    found: list[tuple[Cell, ...]] = []
    for column in GROUP_COLUMNS:
        if column not in latest.columns:
            continue
        values = latest[column].astype("object")
        for value in sorted(set(values.dropna().map(str))):
            members: FloatArray = (values == value).to_numpy().astype(np.float64)
            if min(members.sum(), len(members) - members.sum()) < MINIMUM_CUSTOMERS:
                continue
            together = _gini(_out_of_fold(matrix, members, half, seed), members)
            alone = [abs(_gini(_filled(matrix[:, place]), members)) for place in range(len(ENCODED))]
            best = int(np.argmax(alone))
            name = ENCODED[best][0]
            found.append(
                (column, value, int(members.sum()), max(together, 0.0), name, alone[best], shares.get(name, 0.0))
            )
    return EvaluationTable(
        name="proxies",
        title="Groups that are no input, told by the inputs",
        title_zh="代理变量检查：输入能否识别未入模的群体",
        columns=("attribute", "group", "customers", "all inputs", "best input", "best alone", "share in the model"),
        rows=tuple(found),
        note="Gini coefficients: 0 tells nothing of the group, 1 tells it always. An input that tells a group well and "
        "has a large share in the model may stand for it; the fairness figures say whether the group is treated "
        "differently."
        if found
        else f"There are no two groups of {MINIMUM_CUSTOMERS} customers or more to tell apart.",
    )


def _out_of_fold(matrix: Matrix, members: FloatArray, half: np.ndarray, seed: int) -> FloatArray:
    parameters = {
        "objective": "binary:logistic",
        "max_depth": 2,
        "learning_rate": 0.1,
        "nthread": 1,
        "seed": seed,
        "base_score": float(members.mean()),
    }
    scores = np.empty(len(members))
    for own in (half, ~half):
        trees = xgb.train(parameters, xgb.DMatrix(matrix[~own], label=members[~own], nthread=1), num_boost_round=ROUNDS)
        scores[own] = trees.predict(xgb.DMatrix(matrix[own], nthread=1))
    return scores


def _filled(values: np.ndarray) -> FloatArray:
    """Return the values with missing ones below all others: who has no value may be told by that."""
    return np.where(np.isnan(values), -np.inf, values).astype(np.float64)


def _gini(scores: FloatArray, members: FloatArray) -> float:
    return 2 * roc_auc(scores, members)(np.ones(len(members))) - 1
