"""How good a credit-risk model is: ranking, calibration, stability, fairness, all with intervals by customer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.classification import (
    CALIBRATION_BINS,
    average_precision,
    calibration_slope,
    expected_calibration_error,
    ks_statistic,
    roc_auc,
)
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.credit_risk.config import Candidate
from ml.credit_risk.labels import label_array
from ml.credit_risk.model import CreditRiskModel
from ml.credit_risk.schema import RATINGS
from ml.credit_risk.scorecard import HIGH_RISK_FROM, RATING_UPPER_PROBABILITIES
from ml.credit_risk.usefulness import lift_on_top, share_on_top
from ml.evaluation import (
    BaselineComparison,
    ChampionComparison,
    EvaluationTable,
    FloatArray,
    Metric,
    Statistic,
    bootstrap,
    weighted_mean,
)

KEY_METRIC = "roc_auc"
TENURE_BAND = "tenure_band"
SLICE_COLUMNS = ("customer_class", "district", TENURE_BAND, AS_OF_MONTH)
FAIRNESS_COLUMNS = ("customer_class", "district")
DEPOSIT_LATE_BILLS = 2
"""Bills unpaid for 30 days in a year from which policies may ask a customer of high risk for money in advance."""
UNKNOWN = "unknown"

BASELINES = {
    "last_status": (
        "Rank by the overdue balance of today alone",
        "仅按当前欠费余额排序",
    ),
    "late_bill_count": (
        "Rank by the number of late bills of 12 months alone",
        "仅按近十二月逾期笔数排序",
    ),
    "logistic_dimensions": (
        "Logistic regression on all columns of the four dimensions (standardised, gaps filled with the median)",
        "四个维度全部指标的逻辑回归（标准化、中位数填补）",
    ),
}

CANDIDATES: dict[str, tuple[str, str]] = {
    "scorecard": (
        "Scorecard of whole points on weights of evidence, which a person can add up",
        "可手工相加的证据权重评分卡",
    ),
    "boosted_trees": (
        "Gradient-boosted trees with monotone constraints, calibrated",
        "带单调约束并校准的梯度提升树",
    ),
}
_ORDER: tuple[Candidate, Candidate] = ("scorecard", "boosted_trees")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which candidate goes before the gate, and why.

    Attributes:
        taken: The candidate.
        sentence: The reason in words.
    """

    taken: Candidate
    sentence: str


def rating_stability_index(expected: FloatArray, actual: FloatArray) -> float:
    """Return the PSI of two samples of probabilities over the ratings.

    Equally filled bins would be cut through the many customers with nearly the same low probability, and would call
    a move that no rating and no decision notices a drift.
    """
    return _stability(expected, actual)(np.ones(len(actual)))


def _stability(expected: FloatArray, actual: FloatArray) -> Statistic:
    edges = np.asarray(RATING_UPPER_PROBABILITIES)
    before, now = (np.searchsorted(edges, sample, side="right") for sample in (expected, actual))
    count = len(edges) + 1

    def share(positions: np.ndarray, weights: FloatArray) -> FloatArray:
        counted = np.bincount(positions, weights=weights, minlength=count) + 0.5
        return np.asarray(counted / counted.sum(), dtype=np.float64)

    def statistic(weights: FloatArray) -> float:
        if not len(before) or not len(now):
            return math.nan
        old, new = share(before, np.ones(len(before))), share(now, weights)
        return float(((new - old) * np.log(new / old)).sum())

    return statistic


