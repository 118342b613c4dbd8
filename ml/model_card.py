"""The model card: one HTML page that a model owner can read, print and send, with no file beside it.

The texts come from the use case, every number from the evaluation and the manifest. English leads, Chinese follows
in the second line; plots are embedded; the page follows the reader's light or dark setting.
"""

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.columns import Column
from ml.evaluation import Evaluation, Metric
from ml.gate import GateDecision
from ml.stored_words import criterion_words, decision_words, requirement_title, stored
from ml.wording import (
    METRIC_TITLES,
    PART_TITLES,
    Bilingual,
    aspect_title,
    criterion_title,
    decimals_of,
    metric_title,
    number_text,
    part_title,
    slice_title,
    unit_text,
)

TEMPLATE = "model_card.html.j2"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardFigure(_Frozen):
    """A plot of the bundle and what it shows.

    Attributes:
        plot: File name of the plot.
        title: Heading.
        caption: What the reader should see in it.
        is_wide: Whether it takes the whole width.
    """

    plot: str
    title: Bilingual
    caption: Bilingual = Bilingual(en="")
    is_wide: bool = False


class Importance(_Frozen):
    """How much one input moves the predictions.

    Attributes:
        column: Name of the input.
        share: Share of the total effect, 0 to 1.
    """

    column: str
    share: float


class ModelCard(_Frozen):
    """Texts of a model card; the numbers are taken from the evaluation.

    Attributes:
        title: What the model answers.
        purpose: What it is for, in two or three sentences.
        key_figure: What the key figure means.
        intended_uses: What to use it for.
        excluded_uses: What not to use it for.
        method: How it works, step by step.
        data: Where the rows come from and which were left out.
        limits: What it cannot do and when to distrust it.
        figures: Plots in the order of the page.
        importances: Inputs by effect, largest first.
        currency: ISO 4217 code of all amounts; empty leaves them without.
    """

    # Cards of earlier bundles hold titles of figures too, which are now in ml.wording.
    model_config = ConfigDict(frozen=True, extra="ignore")

    title: Bilingual
    purpose: Bilingual
    key_figure: Bilingual
    intended_uses: tuple[Bilingual, ...] = ()
    excluded_uses: tuple[Bilingual, ...] = ()
    method: tuple[Bilingual, ...] = ()
    data: tuple[Bilingual, ...] = ()
    limits: tuple[Bilingual, ...] = ()
    figures: tuple[CardFigure, ...] = ()
    importances: tuple[Importance, ...] = ()
    currency: str = ""


def render_model_card(
    card: ModelCard,
    *,
    manifest: Mapping[str, Any],
    evaluation: Evaluation,
    plots: Mapping[str, bytes],
    features: Sequence[Column],
    predictions: Sequence[Column],
    gate: GateDecision | None = None,
) -> str:
    """Return the card as one self-contained HTML page.

    Args:
        card: Texts.
        manifest: Manifest of the bundle, as JSON types.
        evaluation: Figures.
        plots: PNG files by name.
        features: Inputs of the model.
        predictions: Outputs of the model.
        gate: The gate's decision; before it is made, the card says so.
    """
    overall = [metric for metric in evaluation.metrics if metric.slice_column is None]
    slice_columns = list(dict.fromkeys(m.slice_column for m in evaluation.metrics if m.slice_column is not None))
    return _template().render(
        card=card,
        manifest=manifest,
        evaluation=evaluation,
        gate=gate,
        overall=overall,
        row_counts=sorted(manifest["rows"].items(), key=lambda entry: _part_order(entry[0])),
        slice_tables=[_slice_table(evaluation, column) for column in slice_columns],
        comparison=_comparison_rows(evaluation),
        figures=[(figure, _data_uri(plots[figure.plot])) for figure in card.figures if figure.plot in plots],
        features=features,
        feature_by_name={column.name: column for column in features},
        predictions=predictions,
        currency=card.currency,
    )


