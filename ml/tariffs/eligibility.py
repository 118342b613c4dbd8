"""Facts about customers on which eligibility and options depend, for one customer and for many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY
from ml.errors import SchemaMismatchError
from ml.tariffs.exact import QUANTITY_DECIMALS, IntArray
from ml.tariffs.schema import Tariff
from ml.wording import plural

_FACTS = ("customer_class", "voltage_level", "supply_route")
_OPTIONAL_TEXTS = (*_FACTS, "billing_basis")
_NUMBERS = ("contract_capacity_kva", "contracted_kw")


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What is known of one customer; an unknown fact never satisfies a rule."""

    customer_class: str | None = None
    voltage_level: str | None = None
    supply_route: str | None = None
    contract_capacity_kva: float | None = None


def ineligibility_reasons(tariff: Tariff, customer: CustomerFacts) -> list[str]:
    """Return in words why the customer may not take the tariff; empty if they may."""
    rules = tariff.eligibility
    reasons = []
    for field, allowed in zip(_FACTS, (rules.customer_classes, rules.voltage_levels, rules.supply_routes), strict=True):
        value = getattr(customer, field)
        if allowed and value not in allowed:
            reasons.append(f"{field} is {value or 'unknown'}, the tariff is for {', '.join(allowed)}")
    if rules.capacity_kva is not None:
        capacity = customer.contract_capacity_kva
        if capacity is None or np.isnan(capacity):
            reasons.append(f"contract_capacity_kva is unknown, the tariff is for {rules.capacity_kva} kVA")
        elif not rules.capacity_kva.contains(capacity):
            reasons.append(f"contract_capacity_kva is {capacity:g}, the tariff is for {rules.capacity_kva}")
    return reasons


@dataclass(frozen=True)
class CustomerTable:
    """Facts and chosen options of many customers, as arrays in the order of ``customer_keys``.

    Attributes:
        customer_keys: Who, each once.
        customer_class: Text or None.
        voltage_level: Text or None.
        supply_route: Text or None.
        billing_basis: Chosen basis of the basic charge, text or None.
        contract_capacity_kva: NaN where unknown.
        contracted_kw: Agreed maximum demand, NaN where there is none.
    """

    customer_keys: NDArray[np.object_]
    customer_class: NDArray[np.object_]
    voltage_level: NDArray[np.object_]
    supply_route: NDArray[np.object_]
    billing_basis: NDArray[np.object_]
    contract_capacity_kva: NDArray[np.float64]
    contracted_kw: NDArray[np.float64]

    @classmethod
    def from_frame(cls, customers: pd.DataFrame) -> Self:
        """Read one row per customer; columns other than ``customer_key`` may be absent, then nothing is known."""
        if CUSTOMER_KEY not in customers:
            raise SchemaMismatchError(f"customers: column {CUSTOMER_KEY} is missing")
        keys = customers[CUSTOMER_KEY].astype(str)
        if keys.duplicated().any():
            raise SchemaMismatchError(f"customers: {keys[keys.duplicated()].iloc[0]} has more than one row")
        return cls(
            customer_keys=keys.to_numpy(object),
            customer_class=_texts(customers, "customer_class"),
            voltage_level=_texts(customers, "voltage_level"),
            supply_route=_texts(customers, "supply_route"),
            billing_basis=_texts(customers, "billing_basis"),
            contract_capacity_kva=_numbers(customers, "contract_capacity_kva"),
            contracted_kw=_numbers(customers, "contracted_kw"),
        )

    def __len__(self) -> int:
        return len(self.customer_keys)

    def aligned_to(self, customer_keys: Sequence[str] | NDArray[np.object_]) -> "CustomerTable":
        """Return the rows of ``customer_keys`` in that order; every key must be present."""
        if np.array_equal(self.customer_keys, np.asarray(customer_keys, dtype=object)):
            return self
        positions = pd.Index(self.customer_keys).get_indexer(pd.Index(np.asarray(customer_keys, dtype=object)))
        if (positions < 0).any():
            missing = np.asarray(customer_keys, dtype=object)[positions < 0]
            raise SchemaMismatchError(
                f"customers: no row for {plural(len(missing), 'customer')} with a load, such as {missing[0]}"
            )
        return replace(
            self, **{name: getattr(self, name)[positions] for name in ("customer_keys", *_OPTIONAL_TEXTS, *_NUMBERS)}
        )

    def with_billing_basis(self, billing_basis: str) -> "CustomerTable":
        """Return the same customers as if all had chosen ``billing_basis``."""
        return replace(self, billing_basis=np.full(len(self), billing_basis, dtype=object))

    def facts(self, index: int) -> CustomerFacts:
        """Return the facts of one customer."""
        capacity = float(self.contract_capacity_kva[index])
        return CustomerFacts(
            self.customer_class[index],
            self.voltage_level[index],
            self.supply_route[index],
            None if np.isnan(capacity) else capacity,
        )

    def is_eligible(self, tariff: Tariff) -> NDArray[np.bool_]:
        """Return for every customer whether they may take the tariff."""
        rules = tariff.eligibility
        eligible = np.ones(len(self), dtype=bool)
        for field, allowed in zip(
            _FACTS, (rules.customer_classes, rules.voltage_levels, rules.supply_routes), strict=True
        ):
            if allowed:
                eligible &= pd.Series(getattr(self, field)).isin(allowed).to_numpy()
        if rules.capacity_kva is not None:
            limits = rules.capacity_kva
            capacity = self.contract_capacity_kva
            eligible &= ~np.isnan(capacity)
            eligible &= True if limits.gt is None else capacity > float(limits.gt)
            eligible &= True if limits.ge is None else capacity >= float(limits.ge)
            eligible &= True if limits.lt is None else capacity < float(limits.lt)
            eligible &= True if limits.le is None else capacity <= float(limits.le)
        return eligible


def scaled_quantity(values: NDArray[np.float64]) -> IntArray:
    """Return numbers as integers in 1e-4 units; what is not known counts as zero."""
    return np.rint(np.nan_to_num(values) * 10**QUANTITY_DECIMALS).astype(np.int64)


def _texts(customers: pd.DataFrame, name: str) -> NDArray[np.object_]:
    if name not in customers:
        return np.full(len(customers), None, dtype=object)
    values = customers[name].to_numpy(object).copy()
    values[customers[name].isna().to_numpy()] = None
    return values


def _numbers(customers: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in customers:
        return np.full(len(customers), np.nan)
    return np.asarray(customers[name], dtype=np.float64)
