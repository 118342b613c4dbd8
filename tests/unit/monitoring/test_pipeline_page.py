from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from monitoring.pipeline_health import (
    HEALTH_NAME,
    DeliveredRows,
    FailedCheck,
    PipelineHealth,
    PipelineRun,
    RunCost,
    SourceFreshness,
    write_pipeline_health,
)
from monitoring.pipeline_page import ENTITY_TITLES, REASON_TITLES, pipeline_page, read_pipeline_page
from monitoring.site import build_site
from orchestration.ingestion.contract import ENTITIES
from orchestration.ingestion.quarantine import Reason
from tests.unit.monitoring.languages import english_only

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OCTOBER = datetime(2026, 10, 2, tzinfo=UTC)


def source(entity: str, usual_gap_days: float | None) -> SourceFreshness:
    return SourceFreshness(
        entity=entity, deliveries_count=3, last_known_at=OCTOBER, last_landed_at=OCTOBER, usual_gap_days=usual_gap_days
    )


def delivered(month: date, entity: str, rows_in: int, **quarantined: int) -> DeliveredRows:
    refused = sum(quarantined.values())
    return DeliveredRows(
        month=month, entity=entity, rows_in=rows_in, rows_loaded=rows_in - refused, rows_corrected=0, rows_duplicate=0,
        rows_quarantined=refused, quarantined_by_reason=quarantined,
    )  # fmt: skip


def health(**parts: Any) -> PipelineHealth:
    return PipelineHealth(collected_at=NOW, **parts)


def test_every_entity_and_reason_of_the_landing_has_a_title_in_both_languages() -> None:
    assert set(ENTITIES) <= set(ENTITY_TITLES)
    assert {reason.value for reason in Reason} == set(REASON_TITLES)
    assert all(title.zh for title in (*ENTITY_TITLES.values(), *REASON_TITLES.values()))


def test_late_sources_come_first_and_call_for_somebody() -> None:
    page = pipeline_page(health(sources=(source("bills", 60), source("weather", 1))))
    assert [row.source.entity for row in page.sources] == ["weather", "bills"]
    assert page.needs_attention


def test_the_simulated_supplier_that_has_delivered_everything_calls_for_nobody() -> None:
    page = pipeline_page(health(sources=(source("weather", 1),), is_simulated=True))
    assert len(page.late) == 1
    assert not page.needs_attention


@pytest.mark.parametrize(("asset", "is_the_pipelines"), [("marts/a", True), ("monitoring/credit_risk_drift", False)])
def test_a_failed_check_calls_for_somebody_unless_the_model_tells_it(asset: str, *, is_the_pipelines: bool) -> None:
    check = FailedCheck(asset=asset, check="keys", severity="WARN", description="", evaluated_at=NOW, failing_since=NOW)
    assert pipeline_page(health(failed_checks=(check,), checks_count=9)).needs_attention is is_the_pipelines


def test_a_month_in_which_a_source_did_not_come_is_a_gap_and_not_a_zero() -> None:
    july, august = date(2026, 7, 1), date(2026, 8, 1)
    rows = (delivered(july, "bills", 100, orphan=5), delivered(july, "meters", 4), delivered(august, "meters", 8))
    page = pipeline_page(health(deliveries=rows))
    bills, meters = page.by_entity
    assert [cell.rows for cell in bills.cells] == [100, None]
    assert [cell.shade_pct for cell in meters.cells] == [50, 100]
    assert bills.cells[0].quarantined_pct == 5
    assert [(bar.rows, bar.height_pct) for bar in page.quarantine] == [(5, 100), (0, 0)]
    [refused] = page.refused
    assert (refused.title.en, refused.reason.en, refused.share_pct) == ("Bills", "Belongs to nothing known", 5)


@pytest.mark.parametrize("content", ["{", '{"collected_at": "2026-11-22T00:00:00Z", "columns_of_a_later_form": 1}'])
def test_a_file_of_another_form_leaves_the_page_out_until_it_is_collected_again(tmp_path: Path, content: str) -> None:
    (tmp_path / HEALTH_NAME).write_text(content)
    assert read_pipeline_page(tmp_path) is None


def test_the_site_leads_to_the_page_which_says_when_a_source_will_be_late(tmp_path: Path) -> None:
    write_pipeline_health(
        health(sources=(source("bills", 60),), deliveries=(delivered(date(2026, 7, 1), "bills", 10, orphan=5),)),
        tmp_path / "reports",
    )
    index = build_site(tmp_path)
    assert 'href="pipeline_health.html"' in index.read_text(encoding="utf-8")
    text = index.with_name("pipeline_health.html").read_text(encoding="utf-8")
    assert 'data-late-from="2026-12-31T00:00:00+00:00"' in text
    assert "Belongs to nothing known" in text
    assert english_only(index.parent) == {}


def test_what_runs_of_a_job_used_is_told_by_the_middle_run_and_its_largest_step(tmp_path: Path) -> None:
    def run(job: str, cpu_seconds: float, memory: int) -> PipelineRun:
        cost = RunCost(cpu_seconds=cpu_seconds, peak_memory_bytes=memory, read_bytes=5_000_000, written_bytes=7_000_000)
        return PipelineRun(run_id="r", job=job, status="success", started_at=NOW, cost=cost)

    old = PipelineRun(run_id="o", job="refresh_data", status="success", started_at=NOW)
    told = (run("refresh_data", 10, 10**9), run("refresh_data", 30, 10**8), run("refresh_data", 20, 10**8))
    page = pipeline_page(health(runs=(*told, run("refresh_models", 90, 10**8), old)))

    models, data = page.job_costs
    assert (models.job, models.cpu_seconds) == ("refresh_models", 90)
    assert (data.runs_count, data.cpu_seconds, data.peak_memory_bytes) == (3, 20, 10**9)

    write_pipeline_health(page.health, tmp_path / "reports")
    index = build_site(tmp_path)
    assert english_only(index.parent) == {}
    text = index.with_name("pipeline_health.html").read_text(encoding="utf-8")
    assert "1,000 MB" in text
