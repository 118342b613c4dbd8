"""How good a credit score of the simulated supplier can be at best: the simulator is asked for what it hides.

Run by hand, on the marts of a finished main job of the same supplier::

    python -m tests.benchmarks.credit_ceiling data/marts/versions/<version>

Two scores that no file allows are ranked against the same held-out outcomes as the model. *Knows the present*: the
customer's stress, habits and arrears at the as-of instant, and the rules by which the next six months are drawn, but
not the draws (their mean over random futures). *Knows the future*: also how stress goes on; only the last throw of
the dice for each bill is hidden. No honest score can beat the first but by luck; the second shows what is pure chance.
"""

import argparse
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from ml.classification import roc_auc
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.credit_risk.labels import label_array
from ml.credit_risk.training import train
from ml.evaluation import FloatArray, bootstrap
from ml.splits import add_months
from orchestration.ingestion.pseudonym import DEVELOPMENT_PSEUDONYM_KEY, customer_key
from orchestration.ingestion.simulated_supplier import behaviour
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import Population
from orchestration.ingestion.simulated_supplier.truth import DEFAULT_DAYS, HiddenTruth, hidden_truth

HORIZON_MONTHS = 6
FUTURES = 200
UNPAID_LATER_SHARE = 0.95
"""Of the bills that will be paid very late, the share that is still unpaid nine days after the due date."""


class BillGrid:
    """The hidden figures of every bill as arrays of customers by months; NaN where there is no bill."""

    def __init__(self, config: SupplierConfig, truth: HiddenTruth) -> None:
        shape = (len(truth.customer_ids), config.months)
        bills = truth.bills
        self.config, self.stress = config, truth.stress
        self.chance = np.full(shape, np.nan)
        self.settled = np.full(shape, np.inf)
        self.default_month = np.full(shape, -1, dtype=np.int64)
        self.chance[bills.row, bills.month] = truth.default_chance
        self.settled[bills.row, bills.month] = truth.settled_day
        days = np.datetime64("1970-01-01") + (bills.due + DEFAULT_DAYS + 1)
        months = days.astype("datetime64[M]").astype(np.int64) - np.datetime64(config.start_month, "M").astype(np.int64)
        self.default_month[bills.row, bills.month] = months
        late = np.full(shape, 0.0)
        late[bills.row, bills.month] = truth.settled_day - bills.due
        severity = np.select([late > DEFAULT_DAYS, late >= 8], [1.6, 0.8], 0.0)
        self.arrears = np.zeros((shape[0], shape[1] + 1))
        for month in range(shape[1]):
            self.arrears[:, month + 1] = 0.55 * self.arrears[:, month] + 0.45 * severity[:, month]

    def unsettled(self, row: np.ndarray, month: int, as_of_day: int) -> np.ndarray:
        """Return which customers had not paid their bill of a month by a day."""
        return np.asarray(~np.isnan(self.chance[row, month]) & (self.settled[row, month] > as_of_day))


def knows_the_future(grid: BillGrid, row: np.ndarray, as_of: int, as_of_day: int) -> FloatArray:
    """Return the chance that a bill defaults in the window, given all hidden paths but the last draws."""
    safe = np.ones(len(row))
    for month in range(max(as_of - 2, 0), min(as_of + HORIZON_MONTHS + 1, grid.config.months)):
        inside = (grid.default_month[row, month] > as_of) & (grid.default_month[row, month] <= as_of + HORIZON_MONTHS)
        chance = np.where(inside & grid.unsettled(row, month, as_of_day), grid.chance[row, month], 0.0)
        safe *= 1 - np.nan_to_num(chance)
    return 1 - safe


