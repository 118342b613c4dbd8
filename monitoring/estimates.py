"""Performance before the labels are there: what probabilities promise, widened by how such promises turned out.

The point of departure is confidence-based estimation: if probabilities are calibrated, they hold the expected number
of defaults, the expected Brier score and the expected ranking of defaulters above others (Garg et al., "Leveraging
unlabeled data to predict out-of-distribution performance", ICLR 2022; NannyML's CBPE is the same idea). Alone it is
sure of itself where nobody can be: every month has an economy of its own and every model is a little off. So the
log-odds of a month are ``shift + slope * log-odds`` of the model (Cox, "Two further applications of a model for binary
regression", Biometrika 1958), with the shift and the logarithm of the slope drawn from what is believed of them: the
assumption of the policy before there is any record, and increasingly the record of the release's own earlier months
(normal with unknown mean and variance, conjugate prior: Gelman et al., "Bayesian Data Analysis", 3rd edition,
section 3.3). The draws of a month give the figures and their intervals.

Conformal intervals on the record were tried on paper and left: outcome windows of six months overlap, so that a year of
months holds two or three independent errors, where a 90 % conformal interval needs nine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from ml.classification import calibration_slope
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.splits import month_start
from monitoring.outcomes import (
    Estimated,
    EstimateEntry,
    PerformanceEstimate,
    RealisedPerformance,
    independent_windows,
)
from monitoring.performance import area_under_curve, known_outcomes, predicted_probabilities
from monitoring.policy import EstimateRule, SampleRule

FloatArray = NDArray[np.float64]

_DRAWS = 500
_GROUPS = 256
"""Customers of nearly equal probability are drawn together; more groups change no figure in the third decimal."""
_EDGE = 1e-6
_WIDEST_LOG_ODDS = 60.0
_HALVINGS = 40
"""Of a span of 120 in log-odds: a constant within 1e-10. Newton's steps would run away from the Student's far draws."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a quantity of the next month: a Student distribution.

    Attributes:
        mean: Its centre.
        scale: Its spread.
        freedom: Degrees of freedom.
    """

    mean: float
    scale: float
    freedom: float

    def draw(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Draw values."""
        return self.mean + self.scale * generator.standard_t(self.freedom, count)


@dataclass(frozen=True, slots=True)
class MonthEvidence:
    """How far outcomes lay from the predictions of one earlier month of the release.

    Attributes:
        shift: Log-odds by which outcomes lay above the predictions.
        log_slope: Logarithm of the calibration slope; None where too few defaulted to tell.
        shift_variance: Variance of ``shift`` by chance alone.
        log_slope_variance: Variance of ``log_slope`` by chance alone.
    """

    shift: float
    log_slope: float | None
    shift_variance: float
    log_slope_variance: float


def estimate(
    probability: FloatArray, evidence: Sequence[MonthEvidence], windows: float, rule: EstimateRule, seed: int
) -> PerformanceEstimate | None:
    """Say how well probabilities will come true.

    Args:
        probability: Predicted probability of each customer whose outcome will count.
        evidence: Earlier months of the release whose outcomes are known, and its hold-out.
        windows: Outcome windows without overlap that the evidence is worth.
        rule: Assumptions, smallest numbers and the coverage of the intervals.
        seed: Seed of the draws.

    Returns:
        Medians of the draws, with the interval that holds ``rule.coverage_pct`` of them; None if there are too few
        customers or too few of them will default.
    """
    if len(probability) < rule.minimum_rows or probability.sum() < rule.minimum_events:
        return None
    log_odds, customers = _groups(probability)
    generator = np.random.default_rng(seed)
    shift = believe(
        [(one.shift, one.shift_variance) for one in evidence], windows, rule.shift_sd, rule.assumed_windows
    ).draw(generator, _DRAWS)
    log_slope = believe(
        [(one.log_slope, one.log_slope_variance) for one in evidence if one.log_slope is not None],
        windows,
        rule.slope_sd,
        rule.assumed_windows,
    ).draw(generator, _DRAWS)
    rates = _recalibrated(log_odds, customers, shift, np.exp(np.clip(log_slope, -1.5, 1.5)))
    defaults = generator.binomial(customers, rates)
    total = customers.sum()
    said = expit(log_odds)
    squares = (defaults * (1 - said) ** 2 + (customers - defaults) * said**2).sum(axis=1)
    return PerformanceEstimate(
        rows=len(probability),
        coverage_pct=rule.coverage_pct,
        default_rate=_interval(defaults.sum(axis=1) / total, rule.coverage_pct),
        auc=_interval(_ranking(defaults, customers), rule.coverage_pct),
        brier=_interval(squares / total, rule.coverage_pct),
        independent_windows=windows,
    )


