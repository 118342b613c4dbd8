"""Synthetic credit marts: a hidden, slowly changing stress drives how late bills are paid and what becomes of them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult
from ml.columns import CUSTOMER_CLASSES, names
from ml.credit_risk.config import BoosterConfig, CreditRiskConfig
from ml.credit_risk.schema import FEATURES
from ml.credit_risk.training import train
from ml.splits import add_months

FIRST_MONTH = date(2025, 1, 1)
OUTCOME_MONTHS = 6


def make_credit_marts(
    customers: int = 600, months: int = 16, seed: int = 1, mature_months: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return features and outcomes with the columns and the habits of the marts."""
    generator = np.random.default_rng(seed)
    mature = months if mature_months is None else mature_months
    stress = generator.normal(-1.0, 1.0, customers)
    keys = [f"{position:032x}" for position in range(customers)]
    classes = generator.choice(CUSTOMER_CLASSES, customers, p=[0.7, 0.2, 0.08, 0.02])
    districts = generator.choice(["east", "west", "north"], customers)
    feature_frames, outcome_frames = [], []
    for offset in range(months):
        month = add_months(FIRST_MONTH, offset)
        stress = 0.95 * stress + generator.normal(-0.05, 0.3, customers)
        late = np.clip(np.round(2 + 2.5 * (stress + generator.normal(0, 0.8, customers))), 0, 12)
        recovery = 80 - 15 * (stress + generator.normal(0, 0.8, customers))
        debt = stress + generator.normal(0, 0.8, customers)
        frame = pd.DataFrame({"customer_key": keys, "as_of_month": month, "district": districts})
        frame["as_of_at"] = pd.Timestamp(add_months(month, 1)) + pd.Timedelta(days=3)
        for column in FEATURES:
            frame[column.name] = generator.gamma(2.0, 2.0, customers)
        frame["customer_class"] = classes
        for name in ("recovery_rate_due_3m_pct", "recovery_rate_due_12m_pct", "on_time_share_12m_pct"):
            frame[name] = np.clip(recovery + generator.normal(0, 4, customers), 0, 100)
        frame["recovery_rate_30d_12m_pct"] = np.clip(recovery + 20, 0, 100)
        frame["late_bills_12m_count"] = late
        frame["late_bills_3m_count"] = np.round(late / 4)
        frame["unpaid_balance_ratio"] = np.where(debt > 0, debt, 0.0)
        frame["bills_12m_count"] = 12.0
        frame["load_factor_3m"] = generator.uniform(0.1, 0.9, customers)
        frame["mean_satisfaction_12m"] = np.where(generator.random(customers) < 0.6, np.nan, 4.0)
        feature_frames.append(frame[["customer_key", "as_of_month", "as_of_at", "district", *names(FEATURES)]])
        is_default = generator.random(customers) < 1 / (1 + np.exp(-(1.6 * stress - 1.2)))
        is_mature = offset < mature
        outcome_frames.append(
            pd.DataFrame(
                {
                    "customer_key": keys,
                    "as_of_month": month,
                    "is_mature": is_mature,
                    "is_default": pd.array(is_default if is_mature else [None] * customers, dtype="boolean"),
                    "exclusion": None,
                    "window_end_date": (
                        pd.Timestamp(add_months(month, 1 + OUTCOME_MONTHS)) + pd.Timedelta(days=3)
                    ).date(),
                }
            )
        )
    return pd.concat(feature_frames, ignore_index=True), pd.concat(outcome_frames, ignore_index=True)


@pytest.fixture(scope="session")
def quick_config() -> CreditRiskConfig:
    booster = BoosterConfig(depths=(1, 2), max_rounds=60, early_stopping_rounds=10)
    return CreditRiskConfig(booster=booster, bootstrap_replicates=60)


@pytest.fixture(scope="session")
def marts() -> tuple[pd.DataFrame, pd.DataFrame]:
    return make_credit_marts()


@pytest.fixture(scope="session")
def trained(marts: tuple[pd.DataFrame, pd.DataFrame], quick_config: CreditRiskConfig) -> TrainingResult:
    return train(*marts, config=quick_config)


@pytest.fixture(scope="session")
def trained_trees(marts: tuple[pd.DataFrame, pd.DataFrame], quick_config: CreditRiskConfig) -> TrainingResult:
    return train(*marts, config=quick_config.model_copy(update={"candidates": ("boosted_trees",)}))
