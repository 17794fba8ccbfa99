"""The profile of a table as a browser shows it, from a file and without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

from churn_assets.scaffold.profile_page import profile_page
from churn_assets_tests.support.drafting import ROWS, draft_of, noise, outcomes, signal


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile with names and values that cannot be broken."""
    long = "0123456789abcdef" * 4
    draft = draft_of({
        long: signal(), "balance": noise(), "kind": [f"{long}{i % 3}" for i in range(ROWS)],
        "reason": [f"{long} moved" if left == "yes" else None for left in outcomes()],
        "note": [f"{long} said {i} and no more" for i in range(ROWS)],
    })  # fmt: skip
    path = tmp_path_factory.mktemp("profile") / "case.html"
    path.write_text(profile_page(draft, datetime.now(UTC)), encoding="utf-8")
    return path


def test_a_profile_fits_the_window_shows_its_drawings_and_asks_for_nothing_else(
    window: Page, file: Path
) -> None:
    requests: list[str] = []
    window.on("request", lambda request: requests.append(request.url))

    window.goto(file.as_uri())

    assert window.title() == "case: profile"
    assert window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert requests == [file.as_uri()]
    drawings = window.locator("svg")
    assert drawings.count() == 2
    for drawing in drawings.all():
        box = drawing.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 100
        assert drawing.locator("rect").first.evaluate("bar => bar.getBBox().height") > 1
