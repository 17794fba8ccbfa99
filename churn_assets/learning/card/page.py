"""The page of a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from churn_assets.learning.value import LIMITS, PER_CUSTOMERS
from churn_assets.pages.html import (
    at,
    bar,
    chip,
    figures,
    header,
    lead,
    listed,
    page,
    plain,
    table,
    tiles,
    track,
    when,
)

if TYPE_CHECKING:
    from churn_assets.learning.judging.verdict import Verdict


@dataclass(frozen=True)
class Score:
    """A metric on the test rows and how sure it is.

    Parameters
    ----------
    name : str
        As people call it.
    value, low, high : float
        What was found, and its 95 % interval.
    guess, perfect : float
        What guessing by the churn rate reaches, and what nothing exceeds.
    champion : float, optional
        The Champion's on the same rows.
    """

    name: str
    value: float
    low: float
    high: float
    guess: float
    perfect: float
    champion: float | None = None

    def place(self, value: float) -> float:
        """Where a value lies on the way from guessing, 0, to perfect, 1."""
        return (value - self.guess) / (self.perfect - self.guess)


@dataclass(frozen=True)
class Group:
    """How a model does for some of the customers.

    Parameters
    ----------
    column, name : str
        What they have in common, as people call it.
    rows : int
        Test rows.
    observed, predicted : float
        Their churn rate, and their mean score.
    f1, low, high : float, optional
        F1 and its 95 % interval; None where there are too few to judge.
    """

    column: str
    name: str
    rows: int
    observed: float
    predicted: float
    f1: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Policy:
    """What contacting customers by one rule comes to.

    Parameters
    ----------
    name : str
        The rule.
    contacted : float
        Share of the customers.
    value : float
        Simulated, per 1,000 customers.
    """

    name: str
    contacted: float
    value: float


@dataclass(frozen=True)
class Worth:
    """What the model is worth by the business case.

    Parameters
    ----------
    currency : str
        Of all amounts.
    policies : sequence of Policy
        What it is compared with as well.
    advised : str
        Name of the policy that follows the model.
    assumptions : mapping of str to str
        What the business case says.
    pictures : mapping of str to bytes
        PNG by caption.
    """

    currency: str
    policies: Sequence[Policy]
    advised: str
    assumptions: Mapping[str, str]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Effect:
    """The mean score, were one input the same for everybody.

    Parameters
    ----------
    name : str
        The input, as people call it.
    values : sequence of float or of str
        What it was set to; numbers ascend.
    scores : sequence of float
        Mean score at each.
    """

    name: str
    values: Sequence[Any]
    scores: Sequence[float]


@dataclass(frozen=True)
class Stage:
    """A version of a table that the model comes from; or the source, which has none."""

    name: str
    version: int | None = None
    told: str = ""


@dataclass(frozen=True)
class Part:
    """Customers on one side of the split."""

    name: str
    rows: int
    churn_rate: float


@dataclass(frozen=True)
class Card:
    """What a model card tells; what is empty is left out.

    Parameters
    ----------
    name, version, semantic_version, description : str or int
        As the registry holds them.
    trained_at, made_at : datetime
        When the model and when the card was made.
    verdicts : sequence of Verdict
        What each gate says.
    drawn : mapping of str to bytes or None
        PNG by gate.
    scores : sequence of Score
        On test rows.
    test_rows, known_rows : int
        How many it was judged by, of how many.
    champion : int, optional
        The version that it was compared with.
    pictures : mapping of str to bytes
        PNG of the scores by caption.
    groups : sequence of Group
        The slices.
    worth : Worth, optional
        By the business case.
    importance : mapping of str to float
        Mean absolute contribution to the log-odds by input, the greatest first.
    effects : sequence of Effect
        Of the most important inputs.
    recipe : mapping of str to str
        How it was made.
    candidates : mapping of str to float
        Out-of-fold loss of each.
    chosen : str
        The one among them.
    parameters : mapping of str to str
        Of the chosen one.
    stages : sequence of Stage
        From the source to the model.
    parts : sequence of Part
        The split.
    lineage : mapping of str to str
        Versions of data and code.
    limits : sequence of str
        What it is not for, and what is not known.
    reproduce : str
        What to type.
    """

    name: str
    version: int
    semantic_version: str
    description: str
    trained_at: datetime | None
    made_at: datetime
    verdicts: Sequence[Verdict]
    drawn: Mapping[str, bytes | None] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    test_rows: int = 0
    known_rows: int = 0
    champion: int | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    worth: Worth | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    effects: Sequence[Effect] = ()
    recipe: Mapping[str, str] = field(default_factory=dict)
    candidates: Mapping[str, float] = field(default_factory=dict)
    chosen: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    stages: Sequence[Stage] = ()
    parts: Sequence[Part] = ()
    lineage: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    reproduce: str = ""


def card(told: Card) -> str:
    """The card as one HTML page."""
    sections = {
        "Gates": _gates(told),
        "Scores": _scores(told),
        "Groups": _groups(told),
        "Value": _value(told),
        "Explanation": _explanation(told),
        "Recipe": _recipe(told),
        "Data": _data(told),
        "Limits": _limits(told),
        "Reproduce": _reproduce(told),
    }
    return page(
        f"{told.name}, version {told.version}: model card",
        _header(told),
        _tiles(told),
        sections,
        f"Made {when(told.made_at)}. It holds no customer's record.",
    )


def _header(told: Card) -> str:
    refused = [v.gate for v in told.verdicts if not v.passed and v.blocking]
    warned = [v.gate for v in told.verdicts if not v.passed and not v.blocking]
    stands = f"Refused by {', '.join(refused)}" if refused else "Passed every gate"
    if warned and not refused:
        stands = f"Passed, with a warning of {', '.join(warned)}"
    others = (
        told.semantic_version and f"Recipe version {told.semantic_version}",
        told.chosen,
        told.trained_at and f"Trained {when(told.trained_at)}",
    )
    chips = [
        chip(plain(stands), "fail" if refused else "pass"),
        *(chip(text) for text in others if text),
    ]
    return header("Model card", told.name, f"version {told.version}", chips, told.description)


def _tiles(told: Card) -> str:
    shown = [
        (score.name, f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}")
        for score in told.scores[:4]
    ]
    if told.worth:
        advised = next(p for p in told.worth.policies if p.name == told.worth.advised)
        unit = f"{told.worth.currency} per {PER_CUSTOMERS:,} customers"
        shown.append(("Value, simulated", _short(advised.value), unit))
    return tiles(shown)


def _gates(told: Card) -> str:
    rows = []
    for verdict in told.verdicts:
        kind = "pass" if verdict.passed else "fail" if verdict.blocking else "warn"
        mark = {"pass": "✓", "fail": "✗", "warn": "!"}[kind]
        said = {"pass": "passed", "fail": "refused", "warn": "warned"}[kind]
        rows.append(
            f'<tr><td><span class="mark {kind}" title="{said}" role="img" aria-label="{said}">'
            f"{mark}</span></td><td>{escape(plain(verdict.gate))}</td>"
            f"<td>{escape(verdict.reason)}</td></tr>"
        )
    pictures = {plain(gate): png for gate, png in told.drawn.items() if png}
    return (
        "<h2>Gates</h2>"
        + lead("What had to hold before it could become Champion.")
        + f'<table class="gates">{"".join(rows)}</table>'
        + figures(pictures, named=True)
    )


def _scores(told: Card) -> str:
    if not told.scores:
        return (
            "<h2>Scores</h2>"
            + lead("Not measured: there are too few test rows of either class.")
            + figures(told.pictures)
        )
    sample = f", a sample of {told.known_rows:,}" if told.known_rows > told.test_rows else ""
    against = f" The thin mark is Champion {told.champion}." if told.champion else ""
    rows = []
    for score in told.scores:
        start, end = sorted((score.place(score.low), score.place(score.high)))
        champion = "" if score.champion is None else at(score.place(score.champion), "other")
        theirs = "" if score.champion is None else f"{score.champion:.3f}"
        rows.append(
            [
                escape(score.name),
                f"{score.value:.3f}",
                f'<span class="soft">{score.low:.3f} to {score.high:.3f}</span>',
                track(bar(start, end, "range") + champion + at(score.place(score.value))),
                *([theirs] if told.champion else []),
            ]
        )
    head = ["", "found", "95 % interval", "from guessing to perfect"]
    return (
        "<h2>Scores</h2>"
        + lead(f"On {told.test_rows:,} customers{sample} that no fit has seen.{against}")
        + table(head + (["Champion"] if told.champion else []), rows, numbers=(1, 2, 4))
        + figures(told.pictures)
    )


def _groups(told: Card) -> str:
    if not told.groups:
        return ""
    parts = []
    for column in dict.fromkeys(group.column for group in told.groups):
        rows = [
            [
                escape(group.name),
                f"{group.rows:,}",
                f"{group.observed:.1%}",
                f"{group.predicted:.1%}",
                "<span class='soft'>too few</span>" if group.f1 is None else f"{group.f1:.3f}",
                ""
                if group.f1 is None or group.low is None or group.high is None
                else track(bar(group.low, group.high, "range") + at(group.f1)),
            ]
            for group in told.groups
            if group.column == column
        ]
        head = ["", "customers", "churned", "predicted", "F1", "95 % interval, 0 to 1"]
        parts.append(
            f"<h3>{escape(column)}</h3>" + table(head, rows, numbers=(1, 2, 3, 4), kind="fixed")
        )
    return (
        "<h2>Groups of customers</h2>"
        + lead("Whether it serves each group: predicted near churned, and F1 alike.")
        + "".join(parts)
    )


def _value(told: Card) -> str:
    worth = told.worth
    if worth is None:
        return ""
    greatest = max(*(abs(policy.value) for policy in worth.policies), 1e-9)
    rows = [
        [
            escape(policy.name),
            f"{policy.contacted:.0%}",
            f"{policy.value:,.0f}",
            track(
                bar(
                    0,
                    abs(policy.value) / greatest,
                    "fall" if policy.value < 0 else _mark(policy.name == worth.advised),
                )
            ),
        ]
        for policy in worth.policies
    ]
    unit = f"{worth.currency} per {PER_CUSTOMERS:,} customers"
    return (
        "<h2>Value</h2>"
        + lead("What contacting customers is worth against leaving all of them alone, simulated.")
        + table(["who is contacted", "share", unit, ""], rows, numbers=(1, 2))
        + figures(worth.pictures)
        + "<h3>The business case</h3>"
        + listed(worth.assumptions)
        + f'<p class="note">{escape(LIMITS)}</p>'
    )


def _explanation(told: Card) -> str:
    if not told.importance:
        return ""
    greatest = max(*told.importance.values(), 1e-9)
    rows = [
        [escape(name), track(bar(0, value / greatest)), f"{value:.2f}"]
        for name, value in told.importance.items()
    ]
    return (
        "<h2>Explanation</h2>"
        + lead("What moves a score: the mean absolute contribution of each input to log-odds.")
        + table([], rows, numbers=(2,), kind="tight")
        + _effects(told.effects)
    )


def _recipe(told: Card) -> str:
    parts = []
    if told.candidates:
        ordered = sorted(told.candidates.items(), key=lambda item: item[1])
        best, span = ordered[0][1], (ordered[-1][1] - ordered[0][1]) or 1.0
        rows = [
            [
                escape(plain(name)),
                # Neither end of the track hides a mark.
                track(at(0.03 + 0.94 * (loss - best) / span, "" if name == told.chosen else "dim")),
                f"{loss:.4f}",
            ]
            for name, loss in ordered
        ]
        said = "Out-of-fold loss of each candidate, less is better"
        parts.append(f"<div><h3>{said}</h3>{table([], rows, numbers=(2,), kind='tight')}</div>")
    if told.parameters:
        parts.append(f"<div><h3>Parameters</h3>{listed(told.parameters)}</div>")
    if not (told.recipe or parts):
        return ""
    return "<h2>Recipe</h2>" + listed(told.recipe) + f'<div class="columns">{"".join(parts)}</div>'


def _data(told: Card) -> str:
    if not (told.stages or told.parts or told.lineage):
        return ""
    flow = "".join(
        f"<li><b>{escape(stage.name)}</b>"
        f"{'' if stage.version is None else f'<span>version {stage.version}</span>'}"
        f"<span>{escape(stage.told)}</span></li>"
        for stage in told.stages
    )
    rows = sum(part.rows for part in told.parts) or 1
    split = "".join(
        f'<div style="--share:{part.rows / rows:.4f}"><b>{escape(part.name)}</b>'
        f"{part.rows:,} customers, {part.churn_rate:.1%} churned</div>"
        for part in told.parts
    )
    return (
        "<h2>Data</h2>"
        + lead("Where it comes from, each table at the version that was read.")
        + (f'<ul class="flow">{flow}</ul>' if flow else "")
        + (f'<div class="split">{split}</div>' if split else "")
        + listed(told.lineage)
    )


def _limits(told: Card) -> str:
    items = "".join(f"<li>{escape(limit)}</li>" for limit in told.limits)
    return f'<h2>Limits</h2><ul class="limits">{items}</ul>' if items else ""


def _reproduce(told: Card) -> str:
    if not told.reproduce:
        return ""
    return (
        "<h2>Reproduce</h2>"
        + lead("The same data, code, settings and seed give the same model.")
        + f"<pre>{escape(told.reproduce)}</pre>"
    )


WIDTH, HEIGHT, LEFT, RIGHT, BELOW, ABOVE = 320, 190, 40, 10, 24, 10
"""Of the drawing of an effect, and of its margins."""


def _effects(effects: Sequence[Effect]) -> str:
    """A line for numbers, bars for categories; drawn by the page, so they follow its colours."""
    if not effects:
        return ""
    # One scale for all, or a slight effect would look like a strong one.
    top = math.ceil(10 * max(max(effect.scores) for effect in effects)) / 10
    shown = "".join(
        f"<figure><figcaption>{escape(effect.name)}</figcaption>"
        f"{(_levels if isinstance(effect.values[0], str) else _line)(effect, top)}</figure>"
        for effect in effects
    )
    return (
        "<h3>Mean score, were an input the same for everybody</h3>"
        f'<div class="figures effects">{shown}</div>'
    )


def _levels(effect: Effect, top: float) -> str:
    rows = [
        [escape(str(value)), track(bar(0, score / top)), f"{score:.0%}"]
        for value, score in zip(effect.values, effect.scores, strict=True)
    ]
    return table([], rows, numbers=(2,), kind="tight")


def _line(effect: Effect, top: float) -> str:
    low, high = float(effect.values[0]), float(effect.values[-1])

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / ((high - low) or 1)

    def y(score: float) -> float:
        return HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * score / top

    points = " ".join(
        f"{x(float(value)):.1f},{y(score):.1f}"
        for value, score in zip(effect.values, effect.scores, strict=True)
    )
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.0%}</text>'
        for tick in (0, top / 2, top)
    )
    ends = "".join(
        f'<text x="{x(value):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{value:,.5g}</text>'
        for value, anchor in ((low, "start"), (high, "end"))
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(effect.name)}">'
        f'{grid}{ends}<polyline points="{points}"/></svg>'
    )


def _mark(chosen: bool) -> str:
    return "" if chosen else "dim"


def _short(amount: float) -> str:
    """An amount of money in few digits.

    >>> _short(45480), _short(320)
    ('45.5k', '320')
    """
    thousand = 1000
    return f"{amount / thousand:,.1f}k" if abs(amount) >= thousand else f"{amount:,.0f}"