def believe(record: Sequence[tuple[float, float]], windows: float, assumed_sd: float, assumed_windows: float) -> Belief:
    """Return what the next value is believed to be, after a record of earlier ones.

    Args:
        record: Earlier values with the variance that chance alone gave each.
        windows: How many independent values the record is worth; at most their number.
        assumed_sd: Spread that is assumed without a record.
        assumed_windows: How many independent values the assumed spread counts for. The assumption that there is no bias
            counts for one: a first record outweighs it.
    """
    if not record:
        return Belief(0.0, assumed_sd * np.sqrt(2), assumed_windows)
    values, variances = (np.array(column, dtype=float) for column in zip(*record, strict=True))
    worth = min(windows, float(len(values)))
    mean = float(values.mean())
    # What chance alone spreads is drawn anew for the next month, so that it must not count here.
    spread = max(float(((values - mean) ** 2 - variances).mean()), 0.0)
    freedom = assumed_windows + worth
    pull = worth / (1 + worth)
    squares = assumed_windows * assumed_sd**2 + worth * spread + pull * max(mean**2 - float(variances.mean()), 0.0)
    return Belief(pull * mean, float(np.sqrt(squares / freedom * (1 + 1 / (1 + worth)))), freedom)


def realise(probability: FloatArray, happened: NDArray[np.bool_]) -> RealisedPerformance:
    """Measure what the outcomes of one month gave.

    Args:
        probability: Predicted probability of each customer.
        happened: Whether the customer defaulted.
    """
    events = int(happened.sum())
    is_mixed = 0 < events < len(happened)
    slope = calibration_slope(probability, happened.astype(float))(np.ones(len(happened))) if is_mixed else np.nan
    return RealisedPerformance(
        rows=len(happened),
        events=events,
        default_rate=float(happened.mean()),
        auc=area_under_curve(probability, happened) if is_mixed else None,
        brier=float(np.mean((probability - happened) ** 2)),
        shift=_shift_of(probability, events),
        slope=float(slope) if np.isfinite(slope) and slope > 0 else None,
    )


def evidence_of(realised: RealisedPerformance) -> MonthEvidence:
    """Return how far the outcomes of a month lay from its predictions, with what chance alone contributes."""
    chance = _chance_variance(realised.events, realised.default_rate)
    return MonthEvidence(
        shift=realised.shift,
        log_slope=None if realised.slope is None else float(np.log(realised.slope)),
        shift_variance=chance,
        log_slope_variance=chance,
    )


def release_figures(evaluation_path: Path) -> dict[str, tuple[float, int]]:
    """Return the overall figures of a release's hold-out with their rows; empty if it has no evaluation."""
    if not evaluation_path.exists():
        return {}
    metrics = json.loads(evaluation_path.read_bytes()).get("metrics", ())
    return {
        metric["name"]: (float(metric["value"]), int(metric["rows"]))
        for metric in metrics
        if metric.get("slice_column") is None and metric.get("value") is not None
    }


def _interval_end(evaluation_path: Path, name: str, end: Literal["lower", "upper"]) -> float | None:
    """Return an end of the interval of an overall figure of a release's hold-out; None if it has none."""
    if not evaluation_path.exists():
        return None
    for metric in json.loads(evaluation_path.read_bytes()).get("metrics", ()):
        if metric["name"] == name and metric.get("slice_column") is None and metric.get(end) is not None:
            return float(metric[end])
    return None


