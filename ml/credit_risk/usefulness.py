"""What a ranking is good for, and whether the ground beneath it moves: tenths, money, stability of the inputs."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_KEY, by_name
from ml.credit_risk.config import ActionConfig
from ml.credit_risk.labels import label_array
from ml.credit_risk.schema import FEATURES
from ml.credit_risk.scorecard import HIGH_RISK_FROM
from ml.credit_risk.woe_scorecard import columns_of_frame
from ml.evaluation import EvaluationTable, FloatArray, Metric, Statistic, bootstrap

TENTHS = 10
STABLE_PSI, MOVED_PSI = 0.10, 0.25
"""Conventional limits (Lewis 1994); no test, so an interval stands beside the figure of the score."""

Mask = npt.NDArray[np.bool_]


def top_tenth_metrics(probabilities: FloatArray, holdout: pd.DataFrame, *, replicates: int, seed: int) -> list[Metric]:
    """Return what is found among the tenth of the snapshots with the highest risk, with intervals by customer.

    ``top_tenth_capture`` is the share of all defaults, ``top_tenth_lift`` the default rate against the overall one,
    and ``top_tenth_money_capture`` the share of the mean bills of all who default, ranked by probability x mean bill.
    """
    labels = label_array(holdout)
    bills = _mean_bills(holdout)
    statistics: dict[str, Statistic] = {
        "top_tenth_capture": share_on_top(probabilities, labels),
        "top_tenth_lift": lift_on_top(probabilities, labels),
        "top_tenth_money_capture": share_on_top(probabilities * bills, labels * bills),
    }
    figures = bootstrap(statistics, holdout[CUSTOMER_KEY].to_numpy(), replicates=replicates, seed=seed)
    return [
        Metric(name=name, value=value, lower=lower, upper=upper, rows=len(holdout))
        for name, (value, lower, upper) in figures.items()
    ]


def gains_table(probabilities: FloatArray, labels: FloatArray) -> EvaluationTable:
    """Return default rate, lift and captured defaults by tenth, the highest risk first."""
    order = np.argsort(-probabilities, kind="stable")
    tenth = np.arange(len(order)) * TENTHS // max(len(order), 1)
    rate, caught = labels.mean(), 0.0
    rows = []
    for group in range(TENTHS):
        found = labels[order[tenth == group]]
        if not len(found):
            continue
        caught += found.sum()
        rows.append(
            (
                group + 1,
                len(found),
                float(found.mean()),
                float(found.mean() / rate) if rate else None,
                float(caught / labels.sum()) if labels.sum() else None,
            )
        )
    return EvaluationTable(
        name="gains",
        title="What each tenth finds, highest risk first",
        title_zh="各十分位的违约与捕获",
        columns=("tenth", "snapshots", "observed", "lift", "captured so far"),
        rows=tuple(rows),
        note="Lift is the default rate against the overall one; captured adds up the defaults found so far.",
    )


def decision_value_table(
    probabilities: FloatArray,
    holdout: pd.DataFrame,
    action: ActionConfig,
    *,
    currency: str,
    replicates: int,
    seed: int,
) -> EvaluationTable:
    """Return what acting early is worth in money, by whom one acts on.

    An action costs ``action.cost_amount`` and saves ``action.success_share`` of one mean bill when the customer would
    have defaulted. The model acts where probability x mean bill x success is above the cost.

    Args:
        probabilities: Of the hold-out rows.
        holdout: Hold-out rows with labels.
        action: Cost and success of an action; assumptions of the supplier, stated with the table.
        currency: ISO 4217 code.
        replicates: Bootstrap draws.
        seed: Seed of the draws.
    """
    labels, bills = label_array(holdout), _mean_bills(holdout)
    saved = labels * bills * action.success_share
    late = np.nan_to_num(holdout["late_bills_3m_count"].to_numpy(dtype=np.float64, na_value=np.nan))
    chosen: Mapping[str, Mask] = {
        "by this model": probabilities * bills * action.success_share > action.cost_amount,
        "rated C or D": probabilities >= HIGH_RISK_FROM,
        "late in the last 3 months": late > 0,
        "everybody": np.ones(len(labels), dtype=bool),
    }
    statistics = {name: _per_thousand((saved - action.cost_amount) * mask) for name, mask in chosen.items()}
    figures = bootstrap(statistics, holdout[CUSTOMER_KEY].to_numpy(), replicates=replicates, seed=seed)
    rows = tuple(
        (
            name,
            float(mask.mean()),
            float((labels * bills * mask).sum() / max((labels * bills).sum(), 1e-9)),
            *figures[name],
        )
        for name, mask in chosen.items()
    )
    return EvaluationTable(
        name="decision_value",
        title=f"What acting early is worth, {currency} per 1,000 snapshots",
        title_zh=f"提前干预的价值（每千条样本，{currency}）",
        columns=("acted on", "share", "defaulted money reached", "net value", "from", "to"),
        rows=rows,
        note=f"Assumed: an action costs {action.cost_amount:g} {currency} and saves "
        f"{100 * action.success_share:g} % of one mean bill of a customer who would default. With 95 % intervals.",
    )


def feature_stability_table(earlier: pd.DataFrame, later: pd.DataFrame) -> EvaluationTable:
    """Return the population stability index of every input, from the training rows to the hold-out rows.

    Numbers are counted in tenths of the earlier rows and categories one by one, missing values apart.
    """
    before, after = columns_of_frame(earlier), columns_of_frame(later)
    descriptions = by_name(FEATURES)
    found = sorted(((stability_index(before[name], after[name]), name) for name in before), reverse=True)
    rows = tuple((descriptions[name].description, value, _verdict(value)) for value, name in found)
    return EvaluationTable(
        name="feature_stability",
        title="Shift of the inputs, training to hold-out",
        title_zh="输入指标稳定性（PSI）",
        columns=("input", "PSI", "verdict"),
        rows=rows,
        note=f"Below {STABLE_PSI:g} is stable, above {MOVED_PSI:g} has moved; a convention that depends on the number "
        "of rows. Load follows the season, so its columns move between months of different seasons.",
    )


def stability_index(earlier: npt.NDArray[np.generic], later: npt.NDArray[np.generic]) -> float:
    """Return the population stability index of two samples of one column (see `feature_stability_table`)."""
    if earlier.dtype == object:
        categories = sorted({str(value) for value in (*earlier, *later)})
        place = {category: position for position, category in enumerate(categories)}
        samples = [np.array([place[str(value)] for value in sample], dtype=np.int64) for sample in (earlier, later)]
        count = len(categories)
    else:
        numbers = [np.asarray(sample, dtype=np.float64) for sample in (earlier, later)]
        known = numbers[0][~np.isnan(numbers[0])]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, TENTHS + 1)[1:-1])) if len(known) else np.empty(0)
        count = len(edges) + 2
        samples = [
            np.where(np.isnan(sample), count - 1, np.searchsorted(edges, sample, side="left")) for sample in numbers
        ]
    # Half a row in every bin: an empty one would make the index infinite.
    shares = [(np.bincount(sample, minlength=count) + 0.5) / (len(sample) + 0.5 * count) for sample in samples]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _verdict(index: float) -> str:
    return "stable" if index < STABLE_PSI else "watch" if index <= MOVED_PSI else "moved"


def _mean_bills(rows: pd.DataFrame) -> FloatArray:
    bills = rows["mean_bill_12m_amount"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.maximum(np.nan_to_num(bills, nan=0.0), 0.0)


def _top(scores: FloatArray) -> Mask:
    count = max(len(scores) // TENTHS, 1)
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[np.argsort(-scores, kind="stable")[:count]] = True
    return chosen


def share_on_top(scores: FloatArray, amounts: FloatArray) -> Statistic:
    """Return the share of the amounts that the tenth with the highest scores holds, as a statistic."""
    top = amounts * _top(scores)

    def statistic(weights: FloatArray) -> float:
        total = float((weights * amounts).sum())
        return float((weights * top).sum()) / total if total > 0 else math.nan

    return statistic


def lift_on_top(scores: FloatArray, labels: FloatArray) -> Statistic:
    """Return the default rate of the tenth with the highest scores against the overall one, as a statistic."""
    top = _top(scores)

    def statistic(weights: FloatArray) -> float:
        bad, all_ = float((weights * labels).sum()), float(weights.sum())
        drawn = float((weights * top).sum())
        if bad <= 0 or drawn <= 0:
            return math.nan
        return float((weights * labels * top).sum()) / drawn / (bad / all_)

    return statistic


def _per_thousand(amounts: FloatArray) -> Statistic:
    def statistic(weights: FloatArray) -> float:
        total = float(weights.sum())
        return 1000 * float((weights * amounts).sum()) / total if total > 0 else math.nan

    return statistic