def overall_metrics(
    probabilities: FloatArray,
    holdout: pd.DataFrame,
    *,
    replicates: int,
    seed: int,
    development: FloatArray,
    current: FloatArray,
) -> list[Metric]:
    """Return the figures over all hold-out rows.

    Args:
        probabilities: Predicted probabilities of the hold-out rows.
        holdout: Hold-out rows with labels.
        replicates: Bootstrap draws.
        seed: Seed of the draws.
        development: Probabilities by the released model in the months of its training, for the stability of ratings.
        current: Probabilities by the released model of the hold-out rows.
    """
    labels = label_array(holdout)
    auc = roc_auc(probabilities, labels)
    observed, predicted = weighted_mean(labels), weighted_mean(probabilities)
    statistics: dict[str, Statistic] = {
        KEY_METRIC: auc,
        "gini": lambda weights: 2 * auc(weights) - 1,
        "average_precision": average_precision(probabilities, labels),
        "ks_statistic": ks_statistic(probabilities, labels),
        "brier_score": weighted_mean((probabilities - labels) ** 2),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "calibration_slope": calibration_slope(probabilities, labels),
        "calibration_ratio": lambda weights: _ratio(observed(weights), predicted(weights)),
        "default_rate": observed,
        "mean_probability": predicted,
    }
    directions: dict[str, bool | None] = {
        "brier_score": False,
        "expected_calibration_error": False,
        "calibration_slope": None,
        "calibration_ratio": None,
        "default_rate": None,
        "mean_probability": None,
    }
    figures = bootstrap(
        statistics,
        holdout[CUSTOMER_KEY].to_numpy(),
        replicates=replicates,
        seed=seed,
        distances=_DISTANCES,
    )
    metrics = [
        Metric(
            name=name,
            value=value,
            lower=lower,
            upper=upper,
            higher_is_better=directions.get(name, True),
            rows=len(holdout),
            note="" if lower is not None else "too few rows of one outcome",
        )
        for name, (value, lower, upper) in figures.items()
    ]
    psi, lower, upper = bootstrap(
        {"rating_psi": _stability(development, current)},
        holdout[CUSTOMER_KEY].to_numpy(),
        replicates=replicates,
        seed=seed,
        distances=("rating_psi",),
    )["rating_psi"]
    metrics.append(
        Metric(
            name="rating_psi",
            value=psi,
            lower=lower,
            upper=upper,
            higher_is_better=False,
            rows=len(holdout),
            note="development to hold-out",
        )
    )
    return metrics


@dataclass(frozen=True, slots=True)
class Development:
    """What the stability of ratings is judged against.

    Attributes:
        rows: Rows of the training.
        probabilities: Of these rows, by the released model.
        current: Of the hold-out rows, by the released model.
    """

    rows: pd.DataFrame
    probabilities: FloatArray
    current: FloatArray


def slice_metrics(
    probabilities: FloatArray,
    holdout: pd.DataFrame,
    *,
    replicates: int,
    seed: int,
    development: Development | None = None,
) -> list[Metric]:
    """Return ranking, calibration, use, stability and fairness by class, district, time as a customer, and month.

    Args:
        probabilities: Predicted probabilities of the hold-out rows.
        holdout: Hold-out rows with labels.
        replicates: Bootstrap draws.
        seed: Seed of the draws.
        development: What the ratings of a slice are compared with: those of the same slice, and of all months together
            for a month.
    """
    labels = label_array(holdout)
    clusters = holdout[CUSTOMER_KEY].to_numpy()
    treatment = _Treatment.of(probabilities, holdout, labels)
    metrics: list[Metric] = []
    for column in SLICE_COLUMNS:
        values = _slice_values(holdout, column)
        if values is None:
            continue
        before = None if development is None else _slice_values(development.rows, column)
        for value in sorted(set(values)):
            rows = values == value
            statistics = _slice_statistics(probabilities[rows], labels[rows])
            if column in FAIRNESS_COLUMNS:
                statistics |= treatment.statistics(rows)
            if development is not None and before is not None:
                chosen = np.ones(len(before), dtype=bool) if column == AS_OF_MONTH else before == value
                statistics["rating_psi"] = _stability(development.probabilities[chosen], development.current[rows])
            figures = bootstrap(statistics, clusters[rows], replicates=replicates, seed=seed, distances=_DISTANCES)
            for name in ("calibration_gap", "missed_default_gap"):
                if name in figures:
                    figures[name] = _absolute(figures[name])
            metrics += [
                Metric(
                    name=name,
                    value=figure[0],
                    lower=figure[1],
                    upper=figure[2],
                    higher_is_better=_SLICE_DIRECTIONS[name],
                    rows=int(rows.sum()),
                    slice_column=column,
                    slice_value=value,
                )
                for name, figure in figures.items()
            ]
    return metrics


