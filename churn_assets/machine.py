"""What the package asks of the machine: which one it is, who is at work, whose the files are."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

MACHINE = "churn/machine"
"""The tag of a run that says where its process is."""
_OWNER_ALONE = 0o077
"""What a new file or folder does not let anybody else do."""
_CLOCK_SECONDS = 10
"""How much later than it said so a process may seem to have started: clocks are put right."""


def keep_private(folder: Path) -> None:
    """Let this process, and all that it starts, make files for their owner alone.

    Parameters
    ----------
    folder : Path
        Of everything local; it is closed to others where it is there already.
    """
    os.umask(_OWNER_ALONE)
    # Where it is not there yet, or is somebody else's, what is written there says so.
    with suppress(OSError):
        held = folder.stat()
        # What everybody may write to, such as /tmp, is not ours to close.
        if held.st_uid == os.getuid() and not held.st_mode & stat.S_ISVTX:
            folder.chmod(stat.S_IMODE(held.st_mode) & ~_OWNER_ALONE)


def this_machine() -> str:
    """Name of the host, its start, and the container: process ids mean nothing outside of them.

    >>> len(this_machine().split())
    3
    """
    boot, container = "-", "-"
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        container = str(Path("/proc/self/ns/pid").stat().st_ino)
    return f"{socket.gethostname()} {boot} {container}"


def is_running(pid: int, since: float) -> bool:
    """Whether a process is there that had this id at a moment, and no later one.

    Parameters
    ----------
    pid : int
        Id of the process.
    since : float
        A moment at which it ran, in seconds since 1970.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        booted = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except OSError:
        return not Path("/proc/self/stat").exists() and _answers(pid)
    state, started = fields[0], booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    # One that was killed stays in the list until the process that started it has heard of it.
    return state not in "ZX" and started <= since + _CLOCK_SECONDS


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
