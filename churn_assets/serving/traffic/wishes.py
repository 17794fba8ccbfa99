"""What a person may ask of traffic, and why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

from churn_assets.errors import TrafficError, refusal
from churn_assets.learning.judging.approvals import decision_of, is_rejected
from churn_assets.learning.registry import CHALLENGER, Version
from churn_assets.serving.answering.split import Kind
from churn_assets.serving.traffic.standing import (
    EVERYONE,
    Rollout,
    Standing,
    below_everyone,
    in_words,
)

if TYPE_CHECKING:
    from churn_assets.learning.judging.record import Promotion
    from churn_assets.learning.registry import Registry

NAMES = {"champion": "Off", "shadow": "Shadow", "canary": "Canary", "ab": "A/B", "ramp": "Ramp"}
"""What each kind is called at the head of a sentence."""
WISHES = tuple(kind for kind in get_args(Kind) if kind != "returned")
"""Kinds that a person may ask for."""


@dataclass(frozen=True)
class Wish:
    """A change that a person asks for.

    Parameters
    ----------
    kind : {"champion", "shadow", "canary", "ab", "ramp"}
        What is to hold; `champion` ends a test.
    version : int, optional
        Who takes part; by default the Champion on record where it does not answer yet, or else
        the Challenger.
    share : float, optional
        Of the customers, in (0, 1), for canary and A/B.
    steps : sequence of float, optional
        Shares of a ramp, ascending, in (0, 1]; by default those of the settings.
    step_seconds : float, optional
        How long each lasts; by default as the settings say.
    """

    kind: Kind
    version: int | None = None
    share: float | None = None
    steps: Sequence[float] | None = None
    step_seconds: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Refuses a change, and says who goes on answering.

    Parameters
    ----------
    name : str
        What is refused.
    stands : Standing
        Who answers.
    now : datetime
        With its zone.
    """

    name: str
    stands: Standing
    now: datetime

    def __call__(self, figures: str, todo: str) -> TrafficError:
        """The refusal, by what it was decided and what to do."""
        return TrafficError(
            refusal(f"{self.name} refused", figures, in_words(self.stands, self.now), todo)
        )


def admitted(
    registry: Registry,
    wish: Wish,
    stands: Standing,
    promotions: Sequence[Promotion],
    refused: Refusal,
) -> Version:
    """The registered version that is to take part.

    Parameters
    ----------
    registry : Registry
        Holds the versions.
    wish : Wish
        What is asked for.
    stands : Standing
        Who answers.
    promotions : sequence of Promotion
        Every promotion and rollback.
    refused : callable
        Makes the refusal.

    Raises
    ------
    TrafficError
        Where it may not take part.
    """
    champion = stands.on_record
    if not stands.is_settled and (
        wish.kind != "ramp" or wish.version not in (None, champion.version)
    ):
        raise refused(
            f"Champion {champion.version} is on record and does not answer everyone yet",
            f"End that first: {ends(stands)}",
        )
    number = wish.version
    if not stands.is_settled:
        number = champion.version
    elif number is None:
        by_alias = registry.by_alias(CHALLENGER)
        if by_alias is None or by_alias.version == champion.version:
            raise refused(
                "there is no Challenger beside the Champion",
                "Train one with `churn train`, or name a version",
            )
        number = by_alias.version
    elif number == champion.version:
        raise refused(
            f"version {number} is the Champion, and answers everyone already",
            "Name another version",
        )
    found = next((one for one in registry.versions() if one.version == number), None)
    if found is None:
        raise refused(
            f"there is no version {number} of {registry.model_name}",
            "Name one that is registered",
        )
    if is_rejected(found.tags):
        raise refused(
            f"version {number} was {decision_of(found.tags)}", "Name a version that was not"
        )
    left = _rolled_back_from(number, promotions)
    if left is not None:
        raise refused(
            f"version {number} was rolled back from on {left.minute}", "Name another version"
        )
    return found


def _rolled_back_from(version: int, promotions: Sequence[Promotion]) -> Promotion | None:
    """The rollback from a version after which it was never Champion again."""
    for record in reversed(promotions):
        if record.version == version:
            return None
        if record.action == "rollback" and record.previous_version == version:
            return record
    return None


def shares(
    wish: Wish, version: int, stands: Standing, rollout: Rollout, refused: Refusal
) -> dict[str, Any]:
    """The columns of a change that say how many customers a Challenger answers.

    Parameters
    ----------
    wish : Wish
        What is asked for.
    version : int
        Who takes part.
    stands : Standing
        Who answers.
    rollout : Rollout
        Gives a ramp what the wish leaves open.
    refused : callable
        Makes the refusal.

    Raises
    ------
    TrafficError
        Where they are no shares.
    """
    for name, of in (
        ("share", ("canary", "ab")),
        ("steps", ("ramp",)),
        ("step_seconds", ("ramp",)),
    ):
        if getattr(wish, name) is not None and wish.kind not in of:
            raise refused(f"it takes no {name}", f"Leave {name} out")
    if wish.kind == "shadow":
        return {}
    if wish.kind != "ramp":
        if wish.share is None or not 0 < wish.share < EVERYONE:
            given = "none is given" if wish.share is None else f"{wish.share:g} is not"
            raise refused(
                f"a share lies between 0 and 1, and {given}",
                "Give the Challenger's share of the customers; everyone is the Champion's, whom "
                "`churn promote` makes",
            )
        return {"share": wish.share}
    steps = tuple(rollout.steps if wish.steps is None else wish.steps)
    seconds = rollout.step_seconds if wish.step_seconds is None else wish.step_seconds
    is_ascending = all(one < other for one, other in pairwise((0.0, *steps)))
    if not steps or not is_ascending or not steps[-1] <= EVERYONE or not 0 < seconds < float("inf"):
        shown = ", ".join(f"{share:g}" for share in steps) or "none"
        raise refused(
            f"the steps of a ramp are shares that rise from above 0 to at most 1, of some seconds "
            f"each, and these are {shown} of {seconds:g} s",
            "Give other steps, as 0.01, 0.1, 0.5 and 1",
        )
    if version != stands.on_record.version and not below_everyone(steps):
        raise refused(
            f"version {version} is not Champion, and everyone is the Champion's",
            "`churn promote` makes it Champion, if the gates let it pass",
        )
    return ramp(steps, seconds)


def ends(stands: Standing) -> str:
    """How a takeover that is not done, or was taken back, is ended by a person."""
    return (
        f"`churn rollback {stands.rest.version}` takes it back, and `churn traffic ramp --steps 1` "
        "gives it everyone"
    )


def ramp(steps: Sequence[float], seconds: float) -> dict[str, Any]:
    """The columns of a ramp: its shares, each for so many seconds."""
    return {"share": steps[0], "steps": list(steps), "step_seconds": seconds}
