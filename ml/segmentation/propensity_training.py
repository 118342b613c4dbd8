"""Training of the probabilities of leaving and of joining a programme, and the judgement whether they may be used.

A probability is released with the segments when enough customers did it and it is better than what needs no model, on
rows that were held out by time and by customer; otherwise the segments are released without it, and the card says why.
Nothing is chosen on the held-out rows: the model and its size are chosen by folds of customers of the training rows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.linear_model import LogisticRegression

from ml.boosting import choose_size, grow, loaded
from ml.calibration import Calibrator, fit_calibrator
from ml.classification import average_precision, expected_calibration_error, roc_auc
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from ml.evaluation import EvaluationTable, FloatArray, Metric, Statistic, bootstrap, weighted_mean
from ml.segmentation.config import PropensityConfig
from ml.segmentation.propensity import TARGETS, Encoding, LogisticWeights, Matrix, Method, PropensityModel, Target
from ml.splits import TimeSplit, customer_parts, hash_shares, month_start, purged_time_split
from ml.sufficiency import Finding, SufficiencyReport

SALT = "segmentation propensity"
BASELINE_COLUMN = "tenure_months"
DECIDING = ("roc_auc", "gain_over_tenure", "calibration_ratio")
"""Figures whose intervals decide whether a probability may be used."""

_CLIP = (0.005, 0.995)
_DOUBT = 1.96


@dataclass(frozen=True, slots=True)
class Cut:
    """Training rows and rows held out.

    Attributes:
        train: Rows to learn from.
        holdout: Rows to judge on.
        time: Months of each part; ``None`` when rows are cut by customer only.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    time: TimeSplit | None

    def sentence(self) -> str:
        """Say in words how the rows were held out."""
        size = f"{len(self.holdout):,} rows of {self.holdout[CUSTOMER_KEY].nunique():,} customers"
        if self.time is None:
            return f"Held out by customer: {size}, of whom nothing was used in training."
        first, last = self.time.holdout_months[0], self.time.holdout_months[-1]
        return (
            f"Held out by time and by customer: {size}, as of {first:%Y-%m} to {last:%Y-%m}, each judged by a model "
            f"that was trained on other customers; training ends with {self.time.train_months[-1]:%Y-%m}, whose "
            "outcome was known before."
        )


@dataclass(frozen=True, slots=True)
class PropensityResult:
    """What became of one target.

    Attributes:
        target: The target.
        model: The model to release; ``None`` when it is left out.
        reason: Why it is released or left out, in a sentence.
        sufficiency: What was found in the labels.
        holdout_description: How it was judged; empty when nothing was trained.
        metrics: Figures on the held-out rows, with the target's name before theirs.
    """

    target: Target
    model: PropensityModel | None
    reason: str
    sufficiency: SufficiencyReport
    holdout_description: str = ""
    metrics: tuple[Metric, ...] = ()

    @property
    def is_released(self) -> bool:
        """Whether its probabilities may be used."""
        return self.model is not None

    def metric(self, name: str) -> Metric | None:
        """Return a figure by its name without the target's."""
        return next((metric for metric in self.metrics if metric.name == f"{self.target.name}_{name}"), None)


def train_propensities(
    features: pd.DataFrame, outcomes: pd.DataFrame | None, config: PropensityConfig, seed: int
) -> tuple[PropensityResult, ...]:
    """Train every target; see `train_propensity`."""
    return tuple(train_propensity(features, outcomes, target, config, seed) for target in TARGETS)


