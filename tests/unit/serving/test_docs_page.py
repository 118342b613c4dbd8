"""The API page, made from the OpenAPI document."""

import base64
import hashlib
import shutil
from typing import Any

import pytest
from playwright.sync_api import Route, sync_playwright

from serving.docs_page import content_security_policy, render_docs_page

CHROMIUM = shutil.which("chromium")


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


def test_a_path_can_be_sent_as_it_stands_on_the_page():
    described = document()
    described["paths"]["/v1/score/{number}"] = {
        "get": {
            "summary": "Read",
            "parameters": [{"name": "number", "in": "path", "example": "C 1", "description": "Which one"}],
            "responses": {"200": {"description": "Done", "content": {"text/html": {}}}},
        }
    }

    page = render_docs_page(described)

    assert 'data-path="/v1/score/C%201"' in page
    assert "<code>/v1/score/{number}</code>" in page
    assert "<td>Which one</td>" in page


def test_examples_are_named_by_what_they_send():
    page = render_docs_page(document(examples=[{"customer_id": "C1"}, {"features": {"annual_kwh": 2900}}]))

    assert ">One customer</button>" in page
    assert ">Features instead of an id</button>" in page
    assert "{&#34;customer_id&#34;: &#34;C1&#34;}</textarea>" in page


def test_the_policy_of_a_page_names_its_own_script_and_style_and_nothing_else():
    page = render_docs_page(document())
    policy = content_security_policy(page)
    script = page.partition("<script>")[2].partition("</script>")[0]

    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert policy.count("sha256-") == 2
    assert "unsafe" not in policy
    assert content_security_policy(page.replace("</script>", "alert(1)</script>")) != policy
    # What a policy of hashes would not let run.
    assert " onclick=" not in page
    assert " style=" not in page


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; install it to test the page")
def test_the_page_works_under_its_policy_in_a_browser():
    page_text = render_docs_page(document(examples=[{"customer_id": "C1"}]))
    complaints: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url.endswith("/docs"):
            policy = content_security_policy(page_text)
            route.fulfill(body=page_text, content_type="text/html", headers={"Content-Security-Policy": policy})
        else:
            route.fulfill(json={"sent": route.request.post_data})

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("console", lambda message: complaints.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", answer)
        page.goto("http://api.test/docs")
        page.locator("button.send").first.click()
        page.locator(".answer", has_text="sent").wait_for()
        styled = page.evaluate("getComputedStyle(document.querySelector('.method')).color")
        browser.close()

    assert complaints == []
    assert styled == "rgb(255, 255, 255)"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; install it to test the page")
def test_the_page_fits_a_telephone_with_everything_unfolded():
    described = document()
    described["paths"]["/v1/score"]["post"]["parameters"] = [
        {"name": "Idempotency-Key" * 4, "in": "header", "description": "Name of the batch"}
    ]

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_content(render_docs_page(described))
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        width_px = page.evaluate("document.documentElement.scrollWidth")
        browser.close()

    assert width_px == 390
