"""Facts of customers as the matcher reads them."""

import time

import numpy as np

from ml.tariff_matching.features import is_among


def test_keys_are_found_among_the_known_ones() -> None:
    keys = np.array(["b", "a", "c", "a"], dtype=object)

    assert is_among(keys, np.array(["a", "c"], dtype=object)).tolist() == [False, True, True, True]
    assert is_among(keys, np.array([], dtype=object)).tolist() == [False] * 4


def test_a_province_of_keys_is_not_compared_each_with_each() -> None:
    keys = np.array([f"{number:032x}" for number in range(200_000)], dtype=object)

    started_at = time.process_time()
    found = is_among(keys, keys[::2])

    # Each with each would be ten thousand million comparisons: minutes.
    assert time.process_time() - started_at < 10
    assert found.sum() == 100_000
