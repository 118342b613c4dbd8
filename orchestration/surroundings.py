"""What explains the rows of a review from outside of them: the weather, and since when there is data."""

from typing import TYPE_CHECKING

from orchestration.marts import MartsNotPublishedError, MartsVersion, current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from monitoring.review import Surroundings

SURROUNDING_MARTS = ("district_daily_temperature", "customer_monthly_load")
"""Marts that reviews are explained by."""


def review_surroundings(marts: MartsVersion) -> "Surroundings":
    """Return the weather of the districts and the first month of readings, as far as the marts hold them.

    Marts that an earlier version of the platform published lack the weather until the next run of ``refresh_data``.
    """
    import pyarrow.compute as pc

    from monitoring.review import Surroundings

    temperature_mart, load_mart = SURROUNDING_MARTS
    months = marts.read_table(load_mart, columns=["month"]).column("month")
    return Surroundings(
        daily_temperatures=marts.read(temperature_mart) if temperature_mart in marts.row_counts else None,
        data_since=pc.min(months).as_py() if len(months) else None,
    )


def surroundings_fingerprint(marts: MartsVersion) -> str:
    """Return a hash that changes when what a review is explained by does."""
    return marts.fingerprint(*(mart for mart in SURROUNDING_MARTS if mart in marts.row_counts))


def published_surroundings(settings: PlatformSettings) -> "Surroundings | None":
    """Return what the published marts say; None before the first were published."""
    try:
        return review_surroundings(current_marts(settings.marts_dir))
    except MartsNotPublishedError:
        return None
