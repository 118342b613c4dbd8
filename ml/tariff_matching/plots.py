"""Plots of the tariff matcher's model card."""

import numpy as np

from ml.evaluation import Metric
from ml.plots import BLUE, GREEN, GREY, INK, ORANGE, RED, new_figure, to_png
from ml.tariff_matching.backtest import POLICIES, Fitted
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.evaluation import KEY_METRIC, POLICY_NAMES

SHOWN_PERCENTILES = (1, 99)
SHOWN_SLICES = (None, "customer_class", "decision_month", "load_basis")
COVERAGES = {"interval_coverage": "saving", "bill_interval_coverage": "bill"}


def back_test_bars(metrics: list[Metric]) -> bytes:
    """Draw, by policy, the share of the attainable saving that was captured and the share of customers harmed."""
    figure, axes = new_figure(9.0, 3.0, 2, 1)
    for axis, name, title, decimals in (
        (axes[0], KEY_METRIC, "captured share of the attainable saving", 1),
        (axes[1], "harmed_share", "share of customers made worse off", 2),
    ):
        for position, policy in enumerate(reversed(POLICIES)):
            label = POLICY_NAMES[policy][0]
            metric = next(m for m in metrics if m.name == name and m.slice_value == label)
            if metric.value is None:
                continue
            axis.barh(position, metric.value, color=BLUE if policy == "model" else GREY, height=0.6)
            if metric.lower is not None and metric.upper is not None:
                axis.plot([metric.lower, metric.upper], [position, position], color=INK, linewidth=1.5)
            end = max(metric.value, metric.upper or metric.value, 0.0)
            text = f"{metric.value:.{decimals}%}"
            axis.annotate(text, (end, position), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axis.set_title(title, fontsize=10, loc="left")
        axis.margins(x=0.16)
        # Where nobody is harmed, the axis must not run to both sides of nothing.
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]) if axis.dataLim.xmin < 0 else 0.0)
        axis.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(POLICIES)), [POLICY_NAMES[policy][0] for policy in reversed(POLICIES)])
    axes[1].set_yticks(range(len(POLICIES)), [""] * len(POLICIES))
    return to_png(figure)


def saving_distribution(fitted: Fitted) -> bytes:
    """Draw foretold and realised savings of the customers who were advised to change, in percent of the bill.

    In money a few large customers would push all others into one corner.
    """
    figure, (left, right) = new_figure(9.0, 3.6, 2, 1)
    told = fitted.main.foretold
    rows = np.flatnonzero(told.is_switch)
    bill = np.maximum(np.abs(told.bill["happened"].to_numpy()[rows]), 1.0)
    foretold = 100 * told.saving["expected"].to_numpy()[rows] / bill
    realised = 100 * told.saving["happened"].to_numpy()[rows] / bill
    if len(rows):
        both = np.concatenate([foretold, realised])
        low, high = np.percentile(both, SHOWN_PERCENTILES)
        left.scatter(foretold, realised, s=8, color=BLUE, alpha=0.4, linewidths=0)
        left.plot([low, high], [low, high], color=GREY, linewidth=1)
        left.axhline(0, color=RED, linewidth=1, linestyle="--")
        left.set_xlim(low, high)
        left.set_ylim(low, high)
        bins = np.linspace(low, high, 40).tolist()
        right.hist(foretold, bins, color=GREY, alpha=0.6, label="foretold")
        right.hist(realised, bins, color=BLUE, alpha=0.6, label="realised")
        right.axvline(0, color=RED, linewidth=1, linestyle="--")
        right.legend(frameon=False, fontsize=9)
    left.set_xlabel("foretold saving, % of the bill")
    left.set_ylabel("realised saving, % of the bill")
    right.set_xlabel("saving, % of the bill")
    right.set_ylabel("customers")
    left.set_title(f"{len(rows):,} customers advised to change", fontsize=10, loc="left")
    return to_png(figure)


def interval_coverage(metrics: list[Metric], config: TariffMatchingConfig) -> bytes:
    """Draw the coverage of the promised intervals of saving and bill, overall, by class, decision and what is known."""
    shown = [m for m in metrics if m.name in COVERAGES and m.slice_column in SHOWN_SLICES]
    figure, (axis,) = new_figure(6.5, 0.25 * len(shown) + 1.1)
    for position, metric in enumerate(reversed(shown)):
        if metric.value is None:
            continue
        colour = BLUE if metric.slice_column is None else GREEN if metric.name == "interval_coverage" else ORANGE
        if metric.lower is not None and metric.upper is not None:
            axis.plot([metric.lower, metric.upper], [position, position], color=colour, linewidth=2, alpha=0.5)
        axis.plot([metric.value], [position], marker="o", color=colour)
    axis.axvline(config.interval_level, color=RED, linewidth=1, linestyle="--")
    labels = [
        f"{COVERAGES[metric.name]}, {metric.slice_value or 'all'} ({metric.rows:,})" for metric in reversed(shown)
    ]
    axis.set_yticks(range(len(shown)), labels, fontsize=8)
    axis.set_xlim(0.4, 1.0)
    axis.set_xlabel(f"share inside the {config.interval_level:.0%} interval")
    return to_png(figure)
