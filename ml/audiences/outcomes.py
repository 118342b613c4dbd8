"""What a campaign may be measured by: its name in documents and on the command line, and its values by customer."""

import re
from datetime import date
from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator

from ml.columns import CUSTOMER_KEY
from ml.errors import KilowiseError

Source = Literal["portrait", "credit", "programme"]

_PATTERN = re.compile(r"^(portrait|credit|programme)\.([A-Za-z0-9_ -]{1,80})$")


def _checked(name: str) -> str:
    split_outcome(name)
    return name


def split_outcome(name: str) -> tuple[Source, str]:
    """Return source and column of an outcome.

    ``portrait.<column>`` is a column of the portrait of a later month, ``credit.is_default`` whether a bill stayed
    unpaid in the months after, ``programme.<name>`` whether the customer joined the programme since the first contact.

    Raises:
        ValueError: The name is none of these.
    """
    found = _PATTERN.match(name)
    if found is None:
        raise ValueError(
            f"{name!r} is no outcome; give portrait.<column>, credit.is_default or programme.<name of the programme>"
        )
    source, column = found.groups()
    if source == "credit" and column != "is_default":
        raise ValueError(f"credit.{column} is no outcome; there is: credit.is_default")
    if source == "portrait":
        return "portrait", column
    return ("credit", column) if source == "credit" else ("programme", column)


OutcomeName = Annotated[str, AfterValidator(_checked)]
"""Name of an outcome, see `split_outcome`."""


class OutcomeError(KilowiseError):
    """An outcome cannot be had from the data; the message says what there is."""


def portrait_outcome(
    history: pl.DataFrame, column: str, month: date, *, change_from: date | None = None
) -> pl.DataFrame:
    """Return a column of the portrait as of a month, or how much it changed since an earlier one.

    Args:
        history: Portraits by ``customer_key`` and ``as_of_month``.
        column: Column of numbers, or of true and false.
        month: As-of month of the outcome.
        change_from: Month before the first contact, to take the change of a number since then: where customers differ
            much from each other and little from month to month, a change shows smaller effects.

    Returns:
        ``customer_key`` and ``outcome``; null where the portrait does not know.

    Raises:
        OutcomeError: There is no such column or month, or the column cannot be measured.
    """
    dtype = history.schema.get(column)
    if dtype is None or not (dtype.is_numeric() or dtype == pl.Boolean):
        measurable = [name for name, kind in history.schema.items() if kind.is_numeric() or kind == pl.Boolean]
        raise OutcomeError(f"portrait.{column} cannot be measured; there are: {', '.join(measurable)}")
    if dtype == pl.Boolean and change_from is not None:
        raise OutcomeError(f"portrait.{column} is true or false; measure it without the change.")
    months = sorted(history.get_column("as_of_month").unique().to_list())
    for wanted in (month, change_from):
        if wanted is not None and wanted not in months:
            known = f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}" if months else "none"
            raise OutcomeError(f"There is no portrait of {wanted:%Y-%m}; months of the portrait: {known}")

    def values(of_month: date, name: str) -> pl.DataFrame:
        numeric = pl.col(column) if dtype == pl.Boolean else pl.col(column).cast(pl.Float64)
        return history.filter(pl.col("as_of_month") == of_month).select(CUSTOMER_KEY, numeric.alias(name))

    now = values(month, "outcome")
    if change_from is None:
        return now
    return now.join(values(change_from, "before"), on=CUSTOMER_KEY, how="left").select(
        CUSTOMER_KEY, outcome=pl.col("outcome") - pl.col("before")
    )


def default_outcome(outcomes: pl.DataFrame, month: date) -> pl.DataFrame:
    """Return whether each customer defaulted in the months after an as-of month, where that is known by now.

    Args:
        outcomes: The mart ``customer_credit_outcomes``.
        month: As-of month, such as the one before the first contact.

    Raises:
        OutcomeError: The outcomes of the month are not known yet.
    """
    known = outcomes.filter(pl.col("as_of_month") == month, pl.col("is_mature"), pl.col("exclusion").is_null()).select(
        CUSTOMER_KEY, outcome="is_default"
    )
    if known.is_empty():
        raise OutcomeError(f"No default outcome of {month:%Y-%m} is known yet; it takes the months of the horizon.")
    return known


def joining_outcome(members: pl.DataFrame, programmes: pl.DataFrame, programme: str, since: date) -> pl.DataFrame:
    """Return whether each member of a campaign joined a programme since a day.

    Args:
        members: Members of the campaign; everybody has an outcome, also who had joined before.
        programmes: The mart ``customer_programmes``.
        programme: Name of the programme.
        since: First day of contact.

    Raises:
        OutcomeError: Nobody ever joined a programme of this name.
    """
    names = programmes.get_column("programme").unique().sort().to_list()
    if programme not in names:
        raise OutcomeError(f"There is no programme {programme!r}; there are: {', '.join(names) or 'none'}")
    joined = programmes.filter(pl.col("programme") == programme, pl.col("joined_date") >= since)
    return members.select(CUSTOMER_KEY, outcome=pl.col(CUSTOMER_KEY).is_in(joined.get_column(CUSTOMER_KEY).to_list()))
