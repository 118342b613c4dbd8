"""Choosing load-shape segments: three methods, the number of segments, how stable and how useful a division is.

Everything works on shapes scaled by the square root of their weights, so that the Euclidean distance of the
clustering is the root-mean-square distance that a customer's prediction reports. Whatever method finds a division, it
ends in centres, and everybody belongs to the nearest one: a candidate is judged by that assignment, the release keeps
those centres, and the service assigns one customer in the same way.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    pairwise_distances,
    silhouette_score,
)
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # publishes no type information

from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import FloatArray

IntArray = npt.NDArray[np.intp]
CentresByCount = Mapping[int, FloatArray]

INTERVAL_QUANTILES = (0.025, 0.975)
COARSER_COUNTS = (2, 1)
"""Tried in turn when no number of segments in the range is eligible: a coarser division rather than an unstable one."""

MIXTURE_EXPLAINED_SHARE = 0.9
"""Share of the variance that the components keep on which the mixture is fitted: in all dimensions it has more
parameters than a group has customers."""

TRIMMING_ROUNDS = 3
"""How often small clusters are left out before the centres are found; each round may uncover the next."""

WINSORISED_QUANTILES = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class Stability:
    """Agreement of half-sample solutions with the full one.

    Attributes:
        mean: Mean adjusted Rand index; 1 is the same division, 0 what chance would give.
        lower: 2.5 % quantile over the half-samples.
        upper: 97.5 % quantile over the half-samples.
        standard_error: Of the mean, from the spread over the half-samples.
    """

    mean: float
    lower: float
    upper: float
    standard_error: float

    @property
    def assured(self) -> float:
        """Mean less two standard errors: what the mean is not below by the luck of the half-samples."""
        return self.mean - 2 * self.standard_error


CERTAIN = Stability(1.0, 1.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One method and number of segments with the evidence for and against it.

    Attributes:
        method: One of ``METHODS``.
        segments_count: Number of segments.
        silhouette: Mean silhouette, higher is better.
        davies_bouldin: Davies-Bouldin index, lower is better.
        calinski_harabasz: Calinski-Harabasz index, higher is better.
        smallest_share: Share of the customers in the smallest segment.
        stability: Agreement of half-sample solutions.
        business_spread: How far the segments differ in what they pay per kWh and draw at the system's peak, from 0 to
            1: see ``business_spread``. ``None`` where neither is known.
        refusal: Why it cannot be released; empty when it is eligible.
        score: What ``choose`` goes by among the eligible ones, from 0 to 1; NaN for the others.
    """

    method: str
    segments_count: int
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    smallest_share: float
    stability: Stability
    business_spread: float | None
    refusal: str
    score: float

    @property
    def is_eligible(self) -> bool:
        """Whether it is stable and has no segment that is too small."""
        return not self.refusal


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen division of one group.

    Attributes:
        centres: One row of shape numbers per segment, largest segment first.
        candidates: Evidence for every method and number of segments tried.
        chosen: The candidate that was chosen, with the stability of all runs.
        outliers_count: Shapes that were left out while the centres were found, because they are unusual.
        incomplete_count: Shapes that were left out, because they lack a number that most of the group have.
        customers_count: Shapes that the centres were found from.
        keeps_served_count: Whether there are as many segments as are served, and no other number leads clearly.
    """

    centres: FloatArray
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    outliers_count: int
    incomplete_count: int
    customers_count: int
    keeps_served_count: bool


def distances_to_centres(shapes: FloatArray, centres: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the root-mean-square distance of every shape to every centre, over the numbers that are present.

    The sum runs along one customer's own row, so the result of a row does not depend on which rows come with it.
    """
    is_missing = np.isnan(shapes)
    present = np.where(is_missing, 0.0, weights)
    totals = np.maximum(present.sum(axis=1), np.finfo(np.float64).tiny)
    filled = np.where(is_missing, 0.0, shapes)
    columns = [np.sqrt((present * (filled - centre) ** 2).sum(axis=1) / totals) for centre in centres]
    return np.stack(columns, axis=1)


