"""Compares credit predictions with what happened, for the months whose outcomes have become known."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from ml.evaluation import bootstrap
from ml.splits import add_months
from monitoring.policy import PerformanceRule, SampleRule
from monitoring.verdicts import PerformanceResult

OUTCOME_COLUMNS = (CUSTOMER_KEY, AS_OF_MONTH, "is_mature", "is_default", "exclusion", "window_end_date")
_CALIBRATION_BINS = 10
_CHANCE_DRAWS = 200
_ONCE_IN_A_THOUSAND_SD = 3.1
"""Standard deviations above the mean; a sum over ten bins is near enough to normal, and draws for its tail are dear."""


def matured_predictions(
    month: date,
    outcomes: pd.DataFrame,
    predictions_dir: Path,
    *,
    release: str,
    column: str,
    months: int,
    seen_until: date | None,
    sample: SampleRule | None = None,
) -> pd.DataFrame:
    """Join batch predictions of one release with the outcomes that were known at the end of the reviewed month.

    Args:
        month: Month under review. An outcome whose window ends later was not known then, whenever the review is made,
            so that a month reviewed again, or replayed in a drill, has the evidence of its own time.
        outcomes: Outcomes by customer and as-of month.
        predictions_dir: Folder of the use case's batch predictions.
        release: Name of the release.
        column: Predicted probability.
        months: How many of the latest matured months are used.
        seen_until: Last month whose data the model was built from. Up to there its predictions are no evidence: they
            were made, by a back-fill, for months that it had seen.
        sample: Bounds the customers of each month, all of them if None.

    Returns:
        One row per customer and month with ``probability`` and ``is_default``, of the customers whom the model judges
        (without exclusion); without rows if nothing has matured.

    Raises:
        SchemaMismatchError: If the outcomes lack a column.
    """
    known = known_outcomes(outcomes, known_by=month)
    if seen_until is not None:
        known = known[known[AS_OF_MONTH] > seen_until]
    parts: list[pd.DataFrame] = []
    for as_of_month in sorted(known[AS_OF_MONTH].unique(), reverse=True):
        if len(parts) == months:
            break
        predicted = predicted_probabilities(as_of_month, predictions_dir, release=release, column=column, sample=sample)
        joined = predicted.merge(known[known[AS_OF_MONTH] == as_of_month], on=CUSTOMER_KEY)
        if len(joined):
            parts.append(joined[[CUSTOMER_KEY, AS_OF_MONTH, "probability", "is_default"]])
    if not parts:
        return pd.DataFrame(columns=[CUSTOMER_KEY, AS_OF_MONTH, "probability", "is_default"])
    return pd.concat(parts[::-1], ignore_index=True)


def known_outcomes(outcomes: pd.DataFrame, known_by: date | None = None) -> pd.DataFrame:
    """Return the outcomes of judged customers that are known.

    Args:
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        known_by: First day of the month at whose end they had to be known; None takes all that are known today.

    Returns:
        The rows without exclusion whose window is over, ``as_of_month`` as date.

    Raises:
        SchemaMismatchError: If a column is missing.
    """
    if absent := [name for name in OUTCOME_COLUMNS if name not in outcomes.columns]:
        raise SchemaMismatchError(f"outcomes lack {', '.join(absent)}; pass marts.customer_credit_outcomes")
    rows = outcomes.assign(**{AS_OF_MONTH: pd.to_datetime(outcomes[AS_OF_MONTH]).dt.date})
    is_known = rows["is_mature"].fillna(False).astype(bool) & rows["is_default"].notna() & rows["exclusion"].isna()
    if known_by is not None:
        is_known &= pd.to_datetime(rows["window_end_date"]).dt.date < add_months(known_by, 1)
    return rows[is_known]


def predicted_probabilities(
    month: date, predictions_dir: Path, *, release: str, column: str, sample: SampleRule | None = None
) -> pd.DataFrame:
    """Read what a release predicted for the customers of one month.

    Args:
        month: As-of month of the predictions.
        predictions_dir: Folder of the use case's batch predictions.
        release: Name of the release.
        column: Predicted probability.
        sample: Bounds the customers, the same ones in every month; all of them if None.

    Returns:
        One row per customer with a finite ``probability``; without rows if the file is missing or not readable, which
        the review of that month names.
    """
    import polars as pl

    path = predictions_dir / f"as_of_month={month.isoformat()}" / "predictions.parquet"
    nobody = pd.DataFrame(columns=[CUSTOMER_KEY, "probability"])
    if not path.exists():
        return nobody
    rows = (
        pl.scan_parquet(path, hive_partitioning=False)
        .filter(pl.col("release") == release)
        .select(CUSTOMER_KEY, probability=pl.col(column).cast(pl.Float64))
    )
    try:
        if sample is not None and (available := rows.select(pl.len()).collect().item()) > sample.rows:
            place = pl.col(CUSTOMER_KEY).hash(seed=sample.seed)
            rows = rows.filter(place <= int(sample.rows / available * (2**64 - 1)))
        found = rows.unique(CUSTOMER_KEY, keep="last").filter(pl.col("probability").is_finite()).collect()
    except (pl.exceptions.PolarsError, OSError):
        return nobody
    return found.sort(CUSTOMER_KEY).to_pandas()


def measure(
    matured: pd.DataFrame,
    rule: PerformanceRule,
    at_release: "ReleaseAuc | None",
    *,
    common_shift_sd: float = 0.0,
) -> PerformanceResult | None:
    """Measure discrimination and calibration.

    Args:
        matured: Result of ``matured_predictions``.
        rule: Smallest evidence that is measured.
        at_release: The release's own figure.
        common_shift_sd: Standard deviation of what a good or a bad year does to the log-odds of all customers alike.

    Returns:
        The figures; None if there are too few outcomes or defaults, or no customer who paid.
    """
    happened = matured["is_default"].to_numpy(dtype=bool)
    events = int(happened.sum())
    if len(matured) < rule.minimum_rows or events < rule.minimum_events or events == len(matured):
        return None
    probability = matured["probability"].to_numpy(dtype=float)
    # Customers are drawn whole: their months are not independent evidence.
    auc, lower, upper = bootstrap(
        {"auc": lambda weights: area_under_curve(probability, happened, weights)}, matured[CUSTOMER_KEY].to_numpy()
    )["auc"]
    if auc is None or lower is None or upper is None:
        return None
    return PerformanceResult(
        months=tuple(sorted(matured[AS_OF_MONTH].unique())),
        rows=len(matured),
        events=events,
        auc=auc,
        auc_lower=lower,
        auc_upper=upper,
        brier=float(np.mean((probability - happened) ** 2)),
        calibration_error=calibration_error(probability, happened),
        calibration_chance=chance_calibration_error(
            probability, matured[CUSTOMER_KEY].to_numpy(), common_shift_sd=common_shift_sd
        ),
        mean_predicted=float(probability.mean()),
        mean_observed=float(happened.mean()),
        auc_at_release=at_release.value if at_release else None,
        auc_release_lower=at_release.lower if at_release else None,
        auc_release_upper=at_release.upper if at_release else None,
    )


def area_under_curve(
    probability: NDArray[np.float64], happened: NDArray[np.bool_], weights: NDArray[np.float64] | None = None
) -> float:
    """Return the share of pairs, one with and one without event, that the probability ranks rightly; ties count half.

    Args:
        probability: Predicted probability of each row.
        happened: Whether the event happened.
        weights: How often each row counts; once if None.
    """
    counted = np.ones(len(probability)) if weights is None else weights
    _, level = np.unique(probability, return_inverse=True)
    events = np.bincount(level, weights=counted * happened)
    others = np.bincount(level, weights=counted * ~happened, minlength=len(events))
    pairs = events.sum() * others.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(others) - others
    return float((events * (below + others / 2)).sum() / pairs)


def calibration_error(probability: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over bins of equal size, weighted by rows."""
    place = _calibration_bins(probability)
    return float(np.abs(np.bincount(place, weights=probability - happened)).sum() / len(probability))


