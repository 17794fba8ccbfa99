"""A process beside the workers that finds what is to be served, and puts it where they find it.

It alone reads the records of champion and traffic, the registry and the lake, and knows the
settings: a worker knows what the loader tells it, and serves on when there is nothing new to tell.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec

from churn_assets.errors import ChurnError, TableError, first_line, public_text
from churn_assets.serving.plan import (
    PLAN,
    RELOAD,
    Plan,
    ServedModel,
    ServerSettings,
    read_plan,
    write_plan,
)
from churn_assets.serving.traffic.standing import Rollout
from churn_assets.settings import Settings, declared_use_cases, load_settings

if TYPE_CHECKING:
    from churn_assets.learning.judging.record import Promotion
    from churn_assets.learning.registry import Registry
    from churn_assets.serving.online_features.folder import Current
    from churn_assets.serving.traffic.watch import Watch
    from churn_assets.tables.lake import Lake
    from churn_assets.usecases.spec import UseCase

_SEGMENT_SHARE = 0.4
"""Of the time that an answer may take to its table: until its segment is closed."""
_GRACE_SECONDS, _UPKEEP_SECONDS, _VACUUM_HOURS = 20.0, 600.0, 24
"""For workers that end; between two compactions; how old a file is that is removed."""
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 4.0
"""Between two looks, with jitter, so that many servers do not ask at once."""
_LOOK = 0.1


def server_settings(settings: Settings) -> ServerSettings:
    """What the workers are told of the settings.

    Parameters
    ----------
    settings : Settings
        Of this deployment.
    """
    serving = settings.serving
    same = serving.model_dump(include={*ServerSettings.__struct_fields__})
    return ServerSettings(
        **{
            **same,
            "folder": str(settings.servers_folder),
            "use_cases": list(declared_use_cases(settings)),
            "keys_file": str(settings.keys_file),
            # The rest is the flusher's, which looks twice within it.
            "log_seconds": serving.log_seconds * _SEGMENT_SHARE,
        }
    )


def lake_of(settings: Settings) -> Lake:
    """The tables, read in this process whatever engine makes them."""
    from churn_assets.learning.workplace import model_tables, served_tables
    from churn_assets.tables.engines.polars_engine import PolarsEngine
    from churn_assets.tables.lake import Lake, record_tables

    return Lake(
        settings.lake_uri,
        PolarsEngine(),
        settings.lake_options,
        (record_tables, model_tables, served_tables),
        settings.table_names,
    )


def registry_of(settings: Settings, use_case: UseCase) -> Registry:
    """A use case's registered models."""
    from churn_assets.learning.recipe import trusted_packages
    from churn_assets.learning.registry import Registry

    return Registry(
        settings.tracking_uri,
        settings.model_name(use_case.name),
        settings.artifacts,
        settings.mlflow.registry_uri,
        settings.experiment_name(use_case.name),
        tuple(trusted_packages(settings.training)),
    )


def rollout_of(settings: Settings) -> Rollout:
    """How a new Champion takes over."""
    serving = settings.serving
    return Rollout(serving.rollout == "ramp", serving.steps, serving.step_seconds)


