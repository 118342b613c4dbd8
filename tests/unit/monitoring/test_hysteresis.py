"""A watch ends after enough stable months in a row; act is told at once and never held."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.splits import add_months
from monitoring.hysteresis import JudgedMonth, earlier_months, held_month, hold
from monitoring.policy import HysteresisRule
from monitoring.verdicts import SEVERITY_BY_OUTCOME, Outcome, outcome_of, record_verdict
from tests.unit.monitoring.test_verdicts import verdict

FIRST = date(2025, 1, 1)
RULE = HysteresisRule(calm_months=2, reason="One quiet month may be chance.")
LETTERS: dict[str, Outcome] = {"s": "stable", "w": "watch", "a": "act", "?": "not_enough_data"}
MONTHS = st.text(alphabet="swa?", min_size=1, max_size=12)


def said(own: str, calm_months: int = 2) -> str:
    """Return what is said of months, one letter each, from what each month alone leads to."""
    rule = HysteresisRule(calm_months=calm_months, reason=RULE.reason)
    spoken = ""
    for place, letter in enumerate(own):
        earlier = [JudgedMonth(add_months(FIRST, number), LETTERS[before]) for number, before in enumerate(own[:place])]
        held = held_month(LETTERS[letter], earlier[::-1], rule)
        spoken += "w" if held else letter
    return spoken


@pytest.mark.parametrize(
    ("own", "spoken"),
    [
        ("sss", "sss"),
        ("wss", "wws"),
        ("ass", "aws"),
        ("aws", "aww"),
        ("wswsss", "wwwwss"),
        ("asa", "awa"),
        ("s?s", "s?s"),
        ("w?ss", "w?ws"),
        ("ws?ss", "ww?ss"),
    ],
)
def test_what_is_said_of_a_row_of_months(own, spoken) -> None:
    assert said(own) == spoken


def test_with_one_calm_month_nothing_is_held() -> None:
    assert said("awsas", calm_months=1) == "awsas"


@settings(max_examples=60)
@given(own=MONTHS, calm_months=st.integers(1, 4))
def test_nothing_rises_late_and_only_a_stable_month_is_called_otherwise(own, calm_months) -> None:
    for month, spoken in zip(own, said(own, calm_months), strict=True):
        assert SEVERITY_BY_OUTCOME[LETTERS[spoken]] >= SEVERITY_BY_OUTCOME[LETTERS[month]]
        assert spoken == month or (month, spoken) == ("s", "w")


@settings(max_examples=60)
@given(own=MONTHS, calm_months=st.integers(1, 4))
def test_every_loud_month_is_followed_by_enough_stable_ones_before_stable_is_said(own, calm_months) -> None:
    spoken = said(own, calm_months)
    for place, letter in enumerate(spoken):
        judged = own[: place + 1].replace("?", "")
        if letter == "s":
            assert set(judged[-calm_months:]) == {"s"}


def test_a_held_verdict_says_since_when_and_stays_consistent_with_its_findings() -> None:
    held = hold(verdict(month=date(2026, 8, 1)), [JudgedMonth(date(2026, 7, 1), "act")], RULE)
    assert (held.outcome, held.finding_outcome, held.held_since) == ("watch", "stable", date(2026, 7, 1))
    assert held.outcome == outcome_of(held.reasons)
    assert held.reasons[0].sentence_en == (
        "2026-07 was “Act”. This month alone is stable: 1 of the 2 stable months in a row that end the watch."
    )
    assert "第 1 个月" in held.reasons[0].sentence_zh


def test_only_earlier_months_of_the_same_release_are_remembered(tmp_path) -> None:
    july, june, september = (verdict(month=date(2026, number, 1), outcome="watch") for number in (7, 6, 9))
    other_release = verdict(month=date(2026, 5, 1), outcome="act").model_copy(update={"release": "0002"})
    for past in (july, june, september, other_release, verdict(month=date(2026, 4, 1), use_case="segmentation")):
        record_verdict(past, tmp_path)
    found = earlier_months(tmp_path, "credit_risk", "0001", date(2026, 8, 1))
    assert found == (JudgedMonth(date(2026, 7, 1), "watch"), JudgedMonth(date(2026, 6, 1), "watch"))
