"""``GET /v1/customers/{id}``: the portrait, its tag, and what a key may see of it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving.api_keys import Caller
from serving.portrait_schema import mart_columns, portrait_sections
from serving.portrait_store import publish_portraits
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id, key_of
from tests.unit.serving.conftest import client_of


def portrait_row() -> dict[str, object]:
    return {
        **dict.fromkeys(mart_columns()),
        **{f"{section.name}_confidence": "none" for section in portrait_sections()},
        "as_of_month": "2026-09-01",
        "currency": "CNY",
        "identity_as_of_date": "2026-09-30",
        "identity_source": "customers",
        "identity_confidence": "high",
        "district": "D1",
        "credit_rating": "BB",
    }


def publish(home: Path, version: str = "v1") -> None:
    publish_portraits(home, version, mart_columns(), [(key_of(1), list(portrait_row().values()))])


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    publish(tmp_path)
    return Runtime(ServingSettings(home=tmp_path, log_predictions=False, release_poll_seconds=0.001))


@pytest.fixture
def client(runtime: Runtime) -> TestClient:
    return client_of(runtime)


def path_of(number: int) -> str:
    return f"/v1/customers/{customer_id(number)}"


def test_each_section_has_its_date_source_and_confidence(client: TestClient) -> None:
    answer = client.get(path_of(1)).json()

    assert answer["customer_id"] == customer_id(1)
    assert answer["portrait_version"] == "v1"
    identity = answer["sections"]["identity"]
    assert (identity["as_of_date"], identity["source"], identity["confidence"]) == ("2026-09-30", "customers", "high")
    assert identity["district"] == "D1"
    assert (identity["title"], identity["title_zh"]) == ("Identity", "基本信息")
    assert answer["withheld"] == []
    assert key_of(1) not in client.get(path_of(1)).text


def test_the_answer_is_sent_once_and_again_when_the_portraits_changed(client: TestClient, runtime: Runtime) -> None:
    tag = client.get(path_of(1)).headers["ETag"]

    again = client.get(path_of(1), headers={"If-None-Match": tag})
    publish(runtime.settings.home, "v2")
    renewed = client.get(path_of(1), headers={"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert renewed.status_code == 200
    assert renewed.headers["ETag"] != tag


def test_an_unknown_customer_is_a_404_with_a_sentence(client: TestClient) -> None:
    response = client.get(path_of(2))

    assert response.status_code == 404
    assert response.json()["type"] == "unknown_customer"


def test_without_portraits_the_answer_says_how_to_make_them(tmp_path: Path) -> None:
    client = client_of(Runtime(ServingSettings(home=tmp_path / "empty", log_predictions=False)))

    response = client.get(path_of(1))

    assert response.status_code == 503
    assert "make run" in response.json()["detail"]


@pytest.mark.parametrize(
    ("scopes", "status"), [({"tariff_matching"}, 200), ({"admin"}, 403)], ids=["one use case", "no use case"]
)
def test_a_key_sees_the_parts_of_its_scopes(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, scopes: set[str], status: int
) -> None:
    caller = Caller("billing", "k", frozenset(scopes), None)  # type: ignore[arg-type]  # scopes by name
    decide = runtime.access.decide
    monkeypatch.setattr(runtime.access, "decide", lambda *args: decide(*args)._replace(caller=caller))

    response = client_of(runtime).get(path_of(1))

    assert response.status_code == status
    if status == 200:
        answer = response.json()
        assert "advice" in answer["sections"]
        assert "rating" not in answer["sections"]
        assert "credit_risk" in {part["scope"] for part in answer["withheld"]}
    assert "BB" not in response.text
