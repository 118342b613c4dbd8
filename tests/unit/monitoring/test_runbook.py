"""Every finding has an entry of the runbook, and the documentation says the same under the entry's anchor."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.guide_page import GUIDE_SOURCE_ZH
from monitoring.runbook import RUNBOOK_PAGE, runbook, runbook_anchor, runbook_link, runbook_row

ROOT = Path(__file__).parents[3]


def codes_of_findings() -> Iterator[str]:
    """Yield the code of every finding that a module of ``monitoring`` makes."""
    for path in sorted((ROOT / "monitoring").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason":
                (code,) = (keyword.value for keyword in node.keywords if keyword.arg == "code")
                assert isinstance(code, ast.Constant), f"{path.name}:{code.lineno}: write the code of a finding out"
                yield str(code.value)


def test_every_finding_has_an_entry_and_every_entry_a_finding() -> None:
    assert set(codes_of_findings()) == set(runbook())


def test_entries_are_in_alphabetical_order_so_that_two_people_seldom_write_the_same_line() -> None:
    assert list(runbook()) == sorted(runbook())


@pytest.mark.parametrize("code", runbook())
def test_the_documentation_says_what_to_do_under_the_anchor_of_the_finding(code: str) -> None:
    lines = (ROOT / RUNBOOK_PAGE).read_text(encoding="utf-8").splitlines()
    assert runbook_row(code) in lines, f"docs/review.md lacks this row of the runbook:\n{runbook_row(code)}"


@pytest.mark.parametrize("code", runbook())
def test_the_chinese_documentation_says_the_same(code: str) -> None:
    lines = GUIDE_SOURCE_ZH.read_text(encoding="utf-8").splitlines()
    row = runbook_row(code, in_chinese=True)
    assert row in lines, f"{GUIDE_SOURCE_ZH.name} lacks this row of the runbook:\n{row}"


def test_a_finding_leads_to_its_anchor() -> None:
    assert runbook_anchor("column_drift") == "finding-column-drift"
    assert runbook_link("column_drift") == "docs/review.md#finding-column-drift"
