"""Scoring in parts: the parts are all customers once, and together what scoring everybody at once gives."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.marts import CustomerRange, MartsVersion
from orchestration.scoring import InSequence, ScoringTask, customer_ranges, join_parts
from orchestration.settings import PlatformSettings
from orchestration.use_cases import CreditRisk

MART = "customer_credit_features"
MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)


class FakeCreditRisk(CreditRisk):
    """Answers a number, a text that only some have, and a whole number that one part lacks."""

    feature_mart: ClassVar[str] = MART

    def score(self, bundle_dir: Path, marts: MartsVersion, month: date, settings: PlatformSettings) -> pd.DataFrame:  # noqa: ARG002  (the interface)
        rows = marts.read(MART, filters=[("as_of_month", "==", month)])
        is_even = rows["number"] % 2 == 0
        return rows.assign(
            half=rows["number"] / 2,
            remark=("even " + rows["customer_key"]).where(is_even),
            counted=rows["number"].where(rows["number"] > 2),
        )


def marts_of(folder: Path, keys: Sequence[str], months: Sequence[date] = (MAY, JUNE)) -> MartsVersion:
    rows = [(month, key, number) for month in months for number, key in enumerate(sorted(keys))]
    schema = pa.schema([("as_of_month", pa.date32()), ("customer_key", pa.string()), ("number", pa.int64())])
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    # Small groups of rows, so that a part begins and ends inside of them.
    pq.write_table(table, folder / f"{MART}.parquet", row_group_size=3)
    return MartsVersion("v", folder, {MART: len(rows)}, {MART: "f"})


def task_of(marts: MartsVersion) -> ScoringTask:
    return ScoringTask(
        use_case=FakeCreditRisk(),
        month=JUNE,
        marts=marts,
        settings=PlatformSettings(_env_file=None),
        bundle_dir=Path(),
        release="0001-a",
        bundle_version="a",
        decided_at=datetime(2026, 7, 1, tzinfo=UTC),
    )


@given(
    keys=st.sets(st.text("0123456789abcdef", min_size=1, max_size=4), min_size=1, max_size=30), size=st.integers(1, 9)
)
@settings(max_examples=25, deadline=None)
def test_parts_hold_every_customer_once_and_no_more_than_asked(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], size: int
) -> None:
    marts = marts_of(tmp_path_factory.mktemp("marts"), list(keys))

    parts = customer_ranges(marts, MART, JUNE, size)

    held = [
        marts.of_customers(part).read(MART, filters=[("as_of_month", "==", JUNE)])["customer_key"] for part in parts
    ]
    assert [key for part in held for key in part] == sorted(keys)
    assert max(map(len, held)) <= size


def test_nobody_in_a_month_is_no_part(tmp_path: Path) -> None:
    assert customer_ranges(marts_of(tmp_path, ["a"], [MAY]), MART, JUNE, 5) == []


@pytest.mark.parametrize("size", [1, 2, 4])
def test_parts_together_are_what_scoring_everybody_at_once_gives(tmp_path: Path, size: int) -> None:
    marts = marts_of(tmp_path, [f"{number:02x}" for number in range(9)])
    task = task_of(marts)
    whole = task.score(None)

    parts = InSequence().score(task, customer_ranges(marts, MART, JUNE, size), tmp_path)
    rows = join_parts(parts, tmp_path / "joined.parquet", b"source")

    joined = pq.read_table(tmp_path / "joined.parquet")
    assert rows == len(whole)
    assert joined.equals(whole)
    assert joined.to_pandas().dtypes.equals(whole.to_pandas().dtypes)
    assert joined.schema.metadata[b"kilowise.source"] == b"source"


def test_a_mart_without_customers_is_read_whole_whoever_is_asked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tariff_id": ["a", "b"]}), tmp_path / "tariff_catalogue.parquet")
    marts: Any = MartsVersion("v", tmp_path, {}, {}).of_customers(CustomerRange("0", "1"))

    assert len(marts.read("tariff_catalogue")) == 2
