import numpy as np
import pandas as pd
import pytest

from ml.columns import names
from ml.segmentation.profiles import profile_table, segment_profiles, system_peak_hour
from ml.segmentation.schema import WEEKDAY_SHAPE


def _rows() -> pd.DataFrame:
    """Return an evening and a noon customer of 24 kWh a day, and one of whom only the bills are known."""
    evening, noon = np.full(24, 0.5), np.full(24, 0.5)
    evening[19] = 12.5
    noon[12] = 12.5
    shapes = pd.DataFrame([evening, noon, np.full(24, np.nan)], columns=names(WEEKDAY_SHAPE))
    return pd.DataFrame(
        {
            "mean_daily_kwh": [26.0, 24.0, np.nan],
            "annual_kwh": [9000.0, 9000.0, np.nan],
            "billed_amount_12m_amount": [6000.0, 3000.0, 1000.0],
            "late_bills_12m_count": [2.0, 0.0, np.nan],
            "contacts_12m_count": [1.0, 3.0, np.nan],
        }
    ).join(shapes)


def test_the_common_peak_is_where_most_is_used_together() -> None:
    assert system_peak_hour(_rows()) == 19


def test_profiles_divide_customers_energy_money_and_the_peak() -> None:
    profiles = segment_profiles(_rows(), ["R1", "R2", "unknown"])
    assert profiles["customers_count"].tolist() == [1, 1, 1]
    assert profiles["energy_share"].tolist() == [0.5, 0.5, 0.0]
    assert profiles["billed_share"].tolist() == pytest.approx([0.6, 0.3, 0.1])
    at_seven = 26 / 24 * 12.5
    assert profiles["peak_share"].tolist() == pytest.approx([at_seven / (at_seven + 0.5), 0.5 / (at_seven + 0.5), 0.0])
    assert profiles["amount_per_kwh"].tolist() == pytest.approx([6000 / 9000, 3000 / 9000, np.nan], nan_ok=True)
    assert profiles["late_share"].tolist() == pytest.approx([1.0, 0.0, np.nan], nan_ok=True)
    assert profiles["contacts_mean"].tolist() == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)
    for name in ("customers_share", "energy_share", "billed_share", "peak_share"):
        assert profiles[name].sum() == pytest.approx(1.0)


def test_what_is_not_known_stays_empty_in_the_table() -> None:
    table = profile_table(_rows(), ["R1", "R2", "unknown"], "CNY")
    assert table.columns[6] == "CNY per kWh"
    assert table.rows[0][6] == 0.6667
    assert table.rows[2][6:] == (None, None, None)
    assert "19:00" in table.note


def test_without_hours_there_is_no_common_peak() -> None:
    rows = _rows().assign(**{column.name: np.nan for column in WEEKDAY_SHAPE})
    assert system_peak_hour(rows) is None
    assert segment_profiles(rows, ["R1", "R2", "unknown"])["peak_share"].isna().all()
    assert "peak" not in profile_table(rows, ["R1", "R2", "unknown"], "CNY").note


def test_no_bills_and_no_energy_give_no_shares() -> None:
    rows = _rows().assign(annual_kwh=0.0, billed_amount_12m_amount=np.nan)
    profiles = segment_profiles(rows, ["R1", "R1", "R2"])
    assert profiles["energy_share"].isna().all()
    assert profiles["billed_share"].isna().all()
    assert profiles["customers_share"].tolist() == pytest.approx([2 / 3, 1 / 3])
