"""A route that will go says so in every answer."""

from datetime import UTC, datetime

import pytest

from serving.app import build_app
from serving.deprecation import DEPRECATIONS, Deprecation
from serving.openapi import openapi
from serving.runtime import Runtime
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import TestClient

CREDIT = "/v1/credit_risk/score"
SOON = Deprecation(
    announced_at=datetime(2026, 11, 1, tzinfo=UTC),
    sunset_at=datetime(2027, 11, 30, 23, 59, 59, tzinfo=UTC),
    successor="/v2/credit_risk/score",
)


@pytest.fixture
def deprecating_client(runtime: Runtime) -> TestClient:
    app = build_app({CREDIT: SOON})
    app.state.runtime = runtime
    return TestClient(app)


@pytest.mark.parametrize("body", [{"customer_id": customer_id(1)}, {}], ids=["answer", "refusal"])
def test_its_answers_say_since_when_until_when_and_what_comes_next(
    deprecating_client: TestClient, body: dict[str, str]
) -> None:
    headers = deprecating_client.post(CREDIT, json=body).headers

    # The forms of RFC 9745 and RFC 8594.
    assert headers["Deprecation"] == "@1793491200"
    assert headers["Sunset"] == "Tue, 30 Nov 2027 23:59:59 GMT"
    assert headers["Link"] == '</v2/credit_risk/score>; rel="successor-version"'


def test_other_routes_and_the_document_of_others_are_left_alone(deprecating_client: TestClient) -> None:
    assert "Deprecation" not in deprecating_client.get("/v1/releases").headers

    paths = openapi(deprecating_client.app)["paths"]  # type: ignore[arg-type]  # TestClient types an ASGI callable

    assert paths[CREDIT]["post"]["deprecated"] is True
    assert "2027-11-30" in paths[CREDIT]["post"]["description"]
    assert "deprecated" not in paths["/v1/releases"]["get"]


def test_less_than_a_year_of_notice_is_refused() -> None:
    with pytest.raises(ValueError, match="365 days"):
        Deprecation(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC), "/v2/x")


def test_every_deprecated_route_exists() -> None:
    assert set(DEPRECATIONS) <= set(openapi(build_app())["paths"])
