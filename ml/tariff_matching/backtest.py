"""The back-test: advise with what was known at past months, then pay the bills that followed.

Decisions are made at several months (rolling time origin). The forecast behind each customer's advice was learned from
other customers (cross-fitting): with two years of loads there is one pair of years, so no earlier pair to learn from.
What all customers had in common that year is taken out of it (see ``forecast``), and the trees of the point forecast
have not seen the half of the year that they foretell, so knowing the year is no advantage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_CLASSES, CUSTOMER_KEY
from ml.splits import add_months, hash_shares, month_start
from ml.tariff_matching.blocks import class_month_levels
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
    BoolArray,
    FloatArray,
    IntArray,
    carried_forward,
    carried_prices,
    class_codes,
    districts_of,
    interval_amount_arrays,
    is_among,
    joined,
    window,
)
from ml.tariff_matching.forecast import LoadForecast, fit_forecast, part_of, trainable
from ml.tariff_matching.offers import Situation, WindowBills, build_situation, price_window
from ml.tariff_matching.point_forecast import (
    XGBOOST,
    CrossFitted,
    PointForecast,
    cross_fit,
    fit_point_forecast,
)
from ml.tariff_matching.schema import ANNUAL_ENERGY, CLASS_ONLY, READINGS
from ml.tariff_matching.similar_customers import KnownOfCustomers
from ml.tariff_matching.weather import DistrictWeather
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff

POLICIES = ("model", "stay", "cheapest_last_year", "class_mean_profile")
HISTORY_GROUPS = ("up to 8 months", "9 to 11 months", "12 months")
SPREAD_MIN, SPREAD_MAX = 0.5, 3.0
SPREAD_CUSTOMERS_MIN_COUNT = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """The past decision that the back-test makes.

    Attributes:
        decision_month: The last month that is known.
        history_months: Months before the decision, it included.
        horizon_months: Months after it.
    """

    decision_month: date
    history_months: int
    horizon_months: int

    @property
    def last_month(self) -> date:
        """The last month whose bills are paid."""
        return add_months(self.decision_month, self.horizon_months)


@dataclass(frozen=True)
class Learning:
    """Loads before and after the origin, of customers who were read well enough in both.

    Attributes:
        features: Prepared rows.
        classes: Class codes.
        history: Before.
        carried: Before, carried forward.
        future: After.
        mean_prices: For tariffs that need interval prices: mean price per 1e-4 kWh carried forward, and the real one,
            (customers, months) each.
    """

    features: pd.DataFrame
    classes: npt.NDArray[np.intp]
    history: LoadCube
    carried: LoadCube
    future: LoadCube
    mean_prices: Mapping[str, tuple[FloatArray, FloatArray]]

    def part(self, chosen: BoolArray) -> "Learning":
        """Return some of the customers."""
        return Learning(
            self.features[chosen].reset_index(drop=True),
            self.classes[chosen],
            self.history.take(chosen),
            self.carried.take(chosen),
            self.future.take(chosen),
            {name: (carried[chosen], real[chosen]) for name, (carried, real) in self.mean_prices.items()},
        )

    @property
    def districts(self) -> npt.NDArray[np.object_]:
        """District of every customer, ``None`` where it is not known."""
        return districts_of(self.features)

    def cross_fit(self, config: TariffMatchingConfig, weather: DistrictWeather) -> CrossFitted:
        """Foretell the months of these customers by trees that saw neither them nor their half of the horizon."""
        return cross_fit(self.history, self.carried, self.future, self.classes, self.districts, config, weather)

    def fit(
        self, config: TariffMatchingConfig, *, factors: IntArray | None = None, point: PointForecast | None = None
    ) -> LoadForecast:
        """Fit a forecast on these customers; see ``fit_forecast``."""
        return fit_forecast(
            self.history,
            self.carried,
            self.future,
            self.classes,
            config,
            point=point,
            factors=factors,
            mean_prices=self.mean_prices,
        )


@dataclass(frozen=True)
class BackTest:
    """What was advised and what was paid, one row per judged customer and decision.

    Attributes:
        rows: customer_key, customer_class, district, decision_month, history.
        paid_amounts: Bill after the decision by policy.
        best_amounts: Bill of somebody who had known the future.
        is_switch: Whether each policy changed the offer.
    """

    rows: pd.DataFrame
    paid_amounts: dict[str, FloatArray]
    best_amounts: FloatArray
    is_switch: dict[str, BoolArray]

    def paid(self, policy: str) -> FloatArray:
        """Return what customers paid after following a policy."""
        return self.paid_amounts[policy]

    def saved(self, policy: str) -> FloatArray:
        """Return what customers saved against staying."""
        return self.paid("stay") - self.paid(policy)

    def attainable(self) -> FloatArray:
        """Return what a customer who had known the future would have saved."""
        return self.paid("stay") - self.best_amounts

    def part(self, chosen: BoolArray) -> "BackTest":
        """Return some of the rows."""
        return BackTest(
            self.rows[chosen].reset_index(drop=True),
            {policy: amounts[chosen] for policy, amounts in self.paid_amounts.items()},
            self.best_amounts[chosen],
            {policy: switched[chosen] for policy, switched in self.is_switch.items()},
        )


@dataclass(frozen=True)
class Foretold:
    """What was foretold at one decision and what came, one row per judged customer; calibrated on other customers.

    Attributes:
        rows: customer_key, customer_class, district.
        saving: Foretold saving of the alternative with the largest one: expected, lower, upper, happened.
        bill: Foretold bill on today's offer: expected, lower, upper, happened.
        is_switch: Whether the advice was to change.
    """

    rows: pd.DataFrame
    saving: pd.DataFrame
    bill: pd.DataFrame
    is_switch: BoolArray


@dataclass(frozen=True)
class Judged:
    """One decision of the back-test.

    Attributes:
        origin: The decision.
        back_test: What was advised and paid.
        foretold: Savings and bills with their intervals.
    """

    origin: Origin
    back_test: BackTest
    foretold: Foretold


@dataclass(frozen=True)
class Fitted:
    """The released forecast and its back-test.

    Attributes:
        forecast: Learned from all customers, calibrated.
        main: The decision with the longest history and horizon, by which intervals are calibrated and judged.
        others: Further decisions.
        masked: The main decision for customers of whom it was pretended that no intervals were read, by what was then
            known: ``annual_energy`` or ``class_only``.
        point_errors: Errors of the point forecasts by customer, on held-out time.
        point_name: The point forecast that is used.
        learning: The customers behind the main decision.
    """

    forecast: LoadForecast
    main: Judged
    others: tuple[Judged, ...]
    masked: dict[str, Judged]
    point_errors: dict[str, FloatArray]
    point_name: str
    learning: Learning

    @property
    def back_test(self) -> BackTest:
        """All decisions together, in the order of time."""
        judged = sorted((self.main, *self.others), key=lambda one: one.origin.decision_month)
        tests = [one.back_test for one in judged]
        return BackTest(
            pd.concat([test.rows for test in tests], ignore_index=True),
            {policy: np.concatenate([test.paid_amounts[policy] for test in tests]) for policy in POLICIES},
            np.concatenate([test.best_amounts for test in tests]),
            {policy: np.concatenate([test.is_switch[policy] for test in tests]) for policy in POLICIES},
        )


def longest_origin(months: Sequence[date], config: TariffMatchingConfig) -> Origin:
    """Return the past decision that leaves as many months before and after it as asked.

    With less than history and horizon together, both shrink to half of what there is.
    """
    total = len(months)
    if total >= config.history_months + config.horizon_months:
        history, horizon = config.history_months, config.horizon_months
    else:
        horizon = min(total // 2, config.horizon_months)
        history = min(total - horizon, config.history_months)
    return Origin(add_months(month_start(months[-1]), -horizon), history, horizon)


def choose_origin(months: Sequence[date], config: TariffMatchingConfig) -> Origin | None:
    """Return the longest past decision, or ``None`` where it leaves too few months before or after it."""
    origin = longest_origin(months, config)
    is_long_enough = min(origin.history_months, origin.horizon_months) >= config.backtest_months_min_count
    return origin if is_long_enough else None


def other_origins(months: Sequence[date], main: Origin, config: TariffMatchingConfig) -> list[Origin]:
    """Return further decisions, earlier ones with less history and later ones with a shorter horizon.

    Each leaves as many months before and after it as a back-test needs at least.
    """
    first, last = month_start(months[0]), month_start(months[-1])
    origins = []
    for direction in (-1, 1):
        decision = add_months(main.decision_month, direction * config.origin_step_months)
        while True:
            known = _months_between(first, decision) + 1
            ahead = _months_between(decision, last)
            if min(known, ahead) < config.backtest_months_min_count:
                break
            origins.append(Origin(decision, min(known, config.history_months), min(ahead, config.horizon_months)))
            decision = add_months(decision, direction * config.origin_step_months)
    return sorted(origins, key=lambda origin: origin.decision_month)


def learning_customers(
    features: pd.DataFrame,
    cube: LoadCube,
    origin: Origin,
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None = None,
) -> Learning:
    """Return the customers of known class whose loads before and after the origin can be learned from."""
    has_load = features[CUSTOMER_KEY].isin(set(cube.customer_keys))
    known = features[has_load & features["customer_class"].notna()].reset_index(drop=True)
    loads = cube.take(known[CUSTOMER_KEY].to_numpy(dtype=object))
    history = window(loads, origin.decision_month, origin.history_months, config)
    future = window(loads, origin.last_month, origin.horizon_months, config)
    carried = carried_forward(history, origin.horizon_months)
    keys = known[CUSTOMER_KEY].to_numpy(dtype=object)
    before = interval_amount_arrays(interval_amounts, keys, history.months)
    after = interval_amount_arrays(interval_amounts, keys, future.months)
    mean_prices = {
        name: (
            carried_prices(history, amounts, future.months),
            np.nan_to_num(after[name]) / np.maximum(future.month_kwh(), 1),
        )
        for name, amounts in before.items()
    }
    everybody = Learning(known, class_codes(known), history, carried, future, mean_prices)
    return everybody.part(trainable(history, future, config))


def fit_and_judge(
    learning: Learning,
    cube: LoadCube,
    tariffs: Sequence[Tariff],
    origin: Origin,
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None,
    weather: DistrictWeather,
    further: Sequence[tuple[Origin, Learning]] = (),
) -> Fitted:
    """Fit the released forecast, and judge advice by forecasts that have not seen the advised customer.

    Args:
        learning: Customers of the main decision.
        cube: Their loads.
        tariffs: The catalogue.
        origin: The main decision.
        config: Settings.
        interval_amounts: Bills of tariffs that need interval prices.
        weather: Temperatures of the districts.
        further: Other decisions with their customers.
    """
    fitted = learning.cross_fit(config, weather)
    factors = fitted.factors[fitted.best]
    main = _decide_at(learning, cube, tariffs, origin, config, interval_amounts, factors)
    point = fit_point_forecast(
        fitted.best,
        learning.history,
        learning.carried,
        learning.future,
        learning.classes,
        learning.districts,
        config,
        weather,
    )
    masked = [_masked_at(learning, tariffs, origin, config, base) for base in (ANNUAL_ENERGY, CLASS_ONLY)]
    forecast = replace(
        learning.fit(config, factors=factors, point=point),
        spread=np.stack([one.spread for one in (main, *masked)]),
        bill_spread=np.stack([one.bill_spread for one in (main, *masked)]),
    )
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    kept = np.argsort(hash_shares(keys, "tariff_matching donors"), kind="stable")[: config.donors_max_count]
    quick = config.model_copy(
        update={
            "neighbours_count": min(config.origin_neighbours_count, config.neighbours_count),
            "folds_count": min(config.origin_folds_count, config.folds_count),
        }
    )
    others = []
    for one, customers in further:
        own_factors = _held_out_factors(fitted.best, customers, config, weather)
        decided = _decide_at(customers, cube, tariffs, one, quick, interval_amounts, own_factors)
        others.append(decided.judged)
    return Fitted(
        forecast=part_of(forecast, np.sort(kept)),
        main=main.judged,
        others=tuple(others),
        masked={base: one.judged for base, one in zip((ANNUAL_ENERGY, CLASS_ONLY), masked, strict=True)},
        point_errors=fitted.errors,
        point_name=fitted.best,
        learning=learning,
    )


def pays(
    learning: Learning,
    cube: LoadCube,
    tariffs: Sequence[Tariff],
    origin: Origin,
    forecast: LoadForecast,
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what customers would pay by staying, by following a given forecast, and at best."""
    situation = _situation_at(origin, learning.features, cube, tariffs, config, interval_amounts)
    bills = _bills_after(situation, learning, interval_amounts)
    outlook = look_ahead(situation, forecast, config)
    savings = savings_of(situation, outlook, forecast.spreads(READINGS, situation.classes)[0], config)
    chosen = decide(situation, outlook, savings, config).recommended
    rows = np.arange(len(situation))
    actual = bills.with_monthly(outlook.choice).amounts
    best_bills = bills.with_monthly(bills.cheapest_months(situation)).amounts
    best = np.where(situation.is_offered & np.isfinite(best_bills), best_bills, np.inf).min(axis=1)
    judged = situation.current >= 0
    staying = np.where(judged, actual[rows, np.maximum(situation.current, 0)], np.nan)
    return staying, np.where(judged, actual[rows, np.maximum(chosen, 0)], np.nan), best


