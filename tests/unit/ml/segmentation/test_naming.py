import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.segmentation.naming import (
    CONTRASTS,
    PRIMARY_TAGS,
    PRIMARY_TOLERANCE,
    PROFILE_COLUMNS,
    QUALIFIERS,
    Facts,
    label_segments,
    primary_tags,
    qualifier_tags,
)

HOURS = np.arange(24)
PLAIN = dict.fromkeys(PROFILE_COLUMNS, 1.0) | {"daily_kwh_cv": 0.3}


def _centre(weekday: np.ndarray) -> np.ndarray:
    return np.concatenate([weekday / weekday.mean(), weekday / weekday.mean()])


def _evening(peak_hour: float, height: float = 1.5) -> np.ndarray:
    return _centre(0.6 + height * np.exp(-0.5 * ((HOURS - peak_hour) / 1.6) ** 2))


@pytest.mark.parametrize(
    ("group", "weekday", "tag"),
    [
        ("R", np.ones(24), "steady_base"),
        ("R", 0.5 + 2.0 * np.isin(HOURS, (18, 19, 20, 21)), "evening_peak"),
        ("R", 0.3 + 2.0 * np.isin(HOURS, (6, 7, 18, 19, 20)), "morning_evening"),
        ("R", 0.3 + 2.0 * ((HOURS >= 9) & (HOURS < 17)), "daytime_home"),
        ("R", 0.3 + 2.0 * ((HOURS < 6) | (HOURS >= 22)), "night_use"),
        ("R", 1.5 - 1.4 * np.isin(HOURS, range(9, 16)), "midday_dip"),
        ("R", 1.0 + 0.5 * np.isin(HOURS, (3, 12, 23)), "mixed_home"),
        ("B", np.ones(24), "round_the_clock"),
        ("B", 0.2 + 2.0 * ((HOURS >= 8) & (HOURS < 18)), "day_shift"),
        ("B", 0.2 + 2.0 * ((HOURS >= 6) & (HOURS < 22)), "two_shifts"),
        ("B", 0.2 + 2.0 * ((HOURS < 6) | (HOURS >= 22)), "night_production"),
        ("B", 1.5 - 1.4 * np.isin(HOURS, range(9, 16)), "midday_dip"),
        ("B", 0.5 + 2.5 * np.isin(HOURS, (11, 12, 13)), "noon_heavy"),
        ("B", 0.5 + 1.5 * np.isin(HOURS, (18, 19, 20, 21)), "evening_trade"),
        ("R", 0.8 + 2.0 * np.isin(HOURS, (7, 17)), "marked_peak"),
        ("B", 0.8 + 2.5 * np.isin(HOURS, (6, 7)), "marked_peak"),
    ],
)
def test_typical_shapes_get_their_tag(group: str, weekday: np.ndarray, tag: str) -> None:
    assert primary_tags(Facts.of(group, _centre(weekday), PLAIN))[0] == tag


def test_a_high_base_under_an_evening_peak_is_not_called_steady() -> None:
    heated = 0.8 + 0.42 * np.isin(HOURS, (18, 19, 20, 21)) + 0.15 * np.isin(HOURS, (6, 7, 8, 17, 22))
    facts = Facts.of("R", _centre(heated), PLAIN)
    assert facts.base_ratio > 0.7
    assert 1.3 < facts.peak_ratio < 1.5

    (label,) = label_segments(
        "R", np.array([_centre(heated)]), [PLAIN], ["R2"], {"R2": ("steady_base", "winter_sensitive")}
    )

    assert label.name == "Evening-peak households"


def _parts(working_day: np.ndarray) -> dict[str, float]:
    """Return the mean power of the parts of the day, in means of the day."""
    hours = {"night": (22, 23, *range(6)), "morning": range(6, 9), "day": range(9, 17), "evening": range(18, 22)}
    hours |= {"noon": range(11, 14), "midday": range(10, 15), "shift": range(8, 18)}
    return {part: float(working_day[list(own)].mean() / working_day.mean()) for part, own in hours.items()}


def _is_most(part: str, parts: dict[str, float], slack: float, *others: str) -> bool:
    return all(parts[part] >= slack * parts[other] for other in others) and parts[part] > 1


def _is_within(working_day: np.ndarray, swing: float, slack: float) -> bool:
    return float(np.abs(working_day[np.argsort(working_day)[3:]] / working_day.mean() - 1).max()) <= swing / slack