def choose_segments(
    shapes: FloatArray,
    segments_counts: Sequence[int],
    config: SegmentationConfig,
    seed: int,
    *,
    weights: FloatArray,
    business: FloatArray | None = None,
    served_count: int | None = None,
) -> Solution:
    """Divide the shapes of one group by the method and into the number of segments that the evidence supports best.

    ``choose`` states the rule. If no candidate is eligible, fewer segments are tried, down to a single one for the
    whole group. Customers who lack a number that most of the group have (a season not seen) take no part in finding the
    centres; a number that most lack is left out for all: every centre has 0 there, which speaks for no segment.

    Args:
        shapes: Shapes, one row per customer.
        segments_counts: Numbers of segments to try; those that the customers cannot fill are skipped.
        config: Settings.
        seed: Seed of every random choice.
        weights: What each number of a shape counts.
        business: Facts about the same customers that segments should differ in, one per column; NaN is not known.
        served_count: Number of segments that the served release has in this group, if any.
    """
    rng = np.random.default_rng(seed)
    facts = np.full((len(shapes), 0), np.nan) if business is None else business
    # One thread: with more, the order in which k-means adds up its partial sums changes the last bits of a centre.
    with threadpool_limits(limits=1):
        known, is_complete = _common_numbers(shapes)
        points = known[is_complete] * np.sqrt(weights)
        is_core = _is_core(points, max(segments_counts), config, seed)
        core = points[is_core]
        rows = _sample(len(core), config.sampled_customers_max_count, rng)
        judge = _Judge(core[rows], facts[is_complete][is_core][rows], config, seed)
        distinct_count = len(np.unique(judge.points, axis=0))
        largest_count = min(distinct_count, len(rows) // config.smallest_segment(len(rows)))
        possible = [count for count in segments_counts if count <= largest_count] or [1]
        candidates = judge.candidates(possible)
        chosen: Candidate | None = None
        while chosen is None:
            chosen = choose(
                candidates,
                judge.confirmed,
                served_count=served_count,
                score_lead_to_change=config.score_lead_to_change,
            )
            if chosen is None:
                fewer = next(count for count in COARSER_COUNTS if count < min(one.segments_count for one in candidates))
                candidates = [*judge.candidates([fewer]), *candidates]
        centres = METHODS[chosen.method](core, [chosen.segments_count], config, seed)[chosen.segments_count]
        sizes = np.bincount(_nearest(core, centres), minlength=len(centres))
    # Equal sizes are ordered by their centres, so that the numbering never depends on the random starts.
    order = sorted(range(len(sizes)), key=lambda label: (-sizes[label], *centres[label]))
    same = (chosen.method, chosen.segments_count)
    scored = _scored(candidates)
    best_score = max(one.score for one in scored if one.is_eligible)
    return Solution(
        centres=centres[order] / np.sqrt(weights),
        candidates=tuple(chosen if (one.method, one.segments_count) == same else one for one in scored),
        chosen=chosen,
        outliers_count=int((~is_core).sum()),
        incomplete_count=int((~is_complete).sum()),
        customers_count=len(core),
        keeps_served_count=chosen.segments_count == served_count
        and best_score - chosen.score <= config.score_lead_to_change,
    )


def choose(
    candidates: Sequence[Candidate],
    confirmed: Callable[[Candidate], Candidate | None],
    *,
    served_count: int | None = None,
    score_lead_to_change: float = 0.0,
) -> Candidate | None:
    """Return the division to release, or ``None`` when there is none.

    The rule: eligible is what half-samples reproduce (adjusted Rand index) and what has no tiny segment. Every
    criterion counts as a share of what the best of the eligible reaches, so that a wide lead says more than a narrow
    one. Half of the score is statistical: the mean of silhouette, Davies-Bouldin and Calinski-Harabasz, which disagree
    often enough that none decides alone. The other half is ``business_spread``, because a division that tells apart
    neither price nor peak is of no use to the supplier. The best score wins; a tie goes to the simpler method, then to
    more segments. The winner must hold its stability in all runs, with two standard errors to spare, so that the next
    seed finds it too; otherwise the next best is asked. People work with the segments that are served: as many as
    those are asked first, unless the best score leads them by more than ``score_lead_to_change``.

    Args:
        candidates: What was tried.
        confirmed: Returns a candidate with the stability of all runs, or ``None`` when it does not hold.
        served_count: Number of segments that the served release has in this group, if any.
        score_lead_to_change: Lead in score that is worth another number of segments.
    """
    eligible = [one for one in _scored(candidates) if one.is_eligible]
    simplicity = list(METHODS)
    enough_score = max((one.score for one in eligible), default=0.0) - score_lead_to_change

    def preference(one: Candidate) -> tuple[bool, float, int, int]:
        is_kept = one.segments_count == served_count and one.score >= enough_score
        return not is_kept, -one.score, simplicity.index(one.method), -one.segments_count

    for candidate in sorted(eligible, key=preference):
        held = confirmed(candidate)
        if held is not None:
            return held
    return None


def business_spread(labels: IntArray, facts: FloatArray) -> float | None:
    """Return which part of the customers' variance in some facts lies between segments, the mean over the facts.

    The share is corrected for the number of segments (epsilon squared, Kelley 1935), so that more segments are not
    better by themselves, and the facts are cut at their 1 % and 99 % quantiles, so that a handful of customers does
    not decide.

    Args:
        labels: Segment of each customer.
        facts: One column per fact; NaN is not known.
    """
    shares = []
    for values in facts.T:
        is_known = np.isfinite(values)
        known, segments = values[is_known], labels[is_known]
        counts = np.bincount(segments)
        segments_count = int((counts > 0).sum())
        if len(known) <= segments_count or segments_count < 2:
            continue
        known = np.clip(known, *np.quantile(known, WINSORISED_QUANTILES))
        total = float(((known - known.mean()) ** 2).sum())
        means = np.bincount(segments, known) / np.maximum(counts, 1)
        within = float(((known - means[segments]) ** 2).sum())
        if total > 0:
            shares.append(max(0.0, 1.0 - within / total * (len(known) - 1) / (len(known) - segments_count)))
    return float(np.mean(shares)) if shares else None


def half_sample_stability(
    points: FloatArray,
    method: str,
    segments_counts: Sequence[int],
    runs_count: int,
    config: SegmentationConfig,
    seed: int,
) -> dict[int, Stability]:
    """Find centres on random halves, assign everybody by each, and compare with the centres from everybody.

    Args:
        points: Scaled shapes.
        method: One of ``METHODS``.
        segments_counts: Numbers of segments; one hierarchy serves all of them.
        runs_count: Half-samples.
        config: Settings.
        seed: Seed of the halves and of every fit.
    """
    divided = [count for count in segments_counts if count > 1]
    stabilities = {count: CERTAIN for count in segments_counts if count == 1}
    if not divided:
        return stabilities
    find = METHODS[method]
    full = {count: _nearest(points, centres) for count, centres in find(points, divided, config, seed).items()}
    rng = np.random.default_rng([seed, list(METHODS).index(method)])
    scores = np.empty((runs_count, len(divided)))
    for run in range(runs_count):
        half = np.sort(rng.permutation(len(points))[: max(*divided, len(points) // 2)])
        found = find(points[half], divided, config, int(rng.integers(2**31)))
        scores[run] = [adjusted_rand_score(full[count], _nearest(points, found[count])) for count in divided]
    for column, count in enumerate(divided):
        lower, upper = np.quantile(scores[:, column], INTERVAL_QUANTILES)
        stabilities[count] = Stability(
            mean=float(scores[:, column].mean()),
            lower=float(lower),
            upper=float(upper),
            standard_error=float(scores[:, column].std(ddof=1) / np.sqrt(runs_count)),
        )
    return stabilities


def _k_means(
    points: FloatArray, segments_counts: Sequence[int], config: SegmentationConfig, seed: int
) -> CentresByCount:
    with warnings.catch_warnings():
        # A half-sample may hold fewer different shapes than segments; the stability then shows it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            count: KMeans(n_clusters=count, n_init=config.kmeans_starts_count, random_state=seed)
            .fit(points)
            .cluster_centers_
            for count in segments_counts
        }


def _gaussian_mixture(
    points: FloatArray, segments_counts: Sequence[int], config: SegmentationConfig, seed: int
) -> CentresByCount:
    """Fit a mixture with diagonal covariances to principal components; a centre is the mean of one's members."""
    components = PCA(n_components=MIXTURE_EXPLAINED_SHARE, svd_solver="full").fit_transform(points)
    centres = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for count in segments_counts:
            mixture = GaussianMixture(
                count,
                covariance_type="diag",
                init_params="k-means++",
                n_init=config.mixture_starts_count,
                random_state=seed,
            )
            centres[count] = _means(points, mixture.fit_predict(components))
    return centres


def _ward(points: FloatArray, segments_counts: Sequence[int], config: SegmentationConfig, seed: int) -> CentresByCount:
    """Cut Ward's hierarchy, built on a sample because it grows with the square of the customers."""
    rows = _sample(len(points), config.hierarchy_customers_max_count, np.random.default_rng(seed))
    tree = linkage(points[rows], method="ward")
    return {count: _means(points[rows], fcluster(tree, count, criterion="maxclust") - 1) for count in segments_counts}


METHODS: dict[str, Callable[[FloatArray, Sequence[int], SegmentationConfig, int], CentresByCount]] = {
    "k_means": _k_means,
    "ward": _ward,
    "gaussian_mixture": _gaussian_mixture,
}
"""Ways to find centres, the simplest first: scaled shapes, numbers of segments, settings and seed to centres."""


class _Judge:
    """Collects the evidence on one group's sample; the distances between customers are computed once."""

    def __init__(self, points: FloatArray, facts: FloatArray, config: SegmentationConfig, seed: int) -> None:
        self.points = points
        self._facts = facts
        self._config = config
        self._seed = seed
        self._distances = pairwise_distances(points)
        np.fill_diagonal(self._distances, 0.0)

    def candidates(self, segments_counts: Sequence[int]) -> list[Candidate]:
        """Return the evidence for every method and number of segments; one segment needs no method."""
        config, seed = self._config, self._seed
        judged = []
        for method, find in METHODS.items():
            counts = [count for count in segments_counts if count > 1 or method == "k_means"]
            if not counts:
                continue
            stabilities = half_sample_stability(self.points, method, counts, config.choice_runs_count, config, seed)
            found = find(self.points, counts, config, seed)
            judged += [self._judged(method, count, found[count], stabilities[count]) for count in counts]
        return judged

    def confirmed(self, candidate: Candidate) -> Candidate | None:
        """Return the candidate with the stability of all runs, or ``None`` when that does not suffice."""
        count, config = candidate.segments_count, self._config
        runs = half_sample_stability(
            self.points, candidate.method, [count], config.stability_runs_count, config, self._seed
        )
        if runs[count].assured < config.minimum_stability:
            return None
        return dataclasses.replace(candidate, stability=runs[count])

    def _judged(self, method: str, segments_count: int, centres: FloatArray, stability: Stability) -> Candidate:
        labels = _nearest(self.points, centres)
        sizes = np.bincount(labels, minlength=segments_count)
        silhouette, davies_bouldin, calinski_harabasz = 0.0, float("inf"), 0.0
        if (sizes > 0).sum() > 1:
            silhouette = float(silhouette_score(self._distances, labels, metric="precomputed"))
            davies_bouldin = float(davies_bouldin_score(self.points, labels))
            calinski_harabasz = float(calinski_harabasz_score(self.points, labels))
        smallest_share = float(sizes.min() / len(self.points))
        return Candidate(
            method=method,
            segments_count=segments_count,
            silhouette=silhouette,
            davies_bouldin=davies_bouldin,
            calinski_harabasz=calinski_harabasz,
            smallest_share=smallest_share,
            stability=stability,
            business_spread=business_spread(labels, self._facts),
            refusal=_refusal(int(sizes.min()), len(self.points), stability, self._config),
            score=float("nan"),
        )


def _refusal(smallest: int, customers_count: int, stability: Stability, config: SegmentationConfig) -> str:
    needed = config.smallest_segment(customers_count)
    # One segment is the whole group, however few they are.
    if smallest < min(needed, customers_count):
        return f"smallest segment {smallest / customers_count:.1%} of the group, {needed / customers_count:.1%} needed"
    if stability.mean < config.minimum_stability:
        return f"stability {stability.mean:.2f}, {config.minimum_stability:.2f} needed"
    return ""


def _scored(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with the score that ``choose`` goes by; NaN for those that are not eligible."""
    eligible = [one for one in candidates if one.is_eligible]
    if not eligible:
        return list(candidates)
    # Davies-Bouldin is better when lower, and infinite for a single segment.
    indices = np.array([[one.silhouette, 1 / (1 + one.davies_bouldin), one.calinski_harabasz] for one in eligible])
    statistical = _shares_of_best(indices).mean(axis=1)
    spreads = np.array([[np.nan if one.business_spread is None else one.business_spread] for one in eligible])
    useful = _shares_of_best(spreads)[:, 0] if np.isfinite(spreads).all() else statistical
    scores = dict(zip(map(id, eligible), np.round((statistical + useful) / 2, 6), strict=True))
    return [dataclasses.replace(one, score=float(scores.get(id(one), np.nan))) for one in candidates]


def _shares_of_best(values: FloatArray) -> FloatArray:
    """Return every value as a share of the largest of its column; 1 where none is above 0."""
    positive = np.maximum(values, 0.0)
    best = positive.max(axis=0)
    return np.divide(positive, best, out=np.ones_like(positive), where=best > 0)


def _nearest(points: FloatArray, centres: FloatArray) -> IntArray:
    return ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)


def _means(points: FloatArray, labels: IntArray) -> FloatArray:
    """Return the mean of every cluster that has members."""
    return np.stack([points[labels == label].mean(axis=0) for label in np.unique(labels)])


def _common_numbers(shapes: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the shapes with 0 for what fewer than half of the customers have, and who has all the rest.

    Where gaps are so scattered that fewer than half have all the rest, they are filled with the column's mean.
    """
    is_known = ~np.isnan(shapes)
    is_common = is_known.mean(axis=0) >= 0.5
    means = np.where(is_known, shapes, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    is_complete = np.asarray(is_known[:, is_common].all(axis=1))
    if is_complete.mean() < 0.5:
        is_complete = np.ones(len(shapes), dtype=np.bool_)
    return np.where(is_common, np.where(is_known, shapes, means), 0.0), is_complete


def _sample(rows_count: int, rows_max_count: int, rng: np.random.Generator) -> IntArray:
    if rows_count <= rows_max_count:
        return np.arange(rows_count)
    return np.sort(rng.choice(rows_count, rows_max_count, replace=False))


def _is_core(points: FloatArray, segments_count: int, config: SegmentationConfig, seed: int) -> npt.NDArray[np.bool_]:
    """Return which shapes the centres are found from: those that lie with enough others to be a segment.

    Left out are shapes that stand alone, and then small clusters: a handful of customers far from all others takes a
    centre for itself in every solution of some size, so that no such solution has segments that are large enough.
    A hierarchy of all shapes has no random starts: what is left out of a few hundred shapes would otherwise depend on
    the seed, and the number of segments with it. Of many shapes it could only be built on a sample, so k-means is used.
    """
    is_core = ~_is_outlier(points, config, seed)
    smallest_allowed = config.minimum_segment_share * len(points)
    for _ in range(TRIMMING_ROUNDS):
        rows = np.flatnonzero(is_core)
        count = min(segments_count, len(np.unique(points[rows], axis=0)))
        find = _ward if len(rows) <= config.hierarchy_customers_max_count else _k_means
        labels = _nearest(points[rows], find(points[rows], [count], config, seed)[count])
        small = np.bincount(labels)[labels] < smallest_allowed
        if not small.any():
            break
        is_core[rows[small]] = False
    return is_core


def _is_outlier(points: FloatArray, config: SegmentationConfig, seed: int) -> npt.NDArray[np.bool_]:
    """Return which shapes stand so alone that no segment can be made of them and their neighbours.

    The distance to the n-th neighbour, n being the smallest segment allowed, stays small within any group that is
    large enough to be a segment of its own, however unusual that group is.
    """
    # A sample shows how dense a place is, at a cost that does not grow with the square of the customers.
    rows = _sample(len(points), config.sampled_customers_max_count, np.random.default_rng(seed))
    neighbours_count = min(len(rows) - 1, max(3, math.ceil(config.minimum_segment_share * len(rows))))
    finder = NearestNeighbors(n_neighbors=neighbours_count + 1).fit(points[rows])
    distances = finder.kneighbors(points)[0][:, -1]
    median = np.median(distances)
    deviation = np.median(np.abs(distances - median))
    # Half of the shapes may be equal (a simulated or profiled population): then nothing is far by this measure.
    return (distances > median + config.outlier_deviations * deviation) & (deviation > 0)
