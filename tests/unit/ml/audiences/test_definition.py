"""Audiences ask the portrait by name; what cannot be asked is refused with its field."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.audiences.definition import AudienceError, consent_column, load_definition, matching, queryable_columns
from ml.columns import MARKETING_CHANNELS
from tests.unit.ml.audiences.campaigns import campaign, portrait


def _count(*demands: dict[str, Any]) -> int:
    return matching(campaign(select=list(demands)), portrait()).height


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        ({"column": "customer_class", "is": "commercial"}, 100),
        ({"column": "customer_class", "is_not": "commercial"}, 300),
        ({"column": "segment_name", "one_of": ["Evening peak", "Steady base"]}, 267),
        ({"column": "segment_name", "none_of": ["Evening peak"]}, 133),
        ({"column": "segment_name", "is_known": False}, 133),
        ({"column": "expected_saving_amount", "at_least": 98}, 4),
        ({"column": "expected_saving_amount", "above": 98}, 0),
        ({"column": "expected_saving_amount", "at_least": 10, "at_most": 12}, 12),
        ({"column": "expected_saving_amount", "below": 2}, 8),
        ({"column": "is_solar_suspected", "is": True}, 58),
        ({"column": "registered_date", "at_least": date(2024, 1, 1)}, 40),
    ],
)
def test_each_operator_asks_what_it_says(demand: dict[str, Any], expected: int) -> None:
    assert _count(demand) == expected


def test_a_customer_must_meet_every_demand_and_an_unknown_value_meets_none() -> None:
    everybody = _count({"column": "customer_class", "is_known": True})
    known = _count({"column": "expected_saving_amount", "at_least": -1})

    assert everybody == 400
    assert known == 360
    assert _count({"column": "expected_saving_amount", "is_not": -5}) == known
    assert _count({"column": "customer_class", "is": "commercial"}, {"column": "is_solar_suspected", "is": True}) == 15


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (
            {"column": "expected_savings_amount", "at_least": 5},
            r"select\[0\]\.column: .*'expected_savings_amount'; did you mean expected_saving_amount\? There are: "
            r"customer_class, segment_name, expected_saving_amount, is_solar_suspected, registered_date",
        ),
        ({"column": "customer_key", "is": "x"}, r"select\[0\]\.column: the portrait has no column 'customer_key'"),
        (
            {"column": "segment_name", "at_least": 5},
            r"select\[0\]\.at_least: does not fit segment_name, a column of text; use is, is_not, one_of, none_of",
        ),
        (
            {"column": "segment_name", "one_of": ["Evening peek"]},
            r"select\[0\]\.one_of: segment_name has no value 'Evening peek'; there are: Evening peak, Steady base",
        ),
        ({"column": "is_solar_suspected", "is": 1}, r"select\[0\]\.is: 1 is no value of is_solar_suspected"),
        ({"column": "expected_saving_amount", "is": True}, r"True is no value of expected_saving_amount"),
        (
            {"column": "registered_date", "at_least": 2024},
            r"2024(\.0)? is no value of registered_date, a column of dat",
        ),
    ],
)
def test_what_the_portrait_cannot_answer_is_refused_with_its_field(demand: dict[str, Any], message: str) -> None:
    with pytest.raises(AudienceError, match=message):
        matching(campaign(select=[demand]), portrait())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("select: [{column: a}]", r"audience.yaml: select\[0\]: give at least one operator; there are: is, is_not"),
        ("select: [{column: a, like: b}]", r"audience.yaml: select\[0\]\.like: Extra inputs are not permitted"),
        ("control_share_pct: 0", r"audience.yaml: control_share_pct: .*greater than or equal to 5"),
        ("channel: fax", r"audience.yaml: channel: Input should be 'phone', 'sms'"),
        ("contact_until: 2026-10-01", r"audience.yaml: document: contact_until 2026-10-01 is before"),
        ("outcome: kwh", r"audience.yaml: outcome: 'kwh' is no outcome; give portrait.<column>"),
        ("outcome: credit.points", r"audience.yaml: outcome: credit.points is no outcome; there is: credit.is_default"),
        ("campaign_id: ../secret", r"audience.yaml: campaign_id: String should match pattern"),
        ("name: [", r"audience.yaml: cannot be read as YAML"),
    ],
)
def test_a_document_that_says_what_cannot_be_is_refused_with_file_and_field(
    tmp_path: Path, line: str, message: str
) -> None:
    document = {
        "campaign_id": "evening",
        "name": "Evening",
        "purpose": "Offer it.",
        "channel": "sms",
        "contact_from": "2026-10-12",
        "contact_until": "2026-10-23",
        "outcome": "portrait.mean_daily_kwh",
        "select": "[{column: customer_class, is: residential}]",
    }
    lines = [f"{name}: {value}" for name, value in document.items() if name != line.partition(":")[0]]
    path = tmp_path / "audience.yaml"
    path.write_text("\n".join([*lines, line]), encoding="utf-8")

    with pytest.raises(AudienceError, match=message):
        load_definition(path)


def test_a_code_that_no_customer_has_today_may_be_asked() -> None:
    households = portrait().filter(pl.col("customer_class") == "residential")
    definition = campaign(select=[{"column": "customer_class", "one_of": ["agricultural", "residential"]}])

    assert matching(definition, households).height == households.height


def test_every_column_but_the_key_may_be_asked() -> None:
    assert queryable_columns(portrait()) == {
        "customer_class": "text",
        "segment_name": "text",
        "expected_saving_amount": "number",
        "is_solar_suspected": "yes_or_no",
        "registered_date": "date",
    }


def test_every_channel_has_its_consent() -> None:
    assert [consent_column(channel) for channel in MARKETING_CHANNELS] == [
        f"{channel}_consent_date" for channel in MARKETING_CHANNELS
    ]
    with pytest.raises(AudienceError, match="there are: phone, sms"):
        consent_column("fax")
