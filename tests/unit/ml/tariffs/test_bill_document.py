"""What a customer reads: every figure of the bill, in English and Chinese, in decimals as computed, and escaped."""

import re
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from playwright.sync_api import sync_playwright

from ml.tariffs.bill import Bill, bill_from_intervals, bill_of
from ml.tariffs.bill_document import bill_document
from ml.tariffs.bill_wording import PERIODS, TEXTS, Language, period_name
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.pricing import price_billing_periods
from ml.tariffs.schema import Tariff, load_tariff
from tests.unit.ml.tariffs.strategies import DAYS, as_frame, loads, tariffs

Load = list[tuple[datetime, Decimal]]
ZONE = "Asia/Shanghai"
CHROMIUM = shutil.which("chromium")
FACTS = CustomerTable.from_frame(
    pd.DataFrame(
        {
            "customer_key": ["c"],
            "contract_capacity_kva": [1250.0],
            "contracted_kw": [600.0],
            "billing_basis": ["contracted_demand"],
        }
    )
)


def one_reading_a_month(kwh: list[int], year: int) -> Load:
    return [(datetime(year, month, 1, 4, tzinfo=UTC), Decimal(value)) for month, value in enumerate(kwh, 1)]


def household_bill() -> Bill:
    """September of DOMAIN 2.7: the yearly ladder passes its first limit inside the month."""
    return bill_from_intervals(
        load_catalogue().get("sd_res_tier"),
        as_frame(one_reading_a_month([150, 140, 160, 180, 240, 330, 520, 560, 410], 2025)),
        "c", date(2025, 9, 1), interval_minutes=60, time_zone=ZONE, days=DAYS,
    )  # fmt: skip


def business_bill() -> Bill:
    """600 kW agreed, 700 kW read; two of the month's hours were not read."""
    start = datetime(2026, 6, 30, 16, tzinfo=UTC)
    load = [(start + timedelta(hours=hour), Decimal(700 if hour == 300 else 280)) for hour in range(742)]
    return bill_from_intervals(
        load_catalogue().get("sd_ic_two_10"), as_frame(load), "c", date(2026, 7, 1), interval_minutes=60,
        time_zone=ZONE, days=DAYS, customers=FACTS, missing="scale_to_complete",
    )  # fmt: skip


HALF_HOURLY = load_tariff(
    {
        "tariff_id": "gb_half_hourly",
        "version": "1",
        "name": "Half-hourly <b>wholesale</b> & standing charge",
        "valid_from": "2024-01-01",
        "currency": "GBP",
        "verified": True,
        "vat_included": False,
        "rounding": {"scope": "total"},
        "notes": ["<script>alert(1)</script>"],
        "components": [
            {"kind": "energy_series", "name": "Energy", "series": "da", "multiplier": "2.2", "adder": "0.02"},
            {"kind": "fixed", "name": "Standing charge", "per": "day",
             "tables": [{"valid_to": "2025-06-14", "price": "0.5312"}, {"valid_from": "2025-06-15", "price": "0.55"}]},
            {"kind": "minimum", "name": "Minimum", "tables": [{"price": 30}]},
            {"kind": "percentage", "name": "VAT", "name_zh": "增值税", "tables": [{"percent": 5}]},
        ],
    }
)  # fmt: skip


def half_hourly_bill() -> Bill:
    """A British billing period with a price change inside, priced by interval and rounded once."""
    start = datetime(2025, 6, 2, 23, tzinfo=UTC)
    load = [(start + timedelta(minutes=30 * step), Decimal("0.2133")) for step in range(48 * 30)]
    series = pl.DataFrame({"read_at": [at for at, _ in load], "value": [0.05 + 0.001 * (i % 48) for i in range(1440)]})
    bills = price_billing_periods(
        HALF_HOURLY, as_frame(load), [(date(2025, 6, 3), date(2025, 7, 3))], interval_minutes=30,
        time_zone="Europe/London", days=DAYS, series={"da": series},
    )  # fmt: skip
    return bill_of(bills, "c", date(2025, 6, 3))


BILLS = {"household": household_bill, "business": business_bill, "half-hourly": half_hourly_bill}
PRINTED: dict[str, Language] = {"business": "zh", "half-hourly": "en"}
"""The longest bill and the one with the widest figures."""


