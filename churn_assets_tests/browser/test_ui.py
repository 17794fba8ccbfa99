"""The UI in a browser: what a person clicks and sees.

With SCREENSHOTS=docs/images the pictures of the README are taken anew.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import dagster as dg
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from churn_assets.assets.automation import UNFINISHED
from churn_assets.learning.scoring import behind
from churn_assets_tests.support.processes import background, free_ports
from churn_assets_tests.support.project import (
    ASSETS,
    DECLARED,
    ONLY_TELCO,
    QUICK,
    ROWS,
    TABLES,
    Project,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

READY_SECONDS = 180
RUN_SECONDS = 200
VIEWPORT = {"width": 1280, "height": 860}
ABOVE_PLOTS = {"x": 0, "y": 0, "width": 1280, "height": 696}
SENTENCE = r"Challenger refused: .*\. The Champion and its predictions stand\. Train another, on"
FACETS = ["checks", "status", "kind-tag"]
"""What a node of the lineage shows."""


@dataclass(frozen=True)
class UI:
    """A running UI and the project behind it."""

    url: str
    project: Project
    screenshots: Path

    def open(self, page: Page, path: str) -> None:
        """Go to a page."""
        page.goto(f"{self.url}/{path}")


@pytest.fixture(scope="module")
def ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """A running UI; not started where there is no browser to look at it."""
    folder = tmp_path_factory.mktemp("ui")
    project = Project(folder)
    environ = {
        "CHURN_ROOT": str(folder / ".churn"),
        "CHURN_TRAINING": json.dumps(QUICK),
        "CHURN_SOURCES__TELCO_CHURN__URI": str(project.write()),
        **ONLY_TELCO,
    }
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    kept = os.environ.get("SCREENSHOTS")
    screenshots = Path(kept).absolute() if kept else tmp_path_factory.mktemp("screenshots")
    with background(["churn", "dev", "--port", str(port)], environ, folder / "log") as server:
        server.wait_until(lambda: _answers(url), READY_SECONDS, "ready")
        yield UI(url, project, screenshots)
        # The daemon scores whom a refused Challenger left unscored, in a process of its own.
        server.wait_until(lambda: _is_idle(project), RUN_SECONDS, "idle")


@pytest.fixture(scope="module")
def asked() -> set[str]:
    """The hosts that any page has asked."""
    return set()


@pytest.fixture(scope="module")
def page(browser: Browser, asked: set[str]) -> Iterator[Page]:
    context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1.5, timezone_id="UTC")
    kept = {
        "asset-node-facets": json.dumps(FACETS),
        "asset-graph-direction": json.dumps("vertical"),
        "dagster-nav-collapsed": "true",
    }
    context.add_init_script(
        "".join(f"localStorage.setItem({json.dumps(k)}, {json.dumps(v)});" for k, v in kept.items())
    )
    context.on("request", lambda request: asked.add(urlparse(request.url).hostname or ""))
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def materialised(ui: UI, page: Page) -> str:
    """How it ends when a person clicks Materialize all."""
    return _materialise_all(ui, page)


@pytest.fixture(scope="module")
def refused(ui: UI, page: Page, materialised: str) -> str:
    """How it ends when the next records have labels that say nothing."""
    assert materialised == "Success"
    ui.project.write(lambda frame: frame.with_columns(pl.col("Churn").shuffle(seed=1)))
    return _materialise_all(ui, page)


def test_a_person_materialises_all_by_clicking(ui: UI, materialised: str) -> None:
    assert materialised == "Success"
    assert ui.project.rows("predictions").height == ROWS


def test_no_welcome_window_covers_the_page(ui: UI, page: Page, materialised: str) -> None:
    ui.open(page, "")

    expect(page.get_by_role("tab", name="Timeline")).to_be_visible()
    expect(page.get_by_text(re.compile("join the dagster", re.IGNORECASE))).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_lineage_shows_every_table_with_its_checks(
    ui: UI, page: Page, materialised: str
) -> None:
    # High enough to show the whole graph at full size.
    page.set_viewport_size({**VIEWPORT, "height": 1180})
    ui.open(page, "asset-groups")

    nodes = page.locator("foreignObject")
    # And traffic, which is left as it is.
    expect(nodes.get_by_text("Materialized", exact=True)).to_have_count(len(ASSETS) + 1)
    expect(page.get_by_text(re.compile(r"^\d+ / \d+ Passed$"))).to_have_count(6)
    of_model = len(DECLARED) + len(("no_telling_input", "bundle_equal"))
    expect(page.get_by_text(f"{of_model} / {of_model} Passed")).to_have_count(1)
    _picture(ui, page, "lineage", nodes)
    page.set_viewport_size(VIEWPORT)


def test_the_gates_show_that_they_passed_and_why(ui: UI, page: Page, materialised: str) -> None:
    ui.open(page, "assets/telco_churn/model")
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text("better_than_chance").first.click()

    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(
        len(DECLARED) + len(("no_telling_input", "bundle_equal"))
    )
    expect(
        page.get_by_text(re.compile("lower 95 % bound of ROC AUC .*of guessing"))
    ).to_be_visible()
    expect(page.get_by_text("roc_auc_lower_95").first).to_be_visible()
    # A person may ask a gate again without a new training.
    expect(page.get_by_role("button", name=re.compile("Execute$"))).to_be_enabled()
    page.screenshot(path=ui.screenshots / "gates.png", clip=ABOVE_PLOTS)


def test_the_model_shows_pictures(ui: UI, page: Page, materialised: str) -> None:
    ui.open(page, "assets/telco_churn/model?view=overview")
    page.locator("tr", has_text="pictures").get_by_text("Show Markdown").click()

    pictures = page.get_by_role("dialog").locator("img")
    expect(pictures).to_have_count(4)
    for picture in pictures.all():
        assert picture.evaluate("image => image.naturalWidth") > 0
    _picture(ui, page, "model", pictures, margin=6)
    page.keyboard.press("Escape")


def test_predictions_show_whom_to_act_on_in_pictures(ui: UI, page: Page, materialised: str) -> None:
    ui.open(page, "assets/telco_churn/predictions?view=events")
    page.locator("tr", has_text="pictures").get_by_text("Show Markdown").click()

    pictures = page.get_by_role("dialog").locator("img")
    expect(pictures).to_have_count(4)
    assert all(picture.evaluate("image => image.naturalWidth") for picture in pictures.all())
    _picture(ui, page, "predictions", pictures, margin=6)
    page.keyboard.press("Escape")


def test_the_models_card_opens_in_the_ui(ui: UI, page: Page, materialised: str) -> None:
    # What the gates observed, which came last.
    ui.open(page, "assets/telco_churn/model?view=events")
    row = page.locator("tr", has=page.get_by_text("model_card", exact=True))
    row.get_by_text("Show Markdown").click()

    card = page.get_by_role("dialog")
    expect(card.get_by_role("heading", name="telco_churn, version 1")).to_be_visible()
    pictures = card.locator("img")
    assert pictures.count() > 8
    assert all(picture.evaluate("image => image.naturalWidth") for picture in pictures.all())
    page.keyboard.press("Escape")


def test_the_model_names_its_card_which_opens_as_a_page_of_its_own(
    ui: UI, page: Page, materialised: str
) -> None:
    ui.open(page, "assets/telco_churn/model?view=overview")
    expect(page.get_by_text(re.compile(r"card/model_card\.html")).first).to_be_visible()
    (card,) = (ui.project.folder / ".churn" / "artifacts").rglob("model_card.html")

    page.goto(card.as_uri())

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.locator("svg").count() > 8
    page.screenshot(path=ui.screenshots / "model_card.png")


def test_a_refused_challenger_shows_why(ui: UI, page: Page, refused: str) -> None:
    champion, predictions = ui.project.champion(), ui.project.rows("predictions")

    ui.open(page, "assets/telco_churn/model?view=checks&checkDetail=better_than_chance")

    assert refused == "Failure"
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(
        page.get_by_text(re.compile("^the lower 95 % bound of ROC AUC .* is not above 0.500$"))
    ).to_be_visible()
    expect(page.get_by_text(re.compile(SENTENCE)).first).to_be_visible()
    page.screenshot(path=ui.screenshots / "refused.png", clip=ABOVE_PLOTS)
    assert champion.version == 1
    assert set(predictions["model_version"]) == {1}


def test_the_run_of_a_refused_challenger_says_why_what_stands_and_what_to_do(
    ui: UI, page: Page, refused: str
) -> None:
    home = ui.project.folder / ".churn" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        (run,) = instance.get_runs(failed)
    ui.open(page, f"runs/{run.run_id}")

    expect(page.get_by_text(re.compile(SENTENCE)).first).to_be_visible()


def test_a_wrong_source_is_told_first_on_the_page_of_its_run(
    ui: UI, page: Page, refused: str
) -> None:
    ui.project.write(lambda frame: frame.drop("TotalCharges"))

    ended = _materialise_all(ui, page)

    assert ended == "Failure"
    expect(page.get_by_text(re.compile("column 'TotalCharges' is missing")).first).to_be_visible()


def test_no_request_leaves_the_machine(asked: set[str], refused: str) -> None:
    # Pictures inside a page are data, which have no host.
    assert asked - {""} == {"127.0.0.1"}


def _materialise_all(ui: UI, page: Page) -> str:
    ui.open(page, "")
    page.locator('a[href="/asset-groups"]').first.click()
    page.get_by_role("button", name=re.compile("Materialize all")).click()
    page.locator("[data-sonner-toast]").get_by_text("View").click()
    status = page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
    expect(status).to_be_visible(timeout=RUN_SECONDS * 1000)
    return status.inner_text()


def _picture(ui: UI, page: Page, name: str, parts: object, margin: int = 24) -> None:
    """Take a picture of some parts of a page and what lies between them."""
    boxes = [part.bounding_box() for part in parts.all()]
    left, top = (min(box[side] for box in boxes) - margin for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + margin
    bottom = max(box["y"] + box["height"] for box in boxes) + margin
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    page.screenshot(path=ui.screenshots / f"{name}.png", clip=clip)


def _is_idle(project: Project) -> bool:
    """Whether everyone is scored, and no run is under way."""
    home = project.folder / ".churn" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        under_way = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    tables = {name: project.table(name) for name in TABLES}
    return not under_way and behind(tables) is None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
