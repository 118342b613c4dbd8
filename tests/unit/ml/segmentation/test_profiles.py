import numpy as np
import pandas as pd
import pytest

from ml.columns import names
from ml.errors import SchemaMismatchError
from ml.evaluation import EvaluationTable
from ml.segmentation.profiles import profile_table, segment_profiles, system_peak_hour, tariff_table
from ml.segmentation.schema import WEEKDAY_SHAPE


def _rows() -> pd.DataFrame:
    """Return an evening and a noon customer of 24 kWh a day, and one of whom only the bills are known."""
    evening, noon = np.full(24, 0.5), np.full(24, 0.5)
    evening[19] = 12.5
    noon[12] = 12.5
    shapes = pd.DataFrame([evening, noon, np.full(24, np.nan)], columns=names(WEEKDAY_SHAPE))
    return pd.DataFrame(
        {
            "customer_key": ["a", "b", "c"],
            "as_of_month": pd.Timestamp("2025-09-01"),
            "mean_daily_kwh": [26.0, 24.0, np.nan],
            "annual_kwh": [9000.0, 9000.0, np.nan],
            "billed_amount_12m_amount": [6000.0, 3000.0, 1000.0],
            "late_bills_12m_count": [2.0, 0.0, np.nan],
            "unpaid_balance_ratio": [0.0, 1.5, np.nan],
            "mean_satisfaction_12m": [4.0, np.nan, np.nan],
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
    assert profiles["arrears_share"].tolist() == pytest.approx([0.0, 1.0, np.nan], nan_ok=True)
    assert profiles["satisfaction_mean"].tolist() == pytest.approx([4.0, np.nan, np.nan], nan_ok=True)
    assert profiles["rated_count"].tolist() == [1, 0, 0]
    assert profiles["contacts_mean"].tolist() == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)
    for name in ("customers_share", "energy_share", "billed_share", "peak_share"):
        assert profiles[name].sum() == pytest.approx(1.0)


def _row(table: EvaluationTable, segment_id: str) -> dict[str, object]:
    [row] = [row for row in table.rows if row[0] == segment_id]
    return dict(zip(table.columns, row, strict=True))


def test_what_is_not_known_stays_empty_in_the_table() -> None:
    table = profile_table(_rows(), ["R1", "R2", "unknown"], "CNY")
    evening, noon, nobody = (_row(table, segment_id) for segment_id in ("R1", "R2", "unknown"))
    assert (evening["CNY per kWh"], evening["satisfaction"], evening["rated by"]) == (0.6667, 4.0, 1)
    assert (noon["in arrears"], noon["satisfaction"], noon["rated by"]) == (1.0, None, 0)
    empty = ("CNY per kWh", "with late bills", "in arrears", "contacts a year", "satisfaction")
    assert [nobody[name] for name in empty] == [None] * 5
    assert "19:00" in table.note
    assert "Nothing on" not in table.note


def test_a_column_without_any_figure_says_why() -> None:
    unheard = _rows().assign(mean_satisfaction_12m=np.nan, unpaid_balance_ratio=np.nan)
    note = profile_table(unheard, ["R1", "R2", "unknown"], "CNY").note
    assert "Nothing on satisfaction: nobody rated a contact in twelve months." in note
    assert "Nothing on in arrears: of no customer is known what is due and unpaid." in note


def _tariffs() -> pd.DataFrame:
    months = [pd.Timestamp("2025-09-01")] * 3 + [pd.Timestamp("2025-08-01")]
    return pd.DataFrame(
        {"customer_key": ["c", "a", "b", "a"], "as_of_month": months, "tariff_id": [None, "flat", "night", "night"]}
    )


def test_the_tariffs_of_a_segment_are_those_at_the_end_of_the_month() -> None:
    table = tariff_table(_rows(), ["R1", "R1", "unknown"], _tariffs())
    assert _row(table, "R1") == {"id": "R1", "flat": 0.5, "night": 0.5, "tariff known": 1.0}
    assert _row(table, "unknown") == {"id": "unknown", "flat": None, "night": None, "tariff known": 0.0}


def test_rare_tariffs_count_together() -> None:
    rows = pd.concat([_rows().head(1)] * 9, ignore_index=True)
    rows["customer_key"] = [f"c{number}" for number in range(9)]
    tariffs = rows[["customer_key", "as_of_month"]].assign(tariff_id=["flat", "flat", *"abcdefg"])
    table = tariff_table(rows, ["R1"] * 9, tariffs)
    assert table.columns == ("id", "flat", "a", "b", "c", "d", "e", "others", "tariff known")
    assert _row(table, "R1")["others"] == pytest.approx(2 / 9, abs=1e-4)


@pytest.mark.parametrize("tariffs", [None, _tariffs().assign(tariff_id=None), _tariffs().tail(1)])
def test_without_tariffs_the_card_says_so(tariffs: pd.DataFrame | None) -> None:
    table = tariff_table(_rows(), ["R1", "R2", "unknown"], tariffs)
    assert table.rows == (("R1", 0.0), ("R2", 0.0), ("unknown", 0.0))
    assert table.note == "Nothing on tariffs: no tariff of these customers was delivered for this month."


def test_tariffs_that_cannot_be_joined_are_refused() -> None:
    with pytest.raises(SchemaMismatchError, match=r"lacks the column.*tariff_id"):
        tariff_table(_rows(), ["R1", "R2", "unknown"], _tariffs().drop(columns="tariff_id"))
    with pytest.raises(SchemaMismatchError, match="a customer and month twice"):
        tariff_table(_rows(), ["R1", "R2", "unknown"], pd.concat([_tariffs(), _tariffs()]))


def test_without_hours_there_is_no_common_peak() -> None:
    rows = _rows().assign(**{column.name: np.nan for column in WEEKDAY_SHAPE})
    assert system_peak_hour(rows) is None
    assert segment_profiles(rows, ["R1", "R2", "unknown"])["peak_share"].isna().all()
    assert "Nothing on share of peak" in profile_table(rows, ["R1", "R2", "unknown"], "CNY").note


def test_no_bills_and_no_energy_give_no_shares() -> None:
    rows = _rows().assign(annual_kwh=0.0, billed_amount_12m_amount=np.nan)
    profiles = segment_profiles(rows, ["R1", "R1", "R2"])
    assert profiles["energy_share"].isna().all()
    assert profiles["billed_share"].isna().all()
    assert profiles["customers_share"].tolist() == pytest.approx([2 / 3, 1 / 3])
