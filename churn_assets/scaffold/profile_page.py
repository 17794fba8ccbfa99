"""The page of a profile: what a table is like, in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churn_assets.pages.chart import Box, Chart
from churn_assets.pages.html import few, render
from churn_assets.scaffold.draft import LEAK, Draft, Entry
from churn_assets.scaffold.profile import BLANK, Bar, ColumnProfile
from churn_assets.usecases.spec import DType

PICTURES, STRONGEST = 60, 20
"""So many inputs are drawn, and so many compared, those that tell most; a table has all."""
HEIGHT = 180
"""Of a drawing, in pixels."""
_GAP, _APART = 0.12, 0.2
"""Between two bars, and between the names below the last two, as shares of their width."""


def profile_page(draft: Draft, made_at: datetime) -> str:
    """The page as one HTML text."""
    profile = draft.profile
    inputs = sorted((*draft.numbers, *draft.categories), key=_weakness)
    top = _top((*inputs, *draft.dates))
    return render(
        "scaffold/profile.html",
        draft=draft,
        made_at=made_at,
        outcomes={
            profile.positive: profile.positives,
            profile.negative: profile.known - profile.positives,
            "not known yet": profile.valid - profile.known,
        },
        unknown=profile.valid - profile.known,
        strongest=[e.profile for e in inputs[:STRONGEST] if e.profile.auc is not None],
        inputs=_drawings(inputs, top),
        dates=_drawings(draft.dates, top),
        leaking=_drawings(draft.leaks, _top(draft.leaks)),
        left_out_entries=[entry for entry in draft.left_out if entry.why != LEAK],
        key_facts=_key_facts(draft),
        roles=_roles(draft),
        ranges={column.name: _range(column) for column in profile.columns},
        most_pictures=PICTURES,
    )


@dataclass(frozen=True)
class Drawing:
    """A column as it is drawn: bars of its records, and the share of the positive in each.

    Parameters
    ----------
    column : ColumnProfile
        What is drawn.
    chart : Chart
        Where; its range counts the bars.
    """

    column: ColumnProfile
    chart: Chart

    @property
    def is_text(self) -> bool:
        """Whether it has values, not ranges in their order."""
        return self.column.type.dtype is DType.STRING

    @property
    def boxes(self) -> list[tuple[Bar, Box]]:
        """Each bar and how it is drawn, the highest over the whole chart."""
        bars, top = self.column.bars, self.chart.top
        most = max((bar.rows for bar in bars), default=1)
        return [
            (bar, self.chart.box(i + _GAP / 2, i + 1 - _GAP / 2, top * bar.rows / most))
            for i, bar in enumerate(bars)
        ]

    @property
    def dots(self) -> list[tuple[float, float]]:
        """A point for the share of the positive in each bar, where that is known."""
        return self._points(self.column.bars)

    @property
    def line(self) -> list[tuple[float, float]]:
        """The dots of ranges; records without a value are in no order with them."""
        return self._points([bar for bar in self.column.bars if bar.name != BLANK])

    @property
    def ends(self) -> list[tuple[float, str, str]]:
        """Place, name and anchor of what the first, the last and the blank bar are called."""
        bars = self.column.bars
        last = sum(bar.name != BLANK for bar in bars) - 1
        # Beside a blank bar the last range keeps away from its name.
        right = {last: _APART if last < len(bars) - 1 else 1.0, len(bars) - 1: 1.0}
        names = [(self.chart.x(i + at), bars[i].name, "end") for i, at in right.items() if i > 0]
        return [(self.chart.x(0), bars[0].name, "start"), *names]

    def _points(self, bars: Sequence[Bar]) -> list[tuple[float, float]]:
        # The blank bar is the last, so that the others keep their places without it.
        return self.chart.points(
            (i + 0.5, bar.rate) for i, bar in enumerate(bars) if bar.rate is not None
        )


def _drawings(entries: Sequence[Entry], top: float) -> list[Drawing]:
    return [
        Drawing(column, Chart(column.source, 0, max(len(column.bars), 1), top, height=HEIGHT))
        for column in (entry.profile for entry in entries)
    ]


def _key_facts(draft: Draft) -> dict[str, str]:
    profile = draft.profile
    others = [source for source in profile.unique if source not in profile.keys]
    facts = {
        "Key": " and ".join(profile.keys),
        "It is": "never blank, and no two records share it",
        "As unique alone": ", ".join(others),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _roles(draft: Draft) -> dict[str, str]:
    """What each column is taken as."""
    return {
        **dict.fromkeys((entry.column.name for entry in draft.keys), "key"),
        draft.label.column.name: "label",
        **dict.fromkeys((entry.column.name for entry in draft.numbers), "number"),
        **dict.fromkeys((entry.column.name for entry in draft.categories), "category"),
        **dict.fromkeys((entry.column.name for entry in draft.dates), "date"),
        **{entry.column.name: entry.why for entry in draft.left_out},
    }


def _range(column: ColumnProfile) -> str:
    if column.least is None:
        return ""
    least, most = (
        few(end) if column.type.dtype is not DType.DATE else str(end)
        for end in (column.least, column.most)
    )
    return f"{least} to {most}"


def _top(entries: Sequence[Entry]) -> float:
    """One scale for pictures side by side, or a slight difference would look like a great one."""
    bars = (bar for entry in entries for bar in entry.profile.bars)
    greatest = max((bar.rate for bar in bars if bar.rate is not None), default=1.0)
    return max(math.ceil(10 * greatest), 1) / 10


def _weakness(entry: Entry) -> float:
    """A key that sorts by what a column tells, the strongest first."""
    return -(entry.profile.auc or 0.0)
