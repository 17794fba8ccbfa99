"""From silver to features: model inputs, label and split for each key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ContractError, refusal
from churn_assets.tables import contract, engines
from churn_assets.tables.copies import (
    MOST_ROWS,
    in_memory,
    parts_of,
    repeats,
    tied_rows,
    ties_of,
)
from churn_assets.tables.engines.engine import BUCKETS, Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import HOLDOUT, Committed, Table
from churn_assets.tables.refine import (
    MAX_REJECT_SHARE,
    require_few_rejects,
    valid_by,
    valid_records,
)
from churn_assets.tables.sampling import TO_SCORE, sampled, to_score
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import Split, UseCase, hash_split, tested_from, time_split

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import polars as pl

    from churn_assets.types import Frame


FEWEST_OF_OUTCOME = 10
"""Rows of either outcome; with fewer, a column may tell all of them by chance."""
_BUCKET, _OF_GROUP, _ROWS, _LABEL_DAY = "__bucket", "__of_group", "__rows", "__label_day"
_DAY, _NEWEST, _HELD_OUT = "__day", "__newest", "__held_out"
# Not `date.min`: Spark takes years of four digits only.
_NEVER, _EVER = date.max, date(1000, 1, 1)


@dataclass(frozen=True)
class FeatureRows:
    """Rows of features, and how they are split.

    Parameters
    ----------
    frame : frame
        The rows.
    split : str
        What a model that is trained on them is kept with.
    """

    frame: Frame
    split: str


@dataclass(frozen=True)
class HeldOut:
    """Rows that are only judged by.

    Parameters
    ----------
    frame : frame
        As the use case's `features` gives them, with the label's column.
    version : str
        Data version of their records.
    """

    frame: Frame
    version: str


def features_code(use_case: UseCase) -> str:
    """Version of the code that makes features."""
    return code_version(
        featurise,
        engines,
        use_case.features,
        split=str(use_case.split),
        split_by=use_case.split_by,
        group=use_case.group,
        beside=use_case.beside,
    )


def featurise(
    use_case: UseCase, tables: Mapping[str, Table], max_reject_share: float = MAX_REJECT_SHARE
) -> Committed:
    """Replace features.

    Parameters
    ----------
    use_case : UseCase
        Whose `features` apply.
    tables : mapping of str to Table
        The use case's tables.
    max_reject_share : float
        Greatest share of rejected labels, in [0, 1], where they have a table of their own.

    Raises
    ------
    ContractError
        Where the labels as a whole break their contract, no row is new enough for test, a group is
        of neither text nor whole numbers, or an input is the label itself.
    """
    names = (*_inputs(use_case), *([HOLDOUT] if HOLDOUT in tables else []))
    read = {name: tables[name].require() for name in names}
    versions = {name: state.data_version for name, state in read.items()}
    version = data_version(features_code(use_case), versions)
    features = tables["features"]
    current = features.current(version)
    if current:
        return current
    before = features.state()
    silver = tables["silver"].scan(read["silver"].version)
    details: dict[str, Any] = {}
    labels = None
    if use_case.labels is not None:
        validated = _valid_labels(use_case, tables["labels"], read["labels"], max_reject_share)
        labels = validated.valid
        details["labels"] = _label_counts(use_case, validated, silver, features.engine)
    held_out = None
    if HOLDOUT in tables:
        held_out, details[HOLDOUT] = _held_out(use_case, tables, read[HOLDOUT], max_reject_share)
    earlier = None if before is None else before.details.get("split")
    made = feature_rows(
        use_case, silver, features.engine, labels=labels, earlier=earlier, held_out=held_out
    )
    details |= _findings(use_case, silver, made.frame, features.engine)
    if TO_SCORE in made.frame.collect_schema():
        details[TO_SCORE] = _count(to_score(made.frame), features.engine)
    reads = {name: state.version for name, state in read.items()}
    return features.replace(made.frame, version, reads, split=made.split, **details)


def feature_rows(
    use_case: UseCase,
    silver: Frame,
    engine: Engine,
    *,
    labels: Frame | None = None,
    earlier: str | None = None,
    held_out: HeldOut | None = None,
) -> FeatureRows:
    """Key, model inputs, `label` (null: not known yet) and `split` of each customer.

    Columns that value and slices need, and those that tell when, stand beside the model inputs.
    Where a customer has a row for each label and one to be scored by, or rows are held out,
    `to_score` says which they are scored by.

    Parameters
    ----------
    use_case : UseCase
        Whose `features` apply.
    silver : frame
        Valid, typed, cleaned records.
    engine : Engine
        What hashes the key and counts days.
    labels : frame, optional
        Valid records of the labels' contract, of a use case that has them apart.
    earlier : str, optional
        The split of the rows that these replace: what was trained on then is never test.
    held_out : HeldOut, optional
        The rows that are test, where no others are. Whoever is among them is scored by the row in
        silver, which has no label.
    """
    import narwhals.stable.v2 as nw

    frame = use_case.features(silver)
    if labels is not None:
        frame = _labelled(use_case, frame, labels)
    if held_out is None:
        frame, side, split = _split(use_case, frame, engine, earlier)
        return FeatureRows(_rows(use_case, frame, side), split)
    frame = _not_trained_on(use_case, frame, held_out.frame)
    frame, side, split = _split(use_case, frame, engine, None, has_test=False)
    side = nw.when(nw.col(_HELD_OUT)).then(nw.lit("test")).otherwise(side)
    tested = held_out.frame.with_columns(nw.lit(False).alias(TO_SCORE))
    rows = [_rows(use_case, frame, side), _rows(use_case, tested, nw.lit("test"))]
    return FeatureRows(nw.concat(rows, how="vertical"), f"{split} holdout={held_out.version[:12]}")


def _rows(use_case: UseCase, frame: Frame, side: nw.Expr) -> Frame:
    """The columns of features."""
    import narwhals.stable.v2 as nw

    inputs = (*use_case.keys, *use_case.inputs, *use_case.beside)
    return frame.select(
        *use_case.keys,
        # Numbers are doubles, so that a model's signature takes a missing one.
        *(nw.col(name).cast(nw.Float64) for name in use_case.numeric),
        *use_case.categorical,
        *use_case.beside,
        *(name for name in use_case.days if name not in inputs),
        (nw.col(use_case.label.column) == use_case.label.positive).alias("label"),
        side.alias("split"),
        *([TO_SCORE] if TO_SCORE in frame.collect_schema() else []),
    )


def _inputs(use_case: UseCase) -> tuple[str, ...]:
    """The tables that features are made from."""
    return ("silver",) if use_case.labels is None else ("silver", "labels")


def _held_out(
    use_case: UseCase, tables: Mapping[str, Table], state: Committed, max_reject_share: float
) -> tuple[HeldOut, dict[str, Any]]:
    """The rows of a hold-out whose outcome is known, and what became of its records."""
    import narwhals.stable.v2 as nw

    table, source = tables[HOLDOUT], state.details.get("source_uri", state.uri)
    validated = valid_records(use_case, table, state)
    require_few_rejects(validated, max_reject_share, source, kept=state.uri, guarded="features")
    frame = use_case.features(use_case.clean(validated.valid))
    if use_case.labels is not None:
        frame = _labelled(
            use_case, frame, _valid_labels(use_case, table, state, max_reject_share).valid
        )
    known = frame.filter(~nw.col(use_case.label.column).is_null())
    counts = {
        "records": validated.rows,
        "rejected": validated.rejected,
        "rules": dict(validated.broken),
        "judged_by": _count(known, table.engine),
    }
    return HeldOut(known, state.data_version), counts


def _not_trained_on(use_case: UseCase, frame: Frame, held_out: Frame) -> Frame:
    """Rows of which those of held out customers, or of their groups, have no label."""
    import narwhals.stable.v2 as nw

    who, label = list(use_case.together or use_case.keys), use_case.label.column
    theirs = held_out.select(*who).unique(keep="any").with_columns(nw.lit(True).alias(_HELD_OUT))
    marked = frame.join(theirs, on=who, how="left")
    is_held_out = nw.coalesce(nw.col(_HELD_OUT), nw.lit(False))
    if TO_SCORE not in frame.collect_schema():
        marked = marked.with_columns(nw.lit(True).alias(TO_SCORE))
    unlabelled = marked.with_columns(
        is_held_out.alias(_HELD_OUT), nw.when(~is_held_out).then(nw.col(label)).alias(label)
    )
    # An earlier row of theirs is of no use.
    return unlabelled.filter(~nw.col(_HELD_OUT) | nw.col(TO_SCORE))


def _split(
    use_case: UseCase,
    frame: Frame,
    engine: Engine,
    earlier: str | None,
    *,
    has_test: bool = True,
) -> tuple[Frame, nw.Expr, str]:
    """The rows, on which side each is, and the split as it is kept."""
    import narwhals.stable.v2 as nw

    shares = use_case.split if has_test else _without_test(use_case.split)
    if use_case.split_by is None:
        bucket = nw.col(_BUCKET)
        to_train = round(shares.train * BUCKETS)
        to_validation = round((shares.train + shares.validation) * BUCKETS)
        validation, test = bucket >= to_train, bucket >= to_validation
        hashed = engine.bucket(frame, use_case.keys, shares.salt, into=_BUCKET)
        if use_case.group:
            _require_group(use_case, frame)
            hashed = engine.bucket(hashed, use_case.group, shares.salt, into=_OF_GROUP)
            # Without a group a row stands alone.
            hashed = hashed.with_columns(nw.coalesce(nw.col(_OF_GROUP), bucket).alias(_BUCKET))
        return hashed, _side(validation, test), hash_split(shares, use_case.group)
    by = use_case.split_by
    known = frame.filter(~nw.col(use_case.label.column).is_null() & ~nw.col(by).is_null())
    each = known.group_by(by).agg(nw.len().cast(nw.Int64).alias(_ROWS))
    days = {row[by]: row[_ROWS] for row in engine.collect(each).to_pylist()}
    test_from = _newest(days, 1 - shares.train - shares.validation) if has_test else _NEVER
    before = tested_from(earlier or "", by)
    if before == _NEVER:
        before = None
    if before and test_from and max(days) < before:
        raise ContractError(
            f"{use_case.name}: no record with a label is as new as {before}, from which rows are "
            "test, and older ones were trained on. Give newer records, or remove the tables "
            "features, model and champion to start over."
        )
    # Where no outcome is known, nobody is trained on, and any row may be test later.
    test_from = max(filter(None, (test_from, before)), default=_NEVER)
    older = {day: rows for day, rows in days.items() if day < test_from}
    share = shares.validation / (shares.train + shares.validation)
    validation_from = _newest(older, share) or test_from
    side = _side(nw.col(by) >= validation_from, nw.col(by) >= test_from)
    return frame, side, time_split(by, test_from)


def _without_test(split: Split) -> Split:
    """The same shares of train and validation to each other, where others are judged by."""
    train = split.train / (split.train + split.validation)
    return replace(split, train=train, validation=1 - train)


def _require_group(use_case: UseCase, frame: Frame) -> None:
    """Refuse a group of columns that are not there, or that engines write in their own ways."""
    import narwhals.stable.v2 as nw

    schema = frame.collect_schema()
    for name in use_case.group:
        if name not in schema or not (schema[name] == nw.String or schema[name].is_integer()):
            is_what = f"is {schema[name]}" if name in schema else "is not there"
            raise ContractError(
                f"{use_case.name}: '{name}' of its group {is_what} in features; a group is named "
                "by columns of text or whole numbers. Name others, or leave `group` out."
            )


def _side(validation: nw.Expr, test: nw.Expr) -> nw.Expr:
    import narwhals.stable.v2 as nw

    return (
        nw.when(test)
        .then(nw.lit("test"))
        .when(validation)
        .then(nw.lit("validation"))
        .otherwise(nw.lit("train"))
    )


def _newest(days: Mapping[date, int], share: float) -> date | None:
    """The day from which on at least a share of the rows are; None where there are no rows."""
    wanted, reached = share * sum(days.values()), 0
    for day in sorted(days, reverse=True):
        reached += days[day]
        if reached >= wanted:
            return day
    return None


def _valid_labels(
    use_case: UseCase, table: Table, state: Committed, max_reject_share: float
) -> contract.Validated:
    """The labels by their contract."""
    assert use_case.labels is not None
    source, by_day = state.details.get("source_uri", state.uri), use_case.is_point_in_time
    time = None if by_day else use_case.labels.time
    validated = valid_by(use_case.labels.contract, table, state, time)
    require_few_rejects(validated, max_reject_share, source, kept=state.uri, guarded="features")
    _require_one_undated(use_case, validated.valid, table.engine, source)
    return validated


def _require_one_undated(use_case: UseCase, labels: Frame, engine: Engine, source: str) -> None:
    """Refuse two labels of a customer that say no day, of which neither is the newest."""
    import narwhals.stable.v2 as nw

    assert use_case.labels is not None
    day = use_case.labels.time
    if day is None or not use_case.is_point_in_time or not use_case.labels.contract[day].nullable:
        return
    undated = labels.filter(nw.col(day).is_null()).group_by(*use_case.keys)
    repeated = undated.agg(nw.len().cast(nw.Int64).alias(_ROWS)).filter(nw.col(_ROWS) > 1)
    count = _count(repeated, engine)
    if count:
        raise ContractError(
            f"{source}: {count:,} customers have several labels without a day in '{day}', and "
            "none is the newest. Give their days, or one label each; features was not replaced."
        )


def _labelled(use_case: UseCase, frame: Frame, labels: Frame) -> Frame:
    """Rows with their label; where both have days, those with one and the newest of a customer.

    A label is of the newest row that is not newer than it, and of its newest label a row has the
    newest. So a row that was trained on is still there when a newer one comes, and the newest row
    without a label is the one to be scored by.
    """
    import narwhals.stable.v2 as nw

    keys, column = list(use_case.keys), use_case.label.column
    if not use_case.is_point_in_time:
        return frame.join(_label_rows(use_case, labels), on=keys, how="left")
    assert use_case.time is not None
    frame = frame.with_columns(nw.coalesce(nw.col(use_case.time), nw.lit(_EVER)).alias(_DAY))
    known = _label_rows(use_case, labels).filter(~nw.col(column).is_null())
    pairs = frame.select(*keys, _DAY).join(known, on=keys, how="inner")
    pairs = pairs.filter(nw.col(_DAY) <= nw.col(_LABEL_DAY))
    for newest, of in ((_DAY, _LABEL_DAY), (_LABEL_DAY, _DAY)):
        pairs = pairs.with_columns(nw.col(newest).max().over(*keys, of).alias(_NEWEST))
        pairs = pairs.filter(nw.col(newest) == nw.col(_NEWEST)).drop(_NEWEST)
    joined = frame.join(pairs.drop(_LABEL_DAY), on=[*keys, _DAY], how="left")
    joined = joined.with_columns(nw.col(_DAY).max().over(*keys).alias(_NEWEST))
    is_known, is_newest = ~nw.col(column).is_null(), nw.col(_DAY) == nw.col(_NEWEST)
    kept = joined.filter(is_known | is_newest)
    return kept.with_columns((is_newest & ~is_known).alias(TO_SCORE)).drop(_DAY, _NEWEST)


def _label_rows(use_case: UseCase, labels: Frame) -> Frame:
    """Key, label, and its day where a record has one too; a label without a day is of any."""
    import narwhals.stable.v2 as nw

    assert use_case.labels is not None
    day = use_case.labels.time if use_case.is_point_in_time else None
    days: Iterable[nw.Expr] = (
        [nw.coalesce(nw.col(day), nw.lit(_NEVER)).alias(_LABEL_DAY)] if day else []
    )
    return labels.select(*use_case.keys, use_case.label.column, *days)


def _label_counts(
    use_case: UseCase, validated: contract.Validated, silver: Frame, engine: Engine
) -> dict[str, Any]:
    """What became of the labels."""
    import narwhals.stable.v2 as nw

    keys = list(use_case.keys)
    labels = _label_rows(use_case, validated.valid)
    without = labels.join(silver.select(*keys), on=keys, how="anti")
    counts: dict[str, Any] = {
        "records": validated.rows,
        "rejected": validated.rejected,
        "rules": dict(validated.broken),
        "of_nobody": _count(without, engine),
    }
    if use_case.is_point_in_time and use_case.time:
        day = nw.coalesce(nw.col(use_case.time), nw.lit(_EVER)).alias(_DAY)
        first = use_case.features(silver).select(*keys, day).group_by(*keys).agg(nw.col(_DAY).min())
        given = labels.filter(~nw.col(use_case.label.column).is_null())
        older = given.join(first, on=keys, how="inner").filter(nw.col(_DAY) > nw.col(_LABEL_DAY))
        counts["older_than_the_record"] = _count(older, engine)
    return counts


def _findings(use_case: UseCase, silver: Frame, frame: Frame, engine: Engine) -> Mapping[str, Any]:
    """What rows of features have in common, to be kept with their commit."""
    import narwhals.stable.v2 as nw

    columns = (*use_case.keys, *use_case.inputs, *use_case.beside, "label", "split")
    drawn = sampled(frame.select(*columns), use_case, engine, share=1, most_rows=MOST_ROWS)
    rows = in_memory(engine.collect(drawn.frame))
    _require_no_label(use_case, rows)
    found = repeats(
        rows.select(use_case.inputs),
        (rows["split"] == "train").to_numpy(),
        lambda: parts_of(use_case, silver, engine),
    )
    some: Frame = nw.from_native(rows.lazy())
    of_all = frame if rows.height < drawn.rows else some

    def held_out(frame: Frame, ties: Sequence[tuple[str, ...]]) -> dict[str, int]:
        labelled = frame.filter(~nw.col("label").is_null())
        counter = PolarsEngine() if frame is some else engine
        return tied_rows(labelled, use_case, ties, counter)

    alike = held_out(some, [use_case.inputs]) if use_case.inputs else {}
    return {
        "copies": {
            "rows": found.rows,
            "alike": found.copies,
            "on_both_sides": found.on_both_sides,
            "by_chance": found.by_chance,
            "beyond_chance": found.are_copies,
            **alike,
        },
        "not_judged": held_out(of_all, ties_of(use_case, copies=found.are_copies)),
    }


def _require_no_label(use_case: UseCase, rows: pl.DataFrame) -> None:
    """Refuse what has one value for each outcome, in rows of both that are not too few."""
    import polars as pl

    labelled = rows.drop_nulls("label")
    positives = int(labelled["label"].sum())
    if min(positives, labelled.height - positives) < FEWEST_OF_OUTCOME:
        return
    columns = [*use_case.inputs, *use_case.beside]
    values = labelled.group_by("label").agg(pl.col(columns).n_unique())
    for name in columns:
        if (values[name] == 1).all() and labelled[name].n_unique() > 1:
            raise ContractError(
                refusal(
                    f"{use_case.name}: '{name}' of features is the label itself",
                    f"it has one value where '{use_case.label.column}' is "
                    f"'{use_case.label.positive}' and another where it is not, in all "
                    f"{labelled.height:,} rows looked at",
                    "features was not replaced",
                    "Take it out of the use case",
                )
            )


def _count(frame: Frame, engine: Engine) -> int:
    import narwhals.stable.v2 as nw

    counted = engine.collect(frame.select(nw.len().cast(nw.Int64).alias(_ROWS)))
    return int(counted[_ROWS][0].as_py())
