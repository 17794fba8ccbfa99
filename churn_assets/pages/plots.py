"""Pictures: what one is made of, its colours, and how it is drawn as SVG in one style.

Inside a page a picture takes the page's colours, so that it is dark where the page is; alone, as an
image, it is light.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

BLUE, PALE, GREY, RED = (
    "var(--blue,#2563eb)",
    "var(--pale,#bfd3fb)",
    "var(--other,#8a94a6)",
    "var(--bad,#c81e1e)",
)
"""Of the model, of what spreads around it, of what it is compared with, and of what is amiss."""
MORE = ("var(--teal,#0d9488)", "var(--violet,#8b5cf6)", "var(--amber,#d97706)")
"""Of further lines side by side."""
INK, SHEET, _SOFT, _LINE = (
    "var(--ink,#131a26)",
    "var(--sheet,#fff)",
    "var(--soft,#5a6577)",
    "var(--line,#e2e7ef)",
)
WIDTH, HEIGHT = 340, 280
_TITLE, _TEXT = 13, 11
"""Sizes of print in pixels; pages show pictures at no less than nine tenths of their width."""
_LETTER, _BOLD_LETTER = 0.56, 0.65
"""Width of a letter on average, as a share of the size of print."""
_PAD, _GAP, _ROW = 12, 6, 16
_TICKS = 5
_COMMA_FROM = 10_000
_UNITS = {1e9: "bn", 1e6: "M", 1e3: "k"}
_LONGEST = 24
"""Letters of a name at the left."""

Numbers: TypeAlias = Iterable[float]


@dataclass(frozen=True)
class Axis:
    """What one direction of a picture tells.

    Parameters
    ----------
    label : str
        What it is, with its unit.
    low, high : float, optional
        Its ends; by default those of what is drawn, rounded outwards.
    names : mapping of float to str, optional
        What is written at some places, in place of numbers at round ones; none where empty.
    is_share : bool
        Whether numbers are written in percent.
    """

    label: str = ""
    low: float | None = None
    high: float | None = None
    names: Mapping[float, str] | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Line:
    """A line through points, with dots on them if wished, or the dots alone."""

    x: Numbers
    y: Numbers
    colour: str = BLUE
    label: str = ""
    dash: bool = False
    dots: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Area:
    """What lies between two lines."""

    x: Numbers
    low: Numbers
    high: Numbers
    colour: str = PALE
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """Rectangles: each from left to right and from bottom to top, with how opaque it is."""

    boxes: Sequence[tuple[float, float, float, float]]
    colours: Sequence[str]
    label: str = ""
    opacity: Sequence[float] = ()


@dataclass(frozen=True)
class Rule:
    """A line across the picture at one place of either axis."""

    x: float | None = None
    y: float | None = None
    colour: str = GREY
    label: str = ""
    dash: bool = False


@dataclass(frozen=True)
class Words:
    """A few words at a place."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


Mark: TypeAlias = Line | Area | Bars | Rule | Words


def bars(heights: Numbers, colour: str = BLUE, width: float = 0.8, label: str = "") -> Bars:
    """Bars side by side, around 0, 1, 2, ..., from 0 up."""
    boxes = [(i - width / 2, i + width / 2, 0.0, float(h)) for i, h in enumerate(heights)]
    return Bars(boxes, [colour] * len(boxes), label)


def draw(title: str, marks: Sequence[Mark], x: Axis | None = None, y: Axis | None = None) -> bytes:
    """A picture as SVG.

    Parameters
    ----------
    title : str
        What it tells, with the figure that matters.
    marks : sequence of Mark
        What is drawn, one above the other.
    x, y : Axis, optional
        From left to right, and from bottom to top.
    """
    x, y = x or Axis(), y or Axis()
    legend = list(_legend([mark for mark in marks if getattr(mark, "label", "")]))
    frame = _Frame(_Scale.of(x, _reach(marks, 0)), _Scale.of(y, _reach(marks, 1)), x, y, legend)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="{escape(title)}" style="font:{_TEXT}px '
        "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif\">",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" style="fill:{SHEET}"/>',
        *frame.around(title),
        *(part for mark in marks for part in frame.of(mark)),
        *frame.legend_parts(),
        "</svg>",
    ]
    return "".join(parts).encode()


