"""How good the advice is: what customers who follow it really pay, against staying and against simpler advice.

The key figure is the share of the attainable saving that was captured: what was saved against staying, over what
somebody who had known the future would have saved. Beside it stands the share of customers whom the advice made worse
off, and whether the promised intervals of the saving covered what happened.
"""

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
from ml.tariff_matching.backtest import POLICIES, BackTest, Learning, Origin, pays
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import carried_forward, class_codes, prepare_features, window
from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.schema import FEATURES
from ml.tariffs.calendar import month_starts
from ml.tariffs.load_cube import LoadCube

KEY_METRIC = "captured_saving_share"
SLICE_ROWS_MIN_COUNT = 30

POLICY_NAMES = {
    "model": ("This model", "本模型"),
    "stay": ("Stay on today's tariff", "维持现行电价"),
    "cheapest_last_year": ("Cheapest on last year's bill", "按去年账单最低"),
    "class_mean_profile": ("Cheapest on the class's mean profile", "按类别平均曲线最低"),
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
    back_test: BackTest, config: TariffMatchingConfig, seed: int, *, currency: str
) -> tuple[Metric, list[Metric], list[BaselineComparison], list[Criterion]]:
    """Return the key figure, all figures, the comparison with the baselines, and the criteria of the back-test.

    Args:
        back_test: What was advised and what was paid.
        config: Settings.
        seed: Seed of the bootstrap.
        currency: ISO 4217 code of the bills, the unit of amounts.
    """
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
        statistics[f"switched_share/{policy}"] = weighted_mean(back_test.choices[policy] != back_test.current)
    for policy in POLICIES[1:]:
        for name, sign in ((KEY_METRIC, 1.0), ("harmed_share", -1.0)):
            statistics[f"{name} over {policy}"] = _difference(
                statistics[f"{name}/model"], statistics[f"{name}/{policy}"], sign
            )
    covered = coverage_rows(back_test)
    statistics["interval_coverage"] = weighted_mean(covered)
    switched = back_test.choices["model"] != back_test.current
    statistics["interval_coverage_of_advice"] = _mean_where(covered, switched)
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
        metric("interval_coverage", "interval_coverage", higher_is_better=None),
        metric(
            "interval_coverage_of_advice",
            "interval_coverage_of_advice",
            higher_is_better=None,
            rows=int(switched.sum()),
            note="customers who were advised to change",
        ),
        metric("mean_saving_amount", "mean_saving_amount/model", unit=currency),
        metric("attainable_saving_amount", "attainable_saving_amount", higher_is_better=None, unit=currency),
        metric("switched_share", "switched_share/model", higher_is_better=None),
    ]
    for policy in POLICIES:
        sliced = {"slice_column": "policy", "slice_value": POLICY_NAMES[policy][0]}
        metrics += [
            metric(KEY_METRIC, f"{KEY_METRIC}/{policy}", **sliced),
            metric("harmed_share", f"harmed_share/{policy}", higher_is_better=False, **sliced),
            metric("mean_saving_amount", f"mean_saving_amount/{policy}", unit=currency, **sliced),
            metric("switched_share", f"switched_share/{policy}", higher_is_better=None, **sliced),
        ]
    for column in ("customer_class", "district"):
        metrics += _sliced(back_test, covered, attainable, column, config, seed)
    metrics += _growth_metrics(back_test)
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
    return key_metric, metrics, comparisons, _criteria(metrics, harm, config)


def coverage_rows(back_test: BackTest) -> FloatArray:
    """Return, per customer, whether the interval of the best alternative's saving held what happened."""
    rows = np.arange(len(back_test.rows))
    alternative = back_test.alternatives()
    happened = back_test.paid("stay") - back_test.actual[rows, alternative]
    foretold = back_test.foretold
    # Half a money unit for rounding: a saving that is always the same has an interval without width.
    lower = foretold.lower[rows, alternative] - 0.005
    upper = foretold.upper[rows, alternative] + 0.005
    return ((happened >= lower) & (happened <= upper)).astype(np.float64)


def tables(back_test: BackTest, config: TariffMatchingConfig) -> tuple[EvaluationTable, ...]:
    """Return the back-test's table for the model card."""
    rows = []
    attainable = back_test.attainable()
    for policy in POLICIES:
        saved = back_test.saved(policy)
        harmed = saved < -config.harm_tolerance_share * np.abs(back_test.paid("stay"))
        rows.append(
            (
                POLICY_NAMES[policy][0],
                POLICY_NAMES[policy][1],
                float(saved.sum() / attainable.sum()) if attainable.sum() > 0 else None,
                float(saved.mean()),
                float((back_test.choices[policy] != back_test.current).mean()),
                float(harmed.mean()),
                float(-saved[harmed].mean()) if harmed.any() else 0.0,
                float((attainable - saved).mean()),
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
                "mean regret",
            ),
            rows=tuple(rows),
            note="Amounts per customer over the months after the decision. Regret: attainable less captured saving.",
        ),
    )


