"""A bill as a customer reads it: plain text and one HTML page, in English and Chinese.

Both show the same document, which holds texts only: every figure is printed with the decimals it was computed with.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ml.errors import TariffError
from ml.tariffs.bill_wording import (
    MISSING,
    PARTS,
    ROUNDING,
    TEXTS,
    Language,
    in_language,
    period_name,
    tier_name,
    unit_name,
)
from ml.tariffs.calendar import ALL_PERIODS

if TYPE_CHECKING:
    from ml.tariffs.bill import Bill, BillLine

TEMPLATE = "bill.html.j2"
_TEMPLATES = Path(__file__).parents[1] / "templates"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_COLUMN_GAP = "  "


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """One line of the bill as texts; ``factor`` is empty where it is one."""

    label: str
    quantity: str
    unit: str
    factor: str
    price: str
    amount: str


@dataclass(frozen=True, slots=True)
class ChargeGroup:
    """All lines of a tariff component, and their sum where there are several."""

    name: str
    rows: tuple[ChargeRow, ...]
    subtotal: str


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """Energy of a period and tier, what it was charged, and by which components.

    Attributes:
        period: Name of the period.
        tier: Name of the tier, or empty.
        kwh: Energy.
        amount: Sum of the charges.
        charges: Names of the components.
        share_pct: Length of a bar for ``kwh``, in % of the longest.
    """

    period: str
    tier: str
    kwh: str
    amount: str
    charges: str
    share_pct: int


@dataclass(frozen=True, slots=True)
class DemandRow:
    """Metered and billed demand of a component."""

    label: str
    metered_kw: str
    billed_kw: str


@dataclass(frozen=True, slots=True)
class BillDocument:
    """Everything that a bill shows, in one language and in the order of the page.

    Attributes:
        language: Of all texts.
        title: Heading with the month or billing period.
        facts: Names and values: customer, period, tariff, energy, demand, readings.
        warning: That prices are not verified; empty where they are.
        groups: Lines by component.
        total: Total without its currency.
        currency: Name of the currency.
        amount_head: Heading of columns with amounts.
        energy: Energy by period and tier.
        demand: Demand by component.
        notes: How to read the bill.
        tariff_notes: What the tariff wants a reader to know, as it is written there.
    """

    language: Language
    title: str
    facts: tuple[tuple[str, str], ...]
    warning: str
    groups: tuple[ChargeGroup, ...]
    total: str
    currency: str
    amount_head: str
    energy: tuple[EnergyRow, ...]
    demand: tuple[DemandRow, ...]
    notes: tuple[str, ...]
    tariff_notes: tuple[str, ...]


def bill_document(bill: "Bill", language: Language = "en") -> BillDocument:
    """Return what a bill shows, as texts in one language.

    Raises:
        TariffError: There are no texts in this language.
    """
    if language not in get_args(Language):
        raise TariffError(f"language: `{language}` is not one of {', '.join(get_args(Language))}")
    return BillDocument(
        language=language,
        title=f"{_text('title', language)} · {_window(bill, language)}",
        facts=_facts(bill, language),
        warning="" if bill.is_verified else _text("not_verified", language),
        groups=_groups(bill, language),
        total=_money(bill.total, bill.rounding.decimals),
        currency=unit_name(bill.currency, language),
        amount_head=_bracketed(_text("amount", language), unit_name(bill.currency, language), language),
        energy=_energy_rows(bill, language),
        demand=_demand_rows(bill, language),
        notes=_notes(bill, language),
        tariff_notes=bill.notes,
    )


def bill_text(bill: "Bill", language: Language = "en") -> str:
    """Return a bill as plain text whose columns line up in a font of fixed width."""
    document = bill_document(bill, language)
    width = max(_width(name) for name, _ in document.facts)
    facts = [f"{_padded(name, width)}{_COLUMN_GAP}{value}" for name, value in document.facts]
    parts = [document.title, "\n".join(facts)]
    if document.warning:
        parts.append(f"*** {document.warning} ***")
    parts.append(_charge_table(document))
    if document.energy:
        parts.append(f"{_text('energy_table', language)}\n{_energy_table(document)}")
    if document.demand:
        parts.append(f"{_text('demand_table', language)}\n{_demand_table(document)}")
    notes = [f"- {note}" for note in (*document.notes, *document.tariff_notes)]
    parts.append("\n".join([_text("notes", language), *notes]))
    return "\n\n".join(parts) + "\n"


def bill_html(bill: "Bill", language: Language = "en") -> str:
    """Return a bill as one HTML page that needs no other file; every text in it is escaped."""
    document = bill_document(bill, language)
    texts = {name: in_language(text, language) for name, text in TEXTS.items()}
    units = {name: unit_name(unit, language) for name, unit in (("kwh", "kWh"), ("kw", "kW"))}
    return str(_template().render(document=document, texts=texts, **units))


@cache
def _template() -> Any:
    # jinja2 is imported here because most bills are only computed.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)


# What the document holds


def _facts(bill: "Bill", language: Language) -> tuple[tuple[str, str], ...]:
    name = bill.tariff_name_zh if language == "zh" and bill.tariff_name_zh else bill.tariff_name
    version = f"{_text('version', language)} {bill.tariff_version}"
    period = "month" if bill.window.is_calendar_month else "billing_period"
    return (
        (_text("customer", language), bill.customer_key),
        (_text(period, language), _window(bill, language)),
        (_text("tariff", language), _bracketed(name, _listed((bill.tariff_id, version), language), language)),
        (_text("energy", language), f"{_plain(bill.kwh)} {unit_name('kWh', language)}"),
        (_text("peak", language), f"{_plain(bill.peak_kw)} {unit_name('kW', language)}"),
        (_text("readings", language), _readings(bill, language)),
    )


def _window(bill: "Bill", language: Language) -> str:
    first, last = bill.window.first, bill.window.last
    if not bill.window.is_calendar_month:
        return _days(first, last, language)
    return f"{first.year}年{first.month}月" if language == "zh" else f"{_MONTHS[first.month - 1]} {first.year}"


def _days(first: date, last: date, language: Language) -> str:
    def day(found: date) -> str:
        if language == "zh":
            return f"{found.year}年{found.month}月{found.day}日"
        return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"

    return f"{day(first)}{'至' if language == 'zh' else ' to '}{day(last)}"


def _readings(bill: "Bill", language: Language) -> str:
    policy = in_language(MISSING[bill.missing], language)
    read, expected = f"{bill.interval_count:,}", f"{bill.expected_interval_count:,}"
    if bill.coverage_pct is None:
        return f"采集率未知；{policy}" if language == "zh" else f"share of intervals read not known; {policy}"
    # Rounded down, so that only a complete month shows 100 %.
    share = _plain(bill.coverage_pct.quantize(Decimal("0.1"), ROUND_DOWN))
    if language == "zh":
        return f"应采{expected}个时段，实采{read}个（{share}%）；{policy}"
    return f"{read} of {expected} intervals read ({share} %); {policy}"


def _groups(bill: "Bill", language: Language) -> tuple[ChargeGroup, ...]:
    groups = []
    for _, found in groupby(bill.lines, key=lambda line: line.component):
        lines = list(found)
        rows = tuple(_charge_row(line, bill, language, is_alone=len(lines) == 1) for line in lines)
        subtotal = sum((line.amount for line in lines), Decimal(0))
        shown = _money(subtotal, bill.rounding.decimals) if len(lines) > 1 else ""
        groups.append(ChargeGroup(_component_name(lines[0], language), rows, shown))
    return tuple(groups)


def _charge_row(line: "BillLine", bill: "Bill", language: Language, *, is_alone: bool) -> ChargeRow:
    label = _line_label(line, language)
    if not label and not is_alone:
        label = _text("agreed", language) if line.kind == "contracted_demand" else _component_name(line, language)
    if line.kind == "minimum":
        label = _text("minimum_tag", language)
    return ChargeRow(
        label=label,
        quantity=_plain(line.quantity),
        unit=unit_name(line.unit, language, line.quantity),
        factor="" if line.factor == 1 else _plain(line.factor),
        price=_price(line, bill, language),
        amount=_money(line.amount, bill.rounding.decimals),
    )


def _line_label(line: "BillLine", language: Language) -> str:
    parts = [] if line.period == ALL_PERIODS else [period_name(line.period, language)]
    if line.tier is not None:
        parts.append(tier_name(line.tier, language))
    if line.part is not None:
        parts.append(in_language(PARTS[line.part], language))
    if line.days is not None:
        parts.append(_days(line.days.first, line.days.last, language))
    return _listed(parts, language)


def _price(line: "BillLine", bill: "Bill", language: Language) -> str:
    if line.price is None:
        return _text("by_interval", language) if line.kind == "energy_series" else "–"
    if line.unit == bill.currency:
        return f"{_plain(line.price * 100)} %"
    return _plain(line.price)


def _component_name(line: "BillLine", language: Language) -> str:
    return line.component_zh if language == "zh" and line.component_zh else line.component


def _energy_rows(bill: "Bill", language: Language) -> tuple[EnergyRow, ...]:
    """Return energy and money by period and tier; components that charge the same kWh share a row."""
    by_component: dict[tuple[str, int | None, str, str | None], list[BillLine]] = {}
    for line in bill.lines:
        if line.unit == "kWh":
            by_component.setdefault((line.period, line.tier, line.component, line.part), []).append(line)
    rows: dict[tuple[str, int | None, Decimal], list[BillLine]] = {}
    for (period, tier, _, _), lines in by_component.items():
        kwh = sum((line.quantity for line in lines), Decimal(0))
        rows.setdefault((period, tier, kwh), []).extend(lines)
    longest = max((abs(kwh) for _, _, kwh in rows), default=Decimal(0))
    return tuple(
        EnergyRow(
            period=period_name(period, language),
            tier="" if tier is None else tier_name(tier, language),
            kwh=_plain(kwh),
            amount=_money(sum((line.amount for line in lines), Decimal(0)), bill.rounding.decimals),
            charges=("、" if language == "zh" else ", ").join(
                dict.fromkeys(_component_name(line, language) for line in lines)
            ),
            share_pct=int(100 * abs(kwh) / longest),
        )
        for (period, tier, kwh), lines in sorted(rows.items(), key=lambda row: row[0][0] == ALL_PERIODS)
    )


def _demand_rows(bill: "Bill", language: Language) -> tuple[DemandRow, ...]:
    rows = []
    demands = (line for line in bill.lines if line.metered_kw is not None)
    for _, found in groupby(demands, key=lambda line: (line.component, line.period, line.days)):
        lines = list(found)
        label = _line_label(replace(lines[0], tier=None), language)
        name = _component_name(lines[0], language)
        rows.append(
            DemandRow(
                label=f"{name} · {label}" if label else name,
                metered_kw=_plain(lines[0].metered_kw or Decimal(0)),
                billed_kw=_plain(sum((line.quantity for line in lines), Decimal(0))),
            )
        )
    return tuple(rows)


def _notes(bill: "Bill", language: Language) -> tuple[str, ...]:
    unit = format(Decimal(1).scaleb(-bill.rounding.decimals), "f")
    rounding = in_language(ROUNDING[bill.rounding.scope], language)
    notes = [
        _text("formula", language),
        rounding.format(unit=unit, currency=unit_name(bill.currency, language)),
    ]
    if bill.vat_included is not None:
        notes.append(_text("vat_included" if bill.vat_included else "vat_excluded", language))
    if any(line.kind == "minimum" for line in bill.lines):
        notes.append(_text("minimum", language))
    if any(line.kind == "energy_series" and line.price is None for line in bill.lines):
        notes.append(_text("series", language))
    return tuple(notes)


# Figures


def _plain(value: Decimal) -> str:
    """Return a number without trailing zeros, thousands separated, and never in scientific notation."""
    return format(value.normalize() if value else Decimal(0), ",f")


def _money(value: Decimal, decimals: int) -> str:
    """Return an amount with at least the decimals of the currency, and with more where it is exact to more."""
    exact = value.normalize()
    shown = max(decimals, -int(exact.as_tuple().exponent))
    return format(exact, f",.{shown}f")


# Plain text


def _charge_table(document: BillDocument) -> str:
    language = document.language
    heads = [_text(name, language) for name in ("charge", "quantity", "unit", "factor", "price")]
    rows = [[*heads, document.amount_head]]
    for group in document.groups:
        if len(group.rows) == 1:
            row = group.rows[0]
            label = _listed((group.name, row.label), language) if row.label else group.name
            rows.append([label, row.quantity, row.unit, row.factor, row.price, row.amount])
            continue
        rows.append([group.name, "", "", "", "", group.subtotal])
        rows.extend([f"  {row.label}", row.quantity, row.unit, row.factor, row.price, row.amount] for row in group.rows)
    rows.append([_text("total", language), "", "", "", "", document.total])
    return _table(rows, left={0, 2})


def _energy_table(document: BillDocument) -> str:
    language = document.language
    heads = [_text("period", language), _text("tier", language), unit_name("kWh", language), document.amount_head]
    rows = [[*heads, _text("charges", language)]]
    rows.extend([row.period, row.tier, row.kwh, row.amount, row.charges] for row in document.energy)
    return _table(rows, left={0, 1, 4})


def _demand_table(document: BillDocument) -> str:
    language = document.language
    kw = unit_name("kW", language)
    figures = (_bracketed(_text(name, language), kw, language) for name in ("metered", "billed"))
    heads = [_text("charge", language), *figures]
    return _table([heads, *([row.label, row.metered_kw, row.billed_kw] for row in document.demand)], left={0})


def _table(rows: Sequence[Sequence[str]], left: set[int]) -> str:
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        _COLUMN_GAP.join(
            _padded(cell, width, is_left=column in left)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _width(text: str) -> int:
    """Return the columns that a text takes in a terminal; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _padded(text: str, width: int, *, is_left: bool = True) -> str:
    space = " " * (width - _width(text))
    return text + space if is_left else space + text


def _listed(texts: Iterable[str], language: Language) -> str:
    return ("，" if language == "zh" else ", ").join(texts)


def _bracketed(text: str, addition: str, language: Language) -> str:
    return f"{text}（{addition}）" if language == "zh" else f"{text} ({addition})"


def _text(name: str, language: Language) -> str:
    return in_language(TEXTS[name], language)
