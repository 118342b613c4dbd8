"""An audience as a document: which customers a campaign means, on which channel, when, and how many are held out.

The query surface is the customer portrait: every column of it may be asked by name, with the operators of its kind.
What a document cannot say precisely is refused with the field's path and the names that are allowed.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.audiences.outcomes import OutcomeName
from ml.columns import CUSTOMER_KEY, MARKETING_CHANNELS
from ml.errors import KilowiseError

Kind = Literal["number", "text", "yes_or_no", "date"]
Scalar = bool | int | float | date | str

CampaignId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{2,59}$")]

OPERATORS: dict[str, tuple[Kind, ...]] = {
    "is": ("number", "text", "yes_or_no", "date"),
    "is_not": ("number", "text", "yes_or_no", "date"),
    "one_of": ("number", "text", "date"),
    "none_of": ("number", "text", "date"),
    "at_least": ("number", "date"),
    "at_most": ("number", "date"),
    "above": ("number", "date"),
    "below": ("number", "date"),
    "is_known": ("number", "text", "yes_or_no", "date"),
}
"""Operators with the kinds of columns that they fit. A value that is not known meets none but ``is_known: false``."""

MOST_LISTED_VALUES = 60
"""A text column with at most so many values is a list of codes: other values are refused as mistyped."""


class AudienceError(KilowiseError):
    """An audience cannot be read or selected; the message names file and field and says what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Part):
    """One demand on one column: the column and at least one operator.

    Attributes:
        column: Column of the portrait.
        equals: Exactly this value (``is`` in the document).
        is_not: Any known value but this.
        one_of: One of these values.
        none_of: A known value that is none of these.
        at_least: Smallest value, inclusive.
        at_most: Largest value, inclusive.
        above: Greater than this.
        below: Smaller than this.
        is_known: Whether there is a value at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    column: str
    equals: Scalar | None = Field(default=None, alias="is")
    is_not: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    none_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    at_least: float | date | None = None
    at_most: float | date | None = None
    above: float | date | None = None
    below: float | date | None = None
    is_known: bool | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.operators:
            raise ValueError(f"give at least one operator; there are: {', '.join(OPERATORS)}")
        return self

    @property
    def operators(self) -> dict[str, object]:
        """Operators that are given, with their values."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {name: given[name] for name in OPERATORS if name in given}


