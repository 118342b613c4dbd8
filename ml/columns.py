"""The vocabulary of a feature matrix: one definition per column, used everywhere.

A column has one name from the mart to the request body, the prediction log and the drift report.
Each use case lists its columns in ``ml/<use_case>/schema.py``; the mart contract, the request schema, the
bundle and the drift policy are all derived from or tested against that list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

USE_CASES = ("segmentation", "tariff_matching", "credit_risk")

CUSTOMER_KEY = "customer_key"
AS_OF_MONTH = "as_of_month"

CUSTOMER_CLASSES = ("residential", "commercial", "industrial", "agricultural")
VOLTAGE_LEVELS = ("lt1kV", "1-10(20)kV", "35kV", "110kV", "220kV+")
SUPPLY_ROUTES = ("catalogue", "agency", "retail_market", "wholesale_market")
DAY_TYPES = ("workday", "weekend", "holiday")
MARKETING_CHANNELS = ("phone", "sms", "app", "wechat", "email", "post")
"""Ways of contact that a customer may agree to for offers."""

ColumnKind = Literal["numeric", "categorical", "boolean"]
SeasonTreatment = Literal["none", "same_season"]
WeatherResponse = Literal["none", "level", "spread", "change", "summer", "winter", "both_seasons"]
"""What of the weather moves a value: how warm its window was, how unlike the months of it were, how it differed from a
year before, how hot the latest summer was, how cold the latest winter was, or both of these."""
Clock = Literal["none", "age", "since_event"]
"""Whether a value runs by itself: an age grows for everybody; the time since an event knows none before the data."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feature matrix or of a prediction.

    Attributes:
        name: Name in the mart, the request, the prediction log and the drift report.
        kind: How models and monitors treat the values.
        description: What a value means, in one sentence for an operator.
        description_zh: The same sentence in Chinese.
        unit: Physical or monetary unit; empty for ratios, counts and categories.
        minimum: Smallest value that is accepted in a request, inclusive.
        maximum: Largest value that is accepted in a request, inclusive.
        allowed: Accepted categories of a categorical column; empty means any text.
        nullable: Whether a missing value is a legal value.
        monotone: +1 if the predicted quantity may only rise with this column, -1 if only fall, 0 free.
        dimension: Group under which reasons are reported, such as ``timeliness``.
        season: ``same_season`` when drift is judged against the same months of the reference.
        weather: What of the weather moves the values of a seasonal column.
        window_months: Months of load that a value with a weather response looks back over.
        window_lag_months: Months from the end of that window to the as-of month; bills tell the load of earlier months.
        clock: Whether a value in months runs by itself.
    """

    name: str
    kind: ColumnKind
    description: str
    description_zh: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    nullable: bool = False
    monotone: Literal[-1, 0, 1] = 0
    dimension: str = ""
    season: SeasonTreatment = "none"
    weather: WeatherResponse = "none"
    window_months: int = 0
    window_lag_months: int = 0
    clock: Clock = "none"


def names(columns: Iterable[Column]) -> list[str]:
    """Return the names of the columns, in their order."""
    return [column.name for column in columns]


def by_name(columns: Iterable[Column]) -> dict[str, Column]:
    """Return the columns keyed by name."""
    return {column.name: column for column in columns}
