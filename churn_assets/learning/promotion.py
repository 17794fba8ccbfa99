"""Who is Champion: the record of promotions, and the alias that follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import GateError, RegistryError
from churn_assets.learning.gates import Contender, Evidence, Verdict, closed, decide, refusal
from churn_assets.learning.recipe import MAX_ROWS
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry, Version
from churn_assets.tables.engine import ConflictError
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.lineage import data_version
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

_TRANSACTION = "promotion"


@dataclass(frozen=True)
class Promotion:
    """One promotion, as the champion table records it."""

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

    @property
    def data_version(self) -> str:
        """Which model is Champion, whenever and however it came to be."""
        return data_version(self.model_name, {"version": str(self.version), "run": self.run_id})


def on_record(champion: Table, state: Committed | None = None) -> Promotion | None:
    """The newest promotion, or None where there never was one."""
    state = state or champion.state()
    if state is None or state.rows == 0:
        return None
    rows = champion.engine.collect(champion.scan(state.version)).to_pylist()
    return Promotion(**max(rows, key=lambda row: row["promotion"]))


def align(champion: Table, registry: Registry) -> Promotion | None:
    """Let the alias point to the Champion on record, where a crash kept it from that.

    A Champion that only the alias knows is left alone; the gates compare with it.
    """
    record = on_record(champion)
    while record is not None:
        held = registry.by_alias(CHAMPION)
        if not _holds(record, held):
            registry.by_number(record.version, record.run_id)
            registry.point(CHAMPION, record.version)
        # Another promotion may have come between: look again until both agree.
        newest = on_record(champion)
        if newest == record:
            break
        record = newest
    return record


def gather(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    record: Promotion | None,
    most_rows: int = MAX_ROWS,
) -> Evidence:
    """Score the test rows, or as large a sample of them, with both models, now.

    Raises
    ------
    RegistryError
        Where there is no Challenger, or the Champion on record cannot be had.
    """
    import narwhals.stable.v2 as nw

    challenger = registry.by_alias(CHALLENGER)
    if challenger is None:
        raise RegistryError(
            f"{registry.model_name}: there is no Challenger; run `churn run` first."
        )
    incumbent = _incumbent(registry, record, challenger)
    features, state = tables["features"], tables["features"].require()
    test = features.scan(state.version).filter(
        (nw.col("split") == "test") & ~nw.col("label").is_null()
    )
    wanted = test.select(use_case.key, *use_case.inputs, "label")
    drawn = sampled(wanted, use_case, features.engine, share=1, most_rows=most_rows)
    rows = features.engine.collect(drawn.frame)
    champion = None if incumbent is None else _contender(registry, incumbent, rows, use_case)
    if champion is not None and record is not None:
        # What predictions are decided by, whatever became of the version's tag.
        champion = replace(champion, threshold=record.threshold)
    return Evidence(
        challenger=_contender(registry, challenger, rows, use_case),
        champion=champion,
        labels=np.asarray(rows["label"].to_numpy(zero_copy_only=False), dtype=bool),
        split=state.details["split"],
        known=drawn.rows,
    )


def verdicts(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    most_rows: int = MAX_ROWS,
) -> list[Verdict]:
    """What every gate says of the present Challenger.

    Where it is the Champion already, or no outcome is known to judge it by, that is what they
    said when the Champion was promoted.
    """
    record: Promotion | None = None

    def seen() -> Evidence:
        return gather(use_case, tables, registry, record, most_rows)

    try:
        record = on_record(tables["champion"])
        stands = record and _stands(record, tables["features"], registry)
        if record and stands:
            return recorded(record, stands)
    except Exception as error:
        return closed(error)
    return decide(seen)


def recorded(promotion: Promotion, stands: str) -> list[Verdict]:
    """What the gates said when a promotion was decided, and why it stands."""
    said = [Verdict(**verdict) for verdict in json.loads(promotion.gates)]
    return [replace(verdict, reason=f"{stands}: {verdict.reason}") for verdict in said]


def promote(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    decided_by: str,
    most_rows: int = MAX_ROWS,
) -> tuple[Committed, Promotion]:
    """Make the Challenger the Champion, if every gate lets it pass.

    The commit to the champion table decides: it holds only where no other promotion came
    since this one looked. The alias follows it.

    Parameters
    ----------
    use_case, tables, registry
        Whose Challenger it is, and where.
    decided_by : str
        Kept with the promotion.
    most_rows : int
        Greatest number of test rows to judge by.

    Returns
    -------
    Committed
        The champion table, unchanged where the Challenger is the Champion already.
    Promotion
        The one that holds now.

    Raises
    ------
    GateError
        Where a gate refuses the Challenger, or another promotion was first.
    """
    champion = tables["champion"]
    state = _started(champion)
    record = align(champion, registry)
    if record is not None and _stands(record, tables["features"], registry):
        return champion.require(), record
    evidence: list[Evidence] = []

    def seen() -> Evidence:
        record = on_record(champion, state)
        evidence.append(gather(use_case, tables, registry, record, most_rows))
        return evidence[0]

    decided = decide(seen)
    refused = refusal(decided)
    if refused:
        raise GateError(f"Challenger refused: {refused}. The Champion and its predictions stand.")
    challenger = registry.by_alias(CHALLENGER)
    if challenger is None or challenger.version != evidence[0].challenger.version:
        raise GateError(
            "Challenger refused: a newer one was registered while it was judged. Run again."
        )
    promotion = Promotion(
        promotion=1 if record is None else record.promotion + 1,
        action="promotion",
        model_name=registry.model_name,
        version=challenger.version,
        run_id=challenger.run_id,
        threshold=challenger.threshold,
        previous_version=None if record is None else record.version,
        decided_by=decided_by,
        decided_at=datetime.now(UTC),
        gates=json.dumps([asdict(verdict) for verdict in decided], default=str),
    )
    try:
        committed = champion.append(
            _frame(champion, [promotion]),
            promotion.data_version,
            {"model": tables["model"].require().version},
            base=state.version,
            transaction=_TRANSACTION,
        )
    except ConflictError as error:
        raise GateError(
            "Challenger refused: another promotion was first. Run again to be judged against "
            "the new Champion."
        ) from error
    align(champion, registry)
    return committed, promotion


def _stands(record: Promotion, features: Table, registry: Registry) -> str | None:
    """Why there is nothing to decide and the Champion on record stands; None where there is."""
    import narwhals.stable.v2 as nw

    if _holds(record, registry.by_alias(CHALLENGER)):
        return f"Champion since {record.decided_at:%Y-%m-%d %H:%M} UTC"
    labelled = features.scan(features.require().version).filter(~nw.col("label").is_null())
    if len(features.engine.collect(labelled.select("label").head(1))):
        return None
    return f"no outcome is known to judge by, so Champion {record.version} stands"


def _holds(record: Promotion, version: Version | None) -> bool:
    """Whether a version is the Champion on record."""
    return version is not None and (version.version, version.run_id) == (
        record.version,
        record.run_id,
    )


def _incumbent(registry: Registry, record: Promotion | None, challenger: Version) -> Version | None:
    """The Champion on record; without a record, whoever else bears the alias."""
    if record is not None:
        return registry.by_number(record.version, record.run_id)
    bearer = registry.by_alias(CHAMPION)
    # An alias that was set by hand on the Challenger itself lets it pass no gate.
    return None if bearer is None or bearer.version == challenger.version else bearer


def _contender(
    registry: Registry, version: Version, rows: pa.Table, use_case: UseCase
) -> Contender:
    card = registry.card(version.version)
    inputs = rows.select(list(use_case.inputs)).to_pandas()
    scores = registry.load(version.version).predict_proba(inputs)[:, 1] if len(inputs) else []
    return Contender(
        version=version.version,
        description=version.description,
        tags=version.tags,
        has_signature=card.signature is not None,
        has_input_example=card.saved_input_example_info is not None,
        threshold=version.threshold,
        scores=np.asarray(scores, dtype=float),
    )


def _started(champion: Table) -> Committed:
    """The champion table as it is now; an empty one where there is none yet."""
    if champion.state() is None:
        with suppress(ConflictError):
            champion.append(_frame(champion, []), data_version("", {}), base=None)
    return champion.require()


def _frame(champion: Table, promotions: list[Promotion]) -> Any:
    import pyarrow as pa

    schema = pa.schema(
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
        ]
    )
    rows = [asdict(promotion) for promotion in promotions]
    return champion.engine.from_arrow(pa.Table.from_pylist(rows, schema))
