"""Months as partitions."""

from datetime import UTC, date, datetime
from pathlib import Path

from orchestration.partitions import build_monthly_partitions, partition_range_tags
from orchestration.settings import PlatformSettings


def test_month_is_a_partition_when_it_is_over(tmp_path: Path) -> None:
    months = build_monthly_partitions(PlatformSettings(home=tmp_path, first_month=date(2025, 11, 1)))

    last_minute = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    assert months.get_partition_keys(current_time=last_minute) == ["2025-11-01", "2025-12-01"]
    assert months.get_partition_keys(current_time=datetime(2026, 2, 1, tzinfo=UTC))[-1] == "2026-01-01"


def test_range_goes_from_the_earliest_to_the_latest_month() -> None:
    tags = partition_range_tags(["2026-03-01", "2025-12-01", "2026-01-01"])

    assert tags == {
        "dagster/asset_partition_range_start": "2025-12-01",
        "dagster/asset_partition_range_end": "2026-03-01",
    }
