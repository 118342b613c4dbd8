"""What a customer is worth and how the customer behaves: tiers from formulae that a person can check by hand.

Each function reads prepared features (`ml.segmentation.features.prepare_features`), looks at one row at a time, and
answers ``unknown`` where the facts are missing: no tier is guessed.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from ml.evaluation import EvaluationTable
from ml.segmentation.config import BehaviourConfig
from ml.segmentation.features import FloatArray

TextArray = npt.NDArray[np.object_]
ValueBasis = Literal["margin", "billed"]

UNKNOWN = "unknown"
BASIS_COLUMNS: Mapping[ValueBasis, str] = {"margin": "annual_margin_amount", "billed": "billed_amount_12m_amount"}
LOW_RISK_RATINGS = ("AAA", "AA", "A", "BBB", "BB")
HIGH_RISK_RATINGS = ("C", "D")
TIER_COLUMNS: Mapping[str, str] = {
    "value_tier": "价值等级",
    "life_cycle_stage": "生命周期阶段",
    "loyalty_tier": "忠诚度",
    "payment_behaviour": "缴费行为",
    "channel_preference": "渠道偏好",
}
CUSTOMER_TIERS = ("key", "retain", "secure", "develop", "maintain", "basic", UNKNOWN)


class ValueThresholds(BaseModel):
    """Expected amounts of a year that divide the customers of one class into value tiers.

    Attributes:
        low_amount: Below it the value is low.
        high_amount: From it on the value is high.
        basis: What the amounts are: the margin where the supplier delivers it, otherwise what is billed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_amount: float
    high_amount: float
    basis: ValueBasis = "billed"


def growth_pct(prepared: pd.DataFrame) -> FloatArray:
    """Return the change of energy against the same months a year before, in percent.

    Metered energy is taken where it is known, otherwise billed energy: a customer without interval readings grows too.
    """
    metered = prepared["kwh_change_yoy_pct"].to_numpy(dtype=np.float64)
    billed = prepared["billed_kwh_change_yoy_pct"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(metered), metered, billed)


def value_basis(prepared: pd.DataFrame, config: BehaviourConfig) -> ValueBasis:
    """Return ``margin`` when the supplier delivers it for most of these customers, otherwise ``billed``."""
    known = prepared["annual_margin_amount"].notna().mean() if len(prepared) else 0.0
    return "margin" if known >= config.margin_known_share else "billed"


def expected_value_amount(prepared: pd.DataFrame, basis: ValueBasis, config: BehaviourConfig) -> FloatArray:
    """Return what a customer brings in a year if the growth goes on: amount x (1 + growth).

    The growth is limited to ``growth_limit_pct`` either way and counts as nothing where it is not known, because one
    odd quarter must not make a customer's value.
    """
    amounts = prepared[BASIS_COLUMNS[basis]].to_numpy(dtype=np.float64)
    growth = np.nan_to_num(growth_pct(prepared), nan=0.0)
    limit = config.growth_limit_pct
    return np.asarray(amounts * (1 + np.clip(growth, -limit, limit) / 100), dtype=np.float64)


def value_thresholds(
    prepared: pd.DataFrame,
    *,
    low_quantile: float,
    high_quantile: float,
    minimum_customers: int,
    config: BehaviourConfig,
) -> dict[str, ValueThresholds]:
    """Return the limits of the value tiers by customer class, from quantiles of the expected value in the class.

    A class with fewer customers of known value than ``minimum_customers`` is left out.
    """
    basis = value_basis(prepared, config)
    expected = pd.Series(expected_value_amount(prepared, basis, config), index=prepared.index)
    thresholds = {}
    for customer_class, amounts in expected.groupby(prepared["customer_class"], sort=True):
        known = amounts[np.isfinite(amounts)]
        if len(known) >= minimum_customers:
            low, high = np.quantile(known, [low_quantile, high_quantile])
            thresholds[str(customer_class)] = ValueThresholds(
                low_amount=round(float(low), 2), high_amount=round(float(high), 2), basis=basis
            )
    return thresholds


def value_tiers(
    prepared: pd.DataFrame, thresholds: Mapping[str, ValueThresholds], config: BehaviourConfig
) -> TextArray:
    """Return ``high``, ``medium`` or ``low`` by the expected value within the customer's class."""
    classes = prepared["customer_class"].to_numpy()
    tiers = np.full(len(prepared), UNKNOWN, dtype=object)
    for customer_class, limits in thresholds.items():
        expected = expected_value_amount(prepared, limits.basis, config)
        known = (classes == customer_class) & np.isfinite(expected)
        tiers[known] = "medium"
        tiers[known & (expected < limits.low_amount)] = "low"
        tiers[known & (expected >= limits.high_amount)] = "high"
    return tiers


def loyalty_points(prepared: pd.DataFrame, config: BehaviourConfig) -> FloatArray:
    """Return points of loyalty: years and programmes count for it, signs of leaving against it.

    +1 for each of: ``loyal_tenure_months`` / 2 and ``loyal_tenure_months`` of supply, one and two programmes. -1 for
    each of: a programme left within a year; ``unhappy_contacts_count`` contacts about bills within half a year, or a
    mean satisfaction below ``unhappy_satisfaction``; energy down by ``falling_pct``; a contract that ends within
    ``contract_ending_days``. What is not known counts as nothing; without the tenure there are no points.
    """
    tenure, programmes = prepared["tenure_months"].to_numpy(), prepared["programmes_count"].to_numpy()
    contract_left = prepared["contract_left_days"].to_numpy()
    # A comparison with NaN is false, so an unknown fact gives no point.
    for_it = [
        tenure >= config.loyal_tenure_months / 2,
        tenure >= config.loyal_tenure_months,
        programmes >= 1,
        programmes >= 2,
    ]
    against_it = [
        prepared["programmes_left_12m_count"].to_numpy() >= 1,
        (prepared["billing_contacts_6m_count"].to_numpy() >= config.unhappy_contacts_count)
        | (prepared["mean_satisfaction_12m"].to_numpy() < config.unhappy_satisfaction),
        growth_pct(prepared) <= -config.falling_pct,
        contract_left <= config.contract_ending_days,
    ]
    points = sum(fact.astype(np.float64) for fact in for_it) - sum(fact.astype(np.float64) for fact in against_it)
    return np.asarray(np.where(np.isfinite(tenure), points, np.nan), dtype=np.float64)