def calibrated_spread(
    outlook: Outlook,
    actual: FloatArray,
    situation: Situation,
    config: TariffMatchingConfig,
    chosen: BoolArray,
) -> FloatArray:
    """Return, by class, the factor on the scenarios' spread with which intervals cover what they promise.

    For the best alternative of every customer, it is asked how wide the interval would have had to be; the quantile of
    that at the promised level is the factor. Classes with few customers use the factor of all.
    """
    rows = np.arange(len(situation))
    alternative = np.maximum(_best_alternative(outlook.expected_savings(situation), situation), 0)
    happened = actual[rows, np.maximum(situation.current, 0)] - actual[rows, alternative]
    scenarios = outlook.savings[rows, alternative].astype(np.float64)
    return _needed_spread(scenarios, happened, situation, config, chosen)


def calibrated_bill_spread(
    outlook: Outlook,
    actual: FloatArray,
    situation: Situation,
    config: TariffMatchingConfig,
    chosen: BoolArray,
) -> FloatArray:
    """Return the same factor for the bill on today's offer."""
    happened = actual[np.arange(len(situation)), np.maximum(situation.current, 0)]
    return _needed_spread(outlook.current_bills, happened, situation, config, chosen)


def _needed_spread(
    scenarios: FloatArray, happened: FloatArray, situation: Situation, config: TariffMatchingConfig, chosen: BoolArray
) -> FloatArray:
    """Return by class how wide scenarios, (customers, scenarios), had to be to hold what happened as promised."""
    usable = chosen & (situation.current >= 0) & np.isfinite(scenarios).all(axis=1) & np.isfinite(happened)
    spread = np.ones(len(CUSTOMER_CLASSES))
    if not usable.any():
        return spread
    tail = (1 - config.interval_level) / 2
    lower, middle, upper = np.quantile(scenarios[usable], [tail, 0.5, 1 - tail], axis=1)
    error = happened[usable] - middle
    half_width = np.where(error >= 0, upper - middle, middle - lower)
    # Half a money unit: a saving that is always the same needs no interval.
    needed = np.abs(error) / np.maximum(half_width, 0.005)
    classes = situation.classes[usable]
    for code in range(len(CUSTOMER_CLASSES)):
        members = needed[classes == code] if (classes == code).sum() >= SPREAD_CUSTOMERS_MIN_COUNT else needed
        spread[code] = np.quantile(members, config.interval_level)
    bounded: FloatArray = np.clip(spread, SPREAD_MIN, SPREAD_MAX)
    return np.round(bounded, 4)


