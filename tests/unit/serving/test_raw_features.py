"""Features of raw rows are made in an engine that opens no file and stops in time, for a month that is over."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ml.feature_definitions import FeatureDefinitions, Relation, RelationColumn
from serving import raw_features
from serving.raw_features import RawFeatureMaker, RawFeaturesError
from serving.raw_schemas import RawCustomer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTHS = tuple(
    RelationColumn(name=name, type=kind)
    for name, kind in (("as_of_month_number", "INTEGER"), ("as_of_month", "DATE"), ("as_of_at", "TIMESTAMP"))
)
BILLS = tuple(
    RelationColumn(name=name, type=kind)
    for name, kind in (
        ("bill_id", "VARCHAR"),
        ("customer_key", "VARCHAR"),
        ("amount", "DECIMAL(18,2)"),
        ("issued_date", "DATE"),
        ("known_at", "TIMESTAMP"),
        ("revision", "INTEGER"),
    )
)


def maker(sql: str = "select 'north' as district, sum(amount) as amount from landing.bills") -> RawFeatureMaker:
    definitions = FeatureDefinitions(
        use_case="credit_risk",
        time_zone="Asia/Shanghai",
        as_of_lag_days=3,
        adds_up_parallel_meters=True,
        landing={"bills": BILLS},
        as_of_months=MONTHS,
        steps=(Relation(schema_name="marts", name="customer_credit_features", kind="table", sql=sql),),
        feature_table="customer_credit_features",
    )
    return RawFeatureMaker(definitions, ["amount"])


def bill(issued: str, amount: float = 55.1) -> dict[str, object]:
    return {
        "bill_id": issued,
        "period_start": "2026-01-01",
        "period_end": "2026-02-01",
        "amount": amount,
        "issued_date": issued,
        "due_date": "2026-12-31",
    }


def raw(**more: object) -> RawCustomer:
    return RawCustomer.model_validate({"bills": [bill("2026-08-03"), bill("2026-09-03")], **more}, strict=False)


def test_a_row_of_the_mart_becomes_plain_values() -> None:
    made = maker().make(raw(), now=NOW)

    assert made.features == {"amount": 110.2}
    assert made.district == "north"
    assert maker("select null as district, 'nan'::double as amount").make(raw(), now=NOW).features == {"amount": None}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, date(2026, 9, 1)),
        ({"as_of_month": "2026-07-01"}, date(2026, 7, 1)),
        ({"bills": [bill("2026-11-03")]}, date(2026, 10, 1)),
        ({"bills": None}, date(2026, 10, 1)),
    ],
    ids=["latest month with rows", "the month asked for", "this month is not over", "nothing happened"],
)
def test_the_month_is_the_latest_with_rows_that_is_over(sent: dict[str, object], expected: date) -> None:
    assert maker().make(raw(**sent), now=NOW).as_of_month == expected


def test_a_month_that_is_not_over_is_refused() -> None:
    with pytest.raises(RawFeaturesError, match="the latest month that is over is 2026-10-01"):
        maker().make(raw(as_of_month="2026-11-01"), now=NOW)
    # In Shanghai November has begun already.
    at = datetime(2026, 10, 31, 20, tzinfo=UTC)
    assert maker().make(raw(as_of_month="2026-10-01"), now=at).as_of_month == date(2026, 10, 1)


def test_who_was_no_customer_in_the_month_is_refused_and_the_next_one_answered() -> None:
    engine = maker("select 'north' as district, sum(amount) as amount from landing.bills having count(*) = 2")

    with pytest.raises(RawFeaturesError, match=r"none in 2026-07.*customer\.registered_date"):
        engine.make(raw(bills=[], as_of_month="2026-07-01"), now=NOW)
    assert engine.make(raw(), now=NOW).features == {"amount": 110.2}


def test_the_engine_knows_the_instant_of_the_month() -> None:
    sql = "select null as district, epoch(as_of_at) as amount from intermediate.int_as_of_months"

    made = maker(sql).make(raw(as_of_month="2026-09-01"), now=NOW)

    assert made.features["amount"] == datetime(2026, 10, 3, 16, tzinfo=UTC).timestamp()


def test_the_engine_opens_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("amount\n1\n")

    with pytest.raises(Exception, match="disabled"):
        maker(f"select null as district, amount from read_csv('{secret}')").make(raw(), now=NOW)


def test_what_takes_too_long_is_stopped_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_features, "_LONGEST_SECONDS", 0.05)

    with pytest.raises(RawFeaturesError, match=r"longer than 0\.05 seconds"):
        maker("select null as district, sum(a.range * b.range) as amount from range(10000000) a, range(10000) b").make(
            raw(), now=NOW
        )


def test_what_takes_too_much_memory_is_stopped_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(raw_features._CONFIGURATION, "memory_limit", "20MB")

    with pytest.raises(RawFeaturesError, match="more than 400MB"):
        maker(
            "select null as district, len(list(a.range || b.range)) as amount from range(100000) a, range(1000) b"
        ).make(raw(), now=NOW)


def test_values_beyond_every_sum_are_refused() -> None:
    with pytest.raises(RawFeaturesError, match="too large to be added up"):
        maker("select null as district, cast(sum(amount) as decimal(4, 2)) as amount from landing.bills").make(
            raw(), now=NOW
        )


def test_nothing_of_a_customer_is_left_for_the_next() -> None:
    own = maker()

    first = own.make(raw(), now=NOW).features
    stranger = own.make(RawCustomer(), now=NOW).features

    assert (first, stranger) == ({"amount": 110.2}, {"amount": None})


def test_after_a_refusal_the_next_customer_is_answered() -> None:
    own = maker("select null as district, cast(sum(amount) as decimal(4, 2)) as amount from landing.bills")

    with pytest.raises(RawFeaturesError):
        own.make(raw(), now=NOW)

    assert own.make(raw(bills=[bill("2026-08-03", 5.5)]), now=NOW).features == {"amount": 5.5}
