"""The documentation's page *Review* as a page of the site: whoever reads the pages need not have the repository."""

import re
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

GUIDE_PAGE = "guide.html"
GUIDE_SOURCE = Path(__file__).resolve().parent.parent / "docs" / "review.md"
_PUNCTUATION = re.compile(r"[^\w\- ]")


def read_guide(source: Path = GUIDE_SOURCE) -> str | None:
    """Return the page as HTML; None where the program was installed without its documentation.

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
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def heading_anchor(words: str) -> str:
    """Return the anchor of a heading, such as ``the-four-outcomes``."""
    return _PUNCTUATION.sub("", words.strip().lower()).replace(" ", "-")


def _unlink(children: list[Token]) -> None:
    """Turn links that leave the page into plain text."""
    leaves: list[bool] = []
    for child in children:
        if child.type == "link_open":
            leaves.append(not str(child.attrGet("href")).startswith("#"))
            if leaves[-1]:
                child.tag, child.attrs = "span", {}
        elif child.type == "link_close" and leaves.pop():
            child.tag = "span"
