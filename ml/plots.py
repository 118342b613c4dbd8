"""Plots with one look and reproducible bytes.

Figures are drawn without pyplot: no global state, so plots can be made in any thread. Text is English (fonts for
Chinese are not everywhere; the pages carry the Chinese captions).
"""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#2563a8"
ORANGE = "#d9822b"
GREY = "#7c8794"
GREEN = "#3a8f5c"
RED = "#c0473f"
INK = "#1f2933"
GRID = "#e3e7ec"
PALETTE = (BLUE, ORANGE, GREEN, "#7d5ba6", RED, "#3aa6a6", "#b08d2f", GREY)


def new_figure(width: float = 6.0, height: float = 4.0, columns: int = 1, rows: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return a figure and its axes in the common style.

    Args:
        width: Width in inches.
        height: Height in inches.
        columns: Axes beside each other.
        rows: Axes above each other.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        style(axis)
    return figure, axes


def style(axis: "Axes") -> None:
    """Give axes the common look: light grid, no box, dark grey text."""
    axis.grid(visible=True, color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color("#b6bec8")
    axis.tick_params(colors=INK, labelsize=9, length=3, color="#b6bec8")
    axis.xaxis.label.set_color(INK)
    axis.yaxis.label.set_color(INK)
    axis.title.set_color(INK)


def to_png(figure: "Figure") -> bytes:
    """Return the figure as PNG bytes that depend on the figure only."""
    buffer = io.BytesIO()
    # Without this matplotlib writes its version into the file.
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
