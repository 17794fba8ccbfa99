"""What a worker serves now of a use case, and how the next takes its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from churn_assets.errors import ChurnError
from churn_assets.learning.compiling.bundle import Bundle, load
from churn_assets.serving.answering.inputs import InputsReader
from churn_assets.serving.answering.snapshot import Snapshot
from churn_assets.serving.answering.split import Traffic, traffic_of
from churn_assets.serving.plan import Plan, ServedModel, read_plan

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Served:
    """A model that answers, or scores along.

    Parameters
    ----------
    variant : {"champion", "challenger"}
        Which part it plays.
    bundle : Bundle
        The model.
    """

    variant: str
    bundle: Bundle

    @property
    def version(self) -> int:
        """In the registry."""
        return self.bundle.manifest.version

    @cached_property
    def reader(self) -> InputsReader:
        """What reads the inputs of a call, by what this model takes."""
        manifest = self.bundle.manifest
        return InputsReader.of(
            manifest, () if manifest.business is None else manifest.business.columns
        )


@dataclass(frozen=True)
class Live:
    """What is served, in one reference: a call sees all of it, or all of what was before.

    Parameters
    ----------
    plan : Plan
        What this was made from.
    champion : Served
        Who answers where nobody else does.
    other : Served or None
        Who takes part beside it.
    traffic : Traffic or None
        How customers are shared among the two.
    snapshot : Snapshot or None
        The features by key.
    loaded_at : float
        In seconds since 1970.
    """

    plan: Plan
    champion: Served
    other: Served | None = None
    traffic: Traffic | None = None
    snapshot: Snapshot | None = None
    loaded_at: float = field(default_factory=time.time)

    @property
    def features_version(self) -> int | None:
        """Of the features by key."""
        return None if self.snapshot is None else self.snapshot.features_version

    def is_stale(self, hours: float) -> bool:
        """Whether the features by key are older than so many hours."""
        return self.snapshot is not None and self.snapshot.age_seconds > hours * 3600

    @property
    def served(self) -> list[Served]:
        """All models that are loaded."""
        return [self.champion, *([self.other] if self.other else [])]


@dataclass
class Place:
    """Where what is served of a use case is looked for, and what was found.

    Parameters
    ----------
    use_case : str
        Its name.
    file : Path
        The plan.
    """

    use_case: str
    file: Path
    live: Live | None = None
    before: Live | None = None
    plan: Plan | None = None
    trouble: str | None = None
    _stamp: tuple[int, int] | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the plan is another one than was read last."""
        stamp = self._stamp_now()
        return stamp is not None and stamp != self._stamp

    def look(self) -> bool:
        """Take what is new, and say whether anything is.

        A model or a snapshot that cannot be taken leaves what is served: `trouble` says why.
        """
        self._stamp = self._stamp_now()
        plan = read_plan(self.file)
        if plan is None:
            return False
        self.plan = plan
        if plan.champion is None:
            return False
        live = self.live
        if live is not None and _is_same(live.plan, plan):
            if live.snapshot is not None:
                live.snapshot.current_at = plan.snapshot_at
            return False
        try:
            taken = self._taken(plan, plan.champion)
        except (ChurnError, OSError) as error:
            self.trouble = str(error)
            return False
        # One assignment: no call sees half of it.
        self.before, self.live, self.trouble = live, taken, None
        return True

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _taken(self, plan: Plan, champion: ServedModel) -> Live:
        # Loading answers golden rows, so that no call waits for what is done once.
        return Live(
            plan,
            self._model(CHAMPION, champion),
            None if plan.other is None else self._model(CHALLENGER, plan.other),
            traffic_of(plan.traffic),
            self._snapshot(plan.snapshot),
        )

    def _model(self, variant: str, model: ServedModel) -> Served:
        """The model of a folder; one that is loaded already is not loaded again."""
        for live in (self.live, self.before):
            if live is None:
                continue
            planned = {CHAMPION: live.plan.champion, CHALLENGER: live.plan.other}
            for served in live.served:
                if planned[served.variant] == model:
                    return Served(variant, served.bundle)
        return Served(variant, load(Path(model.bundle), model.digest))

    def _snapshot(self, file: str | None) -> Snapshot | None:
        if file is None:
            return None
        for live in (self.live, self.before):
            if live is not None and live.plan.snapshot == file:
                return live.snapshot
        # The loader has verified it.
        return Snapshot(Path(file), is_verified=True)


def _is_same(one: Plan, other: Plan) -> bool:
    def said(plan: Plan) -> tuple[Any, ...]:
        traffic: Mapping[str, Any] = plan.traffic or {}
        return plan.champion, plan.other, sorted(traffic.items(), key=str), plan.snapshot

    return said(one) == said(other)
