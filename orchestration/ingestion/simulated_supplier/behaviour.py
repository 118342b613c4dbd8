"""Money and people: hidden financial stress, when bills are paid, and what customers contact the supplier about.

Stress is an autoregressive process per customer with a class, a district and a recession component. Payment reacts to
stress, habit, arrears and chance, so the history of payments tells much about the next bills and never everything.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.ingestion.simulated_supplier.calendar import days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import DISTRICTS, Population
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import RECESSION_STRESS, recession_strength

STRESS_PERSISTENCE = 0.9
STRESS_INNOVATION = 0.36
MACRO_PERSISTENCE = 0.9
MACRO_INNOVATION = 0.06

PAYMENT_INTERCEPT = -4.05
STRESS_WEIGHT = 1.95
HABIT_WEIGHT = 1.05
ARREARS_WEIGHT = 1.3
AUTOPAY_RELIEF = 1.6
BUSINESS_RELIEF = 0.25
LATE_THRESHOLD = 0.0
VERY_LATE_THRESHOLD = 1.2
DEFAULT_THRESHOLD = 2.2
NEVER_PAID_SHARE = 0.10
NOT_PAID = 10**6

CHANNELS = ("app", "bank_transfer", "counter", "wechat", "autopay")


@dataclass(frozen=True)
class StressPaths:
    """Hidden stress by customer and month, shape (customers, months)."""

    values: np.ndarray


def stress_paths(config: SupplierConfig, population: Population, months: int) -> StressPaths:
    """Return each customer's stress for ``months`` months from the start, plus what follows a recession."""
    size = population.size
    first = stream(config.seed, "stress start")
    stationary = STRESS_INNOVATION / np.sqrt(1 - STRESS_PERSISTENCE**2)
    own = stationary * first.standard_normal(size)
    classes = np.unique(population.customer_class)
    class_row = np.searchsorted(classes, population.customer_class)
    macro = np.zeros(4)
    local = np.zeros(len(DISTRICTS))
    columns = []
    for month in range(months):
        random = stream(config.seed, "stress", month)
        macro = MACRO_PERSISTENCE * macro + MACRO_INNOVATION * random.standard_normal(4)
        local = MACRO_PERSISTENCE * local + MACRO_INNOVATION * random.standard_normal(len(DISTRICTS))
        own = STRESS_PERSISTENCE * own + STRESS_INNOVATION * random.standard_normal(size)
        recession = RECESSION_STRESS * recession_strength(config, month)
        columns.append(0.55 * population.stress_mean + own + macro[class_row] + local[population.district] + recession)
    return StressPaths(np.stack(columns, axis=1))


@dataclass(frozen=True)
class Bills:
    """Bills as parallel arrays, ordered by month and customer.

    Attributes:
        row: Row of the customer in the population.
        month: Month index of the billed period.
        period_start: First billed day, as days since 1970.
        period_end: First day that is no longer billed.
        kwh: Billed energy in units of 0.0001 kWh.
        cents: Amount in hundredths of the currency.
        issued: Day of issue.
        due: Last day in time.
    """

    row: np.ndarray
    month: np.ndarray
    period_start: np.ndarray
    period_end: np.ndarray
    kwh: np.ndarray
    cents: np.ndarray
    issued: np.ndarray
    due: np.ndarray

    @property
    def size(self) -> int:
        """Number of bills."""
        return len(self.row)

    def bill_ids(self, config: SupplierConfig, population: Population) -> list[str]:
        """Return the supplier's bill numbers."""
        months = [f"{config.month_at(month):%Y%m}" for month in range(int(self.month.max(initial=0)) + 1)]
        return [
            f"B{months[month]}{number:07d}"
            for month, number in zip(self.month, population.number[self.row], strict=True)
        ]


@dataclass(frozen=True)
class Payments:
    """Payments as parallel arrays.

    Attributes:
        bill: Row of the bill.
        part: 1 for the first payment of a bill, 2 for the second.
        paid: Day on which the money arrived.
        cents: Amount in hundredths.
        channel: Position in CHANNELS.
    """

    bill: np.ndarray
    part: np.ndarray
    paid: np.ndarray
    cents: np.ndarray
    channel: np.ndarray


@dataclass(frozen=True)
class PaymentBehaviour:
    """What customers did with their bills, with the hidden chance of the worst.

    Attributes:
        payments: Payments made within the simulated period.
        settled: Day on which each bill was paid in full, NOT_PAID if never.
        default_chance: Hidden chance that the bill would be unpaid 30 days past due, given what came before.
    """

    payments: Payments
    settled: np.ndarray
    default_chance: np.ndarray


