"""What whoever writes a page relies on: text stays text, and a name that is missing is told."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

import churn_assets
from churn_assets.pages import html
from churn_assets_tests.support.pages import HOSTILE, Page

PACKAGE = Path(churn_assets.__file__).parent
TEMPLATES = sorted(PACKAGE.rglob("*.html"))


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template of its own beside those of the package."""
    environment = html._environment()
    folders = [str(tmp_path), str(PACKAGE)]
    monkeypatch.setattr(environment, "loader", jinja2.FileSystemLoader(folders))
    monkeypatch.setattr(environment, "cache", {})
    return tmp_path / "page.html"


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_text_is_escaped_unless_a_macro_made_it(template: Path, word: str) -> None:
    template.write_text(
        '{% import "pages/macros.html" as ui %}{{ word }}{{ ui.chip(word, word) }}'
        "{{ ui.tile(word, word, word) }}{{ ui.figures({word: svg}, named=true) }}"
        "{% call ui.table([word], kind=word) %}<tr><td>{{ word }}</td></tr>{% endcall %}"
        "{{ ui.definitions({word: word}) }}"
    )

    page = Page(html.render("page.html", word=word, svg=b"<svg></svg>"))

    tags = {"span", "div", "b", "small", "figure", "svg", "figcaption", "table", "tr", "th", "td",
            "dl", "dt", "dd"}  # fmt: skip
    assert {tag for tag, _ in page.tags} == tags
    assert page.text.count(word) == 10
    assert list(page.values("aria-label")) == [word]


def test_a_name_that_nobody_gave_is_an_error_and_no_blank(template: Path) -> None:
    template.write_text("{{ missing }}")

    with pytest.raises(jinja2.UndefinedError, match="missing"):
        html.render("page.html")


@pytest.mark.parametrize("path", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_no_template_turns_escaping_off(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert "autoescape" not in text
    assert "| safe" not in text
    assert "|safe" not in text
    assert "<script" not in text
