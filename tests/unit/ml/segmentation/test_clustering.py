import numpy as np
import pytest

from ml.segmentation.clustering import (
    METHODS,
    Candidate,
    Solution,
    Stability,
    business_spread,
    choose,
    choose_segments,
    distances_to_centres,
)
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import HOUR_SPACE


@pytest.fixture(scope="module")
def config() -> SegmentationConfig:
    return SegmentationConfig(stability_runs_count=10, choice_runs_count=5, kmeans_starts_count=2)


def _divide(
    shapes: np.ndarray, counts: range, config: SegmentationConfig, seed: int = 7, business: np.ndarray | None = None
) -> Solution:
    return choose_segments(shapes, counts, config, seed, weights=HOUR_SPACE.weights, business=business)


def _groups(count: int, rng: np.random.Generator, noise: float = 0.05) -> np.ndarray:
    centres = np.array([np.roll(np.r_[np.full(8, 2.0), np.full(40, 0.8)], 12 * number) for number in range(count)])
    return np.repeat(centres, 40, axis=0) + rng.normal(0, noise, (40 * count, 48))


@pytest.mark.parametrize("count", [3, 4])
def test_the_true_number_of_groups_is_chosen(count: int, config: SegmentationConfig) -> None:
    shapes = _groups(count, np.random.default_rng(1))
    solution = _divide(shapes, range(2, 7), config)
    assert solution.chosen.segments_count == count
    assert solution.chosen.stability.mean == pytest.approx(1.0)


def test_noise_is_not_divided(config: SegmentationConfig) -> None:
    shapes = np.random.default_rng(2).normal(1, 0.3, (120, 48))
    assert _divide(shapes, range(3, 6), config).chosen.segments_count == 1


def test_equal_shapes_form_one_segment(config: SegmentationConfig) -> None:
    solution = _divide(np.ones((50, 48)), range(3, 6), config)
    assert solution.chosen.segments_count == 1
    assert np.allclose(solution.centres, 1.0)


@pytest.mark.parametrize(("every", "expected"), [(20, 1), (3, 3)])
def test_of_more_segments_than_customers_those_are_tried_that_can_be_filled(
    every: int, expected: int, config: SegmentationConfig
) -> None:
    shapes = _groups(3, np.random.default_rng(3))[::every]
    assert _divide(shapes, range(2, len(shapes) + 5), config).chosen.segments_count == expected


def test_a_few_outliers_do_not_get_a_segment(config: SegmentationConfig) -> None:
    rng = np.random.default_rng(4)
    absurd = rng.uniform(0, 6, (3, 48))
    shapes = np.concatenate([_groups(3, rng), absurd])
    solution = _divide(shapes, range(2, 6), config)
    assert solution.outliers_count == 3
    assert solution.chosen.segments_count == 3


@pytest.mark.parametrize(("needed", "expected"), [(10, 1), (2, 2)])
def test_a_handful_of_customers_is_no_segment_however_small_the_group(
    needed: int, expected: int, config: SegmentationConfig
) -> None:
    rng = np.random.default_rng(4)
    shapes = np.r_[_groups(1, rng), _groups(2, rng)[-5:]]
    settings = config.model_copy(update={"minimum_segment_customers_count": needed})
    assert _divide(shapes, range(2, 4), settings).chosen.segments_count == expected


def test_which_shapes_of_a_small_group_are_left_out_does_not_depend_on_the_seed(config: SegmentationConfig) -> None:
    shapes = np.random.default_rng(2).lognormal(0, 0.5, (120, 48))
    quick = config.model_copy(update={"choice_runs_count": 5, "minimum_segment_share": 0.1})
    left_out = {_divide(shapes, range(2, 7), quick, seed).outliers_count for seed in range(4)}
    assert len(left_out) == 1


def test_the_distance_is_a_root_mean_square_over_the_week() -> None:
    assert distances_to_centres(np.ones((1, 48)), np.full((1, 48), 1.5), HOUR_SPACE.weights)[0, 0] == pytest.approx(0.5)


def test_a_missing_number_counts_neither_in_the_distance_nor_against_a_segment(config: SegmentationConfig) -> None:
    partial = np.ones((1, 48))
    partial[0, 24:] = np.nan
    assert distances_to_centres(partial, np.full((1, 48), 1.5), HOUR_SPACE.weights)[0, 0] == pytest.approx(0.5)

    shapes = _groups(3, np.random.default_rng(1))
    shapes[::3, 24:] = np.nan
    shapes[:, 47] = np.nan
    solution = _divide(shapes, range(2, 6), config)
    assert solution.chosen.segments_count == 3
    assert (solution.incomplete_count, solution.customers_count) == (40, 80)
    assert (solution.centres[:, 47] == 0).all()


def test_scattered_gaps_keep_nobody_out(config: SegmentationConfig) -> None:
    rng = np.random.default_rng(1)
    shapes = _groups(3, rng)
    shapes[rng.uniform(size=shapes.shape) < 0.05] = np.nan
    solution = _divide(shapes, range(2, 5), config)
    assert (solution.incomplete_count, solution.chosen.segments_count) == (0, 3)
    assert np.isfinite(solution.centres).all()