def _claim(tag: str, working_day: np.ndarray, slack: float) -> bool:
    """Return whether a centre backs what the leading tag of a name says; slack 1 is to the letter."""
    parts = _parts(working_day)
    peak = float(working_day.max() / working_day.mean())
    rush = min(parts["morning"], parts["evening"])
    claims = {
        "midday_dip": lambda: slack * parts["midday"] < min(rush, parts["night"]),
        "night_use": lambda: _is_most("night", parts, slack, "morning", "day", "noon", "evening"),
        "night_production": lambda: _is_most("night", parts, slack, "morning", "day", "noon", "evening"),
        "evening_peak": lambda: _is_most("evening", parts, slack, "night", "morning", "day", "noon"),
        "evening_trade": lambda: _is_most("evening", parts, slack, "night", "morning", "day", "noon"),
        "daytime_home": lambda: _is_most("day", parts, slack, "night", "morning", "evening"),
        "noon_heavy": lambda: _is_most("noon", parts, slack, "night", "morning", "evening"),
        "day_shift": lambda: parts["shift"] * 10 / 24 >= 0.6 * slack,
        "two_shifts": lambda: slack * parts["night"] <= 0.6,
        "morning_evening": lambda: rush > 1 and slack * parts["day"] < rush,
        "steady_base": lambda: _is_within(working_day, 0.25, slack),
        "round_the_clock": lambda: _is_within(working_day, 0.35, slack),
        "mixed_home": lambda: slack * peak <= 1.5,
        "mixed_business": lambda: slack * peak <= 1.5,
        "marked_peak": lambda: peak >= 1.5 * slack,
    }
    return claims[tag]()


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(min_value=0, max_value=100_000),
    group=st.sampled_from(["R", "B"]),
    height=st.sampled_from([0.1, 0.4, 1.0, 2.5]),
    wear=st.sampled_from([0.02, 0.1]),
)
def test_a_leading_tag_is_backed_by_the_centre_when_given_and_as_long_as_it_is_kept(
    seed: int, group: str, height: float, wear: float
) -> None:
    rng = np.random.default_rng(seed)
    bumps = [np.exp(-0.5 * (((HOURS - rng.uniform(0, 24) + 12) % 24 - 12) / rng.uniform(0.7, 4)) ** 2) for _ in "abc"]
    day = 0.6 + height * sum(bumps) * rng.choice([-0.5, 1.0]) + rng.uniform(0, 0.1, 24)
    centre = _centre(np.clip(day, 0.01, None))
    (given_label,) = label_segments(group, np.array([centre]), [PLAIN], [f"{group}1"])
    assert _claim(given_label.name_tags[0], centre[:24], 1.0), given_label.name

    worn = _centre(np.clip(centre[:24] * (1 + rng.normal(0, wear, 24)), 0.01, None))
    (kept,) = label_segments(group, np.array([worn]), [PLAIN], [f"{group}1"], {f"{group}1": given_label.name_tags})
    assert _claim(kept.name_tags[0], worn[:24], 1 - PRIMARY_TOLERANCE), kept.name


@pytest.mark.parametrize(
    ("group", "profile", "tag"),
    [
        ("B", {"weekend_ratio": 0.3}, "two_rest_days"),
        ("B", {"weekend_ratio": 0.7}, "one_rest_day"),
        ("B", {"weekend_ratio": 1.0}, "no_rest_days"),
        ("R", {"summer_ratio": 1.5}, "summer_sensitive"),
        ("R", {"winter_ratio": 1.5}, "winter_sensitive"),
        ("R", {"weekend_ratio": 1.2}, "weekend_home"),
        ("R", {"daily_kwh_cv": 0.8}, "volatile"),
        ("R", {"kwh_change_yoy_pct": 20.0}, "rising"),
        ("R", {"kwh_change_yoy_pct": -20.0}, "falling"),
    ],
)
def test_medians_of_the_members_give_further_tags(group: str, profile: dict[str, float], tag: str) -> None:
    assert qualifier_tags(Facts.of(group, _centre(np.ones(24)), PLAIN | profile))[0] == tag


def test_unknown_medians_give_no_tag() -> None:
    assert qualifier_tags(Facts.of("R", _centre(np.ones(24)), dict.fromkeys(PROFILE_COLUMNS, np.nan))) == []


def test_a_winter_segment_says_so_in_both_languages() -> None:
    (label,) = label_segments("R", np.array([_centre(np.ones(24))]), [PLAIN | {"winter_ratio": 1.6}], ["R1"])
    assert label.name == "Steady-load households, winter heating"
    assert label.name_zh == "基荷稳定·冬季气温敏感居民"
    assert label.description == (
        "These households use nearly the same power at all hours, and use clearly more in winter; on a working day "
        "they peak at 00:00 with 1.0 times their mean power, and the median member uses 1.0 kWh a day."
    )
    assert label.offer == (
        "Help to find devices that are always on, and offer an appliance check; send advice on heating before November."
    )
    assert label.avoid.startswith("Do not spend load-shifting campaigns on them; do not set instalments")