def chance_calibration_error(
    probability: NDArray[np.float64], customers: NDArray[np.object_], *, common_shift_sd: float = 0.0
) -> float:
    """Return the calibration error that right probabilities exceed once in a thousand times.

    A mean of distances is never zero, and far from it where few default. The months of a customer are drawn by one
    random number, as if one default were told by all of them: their outcome windows overlap. A good or a bad year moves
    the odds of all customers at once, which no number of them averages out, so that each draw has a year of its own.

    Args:
        probability: Predicted probability of each row.
        customers: Customer of each row.
        common_shift_sd: Standard deviation of the shift of a year, in log-odds.
    """
    place = _calibration_bins(probability)
    promised = np.bincount(place, weights=probability)
    _, customer = np.unique(customers, return_inverse=True)
    generator = np.random.default_rng(0)
    odds = probability / np.maximum(1 - probability, np.finfo(float).tiny)
    errors = []
    for _ in range(_CHANCE_DRAWS):
        odds_of_year = odds * np.exp(common_shift_sd * generator.standard_normal())
        happened = generator.random(customer.max() + 1)[customer] < odds_of_year / (1 + odds_of_year)
        errors.append(np.abs(promised - np.bincount(place, weights=happened)).sum() / len(probability))
    return float(np.mean(errors) + _ONCE_IN_A_THOUSAND_SD * np.std(errors))


def _calibration_bins(probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the bin of each row: ten of equal size in the order of probability."""
    place = np.empty(len(probability), np.intp)
    for number, rows in enumerate(np.array_split(np.argsort(probability, kind="stable"), _CALIBRATION_BINS)):
        place[rows] = number
    return place


@dataclass(frozen=True)
class ReleaseAuc:
    """The AUC of a release on its hold-out, with its 95 % interval where it has one."""

    value: float
    lower: float | None = None
    upper: float | None = None


def release_auc(evaluation: dict[str, Any]) -> ReleaseAuc | None:
    """Return the AUC on the hold-out of a release from its evaluation; None if it has none."""
    for metric in (evaluation.get("key_metric"), *evaluation.get("metrics", ())):
        if metric and "auc" in metric["name"].lower() and metric.get("slice_column") is None:
            if metric.get("value") is None:
                return None
            return ReleaseAuc(float(metric["value"]), metric.get("lower"), metric.get("upper"))
    return None
