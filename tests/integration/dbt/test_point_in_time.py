"""A landing grows by months, late rows and corrections: what was known stays, what is known now is complete."""

import datetime as dt
import hashlib
from dataclasses import dataclass

import duckdb
import pandas as pd
import pytest

from ml.columns import Column
from ml.credit_risk import schema as credit_risk
from ml.segmentation import schema as segmentation
from ml.tariff_matching import schema as tariff_matching
from tests.integration.dbt.conftest import ZONE, DbtProject
from tests.integration.dbt.landing_factory import LandingFactory, deliver_history, month_start_at

CUSTOMERS = 12
MONTHS = 14
FEATURES = {
    "customer_segmentation_features": segmentation.FEATURES,
    "customer_tariff_features": tariff_matching.FEATURES,
    "customer_credit_features": credit_risk.FEATURES,
}
CONTEXT = {
    "customer_segmentation_features": ["customer_key", "as_of_month", "district"],
    "customer_tariff_features": ["customer_key", "as_of_month", "district"],
    "customer_credit_features": ["customer_key", "as_of_month", "as_of_at", "district"],
}
MARTS = (*FEATURES, "customer_credit_outcomes", "customer_segmentation_outcomes", "customer_load_cube",
         "customer_load_profile", "customer_monthly_load", "customer_portrait", "customer_portrait_history",
         "service_quality_monthly", "service_quality_by_dimension")  # fmt: skip
BATCHED = (
    "int_interval_load_aggregates",
    "int_monthly_load_versions",
    "int_monthly_shape_versions",
    "customer_load_cube",
)

# Known after the as-of date of the last month that the base landing knows (its payments arrive in November 2025).
LATER = dt.datetime(2026, 1, 10)
WITHOUT_TESTS = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")


@dataclass(frozen=True, slots=True)
class History:
    """The same warehouse before and after a second round of deliveries.

    Attributes:
        dbt: The project.
        base: Marts after the first run.
        unchanged: Marts after a run with nothing new, for which the readings had been taken away.
        unchanged_messages: Message of each node of that run.
        grown: Marts after the second round of deliveries.
        grown_messages: Message of each node of that run.
    """

    dbt: DbtProject
    base: dict[str, pd.DataFrame]
    unchanged: dict[str, pd.DataFrame]
    unchanged_messages: dict[str, str]
    grown: dict[str, pd.DataFrame]
    grown_messages: dict[str, str]


def _marts(dbt: DbtProject, warehouse: str) -> dict[str, pd.DataFrame]:
    return {mart: dbt.read(warehouse, f"from marts.{mart} order by all") for mart in MARTS}


def _deliver_what_became_known_later(landing: LandingFactory) -> None:
    """Deliver late and corrected rows of every entity whose events lie in months that were looked back from before."""
    customer = "md5('customer3')"
    late_month = month_start_at(dt.date(2025, 3, 1), ZONE)
    landing.deliver(
        "2026-01-10-late",
        LATER,
        {
            # A reading for a gap of March, and corrections of two readings of May.
            "meter_readings": f"""
                select 'M3' as meter_id, {customer} as customer_key,
                    timestamp '{late_month}' + interval 7 minute as read_at,
                    60 as interval_minutes, 'actual' as quality, 50.0 as kwh, 0 as revision
                union all
                select 'M3', {customer}, unnest([timestamp '2025-05-05 09:00', timestamp '2025-05-05 10:00']), 60,
                    'actual', 77.0, 1
            """,
            "bills": f"""
                select 'B3-202502' as bill_id, {customer} as customer_key, date '2025-02-01' as period_start,
                    date '2025-03-01' as period_end, 1 as kwh, 9999.0 as amount, date '2025-03-01' as issued_date,
                    date '2025-03-21' as due_date, 1 as revision
                union all
                select 'B3-late', {customer}, date '2024-10-01', date '2024-10-05', 1, 500.0, date '2024-11-01',
                    date '2024-11-05', 0
            """,
            "payments": f"""
                select 'late' || n as payment_id, 'B' || n || '-202501' as bill_id,
                    md5('customer' || n) as customer_key, date '2025-02-20' as paid_date, 5.0 as amount,
                    'bank' as channel
                from range({CUSTOMERS}) as t(n)
            """,
            "customers": f"""
                select {customer} as customer_key, 'industrial' as customer_class, 'elsewhere' as district,
                    900.0 as contract_capacity_kva, 8000.0 as credit_limit_amount,
                    date '2000-01-01' as registered_date, 1 as revision
            """,
            "meters": f"""
                select 'M3' as meter_id, {customer} as customer_key, 60 as interval_minutes, 1.0 as multiplier,
                    date '2024-09-15' as installed_date, 1 as revision
            """,
            "tariff_enrolments": f"""
                select {customer} as customer_key, date '2025-01-01' as valid_from, 'tariff_late' as tariff_id
            """,
            "programme_enrolments": f"""
                select {customer} as customer_key, 'demand_response' as programme, date '2025-01-01' as joined_date
            """,
            "service_contacts": f"""
                select 'late' as contact_id, {customer} as customer_key, timestamp '2025-06-05 10:00' as opened_at,
                    'phone' as channel, 'billing' as topic, cast(1 as smallint) as satisfaction
            """,
            "inspections": f"""
                select 'late' as inspection_id, {customer} as customer_key, date '2025-06-05' as inspected_date,
                    'theft' as outcome
            """,
        },
    )


