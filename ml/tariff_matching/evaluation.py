"""How good the advice is: what customers who follow it really pay, against staying and against simpler advice.

The key figure is the share of the attainable saving that was captured, over all decisions of the back-test: what was
saved against staying, over what somebody who had known the future would have saved. Beside it stands the share of
customers whom the advice made worse off, how much regret was left, and whether the promised intervals of the saving and
of the bill covered what happened.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml.columns import CUSTOMER_KEY, names
from ml.evaluation import (
    BaselineComparison,
    ChampionComparison,
    Criterion,
    EvaluationTable,
    FloatArray,
    Metric,
    Statistic,
    bootstrap,
    weighted_mean,
)
from ml.splits import hash_shares, month_start
from ml.tariff_matching.backtest import HISTORY_GROUPS, POLICIES, BackTest, Fitted, Learning, Origin, pays
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import carried_forward, class_codes, prepare_features, window
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.point_forecast import ERROR_LIMIT
from ml.tariff_matching.schema import ANNUAL_ENERGY, CLASS_ONLY, FEATURES, READINGS
from ml.tariffs.calendar import month_starts
from ml.tariffs.load_cube import LoadCube

KEY_METRIC = "captured_saving_share"
SLICE_ROWS_MIN_COUNT = 30
REGRET_QUANTILES = (0.5, 0.9, 0.99)

POLICY_NAMES = {
    "model": ("This model", "本模型"),
    "stay": ("Stay on today's tariff", "维持现行电价"),
    "cheapest_last_year": ("Cheapest on last year's bill", "按去年账单最低"),
    "class_mean_profile": ("Cheapest on the class's mean profile", "按类别平均曲线最低"),
}

LOAD_BASIS_NAMES = {
    READINGS: ("Own interval readings", "自有区间读数"),
    ANNUAL_ENERGY: ("Monthly energy only", "仅月电量"),
    CLASS_ONLY: ("Class only", "仅类别"),
}

_LOAD_PREFIX = "load_"
_CUBE_LISTS = ("kwh", "peak_kw", "interval_count", "expected_interval_count")


def captured_share(saved: FloatArray, attainable: FloatArray) -> Statistic:
    """Return the statistic "saving over attainable saving"."""

    def statistic(weights: FloatArray) -> float:
        total = float((attainable * weights).sum())
        return float((saved * weights).sum()) / total if total > 0 else float("nan")

    return statistic


def judged_metrics(
    fitted: Fitted, config: TariffMatchingConfig, seed: int, *, currency: str
) -> tuple[Metric, list[Metric], list[BaselineComparison], list[Criterion]]:
    """Return the key figure, all figures, the comparison with the baselines, and the criteria of the back-test.

    Args:
        fitted: What was advised, foretold and paid.
        config: Settings.
        seed: Seed of the bootstrap.
        currency: ISO 4217 code of the bills, the unit of amounts.
    """
    back_test = fitted.back_test
    customers = back_test.rows[CUSTOMER_KEY].to_numpy()
    rows_count = len(customers)
    attainable = back_test.attainable()
    tolerance = config.harm_tolerance_share * np.abs(back_test.paid("stay"))
    statistics: dict[str, Statistic] = {"attainable_saving_amount": weighted_mean(attainable)}
    for policy in POLICIES:
        saved = back_test.saved(policy)
        statistics[f"{KEY_METRIC}/{policy}"] = captured_share(saved, attainable)
        statistics[f"harmed_share/{policy}"] = weighted_mean(saved < -tolerance)
        statistics[f"mean_saving_amount/{policy}"] = weighted_mean(saved)
        statistics[f"mean_regret_amount/{policy}"] = weighted_mean(attainable - saved)
        statistics[f"switched_share/{policy}"] = weighted_mean(back_test.is_switch[policy])
    for policy in POLICIES[1:]:
        for name, sign in ((KEY_METRIC, 1.0), ("harmed_share", -1.0)):
            statistics[f"{name} over {policy}"] = _difference(
                statistics[f"{name}/model"], statistics[f"{name}/{policy}"], sign
            )
    figures = bootstrap(statistics, customers, replicates=config.bootstrap_runs_count, seed=seed)

    def metric(name: str, source: str, **more: object) -> Metric:
        value, lower, upper = figures[source]
        return Metric.model_validate(
            {"name": name, "value": value, "lower": lower, "upper": upper, "rows": rows_count, **more}
        )

    key_metric = metric(KEY_METRIC, f"{KEY_METRIC}/model")
    metrics = [
        key_metric,
        metric("harmed_share", "harmed_share/model", higher_is_better=False),
        *_coverage_metrics(fitted, config, seed),
        metric("mean_saving_amount", "mean_saving_amount/model", unit=currency),
        metric("attainable_saving_amount", "attainable_saving_amount", higher_is_better=None, unit=currency),
        metric("mean_regret_amount", "mean_regret_amount/model", higher_is_better=False, unit=currency),
        metric("switched_share", "switched_share/model", higher_is_better=None),
    ]
    for policy in POLICIES:
        sliced = {"slice_column": "policy", "slice_value": POLICY_NAMES[policy][0]}
        metrics += [
            metric(KEY_METRIC, f"{KEY_METRIC}/{policy}", **sliced),
            metric("harmed_share", f"harmed_share/{policy}", higher_is_better=False, **sliced),
            metric("mean_saving_amount", f"mean_saving_amount/{policy}", unit=currency, **sliced),
            metric(
                "mean_regret_amount", f"mean_regret_amount/{policy}", higher_is_better=False, unit=currency, **sliced
            ),
            metric("switched_share", f"switched_share/{policy}", higher_is_better=None, **sliced),
        ]
    for column in ("customer_class", "district", "history", "decision_month"):
        metrics += _sliced(back_test, attainable, column, config, seed)
    metrics += _forecast_metrics(fitted, config, seed)
    metrics += _masked_metrics(fitted, config, seed)
    comparisons = [
        BaselineComparison(
            name=policy,
            description=POLICY_NAMES[policy][0],
            description_zh=POLICY_NAMES[policy][1],
            metric=metric(KEY_METRIC, f"{KEY_METRIC}/{policy}"),
            difference=metric(KEY_METRIC, f"{KEY_METRIC} over {policy}"),
        )
        for policy in POLICIES[1:]
    ]
    harm = metric("harmed_share", "harmed_share over cheapest_last_year")
    return key_metric, metrics, comparisons, _criteria(metrics, comparisons, harm, config)


def is_covered(interval: pd.DataFrame) -> FloatArray:
    """Return, per row of lower, upper and happened, whether the interval held what happened.

    Half a money unit for rounding: a saving that is always the same has an interval without width.
    """
    inside = (interval["happened"] >= interval["lower"] - 0.005) & (interval["happened"] <= interval["upper"] + 0.005)
    return np.asarray(inside, dtype=np.float64)


def tables(fitted: Fitted, config: TariffMatchingConfig) -> tuple[EvaluationTable, ...]:
    """Return the tables of the model card: what was paid, where, and how near the forecasts were."""
    back_test = fitted.back_test
    attainable = back_test.attainable()
    rows = []
    for policy in POLICIES:
        saved = back_test.saved(policy)
        regret = attainable - saved
        harmed = _harmed(back_test, policy, config)
        rows.append(
            (
                POLICY_NAMES[policy][0],
                POLICY_NAMES[policy][1],
                float(saved.sum() / attainable.sum()) if attainable.sum() > 0 else None,
                float(saved.mean()),
                float(back_test.is_switch[policy].mean()),
                float(harmed.mean()),
                float(-saved[harmed].mean()) if harmed.any() else 0.0,
                float(-saved[harmed].min()) if harmed.any() else 0.0,
                float(regret.mean()),
                *(float(np.quantile(regret, share)) for share in REGRET_QUANTILES),
                float(regret.max()),
            )
        )
    return (
        EvaluationTable(
            name="back_test",
            title="Back-test: what customers would have paid",
            title_zh="回测：按建议执行后的实际电费",
            columns=(
                "advice",
                "建议方式",
                "captured share of the attainable saving",
                "mean saving",
                "changed",
                "made worse off",
                "mean loss of those",
                "largest loss",
                "mean regret",
                *(f"regret, {share:.0%} of the customers" for share in REGRET_QUANTILES),
                "largest regret",
            ),
            rows=tuple(rows),
            note="Amounts per customer and decision over the months after it. Regret: attainable less captured saving.",
        ),
        _where_table(back_test, config),
        _masked_table(fitted, config),
        EvaluationTable(
            name="load_forecast",
            title="Next year's load: which forecast is nearest",
            title_zh="下一年负荷：各预测方法比较",
            columns=("forecast", "mean error by month and block of hours", "used"),
            rows=tuple(
                (
                    name.replace("_", " "),
                    float(np.minimum(errors, ERROR_LIMIT).mean()),
                    "yes" if name == fitted.point_name else "",
                )
                for name, errors in fitted.point_errors.items()
            ),
            note="Sum of absolute errors over the energy used, mean over customers; customers and months that the "
            "trees had not seen, all of them later than the months learned from.",
        ),
    )


def _where_table(back_test: BackTest, config: TariffMatchingConfig) -> EvaluationTable:
    """Return what the advice and the cheapest of last year did, by class, history and decision."""
    attainable = back_test.attainable()
    rows: list[tuple[str | float | None, ...]] = []
    for column, heading in (("customer_class", "class"), ("history", "history"), ("decision_month", "decision")):
        if column not in back_test.rows.columns:
            continue
        values = back_test.rows[column]
        known = HISTORY_GROUPS if column == "history" else sorted(values.dropna().unique())
        for value in known:
            chosen = (values == value).to_numpy()
            if not chosen.any():
                continue
            total = attainable[chosen].sum()
            rows.append(
                (
                    heading,
                    str(value),
                    int(chosen.sum()),
                    *(
                        figure
                        for policy in ("model", "cheapest_last_year")
                        for figure in (
                            float(back_test.saved(policy)[chosen].sum() / total) if total > 0 else None,
                            float(_harmed(back_test, policy, config)[chosen].mean()),
                        )
                    ),
                    float((attainable - back_test.saved("model"))[chosen].mean()),
                )
            )
    return EvaluationTable(
        name="back_test_by_group",
        title="Back-test by class, amount of history and decision",
        title_zh="按类别、历史长度与决策月的回测",
        columns=(
            "by",
            "group",
            "customers",
            "captured",
            "made worse off",
            "captured by the cheapest of last year",
            "made worse off by it",
            "mean regret",
        ),
        rows=tuple(rows),
        note="History: months read before the decision.",
    )


def _harmed(back_test: BackTest, policy: str, config: TariffMatchingConfig) -> np.ndarray:
    harmed: np.ndarray = back_test.saved(policy) < -config.harm_tolerance_share * np.abs(back_test.paid("stay"))
    return harmed


def holdout_frame(learning: Learning, cube: LoadCube, origin: Origin, config: TariffMatchingConfig) -> pd.DataFrame:
    """Return customers of the back-test with facts and loads, one row each, for comparisons with a champion.

    The loads are the integers of the load cube, flattened; months, slots and the decision are columns.
    """
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    order = np.argsort(hash_shares(keys, "tariff_matching holdout"), kind="stable")
    chosen = np.sort(order[: config.holdout_customers_max_count])
    part = cube.take(keys[chosen])
    frame = learning.features.iloc[chosen][[CUSTOMER_KEY, *names(FEATURES)]].reset_index(drop=True)
    frame["district"] = learning.districts[chosen]
    frame["slot_minutes"] = part.slot_minutes
    frame["first_month"] = part.months[0]
    frame["last_month"] = part.months[-1]
    frame["decision_month"] = origin.decision_month
    frame["history_months"] = origin.history_months
    frame["horizon_months"] = origin.horizon_months
    for name in _CUBE_LISTS:
        values = getattr(part, name)
        frame[f"{_LOAD_PREFIX}{name}"] = [row.ravel() for row in values]
    if part.kvarh is not None:
        frame[f"{_LOAD_PREFIX}kvarh"] = list(part.kvarh)
        frame[f"{_LOAD_PREFIX}has_kvarh"] = list(part.is_reactive_metered)
    return frame


def compare_with_champion(
    challenger: TariffMatchingModel,
    champion: TariffMatchingModel,
    holdout: pd.DataFrame,
    *,
    champion_version: str,
    seed: int = 7,
    interval_amounts: pd.DataFrame | None = None,
) -> ChampionComparison:
    """Compare two models by what the same customers would have paid by the advice of each.

    Both advise from the same catalogue, the challenger's, so that forecast and rule are compared and not price lists.

    Args:
        challenger: The new model.
        champion: The released model.
        holdout: The challenger's hold-out rows.
        champion_version: Bundle version of the champion.
        seed: Seed of the bootstrap.
        interval_amounts: Bills of tariffs that need interval prices.
    """
    learning, cube, origin = _from_holdout(holdout, challenger.config)
    saved = {}
    attainable = np.zeros(len(holdout))
    for name, model in (("challenger", challenger), ("champion", champion)):
        staying, paid, best = pays(
            learning, cube, challenger.tariffs, origin, model.forecast, model.config, interval_amounts
        )
        is_judged = np.isfinite(staying) & np.isfinite(paid) & np.isfinite(best)
        saved[name] = np.where(is_judged, staying - paid, 0.0)
        attainable = np.where(is_judged, staying - best, 0.0)
    statistics = {name: captured_share(saved[name], attainable) for name in saved}
    statistics["difference"] = _difference(statistics["challenger"], statistics["champion"], 1.0)
    figures = bootstrap(
        statistics, holdout[CUSTOMER_KEY].to_numpy(), replicates=challenger.config.bootstrap_runs_count, seed=seed
    )

    def metric(source: str) -> Metric:
        value, lower, upper = figures[source]
        return Metric(name=KEY_METRIC, value=value, lower=lower, upper=upper, rows=len(holdout))

    return ChampionComparison(
        champion_version=champion_version,
        challenger=metric("challenger"),
        champion=metric("champion"),
        difference=metric("difference"),
        rows=len(holdout),
    )


def _from_holdout(holdout: pd.DataFrame, config: TariffMatchingConfig) -> tuple[Learning, LoadCube, Origin]:
    first = holdout.iloc[0]
    months = month_starts(month_start(first["first_month"]), month_start(first["last_month"]))
    slots_count = 24 * 60 // int(first["slot_minutes"])
    shapes = {
        name: (len(holdout), len(months), 3, slots_count) if name in ("kwh", "peak_kw") else (len(holdout), len(months))
        for name in _CUBE_LISTS
    }
    arrays = {
        name: np.stack([np.asarray(row, dtype=np.int64) for row in holdout[f"{_LOAD_PREFIX}{name}"]]).reshape(
            shapes[name]
        )
        for name in _CUBE_LISTS
    }
    kvarh, has_kvarh = None, None
    if f"{_LOAD_PREFIX}kvarh" in holdout.columns:
        kvarh = np.stack([np.asarray(row, dtype=np.int64) for row in holdout[f"{_LOAD_PREFIX}kvarh"]])
        has_kvarh = np.stack([np.asarray(row, dtype=bool) for row in holdout[f"{_LOAD_PREFIX}has_kvarh"]])
    cube = LoadCube(
        customer_keys=holdout[CUSTOMER_KEY].to_numpy(dtype=object),
        months=tuple(months),
        slot_minutes=int(first["slot_minutes"]),
        kwh=arrays["kwh"],
        peak_kw=arrays["peak_kw"],
        present=arrays["interval_count"] > 0,
        interval_count=arrays["interval_count"],
        expected_interval_count=arrays["expected_interval_count"],
        kvarh=kvarh,
        has_kvarh=has_kvarh,
    )
    origin = Origin(month_start(first["decision_month"]), int(first["history_months"]), int(first["horizon_months"]))
    features = prepare_features(holdout)
    history = window(cube, origin.decision_month, origin.history_months, config)
    future = window(cube, origin.last_month, origin.horizon_months, config)
    carried = carried_forward(history, origin.horizon_months)
    return Learning(features, class_codes(features), history, carried, future, {}), cube, origin


def _criteria(
    metrics: list[Metric], comparisons: Sequence[BaselineComparison], harm: Metric, config: TariffMatchingConfig
) -> list[Criterion]:
    return [
        _captures_more(comparisons),
        _harms_fewer(metrics, harm, config),
        *(
            _coverage_criterion(metrics, name, what, config)
            for name, what in (("interval_coverage", "saving"), ("bill_interval_coverage", "bill"))
        ),
    ]


def _captures_more(comparisons: Sequence[BaselineComparison]) -> Criterion:
    differences = {one.name: one.difference for one in comparisons}
    is_judged = all(one.value is not None for one in differences.values())
    smallest = min(comparisons, key=lambda one: one.difference.value if one.difference.value is not None else np.inf)
    passed = all((one.value or 0.0) > 0 for one in differences.values()) if is_judged else None
    doubt = ""
    if passed and (smallest.difference.lower or 0.0) <= 0:
        doubt = " The interval of the paired difference includes zero: better, but not beyond doubt."
    return Criterion(
        name="captures_more_than_every_baseline",
        passed=passed,
        observed=f"{smallest.description}: {_difference_text(smallest.difference)}",
        required="more than each of the three baselines",
        reason=f"The advice captures {'more' if passed else 'no more'} of the attainable saving than the nearest "
        f"baseline ({smallest.description}): {_difference_text(smallest.difference)}.{doubt}"
        if is_judged
        else "The captured share of a baseline is missing.",
        aspect="baselines",
    )


def _harms_fewer(metrics: list[Metric], harm: Metric, config: TariffMatchingConfig) -> Criterion:
    harmed = {m.slice_value: m.value for m in metrics if m.name == "harmed_share" and m.slice_column == "policy"}
    ours, theirs = harmed[POLICY_NAMES["model"][0]], harmed[POLICY_NAMES["cheapest_last_year"][0]]
    is_judged = ours is not None and theirs is not None
    return Criterion(
        name="harms_fewer_than_cheapest_last_year",
        passed=(ours < theirs or ours == theirs == 0) if ours is not None and theirs is not None else None,
        observed=f"{ours:.2%} against {theirs:.2%}" if is_judged else "missing",
        required="a smaller share of customers made worse off, or none in both",
        reason=f"The advice makes {ours:.2%} of the customers worse off by more than "
        f"{config.harm_tolerance_share:.1%} of their bill, the cheapest of last year {theirs:.2%} "
        f"(difference {_interval_text(harm)})."
        if is_judged
        else "The share of customers made worse off is missing.",
        aspect="fairness",
    )


def _coverage_criterion(metrics: list[Metric], name: str, what: str, config: TariffMatchingConfig) -> Criterion:
    coverage = next(m for m in metrics if m.name == name and m.slice_column is None)
    low = config.interval_level - config.coverage_tolerance
    high = config.interval_level + config.coverage_tolerance
    is_judged = coverage.value is not None and coverage.lower is not None and coverage.upper is not None
    covers = is_judged and (coverage.upper or 0.0) >= low and (coverage.lower or 0.0) <= high
    return Criterion(
        name=name,
        passed=bool(covers) if is_judged else None,
        observed=_interval_text(coverage),
        required=f"{config.interval_level:.0%} within {config.coverage_tolerance:.0%}, interval considered",
        reason=f"The {config.interval_level:.0%} intervals of the {what} held {_interval_text(coverage)} of what "
        "happened.",
        aspect="calibration",
    )


def _difference_text(metric: Metric) -> str:
    if metric.value is None or metric.lower is None or metric.upper is None:
        return "missing"
    return f"{100 * metric.value:+.2f} points ({100 * metric.lower:+.2f} to {100 * metric.upper:+.2f})"


def _interval_text(metric: Metric) -> str:
    if metric.value is None or metric.lower is None or metric.upper is None:
        return "missing"
    return f"{metric.value + 0.0:.1%} ({metric.lower + 0.0:.1%} to {metric.upper + 0.0:.1%})"


def _coverage_metrics(fitted: Fitted, config: TariffMatchingConfig, seed: int) -> list[Metric]:
    """Return the coverage of saving and bill at the main decision, overall and by class."""
    foretold = fitted.main.foretold
    saving, bill = is_covered(foretold.saving), is_covered(foretold.bill)
    note = (
        f"{fitted.main.origin.horizon_months} months after {fitted.main.origin.decision_month:%Y-%m}; widths and "
        "scenarios come from other customers"
    )
    metrics = _with_intervals(
        {
            "interval_coverage": weighted_mean(saving),
            "bill_interval_coverage": weighted_mean(bill),
            "interval_coverage_of_advice": _mean_where(saving, foretold.is_switch),
        },
        foretold.rows,
        config,
        seed,
        note=note,
    )
    for one in sorted((fitted.main, *fitted.others), key=lambda judged: judged.origin.decision_month):
        metrics += _with_intervals(
            {
                "interval_coverage": weighted_mean(is_covered(one.foretold.saving)),
                "bill_interval_coverage": weighted_mean(is_covered(one.foretold.bill)),
            },
            one.foretold.rows,
            config,
            seed,
            slice_column="decision_month",
            slice_value=f"{one.origin.decision_month:%Y-%m}",
            note=f"{one.origin.history_months} months of history, {one.origin.horizon_months} months ahead",
        )
    for column in ("customer_class", "district"):
        if column not in foretold.rows.columns:
            continue
        for value, rows in foretold.rows.groupby(column, sort=True):
            at = rows.index.to_numpy()
            if len(at) >= SLICE_ROWS_MIN_COUNT:
                metrics += _with_intervals(
                    {"interval_coverage": weighted_mean(saving[at]), "bill_interval_coverage": weighted_mean(bill[at])},
                    rows,
                    config,
                    seed,
                    slice_column=column,
                    slice_value=str(value),
                )
    return metrics


def _masked_metrics(fitted: Fitted, config: TariffMatchingConfig, seed: int) -> list[Metric]:
    """Return the figures of customers of whom it was pretended that no intervals were read."""
    metrics = []
    for basis, judged in fitted.masked.items():
        foretold, back_test = judged.foretold, judged.back_test
        if len(foretold.rows) < SLICE_ROWS_MIN_COUNT:
            continue
        metrics += _with_intervals(
            {
                "interval_coverage": weighted_mean(is_covered(foretold.saving)),
                "bill_interval_coverage": weighted_mean(is_covered(foretold.bill)),
                KEY_METRIC: captured_share(back_test.saved("model"), back_test.attainable()),
                "harmed_share": weighted_mean(_harmed(back_test, "model", config)),
            },
            foretold.rows,
            config,
            seed,
            slice_column="load_basis",
            slice_value=LOAD_BASIS_NAMES[basis][0],
            note="customers who were read, advised as if they had not been; profiles and widths come from others",
        )
    return metrics


def _masked_table(fitted: Fitted, config: TariffMatchingConfig) -> EvaluationTable:
    """Return how good estimates from similar customers are, beside advice from readings."""
    rows = []
    main = fitted.main
    masked_keys = {key for judged in fitted.masked.values() for key in judged.foretold.rows[CUSTOMER_KEY]}
    chosen = main.foretold.rows[CUSTOMER_KEY].isin(masked_keys).to_numpy()
    for basis, judged in ((READINGS, main), *fitted.masked.items()):
        kept = chosen if basis == READINGS else np.ones(len(judged.foretold.rows), bool)
        if not kept.any():
            continue
        back_test = judged.back_test.part(kept)
        saving, bill = judged.foretold.saving[kept], judged.foretold.bill[kept]
        attainable = back_test.attainable().sum()
        rows.append(
            (
                *LOAD_BASIS_NAMES[basis],
                int(kept.sum()),
                float(is_covered(saving).mean()),
                float(is_covered(bill).mean()),
                *(
                    float(((interval["upper"] - interval["lower"]) / np.maximum(bill["happened"].abs(), 1.0)).median())
                    for interval in (saving, bill)
                ),
                float(back_test.saved("model").sum() / attainable) if attainable > 0 else None,
                float(_harmed(back_test, "model", config).mean()),
            )
        )
    return EvaluationTable(
        name="load_basis",
        title="Customers without interval readings, judged by pretending",
        title_zh="无区间读数客户的检验（以有读数客户模拟）",
        columns=(
            "known of the customer",
            "已知信息",
            "customers",
            "saving inside its interval",
            "bill inside its interval",
            "median width of the saving's interval, share of the bill",
            "median width of the bill's interval, share of the bill",
            "captured share",
            "made worse off",
        ),
        rows=tuple(rows),
        note=f"The same customers three times, at most {config.masked_customers_max_count:,} of each class; intervals "
        f"promise {config.interval_level:.0%}.",
    )


def _with_intervals(
    statistics: dict[str, Statistic], rows: pd.DataFrame, config: TariffMatchingConfig, seed: int, **more: str
) -> list[Metric]:
    """Return figures without a direction, with bootstrap intervals over customers."""
    figures = bootstrap(statistics, rows[CUSTOMER_KEY].to_numpy(), replicates=config.bootstrap_runs_count, seed=seed)
    return [
        Metric.model_validate(
            {
                "name": name,
                "value": value,
                "lower": lower,
                "upper": upper,
                "higher_is_better": None,
                "rows": len(rows),
                **more,
            }
        )
        for name, (value, lower, upper) in figures.items()
    ]


def _sliced(
    back_test: BackTest, attainable: FloatArray, column: str, config: TariffMatchingConfig, seed: int
) -> list[Metric]:
    if column not in back_test.rows.columns:
        return []
    saved = back_test.saved("model")
    harmed = _harmed(back_test, "model", config)
    metrics = []
    for value, rows in back_test.rows.groupby(column, sort=True):
        positions = rows.index.to_numpy()
        if len(positions) < SLICE_ROWS_MIN_COUNT:
            continue
        statistics = {
            KEY_METRIC: captured_share(saved[positions], attainable[positions]),
            "harmed_share": weighted_mean(harmed[positions]),
        }
        sliced = _with_intervals(statistics, rows, config, seed, slice_column=column, slice_value=str(value))
        metrics += [one.model_copy(update={"higher_is_better": one.name == KEY_METRIC}) for one in sliced]
    return metrics


def _forecast_metrics(fitted: Fitted, config: TariffMatchingConfig, seed: int) -> list[Metric]:
    """Return the error of every point forecast on held-out time, and the improvement of the one that is used."""
    rows = fitted.learning.features
    metrics = []
    for name, errors in fitted.point_errors.items():
        found = _with_intervals(
            {"load_error": weighted_mean(np.minimum(errors, ERROR_LIMIT))},
            rows,
            config,
            seed,
            slice_column="forecast",
            slice_value=name.replace("_", " "),
            note="absolute errors by month and block of hours over the energy used; later months, customers not seen",
        )
        metrics += [one.model_copy(update={"higher_is_better": False}) for one in found]
    return metrics


def _difference(first: Statistic, second: Statistic, sign: float) -> Statistic:
    return lambda weights: sign * (first(weights) - second(weights))


def _mean_where(values: FloatArray, chosen: np.ndarray) -> Statistic:
    def statistic(weights: FloatArray) -> float:
        total = float((weights * chosen).sum())
        return float((values * weights * chosen).sum()) / total if total > 0 else float("nan")

    return statistic
