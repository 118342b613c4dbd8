import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.segmentation.naming import PRIMARY_TAGS, PROFILE_COLUMNS, QUALIFIERS, label_segments, primary_tags

HOURS = np.arange(24)
PLAIN = dict.fromkeys(PROFILE_COLUMNS, 1.0) | {"daily_kwh_cv": 0.3}


def _centre(weekday: np.ndarray) -> np.ndarray:
    return np.concatenate([weekday / weekday.mean(), weekday / weekday.mean()])


@pytest.mark.parametrize(
    ("group", "weekday", "tag"),
    [
        ("R", np.ones(24), "steady_base"),
        ("R", 0.5 + 2.0 * np.isin(HOURS, (18, 19, 20, 21)), "evening_peak"),
        ("R", 0.3 + 2.0 * np.isin(HOURS, (6, 7, 18, 19, 20)), "morning_evening"),
        ("R", 0.3 + 2.0 * ((HOURS >= 9) & (HOURS < 17)), "daytime_home"),
        ("R", 0.3 + 2.0 * ((HOURS < 6) | (HOURS >= 22)), "night_use"),
        ("R", 1.5 - 1.4 * np.isin(HOURS, range(9, 16)), "midday_dip"),
        ("B", np.ones(24), "round_the_clock"),
        ("B", 0.2 + 2.0 * ((HOURS >= 8) & (HOURS < 18)), "day_shift"),
        ("B", 0.2 + 2.0 * ((HOURS >= 6) & (HOURS < 22)), "two_shifts"),
        ("B", 0.2 + 2.0 * ((HOURS < 6) | (HOURS >= 22)), "night_production"),
    ],
)
def test_typical_shapes_get_their_tag(group: str, weekday: np.ndarray, tag: str) -> None:
    assert primary_tags(group, _centre(weekday))[0] == tag


def test_a_winter_segment_says_so_in_both_languages() -> None:
    (label,) = label_segments("R", np.array([_centre(np.ones(24))]), [PLAIN | {"winter_ratio": 1.6}], ["R1"])
    assert label.name == "Steady-load households, winter heating"
    assert label.name_zh == "基荷稳定·冬季气温敏感居民"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(min_value=0, max_value=10_000), group=st.sampled_from(["R", "B"]))
def test_names_are_unique_and_every_text_is_filled(seed: int, group: str) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    base = _centre(rng.uniform(0.2, 3, 24))
    # Segments may be as alike as they like.
    centres = np.array([base if rng.uniform() < 0.5 else _centre(rng.uniform(0.2, 3, 24)) for _ in range(count)])
    profiles = [PLAIN | {"weekend_ratio": float(rng.uniform(0.2, 1.3)), "mean_daily_kwh": np.nan} for _ in range(count)]
    labels = label_segments(group, centres, profiles, [f"{group}{number + 1}" for number in range(count)])
    assert len({label.name for label in labels}) == count
    assert len({label.name_zh for label in labels}) == count
    assert all(label.description and label.description_zh and label.actions and label.actions_zh for label in labels)


def test_every_tag_is_bilingual() -> None:
    for tag in (*PRIMARY_TAGS.values(), *QUALIFIERS.values()):
        chinese = (tag.name_zh, tag.meaning_zh, tag.offer_zh, tag.avoid_zh)
        assert all(any("\u4e00" <= character <= "\u9fff" for character in text) for text in chinese)
        assert all(text.isascii() for text in (tag.name, tag.meaning, tag.offer, tag.avoid))