_DISTANCES = ("ks_statistic", "expected_calibration_error", "rating_psi")
_SLICE_DIRECTIONS: dict[str, bool | None] = {
    KEY_METRIC: True,
    "gini": True,
    "average_precision": True,
    "ks_statistic": True,
    "brier_score": False,
    "expected_calibration_error": False,
    "calibration_slope": None,
    "top_tenth_lift": True,
    "top_tenth_capture": True,
    "default_rate": None,
    "mean_probability": None,
    "calibration_gap": False,
    "approval_share": None,
    "approval_ratio": None,
    "deposit_share": None,
    "false_alarm_gap": False,
    "missed_default_gap": False,
    "rating_psi": False,
}


def _slice_values(rows: pd.DataFrame, column: str) -> np.ndarray | None:
    """Return the slice of every row as text, or ``None`` where the rows do not tell."""
    if column == TENURE_BAND and "tenure_months" in rows.columns:
        found = _tenure_bands(rows["tenure_months"])
    elif column in rows.columns:
        found = rows[column].astype("object")
    else:
        return None
    return found.where(found.notna(), UNKNOWN).map(str).to_numpy()


@dataclass(frozen=True, slots=True)
class _Treatment:
    """What follows for each row, and for all of them: the yardstick of fairness.

    Attributes:
        probabilities: Predicted.
        labels: 1 for a default.
        high_risk: Whether the probability means C or D.
        deposit: Whether money in advance may be asked for: high risk and several bills long unpaid.
        approval: Share of all rows that are not high risk.
        alarm: Share of the good payers that are.
        missed: Share of the defaults that are not.
    """

    probabilities: FloatArray
    labels: FloatArray
    high_risk: FloatArray
    deposit: FloatArray | None
    approval: float
    alarm: float
    missed: float

    @classmethod
    def of(cls, probabilities: FloatArray, holdout: pd.DataFrame, labels: FloatArray) -> "_Treatment":
        high_risk = (probabilities >= HIGH_RISK_FROM).astype(np.float64)
        deposit = None
        if "overdue_30d_bills_12m_count" in holdout.columns:
            unpaid = holdout["overdue_30d_bills_12m_count"].to_numpy(dtype=np.float64, na_value=np.nan)
            deposit = high_risk * (unpaid >= DEPOSIT_LATE_BILLS)
        return cls(
            probabilities=probabilities,
            labels=labels,
            high_risk=high_risk,
            deposit=deposit,
            approval=1 - float(high_risk.mean()),
            alarm=_share(high_risk, labels == 0),
            missed=1 - _share(high_risk, labels == 1),
        )

    def statistics(self, rows: np.ndarray) -> dict[str, Statistic]:
        """Return the figures of one group."""
        labels, high_risk = self.labels[rows], self.high_risk[rows]
        approved = weighted_mean(1 - high_risk)
        alarm = weighted_mean(high_risk)
        found: dict[str, Statistic] = {
            "calibration_gap": weighted_mean(labels - self.probabilities[rows]),
            "approval_share": approved,
            "approval_ratio": lambda weights: _ratio(approved(weights), self.approval),
            "false_alarm_gap": lambda weights: alarm(weights * (1 - labels)) - self.alarm,
            "missed_default_gap": lambda weights: 1 - alarm(weights * labels) - self.missed,
        }
        if self.deposit is not None:
            found["deposit_share"] = weighted_mean(self.deposit[rows])
        return found


def _slice_statistics(probabilities: FloatArray, labels: FloatArray) -> dict[str, Statistic]:
    auc = roc_auc(probabilities, labels)
    return {
        KEY_METRIC: auc,
        "gini": lambda weights: 2 * auc(weights) - 1,
        "average_precision": average_precision(probabilities, labels),
        "ks_statistic": ks_statistic(probabilities, labels),
        "brier_score": weighted_mean((probabilities - labels) ** 2),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "calibration_slope": calibration_slope(probabilities, labels),
        "top_tenth_lift": lift_on_top(probabilities, labels),
        "top_tenth_capture": share_on_top(probabilities, labels),
        "default_rate": weighted_mean(labels),
        "mean_probability": weighted_mean(probabilities),
    }


def _tenure_bands(months: pd.Series) -> pd.Series:
    bands = pd.cut(
        months.astype("float64"),
        [-np.inf, 12, 36, np.inf],
        right=False,
        labels=["under 1 year", "1 to 3 years", "3 years and more"],
    )
    return bands.astype("object")


