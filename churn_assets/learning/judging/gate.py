"""What a gate is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.verdict import Finding, Verdict
from churn_assets.usecases.spec import UseCase

Judge = Callable[[Evidence, UseCase, GateSettings], Finding]
Picture = Callable[[Verdict, Evidence], bytes | None]


def always(*_: object) -> bool:
    """Whatever the use case and the settings are."""
    return True


@dataclass(frozen=True)
class Gate:
    """One gate: all that there is to say of it.

    Parameters
    ----------
    name : str
        Of its check in Dagster, and of its verdict in the champion table.
    description : str
        When it lets a Challenger pass, as the UI and docs/learning.md show it.
    judge : callable
        Finds by the evidence whether the Challenger may pass, or raises where it cannot judge.
    picture : callable, optional
        Draws what it decided by as SVG; None where a picture would say nothing.
    applies : callable
        Whether Challengers of a use case must pass it, by the use case and the settings.
    condition : str
        The same in words, for docs/learning.md.
    blocks : callable
        Whether, by the use case and the settings, it refuses a Challenger that does not pass, or
        only warns.
    counts_rows : bool
        Whether its numbers say how many test rows it decided by.
    """

    name: str
    description: str
    judge: Judge
    picture: Picture | None = None
    applies: Callable[[UseCase, GateSettings], bool] = always
    condition: str = "always"
    blocks: Callable[[UseCase, GateSettings], bool] = always
    counts_rows: bool = True
