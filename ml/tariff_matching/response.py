"""The saving if the customer reacts to the new prices: a scenario of its own, beside the advice and never part of it.

Advice assumes that nobody changes habits. The scenario takes elasticities from ``elasticities.yaml`` (published ranges,
see ``price_response``) and prices the load that would follow from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

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


def response_scenarios(
    situation: Situation,
    expected: LoadCube,
    choice: MonthlyChoice,
    pairs: Mapping[int, tuple[int, int]],
    elasticities: ElasticitySet,
) -> dict[int, ResponseScenario]:
    """Return, by customer, the scenario for a change from one offer to another.

    Customers whose prices by the hour cannot be compared (per interval, none per kWh, or not above zero) have none.

    Args:
        situation: Customers and offers.
        expected: Expected load of the coming months, rows as in ``situation``.
        choice: Contracted demands by month.
        pairs: By row, today's offer and the other one.
        elasticities: The assumption.
    """
    by_pair: dict[tuple[int, int], list[int]] = {}
    for row, pair in pairs.items():
        if not any(situation.columns[number].tariff.tariff_id in situation.interval_amounts for number in pair):
            by_pair.setdefault(pair, []).append(row)
    found: dict[int, ResponseScenario] = {}
    for pair, rows in by_pair.items():
        try:
            found |= _scenarios(situation, expected, choice, rows, pair, elasticities)
        except TariffError:
            # One customer's price of zero must not take the scenario from the others.
            for row in rows:
                found |= _scenario_or_none(situation, expected, choice, row, pair, elasticities)
    return found


def _scenario_or_none(
    situation: Situation,
    expected: LoadCube,
    choice: MonthlyChoice,
    row: int,
    pair: tuple[int, int],
    elasticities: ElasticitySet,
) -> dict[int, ResponseScenario]:
    try:
        return _scenarios(situation, expected, choice, [row], pair, elasticities)
    except TariffError:
        # A price of zero or below, or none per kWh: an elasticity says nothing there.
        return {}


def _scenarios(
    situation: Situation,
    expected: LoadCube,
    choice: MonthlyChoice,
    customers: list[int],
    pair: tuple[int, int],
    elasticities: ElasticitySet,
) -> dict[int, ResponseScenario]:
    rows = np.array(customers)
    load = expected.take(rows)
    substitution, own_price = elasticities.values(situation.customers.customer_class[rows])
    before, after = (_prices(situation, number, load, rows, choice) for number in pair)
    responded = respond(load, before, after, substitution, own_price)
    today = price_column(situation, pair[0], load, rows, choice)
    without, following = (price_column(situation, pair[1], one, rows, choice) for one in (load, responded))
    energy = np.maximum(load.kwh.sum(axis=(1, 2, 3)), 1)
    change = 100 * (responded.kwh.sum(axis=(1, 2, 3)) / energy - 1)
    return {
        row: ResponseScenario(
            elasticity_set=elasticities.name,
            description=elasticities.description,
            sources=elasticities.sources,
            substitution=float(substitution[index]),
            own_price=float(own_price[index]),
            saving_without_response_amount=round(float(today[index] - without[index]), 2),
            saving_with_response_amount=round(float(today[index] - following[index]), 2),
            energy_change_pct=round(float(change[index]), 2),
        )
        for index, row in enumerate(customers)
    }


def _prices(
    situation: Situation, number: int, load: LoadCube, rows: npt.NDArray[np.intp], choice: MonthlyChoice
) -> FloatArray:
    # Only prices per kWh are read from these bills, and they do not depend on the contract.
    bills = bills_of(situation, number, load, rows, choice)
    return slot_prices(bills, replace(load, months=bills.months, _cache={}))