def holdout_frame(learning: Learning, cube: LoadCube, origin: Origin, config: TariffMatchingConfig) -> pd.DataFrame:
    """Return customers of the back-test with facts and loads, one row each, for comparisons with a champion.

    The loads are the integers of the load cube, flattened; months, slots and the decision are columns.
    """
    keys = learning.features[CUSTOMER_KEY].to_numpy(dtype=object)
    order = np.argsort(hash_shares(keys, "tariff_matching holdout"), kind="stable")
    chosen = np.sort(order[: config.holdout_customers_max_count])
    part = cube.take(keys[chosen])
    frame = learning.features.iloc[chosen][[CUSTOMER_KEY, *names(FEATURES)]].reset_index(drop=True)
    frame["slot_minutes"] = part.slot_minutes
    frame["first_month"] = part.months[0]
    frame["last_month"] = part.months[-1]
    frame["decision_month"] = origin.decision_month
    frame["history_months"] = origin.history_months
    frame["horizon_months"] = origin.horizon_months
    for name in _CUBE_LISTS:
        values = getattr(part, name)
        frame[f"{_LOAD_PREFIX}{name}"] = [row.ravel() for row in values]
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
    cube = LoadCube(
        customer_keys=holdout[CUSTOMER_KEY].to_numpy(dtype=object),
        months=tuple(months),
        slot_minutes=int(first["slot_minutes"]),
        kwh=arrays["kwh"],
        peak_kw=arrays["peak_kw"],
        present=arrays["interval_count"] > 0,
        interval_count=arrays["interval_count"],
        expected_interval_count=arrays["expected_interval_count"],
    )
    origin = Origin(month_start(first["decision_month"]), int(first["history_months"]), int(first["horizon_months"]))
    features = prepare_features(holdout)
    history = window(cube, origin.decision_month, origin.history_months, config)
    future = window(cube, origin.last_month, origin.horizon_months, config)
    carried = carried_forward(history, origin.horizon_months)
    return Learning(features, class_codes(features), history, carried, future, {}), cube, origin


def _criteria(metrics: list[Metric], harm: Metric, config: TariffMatchingConfig) -> list[Criterion]:
    harmed = {m.slice_value: m.value for m in metrics if m.name == "harmed_share" and m.slice_column == "policy"}
    ours, theirs = harmed[POLICY_NAMES["model"][0]], harmed[POLICY_NAMES["cheapest_last_year"][0]]
    coverage = next(m for m in metrics if m.name == "interval_coverage" and m.slice_column is None)
    low = config.interval_level - config.coverage_tolerance
    high = config.interval_level + config.coverage_tolerance
    is_judged = coverage.value is not None and coverage.lower is not None and coverage.upper is not None
    covers = is_judged and (coverage.upper or 0.0) >= low and (coverage.lower or 0.0) <= high
    return [
        Criterion(
            name="harms_no_more_than_cheapest_last_year",
            passed=None if ours is None or theirs is None else ours <= theirs,
            observed="missing" if ours is None or theirs is None else f"{ours:.2%} against {theirs:.2%}",
            required="no larger share of customers made worse off",
            reason="The share of customers made worse off is missing."
            if ours is None or theirs is None
            else f"The advice makes {ours:.2%} of the customers worse off by more than "
            f"{config.harm_tolerance_share:.1%} of their bill, the cheapest of last year {theirs:.2%} "
            f"(difference {_interval_text(harm)}).",
            aspect="fairness",
        ),
        Criterion(
            name="interval_coverage",
            passed=bool(covers) if is_judged else None,
            observed=_interval_text(coverage),
            required=f"{config.interval_level:.0%} within {config.coverage_tolerance:.0%}, interval considered",
            reason=f"The {config.interval_level:.0%} intervals of the saving held {_interval_text(coverage)} of what "
            "happened.",
            aspect="calibration",
        ),
    ]


def _interval_text(metric: Metric) -> str:
    if metric.value is None or metric.lower is None or metric.upper is None:
        return "missing"
    return f"{metric.value:.1%} ({metric.lower:.1%} to {metric.upper:.1%})"


def _sliced(
    back_test: BackTest,
    covered: FloatArray,
    attainable: FloatArray,
    column: str,
    config: TariffMatchingConfig,
    seed: int,
) -> list[Metric]:
    if column not in back_test.rows.columns:
        return []
    saved = back_test.saved("model")
    tolerance = config.harm_tolerance_share * np.abs(back_test.paid("stay"))
    metrics = []
    for value, rows in back_test.rows.groupby(column, sort=True):
        positions = rows.index.to_numpy()
        if len(positions) < SLICE_ROWS_MIN_COUNT:
            continue
        statistics = {
            KEY_METRIC: captured_share(saved[positions], attainable[positions]),
            "harmed_share": weighted_mean(saved[positions] < -tolerance[positions]),
            "interval_coverage": weighted_mean(covered[positions]),
        }
        figures = bootstrap(
            statistics, rows[CUSTOMER_KEY].to_numpy(), replicates=config.bootstrap_runs_count, seed=seed
        )
        directions = {KEY_METRIC: True, "harmed_share": False, "interval_coverage": None}
        metrics += [
            Metric(
                name=name,
                value=figures[name][0],
                lower=figures[name][1],
                upper=figures[name][2],
                higher_is_better=direction,
                rows=len(positions),
                slice_column=column,
                slice_value=str(value),
            )
            for name, direction in directions.items()
        ]
    return metrics


def _growth_metrics(back_test: BackTest) -> list[Metric]:
    return [
        Metric(
            name="annual_energy_error",
            value=float(errors.mean()),
            higher_is_better=False,
            rows=len(errors),
            slice_column="forecast",
            slice_value=name.replace("_", " "),
            note="mean absolute log error of the year's energy against the class, customers not seen",
        )
        for name, errors in back_test.growth_errors.items()
    ]


def _difference(first: Statistic, second: Statistic, sign: float) -> Statistic:
    return lambda weights: sign * (first(weights) - second(weights))


def _mean_where(values: FloatArray, chosen: np.ndarray) -> Statistic:
    def statistic(weights: FloatArray) -> float:
        total = float((weights * chosen).sum())
        return float((values * weights * chosen).sum()) / total if total > 0 else float("nan")

    return statistic
