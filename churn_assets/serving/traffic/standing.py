"""Who answers, by the records of promotions and of traffic together: a pure function of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churn_assets.learning.judging.record import Promotion
from churn_assets.serving.answering.split import Kind, Traffic
from churn_assets.serving.traffic.record import TESTS, Change, Records

EVERYONE = 1.0


@dataclass(frozen=True)
class Rollout:
    """How a new Champion takes over, and how a ramp goes by default.

    Parameters
    ----------
    by_ramp : bool
        By ramp, or at once.
    steps : tuple of float
        Shares of the customers, ascending, in (0, 1].
    step_seconds : float
        How long each step lasts.
    """

    by_ramp: bool = False
    steps: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    step_seconds: float = 600.0

    @property
    def seconds(self) -> float:
        """How long a whole ramp takes."""
        return len(self.steps) * self.step_seconds


@dataclass(frozen=True)
class Standing:
    """Who is Champion on record, and who answers.

    Parameters
    ----------
    on_record : Promotion
        The newest promotion or rollback.
    rest : Promotion
        Whose version is the variant `champion` and answers all that the Challenger does not.
    change : Change or None
        What is in force; None where no change is.
    is_due : bool
        Whether the Champion on record waits for its ramp to be put on record.
    """

    on_record: Promotion
    rest: Promotion
    change: Change | None = None
    is_due: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether the Champion on record is the one that answers where no Challenger does."""
        return self.rest.version == self.on_record.version

    @property
    def challenger(self) -> Change | None:
        """The change by which a Challenger takes part; None where nobody does."""
        change = self.change
        if change is None or change.kind not in TESTS or change.version == self.rest.version:
            return None
        return change

    @property
    def steps(self) -> tuple[float, ...]:
        """Shares that the Challenger answers, one after another; everyone's is the Champion's."""
        change = self.challenger
        if change is None or change.kind == "shadow":
            return ()
        steps = tuple(change.steps or (change.share,))
        return steps if change.version == self.on_record.version else below_everyone(steps)

    @property
    def traffic(self) -> Traffic:
        """What a worker splits by."""
        change, challenger = self.change, self.challenger
        if challenger is None:
            is_returned = change is not None and change.kind == "returned"
            kind: Kind = "returned" if is_returned else "champion"
            return Traffic(kind, self.rest.version, change=change.change if change else 0)
        return Traffic(
            challenger.kind,
            self.rest.version,
            challenger.version,
            self.steps,
            challenger.step_seconds or 0.0,
            challenger.decided_at.timestamp(),
            challenger.salt or "",
            challenger.change,
        )


def below_everyone(steps: Sequence[float]) -> tuple[float, ...]:
    """The steps of a ramp that leave the Champion some customers."""
    return tuple(share for share in steps if share < EVERYONE)


def standing(held: Records, rollout: Rollout, now: datetime) -> Standing | None:
    """Who is Champion on record, and who answers; None where nobody was ever promoted.

    Parameters
    ----------
    held : Records
        What both tables hold.
    rollout : Rollout
        Whether a Champion without a record of traffic waits for its ramp. One that has waited for
        as long as a whole ramp takes does not: nobody rolled out by ramp when it was promoted.
    now : datetime
        With its zone.
    """
    found: Standing | None = None
    for index, promotion in enumerate(held.promotions):
        is_last = index == len(held.promotions) - 1
        until = now if is_last else held.promotions[index + 1].decided_at
        found = _after(found, promotion, held.within(index), until, rollout)
    return found


def in_words(stands: Standing, now: datetime) -> str:
    """Who answers, in a sentence without a full stop.

    Parameters
    ----------
    stands : Standing
        By the records.
    now : datetime
        With its zone.
    """
    change, rest = stands.challenger, stands.rest.version
    if change is None:
        returned = stands.change
        if returned is None or returned.kind != "returned":
            return f"Version {rest} answers everyone"
        return (
            f"Version {rest} answers everyone, since the guard took version {returned.version} "
            f"back on {returned.minute}: {returned.why}"
        )
    if change.kind == "shadow":
        return f"Version {rest} answers everyone; version {change.version} scores along, in shadow"
    share = stands.traffic.share(now.timestamp())
    if share >= EVERYONE:
        return f"Version {change.version} answers everyone"
    step = ""
    if len(stands.steps) > 1:
        step = f", step {stands.steps.index(share) + 1} of {len(stands.steps)}"
    how = f"{change.kind}{step}, since {change.minute}"
    return (
        f"Version {change.version} answers {100 * share:.3g} % of the customers ({how}), "
        f"version {rest} the rest"
    )


def _after(
    before: Standing | None,
    promotion: Promotion,
    changes: Sequence[Change],
    until: datetime,
    rollout: Rollout,
) -> Standing:
    """Who answers at a time after a promotion, of who answered before and the changes since."""
    is_at_once = before is None or promotion.action == "rollback"
    if before is None or is_at_once or before.rest.version == promotion.version:
        # What was rolled back from answers nobody, whatever was decided at the same moment.
        left = None if before is None else promotion.previous_version
        kept = [one for one in changes if left is None or one.version != left]
        return Standing(promotion, promotion, kept[-1] if kept else None)
    last = changes[-1] if changes else None
    if last is None:
        waited = (until - promotion.decided_at).total_seconds()
        if not rollout.by_ramp or waited >= rollout.seconds:
            return Standing(promotion, promotion)
        # Until its ramp is on record all stays as it was.
        carried = before.challenger
        is_its_own = carried is not None and carried.version == promotion.version
        return Standing(promotion, before.rest, carried if is_its_own else None, is_due=True)
    if last.version != promotion.version or _is_done(last, until):
        return Standing(promotion, promotion, last)
    return Standing(promotion, before.rest, last)


def _is_done(change: Change, until: datetime) -> bool:
    """Whether a Champion's ramp has reached everyone."""
    if change.kind != "ramp":
        return False
    steps = tuple(change.steps or ())
    ramp = Traffic("ramp", 0, 0, steps, change.step_seconds or 0.0, change.decided_at.timestamp())
    return ramp.share(until.timestamp()) >= EVERYONE
