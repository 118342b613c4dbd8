"""From scenario bills to advice: which offer is best, how much it saves, how sure that is, and when to stay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import BoolArray, FloatArray, IntArray
from ml.tariff_matching.forecast import LoadForecast
from ml.tariff_matching.offers import MonthlyChoice, Situation, price_scenarios
from ml.tariff_matching.similar_customers import KnownOfCustomers


@dataclass(frozen=True)
class Outlook:
    """The coming bills of all offers, as scenarios.

    Attributes:
        expected: Mean bill, (customers, columns), NaN where not offered.
        savings: Bill on today's offer less bill on the column, (customers, columns, scenarios), NaN where either is
            not offered. The spread is as the forecast gave it, not yet calibrated.
        current_bills: Bill on today's offer, (customers, scenarios), NaN where it is not known; not calibrated either.
        choice: Contracted demands by month where a column has them.
    """

    expected: FloatArray
    savings: npt.NDArray[np.float32]
    current_bills: FloatArray
    choice: MonthlyChoice

    def expected_savings(self, situation: Situation) -> FloatArray:
        """Return the mean saving against today's offer, (customers, columns), NaN where either is not known."""
        rows = np.arange(len(situation))
        today = np.where(situation.current >= 0, self.expected[rows, np.maximum(situation.current, 0)], np.nan)
        savings: FloatArray = today[:, None] - self.expected
        return savings


@dataclass(frozen=True)
class Savings:
    """Figures of the coming year's saving against today's offer, (customers, columns), NaN where unknown.

    Attributes:
        expected: Mean.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        probability: Share of the scenarios in which the column costs less.
    """

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    probability: FloatArray


@dataclass(frozen=True)
class Decisions:
    """The advice to every customer.

    Attributes:
        recommended: Column, -1 where nothing can be said.
        best: Column with the lowest expected bill, -1 where there is none.
        is_switch: Whether the advice is to change.
    """

    recommended: npt.NDArray[np.intp]
    best: npt.NDArray[np.intp]
    is_switch: BoolArray


@dataclass(frozen=True)
class BillInterval:
    """The coming bill on today's offer, (customers,), NaN where it is not known.

    Attributes:
        expected: Mean.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
    """

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray


def look_ahead(
    situation: Situation,
    forecast: LoadForecast,
    config: TariffMatchingConfig,
    factors: IntArray | None = None,
    known: KnownOfCustomers | None = None,
) -> Outlook:
    """Price the scenarios of the coming months for all customers and offers.

    Args:
        situation: Customers and offers.
        forecast: Makes the scenarios.
        config: Settings.
        factors: Point forecast to use instead of the forecast's own.
        known: What is known of customers without interval readings, if these are such.
    """
    scenarios_count = 2 * min(config.neighbours_count, len(forecast.donor_classes))
    expected = np.full(situation.is_offered.shape, np.nan)
    savings = np.full((*situation.is_offered.shape, scenarios_count), np.nan, np.float32)
    current_bills = np.full((len(situation), scenarios_count), np.nan)
    choice = {number: np.full((len(situation), 12), -1, np.intp) for number in situation.monthly_columns()}
    for part in price_scenarios(situation, forecast, config, factors, known):
        expected[np.ix_(part.rows, part.columns)] = part.amounts.mean(axis=2)
        for number, columns in part.choice.items():
            choice[number][part.rows] = columns
        position = {column: index for index, column in enumerate(part.columns)}
        for index, row in enumerate(part.rows):
            current = situation.current[row]
            if current >= 0:
                current_bills[row] = part.amounts[index, position[current]]
                savings[row, part.columns] = current_bills[row] - part.amounts[index]
    return Outlook(expected, savings, current_bills, choice)


def bill_interval(outlook: Outlook, spread: FloatArray, config: TariffMatchingConfig) -> BillInterval:
    """Return the coming bill on today's offer with its calibrated interval.

    Args:
        outlook: Scenario bills.
        spread: One factor per customer.
        config: Settings.
    """
    middle = np.median(outlook.current_bills, axis=1, keepdims=True)
    scenarios = middle + spread[:, None] * (outlook.current_bills - middle)
    tail = (1 - config.interval_level) / 2
    lower, upper = np.quantile(scenarios, [tail, 1 - tail], axis=1)
    return BillInterval(expected=outlook.current_bills.mean(axis=1), lower=lower, upper=upper)


def savings_of(situation: Situation, outlook: Outlook, spread: FloatArray, config: TariffMatchingConfig) -> Savings:
    """Return the figures of every saving, with the calibrated spread.

    The spread widens the interval and moves no expected saving, which stays the difference of the expected bills.
    """
    shape = outlook.expected.shape
    lower, upper, probability = (np.full(shape, np.nan) for _ in range(3))
    # Most customers may take few of the columns: only these are computed.
    rows, columns = np.nonzero(np.isfinite(outlook.savings[:, :, 0])) if outlook.savings.shape[2] else ((), ())
    if len(rows):
        scenarios = outlook.savings[rows, columns].astype(np.float64)
        middle = np.median(scenarios, axis=1, keepdims=True)
        scenarios = middle + spread[rows][:, None] * (scenarios - middle)
        tail = (1 - config.interval_level) / 2
        lower[rows, columns], upper[rows, columns] = np.quantile(scenarios, [tail, 1 - tail], axis=1)
        probability[rows, columns] = (scenarios > 0).mean(axis=1)
    return Savings(expected=outlook.expected_savings(situation), lower=lower, upper=upper, probability=probability)


def decide(situation: Situation, outlook: Outlook, savings: Savings, config: TariffMatchingConfig) -> Decisions:
    """Choose the offer with the lowest expected bill, or today's when the evidence for a change is weak."""
    rows = np.arange(len(situation))
    expected = np.where(situation.is_offered & np.isfinite(outlook.expected), outlook.expected, np.inf)
    if not expected.shape[1]:
        nobody = np.full(len(situation), -1, np.intp)
        return Decisions(nobody, nobody, np.zeros(len(situation), bool))
    has_current = situation.current >= 0
    current = np.maximum(situation.current, 0)
    # Today's offer wins a tie, then the first column.
    ranking = expected.copy()
    ranking[rows[has_current], current[has_current]] -= 0.005
    best = np.where(np.isfinite(expected).any(axis=1), ranking.argmin(axis=1), -1)
    chosen = np.maximum(best, 0)
    saving = savings.expected[rows, chosen]
    demanded = np.maximum(config.minimum_saving_amount, config.minimum_saving_share * np.abs(expected[rows, current]))
    is_switch = (
        has_current
        & (best >= 0)
        & (best != situation.current)
        & (saving >= demanded)
        & (savings.probability[rows, chosen] >= config.minimum_probability)
    )
    recommended = np.where(is_switch | ~has_current, best, situation.current)
    return Decisions(recommended=recommended, best=best, is_switch=is_switch)
