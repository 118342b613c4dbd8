"""The record of outcomes is brought up to a month, and the month is judged only by what was known at its end."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from ml.splits import add_months
from monitoring.late_labels import KnownOutcomes, LateLabels, look_back
from monitoring.outcomes import read_outcomes
from monitoring.policy import load_policy
from tests.unit.monitoring.factories import RELEASE, prediction_frame
from tests.unit.monitoring.test_performance import outcomes_of
from tests.unit.monitoring.test_vintages import vintages

HORIZON = 6
MONTHS = [add_months(date(2025, 1, 1), count) for count in range(9)]
POLICY = load_policy("credit_risk", date(2026, 11, 22))


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Nine months of predictions, whose outcomes follow six months later."""
    directory = tmp_path_factory.mktemp("scored")
    frames = [prediction_frame("credit_risk", month, 600, seed=4) for month in MONTHS]
    for month, frame in zip(MONTHS, frames, strict=True):
        path = directory / f"as_of_month={month.isoformat()}" / "predictions.parquet"
        path.parent.mkdir(parents=True)
        frame.to_parquet(path)
    labels = outcomes_of(frames)
    labels["window_end_date"] = [add_months(month, HORIZON) for month in labels["as_of_month"]]
    return directory, labels


def looked_back(scored, reports_dir: Path, month: date, *, seen_until: date | None = None) -> LateLabels:
    directory, labels = scored
    return look_back(
        POLICY,
        month,
        KnownOutcomes(labels, vintages([20] * 12)),
        predictions_dir=directory,
        bundle_dir=reports_dir / "bundle",
        release=RELEASE,
        reports_dir=reports_dir,
        seen_until=seen_until,
    )


def test_estimates_are_kept_and_their_record_grows_with_the_outcomes(scored, tmp_path) -> None:
    first = looked_back(scored, tmp_path, MONTHS[0])
    assert first.estimate is not None
    assert first.estimate.independent_windows == 0
    last = looked_back(scored, tmp_path, MONTHS[-1])
    assert last.estimate is not None
    # January's outcomes were known at the end of July, and September's estimate is made after it.
    assert last.estimate.independent_windows == 1
    assert last.estimate_record is not None
    assert last.estimate_record.months == 2
    record = read_outcomes(tmp_path, "credit_risk")
    assert record is not None
    assert [entry.month for entry in record.estimates] == [MONTHS[0], MONTHS[-1]]


def test_reviewing_a_month_again_replaces_its_entry_with_an_equal_one(scored, tmp_path) -> None:
    once = looked_back(scored, tmp_path, MONTHS[0])
    before = (tmp_path / "credit_risk" / "outcomes.json").read_bytes()
    again = looked_back(scored, tmp_path, MONTHS[0])
    assert again == once
    assert (tmp_path / "credit_risk" / "outcomes.json").read_bytes() == before


def test_months_that_the_model_had_seen_are_not_estimated(scored, tmp_path) -> None:
    assert looked_back(scored, tmp_path, MONTHS[0], seen_until=MONTHS[0]).estimate is None


def test_an_earlier_month_is_judged_by_its_own_time_and_takes_nothing_from_the_record(scored, tmp_path) -> None:
    looked_back(scored, tmp_path, date(2026, 2, 1))
    late = looked_back(scored, tmp_path, date(2025, 10, 1))
    assert late.vintage is not None
    assert late.vintage.point.month == date(2025, 8, 1)
    record = read_outcomes(tmp_path, "credit_risk")
    assert record is not None
    assert max(add_months(point.month, point.months_since) for point in record.vintages) == date(2026, 2, 1)


def test_a_use_case_without_outcomes_has_an_empty_record(tmp_path) -> None:
    late = look_back(
        POLICY,
        MONTHS[0],
        KnownOutcomes(),
        predictions_dir=tmp_path,
        bundle_dir=tmp_path,
        release=RELEASE,
        reports_dir=tmp_path,
        seen_until=None,
    )
    assert late == LateLabels()
