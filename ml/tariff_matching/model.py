"""A trained tariff matcher: the catalogue, the load forecast and the rule of advice, together.

The catalogue is part of the model, so that an answer can be computed again years later. Everything is exact integers
up to the bill of each scenario and row by row after it, so one customer and a batch get the same advice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ml.bundle import canonical_json
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.errors import BundleError, TariffError
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.decision import Decisions, Outlook, Savings, decide, look_ahead, savings_of
from ml.tariff_matching.features import CubeRows, as_load_cube, empty_cube, prepare_features
from ml.tariff_matching.forecast import LoadForecast
from ml.tariff_matching.offers import (
    NotPriced,
    Situation,
    WindowBills,
    build_situation,
    not_priced_for,
    options_json,
    price_window,
)
from ml.tariff_matching.schema import PREDICTIONS
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
        why_not: Why it is not the advice; empty for the advice.
        why_not_zh: The same in Chinese.
    """

    tariff_id: str
    version: str
    name: str
    name_zh: str | None
    options: dict[str, str | float]
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
    why_not: str
    why_not_zh: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer for one customer with everything behind it.

    Attributes:
        customer_key: Who.
        prediction: The columns of ``PREDICTIONS``.
        reason: The advice in one sentence.
        reason_zh: The same in Chinese.
        alternatives: Every offer that was compared, cheapest expected bill first.
        not_priced: Tariffs that were not compared, with the reason.
        currency: Currency of all amounts; ``None`` when nothing was priced.
        first_month: First of the past months.
        last_month: Last of the past months: the month of the decision.
        observed_months_count: Past months that were read.
    """

    customer_key: str
    prediction: dict[str, Any]
    reason: str
    reason_zh: str
    alternatives: tuple[Alternative, ...]
    not_priced: tuple[NotPriced, ...]
    currency: str | None
    first_month: date
    last_month: date
    observed_months_count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as JSON types."""
        return {
            **asdict(self),
            "first_month": self.first_month.isoformat(),
            "last_month": self.last_month.isoformat(),
        }


