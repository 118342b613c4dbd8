"""What the move of one column does to decisions and money, computed from the reference alone.

The reference is weighted anew so that the column is spread as it is in the month, everything else unchanged: each row
counts by how much more or less frequent its bin has become (post-stratification). What follows for the decisions is the
total variation distance between the decisions of the weighted and of the unweighted reference, which is the smallest
share of customers who would have to be decided about differently; what follows for the money is the difference of its
means. Both say what the move would do if the model and all other columns stayed, and nothing about causes.

Money has long tails: a few large customers hold much of it, and a bin with one of them more looks decisive; and of a
few hundred customers some decide a share of decisions. So both come with the size that chance alone exceeds once in a
thousand, from the spread of money and decisions within the bins, by customer, since the months of one customer are no
independent evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY
from ml.credit_risk.dunning import DunningConfig
from monitoring.drift import Z_999, effect_on_prediction
from monitoring.policy import ConsequenceRule, DriftPolicy
from monitoring.verdicts import ColumnScore, Consequence, MoneyKind

LEADING_COLUMNS = 3
"""How many columns a verdict names as those that matter most."""
_CHANCE_DRAWS = 400


@dataclass(frozen=True)
class Stakes:
    """Decisions and money of the reference's rows, against which the move of a column is weighed.

    Attributes:
        decisions: Decision about each row; missing where there was none.
        money: Money of each row for which it is known, in the platform's currency.
        customers: Customer of each row.
        kind: What the money is.
    """

    decisions: "pd.Series[Any]"
    money: "pd.Series[float]"
    customers: "pd.Series[Any]"
    kind: MoneyKind

    @classmethod
    def of(cls, reference: pd.DataFrame, rule: ConsequenceRule) -> "Stakes":
        """Return the stakes of a reference sample by the policy's rule."""
        money = money_of(reference, rule.money)
        return cls(
            decisions=reference[rule.decision],
            money=money[np.isfinite(money)],
            customers=reference[CUSTOMER_KEY],
            kind=rule.money,
        )

    def consequence(self, bin_of_row: "pd.Series[int]", change_of_share: NDArray[np.float64]) -> Consequence:
        """Return what a change of one column's shares does.

        Args:
            bin_of_row: Bin of each row of the reference that the column is compared with.
            change_of_share: Share of the month minus share of the reference, for each bin. A bin that the reference
                leaves empty, such as an unseen category, is taken to be like the average.
        """
        decided = self.decisions.reindex(bin_of_row.index).dropna()
        valued = self.money.reindex(bin_of_row.index).dropna()
        changed = by_chance = 0.0
        if len(decided):
            bins = _bins_of(bin_of_row, decided)
            changed = effect_on_prediction(bins, change_of_share, decided, "categorical").size
            by_chance = self._chance_of_change(bins, change_of_share, decided)
        if valued.empty:
            return Consequence(
                decisions_changed_pct=100 * changed, decisions_chance_pct=100 * by_chance, money_kind=self.kind
            )
        then = float(valued.mean())
        bins = _bins_of(bin_of_row, valued)
        shift = effect_on_prediction(bins, change_of_share, valued, "numeric").shift or 0.0
        return Consequence(
            decisions_changed_pct=100 * changed,
            decisions_chance_pct=100 * by_chance,
            money_kind=self.kind,
            money_reference_amount=then,
            money_shifted_amount=then + shift,
            money_chance_amount=self._chance_of_shift(bins, change_of_share, valued),
        )

    def _chance_of_shift(
        self, bins: NDArray[np.intp], change_of_share: NDArray[np.float64], valued: "pd.Series[float]"
    ) -> float:
        """Return the shift that chance alone exceeds once in a thousand, by the cluster-robust variance of the means.

        The shift is a sum over bins of change times mean, so that each row adds its distance from the mean of its bin
        times change over rows of the bin; what the rows of one customer add is summed before it is squared.
        """
        by_customer = _parts_by_customer(
            bins, change_of_share, np.asarray(valued, dtype=np.float64), self._customer_numbers(valued.index)
        )
        return float(Z_999 * np.sqrt((by_customer**2).sum()))

    def _chance_of_change(
        self, bins: NDArray[np.intp], change_of_share: NDArray[np.float64], decided: "pd.Series[Any]"
    ) -> float:
        """Return the share of changed decisions that chance alone exceeds once in a thousand.

        The share is half the sum of the shifts of all decisions, each of which has the variance of a mean of money;
        those of one customer belong together. Its distribution without any change is drawn from their covariance.
        """
        codes, decisions = pd.factorize(decided)
        numbers = self._customer_numbers(decided.index)
        parts = np.column_stack(
            [
                _parts_by_customer(bins, change_of_share, (codes == code).astype(np.float64), numbers)
                for code in range(len(decisions))
            ]
        )
        variances, axes = np.linalg.eigh(parts.T @ parts)
        normal = np.random.default_rng(0).standard_normal((_CHANCE_DRAWS, len(decisions)))
        changed = np.abs(normal * np.sqrt(np.maximum(variances, 0.0)) @ axes.T).sum(axis=1) / 2
        return float(changed.mean() + Z_999 * changed.std())

    def _customer_numbers(self, rows: "pd.Index[Any]") -> NDArray[np.intp]:
        numbers, _ = pd.factorize(self.customers.loc[rows])
        # Rows without customer are strangers to each other.
        alone = numbers < 0
        numbers[alone] = numbers.max(initial=-1) + 1 + np.arange(alone.sum())
        return numbers


