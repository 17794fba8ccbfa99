"""`churn dev`: Dagster's own UI and daemon, with what they say on one screen.

This process becomes Dagster, so that signals and its exit status are Dagster's. What Dagster
prints goes to a file, by a small process beside it that shows the address once it answers, and a
line of what goes wrong.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOGGED = re.compile(r"^\S+ \S+ \S+ - \S+ - (?P<level>[A-Z]+) - (?P<message>.+)")
_SHOWN = ("WARNING", "ERROR", "CRITICAL")
_OF_A_NEW_HISTORY = "No cursor for event type"
_ERROR = re.compile(r"^(?:[\w.]*\.)?(?P<kind>\w*(?:Error|Failure|Exception))\b:? ?(?P<message>.*)")
_NOT_LOADED = re.compile(r"Error loading (?:repository|code) location .*")
_LONGEST = 300
_LOG = "dev.log"


def become_dagster(host: str, port: int, environment: Mapping[str, str]) -> None:
    """Open the UI in place of this process, where the port is free.

    Parameters
    ----------
    host, port
        Where the UI is to answer.
    environment : mapping of str to str
        Of Dagster's processes, with DAGSTER_HOME.

    Raises
    ------
    SettingsError
        Where somebody answers there already.
    """
    from churn_assets.cli.words import command
    from churn_assets.errors import SettingsError
    from churn_assets.settings import project_folder

    fault = _fault_of(host, port)
    if fault:
        raise SettingsError(
            f"{host}:{port}: {fault}. Stop what listens there, or open the UI elsewhere: "
            f"`{command(f'dev --port {port + 1}')}`."
        )
    log = Path(environment["DAGSTER_HOME"], _LOG)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "churn_assets.cli.dev", host, str(port), str(log)],
        stdin=subprocess.PIPE,
        cwd=project_folder(),
    )
    assert watcher.stdin is not None
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(watcher.stdin.fileno(), stream.fileno())
    os.chdir(project_folder())
    dagster = Path(sys.executable).with_name("dagster")
    workspace = project_folder() / "workspace.yaml"
    arguments = ["dev", "-w", str(workspace), "-p", str(port), "-h", host]
    os.execve(dagster, [str(dagster), *arguments], dict(environment))


def watch(host: str, port: int, log: Path) -> None:
    """Keep what comes on stdin in a file, and show what its reader must know."""
    # Dagster ends by them, and this when Dagster has.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    print("Opening the Dagster UI, which takes about half a minute ...", flush=True)
    is_open = threading.Event()
    threading.Thread(target=_announce, args=(address, log, is_open), daemon=True).start()
    last, shown = "", ""
    with log.open("w", encoding="utf-8") as kept:
        for line in sys.stdin:
            kept.write(line)
            kept.flush()
            text = _COLOUR.sub("", line).rstrip()
            last = _fault(text) or last
            now = _worth_showing(text)
            if now and now != shown:
                shown = now
                print(now[:_LONGEST], flush=True)
    if not is_open.is_set() and last and last != shown:
        print(f"churn: the UI did not open: {last[:_LONGEST]} All of it: {log}", file=sys.stderr)


def _announce(address: str, log: Path, is_open: threading.Event) -> None:
    """Say where the UI is, once it answers."""
    started = time.monotonic()
    while not _answers(address):
        time.sleep(_LOOK_SECONDS)
    is_open.set()
    seconds = time.monotonic() - started
    print(f"What it logs: {log}\nDagster UI, after {seconds:.0f} s: {address}", flush=True)


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/server_info", timeout=_ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (URLError, OSError, ValueError):
        return False


def _worth_showing(text: str) -> str:
    """One line of what goes wrong; empty for what does not."""
    failed = _NOT_LOADED.search(text)
    if failed:
        return f"✗ {failed[0]}"
    logged = _LOGGED.match(text)
    if logged is None or logged["level"] not in _SHOWN:
        return ""
    message = logged["message"]
    return "" if message.startswith(_OF_A_NEW_HISTORY) else f"! {message}"


def _fault(text: str) -> str:
    error = _ERROR.match(text)
    return f"{error['kind']}: {error['message']}".rstrip(": ") + "." if error else ""


def _fault_of(host: str, port: int) -> str:
    """What keeps a server from listening at an address; empty where nothing does."""
    try:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except OverflowError:
        return "there is no such port"
    return ""


if __name__ == "__main__":
    watch(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
