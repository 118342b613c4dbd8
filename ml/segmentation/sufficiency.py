"""Whether the marts can support load-shape segments, said in words before anything is trained."""

import numpy as np
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import (
    DAILY_GROUPS,
    GROUP_NAMES,
    GROUPS,
    HOUR_NAMES,
    as_of_months,
    class_group_of,
    distinct_rows,
    group_of,
    has_usable_shape,
    prepare_features,
    require_columns,
    rows_as_of,
)
from ml.splits import month_start
from ml.sufficiency import Finding, SufficiencyReport

ONE_HOUR_RATIO = 23.0
"""A shape that reaches it holds nearly the whole day in one hour: that is a daily reading, not a load shape."""

DAILY_SHAPES_SHARE_MAX = 0.5


def months_between(earlier: pd.Timestamp, later: pd.Timestamp) -> int:
    """Return the number of months from one month to another."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def judged_months(features: pd.DataFrame, config: SegmentationConfig) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return the earlier and the later as-of month of the evaluation, or ``None`` when there are not two.

    The later one is the latest. The earlier one is the first in which at least half as many customers have a usable
    shape as in the latest, so that the two trailing windows share as few readings as the history allows.
    """
    months = as_of_months(features)
    usable = has_usable_shape(features, config)
    counts = pd.Series(usable).groupby(pd.to_datetime(features[AS_OF_MONTH]).to_numpy()).sum()
    for month in months[:-1]:
        is_far = months_between(month, months[-1]) >= config.months_between_windows_min_count
        if is_far and counts[month] >= max(config.minimum_customers_per_group_count, counts[months[-1]] / 2):
            return month, months[-1]
    return None


def segmented_groups(rows: pd.DataFrame, config: SegmentationConfig) -> dict[str, int]:
    """Return the number of usable load shapes in each group that has enough of them."""
    usable = has_usable_shape(rows, config)
    groups = group_of(rows, config)
    counts = {group: int((usable & (groups == group)).sum()) for group in GROUPS}
    return {group: count for group, count in counts.items() if count >= config.minimum_customers_per_group_count}


def check_sufficiency(features: pd.DataFrame, config: SegmentationConfig | None = None) -> SufficiencyReport:
    """Return what the table of ``customer_segmentation_features`` has and lacks.

    One group (residential or business, with hourly or with daily readings) with enough load shapes suffices; the
    customers of the others are then answered "unknown".

    Raises:
        SchemaMismatchError: A customer has two different rows for one as-of month.
    """
    config = config or SegmentationConfig()
    require_columns(features, [CUSTOMER_KEY, AS_OF_MONTH], "customer_segmentation_features")
    needed = config.minimum_customers_per_group_count
    if features.empty:
        finding = Finding.at_least(
            "load_shapes",
            0,
            needed,
            missing="There are no customers with interval readings: deliver meters and meter_readings at 60 minutes or "
            "shorter, or at least daily ones.",
        )
        return SufficiencyReport.of("segmentation", [finding])
    prepared = prepare_features(distinct_rows(features))
    latest = rows_as_of(prepared, as_of_months(prepared)[-1])
    usable = has_usable_shape(latest, config)
    groups = group_of(latest, config)
    counts = {group: int((usable & (groups == group)).sum()) for group in GROUPS}
    classless = int((class_group_of(latest["customer_class"]) == "").sum())
    daily_text = "".join(f", {counts[group]} {GROUP_NAMES[group]}" for group in DAILY_GROUPS if counts[group])
    classless_text = f" {classless:,} customers have no customer_class and belong to no group." if classless else ""
    findings = [
        Finding.at_least(
            "load_shapes",
            max(counts.values()),
            needed,
            missing=f"In the latest month {counts['R']} residential and {counts['B']} business customers have a load "
            f"shape from at least {config.minimum_observed_days} days{daily_text}; one of the groups needs {needed}: "
            "deliver more customers, or a longer history, with readings of 60 minutes or shorter, or daily ones over "
            f"several seasons.{classless_text}",
            met=f"Usable load shapes: {counts['R']} residential, {counts['B']} business{daily_text}.{classless_text}",
        )
    ]
    has_hours = usable & ~np.isin(groups, DAILY_GROUPS)
    if has_hours.any():
        shapes = latest.loc[has_hours, HOUR_NAMES].to_numpy(dtype=np.float64)
        daily_share = float((shapes.max(axis=1) >= ONE_HOUR_RATIO).mean())
        findings.append(
            Finding(
                check="hourly_readings",
                found=f"{daily_share:.0%} of the customers have their whole day in one hour",
                required=f"at most {DAILY_SHAPES_SHARE_MAX:.0%}",
                passed=daily_share <= DAILY_SHAPES_SHARE_MAX,
                message="Most meters are read once a day, which says how much is used and not when: deliver such "
                "readings as what they are (interval_minutes 1440), or readings of 60 minutes or shorter."
                if daily_share > DAILY_SHAPES_SHARE_MAX
                else "The readings are hourly or finer.",
            )
        )
    months = judged_months(prepared, config)
    all_months = as_of_months(prepared)
    span = months_between(all_months[0], all_months[-1])
    findings.append(
        Finding(
            check="later_window",
            found=f"as-of months {month_start(all_months[0]):%Y-%m} to {month_start(all_months[-1]):%Y-%m}",
            required=f"two at least {config.months_between_windows_min_count} months apart",
            passed=months is not None,
            message=f"Segments are found on an earlier and judged on a later window; the as-of months span {span} "
            f"month(s), and {config.months_between_windows_min_count} are needed with enough customers at both ends: "
            "deliver a longer history."
            if months is None
            else f"Found on {month_start(months[0]):%Y-%m}, judged on {month_start(months[1]):%Y-%m}.",
        )
    )
    return SufficiencyReport.of("segmentation", findings)
