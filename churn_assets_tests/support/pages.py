"""What a browser would see of an HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

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
    assert all(source.startswith("data:image/png;base64,") for source in page.values("src"))
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