def train_propensity(
    features: pd.DataFrame, outcomes: pd.DataFrame | None, target: Target, config: PropensityConfig, seed: int
) -> PropensityResult:
    """Train and judge the probability of one target.

    Args:
        features: ``customer_key``, ``as_of_month`` and columns of ``INPUTS``; those that are missing are left out.
        outcomes: Rows of ``customer_segmentation_outcomes``; ``None`` when there are none.
        target: What is foretold.
        config: Settings.
        seed: Seed of the trees and of the bootstrap.

    Raises:
        SchemaMismatchError: A table lacks its key, or holds a customer and month twice.
    """
    rows = labelled_rows(features, outcomes, target)
    findings = _findings(rows, target, config)
    sufficiency = SufficiencyReport.of(target.name, findings)
    if not sufficiency.is_sufficient:
        missing = " ".join(finding.message for finding in sufficiency.missing)
        return PropensityResult(target, None, f"Left out: {missing}", sufficiency)
    rows = _sampled(rows, config)
    cut = cut_rows(rows, target, config)
    if cut is None:
        reason = (
            f"Left out: cut into parts, too few customers of one outcome remain to learn {target.name} and judge it."
        )
        return PropensityResult(target, None, reason, sufficiency)
    return _trained(cut, target, config, seed, sufficiency)


def labelled_rows(features: pd.DataFrame, outcomes: pd.DataFrame | None, target: Target) -> pd.DataFrame:
    """Return the features of mature rows of the population with their label, sorted by customer and month."""
    key = [CUSTOMER_KEY, AS_OF_MONTH]
    missing = [name for name in key if name not in features.columns]
    if missing:
        raise SchemaMismatchError(f"the features lack the columns {', '.join(missing)}")
    if outcomes is None or target.label not in outcomes.columns:
        return features.iloc[:0].assign(**{target.label: np.empty(0)})
    for name, frame in (("features", features), ("customer_segmentation_outcomes", outcomes)):
        missing = [column for column in key if column not in frame.columns]
        if missing:
            raise SchemaMismatchError(f"{name} lacks the columns {', '.join(missing)}")
        if frame.duplicated(key).any():
            raise SchemaMismatchError(f"{name} holds a customer and month twice: the key must be unique")
    usable = outcomes["is_mature"].fillna(False).astype(bool) & outcomes[target.label].notna()
    if "exclusion" in outcomes.columns:
        usable &= outcomes["exclusion"].isna()
    kept = [*key, target.label, *(["window_end_date"] if "window_end_date" in outcomes.columns else [])]
    known = outcomes.loc[usable, kept]
    left = features.drop(columns=[target.label, "window_end_date"], errors="ignore")
    left, known = (frame.assign(**{AS_OF_MONTH: frame[AS_OF_MONTH].map(month_start)}) for frame in (left, known))
    rows = left.merge(known, on=key, how="inner", validate="one_to_one")
    rows[target.label] = rows[target.label].astype(bool).astype(np.float64)
    return rows.sort_values(key, kind="stable", ignore_index=True)


def cut_rows(rows: pd.DataFrame, target: Target, config: PropensityConfig) -> Cut | None:
    """Cut rows by time where both outcomes remain in either part, otherwise by customer; ``None`` if neither goes."""
    time = purged_time_split(
        sorted(set(rows[AS_OF_MONTH])),
        outcome_months=_horizon_months(rows),
        holdout_months=config.holdout_months,
        calibration_months=0,
        minimum_train_months=config.minimum_train_months,
    )
    if time is not None:
        train, holdout = (rows[rows[AS_OF_MONTH].isin(part)] for part in (time.train_months, time.holdout_months))
        cut = Cut(train.reset_index(drop=True), holdout.reset_index(drop=True), time)
        if _has_both(cut, target, config):
            return cut
    held = hash_shares(rows[CUSTOMER_KEY], f"{SALT} holdout") < config.holdout_customer_share
    cut = Cut(rows[~held].reset_index(drop=True), rows[held].reset_index(drop=True), None)
    return cut if _has_both(cut, target, config) else None


