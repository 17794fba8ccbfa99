"""From raw to silver: what keeps the contract, typed and cleaned; the rest with its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from churn_assets.errors import ContractError, refusal
from churn_assets.tables import contract, engines
from churn_assets.tables.lake import INGESTED_AT, Committed, Table
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import Contract, UseCase

MAX_REJECT_SHARE = 0.05


def silver_code(use_case: UseCase) -> str:
    """Version of the code that makes silver and rejects."""
    return code_version(refine, engines, use_case.clean)


def refine(
    use_case: UseCase, tables: Mapping[str, Table], max_reject_share: float = MAX_REJECT_SHARE
) -> Iterator[Committed]:
    """Replace rejects, then silver.

    Parameters
    ----------
    use_case : UseCase
        Whose contract and `clean` apply.
    tables : mapping of str to Table
        The use case's tables.
    max_reject_share : float
        Greatest share of rejected records, in [0, 1], with which silver is replaced.

    Yields
    ------
    Committed
        rejects, and then silver.

    Raises
    ------
    ContractError
        Where the records as a whole break the contract; silver is not replaced.
    """
    raw = tables["raw"].require()
    version = data_version(silver_code(use_case), {"raw": raw.data_version})
    rejects, silver = tables["rejects"].current(version), tables["silver"].current(version)
    if rejects and silver:
        yield rejects
        yield silver
        return
    reads = {"raw": raw.version}
    source = raw.details.get("source_uri", raw.uri)
    validated = valid_records(use_case, tables["raw"], raw)
    # Where none was counted, none is looked for in all records once more.
    found = validated.rejects if validated.rejected else validated.rejects.head(0)
    rejects = rejects or tables["rejects"].replace(found, version, reads, rules=validated.broken)
    yield rejects
    require_few_rejects(validated, max_reject_share, source, kept=rejects.uri, guarded="silver")
    yield silver or tables["silver"].replace(use_case.clean(validated.valid), version, reads)


def valid_records(use_case: UseCase, table: Table, state: Committed) -> contract.Validated:
    """The records of raw, or of a hold-out, by the use case's contract.

    Parameters
    ----------
    use_case : UseCase
        Whose contract applies.
    table : Table
        What holds them as they came.
    state : Committed
        The version of it.

    Raises
    ------
    ContractError
        Where the records as a whole break it.
    """
    # Where a record is of a customer and a day, the newest of a day is the last that came.
    by_day = use_case.row_keys != use_case.keys
    return valid_by(use_case.contract, table, state, None if by_day else use_case.time)


def valid_by(
    wanted: Contract, table: Table, state: Committed, time: str | None
) -> contract.Validated:
    """The records of a version of a table by a contract; of a key that repeats, the newest by time.

    Raises
    ------
    ContractError
        Where the records as a whole break it.
    """
    records, source = table.scan(state.version), state.details.get("source_uri", state.uri)
    contract.require_types(records, wanted, source)
    validated = contract.validate(records, wanted, table.engine, newest_by(state, time))
    contract.require_table(validated, wanted, table.engine, source)
    return validated


def newest_by(state: Committed, time: str | None) -> tuple[str, ...]:
    """Columns by which the newest record of a key is found, of a table that keeps history."""
    if not state.details.get("history"):
        return ()
    return (*([time] if time else []), INGESTED_AT)


def require_few_rejects(
    validated: contract.Validated, max_reject_share: float, source: str, *, kept: str, guarded: str
) -> None:
    """Refuse records of which too many break the contract.

    Raises
    ------
    ContractError
        Naming the rules that most of them break.
    """
    if validated.rejected <= max_reject_share * validated.rows:
        return
    worst = sorted(validated.broken.items(), key=lambda rule: -rule[1])[:3]
    most_often = "; ".join(f"{rule} ({count:,})" for rule, count in worst)
    raise ContractError(
        refusal(
            source,
            f"{validated.rejected:,} of {validated.rows:,} records "
            f"({validated.rejected / validated.rows:.1%}) break the contract, and at most "
            f"{max_reject_share:.1%} may; most often: {most_often}",
            f"They are kept in {kept}; {guarded} was not replaced",
            "Mend the source, or raise CHURN_MAX_REJECT_SHARE",
        )
    )