@pytest.fixture(scope="module")
def history(dbt_project: DbtProject, tmp_path_factory: pytest.TempPathFactory) -> History:
    """Build a base, run again without the readings, deliver more, run again."""
    landing = LandingFactory.create(tmp_path_factory.mktemp("landing"))
    deliver_history(landing, customers=CUSTOMERS, months=MONTHS)
    dbt_project.use(landing)
    dbt_project.run("build", "history", *WITHOUT_TESTS)
    base = _marts(dbt_project, "history")

    taken_away = landing.path / "taken_away"
    taken_away.mkdir()
    moved = [path for path in (landing.path / "deliveries").glob("*/meter_readings") if "contract" not in str(path)]
    for path in moved:
        path.rename(taken_away / path.parent.name)
    unchanged_messages = dbt_project.run("run", "history")
    unchanged = _marts(dbt_project, "history")
    for path in moved:
        (taken_away / path.parent.name).rename(path)

    _deliver_what_became_known_later(landing)
    deliver_history(landing, customers=CUSTOMERS, months=MONTHS + 3, first=MONTHS)
    grown_messages = dbt_project.run("build", "history")
    return History(dbt_project, base, unchanged, unchanged_messages, _marts(dbt_project, "history"), grown_messages)


@pytest.mark.parametrize("mart", [*FEATURES, "customer_portrait_history"])
def test_later_knowledge_changes_no_earlier_feature_row(history: History, mart: str) -> None:
    base, grown = history.base[mart], history.grown[mart]
    # Some marts keep the latest twelve months only, so the oldest of the base are gone from the grown one. The last
    # month of the base is not final: the supplier delivered after its end, but its as-of instant was still to come.
    first, last_final = grown["as_of_month"].min(), base["as_of_month"].max() - pd.DateOffset(months=1)
    earlier = base[base["as_of_month"].between(first, last_final)].reset_index(drop=True)
    assert earlier["as_of_month"].nunique() >= 8
    pd.testing.assert_frame_equal(
        earlier, grown[grown["as_of_month"] <= last_final].reset_index(drop=True), check_exact=True
    )


@pytest.mark.parametrize(
    ("mart", "column", "expected"),
    [
        ("customer_credit_features", "confirmed_breaches_24m_count", 1),
        ("customer_credit_features", "contract_capacity_kva", 900),
        ("customer_credit_features", "credit_limit_amount", 8000),
        ("customer_credit_features", "customer_class", "industrial"),
        ("customer_segmentation_features", "peak_kw", 77),
        ("customer_segmentation_features", "programmes_count", 1),
        ("customer_tariff_features", "tariff_id", "tariff_late"),
    ],
)
def test_later_knowledge_counts_from_the_month_in_which_it_was_known(
    history: History, mart: str, column: str, expected: object
) -> None:
    # What arrives on 10 January is too late for December and in time for January.
    rows = history.grown[mart].query(f"customer_key == '{_key(3)}'").set_index("as_of_month")[column]
    assert rows[pd.Timestamp("2025-12-01")] != expected
    assert rows[pd.Timestamp("2026-01-01")] == expected


def test_portrait_is_the_latest_month_of_its_history(history: History) -> None:
    portrait = history.grown["customer_portrait"].set_index("customer_key")
    last = (
        history.grown["customer_portrait_history"].query("as_of_month == as_of_month.max()").set_index("customer_key")
    )
    sections = [column for column in last if column.endswith(("_confidence", "_share", "_kwh"))]

    pd.testing.assert_frame_equal(portrait.loc[last.index, sections], last[sections])
    assert set(portrait["load_confidence"]) <= {"none", "low", "medium", "high"}
    assert (portrait["segmentation_confidence"] == "none").all()


