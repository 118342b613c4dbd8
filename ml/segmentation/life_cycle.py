"""Stages of a customer's life, how long they last, and how customers move between them."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.evaluation import EvaluationTable
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.value_tiers import TextArray, growth_pct

STAGE = "life_cycle_stage"
STAGES = ("new", "returned", "growing", "stable", "shrinking", "at_risk", "leaving", "closed", "unknown")
"""In the order of a life; ``unknown`` stands outside."""

DATED_STAGES = ("new", "returned", "leaving", "closed")
"""Stages that follow from a date. They begin and end on it, so nothing has to confirm them."""


def life_cycle_stages(prepared: pd.DataFrame, unused: npt.NDArray[np.bool_], config: SegmentationConfig) -> TextArray:
    """Return the stage by the facts of one month; the first rule that holds.

    ``closed``: supply has ended. ``leaving``: its end is announced. ``new``: supplied for less than
    ``new_customer_months``; ``returned``: taken up again within that time. ``at_risk``: nothing used, energy down by
    ``leaving_pct``, or ``leaving_zero_days`` days without energy while it falls. ``growing`` and ``shrinking``: energy
    changed by ``growth_pct`` against the year before. ``stable``: by less.

    Args:
        prepared: Prepared features.
        unused: Which customers are metered and use nothing.
        config: Limits.
    """
    closing = prepared["closing_in_days"].to_numpy()
    tenure = prepared["tenure_months"].to_numpy()
    change = growth_pct(prepared)
    zero_days = prepared["zero_days_count"].fillna(0).to_numpy()
    is_at_risk = unused | (change <= -config.leaving_pct)
    is_at_risk |= (zero_days >= config.leaving_zero_days) & (change <= -config.growth_pct)
    # A comparison with NaN is false.
    rules = {
        "closed": closing <= 0,
        "leaving": closing > 0,
        "new": tenure < config.new_customer_months,
        "returned": prepared["returned_ago_months"].to_numpy() < config.new_customer_months,
        "at_risk": is_at_risk,
        "growing": change >= config.growth_pct,
        "shrinking": change <= -config.growth_pct,
        "stable": np.isfinite(change),
    }
    return np.select(list(rules.values()), list(rules), default="unknown").astype(object)


def stages_in_force(monthly: pd.DataFrame) -> pd.Series:
    """Return the stage that counts in each month: a trend must be seen in two months running before it does.

    A customer whose energy lies near a limit would otherwise change stage with every bill. Stages that follow from a
    date (``DATED_STAGES``) count at once, and so does what follows them, as well as any stage after an unknown one.
    A month without a row breaks the run.

    Args:
        monthly: ``customer_key``, ``as_of_month`` and ``life_cycle_stage`` by the facts of the month, any order.

    Returns:
        The stages with the index of ``monthly``.
    """
    ordered = monthly.assign(**{AS_OF_MONTH: pd.to_datetime(monthly[AS_OF_MONTH])}).sort_values(
        [CUSTOMER_KEY, AS_OF_MONTH], kind="stable"
    )
    keys = ordered[CUSTOMER_KEY].to_numpy()
    months = (ordered[AS_OF_MONTH].dt.year * 12 + ordered[AS_OF_MONTH].dt.month).to_numpy()
    seen = ordered[STAGE].to_numpy()
    in_force = seen.copy()
    for row in range(1, len(seen)):
        if keys[row] != keys[row - 1] or months[row] - months[row - 1] > 1:
            continue
        before = in_force[row - 1]
        counts_at_once = seen[row] in DATED_STAGES or before in DATED_STAGES or before == "unknown"
        is_confirmed = seen[row] == seen[row - 1]
        if not counts_at_once and not is_confirmed:
            in_force[row] = before
    return pd.Series(in_force, index=ordered.index, name=STAGE).reindex(monthly.index)


def stage_transitions(history: pd.DataFrame) -> pd.DataFrame:
    """Return how many customers moved from stage to stage, month by month.

    Args:
        history: ``customer_key``, ``as_of_month`` and ``life_cycle_stage``, one row per customer and month.

    Returns:
        ``as_of_month`` (the later month), ``from_stage``, ``to_stage``, ``customers_count`` and ``share`` of the
        customers of ``from_stage``. Customers without a row in the month before take no part.
    """
    months = pd.to_datetime(history[AS_OF_MONTH])
    now = history[[CUSTOMER_KEY, STAGE]].assign(**{AS_OF_MONTH: months})
    before = now.assign(**{AS_OF_MONTH: now[AS_OF_MONTH] + pd.DateOffset(months=1)})
    pairs = before.rename(columns={STAGE: "from_stage"}).merge(
        now.rename(columns={STAGE: "to_stage"}), on=[CUSTOMER_KEY, AS_OF_MONTH], validate="one_to_one"
    )
    groups = [AS_OF_MONTH, "from_stage", "to_stage"]
    counts = pairs.groupby(groups, sort=True).size().rename("customers_count").reset_index()
    totals = counts.groupby(groups[:2])["customers_count"].transform("sum")
    return counts.assign(share=counts["customers_count"] / totals)


def transition_table(history: pd.DataFrame) -> EvaluationTable:
    """Return the moves between stages over all months for the model card: a row per stage, shares of its customers.

    Args:
        history: Stages in force, one row per customer and month.
    """
    moves = stage_transitions(history)
    counts = moves.pivot_table(index="from_stage", columns="to_stage", values="customers_count", aggfunc="sum")
    stages = [stage for stage in STAGES if stage in counts.index or stage in counts.columns]
    counts = counts.reindex(index=stages, columns=stages).fillna(0)
    months = moves[AS_OF_MONTH].nunique()
    return EvaluationTable(
        name="life_cycle_transitions",
        title="From one month to the next: life-cycle stages",
        title_zh="生命周期阶段的月度转移",
        columns=("from", "customer-months", *(f"to {stage}" for stage in stages)),
        rows=tuple(
            (
                stage,
                int(counts.loc[stage].sum()),
                *(counts.loc[stage].to_numpy(dtype=np.float64) / max(counts.loc[stage].sum(), 1)).tolist(),
            )
            for stage in stages
        ),
        note=f"Shares over {months} months. A trend counts once two months running show it.",
    )


def moves_table(history: pd.DataFrame) -> EvaluationTable:
    """Return the moves between stages month by month for the model card, latest month first, most customers first.

    Args:
        history: Stages in force, one row per customer and month.
    """
    found = stage_transitions(history)
    moved = found[found["from_stage"] != found["to_stage"]].sort_values(
        [AS_OF_MONTH, "customers_count", "from_stage", "to_stage"], ascending=[False, False, True, True]
    )
    return EvaluationTable(
        name="life_cycle_moves",
        title="Life-cycle stages: who moved, month by month",
        title_zh="各月生命周期阶段变动",
        columns=("month", "from", "to", "customers", "share of the stage"),
        rows=tuple(
            (f"{month:%Y-%m}", source, target, int(count), float(share))
            for month, source, target, count, share in moved.itertuples(index=False)
        ),
        note="Stages in force. Who came or left in the month takes no part.",
    )
