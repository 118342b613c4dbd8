"""The documentation's page *Review*, in both languages, as a page of the site.

Whoever reads the pages need not have the repository.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

GUIDE_PAGE = "guide.html"
GUIDE_SOURCE = Path(__file__).resolve().parent.parent / "docs" / "review.md"
GUIDE_SOURCE_ZH = GUIDE_SOURCE.with_name("review.zh-CN.md")
_PUNCTUATION = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Guide:
    """The page in one language.

    Attributes:
        title: Its first heading, as text.
        html: What follows it.
    """

    title: str
    html: str


def read_guide(source: Path = GUIDE_SOURCE, anchor_prefix: str = "") -> Guide | None:
    """Return the page; None where the program was installed without its documentation.

    Args:
        source: The page as Markdown.
        anchor_prefix: Put before the anchors of findings, where two languages stand on one page.

    Headings have the anchors that the page has on the repository's host. Links within the page stay; others lead to
    files that do not stand beside the site, and become their text.
    """
    if not source.exists():
        return None
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(source.read_text(encoding="utf-8"))
    for heading, words in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", heading_anchor(words.content))
    for token in tokens:
        _unlink(token.children or [])
    # The first three tokens are the opening, the words and the end of the heading of the whole page.
    html = str(markdown.renderer.render(tokens[3:], markdown.options, {}))
    return Guide(tokens[1].content, html.replace('<a id="', f'<a id="{anchor_prefix}'))


def heading_anchor(words: str) -> str:
    """Return the anchor of a heading, such as ``the-four-outcomes``."""
    return _PUNCTUATION.sub("", words.strip().lower()).replace(" ", "-")


def _unlink(children: list[Token]) -> None:
    """Turn links that leave the page into plain text."""
    leaves: list[bool] = []
    for child in children:
        if child.type == "link_open":
            target = str(child.attrGet("href"))
            leaves.append(not target.startswith("#"))
            child.attrSet("href", unquote(target))
            if leaves[-1]:
                child.tag, child.attrs = "span", {}
        elif child.type == "link_close" and leaves.pop():
            child.tag = "span"
