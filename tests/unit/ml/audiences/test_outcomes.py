"""Outcomes of a campaign come from later portraits, credit outcomes and programmes."""

from datetime import date

import polars as pl
import pytest

from ml.audiences.outcomes import (
    OutcomeError,
    default_outcome,
    joining_outcome,
    portrait_outcome,
    split_outcome,
)

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)
HISTORY = pl.DataFrame(
    {
        "customer_key": ["a", "b", "a", "b", "c"],
        "as_of_month": [JUNE, JUNE, JULY, JULY, JULY],
        "segment_name": ["x"] * 5,
        "annual_kwh": [1000.0, 3000.0, 900.0, 3100.0, 50.0],
        "is_solar_suspected": [True, False, True, True, None],
    }
)


def test_the_portrait_of_a_month_or_its_change_is_an_outcome() -> None:
    level = portrait_outcome(HISTORY, "annual_kwh", JULY).sort("customer_key")
    change = portrait_outcome(HISTORY, "annual_kwh", JULY, change_from=JUNE).sort("customer_key")
    share = portrait_outcome(HISTORY, "is_solar_suspected", JULY).sort("customer_key")

    assert level["outcome"].to_list() == [900, 3100, 50]
    assert change["outcome"].to_list() == [-100, 100, None]
    assert share["outcome"].to_list() == [True, True, None]


@pytest.mark.parametrize(
    ("column", "month", "change_from", "message"),
    [
        ("segment_name", JULY, None, "portrait.segment_name cannot be measured; there are: annual_kwh, is_solar"),
        ("missing", JULY, None, "portrait.missing cannot be measured"),
        ("annual_kwh", date(2026, 8, 1), None, "no portrait of 2026-08; months of the portrait: 2026-06 to 2026-07"),
        ("annual_kwh", JULY, date(2026, 5, 1), "no portrait of 2026-05"),
        ("is_solar_suspected", JULY, JUNE, "is true or false; measure it without the change"),
    ],
)
def test_what_the_portrait_cannot_tell_is_refused(
    column: str, month: date, change_from: date | None, message: str
) -> None:
    with pytest.raises(OutcomeError, match=message):
        portrait_outcome(HISTORY, column, month, change_from=change_from)


def test_only_mature_default_outcomes_of_the_population_count() -> None:
    outcomes = pl.DataFrame(
        {
            "customer_key": ["a", "b", "c", "a"],
            "as_of_month": [JUNE, JUNE, JUNE, JULY],
            "is_mature": [True, True, False, False],
            "exclusion": [None, "in_default", None, None],
            "is_default": [False, None, None, None],
        },
        schema_overrides={"is_default": pl.Boolean},
    )

    assert default_outcome(outcomes, JUNE).rows() == [("a", False)]
    with pytest.raises(OutcomeError, match="No default outcome of 2026-07 is known yet"):
        default_outcome(outcomes, JULY)


def test_joining_counts_from_the_first_day_of_contact_and_everybody_has_an_outcome() -> None:
    programmes = pl.DataFrame(
        {
            "customer_key": ["a", "b", "b"],
            "programme": ["app", "app", "autopay"],
            "joined_date": [date(2026, 6, 11), date(2026, 6, 12), date(2026, 7, 1)],
        }
    )
    members = pl.DataFrame({"customer_key": ["a", "b", "c"]})

    assert joining_outcome(members, programmes, "app", date(2026, 6, 12))["outcome"].to_list() == [False, True, False]
    with pytest.raises(OutcomeError, match="no programme 'apps'; there are: app, autopay"):
        joining_outcome(members, programmes, "apps", JUNE)


def test_an_outcome_is_named_by_its_source() -> None:
    assert split_outcome("portrait.annual_kwh") == ("portrait", "annual_kwh")
    assert split_outcome("credit.is_default") == ("credit", "is_default")
    assert split_outcome("programme.demand response") == ("programme", "demand response")
