"""What the guard lets in, in the words of a caller: keys, scopes, rates, quotas, pages, headers, audit."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from serving.api_keys import Allowance, ApiKeyError, ApiScope, add_key, revoke_keys, rotate_key
from serving.model_store import ModelStore
from serving.release_board import ReleaseBoard
from serving.runtime import Runtime
from serving.settings import ServingConfigurationError, ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"
SEGMENTATION = "/v1/segmentation/assign"
BODY = {"customer_id": customer_id(1)}
GENEROUS = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=None)


class KeyedApi:
    """An API with a key file of its own on a home with releases."""

    def __init__(self, home: Path, board: ReleaseBoard) -> None:
        self.keys_path = home / "api_keys.json"
        self._home = home
        self._board = board
        self._runtimes: list[Runtime] = []

    def key(self, name: str, *scopes: ApiScope, allowance: Allowance = GENEROUS, **options: Any) -> dict[str, str]:
        key = add_key(self.keys_path, name, scopes, now=datetime.now(UTC), allowance=allowance, **options)
        return {"X-API-Key": key}

    def client(self, address: str = "203.0.113.7", **settings: Any) -> TestClient:
        runtime = Runtime(
            ServingSettings(
                home=self._home,
                log_predictions=False,
                api_keys_file=self.keys_path,
                **settings,
            )
        )
        runtime.board = self._board
        self._runtimes.append(runtime)
        client = client_of(runtime)
        return TestClient(client.app, raise_server_exceptions=False, follow_redirects=False, client=(address, 50_000))

    def audit(self) -> list[dict[str, Any]]:
        for runtime in self._runtimes:
            runtime.stop()
        folder = self._home / "audit" / "denied"
        return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def board(released_home: Path) -> ReleaseBoard:
    """Releases that are loaded once for all tests; what the API writes is each test's own."""
    board = ReleaseBoard(ModelStore(released_home), poll_seconds=1)
    board.refresh()
    return board


@pytest.fixture
def api(board: ReleaseBoard, tmp_path: Path) -> Iterator[KeyedApi]:
    api = KeyedApi(tmp_path, board)
    yield api
    api.audit()


