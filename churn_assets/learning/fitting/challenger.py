"""Train a Challenger from the features table and register it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting import training
from churn_assets.learning.fitting.candidates import chosen
from churn_assets.learning.fitting.origin import changes, model_code, origin, study_name
from churn_assets.learning.fitting.search import Progress
from churn_assets.learning.fitting.tracking import SAMPLE_ROWS, log_parts, log_training, today
from churn_assets.learning.fitting.training import Labelled, Trained, labelled_rows
from churn_assets.learning.plots import score_pictures
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import CHALLENGER, EXPERIMENT_GATES, Registry, Version
from churn_assets.learning.standing import show_challenger
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.rows import rows_of
from churn_assets.tables.versions import data_version
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd

OpenRun = Callable[[], AbstractContextManager[str]]
"""Opens an MLflow run, active in the block, and gives its id."""
Keep = Callable[[Registry, Version, UseCase, Trained], Mapping[str, Any]]
"""Keeps what a server needs of a version, and gives figures to be kept with the model table."""


@dataclass(frozen=True)
class Challenger:
    """The registered Challenger and what came of its training.

    Parameters
    ----------
    committed : Committed
        The model table.
    row : mapping
        The Challenger's row in it.
    description : str
        What the registry says of it.
    """

    committed: Committed
    row: Mapping[str, Any]
    description: str

    @property
    def trained_because(self) -> str:
        """Why it was trained; empty where an earlier version of this package trained it."""
        return str(self.committed.details.get("trained_because", ""))


def train_challenger(
    place: Workplace,
    settings: TrainingSettings,
    open_run: OpenRun,
    *,
    retrain: bool = False,
    gates: Mapping[str, Any] | None = None,
    studies: Path | None = None,
    keep: Keep | None = None,
    progress: Progress = lambda _: None,
) -> Challenger:
    """Train and register a Challenger, unless the newest one comes from the same data and code.

    Where no label is known, the newest Challenger stays: there is nothing to learn from.

    Parameters
    ----------
    place : Workplace
        What is predicted, from which features, and where the Challenger goes.
    settings : TrainingSettings
        How it is trained.
    open_run : callable
        Opens the MLflow run that it is logged in.
    retrain : bool
        Whether to train where nothing changed.
    gates : mapping of str to any, optional
        Those of the experiment that trains it, by name: it is judged by them as well, whoever
        judges it.
    studies : Path, optional
        Folder that tunings keep their trials in, so that one that was killed goes on.
    keep : callable, optional
        Compiles what was registered for servers; given, since how that is done makes no other
        model.
    progress : callable
        Is told why a model is trained again, and how far a search is.

    Raises
    ------
    TrainingError
        Where the rows cannot be trained on.
    RegistryError
        Where MLflow cannot be reached.
    """
    use_case, tables, registry = place.use_case, place.tables, place.registry
    features = tables["features"].require()
    code = model_code(use_case, settings)
    version = data_version(code, {"features": features.data_version})
    latest = latest_challenger(tables["model"], registry)
    recorded = {EXPERIMENT_GATES: json.dumps(dict(gates))} if gates else {}
    if latest and latest.committed.made_from == version and not retrain:
        if recorded:
            registry.tag(latest.row["version"], recorded)
        return latest
    labelled = labelled_rows(use_case, tables["features"], features.version, settings)
    if labelled.rows.empty and latest:
        return latest
    if labelled.rows.empty:
        raise TrainingError(
            f"{_source(place)}: no customer has a known label, and there is no model yet. Give a "
            f"source whose column '{use_case.label_contract[use_case.label.column].source}' is "
            "filled for past customers."
        )
    present = origin(use_case, settings, features.data_version)
    on_record = tables["model"].state()
    because = _because(on_record, latest, present, retrain)
    # What settings ask for in vain is no run.
    chosen(settings)
    if on_record:
        progress(f"trained again: {because}")
    with open_run() as run_id:
        # The search waits for threads that fit without Python: time for what comes after it.
        Thread(target=_import_what_follows, daemon=True).start()
        try:
            trained = training.train(
                use_case,
                labelled.rows,
                settings,
                copies=labelled.copies,
                study=_journal(studies, use_case, settings, features.data_version),
                data_version=features.data_version,
                progress=progress,
            )
        except TrainingError as error:
            raise TrainingError(f"{_source(place)}: {error}") from error.__cause__
        images = score_pictures(trained.test_labels, trained.test_scores, trained.threshold)
        with registry.refusals():
            log_training(place, features, trained, images, settings)
            log_parts(registry, run_id, use_case, trained, settings)
        tags = {
            "use_case": use_case.name,
            "recipe": trained.recipe,
            "parameters": _digest(trained.parameters),
            "inputs": _digest([use_case.numeric, use_case.categorical]),
            "threshold": repr(trained.threshold),
            "threshold_rule": trained.threshold_rule,
            "calibration": trained.calibration.summary,
            "split": features.details["split"],
            "features_version": str(features.version),
            "features_data_version": features.data_version,
            "code_version": code,
            "data_version": version,
            **recorded,
        }
        previous = registry.by_alias(CHALLENGER)
        tags["semantic_version"] = semantic_version(previous.tags if previous else {}, tags)
        registered = registry.register(
            trained.pipeline,
            run_id,
            inputs=trained.train.head(SAMPLE_ROWS),
            example=typical_row(use_case, trained.train),
            description=_description(use_case, trained, labelled),
            tags=tags,
        )
        compiled: dict[str, Any] = {}
        if keep is not None:
            compiled = {"bundle": keep(registry, registered, use_case, trained)}
        name = f"{use_case.name} version {registered.version}: {trained.recipe}, {today()}"
        show_challenger(registry, registered, previous, name)
    row = _row(registry, registered, features, trained, len(labelled.rows))
    committed = tables["model"].append(
        _frame(row, tables["model"]),
        version,
        {"features": features.version},
        origin=present,
        trained_because=because,
        **compiled,
        single_inputs={
            "roc_auc": trained.metrics["oof_roc_auc"],
            "inputs": dict(trained.telling_inputs),
        },
    )
    return Challenger(committed, row, registered.description)


def _because(
    model: Committed | None,
    latest: Challenger | None,
    present: Mapping[str, Any],
    retrain: bool,
) -> str:
    """Why a model is trained, in one line."""
    if model is None:
        return "there was no model yet"
    if latest is None:
        return "the registry's Challenger is not the one on record"
    if not model.made_from:
        return "another program committed to the model table last"
    before = model.details.get("origin", {})
    if retrain:
        return "; ".join(["asked for", *(changes(before, present) if before else [])])
    # All that is compared is alike where a library was installed or removed.
    return "; ".join(changes(before, present)) or "other libraries are installed"


def _import_what_follows() -> None:
    import skops.io  # noqa: F401


def semantic_version(previous: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Version of a recipe: major for other inputs, minor for another recipe, patch for a refit.

    Parameters
    ----------
    previous : mapping of str to str
        Tags of the newest version in the registry; none where there is none.
    tags : mapping of str to str
        Those of the version to come.

    >>> recipe = {"inputs": "a", "recipe": "blend", "parameters": "b", "code_version": "c"}
    >>> semantic_version({}, recipe)
    '1.0.0'
    >>> semantic_version({**recipe, "semantic_version": "1.2.3"}, recipe)
    '1.2.4'
    """
    numbers = previous.get("semantic_version", "").split(".")
    if len(numbers) != len(("major", "minor", "patch")) or not all(map(str.isdigit, numbers)):
        return "1.0.0"
    major, minor, patch = map(int, numbers)
    if previous.get("inputs") != tags["inputs"]:
        return f"{major + 1}.0.0"
    if any(previous.get(name) != tags[name] for name in ("recipe", "parameters", "code_version")):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def _journal(
    studies: Path | None, use_case: UseCase, settings: TrainingSettings, rows_version: str
) -> Path | None:
    """File of a search; of its own, so that what is of no use any more can be removed."""
    if studies is None:
        return None
    return studies / f"{study_name(use_case, settings, rows_version)}.journal"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _source(place: Workplace) -> str:
    """Where the records came from, for refusals."""
    raw = place.tables["raw"].state()
    return place.use_case.name if raw is None else str(raw.details.get("source_uri", raw.uri))


