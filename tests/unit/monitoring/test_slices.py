"""Reviews on demand: only the part that was asked for, on both sides, and nothing that a monthly review would do."""

import json
import shutil
from datetime import date

import pandas as pd
import pytest

from monitoring.__main__ import main
from monitoring.sections import ReviewSlice
from monitoring.slices import SliceError, read_slices, review_slice, slice_name
from monitoring.verdicts import VerdictError, read_verdicts
from tests.unit.monitoring.factories import MONTH, Platform, prediction_frame, reference_frame

JULY = date(2026, 7, 1)


@pytest.fixture
def platform(make_platform) -> Platform:
    """Credit risk with two months, of which only the east's residential customers have become riskier."""
    platform = make_platform(rows=0)
    reference = reference_frame("credit_risk", rows=200)
    reference["customer_class"] = ["residential", "commercial"] * (len(reference) // 2)
    platform.write_reference(reference)
    for month in (JULY, MONTH):
        frame = prediction_frame("credit_risk", month, 2_000, seed=1)
        frame["customer_class"] = ["residential", "commercial"] * (len(frame) // 2)
        riskier = (frame["district"] == "east") & (frame["customer_class"] == "residential")
        frame.loc[riskier, "default_probability"] *= 2
        platform.write_batch(frame, month)
    return platform


def part(first: date = MONTH, last: date = MONTH, **customers: str) -> ReviewSlice:
    return ReviewSlice(first_month=first, last_month=last, **customers)


def review(platform: Platform, wanted: ReviewSlice, *, with_report: bool = False):
    return review_slice(platform.use_case, wanted, **platform.folders, with_report=with_report)


def test_only_the_customers_that_were_asked_for_are_judged(platform) -> None:
    east = review(platform, part(customer_class="residential", district="east"))
    west = review(platform, part(customer_class="residential", district="west"))
    assert (east.outcome, west.outcome) == ("act", "stable")
    assert east.reasons[0].code == "prediction_drift"
    assert 400 < east.rows_current < 600
    assert east.rows_reference < 800


def test_a_review_on_demand_is_kept_beside_the_months_and_tells_nobody(platform) -> None:
    wanted = part(JULY, customer_class="residential", district="east")
    verdict = review(platform, wanted, with_report=True)
    review(platform, part(district="west"))
    other, newest = read_slices(platform.reports_dir)
    assert (newest.verdict, other.verdict.part) == (verdict, part(district="west"))
    assert newest.directory.name.startswith("2026-07_2026-08_residential_east_")
    assert (platform.reports_dir / verdict.report_path).parent == newest.directory
    assert len(read_verdicts(platform.reports_dir)) == 0
    assert {path.name for path in platform.reports_dir.iterdir()} == {"credit_risk"}
    assert verdict.part.sentence("zh") == "2026-07 至 2026-08，客户类别 residential，区域 east"
    month = review(platform, part(customer_class="residential", district="east"))
    assert verdict.rows_current > 1.8 * month.rows_current


def test_too_small_a_part_is_not_enough_data_and_has_no_report(platform) -> None:
    small = prediction_frame("credit_risk", MONTH, 120, seed=1).assign(customer_class="industrial")
    platform.write_batch(small)
    verdict = review(platform, part(customer_class="industrial"), with_report=True)
    assert (verdict.outcome, verdict.report_path) == ("not_enough_data", None)
    assert {reason.code for reason in verdict.reasons if reason.severity == "unknown"} >= {"too_few_rows"}


def test_a_segment_of_another_model_is_its_members_in_the_last_month(platform) -> None:
    members = [f"{number:032x}" for number in range(400)]
    segments = pd.DataFrame({"customer_key": [*members, "x"], "segment_id": ["R1"] * 400 + ["R2"]})
    folder = platform.predictions_dir.with_name("segmentation") / f"as_of_month={MONTH}"
    folder.mkdir(parents=True)
    segments.to_parquet(folder / "predictions.parquet")
    assert review(platform, part(segment_id="R1")).rows_current == 400
    with pytest.raises(SliceError, match="'R9' is unknown; known are R1, R2"):
        review(platform, part(segment_id="R9"))
    with pytest.raises(SliceError, match="segmentation has no predictions of 2026-07"):
        review(platform, part(JULY, JULY, segment_id="R1"))


def test_a_segment_of_segmentation_is_what_its_rows_say(make_platform) -> None:
    platform = make_platform("segmentation", rows=0)
    for write, frame in (
        (platform.write_reference, reference_frame("segmentation", rows=100)),
        (platform.write_batch, prediction_frame("segmentation", MONTH, 800, seed=1)),
    ):
        write(frame.assign(segment_id=["R1", "R2"] * (len(frame) // 2)))
    verdict = review(platform, part(segment_id="R1"))
    assert (verdict.rows_current, verdict.rows_reference) == (400, 600)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (part(date(2026, 8, 2)), "give the first days of months, such as 2026-08-01"),
        (part(MONTH, JULY), "give 1 to 36 months, the earlier one first"),
        (part(date(2020, 1, 1)), "give 1 to 36 months"),
        (part(customer_class="martian"), "'martian' is unknown; known are residential, commercial"),
        (part(district="north"), "'north' is unknown to the release; known are east, west"),
    ],
)
def test_a_window_or_a_part_that_there_is_not_is_refused(platform, wanted, message) -> None:
    with pytest.raises(SliceError, match=message):
        review(platform, wanted)


def test_parts_that_differ_have_folders_that_differ() -> None:
    names = {slice_name(part(district=name)) for name in ("a b", "a-b", "a/b", "../a")}
    assert len(names) == 4
    assert not any("/" in name or "." in name for name in names)
    assert slice_name(part()).startswith("2026-08_all_")


def test_a_broken_stored_review_is_named(platform) -> None:
    path = platform.reports_dir / "credit_risk" / "on_demand" / "x" / "verdict.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(VerdictError, match="review this part again or remove its folder"):
        read_slices(platform.reports_dir)


def test_the_command_finds_the_release_and_says_what_it_found(platform, capsys) -> None:
    home = platform.home
    assert main(["--home", str(home), "review", "credit_risk", "--month", "2026-08"]) == 1
    assert "credit_risk has no release" in capsys.readouterr().err
    folder = home / "releases" / "credit_risk"
    (folder / platform.release).mkdir(parents=True)
    (folder / "CURRENT").write_text(platform.release)
    (folder / platform.release / "release.json").write_text(json.dumps({"bundle_version": "202608-0123"}))
    shutil.copytree(platform.bundle_dir, home / "models" / "models" / "credit_risk" / "202608-0123" / "bundle")
    asked = ["--home", str(home), "review", "credit_risk", "--month", "2026-08", "--district", "east"]
    assert main([*asked, "--class", "industrial", "--since", "2026-07"]) == 0
    said, *findings = capsys.readouterr().out.splitlines()
    assert said.startswith("2026-07 to 2026-08, class industrial, district east: Credit risk, 2026-08: Not enough")
    assert all(finding.startswith("- ") for finding in findings)
    (stored,) = read_slices(platform.reports_dir)
    assert stored.verdict.part.first_month == JULY
