"""Whether the registry holds what is on record, and the alias follows it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from churn_assets.errors import ChurnError, RegistryError
from churn_assets.learning.health.fault import Fault
from churn_assets.learning.health.files import database_fault, opened_to_read
from churn_assets.learning.judging.record import Promotion, align, history, is_champion
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry
from churn_assets.learning.storing.place import database_of
from churn_assets.learning.workplace import Workplace

_START_OVER = (
    "Restore it from a backup; or move it away with the use case's model and champion tables, and "
    "`churn run` starts over."
)


def registry_faults(place: Workplace) -> Iterator[Fault]:
    """What is wrong with the models of a use case; nothing is changed by looking."""
    registry = place.registry
    records = _records(place)
    broken = _database_fault(registry, bool(records))
    if broken:
        yield Fault("registry", broken, _START_OVER)
        return
    if not records and _is_empty(registry):
        return
    try:
        yield from _version_faults(registry, records)
        yield from _alias_faults(place, records)
    except RegistryError as error:
        yield Fault("registry", str(error))


def database(registry: Registry) -> Path | None:
    """The file of a registry that SQLite keeps; None for any other."""
    return database_of(registry.registry_uri or registry.tracking_uri)


def _records(place: Workplace) -> list[Promotion]:
    try:
        return history(place.tables["champion"])
    except Exception:
        # That the record cannot be read is told of its table.
        return []


def _database_fault(registry: Registry, is_needed: bool) -> str:
    file = database(registry)
    if file is None:
        return ""
    if not file.exists():
        return f"{file} is missing" if is_needed else ""
    fault = database_fault(file)
    if fault:
        return f"{file} is damaged: {fault}"
    if is_needed and _is_empty(registry):
        return f"{file} holds no models"
    return ""


def _is_empty(registry: Registry) -> bool:
    """Whether there is no registry yet, which only looking through MLflow would make."""
    file = database(registry)
    if file is None:
        return False
    if not file.exists():
        return True
    with opened_to_read(file) as held:
        try:
            query = "SELECT count(*) FROM registered_models WHERE name = ?"
            (models,) = held.execute(query, [registry.model_name]).fetchone()
        except sqlite3.OperationalError:
            return True
    return bool(models == 0)


def _version_faults(registry: Registry, records: list[Promotion]) -> Iterator[Fault]:
    """Of each version that was Champion, and of the Challenger: is it there, and whole?"""
    needed = {record.version: (record.run_id, record.model_digest) for record in records}
    challenger = registry.by_alias(CHALLENGER)
    if challenger is not None:
        needed.setdefault(challenger.version, (challenger.run_id, None))
    for version, (run_id, digest) in sorted(needed.items()):
        try:
            held = registry.by_number(version, run_id)
            registry.load(version, digest)
        except RegistryError as error:
            yield Fault("registry", str(error))
            continue
        if held.digest is None:
            yield Fault(
                "registry",
                f"no digest is kept of version {version}, so its files could be changed unseen",
                "`churn doctor --repair` keeps that of the files as they are now.",
                partial(_seal, registry, version),
            )
        state = _run_state(registry, run_id)
        if state != "active":
            todo = "Restore MLflow's database" if state == "gone" else "`mlflow runs restore` it"
            yield Fault(
                "registry",
                f"the MLflow run {run_id} of version {version} is {state}",
                f"{todo}, or train another by `churn run --retrain`; the model itself is whole.",
            )


def _seal(registry: Registry, version: int) -> str:
    return f"the digest of version {version} is kept: {registry.seal(version)}"


def _run_state(registry: Registry, run_id: str) -> str:
    """Whether an MLflow run is `active`, `deleted` or, as after `mlflow gc`, `gone`."""
    from mlflow.exceptions import MlflowException

    client = registry.client
    with registry.refusals():
        try:
            return str(client.get_run(run_id).info.lifecycle_stage)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return "gone"


def _alias_faults(place: Workplace, records: list[Promotion]) -> Iterator[Fault]:
    """Whether the alias names the Champion on record; one that is on none is left alone."""
    if not records:
        return
    named, record = place.registry.by_alias(CHAMPION), records[-1]
    if is_champion(named, record):
        return
    try:
        place.registry.by_number(record.version, record.run_id)
    except ChurnError:
        # There is nothing that it could be put right to, and that was told.
        return
    points = "is missing" if named is None else f"names version {named.version}"

    def mend() -> str:
        aligned = align(place.tables["champion"], place.registry)
        assert aligned is not None
        return f"the alias champion names version {aligned.version} again, as is on record"

    yield Fault(
        "registry",
        f"the alias champion of {place.registry.model_name} {points}, and version "
        f"{record.version} is Champion on record",
        "`churn doctor --repair` puts it right; so does `churn run`.",
        mend,
    )
