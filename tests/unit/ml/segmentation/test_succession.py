import pytest

from ml.segmentation.succession import inherited_ids, succession_metrics, succession_table, trace
from ml.wording import Bilingual

NAMES = {"R1": "Evening", "R2": "Night"}


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
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 65 + ["R3"] * 35 + ["R2"] * 50, NAMES, {**NAMES, "R3": "Noon"})
    assert found.split == {"R1": ("R1", "R3")}
    assert found.merged == {}
    assert found.new == ("R3",)
    assert found.vanished == {}
    assert found.kept_share == pytest.approx(115 / 150)
    assert found.sentences == ("R1 was split into R1 and R3.", "New: R3.")


def test_a_merge_tells_where_the_customers_came_from_and_what_vanished() -> None:
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 150, NAMES, {"R1": "Evening and night"})
    assert found.merged == {"R1": ("R1", "R2")}
    assert found.split == {}
    assert found.vanished == {"R2": "Night"}
    assert found.renamed == {"R1": "Evening"}
    assert found.sentences == (
        "R1 was merged from R1 and R2.",
        "No longer there: R2 (Night).",
        "R1 was called Evening.",
    )


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
    found = trace(["R1"] * 100 + ["R2"] * 50, ["R1"] * 65 + ["R3"] * 35 + ["R2"] * 50, NAMES, {**NAMES, "R3": "Noon"})
    before = {"R1": Bilingual(en="Evening", zh="晚高峰"), "R2": Bilingual(en="Night", zh="夜间")}
    table = succession_table(found, before, {**before, "R3": Bilingual(en="Noon", zh="午间")})
    assert [row[:6] for row in table.rows] == [
        ("R1", "Evening", "晚高峰", "R1", "Evening", "晚高峰"),
        ("R1", "Evening", "晚高峰", "R3", "Noon", "午间"),
        ("R2", "Night", "夜间", "R2", "Night", "夜间"),
    ]
    assert [row[6] for row in table.rows] == [65, 35, 50]
    assert [row[-1] for row in table.rows] == ["continues, split", "split", "continues"]
    assert sum(flow.customers_count for flow in found.flows) == 150
    for old in NAMES:
        assert sum(flow.share_of_from for flow in found.flows if flow.from_segment_id == old) == pytest.approx(1.0)
