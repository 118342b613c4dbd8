"""The OpenAPI document is complete and true: everything is described, and every example is answered as it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from serving.app import build_app
from serving.openapi import openapi
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.conftest import client_of

DOCUMENT: dict[str, Any] = openapi(build_app())
OPERATIONS = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
IDS = [f"{method} {path}" for path, method, _ in OPERATIONS]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator of a schema whose references lead into the document."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_every_field_of_every_model_is_described() -> None:
    bare = [
        f"{name}.{field}"
        for name, model in DOCUMENT["components"]["schemas"].items()
        for field, schema in model.get("properties", {}).items()
        if not schema.get("description")
    ]

    assert bare == []
    assert [name for name, model in DOCUMENT["components"]["schemas"].items() if not model.get("description")] == []


def test_every_field_for_a_model_is_described_in_both_languages() -> None:
    bare = [
        f"{name}.{field}"
        for name, model in DOCUMENT["components"]["schemas"].items()
        if name.endswith(("Features", "Prediction"))
        for field, schema in model["properties"].items()
        if " / " not in schema["description"]
    ]

    assert bare == []


@pytest.mark.parametrize(("_path", "_method", "operation"), OPERATIONS, ids=IDS)
def test_every_parameter_header_and_status_is_described(_path: str, _method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
        assert parameter["schema"]["type"] == "string"
    for status, response in operation["responses"].items():
        assert response["description"], status
        assert "X-Request-Id" in response["headers"], status
        assert all(header["description"] for header in response["headers"].values())
    assert {"200", "401", "429", "431", "500"} <= set(operation["responses"])
    for status in {"409", "429", "503"} & set(operation["responses"]):
        assert "Retry-After" in operation["responses"][status]["headers"]


@pytest.mark.parametrize(("path", "_method", "operation"), OPERATIONS, ids=IDS)
def test_every_route_says_which_scope_its_key_needs(path: str, _method: str, operation: dict[str, Any]) -> None:
    use_case = path.split("/")[2]
    expected = [use_case] if use_case in ("segmentation", "tariff_matching", "credit_risk") else []

    assert operation["security"] == [{"apiKey": expected}, {"bearer": expected}, {}]
    # A portrait needs the scope of any use case.
    assert ("403" in operation["responses"]) == (bool(expected) or use_case == "customers")


def examples() -> Iterator[tuple[str, str, str, Any]]:
    for path, method, operation in OPERATIONS:
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            assert method == "post"
            for name, example in content["examples"].items():
                # These releases bring no definitions of features; tests/integration/serving/test_raw_data.py sends it.
                if name != "raw":
                    yield path, media_type, name, example["value"]


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def complete_client(complete_home: Path) -> Iterator[TestClient]:
    runtime = Runtime(ServingSettings(home=complete_home, log_predictions=False))
    runtime.start()
    yield client_of(runtime)
    runtime.stop()


@pytest.mark.parametrize(("path", "media_type", "name", "value"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_every_example_is_answered_as_its_route_says(
    complete_client: TestClient, path: str, media_type: str, name: str, value: Any
) -> None:
    content = value if isinstance(value, str) else json.dumps(value)

    response = complete_client.post(path, content=content, headers={"Content-Type": media_type})

    documented = DOCUMENT["paths"][path]["post"]["responses"][str(response.status_code)]["content"]
    assert response.status_code == 200, response.text
    if media_type != "application/json":
        *lines, last = [json.loads(line) for line in response.text.splitlines()]
        model = documented[media_type]["schema"]["description"].split("`")[1]
        for line in lines:
            validator({"$ref": f"#/components/schemas/{model}"}).validate(line)
            assert "error" not in line["result"]
        validator({"$ref": "#/components/schemas/LastLine"}).validate(last)
        return
    validator(documented["application/json"]["schema"]).validate(response.json())
    results = response.json().get("results") or [response.json()["result"]]
    assert all("error" not in result for result in results), name


@pytest.mark.parametrize("path", ["/v1/releases", "/v1/models"])
def test_what_is_served_is_answered_as_documented(client: TestClient, path: str) -> None:
    schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    validator(schema).validate(client.get(path).json())


def test_examples_of_errors_have_their_shape() -> None:
    problem = validator({"$ref": "#/components/schemas/Problem"})
    for _, _, operation in OPERATIONS:
        for response in operation["responses"].values():
            for kind, example in response.get("content", {}).get("application/json", {}).get("examples", {}).items():
                problem.validate(example["value"])
                assert example["value"]["type"] == kind


def test_every_reference_of_the_document_resolves() -> None:
    references = [part.split('"')[0] for part in json.dumps(DOCUMENT).split('"#/components/schemas/')[1:]]

    assert references
    assert set(references) <= set(DOCUMENT["components"]["schemas"])