def _best_alternative(expected_savings: FloatArray, situation: Situation) -> npt.NDArray[np.intp]:
    """Return the column other than today's with the largest expected saving, -1 where there is none."""
    expected = np.where(np.isfinite(expected_savings), expected_savings, -np.inf)
    has_current = np.flatnonzero(situation.current >= 0)
    expected[has_current, situation.current[has_current]] = -np.inf
    return np.where(np.isfinite(expected).any(axis=1), expected.argmax(axis=1), -1)


def _months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def _folds(learning: Learning, config: TariffMatchingConfig) -> npt.NDArray[np.intp]:
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    return (hash_shares(keys, "tariff_matching folds") * config.folds_count).astype(np.intp)


def _held_out_factors(
    name: str, learning: Learning, config: TariffMatchingConfig, weather: DistrictWeather
) -> IntArray:
    """Return a point forecast of customers by trees that have not seen them."""
    if name == XGBOOST:
        return learning.cross_fit(config, weather).factors[name]
    month_level = class_month_levels(learning.history, learning.classes)
    return PointForecast(name).factors(
        learning.history, learning.carried, learning.classes, learning.districts, month_level
    )


def _cross_fitted_outlook(
    situation: Situation,
    learning: Learning,
    folds: npt.NDArray[np.intp],
    config: TariffMatchingConfig,
    factors: IntArray,
) -> Outlook:
    """Return the outlook of every customer by a forecast from the other folds."""
    smallest_pool = min(int((folds != fold).sum()) for fold in np.unique(folds))
    # One number of scenarios for all folds, so that they fit into one array.
    fold_config = config.model_copy(update={"neighbours_count": min(config.neighbours_count, smallest_pool)})
    whole = _empty_outlook(situation, 2 * fold_config.neighbours_count)
    for fold in np.unique(folds):
        others = folds != fold
        forecast = learning.part(others).fit(config, factors=factors[others])
        rows = np.flatnonzero(folds == fold)
        _fill(whole, rows, look_ahead(situation.part(rows), forecast, fold_config, factors[rows]))
    return whole


