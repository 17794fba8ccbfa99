"""Small disks, which can be full or read-only, and what bad ones do to files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A small disk of its own, which can be full or read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """While the block runs."""
        _mount("-o", "remount,ro", str(self.folder))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.folder))

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        """While the block runs, but for so many bytes."""
        filling = self.folder / "filling"
        disk = os.statvfs(self.folder)
        try:
            with filling.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_bsize - left)
            yield
        finally:
            filling.unlink()


def _mount(*arguments: str) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    command = [*sudo, "mount", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"needs a disk of its own: {' '.join(command)} failed: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk at a folder, while the block runs."""
    _mount("-t", "tmpfs", "-o", f"size=48m,mode=0700,uid={os.getuid()}", "tmpfs", str(folder))
    yield Disk(folder)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "umount", "--lazy", str(folder)], check=True, timeout=30)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
