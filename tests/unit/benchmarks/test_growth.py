"""Laws and plans follow from the runs by arithmetic that a reader can repeat."""

from pathlib import Path

import pytest

from benchmarks.growth import (
    TABLE_END,
    TABLE_START,
    Assumptions,
    fit_law,
    foretold,
    limits,
    plan,
    stage_values,
    write_page,
)
from benchmarks.scale import ScaleRun, Stage


def run(customers: int) -> ScaleRun:
    """A run whose stages grow in proportion, with the square, and by a constant beside the proportion."""
    size = customers / 1_000
    stages = (
        Stage("inbox/deliveries", size, 5 * size, 1.0),
        Stage("land_deliveries", 10 * size, 10 * size, 2.0),
        Stage("models/segmentation", 10 * size, 10 * size, 1.0),
        Stage("monitoring/model_owner_site", 3 + size, 3 + size, 0.5),
        Stage("monitoring/credit_risk_drift", size**2, size**2, 0.5 + 0.1 * size),
    )
    return ScaleRun(customers, 12, 0, 0.0, 0.0, 0.0, customers / 10_000, stages)


RUNS = [run(1_000), run(4_000), run(20_000)]


def cpu(stage: Stage) -> float:
    return stage.cpu_seconds


def test_a_law_is_the_slope_of_the_logarithms_with_its_interval() -> None:
    exact = fit_law([1, 10, 100], [3, 300, 30_000])
    assert exact.slope == pytest.approx(2)
    assert exact.upper - exact.lower == pytest.approx(0, abs=1e-6)

    # By hand: x = 0, 1, 2 and y = 0, 1, 1 in tens' powers give 1/2; s^2 = (1/6)/1, its error sqrt(1/6/2) = 0.2887,
    # and Student's t of one degree is 12.706.
    rough = fit_law([1, 10, 100], [1, 10, 10])
    assert rough.slope == pytest.approx(0.5)
    assert rough.upper - rough.slope == pytest.approx(12.706 * 0.288675, rel=1e-4)


def test_nothing_is_foretold_cheaper_than_in_proportion_and_a_sample_does_not_grow() -> None:
    assert foretold(RUNS, "land_deliveries", cpu, 40_000) == pytest.approx(400)
    assert foretold(RUNS, "monitoring/credit_risk_drift", cpu, 40_000) == pytest.approx(1_600)
    assert foretold(RUNS, "monitoring/model_owner_site", cpu, 40_000) == pytest.approx(46)
    assert foretold(RUNS, "models/segmentation", cpu, 10_000_000) == pytest.approx(200)
    assert stage_values(RUNS, "unknown", cpu) == {}


def test_a_plan_adds_up_hours_and_storage() -> None:
    assumed = Assumptions(readings_per_day=24, window_hours=1, node_cores=10, efficiency=0.5, replicas=3)

    made = plan([run(1_000), run(2_000)], 1_000_000, assumed)

    # 10 s per thousand of landing, 20 s of the sample's training, 2.5 s per thousand of the site, a square of drift;
    # the supplier's own files are no part of it.
    seconds = 10_000 + 200 + 2_500 + 1_000**2
    assert made.one_process_hours == pytest.approx(seconds / 3600)
    assert made.one_machine_hours == pytest.approx(seconds / 3600 / 5)
    assert made.cluster_nodes == 0
    assert made.longest_stage == "monitoring/credit_risk_drift"
    assert made.storage_tb == pytest.approx(100 * 3 / 1024)


def test_the_first_to_break_is_named_first_with_what_runs_out() -> None:
    found = limits(RUNS, Assumptions(readings_per_day=24, node_gb=8))

    assert [(one.stage, one.why) for one in found[:2]] == [
        ("monitoring/credit_risk_drift", "holds more than 8 GB"),
        ("monitoring/credit_risk_drift", "takes longer than 8 hours"),
    ]
    assert found[0].customers < found[1].customers


def test_the_page_is_renewed_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text(f"before\n{TABLE_START}\nstale\n{TABLE_END}\nafter\n", encoding="utf-8")

    write_page(RUNS, page)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "stale" not in text
    assert "| `monitoring/credit_risk_drift` | 1.0 (0.60) | 16.0 (0.90) | 400.0 (2.50) | 2.00 (2.00 to 2.00)" in text
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="has no"):
        write_page(RUNS, page)