def _empty_outlook(situation: Situation, scenarios_count: int) -> Outlook:
    count = len(situation)
    return Outlook(
        expected=np.full(situation.is_offered.shape, np.nan),
        savings=np.full((*situation.is_offered.shape, scenarios_count), np.nan, np.float32),
        current_bills=np.full((count, scenarios_count), np.nan),
        choice={number: np.full((count, 12), -1, np.intp) for number in situation.monthly_columns()},
    )


def _fill(whole: Outlook, rows: npt.NDArray[np.intp], part: Outlook) -> None:
    """Put the outlook of some customers into that of all."""
    whole.expected[rows], whole.savings[rows] = part.expected, part.savings
    whole.current_bills[rows] = part.current_bills
    for number, columns in part.choice.items():
        whole.choice[number][rows] = columns


def _situation_at(
    origin: Origin,
    features: pd.DataFrame,
    cube: LoadCube,
    tariffs: Sequence[Tariff],
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None = None,
) -> Situation:
    """Collect what was known at a past decision."""
    return build_situation(
        features,
        cube,
        tariffs,
        origin.decision_month,
        config,
        interval_amounts,
        history_months=origin.history_months,
        horizon_months=origin.horizon_months,
    )


def _bills_after(situation: Situation, learning: Learning, interval_amounts: pd.DataFrame | None) -> WindowBills:
    """Return the bills of the months that followed a decision."""
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    given = interval_amount_arrays(interval_amounts, keys, learning.future.months)
    return price_window(situation, learning.future, given)


@dataclass(frozen=True)
class _Decided:
    judged: Judged
    spread: FloatArray
    bill_spread: FloatArray


def _decide_at(
    learning: Learning,
    cube: LoadCube,
    tariffs: Sequence[Tariff],
    origin: Origin,
    config: TariffMatchingConfig,
    interval_amounts: pd.DataFrame | None,
    factors: IntArray,
) -> _Decided:
    """Advise at one month and pay the bills that followed."""
    situation = _situation_at(origin, learning.features, cube, tariffs, config, interval_amounts)
    folds = _folds(learning, config)
    outlook = _cross_fitted_outlook(situation, learning, folds, config, factors)
    happened = _bills_after(situation, learning, interval_amounts)
    return _concluded(situation, outlook, happened, folds, origin, config)


def _masked_at(
    learning: Learning, tariffs: Sequence[Tariff], origin: Origin, config: TariffMatchingConfig, base: str
) -> _Decided:
    """Advise a sample as if their intervals had never been read, by profiles of others, and pay the bills."""
    sample = learning.part(_masked_sample(learning, config))
    keys = sample.features[CUSTOMER_KEY].to_numpy(dtype=object)
    known = KnownOfCustomers.from_months(sample.history)
    known = known if base == ANNUAL_ENERGY else known.forgotten()
    halves = (hash_shares(keys, "tariff_matching masked halves") * 2).astype(np.intp)
    quick = config.model_copy(update={"neighbours_count": config.origin_neighbours_count})
    is_in = {
        half: is_among(learning.features[CUSTOMER_KEY].to_numpy(dtype=object), keys[halves == half]) for half in (0, 1)
    }
    forecasts = {half: learning.part(~is_in[half]).fit(quick) for half in (0, 1)}
    loads = [
        forecasts[half].similar.estimated_load(
            list(keys[halves == half]),
            sample.classes[halves == half],
            known.take(np.flatnonzero(halves == half)),
            origin.decision_month,
            origin.history_months,
        )
        for half in (0, 1)
    ]
    situation = _situation_at(origin, sample.features, joined(loads).take(keys), tariffs, quick)
    # One number of scenarios for both halves, so that they fit into one array.
    neighbours_count = min(quick.neighbours_count, *(len(one.donor_classes) for one in forecasts.values()))
    quick = quick.model_copy(update={"neighbours_count": neighbours_count})
    outlook = _empty_outlook(situation, 2 * neighbours_count)
    for half, forecast in forecasts.items():
        rows = np.flatnonzero(halves == half)
        if len(rows):
            _fill(outlook, rows, look_ahead(situation.part(rows), forecast, quick, known=known.take(rows)))
    return _concluded(situation, outlook, price_window(situation, sample.future, {}), halves, origin, quick)


def _masked_sample(learning: Learning, config: TariffMatchingConfig) -> BoolArray:
    """Return at most so many customers of each class."""
    order = hash_shares(learning.features[CUSTOMER_KEY].to_numpy(dtype=object), "tariff_matching masked")
    chosen = np.zeros(len(order), bool)
    for code in np.unique(learning.classes):
        members = np.flatnonzero(learning.classes == code)
        chosen[members[np.argsort(order[members], kind="stable")][: config.masked_customers_max_count]] = True
    return chosen


def _concluded(
    situation: Situation,
    outlook: Outlook,
    happened: WindowBills,
    groups: npt.NDArray[np.intp],
    origin: Origin,
    config: TariffMatchingConfig,
) -> _Decided:
    """Calibrate every group of customers on the others, decide, and judge."""
    actual = happened.with_monthly(outlook.choice).amounts
    spread, bill_spread = np.ones(len(situation)), np.ones(len(situation))
    for group in np.unique(groups):
        own, others = groups == group, groups != group
        spread[own] = calibrated_spread(outlook, actual, situation, config, others)[situation.classes[own]]
        bill_spread[own] = calibrated_bill_spread(outlook, actual, situation, config, others)[situation.classes[own]]
    savings = savings_of(situation, outlook, spread, config)
    bills = bill_interval(outlook, bill_spread, config)
    decisions = decide(situation, outlook, savings, config)
    everybody = np.ones(len(situation), bool)
    return _Decided(
        _judged(situation, origin, happened, outlook, savings, bills, decisions),
        calibrated_spread(outlook, actual, situation, config, everybody),
        calibrated_bill_spread(outlook, actual, situation, config, everybody),
    )


