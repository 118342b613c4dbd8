"""The verdict beside the releases: in the metrics and the list of models, only of the release that answers."""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from serving.model_store import ModelStore
from serving.model_verdicts import (
    VERDICT_FILE,
    ModelVerdict,
    expose_model_verdicts,
    read_model_verdict,
    write_model_verdict,
)
from serving.release_schemas import ServedModels
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import publish
from tests.unit.serving.conftest import client_of

USE_CASE = "credit_risk"
TODAY = date(2026, 9, 5)


def verdict(release: str = "0001", **changes: object) -> ModelVerdict:
    return ModelVerdict.model_validate(
        {
            "use_case": USE_CASE,
            "release": release,
            "month": date(2026, 8, 1),
            "outcome": "act",
            "told_outcome": "act",
            "sentence": "Credit risk, 2026-08: Act. The predictions have moved.",
            "sentence_zh": "信用风险 2026-08：需处理。预测结果发生偏移。",
            "reviewed_at": datetime(2026, 9, 5, 8, tzinfo=UTC),
            **changes,
        }
    )


def exposed(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"use_case": USE_CASE, **labels})


def outcomes() -> dict[str, float | None]:
    return {
        outcome: exposed("kilowise_model_verdict", outcome=outcome)
        for outcome in ("stable", "watch", "act", "not_enough_data")
    }


def test_the_outcome_of_the_served_release_is_one_and_all_others_are_zero(tmp_path: Path) -> None:
    write_model_verdict(tmp_path, verdict())
    expose_model_verdicts(tmp_path, {USE_CASE: "0001"}, TODAY)
    assert outcomes() == {"stable": 0, "watch": 0, "act": 1, "not_enough_data": 0}
    assert exposed("kilowise_model_verdict_silenced") == 0
    assert exposed("kilowise_model_verdict_month_timestamp_seconds") == datetime(2026, 8, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("releases", [{USE_CASE: "0002"}, {}])
def test_a_verdict_on_another_release_is_no_verdict(tmp_path: Path, releases: dict[str, str]) -> None:
    write_model_verdict(tmp_path, verdict())
    expose_model_verdicts(tmp_path, releases, TODAY)
    assert set(outcomes().values()) == {0}
    assert exposed("kilowise_model_verdict_month_timestamp_seconds") == 0


@pytest.mark.parametrize(
    ("changes", "silenced"),
    [
        ({"told_outcome": "stable", "silenced_until": TODAY}, 1),
        ({"told_outcome": "stable", "silenced_until": date(2026, 9, 4)}, 0),
        ({"told_outcome": "act", "silenced_until": TODAY}, 0),
    ],
)
def test_a_silence_counts_to_its_last_day_and_only_if_it_makes_the_verdict_calmer(
    tmp_path: Path, changes: dict[str, object], silenced: int
) -> None:
    write_model_verdict(tmp_path, verdict(**changes))
    expose_model_verdicts(tmp_path, {USE_CASE: "0001"}, TODAY)
    assert exposed("kilowise_model_verdict_silenced") == silenced
    assert outcomes()["act"] == 1


@pytest.mark.parametrize("content", ["", "{", '{"outcome": "fine"}'])
def test_a_damaged_file_is_no_verdict_and_stops_nothing(tmp_path: Path, content: str) -> None:
    write_model_verdict(tmp_path, verdict())
    (tmp_path / "releases" / USE_CASE / VERDICT_FILE).write_text(content)
    assert read_model_verdict(tmp_path, USE_CASE, "0001") is None


def test_a_file_of_a_newer_version_is_read(tmp_path: Path) -> None:
    write_model_verdict(tmp_path, verdict())
    path = tmp_path / "releases" / USE_CASE / VERDICT_FILE
    path.write_text(path.read_text().replace("{", '{"of_tomorrow": 1,', 1))
    assert read_model_verdict(tmp_path, USE_CASE, "0001") == verdict()
    assert [entry.name for entry in os.scandir(path.parent)] == [VERDICT_FILE]


def test_callers_see_the_verdict_on_each_model_and_prometheus_its_outcome(tmp_path: Path) -> None:
    home = tmp_path / "home"
    release = publish(ModelStore(home), tmp_path, USE_CASE).name
    runtime = Runtime(ServingSettings(home=home, log_predictions=False))
    runtime.start()
    try:
        client = client_of(runtime)
        (before,) = ServedModels.model_validate_json(client.get("/v1/models").content).models
        write_model_verdict(home, verdict(release, silenced_until=TODAY, told_outcome="watch"))
        (after,) = ServedModels.model_validate_json(client.get("/v1/models").content).models
        exposition = client.get("/metrics").text
    finally:
        runtime.stop()

    assert before.verdict is None
    assert after.verdict is not None
    assert (after.verdict.outcome, after.verdict.month, after.verdict.silenced_until) == (
        "act",
        date(2026, 8, 1),
        TODAY,
    )
    assert after.verdict.sentence.startswith("Credit risk, 2026-08: Act.")
    assert 'kilowise_model_verdict{outcome="act",use_case="credit_risk"} 1.0' in exposition


def test_an_equal_verdict_is_left_as_it_is(tmp_path: Path) -> None:
    write_model_verdict(tmp_path, verdict())
    [path] = (path for path in tmp_path.rglob("*") if path.is_file())
    before = path.stat()

    write_model_verdict(tmp_path, verdict())

    assert path.stat().st_ino == before.st_ino
