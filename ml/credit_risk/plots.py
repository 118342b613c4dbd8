"""Plots of a credit-risk evaluation, as PNG bytes."""

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml.columns import by_name
from ml.credit_risk.schema import DIMENSIONS, FEATURES, RATINGS
from ml.evaluation import Evaluation, FloatArray
from ml.plots import BLUE, GREY, INK, ORANGE, PALETTE, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_CHARACTERS = 44
"""Characters of one line of an axis label; two lines fit beside a row of dots."""
DIMENSION_COLORS = dict(zip(DIMENSIONS, PALETTE, strict=False))


def ranking_plot(probabilities: FloatArray, baseline_scores: dict[str, FloatArray], labels: FloatArray) -> bytes:
    """Return ROC and precision-recall curves of the model and its baselines."""
    figure, (roc, precision_recall) = new_figure(9.5, 4.2, columns=2)
    names = {
        "scorecard": ("scorecard", "#4f8f6f"),
        "boosted_trees": ("boosted trees", "#4f8f6f"),
        "last_status": ("overdue balance", GREY),
        "late_bill_count": ("late bills", "#b08d2f"),
        "logistic_dimensions": ("logistic", ORANGE),
    }
    curves = [("model", probabilities, BLUE, 2.2)]
    curves += [(names[name][0], scores, names[name][1], 1.4) for name, scores in baseline_scores.items()]
    for name, scores, color, width in reversed(curves):
        false_alarms, caught, precision = _curve(scores, labels)
        roc.plot(100 * false_alarms, 100 * caught, color=color, linewidth=width, label=name)
        precision_recall.plot(100 * caught[1:], 100 * precision[1:], color=color, linewidth=width, label=name)
    roc.plot([0, 100], [0, 100], color=GREY, linewidth=0.8, linestyle=":")
    roc.set(xlabel="good payers flagged (%)", ylabel="defaults caught (%)", title="Ranking: who is flagged first")
    handles, texts = roc.get_legend_handles_labels()
    roc.legend(handles[::-1], texts[::-1], frameon=False, fontsize=9, loc="lower right")
    base = 100 * labels.mean()
    precision_recall.axhline(base, color=GREY, linewidth=0.8, linestyle=":")
    precision_recall.annotate(f"by chance {base:.1f} %", (0, base), ha="left", va="bottom", fontsize=8, color=INK)
    precision_recall.set(
        xlabel="defaults caught (%)", ylabel="flagged that default (%)", title="Precision of the flags", ylim=(0, 102)
    )
    return to_png(figure)


def reliability_plot(evaluation: Evaluation, probabilities: FloatArray) -> bytes:
    """Return predicted against observed default rates by tenth, above the distribution of the predictions."""
    table = next(table for table in evaluation.tables if table.name == "reliability")
    counts = np.array([float(row[1] or 0) for row in table.rows])
    predicted = np.array([float(row[2] or 0) for row in table.rows])
    observed = np.array([float(row[3] or 0) for row in table.rows])
    error = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 0.25 / counts) / counts)
    figure, (axis, histogram) = new_figure(9.5, 4.2, columns=2)
    top = 100 * max(predicted.max(), (observed + error).max()) * 1.05
    axis.plot([0, top], [0, top], color=GREY, linewidth=0.9, linestyle=":")
    axis.errorbar(
        100 * predicted,
        100 * observed,
        yerr=100 * np.vstack([np.minimum(error, observed), error]),
        fmt="o",
        color=BLUE,
        ecolor="#9dbcdc",
        markersize=5,
        capsize=2,
    )
    axis.set(
        xlabel="predicted (%)",
        ylabel="observed (%)",
        title="Calibration, ten equal groups",
        xlim=(-0.02 * top, top),
        ylim=(-0.02 * top, top),
    )
    histogram.hist(100 * probabilities, bins=40, color=BLUE, alpha=0.85)
    histogram.set_yscale("log")
    histogram.set(xlabel="probability of default (%)", ylabel="snapshots", title="How sure the model is")
    return to_png(figure)


