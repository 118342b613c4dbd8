"""Finds years with readings for which no holiday is known: nothing fails there, every figure by day type is wrong."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.ingestion.contract import CONTRACT_DELIVERY_ID

HOLIDAYS_CSV = Path(__file__).parents[2] / "dbt_project" / "seeds" / "holidays.csv"


def known_holidays(jurisdiction: str, holidays_csv: Path = HOLIDAYS_CSV) -> tuple[list[date], list[date]]:
    """Return the days off by law of a jurisdiction, and the weekend days that are worked instead."""
    days_off: list[date] = []
    working_days: list[date] = []
    with holidays_csv.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["jurisdiction"] == jurisdiction:
                days = working_days if row["is_working_day"] == "true" else days_off
                days.append(date.fromisoformat(row["holiday_date"]))
    return days_off, working_days


def missing_holidays(landing_dir: Path, jurisdiction: str, *, time_zone: str, holidays_csv: Path = HOLIDAYS_CSV) -> str:
    """Return a sentence about the local years that have readings but no holiday; empty when there are none.

    Args:
        landing_dir: Root of the landing.
        jurisdiction: Whose holidays count, as in the table of holidays.
        time_zone: Zone of local days.
        holidays_csv: The table of holidays.
    """
    days_off, working_days = known_holidays(jurisdiction, holidays_csv)
    known = {day.year for day in [*days_off, *working_days]}
    missing = sorted(_local_years_with_readings(landing_dir, ZoneInfo(time_zone)) - known)
    if not missing:
        return ""
    return (
        f"No holidays of {jurisdiction} are known for {', '.join(map(str, missing))}, so public holidays of these "
        "years count as working days or weekends: add them to dbt_project/seeds/holidays.csv, or set "
        "KILOWISE_JURISDICTION to where the supplier is."
    )


def _local_years_with_readings(landing_dir: Path, zone: ZoneInfo) -> set[int]:
    import polars as pl

    by_month: dict[date, list[Path]] = {}
    for path in (landing_dir / "deliveries").glob("*/meter_readings/read_month=*/*.parquet"):
        if path.parts[-4] != CONTRACT_DELIVERY_ID:
            by_month.setdefault(date.fromisoformat(path.parent.name.removeprefix("read_month=")), []).append(path)
    years = {month.year for month in by_month if 1 < month.month < 12}
    # Months are UTC months: at the turn of a year only the readings themselves say which local year they belong to.
    for paths in (paths for month, paths in by_month.items() if month.month in (1, 12)):
        read_at = pl.scan_parquet(paths, hive_partitioning=False).select(
            pl.col("read_at").min().alias("first"), pl.col("read_at").max().alias("last")
        )
        years |= {_local_year(moment, zone) for moment in read_at.collect().row(0)}
    return years


def _local_year(moment: datetime, zone: ZoneInfo) -> int:
    return moment.replace(tzinfo=UTC).astimezone(zone).year
