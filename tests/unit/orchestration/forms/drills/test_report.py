from dataclasses import replace
from datetime import date

from orchestration.forms.drills.report import DrillReport, drill_table, full_report
from orchestration.forms.drills.state import StateComparison

WHOLE = DrillReport(
    name="worker",
    what="a worker",
    moment="kill -9 of a worker, in the middle of dbt_models",
    told=("dbt_models: The worker fell silent | the step is given to another.",),
    client=("refresh: run 1 waits in the queue.",),
    statuses=("SUCCESS",),
    attempts={"dbt_models": 2},
    doubled=(),
    noted_again=3,
    left=(),
    seconds=61.7,
    state=StateComparison(tables=18, rows=764_047, landed_rows=7_250_223, releases=6, differences=()),
)


def test_a_whole_report_says_so_and_what_was_begun_again() -> None:
    text = full_report(WHOLE)

    assert text.splitlines()[-1] == "   as undisturbed"
    assert "begun more than once: dbt_models (2 times); assets noted again: 3" in text
    assert "18 tables with 764,047 rows, 7,250,223 landed rows" in text


def test_each_thing_that_is_wrong_makes_the_report_not_whole() -> None:
    different = replace(WHOLE.state, differences=("bills differs",))
    for wrong in (
        replace(WHOLE, statuses=("SUCCESS", "FAILURE")),
        replace(WHOLE, doubled=("dbt_models 2 times",)),
        replace(WHOLE, left=("1 places in pools",)),
        replace(WHOLE, state=different),
    ):
        assert not wrong.is_whole
        assert full_report(wrong).endswith("NOT AS UNDISTURBED")


def test_a_run_that_failed_and_was_retried_is_whole() -> None:
    assert replace(WHOLE, statuses=("FAILURE", "SUCCESS")).is_whole


def test_the_table_has_a_row_per_drill_and_keeps_its_columns() -> None:
    undisturbed = replace(WHOLE, moment="never", told=(), attempts={})
    *_, first, second = drill_table([undisturbed, WHOLE], date(2026, 11, 23)).splitlines()

    assert first == "| nothing | nothing | success | 62 | as undisturbed, every step done once |"
    assert "silent \\| the step is given to another.<br>begun again: dbt_models (2 times) | success" in second


def test_the_table_says_what_differs() -> None:
    wrong = replace(WHOLE, state=replace(WHOLE.state, differences=("bills differs",)))

    assert drill_table([wrong], date(2026, 11, 23)).endswith("| bills differs |")