class AudienceDefinition(_Part):
    """A campaign and whom it means.

    Attributes:
        campaign_id: Id of the campaign; part of the draw of the control group, and never used twice.
        name: The campaign in words.
        purpose: What is offered and why, in words.
        channel: Way of contact; only customers with a consent for it are selected.
        contact_from: First day on which customers are contacted.
        contact_until: Last day.
        contacts_count: Contacts per customer in that time.
        control_share_pct: Share of the selected customers who are held out and not contacted.
        outcome: What the campaign shall change, such as ``portrait.mean_daily_kwh``; see `outcomes.OutcomeName`.
        select: Demands on the portrait; a customer must meet all of them.
    """

    campaign_id: CampaignId
    name: str = Field(min_length=3, max_length=200)
    purpose: str = Field(min_length=3, max_length=1000)
    channel: Literal["phone", "sms", "app", "wechat", "email", "post"]
    contact_from: date
    contact_until: date
    contacts_count: int = Field(default=1, ge=1, le=20)
    control_share_pct: float = Field(default=20, ge=5, le=50, allow_inf_nan=False)
    outcome: OutcomeName
    select: tuple[Condition, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _days_are_ordered(self) -> Self:
        if self.contact_until < self.contact_from:
            raise ValueError(f"contact_until {self.contact_until} is before contact_from {self.contact_from}")
        return self

    @property
    def control_share(self) -> float:
        """Share held out, 0 to 1."""
        return self.control_share_pct / 100

    @property
    def consent_column(self) -> str:
        """Column of the contact status that tells since when there is a consent for the channel."""
        return consent_column(self.channel)


def consent_column(channel: str) -> str:
    """Return the column of the mart ``customer_contact_status`` with the day of the consent for a channel."""
    if channel not in MARKETING_CHANNELS:
        raise AudienceError(f"{channel!r} is no channel; there are: {', '.join(MARKETING_CHANNELS)}")
    return f"{channel}_consent_date"


def load_definition(path: Path) -> AudienceDefinition:
    """Read an audience from a YAML file.

    Raises:
        AudienceError: The file cannot be read, or says what cannot be; the message names file and field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AudienceError(f"{path.name}: cannot be read as YAML ({error})") from error
    try:
        return AudienceDefinition.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{path.name}: {field_path(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        ]
        raise AudienceError("\n".join(problems)) from error


def field_path(location: Sequence[int | str]) -> str:
    """Return where a problem is as it is written in the document: ``select[2].at_least``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        # What pydantic tried of a union is no step in the document.
        elif part not in ("float", "date", "int", "bool", "str"):
            path += f".{part}" if path else str(part)
    return path or "document"


def queryable_columns(portrait: pl.DataFrame) -> dict[str, Kind]:
    """Return the columns that may be asked, with their kind; the key of the customer may not."""
    kinds = {name: _kind(dtype) for name, dtype in portrait.schema.items() if name != CUSTOMER_KEY}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def listed_values(portrait: pl.DataFrame, column: str) -> list[str] | None:
    """Return the values of a text column if they are few enough to be codes, otherwise ``None``.

    A code that no customer has today, such as the best rating, is a value as well; one that is in no list is a mistake.
    """
    values = portrait.get_column(column).drop_nulls().unique().sort().to_list()
    codes = _codes().get(column, ())
    listed = [*codes, *(value for value in values if value not in codes)]
    return listed if 0 < len(listed) <= MOST_LISTED_VALUES else None


def matching(definition: AudienceDefinition, portrait: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the portrait that meet every demand.

    Raises:
        AudienceError: A demand names an unknown column, an operator that does not fit it, or an unknown value.
    """
    problems = [
        f"select[{place}].{problem}"
        for place, condition in enumerate(definition.select)
        for problem in _problems(condition, portrait)
    ]
    if problems:
        raise AudienceError("\n".join(f"{definition.campaign_id}: {problem}" for problem in problems))
    kinds = queryable_columns(portrait)
    demands = [
        _expression(condition.column, kinds[condition.column], operator, value)
        for condition in definition.select
        for operator, value in condition.operators.items()
    ]
    return portrait.filter(reduce(lambda left, right: left & right, demands))


@cache
def _codes() -> Mapping[str, tuple[str, ...]]:
    """Return the codes by column that the schemas of the use cases declare."""
    from ml.credit_risk import schema as credit_risk
    from ml.segmentation import schema as segmentation
    from ml.tariff_matching import schema as tariff_matching

    schemas = (segmentation, tariff_matching, credit_risk)
    columns = [column for schema in schemas for column in (*schema.FEATURES, *schema.PREDICTIONS)]
    return {column.name: column.allowed for column in columns if column.allowed}


def _kind(dtype: pl.DataType) -> Kind | None:
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Boolean:
        return "yes_or_no"
    if dtype.is_temporal():
        return "date"
    return "text" if dtype in (pl.String, pl.Categorical) else None


def _problems(condition: Condition, portrait: pl.DataFrame) -> list[str]:
    kinds = queryable_columns(portrait)
    name = condition.column
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return [f"column: the portrait has no column {name!r}; {hint}There are: {', '.join(kinds)}"]
    kind = kinds[name]
    problems = []
    for operator, value in condition.operators.items():
        if kind not in OPERATORS[operator]:
            fitting = [candidate for candidate, fits in OPERATORS.items() if kind in fits]
            problems.append(f"{operator}: does not fit {name}, a {_WORDS[kind]}; use {', '.join(fitting)}")
            continue
        if operator == "is_known":
            continue
        values = value if isinstance(value, (tuple, list)) else (value,)
        wrong = [one for one in values if not _fits(one, kind)]
        if wrong:
            problems.append(f"{operator}: {wrong[0]!r} is no value of {name}, a {_WORDS[kind]}")
            continue
        known = listed_values(portrait, name) if kind == "text" else None
        unknown = [one for one in values if known is not None and one not in known]
        if known is not None and unknown:
            problems.append(f"{operator}: {name} has no value {unknown[0]!r}; there are: {', '.join(known)}")
    return problems


_WORDS: dict[Kind, str] = {
    "number": "column of numbers",
    "text": "column of text",
    "yes_or_no": "column of true and false",
    "date": "column of dates",
}


def _fits(value: object, kind: Kind) -> bool:
    match kind:
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "yes_or_no":
            return isinstance(value, bool)
        case "date":
            return isinstance(value, date)
        case _:
            return isinstance(value, str)


def _expression(name: str, kind: Kind, operator: str, value: object) -> pl.Expr:
    """Return the demand as an expression that is never null."""
    column = pl.col(name)
    if operator == "is_known":
        return column.is_not_null() if value else column.is_null()
    if kind == "number":
        column = column.cast(pl.Float64)
    if kind == "date":
        column = column.cast(pl.Date)
    if kind == "text":
        column = column.cast(pl.String)
    if operator == "one_of":
        found = column.is_in(list(_values(value)))
    elif operator == "none_of":
        found = ~column.is_in(list(_values(value)))
    else:
        found = _COMPARISONS[operator](column, value)
    return found.fill_null(value=False)


_COMPARISONS: dict[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "is": pl.Expr.eq,
    "is_not": pl.Expr.ne,
    "at_least": pl.Expr.ge,
    "at_most": pl.Expr.le,
    "above": pl.Expr.gt,
    "below": pl.Expr.lt,
}


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, (tuple, list)) else (value,)
