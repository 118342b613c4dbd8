"""Years without holidays are named, since nothing else would show that they are missing."""

from pathlib import Path

import pytest

from orchestration.ingestion.holidays import missing_holidays
from tests.unit.orchestration.ingestion.supplier import Supplier, hourly, readings_csv

HOLIDAYS = "jurisdiction,holiday_date,name,name_zh,is_working_day\nDE,2024-10-03,Unity Day,,false\n"


@pytest.fixture
def holidays_csv(tmp_path: Path) -> Path:
    path = tmp_path / "holidays.csv"
    path.write_text(HOLIDAYS, encoding="utf-8")
    return path


def deliver_days(supplier: Supplier, *days: str, time_zone: str = "Asia/Shanghai") -> None:
    supplier.basics(meter_readings=readings_csv([row for day in days for row in hourly("M1", day)]))
    supplier.land(time_zone=time_zone)


def missing(supplier: Supplier, holidays_csv: Path, jurisdiction: str, time_zone: str = "Asia/Shanghai") -> str:
    return missing_holidays(supplier.landing, jurisdiction, time_zone=time_zone, holidays_csv=holidays_csv)


def test_year_with_holidays_needs_no_word(supplier: Supplier, holidays_csv: Path) -> None:
    deliver_days(supplier, "2024-03-01", "2024-10-01")

    assert missing(supplier, holidays_csv, "DE") == ""


def test_years_without_holidays_are_named_with_the_file_to_add_them_to(supplier: Supplier, holidays_csv: Path) -> None:
    deliver_days(supplier, "2024-03-01", "2025-03-01", "2027-03-01")

    assert missing(supplier, holidays_csv, "DE") == (
        "No holidays of DE are known for 2025, 2027, so public holidays of these years count as working days or "
        "weekends: add them to dbt_project/seeds/holidays.csv, or set KILOWISE_JURISDICTION to where the supplier is."
    )


def test_jurisdiction_without_any_holiday_is_named(supplier: Supplier, holidays_csv: Path) -> None:
    deliver_days(supplier, "2024-03-01")

    assert missing(supplier, holidays_csv, "CH").startswith("No holidays of CH are known for 2024,")


@pytest.mark.parametrize(("time_zone", "expected"), [("UTC", "2023"), ("Asia/Shanghai", "")])
def test_year_of_a_reading_is_that_of_its_local_day(
    supplier: Supplier, holidays_csv: Path, time_zone: str, expected: str
) -> None:
    supplier.basics(meter_readings="meter_id,read_at,kwh\nM1,2023-12-31T16:00:00Z,1\nM1,2024-01-01T00:00:00Z,1\n")
    # A meter lives from its first local day.
    (supplier.inbox / "2024-09" / "meters.csv").write_text(
        "meter_id,customer_id,interval_minutes,installed_date\nM1,C1,60,2020-01-01\n"
    )
    supplier.land(time_zone=time_zone)

    said = missing(supplier, holidays_csv, "DE", time_zone)

    assert said.partition(" for ")[2].partition(",")[0] == expected


def test_nothing_is_said_before_readings_have_landed(supplier: Supplier, holidays_csv: Path) -> None:
    supplier.basics()
    supplier.land()

    assert missing(supplier, holidays_csv, "CH") == ""
