"""What the assets show in the Dagster UI: figures, plots and links. Formatting only; no calculation."""

import base64
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml.wording import baseline_title, criterion_title, decimals_of, metric_title, number_text
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import pandas as pd

    from ml.bundle import Bundle
    from ml.evaluation import Evaluation, Metric
    from ml.gate import GateDecision
    from ml.tariff_matching.price_simulation import PriceSimulation
    from orchestration.column_lineage import Lineage, SourceColumn

# Plots travel in the event log; a larger one stays in the model card.
LARGEST_PLOT_BYTES = 150_000
# A share of a daily profile is computed from dozens of columns; Dagster's own entry names them all.
_SOURCES_SHOWN = 12


def report_link(settings: PlatformSettings, path: Path) -> dg.MetadataValue:
    """Return the address of a report on the model owners' site (`make reports` serves it)."""
    return dg.MetadataValue.url(f"{settings.reports_url}/{path.relative_to(settings.reports_dir).as_posix()}")


def table_value(records: Sequence[dg.TableRecord]) -> dg.MetadataValue:
    """Return a table, or the word none: Dagster refuses a table without rows."""
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none")


def column_lineage_metadata(lineage: "Lineage") -> dict[str, Any]:
    """Return which columns of its parents each column of a table is computed from.

    Once as Dagster's own entry, which its API serves but only Dagster+ draws, and once as a table for everybody.
    """
    edges = {
        column: [
            dg.TableColumnDep(asset_key=dg.AssetKey([source.schema, source.table]), column_name=source.column)
            for source in sources
        ]
        for column, sources in lineage.items()
    }
    records = [
        dg.TableRecord({"column": column, "computed_from": _sources_sentence(sources)})
        for column, sources in lineage.items()
    ]
    return {"dagster/column_lineage": dg.TableColumnLineage(edges), "column_lineage": table_value(records)}


def _sources_sentence(sources: Sequence["SourceColumn"]) -> str:
    """Return sources by parent, in their order: staging/bills: amount, due_date; staging/payments: amount."""
    parents = groupby(sources[:_SOURCES_SHOWN], key=lambda source: f"{source.schema}/{source.table}")
    shown = "; ".join(f"{parent}: {', '.join(source.column for source in columns)}" for parent, columns in parents)
    return f"{shown} and {len(sources) - _SOURCES_SHOWN} more" if len(sources) > _SOURCES_SHOWN else shown


def figure_with_interval(metric: "Metric") -> str:
    """Return a figure as a person writes it: 0.831 (0.812 to 0.849)."""
    if metric.value is None:
        return "not available"
    decimals = decimals_of(metric.value)
    text = number_text(metric.value, decimals, metric.unit)
    if metric.lower is None or metric.upper is None:
        return text
    return f"{text} ({number_text(metric.lower, decimals)} to {number_text(metric.upper, decimals)})"


def key_figure_sentence(evaluation: "Evaluation") -> str:
    """Return the key figure with its interval, beside the best of the baselines."""
    key = evaluation.key_metric
    sentence = f"{metric_title(key.name).en} {figure_with_interval(key)}"
    judged = [baseline for baseline in evaluation.baselines if baseline.metric.value is not None]
    if not judged:
        return sentence
    nearest = min(judged, key=lambda baseline: baseline.difference.value or 0.0)
    return f"{sentence}, best baseline {baseline_title(nearest.name).en} {figure_with_interval(nearest.metric)}"


def evaluation_metadata(evaluation: "Evaluation", decision: "GateDecision") -> dict[str, dg.MetadataValue]:
    """Return the key figure, the comparison with the baselines and the gate's criteria."""
    baselines = [
        dg.TableRecord(
            {
                "baseline": baseline_title(baseline.name).en,
                "baseline_figure": figure_with_interval(baseline.metric),
                "improvement": figure_with_interval(baseline.difference),
            }
        )
        for baseline in evaluation.baselines
    ]
    criteria = [
        dg.TableRecord(
            {
                "criterion": criterion_title(criterion.name).en,
                "passed": {True: "yes", False: "no", None: "missing"}[criterion.passed],
                "observed": criterion.observed,
                "required": criterion.required,
            }
        )
        for criterion in decision.criteria
    ]
    return {
        "decision": dg.MetadataValue.text(decision.reason),
        "key_figure": dg.MetadataValue.text(key_figure_sentence(evaluation)),
        "held_out": dg.MetadataValue.text(evaluation.holdout_description),
        "baselines": table_value(baselines),
        "gate": table_value(criteria),
    }


def plot_metadata(bundle: "Bundle") -> dict[str, dg.MetadataValue]:
    """Return the bundle's plots as pictures that the UI shows."""
    return pictures(bundle.plots())


def simulation_metadata(simulation: "PriceSimulation", plots: Mapping[str, bytes]) -> dict[str, dg.MetadataValue]:
    """Return the key figures of a price simulation, who wins and loses by class, and its plots."""
    from ml.tariff_matching.price_simulation_report import key_figures

    figures = key_figures(simulation)
    groups = simulation.outcomes[0].groups
    by_class = [
        dg.TableRecord(
            {
                "customer_class": str(row["value"]),
                "affected": int(row["affected_count"]),
                "winners": int(row["winners_count"]),
                "losers": int(row["losers_count"]),
                "change_of_revenue": f"{row['change_amount']:,.2f} {simulation.currency}",
            }
        )
        for row in groups[groups["dimension"] == "customer_class"].to_dict("records")
    ]
    response = simulation.outcomes[-1].elasticities.name
    return {
        "revenue": dg.MetadataValue.text(
            f"{figures['revenue_change_amount']:+,.2f} {simulation.currency} a year "
            f"({figures['revenue_change_pct']:+.3f} %) without response"
        ),
        "customers": dg.MetadataValue.text(
            f"{figures['affected_count']:,} of {figures['customers_count']:,} affected: {figures['winners_count']:,} "
            f"win, {figures['losers_count']:,} lose; median change of a bill {figures['median_change_pct']:+.2f} %"
        ),
        "peak": dg.MetadataValue.text(
            f"{figures['peak_change_kw']:+,.2f} kW of {figures['peak_before_kw']:,.1f} kW with response `{response}`"
        ),
        "by_class": table_value(by_class),
        **pictures(plots),
    }


def frame_value(frame: "pd.DataFrame") -> dg.MetadataValue:
    """Return a small frame as a table; figures are rounded as a person writes them."""
    return table_value(
        [
            dg.TableRecord(
                {str(name): round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
            )
            for row in frame.to_dict("records")
        ]
    )


def pictures(plots: Mapping[str, bytes]) -> dict[str, dg.MetadataValue]:
    """Return plots as pictures that the UI shows."""
    return {
        f"plot_{Path(name).stem}": dg.MetadataValue.md(
            f"![{Path(name).stem}](data:image/png;base64,{base64.b64encode(content).decode()})"
        )
        for name, content in sorted(plots.items())
        if len(content) <= LARGEST_PLOT_BYTES
    }
