"""A state folder with two released models, and a client that talks to the application without a socket."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.app import build_app
from serving.model_store import ModelStore
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import key_of, publish, publish_tariff_matching

with warnings.catch_warnings():
    # Starlette asks for httpx2, which the lock does not hold yet.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@pytest.fixture(scope="session")
def released_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State folder with a release of segmentation and credit risk, and none of tariff matching; read only."""
    home = tmp_path_factory.mktemp("released")
    work_dir = tmp_path_factory.mktemp("bundles")
    for use_case in ("segmentation", "credit_risk"):
        publish(ModelStore(home), work_dir, use_case)
    return home


@pytest.fixture(scope="session")
def complete_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State folder with a release of every use case, from which customer 29 was erased; read only."""
    home = tmp_path_factory.mktemp("complete")
    work_dir = tmp_path_factory.mktemp("bundles")
    store = ModelStore(home)
    for use_case in ("segmentation", "credit_risk"):
        publish(store, work_dir, use_case)
    publish_tariff_matching(store, work_dir)
    store.erase_customer(key_of(29), lambda path: path.name == "features.sqlite")
    return home


@pytest.fixture
def settings(released_home: Path) -> ServingSettings:
    return ServingSettings(home=released_home, log_predictions=False, max_batch_items=50, max_body_bytes=200_000)


@pytest.fixture
def runtime(settings: ServingSettings) -> Iterator[Runtime]:
    runtime = Runtime(settings)
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def client(runtime: Runtime) -> TestClient:
    return client_of(runtime)


def what_was_decided(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return results without the names of the decisions, which no two share."""
    assert len({result["decision_id"] for result in results}) == len(results)
    return [{name: value for name, value in result.items() if name != "decision_id"} for result in results]


def client_of(runtime: Runtime) -> TestClient:
    """Return a client of an application that answers from this runtime."""
    app = build_app()
    app.state.runtime = runtime
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)
