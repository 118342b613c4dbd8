"""What a finished home tells of segments: one page, and the same segments in predictions, portrait and release."""

import pandas as pd

from orchestration.marts import current_marts
from tests.integration.platform_home import PlatformHome


def _latest_predictions(home: PlatformHome) -> pd.DataFrame:
    paths = sorted((home.path / "predictions" / "batch" / "segmentation").glob("*/predictions.parquet"))
    return pd.read_parquet(paths[-1])


def test_the_site_tells_of_every_segment_in_both_languages(finished_home: PlatformHome) -> None:
    page = (finished_home.path / "reports" / "site" / "segmentation" / "segments.html").read_text(encoding="utf-8")
    predictions = _latest_predictions(finished_home)
    for name in {*predictions["segment_name"], *predictions["segment_name_zh"]}:
        assert name in page
    assert not set(predictions["customer_key"]).intersection(page.split('"'))
    assert len(page.encode()) < 2_000_000


def test_migration_tells_of_months_whose_month_before_was_scored(finished_home: PlatformHome) -> None:
    migration = current_marts(finished_home.settings.after_models_marts_dir).read("segment_migration_monthly")
    paths = sorted((finished_home.path / "predictions" / "batch" / "segmentation").glob("*/predictions.parquet"))
    scored = {pd.Timestamp(path.parent.name.partition("=")[2]): len(pd.read_parquet(path)) for path in paths}
    compared = {month for month in scored if month - pd.DateOffset(months=1) in scored}
    assert set(pd.to_datetime(migration["as_of_month"])) == compared
    for month in compared:
        rows = migration[pd.to_datetime(migration["as_of_month"]) == month]
        assert rows.loc[rows["to_segment_id"] != "lost", "customers_count"].sum() == scored[month]