def _logistic(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def pay_bills(
    config: SupplierConfig, population: Population, bills: Bills, stress: StressPaths, has_autopay: np.ndarray
) -> PaymentBehaviour:
    """Return the payments for all bills, month by month, because arrears make the next arrears more likely.

    Args:
        config: What to simulate.
        population: Whose bills.
        bills: The bills.
        stress: Hidden stress by customer and month.
        has_autopay: Whether each customer pays automatically in each month, shape (customers, months).
    """
    settled = np.full(bills.size, NOT_PAID, dtype=np.int64)
    chance = np.zeros(bills.size)
    arrears = np.zeros(population.size)
    is_business = population.customer_class != "residential"
    parts: list[tuple[np.ndarray, ...]] = []
    for month in np.unique(bills.month):
        random = stream(config.seed, "payments", int(month))
        draws = random.random((population.size, 8))
        index = np.flatnonzero(bills.month == month)
        row, cents = bills.row[index], bills.cents[index]
        draws = draws[row]
        pays_next_month = min(int(month) + 1, stress.values.shape[1] - 1)
        lean = (
            PAYMENT_INTERCEPT
            + STRESS_WEIGHT * stress.values[row, pays_next_month]
            - HABIT_WEIGHT * population.diligence[row]
            + ARREARS_WEIGHT * arrears[row]
            - AUTOPAY_RELIEF * has_autopay[row, month]
            - BUSINESS_RELIEF * is_business[row]
        )
        uniform = np.clip(draws[:, 0], 1e-9, 1 - 1e-9)
        outcome = lean + np.log(uniform / (1 - uniform))
        chance[index] = _logistic(lean - DEFAULT_THRESHOLD)

        issued, due = bills.issued[index], bills.due[index]
        in_time = issued + 1 + np.floor(draws[:, 1] ** (0.6 + 0.4 * draws[:, 2]) * (due - issued)).astype(np.int64)
        in_time = np.where(has_autopay[row, month], due - 2 - (draws[:, 1] < 0.1), np.minimum(in_time, due))
        late = due + 1 + np.floor(draws[:, 1] ** 2 * 14).astype(np.int64)
        very_late = due + 8 + np.floor(draws[:, 1] * 22).astype(np.int64)
        defaulted = due + 31 + np.floor(-45 * np.log(np.clip(draws[:, 1], 1e-6, 1))).astype(np.int64)
        defaulted = np.where(draws[:, 3] < NEVER_PAID_SHARE, NOT_PAID, defaulted)
        paid = np.select(
            [outcome < LATE_THRESHOLD, outcome < VERY_LATE_THRESHOLD, outcome < DEFAULT_THRESHOLD],
            [in_time, late, very_late],
            default=defaulted,
        )
        settled[index] = paid
        arrears = 0.55 * arrears
        arrears[row] += 0.45 * np.select([outcome >= DEFAULT_THRESHOLD, outcome >= VERY_LATE_THRESHOLD], [1.6, 0.8], 0)

        in_parts = (draws[:, 4] < 0.015 + 0.05 * (outcome > -1.0)) & (cents > 2000)
        first_share = np.where(in_parts, 0.3 + 0.4 * draws[:, 5], 1.0)
        first_cents = np.where(in_parts, np.rint(cents * first_share), cents).astype(np.int64)
        first_paid = np.where(in_parts, np.minimum(paid, due - (5 * draws[:, 6]).astype(np.int64)), paid)
        channel = np.where(has_autopay[row, month], 4, (draws[:, 7] ** 1.3 * 4).astype(np.int64))
        whole = paid < NOT_PAID
        begun = whole | in_parts
        parts.append((index[begun], np.ones(begun.sum(), np.int64), first_paid[begun], first_cents[begun],
                      channel[begun]))  # fmt: skip
        second = in_parts & whole
        parts.append((index[second], np.full(second.sum(), 2), paid[second], (cents - first_cents)[second],
                      channel[second]))  # fmt: skip
    columns = [np.concatenate(values) for values in zip(*parts, strict=True)]
    return PaymentBehaviour(Payments(*columns), settled, chance)


def issue_bills(
    config: SupplierConfig, population: Population, kwh: np.ndarray, cents: np.ndarray, supplied_days: np.ndarray
) -> Bills:
    """Return one bill per customer and month with energy.

    Args:
        config: What to simulate.
        population: Who is billed.
        kwh: Energy in units of 0.0001 kWh, shape (customers, months).
        cents: Amount in hundredths, likewise.
        supplied_days: First day and day after the last day of supply in each month, shape (customers, months, 2).
    """
    columns = []
    for month in range(kwh.shape[1]):
        random = stream(config.seed, "bills", month)
        draws = random.random((population.size, 3))
        rows = np.flatnonzero(cents[:, month] > 0)
        following = days_since_1970(config.month_at(month + 1))
        issued = following + (draws[rows, 0] < 0.4)
        # One bill in fifty is held back for a check of the reading and comes with the next delivery.
        issued = np.where(draws[rows, 1] < 0.02, following + 4 + (8 * draws[rows, 2]).astype(np.int64), issued)
        start, end = supplied_days[rows, month, 0], supplied_days[rows, month, 1]
        columns.append(
            (rows, np.full(rows.size, month), start, end, kwh[rows, month], cents[rows, month], issued, issued + 20)
        )
    return Bills(*(np.concatenate(values) for values in zip(*columns, strict=True)))
