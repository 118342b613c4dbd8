"""Two homes are compared row by row: what must be equal, what may differ in its last bits, and what is said of it."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import parity
from orchestration.parity import (
    NothingToCompareError,
    TableComparison,
    compare_files,
    compare_homes,
    comparison_report,
)
from orchestration.predictions import prediction_columns

MONTH = date(2026, 8, 1)
ROWS: list[dict[str, Any]] = [
    {"customer_key": "a", "month": MONTH, "kwh": Decimal("1.5000"), "share": 0.3, "slots": [1, 2]},
    {"customer_key": "b", "month": MONTH, "kwh": Decimal("2.2500"), "share": None, "slots": []},
]


def compared(tmp_path: Path, second: list[dict[str, Any]], predicted: Collection[str] = ()) -> TableComparison:
    for name, rows in (("first", ROWS), ("second", second)):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    return compare_files(
        "load",
        [tmp_path / "first.parquet"],
        [tmp_path / "second.parquet"],
        ("customer_key", "month"),
        predicted=predicted,
    )


def test_equal_tables_in_another_order_are_equal(tmp_path: Path) -> None:
    comparison = compared(tmp_path, ROWS[::-1])

    assert comparison.is_equal
    assert comparison.rows == (2, 2)
    assert comparison.largest == 0


def test_last_bits_of_a_number_may_differ_and_are_measured(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [ROWS[0] | {"share": 0.3 * (1 + 1e-12)}, ROWS[1]])

    assert comparison.is_equal
    assert comparison.largest == pytest.approx(1e-12, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"share": 0.3 * (1 + 1e-8)}, "share"),
        ({"share": None}, "share"),
        ({"kwh": Decimal("1.5001")}, "kwh"),
        ({"slots": [2, 1]}, "slots"),
    ],
)
def test_what_differs_is_named_with_its_key(tmp_path: Path, change: dict[str, object], column: str) -> None:
    comparison = compared(tmp_path, [ROWS[0] | change, ROWS[1]])

    assert not comparison.is_equal
    assert [(difference.column, difference.rows) for difference in comparison.columns] == [(column, 1)]
    assert comparison.columns[0].example.startswith("a 2026-08-01: ")


@pytest.mark.parametrize(
    ("second", "is_equal"),
    [
        ("of release 0001-202608-0e62d23597", True),
        ("of release 0002-202608-1a5c646dd2", False),
        ("of release 0001-202609-1a5c646dd2", False),
    ],
)
def test_releases_are_the_same_by_number_and_month(tmp_path: Path, second: str, is_equal: bool) -> None:
    for name, text in (("first", "of release 0001-202608-1a5c646dd2"), ("second", second)):
        pq.write_table(pa.table({"customer_key": ["a"], "tariff_source": [text]}), tmp_path / f"{name}.parquet")

    comparison = compare_files("t", [tmp_path / "first.parquet"], [tmp_path / "second.parquet"], ("customer_key",))

    assert comparison.is_equal is is_equal


def test_predicted_number_may_differ_by_a_millionth(tmp_path: Path) -> None:
    second = [ROWS[0] | {"share": 0.3 * (1 + 5e-7)}, ROWS[1]]

    assert not compared(tmp_path, second).is_equal
    assert compared(tmp_path, second, predicted={"share"}).is_equal


def test_rows_of_one_side_only_are_counted(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [ROWS[0], ROWS[1] | {"customer_key": "c"}, ROWS[1] | {"customer_key": "d"}])

    assert comparison.unmatched == (1, 2)
    assert not comparison.is_equal


def test_type_name_and_order_of_columns_belong_to_a_table(tmp_path: Path) -> None:
    in_doubles = compared(tmp_path, [row | {"kwh": float(row["kwh"])} for row in ROWS])
    renamed = compared(tmp_path, [{"peak" if k == "share" else k: v for k, v in row.items()} for row in ROWS])
    reordered = compared(tmp_path, [dict(reversed(row.items())) for row in ROWS])

    assert in_doubles.schema == ("column kwh is DECIMAL(5,4) in the first and DOUBLE in the second",)
    assert renamed.schema == ("column share is missing in the second", "column peak is missing in the first")
    assert reordered.schema == ("the columns stand in another order",)


def test_rows_with_one_key_are_compared_in_order(tmp_path: Path) -> None:
    paths = []
    for name, values in (("first", [1, 2, 2]), ("second", [2, 1, 2])):
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(pa.table({"customer_key": ["a"] * 3, "value": values}), paths[-1])

    assert compare_files("readings", paths[:1], paths[1:], ("customer_key",)).is_equal


def test_predictions_of_one_side_only_are_a_difference(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "first.parquet")

    assert not compare_files("predictions", [tmp_path / "first.parquet"], [], ("customer_key",)).is_equal


def test_report_has_a_line_per_table_and_names_what_differs(tmp_path: Path) -> None:
    second = [ROWS[0] | {"kwh": Decimal("1.5001")}, ROWS[1] | {"customer_key": "c"}]

    report = comparison_report([compared(tmp_path, second)], ("embedded", "cluster"))

    assert report.splitlines()[1:] == [
        "load           2             0.0e+00  DIFFERENT",
        "    1 rows only in embedded",
        "    1 rows only in cluster",
        "    kwh: 1 rows differ, e.g. a 2026-08-01: 1.5000 and 1.5001",
        "1 of 1 tables differ.",
    ]


def test_home_without_marts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToCompareError, match="Let its main job finish first"):
        compare_homes(tmp_path, tmp_path)


def test_homes_are_compared_in_marts_and_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marts, later_marts = {"tariff_catalogue": ("tariff_id", "version")}, {"customer_portrait": ("customer_key",)}
    monkeypatch.setattr(parity, "MARTS", marts)
    monkeypatch.setattr(parity, "MARTS_AFTER_MODELS", later_marts)
    homes = [tmp_path / name for name in ("embedded", "cluster")]
    for home, probability in zip(homes, (0.5, 0.6), strict=True):
        for folder, made in ((home / "marts", marts), (home / "marts" / "after_models", later_marts)):
            version = folder / "versions" / "1"
            version.mkdir(parents=True)
            (folder / "CURRENT").write_text("1")
            (version / "manifest.json").write_text("{}")
            for mart, key in made.items():
                pq.write_table(pa.table({column: ["x"] for column in key}), version / f"{mart}.parquet")
        month = home / "predictions" / "batch" / "credit_risk" / "as_of_month=2026-08-01"
        month.mkdir(parents=True)
        scores = {
            "customer_key": ["a"],
            "as_of_month": [MONTH],
            "default_probability": [probability],
            "decided_at": [home.name],
        }
        pq.write_table(pa.table(scores), month / "predictions.parquet")

    comparisons = compare_homes(*homes)

    assert "default_probability" in {column.name for column in prediction_columns("credit_risk")}
    assert [(comparison.table, comparison.is_equal) for comparison in comparisons] == [
        ("tariff_catalogue", True),
        ("customer_portrait", True),
        ("predictions of credit_risk", False),
    ]
    assert [difference.column for difference in comparisons[-1].columns] == ["default_probability"]
