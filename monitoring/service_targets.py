"""Dated targets of service quality, and whether a month met them."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.wording import Bilingual
from monitoring.policy import POLICY_DIRECTORY, PolicyError

BUILT_IN_TARGETS = POLICY_DIRECTORY / "service_quality.yaml"

Outcome = Literal["met", "missed", "not_judged"]
Dimension = Literal["total", "district", "channel", "topic", "segment"]

MEASURES: Mapping[str, Bilingual] = {
    "median_hours_to_response": Bilingual(en="Median time to the first answer", zh="首次响应时长中位数"),
    "p90_hours_to_response": Bilingual(en="First answer, nine of ten within", zh="九成首次响应时长"),
    "median_hours_to_close": Bilingual(en="Median time to close", zh="办结时长中位数"),
    "p90_hours_to_close": Bilingual(en="Closed, nine of ten within", zh="九成办结时长"),
    "share_closed_24h_pct": Bilingual(en="Closed within 24 hours", zh="24小时办结率"),
    "mean_satisfaction": Bilingual(en="Satisfaction (1 to 5)", zh="平均满意度（1–5）"),
    "answered_first_time_pct": Bilingual(en="Answered first time", zh="一次解决率"),
}
"""Measures that a target may name; all are columns of the mart ``service_quality_by_dimension``."""

COUNT_BY_MEASURE: Mapping[str, str] = {
    "median_hours_to_response": "responded_contacts_count",
    "p90_hours_to_response": "responded_contacts_count",
    "median_hours_to_close": "closed_contacts_count",
    "p90_hours_to_close": "closed_contacts_count",
    "share_closed_24h_pct": "contacts_count",
    "mean_satisfaction": "satisfaction_answers_count",
    "answered_first_time_pct": "judged_contacts_count",
}
"""How many contacts stand behind a measure."""


def is_judged(row: Mapping[str, Any]) -> bool:
    """Return whether it is known of every contact of a row of the mart if the customer asked again within 30 days."""
    return bool(row["judged_contacts_count"] == row["contacts_count"])


class ServiceTarget(BaseModel):
    """What one measure of one part of the service shall reach in a month.

    Attributes:
        measure: One of `MEASURES`.
        dimension: Which view of the contacts.
        value: Value of the dimension, such as ``phone``; of the total ``total``.
        at_most: Largest value that meets it; for times.
        at_least: Smallest value that meets it; for shares and satisfaction.
        reason: Why this number.
        reason_zh: The same in Chinese.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    dimension: Dimension
    value: str
    at_most: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    at_least: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    reason: str = Field(min_length=20)
    reason_zh: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _has_one_limit_on_a_known_measure(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"measure: {self.measure!r} is none of {', '.join(MEASURES)}")
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give either at_most or at_least")
        if self.is_time != (self.at_most is not None):
            raise ValueError(f"{self.measure} is limited by {'at_most' if self.is_time else 'at_least'}")
        return self

    @property
    def is_time(self) -> bool:
        """Whether less is better."""
        return "hours" in self.measure

    @property
    def limit(self) -> float:
        """The number to reach."""
        return self.at_most if self.at_most is not None else float(self.at_least or 0)

    def outcome(self, row: Mapping[str, Any] | None, minimum_contacts: int) -> Outcome:
        """Return whether a row of the mart meets the target; too few contacts are not judged."""
        value = row[self.measure] if row else None
        if row is None or value is None or row[COUNT_BY_MEASURE[self.measure]] < minimum_contacts:
            return "not_judged"
        if self.measure == "answered_first_time_pct" and not is_judged(row):
            return "not_judged"
        return "met" if (value <= self.limit if self.is_time else value >= self.limit) else "missed"


class ServiceTargets(BaseModel):
    """The targets from one day on.

    Attributes:
        valid_from: First day; a month is judged by the version of its first day.
        owner: Who answers for them.
        minimum_contacts: Contacts behind a measure below which a month is not judged.
        targets: The targets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    valid_from: date
    owner: str
    minimum_contacts: int = Field(ge=1, le=10_000)
    targets: tuple[ServiceTarget, ...] = Field(min_length=1)

    @property
    def version(self) -> str:
        """Name of this version on the page."""
        return self.valid_from.isoformat()


class _Versions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: tuple[ServiceTargets, ...] = Field(min_length=1)


def load_service_targets(path: Path | None = None) -> tuple[ServiceTargets, ...]:
    """Return all versions of the targets, the earliest first.

    Args:
        path: A file of one's own; by default the built-in one.

    Raises:
        PolicyError: The file cannot be read or says what cannot be; the message names file and field.
    """
    path = path or BUILT_IN_TARGETS
    try:
        found = _Versions.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path.name}: cannot be read as YAML ({error})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"{path.name}: {field}: {first['msg'].removeprefix('Value error, ')}") from error
    return tuple(sorted(found.versions, key=lambda version: version.valid_from))


def targets_of(versions: tuple[ServiceTargets, ...], month: date) -> ServiceTargets | None:
    """Return the version that judges a month, or ``None`` before the first one."""
    valid = [version for version in versions if version.valid_from <= month]
    return valid[-1] if valid else None
