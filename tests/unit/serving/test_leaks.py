"""Keys, ids and personal values planted in every place of a request: nothing that the API writes may hold one."""

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from serving import metrics
from serving.api_keys import Allowance, ApiScope, add_key
from serving.logs import LogFormat, configure_logging
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"
PLANTED = {
    "known customer": customer_id(7),
    "unknown customer": "PLANTED-CUSTOMER-0815",
    "name": "Planted Ada Lovelace",
    "phone": "13800138000",
    "unknown key": "planted-key-of-nobody",
    "password": "planted password",
    "address": "203.0.113.77",
}
ID, UNKNOWN_ID, NAME, PHONE, KEY, PASSWORD, ADDRESS = PLANTED.values()


@pytest.fixture(params=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> Iterator[LogFormat]:
    before = {name: list(logging.getLogger(name).handlers) for name in ("serving", "bentoml", "uvicorn.error")}
    propagate = {name: logging.getLogger(name).propagate for name in before}
    configure_logging(request.param)
    yield request.param
    for name, handlers in before.items():
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).propagate = propagate[name]


@pytest.fixture
def home(released_home: Path, tmp_path: Path) -> Path:
    for name in ("models", "releases"):
        (tmp_path / name).symlink_to(released_home / name)
    return tmp_path


def requests_with(key: str) -> list[dict[str, Any]]:
    """Return requests that carry a planted value, each in another place."""
    good = {"X-API-Key": key}
    body = {"customer_id": ID}
    sent_once = {**good, "Idempotency-Key": f"{PHONE}-key"}
    as_lines = {**good, "Accept": "application/x-ndjson"}
    lines = {**good, "Content-Type": "application/x-ndjson"}
    as_json = {**good, "Content-Type": "application/json"}
    odd = {**good, "User-Agent": NAME, "Referer": ID, "Cookie": f"phone={PHONE}"}
    return [
        {"url": CREDIT, "json": body, "headers": good},
        {
            "url": CREDIT,
            "json": {"customer_ids": [ID, UNKNOWN_ID]},
            "headers": sent_once,
        },
        {"url": CREDIT, "json": {"customer_id": UNKNOWN_ID}, "headers": good},
        {
            "url": CREDIT,
            "json": {"items": [{"customer_id": ID}]},
            "headers": as_lines,
        },
        {
            "url": CREDIT,
            "content": json.dumps(body) + "\n",
            "headers": lines,
        },
        {"url": CREDIT, "json": {NAME: PHONE}, "headers": good},
        {"url": CREDIT, "json": {"features": {"customer_class": NAME, "bills_12m_count": PHONE}}, "headers": good},
        {
            "url": CREDIT,
            "content": f'{{"customer_id": "{ID}", "{NAME}',
            "headers": as_json,
        },
        {"url": CREDIT, "content": NAME, "headers": {**good, "Content-Type": NAME}},
        {"url": CREDIT, "json": body, "headers": {"X-API-Key": KEY}},
        {"url": CREDIT, "json": body, "headers": {"Authorization": f"Bearer {KEY}"}},
        {"url": CREDIT, "json": body, "headers": {"Authorization": f"Basic {PASSWORD}"}},
        {"url": f"{CREDIT}?api_key={key}&customer_id={ID}", "json": body, "headers": good},
        {"url": f"{CREDIT}?api_key={key}&name={NAME}", "json": body},
        {"url": f"/v1/customers/{UNKNOWN_ID}", "method": "GET", "headers": good},
        {"url": f"/v1/customers/{ID}?phone={PHONE}", "method": "GET"},
        {"url": f"/v1/{key}/{ID}", "headers": good},
        {"url": f"/v1/{KEY}/{ID}%0d%0aforged:%20line"},
        {"url": f"/{NAME}", "headers": good},
        {
            "url": CREDIT,
            "json": body,
            "headers": odd,
        },
        {"url": CREDIT, "json": body, "headers": {**good, "Kilowise-Release": UNKNOWN_ID, "X-Request-Id": UNKNOWN_ID}},
        {"url": CREDIT, "json": body, "headers": {**good, "X-Forwarded-For": ADDRESS, "Forwarded": f"for={ADDRESS}"}},
        {"url": CREDIT, "json": body, "headers": {**good, "X-Long": NAME * 2_000}},
        {"url": "/metrics", "method": "GET", "headers": {**good, "X-Forwarded-Host": NAME}},
    ]


def written_under(home: Path) -> str:
    """Return everything that stands in files, unpacked."""
    texts = []
    for path in home.rglob("*"):
        if not path.is_file() or path.is_symlink() or {"models", "releases"} & set(path.relative_to(home).parts):
            continue
        texts.append(str(path))
        texts.append(str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else repr(path.read_bytes()))
    return "\n".join(texts)


def test_no_log_file_or_metric_holds_what_was_planted(
    home: Path,
    log_format: LogFormat,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ServingSettings(home=home, _env_file=None)
    scopes: list[ApiScope] = ["credit_risk"]
    allowance = Allowance(1_000, 1_000, None)
    key = add_key(settings.api_keys_path, "shop", scopes, now=datetime.now(UTC), allowance=allowance)
    runtime = Runtime(settings)
    runtime.start()
    app = client_of(runtime).app
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False, client=(ADDRESS, 50_000))

    answers = [client.request(**{"method": "POST", **request}) for request in requests_with(key)]
    # A fault of ours while a customer is in hand: its message names the customer, as messages do.
    with monkeypatch.context() as patched:
        patched.setattr("serving.release_board.ReleaseBoard.get", crash)
        answers.append(client.post(CREDIT, json={"customer_id": ID}, headers={"X-API-Key": key}))
    runtime.stop()
    exposition = metrics.exposition().decode()
    output = capfd.readouterr()

    statuses = [answer.status_code for answer in answers]
    assert {200, 400, 401, 404, 415, 422, 431, 500} <= set(statuses)
    assert statuses.count(500) == 1
    files = written_under(home)
    assert "predictions/log" in files
    assert "audit/denied" in files
    assert output.err
    for what, value in {**PLANTED, "valid key": key, "key without prefix": key.removeprefix("kilowise_")}.items():
        for place, text in {"files": files, "logs": output.out + output.err, "metrics": exposition}.items():
            assert value not in text, f"{what} stands in the {place} ({log_format})"
    assert not any(key in answer.text or KEY in answer.text for answer in answers)


def crash(*_: object) -> None:
    print("a line of ours that says nothing", file=sys.stderr)
    raise RuntimeError(f"cannot score {ID} of {NAME}")
