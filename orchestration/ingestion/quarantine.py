"""Reasons for refusing a row, and the sentences that tell a person which row, which column and what to do.

Sentences never carry personal values. A value is shown only when it cannot be a name, an address, a telephone number
or an identity number, because a row whose columns have shifted puts these under any heading.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a row is in quarantine."""

    MALFORMED_ROW = "malformed_row"
    WRONG_TYPE = "wrong_type"
    MISSING_VALUE = "missing_value"
    NOT_ALLOWED = "not_allowed"
    IMPOSSIBLE_VALUE = "impossible_value"
    WRONG_UNIT = "wrong_unit"
    DUPLICATE_KEY = "duplicate_key"
    ORPHAN = "orphan"
    TWO_CUSTOMERS = "two_customers"
    OUTSIDE_METER_LIFE = "outside_meter_life"
    CLOCK_CHANGE = "clock_change"
    REGISTER_ROLL_OVER = "register_roll_over"
    REGISTER_OPENING = "register_opening"
    REGISTER_GAP = "register_gap"
    PAST_RETENTION = "past_retention"
    ERASED_CUSTOMER = "erased_customer"


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One way in which a row can be refused.

    Attributes:
        reason: The reason that is counted.
        column: Column as the supplier's file names it, or the contract's name where an expression makes it; empty
            when the row as a whole is refused.
        what: What is wrong and what to do, as the end of a sentence that starts with the value or the column.
        allowed: Codes of the column, to recognise a misspelt one.
        is_secret: Whether the value must never be shown.
    """

    reason: Reason
    column: str
    what: str
    allowed: Sequence[str | int] = ()
    is_secret: bool = False


_DATE_LIKE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}(:\d{1,2}){0,2}(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?$")
_NUMBER_LIKE = re.compile(r"^[-+]?[\d.,' ]*[A-Za-z]?[\d.,' ]*[A-Za-z%]?$")
_MAX_SHOWN_CHARACTERS = 32
_MAX_SHOWN_DIGITS = 6


def shown_value(value: str | None, check: RowCheck) -> str:
    """Return the value in quotation marks when it is harmless, else a description of its form."""
    if value is None or check.is_secret:
        return "the value"
    if check.allowed:
        return f'"{value}"' if difflib.get_close_matches(value, [str(code) for code in check.allowed]) else "the value"
    digits = sum(character.isdigit() for character in value)
    is_short = len(value) <= _MAX_SHOWN_CHARACTERS
    is_number = is_short and digits > 0 and bool(_NUMBER_LIKE.match(value))
    whole_digits = len(re.split(r"[.,eE]", value.lstrip("-+"))[0])
    if (is_short and _DATE_LIKE.match(value)) or (is_number and whole_digits <= _MAX_SHOWN_DIGITS):
        return f'"{value}"'
    return f"the value ({len(value)} characters)"


def row_message(source_file: str, row: int, check: RowCheck, value: str | None) -> str:
    """Return the sentence about one refused row."""
    place = f"{source_file}, row {row}"
    if check.column:
        place = f"{place}, column {check.column}"
    return f"{place}: {shown_value(value, check)} {check.what}"