def evidence_at_release(figures: Mapping[str, tuple[float, int]]) -> MonthEvidence | None:
    """Return how far the outcomes of a release's hold-out lay from its predictions; None if its figures do not tell.

    Args:
        figures: Result of ``release_figures``.
    """
    if "default_rate" not in figures or "mean_probability" not in figures:
        return None
    (observed, rows), (predicted, _) = figures["default_rate"], figures["mean_probability"]
    if not (0 < observed < 1 and 0 < predicted < 1):
        return None
    slope, _ = figures.get("calibration_slope", (0.0, 0))
    chance = _chance_variance(rows * observed, observed)
    return MonthEvidence(
        shift=float(logit(observed) - logit(predicted)),
        log_slope=float(np.log(slope)) if slope > 0 else None,
        shift_variance=chance,
        log_slope_variance=chance,
    )


def update_entries(
    entries: Sequence[EstimateEntry],
    month: date,
    outcomes: pd.DataFrame,
    predictions_dir: Path,
    evaluation_path: Path,
    *,
    release: str,
    column: str,
    seen_until: date | None,
    rule: EstimateRule,
    sample: SampleRule,
) -> tuple[EstimateEntry, ...]:
    """Fill in what has become known of earlier estimates, and add the one of the reviewed month.

    Args:
        entries: Estimates so far.
        month: Month under review.
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        predictions_dir: Folder of the use case's batch predictions.
        evaluation_path: ``evaluation.json`` of the released bundle.
        release: Name of the release.
        column: Predicted probability.
        seen_until: Last month whose outcomes the model learned from; for months up to it nothing is estimated.
        rule: Assumptions and smallest numbers.
        sample: Bounds the customers of each month.

    Returns:
        All entries in the order of months and releases. The estimate of the reviewed month uses only outcomes that were
        known at its end.
    """

    def predicted(of_month: date, by_release: str) -> pd.DataFrame:
        return predicted_probabilities(of_month, predictions_dir, release=by_release, column=column, sample=sample)

    known = known_outcomes(outcomes)
    matured = set(known[AS_OF_MONTH])
    filled = [
        entry
        if entry.realised is not None or entry.month not in matured
        else _realised_entry(entry, predicted(entry.month, entry.release), known)
        for entry in entries
        if (entry.month, entry.release) != (month, release)
    ]
    if seen_until is None or month > seen_until:
        made = _estimate_of(
            month,
            predicted(month, release),
            filled,
            outcomes,
            evaluation_path,
            release=release,
            rule=rule,
            seed=sample.seed,
        )
        if made is not None:
            entry = EstimateEntry(month=month, release=release, estimate=made)
            filled.append(_realised_entry(entry, predicted(month, release), known) if month in matured else entry)
    return tuple(sorted(filled, key=lambda entry: (entry.month, entry.release)))


def _estimate_of(
    month: date,
    predicted: pd.DataFrame,
    entries: Sequence[EstimateEntry],
    outcomes: pd.DataFrame,
    evaluation_path: Path,
    *,
    release: str,
    rule: EstimateRule,
    seed: int,
) -> PerformanceEstimate | None:
    """Estimate a month from the record that was known at its end."""
    ends = _window_ends(outcomes)
    record = [
        entry
        for entry in entries
        if entry.release == release and entry.realised and ends.get(entry.month, date.max) <= month
    ]
    months = [entry.month for entry in record]
    horizon = horizon_months(outcomes)
    evidence = [evidence_of(entry.realised) for entry in record if entry.realised]
    windows = independent_windows(months, horizon)
    figures = release_figures(evaluation_path)
    if (at_release := evidence_at_release(figures)) is not None:
        evidence.append(at_release)
        windows += 1
    made = estimate(_judged(predicted, outcomes, month), evidence, windows, rule, seed)
    if made is None:
        return None
    promised = {
        "default_rate_at_release": figures.get("default_rate", (None, 0))[0],
        "default_rate_release_upper": _interval_end(evaluation_path, "default_rate", "upper"),
        "auc_at_release": figures.get("roc_auc", (None, 0))[0],
        "auc_release_lower": _interval_end(evaluation_path, "roc_auc", "lower"),
    }
    return made.model_copy(update=promised)


def horizon_months(outcomes: pd.DataFrame) -> int:
    """Return how many months an outcome window is long, of ``marts.customer_credit_outcomes``."""
    return max((_months_between(as_of, end) for as_of, end in _window_ends(outcomes).items()), default=1)


