"""The model owners' site as a model owner opens it: in a browser, without a server and without the network."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from ml.columns import USE_CASES
from tests.integration.platform_home import PlatformHome

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; install it to test the pages"),
]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(offline=True)
        yield context.new_page()
        browser.close()


def test_every_model_is_one_click_from_the_first_page(finished_home: PlatformHome, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    index = (finished_home.path / "reports" / "site" / "index.html").as_uri()

    for use_case in USE_CASES:
        page.goto(index)
        page.locator(f"a[href*='{use_case}']").first.click()

        assert use_case in page.url
        assert page.locator("h1").count() == 1

    assert errors == []


def test_no_page_scrolls_sideways_on_a_telephone_a_tablet_or_a_desk(finished_home: PlatformHome, page: Page) -> None:
    site = finished_home.path / "reports" / "site"

    too_wide = []
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        for width_px in (390, 820, 1440):
            page.set_viewport_size({"width": width_px, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
                too_wide.append(f"{path.relative_to(site).as_posix()} at {width_px}")

    assert too_wide == []


def test_the_keyboard_reaches_the_content_and_the_months_of_the_time_line(
    finished_home: PlatformHome, page: Page
) -> None:
    page.goto((finished_home.path / "reports" / "site" / "segmentation" / "index.html").as_uri())

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('svg.history') !== null"):
            break
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="What was found").wait_for(timeout=10_000)
