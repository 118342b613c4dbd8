"""How good a segmentation is: does the segment found earlier say what a customer's load looks like later?

Centres are found on an earlier window and customers are assigned by it; their shapes in a later window are then
compared with the centre of their segment. The key figure is the share of the later shapes' variance that the centres
explain, against groups that know only the class or only the level of use. It is measured on the 48 hours of working
and rest days (for customers with daily readings on their five numbers), so that it means the same from release to
release; what the segments foretell of seasons and levels is a figure of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from ml.columns import CUSTOMER_KEY
from ml.evaluation import (
    BaselineComparison,
    ChampionComparison,
    Criterion,
    EvaluationTable,
    Metric,
    Statistic,
    bootstrap,
    weighted_mean,
)
from ml.segmentation.clustering import Candidate, Solution, distances_to_centres
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import (
    DAILY_SPACE,
    GROUP_NAMES,
    HOUR_SPACE,
    SHAPE_NAMES,
    YEAR_SPACE,
    FloatArray,
    group_of,
    has_usable_shape,
    shape_matrix,
    space_of,
)
from ml.segmentation.model import Segment, SegmentationModel

KEY_METRIC = "explained_shape_variance"
SEASON_METRIC = "explained_season_variance"
EARLIER_PREFIX = "earlier_"
METHOD_NAMES = {"k_means": "k-means", "ward": "Ward hierarchy", "gaussian_mixture": "Gaussian mixture"}
SLICE_ROWS_MIN_COUNT = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """Customers with a usable shape in both windows, and the squared errors of every way to foretell the later one.

    Attributes:
        rows: The customers (customer_key, customer_class, district).
        errors: Squared error by method; ``mean`` is the mean shape of the group, against which variance is measured.
        season_errors: The same over seasonal blocks and levels, zero for customers without hours.
        earlier_segments: Row number of the centre by the earlier shape.
        later_segments: Row number of the centre by the later shape, same centres.
    """

    rows: pd.DataFrame
    errors: Mapping[str, FloatArray]
    season_errors: Mapping[str, FloatArray]
    earlier_segments: npt.NDArray[np.object_]
    later_segments: npt.NDArray[np.object_]


def holdout_frame(earlier: pd.DataFrame, later: pd.DataFrame, config: SegmentationConfig) -> pd.DataFrame:
    """Return the customers with a usable shape in both windows: later shape, earlier shape and group, class, level."""
    earlier = earlier[has_usable_shape(earlier, config)]
    later = later[has_usable_shape(later, config)]
    context = [name for name in ("district",) if name in later.columns]
    merged = later[[CUSTOMER_KEY, *context, "customer_class", *SHAPE_NAMES]].merge(
        earlier[[CUSTOMER_KEY, "mean_daily_kwh", *SHAPE_NAMES]]
        .rename(columns={name: EARLIER_PREFIX + name for name in ("mean_daily_kwh", *SHAPE_NAMES)})
        .assign(group=group_of(earlier, config)),
        on=CUSTOMER_KEY,
        validate="one_to_one",
    )
    return merged.sort_values(CUSTOMER_KEY, kind="stable").reset_index(drop=True)


def judge(holdout: pd.DataFrame, centres: Mapping[str, FloatArray], config: SegmentationConfig) -> Judged:
    """Foretell later shapes by the segment, and by the baselines, from earlier shapes only.

    Args:
        holdout: The result of ``holdout_frame``.
        centres: Centres by group, found without the later window. Groups without centres are left out.
        config: Settings.
    """
    rows = holdout[holdout["group"].isin(list(centres))].reset_index(drop=True)
    methods = ("segments", "mean", "class_only", "level_groups")
    errors = {name: np.zeros(len(rows)) for name in methods}
    season_errors = {name: np.zeros(len(rows)) for name in methods}
    segments = {name: np.empty(len(rows), dtype=object) for name in ("earlier", "later")}
    for group, group_centres in centres.items():
        members = np.flatnonzero(rows["group"] == group)
        if not len(members):
            continue
        space = space_of(group)
        own = rows.iloc[members]
        later = shape_matrix(own, config.shape_ceiling, space)
        before = own[[EARLIER_PREFIX + name for name in space.names]].set_axis(list(space.names), axis=1)
        earlier = shape_matrix(before, config.shape_ceiling, space)
        nearest = distances_to_centres(earlier, group_centres, space.weights).argmin(axis=1)
        nearest_later = distances_to_centres(later, group_centres, space.weights).argmin(axis=1)
        segments["earlier"][members] = [f"{group}:{number}" for number in nearest]
        segments["later"][members] = [f"{group}:{number}" for number in nearest_later]
        levels = own[f"{EARLIER_PREFIX}mean_daily_kwh"].rank(method="first")
        level_groups = pd.qcut(levels, len(group_centres), labels=False, duplicates="drop").to_numpy()
        foretold = {
            "segments": group_centres[nearest],
            "mean": _group_means(earlier, np.zeros(len(members))),
            "class_only": _group_means(earlier, own["customer_class"].to_numpy()),
            "level_groups": _group_means(earlier, level_groups),
        }
        scored, season = _scored_weights(group)
        for name, shapes in foretold.items():
            squared = np.nan_to_num((later - shapes) ** 2)
            errors[name][members] = (squared * scored).sum(axis=1)
            season_errors[name][members] = (squared * season).sum(axis=1)
    context = [name for name in (CUSTOMER_KEY, "district", "customer_class") if name in rows.columns]
    return Judged(
        rows=rows[context],
        errors=errors,
        season_errors=season_errors,
        earlier_segments=segments["earlier"],
        later_segments=segments["later"],
    )


def _scored_weights(group: str) -> tuple[FloatArray, FloatArray]:
    """Return what the numbers of a group's shape count in the key figure, and in the figure of the seasons."""
    if space_of(group) is DAILY_SPACE:
        return DAILY_SPACE.weights, np.zeros(len(DAILY_SPACE.names))
    hours_count = len(HOUR_SPACE.names)
    seasons = YEAR_SPACE.weights[hours_count:]
    return (
        np.concatenate([HOUR_SPACE.weights, np.zeros(len(seasons))]),
        np.concatenate([np.zeros(hours_count), seasons / seasons.sum()]),
    )


