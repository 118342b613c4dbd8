"""What a campaign may be measured by, and its name in documents and on the command line."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

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
