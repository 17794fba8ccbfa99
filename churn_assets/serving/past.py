"""A process that reads what is on record of one customer, for a worker whose page was asked to."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from churn_assets.errors import ChurnError
from churn_assets.serving.loader import lake_of
from churn_assets.settings import declared_use_cases, load_settings


class Asked(msgspec.Struct):
    """What a worker hands on.

    Parameters
    ----------
    use_case : str
        Whose customer it is.
    key : list of str
        The customer's, in the order of its columns.
    """

    use_case: str
    key: list[str]


def main() -> int:
    """Read whom is asked for, and print the scorings, the newest first, or why there are none."""
    from churn_assets.learning.explaining.customer import on_record

    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    answer: dict[str, Any]
    try:
        settings = load_settings()
        case = declared_use_cases(settings)[asked.use_case]
        found = on_record(case, lake_of(settings).of(case), asked.key)
        names = ("scored_at", "churn_probability", "decision", "risk_band", "model_version")
        scorings = [{name: row[name] for name in names} for row in reversed(found.scores)]
        changed = {
            change.until: sorted(change.inputs or ()) for change in found.changes if change.inputs
        }
        for scoring in scorings:
            scoring["changed"] = changed.get(scoring["scored_at"], [])
        answer = {"scorings": scorings}
    except ChurnError as error:
        answer = {"detail": error.line(records=False)}
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
