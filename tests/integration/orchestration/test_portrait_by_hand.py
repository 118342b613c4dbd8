"""The portrait of a few customers, computed again from what was landed, by other means than dbt's SQL."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from orchestration.marts import current_marts
from orchestration.settings import DBT_PROJECT_DIR
from tests.integration.platform_home import PlatformHome

LOCAL = pd.Timedelta(hours=8)
YEAR, QUARTER = pd.DateOffset(months=12), pd.DateOffset(months=3)
HEATING, COOLING = (None, 8, 10, 12, 14, 16), (None, 20, 22, 24, 26)


@dataclass(frozen=True)
class Landed:
    """What was landed of a few customers, the latest version of each row, in local time.

    Attributes:
        portrait: Their rows of the portrait, by customer.
        end: The instant after the as-of month.
        load: Intervals with energy: customer_key, at, day, hour, is_workday, minutes, kwh, kw, export_kwh.
        days: Days of at least 20 hours: customer_key, day, kwh, mean_kw, peak_kw, peak_hour, temperature_c, word.
        rows: Returns the rows of another entity.
    """

    portrait: pd.DataFrame
    end: pd.Timestamp
    load: pd.DataFrame
    days: pd.DataFrame
    rows: Callable[..., pd.DataFrame]

    @property
    def year(self) -> pd.DataFrame:
        """The load of the trailing twelve months."""
        return self.load[self.load["at"] >= self.end - YEAR]

    def agree(self, column: str, expected: "pd.Series[Any]", **tolerance: float) -> None:
        """Compare a column of the portrait with its values by customer; who has none there must have none here."""
        found = self.portrait[column].astype(float)
        tolerance = tolerance or {"rtol": 1e-6}
        pd.testing.assert_series_equal(
            found, expected.reindex(found.index).astype(float), check_names=False, **tolerance
        )


@pytest.fixture(scope="module")
def landed(finished_home: PlatformHome) -> Landed:
    """Homes with panels, with a vehicle, with debts and others, businesses, and a customer without a whole year."""
    portrait = current_marts(finished_home.settings.after_models_marts_dir).read("customer_portrait")
    portrait = portrait[portrait["annual_kwh"] > 0].set_index("customer_key").sort_index()
    chosen = {
        portrait.index[wanted][0]
        for wanted in (
            portrait["export_kwh"] > 0,
            portrait["vehicle_is_suspected"].eq(True),
            portrait["unpaid_amount"] > 0,
            portrait["programmes_count"] > 1,
            portrait["heating_balance_c"].notna() & portrait["cooling_balance_c"].notna(),
            portrait["customer_class"] == "commercial",
            portrait["customer_class"] == "industrial",
            portrait["kwh_change_yoy_pct"].isna(),
        )
    }
    is_chosen = f"customer_key in ({', '.join(map(repr, sorted(chosen)))})"

    def rows(entity: str, *key: str, of_chosen: bool = True) -> pd.DataFrame:
        files = f"{finished_home.path}/landing/deliveries/*/{entity}/**/*.parquet"
        found = duckdb.sql(f"from read_parquet('{files}', union_by_name=true, hive_partitioning=false)")
        return (
            (found.filter(is_chosen) if of_chosen else found)
            .df()
            .sort_values(["known_at", "revision"])
            .drop_duplicates(list(key), keep="last")
        )

    portrait = portrait.loc[sorted(chosen)]
    load = _intervals(rows("meter_readings", "meter_id", "read_at"))
    weather = rows("weather", "district", "observed_at", of_chosen=False)
    weather["day"] = (weather["observed_at"] + LOCAL).dt.normalize()
    temperature = weather.groupby(["district", "day"])["temperature_c"].mean().round(2)
    end = pd.Timestamp(portrait["as_of_month"].iloc[0]) + pd.DateOffset(months=1)
    load = load[load["at"] < end]
    days = _days(load[load["at"] >= end - YEAR]).join(portrait["district"], on="customer_key")
    return Landed(portrait, end, load, days.join(temperature, on=["district", "day"]), rows)


def _intervals(readings: pd.DataFrame) -> pd.DataFrame:
    readings = readings.dropna(subset=["kwh"]).astype({"kwh": float, "export_kwh": float})
    at = readings["read_at"] + LOCAL
    holidays = pd.read_csv(DBT_PROJECT_DIR / "seeds" / "holidays.csv", parse_dates=["holiday_date"])
    holidays = holidays[holidays["jurisdiction"] == "CN"].set_index("holiday_date")["is_working_day"]
    readings = readings.assign(at=at, day=at.dt.normalize(), minutes=readings["interval_minutes"].astype(int))
    by_interval = readings.groupby(["customer_key", "at", "day", "minutes"], as_index=False)
    load = by_interval[["kwh", "export_kwh"]].sum(min_count=1)
    is_workday = load["day"].map(holidays).astype("boolean").fillna(load["day"].dt.dayofweek < 5).astype(bool)
    return load.assign(hour=load["at"].dt.hour, is_workday=is_workday, kw=load["kwh"] * 60 / load["minutes"])


def _days(load: pd.DataFrame) -> pd.DataFrame:
    """Return the complete days with the word for their shape; of equal peaks the last counts."""
    by_day = load.sort_values(["customer_key", "day", "kw", "at"]).groupby(["customer_key", "day"])
    days = by_day.agg(kwh=("kwh", "sum"), minutes=("minutes", "sum"), peak_kw=("kw", "max"), peak_hour=("hour", "last"))
    days = days[days["minutes"] >= 1200].reset_index()
    mean_kw = days["kwh"] * 60 / days["minutes"]
    peak = np.where(days["peak_kw"] < 3 * mean_kw, "broad_", "sharp_") + (days["peak_hour"] // 4 * 4).astype(str)
    word = np.select([days["kwh"] == 0, days["peak_kw"] < 1.5 * mean_kw], ["zero", "flat"], peak)
    return days.assign(mean_kw=mean_kw, word=word)


def _power(load: pd.DataFrame, *by: str) -> "pd.Series[Any]":
    """Return the mean power by customer."""
    sums = load.groupby(["customer_key", *by])[["kwh", "minutes"]].sum()
    return sums["kwh"] * 60 / sums["minutes"]


def _share(is_so: "pd.Series[Any]", days: pd.DataFrame) -> "pd.Series[Any]":
    return is_so.groupby(days["customer_key"]).mean()


def test_level_trend_and_season(landed: Landed) -> None:
    year = landed.year
    mean = _power(year)
    landed.agree("annual_kwh", year.groupby("customer_key")["kwh"].sum())
    landed.agree("mean_daily_kwh", 24 * mean)
    landed.agree("peak_kw", year.groupby("customer_key")["kw"].max())
    landed.agree("load_factor", mean / year.groupby("customer_key")["kw"].max())
    landed.agree("observed_days_count", year.groupby("customer_key")["day"].nunique())
    landed.agree("weekend_ratio", _power(year[~year["is_workday"]]) / _power(year[year["is_workday"]]))
    landed.agree("daily_kwh_cv", landed.days.groupby("customer_key")["kwh"].agg(lambda kwh: kwh.std() / kwh.mean()))
    landed.agree("export_kwh", year.groupby("customer_key")["export_kwh"].sum(min_count=1))
    month = year["at"].dt.month
    for season, months in (("summer", (6, 7, 8)), ("winter", (12, 1, 2))):
        landed.agree(f"{season}_ratio", _power(year[month.isin(months)]) / mean)
    at = landed.load["at"]
    now = landed.load[at >= landed.end - QUARTER]
    before = landed.load[(at >= landed.end - YEAR - QUARTER) & (at < landed.end - YEAR)]
    months_known = [part["at"].dt.month.groupby(part["customer_key"]).nunique() for part in (now, before)]
    change = 100 * (_power(now) / _power(before) - 1)
    landed.agree("kwh_change_yoy_pct", change[(months_known[0] == 3) & (months_known[1].reindex(change.index) == 3)])


def test_time_of_use_and_the_mean_day(landed: Landed) -> None:
    year = landed.year
    total = year.groupby("customer_key")["kwh"].sum()
    windows = {"night": (22, 23, 0, 1, 2, 3, 4, 5), "morning": range(6, 10), "midday": range(10, 16)}
    for window, hours in {**windows, "evening": range(16, 22)}.items():
        landed.agree(f"{window}_kwh_share", year[year["hour"].isin(hours)].groupby("customer_key")["kwh"].sum() / total)
    mean_day = _power(year, "hour").groupby("customer_key")
    landed.agree("base_share", mean_day.agg(lambda power: power.nsmallest(3).mean() / power.mean()))
    working_day = _power(year[year["is_workday"]], "hour").groupby("customer_key")
    landed.agree("peak_hour", working_day.agg(lambda power: power.idxmax()[1]))
    mild = year[year["at"].dt.month.isin((3, 4, 5, 9, 10))]
    noon, around = mild[mild["hour"].isin((11, 12, 13))], mild[mild["hour"].isin((7, 8, 16, 17))]
    landed.agree("noon_ratio", _power(noon) / _power(around))


def test_shapes_of_days_and_what_looks_like_a_vehicle(landed: Landed) -> None:
    days = landed.days
    # A day whose peak is three times its mean but for a rounding may get the other word.
    one_day = {"atol": 1.5 / 365, "rtol": 0.0}
    words = days.groupby("customer_key")["word"]
    shares = words.value_counts(normalize=True)
    entropy = -(shares * np.log2(shares)).groupby("customer_key").sum()
    landed.agree("day_shape_entropy_bits", entropy, atol=0.03, rtol=0.0)
    landed.agree("usual_day_shape_share", shares.groupby("customer_key").max(), **one_day)
    landed.agree("evening_peak_days_share", _share(days["word"].str.endswith(("_16", "_20")), days), **one_day)
    landed.agree("sharp_peak_days_share", _share(days["word"].str.startswith("sharp"), days), **one_day)
    homes = landed.portrait.index[landed.portrait["customer_class"] == "residential"]
    mild = days[days["temperature_c"].between(8, 24) & days["customer_key"].isin(homes)]
    is_night = (mild["peak_hour"] >= 20) | (mild["peak_hour"] < 5)
    like_a_vehicle = is_night & (mild["peak_kw"] - mild["mean_kw"] >= 2.5)
    enough = mild.groupby("customer_key").size() >= 30
    landed.agree("vehicle_like_days_share", _share(like_a_vehicle, mild)[enough], **one_day)


def _temperature_line(days: pd.DataFrame) -> dict[str, float | None]:
    """Return balance points, slopes and explained share by least squares over every pair of balance points."""
    kwh, temperature = days["kwh"].to_numpy(), days["temperature_c"].to_numpy()
    fits = []
    for heating, cooling in itertools.product(HEATING, COOLING):
        degrees = [np.maximum(heating - temperature, 0)] if heating is not None else []
        degrees += [np.maximum(temperature - cooling, 0)] if cooling is not None else []
        if any(column.sum() < 30 for column in degrees):
            continue
        matrix = np.column_stack([np.ones(len(kwh)), *degrees])
        slopes = np.linalg.lstsq(matrix, kwh, rcond=None)[0]
        explained = 1 - ((kwh - matrix @ slopes) ** 2).sum() / ((kwh - kwh.mean()) ** 2).sum()
        if (slopes[1:] > 0).all():
            fits.append((explained - 0.02 * len(degrees), explained, heating, cooling, slopes))
    _, explained, heating, cooling, slopes = max(fits, key=lambda fit: fit[0])
    return {
        "temperature_explained_share": explained,
        "heating_balance_c": heating,
        "cooling_balance_c": cooling,
        "heating_kwh_per_degree_day": 0 if heating is None else slopes[1],
        "cooling_kwh_per_degree_day": 0 if cooling is None else slopes[-1],
    }


def test_balance_points_and_slopes_are_those_of_least_squares(landed: Landed) -> None:
    known = landed.days.dropna(subset=["temperature_c"]).groupby("customer_key")
    lines = {key: _temperature_line(days) for key, days in known if len(days) >= 60}
    for name, values in pd.DataFrame.from_dict(lines, orient="index").items():
        landed.agree(str(name), values, rtol=1e-3, atol=1e-4)


def test_bills_payments_contacts_and_programmes(landed: Landed) -> None:
    last_day = landed.end - pd.Timedelta(days=1)
    first = landed.end - YEAR
    bills = landed.rows("bills", "bill_id").astype({"amount": float}).query("amount > 0")
    payments = landed.rows("payments", "payment_id").astype({"amount": float})
    issued = bills[bills["issued_date"].between(first, last_day)].groupby("customer_key")["amount"]
    landed.agree("bills_12m_count", issued.size().reindex(landed.portrait.index, fill_value=0))
    landed.agree("billed_amount_12m_amount", issued.sum())
    due = bills[bills["due_date"] <= last_day].set_index("bill_id")
    paid = payments.groupby("bill_id")["amount"].sum().reindex(due.index, fill_value=0)
    unpaid = (due["amount"] - paid.clip(lower=0)).clip(lower=0).round(2)
    landed.agree("unpaid_amount", unpaid.groupby(due["customer_key"]).sum(), atol=0.005, rtol=0.0)

    contacts = landed.rows("service_contacts", "contact_id")
    contacts = contacts[(contacts["opened_at"] + LOCAL).between(first, landed.end, inclusive="left")]
    counted = contacts.groupby("customer_key").size()
    landed.agree("contacts_12m_count", counted.reindex(landed.portrait.index, fill_value=0))
    landed.agree(
        "mean_satisfaction_12m", contacts.astype({"satisfaction": float}).groupby("customer_key")["satisfaction"].mean()
    )

    programmes = landed.rows("programme_enrolments", "customer_key", "programme", "joined_date")
    is_in = (programmes["joined_date"] <= last_day) & ~(programmes["left_date"] < last_day)
    taking_part = programmes[is_in].groupby("customer_key")["programme"].nunique()
    landed.agree("programmes_count", taking_part.reindex(landed.portrait.index, fill_value=0))
