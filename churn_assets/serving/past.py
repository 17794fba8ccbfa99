"""A process that reads what is on record of one customer, for a worker whose page was asked to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from churn_assets.serving import beside
from churn_assets.serving.loader import lake_of
from churn_assets.settings import Settings

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

_TOLD = ("scored_at", "churn_probability", "decision", "risk_band", "model_version")


class Asked(beside.Asked):
    """What a worker hands on.

    Parameters
    ----------
    key : list of str
        The customer's, in the order of its columns.
    """

    key: list[str]


def scorings(asked: Asked, settings: Settings, case: UseCase) -> dict[str, Any]:
    """A customer's scorings, the newest first, each with the inputs that had changed."""
    from churn_assets.learning.explaining.customer import on_record

    found = on_record(case, lake_of(settings).of(case), asked.key)
    changed = {change.until: sorted(change.inputs or ()) for change in found.changes}
    return {
        "scorings": [
            {**{name: row[name] for name in _TOLD}, "changed": changed.get(row["scored_at"], [])}
            for row in reversed(found.scores)
        ]
    }


if __name__ == "__main__":
    sys.exit(beside.answer(Asked, scorings))
