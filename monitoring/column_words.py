"""Columns in words, and the small words of the findings' sentences."""

from collections.abc import Sequence

from ml.columns import by_name
from monitoring.datasets import schema_columns

NAMED_COLUMNS = 3
"""Columns that a sentence names before it says how many more there are."""


class ColumnWords:
    """Columns of a use case in words: what a value means, with the name by which Evidently's pages show it."""

    def __init__(self, use_case: str) -> None:
        features, predictions = schema_columns(use_case)
        self.columns = by_name((*features, *predictions))

    def en(self, name: str) -> str:
        """Return meaning and name in English."""
        return f"{self.only_en(name)} ({name})"

    def zh(self, name: str) -> str:
        """Return meaning and name in Chinese."""
        return f"{self.only_zh(name)}（{name}）"

    def only_en(self, name: str) -> str:
        """Return the meaning in English."""
        return f"“{self.columns[name].description}”"

    def only_zh(self, name: str) -> str:
        """Return the meaning in Chinese."""
        return f"“{self.columns[name].description_zh}”"

    def listed(self, members: Sequence[str]) -> tuple[str, str]:
        """Return the first columns of a list in both languages."""
        named = members[:NAMED_COLUMNS]
        more = len(members) - len(named)
        return (
            ", ".join(map(self.only_en, named)) + (f" and {more} more" if more else ""),
            "、".join(map(self.only_zh, named)) + (f"等 {len(members)} 个" if more else ""),
        )


def was(count: int) -> str:
    """Return the verb of a count of things in the past."""
    return "was" if count == 1 else "were"
