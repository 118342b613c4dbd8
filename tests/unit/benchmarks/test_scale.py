"""Growth: a run that would fill the disk is refused, and a run is kept in place of an earlier one of its size."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import DiskTooSmallError, ScaleRun, Stage, check_disk, keep, read_runs

RUN = ScaleRun(
    customers=500,
    months=12,
    rows=4_000_000,
    seconds=60.0,
    cpu_seconds=90.0,
    peak_gb=0.9,
    disk_gb=0.1,
    stages=(Stage("land_deliveries", 20.0, 30.0, 0.5), Stage("dbt_models", 40.0, 60.0, 0.9)),
)


def test_a_run_that_would_fill_the_disk_is_refused_with_the_largest_that_fits() -> None:
    check_disk(1_000, 12, 10 * 2**30)

    with pytest.raises(
        DiskTooSmallError, match=r"1,000,000 customers x 12 months need about 160 GB .* measure 38,"
    ) as refusal:
        check_disk(1_000_000, 12, 10 * 2**30)
    assert "TMPDIR" in str(refusal.value)


def test_a_run_takes_the_place_of_an_earlier_one_of_its_size(tmp_path: Path) -> None:
    path = tmp_path / "growth.json"
    larger = replace(RUN, customers=2_000)

    for run in (larger, RUN, replace(RUN, seconds=50.0)):
        keep(run, path)

    assert read_runs(path) == [replace(RUN, seconds=50.0), larger]