def explained_share(errors: FloatArray, total: FloatArray) -> Statistic:
    """Return the statistic "one minus squared error over total squared deviation"."""

    def statistic(weights: FloatArray) -> float:
        deviation = float((total * weights).sum())
        return 1.0 - float((errors * weights).sum()) / deviation if deviation > 0 else float("nan")

    return statistic


def judged_metrics(
    judged: Judged, config: SegmentationConfig, seed: int
) -> tuple[Metric, list[Metric], list[BaselineComparison]]:
    """Return the key figure, further figures of the later window, and the comparison with the baselines."""
    total = judged.errors["mean"]
    model = explained_share(judged.errors["segments"], total)
    baselines = {
        "class_only": ("Mean shape of the customer's class", "按用电类别的平均曲线"),
        "level_groups": (
            "Mean shape of customers with a similar level of use, as many groups",
            "按用电量分组的平均曲线",
        ),
    }
    statistics: dict[str, Statistic] = {
        KEY_METRIC: model,
        SEASON_METRIC: explained_share(judged.season_errors["segments"], judged.season_errors["mean"]),
        "same_segment_share": weighted_mean(judged.earlier_segments == judged.later_segments),
    }
    for name in baselines:
        statistics[name] = explained_share(judged.errors[name], total)
        statistics[f"over {name}"] = _difference(model, statistics[name])
    figures = bootstrap(
        statistics, judged.rows[CUSTOMER_KEY].to_numpy(), replicates=config.bootstrap_runs_count, seed=seed
    )
    rows_count = len(judged.rows)
    key_metric = _metric(KEY_METRIC, figures[KEY_METRIC], rows_count)
    metrics = [
        key_metric,
        _metric(SEASON_METRIC, figures[SEASON_METRIC], rows_count),
        _metric("same_segment_share", figures["same_segment_share"], rows_count),
    ]
    for column in ("customer_class", "district"):
        metrics += _sliced(judged, column, config, seed)
    comparisons = [
        BaselineComparison(
            name=name,
            description=description,
            description_zh=description_zh,
            metric=_metric(KEY_METRIC, figures[name], rows_count),
            difference=_metric(KEY_METRIC, figures[f"over {name}"], rows_count),
        )
        for name, (description, description_zh) in baselines.items()
    ]
    return key_metric, metrics, comparisons


def solution_metrics(solutions: Mapping[str, Solution]) -> list[Metric]:
    """Return the figures of the released division, by group."""
    metrics = []
    for group, solution in solutions.items():
        chosen, name = solution.chosen, GROUP_NAMES[group]
        stability = chosen.stability
        sliced = {"rows": solution.customers_count, "slice_column": "group", "slice_value": name}
        metrics += [
            Metric(
                name="stability_rand_index",
                value=stability.mean,
                lower=stability.lower,
                upper=stability.upper,
                note="adjusted Rand index of half-samples; the interval holds 95 % of them",
                **sliced,
            ),
            Metric(name="segments_count", value=chosen.segments_count, higher_is_better=None, **sliced),
            Metric(name="silhouette", value=chosen.silhouette, **sliced),
            Metric(name="davies_bouldin", value=chosen.davies_bouldin, higher_is_better=False, **sliced),
            Metric(name="calinski_harabasz", value=chosen.calinski_harabasz, **sliced),
            Metric(name="smallest_segment_share", value=chosen.smallest_share, **sliced),
            Metric(
                name="business_spread",
                value=chosen.business_spread,
                note="share of the variance of price per kWh and of contribution to the system's peak that lies "
                "between segments, corrected for their number",
                **sliced,
            ),
        ]
    return metrics