def summary_table(results: tuple[PropensityResult, ...]) -> EvaluationTable:
    """Return what became of each target, for the model card."""

    def cell(result: PropensityResult, name: str) -> str | None:
        metric = result.metric(name)
        if metric is None or metric.value is None:
            return None
        interval = f" ({metric.lower:.3f} to {metric.upper:.3f})" if metric.lower is not None else ""
        return f"{metric.value:.3f}{interval}"

    return EvaluationTable(
        name="propensities",
        title="Leaving and potential",
        title_zh="流失与增值潜力",
        columns=("target", "中文名称", "answers", "AUC", "over tenure alone", "observed / foretold", "why"),
        rows=tuple(
            (
                result.target.title.en,
                result.target.title.zh,
                result.model.method if result.model else "left out",
                cell(result, "roc_auc"),
                cell(result, "gain_over_tenure"),
                cell(result, "calibration_ratio"),
                result.reason,
            )
            for result in results
        ),
        note="A probability is given only when it is better than what needs no model, on held-out rows.",
    )


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A fitted model that answers log odds."""

    margins: Callable[[Matrix], FloatArray]
    logistic: LogisticWeights | None = None
    booster: bytes = b""


_Fit = Callable[[Matrix, FloatArray], _Fitted]


def _trained(
    cut: Cut, target: Target, config: PropensityConfig, seed: int, sufficiency: SufficiencyReport
) -> PropensityResult:
    encoding = Encoding.of(cut.train, config.category_minimum_share)
    if not encoding.columns:
        reason = "Left out: nothing is known of the customers that differs between them."
        return PropensityResult(target, None, reason, sufficiency)
    matrix, labels = encoding.matrix(cut.train), cut.train[target.label].to_numpy()
    folds = _folds(cut.train[CUSTOMER_KEY], config)
    depth, rounds = choose_size(xgb.DMatrix(matrix, label=labels, nthread=1), folds, config, seed)
    fits: dict[Method, _Fit] = {
        "logistic": lambda inside, known: _fit_logistic(inside, known, config),
        "trees": lambda inside, known: _fit_trees(inside, known, config, seed, depth, rounds),
    }
    apart = {method: _out_of_fold(fit, matrix, labels, folds) for method, fit in fits.items()}
    method = _choose_method(apart["logistic"][0], apart["trees"][0], labels, cut.train[CUSTOMER_KEY])
    margins = apart[method][0]
    later = encoding.matrix(cut.holdout)
    if cut.time is None:
        foretold = {name: fit(matrix, labels).margins(later) for name, fit in fits.items()}
        probabilities = _calibrated(margins, labels, config).probabilities(foretold[method])
    else:
        later_folds = _folds(cut.holdout[CUSTOMER_KEY], config)
        foretold = {name: _by_own_fold(fitted, later, later_folds) for name, (_, fitted) in apart.items()}
        probabilities = _calibrated_by_fold(margins, labels, folds, foretold[method], later_folds, config)
    metrics = _metrics(probabilities, foretold, method, cut, target, config, seed)
    refusal = _refusal(metrics, target, config)
    held = cut.sentence()
    if refusal:
        return PropensityResult(target, None, f"Left out: {refusal}", sufficiency, held, metrics)
    # What is released learns from every customer whose outcome is known; by time, only the months of training are:
    # the calibration and the months belong together.
    learned = cut.train if cut.time else pd.concat([cut.train, cut.holdout], ignore_index=True)
    final = fits[method](encoding.matrix(learned), learned[target.label].to_numpy())
    model = PropensityModel(
        target=target.name,
        method=method,
        encoding=encoding,
        calibrator=_calibrated(margins, labels, config),
        logistic=final.logistic,
        booster=final.booster,
    )
    auc = next(metric for metric in metrics if metric.name == f"{target.name}_roc_auc")
    reason = f"Released: AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f}), better than the time as a customer."
    return PropensityResult(target, model, reason, sufficiency, held, metrics)


def _findings(rows: pd.DataFrame, target: Target, config: PropensityConfig) -> list[Finding]:
    needed = config.minimum_event_customers
    if rows.empty:
        return [
            Finding.at_least(
                "labels",
                0,
                2 * needed,
                missing=f"it is not known of any customer whether the customer {target.doing} within the horizon.",
            )
        ]
    events = rows[target.label] > 0
    findings = []
    for name, chosen, text in (("events", events, target.doing), ("others", ~events, "did not")):
        customers = rows.loc[chosen, CUSTOMER_KEY].nunique()
        findings.append(
            Finding.at_least(
                name,
                customers,
                needed,
                missing=f"{customers:,} customers {text} within the horizon of "
                f"{len(rows):,} rows; {needed} are needed, or the model would learn from chance.",
                met=f"{customers:,} customers {text} within the horizon.",
            )
        )
    return findings


def _has_both(cut: Cut, target: Target, config: PropensityConfig) -> bool:
    least = config.minimum_part_events
    return all(
        min(part[target.label].sum(), len(part) - part[target.label].sum()) >= least
        for part in (cut.train, cut.holdout)
    )


def _horizon_months(rows: pd.DataFrame) -> int:
    """Return the length of the outcome's window in months."""
    if "window_end_date" not in rows.columns:
        return 1
    ends = rows[[AS_OF_MONTH, "window_end_date"]].dropna().drop_duplicates()
    pairs = zip(ends[AS_OF_MONTH], ends["window_end_date"], strict=True)
    return max((_months_between(month, end) for month, end in pairs), default=1)


