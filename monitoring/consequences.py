"""What the move of one column does to decisions and money, computed from the reference alone.

The reference is weighted anew so that the column is spread as it is in the month, everything else unchanged: each row
counts by how much more or less frequent its bin has become (post-stratification). What follows for the decisions is the
total variation distance between the decisions of the weighted and of the unweighted reference, which is the smallest
share of customers who would have to be decided about differently; what follows for the money is the difference of its
means. Both say what the move would do if the model and all other columns stayed, and nothing about causes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.credit_risk.dunning import DunningConfig
from monitoring.drift import effect_on_prediction
from monitoring.policy import ConsequenceRule, DriftPolicy
from monitoring.verdicts import ColumnScore, Consequence, MoneyKind

LEADING_COLUMNS = 3
"""How many columns a verdict names as those that matter most."""


@dataclass(frozen=True)
class Stakes:
    """Decisions and money of the reference's rows, against which the move of a column is weighed.

    Attributes:
        decisions: Decision about each row; missing where there was none.
        money: Money of each row, in the platform's currency; NaN where unknown.
        kind: What the money is.
    """

    decisions: "pd.Series[Any]"
    money: "pd.Series[float]"
    kind: MoneyKind

    @classmethod
    def of(cls, reference: pd.DataFrame, rule: ConsequenceRule) -> "Stakes":
        """Return the stakes of a reference sample by the policy's rule."""
        money = money_of(reference, rule.money)
        return cls(decisions=reference[rule.decision], money=money[np.isfinite(money)], kind=rule.money)

    def consequence(self, bin_of_row: "pd.Series[int]", change_of_share: NDArray[np.float64]) -> Consequence:
        """Return what a change of one column's shares does.

        Args:
            bin_of_row: Bin of each row of the reference that the column is compared with.
            change_of_share: Share of the month minus share of the reference, for each bin. A bin that the reference
                leaves empty, such as an unseen category, is taken to be like the average.
        """
        decided = self.decisions.reindex(bin_of_row.index).dropna()
        valued = self.money.reindex(bin_of_row.index).dropna()
        changed = _effect(bin_of_row, change_of_share, decided, "categorical")
        then = float(valued.mean()) if len(valued) else None
        shift = _effect(bin_of_row, change_of_share, valued, "numeric") if len(valued) else 0.0
        return Consequence(
            decisions_changed_pct=100 * changed,
            money_kind=self.kind,
            money_reference_amount=then,
            money_shifted_amount=None if then is None else then + shift,
        )


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
        parts.append(score.consequence.decisions_changed_pct / rule.decisions_changed_pct.watch)
        parts.append(abs(score.consequence.money_change_pct or 0.0) / rule.money_change_pct.watch)
    return max(parts)


def leading_columns(scores: Iterable[ColumnScore], policy: DriftPolicy) -> tuple[str, ...]:
    """Return the drifted columns that the model reads and that matter most for decisions and money, at most three."""
    moved = [score for score in scores if score.consequence is not None]
    moved.sort(key=lambda score: (-strain_of(score, policy), score.column))
    return tuple(score.column for score in moved[:LEADING_COLUMNS])


def _effect(
    bin_of_row: "pd.Series[int]", change_of_share: NDArray[np.float64], values: "pd.Series[Any]", kind: Any
) -> float:
    if values.empty:
        return 0.0
    bins = np.asarray(bin_of_row.loc[values.index], dtype=np.intp)
    effect = effect_on_prediction(bins, change_of_share, values, kind)
    return effect.size if effect.shift is None else effect.shift