def number(value: str | int | float | None, unit: str = "") -> str:
    """Return a value of a table or tile as a reader wants it: few digits, whole numbers whole, a dash when missing."""
    if isinstance(value, str):
        return value
    is_whole = isinstance(value, int) or (value is not None and abs(value) >= 1 and value.is_integer())
    return number_text(value, 0 if is_whole or value is None else decimals_of(value), unit)


def figure_text(metric: Metric, unit: str | None = None, *, signed: bool = False) -> str:
    """Return the value of a figure with the decimals that the ends of its interval are printed with; counts are whole.

    Args:
        metric: The figure.
        unit: Unit to print; that of the figure if None.
        signed: Whether a positive value shows its sign, as differences do.
    """
    shown = metric.unit if unit is None else unit
    if metric.name.endswith("_count"):
        return number(metric.value, shown)
    if metric.value is None:
        return number(None)
    return number_text(metric.value, decimals_of(metric.value), shown, signed=signed)


def interval_text(metric: Metric, *, signed: bool = False) -> str:
    """Return the interval of a figure with the decimals of its value; empty when it has none."""
    if metric.value is None or metric.lower is None or metric.upper is None:
        return ""
    decimals = decimals_of(metric.value)
    ends = [number_text(end, decimals, signed=signed) for end in (metric.lower, metric.upper)]
    return (" to " if signed or metric.lower < 0 else " – ").join(ends)


def _slice_table(evaluation: Evaluation, column: str) -> dict[str, Any]:
    """Return the figures of one slice column, one row per value, one column per metric."""
    metrics = [metric for metric in evaluation.metrics if metric.slice_column == column]
    metric_names = list(dict.fromkeys(metric.name for metric in metrics))
    values = list(dict.fromkeys(metric.slice_value for metric in metrics))
    cells = {(metric.slice_value, metric.name): metric for metric in metrics}
    rows = [
        {
            "value": value,
            "rows": max((m.rows or 0) for m in metrics if m.slice_value == value),
            "cells": [cells.get((value, name)) for name in metric_names],
        }
        for value in values
    ]
    return {"column": column, "metrics": metric_names, "rows": rows}


def _comparison_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the model and its baselines on one scale, as positions in percent for the interval plot."""
    entries: list[tuple[str, Metric, Any]] = [("model", evaluation.key_metric, None)]
    entries += [(comparison.name, comparison.metric, comparison) for comparison in evaluation.baselines]
    ends = [end for _, metric, _ in entries for end in (metric.value, metric.lower, metric.upper) if end is not None]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = (high - low) * 0.08 or abs(high) * 0.08 or 1.0
    low, high = low - margin, high + margin

    def position(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / (high - low), 2)

    return [
        {
            "name": name,
            "metric": metric,
            "comparison": comparison,
            "value": position(metric.value),
            "lower": position(metric.lower),
            "upper": position(metric.upper),
        }
        for name, metric, comparison in entries
    ]


def _part_order(part: str) -> tuple[int, str]:
    """Return where a part of the rows is shown: the known ones in the order of their use, others after them."""
    known = list(PART_TITLES)
    return (known.index(part) if part in known else len(known), part)


def _column_title(column: str) -> Bilingual:
    """Return the heading of a table's column, which may be the name of a figure."""
    return METRIC_TITLES.get(column) or Bilingual(en=column)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


@cache
def _template() -> Any:
    # jinja2 is imported here because schemas and bundles are read by servers that never render a card.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, figure=figure_text, ends=interval_text)
    environment.globals.update(
        metric_title=metric_title,
        slice_title=slice_title,
        part_title=part_title,
        aspect_title=aspect_title,
        criterion_title=criterion_title,
        column_title=_column_title,
        unit_text=unit_text,
        stored=stored,
        decision_words=decision_words,
        criterion_words=criterion_words,
        requirement_title=requirement_title,
    )
    return environment.get_template(TEMPLATE)