def _months_between(earlier: object, later: object) -> int:
    first, last = month_start(earlier), month_start(later)
    return (last.year - first.year) * 12 + last.month - first.month


def _sampled(rows: pd.DataFrame, config: PropensityConfig) -> pd.DataFrame:
    """Return the rows of as many whole customers as the limit holds."""
    if len(rows) <= config.rows_max_count:
        return rows
    share = config.rows_max_count / len(rows)
    return rows[hash_shares(rows[CUSTOMER_KEY], f"{SALT} sample") < share].reset_index(drop=True)


def _folds(customers: pd.Series, config: PropensityConfig) -> np.ndarray:
    shares = {f"fold {fold}": 1 / config.folds for fold in range(config.folds)}
    return customer_parts(customers, shares, salt=f"{SALT} folds")


def _out_of_fold(
    fit: _Fit, matrix: Matrix, labels: FloatArray, folds: np.ndarray
) -> tuple[FloatArray, dict[str, _Fitted]]:
    """Return log odds of each row by a model that does not know its customer, and these models by fold."""
    margins, fitted = np.empty(len(labels)), {}
    for fold in np.unique(folds):
        own = folds == fold
        fitted[str(fold)] = fit(matrix[~own], labels[~own])
        margins[own] = fitted[str(fold)].margins(matrix[own])
    return margins, fitted


def _by_own_fold(fitted: dict[str, _Fitted], matrix: Matrix, folds: np.ndarray) -> FloatArray:
    """Return the log odds of each row by the model that was trained without the customers of its fold."""
    margins = np.empty(len(matrix))
    for fold in np.unique(folds):
        own = folds == fold
        # A fold without training rows had no model of its own; any other does not know its customers either.
        model = fitted.get(str(fold)) or next(iter(fitted.values()))
        margins[own] = model.margins(matrix[own])
    return margins


def _calibrated_by_fold(
    margins: FloatArray,
    labels: FloatArray,
    folds: np.ndarray,
    later_margins: FloatArray,
    later_folds: np.ndarray,
    config: PropensityConfig,
) -> FloatArray:
    """Return probabilities of later rows, each by a calibration that does not know the customers of its fold."""
    probabilities = np.empty(len(later_margins))
    for fold in np.unique(later_folds):
        own, others = later_folds == fold, folds != fold
        calibrator = _calibrated(margins[others], labels[others], config)
        probabilities[own] = calibrator.probabilities(later_margins[own])
    return probabilities


def _calibrated(margins: FloatArray, labels: FloatArray, config: PropensityConfig) -> Calibrator:
    return fit_calibrator(
        margins,
        labels,
        isotonic_minimum_events=config.isotonic_minimum_events,
        beta_minimum_events=config.beta_minimum_events,
    )


