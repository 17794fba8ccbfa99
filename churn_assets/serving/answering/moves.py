"""What if: a customer's score as it is and as it might be, and what moved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from churn_assets.serving.answering.calls.decoding import decoded
from churn_assets.serving.answering.calls.problems import ProblemError, refused
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.live import Live
from churn_assets.serving.answering.predicting import (
    MOST_REASONS,
    Asked,
    Predicting,
    Scored,
    moment,
    prediction_of,
)


class WhatIfCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call to `what-if`."""

    key: dict[str, str | int]
    changes: dict[str, Any]


_DECIMALS = 9
"""Of what moves a score; its last bits say nothing."""
_decoder = msgspec.json.Decoder(WhatIfCall)


@dataclass(frozen=True)
class WhatIf:
    """Answers what would be.

    Parameters
    ----------
    predicting : Predicting
        Of the use case.
    live : Live
        What is served.
    """

    predicting: Predicting
    live: Live

    def answer(self, body: bytes) -> tuple[list[Scored], dict[str, Any]]:
        """Both scores, and what moved; only the customer's own score is kept in the log.

        Raises
        ------
        ProblemError
            404 where nobody has the key, 422 where the changes are wrong.
        """
        call: WhatIfCall = decoded(_decoder, body)
        names = self.live.champion.bundle.manifest.keys
        if set(call.key) != set(names):
            raise refused([Fault("key", "", f"must have {', '.join(names)}")])
        key = tuple(str(call.key[name]) for name in names)
        asked = self.predicting.by_key(self.live, key)
        if asked is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"{self.predicting.use_case}: no customer has this key."
            )
        return self.moved(asked, call.changes)

    def moved(
        self, asked: Asked, changes: Mapping[str, Any]
    ) -> tuple[list[Scored], dict[str, Any]]:
        """What changes of a customer's inputs would do to the score.

        Raises
        ------
        ProblemError
            422 where the changes are wrong.
        """
        live = self.live
        row, faults = live.champion.reader.convert({**asked.row, **changes})
        if faults:
            raise refused([Fault(f"changes.{f.field}", f.kind, f.rule) for f in faults])
        told = self.predicting.scored(live, [asked], MOST_REASONS)
        (before,) = [one for one in told if not one.shadow]
        would_be = msgspec.structs.replace(asked, row=row, known={})
        score, reasons = before.served.bundle.answer(row, MOST_REASONS)
        after = Scored(would_be, before.served, score, before.share, reasons=reasons)
        at = moment()
        bundle = before.served.bundle
        added = bundle.contributions(row) - bundle.contributions(asked.row)
        moves = sorted(
            zip(bundle.causes, added.tolist(), strict=True), key=lambda one: -abs(one[1])
        )
        return [before], {
            "before": prediction_of(before, live, MOST_REASONS, at),
            "after": prediction_of(after, live, MOST_REASONS, at),
            "moved": [
                {"input": name, "log_odds": round(amount, _DECIMALS)}
                for name, amount in moves
                if round(amount, _DECIMALS)
            ],
        }
