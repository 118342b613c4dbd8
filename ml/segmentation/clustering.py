"""Choosing load-shape segments: k-means, the choice of k, and how stable the solution is.

Everything works on shapes scaled by the square root of their weights, so that the Euclidean distance of the
clustering is the root-mean-square distance that a customer's prediction reports.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # publishes no type information

from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import SHAPE_WEIGHTS, FloatArray

IntArray = npt.NDArray[np.intp]

INTERVAL_QUANTILES = (0.025, 0.975)
COARSER_COUNTS = (2, 1)
"""Tried in turn when no number of segments in the range is eligible: a coarser division rather than an unstable one."""


@dataclass(frozen=True, slots=True)
class Stability:
    """Agreement of half-sample solutions with the full one.

    Attributes:
        mean: Mean adjusted Rand index; 1 is the same division, 0 what chance would give.
        lower: 2.5 % quantile over the half-samples.
        upper: 97.5 % quantile over the half-samples.
    """

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of segments with the evidence for and against it.

    Attributes:
        segments_count: Number of segments.
        silhouette: Mean silhouette, higher is better.
        davies_bouldin: Davies-Bouldin index, lower is better.
        calinski_harabasz: Calinski-Harabasz index, higher is better.
        smallest_share: Share of the customers in the smallest segment.
        stability: Agreement of half-sample solutions.
        is_eligible: Whether it is stable and has no segment that is too small.
        mean_rank: Mean of the ranks by the three indices among all candidates, 1 is best.
    """

    segments_count: int
    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    smallest_share: float
    stability: Stability
    is_eligible: bool
    mean_rank: float


@dataclass(frozen=True, slots=True)
class Solution:
    """The chosen division of one group.

    Attributes:
        centres: One row of 48 ratios per segment, largest segment first.
        candidates: Evidence for every number of segments tried.
        chosen: The candidate that was chosen, with the stability of all runs.
        outliers_count: Shapes that were left out while the centres were found.
        customers_count: Shapes that the centres were found from, outliers not counted.
    """

    centres: FloatArray
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    outliers_count: int
    customers_count: int


def scaled(shapes: FloatArray) -> FloatArray:
    """Return shapes in the space where the Euclidean distance is the weighted one."""
    return shapes * np.sqrt(SHAPE_WEIGHTS)


def distances_to_centres(shapes: FloatArray, centres: FloatArray) -> FloatArray:
    """Return the root-mean-square distance of every shape to every centre, over the hours that are present.

    The sum runs along one customer's own row, so the result of a row does not depend on which rows come with it.
    """
    is_missing = np.isnan(shapes)
    weights = np.where(is_missing, 0.0, SHAPE_WEIGHTS)
    totals = np.maximum(weights.sum(axis=1), np.finfo(np.float64).tiny)
    filled = np.where(is_missing, 0.0, shapes)
    columns = [np.sqrt((weights * (filled - centre) ** 2).sum(axis=1) / totals) for centre in centres]
    return np.stack(columns, axis=1)


