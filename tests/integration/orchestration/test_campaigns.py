"""A campaign on the marts of a finished home: selected, exported, measured; and the service that its customers got."""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ml.audiences.register import CampaignRegister
from orchestration.audiences import export_audience, measure_campaign, preview_audience, select_audience
from orchestration.marts import current_marts
from orchestration.settings import PlatformSettings
from tests.integration.platform_home import PlatformHome

DAY = date(2026, 10, 5)
DEFINITION = """
campaign_id: bill_by_app
name: Bills in the app
purpose: Offer the app to households that pay late now and then.
channel: sms
contact_from: 2026-10-12
contact_until: 2026-10-23
control_share_pct: 40
outcome: programme.app
select:
  - {column: customer_class, is: residential}
  - {column: annual_kwh, at_least: 100}
"""


@pytest.fixture(scope="module")
def settings(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformSettings:
    """Settings of a home that has the finished one's marts and nothing else."""
    path = tmp_path_factory.mktemp("campaigns") / "home"
    shutil.copytree(finished_home.path / "marts", path / "marts")
    return finished_home.settings.model_copy(update={"home": path})


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """An audience of households with a consent for text messages."""
    path = tmp_path / "audience.yaml"
    path.write_text(DEFINITION, encoding="utf-8")
    return path


def test_a_campaign_holds_only_whom_it_may_contact_and_is_measured(
    settings: PlatformSettings, definition: Path
) -> None:
    seen = preview_audience(settings, definition, today=DAY)
    report = select_audience(settings, definition, recorded_by="desk", today=DAY)
    exported = pl.read_csv(export_audience(settings, report.campaign_id, "csv"))
    record = CampaignRegister(settings.campaigns_dir).campaign(report.campaign_id)
    status = pl.read_parquet(current_marts(settings.after_models_marts_dir).path("customer_contact_status"))
    members = exported.join(status, on="customer_key", how="inner")

    assert (seen.treated_count, seen.control_count) == (report.treated_count, report.control_count)
    assert 50 < exported.height == members.height < record.matched_count
    assert members["sms_consent_date"].is_not_null().all()
    assert (members["overdue_amount"] == 0).all()
    assert members["closed_date"].is_null().all()
    assert record.matched_count == exported.height + sum(record.excluded_counts.values())
    # The data end before the contacts, so nobody can have joined: no effect, and an interval that holds zero.
    effect = measure_campaign(settings, report.campaign_id).effect
    assert effect.difference == 0
    assert effect.low < 0 < effect.high
    level = measure_campaign(settings, report.campaign_id, outcome="portrait.mean_daily_kwh").effect
    assert level.treated_count + level.control_count == exported.height


def test_service_is_measured_for_every_contact_and_shown_on_the_site(finished_home: PlatformHome) -> None:
    marts = current_marts(finished_home.settings.after_models_marts_dir)
    parts = pl.read_parquet(marts.path("service_quality_by_dimension"))
    counts = parts.group_by("dimension").agg(pl.col("contacts_count").sum())
    total = parts.filter(pl.col("dimension") == "total")
    latest = parts.filter(pl.col("dimension") == "segment", pl.col("month") == pl.col("month").max())

    assert counts["contacts_count"].n_unique() == 1
    assert (total["responded_contacts_count"] >= total["closed_contacts_count"]).all()
    assert (total["median_hours_to_response"] < total["median_hours_to_close"]).all()
    # The latest month was scored, so most of its contacts are of customers with a segment.
    assert latest.filter(pl.col("value") != "unknown")["contacts_count"].sum() > 0.8 * latest["contacts_count"].sum()
    assert (finished_home.path / "reports" / "site" / "service_quality.html").exists()
