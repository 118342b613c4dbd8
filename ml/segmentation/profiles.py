"""What a segment means to the supplier: size, energy, money, share of the peak, payment and service."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from ml.evaluation import EvaluationTable
from ml.segmentation.features import FloatArray
from ml.segmentation.schema import WEEKDAY_SHAPE
from ml.splits import month_start

TARIFF_ID = "tariff_id"
TARIFFS_SHOWN_COUNT = 6
"""Most frequent tariffs that have a column of their own; the others count together."""


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
        rows: Feature rows of one as-of month; arrears and satisfaction may be absent.
        segment_ids: Segment of each row.

    Returns:
        Indexed by segment_id: customers_count; its shares of all customers, of annual energy, of the amount billed in
        twelve months and of the load at the common peak hour (customers_share, energy_share, billed_share, peak_share);
        annual_kwh and billed_amount in total; amount_per_kwh; late_share, the share of the customers with a late bill
        in twelve months among those with bills; arrears_share, the share of the customers with an amount past due and
        unpaid among those of whom it is known; contacts_mean, contacts per customer in twelve months;
        satisfaction_mean, the mean over the customers who rated a contact in twelve months, from 1 to 5, and
        rated_count, how many did. NaN is not known.
    """
    peak_hour = system_peak_hour(rows)
    peak_kw = np.zeros(len(rows)) if peak_hour is None else working_day_load(rows)[:, peak_hour]
    billed = rows["billed_amount_12m_amount"].astype("float64")
    energy = rows["annual_kwh"].astype("float64")
    late = rows["late_bills_12m_count"].astype("float64")
    # Who shows pages of earlier predictions reads fewer columns.
    unpaid, satisfaction = (
        rows[name].astype("float64") if name in rows else pd.Series(np.nan, index=rows.index)
        for name in ("unpaid_balance_ratio", "mean_satisfaction_12m")
    )
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
            "with_dues_known": unpaid.notna().astype("float64"),
            "in_arrears": (unpaid > 0).astype("float64"),
            "satisfaction": satisfaction,
            "rated": satisfaction.notna().astype("float64"),
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
            "arrears_share": _ratio(sums["in_arrears"], sums["with_dues_known"]),
            "contacts_mean": _ratio(sums["contacts"], sums["with_contacts_known"]),
            "satisfaction_mean": _ratio(sums["satisfaction"], sums["rated"]),
            "rated_count": sums["rated"].astype(int),
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
    shown = {
        "customers": "customers_count",
        "share of customers": "customers_share",
        "share of energy": "energy_share",
        "share of amount billed": "billed_share",
        "share of peak": "peak_share",
        f"{currency} per kWh": "amount_per_kwh",
        "with late bills": "late_share",
        "in arrears": "arrears_share",
        "contacts a year": "contacts_mean",
        "satisfaction": "satisfaction_mean",
        "rated by": "rated_count",
    }
    sentences = ["Amounts billed and energy of twelve months; arrears are amounts past due at the end of the month."]
    if peak_hour is not None:
        sentences.append(
            f"Share of peak: at {peak_hour:02d}:00 of a working day, when these customers together use most."
        )
    missing = [title for title, name in shown.items() if name in _REASONS and profiles[name].isna().all()]
    sentences += [f"Nothing on {title}: {_REASONS[shown[title]]}" for title in missing]
    return EvaluationTable(
        name="profiles",
        title="What each segment means to the supplier",
        title_zh="各客群的经营画像",
        columns=("id", *shown),
        rows=tuple(
            (identifier, *(_cell(one[name]) for name in shown.values()))
            for identifier, one in profiles.to_dict("index").items()
        ),
        note=" ".join(sentences),
    )


def tariff_table(rows: pd.DataFrame, segment_ids: Sequence[str], tariffs: pd.DataFrame | None) -> EvaluationTable:
    """Return how the customers of every segment are divided by tariff, as a table of the model card.

    Args:
        rows: Feature rows of one as-of month.
        segment_ids: Segment of each row.
        tariffs: Customers with their tariff by as-of month (customer_key, as_of_month, tariff_id); ``None`` when
            nobody knows.

    Raises:
        SchemaMismatchError: The tariffs lack a column, or name two for one customer and month.
    """
    ids = pd.Series(_tariffs_of(rows, tariffs), dtype=object)
    segments = pd.Series(np.asarray(segment_ids, dtype=object))
    frequent = ids.value_counts().sort_index().sort_values(ascending=False, kind="stable").index.tolist()
    columns = [str(one) for one in frequent[:TARIFFS_SHOWN_COUNT]]
    named = ids.where(ids.isna() | ids.isin(columns), _OTHERS)
    columns += [_OTHERS] if (named == _OTHERS).any() else []
    shares = pd.crosstab(segments, named, normalize="index").reindex(columns=columns)
    known = ids.notna().groupby(segments).mean()
    is_nothing_known = not ids.notna().any()
    return EvaluationTable(
        name="tariff_mix",
        title="Tariffs of each segment's customers",
        title_zh="各客群的执行电价构成",
        columns=("id", *columns, "tariff known"),
        rows=tuple(
            (
                str(identifier),
                *(_cell(shares[name].get(identifier, np.nan)) for name in columns),
                round(float(known[identifier]), 4),
            )
            for identifier in sorted(known.index)
        ),
        note="Nothing on tariffs: no tariff of these customers was delivered for this month."
        if is_nothing_known
        else "Shares of the customers whose tariff at the end of the month is known.",
    )


_OTHERS = "others"
_REASONS = {
    "energy_share": "no energy was metered.",
    "amount_per_kwh": "of nobody are bills and energy known.",
    "billed_share": "no bills were delivered.",
    "peak_share": "the readings have no hours, so nobody's part in the peak is known.",
    "late_share": "of no bill is known when it was paid.",
    "arrears_share": "of no customer is known what is due and unpaid.",
    "contacts_mean": "no service contacts were delivered.",
    "satisfaction_mean": "nobody rated a contact in twelve months.",
}
"""Why a column of the profiles has no figure at all."""


def _tariffs_of(rows: pd.DataFrame, tariffs: pd.DataFrame | None) -> "np.ndarray":
    if tariffs is None:
        return np.full(len(rows), None, dtype=object)
    key = [CUSTOMER_KEY, AS_OF_MONTH]
    missing = [name for name in (*key, TARIFF_ID) if name not in tariffs.columns]
    if missing:
        raise SchemaMismatchError(f"customer_tariff_features lacks the column(s) {', '.join(missing)}")
    months = {month: month_start(month) for month in tariffs[AS_OF_MONTH].unique()}
    wanted = month_start(rows[AS_OF_MONTH].iloc[0]) if len(rows) else None
    own = tariffs[tariffs[AS_OF_MONTH].map(months) == wanted]
    if own[CUSTOMER_KEY].duplicated().any():
        raise SchemaMismatchError("customer_tariff_features holds a customer and month twice: the key must be unique")
    known = dict(zip(own[CUSTOMER_KEY].astype(str), own[TARIFF_ID], strict=True))
    found = [known.get(key) for key in rows[CUSTOMER_KEY].astype(str)]
    return np.array([None if pd.isna(one) else one for one in found], dtype=object)


def _cell(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else round(float(value), 4)


def _ratio(part: pd.Series, whole: "pd.Series | float") -> "pd.Series":
    return part / (whole if isinstance(whole, pd.Series) else pd.Series(whole, index=part.index)).replace(0.0, np.nan)
