"""Columns of models traced to the columns of their parents, through the SQL forms that the models use."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestration import column_lineage
from orchestration.column_lineage import (
    Lineage,
    SourceColumn,
    UnreadableSqlError,
    lineage_of_models,
    lineage_of_select,
)

BILLS = ("staging", "bills")
PAYMENTS = ("staging", "payments")
PARENTS = {
    BILLS: ["bill_id", "customer_key", "amount", "due_date", "periods"],
    PAYMENTS: ["bill_id", "paid_date", "paid_amount"],
}
FILES = "read_parquet('/home/landing/deliveries/*/bills/*.parquet', union_by_name = true)"


def traced(sql: str, *columns: str) -> dict[str, list[str]]:
    """Return the sources of each column as text."""
    return as_text(lineage_of_select(sql, columns, PARENTS))


def as_text(lineage: Lineage) -> dict[str, list[str]]:
    return {column: [f"{source.table}.{source.column}" for source in sources] for column, sources in lineage.items()}


def test_column_is_traced_through_ctes_and_new_names() -> None:
    sql = """
        with source as (select bill_id as id, amount from "staging"."bills"),
        doubled as (select id, amount * 2 as twice from source)
        select id, twice + 1 as more from doubled
    """

    assert lineage_of_select(sql, ["id", "more"], PARENTS) == {
        "id": [SourceColumn("staging", "bills", "bill_id")],
        "more": [SourceColumn("staging", "bills", "amount")],
    }


def test_join_names_both_parents_and_leaves_out_its_condition() -> None:
    sql = """
        select bills.customer_key, bills.amount - coalesce(payments.paid_amount, 0) as unpaid_amount
        from "staging"."bills" as bills
        left join "staging"."payments" as payments
            on bills.bill_id = payments.bill_id and payments.paid_date <= bills.due_date
    """

    assert traced(sql, "customer_key", "unpaid_amount") == {
        "customer_key": ["bills.customer_key"],
        "unpaid_amount": ["bills.amount", "payments.paid_amount"],
    }


def test_star_stands_for_the_columns_of_the_parent() -> None:
    sql = 'with source as (select * from "staging"."payments") select source.*, 1 as revision from source'

    assert traced(sql, "bill_id", "paid_date", "paid_amount", "revision") == {
        "bill_id": ["payments.bill_id"],
        "paid_date": ["payments.paid_date"],
        "paid_amount": ["payments.paid_amount"],
        "revision": [],
    }


def test_union_matches_columns_by_position() -> None:
    sql = """
        with events as (
            select bill_id, due_date as event_date from "staging"."bills"
            union all
            select * exclude (paid_amount) from "staging"."payments"
        )
        select * from events
    """

    assert traced(sql, "bill_id", "event_date") == {
        "bill_id": ["bills.bill_id", "payments.bill_id"],
        "event_date": ["bills.due_date", "payments.paid_date"],
    }


def test_aggregate_names_what_it_adds_up_and_a_count_of_rows_nothing() -> None:
    sql = """
        select customer_key, count(*) as bills_count, sum(amount) filter (where due_date > current_date) as open_amount
        from "staging"."bills" group by customer_key
    """

    assert traced(sql, "customer_key", "bills_count", "open_amount") == {
        "customer_key": ["bills.customer_key"],
        "bills_count": [],
        "open_amount": ["bills.amount", "bills.due_date"],
    }


def test_window_names_its_partition_and_order() -> None:
    sql = """
        select lag(amount) over (partition by customer_key order by due_date) as previous_amount
        from "staging"."bills"
    """

    assert traced(sql, "previous_amount") == {
        "previous_amount": ["bills.amount", "bills.customer_key", "bills.due_date"]
    }


def test_fields_and_lists_are_traced_to_the_column_that_holds_them() -> None:
    sql = """
        select
            periods[1].start_date as first_date,
            list_transform(periods, period -> period.kwh * amount) as weighted,
            max_by(bill_id, struct_pack(d := due_date)) over () as last_bill_id,
            range_values.n
        from "staging"."bills", range(1, 3) as range_values(n)
    """

    assert traced(sql, "first_date", "weighted", "last_bill_id", "n") == {
        "first_date": ["bills.periods"],
        "weighted": ["bills.amount", "bills.periods"],
        "last_bill_id": ["bills.bill_id", "bills.due_date"],
        "n": [],
    }


def test_names_keep_the_spelling_of_the_warehouse() -> None:
    parents = {("staging", "Bills"): ["Bill_ID"]}

    lineage = lineage_of_select('select bill_id as "Bill" from "staging"."Bills"', ["Bill"], parents)

    assert lineage == {"Bill": [SourceColumn("staging", "Bills", "Bill_ID")]}


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("selec bill_id fro bills", "Invalid expression"),
        ('select * from "other"."bills"', "does not name bill_id"),
        ('select bill_id from "other"."bills"', "other.bills.bill_id is no column of its parents"),
        ('select bills.bill_idd as bill_id from "staging"."bills" as bills', "Unknown column: bill_idd"),
        (
            'select revision as bill_id from "staging"."bills" as b join "staging"."payments" as p using (bill_id)',
            "none of its parents is known to have a column revision",
        ),
        (
            'select bill_id, amount from "staging"."bills" union by name select * from "staging"."payments"',
            "union by name",
        ),
        (
            'select bill_id from "staging"."bills" as b, lateral (select * from "staging"."payments") as p',
            "lateral subquery",
        ),
    ],
)
def test_select_that_cannot_be_traced_says_why(sql: str, sentence: str) -> None:
    with pytest.raises(UnreadableSqlError, match=sentence):
        lineage_of_select(sql, ["bill_id"], PARENTS)


class Project:
    """A dbt project of a source, a seed, a view on both and a table on the view, after a run."""

    tables: Mapping[tuple[str, str], Sequence[str]] = {
        ("seeds", "holidays"): ["holiday_date"],
        ("staging", "stg_bills"): ["bill_id", "is_due_on_holiday"],
        ("marts", "bill_facts"): ["bill_id"],
    }

    def __init__(self, folder: Path) -> None:
        self.manifest_path = folder / "manifest.json"
        self.cache_path = folder / "warehouse" / column_lineage.CACHE_FILE
        self.warnings: list[str] = []
        landing = {
            "schema": "landing",
            "name": "bills",
            "relation_name": FILES,
            "columns": {"bill_id": {}, "due_date": {}},
        }
        self.manifest: dict[str, Any] = {"nodes": {}, "sources": {"source.x.landing.bills": landing}}
        self.add("seed", "seeds", "holidays", None)
        self.add(
            "model",
            "staging",
            "stg_bills",
            f"select bill_id, due_date = holiday_date as is_due_on_holiday from {FILES} "
            'cross join "kilowise"."seeds"."holidays"',
            "source.x.landing.bills",
            "seed.x.holidays",
        )
        self.add(
            "model", "marts", "bill_facts", 'select bill_id from "kilowise"."staging"."stg_bills"', "model.x.stg_bills"
        )

    def add(self, kind: str, schema: str, name: str, sql: str | None, *parents: str) -> None:
        self.manifest["nodes"][f"{kind}.x.{name}"] = {
            "resource_type": kind,
            "schema": schema,
            "name": name,
            "relation_name": f'"kilowise"."{schema}"."{name}"',
            "compiled_code": sql,
            "depends_on": {"nodes": parents},
        }

    def lineage(self) -> dict[str, dict[str, list[str]]]:
        self.manifest_path.write_text(json.dumps(self.manifest))
        lineages = lineage_of_models(self.manifest_path, self.tables, self.cache_path, self.warnings.append)
        return {name: as_text(lineage) for (_, name), lineage in lineages.items()}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_files_of_a_source_are_its_landing_table(project: Project) -> None:
    assert project.lineage() == {
        "stg_bills": {"bill_id": ["bills.bill_id"], "is_due_on_holiday": ["bills.due_date", "holidays.holiday_date"]},
        "bill_facts": {"bill_id": ["stg_bills.bill_id"]},
    }


def test_unchanged_model_is_not_read_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = project.lineage()
    read: list[str] = []

    def count(sql: str, *_: object) -> Lineage:
        read.append(sql)
        return {"bill_id": []}

    monkeypatch.setattr(column_lineage, "lineage_of_select", count)
    assert project.lineage() == first
    assert read == []

    project.manifest["nodes"]["model.x.bill_facts"]["compiled_code"] += " where true"
    assert project.lineage() == {**first, "bill_facts": {"bill_id": []}}
    assert read == ['select bill_id from "staging"."stg_bills" where true']


def test_new_column_of_a_parent_reaches_a_star(project: Project) -> None:
    project.manifest["nodes"]["model.x.bill_facts"]["compiled_code"] = 'select * from "kilowise"."staging"."stg_bills"'
    assert project.lineage()["bill_facts"] == {"bill_id": ["stg_bills.bill_id"]}

    project.tables = {
        **project.tables,
        ("staging", "stg_bills"): ["bill_id", "is_due_on_holiday", "kwh"],
        ("marts", "bill_facts"): ["bill_id", "kwh"],
    }
    assert project.lineage()["bill_facts"] == {"bill_id": ["stg_bills.bill_id"], "kwh": ["stg_bills.kwh"]}


def test_unreadable_model_is_named_and_the_others_keep_their_lineage(project: Project) -> None:
    project.lineage()
    project.manifest["nodes"]["model.x.stg_bills"]["compiled_code"] = "selec"

    assert list(project.lineage()) == ["bill_facts"]
    assert len(project.warnings) == 1
    assert project.warnings[0].startswith("No column lineage for staging.stg_bills: ")


def test_models_that_did_not_run_stay_in_the_cache_and_removed_ones_leave_it(project: Project) -> None:
    project.lineage()
    project.manifest["nodes"]["model.x.stg_bills"]["compiled_code"] = None
    del project.manifest["nodes"]["model.x.bill_facts"]

    assert project.lineage() == {}
    assert list(json.loads(project.cache_path.read_text())) == ["model.x.stg_bills"]


def test_dbt_that_ended_without_a_manifest_leaves_no_lineage(project: Project) -> None:
    assert lineage_of_models(project.manifest_path, project.tables, project.cache_path, project.warnings.append) == {}