def criteria(
    solutions: Mapping[str, Solution], segments: Sequence[Segment], config: SegmentationConfig
) -> list[Criterion]:
    """Return what the division itself must fulfil: stable, no tiny segment, names that tell segments apart."""
    divided = {group: solution for group, solution in solutions.items() if solution.chosen.segments_count > 1}
    if not divided:
        missing = "No group of customers has a stable division into segments."
        return [
            Criterion(name=name, passed=None, reason=missing, aspect="stability")
            for name in ("stability", "segment_size", "unique_names")
        ]
    worst_group = min(divided, key=lambda group: divided[group].chosen.stability.mean)
    stability = divided[worst_group].chosen.stability
    is_stable = stability.mean >= config.minimum_stability
    smallest_group = min(divided, key=lambda group: divided[group].chosen.smallest_share)
    smallest = divided[smallest_group].chosen.smallest_share
    customers_count = divided[smallest_group].customers_count
    needed = config.smallest_segment(customers_count) / customers_count
    is_large = smallest >= needed
    names = [segment.name for segment in segments] + [segment.name_zh for segment in segments]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return [
        Criterion(
            name="stability",
            passed=is_stable,
            observed=f"{stability.mean:.2f} ({stability.lower:.2f} to {stability.upper:.2f}), "
            f"{GROUP_NAMES[worst_group]}",
            required=f"at least {config.minimum_stability:.2f} on average",
            reason=f"Half of the {GROUP_NAMES[worst_group]} customers give "
            f"{'nearly the same' if is_stable else 'another'} division: mean adjusted Rand index {stability.mean:.2f}.",
            aspect="stability",
        ),
        Criterion(
            name="segment_size",
            passed=is_large,
            observed=f"{smallest:.1%}, {GROUP_NAMES[smallest_group]}",
            required=f"at least {needed:.1%} of the group",
            reason=f"The smallest segment holds {smallest:.1%} of the {GROUP_NAMES[smallest_group]} customers.",
            aspect="stability",
        ),
        Criterion(
            name="unique_names",
            passed=not repeated,
            observed=", ".join(repeated) or "all differ",
            required="every name once",
            reason=f"Two segments share the name {repeated[0]}." if repeated else "Every segment has its own name.",
            aspect="other",
        ),
    ]


def tables(solutions: Mapping[str, Solution], segments: Sequence[Segment]) -> tuple[EvaluationTable, ...]:
    """Return the tables of the model card: the segments, and the evidence for every number of segments."""
    return (
        EvaluationTable(
            name="segments",
            title="Segments",
            title_zh="客群",
            columns=("id", "name", "中文名称", "customers", "share", "kWh a day (median)"),
            rows=tuple(
                (
                    segment.segment_id,
                    segment.name,
                    segment.name_zh,
                    segment.customers_count,
                    segment.share,
                    segment.profile.get("mean_daily_kwh"),
                )
                for segment in segments
            ),
        ),
        EvaluationTable(
            name="choice_of_k",
            title="Methods and numbers of segments that were tried",
            title_zh="方法与客群数量的比较",
            columns=(
                "group",
                "method",
                "segments",
                "silhouette",
                "davies_bouldin",
                "calinski_harabasz",
                "smallest share",
                "stability",
                "business spread",
                "score",
                "verdict",
            ),
            rows=tuple(
                (
                    GROUP_NAMES[group],
                    METHOD_NAMES[one.method],
                    one.segments_count,
                    one.silhouette,
                    _finite(one.davies_bouldin),
                    one.calinski_harabasz,
                    one.smallest_share,
                    one.stability.mean,
                    one.business_spread,
                    _finite(one.score),
                    _verdict(one, solution),
                )
                for group, solution in solutions.items()
                for one in solution.candidates
            ),
            note="Eligible are divisions that half of the customers reproduce and that have no tiny segment. Every "
            "criterion counts as a share of the best of them; half of the score is the mean of the three "
            "indices, half the business spread (variance of price per kWh and of contribution to the system's peak "
            "between segments). The best score wins, if it holds its stability with two standard errors to spare; a "
            "tie goes to the simpler method, then to more segments. As many segments as are served are kept, unless "
            "the best leads them clearly.",
        ),
    )


