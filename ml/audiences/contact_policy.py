"""Dated rules that say when customers are left alone, from a YAML file."""

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.audiences.definition import field_path
from ml.errors import KilowiseError

BUILT_IN_POLICY = Path(__file__).parent / "policies" / "contact_policy.yaml"


class ContactPolicyError(KilowiseError):
    """A contact policy cannot be read or does not apply yet; the message names file and field."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=20)


class ContactLimit(_Rule):
    """The most contacts of a customer in a stretch of days, over all campaigns.

    Attributes:
        contacts_count: Most contacts.
        days: Length of the stretch.
    """

    contacts_count: int = Field(ge=1, le=100)
    days: int = Field(ge=1, le=366)


class Sparing(_Rule):
    """Whether customers in a situation are left alone.

    Attributes:
        leave_alone: ``true`` to leave them alone.
    """

    leave_alone: bool


class ContactPolicy(BaseModel):
    """The rules from one day on.

    Attributes:
        valid_from: First day.
        owner: Who answers for them.
        limit: The most contacts over all campaigns.
        open_complaint: Customers with a complaint that is not closed.
        open_dispute: Customers with a dispute about a bill or a credit decision that is not decided.
        dunning: Customers with a bill past its due date.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    valid_from: date
    owner: str
    limit: ContactLimit
    open_complaint: Sparing
    open_dispute: Sparing
    dunning: Sparing

    @property
    def version(self) -> str:
        """Name of this version in the register."""
        return self.valid_from.isoformat()


class _Versions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: tuple[ContactPolicy, ...] = Field(min_length=1)


def load_contact_policy(day: date, path: Path = BUILT_IN_POLICY) -> ContactPolicy:
    """Return the version of a contact policy that applies on a day.

    Raises:
        ContactPolicyError: The file cannot be read, says what cannot be, or has no version for the day.
    """
    try:
        found = _Versions.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContactPolicyError(f"{path.name}: cannot be read as YAML ({error})") from error
    except ValidationError as error:
        problems = [
            f"{path.name}: {field_path(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        raise ContactPolicyError("\n".join(problems)) from error
    valid = [version for version in found.versions if version.valid_from <= day]
    if not valid:
        raise ContactPolicyError(f"{path.name}: no version applies on {day}; add one with an earlier valid_from")
    return max(valid, key=lambda version: version.valid_from)
