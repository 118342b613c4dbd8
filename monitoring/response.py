"""What the reference leads to expect of a column in other weather.

Every value of the reference is moved to where it would stand in the weather of the month, as the adjusted baseline of
measurement and verification moves a baseline to the conditions of the reporting period (Efficiency Valuation
Organization, 2022, IPMVP Core Concepts, chapter 7; degree days after Fels, 1986, PRISM: an introduction, Energy and
Buildings 9). The whole distribution moves, not its mean: by class of customer, the log-odds that a value lies below
each of nineteen quantiles are regressed on the degrees of heating and of cooling behind the row (distribution
regression: Chernozhukov, Fernández-Val and Melly, 2013, Inference on counterfactual distributions, Econometrica 81). A
value keeps its rank within its class.

The slopes have a normal prior with mean zero. Months, not rows, are independent witnesses of weather, so the standard
errors are clustered by month (Liang and Zeger, 1986, Longitudinal data analysis using generalized linear models,
Biometrika 73); where the reference has seen little of such weather, the prior speaks and the error is large.

No month does exactly what its weather says: holidays move, months have 28 days or 31. How far the months of the
reference lie from their own weather's response, beyond what their customers explain, is estimated by moments
(DerSimonian and Laird, 1986, Meta-analysis in clinical trials, Controlled Clinical Trials 7), and a month under review
is allowed as much.

A response holds where it was seen. Baseline models are not to be used beyond a tenth outside of the weather that they
were fitted to (ASHRAE Guideline 14-2014, Measurement of energy, demand, and water savings); further out the response
may as well be twice as strong or end, which is added to the error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from monitoring.drift import Z_999, psi_of_shares

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_QUANTILES = np.linspace(0.05, 0.95, 19)
_ITERATIONS = 25
_TOLERANCE = 1e-6
_LARGEST_STEP = 3.0
_LARGEST_LOG_ODDS = 15.0
_SMALLEST_SHARE = 1e-3
_SMALLEST_WEIGHT = 1e-6
# A class with fewer base rows has no distribution to speak of; its values stay where they are.
_CLASS_ROWS_MIN_COUNT = 20
_BINS = 10
# Part of the range of the weather that was seen, by which a response may be extended to either side.
_EXTENSION = 0.1


@dataclass(frozen=True)
class Moved:
    """A column of the reference, moved to the weather of the month.

    Attributes:
        values: Moved values of the base rows, in their order.
        uncertainty: Score (PSI) that an error of the response can make; it is exceeded once in a thousand.
    """

    values: FloatArray
    uncertainty: float


def move_to_weather(
    values: FloatArray,
    classes: IntArray,
    months: IntArray,
    drivers: FloatArray,
    base: BoolArray,
    drivers_now: FloatArray,
    classes_now: IntArray,
    *,
    response_per_degree: float,
    is_estimable: bool,
) -> Moved:
    """Move the base rows of a column to the weather of the month.

    Args:
        values: Values of the reference rows, all of them finite, (rows,).
        classes: Class of customer of each row, (rows,).
        months: As-of month of each row as a number, (rows,).
        drivers: Degrees of heating and cooling behind each row, (rows, 2).
        base: Rows that are moved; the response is estimated on all rows, (rows,).
        drivers_now: The same degrees behind the rows of the month, (rows now, 2).
        classes_now: Their classes, (rows now,).
        response_per_degree: Standard deviation of the prior of a slope, in log-odds per degree.
        is_estimable: Whether the reference can tell a response. If not, nothing is moved, and the prior alone says how
            uncertain that is.
    """
    moved = values[base].copy()
    moved_further = moved.copy()
    classes_of_base = classes[base]
    for number in np.unique(classes_of_base):
        members = classes_of_base == number
        target = drivers_now[classes_now == number]
        if members.sum() < _CLASS_ROWS_MIN_COUNT or not len(target):
            continue
        rows = classes == number
        own = moved[members]
        thresholds = np.unique(np.quantile(own, _QUANTILES, method="lower"))
        slopes = np.zeros((len(thresholds), drivers.shape[1]))
        between_months = 0.0
        covariance = np.broadcast_to(
            np.eye(drivers.shape[1]) * response_per_degree**2, (len(thresholds), drivers.shape[1], drivers.shape[1])
        )
        if is_estimable:
            slopes, covariance, between_months = _responses(
                values[rows], thresholds, drivers[rows], months[rows], response_per_degree=response_per_degree
            )
        beyond = _beyond(target.mean(axis=0), drivers[rows])
        bends = ((slopes * beyond) ** 2).sum(axis=1)
        months_of_base = np.unique(months[base][members])
        own_ways = between_months * (1 + 1 / len(months_of_base))
        for month in months_of_base:
            cell = members & (months[base] == month)
            # Too few rows of a month have no distribution of their own; they are moved like the class.
            like = cell if cell.sum() >= _CLASS_ROWS_MIN_COUNT else members
            difference = target.mean(axis=0) - drivers[base][cell].mean(axis=0)
            errors = np.sqrt(np.einsum("p,tpq,q->t", difference, covariance, difference) + own_ways + bends)
            shift = slopes @ difference
            rows_then = values[base]
            moved[cell] = _transported(rows_then[like], thresholds, shift)[cell[like]]
            moved_further[cell] = _transported(rows_then[like], thresholds, shift + errors)[cell[like]]
    return Moved(moved, Z_999**2 * _score(moved, moved_further))


def _beyond(target: FloatArray, seen: FloatArray) -> FloatArray:
    """Return how far each driver lies outside of what was seen, extended by a part of its range; 0 inside."""
    lowest, highest = seen.min(axis=0), seen.max(axis=0)
    reach = _EXTENSION * (highest - lowest)
    distance: FloatArray = np.maximum(np.maximum(target - highest, lowest - target) - reach, 0.0)
    return distance


def category_uncertainty(values: "pd.Series[Any]", shift: float) -> float:
    """Return the score (PSI) that a shift of a category's log-odds can make; it is exceeded once in a thousand.

    Categories have no order along which they could be moved, so the weather only makes them less certain.

    Args:
        values: Categories of the reference rows, none missing.
        shift: Standard deviation of the shift, in log-odds.
    """
    shares = values.value_counts(normalize=True).to_numpy(dtype=np.float64)
    return float(Z_999**2 * shift**2 * (shares * (1 - shares)).max(initial=0.0))


def _responses(
    values: FloatArray,
    thresholds: FloatArray,
    drivers: FloatArray,
    months: IntArray,
    *,
    response_per_degree: float,
) -> tuple[FloatArray, FloatArray, float]:
    """Fit the log-odds of lying at or below each threshold.

    Returns:
        Slopes (thresholds, 2), their covariance (thresholds, 2, 2), and the variance of the months about the fit.
    """
    # Rows of one month and one place have the same weather, and few months are as warm to the last digit.
    _, first, cell_of_row = np.unique(months + 1j * drivers.sum(axis=1), return_index=True, return_inverse=True)
    design = np.column_stack([np.ones(len(first)), drivers[first]])
    month_of_cell = months[first]
    trials = np.bincount(cell_of_row, minlength=len(first)).astype(np.float64)
    below: FloatArray = np.stack(
        [
            np.bincount(cell_of_row, weights=(values <= threshold).astype(np.float64), minlength=len(first))
            for threshold in thresholds
        ],
        axis=1,
    )
    prior = np.diag([1e-6, *[response_per_degree**-2] * drivers.shape[1]])
    coefficients = np.zeros((len(thresholds), design.shape[1]))
    for _ in range(_ITERATIONS):
        hessian, residuals = _curvature(design, coefficients, trials, below, prior)
        gradient = np.einsum("np,nt->tp", design, residuals) - coefficients @ prior
        step = np.clip(np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0], -_LARGEST_STEP, _LARGEST_STEP)
        coefficients += step
        if np.abs(step).max() < _TOLERANCE:
            break
    hessian, residuals = _curvature(design, coefficients, trials, below, prior)
    weights = _weights(design, coefficients, trials)
    scores = np.einsum("np,nt->ntp", design, residuals)
    cells_of_month = [month_of_cell == month for month in np.unique(month_of_cell)]
    by_month = np.stack([scores[cells].sum(axis=0) for cells in cells_of_month])
    meat = np.einsum("mtp,mtq->tpq", by_month, by_month) * len(by_month) / max(len(by_month) - 1, 1)
    inverse = np.linalg.inv(hessian)
    covariance = inverse @ (meat + prior) @ inverse
    between_months = _variance_between(
        np.stack([residuals[cells].sum(axis=0) for cells in cells_of_month]),
        np.stack([weights[cells].sum(axis=0) for cells in cells_of_month]),
        fitted_count=design.shape[1],
    )
    return coefficients[:, 1:], covariance[:, 1:, 1:], between_months


def _variance_between(residuals: FloatArray, weights: FloatArray, *, fitted_count: int) -> float:
    """Return the variance of the months' log-odds about the fit that their customers do not explain.

    It is one figure for all thresholds: those of one month go up and down together, and each alone is told by too few
    months.

    Args:
        residuals: Sum of the residuals of each month, (months, thresholds).
        weights: Their variance if customers alone differed, (months, thresholds).
        fitted_count: Coefficients that were fitted to the months.
    """
    freedom = len(residuals) - fitted_count
    if freedom < 1:
        return 0.0
    total = np.maximum(weights.sum(axis=0), _SMALLEST_WEIGHT)
    spread = (residuals**2 / np.maximum(weights, _SMALLEST_WEIGHT)).sum(axis=0)
    # What the coefficients follow of the months is no witness of how far months go.
    witnesses = (total - (weights**2).sum(axis=0) / total) * freedom / (len(residuals) - 1)
    return max(float(((spread - freedom) / np.maximum(witnesses, _SMALLEST_WEIGHT)).mean()), 0.0)


def _curvature(
    design: FloatArray, coefficients: FloatArray, trials: FloatArray, below: FloatArray, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the penalised Hessian of each threshold, and the residuals of the cells."""
    shares = _shares(design, coefficients)
    weights = _weights(design, coefficients, trials)
    return np.einsum("np,nt,nq->tpq", design, weights, design) + prior, below - trials[:, None] * shares


