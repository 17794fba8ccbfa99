"""Write Python as the project's formatter would."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100
"""Characters in a line."""
STEP = "    "


@dataclass(frozen=True)
class Brackets:
    """Parts between brackets: the arguments of a call, or the items of a tuple or a list.

    Parameters
    ----------
    opening, closing : str
        What stands before the first and after the last part.
    parts : sequence of str or of Brackets
        What a comma divides.
    """

    opening: str
    parts: Sequence[str | Brackets]
    closing: str = ")"

    @property
    def is_call(self) -> bool:
        """Whether a name stands before the bracket."""
        return self.opening[-2:-1].isidentifier()

    def __str__(self) -> str:
        is_tuple = not self.is_call and self.closing == ")"
        comma = "," if is_tuple and len(self.parts) == 1 else ""
        return f"{self.opening}{', '.join(map(str, self.parts))}{comma}{self.closing}"


def lines(part: str | Brackets, depth: int, end: str = "") -> list[str]:
    """A part on as few lines as the formatter takes.

    Parameters
    ----------
    part : str or Brackets
        What is written.
    depth : int
        How far it is indented, in steps.
    end : str
        What follows it.
    """
    indent = STEP * depth
    one = f"{indent}{part}{end}"
    if isinstance(part, str) or len(one) <= WIDTH:
        return [one]
    within = f"{indent}{STEP}{', '.join(map(str, part.parts))}"
    if part.is_call and len(within) <= WIDTH:
        inside = [within]
    else:
        inside = [line for inner in part.parts for line in lines(inner, depth + 1, ",")]
    return [f"{indent}{part.opening}", *inside, f"{indent}{part.closing}{end}"]


def import_lines(module: str, names: Sequence[str]) -> list[str]:
    """The import of names of a module."""
    one = f"from {module} import {', '.join(names)}"
    return [one] if len(one) <= WIDTH else lines(Brackets(f"from {module} import (", names), 0)


def comment(text: str, depth: int) -> list[str]:
    """A comment on as many lines as it needs."""
    start = f"{STEP * depth}# "
    return [start + line for line in _wrap(text, WIDTH - len(start))]


def docstring(text: str, depth: int) -> list[str]:
    """A docstring whose paragraphs are apart by an empty line."""
    indent = STEP * depth
    first, *others = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"').split("\n\n")
    if not others and len(indent) + len(first) + 6 <= WIDTH:
        return [f'{indent}"""{first}"""']
    inside = [f'{indent}"""{first}']
    for paragraph in others:
        inside += ["", *(indent + line for line in _wrap(paragraph, WIDTH - len(indent)))]
    return [*inside, f'{indent}"""']


def literal(text: str) -> str:
    r"""A string as the formatter has it: in double quotes unless that takes more backslashes.

    >>> print(literal("it's"), literal('a "b"'), literal("a\n"))
    "it's" 'a "b"' "a\n"
    """
    if text.count('"') > text.count("'"):
        return repr(text)
    # The quote makes `repr` choose the other kind around it.
    inside = repr(text + '"')[1:-2].replace("\\'", "'").replace('"', '\\"')
    return f'"{inside}"'


def text_argument(name: str, value: str, depth: int) -> list[str]:
    """An argument that is a text; a long one in pieces that Python joins."""
    indent = STEP * depth
    one = f"{indent}{name}={literal(value)},"
    if len(one) <= WIDTH:
        return [one]
    width = WIDTH - len(indent) - len(STEP) - len('" "')
    *others, last = textwrap.wrap(" ".join(value.split()), width, break_on_hyphens=False)
    pieces = [*(f"{piece} " for piece in others), last]
    inside = [f"{indent}{STEP}{literal(piece)}" for piece in pieces]
    return [f"{indent}{name}=(", *inside, f"{indent}),"]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), width, break_on_hyphens=False, break_long_words=False
    )
