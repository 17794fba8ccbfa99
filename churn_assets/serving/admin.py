"""A process that commits one change of who answers, for a worker that was asked to."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from churn_assets.errors import ChurnError
from churn_assets.learning.workplace import Workplace
from churn_assets.serving.loader import lake_of, registry_of, rollout_of
from churn_assets.serving.traffic.changes import change
from churn_assets.serving.traffic.wishes import Wish
from churn_assets.settings import declared_use_cases, load_settings


class Asked(msgspec.Struct):
    """What a worker hands on.

    Parameters
    ----------
    use_case : str
        Whose customers.
    wish : Wish
        What is to hold.
    by, why : str
        Who asks, and the reason.
    """

    use_case: str
    wish: Wish
    by: str
    why: str


def main() -> int:
    """Read what is asked, commit it, and print who answers then, or why it was refused."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    answer: dict[str, Any]
    try:
        settings = load_settings()
        case = declared_use_cases(settings)[asked.use_case]
        tables = lake_of(settings).of(case)
        place = Workplace(case, tables, registry_of(settings, case))
        changed = change(place, asked.wish, rollout_of(settings), by=asked.by, why=asked.why)
        stands = changed.standing
        answer = {"traffic": None if stands is None else msgspec.to_builtins(stands.traffic)}
    except ChurnError as error:
        answer = {"detail": str(error)}
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
