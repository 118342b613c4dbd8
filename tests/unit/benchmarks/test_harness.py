"""The form of a benchmark: what is registered runs, is kept, and stands in the documentation."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Figure, Measurement, benchmark, figures_table, meets_bar, run_benchmarks, run_measured

COMMITTED_RESULTS = harness.RESULTS_PATH
COMMITTED_PAGE = harness.FIGURES_PAGE


@pytest.fixture
def own_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with two figures, and files of its own."""
    monkeypatch.setattr(harness, "_REGISTRY", [])
    monkeypatch.setattr(harness, "RESULTS_PATH", tmp_path / "results.json")
    monkeypatch.setattr(harness, "FIGURES_PAGE", tmp_path / "figures.md")
    harness.FIGURES_PAGE.write_text("before\n<!-- measured: start -->\n<!-- measured: end -->\nafter\n")

    @benchmark(Figure("pages_per_second", unit="1/s", bar=10, better="higher"))
    def pages() -> list[Measurement]:
        return [Measurement("pages_per_second", 12.3456, rows=1200, peer="bare pages", peer_value=24.6912, ratio=0.5)]

    @benchmark(Figure("start_seconds", unit="s", bar=1, better="lower"))
    def start() -> list[Measurement]:
        return [Measurement("start_seconds", 2.0)]

    return tmp_path


def test_one_figure_is_measured_and_the_others_stay(own_figures: Path) -> None:
    run_benchmarks(None)

    fresh = run_benchmarks("start_seconds")

    assert [result["id"] for result in fresh] == ["start_seconds"]
    kept = json.loads((own_figures / "results.json").read_text())
    assert [(result["id"], result["value"], result["rows"]) for result in kept] == [
        ("pages_per_second", 12.346, 1200),
        ("start_seconds", 2.0, None),
    ]


def test_page_holds_the_table_of_the_results(own_figures: Path) -> None:
    run_benchmarks(None)

    page = (own_figures / "figures.md").read_text()

    assert page.startswith("before\n<!-- measured: start -->\n| id |")
    assert "| `pages_per_second` | 12.346 1/s | 10 | bare pages: 24.691 | 1,200 |" in page
    assert page.endswith("<!-- measured: end -->\nafter\n")


@pytest.mark.usefixtures("own_figures")
def test_bar_is_met_from_the_better_side() -> None:
    assert [meets_bar(result) for result in run_benchmarks(None)] == [True, False]


@pytest.mark.usefixtures("own_figures")
def test_unknown_figure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="known: pages_per_second, start_seconds"):
        run_benchmarks("speed")


def test_memory_is_that_of_the_whole_process_tree(tmp_path: Path) -> None:
    child = "import time; block = bytearray(150_000_000); time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"

    run = run_measured([sys.executable, "-c", parent], cwd=tmp_path, env=dict(os.environ))

    assert run.return_code == 0
    assert 0.14 < run.peak_gb < 1
    assert run.seconds >= 0.5


def test_documentation_shows_the_kept_results() -> None:
    results = json.loads(COMMITTED_RESULTS.read_text(encoding="utf-8"))

    assert figures_table(results) in COMMITTED_PAGE.read_text(encoding="utf-8")