@dataclass(frozen=True)
class _Computed:
    """Everything computed for the customers of one decision month."""

    situation: Situation
    past: WindowBills
    outlook: Outlook
    savings: Savings
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
            cube: Rows of ``customer_load_cube`` of these customers; customers without rows are advised to stay.
            interval_amounts: Monthly bills of tariffs that need interval prices (customer_key, month, tariff_id,
                amount).

        Returns:
            ``customer_key`` and the columns of ``PREDICTIONS``, in the order of the input and with its index.
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
            for row, position in enumerate(positions):
                advice[position] = self._advice(computed, row)
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
        keys = prepared[CUSTOMER_KEY].to_numpy(dtype=object)
        loads = None if cube is None or _is_empty(cube) else as_load_cube(cube)
        fallback = loads.months[-1] if loads is not None else None
        decision_months = [month or fallback for month in prepared[AS_OF_MONTH]]
        with_load = set(loads.customer_keys) if loads is not None else set()
        groups: dict[tuple[date, bool], list[int]] = {}
        for position, (key, month) in enumerate(zip(keys, decision_months, strict=True)):
            # Without any load there is nothing to date the decision by, and nothing that depends on the date.
            groups.setdefault((month or date(1970, 1, 1), key in with_load), []).append(position)
        results = []
        for (month, has_load), positions in sorted(groups.items()):
            rows = prepared.iloc[positions].reset_index(drop=True)
            own = loads if has_load and loads is not None else empty_cube(rows[CUSTOMER_KEY].tolist(), month)
            results.append((positions, self._compute(rows, own, month, interval_amounts)))
        return results

    def _compute(
        self, rows: pd.DataFrame, loads: LoadCube, month: date, interval_amounts: pd.DataFrame | None
    ) -> _Computed:
        situation = build_situation(rows, loads, self.tariffs, month, self.config, interval_amounts)
        past = price_window(situation, situation.history, situation.interval_amounts, with_components=True)
        outlook = look_ahead(situation, self.forecast, self.config)
        savings = savings_of(outlook, self.forecast.spread[situation.classes], self.config)
        return _Computed(situation, past, outlook, savings, decide(situation, outlook, savings, self.config))

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
                "price_is_verified": False,
            }
        column = situation.columns[recommended]
        verified = column.tariff.is_verified and (current < 0 or situation.columns[current].tariff.is_verified)
        prediction = {
            "current_tariff_id": stated,
            "recommended_tariff_id": column.tariff.tariff_id,
            "recommended_options": options_json(column, situation.contracted_kw[row, recommended]),
            "is_switch_recommended": is_switch,
            "current_annual_amount": _amount(computed.past.amounts[row, current]) if current >= 0 else None,
            "recommended_annual_amount": _amount(computed.past.amounts[row, recommended]),
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

    def _advice(self, computed: _Computed, row: int) -> Advice:
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
            alternatives=alternatives,
            not_priced=tuple(not_priced_for(situation, self.tariffs, row)),
            currency=situation.columns[by_cost[0]].tariff.currency if by_cost else None,
            first_month=situation.history.months[0],
            last_month=situation.history.months[-1],
            observed_months_count=int(situation.history.present[row].sum()),
        )

    def _alternative(self, computed: _Computed, row: int, number: int) -> Alternative:
        situation, savings = computed.situation, computed.savings
        column = situation.columns[number]
        tariff = column.tariff
        is_current = bool(number == situation.current[row])
        is_recommended = bool(number == computed.decisions.recommended[row])
        probability = savings.probability[row, number]
        why_not, why_not_zh = ("", "") if is_recommended else self._why_not(computed, row, number)
        return Alternative(
            tariff_id=tariff.tariff_id,
            version=tariff.version,
            name=tariff.name,
            name_zh=tariff.name_zh,
            options=column.options(situation.contracted_kw[row, number]),
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
            why_not=why_not,
            why_not_zh=why_not_zh,
        )

    def _why_not(self, computed: _Computed, row: int, number: int) -> tuple[str, str]:
        situation, savings, decisions = computed.situation, computed.savings, computed.decisions
        if decisions.recommended[row] != situation.current[row]:
            difference = (
                computed.outlook.expected[row, number] - computed.outlook.expected[row, decisions.recommended[row]]
            )
            return (
                f"expected to cost {difference:,.2f} more than the recommended offer",
                f"预计比推荐方案多支出 {difference:,.2f}",
            )
        saving, probability = savings.expected[row, number], savings.probability[row, number]
        if saving <= 0:
            return f"expected to cost {-saving:,.2f} more than today's", f"预计比现行方案多支出 {-saving:,.2f}"
        demanded = self._demanded(computed, row)
        if saving < demanded:
            return (
                f"expected to save {saving:,.2f}, less than the {demanded:,.2f} that a change should bring",
                f"预计节省 {saving:,.2f}，低于变更所需的 {demanded:,.2f}",
            )
        if probability < self.config.minimum_probability:
            return (
                f"saves {saving:,.2f} on average, but only with probability {probability:.0%} "
                f"(at least {self.config.minimum_probability:.0%} is asked for)",
                f"平均节省 {saving:,.2f}，但节省概率仅 {probability:.0%}"
                f"（要求至少 {self.config.minimum_probability:.0%}）",
            )
        return "another offer is cheaper, but its evidence is weak", "另有更低价方案，但证据不足"

    def _reason(self, computed: _Computed, row: int) -> tuple[str, str]:
        situation, decisions, savings = computed.situation, computed.decisions, computed.savings
        recommended, best = int(decisions.recommended[row]), int(decisions.best[row])
        months = int(situation.history.present[row].sum())
        if situation.features["customer_class"].iat[row] is None:
            return (
                "No advice: which tariffs are open depends on the customer's class, and customer_class is missing; "
                "deliver it.",
                "无法给出建议：可选电价取决于用电类别，而 customer_class 缺失；请补充该字段。",
            )
        if not months:
            return (
                "No interval readings of the past months are there, so nothing can be compared: stay.",
                "过去数月无区间读数，无法比较：建议维持现状。",
            )
        if recommended < 0:
            return (
                "No tariff of the catalogue is open to this customer and can be priced: stay.",
                "目录中没有可适用且可计价的电价：建议维持现状。",
            )
        tariff = situation.columns[recommended].tariff
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
                f"({level} interval {lower:,.2f} to {upper:,.2f}), from {months} months of readings.",
                f"建议改为“{tariff.name_zh or tariff.name}”：未来 {ahead} 个月预计节省 {saving:,.2f}"
                f"（{level} 区间 {lower:,.2f} 至 {upper:,.2f}），依据 {months} 个月读数。",
            )
        if best == situation.current[row]:
            return "Stay: today's offer is expected to cost least.", "建议维持：现行方案预计费用最低。"
        why_not, why_not_zh = self._why_not(computed, row, best)
        best_tariff = situation.columns[best].tariff
        return (
            f"Stay: {best_tariff.name} is the best alternative, but {why_not}.",
            f"建议维持：最佳备选“{best_tariff.name_zh or best_tariff.name}”{why_not_zh}。",
        )

    def _demanded(self, computed: _Computed, row: int) -> float:
        current = computed.outlook.expected[row, computed.situation.current[row]]
        return max(self.config.minimum_saving_amount, self.config.minimum_saving_share * abs(float(current)))


def tariffs_of(catalogue: Catalogue | Sequence[Tariff]) -> tuple[Tariff, ...]:
    """Return the tariffs of a catalogue, or the sequence itself."""
    return tuple(catalogue.tariffs if isinstance(catalogue, Catalogue) else catalogue)


def _amount(value: float) -> float | None:
    # Adding zero turns -0.0 into 0.0.
    return None if np.isnan(value) else round(float(value), AMOUNT_DECIMALS) + 0.0


def _is_empty(cube: CubeRows) -> bool:
    return not isinstance(cube, LoadCube) and len(cube) == 0
