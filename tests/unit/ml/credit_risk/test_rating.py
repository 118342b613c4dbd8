from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.columns import names
from ml.credit_risk.rating import (
    VETOES,
    capped_ratings,
    migration_tables,
    monthly_migrations,
    rating_history,
    veto_text,
)
from ml.credit_risk.schema import FEATURES, RATINGS
from ml.credit_risk.scorecard import ratings
from ml.splits import add_months

FIRST = date(2026, 1, 1)
SPOTLESS = {"unpaid_balance_ratio": 0.0, "confirmed_breaches_24m_count": 0.0, "bills_12m_count": 12.0}
NEVER = {"months_since_overdue_30d_months": np.nan}


def columns(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    complete = [{**SPOTLESS, **NEVER, **row} for row in rows]
    return {name: np.array([row[name] for row in complete]) for name in complete[0]}


def months(ratings_: list[str], vetoes: list[str | None] | None = None, key: str = "a") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_key": key,
            "as_of_month": [add_months(FIRST, offset) for offset in range(len(ratings_))],
            "credit_rating": ratings_,
            "rating_veto_code": vetoes or [None] * len(ratings_),
        }
    )


@pytest.mark.parametrize(
    ("fact", "code", "rating"),
    [
        ({}, None, "AAA"),
        ({"unpaid_balance_ratio": 0.1}, "unsettled_bill", "BBB"),
        ({"bills_12m_count": 2.0}, "new_customer", "BBB"),
        ({"confirmed_breaches_24m_count": 1.0}, "confirmed_breach", "C"),
        ({"unpaid_balance_ratio": 3.0}, "three_months_owed", "C"),
        ({"unpaid_balance_ratio": 0.1, "months_since_overdue_30d_months": 0.0}, "open_default", "D"),
        ({"months_since_overdue_30d_months": 0.0}, None, "AAA"),
        ({"unpaid_balance_ratio": np.nan, "bills_12m_count": np.nan}, None, "AAA"),
    ],
)
def test_a_fact_caps_the_rating_whatever_the_probability(fact: dict[str, float], code: str | None, rating: str):
    found, vetoes = capped_ratings(np.array([0.001]), columns([fact]))
    assert (found, vetoes) == ([rating], [code])


def test_a_fact_never_improves_a_rating_and_is_only_named_where_it_lowers_one():
    found, vetoes = capped_ratings(np.array([0.9]), columns([{"unpaid_balance_ratio": 5.0}]))
    assert (found, vetoes) == (["D"], [None])


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 4.0]), st.sampled_from([0.0, 1.0])), min_size=1))
def test_ratings_are_those_of_the_probability_or_worse(rows: list[tuple[float, float, float]]):
    probabilities = np.array([row[0] for row in rows])
    facts = columns([{"unpaid_balance_ratio": owed, "confirmed_breaches_24m_count": theft} for _, owed, theft in rows])
    found, vetoes = capped_ratings(probabilities, facts)
    for plain, capped, veto in zip(ratings(probabilities), found, vetoes, strict=True):
        assert RATINGS.index(capped) >= RATINGS.index(plain)
        assert (capped != plain) == (veto is not None)


def test_vetoes_read_columns_of_the_schema_are_named_once_and_speak_both_languages():
    everything = {name: np.zeros(1) for name in names(FEATURES)}
    for veto in VETOES:
        assert veto.applies(everything).dtype == bool
        assert veto_text(veto.code).en
        assert veto_text(veto.code).zh
    assert len({veto.code for veto in VETOES}) == len(VETOES)
    assert [RATINGS.index(veto.cap) for veto in VETOES] == sorted((RATINGS.index(v.cap) for v in VETOES), reverse=True)


@pytest.mark.parametrize(
    ("monthly", "in_force"),
    [
        (["A", "A", "A"], ["A", "A", "A"]),
        (["A", "B", "A", "A"], ["A", "A", "A", "A"]),
        (["A", "B", "BB", "A"], ["A", "A", "BB", "BB"]),
        (["A", "C", "B", "B"], ["A", "A", "B", "B"]),
        (["B", "A", "AA", "AA"], ["B", "B", "A", "AA"]),
        (["A", "B", "AA", "B", "AA"], ["A", "A", "A", "A", "A"]),
    ],
)
def test_a_rating_moves_when_two_months_in_a_row_say_so(monthly: list[str], in_force: list[str]):
    assert rating_history(months(monthly))["rating_in_force"].tolist() == in_force


def test_a_cap_takes_effect_at_once_and_is_lifted_by_two_months():
    history = rating_history(months(["A", "C", "A", "A"], [None, "confirmed_breach", None, None]))
    assert history["rating_in_force"].tolist() == ["A", "C", "C", "A"]
    assert history["moved_by"].tolist() == ["first", "veto", None, "two_months"]
    assert history["in_force_since_month"].tolist() == [FIRST, date(2026, 2, 1), date(2026, 2, 1), date(2026, 4, 1)]


def test_a_month_without_a_row_interrupts_the_count():
    rows = months(["A", "B", "B", "B"]).drop(index=1)
    assert rating_history(rows)["rating_in_force"].tolist() == ["A", "A", "B"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(RATINGS), min_size=1, max_size=8), min_size=1, max_size=4), st.integers(0, 2**31)
)
def test_history_knows_nothing_of_later_months_other_customers_or_the_order_of_rows(
    monthly: list[list[str]], seed: int
):
    rows = pd.concat([months(found, key=str(key)) for key, found in enumerate(monthly)], ignore_index=True)
    history = rating_history(rows.sample(frac=1, random_state=seed))
    for key, found in enumerate(monthly):
        own = history[history["customer_key"] == str(key)]
        for known in range(1, len(found) + 1):
            earlier = rating_history(months(found[:known], key=str(key)))
            assert earlier["rating_in_force"].tolist() == own["rating_in_force"].tolist()[:known]
        assert set(own["rating_in_force"]) <= set(found)


def test_migrations_count_every_customer_that_has_both_months():
    history = rating_history(pd.concat([months(["A", "B", "B"], key="a"), months(["C", "C"], key="b")]))
    tables = monthly_migrations(history)
    assert sorted(tables) == [date(2026, 2, 1), date(2026, 3, 1)]
    assert tables[date(2026, 2, 1)].sum() == 2
    table, by_month = migration_tables(history)
    counts = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    assert counts["A"] == {"snapshots": 2, **dict.fromkeys(RATINGS, 0), "A": 1, "B": 1}
    assert counts["C"]["C"] == 1
    none = (0,) * len(RATINGS)
    assert by_month.rows == (
        ("2026-02", "A", 1, *_one_at("A", none)),
        ("2026-02", "C", 1, *_one_at("C", none)),
        ("2026-03", "A", 1, *_one_at("B", none)),
    )
    assert migration_tables(history, latest_months=1)[1].rows == by_month.rows[2:]


def _one_at(rating: str, counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if name == rating else count for name, count in zip(RATINGS, counts, strict=True))


def test_a_single_month_has_no_migration():
    table, by_month = migration_tables(rating_history(months(["A"], key="a")))
    assert {row[1] for row in table.rows} == {0}
    assert by_month.rows == ()
