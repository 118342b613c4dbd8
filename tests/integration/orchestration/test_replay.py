"""Replay of what the API answered: 100 random requests of all use cases, to the identical answer."""

import random
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from orchestration.ingestion.pseudonym import DEVELOPMENT_PSEUDONYM_KEY, customer_key
from orchestration.replay import Replayer, ReplayError, replay
from serving.model_store import ModelStore
from serving.routes.predictions import ROUTES
from serving.runtime import Runtime
from serving.settings import ServingSettings
from serving.use_cases import feature_columns
from tests.integration.platform_home import PlatformHome
from tests.integration.raw_rows import raw_request
from tests.unit.serving.conftest import TestClient, client_of

REQUESTS_COUNT = 100
RAW_REQUEST = [route.use_case for route in ROUTES].index("tariff_matching")
RAW_ENTITIES = ("customers", "meters", "meter_readings", "bills", "payments", "service_contacts", "tariff_enrolments")


@pytest.fixture(scope="module")
def home(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home with what the API and a replay read, and nothing else."""
    path = tmp_path_factory.mktemp("replay") / "home"
    for folder in ("releases", "models"):
        shutil.copytree(finished_home.path / folder, path / folder)
    return PlatformHome(path, finished_home.choices)


@pytest.fixture(scope="module")
def answered(home: PlatformHome, finished_home: PlatformHome) -> dict[str, dict[str, Any]]:
    """Answers by request id, of single customers, batches, features and raw data sent inline."""
    runtime = Runtime(ServingSettings(home=home.path, _env_file=None))
    runtime.start()
    chance = random.Random(7)
    bodies = {route.use_case: list(requests(home.store, route.use_case, chance)) for route in ROUTES}
    client = client_of(runtime)
    answers: dict[str, dict[str, Any]] = {}
    raw = raw_body(finished_home, "C0000002")
    for number in range(REQUESTS_COUNT):
        route = ROUTES[number % len(ROUTES)]
        # Once, of the use case that reads more of them than features; making these takes longer than all the rest.
        body = raw if number == RAW_REQUEST else chance.choice(bodies[route.use_case])
        answer = ask(client, route.path, body)
        answers[answer["request_id"]] = answer
    runtime.stop()
    return answers


def raw_body(home: PlatformHome, customer_id: str) -> dict[str, Any]:
    """Return what the supplier delivered of a customer as a request."""
    key = customer_key(customer_id, DEVELOPMENT_PSEUDONYM_KEY)
    release = home.store.current_release("credit_risk")
    assert release is not None
    assert release.feature_as_of_month is not None
    return {"raw": raw_request(home.settings.landing_dir, key, release.feature_as_of_month, datetime.max, RAW_ENTITIES)}


def requests(store: ModelStore, use_case: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Return bodies of several forms; ids of the simulated supplier, of whom some are unknown to the use case."""
    release = store.current_release(use_case)
    assert release is not None
    snapshot = store.open_snapshot(release)
    rows = [row.features for row in snapshot.get_many(snapshot.sample_keys(40)).values()]
    sendable = {column.name for column in feature_columns(use_case)}
    inline = [{name: value for name, value in row.items() if name in sendable and value is not None} for row in rows]
    ids = [f"C{number:07d}" for number in range(1, 120)]
    for _ in range(20):
        yield {"customer_id": chance.choice(ids[:40])}
        yield {"customer_ids": chance.choices(ids, k=chance.randint(1, 4))}
        yield {"features": chance.choice(inline)}
        yield {"items": [{"customer_id": chance.choice(ids)}, {"features": chance.choice(inline)}]}


def ask(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(path, json=body)
    answer: dict[str, Any] = response.json()
    assert response.status_code in (200, 404), answer
    return answer


def results_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was decided, without the id that the caller sent and nobody kept."""
    results = answer.get("results", [answer.get("result")])
    decided = [result for result in results if result is not None and "error" not in result]
    return [{name: value for name, value in result.items() if name != "customer_id"} for result in decided]


def test_random_requests_are_replayed_to_the_identical_answer(
    home: PlatformHome, answered: dict[str, dict[str, Any]]
) -> None:
    decided = {request_id: results_of(answer) for request_id, answer in answered.items() if results_of(answer)}
    assert len(answered) == REQUESTS_COUNT
    assert len(decided) > REQUESTS_COUNT * 0.8
    replayer = Replayer(home.settings)
    replayer.read(decided)

    for request_id, results in decided.items():
        again = replayer.replay(request_id)
        assert again.is_identical, again.sentences
        assert orjson.loads(orjson.dumps(again.answers, option=orjson.OPT_SERIALIZE_NUMPY)) == results


def test_replay_tells_the_way_back_of_every_use_case(home: PlatformHome, answered: dict[str, dict[str, Any]]) -> None:
    for use_case, said in (
        ("segmentation", "Segment "),
        ("tariff_matching", "Tariff "),
        ("credit_risk", "Probability "),
    ):
        request_id = next(
            request_id
            for request_id, answer in answered.items()
            if answer.get("use_case") == use_case and results_of(answer)
        )
        sentences = replay(home.settings, request_id).sentences
        assert any(sentence.startswith(f"Bundle {use_case}:") for sentence in sentences)
        assert any(sentence.startswith(said) for sentence in sentences)
        assert sentences[-1].startswith("Identical: ")


def test_tariff_advice_needs_the_load_of_the_release_and_says_so_without(
    home: PlatformHome, answered: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    path = shutil.copytree(home.path, tmp_path / "home")
    release = ModelStore(path).current_release("tariff_matching")
    assert release is not None
    (path / "releases" / "tariff_matching" / release.name / "features.sqlite").unlink()
    pruned = PlatformHome(path, home.choices).settings
    by_id, inline = (
        next(
            request_id
            for request_id, answer in answered.items()
            if answer.get("use_case") == "tariff_matching" and is_wanted(answer)
        )
        for is_wanted in (
            lambda answer: "result" in answer and answer["result"]["customer_id"] is not None,
            lambda answer: "result" in answer and answer["result"]["features_as_of_month"] is None,
        )
    )

    with pytest.raises(ReplayError, match="was pruned, and with it the load"):
        replay(pruned, by_id)
    assert replay(pruned, inline).is_identical


def test_batch_predictions_of_every_use_case_are_replayed(finished_home: PlatformHome) -> None:
    for use_case in ("segmentation", "tariff_matching", "credit_risk"):
        path = sorted((finished_home.path / "predictions" / "batch" / use_case).rglob("*.parquet"))[-1]
        batch = pd.read_parquet(path, columns=["request_id", "customer_key"])
        # Pricing all customers anew would take as long as the scoring did.
        key = batch["customer_key"].iloc[0] if use_case == "tariff_matching" else ""

        again = Replayer(finished_home.settings).replay(batch["request_id"].iloc[0], key=key)

        assert again.is_identical, again.sentences
        assert again.decisions == (1 if key else len(batch))
