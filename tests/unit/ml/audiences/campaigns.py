"""A small supplier for tests of audiences: a portrait, what may be contacted, and a campaign."""

import hashlib
from datetime import date
from typing import Any

import polars as pl

from ml.audiences.definition import AudienceDefinition

DAY = date(2026, 10, 5)


def key(number: int) -> str:
    """Return a customer key."""
    return hashlib.sha256(f"customer {number}".encode()).hexdigest()[:32]


def portrait(customers: int = 400) -> pl.DataFrame:
    """Return a portrait with a column of every kind."""
    numbers = range(customers)
    return pl.DataFrame(
        {
            "customer_key": [key(n) for n in numbers],
            "customer_class": [("residential", "commercial")[n % 4 == 0] for n in numbers],
            "segment_name": [("Evening peak", "Steady base", None)[n % 3] for n in numbers],
            "expected_saving_amount": [None if n % 10 == 9 else float(n % 100) for n in numbers],
            "is_solar_suspected": [n % 7 == 0 for n in numbers],
            "registered_date": [date(2015 + n % 10, 1, 1) for n in numbers],
        }
    )


def contact_status(customers: int = 400, **columns: Any) -> pl.DataFrame:
    """Return a contact status in which everybody agreed to text messages and nothing speaks against an offer."""
    return pl.DataFrame(
        {
            "customer_key": [key(n) for n in range(customers)],
            "open_complaints_count": 0,
            "open_disputes_count": 0,
            "overdue_amount": 0.0,
            "sms_consent_date": date(2025, 1, 1),
            "phone_consent_date": pl.Series([None] * customers, dtype=pl.Date),
            "closed_date": pl.Series([None] * customers, dtype=pl.Date),
            **columns,
        }
    )


def campaign(**changes: Any) -> AudienceDefinition:
    """Return a campaign for residential customers by text message."""
    document: dict[str, Any] = {
        "campaign_id": "evening_tariff",
        "name": "Time-of-use tariff",
        "purpose": "Offer the tariff that fits an evening peak.",
        "channel": "sms",
        "contact_from": "2026-10-12",
        "contact_until": "2026-10-23",
        "outcome": "portrait.mean_daily_kwh",
        "select": [{"column": "customer_class", "is": "residential"}],
    }
    return AudienceDefinition.model_validate(document | changes)


def no_contacts() -> pl.DataFrame:
    """Return the contacts of other campaigns when there are none."""
    return pl.DataFrame(schema={"customer_key": pl.String, "contacts_count": pl.Int64})
