"""Weighted figures of scores or probabilities against a yes-or-no outcome, for the bootstrap of `ml.evaluation`."""

import math

import numpy as np

from ml.evaluation import FloatArray, Statistic

CALIBRATION_BINS = 10


def roc_auc(scores: FloatArray, labels: FloatArray) -> Statistic:
    """Return the weighted area under the ROC curve as a statistic; ties count half."""
    order, starts = _tie_groups(scores)
    positive = labels[order] > 0

    def statistic(weights: FloatArray) -> float:
        ordered = weights[order]
        bad = np.add.reduceat(np.where(positive, ordered, 0.0), starts)
        good = np.add.reduceat(np.where(positive, 0.0, ordered), starts)
        total = bad.sum() * good.sum()
        if total <= 0:
            return math.nan
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2)).sum() / total)

    return statistic


def average_precision(scores: FloatArray, labels: FloatArray) -> Statistic:
    """Return the weighted average precision as a statistic."""
    order, starts = _tie_groups(-scores)
    positive = labels[order] > 0

    def statistic(weights: FloatArray) -> float:
        ordered = weights[order]
        bad = np.add.reduceat(np.where(positive, ordered, 0.0), starts)
        all_ = np.add.reduceat(ordered, starts)
        drawn = np.cumsum(all_)
        if bad.sum() <= 0:
            return math.nan
        precision = np.divide(np.cumsum(bad), drawn, out=np.zeros_like(drawn), where=drawn > 0)
        return float((precision * bad).sum() / bad.sum())

    return statistic


def ks_statistic(scores: FloatArray, labels: FloatArray) -> Statistic:
    """Return the largest distance between the score distributions of both outcomes as a statistic."""
    order, starts = _tie_groups(scores)
    positive = labels[order] > 0

    def statistic(weights: FloatArray) -> float:
        ordered = weights[order]
        bad = np.add.reduceat(np.where(positive, ordered, 0.0), starts)
        good = np.add.reduceat(np.where(positive, 0.0, ordered), starts)
        if bad.sum() <= 0 or good.sum() <= 0:
            return math.nan
        return float(np.abs(np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum()).max())

    return statistic


def expected_calibration_error(
    probabilities: FloatArray, labels: FloatArray, bins: int = CALIBRATION_BINS
) -> Statistic:
    """Return the mean distance of predicted and observed rate over equally filled bins as a statistic."""
    ranks = np.argsort(np.argsort(probabilities, kind="stable"), kind="stable")
    position = ranks * bins // max(len(probabilities), 1)

    def statistic(weights: FloatArray) -> float:
        gap = np.bincount(position, weights=weights * (labels - probabilities), minlength=bins)
        total = weights.sum()
        return float(np.abs(gap).sum() / total) if total > 0 else math.nan

    return statistic


def calibration_slope(probabilities: FloatArray, labels: FloatArray) -> Statistic:
    """Return the slope of a logistic regression of the outcome on the predicted log odds; 1 is right."""
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    log_odds = np.log(clipped / (1 - clipped))
    design = np.column_stack([np.ones(len(log_odds)), log_odds])

    def statistic(weights: FloatArray) -> float:
        beta = np.array([0.0, 1.0])
        for _ in range(25):
            fitted = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
            gradient = design.T @ (weights * (labels - fitted))
            curvature = (design * (weights * fitted * (1 - fitted))[:, None]).T @ design
            if not np.isfinite(curvature).all() or np.linalg.cond(curvature) > 1e12:
                return math.nan
            step = np.linalg.solve(curvature, gradient)
            beta = beta + step
            if np.abs(step).max() < 1e-6:
                return float(beta[1])
        return math.nan

    return statistic


def _tie_groups(scores: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ascending order of the scores and where each group of equal scores starts in it."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts
