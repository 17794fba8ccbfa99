"""Markdown for people, as Dagster's UI shows it: text stays text, pictures are inside it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Of tables, code, emphasis, links, pictures and HTML; a name's own underscores mean nothing.
_SIGNS = re.compile(r"[\\`*\[\]<>|~&!#]|(?<![^\W_])_|_(?![^\W_])")


def text(value: Any) -> str:
    """A value on one line, of which every character is shown as it is.

    >>> text("a *b* | c_d")
    'a \\\\*b\\\\* \\\\| c_d'
    """
    return _SIGNS.sub(r"\\\g<0>", "" if value is None else " ".join(str(value).split()))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of values."""
    lines = [[text(name) for name in head], ["---"] * len(head)]
    lines += [[text(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def images(pictures: Mapping[str, bytes]) -> str:
    """Pictures by name, in rows of two."""
    links = [f"![{text(name)}]({_data_uri(picture)})" for name, picture in pictures.items()]
    return "\n\n".join(" ".join(links[i : i + 2]) for i in range(0, len(links), 2))


def _data_uri(picture: bytes) -> str:
    # Earlier versions of the package kept PNG.
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
