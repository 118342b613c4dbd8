"""What advice came to: the bills since, of the load that was really metered, on the tariff of then and the advised one.

The advice is taken at its word: the tariff, the billing basis and the contracted demand that were recommended, at the
prices that were in force in each month. Whether the customer followed it does not matter for what it was worth.
"""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from ml.splits import add_months
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import CubeRows, FloatArray, as_load_cube, is_among, window
from ml.tariff_matching.offers import OfferColumn, bills_on_offer, can_be_billed, is_read_for, months_in_validity
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import BillingBasis, Tariff

ADVICE_COLUMNS = (
    CUSTOMER_KEY,
    "customer_class",
    "voltage_level",
    "supply_route",
    "contract_capacity_kva",
    "tariff_id",
    "billing_basis",
    "contracted_kw",
    "recommended_tariff_id",
    "recommended_options",
)
"""What is read of a row of batch predictions: the facts of then, the tariff of then, the advice."""


@dataclass(frozen=True)
class RealisedBills:
    """Bills of advised customers since the advice, and of the same months a year before.

    Attributes:
        customer_keys: Customers, in the order of the advice.
        stayed_amount: Bills since on the tariff and options of the month of advice; NaN where a month was not read or
            cannot be priced.
        advised_amount: The same on the advised ones.
        stayed_before_amount: Bills of the same calendar months a year before on the tariff of then; NaN likewise.
        advised_before_amount: The same on the advised ones.
    """

    customer_keys: npt.NDArray[np.object_]
    stayed_amount: FloatArray
    advised_amount: FloatArray
    stayed_before_amount: FloatArray
    advised_before_amount: FloatArray

    def to_frame(self) -> pd.DataFrame:
        """Return one row per customer."""
        return pd.DataFrame(
            {
                CUSTOMER_KEY: self.customer_keys,
                "stayed_amount": self.stayed_amount,
                "advised_amount": self.advised_amount,
                "stayed_before_amount": self.stayed_before_amount,
                "advised_before_amount": self.advised_before_amount,
            }
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    """A tariff with the options that one customer has on it; no basis takes the tariff's first."""

    tariff_id: str
    billing_basis: BillingBasis | None
    contracted_kw: float
    contracted_kw_by_month: tuple[tuple[str, float], ...] = ()

    def contracted_kw_in(self, month: date) -> float:
        """Return the contracted demand of a month; an advice by month names its calendar months once."""
        by_calendar_month = {name[-2:]: kw for name, kw in self.contracted_kw_by_month}
        return by_calendar_month.get(f"{month:%m}", self.contracted_kw)


def realised_bills(
    advice: pd.DataFrame,
    cube: CubeRows,
    tariffs: Sequence[Tariff],
    month: date,
    months_since: int,
    config: TariffMatchingConfig | None = None,
) -> RealisedBills:
    """Price what was metered since an advice, and in the same months a year before it.

    Args:
        advice: One row per customer with ``ADVICE_COLUMNS``, of one month.
        cube: Rows of ``customer_load_cube``; further customers and months are passed over.
        tariffs: The catalogue, every version of a tariff: the prices of each month are those of the version in force.
        month: Month of the advice, as its first day.
        months_since: Months after it that are priced.
        config: Settings; they say from which coverage on a month counts as read.

    Raises:
        SchemaMismatchError: If the advice lacks a column.
    """
    if absent := [name for name in ADVICE_COLUMNS if name not in advice.columns]:
        raise SchemaMismatchError(f"advice lacks {', '.join(absent)}; pass rows of the batch predictions")
    config = config or TariffMatchingConfig()
    loads = as_load_cube(cube)
    keys = advice[CUSTOMER_KEY].to_numpy(dtype=object)
    rows = np.flatnonzero(is_among(keys, loads.customer_keys))
    loads = loads.take(keys[rows])
    customers = CustomerTable.from_frame(advice.iloc[rows])
    records = advice.iloc[rows].to_dict("records")
    stayed, advised = [_present_choice(row) for row in records], [_advised_choice(row) for row in records]
    last = add_months(month, months_since)
    since = window(loads, last, months_since, config)
    before = window(loads, add_months(last, -12), months_since, config)
    amounts = [
        _placed(_amounts(choices, load, customers, tariffs), rows, len(keys))
        for load in (since, before)
        for choices in (stayed, advised)
    ]
    return RealisedBills(keys, *amounts)


def _present_choice(row: Mapping[Hashable, Any]) -> _Choice:
    basis, contracted_kw = row["billing_basis"], row["contracted_kw"]
    return _Choice(
        str(row["tariff_id"]),
        None if pd.isna(basis) else basis,
        np.nan if pd.isna(contracted_kw) else float(contracted_kw),
    )


def _advised_choice(row: Mapping[Hashable, Any]) -> _Choice:
    options = json.loads(row["recommended_options"] or "{}")
    return _Choice(
        str(row["recommended_tariff_id"]),
        options.get("billing_basis"),
        float(options.get("contracted_kw", np.nan)),
        tuple(sorted(options.get("contracted_kw_by_month", {}).items())),
    )


def _amounts(
    choices: Sequence[_Choice], load: LoadCube, customers: CustomerTable, tariffs: Sequence[Tariff]
) -> FloatArray:
    """Return the sum of each customer's bills over the load's months; NaN where one of them is missing."""
    amounts = np.full(len(choices), np.nan)
    is_read = np.asarray(load.present.all(axis=1))
    groups: dict[tuple[str, BillingBasis | None, bool], list[int]] = {}
    for row, choice in enumerate(choices):
        if is_read[row]:
            is_monthly = bool(choice.contracted_kw_by_month)
            groups.setdefault((choice.tariff_id, choice.billing_basis, is_monthly), []).append(row)
    for (tariff_id, basis, is_monthly), members in groups.items():
        versions = [tariff for tariff in tariffs if tariff.tariff_id == tariff_id and not tariff.requires_intervals]
        if not versions:
            continue
        rows = np.array(members, dtype=np.intp)
        own = load.take(rows)
        total = np.zeros(len(rows))
        for version, first, last in _stretches(versions, load.months, by_month=is_monthly):
            contracted_kw = np.array([choices[row].contracted_kw_in(first) for row in rows])
            offer = OfferColumn(version, basis or next(iter(version.billing_bases), None))
            total += _stretch_amounts(offer, own.select(first, last), customers, contracted_kw)
        amounts[rows] = total
    return amounts


def _stretches(
    versions: Sequence[Tariff], months: Sequence[date], *, by_month: bool
) -> Iterator[tuple[Tariff, date, date]]:
    """Return the version of a tariff that prices each month, neighbouring months of one version together."""
    ordered = sorted(versions, key=lambda tariff: tariff.valid_from)
    in_force = [
        next((one for one in reversed(ordered) if one.is_valid_on(month)), None)
        # A month outside of every version takes the prices of the nearest one, as the advice itself did.
        or next((one for one in reversed(ordered) if one.valid_from <= month), ordered[0])
        for month in months
    ]
    start = 0
    for position, month in enumerate(months):
        is_end = position + 1 == len(months) or in_force[position + 1] is not in_force[start]
        if is_end or by_month:
            yield in_force[start], months[start], month
            start = position + 1


def _stretch_amounts(
    offer: OfferColumn, load: LoadCube, customers: CustomerTable, contracted_kw: FloatArray
) -> FloatArray:
    """Return the bills of neighbouring months on one offer; NaN where something it charges for is not known."""
    facts = customers.aligned_to(load.customer_keys)
    is_known = can_be_billed(offer, facts, contracted_kw) & is_read_for(offer, load)
    amounts = np.full(len(load), np.nan)
    rows = np.flatnonzero(is_known)
    if len(rows) and months_in_validity(offer.tariff, load.months) is not None:
        amounts[rows] = bills_on_offer(offer, load.take(rows), facts, contracted_kw[rows]).sum_amount
    return amounts


def _placed(values: FloatArray, rows: npt.NDArray[np.intp], count: int) -> FloatArray:
    placed = np.full(count, np.nan)
    placed[rows] = values
    return placed
