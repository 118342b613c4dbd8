import pytest

from ml.segmentation.succession import (
    Succession,
    inherited_ids,
    number_of,
    succession_metrics,
    succession_table,
    trace,
)
from ml.wording import Bilingual

NAMES = {"R1": Bilingual(en="Evening", zh="晚高峰"), "R2": Bilingual(en="Night", zh="夜间用电")}
NOON = Bilingual(en="Noon", zh="午间")


def _texts(found: Succession) -> list[tuple[str, str]]:
    return [(sentence.en, sentence.zh) for sentence in found.sentences]


def test_a_segment_continues_where_most_of_its_customers_are() -> None:
    previous = ["R1"] * 60 + ["R2"] * 40
    current = [1] * 55 + [0] * 45
    assert inherited_ids(previous, current, 2) == {1: "R1", 0: "R2"}


def test_a_segment_with_few_customers_in_common_continues_nothing() -> None:
    previous = ["R1"] * 100
    current = [0] * 40 + [1] * 30 + [2] * 30
    assert inherited_ids(previous, current, 4) == {0: "R1"}
    assert inherited_ids(previous, [0] * 20 + [1] * 20 + [2] * 20 + [3] * 20 + [4] * 20, 5) == {}
    assert inherited_ids([], [], 2) == {}


def test_the_larger_part_of_a_split_keeps_the_identifier_and_the_split_is_told() -> None:
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 65 + ["R3"] * 35 + ["R2"] * 50, NAMES, {**NAMES, "R3": NOON})
    assert found.split == {"R1": ("R1", "R3")}
    assert found.merged == {}
    assert found.new == ("R3",)
    assert found.vanished == {}
    assert found.kept_share == pytest.approx(115 / 150)
    assert _texts(found) == [
        ("R1 was split into R1 and R3.", "R1 拆分为 R1 与 R3。"),
        ("New: R3.", "新增：R3。"),
    ]


def test_a_merge_tells_where_the_customers_came_from_and_what_vanished() -> None:
    found = trace(
        ["R1"] * 100 + ["R2"] * 50, ["R1"] * 150, NAMES, {"R1": Bilingual(en="Evening and night", zh="晚高峰与夜间")}
    )
    assert found.merged == {"R1": ("R1", "R2")}
    assert found.split == {}
    assert found.vanished == {"R2": "Night"}
    assert found.renamed == {"R1": "Evening"}
    assert _texts(found) == [
        ("R1 was merged from R1 and R2.", "R1 由 R1 与 R2 合并而成。"),
        ("No longer there: R2 (Night).", "不再存在：R2（夜间用电）。"),
        ("R1 was called Evening.", "R1 原名晚高峰。"),
    ]


def test_who_had_no_segment_makes_no_merge_and_who_has_none_no_split() -> None:
    known = ["R1"] * 60 + ["R2"] * 50
    found = trace(
        [*known, *["unknown"] * 40], [*known[:30], *["unknown"] * 30, *known[60:], *["R1"] * 40], NAMES, NAMES
    )
    assert found.sentences == ()


def test_a_succession_of_an_earlier_version_is_still_read() -> None:
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 150, NAMES, {"R1": NAMES["R1"]})
    kept = Succession.model_validate(found.model_dump(exclude={"earlier_names_zh"}))
    assert ("No longer there: R2 (Night).", "不再存在：R2（Night）。") in _texts(kept)


@pytest.mark.parametrize(
    ("segment_id", "group", "number"),
    [("R12", "R", 12), ("RD1", "RD", 1), ("RD1", "R", None), ("R0", "R", None), ("unknown", "R", None)],
)
def test_a_number_belongs_to_a_segment_with_a_shape(segment_id: str, group: str, number: int | None) -> None:
    assert number_of(segment_id, group) == number


def test_an_unchanged_division_has_nothing_to_tell() -> None:
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 98 + ["R2"] * 52, NAMES, NAMES)
    assert found.sentences == ()
    assert {metric.name: metric.value for metric in succession_metrics(found, 150)} == {
        "kept_identifier_share": pytest.approx(148 / 150, abs=1e-6),
        "renamed_segments_count": 0,
        "new_segments_count": 0,
        "vanished_segments_count": 0,
        "split_segments_count": 0,
        "merged_segments_count": 0,
    }


def test_the_table_tells_where_every_customer_went() -> None:
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 65 + ["R3"] * 35 + ["R2"] * 50, NAMES, {**NAMES, "R3": NOON})
    table = succession_table(found, NAMES, {**NAMES, "R3": NOON})
    assert [row[:6] for row in table.rows] == [
        ("R1", "Evening", "晚高峰", "R1", "Evening", "晚高峰"),
        ("R1", "Evening", "晚高峰", "R3", "Noon", "午间"),
        ("R2", "Night", "夜间用电", "R2", "Night", "夜间用电"),
    ]
    assert table.note.endswith("R1 was split into R1 and R3. R1 拆分为 R1 与 R3。 New: R3. 新增：R3。")
    assert [row[6] for row in table.rows] == [65, 35, 50]
    assert [row[-1] for row in table.rows] == ["continues, split", "split", "continues"]
    assert sum(flow.customers_count for flow in found.flows) == 150
    for old in NAMES:
        assert sum(flow.share_of_from for flow in found.flows if flow.from_segment_id == old) == pytest.approx(1.0)
