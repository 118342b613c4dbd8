from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.tariff_matching.break_even import break_evens
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import prepare_features
from ml.tariff_matching.offers import Situation, build_situation, price_column
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube

HOME, FIRM = 0, 70


@pytest.fixture(scope="module")
def situation(town: LoadCube, facts: pd.DataFrame, catalogue: Catalogue, config: TariffMatchingConfig) -> Situation:
    return build_situation(prepare_features(facts), town, catalogue.tariffs, date(2026, 9, 1), config)


def column_of(situation: Situation, tariff_id: str, basis: str | None = None) -> int:
    return next(
        number
        for number, column in enumerate(situation.columns)
        if column.tariff.tariff_id == tariff_id and column.billing_basis == basis
    )


def test_the_optional_tou_of_shandong_pays_above_a_valley_share_of_13_to_15_percent(situation: Situation) -> None:
    """Domain notes 2.2: 15 % with a valley difference of 0.17, 13 % with the 0.20 of November to March."""
    tou, plain = column_of(situation, "sd_res_tier_tou"), column_of(situation, "sd_res_tier")

    limits = break_evens(situation, situation.carried, {}, {HOME: (tou, plain)})[HOME]

    share = next(one for one in limits if one.lever == "cheap_hours_share")
    assert share.direction == "below"
    assert 0.03 / 0.23 < share.threshold < 0.03 / 0.20
    assert "cheap hours (valley)" in share.text
    assert "低价时段（低谷）" in share.text_zh
    assert f"{share.threshold:.1%}" in share.text


def test_at_the_limit_both_offers_cost_the_same(situation: Situation) -> None:
    tou, plain = column_of(situation, "sd_res_tier_tou"), column_of(situation, "sd_res_tier")
    (limit,) = break_evens(situation, situation.carried, {}, {HOME: (tou, plain)})[HOME]
    load = situation.carried.take(np.array([HOME]))
    calendar = situation.columns[tou].tariff.calendar
    assert calendar is not None
    is_valley = np.stack([calendar.period_codes(month.month, 60) for month in load.months]) == (
        calendar.period_names.index("valley")
    )
    now = load.kwh[0][is_valley].sum() / load.kwh.sum()
    factor = np.where(is_valley, limit.threshold / now, (1 - limit.threshold) / (1 - now))
    at_limit = LoadCube.from_arrays(
        ["x"],
        load.months,
        kwh=np.rint(load.kwh * factor).astype(np.int64),
        peak_kw=load.peak_kw,
        slot_minutes=60,
        opening_kwh=load.opening_kwh,
    )
    bills = [price_column(situation, number, at_limit, np.array([HOME]), {})[0] for number in (tou, plain)]
    assert bills[0] == pytest.approx(bills[1], rel=1e-3)


def test_a_demand_charge_is_worse_than_a_capacity_charge_above_the_break_even_of_the_prices(
    situation: Situation,
) -> None:
    """Domain notes 2.4: the break-even of maximum demand over capacity is the ratio of the two prices."""
    actual = column_of(situation, "sd_ic_two_10", "actual_demand")
    capacity = column_of(situation, "sd_ic_two_10", "capacity")
    kva = situation.customers.contract_capacity_kva[FIRM]
    load = situation.carried
    flat = LoadCube.from_arrays(
        load.customer_keys,
        load.months,
        kwh=load.kwh // 50,
        peak_kw=np.full_like(load.peak_kw, int(0.3 * kva * 1e4)),
        slot_minutes=60,
        opening_kwh=load.opening_kwh,
    )

    limits = break_evens(situation, flat, {}, {FIRM: (actual, capacity)})[FIRM]

    peak = next(one for one in limits if one.lever == "peak_kw")
    assert peak.direction == "above"
    assert peak.threshold / kva == pytest.approx(24.0 / 38.4, rel=1e-3)


def test_an_offer_that_is_not_better_has_no_limits(situation: Situation) -> None:
    tou, plain = column_of(situation, "sd_res_tier_tou"), column_of(situation, "sd_res_tier")
    assert break_evens(situation, situation.carried, {}, {HOME: (plain, tou)}) == {HOME: []}


def test_limits_of_a_customer_do_not_depend_on_who_else_is_computed(situation: Situation) -> None:
    tou, plain = column_of(situation, "sd_res_tier_tou"), column_of(situation, "sd_res_tier")
    together = break_evens(situation, situation.carried, {}, dict.fromkeys(range(60), (tou, plain)))
    alone = break_evens(situation, situation.carried, {}, {7: (tou, plain)})
    assert together[7] == alone[7]
