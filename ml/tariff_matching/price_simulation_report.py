"""The report of a price simulation: one HTML page with plots, and tables for those who go on calculating.

The page needs no file beside it, follows the reader's light or dark setting, and leads in English with Chinese
headings, as model cards do. It names customers by their key only.
"""

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.plots import GREY, INK, PALETTE, new_figure, to_png
from ml.tariff_matching.price_simulation import Outcome, PriceSimulation
from ml.wording import Bilingual, number_text

TEMPLATE_DIRECTORY = Path(__file__).parents[1] / "templates"
TEMPLATE = "price_simulation.html.j2"

CUSTOMERS_PLOT = "customers.png"
PEAK_PLOT = "peak.png"
_SHOWN_PERCENTILES = (1, 99)
_BINS_COUNT = 40
_TICK_SLOTS = 4

DIMENSION_TITLES: Mapping[str, Bilingual] = {
    "all": Bilingual(en="All customers", zh="全部客户"),
    "customer_class": Bilingual(en="By customer class", zh="按用电类别"),
    "voltage_level": Bilingual(en="By voltage level", zh="按电压等级"),
    "segment": Bilingual(en="By segment", zh="按客群"),
    "present_tariff_id": Bilingual(en="By present tariff", zh="按现行电价"),
}

MODE_TITLES: Mapping[str, Bilingual] = {
    "replace": Bilingual(en="the new version replaces the present one", zh="新版本替换现行版本"),
    "offer": Bilingual(en="offered beside the present tariffs", zh="作为可选电价推出"),
}


def key_figures(simulation: PriceSimulation) -> dict[str, float]:
    """Return the figures that stand for the whole result: without response, and the peak with the last response."""
    calm, last = simulation.outcomes[0], simulation.outcomes[-1]
    everybody = calm.groups.iloc[0]
    return {
        "revenue_before_amount": float(calm.revenue["before_amount"].iloc[-1]),
        "revenue_change_amount": calm.revenue_change_amount,
        "revenue_change_pct": float(calm.revenue["change_pct"].iloc[-1]),
        "customers_count": int(everybody["customers_count"]),
        "affected_count": int(everybody["affected_count"]),
        "winners_count": int(everybody["winners_count"]),
        "losers_count": int(everybody["losers_count"]),
        "median_change_pct": float(everybody["p50_change_pct"]),
        "peak_before_kw": float(_year_peak(last, "system")["before_kw"]),
        "peak_change_kw": float(_year_peak(last, "system")["peak_change_kw"]),
    }


def plots(simulation: PriceSimulation) -> dict[str, bytes]:
    """Return the plots of the page by file name."""
    return {CUSTOMERS_PLOT: _customers_plot(simulation), PEAK_PLOT: _peak_plot(simulation)}


def tables(simulation: PriceSimulation) -> dict[str, pd.DataFrame]:
    """Return the tables by name; each has the elasticity set of its rows in the column ``elasticity_set``."""
    names = ("customers", "revenue", "groups", "peak", "load")
    return {
        name: pd.concat(
            [
                getattr(outcome, name).assign(elasticity_set=outcome.elasticities.name)
                for outcome in simulation.outcomes
            ],
            ignore_index=True,
        )
        for name in names
    }


def render_report(simulation: PriceSimulation, name: str, images: Mapping[str, bytes]) -> str:
    """Return the page.

    Args:
        simulation: What to show.
        name: Name of the simulation, for the heading.
        images: The simulation's ``plots``.
    """
    dimensions = simulation.outcomes[0].groups["dimension"].unique()
    return _template().render(
        name=name,
        simulation=simulation,
        mode=MODE_TITLES[simulation.mode],
        calm=simulation.outcomes[0],
        figures=key_figures(simulation),
        summary=_summary(simulation),
        images={file: "data:image/png;base64," + base64.b64encode(png).decode() for file, png in images.items()},
        dimensions=[(dimension, DIMENSION_TITLES[dimension]) for dimension in dimensions],
        groups={
            outcome.elasticities.name: {
                dimension: _records(outcome.groups[outcome.groups["dimension"] == dimension])
                for dimension in dimensions
            }
            for outcome in simulation.outcomes
        },
        largest=_records(simulation.outcomes[0].largest),
        revenue=[(outcome, _records(outcome.revenue)) for outcome in simulation.outcomes],
        peaks=[(outcome, _records(outcome.peak)) for outcome in simulation.outcomes],
        unpriced=_records(simulation.unpriced),
    )


def _year_peak(outcome: Outcome, scope: str) -> dict[str, Any]:
    """Return the largest peak of the year before and after; it may move to another month."""
    rows = outcome.peak[outcome.peak["scope"] == scope]
    if rows.empty:
        return {"before_kw": np.nan, "after_kw": np.nan, "peak_change_kw": np.nan, "before": "", "after": ""}
    figures: dict[str, Any] = {}
    for moment in ("before", "after"):
        row = rows.loc[rows[f"{moment}_kw"].idxmax()]
        figures[f"{moment}_kw"] = row[f"{moment}_kw"]
        figures[moment] = f"{row['month']:%Y-%m} {row[f'{moment}_day_type']} {row[f'{moment}_time']}"
    figures["peak_change_kw"] = figures["after_kw"] - figures["before_kw"]
    return figures


