import numpy as np
import pytest

from ml.segmentation.clustering import choose_segments, distances_to_centres
from ml.segmentation.config import SegmentationConfig


@pytest.fixture(scope="module")
def config() -> SegmentationConfig:
    return SegmentationConfig(stability_runs_count=10, choice_runs_count=5, kmeans_starts_count=2)


def _groups(count: int, rng: np.random.Generator, noise: float = 0.05) -> np.ndarray:
    centres = np.array([np.roll(np.r_[np.full(8, 2.0), np.full(40, 0.8)], 12 * number) for number in range(count)])
    return np.repeat(centres, 40, axis=0) + rng.normal(0, noise, (40 * count, 48))


@pytest.mark.parametrize("count", [3, 4])
def test_the_true_number_of_groups_is_chosen(count: int, config: SegmentationConfig) -> None:
    shapes = _groups(count, np.random.default_rng(1))
    solution = choose_segments(shapes, range(2, 7), config, seed=7)
    assert solution.chosen.segments_count == count
    assert solution.chosen.stability.mean == pytest.approx(1.0)


def test_noise_is_not_divided(config: SegmentationConfig) -> None:
    shapes = np.random.default_rng(2).normal(1, 0.3, (120, 48))
    assert choose_segments(shapes, range(3, 6), config, seed=7).chosen.segments_count == 1


def test_equal_shapes_form_one_segment(config: SegmentationConfig) -> None:
    solution = choose_segments(np.ones((50, 48)), range(3, 6), config, seed=7)
    assert solution.chosen.segments_count == 1
    assert np.allclose(solution.centres, 1.0)


def test_more_segments_than_customers_is_no_error(config: SegmentationConfig) -> None:
    shapes = _groups(3, np.random.default_rng(3))[::20]
    assert choose_segments(shapes, range(5, 20), config, seed=7).chosen.segments_count < len(shapes)


def test_a_few_outliers_do_not_get_a_segment(config: SegmentationConfig) -> None:
    rng = np.random.default_rng(4)
    absurd = rng.uniform(0, 6, (3, 48))
    shapes = np.concatenate([_groups(3, rng), absurd])
    solution = choose_segments(shapes, range(2, 6), config, seed=7)
    assert solution.outliers_count == 3
    assert solution.chosen.segments_count == 3


def test_the_distance_is_a_root_mean_square_over_the_week() -> None:
    assert distances_to_centres(np.ones((1, 48)), np.full((1, 48), 1.5))[0, 0] == pytest.approx(0.5)
