"""The page of a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from churn_assets.learning.value import LIMITS, PER_CUSTOMERS
from churn_assets.pages.chart import Chart
from churn_assets.pages.html import plain, render
from churn_assets.pages.words import CONTACT, DECISION

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
        The estimate, and its 95 % interval.
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
        SVG by caption.
    left_out : int
        Test rows of whom an amount is not known.
    """

    currency: str
    policies: Sequence[Policy]
    advised: str
    assumptions: Mapping[str, str]
    pictures: Mapping[str, bytes]
    left_out: int = 0

    @property
    def meanings(self) -> dict[str, str]:
        """What the columns of predictions say that follow two of the policies."""
        return {"decision": DECISION, "contact": CONTACT}

    @property
    def best(self) -> Policy:
        """The policy that follows the model."""
        return next(policy for policy in self.policies if policy.name == self.advised)

    @property
    def greatest(self) -> float:
        """The greatest amount, gained or lost; above 0."""
        return max(*(abs(policy.value) for policy in self.policies), 1e-9)


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

    @property
    def is_number(self) -> bool:
        """Whether the input is a number, not a category."""
        return not isinstance(self.values[0], str)

    @property
    def points(self) -> list[tuple[Any, float]]:
        """Each value with its score."""
        return list(zip(self.values, self.scores, strict=True))


@dataclass(frozen=True)
class Stage:
    """A version of a table that the model comes from; or the source, which has none."""

    name: str
    version: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Part:
    """Customers on one side of the split."""

    name: str
    rows: int
    churn_rate: float


@dataclass(frozen=True)
class Card:
    """What is on a model card; what is empty is left out.

    Parameters
    ----------
    name, version, semantic_version, description : str or int
        As the registry holds them.
    trained_at, made_at : datetime
        When the model and when the card was made.
    verdicts : sequence of Verdict
        What each gate says.
    gate_pictures : mapping of str to bytes or None
        SVG by gate, but of what is among the pictures of the scores.
    scores : sequence of Score
        On test rows.
    test_rows, known_rows : int
        How many it was judged by, of how many.
    looks : int
        How many Challengers were judged by the same rows, this one among them.
    champion : int, optional
        The version that it was compared with.
    pictures : mapping of str to bytes
        SVG of the scores by caption.
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
    complexities : mapping of str to int
        By how many numbers each decides.
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
    gate_pictures: Mapping[str, bytes | None] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    test_rows: int = 0
    known_rows: int = 0
    looks: int = 1
    champion: int | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    groups: Sequence[Group] = ()
    worth: Worth | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    effects: Sequence[Effect] = ()
    recipe: Mapping[str, str] = field(default_factory=dict)
    candidates: Mapping[str, float] = field(default_factory=dict)
    complexities: Mapping[str, int] = field(default_factory=dict)
    chosen: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    stages: Sequence[Stage] = ()
    parts: Sequence[Part] = ()
    lineage: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    reproduce: str = ""


def card_page(card: Card) -> str:
    """The card as one HTML page."""
    return render(
        "learning/card/card.html",
        card=card,
        standing=standing(card.verdicts),
        is_passed=all(v.passed or not v.blocking for v in card.verdicts),
        gate_pictures={plain(gate): svg for gate, svg in card.gate_pictures.items() if svg},
        effects=_charts(card.effects),
        candidates=_ranking(card.candidates),
        per_customers=PER_CUSTOMERS,
        value_limits=LIMITS,
    )


def standing(verdicts: Sequence[Verdict]) -> str:
    """What the gates come to, in a few words."""
    refusing = [plain(v.gate) for v in verdicts if not v.passed and v.blocking]
    warning = [plain(v.gate) for v in verdicts if not v.passed and not v.blocking]
    if refusing:
        return f"Refused by {', '.join(refusing)}"
    if warning:
        return f"Passed, with a warning of {', '.join(warning)}"
    return "Passed every gate"


def _charts(effects: Sequence[Effect]) -> list[tuple[Effect, Chart]]:
    """Each effect with where it is drawn."""
    # One scale for all, or a slight effect would look like a strong one.
    greatest = max((max(effect.scores) for effect in effects), default=0.0)
    top = math.ceil(10 * greatest) / 10
    return [(effect, _chart(effect, top)) for effect in effects]


def _chart(effect: Effect, top: float) -> Chart:
    low, high = (effect.values[0], effect.values[-1]) if effect.is_number else (0.0, 1.0)
    return Chart(effect.name, float(low), float(high), top)


def _ranking(losses: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """The candidates with their losses, and these as shares of the greatest, the best first."""
    greatest = max(losses.values(), default=0.0) or 1.0
    ranking = sorted(losses.items(), key=lambda candidate: candidate[1])
    return [(name, loss, loss / greatest) for name, loss in ranking]
