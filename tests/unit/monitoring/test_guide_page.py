import re
from pathlib import Path

from monitoring.guide_page import heading_anchor, read_guide

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
    html = read_guide(source)
    assert html is not None
    assert re.findall(r'href="([^"]*)"', html) == ["#the-numbers-1-to-5"]
    assert "<span>elsewhere</span>" in html
    assert '<h2 id="the-numbers-1-to-5">' in html
    assert '<td><a id="here"></a><code>2</code></td>' in html


def test_a_program_without_its_documentation_has_no_such_page(tmp_path: Path) -> None:
    assert read_guide(tmp_path / "review.md") is None


def test_the_page_of_the_documentation_has_every_anchor_to_which_it_links() -> None:
    html = read_guide()
    assert html is not None
    anchors = set(re.findall(r'id="([^"]*)"', html))
    assert {link for link in re.findall(r'href="#([^"]*)"', html) if link not in anchors} == set()


def test_anchors_are_those_of_the_repositorys_host() -> None:
    assert heading_anchor("Within a minute: which model, and why") == "within-a-minute-which-model-and-why"
