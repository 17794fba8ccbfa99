"""The browser that tests look through."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SEEN_SECONDS = 20
SIZES = {"desk": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    # Chromium's own sandbox does not start as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=SEEN_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_executable(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window of each size in turn."""
    context = browser.new_context(viewport=SIZES[request.param])
    yield context.new_page()
    context.close()


def shoot(page: Page, name: str) -> None:
    """Keep a picture of a page for the docs, at a desk, where SCREENSHOTS names a folder."""
    kept, size = os.environ.get("SCREENSHOTS"), page.viewport_size
    if kept and size == SIZES["desk"]:
        page.screenshot(path=Path(kept, f"{name}.png"))


def _executable() -> str:
    """The browser on the PATH."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing = "there is no Chromium on the PATH; `apt-get install chromium` puts it there"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found