def latest_challenger(model: Table, registry: Registry) -> Challenger | None:
    """The newest row of the model table, if the registry's Challenger is that very version."""
    import narwhals.stable.v2 as nw

    state = model.state()
    registered = registry.by_alias(CHALLENGER) if state else None
    if state is None or registered is None:
        return None
    rows = rows_of(
        model.engine.collect(
            model.scan(state.version).filter(nw.col("run_id") == registered.run_id)
        )
    )
    return Challenger(state, rows[-1], registered.description) if rows else None


def typical_row(use_case: UseCase, train: pd.DataFrame) -> pd.DataFrame:
    """One made-up row: the median of each number, the commonest of each category."""
    row = train.head(0).reindex([0])
    for name in use_case.numeric:
        row[name] = train[name].dropna().median()
    for name in use_case.categorical:
        row[name] = next(iter(train[name].mode()), None)
    return row.astype(train.dtypes.to_dict())


def _description(use_case: UseCase, trained: Trained, labelled: Labelled) -> str:
    sample = ""
    if len(labelled.rows) < labelled.known:
        share = len(labelled.rows) / labelled.known
        sample = f" of a sample, {share:.3g} of the {labelled.known:,} with a known label"
    return (
        f"{use_case.description} This version: {trained.recipe}, fitted on "
        f"{len(trained.train):,} customers{sample}; on {len(trained.test_labels):,} test customers "
        f"ROC AUC {trained.metrics['test_roc_auc']:.3f}, F1 {trained.metrics['test_f1']:.3f} "
        f"at threshold {trained.threshold:.3f}."
    )


def _row(
    registry: Registry, registered: Version, features: Committed, trained: Trained, rows: int
) -> dict[str, Any]:
    return {
        "model_name": registry.model_name,
        "version": registered.version,
        "run_id": registered.run_id,
        "model_digest": registered.digest,
        "recipe": trained.recipe,
        "semantic_version": registered.tags["semantic_version"],
        "threshold": trained.threshold,
        "threshold_rule": trained.threshold_rule,
        "split": registered.tags["split"],
        "features_version": features.version,
        "features_data_version": features.data_version,
        "labelled_rows": rows,
        "candidates": json.dumps({name: one.loss for name, one in trained.candidates.items()}),
        "comparison": json.dumps({name: one.facts for name, one in trained.candidates.items()}),
        "complexity": trained.complexity,
        "parameters": json.dumps(dict(trained.parameters), default=str),
        "calibration": json.dumps(asdict(trained.calibration)),
        "trials": len(trained.trials),
        **trained.metrics,
        "trained_at": datetime.now(UTC),
    }


def _frame(row: Mapping[str, Any], table: Table) -> Any:
    import pyarrow as pa

    return table.engine.from_arrow(pa.Table.from_pylist([dict(row)]))