def choose_segments(
    shapes: FloatArray, segments_counts: Sequence[int], config: SegmentationConfig, seed: int
) -> Solution:
    """Divide the complete shapes of one group into the number of segments that the evidence supports best.

    Among the candidates that are stable and have no tiny segment, the best mean rank by silhouette, Davies-Bouldin
    and Calinski-Harabasz wins (the indices disagree often enough that none decides alone); a tie goes to more
    segments. If no candidate is eligible, fewer segments are tried, down to a single one for the whole group.

    Args:
        shapes: Complete shapes, one row per customer.
        segments_counts: Numbers of segments to try; those that the customers cannot fill are skipped.
        config: Settings.
        seed: Seed of every random choice.
    """
    rng = np.random.default_rng(seed)
    # One thread: with more, the order in which k-means adds up its partial sums changes the last bits of a centre.
    with threadpool_limits(limits=1):
        points = scaled(shapes)
        is_core = ~_is_outlier(points, config)
        core = points[is_core]
        sampled = _sample(core, config.sampled_customers_max_count, rng)
        smallest_allowed = max(2, int(np.ceil(config.minimum_segment_share * len(sampled))))
        distinct_count = len(np.unique(sampled, axis=0))
        largest_count = min(distinct_count, len(sampled) // smallest_allowed)
        possible = [count for count in segments_counts if count <= largest_count] or [1]
        candidates = _ranked([_judged(sampled, count, config, seed) for count in possible])
        chosen: Candidate | None = None
        while chosen is None:
            chosen = _confirmed(candidates, sampled, config, seed)
            if chosen is None:
                fewer = next(count for count in COARSER_COUNTS if count < min(one.segments_count for one in candidates))
                candidates = _ranked([_judged(sampled, fewer, config, seed), *candidates])
        fitted = _fit(core, chosen.segments_count, config.kmeans_starts_count, seed)
        sizes = np.bincount(fitted.labels_, minlength=chosen.segments_count)
    # Equal sizes are ordered by their centres, so that the numbering never depends on the random starts.
    order = sorted(range(len(sizes)), key=lambda label: (-sizes[label], *fitted.cluster_centers_[label]))
    return Solution(
        centres=fitted.cluster_centers_[order] / np.sqrt(SHAPE_WEIGHTS),
        candidates=tuple(chosen if one.segments_count == chosen.segments_count else one for one in candidates),
        chosen=chosen,
        outliers_count=int((~is_core).sum()),
        customers_count=len(core),
    )


def half_sample_stability(
    points: FloatArray, segments_count: int, runs_count: int, config: SegmentationConfig, seed: int
) -> Stability:
    """Fit on random halves, assign everybody by each fit, and compare with the fit on everybody."""
    if segments_count == 1:
        return Stability(1.0, 1.0, 1.0)
    rng = np.random.default_rng([seed, segments_count])
    full_labels = _fit(points, segments_count, config.kmeans_starts_count, seed).labels_
    scores = np.empty(runs_count)
    for run in range(runs_count):
        half = rng.permutation(len(points))[: max(segments_count, len(points) // 2)]
        fitted = _fit(points[half], segments_count, config.kmeans_starts_count, int(rng.integers(2**31)))
        scores[run] = adjusted_rand_score(full_labels, fitted.predict(points))
    lower, upper = np.quantile(scores, INTERVAL_QUANTILES)
    return Stability(mean=float(scores.mean()), lower=float(lower), upper=float(upper))


def _fit(points: FloatArray, segments_count: int, starts_count: int, seed: int) -> KMeans:
    with warnings.catch_warnings():
        # A half-sample may hold fewer different shapes than segments; the stability then shows it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n_clusters=segments_count, n_init=starts_count, random_state=seed).fit(points)


def _sample(points: FloatArray, rows_max_count: int, rng: np.random.Generator) -> FloatArray:
    if len(points) <= rows_max_count:
        return points
    return points[np.sort(rng.choice(len(points), rows_max_count, replace=False))]


def _is_outlier(points: FloatArray, config: SegmentationConfig) -> npt.NDArray[np.bool_]:
    """Return which shapes stand so alone that no segment can be made of them and their neighbours.

    The distance to the n-th neighbour, n being the smallest segment allowed, stays small within any group that is
    large enough to be a segment of its own, however unusual that group is.
    """
    neighbours_count = min(len(points) - 1, max(3, int(np.ceil(config.minimum_segment_share * len(points)))))
    finder = NearestNeighbors(n_neighbors=neighbours_count + 1).fit(points)
    distances = finder.kneighbors(points)[0][:, -1]
    median = np.median(distances)
    deviation = np.median(np.abs(distances - median))
    # Half of the shapes may be equal (a simulated or profiled population): then nothing is far by this measure.
    return (distances > median + config.outlier_deviations * deviation) & (deviation > 0)


def _confirmed(
    candidates: list[Candidate], points: FloatArray, config: SegmentationConfig, seed: int
) -> Candidate | None:
    """Return the best eligible candidate whose stability holds up in all runs, or ``None``."""
    eligible = [candidate for candidate in candidates if candidate.is_eligible]
    for candidate in sorted(eligible, key=lambda one: (one.mean_rank, -one.segments_count)):
        stability = half_sample_stability(points, candidate.segments_count, config.stability_runs_count, config, seed)
        if stability.mean >= config.minimum_stability:
            return dataclasses.replace(candidate, stability=stability)
    return None


def _judged(points: FloatArray, segments_count: int, config: SegmentationConfig, seed: int) -> Candidate:
    labels = _fit(points, segments_count, config.kmeans_starts_count, seed).labels_
    sizes = np.bincount(labels, minlength=segments_count)
    if (sizes > 0).sum() < 2:
        silhouette, davies_bouldin, calinski_harabasz = 0.0, float("inf"), 0.0
    else:
        silhouette = float(silhouette_score(points, labels))
        davies_bouldin = float(davies_bouldin_score(points, labels))
        calinski_harabasz = float(calinski_harabasz_score(points, labels))
    stability = half_sample_stability(points, segments_count, config.choice_runs_count, config, seed)
    smallest_share = float(sizes.min() / len(points))
    return Candidate(
        segments_count=segments_count,
        silhouette=silhouette,
        davies_bouldin=davies_bouldin,
        calinski_harabasz=calinski_harabasz,
        smallest_share=smallest_share,
        stability=stability,
        is_eligible=smallest_share >= config.minimum_segment_share and stability.mean >= config.minimum_stability,
        mean_rank=0.0,
    )


def _ranked(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates with their mean rank by the three indices."""
    indices = np.array([[one.silhouette, -one.davies_bouldin, one.calinski_harabasz] for one in candidates])
    better_count = (indices[None, :, :] > indices[:, None, :]).sum(axis=1)
    mean_ranks = 1.0 + better_count.mean(axis=1)
    return [dataclasses.replace(one, mean_rank=float(rank)) for one, rank in zip(candidates, mean_ranks, strict=True)]