def _summary(simulation: PriceSimulation) -> list[dict[str, Any]]:
    """Return one column of the comparison per assumption on response."""
    return [
        {
            "elasticities": outcome.elasticities,
            "revenue": outcome.revenue.iloc[-1].to_dict(),
            "everybody": outcome.groups.iloc[0].to_dict(),
            "system": _year_peak(outcome, "system"),
            "affected": _year_peak(outcome, "affected"),
        }
        for outcome in simulation.outcomes
    ]


def _customers_plot(simulation: PriceSimulation) -> bytes:
    """Draw how the change of the affected customers' bills is spread, in percent and by assumption."""
    figure, (axis,) = new_figure(6.0, 3.6)
    changes = [
        outcome.customers.loc[outcome.customers["is_affected"], "change_pct"].dropna().to_numpy()
        for outcome in simulation.outcomes
    ]
    together = np.concatenate(changes)
    if len(together):
        low, high = np.percentile(together, _SHOWN_PERCENTILES)
        bins = np.linspace(min(low, -0.1), max(high, 0.1), _BINS_COUNT + 1)
        for number, (outcome, change) in enumerate(zip(simulation.outcomes, changes, strict=True)):
            axis.hist(
                np.clip(change, bins[0], bins[-1]),
                bins.tolist(),
                histtype="stepfilled" if number == 0 else "step",
                color=GREY if number == 0 else PALETTE[number % len(PALETTE)],
                alpha=0.5 if number == 0 else 1.0,
                linewidth=1.5,
                label=f"response: {outcome.elasticities.name}",
            )
        axis.legend(frameon=False, fontsize=8)
    axis.axvline(0, color=INK, linewidth=1, linestyle="--")
    axis.set_xlabel("change of the yearly bill, % (left: customers who gain)")
    axis.set_ylabel("affected customers")
    return to_png(figure)


def _peak_plot(simulation: PriceSimulation) -> bytes:
    """Draw the load of the affected on the day of their largest peak, and the change of the system's peaks."""
    figure, (left, right) = new_figure(9.0, 3.4, 2, 1)
    calm = simulation.outcomes[0]
    affected = calm.peak[calm.peak["scope"] == "affected"]
    if len(affected):
        peak = affected.loc[affected["before_kw"].idxmax()]
        for number, outcome in enumerate(simulation.outcomes):
            day = outcome.load[
                (outcome.load["scope"] == "affected")
                & (outcome.load["month"] == peak["month"])
                & (outcome.load["day_type"] == peak["before_day_type"])
            ]
            if number == 0:
                left.plot(day["time"], day["before_kw"], color=GREY, linewidth=2.5, label="before")
            if not outcome.elasticities.is_zero:
                colour = PALETTE[number % len(PALETTE)]
                left.plot(day["time"], day["after_kw"], color=colour, label=f"response: {outcome.elasticities.name}")
            left.set_xticks(list(day["time"])[::_TICK_SLOTS])
        left.set_ylim(bottom=0)
        left.legend(frameon=False, fontsize=8)
        left.set_title(
            f"affected customers, {peak['before_day_type']} of {peak['month']:%Y-%m}", fontsize=10, loc="left"
        )
    left.set_ylabel("mean power, kW")
    drawn = list(enumerate(simulation.outcomes))
    # Without a response no load changes, so a bar of zero is drawn only where there is no other.
    drawn = [entry for entry in drawn if not entry[1].elasticities.is_zero] or drawn
    width = 0.8 / len(drawn)
    for place, (number, outcome) in enumerate(drawn):
        system = outcome.peak[outcome.peak["scope"] == "system"]
        positions = np.arange(len(system)) + (place - (len(drawn) - 1) / 2) * width
        colour = PALETTE[number % len(PALETTE)]
        right.bar(positions, system["change_kw"], width, color=colour, label=f"response: {outcome.elasticities.name}")
    right.axhline(0, color=INK, linewidth=0.8)
    right.set_xticks(range(len(simulation.load_months)), [f"{month:%m}" for month in simulation.load_months])
    right.set_xlabel("month")
    right.set_title("change of the system's monthly peak, kW", fontsize=10, loc="left")
    right.legend(frameon=False, fontsize=8)
    return to_png(figure)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _number(value: float | None, decimals: int = 0, unit: str = "", *, signed: bool = False) -> str:
    """Return a number for a reader, and a dash where there is none."""
    return number_text(None if value is None or pd.isna(value) else float(value), decimals, unit, signed=signed)


@cache
def _template() -> Any:
    # Imported here: servers read the schemas of this package and never render a page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_DIRECTORY),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number)
    return environment.get_template(TEMPLATE)
