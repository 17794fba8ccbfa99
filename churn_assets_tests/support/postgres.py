"""A PostgreSQL server that runs beside the tests, and is gone after them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from churn_assets_tests.support.processes import HOST, background, free_ports

OWNER, READER, PASSWORD = "crm_owner", "crm_reader", "pa55/w?rd"
_DATABASE = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
# Nothing that is worth to be kept.
_FAST = ("-F", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "wal_level=minimal")
_NO_REPLICAS = ("-c", "max_wal_senders=0", "-c", "unix_socket_directories=")


@dataclass(frozen=True)
class Postgres:
    """A running server, with a user who owns everything and one who may read what is granted."""

    port: int

    def uri(
        self,
        user: str = READER,
        password: str = PASSWORD,
        database: str = _DATABASE,
        options: str = "",
    ) -> str:
        """Address of a database."""
        login = f"{user}:{quote(password, safe='')}"
        return f"postgresql://{login}@{HOST}:{self.port}/{database}{options}"

    def run(self, *statements: str, database: str = _DATABASE) -> None:
        """Run statements as the owner of everything."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.uri(OWNER, database=database), autocommit=True) as connection:
            for statement in statements:
                with connection.execute(statement):
                    pass

    def load(self, table: str, rows: Any) -> None:
        """Make a table of Arrow rows that everyone may read, in place of what there was."""
        from adbc_driver_postgresql import dbapi

        with (
            dbapi.connect(self.uri(OWNER)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.adbc_ingest(table, pa.table(rows), mode="replace")
            connection.commit()
        self.run(f'GRANT SELECT ON "{table}" TO {READER}')


def programs() -> Path | None:
    """Folder of the server's programs, if they are installed."""
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).resolve().parent
    installed = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    return max(installed, key=lambda folder: float(folder.parent.name), default=None)


@contextmanager
def postgres_server(folder_of_programs: Path, log: Path) -> Iterator[Postgres]:
    """Run a server on a folder of its own in the block."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="churn-postgres-") as folder:
        secret, data = Path(folder) / "password", Path(folder) / "data"
        secret.write_text(PASSWORD)
        as_user = _as_user(Path(folder), secret)
        command = [
            *(*as_user, str(folder_of_programs / "initdb"), "--pgdata", str(data), "--no-sync"),
            *("--username", OWNER, "--pwfile", str(secret), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C"),
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        server = [str(folder_of_programs / "postgres"), "-D", str(data), "-p", str(port)]
        command = [*as_user, *server, "-h", HOST, *_FAST, *_NO_REPLICAS]
        ready = [str(folder_of_programs / "pg_isready"), "-h", HOST, "-p", str(port)]
        with background(command, {}, log, Path(folder)) as running:
            running.wait_until(
                lambda: (
                    subprocess.run(
                        ready, check=False, timeout=30, stdout=subprocess.DEVNULL
                    ).returncode
                    == 0
                ),
                60,
                "ready",
            )
            postgres = Postgres(port)
            postgres.run(f"CREATE USER {READER} PASSWORD '{PASSWORD}'")
            yield postgres


def _as_user(*paths: Path) -> list[str]:
    """What starts a program of the server: it refuses to be run by root."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "needs setpriv, of util-linux"
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