class _Page(HTMLParser):
    """Texts of a page, and its open elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= dict(attrs)
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_a_households_bill_in_english() -> None:
    assert household_bill().to_text() == (
        "Electricity bill · September 2025\n"
        "\n"
        "Customer        c\n"
        "Month           September 2025\n"
        "Tariff          Residential blocks, one meter per household (sd_res_tier, version 2012)\n"
        "Energy          410 kWh\n"
        "Highest demand  410 kW\n"
        "Readings        1 of 720 intervals read (0.1 %); an interval that was not read counts as zero\n"
        "\n"
        "*** Prices not verified: for demonstration only ***\n"
        "\n"
        "Charge           Quantity  Unit  Factor   Price  Amount (CNY)\n"
        "Energy by block                                        232.73\n"
        "  tier 1              240  kWh           0.5469        131.26\n"
        "  tier 2              170  kWh           0.5969        101.47\n"
        "Total                                                  232.73\n"
        "\n"
        "Energy by period and tier\n"
        "Period     Tier    kWh  Amount (CNY)  Charges\n"
        "all hours  tier 1  240        131.26  Energy by block\n"
        "all hours  tier 2  170        101.47  Energy by block\n"
        "\n"
        "How to read this bill\n"
        "- Amount = quantity × factor × price.\n"
        "- Every line is rounded to 0.01 CNY, a half upwards in size; the total is the sum of these lines.\n"
        "- Prices include value-added tax.\n"
    )


def test_a_households_bill_in_chinese() -> None:
    text = household_bill().to_text("zh")

    assert text.startswith("电费账单 · 2025年9月\n")
    assert "居民阶梯电价(一户一表)（sd_res_tier，版本 2012）" in text
    assert "应采720个时段，实采1个（0.1%）；未采集的时段按零计" in text
    assert "价格未经核实，仅供演示" in text
    assert re.search(
        r"\n  第1档 +240 +千瓦时 +0.5469 +131.26\n  第2档 +170 +千瓦时 +0.5969 +101.47\n合计 +232.73\n", text
    )


def test_columns_line_up_where_characters_are_two_columns_wide() -> None:
    table = household_bill().to_text("zh").split("\n\n")[3].splitlines()

    widths = {sum(2 if ord(character) > 0x2E80 else 1 for character in line) for line in table}

    assert len(widths) == 1


def test_a_business_bill_shows_demand_factor_periods_and_the_policy_for_missing_intervals() -> None:
    english, chinese = business_bill().to_text(), business_bill().to_text("zh")

    assert re.search(r"above the tolerance +70 +kW +2 +38.4 +5,376.00\n", english)
    assert re.search(r"agreed +600 +kW +38.4 +23,040.00\n", english)
    assert re.search(r"Contracted demand charge · above the tolerance +700 +70\n", english)
    assert "742 of 744 intervals read (99.7 %); energy was scaled up for intervals that were not read" in english
    assert "The power-factor adjustment is not part of these bills." in english
    for word in (
        "尖峰",
        "高峰",
        "平段",
        "低谷",
        "输配电费",
        "政府性基金及附加",
        "合同需量电费",
        "超约定部分",
        "千瓦时",
    ):
        assert word in chinese
    assert "critical" not in chinese


def test_an_exact_bill_keeps_every_decimal_and_rounds_only_the_total() -> None:
    bill = half_hourly_bill()
    text = bill.to_text()
    amounts = [line.amount for line in bill.lines]

    assert "Billing period  3 June 2025 to 2 July 2025" in text
    assert re.search(r"3 June 2025 to 14 June 2025 +12 +days +0.5312 +6.3744\n", text)
    # Every half hour of the day has the same energy and is read 30 times: the mean of 2.2 W + 0.02 is 0.1817.
    assert 1440 * Decimal("0.2133") * Decimal("0.1817") == Decimal("55.8095184")
    assert re.search(r"Energy +307.152 +kWh +by interval +55.8095184\n", text)
    assert re.search(r"VAT +\d+\.\d+ +GBP +5 % +", text)
    assert "only the total is rounded, to 0.01 GBP" in text
    assert "Prices do not include value-added tax." in text
    assert "not verified" not in text
    assert f"{sum(amounts):.2f}" == str(bill.total) == text.split("Total")[1].split()[0]


def test_a_minimum_is_explained() -> None:
    tariff = load_tariff(HALF_HOURLY.model_dump(mode="json") | {"components": [
        {"kind": "fixed", "name": "Standing charge", "per": "month", "tables": [{"price": "4"}]},
        {"kind": "minimum", "name": "Minimum bill", "tables": [{"price": 30}]},
    ]})  # fmt: skip
    bill = bill_from_intervals(
        tariff, as_frame([(datetime(2025, 6, 5, tzinfo=UTC), Decimal(1))]), "c", date(2025, 6, 1),
        interval_minutes=30, time_zone="Europe/London", days=DAYS,
    )  # fmt: skip

    assert re.search(r"Minimum bill, shortfall +1 +month +30 +26.00\n", bill.to_text())
    assert TEXTS["minimum"].en in bill.to_text()
    assert TEXTS["minimum"].zh in bill.to_text("zh")


@pytest.mark.parametrize("name", BILLS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_what_the_text_shows_and_needs_no_other_file(name: str, language: Language) -> None:
    bill = BILLS[name]()
    html = bill.to_html(language)
    page = _Page(html)
    document = bill_document(bill, language)

    assert page.open == []
    for text in (document.title, document.total, document.warning, *document.notes, *document.tariff_notes):
        assert text in page.text
    for group in document.groups:
        assert group.name in page.text
        for row in group.rows:
            assert f"{row.quantity} {row.unit}" in page.text
            assert row.amount in page.text
    assert not {"src", "href"} & page.attributes.keys()
    assert "url(" not in html
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in html


def test_what_a_tariff_says_is_escaped() -> None:
    html = half_hourly_bill().to_html()

    assert "<script>" not in html
    assert "<b>wholesale" not in html
    assert "Half-hourly &lt;b&gt;wholesale&lt;/b&gt; &amp; standing charge" in html


@settings(max_examples=15, deadline=None)
@given(tariff=tariffs(), load=loads(ZONE, 30))
def test_every_figure_of_any_bill_is_printed_as_computed(tariff: Tariff, load: Load) -> None:
    month = min(instant + timedelta(hours=8) for instant, _ in load).date().replace(day=1)
    bill = bill_from_intervals(
        tariff, as_frame(load), "c", month, interval_minutes=30, time_zone=ZONE, days=DAYS, customers=FACTS,
        opening_kwh=None if month.month == 1 else Decimal(50),
    )  # fmt: skip
    document = bill_document(bill, "zh")
    rows = [row for group in document.groups for row in group.rows]

    def figures(texts: list[str]) -> list[Decimal]:
        return [Decimal(text.replace(",", "")) for text in texts]

    assert figures([row.quantity for row in rows]) == [line.quantity for line in bill.lines]
    assert figures([row.price for row in rows]) == [line.price for line in bill.lines]
    assert figures([row.factor or "1" for row in rows]) == [line.factor for line in bill.lines]
    assert figures([row.amount for row in rows]) == [line.amount for line in bill.lines]
    energy = [line.amount for line in bill.lines if line.unit == "kWh"]
    assert sum(figures([row.amount for row in document.energy])) == sum(energy)
    assert all("E" not in row.amount for row in rows)


def test_periods_have_their_usual_names_however_they_are_spelled() -> None:
    assert period_name("deep_valley", "zh") == "深谷"
    assert period_name("Off-Peak", "zh") == "低谷"
    assert period_name("critical_peak+peak", "zh") == "尖峰 + 高峰"
    assert period_name("energy 1", "zh") == "energy 1"


def test_every_word_has_both_languages() -> None:
    assert all(text.en and text.zh for texts in (TEXTS, PERIODS) for text in texts.values())


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; install it to test the pages")
def test_a_page_fits_a_phone_and_prints_on_one_sheet(tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True, viewport={"width": 375, "height": 700}).new_page()
        for name, language in PRINTED.items():
            path = tmp_path / f"{name}.html"
            path.write_text(BILLS[name]().to_html(language), encoding="utf-8")
            page.goto(path.as_uri())

            assert page.evaluate("document.documentElement.scrollWidth") == 375
            sheets = page.pdf(format="A4", prefer_css_page_size=True)
            assert len(re.findall(rb"/Type\s*/Page\b", sheets)) == 1
        browser.close()
