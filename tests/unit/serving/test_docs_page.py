"""The API page, made from the OpenAPI document."""

from typing import Any

from serving.docs_page import render_docs_page


def document(description: str = "A request", examples: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"title": "Answer", "properties": {}}}}, "description": "Done"}
    request = {
        "title": "Request",
        "properties": {"customer_id": {"type": "string", "description": description}},
        "examples": examples or [],
    }
    return {
        "info": {"title": "Kilowise", "version": "1.0", "description": "Send `customer_id`."},
        "components": {"schemas": {}},
        "paths": {
            "/v1/score": {
                "post": {
                    "summary": "Score",
                    "requestBody": {"content": {"application/json": {"schema": request}}},
                    "responses": {"200": answer},
                }
            }
        },
    }


def test_what_stands_between_backticks_is_code_and_nothing_else_is_markup():
    page = render_docs_page(document(description="Not <b>bold</b>, `a < b`"))

    assert "Send <code>customer_id</code>." in page
    assert "Not &lt;b&gt;bold&lt;/b&gt;, <code>a &lt; b</code>" in page


def test_examples_are_named_by_what_they_send():
    page = render_docs_page(document(examples=[{"customer_id": "C1"}, {"features": {"annual_kwh": 2900}}]))

    assert ">One customer</button>" in page
    assert ">Features instead of an id</button>" in page
    assert "{&#34;customer_id&#34;: &#34;C1&#34;}</textarea>" in page
