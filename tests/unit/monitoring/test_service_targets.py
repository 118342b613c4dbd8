"""Targets of service quality are dated, say why, and judge a month only when enough contacts stand behind it."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from monitoring.policy import PolicyError
from monitoring.service_targets import (
    BUILT_IN_TARGETS,
    COUNT_BY_MEASURE,
    MEASURES,
    ServiceTarget,
    load_service_targets,
    targets_of,
)

BUILT_IN = BUILT_IN_TARGETS.read_text(encoding="utf-8")
WHY = "A reason that is long enough."


@pytest.mark.parametrize(
    ("limit", "row", "outcome"),
    [
        ({"at_most": 4}, {"p90_hours_to_response": 4.0, "responded_contacts_count": 20}, "met"),
        ({"at_most": 4}, {"p90_hours_to_response": 4.1, "responded_contacts_count": 20}, "missed"),
        ({"at_most": 4}, {"p90_hours_to_response": 9.0, "responded_contacts_count": 19}, "not_judged"),
        ({"at_most": 4}, {"p90_hours_to_response": None, "responded_contacts_count": 0}, "not_judged"),
        ({"at_most": 4}, None, "not_judged"),
    ],
)
def test_a_time_is_met_up_to_its_limit_and_judged_on_enough_contacts(
    limit: dict[str, float], row: dict[str, Any] | None, outcome: str
) -> None:
    target = ServiceTarget(measure="p90_hours_to_response", dimension="channel", value="app", reason=WHY, **limit)

    assert target.outcome(row, 20) == outcome


def test_a_share_is_met_from_its_limit_on() -> None:
    target = ServiceTarget(measure="answered_first_time_pct", dimension="total", value="total", at_least=90, reason=WHY)
    outcomes = [
        target.outcome({"answered_first_time_pct": value, "judged_contacts_count": 20, "contacts_count": contacts}, 20)
        for value, contacts in ((89.9, 20), (90.0, 20), (90.0, 21))
    ]

    # Of one contact it is not known yet whether the customer asks again.
    assert outcomes == ["missed", "met", "not_judged"]


def test_every_measure_knows_how_many_contacts_stand_behind_it() -> None:
    assert COUNT_BY_MEASURE.keys() == MEASURES.keys()


def test_a_month_is_judged_by_the_version_of_its_first_day(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(BUILT_IN + BUILT_IN.partition("versions:\n")[2].replace("2024-01-01", "2026-06-01"), "utf-8")
    versions = load_service_targets(path)

    assert targets_of(versions, date(2023, 12, 1)) is None
    assert [version.version for version in versions] == ["2024-01-01", "2026-06-01"]
    assert [targets_of(versions, date(2026, month, 1)) for month in (5, 6)] == list(versions)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at_most: 12", "at_least: 12", "own.yaml: .*p90_hours_to_close is limited by at_most"),
        ("at_least: 90", "at_least: 90\n        at_most: 95", "own.yaml: .*give either at_most or at_least"),
        (
            "mean_satisfaction",
            "satisfaction",
            r"own.yaml: versions.0.targets.6.*'satisfaction' is none of median_hours",
        ),
        ("dimension: topic", "dimension: theme", r"own.yaml: versions.0.targets.3.dimension: Input should be 'total'"),
        ("versions:", "versions: [", "own.yaml: cannot be read as YAML"),
    ],
)
def test_targets_that_cannot_be_judged_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(BUILT_IN.replace(old, new), encoding="utf-8")

    with pytest.raises(PolicyError, match=message):
        load_service_targets(path)
