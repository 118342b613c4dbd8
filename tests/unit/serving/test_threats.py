"""Attacks of docs/security.md that no test of a single module holds: what arrives is data and stays data."""

import ast
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.unit.serving.builders import customer_id

PROJECT_ROOT = Path(__file__).resolve().parents[3]
CREDIT = "/v1/credit_risk/score"
FROM_AFAR = "http://169.254.169.254/latest/meta-data/"


@pytest.mark.parametrize(
    "attack",
    [
        "' OR '1'='1",
        "x'; DROP TABLE features; --",
        "%",
        "C000000_",
        '"; select load_extension("x"); --',
        "../../../etc/passwd",
        "{{7*7}}",
        "${jndi:ldap://x}",
    ],
)
def test_an_id_is_never_more_than_an_id(client: TestClient, attack: str) -> None:
    single = client.post(CREDIT, json={"customer_id": attack})
    batch = client.post(CREDIT, json={"customer_ids": [attack, customer_id(1)]}).json()["results"]

    assert single.status_code == 404
    assert single.json()["type"] == "unknown_customer"
    assert attack not in single.text
    assert [set(result) & {"error", "prediction"} for result in batch] == [{"error"}, {"prediction"}]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/credit_risk/score%0d%0aSet-Cookie:%20a=b",
        "/%0d%0aX-Injected:%20yes",
        "/docs%0d%0a%0d%0a<script>alert(1)</script>",
    ],
)
def test_no_text_of_a_request_becomes_a_header_or_markup(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"X-Request-Id": "mine", "Origin": "https://elsewhere.example"})

    assert answer.status_code in (404, 405)
    assert answer.headers["Content-Type"] == "application/json"
    assert not {"set-cookie", "x-injected"} & {name.lower() for name in answer.headers}
    assert "elsewhere" not in str(answer.headers)
    assert answer.headers["X-Request-Id"] != "mine"


@pytest.mark.parametrize(
    "name", ["../credit_risk/0001-202608-0000000000", "/etc/passwd", "..", "0001\\..\\x", "%2e%2e"]
)
def test_a_release_that_a_caller_names_is_never_looked_for_on_the_disk(client: TestClient, name: str) -> None:
    answer = client.post(CREDIT, json={"customer_id": customer_id(1)}, headers={"Kilowise-Release": name})

    assert answer.status_code == 409
    served = {release["use_case"]: release["release"] for release in client.get("/v1/releases").json()["releases"]}
    assert answer.json()["allowed"] == [served["credit_risk"]]


def test_no_request_makes_the_server_call_another(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, address: called.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: called.append(arguments) or [])

    for body in ({"customer_id": FROM_AFAR}, {"features": {"customer_class": FROM_AFAR}}, {FROM_AFAR: FROM_AFAR}):
        client.post(
            f"{CREDIT}?url={FROM_AFAR}", json=body, headers={"Referer": FROM_AFAR, "X-Forwarded-Host": FROM_AFAR}
        )
    client.get(f"/docs?url={FROM_AFAR}")
    client.get(f"/{FROM_AFAR}")

    assert called == []


CODE_LOADERS = re.compile(r"pickle|joblib|dill|shelve|np\.load|unsafe_load|\beval\(|\bexec\(|os\.system|shell=True")


def runs_code(node: ast.AST) -> bool:
    """Return whether a statement or call may run what a file or a text says."""
    modules = {"pickle", "joblib", "dill", "shelve"}
    if isinstance(node, ast.Import):
        return bool({alias.name for alias in node.names} & modules)
    if isinstance(node, ast.ImportFrom):
        return node.module in modules
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    return (
        name in {"yaml.unsafe_load", "eval", "exec", "pd.read_pickle", "os.system"}
        or (name == "np.load" and keywords.get("allow_pickle") != "False")
        or keywords.get("shell") == "True"
    )


@pytest.mark.parametrize(
    "text",
    ["import pickle", "np.load(f)", "np.load(f, allow_pickle=True)", "run(c, shell=True)", "from joblib import load"],
)
def test_what_can_run_code_is_recognised(text: str) -> None:
    assert CODE_LOADERS.search(text)
    assert any(runs_code(node) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("package", ["ml", "serving", "monitoring", "orchestration"])
def test_nothing_is_loaded_that_can_run_code(package: str) -> None:
    """Pickle and its relatives run what a file says; numpy reads pickles unless told not to."""
    found = []
    for path in (PROJECT_ROOT / package).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # Parsing every file would take seconds; most do not even hold the words.
        if CODE_LOADERS.search(text):
            found += [
                f"{path.relative_to(PROJECT_ROOT)}:{node.lineno}"
                for node in ast.walk(ast.parse(text))
                if runs_code(node)
            ]

    assert found == []
