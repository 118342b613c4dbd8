"""A trained tariff matcher: the catalogue, the load forecast and the rule of advice, together.

The catalogue is part of the model, so that an answer can be computed again years later. Everything is exact integers
up to the bill of each scenario and row by row after it, so one customer and a batch get the same advice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ml.bundle import canonical_json
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.errors import BundleError, InsufficientDataError, TariffError
from ml.tariff_matching.break_even import BreakEven, break_evens
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.decision import (
    BillInterval,
    Decisions,
    Outlook,
    Savings,
    bill_interval,
    decide,
    look_ahead,
    savings_of,
)
from ml.tariff_matching.features import (
    CubeRows,
    as_load_cube,
    class_codes,
    empty_cube,
    prepare_features,
    usable_months,
)
from ml.tariff_matching.forecast import LoadForecast, expected_load
from ml.tariff_matching.offers import (
    NotPriced,
    Options,
    Situation,
    WindowBills,
    build_situation,
    not_priced_for,
    options_json,
    price_window,
)
from ml.tariff_matching.price_response import ElasticitySet, elasticity_set
from ml.tariff_matching.response import ResponseScenario, response_scenarios
from ml.tariff_matching.schema import ANNUAL_ENERGY, NONE, PREDICTIONS, READINGS
from ml.tariff_matching.similar_customers import KnownOfCustomers
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff, load_tariff

CATALOGUE_FILE = "catalogue.json"
FORECAST_FILE = "forecast.npz"
CONFIG_FILE = "config.json"
UNKNOWN_TARIFF = "unknown"
AMOUNT_DECIMALS = 2
PROBABILITY_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Alternative:
    """One offer to one customer.

    Attributes:
        tariff_id: The tariff.
        version: Its version.
        name: Its name.
        name_zh: Its name in Chinese.
        options: Options to choose with it.
        is_current: Whether the customer has it today.
        is_recommended: Whether it is the advice.
        past_amount: Exact bill of the past months that were read.
        components: The same by component.
        expected_amount: Expected bill of the coming months.
        expected_saving_amount: Expected saving against today's; ``None`` when today's is not known.
        saving_lower_amount: Lower end of its interval.
        saving_upper_amount: Upper end of its interval.
        saving_probability: Probability that it costs less than today's.
        price_is_verified: Whether every price is verified against an official text.
        unverified: What is not.
        why_not_code: ``recommended``, ``more_expensive``, ``saving_too_small``, ``evidence_weak``, ``better_offer``.
        why_not: Why it is not the advice; empty for the advice.
        why_not_zh: The same in Chinese.
    """

    tariff_id: str
    version: str
    name: str
    name_zh: str | None
    options: Options
    is_current: bool
    is_recommended: bool
    past_amount: float | None
    components: dict[str, float]
    expected_amount: float | None
    expected_saving_amount: float | None
    saving_lower_amount: float | None
    saving_upper_amount: float | None
    saving_probability: float | None
    price_is_verified: bool
    unverified: tuple[str, ...]
    why_not_code: str
    why_not: str
    why_not_zh: str


@dataclass(frozen=True, slots=True)
class ExpectedBill:
    """The coming bill on today's offer.

    Attributes:
        expected_amount: Mean.
        lower_amount: Lower end of its interval.
        upper_amount: Upper end of its interval.
        months_count: Months that it covers.
    """

    expected_amount: float
    lower_amount: float
    upper_amount: float
    months_count: int


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """One component of the past bill, now and as proposed.

    Attributes:
        component: Name of the component.
        component_zh: The same in Chinese.
        now_amount: On today's offer; zero where it has no such component.
        proposed_amount: On the compared offer.
    """

    component: str
    component_zh: str | None
    now_amount: float
    proposed_amount: float


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer for one customer with everything behind it.

    Attributes:
        customer_key: Who.
        prediction: The columns of ``PREDICTIONS``.
        reason: The advice in one sentence.
        reason_zh: The same in Chinese.
        bill: The coming bill on today's offer; ``None`` where today's offer is not known.
        alternatives: Every offer that was compared, cheapest expected bill first.
        compared_tariff_id: The tariff that breakdown, limits and response compare today's with: the recommended one, or
            the best alternative where the advice is to stay; ``None`` where there is nothing to compare.
        breakdown: Past bill by component, today's offer and the compared one.
        break_evens: Limits beyond which the better one of the two is the other.
        response: Saving of the compared offer if the customer reacts to prices: a scenario, not part of the advice.
        not_priced: Tariffs that were not compared, with the reason.
        currency: Currency of all amounts; ``None`` when nothing was priced.
        load_first_month: First of the past months.
        load_last_month: Last of the past months: the month of the decision.
        observed_months_count: Past months that were read.
    """

    customer_key: str
    prediction: dict[str, Any]
    reason: str
    reason_zh: str
    bill: ExpectedBill | None
    alternatives: tuple[Alternative, ...]
    compared_tariff_id: str | None
    breakdown: tuple[ComponentChange, ...]
    break_evens: tuple[BreakEven, ...]
    response: ResponseScenario | None
    not_priced: tuple[NotPriced, ...]
    currency: str | None
    load_first_month: date
    load_last_month: date
    observed_months_count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as JSON types."""
        return {
            **asdict(self),
            "load_first_month": self.load_first_month.isoformat(),
            "load_last_month": self.load_last_month.isoformat(),
        }


@dataclass(frozen=True)
class _Computed:
    """Everything computed for the customers of one decision month whose load is known in one way."""

    load_basis: str
    expected_load: LoadCube
    situation: Situation
    past: WindowBills
    outlook: Outlook
    savings: Savings
    bill: BillInterval
    decisions: Decisions


class TariffMatchingModel:
    """Advises customers which tariff and options to choose.

    Args:
        config: Settings.
        tariffs: The catalogue, in one currency.
        forecast: The fitted load forecast.
    """

    def __init__(self, config: TariffMatchingConfig, tariffs: Sequence[Tariff], forecast: LoadForecast) -> None:
        self.config = config
        self.tariffs = tuple(tariffs)
        self.forecast = forecast

    def predict(
        self, features: pd.DataFrame, cube: CubeRows | None, *, interval_amounts: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Advise customers.

        Args:
            features: One row per customer: customer_key, the columns of ``FEATURES``, and ``as_of_month`` where the
                decision month is known; without it, it is the last month of the cube.
            cube: Rows of ``customer_load_cube`` of these customers. The loads of customers without rows are estimated
                from similar customers, and their advice is marked so (``load_basis``).
            interval_amounts: Monthly bills of tariffs that need interval prices (customer_key, month, tariff_id,
                amount).

        Returns:
            ``customer_key`` and the columns of ``PREDICTIONS``, in the order of the input and with its index.

        Raises:
            InsufficientDataError: No tariff of the catalogue can be priced for the year before a decision.
        """
        prepared = prepare_features(features)
        predictions: list[dict[str, Any]] = [{} for _ in range(len(prepared))]
        for positions, computed in self._computed(prepared, cube, interval_amounts):
            for row, position in enumerate(positions):
                predictions[position] = self._prediction(computed, row)
        columns = names(PREDICTIONS)
        frame = pd.DataFrame(predictions, columns=columns, index=features.index)
        for column in PREDICTIONS:
            if column.kind == "numeric":
                frame[column.name] = frame[column.name].astype("float64")
            elif column.name == "is_switch_recommended":
                frame[column.name] = frame[column.name].astype(bool)
            else:
                frame[column.name] = frame[column.name].astype(object)
        frame.insert(0, CUSTOMER_KEY, prepared[CUSTOMER_KEY].to_numpy())
        return frame

    def advise(
        self, features: pd.DataFrame, cube: CubeRows | None, *, interval_amounts: pd.DataFrame | None = None
    ) -> list[Advice]:
        """Advise customers and show everything behind it; arguments as for ``predict``, one entry per row."""
        prepared = prepare_features(features)
        advice: dict[int, Advice] = {}
        for positions, computed in self._computed(prepared, cube, interval_amounts):
            compared = {row: _compared_column(computed, row) for row in range(len(positions))}
            limits = self._break_evens(computed, compared)
            responses = self._responses(computed, compared)
            for row, position in enumerate(positions):
                advice[position] = self._advice(
                    computed, row, compared[row], tuple(limits.get(row, ())), responses.get(row)
                )
        return [advice[position] for position in range(len(prepared))]

    def to_files(self) -> dict[str, bytes]:
        """Return the model as files; ``from_files`` gives an equal model."""
        return {
            CATALOGUE_FILE: canonical_json([json.loads(tariff.to_json()) for tariff in self.tariffs]),
            CONFIG_FILE: canonical_json(self.config.model_dump(mode="json")),
            FORECAST_FILE: self.forecast.to_npz(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "TariffMatchingModel":
        """Load a model.

        Raises:
            BundleError: A file is missing or cannot be read.
        """
        missing = [name for name in (CATALOGUE_FILE, CONFIG_FILE, FORECAST_FILE) if name not in files]
        if missing:
            raise BundleError(f"the tariff matching bundle has no {', '.join(missing)}: train the model again")
        try:
            config = TariffMatchingConfig.model_validate_json(files[CONFIG_FILE])
            tariffs = [load_tariff(document) for document in json.loads(files[CATALOGUE_FILE])]
        except (ValueError, ValidationError, TariffError) as error:
            raise BundleError(f"the settings or the catalogue of the bundle cannot be read: {error}") from error
        return cls(config, tariffs, LoadForecast.from_npz(files[FORECAST_FILE]))

    def _computed(
        self, prepared: pd.DataFrame, cube: CubeRows | None, interval_amounts: pd.DataFrame | None
    ) -> list[tuple[list[int], _Computed]]:
        """Return positions and results by decision month."""
        loads = None if cube is None or _is_empty(cube) else as_load_cube(cube)
        # Without any load there is nothing to date the decision by but the last month that prices were fitted on.
        fallback = loads.months[-1] if loads is not None else self._last_month
        bases = _load_bases(prepared, loads, fallback, self.config)
        groups: dict[tuple[date, str], list[int]] = {}
        for position, (month, basis) in enumerate(zip(prepared[AS_OF_MONTH], bases, strict=True)):
            groups.setdefault((month or fallback, basis), []).append(position)
        results = []
        for (month, basis), positions in sorted(groups.items()):
            rows = prepared.iloc[positions].reset_index(drop=True)
            results.append((positions, self._compute(rows, loads, month, basis, interval_amounts)))
        return results

    @property
    def _last_month(self) -> date:
        """The last month on which every tariff can be expected to have its prices."""
        return self.forecast.last_month

    def _compute(
        self,
        rows: pd.DataFrame,
        loads: LoadCube | None,
        month: date,
        basis: str,
        interval_amounts: pd.DataFrame | None,
    ) -> _Computed:
        keys = rows[CUSTOMER_KEY].tolist()
        classes = np.maximum(class_codes(rows), 0)
        known = None
        if basis == READINGS and loads is not None:
            own = loads
        elif basis == NONE:
            own = empty_cube(keys, month)
        else:
            known = KnownOfCustomers.from_features(rows)
            own = self.forecast.similar.estimated_load(keys, classes, known, month, self.config.history_months)
        situation = build_situation(rows, own, self.tariffs, month, self.config, interval_amounts)
        if not situation.columns:
            raise InsufficientDataError(
                f"no tariff can be priced for the year up to {month:%Y-%m}: ask for a later month"
            )
        outlook = look_ahead(situation, self.forecast, self.config, known=known)
        past = price_window(situation, situation.history, situation.interval_amounts, with_components=True)
        past = past.with_monthly(outlook.choice)
        spread, bill_spread = self.forecast.spreads(READINGS if basis == NONE else basis, situation.classes)
        savings = savings_of(situation, outlook, spread, self.config)
        bill = bill_interval(outlook, bill_spread, self.config)
        expected = situation.carried
        if known is None:
            factors = self.forecast.block_factors(situation.history, expected, situation.classes, situation.districts)
            expected = expected_load(expected, factors)
        return _Computed(
            basis, expected, situation, past, outlook, savings, bill, decide(situation, outlook, savings, self.config)
        )

    def _prediction(self, computed: _Computed, row: int) -> dict[str, Any]:
        situation = computed.situation
        current, recommended = int(situation.current[row]), int(computed.decisions.recommended[row])
        stated = situation.features["tariff_id"].iat[row]
        is_switch = bool(computed.decisions.is_switch[row])
        if recommended < 0:
            return {
                "current_tariff_id": stated,
                "recommended_tariff_id": stated or UNKNOWN_TARIFF,
                "recommended_options": "{}",
                "is_switch_recommended": False,
                "load_basis": computed.load_basis,
                "price_is_verified": False,
            }
        column = situation.columns[recommended]
        verified = column.tariff.is_verified and (current < 0 or situation.columns[current].tariff.is_verified)
        prediction = {
            "current_tariff_id": stated,
            "recommended_tariff_id": column.tariff.tariff_id,
            "recommended_options": options_json(_options(computed, row, recommended)),
            "is_switch_recommended": is_switch,
            "current_annual_amount": _amount(computed.past.amounts[row, current]) if current >= 0 else None,
            "recommended_annual_amount": _amount(computed.past.amounts[row, recommended]),
            "load_basis": computed.load_basis,
            "price_is_verified": verified,
        }
        if current >= 0:
            savings = computed.savings
            prediction |= {
                "expected_saving_amount": _amount(savings.expected[row, recommended]) if is_switch else 0.0,
                "saving_lower_amount": _amount(savings.lower[row, recommended]) if is_switch else 0.0,
                "saving_upper_amount": _amount(savings.upper[row, recommended]) if is_switch else 0.0,
                "saving_probability": round(float(savings.probability[row, recommended]), PROBABILITY_DECIMALS)
                if is_switch
                else 0.0,
            }
        return prediction

    def _advice(
        self,
        computed: _Computed,
        row: int,
        compared: int | None,
        limits: tuple[BreakEven, ...],
        response: ResponseScenario | None,
    ) -> Advice:
        situation = computed.situation
        prediction = dict.fromkeys(names(PREDICTIONS)) | self._prediction(computed, row)
        offered = np.flatnonzero(situation.is_offered[row] & np.isfinite(computed.outlook.expected[row]))
        by_cost = sorted(offered, key=lambda number: (computed.outlook.expected[row, number], number))
        alternatives = tuple(self._alternative(computed, row, int(number)) for number in by_cost)
        reason, reason_zh = self._reason(computed, row)
        return Advice(
            customer_key=str(situation.features[CUSTOMER_KEY].iat[row]),
            prediction=prediction,
            reason=reason,
            reason_zh=reason_zh,
            bill=self._bill(computed, row),
            alternatives=alternatives,
            compared_tariff_id=None if compared is None else situation.columns[compared].tariff.tariff_id,
            breakdown=() if compared is None else _breakdown(computed, row, compared),
            break_evens=limits,
            response=response,
            not_priced=tuple(not_priced_for(situation, self.tariffs, row)),
            currency=situation.columns[by_cost[0]].tariff.currency if by_cost else None,
            load_first_month=situation.history.months[0],
            load_last_month=situation.history.months[-1],
            observed_months_count=_months_read(computed, row),
        )

    def _break_evens(self, computed: _Computed, compared: Mapping[int, int | None]) -> dict[int, list[BreakEven]]:
        """Return, by row, the limits of the offer that is better now, whichever of the two that is."""
        pairs = {}
        for row, number in compared.items():
            if number is not None:
                current = int(computed.situation.current[row])
                is_better = computed.savings.expected[row, number] > 0
                pairs[row] = (number, current) if is_better else (current, number)
        return break_evens(computed.situation, computed.expected_load, computed.outlook.choice, pairs)

    def _responses(self, computed: _Computed, compared: Mapping[int, int | None]) -> dict[int, ResponseScenario]:
        situation = computed.situation
        elasticities = _elasticities(self.config.response_set, situation.carried.months[0])
        if elasticities is None or elasticities.is_zero:
            return {}
        pairs = {row: (int(situation.current[row]), number) for row, number in compared.items() if number is not None}
        return response_scenarios(situation, computed.expected_load, computed.outlook.choice, pairs, elasticities)

    def _bill(self, computed: _Computed, row: int) -> ExpectedBill | None:
        bill = computed.bill
        expected, lower, upper = (_amount(float(part[row])) for part in (bill.expected, bill.lower, bill.upper))
        if expected is None or lower is None or upper is None:
            return None
        return ExpectedBill(expected, lower, upper, len(computed.situation.carried.months))

    def _alternative(self, computed: _Computed, row: int, number: int) -> Alternative:
        situation, savings = computed.situation, computed.savings
        column = situation.columns[number]
        tariff = column.tariff
        is_current = bool(number == situation.current[row])
        is_recommended = bool(number == computed.decisions.recommended[row])
        probability = savings.probability[row, number]
        code, why_not, why_not_zh = ("recommended", "", "") if is_recommended else self._why_not(computed, row, number)
        return Alternative(
            tariff_id=tariff.tariff_id,
            version=tariff.version,
            name=tariff.name,
            name_zh=tariff.name_zh,
            options=_options(computed, row, number),
            is_current=is_current,
            is_recommended=is_recommended,
            past_amount=_amount(computed.past.amounts[row, number]),
            components={
                name: round(float(values[row]), AMOUNT_DECIMALS)
                for name, values in computed.past.components[number].items()
                if values[row] != 0
            },
            expected_amount=_amount(computed.outlook.expected[row, number]),
            expected_saving_amount=_amount(savings.expected[row, number]),
            saving_lower_amount=_amount(savings.lower[row, number]),
            saving_upper_amount=_amount(savings.upper[row, number]),
            saving_probability=None if np.isnan(probability) else round(float(probability), PROBABILITY_DECIMALS),
            price_is_verified=tariff.is_verified,
            unverified=tariff.unverified,
            why_not_code=code,
            why_not=why_not,
            why_not_zh=why_not_zh,
        )

    def _why_not(self, computed: _Computed, row: int, number: int) -> tuple[str, str, str]:
        """Return code, sentence and Chinese sentence of why an offer is not the advice."""
        savings, decisions = computed.savings, computed.decisions
        current = int(computed.situation.current[row])
        if decisions.recommended[row] != current:
            difference = (
                computed.outlook.expected[row, number] - computed.outlook.expected[row, decisions.recommended[row]]
            )
            return (
                "more_expensive",
                f"expected to cost {difference:,.2f} more than the recommended offer",
                f"预计比推荐方案多支出 {difference:,.2f}",
            )
        saving, probability = savings.expected[row, number], savings.probability[row, number]
        if saving <= 0:
            return (
                "more_expensive",
                f"expected to cost {-saving:,.2f} more than today's",
                f"预计比现行方案多支出 {-saving:,.2f}",
            )
        demanded = self._demanded(computed, row)
        if saving < demanded:
            return (
                "saving_too_small",
                f"expected to save {saving:,.2f}, less than the {demanded:,.2f} that a change should bring",
                f"预计节省 {saving:,.2f}，低于变更所需的 {demanded:,.2f}",
            )
        if probability < self.config.minimum_probability:
            return (
                "evidence_weak",
                f"saves {saving:,.2f} on average, but only with probability {probability:.0%} "
                f"(at least {self.config.minimum_probability:.0%} is asked for)",
                f"平均节省 {saving:,.2f}，但节省概率仅 {probability:.0%}"
                f"（要求至少 {self.config.minimum_probability:.0%}）",
            )
        return "better_offer", "another offer is cheaper, but its evidence is weak", "另有更低价方案，但证据不足"

    def _reason(self, computed: _Computed, row: int) -> tuple[str, str]:
        situation, decisions, savings = computed.situation, computed.decisions, computed.savings
        recommended, best = int(decisions.recommended[row]), int(decisions.best[row])
        basis, basis_zh = _basis_text(computed, row)
        if situation.features["customer_class"].iat[row] is None:
            return (
                "No advice: which tariffs are open depends on the customer's class, and customer_class is missing; "
                "deliver it.",
                "无法给出建议：可选电价取决于用电类别，而 customer_class 缺失；请补充该字段。",
            )
        if recommended < 0:
            return (
                "No tariff of the catalogue is open to this customer and can be priced: stay.",
                "目录中没有可适用且可计价的电价：建议维持现状。",
            )
        tariff = situation.columns[recommended].tariff
        today = situation.features["tariff_id"].iat[row]
        if situation.current[row] < 0 and any(tariff.tariff_id == today for tariff in self.tariffs):
            return (
                f"Today's tariff cannot be priced for this customer, so no saving can be stated; {tariff.name} is "
                "expected to cost least.",
                f"现行电价无法为该客户计价，无法给出节省额；预计“{tariff.name_zh or tariff.name}”费用最低。",
            )
        if situation.current[row] < 0:
            return (
                f"Today's tariff is not in the catalogue, so no saving can be stated; {tariff.name} is expected to "
                "cost least.",
                f"现行电价不在目录中，无法给出节省额；预计“{tariff.name_zh or tariff.name}”费用最低。",
            )
        if decisions.is_switch[row]:
            saving = savings.expected[row, recommended]
            lower, upper = savings.lower[row, recommended], savings.upper[row, recommended]
            level, ahead = f"{self.config.interval_level:.0%}", len(situation.carried.months)
            return (
                f"Change to {tariff.name}: expected to save {saving:,.2f} over the next {ahead} months "
                f"({level} interval {lower:,.2f} to {upper:,.2f}), {basis}.",
                f"建议改为“{tariff.name_zh or tariff.name}”：未来 {ahead} 个月预计节省 {saving:,.2f}"
                f"（{level} 区间 {lower:,.2f} 至 {upper:,.2f}），{basis_zh}。",
            )
        if best == situation.current[row]:
            return "Stay: today's offer is expected to cost least.", "建议维持：现行方案预计费用最低。"
        _, why_not, why_not_zh = self._why_not(computed, row, best)
        best_tariff = situation.columns[best].tariff
        return (
            f"Stay: {best_tariff.name} is the best alternative, but {why_not}.",
            f"建议维持：最佳备选“{best_tariff.name_zh or best_tariff.name}”{why_not_zh}。",
        )

    def _demanded(self, computed: _Computed, row: int) -> float:
        current = computed.outlook.expected[row, computed.situation.current[row]]
        return max(self.config.minimum_saving_amount, self.config.minimum_saving_share * abs(float(current)))


@cache
def _elasticities(name: str, on_date: date) -> ElasticitySet | None:
    """Return an assumption on responses to prices, ``None`` where no version of it had started; read once."""
    try:
        return elasticity_set(name, on_date)
    except TariffError:
        return None


def tariffs_of(catalogue: Catalogue | Sequence[Tariff]) -> tuple[Tariff, ...]:
    """Return the tariffs of a catalogue, or the sequence itself.

    Raises:
        TariffError: Their prices are in several currencies.
    """
    tariffs = tuple(catalogue.tariffs if isinstance(catalogue, Catalogue) else catalogue)
    currencies = sorted({tariff.currency for tariff in tariffs})
    if len(currencies) > 1:
        raise TariffError(
            f"tariffs in {' and '.join(currencies)} cannot be compared: advise on those of one currency, such as "
            f"{next(tariff.tariff_id for tariff in tariffs if tariff.currency == currencies[0])} in {currencies[0]}"
        )
    return tariffs


def _compared_column(computed: _Computed, row: int) -> int | None:
    """Return the recommended column of a change, else the best alternative to today's, ``None`` where there is none."""
    current = int(computed.situation.current[row])
    if current < 0:
        return None
    if computed.decisions.is_switch[row]:
        return int(computed.decisions.recommended[row])
    expected = np.where(computed.situation.is_offered[row], computed.outlook.expected[row], np.nan)
    expected[current] = np.nan
    return int(np.nanargmin(expected)) if np.isfinite(expected).any() else None


def _breakdown(computed: _Computed, row: int, compared: int) -> tuple[ComponentChange, ...]:
    """Return the past bill by component of both offers; components with one name are one line."""
    situation = computed.situation
    numbers = (int(situation.current[row]), compared)
    now, proposed = (
        {name: float(values[row]) for name, values in computed.past.components[number].items() if values[row] != 0}
        for number in numbers
    )
    chinese = {part.name: part.name_zh for number in numbers for part in situation.columns[number].tariff.components}
    return tuple(
        ComponentChange(
            name,
            chinese.get(name),
            round(now.get(name, 0.0), AMOUNT_DECIMALS),
            round(proposed.get(name, 0.0), AMOUNT_DECIMALS),
        )
        for name in dict.fromkeys((*now, *proposed))
    )


def _months_read(computed: _Computed, row: int) -> int:
    return int(computed.situation.history.present[row].sum()) if computed.load_basis == READINGS else 0


def _basis_text(computed: _Computed, row: int) -> tuple[str, str]:
    """Return in words from what the load is known."""
    if computed.load_basis == READINGS:
        months, asked = _months_read(computed, row), len(computed.situation.history.months)
        if months < asked:
            return (
                f"from {months} months of readings; the {asked - months} others are taken as the customer's mean month",
                f"依据 {months} 个月读数，其余 {asked - months} 个月按月均估计",
            )
        return f"from {months} months of readings", f"依据 {months} 个月读数"
    if computed.load_basis == ANNUAL_ENERGY:
        return (
            "estimated: the hours are those of similar customers with the same energy",
            "为估计值：时段分布取自用电量相近的同类客户",
        )
    return "estimated: nothing but the class of the customer is known", "为估计值：仅知客户类别"


def _options(computed: _Computed, row: int, number: int) -> Options:
    situation = computed.situation
    column = situation.columns[number]
    by_month = situation.contracted_by_month(computed.outlook.choice, number, row) if column.is_monthly else None
    return column.options(situation.contracted_kw[row, number], by_month)


def _amount(value: float) -> float | None:
    # Adding zero turns -0.0 into 0.0.
    return None if np.isnan(value) else round(float(value), AMOUNT_DECIMALS) + 0.0


def _load_bases(
    prepared: pd.DataFrame, loads: LoadCube | None, fallback: date, config: TariffMatchingConfig
) -> list[str]:
    """Return from what the load of every row is known."""
    if loads is not None:
        is_read = usable_months(loads, config.minimum_coverage_pct)
        months = np.array(loads.months, "datetime64[M]")
        has_months = {key: months[row] for key, row in zip(loads.customer_keys, is_read, strict=True)}
    else:
        has_months = {}
    known = KnownOfCustomers.from_features(prepared).bases()
    bases = []
    for position, (key, month, customer_class) in enumerate(
        zip(prepared[CUSTOMER_KEY], prepared[AS_OF_MONTH], prepared["customer_class"], strict=True)
    ):
        last = np.datetime64(month or fallback, "M")
        own = has_months.get(key)
        is_inside = own is not None and bool(((own <= last) & (own > last - config.history_months)).any())
        if is_inside:
            bases.append(READINGS)
        else:
            bases.append(NONE if customer_class is None else str(known[position]))
    return bases


def _is_empty(cube: CubeRows) -> bool:
    return not isinstance(cube, LoadCube) and len(cube) == 0
