"""What proposed tariffs do to revenue, customers and peak, on a small town with known habits."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.errors import InsufficientDataError, KilowiseError
from ml.tariff_matching.price_response import ElasticitySet, elasticity_set, zero_response
from ml.tariff_matching.price_simulation import Mode, PriceSimulation, simulate_prices
from ml.tariff_matching.price_simulation_report import key_figures, plots, render_report, tables
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import Tariff, load_tariff

TODAY = date(2026, 11, 22)
DAYS = DayCalendar(holidays=[date(2025, 10, 1)])
HOMES_COUNT, FIRMS_COUNT = 60, 30
LARGEST_PAGE_BYTES = 400_000
TWO_PERIODS = {"schedules": [{"periods": {"peak": ["08:00-22:00"]}, "otherwise": "valley"}]}


def proposal(prices: dict[str, Any], tariff_id: str = "sd_res_tier", **fields: Any) -> Tariff:
    """Return a residential tariff that starts in the middle of the year whose prices are simulated."""
    return load_tariff(
        {
            "tariff_id": tariff_id,
            "version": "proposed",
            "name": "Proposed",
            "valid_from": "2027-04-01",
            "currency": "CNY",
            "verified": True,
            "eligibility": {"customer_classes": ["residential"]},
            "components": [{"kind": "energy", "name": "Energy", "tables": [{"prices": prices}]}],
            **fields,
        }
    )


TIME_OF_USE = {"prices": {"peak": 0.75, "valley": 0.45}, "calendar": TWO_PERIODS}


@pytest.fixture(scope="module")
def year(town: LoadCube) -> LoadCube:
    return town.last_months(12)


@pytest.fixture(scope="module")
def simulate(year: LoadCube, facts: pd.DataFrame, catalogue: Catalogue) -> Callable[..., PriceSimulation]:
    def run(
        *proposals: Tariff, mode: Mode = "replace", loads: LoadCube = year, rows: pd.DataFrame = facts, **options: Any
    ) -> PriceSimulation:
        current = dict(zip(rows["customer_key"], rows["tariff_id"], strict=True))
        customers = CustomerTable.from_frame(rows)
        return simulate_prices(loads, customers, current, catalogue, proposals, mode=mode, days=DAYS, **options)

    return run


def test_present_prices_as_a_new_version_change_nothing(
    simulate: Callable[..., PriceSimulation], catalogue: Catalogue
) -> None:
    present = catalogue.get("sd_res_tier")
    again = present.model_copy(update={"version": "again", "valid_from": date(2027, 1, 1)})

    [calm, high] = simulate(again, responses=[zero_response(), elasticity_set("high", TODAY)]).outcomes

    for outcome in (calm, high):
        assert outcome.customers["is_affected"].sum() == HOMES_COUNT
        assert (outcome.customers["change_amount"] == 0).all()
        assert outcome.groups.iloc[0]["unchanged_count"] == HOMES_COUNT
        assert outcome.largest.empty
        assert (outcome.peak["change_kw"] == 0).all()


def test_bills_before_and_after_are_those_of_the_exact_engine_over_a_whole_year(
    simulate: Callable[..., PriceSimulation], year: LoadCube, catalogue: Catalogue
) -> None:
    [calm] = simulate(proposal({"all": 0.6})).outcomes

    coming = replace(
        year,
        months=tuple(month.replace(year=month.year + 1) for month in year.months),
        opening_kwh=year.month_kwh()[:, 3:].sum(axis=1),
        _cache={},
    )
    homes = coming.take(coming.customer_keys[:HOMES_COUNT])
    before = price_cube(catalogue.get("sd_res_tier"), homes).sum_amount
    shown = calm.customers.set_index("customer_key").loc[list(homes.customer_keys)]
    np.testing.assert_allclose(shown["before_amount"], before, atol=1e-9)
    # A flat price is easily checked: every month is rounded to a cent.
    np.testing.assert_allclose(shown["after_amount"], shown["before_kwh"] * 0.6, atol=12 * 0.005)
    firms = calm.customers[~calm.customers["is_affected"]]
    assert len(firms) == FIRMS_COUNT
    assert (firms["new_tariff_id"] == firms["present_tariff_id"]).all()
    assert (firms["change_amount"] == 0).all()


def test_groups_and_months_add_up_to_the_revenue(simulate: Callable[..., PriceSimulation]) -> None:
    [calm] = simulate(proposal(**TIME_OF_USE)).outcomes

    total = calm.revenue.iloc[-1]
    assert total["change_amount"] == pytest.approx(calm.customers["change_amount"].sum())
    assert total["change_amount"] == pytest.approx(calm.revenue["change_amount"].iloc[:-1].sum())
    for _, rows in calm.groups.groupby("dimension"):
        assert rows["change_amount"].sum() == pytest.approx(total["change_amount"])
        assert rows["customers_count"].sum() == HOMES_COUNT + FIRMS_COUNT
    parts = calm.groups[["winners_count", "losers_count", "unchanged_count"]].sum(axis=1)
    assert (parts == calm.groups["affected_count"]).all()
    change = calm.customers.loc[calm.customers["is_affected"], "change_amount"]
    everybody = calm.groups.iloc[0]
    assert everybody["p50_change_amount"] == pytest.approx(np.median(change))
    assert everybody["largest_saving_amount"] == -change.min()
    assert calm.largest["change_amount"].iloc[0] == change.min()


def test_offer_is_taken_by_those_who_gain_and_by_nobody_else(simulate: Callable[..., PriceSimulation]) -> None:
    new = proposal(**TIME_OF_USE, tariff_id="night")
    replaced = simulate(proposal(**TIME_OF_USE)).outcomes[0].customers

    [calm] = simulate(new, mode="offer").outcomes

    gains = replaced[replaced["change_amount"] < 0]
    assert 0 < len(gains) < HOMES_COUNT
    takers = calm.customers[calm.customers["is_affected"]]
    assert set(takers["customer_key"]) == set(gains["customer_key"])
    assert takers["change_amount"].sum() == pytest.approx(gains["change_amount"].sum())
    assert (takers["new_tariff_id"] == "night").all()


def test_larger_uptake_adds_customers_and_takes_nobody_away(simulate: Callable[..., PriceSimulation]) -> None:
    new = proposal({"all": 0.4}, tariff_id="cheap")

    takers = []
    for share in (0.0, 0.3, 0.7, 1.0):
        customers = simulate(new, mode="offer", uptake_share=share).outcomes[0].customers
        takers.append(set(customers.loc[customers["is_affected"], "customer_key"]))

    assert takers[0] == set()
    assert takers[0] < takers[1] < takers[2] < takers[3]
    assert len(takers[3]) == HOMES_COUNT
    assert 0.1 < len(takers[1]) / HOMES_COUNT < 0.5


def test_of_several_offers_the_cheapest_is_taken(simulate: Callable[..., PriceSimulation]) -> None:
    dear, cheap = proposal({"all": 0.5}, tariff_id="dear"), proposal({"all": 0.4}, tariff_id="cheap")

    customers = simulate(dear, cheap, mode="offer").outcomes[0].customers

    assert set(customers.loc[customers["is_affected"], "new_tariff_id"]) == {"cheap"}


def test_firms_take_an_offer_with_the_basis_that_is_cheaper_for_them(
    simulate: Callable[..., PriceSimulation], year: LoadCube, facts: pd.DataFrame
) -> None:
    bases = [
        {"kind": "capacity", "name": "By capacity", "billing_basis": "capacity", "tables": [{"price": 6}]},
        {"kind": "demand", "name": "By demand", "billing_basis": "actual_demand", "tables": [{"price": 24}]},
    ]
    energy = {"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": 0.2}}]}
    new = proposal({}, "firms", eligibility={"customer_classes": ["industrial"]}, components=[energy, *bases])

    customers = simulate(new, mode="offer").outcomes[0].customers

    takers = customers[customers["is_affected"]].set_index("customer_key")
    assert len(takers) == FIRMS_COUNT
    firms = year.take(np.array(takers.index, object))
    capacity = facts.set_index("customer_key")["contract_capacity_kva"].loc[takers.index].to_numpy()
    by_capacity, by_demand = 12 * 6 * capacity, 24 * firms.month_peak_kw().sum(axis=1) / 1e4
    assert 0 < (by_capacity < by_demand).sum() < FIRMS_COUNT
    expected = firms.month_kwh().sum(axis=1) / 1e4 * 0.2 + np.minimum(by_capacity, by_demand)
    np.testing.assert_allclose(takers["after_amount"], expected, atol=24 * 0.005)


def test_offer_that_nobody_gains_by_is_said_so(simulate: Callable[..., PriceSimulation]) -> None:
    result = simulate(proposal({"all": 2}, tariff_id="dear"), mode="offer")

    assert not result.outcomes[0].customers["is_affected"].any()
    assert set(result.outcomes[0].peak["scope"]) == {"system"}
    assert any("Nobody takes an offer" in note for note in result.notes)
    assert "Nobody's bill changes" in render_report(result, "dear", plots(result))


def test_response_shifts_energy_out_of_the_peak_and_keeps_it_the_same(
    simulate: Callable[..., PriceSimulation],
) -> None:
    [calm, shift] = simulate(
        proposal(**TIME_OF_USE), responses=[zero_response(), elasticity_set("shift", TODAY)]
    ).outcomes

    assert (shift.customers["after_kwh"] == shift.customers["before_kwh"]).all()
    load = shift.load[shift.load["scope"] == "affected"]
    is_peak = load["time"].between("08:00", "21:59")
    assert (load["after_kw"] < load["before_kw"])[is_peak].all()
    assert (load["after_kw"] > load["before_kw"])[~is_peak].all()
    assert shift.revenue_change_amount < calm.revenue_change_amount
    assert (calm.load["after_kw"] == calm.load["before_kw"]).all()


def test_dearer_flat_price_lowers_use_by_the_own_price_elasticity(simulate: Callable[..., PriceSimulation]) -> None:
    elasticities = ElasticitySet.model_validate(
        {
            "name": "own",
            "valid_from": TODAY,
            "description": "A set of this test.",
            "sources": ["made up"],
            "by_class": {"residential": {"own_price": -0.1}},
        }
    )

    [after] = simulate(proposal({"all": 2}), responses=[elasticities]).outcomes
    homes = after.customers[after.customers["is_affected"]]
    mean_before = homes["before_amount"] / homes["before_kwh"]
    expected = homes["before_kwh"] * (2 / mean_before) ** -0.1
    # The price before differs from month to month with the blocks, so the year's mean is close and not equal.
    np.testing.assert_allclose(homes["after_kwh"], expected, rtol=0.01)
    assert (homes["after_kwh"] < homes["before_kwh"]).all()


def test_system_load_is_the_energy_divided_by_the_hours(
    simulate: Callable[..., PriceSimulation], facts: pd.DataFrame, year: LoadCube
) -> None:
    # Three homes that draw 2 kW all the time: 2 kWh in every slot of every day of a type.
    kwh = np.zeros((3, 12, 3, 24), np.int64)
    for index, month in enumerate(year.months):
        for day in pd.date_range(month, periods=pd.Timestamp(month).days_in_month):
            kwh[:, index, ("workday", "weekend", "holiday").index(DAYS.day_type(day.date()))] += 20_000
    keys = list(year.customer_keys[:3])
    flat = LoadCube.from_arrays(keys, year.months, kwh=kwh, peak_kw=np.full_like(kwh, 20_000), slot_minutes=60)

    [calm] = simulate(proposal({"all": 0.5}), loads=flat, rows=facts[facts["customer_key"].isin(keys)]).outcomes

    np.testing.assert_allclose(calm.load["before_kw"], 6.0)
    np.testing.assert_allclose(calm.peak["before_kw"], 6.0)
    october = calm.load[(calm.load["month"] == "2025-10-01") & (calm.load["scope"] == "system")]
    assert set(october["day_type"]) == {"workday", "weekend", "holiday"}
    assert set(calm.load.loc[calm.load["month"] == "2025-11-01", "day_type"]) == {"workday", "weekend"}


def test_customers_that_cannot_be_priced_are_counted_and_stay_in_the_system_load(
    simulate: Callable[..., PriceSimulation], facts: pd.DataFrame
) -> None:
    rows = facts.assign(tariff_id=facts["tariff_id"].astype(object))
    rows.loc[0, "tariff_id"] = None
    rows.loc[1, "tariff_id"] = "of_long_ago"
    firm = rows.index[rows["tariff_id"] == "sd_ic_two_10"][0]
    rows.loc[firm, "contract_capacity_kva"] = np.nan
    everybody = simulate(proposal({"all": 0.5})).outcomes[0]

    result = simulate(proposal({"all": 0.5}), rows=rows)

    assert dict(zip(result.unpriced["reason"], result.unpriced["customers_count"], strict=True)) == {
        "a fact that sd_ic_two_10 charges by is missing": 1,
        "on of_long_ago, which the catalogue does not hold": 1,
        "today's tariff is not known": 1,
    }
    [calm] = result.outcomes
    assert len(calm.customers) == HOMES_COUNT + FIRMS_COUNT - 3
    pd.testing.assert_series_equal(
        calm.peak.loc[calm.peak["scope"] == "system", "before_kw"],
        everybody.peak.loc[everybody.peak["scope"] == "system", "before_kw"],
    )


def test_new_version_for_others_moves_everybody_and_says_so(simulate: Callable[..., PriceSimulation]) -> None:
    narrow = proposal({"all": 0.5}, eligibility={"customer_classes": ["agricultural"]})

    result = simulate(narrow)

    assert result.outcomes[0].groups.iloc[0]["affected_count"] == HOMES_COUNT
    assert any(f"{HOMES_COUNT} customers on sd_res_tier do not meet" in note for note in result.notes)


def test_segments_divide_the_customers(simulate: Callable[..., PriceSimulation], year: LoadCube) -> None:
    segments = {str(key): "evening" for key in year.customer_keys[:10]}

    groups = simulate(proposal({"all": 0.5}), segments=segments).outcomes[0].groups

    by_segment = groups[groups["dimension"] == "segment"].set_index("value")["customers_count"]
    assert by_segment.to_dict() == {"evening": 10, "not known": HOMES_COUNT + FIRMS_COUNT - 10}


INTERVAL_PRICES = {"kind": "energy_series", "name": "Spot", "series": "spot"}


@pytest.mark.parametrize(
    ("proposals", "options", "message"),
    [
        ([], {}, "no tariff is proposed"),
        ([proposal({"all": 1}), proposal({"all": 2})], {}, "sd_res_tier: proposed more than once"),
        (
            [proposal({"all": 1}, tariff_id="new")],
            {},
            "new: no present tariff has this id, so there is none to replace",
        ),
        ([proposal({"all": 1})], {"mode": "offer"}, "sd_res_tier: a present tariff has this id"),
        ([proposal({"all": 1})], {"uptake_share": 0.5}, "uptake_share 0.5: must be from 0 to 1, and 1 in mode replace"),
        (
            [proposal({"all": 1}, tariff_id="new")],
            {"mode": "offer", "uptake_share": 1.5},
            "uptake_share 1.5: must be from 0 to 1",
        ),
        ([proposal({"all": 1}, components=[INTERVAL_PRICES])], {}, "its price changes from interval to interval"),
        ([proposal({"all": 1}, valid_to="2027-06-30")], {}, "which holds no price for every calendar month"),
        ([proposal({"all": 1}, currency="EUR")], {}, "tariffs in CNY and EUR cannot be compared"),
        (
            [proposal({"all": 1}, tariff_id="sd_agricultural")],
            {},
            "nobody with a load that can be priced is on sd_agri",
        ),
        (
            [proposal({"all": 1}, tariff_id="new", eligibility={"customer_classes": ["agricultural"]})],
            {"mode": "offer"},
            "nobody may take new",
        ),
        (
            [proposal({"all": 1})],
            {"responses": [elasticity_set("shift", TODAY)]},
            "sd_res_tier and sd_res_tier: both have one price at all hours of a day",
        ),
        (
            [
                proposal(
                    {"all": 1},
                    components=[{"kind": "fixed", "name": "Flat rate", "per": "month", "tables": [{"price": 99}]}],
                )
            ],
            {"responses": [elasticity_set("low", TODAY)]},
            "sd_res_tier: it has no price per kWh for every hour",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_the_reason(
    simulate: Callable[..., PriceSimulation], proposals: list[Tariff], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(KilowiseError, match=re.escape(message)):
        simulate(*proposals, **options)


def test_less_than_a_year_of_loads_is_refused(simulate: Callable[..., PriceSimulation], town: LoadCube) -> None:
    with pytest.raises(InsufficientDataError, match="needs 12 months of loads, a whole year; found 11"):
        simulate(proposal({"all": 1}), loads=town.last_months(11))


def test_customers_without_any_known_tariff_are_refused(
    simulate: Callable[..., PriceSimulation], facts: pd.DataFrame
) -> None:
    with pytest.raises(InsufficientDataError, match=r"none of the 90 customers can be priced: today's tariff is not"):
        simulate(proposal({"all": 1}), rows=facts.assign(tariff_id=None))


def test_page_stands_alone_is_small_and_names_every_figure(simulate: Callable[..., PriceSimulation]) -> None:
    result = simulate(proposal(**TIME_OF_USE), responses=[zero_response(), elasticity_set("high", TODAY)])
    images = plots(result)

    page = render_report(result, "time-of-use <trial>", images)

    assert "time-of-use &lt;trial&gt;" in page
    assert len(page.encode()) < LARGEST_PAGE_BYTES
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert page.count("data:image/png;base64,") == len(images)
    assert "prefers-color-scheme: dark" in page
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)
    figures = key_figures(result)
    assert f"{figures['revenue_change_amount']:+,.0f} CNY" in page
    assert f"{figures['winners_count']} : {figures['losers_count']}" in page
    assert plots(result) == images


def test_tables_name_the_response_of_every_row(simulate: Callable[..., PriceSimulation]) -> None:
    result = simulate(proposal(**TIME_OF_USE), responses=[zero_response(), elasticity_set("low", TODAY)])

    found = tables(result)

    assert list(found) == ["customers", "revenue", "groups", "peak", "load"]
    for table in found.values():
        assert set(table["elasticity_set"]) == {"zero", "low"}
    assert len(found["revenue"]) == 2 * 13
