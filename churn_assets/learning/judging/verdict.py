"""What a gate says of a Challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Finding(NamedTuple):
    """What a gate's judge finds.

    Parameters
    ----------
    passed : bool
        Whether the Challenger may pass.
    reason : str
        Why, in one line.
    numbers : mapping
        What it was decided by, as JSON takes it.
    """

    passed: bool
    reason: str
    numbers: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Verdict:
    """What one gate says; kept as JSON in the champion table.

    Parameters
    ----------
    gate : str
        Its name.
    passed : bool
        Whether the Challenger may pass.
    reason : str
        Why, in one line.
    numbers : mapping
        What it was decided by, as JSON takes it.
    blocking : bool
        Whether the Challenger is refused where it does not pass.
    """

    gate: str
    passed: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    blocking: bool = True