@dataclass(frozen=True)
class _Scale:
    """The ends of an axis, and what is written where."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def of(cls, axis: Axis, reach: tuple[float, float]) -> _Scale:
        low = reach[0] if axis.low is None else axis.low
        high = reach[1] if axis.high is None else axis.high
        if not high > low:
            low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
        step = _step((high - low) / (_TICKS - 1), is_share=axis.is_share)
        if axis.low is None and axis.names is None:
            low = step * math.floor(low / step + 1e-9)
        if axis.high is None and axis.names is None:
            high = step * math.ceil(high / step - 1e-9)
        if axis.names is not None:
            return cls(low, high, list(axis.names.items()))
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        places = [step * i for i in range(first, last + 1)]
        most = max(abs(low), abs(high))
        texts = [_written(place, step, most, is_share=axis.is_share) for place in places]
        return cls(low, high, list(zip(places, texts, strict=True)))

    def share(self, value: float) -> float:
        """How far along a value lies, no farther than a little beyond the ends."""
        return min(max((value - self.low) / (self.high - self.low), -0.01), 1.01)


@dataclass(frozen=True)
class _Frame:
    """Where things lie, in pixels."""

    across: _Scale
    up: _Scale
    x: Axis
    y: Axis
    legend: list[list[tuple[Mark, float]]]

    @property
    def left(self) -> float:
        widest = max((_wide(_short(text)) for _, text in self.up.ticks), default=0.0)
        return _PAD + widest + (_GAP if widest else 0)

    @property
    def right(self) -> float:
        # Half of the last number stands beyond the end.
        last = self.across.ticks[-1:] if self.x.names is None else []
        return WIDTH - max([_PAD, *(_wide(text) / 2 + _GAP for _, text in last)])

    @property
    def above(self) -> float:
        return 50.0 if self.y.label else 36.0

    @property
    def below(self) -> float:
        lines = max((text.count("\n") + 1 for _, text in self.across.ticks), default=0)
        rows = lines + bool(self.x.label) + len(self.legend)
        return HEIGHT - 2 * _GAP - _ROW * rows

    def at(self, x: float, y: float) -> tuple[float, float]:
        across, up = self.across.share(float(x)), self.up.share(float(y))
        return (
            self.left + (self.right - self.left) * across,
            self.below + (self.above - self.below) * up,
        )

    def around(self, title: str) -> Iterator[str]:
        """Title, labels, and the soft lines that numbers are read by."""
        room = (WIDTH - 2 * _PAD) / (_BOLD_LETTER * max(len(title), 1))
        size = min(_TITLE, max(room, _TEXT))
        yield _words(_PAD, 21, title, "start", INK, f"font-weight:600;font-size:{size:.3g}px")
        if self.y.label:
            yield _words(_PAD, 37, self.y.label, "start")
        for place, text in self.up.ticks:
            _, y = self.at(self.across.low, place)
            yield _line(self.left, y, self.right, y, _LINE)
            yield _words(self.left - _GAP, y + 4, _short(text), "end")
        for place, text in self.across.ticks:
            x, _ = self.at(place, self.up.low)
            if self.x.names is None:
                yield _line(x, self.below, x, self.above, _LINE)
            for i, line in enumerate(text.split("\n")):
                yield _words(x, self.below + _ROW * (i + 1), line, "middle")
        if self.x.label:
            bottom = HEIGHT - _GAP - _ROW * len(self.legend) - 4
            yield _words((self.left + self.right) / 2, bottom, self.x.label, "middle")

    def of(self, mark: Mark) -> Iterator[str]:
        """A mark as SVG."""
        if isinstance(mark, Line):
            points = self._points(mark.x, mark.y)
            if mark.joined:
                dash = ";stroke-dasharray:5 4" if mark.dash else ""
                yield (
                    f'<polyline points="{_joined(points)}" style="fill:none;stroke:{mark.colour};'
                    f'stroke-width:2;stroke-linejoin:round{dash}"/>'
                )
            if mark.dots or not mark.joined:
                for x, y in points:
                    yield _dot(x, y, mark.colour)
        elif isinstance(mark, Area):
            upper, lower = self._points(mark.x, mark.high), self._points(mark.x, mark.low)
            edge = [*upper, *reversed(lower)]
            yield (
                f'<polygon points="{_joined(edge)}" style="fill:{mark.colour};stroke:none;'
                'opacity:.7"/>'
            )
        elif isinstance(mark, Bars):
            opacities = mark.opacity or [1.0] * len(mark.boxes)
            for box, colour, opacity in zip(mark.boxes, mark.colours, opacities, strict=True):
                (x0, y0), (x1, y1) = self.at(box[0], box[2]), self.at(box[1], box[3])
                yield _box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0), colour, opacity)
        elif isinstance(mark, Rule):
            if mark.x is not None:
                x, _ = self.at(mark.x, self.up.low)
                yield _line(x, self.below, x, self.above, mark.colour, mark.dash, 1.5)
            if mark.y is not None:
                _, y = self.at(self.across.low, mark.y)
                yield _line(self.left, y, self.right, y, mark.colour, mark.dash, 1.5)
        else:
            x, y = self.at(mark.x, mark.y)
            yield _words(x, y + 4, mark.text, mark.anchor, INK)

    def legend_parts(self) -> Iterator[str]:
        """What each labelled mark is, in rows at the bottom."""
        for i, row in enumerate(self.legend):
            y = HEIGHT - _GAP - _ROW * (len(self.legend) - i) + _ROW / 2
            for mark, x in row:
                yield _key(mark, x, y)
                yield _words(x + 22, y + 4, getattr(mark, "label", ""), "start")

    def _points(self, x: Numbers, y: Numbers) -> list[tuple[float, float]]:
        return [self.at(*point) for point in zip(x, y, strict=True)]


def _reach(marks: Iterable[Mark], axis: int) -> tuple[float, float]:
    """The least and the greatest number of what is drawn, along one axis."""
    values: list[float] = []
    for mark in marks:
        if isinstance(mark, Line):
            values += [float(value) for value in (mark.x, mark.y)[axis]]
        elif isinstance(mark, Area):
            values += [float(v) for part in ((mark.x,), (mark.low, mark.high))[axis] for v in part]
        elif isinstance(mark, Bars):
            values += [float(end) for box in mark.boxes for end in box[2 * axis : 2 * axis + 2]]
        elif isinstance(mark, Rule):
            place = (mark.x, mark.y)[axis]
            values += [] if place is None else [float(place)]
    known = [value for value in values if math.isfinite(value)]
    return (min(known), max(known)) if known else (0.0, 1.0)


def _step(rough: float, *, is_share: bool = False) -> float:
    """A round number of about this size.

    >>> _step(0.23), _step(11_000), _step(0.24, is_share=True)
    (0.2, 10000.0, 0.25)
    """
    unit: float = 10.0 ** math.floor(math.log10(rough))
    rounds = (1, 2, 2.5, 5, 10) if is_share else (1, 2, 5, 10)
    return min((unit * times for times in rounds), key=lambda step: abs(step - rough))


def _written(value: float, step: float, most: float, *, is_share: bool = False) -> str:
    """A number at a round place, with no more digits than its steps need.

    >>> _written(0.4, 0.2, 1), _written(15_000, 5_000, 20_000), _written(5e5, 5e5, 2e6)
    ('0.4', '15k', '0.5M')
    >>> _written(0.25, 0.25, 1, is_share=True), _written(2005, 5, 2010)
    ('25%', '2005')
    """
    if is_share:
        return f"{100 * value:.{_decimals(100 * step)}f}%"
    for unit, sign in _UNITS.items():
        if most >= unit and most >= _COMMA_FROM and step >= unit / 100:
            return f"{value / unit:,.{_decimals(step / unit)}f}{sign}" if value else "0"
    # A year is written without a comma.
    return f"{value:{',' if most >= _COMMA_FROM else ''}.{_decimals(step)}f}"


def _decimals(step: float) -> int:
    """How many decimals a step needs.

    >>> _decimals(0.25), _decimals(20), _decimals(0.2)
    (2, 0, 1)
    """
    is_written = (abs(round(step, digits) - step) < step / 1000 for digits in range(12))
    return next((digits for digits, enough in enumerate(is_written) if enough), 12)


def _legend(marks: Iterable[Mark]) -> Iterator[list[tuple[Mark, float]]]:
    """Labelled marks with their places, in rows that fit."""
    row: list[tuple[Mark, float]] = []
    x = float(_PAD)
    for mark in marks:
        width = 22 + _wide(getattr(mark, "label", "")) + 14
        if row and x + width > WIDTH:
            yield row
            row, x = [], float(_PAD)
        row.append((mark, x))
        x += width
    if row:
        yield row


def _key(mark: Mark, x: float, y: float) -> str:
    colour = mark.colours[0] if isinstance(mark, Bars) else getattr(mark, "colour", GREY)
    if isinstance(mark, (Bars, Area)):
        return _box(x, y - 5, 16, 10, colour, 0.7 if isinstance(mark, Area) else 1.0)
    if isinstance(mark, Line) and not mark.joined:
        return _dot(x + 8, y, colour)
    return _line(x, y, x + 16, y, colour, getattr(mark, "dash", False), 2)


def _box(x: float, y: float, width: float, height: float, colour: str, opacity: float) -> str:
    see_through = f";opacity:{opacity:.2f}" if opacity != 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"'
        f' style="fill:{colour}{see_through}"/>'
    )


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" style="fill:{colour}"/>'


def _line(
    x: float, y: float, to_x: float, to_y: float, colour: str, dash: bool = False, width: float = 1
) -> str:
    dashes = ";stroke-dasharray:5 4" if dash else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
        f' style="stroke:{colour};stroke-width:{width:g}{dashes}"/>'
    )


def _words(x: float, y: float, text: str, anchor: str, colour: str = _SOFT, style: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{colour};{style}">'
        f"{escape(text)}</text>"
    )


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _wide(text: str) -> float:
    """About how many pixels a text takes."""
    return _LETTER * _TEXT * max(map(len, text.split("\n")))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
