"""What a browser would see of an HTML page, and a person of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.etree import ElementTree

ASKING = {"script", "link", "iframe", "object", "embed", "audio", "video", "base", "form"}


HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of an attribute": "\"><img src=x onerror='alert(1)'>",
    "end of a style": "</style></title></svg><script>alert(1)</script>",
    "expression": "{{ 7*7 }}{{ card }}",
    "statement": "{% raw %}{% include 'pages/page.css' %}{# comment",
    "entity": "&lt;b&gt; &amp; <!-- not a comment",
    "filter": "|safe}} <b>bold</b>",
}
"""What would change a page, were it not escaped, or run as a part of a template."""


class Page(HTMLParser):
    """The tags, text and style of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style" and not self.style:
            self.style = data
        else:
            self.text += data

    def values(self, attribute: str) -> Iterator[str]:
        """Every value of an attribute."""
        return (attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs)


def require_self_contained(page: Page) -> None:
    """Refuse a page that asks anything of the network, or runs a script."""
    assert not ASKING & {tag for tag, _ in page.tags}
    assert not list(page.values("src"))
    assert all(link.startswith("#") for link in page.values("href"))
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "url(" not in page.style
    assert "@import" not in page.style


def require_same_tags(page: Page, harmless: Page, word: str, harmless_word: str) -> None:
    """Refuse a page whose tags differ from another's by more than a word that it shows as text."""
    assert page.tags == [
        (tag, {name: value and value.replace(harmless_word, word) for name, value in attrs.items()})
        for tag, attrs in harmless.tags
    ]
    assert page.style == harmless.style


SMALLEST = 9
"""Pixels of print that people read."""
SHOWN = 300
"""How wide a picture is shown at least: on a phone."""
_MARKS = ("polyline", "polygon", "rect", "circle")
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Seen:
    """A picture: its title, what is written in it, and how many marks it has."""

    title: str
    texts: list[str]
    marks: int


def seen(svg: bytes) -> Seen:
    """What a picture shows; refused where it is not small, readable and within its frame."""
    assert len(svg) < 20_000
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{_SVG}svg"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    sizes = [float(_style(root)["font"].split("px")[0])]
    texts = list(root.iter(f"{_SVG}text"))
    for text in texts:
        sizes.append(float(_style(text).get("font-size", f"{sizes[0]}px").removesuffix("px")))
        assert "e+" not in (text.text or "")
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height
    assert min(sizes) * SHOWN / width >= SMALLEST
    marks = [
        e for kind in ("polyline", "polygon", "rect", "circle") for e in root.iter(_SVG + kind)
    ]
    # The first rectangle is the sheet.
    return Seen(root.attrib["aria-label"], [text.text or "" for text in texts], len(marks) - 1)


def _style(element: ElementTree.Element) -> dict[str, str]:
    parts = (part.partition(":") for part in element.attrib["style"].split(";") if part)
    return {name: value for name, _, value in parts}
