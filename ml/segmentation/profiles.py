"""What a segment means to the supplier: size, energy, money, share of the peak, payment and service."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml.evaluation import EvaluationTable
from ml.segmentation.features import FloatArray
from ml.segmentation.schema import WEEKDAY_SHAPE


def working_day_load(rows: pd.DataFrame) -> FloatArray:
    """Return the mean power of every customer in the 24 hours of a working day [kW], zero where it is not known.

    Args:
        rows: Feature rows with ``mean_daily_kwh`` and the working-day shape.
    """
    shapes = rows[[column.name for column in WEEKDAY_SHAPE]].to_numpy(dtype=np.float64)
    return np.nan_to_num(rows["mean_daily_kwh"].to_numpy(dtype=np.float64)[:, None] / 24 * shapes)


def system_peak_hour(rows: pd.DataFrame) -> int | None:
    """Return the hour of the working day in which the customers together use most; ``None`` where none is known."""
    load = working_day_load(rows).sum(axis=0)
    return int(load.argmax()) if load.any() else None


def segment_profiles(rows: pd.DataFrame, segment_ids: Sequence[str]) -> pd.DataFrame:
    """Return one row per segment, ordered by identifier.

    Args:
        rows: Feature rows of one as-of month.
        segment_ids: Segment of each row.

    Returns:
        Indexed by segment_id: customers_count; its shares of all customers, of annual energy, of the amount billed in
        twelve months and of the load at the common peak hour (customers_share, energy_share, billed_share, peak_share);
        annual_kwh and billed_amount in total; amount_per_kwh; late_share, the share of the customers with a late bill
        in twelve months among those with bills; contacts_mean, contacts per customer in twelve months. NaN is
        not known.
    """
    peak_hour = system_peak_hour(rows)
    peak_kw = np.zeros(len(rows)) if peak_hour is None else working_day_load(rows)[:, peak_hour]
    billed = rows["billed_amount_12m_amount"].astype("float64")
    energy = rows["annual_kwh"].astype("float64")
    late = rows["late_bills_12m_count"].astype("float64")
    facts = pd.DataFrame(
        {
            "customers_count": 1,
            "annual_kwh": energy,
            "billed_amount": billed,
            "peak_kw": peak_kw,
            "paired_amount": billed.where(energy.notna()),
            "paired_kwh": energy.where(billed.notna()),
            "with_bills": late.notna().astype("float64"),
            "with_late_bills": (late > 0).astype("float64"),
            "contacts": rows["contacts_12m_count"].astype("float64"),
            "with_contacts_known": rows["contacts_12m_count"].notna().astype("float64"),
        }
    )
    sums = facts.groupby(pd.Index(np.asarray(segment_ids, dtype=object), name="segment_id")).sum()
    totals = sums.sum()
    return pd.DataFrame(
        {
            "customers_count": sums["customers_count"].astype(int),
            "customers_share": _ratio(sums["customers_count"], totals["customers_count"]),
            "annual_kwh": sums["annual_kwh"],
            "energy_share": _ratio(sums["annual_kwh"], totals["annual_kwh"]),
            "billed_amount": sums["billed_amount"],
            "billed_share": _ratio(sums["billed_amount"], totals["billed_amount"]),
            "amount_per_kwh": _ratio(sums["paired_amount"], sums["paired_kwh"]),
            "peak_share": _ratio(sums["peak_kw"], totals["peak_kw"]),
            "late_share": _ratio(sums["with_late_bills"], sums["with_bills"]),
            "contacts_mean": _ratio(sums["contacts"], sums["with_contacts_known"]),
        }
    )


def profile_table(rows: pd.DataFrame, segment_ids: Sequence[str], currency: str) -> EvaluationTable:
    """Return the profiles as a table of the model card.

    Args:
        rows: Feature rows of one as-of month.
        segment_ids: Segment of each row.
        currency: ISO 4217 code of the amounts.
    """
    profiles = segment_profiles(rows, segment_ids)
    peak_hour = system_peak_hour(rows)
    return EvaluationTable(
        name="profiles",
        title="What each segment means to the supplier",
        title_zh="各客群的经营画像",
        columns=(
            "id",
            "customers",
            "share of customers",
            "share of energy",
            "share of amount billed",
            "share of peak",
            f"{currency} per kWh",
            "with late bills",
            "contacts a year",
        ),
        rows=tuple(
            (
                str(identifier),
                int(one["customers_count"]),
                *(
                    None if np.isnan(one[name]) else round(float(one[name]), 4)
                    for name in (
                        "customers_share",
                        "energy_share",
                        "billed_share",
                        "peak_share",
                        "amount_per_kwh",
                        "late_share",
                        "contacts_mean",
                    )
                ),
            )
            for identifier, one in profiles.iterrows()
        ),
        note="Amounts billed and energy of twelve months."
        + (
            f" Share of peak: at {peak_hour:02d}:00 of a working day, when these customers together use most."
            if peak_hour is not None
            else ""
        ),
    )


def _ratio(part: pd.Series, whole: "pd.Series | float") -> "pd.Series":
    return part / (whole if isinstance(whole, pd.Series) else pd.Series(whole, index=part.index)).replace(0.0, np.nan)
