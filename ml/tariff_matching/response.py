"""The saving if the customer reacts to the new prices: a scenario of its own, beside the advice and never part of it.

Advice assumes that nobody changes habits. The scenario takes elasticities from ``elasticities.yaml`` (published ranges,
see ``price_response``) and prices the load that would follow from them.
"""

from dataclasses import dataclass, replace

import numpy as np

from ml.errors import TariffError
from ml.tariff_matching.features import FloatArray
from ml.tariff_matching.offers import MonthlyChoice, Situation, bills_of, price_column
from ml.tariff_matching.price_response import ElasticitySet, respond, slot_prices
from ml.tariffs.load_cube import LoadCube


@dataclass(frozen=True, slots=True)
class ResponseScenario:
    """What a change of tariff would save with and without a reaction to prices.

    Attributes:
        elasticity_set: Name of the assumption.
        description: What it assumes.
        sources: Where its numbers come from.
        substitution: Elasticity of substitution between the hours of a day.
        own_price: Elasticity of a day's energy.
        saving_without_response_amount: Saving at the expected load, nobody reacting.
        saving_with_response_amount: Today's bill at the expected load less the new bill at the load that follows.
        energy_change_pct: Change of the year's energy.
    """

    elasticity_set: str
    description: str
    sources: tuple[str, ...]
    substitution: float
    own_price: float
    saving_without_response_amount: float
    saving_with_response_amount: float
    energy_change_pct: float


def response_scenario(
    situation: Situation,
    expected: LoadCube,
    choice: MonthlyChoice,
    row: int,
    columns: tuple[int, int],
    elasticities: ElasticitySet,
) -> ResponseScenario | None:
    """Return the scenario for a change from one offer to another, ``None`` where prices per hour cannot be compared.

    Args:
        situation: Customers and offers.
        expected: Expected load of the coming months, rows as in ``situation``.
        choice: Contracted demands by month.
        row: The customer.
        columns: Today's offer and the other one.
        elasticities: The assumption.
    """
    if any(situation.columns[number].tariff.tariff_id in situation.interval_amounts for number in columns):
        return None
    rows = np.array([row])
    load = expected.take(rows)
    substitution, own_price = elasticities.values(situation.customers.customer_class[rows])
    try:
        before, after = (_prices(situation, number, load, row, choice) for number in columns)
    except TariffError:
        # A price of zero or below, or none per kWh: an elasticity says nothing there.
        return None
    responded = respond(load, before, after, substitution, own_price)
    today = float(price_column(situation, columns[0], load, rows, choice)[0])
    without, following = (float(price_column(situation, columns[1], one, rows, choice)[0]) for one in (load, responded))
    energy = max(int(load.kwh.sum()), 1)
    return ResponseScenario(
        elasticity_set=elasticities.name,
        description=elasticities.description,
        sources=elasticities.sources,
        substitution=float(substitution[0]),
        own_price=float(own_price[0]),
        saving_without_response_amount=round(today - without, 2),
        saving_with_response_amount=round(today - following, 2),
        energy_change_pct=round(100 * (int(responded.kwh.sum()) / energy - 1), 2),
    )


def _prices(situation: Situation, number: int, load: LoadCube, row: int, choice: MonthlyChoice) -> FloatArray:
    bills = bills_of(situation, number, load, np.array([row]), choice)
    return slot_prices(bills, replace(load, months=bills.months, _cache={}))