def test_a_key_opens_the_route_of_its_scope(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")

    assert api.client().post(CREDIT, json=BODY, headers=key).status_code == 200


def test_a_key_may_come_as_bearer_token(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")["X-API-Key"]
    client = api.client()

    for scheme in ("Bearer", "bearer"):
        assert client.post(CREDIT, json=BODY, headers={"Authorization": f"{scheme} {key}"}).status_code == 200


def test_another_scope_is_403_and_names_the_scope_needed(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk", "admin")

    response = api.client().post(SEGMENTATION, json=BODY, headers=key)

    assert response.status_code == 403
    assert response.json()["type"] == "forbidden"
    assert response.json()["allowed"] == ["segmentation"]
    assert "scope segmentation" in response.json()["detail"]


@pytest.mark.parametrize("path", [CREDIT, "/v1/releases", "/v1/anything", "/v2/anything", "/metrics", "/admin"])
def test_without_a_key_everything_that_is_not_public_is_401(api: KeyedApi, path: str) -> None:
    api.key("shop", "credit_risk")

    response = api.client().get(path)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["type"] == "unauthorized"


def test_a_path_that_only_looks_public_is_not(api: KeyedApi) -> None:
    api.key("shop", "credit_risk")
    client = api.client()

    paths = ["/docs/", "/docs/../v1/releases", "/DOCS", "/docs%2f..%2fmetrics", "/v1/releases/../docs"]

    assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 401)


def test_any_key_reads_what_is_released(api: KeyedApi) -> None:
    key = api.key("shop", "tariff_matching")

    assert api.client().get("/v1/releases", headers=key).status_code == 200


def test_metrics_need_the_scope_admin_unless_set_otherwise(api: KeyedApi) -> None:
    shop, machine_room = api.key("shop", "credit_risk"), api.key("prometheus", "admin")
    client = api.client()

    assert [client.get("/metrics", headers=key).status_code for key in ({}, shop, machine_room)] == [401, 403, 200]
    assert api.client(metrics_access="anyone").get("/metrics").status_code == 200


def test_the_documentation_is_open_unless_set_otherwise(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")
    open_docs, closed_docs = api.client(), api.client(docs_access="key")

    for page in ("/docs", "/openapi.json"):
        assert open_docs.get(page).status_code == 200
        assert closed_docs.get(page).status_code == 401
        assert closed_docs.get(page, headers=key).status_code == 200


def test_expired_and_revoked_keys_are_told_apart_for_who_holds_them(api: KeyedApi) -> None:
    now = datetime.now(UTC)
    api.key("other", "admin")
    expired = api.key("old", "credit_risk", expires_at=now - timedelta(seconds=1))
    revoked = api.key("stolen", "credit_risk")
    revoke_keys(api.keys_path, "stolen", now=now)
    client = api.client()

    responses = [client.post(CREDIT, json=BODY, headers=key) for key in (expired, revoked)]

    assert [response.status_code for response in responses] == [401, 401]
    assert ["expired" in responses[0].json()["detail"], "revoked" in responses[1].json()["detail"]] == [True, True]


def test_a_caller_above_its_rate_is_429_with_what_to_wait(api: KeyedApi) -> None:
    slow = api.key("slow", "credit_risk", allowance=Allowance(0.5, 2, 100))
    fast = api.key("fast", "credit_risk")
    client = api.client()

    responses = [client.post(CREDIT, json=BODY, headers=slow) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["RateLimit-Policy"] == '"rate";q=2;w=4, "day";q=100;w=86400'
    assert responses[0].headers["RateLimit"].startswith('"rate";r=1;t=2, "day";r=99;t=')
    assert responses[2].json()["type"] == "rate_limited"
    assert responses[2].headers["Retry-After"] == "2"
    assert client.post(CREDIT, json=BODY, headers=fast).status_code == 200


def test_the_keys_of_one_caller_share_its_limits(api: KeyedApi) -> None:
    old = api.key("shop", "credit_risk", allowance=Allowance(0.01, 2, None))
    new = {"X-API-Key": rotate_key(api.keys_path, "shop", now=datetime.now(UTC), overlap=timedelta(hours=1))}
    client = api.client()

    statuses = [client.post(CREDIT, json=BODY, headers=key).status_code for key in (old, new, old, new)]

    assert statuses == [200, 200, 429, 429]


def test_the_quota_of_the_day_counts_customers_and_holds_after_a_restart(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk", allowance=Allowance(1_000, 1_000, 10))
    batch = {"customer_ids": [customer_id(number) for number in range(8)]}

    first = api.client().post(CREDIT, json=batch, headers=key)
    second = api.client().post(CREDIT, json=batch, headers=key)
    rest = [api.client().post(CREDIT, json=BODY, headers=key) for _ in range(2)]

    assert first.status_code == 200
    assert '"day";r=2;' in first.headers["RateLimit"]
    assert second.status_code == 429
    assert "asks about 8 customers, and 2 are left" in second.json()["detail"]
    assert [response.status_code for response in rest] == [200, 429]
    assert rest[1].json()["type"] == "quota_exhausted"
    assert 0 < int(rest[1].headers["Retry-After"]) <= 86_400


@pytest.mark.parametrize("end", ["", "\n"])
def test_lines_are_counted_as_customers_too(api: KeyedApi, end: str) -> None:
    key = api.key("shop", "credit_risk", allowance=Allowance(1_000, 1_000, 5))
    lines = "\n".join(json.dumps({"customer_id": customer_id(number)}) for number in range(3)) + end
    client = api.client()

    answers = [
        client.post(CREDIT, content=lines, headers={**key, "Content-Type": "application/x-ndjson"}) for _ in range(2)
    ]

    results = [[json.loads(line) for line in answer.text.splitlines()[:-1]] for answer in answers]
    assert all("prediction" in line["result"] for line in results[0])
    assert [line["result"]["error"]["type"] for line in results[1]] == ["quota_exhausted"] * 3
    assert '"day";r=1;' in answers[1].headers["RateLimit"]


def test_who_has_no_key_is_slowed_down_by_network_and_nobody_else_is(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")
    client = api.client(unknown_client_requests_per_second=0.001, unknown_client_burst_count=3)

    guesses = [client.post(CREDIT, json=BODY, headers={"X-API-Key": f"guess {number}"}) for number in range(5)]

    assert [response.status_code for response in guesses] == [401, 401, 401, 429, 429]
    assert client.get("/docs").status_code == 429
    assert client.post(CREDIT, json=BODY, headers=key).status_code == 200


def test_headers_beyond_the_limit_are_431(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")

    response = api.client().post(CREDIT, json=BODY, headers={**key, "X-Long": "x" * 20_000})

    assert response.status_code == 431
    assert response.json()["type"] == "headers_too_large"


def test_without_keys_development_answers_this_machine_only(api: KeyedApi) -> None:
    assert api.client("127.0.0.1").post(CREDIT, json=BODY).status_code == 200
    assert api.client("::1").post(CREDIT, json=BODY).status_code == 200

    refused = api.client("192.0.2.9").post(CREDIT, json=BODY)

    assert refused.status_code == 401
    assert "on its own machine only" in refused.json()["detail"]


def test_outside_development_no_key_file_means_no_start(api: KeyedApi) -> None:
    with pytest.raises(ApiKeyError, match="keys add"):
        api.client(environment="production", pseudonym_key="s" * 32)


def test_without_keys_no_other_address_is_listened_on(api: KeyedApi) -> None:
    with pytest.raises(ServingConfigurationError, match="this machine only"):
        api.client(host="0.0.0.0")
    api.key("shop", "credit_risk")
    api.client(host="0.0.0.0")


def test_every_answer_carries_the_security_headers(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")
    client = api.client()

    answers = [
        client.post(CREDIT, json=BODY, headers=key),
        client.post(CREDIT, content=b"{", headers=key),
        client.post(CREDIT, json=BODY),
        client.post(SEGMENTATION, json=BODY, headers=key),
        client.get("/v2", headers=key),
        client.delete(CREDIT, headers=key),
        client.get("/docs"),
        client.get("/"),
    ]

    assert [answer.status_code for answer in answers] == [200, 415, 401, 403, 404, 405, 200, 307]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert len(answer.headers["X-Request-Id"]) == 32
        assert "Server" not in answer.headers
        assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_a_crash_says_nothing_and_carries_the_security_headers(api: KeyedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("inner secret")

    key = api.key("shop", "credit_risk")
    client = api.client()
    monkeypatch.setattr("serving.release_board.ReleaseBoard.get", crash)

    answer = client.post(CREDIT, json=BODY, headers=key)

    assert answer.status_code == 500
    assert answer.json()["type"] == "internal"
    assert "secret" not in answer.text
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_other_origins_get_no_permission(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    client = api.client()

    preflight = client.options(CREDIT, headers={**origin, **key})
    answer = client.post(CREDIT, json=BODY, headers={**origin, **key})

    assert preflight.status_code == 405
    for response in (preflight, answer):
        assert not any(name.lower().startswith("access-control") for name in response.headers)


def test_the_audit_names_every_denied_call_by_reason_and_no_other(api: KeyedApi) -> None:
    now = datetime.now(UTC)
    shop = api.key("shop", "credit_risk")
    slow = api.key("slow", "segmentation", allowance=Allowance(0.001, 1, None))
    spent = api.key("spent", "segmentation", allowance=Allowance(1_000, 1_000, 1))
    expired = api.key("old", "credit_risk", expires_at=now - timedelta(seconds=1))
    machine_room = api.key("prometheus", "admin")
    batches = api.key("batches", "segmentation", allowance=Allowance(1_000, 1_000, 1))
    client = api.client()
    client.post(CREDIT, json=BODY, headers=shop)
    client.post(CREDIT, json={"customer_id": "nobody"}, headers=shop)
    for path, key in [
        (CREDIT, {}),
        (CREDIT, {"X-API-Key": "guess"}),
        (CREDIT, expired),
        (SEGMENTATION, shop),
        ("/metrics", shop),
        ("/v1/no/such/page", {}),
        (SEGMENTATION, slow),
        (SEGMENTATION, slow),
        (SEGMENTATION, spent),
        (SEGMENTATION, spent),
        (f"/v1/customers/{customer_id(1)}", machine_room),
    ]:
        client.post(path, json=BODY, headers=key)
    client.post(SEGMENTATION, json={"customer_ids": [customer_id(1), customer_id(2)]}, headers=batches)

    lines = api.audit()

    assert [(line["route"], line["reason"], line["caller"]) for line in lines] == [
        (CREDIT, "missing_key", None),
        (CREDIT, "unknown_key", None),
        (CREDIT, "expired_key", "old"),
        (SEGMENTATION, "scope_segmentation", "shop"),
        ("/metrics", "scope_admin", "shop"),
        ("other", "missing_key", None),
        (SEGMENTATION, "rate_limited", "slow"),
        (SEGMENTATION, "quota_exhausted", "spent"),
        ("/v1/customers/{customer_id}", "scope_of_a_use_case", "prometheus"),
        (SEGMENTATION, "quota_exhausted", "batches"),
    ]
    assert {line["client_network"] for line in lines} == {"203.0.113.0/24"}
    assert [line["key_fingerprint"] is not None for line in lines] == [False, True, *[False] * 8]


def test_web_sockets_lead_nowhere(api: KeyedApi) -> None:
    key = api.key("shop", "credit_risk")

    with pytest.raises(WebSocketDisconnect), api.client().websocket_connect(CREDIT, headers=key):
        pass