def _verdict(candidate: Candidate, solution: Solution) -> str:
    chosen = solution.chosen
    if (candidate.method, candidate.segments_count) == (chosen.method, chosen.segments_count):
        return "chosen"
    if candidate.refusal:
        return candidate.refusal
    if candidate.score <= chosen.score:
        return "scores less"
    if solution.keeps_served_count and candidate.segments_count != chosen.segments_count:
        return "leads by too little to give up the number that is served"
    return "does not hold in all half-samples"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def compare_with_champion(
    challenger: SegmentationModel,
    champion: SegmentationModel,
    holdout: pd.DataFrame,
    *,
    champion_version: str,
    seed: int = 7,
) -> ChampionComparison:
    """Compare two models by how well segments by the earlier window explain the later one, on the same customers.

    Args:
        challenger: The new model; its ``judged_centres`` are used, which have not seen the later window.
        champion: The released model.
        holdout: The challenger's hold-out rows.
        champion_version: Bundle version of the champion.
        seed: Seed of the bootstrap.
    """
    challenger_centres = {group: np.array(rows) for group, rows in challenger.judged_centres.items()}
    champion_centres = {group: champion.centres(group) for group in challenger_centres}
    shared = [group for group, centres in champion_centres.items() if len(centres)]
    rows = holdout[holdout["group"].isin(shared)]
    ours = judge(rows, {group: challenger_centres[group] for group in shared}, challenger.config)
    theirs = judge(rows, {group: champion_centres[group] for group in shared}, challenger.config)
    total = ours.errors["mean"]
    statistics = {
        "challenger": explained_share(ours.errors["segments"], total),
        "champion": explained_share(theirs.errors["segments"], total),
    }
    statistics["difference"] = _difference(statistics["challenger"], statistics["champion"])
    figures = bootstrap(
        statistics,
        ours.rows[CUSTOMER_KEY].to_numpy(),
        replicates=challenger.config.bootstrap_runs_count,
        seed=seed,
    )
    return ChampionComparison(
        champion_version=champion_version,
        challenger=_metric(KEY_METRIC, figures["challenger"], len(rows)),
        champion=_metric(KEY_METRIC, figures["champion"], len(rows)),
        difference=_metric(KEY_METRIC, figures["difference"], len(rows)),
        rows=len(rows),
    )


def agreement(first: Sequence[object], second: Sequence[object]) -> float:
    """Return the adjusted Rand index of two divisions of the same customers."""
    return float(adjusted_rand_score(list(first), list(second)))


def _difference(first: Statistic, second: Statistic) -> Callable[[FloatArray], float]:
    return lambda weights: first(weights) - second(weights)


def _group_means(shapes: FloatArray, labels: npt.NDArray[np.generic]) -> FloatArray:
    """Return for each customer the mean shape of those with the same label, 0 where none of them has a number."""
    codes, uniques = pd.factorize(labels)
    is_known = np.isfinite(shapes)
    means = [
        np.where(is_known[codes == code], shapes[codes == code], 0.0).sum(axis=0)
        / np.maximum(is_known[codes == code].sum(axis=0), 1)
        for code in range(len(uniques))
    ]
    return np.stack(means)[codes]


def _sliced(judged: Judged, column: str, config: SegmentationConfig, seed: int) -> list[Metric]:
    if column not in judged.rows.columns:
        return []
    metrics = []
    for value, rows in judged.rows.groupby(column, sort=True):
        positions = rows.index.to_numpy()
        if len(positions) < SLICE_ROWS_MIN_COUNT:
            continue
        statistic = explained_share(judged.errors["segments"][positions], judged.errors["mean"][positions])
        figures = bootstrap(
            {KEY_METRIC: statistic},
            rows[CUSTOMER_KEY].to_numpy(),
            replicates=config.bootstrap_runs_count,
            seed=seed,
        )
        metrics.append(
            _metric(KEY_METRIC, figures[KEY_METRIC], len(positions), slice_column=column, slice_value=str(value))
        )
    return metrics


def _metric(
    name: str,
    figures: tuple[float | None, float | None, float | None],
    rows_count: int,
    slice_column: str | None = None,
    slice_value: str | None = None,
) -> Metric:
    value, lower, upper = figures
    return Metric(
        name=name,
        value=value,
        lower=lower,
        upper=upper,
        rows=rows_count,
        slice_column=slice_column,
        slice_value=slice_value,
    )
