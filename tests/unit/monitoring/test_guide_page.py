import re
from pathlib import Path

import pytest

from monitoring.guide_page import GUIDE_SOURCE, GUIDE_SOURCE_ZH, heading_anchor, read_guide

TEXT = """# Review

See [the numbers](#the-numbers-1-to-5), [elsewhere](operate.md#jobs) and <http://127.0.0.1:3200>.

## The numbers, 1 to 5

| a | b |
|---|---|
| 1 | <a id="here"></a>`2` |
"""


def test_links_within_the_page_stay_and_others_become_their_text(tmp_path: Path) -> None:
    source = tmp_path / "review.md"
    source.write_text(TEXT, encoding="utf-8")
    guide = read_guide(source)
    assert guide is not None
    assert guide.title == "Review"
    assert re.findall(r'href="([^"]*)"', guide.html) == ["#the-numbers-1-to-5"]
    assert "<span>elsewhere</span>" in guide.html
    assert '<h2 id="the-numbers-1-to-5">' in guide.html
    assert '<td><a id="here"></a><code>2</code></td>' in guide.html


def test_a_program_without_its_documentation_has_no_such_page(tmp_path: Path) -> None:
    assert read_guide(tmp_path / "review.md") is None


@pytest.mark.parametrize("source", [GUIDE_SOURCE, GUIDE_SOURCE_ZH], ids=["en", "zh"])
def test_the_page_of_the_documentation_has_every_anchor_to_which_it_links(source: Path) -> None:
    guide = read_guide(source)
    assert guide is not None
    anchors = set(re.findall(r'id="([^"]*)"', guide.html))
    assert {link for link in re.findall(r'href="#([^"]*)"', guide.html) if link not in anchors} == set()


def test_anchors_are_those_of_the_repositorys_host() -> None:
    assert heading_anchor("Within a minute: which model, and why") == "within-a-minute-which-model-and-why"


def test_both_languages_have_the_same_chapters_tables_and_commands() -> None:
    assert outline(GUIDE_SOURCE_ZH) == outline(GUIDE_SOURCE)


def outline(source: Path) -> list[str]:
    """Return the level of each heading, the number of rows of each table, and each line of a command."""
    found: list[str] = []
    is_command = False
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_command = not is_command
        elif is_command:
            found.append(line)
        elif line.startswith("#"):
            found.append(line.partition(" ")[0])
        elif line.startswith("|"):
            found.append("row of " + str(line.replace("\\|", "").count("|") - 1))
    return found
