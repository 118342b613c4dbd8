"""The adapters between marts and models: what is priced from readings, and what is left out of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest

from ml.bundle import Bundle, read_bundle
from ml.columns import names
from ml.credit_risk.rating import HISTORY_COLUMNS
from ml.segmentation.model import SegmentationModel
from ml.tariff_matching.schema import FEATURES
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.schema import load_tariff
from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings
from orchestration.use_cases import (
    CreditRisk,
    Segmentation,
    _interval_amounts,
    _told_segments,
    _used_segment_numbers,
    present_catalogue,
)
from tests.unit.serving.builders import feature_table, write_small_bundle

HOURS_OF_MARCH = 31 * 24


def tariff(tariff_id: str, *components: dict[str, Any]) -> Any:
    return load_tariff(
        {
            "tariff_id": tariff_id,
            "version": "1",
            "name": tariff_id,
            "valid_from": "2025-01-01",
            "currency": "CNY",
            "verified": True,
            "components": list(components),
        }
    )


LADDER_IN_TIME = {
    "kind": "energy",
    "name": "energy",
    "tiers": {"basis": "day", "limits_kwh": [12], "allocation": "chronological"},
    "tables": [{"prices": {"all": [0.5, 1]}}],
}
CAPACITY = {"kind": "capacity", "name": "capacity", "tables": [{"price": 20}]}


@pytest.fixture
def marts() -> MartsVersion:
    """Two customers, one kWh in every hour of March 2026 in Shanghai; the capacity of one is known."""
    start = datetime(2026, 2, 28, 16, tzinfo=UTC)
    readings = pa.table(
        {
            "customer_key": ["c"] * HOURS_OF_MARCH + ["with_kva"] * HOURS_OF_MARCH,
            "read_at": [start + timedelta(hours=hour) for hour in range(HOURS_OF_MARCH)] * 2,
            "interval_minutes": [60] * 2 * HOURS_OF_MARCH,
            "kwh": [Decimal("1.0000")] * 2 * HOURS_OF_MARCH,
        }
    )
    facts = {"customer_class": "industrial", "contract_capacity_kva": [None, 5.0]}
    features = pd.DataFrame(
        {"customer_key": ["c", "with_kva"], "as_of_month": date(2026, 3, 1)} | dict.fromkeys(names(FEATURES)) | facts
    )
    return cast("MartsVersion", SimpleNamespace(read_table=lambda _mart: readings, read=lambda _mart: features))


def test_tariffs_that_need_readings_are_priced_for_customers_whose_facts_are_known(marts: MartsVersion) -> None:
    catalogue = Catalogue.of([tariff("ladder", LADDER_IN_TIME), tariff("needs_kva", LADDER_IN_TIME, CAPACITY)])

    amounts = _interval_amounts(marts, catalogue, PlatformSettings(_env_file=None))

    assert amounts is not None
    ladder = 31 * (12 * 0.5 + 12 * 1)
    assert {(row.tariff_id, row.customer_key): row.amount for row in amounts.itertuples()} == {
        ("ladder", "c"): pytest.approx(ladder),
        ("ladder", "with_kva"): pytest.approx(ladder),
        ("needs_kva", "with_kva"): pytest.approx(ladder + 5 * 20),
    }


def test_only_tariffs_in_the_currency_of_the_platform_are_compared(tmp_path: Path) -> None:
    flat = {"kind": "energy", "name": "energy", "tables": [{"prices": {"all": 0.5}}]}
    landed = pd.DataFrame(
        {
            "tariff_json": [
                tariff("here", flat).to_json(),
                tariff("elsewhere", flat).model_copy(update={"currency": "EUR"}).to_json(),
            ]
        }
    )
    marts = cast("MartsVersion", SimpleNamespace(read=lambda _mart, columns: landed[columns]))

    catalogue = present_catalogue(marts, PlatformSettings(_env_file=None, home=tmp_path))

    found = {one.tariff_id for one in catalogue.tariffs}
    assert "here" in found
    assert "elsewhere" not in found


def test_readings_are_not_read_when_the_cube_prices_everything(marts: MartsVersion) -> None:
    flat = {"kind": "energy", "name": "energy", "tables": [{"prices": {"all": 0.5}}]}

    nothing = _interval_amounts(marts, Catalogue.of([tariff("flat", flat)]), PlatformSettings(_env_file=None))

    assert nothing is None


def test_the_rating_in_force_of_a_month_follows_from_the_months_up_to_it(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle", "credit_risk")
    calm = feature_table("credit_risk", 6, month=date(2026, 1, 1)).assign(
        unpaid_balance_ratio=0.0, confirmed_breaches_24m_count=0.0, bills_12m_count=12.0
    )
    caught = calm.assign(as_of_month=date(2026, 2, 1), confirmed_breaches_24m_count=1.0)
    months = pd.concat([calm, caught, calm.assign(as_of_month=date(2026, 3, 1))], ignore_index=True)

    def read(mart: str, filters: list[tuple[str, str, date]] | None = None) -> pd.DataFrame:
        assert mart == "customer_credit_features"
        if filters is None:
            return months
        [(column, sign, month)] = filters
        return months[months[column].eq(month) if sign == "==" else months[column].le(month)].reset_index(drop=True)

    marts = cast(MartsVersion, SimpleNamespace(read=read))
    settings = cast(PlatformSettings, None)
    january, february, march = (
        CreditRisk().score(tmp_path / "bundle", marts, date(2026, month, 1), settings).set_index("customer_key")
        for month in (1, 2, 3)
    )

    assert january["rating_in_force"].equals(january["credit_rating"])
    assert set(february["rating_in_force"]) <= {"C", "D"}
    # One good month does not lift a cap.
    assert march["rating_in_force"].equals(february["rating_in_force"])
    capped = february["moved_by"] == "veto"
    assert capped.any()
    assert set(march.loc[capped, "in_force_since_month"]) == {date(2026, 2, 1)}
    # A release takes along what the batch of each month says.
    taken = CreditRisk().snapshot_features(read_bundle(tmp_path / "bundle"), marts).set_index("customer_key")
    for month, batch in ((1, january), (2, february), (3, march)):
        own = taken[taken["as_of_month"] == date(2026, month, 1)].loc[batch.index]
        pd.testing.assert_frame_equal(own[[*HISTORY_COLUMNS]], batch[[*HISTORY_COLUMNS]])


def test_a_trend_counts_in_the_batch_once_two_months_show_it(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle", "segmentation")
    calm = feature_table("segmentation", 4, month=date(2026, 1, 1)).assign(
        kwh_change_yoy_pct=0.0, tenure_months=60.0, closing_in_days=None, returned_ago_months=None, zero_days_count=0.0
    )
    grown = calm.assign(kwh_change_yoy_pct=40.0)
    months = pd.concat([calm, *(grown.assign(as_of_month=date(2026, month, 1)) for month in (2, 3))], ignore_index=True)

    def read(mart: str, filters: list[tuple[str, str, date]]) -> pd.DataFrame:
        assert mart == "customer_segmentation_features"
        [(column, sign, month)] = filters
        kept = months[months[column].eq(month) if sign == "==" else months[column].le(month)]
        # As a mart is read: its months are timestamps.
        return kept.assign(as_of_month=pd.to_datetime(kept["as_of_month"])).reset_index(drop=True)

    marts = cast(MartsVersion, SimpleNamespace(read=read))
    batches = [
        Segmentation().score(tmp_path / "bundle", marts, date(2026, month, 1), cast(PlatformSettings, None))
        for month in (1, 2, 3)
    ]

    assert [set(batch["life_cycle_stage"]) for batch in batches] == [{"stable"}, {"growing"}, {"growing"}]
    assert [set(batch["life_cycle_stage_in_force"]) for batch in batches] == [{"stable"}, {"stable"}, {"growing"}]


def test_the_numbers_of_segments_outlive_a_rollback(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle", "segmentation")
    model = SegmentationModel.from_files(read_bundle(tmp_path / "bundle").estimator_files())
    settings = PlatformSettings(_env_file=None, home=tmp_path / "home")
    assert _used_segment_numbers(settings) == {}

    # The second release has a new residential segment; then the first one is served again, and released anew.
    for numbers in ({"R": 3, "B": 2}, {"R": 4, "B": 2}, {"R": 3, "B": 2, "RD": 1}):
        files = model.model_copy(update={"last_numbers": numbers}).to_files()
        bundle = cast(Bundle, SimpleNamespace(estimator_files=lambda files=files: files))
        Segmentation().before_release(bundle, settings)

    assert _used_segment_numbers(settings) == {"R": 4, "B": 2, "RD": 1}


def test_what_customers_were_told_is_that_of_the_latest_batch(tmp_path: Path) -> None:
    settings = PlatformSettings(_env_file=None, home=tmp_path)
    assert _told_segments(settings) is None
    for month, segment_id in (("2026-08-01", "R1"), ("2026-09-01", "R2")):
        path = settings.predictions_dir / "batch" / "segmentation" / f"as_of_month={month}" / "predictions.parquet"
        path.parent.mkdir(parents=True)
        pd.DataFrame(
            {"customer_key": ["c"], "segment_id": [segment_id], "segment_name": ["Evening"], "segment_name_zh": ["晚"]}
        ).to_parquet(path)

    told = _told_segments(settings)

    assert told is not None
    assert told.to_dict("records") == [
        {"customer_key": "c", "segment_id": "R2", "segment_name": "Evening", "segment_name_zh": "晚"}
    ]