def baseline_comparisons(
    probabilities: FloatArray,
    baseline_scores: dict[str, FloatArray],
    holdout: pd.DataFrame,
    *,
    replicates: int,
    seed: int,
) -> list[BaselineComparison]:
    """Return the model against each baseline on the same rows, with paired intervals."""
    labels = label_array(holdout)
    model = roc_auc(probabilities, labels)
    statistics: dict[str, Statistic] = {}
    for name, scores in baseline_scores.items():
        baseline = roc_auc(scores, labels)
        statistics[name] = baseline
        statistics[f"difference {name}"] = _difference(model, baseline)
    figures = bootstrap(statistics, holdout[CUSTOMER_KEY].to_numpy(), replicates=replicates, seed=seed)
    return [
        BaselineComparison(
            name=name,
            description={**BASELINES, **CANDIDATES}[name][0],
            description_zh={**BASELINES, **CANDIDATES}[name][1],
            metric=_metric(KEY_METRIC, figures[name], len(holdout)),
            difference=_metric(f"{KEY_METRIC}_difference", figures[f"difference {name}"], len(holdout)),
        )
        for name in baseline_scores
    ]


def log_loss(probabilities: FloatArray, labels: FloatArray) -> Statistic:
    """Return the mean logarithmic loss as a statistic: it rewards order and honest probabilities alike."""
    clipped = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return weighted_mean(-(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))


def choose(
    probabilities: Mapping[Candidate, FloatArray], holdout: pd.DataFrame, *, replicates: int, seed: int
) -> Choice:
    """Choose between the candidates by their probabilities of the same held-out rows.

    The trees are taken when the whole 95 % interval of the paired difference in logarithmic loss speaks for them.
    Where the evidence does not tell them apart the scorecard is taken, because a person can check it by hand. So the
    choice does not flip with the seed, and no figure is flattered by taking the better of two that differ by chance.
    The loss decides and not the AUC, because money follows the probability, and the AUC does not look at it.

    Args:
        probabilities: Of the hold-out rows by candidate.
        holdout: Hold-out rows with labels.
        replicates: Bootstrap draws.
        seed: Seed of the draws.
    """
    if len(probabilities) == 1:
        [only] = probabilities
        return Choice(only, f"Only one candidate was trained, as the settings ask: {_name(only)}.")
    labels = label_array(holdout)
    card, trees = (log_loss(probabilities[name], labels) for name in _ORDER)
    gain, lower, upper = bootstrap(
        {"gain": _difference(card, trees)}, holdout[CUSTOMER_KEY].to_numpy(), replicates=replicates, seed=seed
    )["gain"]
    if gain is None or lower is None or upper is None:
        return Choice("scorecard", "The candidates could not be compared, so the readable scorecard is taken.")
    found = f"By how much the trees lower the logarithmic loss, same rows: {gain:+.4f} ({lower:+.4f} to {upper:+.4f})"
    if lower > 0:
        return Choice("boosted_trees", f"The boosted trees are taken: they predict better beyond doubt. {found}.")
    return Choice("scorecard", f"The scorecard is taken: the trees do not predict better beyond doubt. {found}.")


def candidate_table(
    probabilities: Mapping[Candidate, FloatArray], choice: Choice, holdout: pd.DataFrame, *, replicates: int, seed: int
) -> EvaluationTable:
    """Return the evidence for the choice: the main figures of each candidate on the same rows."""
    labels = label_array(holdout)
    rows: list[tuple[str | float | None, ...]] = []
    for name, p in probabilities.items():
        figures = bootstrap(
            {
                "auc": roc_auc(p, labels),
                "precision": average_precision(p, labels),
                "loss": log_loss(p, labels),
                "brier": weighted_mean((p - labels) ** 2),
                "calibration": expected_calibration_error(p, labels),
            },
            holdout[CUSTOMER_KEY].to_numpy(),
            replicates=replicates,
            seed=seed,
            distances=("calibration",),
        )
        taken = "yes" if name == choice.taken else "no"
        others = (figures[key][0] for key in ("precision", "loss", "brier", "calibration"))
        rows.append((_name(name), *figures["auc"], *others, taken))
    return EvaluationTable(
        name="candidates",
        title="The candidates on the same held-out rows",
        title_zh="候选模型对比（相同留出样本）",
        columns=(
            "candidate",
            "AUC",
            "from",
            "to",
            "average precision",
            "log loss",
            "Brier score",
            "calibration error",
            "taken",
        ),
        rows=tuple(rows),
        note=choice.sentence,
    )


