"""A small population with known load-shape types, as rows of customer_segmentation_features."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ml.columns import names
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.schema import BLOCK_STARTS, FEATURES, HOUR_COLUMNS

SHAPE_NAMES = names(HOUR_COLUMNS)
HOURS = np.arange(24)


def _bump(centre: float, width: float, height: float) -> np.ndarray:
    distance = np.minimum(np.abs(HOURS - centre), 24 - np.abs(HOURS - centre))
    return height * np.exp(-0.5 * (distance / width) ** 2)


SHAPE_TYPES = {
    "evening": ("residential", 0.5 + _bump(20, 2.0, 2.0), 0.5 + _bump(20, 2.5, 1.8)),
    "daytime": ("residential", 0.4 + _bump(12.5, 3.5, 1.5), 0.4 + _bump(12.5, 4, 1.4)),
    "night": ("residential", 0.4 + _bump(1.5, 2.5, 2.2), 0.4 + _bump(1.5, 2.5, 2.2)),
    "shift": ("industrial", 0.2 + 2.0 * ((HOURS >= 8) & (HOURS < 18)), np.ones(24)),
    "always": ("industrial", 1 + 0.05 * np.sin(HOURS / 24 * 2 * np.pi), np.ones(24)),
    "evening_shop": ("commercial", 0.4 + _bump(19, 2.5, 2.0), 0.4 + _bump(19, 2.5, 2.2)),
}


def make_features(
    customers_per_type_count: int = 25, months_count: int = 5, noise: float = 0.15, seed: int = 1
) -> pd.DataFrame:
    """Return one row per customer and as-of month; each customer keeps its type and its own noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for type_name, (customer_class, weekday, weekend) in SHAPE_TYPES.items():
        for number in range(customers_per_type_count):
            own = rng.lognormal(0, noise, 48)
            mean_daily_kwh = float(rng.lognormal(2.2 if customer_class == "residential" else 5, 0.6))
            for month in pd.date_range("2025-01-01", periods=months_count, freq="MS"):
                shape = np.concatenate([weekday, weekend]) * own * rng.lognormal(0, noise / 3, 48)
                shape[:24] /= shape[:24].mean()
                shape[24:] /= shape[24:].mean()
                rows.append(
                    {
                        "customer_key": f"{type_name}-{number:04d}",
                        "as_of_month": month.date(),
                        "district": f"district-{number % 3}",
                        "customer_class": customer_class,
                        "observed_days_count": 360.0,
                        **dict(zip(SHAPE_NAMES, shape, strict=True)),
                        **{f"summer_shift_{hour:02d}": 0.2 * (hour == 12) - 0.2 * (hour == 0) for hour in BLOCK_STARTS},
                        **{f"winter_shift_{hour:02d}": 0.0 for hour in BLOCK_STARTS},
                        "summer_level_shift": (0.4 if type_name == "daytime" else 0.0) + float(rng.normal(0, 0.05)),
                        "winter_level_shift": float(rng.normal(0, 0.05)),
                        **{
                            f"{season}_rest_day_shift": -0.85 if type_name == "shift" else float(rng.normal(0, 0.05))
                            for season in ("mild", "summer", "winter")
                        },
                        "annual_kwh": mean_daily_kwh * 365,
                        "mean_daily_kwh": mean_daily_kwh,
                        "peak_kw": mean_daily_kwh / 24 * float(shape.max()),
                        "load_factor": float(1 / shape.max()),
                        "base_share": float(np.sort(shape[:24])[:3].mean()),
                        "peak_hour": float(shape[:24].argmax()),
                        "weekend_ratio": 0.4 if type_name == "shift" else 1.0,
                        "night_share": float(shape[[22, 23, 0, 1, 2, 3, 4, 5]].sum() / 24),
                        "summer_ratio": 1.4 if type_name == "daytime" else 1.0,
                        "winter_ratio": 1.0,
                        "daily_kwh_cv": 0.3,
                        "zero_days_count": 0.0,
                        "kwh_change_yoy_pct": float(rng.normal(0, 10)),
                        "peak_contribution": float(shape[[18, 19, 20]].mean()),
                        "billed_amount_12m_amount": mean_daily_kwh * 200,
                        "billed_amount_per_kwh": 0.5 + 0.1 * float(shape[[18, 19, 20]].mean()),
                        "late_bills_12m_count": 0.0,
                        "contacts_12m_count": 1.0,
                        "programmes_count": 0.0,
                        "tenure_months": 60.0,
                        "billed_kwh_change_yoy_pct": None,
                        "on_time_share_12m_pct": 100.0,
                        "mean_days_late_12m_days": 0.0,
                        "unpaid_balance_ratio": 0.0,
                        "automatic_payment_share_12m": float(number % 4 == 0),
                        "digital_payment_share_12m": float(number % 4 != 0),
                        "counter_payment_share_12m": 0.0,
                        "digital_contact_share_12m": 0.5,
                        "billing_contacts_6m_count": 0.0,
                        "mean_satisfaction_12m": 4.0,
                        "programmes_left_12m_count": 0.0,
                        "closing_in_days": None,
                        "returned_ago_months": None,
                        "contract_capacity_kva": 8.0,
                        "annual_margin_amount": None,
                        "capacity_margin_amount": None,
                        "products_count": None,
                        "contract_left_days": None,
                        "contract_unchanged_days": None,
                        "contract_unrenewed_days": None,
                        "sales_channel": None,
                        "acquisition_campaign": None,
                    }
                )
    return pd.DataFrame(rows)[["customer_key", "as_of_month", "district", *names(FEATURES)]]


@pytest.fixture(scope="session")
def features() -> pd.DataFrame:
    return make_features()


@pytest.fixture(scope="session")
def small_config() -> SegmentationConfig:
    return SegmentationConfig(
        stability_runs_count=10,
        choice_runs_count=5,
        bootstrap_runs_count=60,
        kmeans_starts_count=2,
        mixture_starts_count=1,
        residential_segments_max_count=5,
        business_segments_max_count=5,
    )


@pytest.fixture(scope="session")
def feature_rows() -> Callable[..., pd.DataFrame]:
    return make_features