def test_every_method_is_tried_with_every_number_and_ends_in_centres(config: SegmentationConfig) -> None:
    shapes = _groups(3, np.random.default_rng(1))
    solution = _divide(shapes, range(2, 5), config)
    assert [(one.method, one.segments_count) for one in solution.candidates] == [
        (method, count) for method in METHODS for count in (2, 3, 4)
    ]
    assert solution.centres.shape == (3, 48)
    found = [one for one in solution.candidates if one.segments_count == 3]
    assert {one.stability.mean for one in found} == {1.0}
    # On the same division the simplest method is kept.
    assert solution.chosen.method == "k_means"


def test_a_small_cluster_far_away_does_not_take_a_centre_from_the_others(config: SegmentationConfig) -> None:
    rng = np.random.default_rng(4)
    few = np.r_[np.full(46, 0.2), 8.0, 8.0] + rng.normal(0, 0.3, (6, 48))
    shapes = np.concatenate([np.repeat(_groups(3, rng), 3, axis=0) + rng.normal(0, 0.05, (360, 48)), few])
    solution = _divide(shapes, range(3, 7), config)
    assert solution.outliers_count == 6
    assert solution.chosen.segments_count == 3


def test_a_handful_of_spikes_moves_no_centre(config: SegmentationConfig) -> None:
    shapes = _groups(3, np.random.default_rng(1))
    spiked = shapes.copy()
    spiked[[0, 50, 100], 3] = config.shape_ceiling
    expected, found = (_divide(rows, range(2, 5), config).centres for rows in (shapes, spiked))
    assert np.abs(np.sort(expected, axis=0) - np.sort(found, axis=0)).max() < 0.05


def test_the_spread_is_that_of_the_facts_and_not_of_the_number_of_segments() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    told_apart = np.column_stack([labels + rng.normal(0, 0.01, 300), np.full(300, np.nan)])
    unrelated = rng.normal(0, 1, (300, 2))
    spread = business_spread(labels, told_apart)
    assert spread is not None
    assert spread > 0.99
    assert business_spread(rng.integers(0, 20, 300), unrelated) == pytest.approx(0, abs=0.05)
    assert business_spread(labels, np.full((300, 2), np.nan)) is None


def test_giants_among_the_facts_do_not_decide() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    facts = (labels + rng.normal(0, 0.5, 1000))[:, None]
    with_giants = facts.copy()
    with_giants[:3] = 1e6
    assert business_spread(labels, with_giants) == pytest.approx(business_spread(labels, facts), abs=0.05)


def _candidate(method: str, count: int, silhouette: float, spread: float | None, refusal: str = "") -> Candidate:
    return Candidate(
        method=method,
        segments_count=count,
        silhouette=silhouette,
        davies_bouldin=1.0,
        calinski_harabasz=100.0,
        smallest_share=0.1,
        stability=Stability(0.9, 0.85, 0.95, 0.01),
        business_spread=spread,
        refusal=refusal,
        score=float("nan"),
    )


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([_candidate("k_means", 2, 0.4, 0.1), _candidate("k_means", 6, 0.3, 0.3)], 6, id="use outweighs"),
        pytest.param([_candidate("k_means", 2, 0.4, None), _candidate("k_means", 6, 0.3, None)], 2, id="no facts"),
        pytest.param(
            [_candidate("k_means", 2, 0.4, 0.1), _candidate("k_means", 6, 0.3, 0.3, "too small")], 2, id="refused"
        ),
        pytest.param([_candidate("k_means", 2, 0.4, 0.1, "unstable")], None, id="nothing eligible"),
        pytest.param([_candidate("ward", 5, 0.4, 0.1), _candidate("k_means", 4, 0.4, 0.1)], 4, id="simpler on a tie"),
    ],
)
def test_the_rule_of_choice(candidates: list[Candidate], expected: int | None) -> None:
    chosen = choose(candidates, lambda one: one)
    assert (chosen.segments_count if chosen else None) == expected


def test_the_next_best_is_chosen_when_the_best_does_not_hold() -> None:
    candidates = [_candidate("k_means", 2, 0.4, 0.1), _candidate("k_means", 6, 0.3, 0.3)]
    chosen = choose(candidates, lambda one: one if one.segments_count == 2 else None)
    assert chosen is not None
    assert chosen.segments_count == 2


@pytest.mark.parametrize(("lead_to_change", "expected"), [(0.5, 2), (0.1, 6)])
def test_the_served_number_is_kept_until_another_leads_clearly(lead_to_change: float, expected: int) -> None:
    candidates = [_candidate("k_means", 2, 0.4, 0.1), _candidate("k_means", 6, 0.3, 0.3)]
    chosen = choose(candidates, lambda one: one, served_count=2, score_lead_to_change=lead_to_change)
    assert chosen is not None
    assert chosen.segments_count == expected


def test_a_served_number_that_does_not_hold_is_given_up() -> None:
    candidates = [_candidate("k_means", 2, 0.4, 0.1), _candidate("k_means", 6, 0.3, 0.3)]
    chosen = choose(
        candidates, lambda one: one if one.segments_count == 6 else None, served_count=2, score_lead_to_change=0.5
    )
    assert chosen is not None
    assert chosen.segments_count == 6