def _name(candidate: str) -> str:
    return candidate.replace("_", " ")


def compare_with_champion(
    challenger: CreditRiskModel,
    champion: CreditRiskModel,
    holdout: pd.DataFrame,
    *,
    champion_version: str,
    replicates: int = 400,
    seed: int = 7,
) -> ChampionComparison:
    """Compare two models on the hold-out of the challenger, with a paired interval by customer.

    The hold-out is later than the training of either model (or, with a short history, of customers whom neither has
    seen: who is held out depends on the customer's key alone).

    Args:
        challenger: The new model.
        champion: The released model.
        holdout: Hold-out rows with labels, as kept in the challenger's bundle.
        champion_version: Version of the released bundle.
        replicates: Bootstrap draws.
        seed: Seed of the draws.
    """
    labels = label_array(holdout)
    new, old = (
        roc_auc(model.predict(holdout)["default_probability"].to_numpy(), labels) for model in (challenger, champion)
    )
    figures = bootstrap(
        {"challenger": new, "champion": old, "difference": _difference(new, old)},
        holdout[CUSTOMER_KEY].to_numpy(),
        replicates=replicates,
        seed=seed,
    )
    return ChampionComparison(
        champion_version=champion_version,
        challenger=_metric(KEY_METRIC, figures["challenger"], len(holdout)),
        champion=_metric(KEY_METRIC, figures["champion"], len(holdout)),
        difference=_metric(f"{KEY_METRIC}_difference", figures["difference"], len(holdout)),
        rows=len(holdout),
    )


def reliability_table(probabilities: FloatArray, labels: FloatArray, bins: int = CALIBRATION_BINS) -> EvaluationTable:
    """Return predicted and observed default rates over equally filled bins."""
    ranks = np.argsort(np.argsort(probabilities, kind="stable"), kind="stable")
    position = ranks * bins // max(len(probabilities), 1)
    rows = []
    for group in range(bins):
        chosen = position == group
        count = int(chosen.sum())
        if count:
            rows.append((group + 1, count, float(probabilities[chosen].mean()), float(labels[chosen].mean())))
    return EvaluationTable(
        name="reliability",
        title="Predicted and observed, by tenth",
        title_zh="预测与实际违约率（十分位）",
        columns=("tenth", "snapshots", "predicted", "observed"),
        rows=tuple(rows),
        note="A well calibrated model shows equal numbers in the last two columns.",
    )


def rating_table(rating: pd.Series, labels: FloatArray, probabilities: FloatArray) -> EvaluationTable:
    """Return size and observed default rate of every rating."""
    names_ = rating.to_numpy(dtype=object)
    rows = []
    for name in RATINGS:
        chosen = names_ == name
        count = int(chosen.sum())
        rows.append(
            (
                name,
                count,
                count / max(len(names_), 1),
                float(probabilities[chosen].mean()) if count else None,
                float(labels[chosen].mean()) if count else None,
            )
        )
    return EvaluationTable(
        name="ratings",
        title="Ratings on the hold-out",
        title_zh="信用等级分布",
        columns=("rating", "snapshots", "share", "predicted", "observed"),
        rows=tuple(rows),
        note="Observed default rates should rise from AAA to D.",
    )


def _difference(left: Statistic, right: Statistic) -> Statistic:
    return lambda weights: left(weights) - right(weights)


def _metric(name: str, figure: tuple[float | None, float | None, float | None], rows: int) -> Metric:
    return Metric(name=name, value=figure[0], lower=figure[1], upper=figure[2], rows=rows)


def _absolute(
    figure: tuple[float | None, float | None, float | None],
) -> tuple[float | None, float | None, float | None]:
    """Return size and interval of the size of a signed figure; an interval around zero starts at zero."""
    value, lower, upper = figure
    if value is None or lower is None or upper is None:
        return (None if value is None else abs(value)), None, None
    least = 0.0 if lower <= 0 <= upper else min(abs(lower), abs(upper))
    return abs(value), least, max(abs(lower), abs(upper))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def _share(chosen: np.ndarray, among: np.ndarray) -> float:
    return float(chosen[among].mean()) if among.any() else math.nan
