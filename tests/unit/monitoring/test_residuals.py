"""Residuals by group: the arithmetic on cases with a known answer, and how seldom a quiet group is called drifted."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.policy import load_policy
from monitoring.residuals import concept_drift, with_groups
from tests.unit.monitoring.factories import MONTH

RULE = load_policy("credit_risk", MONTH).concept
MONTHS = (date(2026, 1, 1), date(2026, 2, 1))


def matured(rng: np.random.Generator, customers: int = 1_500, *, extra: float = 0.0) -> pd.DataFrame:
    """Two months of the same customers whose default is drawn by the prediction, plus ``extra`` in the east."""
    keys = [f"c{number}" for number in range(customers)]
    probability = rng.beta(2, 18, customers)
    district = rng.choice(["east", "west"], customers)
    happened = rng.random(customers) < probability + np.where(district == "east", extra, 0)
    frame = {"customer_key": keys, "predicted": probability, "observed": happened.astype(float), "district": district}
    return pd.concat([pd.DataFrame({"as_of_month": month, **frame}) for month in MONTHS], ignore_index=True)


def bundle(folder: Path, rng: np.random.Generator, gap: float = 0.0, rows: int = 6_000) -> Path:
    """Write a reference whose labels are drawn by its predictions plus a gap that the model always had."""
    probability = rng.beta(2, 18, rows)
    pd.DataFrame(
        {
            "customer_key": [f"r{number}" for number in range(rows)],
            "district": rng.choice(["east", "west"], rows),
            "default_probability": probability,
            "is_default": pd.array([*(rng.random(rows - 9) < probability[9:] + gap), *[None] * 9], dtype="boolean"),
        }
    ).to_parquet(folder / "reference.parquet")
    return folder


def judge(frame: pd.DataFrame, folder: Path):
    return concept_drift(frame, folder, column="default_probability", label="is_default", rule=RULE)


def test_a_group_for_which_the_model_has_become_wrong_leads_and_is_strong(tmp_path) -> None:
    rng = np.random.default_rng(0)
    drift = judge(matured(rng, extra=0.15), bundle(tmp_path, rng))
    first = drift.groups[0]
    assert (first.dimension, first.group, first.level) == ("district", "east", "strong")
    assert first.gap == pytest.approx(0.15, abs=0.03)
    assert first.gap_lower > 0.08
    assert drift.months == MONTHS
    assert {group.group: group.level for group in drift.groups}["west"] == "quiet"


def test_what_a_bad_year_does_to_everybody_is_no_change_of_one_group(tmp_path) -> None:
    rng = np.random.default_rng(0)
    frame = matured(rng, extra=0.06)
    folder = bundle(tmp_path, rng)
    without, with_years = (
        concept_drift(
            frame, folder, column="default_probability", label="is_default", rule=RULE, common_shift_sd=common_shift_sd
        ).groups[0]
        for common_shift_sd in (0.0, 0.2)
    )
    assert (without.group, without.level) == ("east", "drifted")
    assert (with_years.group, with_years.level) == ("east", "quiet")
    assert with_years.gap == without.gap


def test_a_gap_that_the_model_had_at_release_is_no_change(tmp_path) -> None:
    rng = np.random.default_rng(0)
    frame = matured(rng, extra=0.15)
    drift = judge(frame[frame["district"] == "east"], bundle(tmp_path, rng, gap=0.15))
    east = next(group for group in drift.groups if group.group == "east")
    assert east.level == "quiet"
    assert east.gap_at_release == pytest.approx(0.15, abs=0.02)


def test_quiet_groups_are_seldom_called_drifted(tmp_path) -> None:
    folder = bundle(tmp_path, np.random.default_rng(0))
    levels = [
        group.level for seed in range(40) for group in judge(matured(np.random.default_rng(seed), 300), folder).groups
    ]
    assert len(levels) == 120
    assert set(levels) == {"quiet"}


def test_a_dozen_small_groups_of_a_quiet_month_are_not_called_drifted(tmp_path) -> None:
    folder = bundle(tmp_path, np.random.default_rng(0))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = matured(rng, 1_800)
        letters = dict(zip(frame["customer_key"].unique(), rng.choice(list("abcdefghijkl"), 1_800), strict=True))
        groups = judge(frame.assign(district=frame["customer_key"].map(letters)), folder).groups
        assert {group.level for group in groups} <= {"quiet", None}


def test_the_months_of_one_customer_are_no_further_evidence(tmp_path) -> None:
    rng = np.random.default_rng(0)
    two_months = matured(rng)
    folder = bundle(tmp_path, rng)
    once, twice = (
        next(group for group in judge(frame, folder).groups if group.group == "all")
        for frame in (two_months[two_months["as_of_month"] == MONTHS[0]], two_months)
    )
    assert twice.rows == 2 * once.rows
    assert twice.gap_upper - twice.gap_lower == pytest.approx(once.gap_upper - once.gap_lower, rel=1e-6)


def test_small_groups_and_groups_with_few_defaults_are_not_judged(tmp_path) -> None:
    rng = np.random.default_rng(0)
    folder = bundle(tmp_path, rng)
    few_rows = matured(rng).assign(district=lambda f: np.where(f.index < 90, "north", "west"))
    safe = matured(rng).assign(predicted=0.001, observed=0.0)
    assert {group.group: group.level for group in judge(few_rows, folder).groups}["north"] is None
    assert {group.level for group in judge(safe, folder).groups} == {None}


def test_predicted_defaults_that_never_happen_are_seen(tmp_path) -> None:
    rng = np.random.default_rng(0)
    assert judge(matured(rng).assign(observed=0.0), bundle(tmp_path, rng)).groups[0].level == "strong"


def test_without_labels_in_the_reference_the_gap_is_held_against_none(tmp_path) -> None:
    rng = np.random.default_rng(0)
    pd.DataFrame({"customer_key": ["a"]}).to_parquet(tmp_path / "reference.parquet")
    drift = judge(matured(rng, extra=0.15), tmp_path)
    assert (drift.groups[0].gap_at_release, drift.groups[0].level) == (None, "strong")


def test_groups_are_those_of_the_month_of_scoring_and_unreadable_ones_are_left_out(tmp_path) -> None:
    credit, segments = tmp_path / "credit_risk", tmp_path / "segmentation"
    for number, month in enumerate(MONTHS):
        for folder, values in (
            (credit, {"customer_class": ["residential"], "district": ["east"]}),
            (segments, {"segment_id": [f"R{number}"]}),
        ):
            path = folder / f"as_of_month={month}" / "predictions.parquet"
            path.parent.mkdir(parents=True)
            pd.DataFrame({"customer_key": ["a"], **values}).to_parquet(path)
    known = pd.DataFrame({"customer_key": "a", "as_of_month": MONTHS, "probability": 0.1, "is_default": True})
    names = {"probability": "probability", "outcome": "is_default", "predictions_dir": credit}
    grouped = with_groups(known, **names, segments_dir=segments)
    assert grouped[["customer_class", "district", "segment"]].to_numpy().tolist() == [
        ["residential", "east", "R0"],
        ["residential", "east", "R1"],
    ]
    (segments / f"as_of_month={MONTHS[0]}" / "predictions.parquet").write_bytes(b"torn")
    assert with_groups(known, **names, segments_dir=segments)["segment"].isna().tolist() == [True, False]