def _choose_method(logistic: FloatArray, trees: FloatArray, labels: FloatArray, customers: pd.Series) -> Method:
    """Return the trees when their loss out of fold is smaller beyond doubt, otherwise the model with fewer ways to err.

    Beyond doubt is 1.96 standard errors of the summed gain, over customers, whose rows depend on each other.
    """
    gains = pd.Series(_losses(logistic, labels) - _losses(trees, labels)).groupby(customers.to_numpy()).sum()
    deviation = math.sqrt(float(((gains - gains.mean()) ** 2).sum()))
    return "trees" if gains.sum() > _DOUBT * deviation else "logistic"


def _losses(margins: FloatArray, labels: FloatArray) -> FloatArray:
    return np.asarray(np.logaddexp(0, margins) - labels * margins, dtype=np.float64)


def _fit_logistic(matrix: Matrix, labels: FloatArray, config: PropensityConfig) -> _Fitted:
    values = matrix.astype(np.float64)
    known = ~np.isnan(values).all(axis=0)
    safe = np.where(known, values, 0.0)
    low, high = np.nanquantile(safe, _CLIP, axis=0)
    fill = np.nanmedian(safe, axis=0)
    ones, zeros = np.ones(values.shape[1]), np.zeros(values.shape[1])
    raw = LogisticWeights(
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        fill=tuple(fill.tolist()),
        centre=tuple(zeros),
        scale=tuple(ones),
        weights=tuple(zeros),
        gap_weights=tuple(zeros),
        intercept=0.0,
    )
    filled, gaps = raw.prepare(matrix)
    centre, scale = filled.mean(axis=0), filled.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    design = np.hstack([(filled - centre) / scale, gaps])
    if labels.min() == labels.max():
        weights, intercept = np.zeros(design.shape[1]), 0.0
    else:
        model = LogisticRegression(C=config.logistic_strength, max_iter=2000).fit(design, labels)
        weights, intercept = model.coef_[0], float(model.intercept_[0])
    count = values.shape[1]
    fitted = raw.model_copy(
        update={
            "centre": tuple(centre.tolist()),
            "scale": tuple(scale.tolist()),
            "weights": tuple(weights[:count].tolist()),
            "gap_weights": tuple(weights[count:].tolist()),
            "intercept": intercept,
        }
    )
    return _Fitted(lambda rows: fitted.effects(rows).sum(axis=1) + fitted.intercept, logistic=fitted)


def _fit_trees(
    matrix: Matrix, labels: FloatArray, config: PropensityConfig, seed: int, depth: int, rounds: int
) -> _Fitted:
    trees = grow(xgb.DMatrix(matrix, label=labels, nthread=1), depth, rounds, config, seed)
    booster = loaded(trees)

    def margins(rows: Matrix) -> FloatArray:
        answers = booster.predict(xgb.DMatrix(rows, nthread=1), output_margin=True)
        return np.asarray(answers, dtype=np.float64)

    return _Fitted(margins, booster=trees)


def _tenure_scores(cut: Cut, target: Target) -> FloatArray:
    """Return a score by the time as a customer alone: the rate of its fifth of the training rows."""
    if BASELINE_COLUMN not in cut.train.columns or cut.train[BASELINE_COLUMN].notna().sum() == 0:
        return np.zeros(len(cut.holdout))
    known = cut.train[BASELINE_COLUMN].to_numpy(dtype=np.float64, na_value=np.nan)
    asked = cut.holdout[BASELINE_COLUMN].to_numpy(dtype=np.float64, na_value=np.nan)
    labels = cut.train[target.label].to_numpy()
    edges = np.unique(np.nanquantile(known, [0.2, 0.4, 0.6, 0.8]))
    # A missing tenure is sorted behind the last fifth and so is a band of its own.
    bands, asked_bands = np.searchsorted(edges, known, side="right"), np.searchsorted(edges, asked, side="right")
    bands[np.isnan(known)], asked_bands[np.isnan(asked)] = len(edges) + 1, len(edges) + 1
    counts = np.bincount(bands, minlength=len(edges) + 2)
    sums = np.bincount(bands, weights=labels, minlength=len(edges) + 2)
    return ((sums + labels.mean()) / (counts + 1))[asked_bands]


