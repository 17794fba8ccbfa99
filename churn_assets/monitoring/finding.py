"""What watching a live model brings to light, before anybody is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal[
    "drift",
    "score_drift",
    "skew",
    "data_volume",
    "performance",
    "calibration_live",
    "label_delay",
    "refused",
    "failed_run",
    "stale_table",
    "traffic_returned",
]
Severity = Literal["warning", "critical"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong now.

    Parameters
    ----------
    kind : Kind
        What kind of thing; responses are by kind.
    subject : str
        What it is about within its kind, such as a column, a slice or a version; empty where it is
        the whole. One kind and subject is one incident for as long as it is found.
    severity : {"warning", "critical"}
        Whether people are told at once, or it only stands on the page.
    since : datetime
        When what is wrong began, as far as it is known, in UTC.
    sentence : str
        What is wrong in people's words, with its figures and no customer's key or value.
    cost : float or None
        What it is estimated to cost, in the business case's currency; None where nobody can know.
    evidence : mapping
        The figures behind it, as JSON holds them.
    """

    kind: Kind
    subject: str
    severity: Severity
    since: datetime
    sentence: str
    cost: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