def _weights(design: FloatArray, coefficients: FloatArray, trials: FloatArray) -> FloatArray:
    """Return the binomial variance of each cell and threshold."""
    shares = _shares(design, coefficients)
    return trials[:, None] * shares * (1 - shares)


def _shares(design: FloatArray, coefficients: FloatArray) -> FloatArray:
    log_odds = np.clip(design @ coefficients.T, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
    shares: FloatArray = 1 / (1 + np.exp(-log_odds))
    return shares


def _transported(values: FloatArray, thresholds: FloatArray, shift: FloatArray) -> FloatArray:
    """Move values along their ranks, so that the share at or below each threshold changes by a shift in log-odds.

    Moved values are values that the class has, so that counts stay counts.
    """
    shares = np.clip([(values <= threshold).mean() for threshold in thresholds], _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    expected = np.maximum.accumulate(1 / (1 + np.exp(-(np.log(shares / (1 - shares)) + shift))))
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = (np.arange(len(values)) + 0.5) / len(values)
    # A value's own place under the old and the new distribution; their difference is the move.
    knots = np.concatenate([[values.min()], thresholds, [values.max()]])
    old = np.interp(ranks, np.concatenate([[0.0], shares, [1.0]]), knots)
    new = np.interp(ranks, np.concatenate([[0.0], expected, [1.0]]), knots)
    kept = np.unique(values)
    middles = (kept[1:] + kept[:-1]) / 2
    return kept[np.searchsorted(middles, values + new - old)]


def _score(values: FloatArray, other: FloatArray) -> float:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, side), minlength=len(edges) + 1) / len(side) for side in (values, other)
    ]
    return psi_of_shares(*shares)
