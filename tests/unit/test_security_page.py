"""docs/security.md names tests for every threat: they exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PAGE = PROJECT_ROOT / "docs" / "security.md"
CHAPTERS = (
    "Keys and callers",
    "Data about customers",
    "What arrives is data",
    "Models and records",
    "Being able to answer",
    "Pages for people",
)


def threats() -> list[tuple[str, str, str]]:
    """Return threat, answer and tests of every line of the tables of threats."""
    chapter = PAGE.read_text(encoding="utf-8").partition("\n## Threats\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in chapter.splitlines() if line.startswith("|")]
    return [(row[0].strip(), row[1].strip(), row[2].strip()) for row in rows if row[0].strip() not in ("threat", "---")]


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((PROJECT_ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_all_chapters_have_threats() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert [chapter for chapter in CHAPTERS if f"\n### {chapter}\n" not in text] == []
    assert len(threats()) >= 30


@pytest.mark.parametrize(("threat", "answer", "tests"), threats(), ids=lambda text: text[:40])
def test_every_threat_has_an_answer_and_tests_that_exist(threat: str, answer: str, tests: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)

    assert len(answer) > 20, threat
    assert named, threat
    assert len(named) == tests.count("::")
    for file, name in named:
        assert name in names_in(file), f"{file} has no {name}"
