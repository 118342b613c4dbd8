import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.errors import SchemaMismatchError
from ml.splits import add_months
from ml.tariff_matching.realised import realised_bills
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import Tariff

ADVISED_AT = date(2025, 12, 1)
HOME, FIRM = "home-0000", "firm-0061"


@pytest.fixture
def advice(facts: pd.DataFrame) -> pd.DataFrame:
    """Homes are advised another residential tariff, firms another billing basis of their own."""
    rows = facts[facts["customer_key"].isin([HOME, FIRM])].reset_index(drop=True)
    is_home = rows["customer_class"] == "residential"
    return rows.assign(
        recommended_tariff_id=np.where(is_home, "sd_res_tier_tou", "sd_ic_two_10"),
        recommended_options=[
            "{}" if home else json.dumps({"billing_basis": "contracted_demand", "contracted_kw": 900.0})
            for home in is_home
        ],
    )


def bills(catalogue, town, tariff_id, key, facts, first, last, **options) -> float:
    tariff = next(one for one in catalogue.tariffs if one.tariff_id == tariff_id)
    own = facts[facts["customer_key"] == key].assign(**options)
    part = town.take(np.array([key], dtype=object)).select(first, last)
    return float(price_cube(tariff, part, CustomerTable.from_frame(own)).sum_amount[0])


def test_the_load_since_is_billed_on_the_tariff_of_then_and_on_the_advised_one(advice, facts, town, catalogue) -> None:
    found = realised_bills(advice, town, catalogue.tariffs, ADVISED_AT, 3).to_frame().set_index("customer_key")
    first, last = date(2026, 1, 1), date(2026, 3, 1)
    expected = {
        HOME: (
            bills(catalogue, town, "sd_res_tier", HOME, facts, first, last),
            bills(catalogue, town, "sd_res_tier_tou", HOME, facts, first, last),
        ),
        FIRM: (
            bills(catalogue, town, "sd_ic_two_10", FIRM, facts, first, last),
            bills(
                catalogue, town, "sd_ic_two_10", FIRM, facts, first, last,
                billing_basis="contracted_demand", contracted_kw=900.0,
            ),
        ),
    }  # fmt: skip
    for key, (stayed, advised) in expected.items():
        assert found.loc[key, ["stayed_amount", "advised_amount"]].tolist() == pytest.approx([stayed, advised])


def test_the_same_months_of_the_year_before_are_billed_too(advice, facts, town, catalogue) -> None:
    found = realised_bills(advice, town, catalogue.tariffs, ADVISED_AT, 1).to_frame().set_index("customer_key")
    january = date(2025, 1, 1)
    expected = bills(catalogue, town, "sd_ic_two_10", FIRM, facts, january, january)
    assert found.loc[FIRM, "stayed_before_amount"] == pytest.approx(expected)


def test_a_demand_that_was_advised_by_month_is_billed_month_by_month(advice, facts, town, catalogue) -> None:
    by_month = {"2026-01": 500.0, "2026-02": 1_500.0}
    firm = advice[advice["customer_key"] == FIRM].assign(
        recommended_options=json.dumps({"billing_basis": "contracted_demand", "contracted_kw_by_month": by_month})
    )
    found = realised_bills(firm, town, catalogue.tariffs, ADVISED_AT, 2)
    expected = sum(
        bills(
            catalogue, town, "sd_ic_two_10", FIRM, facts, month, month,
            billing_basis="contracted_demand", contracted_kw=kw,
        )
        for month, kw in ((date(2026, 1, 1), 500.0), (date(2026, 2, 1), 1_500.0))
    )  # fmt: skip
    assert found.advised_amount[0] == pytest.approx(expected)


def test_each_month_has_the_prices_that_were_in_force(advice, town, catalogue) -> None:
    shared = next(one for one in catalogue.tariffs if one.tariff_id == "sd_res_shared")

    def version(number: str, price: str, valid_from: date, valid_to: date | None) -> Tariff:
        changed = {
            "version": number,
            "valid_from": valid_from,
            "valid_to": valid_to,
            "components": [{"kind": "energy", "name": "Energy", "tables": [{"prices": {"all": price}}]}],
        }
        return Tariff.model_validate(shared.model_dump(exclude_unset=True) | changed)

    tariffs = [
        version("1", "0.5", date(2020, 1, 1), date(2026, 1, 31)),
        version("2", "0.8", date(2026, 2, 1), None),
    ]
    home = advice[advice["customer_key"] == HOME].assign(
        tariff_id="sd_res_shared", recommended_tariff_id="sd_res_shared"
    )
    found = realised_bills(home, town, tariffs, ADVISED_AT, 2)
    own = town.take(np.array([HOME], dtype=object)).select(date(2026, 1, 1), date(2026, 2, 1)).month_kwh()[0] / 1e4
    assert found.stayed_amount[0] == pytest.approx(0.5 * own[0] + 0.8 * own[1], abs=0.02)


def test_a_customer_is_not_billed_when_a_month_was_not_read_or_a_tariff_is_unknown(advice, town, catalogue) -> None:
    beyond = realised_bills(advice, town, catalogue.tariffs, add_months(town.months[-1], -1), 2)
    assert np.isnan(beyond.stayed_amount).all()
    unknown = realised_bills(advice.assign(recommended_tariff_id="withdrawn"), town, catalogue.tariffs, ADVISED_AT, 1)
    assert np.isnan(unknown.advised_amount).all()
    assert np.isfinite(unknown.stayed_amount).all()


def test_a_customer_without_a_load_is_kept_without_bills(advice, town, catalogue) -> None:
    stranger = advice.assign(customer_key=["stranger", FIRM])
    found = realised_bills(stranger, town, catalogue.tariffs, ADVISED_AT, 1)
    assert found.customer_keys.tolist() == ["stranger", FIRM]
    assert np.isfinite(found.stayed_amount).tolist() == [False, True]


def test_advice_of_another_form_is_refused(advice, town, catalogue) -> None:
    with pytest.raises(SchemaMismatchError, match="advice lacks recommended_options"):
        realised_bills(advice.drop(columns="recommended_options"), town, catalogue.tariffs, ADVISED_AT, 1)
