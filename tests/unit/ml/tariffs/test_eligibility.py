"""Eligibility for one customer and for a table of customers says the same."""

import numpy as np
import pandas as pd
import pytest

from ml.columns import CUSTOMER_CLASSES, SUPPLY_ROUTES, VOLTAGE_LEVELS
from ml.errors import SchemaMismatchError
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.eligibility import CustomerFacts, CustomerTable, ineligibility_reasons


def test_table_agrees_with_single_customers_over_all_combinations() -> None:
    combinations = pd.MultiIndex.from_product(
        [
            (*CUSTOMER_CLASSES, None),
            (*VOLTAGE_LEVELS, None),
            (*SUPPLY_ROUTES, None),
            (50.0, 100.0, 200.0, 315.0, np.nan),
        ],
        names=["customer_class", "voltage_level", "supply_route", "contract_capacity_kva"],
    ).to_frame(index=False)
    combinations["customer_key"] = combinations.index.astype(str)
    customers = CustomerTable.from_frame(combinations)

    for tariff in load_catalogue().tariffs:
        one_by_one = [not ineligibility_reasons(tariff, customers.facts(i)) for i in range(len(customers))]
        assert customers.is_eligible(tariff).tolist() == one_by_one
        assert any(one_by_one)


def test_reasons_name_the_fact_and_what_the_tariff_asks_for() -> None:
    tariff = load_catalogue().get("sd_ic_two_10")

    reasons = ineligibility_reasons(tariff, CustomerFacts("commercial", "lt1kV", None, 80))

    assert reasons == [
        "voltage_level is lt1kV, the tariff is for 1-10(20)kV",
        "supply_route is unknown, the tariff is for agency",
        "contract_capacity_kva is 80, the tariff is for above 100",
    ]


@pytest.mark.parametrize(
    ("kva", "single_part", "two_part"), [(80, True, False), (100, True, False), (200, True, True), (315, False, True)]
)
def test_capacity_decides_between_single_and_two_part(kva: float, single_part: bool, two_part: bool) -> None:
    catalogue = load_catalogue()
    customer = CustomerFacts("industrial", "1-10(20)kV", "agency", kva)

    assert (not ineligibility_reasons(catalogue.get("sd_ic_single_10"), customer)) is single_part
    assert (not ineligibility_reasons(catalogue.get("sd_ic_two_10"), customer)) is two_part


def test_missing_values_of_every_kind_are_unknown() -> None:
    customers = CustomerTable.from_frame(
        pd.DataFrame({"customer_key": ["a", "b", "c"], "customer_class": [None, np.nan, pd.NA]})
    )

    assert customers.customer_class.tolist() == [None, None, None]
    assert customers.facts(0) == CustomerFacts()


def test_rows_follow_the_keys() -> None:
    customers = CustomerTable.from_frame(
        pd.DataFrame({"customer_key": ["a", "b", "c"], "contracted_kw": [1.0, 2.0, 3.0]})
    )

    assert customers.aligned_to(["c", "a"]).contracted_kw.tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"customer": ["a"]}), "column customer_key is missing"),
        (pd.DataFrame({"customer_key": ["a", "a"]}), "a has more than one row"),
    ],
)
def test_unusable_tables_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(SchemaMismatchError, match=message):
        CustomerTable.from_frame(frame)
