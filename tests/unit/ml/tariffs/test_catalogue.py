"""The built-in catalogue holds the published figures and says what is not official; own files join it."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ml.errors import TariffError
from ml.tariffs.calendar import month_starts
from ml.tariffs.catalogue import Catalogue, load_catalogue
from ml.tariffs.eligibility import CustomerFacts
from ml.tariffs.schema import EnergyComponent, Tariff

BANDS = ("critical_peak", "peak", "flat", "valley", "deep_valley")
# Delivered prices as published for 110 kV two-part customers.
PUBLISHED_110_KV = {
    date(2026, 1, 1): ("1.18726875", "1.02566875", "0.64876875", "0.27196875", "0.16426875"),
    date(2026, 4, 1): ("1.07586875", "0.92746875", "0.58106875", "0.23486875", "0.13586875"),
    date(2026, 7, 1): ("1.10366875", "0.95836875", "0.61896875", "0.27966875", "0.18266875"),
    date(2026, 8, 1): ("1.01796875", "0.88436875", "0.57266875", "0.26106875", "0.17196875"),
}


def delivered_price(tariff: Tariff, month: date, band: str) -> Decimal:
    """Sum of the energy prices of a band."""
    total = Decimal(0)
    for component in tariff.components:
        if isinstance(component, EnergyComponent):
            [table] = [table for table in component.tables if table.applies_to(month)]
            total += table.prices.get(band, table.prices.get("all", ()))[0]
    return total


@pytest.mark.parametrize("month", PUBLISHED_110_KV)
def test_delivered_prices_are_the_published_ones(month: date) -> None:
    tariff = load_catalogue().get("sd_ic_two_110")

    prices = tuple(str(delivered_price(tariff, month, band)) for band in BANDS)

    assert prices == PUBLISHED_110_KV[month]


@pytest.mark.parametrize(
    ("tariff_id", "month", "peak"),
    [
        ("sd_ic_single_lt1", date(2026, 7, 1), "1.06116875"),
        ("sd_ic_single_10", date(2026, 8, 1), "1.00146875"),
        ("sd_ic_two_10", date(2026, 7, 1), "0.98836875"),
        ("sd_ic_two_220", date(2026, 8, 1), "0.86736875"),
    ],
)
def test_other_voltage_levels_differ_by_their_transmission_price(tariff_id: str, month: date, peak: str) -> None:
    assert delivered_price(load_catalogue().get(tariff_id), month, "peak") == Decimal(peak)


def test_industrial_clock_is_that_of_the_notice() -> None:
    calendar = load_catalogue().get("sd_ic_single_lt1").calendar
    letters = dict(zip(BANDS, "SPFVD", strict=True))

    def clock(month: int) -> str:
        return "".join(letters[calendar.period_names[code]] for code in calendar.period_codes(month, 60)[0])

    assert clock(12) == "FFVVVVFPPFVDDDVFSSSPPFFF"
    assert clock(4) == "FFFFFFFFFFVDDDVFFSSSPPFF"
    assert clock(6) == "FFFFFFFVVVVVFFFFPSSSSSPF"
    assert clock(7) == "FVVVVVFFFFFFFFFFPSSSSSPF"
    assert clock(10) == "FFFFFFFFFFVDDDVFPSSPPFFF"


def test_nothing_unofficial_passes_for_verified() -> None:
    for tariff in load_catalogue().tariffs:
        assert not tariff.is_verified
        assert all(len(reason) > 20 for reason in tariff.unverified)


@pytest.mark.parametrize(
    ("customer", "tariff_ids"),
    [
        (CustomerFacts("residential", "lt1kV", "catalogue"), ["sd_res_tier", "sd_res_tier_tou"]),
        (CustomerFacts("residential", "1-10(20)kV", "catalogue"), ["sd_res_shared"]),
        (CustomerFacts("agricultural", "lt1kV", "catalogue"), ["sd_agricultural"]),
        (CustomerFacts("commercial", "lt1kV", "agency", 60), ["sd_ic_single_lt1"]),
        (CustomerFacts("industrial", "35kV", "agency", 200), ["sd_ic_single_35", "sd_ic_two_35"]),
        (CustomerFacts("industrial", "110kV", "agency", 20_000), ["sd_ic_two_110"]),
        (CustomerFacts("industrial", "110kV", "retail_market", 20_000), []),
        (CustomerFacts(), []),
    ],
)
def test_who_may_take_what(customer: CustomerFacts, tariff_ids: list[str]) -> None:
    found = load_catalogue().eligible(customer, date(2026, 9, 1))

    assert [tariff.tariff_id for tariff in found] == tariff_ids


def test_every_month_of_history_and_advice_has_a_price() -> None:
    months = month_starts(date(2024, 9, 1), date(2027, 9, 1))

    for month in months:
        assert len(load_catalogue().valid_on(month)) == len(load_catalogue().tariffs)


def flat_tariff(version: str, valid_from: str, valid_to: str | None) -> str:
    end = "" if valid_to is None else f"valid_to: {valid_to}\n"
    return (
        f"tariff_id: own\nversion: '{version}'\nname: Own\nvalid_from: {valid_from}\n{end}"
        "currency: GBP\nverified: true\n"
        "components: [{kind: energy, name: Energy, tables: [{prices: {all: 0.14228}}]}]\n"
    )


def test_own_files_join_or_replace_the_built_in_tariffs(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(flat_tariff("1", "2012-01-01", "2012-12-31"), encoding="utf-8")
    (tmp_path / "new.yaml").write_text(flat_tariff("2", "2013-01-01", None), encoding="utf-8")

    joined = load_catalogue([tmp_path])
    alone = load_catalogue([tmp_path], built_in=False)

    assert len(joined.tariffs) == len(load_catalogue().tariffs) + 2
    assert [tariff.version for tariff in alone.tariffs] == ["1", "2"]
    assert alone.get("own").version == "2"
    assert alone.get("own", date(2012, 5, 5)).version == "1"


def test_overlapping_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(flat_tariff("1", "2012-01-01", None), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(flat_tariff("2", "2013-01-01", None), encoding="utf-8")

    with pytest.raises(TariffError, match="own: version 2 starts on 2013-01-01 while version 1 is still valid"):
        load_catalogue([tmp_path])


def test_two_versions_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(flat_tariff("1", "2012-01-01", "2012-12-31"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(flat_tariff("1", "2013-01-01", None), encoding="utf-8")

    with pytest.raises(TariffError, match="own: version 1 stands twice, from 2012-01-01 and from 2013-01-01"):
        load_catalogue([tmp_path])


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(flat_tariff("1", "2012-01-15", "2012-01-14"), encoding="utf-8")

    with pytest.raises(TariffError, match=r"broken\.yaml: own: valid_to: 2012-01-14 is before valid_from 2012-01-15"):
        load_catalogue([path])


def test_unknown_ids_and_days_are_refused() -> None:
    catalogue = Catalogue.of(load_catalogue().tariffs)

    with pytest.raises(TariffError, match="no tariff `nope` in the catalogue; it holds sd_agricultural"):
        catalogue.get("nope")
    with pytest.raises(TariffError, match="sd_ic_two_10: no version is valid on 2020-01-01"):
        catalogue.get("sd_ic_two_10", date(2020, 1, 1))