@pytest.mark.parametrize("mart", ["customer_portrait", "customer_portrait_history"])
def test_a_section_has_date_and_source_exactly_when_something_is_known(history: History, mart: str) -> None:
    portrait = history.grown[mart]
    sections = [name.removesuffix("_as_of_date") for name in portrait if name.endswith("_as_of_date")]
    known = {section: portrait[f"{section}_confidence"] != "none" for section in sections}
    # Nobody was scored in this landing.
    assert {section for section in sections if known[section].any()} >= {"identity", "load", "temperature", "payment"}
    assert {section for section in sections if not known[section].any()} >= {"segmentation", "advice", "rating"}
    for section in sections:
        for column in ("as_of_date", "source"):
            pd.testing.assert_series_equal(portrait[f"{section}_{column}"].notna(), known[section], check_names=False)


def test_current_marts_know_corrections_at_once(history: History) -> None:
    for month, more_kwh in (("2025-03-01", 50), ("2025-05-01", 154)):
        query = f"month == @pd.Timestamp('{month}') and customer_key == '{_key(3)}'"
        before = history.base["customer_monthly_load"].query(query)["kwh"].item()
        after = history.grown["customer_monthly_load"].query(query)["kwh"].item()
        assert after > before + more_kwh - 4


def test_a_run_with_nothing_new_reads_no_readings(history: History) -> None:
    assert {history.unchanged_messages[model] for model in BATCHED} == {"OK, 0 months"}
    for mart in MARTS:
        pd.testing.assert_frame_equal(history.base[mart], history.unchanged[mart], check_exact=True)


def test_only_months_that_a_delivery_touches_are_computed_again(history: History) -> None:
    # The late reading lies in UTC February (local February and March), the corrections in UTC May (local May and June),
    # the new readings in UTC October to January (local October to February).
    assert history.grown_messages["int_interval_load_aggregates"] == "OK, 9 months"


def test_incremental_runs_equal_a_full_refresh(history: History) -> None:
    history.dbt.run("run", "history", "--full-refresh")
    refreshed = _marts(history.dbt, "history")
    for mart in MARTS:
        pd.testing.assert_frame_equal(history.grown[mart], refreshed[mart], check_exact=True)


def test_interrupted_month_is_computed_by_the_next_run(history: History) -> None:
    # What a killed run leaves: rows of a month without the note that it was processed.
    with duckdb.connect(str(history.dbt.path("history"))) as connection:
        march = "month_number = 2025 * 12 + 2"
        connection.execute(f"delete from intermediate.processed_months where {march}")
        connection.execute(f"delete from intermediate.int_interval_load_aggregates where {march} and grain = 'slot'")
    messages = history.dbt.run("run", "history")
    assert {messages[model] for model in BATCHED} == {"OK, 1 months"}
    repaired = _marts(history.dbt, "history")
    pd.testing.assert_frame_equal(history.grown["customer_load_cube"], repaired["customer_load_cube"], check_exact=True)


@pytest.mark.parametrize(("mart", "features"), FEATURES.items())
def test_feature_marts_have_the_columns_of_the_feature_matrix(
    history: History, mart: str, features: tuple[Column, ...]
) -> None:
    described = history.dbt.read("history", f"describe marts.{mart}")
    context = CONTEXT[mart]
    assert list(described["column_name"]) == [*context, *(column.name for column in features)]
    types = dict(zip(described["column_name"], described["column_type"], strict=True))
    expected = {column.name: "DOUBLE" if column.kind == "numeric" else "VARCHAR" for column in features}
    assert {name: types[name] for name in expected} == expected


@pytest.mark.parametrize(("mart", "features"), FEATURES.items())
def test_features_lie_within_the_bounds_of_their_schema(
    history: History, mart: str, features: tuple[Column, ...]
) -> None:
    frame = history.grown[mart]
    for column in features:
        values = frame[column.name].dropna()
        assert column.nullable or column.kind == "categorical" or len(values) == len(frame), column.name
        if column.minimum is not None and len(values):
            assert values.min() >= column.minimum, column.name
        if column.maximum is not None and len(values):
            assert values.max() <= column.maximum, column.name


def _key(customer: int) -> str:
    return hashlib.md5(f"customer{customer}".encode(), usedforsecurity=False).hexdigest()
