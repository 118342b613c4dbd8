"""Fits the readable scorecard: monotone bins, a logistic regression on weights of evidence, whole points.

A weight of evidence already speaks in log odds, so the regression only weighs columns that tell the same thing twice.
How much a column must tell, and the ridge penalty, are chosen by folds of customers. No weight may be negative, so
every line of the card points in the direction that its default rates show; a column that would need one is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ml.columns import Column
from ml.credit_risk.binning import Prior, monotone_edges
from ml.credit_risk.config import CreditRiskConfig, ScorecardConfig
from ml.credit_risk.schema import FEATURES
from ml.credit_risk.scorecard import PointScale
from ml.credit_risk.woe_scorecard import Bin, Characteristic, Columns, WoeScorecard, columns_of_frame
from ml.evaluation import FloatArray


@dataclass(frozen=True, slots=True)
class Scaling:
    """From the log odds of the regression to those that the points stand for (Platt 1999).

    Attributes:
        slope: Factor; below 1 it takes back what was learned too eagerly.
        intercept: Constant.
    """

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class BinnedColumns:
    """Training rows as weights of evidence.

    Attributes:
        characteristics: Columns that tell enough, with bins whose points are still zero.
        woe: Weight of evidence of each row (rows) per characteristic (columns).
    """

    characteristics: tuple[Characteristic, ...]
    woe: FloatArray

    def telling(self, information: float) -> "BinnedColumns":
        """Return the columns with at least this information value, or the best one when none has it."""
        values = np.array([characteristic.information_value for characteristic in self.characteristics])
        # A card needs a line to add up; the column that tells most stands even when it tells next to nothing.
        kept = np.flatnonzero(values >= min(information, values.max()))
        return BinnedColumns(tuple(self.characteristics[place] for place in kept), self.woe[:, kept])


@dataclass(frozen=True, slots=True)
class ChosenRegressions:
    """The settings that foretell best out of fold, and what they gave there.

    Attributes:
        information: Information value from which columns count.
        penalty: Ridge penalty.
        margins: Log odds of every row, by the regression that does not know its fold.
        regressions: Per fold, fitted on the rows of all others.
    """

    information: float
    penalty: float
    margins: FloatArray
    regressions: tuple["WoeRegression", ...]


@dataclass(frozen=True, slots=True)
class WoeRegression:
    """A logistic regression on weights of evidence.

    Attributes:
        characteristics: Columns with a weight.
        weights: Their weights, all positive: good evidence lowers the log odds of a default.
        intercept: Log odds of a default at no evidence.
    """

    characteristics: tuple[Characteristic, ...]
    weights: tuple[float, ...]
    intercept: float

    def margins(self, columns: Columns) -> FloatArray:
        """Return the log odds of a default."""
        count = len(next(iter(columns.values())))
        margins = np.full(count, self.intercept)
        for characteristic, weight in zip(self.characteristics, self.weights, strict=True):
            woe = np.array([bin_.woe for bin_ in characteristic.bins])
            margins -= weight * woe[characteristic.positions(columns[characteristic.column])]
        return margins

    def scorecard(
        self, scaling: Scaling, columns: Columns, labels: FloatArray, config: CreditRiskConfig
    ) -> WoeScorecard:
        """Return the card of whole points.

        Args:
            scaling: What the margins mean.
            columns: Rows of the training, for the mean points.
            labels: Their outcomes.
            config: Scale of the points.
        """
        scale = PointScale(config.base_points, config.base_odds, config.points_to_double_odds)
        kept = []
        for characteristic, weight in zip(self.characteristics, self.weights, strict=True):
            bins = _without_repetition(
                [
                    bin_.model_copy(update={"points": round(scale.factor * scaling.slope * weight * bin_.woe)})
                    for bin_ in characteristic.bins
                ]
            )
            if not any(bin_.points for bin_ in bins):
                continue
            points = np.array([bin_.points for bin_ in bins])
            joined = characteristic.model_copy(update={"bins": bins})
            mean = float(points[joined.positions(columns[joined.column])].mean())
            kept.append(joined.model_copy(update={"mean_points": mean}))
        even = scaling.slope * self.intercept + scaling.intercept
        return WoeScorecard(
            start_points=round(scale.offset - scale.factor * even),
            base_points=scale.base_points,
            base_odds=scale.base_odds,
            points_to_double_odds=scale.points_to_double_odds,
            characteristics=tuple(kept),
            rows=len(labels),
            defaults=int(labels.sum()),
        )


def bin_columns(rows: pd.DataFrame, labels: FloatArray, config: ScorecardConfig) -> BinnedColumns:
    """Bin every column of the schema and keep those that may tell enough about the outcome."""
    columns = columns_of_frame(rows)
    prior = Prior(rows=config.prior_rows, goods=float((1 - labels).sum()), bads=float(labels.sum()))
    found = tuple(_characteristic(column, columns[column.name], labels, prior, config) for column in FEATURES)
    woe = np.column_stack(
        [
            np.array([bin_.woe for bin_ in characteristic.bins])[
                characteristic.positions(columns[characteristic.column])
            ]
            for characteristic in found
        ]
    )
    return BinnedColumns(found, woe).telling(min(config.minimum_informations))


def fit_regression(binned: BinnedColumns, labels: FloatArray, penalty: float) -> WoeRegression:
    """Fit the weights of the columns, none of them negative: no column may speak against its own evidence.

    Args:
        binned: Rows as weights of evidence.
        labels: 1 for a default, 0 otherwise.
        penalty: Ridge penalty: mean logarithmic loss + ``penalty / 2 * sum(weights ** 2)`` is minimised.
    """
    count, width = binned.woe.shape

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights, intercept = parameters[:width], parameters[width]
        margins = intercept - binned.woe @ weights
        residuals = (expit(margins) - labels) / count
        gradient = np.append(penalty * weights - binned.woe.T @ residuals, residuals.sum())
        return mean_log_loss(margins, labels) + penalty / 2 * float(weights @ weights), gradient

    rate = labels.mean()
    start = np.append(np.zeros(width), np.log(rate / (1 - rate)))
    bounds = [(0.0, None)] * width + [(None, None)]
    options = {"maxiter": 1000, "ftol": 1e-11, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    used = np.flatnonzero(found[:width])
    return WoeRegression(
        characteristics=tuple(binned.characteristics[place] for place in used),
        weights=tuple(float(found[place]) for place in used),
        intercept=float(found[width]),
    )


def fit_scaling(margins: FloatArray, labels: FloatArray) -> Scaling:
    """Fit the scaling on rows whose customers the regression has not seen; the slope is never negative."""
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(margins[:, None], labels)
    slope = float(model.coef_[0, 0])
    if slope > 0:
        return Scaling(slope, float(model.intercept_[0]))
    rate = float(labels.mean())
    return Scaling(0.0, float(np.log(rate / (1 - rate))))


def mean_log_loss(margins: FloatArray, labels: FloatArray) -> float:
    """Return the mean logarithmic loss of log odds."""
    return float((np.logaddexp(0, margins) - labels * margins).mean())


def choose_regressions(
    binned: Sequence[BinnedColumns],
    columns: Sequence[Columns],
    labels: FloatArray,
    fold_of_row: npt.NDArray[np.int64],
    config: ScorecardConfig,
) -> ChosenRegressions:
    """Return the settings with the smallest loss over folds of customers, or nearly so with more columns.

    The lowest information value counts whose loss lies within one standard error (of the paired differences of the
    folds) of the smallest one (Breiman et al. 1984): where customers are few, chance would pick a card of few lines,
    on which most customers share one probability.

    Args:
        binned: Per fold, the rows of all other folds.
        columns: Per fold, its own rows.
        labels: Outcome of every row.
        fold_of_row: Position of each row's fold.
        config: Settings to choose from.
    """
    tried: list[tuple[FloatArray, ChosenRegressions]] = []
    for information in config.minimum_informations:
        telling = [others.telling(information) for others in binned]
        for penalty in config.penalties:
            margins = np.empty(len(labels))
            regressions = []
            for fold, others in enumerate(telling):
                regression = fit_regression(others, labels[fold_of_row != fold], penalty)
                margins[fold_of_row == fold] = regression.margins(columns[fold])
                regressions.append(regression)
            losses = np.array(
                [
                    mean_log_loss(margins[fold_of_row == fold], labels[fold_of_row == fold])
                    for fold in range(len(binned))
                ]
            )
            tried.append((losses, ChosenRegressions(information, penalty, margins, tuple(regressions))))
    if not tried:
        raise ValueError("there are no settings to choose from")
    least = min((losses for losses, _ in tried), key=np.mean)
    near = [
        (losses, chosen)
        for losses, chosen in tried
        if np.mean(losses - least) <= np.std(losses - least, ddof=1) / np.sqrt(len(least))
    ]
    lowest = min(chosen.information for _, chosen in near)
    return min((one for one in near if one[1].information == lowest), key=lambda one: float(np.mean(one[0])))[1]


def _characteristic(
    column: Column,
    values: npt.NDArray[np.object_ | np.float64],
    labels: FloatArray,
    prior: Prior,
    config: ScorecardConfig,
) -> Characteristic:
    if column.kind == "numeric":
        legal = np.asarray(values, dtype=np.float64).copy()
        legal[(legal < _or(column.minimum, -np.inf)) | (legal > _or(column.maximum, np.inf))] = np.nan
        edges = monotone_edges(
            legal, labels, direction=column.monotone, prior=prior, minimum_share=config.minimum_bin_share
        )
        bins = [
            Bin(kind="range", points=0, lower=lower, upper=upper)
            for lower, upper in zip((None, *edges), (*edges, None), strict=True)
        ]
    else:
        seen, counts = np.unique([value for value in values if value is not None], return_counts=True)
        large = {
            str(name)
            for name, count in zip(seen, counts, strict=True)
            if count >= config.minimum_bin_share * len(labels)
        }
        # A category of few customers, and one that training never saw, is an "other" of the card: it proves nothing.
        ordered = [name for name in column.allowed if name in large] or list(column.allowed[:1])
        bins = [Bin(kind="category", points=0, category=name) for name in ordered]
    empty = Characteristic(
        column=column.name,
        minimum=column.minimum,
        maximum=column.maximum,
        bins=(*bins, Bin(kind="missing", points=0), Bin(kind="other", points=0)),
    )
    place = empty.positions(values)
    rows = np.bincount(place, minlength=len(empty.bins)).astype(np.float64)
    bads = np.bincount(place, weights=labels, minlength=len(empty.bins)).astype(np.float64)
    woe = prior.woe(rows - bads, bads)
    # Values that the schema does not allow are errors: whatever became of these customers says nothing of the next.
    woe[-1] = 0.0
    counted = [
        bin_.model_copy(
            update={
                "rows": int(count),
                "default_rate": float(bad / count) if count else None,
                "woe": float(weight),
            }
        )
        for bin_, count, bad, weight in zip(empty.bins, rows, bads, woe, strict=True)
    ]
    information = prior.information_value(rows - bads, bads)
    return empty.model_copy(update={"bins": tuple(counted), "information_value": information})


def _without_repetition(bins: list[Bin]) -> tuple[Bin, ...]:
    """Join neighbouring ranges that earn the same points into one line of the card."""
    found: list[Bin] = []
    for bin_ in bins:
        last = found[-1] if found else None
        if last is None or not (last.kind == bin_.kind == "range" and last.points == bin_.points):
            found.append(bin_)
            continue
        rows = last.rows + bin_.rows
        defaults = sum((part.default_rate or 0.0) * part.rows for part in (last, bin_))
        woe = (last.woe * last.rows + bin_.woe * bin_.rows) / rows if rows else 0.0
        found[-1] = last.model_copy(
            update={"upper": bin_.upper, "rows": rows, "default_rate": defaults / rows if rows else None, "woe": woe}
        )
    return tuple(found)


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit
