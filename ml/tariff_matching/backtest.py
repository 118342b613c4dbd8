"""The back-test: advise with what was known at a past month, then pay the bills that followed.

The forecast behind each customer's advice was learned from other customers (cross-fitting): with two years of loads
there is one pair of years, so no earlier pair to learn from. What all customers had in common that year is taken out
of it (see ``forecast``), so knowing it is no advantage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.columns import CUSTOMER_CLASSES, CUSTOMER_KEY
from ml.splits import add_months, hash_shares, month_start
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.decision import Decisions, Outlook, Savings, decide, look_ahead, savings_of
from ml.tariff_matching.features import (
    BoolArray,
    FloatArray,
    carried_forward,
    carried_prices,
    class_codes,
    interval_amount_arrays,
    window,
)
from ml.tariff_matching.forecast import (
    LoadForecast,
    annual_log_ratio,
    fit_forecast,
    part_of,
    trainable,
)
from ml.tariff_matching.offers import Situation, build_situation, price_window
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff

POLICIES = ("model", "stay", "cheapest_last_year", "class_mean_profile")
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

    def fit(self, config: TariffMatchingConfig, *, uses_growth: bool = True) -> LoadForecast:
        """Fit a forecast on these customers."""
        return fit_forecast(
            self.history,
            self.carried,
            self.future,
            self.classes,
            config,
            uses_growth=uses_growth,
            mean_prices=self.mean_prices,
        )


@dataclass(frozen=True)
class BackTest:
    """What was advised and what was paid, one row per judged customer.

    Attributes:
        rows: customer_key, customer_class, district.
        actual: Bill after the decision by column, (customers, columns).
        is_offered: Which columns were open.
        current: Column of the tariff that the customer had.
        choices: Column chosen by each policy.
        best: Column that the model expected to be cheapest.
        foretold: Savings as they were foretold, calibrated on other customers.
        growth_errors: Absolute log errors of the year's energy with and without the growth model.
    """

    rows: pd.DataFrame
    actual: FloatArray
    is_offered: BoolArray
    current: npt.NDArray[np.intp]
    choices: dict[str, npt.NDArray[np.intp]]
    best: npt.NDArray[np.intp]
    foretold: Savings
    growth_errors: dict[str, FloatArray]

    def paid(self, policy: str) -> FloatArray:
        """Return what customers paid after following a policy."""
        return self.actual[np.arange(len(self.rows)), self.choices[policy]]

    def saved(self, policy: str) -> FloatArray:
        """Return what customers saved against staying."""
        return self.paid("stay") - self.paid(policy)

    def attainable(self) -> FloatArray:
        """Return what a customer who had known the future would have saved."""
        open_bills = np.where(self.is_offered, self.actual, np.inf)
        return self.paid("stay") - open_bills.min(axis=1)

    def alternatives(self) -> npt.NDArray[np.intp]:
        """Return, per customer, the alternative to today's offer with the largest foretold saving."""
        expected = np.where(np.isfinite(self.foretold.expected), self.foretold.expected, -np.inf)
        expected[np.arange(len(self.rows)), self.current] = -np.inf
        return expected.argmax(axis=1)


@dataclass(frozen=True)
class Fitted:
    """The released forecast and its back-test.

    Attributes:
        forecast: Learned from all customers, calibrated.
        back_test: From cross-fitted forecasts.
        learning: The customers behind both.
    """

    forecast: LoadForecast
    back_test: BackTest
    learning: Learning


def choose_origin(months: Sequence[date], config: TariffMatchingConfig) -> Origin | None:
    """Return the past decision that leaves as many months before and after it as asked, or ``None``.

    With less than history and horizon together, both shrink to half of what there is.
    """
    total = len(months)
    if total >= config.history_months + config.horizon_months:
        history, horizon = config.history_months, config.horizon_months
    else:
        horizon = min(total // 2, config.horizon_months)
        history = min(total - horizon, config.history_months)
    if min(history, horizon) < config.backtest_months_min_count:
        return None
    return Origin(add_months(month_start(months[-1]), -horizon), history, horizon)


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
) -> Fitted:
    """Fit the released forecast, and judge advice by forecasts that have not seen the advised customer."""
    situation = build_situation(
        learning.features,
        cube,
        tariffs,
        origin.decision_month,
        config,
        interval_amounts,
        history_months=origin.history_months,
        horizon_months=origin.horizon_months,
    )
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    folds = (hash_shares(keys, "tariff_matching folds") * config.folds_count).astype(int)
    growth_errors, helps = _growth_errors(learning, folds, config)
    outlook = _cross_fitted_outlook(situation, learning, folds, config, uses_growth=helps)
    future_amounts = interval_amount_arrays(interval_amounts, keys, learning.future.months)
    actual = price_window(situation, learning.future, future_amounts).amounts
    spread_by_fold = {
        fold: calibrated_spread(outlook, actual, situation, config, folds != fold) for fold in range(config.folds_count)
    }
    spread = np.array([spread_by_fold[fold][code] for fold, code in zip(folds, situation.classes, strict=True)])
    foretold = savings_of(outlook, spread, config)
    decisions = decide(situation, outlook, foretold, config)
    everybody = np.ones(len(learning.features), bool)
    forecast = learning.fit(config, uses_growth=helps).with_spread(
        calibrated_spread(outlook, actual, situation, config, everybody)
    )
    kept = np.argsort(hash_shares(keys, "tariff_matching donors"), kind="stable")[: config.donors_max_count]
    back_test = _judged(learning, situation, actual, outlook, foretold, decisions, growth_errors)
    return Fitted(part_of(forecast, np.sort(kept)), back_test, learning)


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
    situation = build_situation(
        learning.features,
        cube,
        tariffs,
        origin.decision_month,
        config,
        interval_amounts,
        history_months=origin.history_months,
        horizon_months=origin.horizon_months,
    )
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    actual = price_window(
        situation, learning.future, interval_amount_arrays(interval_amounts, keys, learning.future.months)
    ).amounts
    outlook = look_ahead(situation, forecast, config)
    savings = savings_of(outlook, forecast.spread[situation.classes], config)
    chosen = decide(situation, outlook, savings, config).recommended
    rows = np.arange(len(situation))
    best = np.where(situation.is_offered & np.isfinite(actual), actual, np.inf).min(axis=1)
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
    scenarios = outlook.savings.astype(np.float64)
    rows = np.arange(len(situation))
    expected = np.where(np.isfinite(scenarios).all(axis=2), scenarios.mean(axis=2), -np.inf)
    has_current = situation.current >= 0
    expected[rows[has_current], situation.current[has_current]] = -np.inf
    alternative = expected.argmax(axis=1)
    happened = actual[rows, np.maximum(situation.current, 0)] - actual[rows, alternative]
    usable = chosen & has_current & np.isfinite(expected[rows, alternative]) & np.isfinite(happened)
    tail = (1 - config.interval_level) / 2
    own = scenarios[rows, alternative]
    lower, middle, upper = np.quantile(own[usable], [tail, 0.5, 1 - tail], axis=1) if usable.any() else np.empty((3, 0))
    error = happened[usable] - middle
    half_width = np.where(error >= 0, upper - middle, middle - lower)
    # Half a money unit: a saving that is always the same needs no interval.
    needed = np.abs(error) / np.maximum(half_width, 0.005)
    classes = situation.classes[usable]
    spread = np.ones(len(CUSTOMER_CLASSES))
    for code in range(len(CUSTOMER_CLASSES)):
        members = needed[classes == code] if (classes == code).sum() >= SPREAD_CUSTOMERS_MIN_COUNT else needed
        if len(members):
            spread[code] = np.quantile(members, config.interval_level)
    bounded: FloatArray = np.clip(spread, SPREAD_MIN, SPREAD_MAX)
    return np.round(bounded, 4)


def _growth_errors(
    learning: Learning, folds: npt.NDArray[np.intp], config: TariffMatchingConfig
) -> tuple[dict[str, FloatArray], bool]:
    """Return the errors of the year's energy with and without the growth model, and whether it helps."""
    happened = annual_log_ratio(learning.carried, learning.future, learning.classes)
    foretold = np.zeros(len(happened))
    for fold in np.unique(folds):
        forecast = learning.part(folds != fold).fit(config)
        own = learning.part(folds == fold)
        foretold[folds == fold] = np.log(forecast.growth(own.history, own.classes) / 1_000)
    errors = {"growth_model": np.abs(happened - foretold), "same_as_last_year": np.abs(happened)}
    return errors, bool(errors["growth_model"].mean() < errors["same_as_last_year"].mean())


def _cross_fitted_outlook(
    situation: Situation,
    learning: Learning,
    folds: npt.NDArray[np.intp],
    config: TariffMatchingConfig,
    *,
    uses_growth: bool,
) -> Outlook:
    """Return the outlook of every customer by a forecast from the other folds."""
    smallest_pool = min(int((folds != fold).sum()) for fold in np.unique(folds))
    # One number of scenarios for all folds, so that they fit into one array.
    fold_config = config.model_copy(update={"neighbours_count": min(config.neighbours_count, smallest_pool)})
    expected = np.full(situation.is_offered.shape, np.nan)
    savings = np.full((*expected.shape, 2 * fold_config.neighbours_count), np.nan, np.float32)
    for fold in np.unique(folds):
        forecast = learning.part(folds != fold).fit(config, uses_growth=uses_growth)
        rows = np.flatnonzero(folds == fold)
        outlook = look_ahead(_part_of_situation(situation, rows), forecast, fold_config)
        expected[rows], savings[rows] = outlook.expected, outlook.savings
    return Outlook(expected, savings)


def _part_of_situation(situation: Situation, rows: npt.NDArray[np.intp]) -> Situation:
    return replace(
        situation,
        features=situation.features.iloc[rows].reset_index(drop=True),
        classes=situation.classes[rows],
        customers=situation.customers.aligned_to(situation.customers.customer_keys[rows]),
        history=situation.history.take(rows),
        carried=situation.carried.take(rows),
        contracted_kw=situation.contracted_kw[rows],
        is_offered=situation.is_offered[rows],
        current=situation.current[rows],
        interval_amounts={name: amounts[rows] for name, amounts in situation.interval_amounts.items()},
    )


def _judged(
    learning: Learning,
    situation: Situation,
    actual: FloatArray,
    outlook: Outlook,
    foretold: Savings,
    decisions: Decisions,
    growth_errors: dict[str, FloatArray],
) -> BackTest:
    """Keep the customers who had a known tariff and something else to choose."""
    past = price_window(situation, situation.history, situation.interval_amounts).amounts
    mean_profile = price_window(situation, _class_mean_loads(situation), situation.interval_amounts).amounts
    is_priced = situation.is_offered & np.isfinite(actual) & np.isfinite(past) & np.isfinite(outlook.expected)
    rows = np.arange(len(situation))
    judged = (situation.current >= 0) & (is_priced.sum(axis=1) >= 2)
    judged &= is_priced[rows, np.maximum(situation.current, 0)]
    current = situation.current
    choices = {
        "model": decisions.recommended,
        "stay": current,
        "cheapest_last_year": _cheapest(past, is_priced, current),
        "class_mean_profile": _cheapest(mean_profile, is_priced, current),
    }
    context = [name for name in (CUSTOMER_KEY, "customer_class", "district") if name in learning.features.columns]
    return BackTest(
        rows=learning.features.loc[judged, context].reset_index(drop=True),
        actual=actual[judged],
        is_offered=is_priced[judged],
        current=current[judged],
        choices={name: chosen[judged] for name, chosen in choices.items()},
        best=decisions.best[judged],
        foretold=Savings(
            expected=foretold.expected[judged],
            lower=foretold.lower[judged],
            upper=foretold.upper[judged],
            probability=foretold.probability[judged],
        ),
        growth_errors=growth_errors,
    )


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