def loyalty_tiers(prepared: pd.DataFrame, config: BehaviourConfig) -> TextArray:
    """Return ``loyal`` from 3 points of loyalty, ``steady`` from 1, ``loose`` below."""
    points = loyalty_points(prepared, config)
    return _first_that_holds({"loyal": points >= 3, "steady": points >= 1, "loose": points < 1})


def payment_behaviours(prepared: pd.DataFrame, config: BehaviourConfig) -> TextArray:
    """Return how bills are paid; the first of these that holds.

    ``in_arrears``: at least ``arrears_bills`` mean bills are overdue. ``often_late``: less than ``often_late_pct`` % of
    the bills of a year were paid in time. ``sometimes_late``: not all were. ``automatic``: most payments come by
    themselves. ``punctual``: all bills were paid in time.
    """
    on_time = prepared["on_time_share_12m_pct"].to_numpy()
    return _first_that_holds(
        {
            "in_arrears": prepared["unpaid_balance_ratio"].to_numpy() >= config.arrears_bills,
            "often_late": on_time < config.often_late_pct,
            "sometimes_late": on_time < 100,
            "automatic": (on_time >= 100) & (prepared["automatic_payment_share_12m"].to_numpy() > 0.5),
            "punctual": on_time >= 100,
        }
    )


def channel_preferences(prepared: pd.DataFrame) -> TextArray:
    """Return where a customer is reached: the channel of more than half of the payments of a year.

    ``automatic`` tells nothing of where somebody looks, so its customers are ``digital`` when more than half of their
    contacts were, and ``automatic`` otherwise. ``mixed``: no channel has more than half. Without payments the contacts
    alone decide.
    """
    contacts = prepared["digital_contact_share_12m"].to_numpy()
    automatic = prepared["automatic_payment_share_12m"].to_numpy()
    return _first_that_holds(
        {
            "digital": (prepared["digital_payment_share_12m"].to_numpy() > 0.5)
            | ((contacts > 0.5) & ((automatic > 0.5) | np.isnan(automatic))),
            "automatic": automatic > 0.5,
            "counter": prepared["counter_payment_share_12m"].to_numpy() > 0.5,
            "mixed": np.isfinite(automatic) | np.isfinite(contacts),
        }
    )


def customer_tier(value_tier: str, loyalty_tier: str, credit_rating: str | None) -> str:
    """Return the tier that value, loyalty and risk give together; the first rule that holds, value before all.

    ``unknown`` without a value. High value: ``secure`` when the rating is C or D (agree on payment first), ``retain``
    when loyalty is loose (somebody calls), else ``key``. Medium value: ``secure`` with C or D, ``develop`` when not
    loose, else ``retain``. Low value: ``develop`` when loyal and of low risk, ``basic`` with C or D or when loose, else
    ``maintain``. A customer without a rating counts as neither low nor high risk; unknown loyalty counts as steady.

    The dbt macro ``customer_tier`` says the same in SQL, where the rating is joined; a test holds them together.
    """
    is_high_risk = credit_rating in HIGH_RISK_RATINGS
    is_loose = loyalty_tier == "loose"
    if value_tier == UNKNOWN:
        return UNKNOWN
    if value_tier == "low":
        if is_high_risk or is_loose:
            return "basic"
        return "develop" if loyalty_tier == "loyal" and credit_rating in LOW_RISK_RATINGS else "maintain"
    if is_high_risk:
        return "secure"
    if is_loose:
        return "retain"
    return "key" if value_tier == "high" else "develop"


def tier_table(predictions: pd.DataFrame) -> EvaluationTable:
    """Return how many customers are in each tier, for the model card; the formulae stand in the note."""
    rows = []
    for name, title_zh in TIER_COLUMNS.items():
        counts = predictions[name].value_counts()
        rows += [
            (name, title_zh, str(tier), int(count), float(count / max(len(predictions), 1)))
            for tier, count in sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        ]
    return EvaluationTable(
        name="tiers",
        title="Value and behaviour",
        title_zh="价值与行为分层",
        columns=("tier", "中文名称", "value", "customers", "share"),
        rows=tuple(rows),
        note="Value: margin, or amount billed, of a year x (1 + growth, 50 % at most), against quantiles of the class. "
        "Loyalty: points for years of supply and programmes, against for programmes left, complaints about bills, a "
        "steep fall of energy and a contract about to end; 3 points loyal, 1 steady. Payment and channel: shares of "
        "the bills paid in time and of the payments by channel over twelve months. "
        "价值＝年毛利（无毛利时为应收电费）×（1＋增长率），按类别分位划档；"
        "忠诚度＝用电年限、增值服务加分，退订、投诉、用电骤降、合同将到期减分。",
    )


def _first_that_holds(rules: Mapping[str, npt.NDArray[np.bool_]]) -> TextArray:
    return np.select(list(rules.values()), list(rules), default=UNKNOWN).astype(object)