def test_segments_with_the_same_tags_are_told_apart_by_what_differs_most() -> None:
    labels = label_segments("R", np.array([_evening(18.2), _evening(20.4)]), [PLAIN, PLAIN], ["R1", "R2"])
    assert [label.name for label in labels] == [
        "Evening-peak households, earlier peak",
        "Evening-peak households, later peak",
    ]
    alike = np.array([_evening(19.0), _evening(19.0)])
    weekends = [PLAIN | {"weekend_ratio": ratio} for ratio in (1.0, 1.1)]
    assert [label.name_tags[-1] for label in label_segments("R", alike, weekends, ["R1", "R2"])] == [
        "lower_weekend",
        "higher_weekend",
    ]


def test_segments_that_differ_in_nothing_are_told_apart_by_their_identifiers() -> None:
    alike = np.array([_evening(19.0), _evening(19.0)])
    names = [label.name for label in label_segments("R", alike, [PLAIN, PLAIN], ["R1", "R7"])]
    assert names == ["Evening-peak households, R1", "Evening-peak households, R7"]


def test_a_name_stays_while_the_median_wanders_around_the_threshold() -> None:
    centre = np.array([_evening(19.0)])
    previous: dict[str, tuple[str, ...]] = {}
    names = []
    for ratio in (1.27, 1.23, 1.26, 1.2, 1.24, 1.28, 1.1):
        (label,) = label_segments("R", centre, [PLAIN | {"summer_ratio": ratio}], ["R1"], previous)
        previous = {"R1": label.name_tags}
        names.append(label.name)
    assert set(names[:-1]) == {"Evening-peak households, summer cooling"}
    assert names[-1] == "Evening-peak households"


def test_a_kept_name_is_not_given_to_another_segment() -> None:
    previous = {"R1": ("evening_peak",)}
    labels = label_segments("R", np.array([_evening(18.2), _evening(20.4)]), [PLAIN, PLAIN], ["R1", "R2"], previous)
    assert [label.name for label in labels] == ["Evening-peak households", "Evening-peak households, later peak"]


def test_a_contrast_that_turned_round_is_named_anew() -> None:
    previous = {"R1": ("evening_peak", "earlier_peak"), "R2": ("evening_peak", "later_peak")}
    labels = label_segments("R", np.array([_evening(20.4), _evening(18.2)]), [PLAIN, PLAIN], ["R1", "R2"], previous)
    assert [label.name_tags[-1] for label in labels] == ["later_peak", "earlier_peak"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(min_value=0, max_value=10_000), group=st.sampled_from(["R", "B"]))
def test_names_are_unique_and_every_text_is_filled(seed: int, group: str) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    base = _centre(rng.uniform(0.2, 3, 24))
    # Segments may be as alike as they like.
    centres = np.array([base if rng.uniform() < 0.5 else _centre(rng.uniform(0.2, 3, 24)) for _ in range(count)])
    profiles = [PLAIN | {"weekend_ratio": float(rng.uniform(0.2, 1.3)), "mean_daily_kwh": np.nan} for _ in range(count)]
    ids = [f"{group}{number + 1}" for number in range(count)]
    labels = label_segments(group, centres, profiles, ids)
    moved = np.abs(centres + rng.normal(0, 0.1, centres.shape))
    previous = {key: label.name_tags for key, label in zip(ids, labels, strict=True) if rng.uniform() < 0.7}
    for release in (labels, label_segments(group, moved, profiles, ids, previous)):
        assert len({label.name for label in release}) == count
        assert len({label.name_zh for label in release}) == count
        assert all(all(dataclasses.astuple(label)) for label in release)


def test_every_tag_is_bilingual() -> None:
    contrasts = [tag for contrast in CONTRASTS.values() for tag in (contrast.low, contrast.high)]
    for tag in (*PRIMARY_TAGS.values(), *QUALIFIERS.values(), *contrasts):
        texts = [(tag.name, tag.name_zh), (tag.meaning, tag.meaning_zh)]
        if tag not in contrasts:
            texts += [(tag.offer, tag.offer_zh), (tag.avoid, tag.avoid_zh)]
        for english, chinese in texts:
            assert english.isascii()
            assert english
            assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