def _judged(
    situation: Situation,
    origin: Origin,
    happened: WindowBills,
    outlook: Outlook,
    savings: Savings,
    bills: BillInterval,
    decisions: Decisions,
) -> Judged:
    """Keep the customers who had a known tariff and something else to choose."""
    past = price_window(situation, situation.history, situation.interval_amounts)
    mean_profile = price_window(situation, _class_mean_loads(situation), situation.interval_amounts)
    last_year = past.cheapest_months(situation)
    by_profile = mean_profile.cheapest_months(situation)
    hindsight = happened.cheapest_months(situation)
    past_amounts = past.with_monthly(last_year).amounts
    profile_amounts = mean_profile.with_monthly(by_profile).amounts
    actual = happened.with_monthly(outlook.choice).amounts
    is_priced = situation.is_offered & np.isfinite(actual) & np.isfinite(past_amounts) & np.isfinite(outlook.expected)
    rows = np.arange(len(situation))
    current = situation.current
    kept = (current >= 0) & (is_priced.sum(axis=1) >= 2)
    kept &= is_priced[rows, np.maximum(current, 0)]
    chosen = {
        "model": (decisions.recommended, outlook.choice),
        "stay": (current, outlook.choice),
        "cheapest_last_year": (_cheapest(past_amounts, is_priced, current), last_year),
        "class_mean_profile": (_cheapest(profile_amounts, is_priced, current), by_profile),
    }
    paid = {
        policy: happened.with_monthly(choice).amounts[rows, np.maximum(columns, 0)][kept]
        for policy, (columns, choice) in chosen.items()
    }
    best = np.where(is_priced, happened.with_monthly(hindsight).amounts, np.inf).min(axis=1)[kept]
    context = [name for name in (CUSTOMER_KEY, "customer_class", "district") if name in situation.features.columns]
    shown = situation.features.loc[kept, context].reset_index(drop=True)
    months_read = situation.history.present.sum(axis=1)[kept]
    back_test = BackTest(
        rows=shown.assign(decision_month=f"{origin.decision_month:%Y-%m}", history=_history_groups(months_read)),
        paid_amounts=paid,
        best_amounts=np.minimum(best, np.min(list(paid.values()), axis=0)),
        is_switch={policy: (columns != current)[kept] for policy, (columns, _) in chosen.items()},
    )
    alternative = np.maximum(_best_alternative(np.where(is_priced, savings.expected, np.nan), situation), 0)
    stayed = actual[rows, np.maximum(current, 0)]
    saving = pd.DataFrame(
        {
            "expected": savings.expected[rows, alternative],
            "lower": savings.lower[rows, alternative],
            "upper": savings.upper[rows, alternative],
            "happened": stayed - actual[rows, alternative],
        }
    )
    bill = pd.DataFrame(
        {"expected": bills.expected, "lower": bills.lower, "upper": bills.upper, "happened": stayed},
    )
    return Judged(
        origin,
        back_test,
        Foretold(
            shown, saving[kept].reset_index(drop=True), bill[kept].reset_index(drop=True), decisions.is_switch[kept]
        ),
    )


def _history_groups(months_read: npt.NDArray[np.intp]) -> list[str]:
    """Return the group of every customer by months read before the decision."""
    return [HISTORY_GROUPS[int(np.searchsorted((9, 12), count, side="right"))] for count in months_read]


def _cheapest(amounts: FloatArray, is_priced: BoolArray, current: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the column with the lowest bill; today's wins a tie."""
    bills = np.where(is_priced & np.isfinite(amounts), amounts, np.inf)
    rows = np.flatnonzero(current >= 0)
    bills[rows, current[rows]] -= 0.005
    return bills.argmin(axis=1)


def _class_mean_loads(situation: Situation) -> LoadCube:
    """Return every customer's year if it had the mean shape and the mean load factor of its class."""
    history = situation.history
    kwh = np.zeros_like(history.kwh)
    peak_kw = np.zeros_like(history.peak_kw)
    total = history.kwh.sum(axis=(1, 2, 3)).astype(np.float64)
    for code in np.unique(situation.classes):
        members = np.flatnonzero((situation.classes == code) & (total > 0))
        if not len(members):
            continue
        own_total = total[members, None, None, None]
        shape = (history.kwh[members] / own_total).mean(axis=0)
        peak_shape = (history.peak_kw[members] / own_total).mean(axis=0)
        kwh[members] = np.rint(shape * own_total).astype(np.int64)
        peak_kw[members] = np.rint(peak_shape * own_total).astype(np.int64)
    return replace(history, kwh=kwh, peak_kw=peak_kw, _cache={})
