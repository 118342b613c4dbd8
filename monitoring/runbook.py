"""What each finding means and what to do first: the runbook of the model owners, in two languages.

The texts are in ``runbook.yaml``; ``docs/review.md`` holds them too, with an anchor per finding. A finding without an
entry fails the tests.
"""

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

RUNBOOK_PATH = Path(__file__).with_name("runbook.yaml")
RUNBOOK_PAGE = "docs/review.md"
"""Page of the documentation whose anchors `runbook_link` names."""


class RunbookEntry(BaseModel):
    """One kind of finding.

    Attributes:
        title: What was found, for a reader who sees no numbers yet.
        title_zh: The same in Chinese.
        first: What to look at or to do first.
        first_zh: The same in Chinese.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    title_zh: str = Field(min_length=1)
    first: str = Field(min_length=1)
    first_zh: str = Field(min_length=1)


@cache
def runbook() -> dict[str, RunbookEntry]:
    """Return all entries by the code of the finding, in the order of the file."""
    content = yaml.safe_load(RUNBOOK_PATH.read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, RunbookEntry]).validate_python(content)


def runbook_anchor(code: str) -> str:
    """Return the anchor of a finding on the documentation's page, such as ``finding-column-drift``."""
    return f"finding-{code.replace('_', '-')}"


def runbook_link(code: str) -> str:
    """Return where the documentation says what to do about a finding, relative to the root of the repository."""
    return f"{RUNBOOK_PAGE}#{runbook_anchor(code)}"


def runbook_row(code: str, *, in_chinese: bool = False) -> str:
    """Return the row of a finding in the documentation's table."""
    entry = runbook()[code]
    title, first = (entry.title_zh, entry.first_zh) if in_chinese else (entry.title, entry.first)
    return f'| <a id="{runbook_anchor(code)}"></a>`{code}` | {title} | {first} |'
