"""The page for who looks a customer up, as a browser shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from churn_assets.serving.answering.calls.access import line_of
from churn_assets_tests.browser.conftest import shoot
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.serving.running import Serving, scored_once, serving

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shown:
    """A project, and a server on it."""

    project: Project
    server: Serving

    @property
    def risky(self) -> str:
        """The key of a customer of high risk who may leave any month."""
        scored = self.project.rows("predictions").join(
            self.project.rows("features").select("customer_id", "contract"), on="customer_id"
        )
        risky = scored.filter(pl.col("contract") == "Month-to-month").sort("churn_probability")
        return str(risky["customer_id"][-1])

    def address(self, **query: str) -> str:
        """Of the page."""
        return f"{self.server.address}/?{urlencode(query)}"


@pytest.fixture(scope="module")
def shown(new_project: Callable[..., Project]) -> Iterator[Shown]:
    project = scored_once(new_project())
    with serving(project.folder / ".churn") as server:
        yield Shown(project, server)


def test_a_customer_is_looked_up_by_keyboard_and_the_score_moves(
    window: Page, shown: Shown
) -> None:
    requested: list[str] = []
    window.on("request", lambda request: requested.append(request.url))
    window.goto(shown.address())
    # The field has the focus.
    window.keyboard.type(shown.risky)
    window.keyboard.press("Enter")
    expect(window.get_by_role("heading", name="Why")).to_be_visible()
    # The page's own style holds, and no other.
    expect(window.locator("h1")).to_have_css("color", "rgb(255, 255, 255)")
    shoot(window, "customer")

    window.get_by_label("contract", exact=True).select_option("Two year")
    window.get_by_role("button", name="Score it so").click()

    expect(window.get_by_role("heading", name="As it would be")).to_be_visible()
    expect(window.get_by_role("heading", name="What moved it")).to_be_visible()
    before, after = window.locator(".score p b").all_inner_texts()
    assert float(after.rstrip("%")) < float(before.rstrip("%"))
    assert window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert all(url.startswith(shown.server.address) for url in requested)
    shoot(window, "what_if")


def test_what_the_contract_would_refuse_is_told_on_the_page(window: Page, shown: Shown) -> None:
    window.goto(shown.address(**{"key.customer_id": shown.risky}))
    window.get_by_label("months with us", exact=True).fill("-3")
    window.get_by_role("button", name="Score it so").click()

    expect(window.get_by_role("alert")).to_contain_text("The contract would refuse this")
    expect(window.get_by_role("alert")).to_contain_text("tenure_months")


def test_what_was_told_of_a_customer_before_is_a_click_away(window: Page, shown: Shown) -> None:
    told = shown.project.rows("scores").filter(pl.col("customer_id") == shown.risky)
    window.goto(shown.address(**{"key.customer_id": shown.risky}))

    window.get_by_role("link", name="What was told of this customer before").click()

    table = window.locator("#history + .wide table")
    expect(table.locator("td:first-child")).to_have_count(len(told))
    expect(table).to_contain_text(f"{told['churn_probability'][0]:.1%}")


def test_a_key_that_nobody_has_is_told(window: Page, shown: Shown) -> None:
    window.goto(shown.address(**{"key.customer_id": "nobody <b>"}))

    expect(window.get_by_role("alert")).to_contain_text("No customer has this key")


def test_the_page_asks_for_a_key_where_keys_are_asked_for(
    window: Page, shown: Shown, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line_of("agent", ["explain"], "a secret") + "\n")
    root = shown.project.folder / ".churn"
    with serving(root, authentication="always", keys_file=str(keys)) as server:
        window.goto(server.address)
        window.get_by_label("API key").fill("wrong")
        window.get_by_role("button", name="Log in").click()
        expect(window.get_by_role("alert")).to_contain_text("not known")
        window.get_by_label("API key").fill("a secret")
        window.get_by_role("button", name="Log in").click()
        expect(window.get_by_role("button", name="Look up")).to_be_visible()
        window.get_by_role("button", name="Log out").click()
        expect(window.get_by_label("API key")).to_be_visible()
