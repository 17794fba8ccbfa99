"""Score every customer with the Champion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from churn_assets.errors import InputsError, RegistryError, TableError
from churn_assets.learning.inputs import as_trained, changed, rows_as_trained
from churn_assets.learning.judging.record import align, decided
from churn_assets.learning.scorer import predictions_schema, scored_columns, scorer
from churn_assets.learning.workplace import Workplace
from churn_assets.tables import engines
from churn_assets.tables.engines.engine import ConflictError, Engine
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.provenance import MADE_UP, origin
from churn_assets.tables.sampling import TO_SCORE, to_score
from churn_assets.tables.versions import code_version, data_version
from churn_assets.tables.volume import compare
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.types import Frame

    Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]


_SCORING = "scoring"


def predictions_code(use_case: UseCase, contacts: int | None = None) -> str:
    """Version of the code that scores, and of the budget of contacts."""
    return code_version(
        score, engines, use_case.features, use_case=use_case.declared, contacts=contacts
    )


def score(place: Workplace, *, contacts: int | None = None) -> Committed:
    """Replace predictions by the Champion's of every customer in features.

    A Champion of other inputs than those of today is given what it was trained on from silver.

    Parameters
    ----------
    place : Workplace
        Who is scored, and where the features and the Champion are.
    contacts : int, optional
        How many customers may be contacted; as many as it pays to by default.

    Raises
    ------
    RegistryError
        Where there is no Champion, or it cannot be had.
    InputsError
        Where what it was trained on is not to be had any more.
    """
    use_case, tables, registry = place.use_case, place.tables, place.registry
    features = tables["features"].require()
    champion = align(tables["champion"], registry)
    if champion is None:
        raise RegistryError(
            f"{use_case.name}: there is no Champion to score with; run `churn run` first."
        )
    inputs = {"features": features.data_version, "champion": champion.data_version}
    version = data_version(predictions_code(use_case, contacts), inputs)
    current = tables["predictions"].current(version)
    if current:
        return current
    pipeline = registry.load(champion.version, champion.model_digest)
    reads = {"features": features.version, "champion": tables["champion"].require().version}
    try:
        trained = as_trained(use_case, pipeline)
        rows = to_score(rows_as_trained(use_case, trained, tables, features))
    except InputsError as error:
        raise InputsError(
            f"{use_case.name}: Champion {champion.version} {error}, so it can score nobody. "
            "Predictions stand as they are. Let `features` give it again, or promote a Challenger "
            "that does without."
        ) from None
    there = rows.collect_schema().names()
    absent = [name for name in scored_columns(trained) if name not in there]
    if absent:
        raise RegistryError(
            f"{use_case.name}: features have no {', '.join(absent)} yet, which the use case names "
            "now. Make them anew with `churn run`."
        )
    if changed(use_case, trained):
        silver = tables["silver"].state(features.reads["silver"])
        assert silver is not None
        inputs["silver"] = silver.data_version
        version = data_version(predictions_code(use_case, contacts), inputs)
        current = tables["predictions"].current(version)
        if current:
            return current
        reads["silver"] = features.reads["silver"]
    apply = scorer(trained, pipeline, champion, features.version)
    with predicted(trained, tables["features"].engine, rows, apply, contacts) as predictions:
        return tables["predictions"].replace(
            predictions,
            version,
            reads,
            moments=("scored_at",),
            model_version=champion.version,
            inputs=inputs,
            **_change(use_case, tables, rows),
        )


def scores_code() -> str:
    """Version of the code that keeps scores."""
    return code_version(keep_scores, engines)


def keep_scores(tables: Mapping[str, Table]) -> Committed:
    """Add the newest predictions to scores, unless they are the last that were added.

    Parameters
    ----------
    tables : mapping of str to Table
        The use case's.

    Raises
    ------
    TableError
        Where another run added other predictions at the same time.
    """
    predictions, scores = tables["predictions"].require(), tables["scores"]
    scoring = predictions.data_version
    rows = tables["predictions"].scan(predictions.version)
    state = scores.state()
    if state is None:
        with suppress(ConflictError):
            scores.append(rows.head(0), data_version("", {}))
        state = scores.require()
    if state.made_from == scoring:
        return state
    try:
        return scores.append(
            rows,
            scoring,
            {"predictions": predictions.version},
            # An earlier scoring may come again, as after a rollback.
            data_version=data_version(state.data_version, {"predictions": scoring}),
            base=state.version,
            transaction=_SCORING,
            scored=predictions.rows,
            model_version=predictions.details.get("model_version"),
        )
    except ConflictError as error:
        kept = scores.require()
        if kept.made_from == scoring:
            return kept
        raise TableError(
            f"{scores.uri}: another run added other predictions at the same time. Run again."
        ) from error


def customers_to_score(features: Committed) -> int:
    """How many customers features have a row for that they are scored by."""
    return int(features.details.get(TO_SCORE, features.rows))


def deliver(predictions: Table, output: str) -> Committed:
    """Let a Delta table elsewhere hold the newest predictions, unless it does.

    Parameters
    ----------
    predictions : Table
        The use case's.
    output : str
        Folder or URI of the other table, which is replaced in one commit.

    Raises
    ------
    TableError
        Where it holds anything but predictions, or cannot be written.
    """
    scored = predictions.require()
    other = replace(predictions, uri=output, registered_as="", by_default="")
    before = other.state()
    if before is not None and predictions.name not in before.reads:
        raise TableError(
            f"{before.uri}: there is a table of other rows than predictions, and it was not "
            "replaced. Give another place as output."
        )
    current = other.current(scored.data_version)
    if current:
        return current
    rows = predictions.scan(scored.version)
    return other.replace(rows, scored.data_version, {predictions.name: scored.version})


def behind(tables: Mapping[str, Table]) -> str | None:
    """What has come since everyone was scored, in words; None where nothing has, or nobody can be.

    Reads what was kept with the tables, and none of their rows.

    Parameters
    ----------
    tables : mapping of str to Table
        The use case's tables.
    """
    features, champion = tables["features"].state(), decided(tables["champion"])
    if features is None or champion is None:
        return None
    predictions = tables["predictions"].state()
    if predictions is None:
        return "nobody is scored yet"
    inputs = predictions.details.get("inputs", {})
    silver = tables["silver"].state(features.reads.get("silver")) if "silver" in inputs else None
    newer = [
        words
        for name, state, words in (
            ("features", features, f"features are newer (version {features.version})"),
            ("champion", champion, "there is another Champion"),
            *(
                [("silver", silver, f"silver is newer (version {silver.version})")]
                if silver
                else []
            ),
        )
        # Older versions of the package kept the versions of tables alone.
        if inputs.get(name) != state.data_version
        and (inputs or predictions.reads.get(name) != state.version)
    ]
    return " and ".join(newer) or None


def _change(use_case: UseCase, tables: Mapping[str, Table], features: Frame) -> dict[str, Any]:
    """How many were scored before, and how many of them are gone; nothing of made-up customers."""
    predictions = tables["predictions"]
    before = None if predictions.is_made_anew else predictions.state()
    if before is None or MADE_UP in {origin(tables, name) for name in ("features", "predictions")}:
        return {}
    volume = compare(
        features, predictions.scan(before.version), predictions.engine, keys=use_case.keys, blank={}
    )
    return {
        "scored_before": volume.keys_before,
        "customers_gone": volume.keys_before - volume.keys_kept,
    }


@contextmanager
def predicted(
    use_case: UseCase, engine: Engine, features: Frame, apply: Scorer, contacts: int | None = None
) -> Iterator[Frame]:
    """Predictions of the customers in features, to be used in the block.

    Where there is a business case, they say whom to contact and in which order. With whom the
    value of a contact is not known, is not contacted and has no rank.

    Parameters
    ----------
    use_case : UseCase
        Whose features these are.
    engine : Engine
        What scores and ranks.
    features : frame
        Who is scored.
    apply : callable
        As `scorer` gives it.
    contacts : int, optional
        As `score` takes it.
    """
    import narwhals.stable.v2 as nw

    columns = scored_columns(use_case)
    scored = engine.map_batches(features.select(columns), apply, predictions_schema(use_case))
    if use_case.business is None:
        yield scored
        return
    names = predictions_schema(use_case).names
    after = names.index("expected_value") + 1
    order = ["expected_value", "churn_probability", *use_case.keys]
    falling = [True, True, *(False for _ in use_case.keys)]
    with engine.ranked(scored, order, falling, into="rank") as ranked:
        is_known = ~nw.col("expected_value").is_null()
        contact = nw.col("expected_value") > 0
        if contacts is not None:
            contact &= nw.col("rank") <= contacts
        yield ranked.with_columns(
            nw.when(is_known).then(contact).otherwise(nw.lit(False)).alias("contact"),
            nw.when(is_known).then(nw.col("rank")).alias("rank"),
        ).select(*names[:after], "contact", "rank", *names[after:])