@dataclass
class Loader:
    """What is to be served of one use case, looked up again and again.

    Parameters
    ----------
    use_case : UseCase
        Which.
    settings : Settings
        Of this deployment.
    folder : Path
        What a server keeps of the use case.
    """

    use_case: UseCase
    settings: Settings
    folder: Path
    _verified: str = ""

    @cached_property
    def watch(self) -> Watch:
        """The guard, which looks at the records first."""
        from churn_assets.serving.traffic.evidence import RequestsEvidence
        from churn_assets.serving.traffic.guard import Rules
        from churn_assets.serving.traffic.watch import Watch

        tables, guard = lake_of(self.settings).of(self.use_case), self.settings.serving.guard
        return Watch(
            tables,
            RequestsEvidence(tables, self.use_case.keys),
            Rules(guard.alpha, guard.latency_ms, guard.margins),
            rollout_of(self.settings),
        )

    def __post_init__(self) -> None:
        # What an earlier process found is served until this one has looked.
        self.plan = read_plan(self.folder / PLAN) or Plan()

    def look(self) -> Plan:
        """Look once, and tell the workers what is new; what cannot be read leaves what is served.

        Raises
        ------
        OSError
            Where the workers cannot be told.
        """
        now = time.time()
        try:
            plan = self._found(now)
        except Exception as error:
            # Whatever keeps the loader from looking, the workers serve on and say since when.
            since = self.plan.trouble_since or now
            plan = msgspec.structs.replace(
                self.plan, trouble=_line(error), trouble_since=since, checked_at=now
            )
        write_plan(self.folder / PLAN, plan)
        self.plan = plan
        return plan

    def _found(self, now: float) -> Plan:
        stands = self.watch.look().standing
        if stands is None:
            if self.plan.champion is not None:
                raise TableError(
                    f"{self.watch.tables['champion'].uri}: no Champion is on record any more; the "
                    f"last one answers on. Restore the lake; or stop the server, and remove "
                    f"{self.folder / PLAN}."
                )
            return Plan(checked_at=now)
        traffic = stands.traffic
        snapshot = self._snapshot()
        on_record = {one.version: one for one in (stands.rest, stands.on_record)}
        run_id = None if stands.change is None else stands.change.run_id
        other = traffic.challenger
        return Plan(
            champion=self._model(traffic.champion, stands.rest.run_id, on_record),
            other=None if other is None else self._model(other, run_id, on_record),
            traffic=msgspec.to_builtins(traffic),
            snapshot=None if snapshot is None else str(self.folder / "features" / snapshot.file),
            snapshot_at=0.0 if snapshot is None else snapshot.current_at,
            checked_at=now,
        )

    def _model(
        self, number: int, run_id: str | None, on_record: Mapping[int, Promotion]
    ) -> ServedModel:
        """A version's bundle on this machine; the record of promotions beats the registry's tag."""
        from churn_assets.learning.compiling.keep import bundle_of

        record = on_record.get(number)
        digest = None if record is None else record.bundle_digest
        for known in (self.plan.champion, self.plan.other):
            if known is not None and known.version == number and known.digest == digest:
                # Nothing of a version ever changes.
                return known
        registry = registry_of(self.settings, self.use_case)
        version = registry.by_number(number, run_id or "")
        folder = bundle_of(registry, version, self.use_case, self.folder / "bundles")
        return ServedModel(number, str(folder), digest)

    def _snapshot(self) -> Current | None:
        from churn_assets.serving.answering.snapshot import verify
        from churn_assets.serving.online_features.folder import read_current
        from churn_assets.serving.online_features.remote import fetch_snapshot

        folder = self.folder / "features"
        uri = self.settings.features_address(self.use_case.name)
        if uri is not None:
            fetch_snapshot(uri, folder, self.settings.lake_options)
        current = read_current(folder)
        if current is not None and current.file != self._verified:
            verify(folder / current.file)
            self._verified = current.file
        return current

    def flusher(self) -> subprocess.Popen[Any]:
        """Start what commits the log of the workers."""
        from churn_assets.serving.inference_log.flusher import start
        from churn_assets.serving.inference_log.requests_table import RequestsTable
        from churn_assets.serving.inference_log.upkeep import Upkeep

        serving = self.settings.serving
        uri = self.watch.tables["requests"].uri
        table = RequestsTable(uri, self.use_case.keys, self.settings.lake_options)
        return start(
            self.folder / "log",
            table,
            every_seconds=serving.log_seconds * (1 - _SEGMENT_SHARE) / 2,
            grace_seconds=_GRACE_SECONDS,
            upkeep=Upkeep(table, _UPKEEP_SECONDS, serving.log_keep_days, _VACUUM_HOURS),
        )


def _line(error: Exception) -> str:
    """Why a look failed, in a line without a credential."""
    return str(error) if isinstance(error, ChurnError) else public_text(first_line(error))


@dataclass
class Stop:
    """Whether the process was asked to end."""

    asked: bool = False

    def ask(self, _signal: int, _frame: FrameType | None) -> None:
        """What a signal does."""
        self.asked = True


def run(settings: Settings, stop: Stop) -> None:
    """Look until asked to stop.

    Parameters
    ----------
    settings : Settings
        Of this deployment.
    stop : Stop
        Ends it.
    """
    told = server_settings(settings)
    loaders = {
        name: Loader(case, settings, told.use_case_folder(name))
        for name, case in declared_use_cases(settings).items()
    }
    reload = Path(told.folder, RELOAD)
    parent, flushers = os.getppid(), dict[str, subprocess.Popen[Any]]()
    while not stop.asked and os.getppid() == parent:
        for name, loader in loaders.items():
            is_served = loader.look().champion is not None
            if is_served and (name not in flushers or flushers[name].poll() is not None):
                flushers[name] = loader.flusher()
        until = time.monotonic() + random.uniform(_LEAST_SECONDS, _MOST_SECONDS)
        while time.monotonic() < until and not stop.asked and os.getppid() == parent:
            if reload.exists():
                reload.unlink(missing_ok=True)
                break
            time.sleep(_LOOK)
    # The workers have ended: what they logged is committed before this process is gone.
    for flusher in flushers.values():
        flusher.terminate()
    for flusher in flushers.values():
        flusher.wait()


def _alone(folder: Path, stop: Stop) -> Any:
    """Wait until no other loader of this folder lives; the lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "loader.lock").open("w")
    parent = os.getppid()
    while not stop.asked and os.getppid() == parent:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK)
        else:
            break
    return lock


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Tell whoever started this process what the settings are, then look for what is served."""
    stop = Stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop.ask)
    try:
        settings = load_settings()
        told = server_settings(settings)
    except ChurnError as error:
        print(f"churn: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(told).decode(), flush=True)
    lock = _alone(Path(told.folder), stop)
    run(settings, stop)
    lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