def knows_the_present(
    grid: BillGrid, population: Population, row: np.ndarray, as_of: int, as_of_day: int, random: np.random.Generator
) -> FloatArray:
    """Return the mean chance over random futures that start from the hidden present."""
    billed = as_of - 1
    lean = np.log(np.nan_to_num(grid.chance[row, billed], nan=1e-4))
    lean = lean - np.log1p(-np.exp(lean)) + behaviour.DEFAULT_THRESHOLD
    very_late = _logistic(lean - behaviour.VERY_LATE_THRESHOLD) - _logistic(lean - behaviour.DEFAULT_THRESHOLD)
    defaults = _logistic(lean - behaviour.DEFAULT_THRESHOLD)
    open_now = grid.unsettled(row, billed, as_of_day)
    first = np.where(open_now, defaults / (defaults + UNPAID_LATER_SHARE * very_late), 0.0)
    stress = grid.stress[row, as_of]
    mean = 0.55 * population.stress_mean[row]
    deviation = stress - mean
    step = np.sqrt(behaviour.STRESS_INNOVATION**2 + 2 * behaviour.MACRO_INNOVATION**2)
    total = np.zeros(len(row))
    for _ in range(FUTURES):
        path, safe = deviation.copy(), 1 - first
        owed = grid.arrears[row, billed]
        begun = owed.copy()
        severity = np.where(open_now, np.where(random.random(len(row)) < first, 1.6, 0.8), 0.0)
        for _ahead in range(HORIZON_MONTHS - 1):
            owed = 0.55 * owed + 0.45 * severity
            path = behaviour.STRESS_PERSISTENCE * path + step * random.standard_normal(len(row))
            now = lean + behaviour.STRESS_WEIGHT * (path - deviation) + behaviour.ARREARS_WEIGHT * (owed - begun)
            safe *= 1 - _logistic(now - behaviour.DEFAULT_THRESHOLD)
            drawn = now + random.logistic(size=len(row))
            severity = np.select(
                [drawn >= behaviour.DEFAULT_THRESHOLD, drawn >= behaviour.VERY_LATE_THRESHOLD], [1.6, 0.8], 0.0
            )
        total += 1 - safe
    return total / FUTURES


def main() -> None:
    """Print the AUC of model, baselines and both all-knowing scores on the model's hold-out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("marts", type=Path, help="folder with the Parquet files of the marts")
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    features = pd.read_parquet(arguments.marts / "customer_credit_features.parquet")
    outcomes = pd.read_parquet(arguments.marts / "customer_credit_outcomes.parquet")
    result = train(features, outcomes, seed=arguments.seed)
    holdout = result.holdout
    if holdout is None:
        raise SystemExit("the training kept no hold-out rows")
    config = SupplierConfig(customers=arguments.customers, seed=arguments.seed)
    truth = hidden_truth(config)
    grid = BillGrid(config, truth)
    row_of = {
        customer_key(name, DEVELOPMENT_PSEUDONYM_KEY): position for position, name in enumerate(truth.customer_ids)
    }
    scores = {"knows the present": np.full(len(holdout), np.nan), "knows the future": np.full(len(holdout), np.nan)}
    random = np.random.default_rng(arguments.seed)
    for month, rows in holdout.reset_index(drop=True).groupby(AS_OF_MONTH):
        row = np.array([row_of[key] for key in rows[CUSTOMER_KEY]])
        as_of = config.month_index(date(month.year, month.month, 1))
        last_day = (add_months(month, 1) - timedelta(days=1) - date(1970, 1, 1)).days
        scores["knows the future"][rows.index] = knows_the_future(grid, row, as_of, last_day)
        scores["knows the present"][rows.index] = knows_the_present(
            grid, truth.population, row, as_of, last_day, random
        )
    labels = label_array(holdout)
    figures = bootstrap(
        {name: roc_auc(values, labels) for name, values in scores.items()}, holdout[CUSTOMER_KEY].to_numpy()
    )
    model = result.evaluation.key_metric
    print(f"{'model':<22}{model.value:.3f} ({model.lower:.3f} to {model.upper:.3f})")
    for baseline in result.evaluation.baselines:
        print(f"{baseline.name:<22}{baseline.metric.value:.3f}")
    for name, (value, lower, upper) in figures.items():
        print(f"{name:<22}{value:.3f} ({lower:.3f} to {upper:.3f}), mean {scores[name].mean():.3f}")
    print(f"{'default rate':<22}{labels.mean():.3f}")


def _logistic(value: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-value)), dtype=np.float64)


if __name__ == "__main__":
    main()