def rating_plot(evaluation: Evaluation) -> bytes:
    """Return size and default rate of every rating."""
    table = next(table for table in evaluation.tables if table.name == "ratings")
    shares = [100 * float(row[2] or 0) for row in table.rows]
    figure, (sizes, rates) = new_figure(9.5, 3.8, columns=2)
    positions = np.arange(len(RATINGS))
    bars = sizes.bar(positions, shares, color=BLUE, width=0.7)
    sizes.bar_label(bars, [f"{share:.0f}" for share in shares], fontsize=8, color=INK, padding=2)
    sizes.set(title="Customers by rating", ylabel="share of snapshots (%)")
    for shift, column, color, label in ((-0.18, 3, "#9dbcdc", "predicted"), (0.18, 4, ORANGE, "observed")):
        known = [(p, 100 * rate) for p, row in enumerate(table.rows) if isinstance(rate := row[column], float)]
        rates.bar([p + shift for p, _ in known], [rate for _, rate in known], width=0.36, color=color, label=label)
    rates.set(title="Default rate by rating", ylabel="defaults (%)")
    rates.legend(frameon=False, fontsize=9, loc="upper left")
    for axis in (sizes, rates):
        axis.set_xticks(positions, RATINGS)
        axis.set_xlim(-0.6, len(RATINGS) - 0.4)
        axis.grid(visible=False, axis="x")
    return to_png(figure)


def effects_plot(
    effects: np.ndarray, importances: list[tuple[str, float]], rows: pd.DataFrame, count: int = 12
) -> bytes:
    """Return the distribution of the effects of the strongest inputs, coloured by the value of the input."""
    from matplotlib.colors import LinearSegmentedColormap

    shown = [name for name, share in importances[:count] if share > 0][::-1]
    names = [column.name for column in FEATURES]
    columns = by_name(FEATURES)
    figure, (axis,) = new_figure(9.5, 0.9 + 0.42 * max(len(shown), 3))
    colors = LinearSegmentedColormap.from_list("value", ["#8fb4d9", BLUE, "#7d5ba6", "#c0473f"])
    generator = np.random.default_rng(0)
    for position, name in enumerate(shown):
        values = effects[:, names.index(name)]
        jitter = generator.uniform(-0.28, 0.28, len(values))
        shade = _ranks(rows[name]) if columns[name].kind == "numeric" else np.full(len(values), np.nan)
        known = ~np.isnan(shade)
        axis.scatter(values[~known], position + jitter[~known], s=5, color="#c3cad3", linewidths=0, rasterized=True)
        axis.scatter(
            values[known], position + jitter[known], s=5, c=shade[known], cmap=colors, vmin=0, vmax=1, linewidths=0
        )
    axis.axvline(0, color=INK, linewidth=0.8)
    lines = [wrap(columns[name].description, LABEL_CHARACTERS, max_lines=2, placeholder=" …") for name in shown]
    axis.set_yticks(range(len(shown)), ["\n".join(label) for label in lines], fontsize=8)
    axis.grid(visible=False, axis="y")
    axis.set(xlabel="effect on the log odds of a default (right: more risk)", title="What moves the score")
    _value_scale(axis)
    return to_png(figure)


def _value_scale(axis: "Axes") -> None:
    axis.annotate(
        "one dot = one snapshot;  light blue = low value, red = high value, grey = missing or category",
        (0.0, -0.02),
        xycoords="axes fraction",
        xytext=(0, -34),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )


def _ranks(values: pd.Series) -> FloatArray:
    """Return the rank of each value between 0 and 1; missing values stay missing."""
    return np.asarray(values.astype("float64").rank(pct=True), dtype=np.float64)


def _curve(scores: FloatArray, labels: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return share of good flagged, share of bad caught and precision, from the strictest to the laxest threshold."""
    order = np.argsort(-scores, kind="stable")
    ordered, outcomes = scores[order], labels[order]
    last = np.concatenate([np.flatnonzero(ordered[1:] != ordered[:-1]), [len(ordered) - 1]])
    bad, good = np.cumsum(outcomes)[last], np.cumsum(1 - outcomes)[last]
    precision = bad / (bad + good)
    return (
        np.concatenate([[0], good / max(good[-1], 1)]),
        np.concatenate([[0], bad / max(bad[-1], 1)]),
        np.concatenate([[1], precision]),
    )
