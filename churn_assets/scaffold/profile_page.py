"""The page of a profile: what a table is like, in pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from html import escape

from churn_assets.pages.html import (
    at,
    bar,
    chip,
    header,
    lead,
    listed,
    page,
    table,
    tiles,
    track,
    when,
)
from churn_assets.scaffold.draft import LEAK, Draft, Entry
from churn_assets.scaffold.profile import BLANK, Bar, ColumnProfile
from churn_assets.usecases.spec import DType

PICTURES, STRONGEST = 60, 20
"""So many inputs are drawn, and so many compared, those that tell most; a table has all."""
WIDTH, HEIGHT, LEFT, RIGHT, BELOW, ABOVE = 320, 180, 40, 10, 24, 10
"""Of a drawing, and of its margins."""
_GAP, _LEAST_SHARE = 0.12, 0.005
"""Between two bars, as a share of their width; and what is written as a whole hundredth."""


def profile_page(draft: Draft, made_at: datetime) -> str:
    """The page as one HTML text."""
    profile = draft.profile
    inputs = sorted((*draft.numbers, *draft.categories), key=_strength)
    top = _top((*inputs, *draft.dates))
    sections = {
        "Questions": _questions(draft),
        "Leaks": _leaks(draft),
        "Outcome": _outcome(draft),
        "Strength": _strengths(inputs),
        "Inputs": _pictures("Inputs", inputs, draft, top),
        "Dates": _pictures("Dates", draft.dates, draft, top),
        "Left out": _left_out(draft),
        "Key": _key(draft),
        "Columns": _columns(draft),
    }
    read = "" if profile.is_whole else f" It was made from {profile.read:,} of them."
    return page(
        f"{draft.name}: profile",
        _header(draft),
        _tiles(draft),
        sections,
        f"Made {when(made_at)}. It holds counts of records and no record.{read}",
    )


def _header(draft: Draft) -> str:
    profile = draft.profile
    asked = len(draft.questions)
    leaks = len(draft.leaks)
    suspected = "1 suspected leak" if leaks == 1 else f"{leaks} suspected leaks"
    chips = [
        chip(f"{profile.rows:,} records"),
        chip(f"{len(profile.columns)} columns"),
        chip("1 question" if asked == 1 else f"{asked} questions"),
        *([chip(suspected, "fail")] if leaks else []),
    ]
    return header(
        "Profile",
        draft.name,
        profile.file_name,
        chips,
        f"What the table is like, and what each column alone tells of {profile.label} "
        f"{profile.positive}.",
    )


def _tiles(draft: Draft) -> str:
    profile = draft.profile
    left_out, unknown = len(draft.left_out) + len(draft.unread), profile.valid - profile.known
    shown = [
        (
            f"{profile.label}: {profile.positive}",
            f"{profile.rate:.1%}",
            f"of {profile.known:,} known outcomes",
        ),
        ("Inputs", f"{draft.inputs}", draft.kinds),
        ("Left out", f"{left_out}", "columns that are no inputs"),
        ("Not known yet", f"{unknown:,}", "outcomes; these records are to be scored"),
    ]
    return tiles(shown if unknown else shown[:-1])


def _questions(draft: Draft) -> str:
    rows = [[escape(of), escape(asked)] for of, asked in draft.questions]
    return (
        "<h2>Questions</h2>"
        + lead("Each stands in the file as well, where its answer goes.")
        + table([], rows, numbers=(), kind="told")
    )


def _outcome(draft: Draft) -> str:
    profile = draft.profile
    counts = {
        profile.positive: profile.positives,
        profile.negative: profile.known - profile.positives,
        "not known yet": profile.valid - profile.known,
    }
    rows = [
        [
            escape(name),
            f"{count:,}",
            f"{count / profile.valid:.1%}",
            track(bar(0, count / profile.valid, "" if name == profile.positive else "dim")),
        ]
        for name, count in counts.items()
        if count
    ]
    return f"<h2>{escape(profile.label)}</h2>" + table(
        ["", "records", "share", ""], rows, numbers=(1, 2)
    )


def _strengths(inputs: Sequence[Entry]) -> str:
    """The inputs that alone tell most, from guessing to knowing."""
    rows = [
        [
            escape(entry.profile.source),
            track(bar(0, 2 * entry.profile.auc - 1)),
            f"{entry.profile.auc:.3f}",
        ]
        for entry in inputs[:STRONGEST]
        if entry.profile.auc is not None
    ]
    if not rows:
        return ""
    return (
        "<h2>What each input tells alone</h2>"
        + lead("ROC AUC, out of fold, from guessing (0.5) to knowing (1).")
        + table([], rows, numbers=(2,), kind="tight")
    )


def _leaks(draft: Draft) -> str:
    if not draft.leaks:
        return ""
    return (
        "<h2>Suspected leaks</h2>"
        + lead("They tell the outcome as if they were filled in after it; the model gets none.")
        + _drawings(draft.leaks, draft, _top(draft.leaks))
    )


def _left_out(draft: Draft) -> str:
    rows = [
        [
            escape(entry.profile.source),
            escape(entry.why),
            escape(" ".join((*entry.notes, *entry.questions))),
        ]
        for entry in draft.left_out
        if entry.why != LEAK
    ]
    rows += [
        [escape(column.source), "no single values", f"Of type {escape(column.source_type)}."]
        for column in draft.unread
    ]
    if not rows:
        return ""
    return "<h2>Left out</h2>" + table([], rows, numbers=(), kind="told")


def _key(draft: Draft) -> str:
    profile = draft.profile
    others = [source for source in profile.unique if source not in profile.keys]
    told = {
        "Key": " and ".join(profile.keys),
        "It is": "never blank, and no two records share it",
        "As unique alone": ", ".join(others),
    }
    return "<h2>Key</h2>" + listed({name: value for name, value in told.items() if value})


def _columns(draft: Draft) -> str:
    groups = {
        **dict.fromkeys((entry.column.name for entry in draft.keys), "key"),
        draft.label.column.name: "label",
        **dict.fromkeys((entry.column.name for entry in draft.numbers), "number"),
        **dict.fromkeys((entry.column.name for entry in draft.categories), "category"),
        **dict.fromkeys((entry.column.name for entry in draft.dates), "date"),
        **{entry.column.name: entry.why for entry in draft.left_out},
    }
    rows = [
        [
            escape(column.source),
            escape(groups.get(column.name, "not read")),
            f"{column.distinct:,}",
            f"{column.blank / draft.profile.valid:.1%}" if column.blank else "",
            escape(_span(column)),
            "" if column.auc is None else f"{column.auc:.3f}",
        ]
        for column in draft.profile.columns
    ]
    head = ["", "taken as", "values", "blank", "range", "ROC AUC alone"]
    return "<h2>All columns</h2>" + table(head, rows, numbers=(2, 3, 5))


def _span(column: ColumnProfile) -> str:
    if column.least is None:
        return ""
    least, most = (
        f"{end:,.6g}" if column.type.dtype is not DType.DATE else str(end)
        for end in (column.least, column.most)
    )
    return f"{least} to {most}"


# Pictures


def _pictures(name: str, entries: Sequence[Entry], draft: Draft, top: float) -> str:
    if not entries:
        return ""
    more = f" These are the {PICTURES} that tell most." if len(entries) > PICTURES else ""
    told = (
        f"How often {draft.profile.positive}: blue for the records of a value or range, grey for "
        f"all ({draft.profile.rate:.1%}). Pale bars say how many they are; the figure beside the "
        f"name is what the column tells alone, from .5 to 1.{more}"
    )
    return f"<h2>{name}</h2>" + lead(told) + _drawings(entries[:PICTURES], draft, top)


def _drawings(entries: Sequence[Entry], draft: Draft, top: float) -> str:
    shown = "".join(
        f"<figure><figcaption>{_caption(entry.profile)}</figcaption>"
        f"{_drawing(entry.profile, draft, top)}</figure>"
        for entry in entries
    )
    return f'<div class="figures effects">{shown}</div>'


def _caption(column: ColumnProfile) -> str:
    told = "" if column.auc is None else f' <span class="soft">{column.auc:.2f}</span>'
    return f"{escape(column.source)}{told}"


def _drawing(column: ColumnProfile, draft: Draft, top: float) -> str:
    if column.type.dtype is DType.STRING:
        return _levels(column, draft, top)
    return _histogram(column, draft.profile.rate, top)


def _levels(column: ColumnProfile, draft: Draft, top: float) -> str:
    """Each value with the share of the positive, and of the records."""
    rows = [
        [
            escape(shown.name),
            track(
                ("" if shown.rate is None else bar(0, shown.rate / top))
                + at(draft.profile.rate / top, "other")
            ),
            "" if shown.rate is None else f"{shown.rate:.0%}",
            f'<span class="soft">{_share(shown.rows / draft.profile.valid)} of all</span>',
        ]
        for shown in column.bars
    ]
    return table([], rows, numbers=(2, 3), kind="tight")


def _share(share: float) -> str:
    """A share in whole hundredths, of which a small one is not none.

    >>> _share(0.126), _share(0.002)
    ('13%', '&lt;1%')
    """
    return f"{share:.0%}" if share >= _LEAST_SHARE else "&lt;1%"


def _histogram(column: ColumnProfile, rate: float, top: float) -> str:
    bars = column.bars
    most = max((shown.rows for shown in bars), default=1)
    wide = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    high = HEIGHT - BELOW - ABOVE

    def x(place: float) -> float:
        return LEFT + wide * place

    def y(share: float) -> float:
        return HEIGHT - BELOW - high * share

    columns = "".join(
        f'<rect x="{x(i + _GAP / 2):.1f}" y="{y(shown.rows / most):.1f}" '
        f'width="{wide * (1 - _GAP):.1f}" height="{high * shown.rows / most:.1f}">'
        f"<title>{escape(_bar_told(shown))}</title></rect>"
        for i, shown in enumerate(bars)
    )
    across = f'x1="{LEFT}" x2="{WIDTH - RIGHT}"'
    grid = "".join(
        f'<line {across} y1="{y(tick / top):.1f}" y2="{y(tick / top):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(tick / top) + 4:.1f}" text-anchor="end">{tick:.0%}</text>'
        for tick in (0, top / 2, top)
    )
    mean = f'<line class="mean" {across} y1="{y(rate / top):.1f}" y2="{y(rate / top):.1f}"/>'
    told = [
        (shown.name, x(i + 0.5), y(shown.rate / top))
        for i, shown in enumerate(bars)
        if shown.rate is not None
    ]
    line = " ".join(f"{right:.1f},{down:.1f}" for name, right, down in told if name != BLANK)
    dots = "".join(f'<circle cx="{right:.1f}" cy="{down:.1f}" r="2.5"/>' for _, right, down in told)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(column.source)}">'
        f'{grid}{columns}{mean}<polyline points="{line}"/>{dots}{"".join(_ends(bars, x))}</svg>'
    )


def _ends(bars: Sequence[Bar], x: Callable[[float], float]) -> Iterator[str]:
    """What the first, the last and the blank bar are called."""
    last = sum(shown.name != BLANK for shown in bars) - 1
    named = {0: "start", last: "middle" if last < len(bars) - 1 else "end", len(bars) - 1: "end"}
    for i, anchor in named.items():
        place = x(i + {"start": 0, "middle": 0.5, "end": 1}[anchor])
        yield (
            f'<text x="{place:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">'
            f"{escape(bars[i].name)}</text>"
        )


def _bar_told(shown: Bar) -> str:
    rate = "" if shown.rate is None else f", {shown.rate:.1%}"
    return f"{shown.name}: {shown.rows:,} records{rate}"


def _top(entries: Sequence[Entry]) -> float:
    """One scale for pictures side by side, or a slight difference would look like a great one."""
    bars = (shown for entry in entries for shown in entry.profile.bars)
    greatest = max((shown.rate for shown in bars if shown.rate is not None), default=1.0)
    return max(math.ceil(10 * greatest), 1) / 10


def _strength(entry: Entry) -> float:
    return -(entry.profile.auc or 0.0)
