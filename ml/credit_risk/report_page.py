"""One HTML page for reports of credit risk: figures, tables and plots in a common look.

The page needs no file beside it, follows the reader's light or dark setting, and leads in English with Chinese beside
it, as model cards do. Nothing is computed here.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ml.wording import Bilingual, number_text

TEMPLATE_DIRECTORY = Path(__file__).parents[1] / "templates"
TEMPLATE = "credit_report.html.j2"

Cell = str | Bilingual


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ready texts.

    Attributes:
        headers: Titles of the columns; the first column is text, the others are numbers.
        rows: Cells by row, one per header.
    """

    headers: Sequence[Bilingual]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column of a table that is made from records.

    Attributes:
        title: Its heading.
        cell: From a record to the text of its cell.
    """

    title: Bilingual
    cell: Callable[[Mapping[str, Any]], Cell]


def text_column(en: str, zh: str, cell: Callable[[Mapping[str, Any]], Cell]) -> ReportColumn:
    """Return a column whose cells are written by a function of the record."""
    return ReportColumn(Bilingual(en=en, zh=zh), cell)


def number_column(en: str, zh: str, name: str, decimals: int = 0) -> ReportColumn:
    """Return a column of numbers: the value of that name in each record."""
    return text_column(en, zh, lambda record: number_text(record[name], decimals))


def percent_column(en: str, zh: str, name: str) -> ReportColumn:
    """Return a column of shares, written in percent; a dash where there is none."""
    return text_column(en, zh, lambda record: percent_text(record[name]))


def percent_text(share: float | None) -> str:
    """Return a share in percent; a dash where there is none."""
    return "–" if share is None or math.isnan(share) else number_text(100 * share, 1, "%")


def table_of(rows: pd.DataFrame, *columns: ReportColumn) -> Table:
    """Return a table with a line for each row of a frame."""
    records = [{str(name): value for name, value in record.items()} for record in rows.to_dict("records")]
    return Table(
        [column.title for column in columns], [[column.cell(record) for column in columns] for record in records]
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        note: A sentence that a reader of the figures must know.
        table: A table, or none.
        plot: PNG bytes, or none.
    """

    title: Bilingual
    note: Bilingual | None = None
    table: Table | None = None
    plot: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A page.

    Attributes:
        eyebrow: Kind of report.
        title: What it is about.
        chips: Short facts under the title.
        tiles: Key figures, each with its meaning.
        sections: Tables and plots.
    """

    eyebrow: Bilingual
    title: Bilingual
    chips: Sequence[Bilingual]
    tiles: Sequence[tuple[str, Bilingual]]
    sections: Sequence[Section]

    def render(self) -> str:
        """Return the page as HTML."""
        return str(_template().render(page=self))


def _picture(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _cell(cell: Cell) -> Bilingual:
    return cell if isinstance(cell, Bilingual) else Bilingual(en=cell)


@cache
def _template() -> Any:
    # Imported here because the policy is read by servers that never render a page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_DIRECTORY),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(picture=_picture, cell=_cell)
    return environment.get_template(TEMPLATE)