def _metrics(
    probabilities: FloatArray,
    foretold: dict[Method, FloatArray],
    method: Method,
    cut: Cut,
    target: Target,
    config: PropensityConfig,
    seed: int,
) -> tuple[Metric, ...]:
    labels = cut.holdout[target.label].to_numpy()
    auc, tenure = roc_auc(probabilities, labels), roc_auc(_tenure_scores(cut, target), labels)
    other: Method = "logistic" if method == "trees" else "trees"
    others = roc_auc(foretold[other], labels)
    observed, predicted = weighted_mean(labels), weighted_mean(probabilities)
    rate = float(cut.train[target.label].mean())

    def ratio(weights: FloatArray) -> float:
        below = predicted(weights)
        return observed(weights) / below if below > 0 else math.nan

    statistics: dict[str, tuple[Statistic, bool | None]] = {
        "roc_auc": (auc, True),
        "tenure_roc_auc": (tenure, True),
        f"{other}_roc_auc": (others, True),
        "gain_over_tenure": (lambda weights: auc(weights) - tenure(weights), True),
        f"gain_over_{other}": (lambda weights: auc(weights) - others(weights), True),
        "average_precision": (average_precision(probabilities, labels), True),
        "brier_gain": (weighted_mean((labels - rate) ** 2 - (labels - probabilities) ** 2), True),
        "expected_calibration_error": (expected_calibration_error(probabilities, labels), False),
        "calibration_ratio": (ratio, None),
        "event_rate": (observed, None),
    }
    customers = cut.holdout[CUSTOMER_KEY].to_numpy()
    deciding = {name: statistic for name, (statistic, _) in statistics.items() if name in DECIDING}
    others_told = {name: statistic for name, (statistic, _) in statistics.items() if name not in DECIDING}
    figures = bootstrap(deciding, customers, replicates=config.deciding_replicates, seed=seed) | bootstrap(
        others_told,
        customers,
        replicates=config.bootstrap_replicates,
        seed=seed,
        distances=("expected_calibration_error",),
    )
    return tuple(
        Metric(
            name=f"{target.name}_{name}",
            value=value,
            lower=lower,
            upper=upper,
            higher_is_better=statistics[name][1],
            rows=len(cut.holdout),
        )
        for name in statistics
        for value, lower, upper in [figures[name]]
    )


def _refusal(metrics: tuple[Metric, ...], target: Target, config: PropensityConfig) -> str:
    """Return why the probability may not be used; empty when it may. A figure that is missing refuses."""
    by_name = {metric.name.removeprefix(f"{target.name}_"): metric for metric in metrics}
    auc, gain = by_name["roc_auc"], by_name["gain_over_tenure"]
    if auc.lower is None or auc.value is None or auc.upper is None or auc.lower <= 0.5:
        return f"it ranks customers no better than chance beyond doubt (AUC {_text(auc)})."
    if gain.lower is None or gain.lower <= config.minimum_gain:
        return (
            f"it is not better than the time as a customer alone by {config.minimum_gain:g} beyond doubt "
            f"(AUC {_text(auc)}, gain {_text(gain)})."
        )
    brier = by_name["brier_gain"]
    if brier.value is None or brier.value <= 0:
        return "its probabilities are no nearer to what happened than the mean rate."
    ratio, limit = by_name["calibration_ratio"], config.calibration_ratio_limit
    if ratio.value is None or ratio.lower is None or ratio.upper is None:
        return "its calibration cannot be judged."
    if not 1 / limit <= ratio.value <= limit and not ratio.lower <= 1 <= ratio.upper:
        return f"it foretells too much or too little (observed over foretold {_text(ratio)})."
    return ""


def _text(metric: Metric) -> str:
    if metric.value is None:
        return "unknown"
    interval = "" if metric.lower is None or metric.upper is None else f", {metric.lower:.3f} to {metric.upper:.3f}"
    return f"{metric.value:.3f}{interval}"
