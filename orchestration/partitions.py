"""Partitions: months, for what is scored and reviewed month by month. Add other partition schemes here."""

from collections.abc import Sequence

import dagster as dg

from orchestration.settings import PlatformSettings

PARTITION_RANGE_START_TAG = "dagster/asset_partition_range_start"
PARTITION_RANGE_END_TAG = "dagster/asset_partition_range_end"


def build_monthly_partitions(settings: PlatformSettings) -> dg.MonthlyPartitionsDefinition:
    """Return one partition per calendar month since the first month of the platform.

    A partition is named after the month that it describes and becomes available when that month is over.
    """
    return dg.MonthlyPartitionsDefinition(start_date=settings.first_month.isoformat())


def partition_range_tags(months: Sequence[str]) -> dict[str, str]:
    """Return the run tags that make one run cover all months from the first to the last of ``months``."""
    return {PARTITION_RANGE_START_TAG: min(months), PARTITION_RANGE_END_TAG: max(months)}
