"""The model card as a browser shows it, from a file and without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from churn_assets.learning.card.page import card_page
from churn_assets.pages.plots import WIDTH
from churn_assets_tests.support.cards import made_up

BROKEN_WORDS = """() => {
  const broken = [], nodes = document.createTreeWalker(document.querySelector("main"), 4);
  for (let node; node = nodes.nextNode();)
    for (const word of node.data.matchAll(/\\p{L}{2,}/gu)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) broken.push(word[0]);
    }
  return broken;
}"""
"""The words that stand in more than one line."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with a word that cannot be broken, as a data version is."""
    path = tmp_path_factory.mktemp("card") / "model_card.html"
    path.write_text(card_page(made_up("0123456789abcdef" * 4)), encoding="utf-8")
    return path


def test_a_card_fits_the_window_and_shows_its_pictures(window: Page, file: Path) -> None:
    window.goto(file.as_uri())

    assert window.title().endswith("version 2: model card")
    assert window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    pictures = window.locator("svg")
    assert pictures.count() == 4
    for picture in pictures.all():
        box = picture.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 100


def test_no_word_of_a_card_breaks_inside_and_no_print_is_small(
    window: Page, tmp_path: Path
) -> None:
    file = tmp_path / "card.html"
    file.write_text(card_page(made_up("Complementary")), encoding="utf-8")

    window.goto(file.as_uri())

    assert window.evaluate(BROKEN_WORDS) == []
    shown = window.locator("svg").first.bounding_box()
    assert shown is not None
    assert 11 * shown["width"] / WIDTH >= 9


def test_a_card_asks_for_nothing_but_itself(window: Page, file: Path) -> None:
    requests: list[str] = []
    window.on("request", lambda request: requests.append(request.url))

    window.goto(file.as_uri())

    assert {url for url in requests if not url.startswith("data:")} == {file.as_uri()}


def test_a_card_is_dark_where_the_reader_wants_it_and_light_on_paper(
    window: Page, file: Path
) -> None:
    def brightness() -> int:
        colour = window.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))

    window.goto(file.as_uri())
    light = brightness()
    window.emulate_media(color_scheme="dark")
    dark = brightness()
    window.emulate_media(color_scheme="dark", media="print")
    paper = brightness()

    assert dark < light / 4
    assert paper == 3 * 255
