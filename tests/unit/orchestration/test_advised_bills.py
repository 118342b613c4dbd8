"""Which advice is priced, and with what it is handed to the reviews."""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from ml.splits import add_months
from ml.tariffs.catalogue import load_catalogue
from monitoring.policy import load_policy
from monitoring.tariff_outcomes import ADVISED_BILL_COLUMNS, tariff_cohorts
from orchestration.advised_bills import advised_bills
from orchestration.marts import MartsVersion

RELEASE = "0001-202512-abc"
ADVISED_IN = date(2025, 12, 1)
POLICY = load_policy("tariff_matching", date(2026, 11, 22))


@pytest.fixture
def marts(tmp_path: Path) -> MartsVersion:
    """Two homes with a flat load from January 2025 to March 2026; one changed its tariff in January 2026."""
    months = [add_months(date(2025, 1, 1), count) for count in range(15)]
    pd.DataFrame(
        [
            {
                "customer_key": key,
                "month": month,
                "day_type": day_type,
                "slot": slot,
                "slot_minutes": 60,
                "kwh": 10.0,
                "peak_kw": 1.0,
                "interval_count": 10,
                "expected_interval_count": 10,
            }
            for key in ("follows", "stays")
            for month in months
            for day_type in ("workday", "weekend")
            for slot in range(24)
        ]
    ).to_parquet(tmp_path / "customer_load_cube.parquet")
    pd.DataFrame(
        {
            "customer_key": ["follows", "stays"],
            "as_of_month": [date(2026, 3, 1)] * 2,
            "tariff_id": ["sd_res_tier_tou", "sd_res_tier"],
        }
    ).to_parquet(tmp_path / "customer_tariff_features.parquet")
    return MartsVersion("version", tmp_path, {}, {})


def write_advice(directory: Path, month: date = ADVISED_IN, release: str = RELEASE) -> None:
    path = directory / f"as_of_month={month.isoformat()}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame(
        {
            "customer_key": ["follows", "stays", "not_advised"],
            "as_of_month": month,
            "release": release,
            "customer_class": "residential",
            "voltage_level": "lt1kV",
            "supply_route": "catalogue",
            "contract_capacity_kva": float("nan"),
            "tariff_id": "sd_res_tier",
            "billing_basis": None,
            "contracted_kw": float("nan"),
            "recommended_tariff_id": "sd_res_tier_tou",
            "recommended_options": "{}",
            "is_switch_recommended": [True, True, False],
            "current_annual_amount": 3_000.0,
            "recommended_annual_amount": 2_900.0,
            "expected_saving_amount": 100.0,
            "saving_lower_amount": 50.0,
            "saving_upper_amount": 150.0,
        }
    ).to_parquet(path)


def priced(marts: MartsVersion, tmp_path: Path, month: date, learned_until: date = ADVISED_IN) -> pd.DataFrame | None:
    bundle_dir = tmp_path / "bundle"
    bundle_dir.mkdir(exist_ok=True)
    (bundle_dir / "bundle.json").write_text(json.dumps({"data_window": {"last_month": learned_until.isoformat()}}))
    return advised_bills(
        marts,
        lambda: load_catalogue().tariffs,
        tmp_path / "predictions",
        bundle_dir,
        month=month,
        release=RELEASE,
        policy=POLICY,
    )


def test_the_advised_customers_of_a_judged_age_are_priced(marts, tmp_path) -> None:
    write_advice(tmp_path / "predictions")
    found = priced(marts, tmp_path, date(2026, 3, 1))
    assert tuple(found.columns) == ADVISED_BILL_COLUMNS
    assert found["customer_key"].tolist() == ["follows", "stays"]
    assert found["is_followed"].tolist() == [True, False]
    # The same load in both years, at the same prices.
    assert found["stayed_amount"].tolist() == pytest.approx(found["stayed_before_amount"].tolist())
    (cohort,) = tariff_cohorts(found, POLICY.tariff_outcomes)
    assert (cohort.month, cohort.months_since, cohort.customers_judged) == (ADVISED_IN, 3, 2)


def test_advice_of_another_age_or_release_is_not_priced(marts, tmp_path) -> None:
    write_advice(tmp_path / "predictions", release="0000-other")
    assert priced(marts, tmp_path, date(2026, 3, 1)) is None
    write_advice(tmp_path / "predictions", add_months(ADVISED_IN, -1))
    assert priced(marts, tmp_path, date(2026, 3, 1)) is None


def test_advice_for_months_that_the_model_had_learned_from_is_no_evidence(marts, tmp_path) -> None:
    write_advice(tmp_path / "predictions")
    assert priced(marts, tmp_path, date(2026, 3, 1), learned_until=date(2026, 1, 1)) is None


def test_advice_after_which_nothing_was_metered_is_handed_on_without_bills(marts, tmp_path) -> None:
    write_advice(tmp_path / "predictions", date(2026, 11, 1))
    found = priced(marts, tmp_path, date(2026, 12, 1))
    assert found["stayed_amount"].isna().all()
    (cohort,) = tariff_cohorts(found, POLICY.tariff_outcomes)
    assert (cohort.customers_advised, cohort.customers_judged) == (2, 0)