def _window_ends(outcomes: pd.DataFrame) -> dict[date, date]:
    of_months = outcomes[[AS_OF_MONTH, "window_end_date"]].drop_duplicates()
    return {
        month_start(as_of): month_start(end)
        for as_of, end in zip(of_months[AS_OF_MONTH], of_months["window_end_date"], strict=True)
    }


def _judged(predicted: pd.DataFrame, outcomes: pd.DataFrame, month: date) -> FloatArray:
    """Return the probabilities of the customers whom the model judges: those without exclusion in the month."""
    is_month = pd.to_datetime(outcomes[AS_OF_MONTH]).dt.date == month
    excluded = outcomes.loc[is_month & outcomes["exclusion"].notna(), CUSTOMER_KEY]
    return predicted.loc[~predicted[CUSTOMER_KEY].isin(excluded), "probability"].to_numpy(dtype=float)


def _realised_entry(entry: EstimateEntry, predicted: pd.DataFrame, known: pd.DataFrame) -> EstimateEntry:
    """Add what came to an entry; it stays open if the release's predictions are no longer there."""
    joined = predicted.merge(
        known.loc[known[AS_OF_MONTH] == entry.month, [CUSTOMER_KEY, "is_default"]], on=CUSTOMER_KEY
    )
    if joined.empty:
        return entry
    came = realise(joined["probability"].to_numpy(dtype=float), joined["is_default"].to_numpy(dtype=bool))
    return entry.model_copy(update={"realised": came})


def _months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def _groups(probability: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the mean log-odds and the number of customers of groups of nearly equal probability."""
    ordered = np.sort(logit(np.clip(probability, _EDGE, 1 - _EDGE)))
    parts = np.array_split(ordered, min(len(ordered), _GROUPS))
    return np.array([part.mean() for part in parts]), np.array([len(part) for part in parts])


def _recalibrated(
    log_odds: FloatArray, customers: NDArray[np.int64], shift: FloatArray, slope: FloatArray
) -> FloatArray:
    """Return the probability of each group in each draw.

    The shift says by how much the whole portfolio defaults more often, the slope how far good and bad customers are
    apart; the constant beside the slope is chosen so that it leaves the portfolio's rate where the shift put it.
    """
    share = customers / customers.sum()
    wanted = expit(log_odds + shift[:, None]) @ share
    lower, upper = np.full(len(shift), -_WIDEST_LOG_ODDS), np.full(len(shift), _WIDEST_LOG_ODDS)
    for _ in range(_HALVINGS):
        constant = (lower + upper) / 2
        is_low = expit(constant[:, None] + slope[:, None] * log_odds) @ share < wanted
        lower, upper = np.where(is_low, constant, lower), np.where(is_low, upper, constant)
    return np.asarray(expit(lower[:, None] + slope[:, None] * log_odds))


def _ranking(defaults: NDArray[np.int64], customers: NDArray[np.int64]) -> FloatArray:
    """Return the AUC of each draw over groups in rising order of probability; pairs within a group count half."""
    others = customers - defaults
    below = np.cumsum(others, axis=1) - others
    pairs = defaults.sum(axis=1) * others.sum(axis=1)
    won = (defaults * (below + others / 2)).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _interval(draws: FloatArray, coverage_pct: float) -> Estimated:
    tail = (100 - coverage_pct) / 2
    lower, middle, upper = np.nanpercentile(draws, [tail, 50, 100 - tail])
    return Estimated(value=float(middle), lower=float(lower), upper=float(upper))


def _chance_variance(events: float, rate: float) -> float:
    """Return the variance of log-odds that chance gives so many events.

    It serves for the slope too: the log-odds of customers spread about one unit around their weighted mean.
    """
    return 1 / max(events * (1 - rate), 0.5)


def _shift_of(probability: FloatArray, events: int) -> float:
    """Return what must be added to the log-odds for the probabilities to sum to the events.

    Half an event stands for none, and likewise for all but none.
    """
    log_odds = logit(np.clip(probability, _EDGE, 1 - _EDGE))
    wanted = min(max(events, 0.5), len(probability) - 0.5)
    return float(brentq(lambda shift: expit(log_odds + shift).sum() - wanted, -20, 20))
