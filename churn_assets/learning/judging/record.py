"""The record of promotions, and the alias that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn_assets.errors import GateError
from churn_assets.learning.judging.ledger import Ledger
from churn_assets.learning.registry import CHAMPION, Registry, Version
from churn_assets.learning.standing import show_champion
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.versions import data_version

if TYPE_CHECKING:
    import pyarrow as pa

NOBODY = "There is no Champion yet, so nobody is scored"
"""What stands where nobody was ever promoted."""


@dataclass(frozen=True)
class Promotion:
    """One promotion or rollback, as the champion table records it."""

    promotion: int
    action: str
    model_name: str
    version: int
    run_id: str
    threshold: float
    previous_version: int | None
    decided_by: str
    decided_at: datetime
    gates: str
    model_digest: str | None = None
    bundle_digest: str | None = None

    @property
    def data_version(self) -> str:
        """Which model is Champion, whenever and however it came to be."""
        return data_version(self.model_name, {"version": str(self.version), "run": self.run_id})

    @property
    def minute(self) -> str:
        """When it was decided, for people to read."""
        return f"{self.decided_at:%Y-%m-%d %H:%M} UTC"


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("promotion", pa.int64()),
            ("action", pa.string()),
            ("model_name", pa.string()),
            ("version", pa.int64()),
            ("run_id", pa.string()),
            ("threshold", pa.float64()),
            ("previous_version", pa.int64()),
            ("decided_by", pa.string()),
            ("decided_at", pa.timestamp("us", "UTC")),
            ("gates", pa.string()),
            ("model_digest", pa.string()),
            ("bundle_digest", pa.string()),
        ]
    )


PROMOTIONS = Ledger(Promotion, "promotion", _schema, "promotion")
"""The champion table, as a table of decisions."""


def decided(champion: Table) -> Committed | None:
    """The newest version of the record; None where nobody was ever promoted."""
    return PROMOTIONS.decided(champion)


def history(champion: Table, state: Committed | None = None) -> list[Promotion]:
    """Every promotion and rollback, the oldest first."""
    return PROMOTIONS.history(champion, state)


def on_record(champion: Table, state: Committed | None = None) -> Promotion | None:
    """The newest promotion, or None where there never was one."""
    return PROMOTIONS.newest(champion, state)


def align(champion: Table, registry: Registry) -> Promotion | None:
    """Let the alias point to the Champion on record, where a crash kept it from that.

    A Champion that only the alias knows is left alone; the gates compare with it.
    """
    record = on_record(champion)
    while record is not None:
        previous = registry.by_alias(CHAMPION)
        if not is_champion(previous, record):
            version = registry.by_number(record.version, record.run_id)
            # Before the alias, so that whoever puts that right after a crash does both.
            show_champion(registry, version, previous)
            registry.point(CHAMPION, record.version)
        # Another promotion may have come between: look again until both agree.
        newest = on_record(champion)
        if newest == record:
            break
        record = newest
    return record


def next_record(records: list[Promotion], **decision: Any) -> Promotion:
    """The record that follows the newest."""
    last = records[-1] if records else None
    return Promotion(
        promotion=1 if last is None else last.promotion + 1,
        previous_version=None if last is None else last.version,
        decided_at=datetime.now(UTC),
        **decision,
    )


def commit(place: Workplace, state: Committed, promotion: Promotion) -> tuple[Committed, Promotion]:
    """Record a Champion, unless another was recorded since that state of the table."""
    champion = place.tables["champion"]
    try:
        committed = PROMOTIONS.commit(
            champion,
            state,
            promotion,
            promotion.data_version,
            {"model": place.tables["model"].require().version},
        )
    except ConflictError as error:
        raise GateError(
            "Challenger refused: another promotion was first. Run again to be judged against "
            "the new Champion."
        ) from error
    align(champion, place.registry)
    return committed, promotion


def is_champion(version: Version | None, record: Promotion) -> bool:
    """Whether a version is the Champion on record."""
    if version is None:
        return False
    return (version.version, version.run_id) == (record.version, record.run_id)


def state_of(champion: Table) -> Committed:
    """The champion table as it is now; made empty where there is none yet."""
    return PROMOTIONS.state_of(champion)
