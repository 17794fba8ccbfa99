"""A page for people: one HTML file that asks nothing of the network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

_TEMPLATE = Path(__file__).with_name("page.html")


def page(title: str, header: str, opening: str, sections: Mapping[str, str], footer: str) -> str:
    """A whole page.

    Parameters
    ----------
    title, footer : str
        Text.
    header, opening : str
        HTML of the head of the page, as `header` gives it, and of what comes before the sections.
    sections : mapping of str to str
        HTML by the word that links to it; empty ones are left out.
    """
    present = {name: body for name, body in sections.items() if body}
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in present)
    shown = "".join(
        f'<section id="{_anchor(name)}">{body}</section>' for name, body in present.items()
    )
    body = (
        f"{header}<main>{opening}<nav>{links}</nav>{shown}</main><footer>{escape(footer)}</footer>"
    )
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body=body)


def header(kind: str, name: str, beside: str, chips: Iterable[str], description: str) -> str:
    """The head of a page: what it is, of what, and its chips, which are HTML already."""
    return (
        f'<header><div><p class="eyebrow">{escape(kind)}</p>'
        f"<h1>{escape(name)} <small>{escape(beside)}</small></h1>"
        f'<div class="chips">{"".join(chips)}</div><p>{escape(description)}</p></div></header>'
    )


def chip(text: str, kind: str = "") -> str:
    """A few words in the head of a page."""
    return f'<span class="{f"chip {kind}".strip()}">{escape(text)}</span>'


def tiles(told: Iterable[tuple[str, str, str]]) -> str:
    """The figures that people look for first: name, figure, and what to know of it."""
    shown = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(figure)}</b>'
        f"<small>{escape(beside)}</small></div>"
        for name, figure, beside in told
    )
    return f'<div class="tiles">{shown}</div>' if shown else ""


def figures(pictures: Mapping[str, bytes], *, named: bool = False) -> str:
    """Pictures whose own titles say what they show, or with their names below."""
    shown = "".join(
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}">'
        f"{f'<figcaption>{escape(name)}</figcaption>' if named else ''}</figure>"
        for name, png in pictures.items()
    )
    return f'<div class="figures">{shown}</div>' if shown else ""


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int], kind: str = ""
) -> str:
    """A table of cells that are HTML already; its head is text."""

    def cells(tag: str, row: Sequence[str]) -> str:
        classes = dict.fromkeys(numbers, ' class="number"')
        return "".join(f"<{tag}{classes.get(i, '')}>{cell}</{tag}>" for i, cell in enumerate(row))

    top = f"<tr>{cells('th', [escape(name) for name in head])}</tr>" if head else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}">{top}{body}</table></div>'


def listed(told: Mapping[str, str]) -> str:
    """Names and what is told of each."""
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in told.items()
    )
    return f"<dl>{items}</dl>" if items else ""


def lead(text: str) -> str:
    """What a section says, before it shows it."""
    return f'<p class="lead">{escape(text)}</p>'


def track(inside: str) -> str:
    """A line from 0 to 1 with bars and marks on it."""
    return f'<div class="track">{inside}</div>'


def bar(start: float, end: float, kind: str = "") -> str:
    """A stretch of a track."""
    return f'<i class="{kind}" style="--from:{percent(start)};--to:{percent(end)}"></i>'


def at(place: float, kind: str = "") -> str:
    """A mark on a track."""
    return f'<b class="{kind}" style="--at:{percent(place)}"></b>'


def percent(share: float) -> str:
    """A share within [0, 1], as a style has it."""
    return f"{100 * min(max(share, 0.0), 1.0):.1f}%"


def plain(name: str) -> str:
    """A name of the code as people write it."""
    return name.replace("_", " ")


def when(moment: datetime) -> str:
    """A moment as people write it."""
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")
