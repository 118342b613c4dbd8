"""Tariffs and bills: load a tariff, price a load, print a bill. Usable without the rest of the platform.

Every name below may be imported from here. The modules behind them are loaded when a name is first used, so that
``import ml.tariffs`` and reading a tariff cost no data-frame library. ``docs/tariffs.md`` shows how they work together.

>>> from decimal import Decimal
>>> from ml.tariffs import load_tariff
>>> tariff = load_tariff('''
... tariff_id: blocks
... version: "1"
... name: Two blocks
... valid_from: 2026-01-01
... currency: CNY
... verified: true
... components:
... - {kind: energy, name: Energy, tiers: {basis: month, limits_kwh: [200]}, tables: [{prices: {all: [0.5, 0.6]}}]}
... ''')
>>> tariff.components[0].tables[0].prices["all"]
(Decimal('0.5'), Decimal('0.6'))
>>> tariff.route.kind
'cube'
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.errors import TariffError
    from ml.tariffs.bill import Bill, BillLine, bill_from_cube, bill_from_intervals, bill_of
    from ml.tariffs.calendar import DayCalendar
    from ml.tariffs.catalogue import Catalogue, load_catalogue
    from ml.tariffs.documents import tariff_json_schema, tariff_to_yaml
    from ml.tariffs.eligibility import CustomerTable
    from ml.tariffs.load_cube import LoadCube
    from ml.tariffs.pricing import (
        BillArray,
        OfferTable,
        price_billing_periods,
        price_cube,
        price_intervals,
        price_tariffs,
    )
    from ml.tariffs.schema import Tariff, load_tariff
    from ml.tariffs.urdb import UrdbImport, UrdbRules, load_urdb

__all__ = [
    "Bill",
    "BillArray",
    "BillLine",
    "Catalogue",
    "CustomerTable",
    "DayCalendar",
    "LoadCube",
    "OfferTable",
    "Tariff",
    "TariffError",
    "UrdbImport",
    "UrdbRules",
    "bill_from_cube",
    "bill_from_intervals",
    "bill_of",
    "load_catalogue",
    "load_tariff",
    "load_urdb",
    "price_billing_periods",
    "price_cube",
    "price_intervals",
    "price_tariffs",
    "tariff_json_schema",
    "tariff_to_yaml",
]

_MODULES = {
    "ml.errors": ("TariffError",),
    "ml.tariffs.bill": ("Bill", "BillLine", "bill_from_cube", "bill_from_intervals", "bill_of"),
    "ml.tariffs.calendar": ("DayCalendar",),
    "ml.tariffs.catalogue": ("Catalogue", "load_catalogue"),
    "ml.tariffs.documents": ("tariff_json_schema", "tariff_to_yaml"),
    "ml.tariffs.eligibility": ("CustomerTable",),
    "ml.tariffs.load_cube": ("LoadCube",),
    "ml.tariffs.pricing": (
        "BillArray",
        "OfferTable",
        "price_billing_periods",
        "price_cube",
        "price_intervals",
        "price_tariffs",
    ),
    "ml.tariffs.schema": ("Tariff", "load_tariff"),
    "ml.tariffs.urdb": ("UrdbImport", "UrdbRules", "load_urdb"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