def _parts_by_customer(
    bins: NDArray[np.intp],
    change_of_share: NDArray[np.float64],
    values: NDArray[np.float64],
    customers: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return what each customer adds to the error of a sum over bins of change times mean."""
    counts = np.bincount(bins, minlength=len(change_of_share)).astype(float)
    means = np.bincount(bins, weights=values, minlength=len(counts)) / np.maximum(counts, 1)
    parts = (change_of_share / np.maximum(counts, 1))[bins] * (values - means[bins])
    return np.asarray(np.bincount(customers, weights=parts), dtype=np.float64)


def money_of(rows: pd.DataFrame, kind: MoneyKind) -> "pd.Series[float]":
    """Return the money of each row of a reference or of predictions.

    Args:
        rows: Features and predictions of the use case that has this money.
        kind: ``expected_loss``: probability of default times overdue balance and the months of charges that the dunning
            order counts as at stake. ``expected_saving``: saving of a year that was promised, nothing where no change
            was advised. ``billed_amount``: what was billed in twelve months.
    """
    if kind == "expected_loss":
        mean_bill = rows["mean_bill_12m_amount"].fillna(0).clip(lower=0)
        bills_at_stake = rows["unpaid_balance_ratio"].fillna(0) + DunningConfig().exposure_months
        return rows["default_probability"] * mean_bill * bills_at_stake
    if kind == "expected_saving":
        is_advised = rows["recommended_tariff_id"] != rows["current_tariff_id"]
        return rows["expected_saving_amount"].where(is_advised, 0.0)
    return rows["billed_amount_12m_amount"]


def strain_of(score: ColumnScore, policy: DriftPolicy) -> float:
    """Return how far a drifted column strains the limits of effect, decisions and money: 1 is the first limit.

    The key prediction, which has no effect on itself, strains the limit of its own score.
    """
    if score.level in (None, "quiet"):
        return 0.0
    if score.effect is None:
        return (score.score or 0.0) / score.limit_watch
    parts = [score.effect / policy.effect.watch]
    if score.consequence is not None:
        rule = policy.consequences
        parts.append(score.consequence.decisions_evidence_pct / rule.decisions_changed_pct.watch)
        parts.append(score.consequence.money_evidence_pct / rule.money_change_pct.watch)
    return max(parts)


def leading_columns(scores: Iterable[ColumnScore], policy: DriftPolicy) -> tuple[str, ...]:
    """Return the drifted columns that the model reads and that matter most for decisions and money, at most three."""
    moved = [score for score in scores if score.consequence is not None]
    moved.sort(key=lambda score: (-strain_of(score, policy), score.column))
    return tuple(score.column for score in moved[:LEADING_COLUMNS])


def _bins_of(bin_of_row: "pd.Series[int]", values: "pd.Series[Any]") -> NDArray[np.intp]:
    return np.asarray(bin_of_row.loc[values.index], dtype=np.intp)
