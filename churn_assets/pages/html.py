"""Pages for people: each one HTML file that asks nothing of the network and runs no script."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_PACKAGE = Path(__file__).parents[1]
_LEAST_SHARE = 0.005
"""What is written as a whole hundredth."""
_THOUSAND = 1000
_UNITS = {1e12: "tn", 1e9: "bn", 1e6: "M"}
_WHOLE_FROM, _DIGITS = 1e4, 4


def render(template: str, **values: Any) -> str:
    """A page from its template; every value is text there and is escaped.

    Parameters
    ----------
    template : str
        Path of the template in the package.
    **values : object
        What the template names.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Templates come with the package and do not change while it runs.
        auto_reload=False,
    )
    filters = (number, few, share, count, amount, percent, plain, when, anchor, drawing)
    environment.filters.update({function.__name__: function for function in filters})
    return environment


def number(value: float, form: str) -> str:
    """A number in a form of Python's.

    >>> number(0.1234, ".1%")
    '12.3%'
    """
    return format(value, form)


def few(value: float) -> str:
    """A number in few digits and without an exponent.

    >>> few(176_712.3), few(0.034567), few(1_767_120), few(0.00001)
    ('176,712', '0.03457', '1.767M', '0.00001')
    """
    for unit, sign in _UNITS.items():
        if abs(value) >= unit:
            return f"{few(value / unit)}{sign}"
    if abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{Decimal(f'{value:.{_DIGITS}g}') + 0:,f}"


def share(value: float) -> str:
    """A share in whole hundredths, of which a small one is not none.

    >>> share(0.126), share(0.002)
    ('13%', '<1%')
    """
    return f"{value:.0%}" if value >= _LEAST_SHARE else "<1%"


def count(things: int, name: str) -> str:
    """How many there are of something.

    >>> count(1, "question"), count(1200, "question")
    ('1 question', '1200 questions')
    """
    return f"{things} {name}" if things == 1 else f"{things} {name}s"


def amount(value: float) -> str:
    """An amount of money in few digits.

    >>> amount(45480), amount(320)
    ('45.5k', '320')
    """
    return f"{value / _THOUSAND:,.1f}k" if abs(value) >= _THOUSAND else f"{value:,.0f}"


def percent(value: float) -> str:
    """A share within [0, 1], as a style has it.

    >>> percent(0.25), percent(1.5)
    ('25.0%', '100.0%')
    """
    return f"{100 * min(max(value, 0.0), 1.0):.1f}%"


def plain(name: str) -> str:
    """A name of the code as people write it.

    >>> plain("roc_curve")
    'roc curve'
    """
    return name.replace("_", " ")


def when(moment: datetime) -> str:
    """A moment as people write it.

    >>> when(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    '02 January 2026, 03:04 UTC'
    """
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"


def anchor(name: str) -> str:
    """What a link to a section ends with.

    >>> anchor("Left out")
    'left-out'
    """
    return name.lower().replace(" ", "-")


def drawing(svg: bytes) -> Markup:
    """A picture as part of the page, which gives it its colours; its own text is escaped."""
    return Markup(svg.decode())
