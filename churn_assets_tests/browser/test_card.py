"""The model card as a browser shows it, from a file and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from churn_assets.learning.card_page import card
from churn_assets_tests.learning.cards import made_up

SIZES = {"desk": {"width": 1280, "height": 860}, "phone": {"width": 400, "height": 800}}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with a word that cannot be broken, as a data version is."""
    path = tmp_path_factory.mktemp("card") / "model_card.html"
    path.write_text(card(made_up("0123456789abcdef" * 4)), encoding="utf-8")
    return path


@pytest.fixture(params=SIZES)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport=SIZES[request.param])
    yield context.new_page()
    context.close()


def test_a_card_fits_the_window_and_shows_its_pictures(page: Page, file: Path) -> None:
    page.goto(file.as_uri())

    assert page.title().endswith("version 2: model card")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    pictures = page.locator("img")
    assert pictures.count() == 3
    for picture in pictures.all():
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    drawing = page.locator("svg").bounding_box()
    assert drawing is not None
    assert min(drawing["width"], drawing["height"]) > 100


def test_a_card_asks_for_nothing_but_itself(page: Page, file: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(file.as_uri())

    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}


def test_a_card_is_dark_where_the_reader_wants_it_and_light_on_paper(
    page: Page, file: Path
) -> None:
    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))

    page.goto(file.as_uri())
    light = brightness()
    page.emulate_media(color_scheme="dark")
    dark = brightness()
    page.emulate_media(color_scheme="dark", media="print")
    paper = brightness()

    assert dark < light / 4
    assert paper == 3 * 255
