"""A model card as Markdown, which Dagster's UI opens."""

from __future__ import annotations

from collections.abc import Iterator

from churn_assets.learning.card.page import Card, standing
from churn_assets.learning.value import LIMITS, PER_CUSTOMERS
from churn_assets.pages.html import plain
from churn_assets.pages.markdown import images, table, text


def card_text(card: Card) -> str:
    """What is on the card's page, but for how the model was made and groups of customers."""
    return "\n\n".join(part for part in _parts(card) if part)


def _parts(card: Card) -> Iterator[str]:
    yield f"# {text(card.name)}, version {card.version}"
    yield f"**{text(standing(card.verdicts))}.** {text(card.description)}"
    yield "## Gates"
    yield table(
        ["gate", "", "why"],
        [(plain(v.gate), _result(v.passed, v.blocking), v.reason) for v in card.verdicts],
    )
    yield images({plain(gate): svg for gate, svg in card.gate_pictures.items() if svg})
    if card.scores:
        yield f"## Scores\n\nOn {card.test_rows:,} customers that no fit has seen."
        yield table(
            ["", "found", "95 % interval", *(["Champion"] if card.champion else [])],
            [
                [s.name, f"{s.value:.3f}", f"{s.low:.3f} to {s.high:.3f}"]
                + ([] if s.champion is None else [f"{s.champion:.3f}"])
                for s in card.scores
            ],
        )
        yield images(card.pictures)
    if card.worth:
        unit = f"{card.worth.currency} per {PER_CUSTOMERS:,} customers"
        yield "## Value"
        yield table(
            ["who is contacted", "share", unit],
            [(p.name, f"{p.contacted:.0%}", f"{p.value:,.0f}") for p in card.worth.policies],
        )
        yield _definitions(card.worth.meanings)
        yield images(card.worth.pictures)
        yield text(LIMITS)
    if card.importance:
        yield "## Explanation\n\nMean absolute contribution of each input to log-odds."
        yield table(["input", ""], [(n, f"{s:.2f}") for n, s in card.importance.items()])
    if card.limits:
        yield "## Limits"
        yield "\n".join(f"- {text(limit)}" for limit in card.limits)


def _result(passed: bool, blocking: bool) -> str:
    return "passed" if passed else "refused" if blocking else "warned"


def _definitions(facts: dict[str, str]) -> str:
    return "\n".join(f"- **{text(name)}**: {text(fact)}" for name, fact in facts.items())
