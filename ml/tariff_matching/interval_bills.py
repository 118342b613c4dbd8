"""Monthly bills of the tariffs that only interval readings can price, for the customers who may take them."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl

from ml.columns import CUSTOMER_KEY
from ml.errors import TariffError
from ml.tariff_matching.features import BoolArray, latest_rows, prepare_features
from ml.tariff_matching.offers import OfferColumn, can_be_billed
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.pricing import monthly_amounts_from_intervals
from ml.tariffs.schema import Tariff


def interval_bills(
    tariffs: Sequence[Tariff],
    features: pd.DataFrame,
    readings: pl.DataFrame,
    *,
    time_zone: str,
    days: DayCalendar,
) -> pd.DataFrame | None:
    """Price readings on every tariff that needs them, each customer with the facts and options of today.

    A customer has bills on the tariffs that they may take or have today, where every number is known that the tariff
    charges for. Readings of a length that a tariff cannot be priced from have none. A customer who chose a billing
    basis that the tariff does not have is billed on the tariff's first.

    Args:
        tariffs: The catalogue; tariffs that the load cube can price are passed over.
        features: Rows of ``customer_tariff_features``; the latest of every customer counts.
        readings: ``customer_key``, ``read_at`` (UTC where it carries no zone), ``interval_minutes`` and ``kwh``.
        time_zone: IANA name of the tariffs' zone.
        days: Day types.

    Returns:
        ``customer_key``, ``month``, ``tariff_id``, ``amount``; ``None`` where no tariff needs readings or has bills.
    """
    needing = [tariff for tariff in tariffs if tariff.requires_intervals]
    if not needing:
        return None
    latest = latest_rows(prepare_features(features))
    customers = CustomerTable.from_frame(latest)
    parts = []
    for tariff in needing:
        own = _with_known_basis(customers, tariff)
        may_have = customers.is_eligible(tariff) | (latest["tariff_id"] == tariff.tariff_id).to_numpy()
        keys = own.customer_keys[may_have & _is_known(own, tariff)]
        of_customers = readings.filter(pl.col(CUSTOMER_KEY).is_in(keys.tolist()))
        for _, of_one_length in of_customers.group_by("interval_minutes", maintain_order=True):
            # A tariff that these readings cannot price has no bills here; the advice says that it was left out.
            with contextlib.suppress(TariffError):
                parts.append(
                    monthly_amounts_from_intervals(
                        Catalogue.of([tariff]), of_one_length, time_zone=time_zone, days=days, customers=own
                    )
                )
    return pd.concat(parts, ignore_index=True) if parts else None


def _with_known_basis(customers: CustomerTable, tariff: Tariff) -> CustomerTable:
    """Return the customers billed on the tariff's first basis where it does not have the one they chose."""
    first = next(iter(tariff.billing_bases), None)
    bases = [chosen if chosen in tariff.billing_bases else first for chosen in customers.billing_basis]
    return replace(customers, billing_basis=np.array(bases, dtype=object))


def _is_known(customers: CustomerTable, tariff: Tariff) -> BoolArray:
    """Return of whom every number is known that the tariff charges for on the customer's basis."""
    is_known = np.zeros(len(customers), bool)
    for basis in tariff.billing_bases or (None,):
        on_basis = np.array([chosen == basis for chosen in customers.billing_basis], dtype=bool)
        is_known |= on_basis & can_be_billed(OfferColumn(tariff, basis), customers, customers.contracted_kw)
    return is_known
