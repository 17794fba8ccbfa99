"""What a worker is told to serve: small files that the loader replaces, and the worker rereads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

PLAN = "plan.json"
"""File that says what is to be served of a use case."""
RELOAD = "reload"
"""File that asks for a look at once."""


class ServedModel(msgspec.Struct, frozen=True):
    """A model that takes part.

    Parameters
    ----------
    version : int
        In the registry.
    bundle : str
        Folder of its bundle, which is on this machine.
    digest : str or None
        What the bundle must have.
    """

    version: int
    bundle: str
    digest: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is served of a use case.

    Parameters
    ----------
    champion : ServedModel or None
        The Champion on record; None where nobody was promoted yet.
    other : ServedModel or None
        Who takes part beside it, by the record of traffic.
    traffic : mapping or None
        The record of traffic that is in force, as its table has it.
    snapshot : str or None
        File of the features by key.
    snapshot_at : float
        When they were last known to be of the newest features, in seconds since 1970.
    checked_at : float
        When registry and lake were last read, in seconds since 1970.
    trouble : str or None
        Why they cannot be read now, in a line.
    trouble_since : float or None
        Since when.
    """

    champion: ServedModel | None = None
    other: ServedModel | None = None
    traffic: dict[str, Any] | None = None
    snapshot: str | None = None
    snapshot_at: float = 0.0
    checked_at: float = 0.0
    trouble: str | None = None
    trouble_since: float | None = None


class ServerSettings(msgspec.Struct, frozen=True):
    """What a worker is configured by; the loader reads it from the settings.

    Parameters
    ----------
    folder : str
        Of all that a server keeps; below it one for each use case.
    use_cases : list of str
        Which are served.
    default_use_case : str or None
        What the routes speak for that name none; by default the only one with a Champion.
    authentication : {"auto", "always", "never"}
        Where API keys are asked for.
    keys_file : str
        The keys.
    protect_invocations : bool
        Whether `/invocations` asks for a key as the other routes do.
    body_bytes, rows, seconds, concurrent, per_second
        As `Limits` has them.
    features_hours : float
        Age from which features by key are too old.
    log_seconds : float
        After which a segment of the log is closed.
    log_sync_ms : int
        What power loss costs at most.
    log_full : {"refuse", "answer"}
        What follows where the disk is full.
    tls_certificate : str, optional
        File, where the server itself speaks TLS.
    origins : list of str
        Of other sites whose pages may ask from a browser.
    """

    folder: str
    use_cases: list[str]
    default_use_case: str | None = None
    authentication: str = "auto"
    keys_file: str = ""
    protect_invocations: bool = True
    body_bytes: int = 10_000_000
    rows: int = 1_000
    seconds: float = 30.0
    concurrent: int = 256
    per_second: float = 2_000.0
    features_hours: float = 48.0
    log_seconds: float = 4.0
    log_sync_ms: int = 100
    log_full: Literal["refuse", "answer"] = "refuse"
    tls_certificate: str | None = None
    origins: list[str] = []

    def use_case_folder(self, use_case: str) -> Path:
        """Where a server keeps what is of one use case."""
        return Path(self.folder, use_case)

    def log_folder(self, use_case: str) -> Path:
        """Where answers are logged."""
        return self.use_case_folder(use_case) / "log"

    def plan_file(self, use_case: str) -> Path:
        """What is to be served of a use case."""
        return self.use_case_folder(use_case) / PLAN


def read_plan(file: Path) -> Plan | None:
    """What is to be served; None where nobody has said so yet, or not in words of this version."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_plan(file: Path, plan: Plan) -> None:
    """Replace what is to be served, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(plan))
    beside.replace(file)
