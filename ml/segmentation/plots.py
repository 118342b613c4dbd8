"""Plots of a segmentation's model card."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ml.plots import BLUE, GREY, ORANGE, PALETTE, RED, new_figure, to_png
from ml.segmentation.clustering import Solution
from ml.segmentation.evaluation import METHOD_NAMES
from ml.segmentation.features import DAILY_SPACE, GROUP_NAMES, HOUR_NAMES
from ml.segmentation.model import Segment

BAND_PERCENTILES = (10, 90)
TITLE_LENGTH_MAX = 44


def segment_shapes(segments: Sequence[Segment], members: pd.DataFrame, segment_ids: pd.Series) -> bytes:
    """Draw the centre of every segment over the middle 80 % of its members, working days beside weekends.

    Args:
        segments: Segments with a centre.
        members: Rows with shapes.
        segment_ids: Segment of each row.
    """
    columns_count = min(3, len(segments))
    rows_count = -(-len(segments) // columns_count)
    figure, axes = new_figure(4.2 * columns_count, 2.7 * rows_count, columns_count, rows_count)
    hours = np.arange(48)
    for number, (axis, segment) in enumerate(zip(axes, segments, strict=False)):
        colour = PALETTE[number % len(PALETTE)]
        shapes = members.loc[(segment_ids == segment.segment_id).to_numpy(), HOUR_NAMES].to_numpy()
        centre = np.array(segment.centre)
        for half in (slice(0, 24), slice(24, 48)):
            if len(shapes):
                lower, upper = np.percentile(shapes[:, half], BAND_PERCENTILES, axis=0)
                axis.fill_between(hours[half], lower, upper, color=colour, alpha=0.18, linewidth=0)
            axis.plot(hours[half], centre[half], color=colour, linewidth=2)
        axis.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        axis.axvline(23.5, color=GREY, linewidth=0.8)
        axis.set_xticks([0, 6, 12, 18, 24, 30, 36, 42], ["0", "6", "12", "18", "0", "6", "12", "18"])
        axis.set_ylim(0, None)
        axis.set_title(f"{_title(segment)}\n{segment.customers_count:,} customers", fontsize=9, loc="left")
    for axis in axes[len(segments) :]:
        axis.set_axis_off()
    figure.supxlabel("hour of the working day | hour of the weekend", fontsize=9)
    figure.supylabel("power / daily mean", fontsize=9)
    return to_png(figure)


def daily_patterns(segments: Sequence[Segment], members: pd.DataFrame, segment_ids: pd.Series) -> bytes:
    """Draw how seasons and rest days differ in level: the centre over the middle 80 % of the members.

    Args:
        segments: Segments of customers with daily readings.
        members: Rows with shapes.
        segment_ids: Segment of each row.
    """
    columns_count = min(3, len(segments))
    rows_count = -(-len(segments) // columns_count)
    figure, axes = new_figure(4.2 * columns_count, 2.7 * rows_count, columns_count, rows_count)
    positions = np.arange(len(DAILY_SPACE.names))
    for number, (axis, segment) in enumerate(zip(axes, segments, strict=False)):
        colour = PALETTE[number % len(PALETTE)]
        shapes = members.loc[(segment_ids == segment.segment_id).to_numpy(), list(DAILY_SPACE.names)].to_numpy()
        centre = np.array(segment.centre)
        axis.bar(positions, centre, color=colour, alpha=0.6)
        if len(shapes):
            known = np.where(np.isnan(shapes), centre, shapes)
            axis.vlines(positions, *np.percentile(known, BAND_PERCENTILES, axis=0), color=GREY)
        axis.axhline(0.0, color=GREY, linewidth=0.8)
        axis.set_xticks(positions, ["summer", "winter", "rest days\nmild", "rest days\nsummer", "rest days\nwinter"])
        axis.tick_params(axis="x", labelsize=7)
        axis.set_title(f"{_title(segment)}\n{segment.customers_count:,} customers", fontsize=9, loc="left")
    for axis in axes[len(segments) :]:
        axis.set_axis_off()
    figure.supylabel("difference / mean of both", fontsize=9)
    return to_png(figure)


def segment_sizes(segments: Sequence[Segment]) -> bytes:
    """Draw the number of customers of every segment."""
    figure, (axis,) = new_figure(7.0, 0.42 * len(segments) + 1.0)
    positions = np.arange(len(segments))[::-1]
    colours = [BLUE if segment.group.startswith("R") else ORANGE for segment in segments]
    bars = axis.barh(positions, [segment.customers_count for segment in segments], color=colours, height=0.65)
    axis.bar_label(bars, [f"{one.customers_count:,} ({one.share:.0%})" for one in segments], padding=4, fontsize=8)
    axis.set_yticks(positions, [f"{segment.segment_id}  {segment.name}" for segment in segments], fontsize=8)
    axis.set_xlim(0, 1.18 * max(1, *(segment.customers_count for segment in segments)))
    axis.set_xlabel("customers (share of the group)")
    axis.grid(visible=False, axis="y")
    return to_png(figure)


def choice_of_k(solutions: Mapping[str, Solution], minimum_stability: float) -> bytes:
    """Draw, for every method and number of segments tried, the silhouette and the stability with its interval."""
    figure, axes = new_figure(8.0, 3.2 * len(solutions), 2, len(solutions))
    for row, (group, solution) in enumerate(solutions.items()):
        left, right = axes[2 * row : 2 * row + 2]
        for number, (method, name) in enumerate(METHOD_NAMES.items()):
            tried = [one for one in solution.candidates if one.method == method]
            # Moved apart, so that the intervals of methods that agree can be told from each other.
            counts = np.array([one.segments_count for one in tried]) + 0.12 * (number - 1)
            colour = PALETTE[number]
            left.plot(counts, [one.silhouette for one in tried], color=colour, marker="o", label=name)
            means = np.array([one.stability.mean for one in tried])
            lower = means - [one.stability.lower for one in tried]
            upper = np.array([one.stability.upper for one in tried]) - means
            # The distribution over half-samples is skewed, so its mean may lie outside of a narrow quantile range.
            spread = np.clip(np.stack([lower, upper]), 0, None)
            right.errorbar(counts, means, yerr=spread, color=colour, marker="o", capsize=3, label=name)
        left.set_title(f"{GROUP_NAMES[group]}: silhouette", fontsize=10, loc="left")
        left.legend(fontsize=8)
        right.axhline(minimum_stability, color=RED, linewidth=1, linestyle="--")
        right.set_title(f"{GROUP_NAMES[group]}: stability (adjusted Rand index)", fontsize=10, loc="left")
        right.set_ylim(0, 1.05)
        for axis in (left, right):
            axis.axvline(solution.chosen.segments_count, color=ORANGE, linewidth=6, alpha=0.25)
            axis.set_xticks(sorted({one.segments_count for one in solution.candidates}))
            axis.set_xlabel("segments")
    return to_png(figure)


def _title(segment: Segment) -> str:
    title = f"{segment.segment_id}  {segment.name}"
    return title if len(title) <= TITLE_LENGTH_MAX else title[: TITLE_LENGTH_MAX - 1] + "…"
