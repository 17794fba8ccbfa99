"""What a deployment prints and keeps, read byte by byte: no credential, and nothing for others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_assets_tests.support.processes import churn
from churn_assets_tests.support.project import ONLY_TELCO

pytestmark = [pytest.mark.slow]

SECRET = "S3CR3Tword"
SOURCE, LAKE = "CHURN_SOURCES__TELCO_CHURN__URI", "CHURN_LAKE"
TRACKING = "CHURN_MLFLOW__TRACKING_URI"


@pytest.fixture(autouse=True)
def others_may_read() -> Iterator[None]:
    """As a user's shell has it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("variable", "uri", "command"),
    [
        (SOURCE, f"postgresql://me:{SECRET}/{SECRET}@127.0.0.1:1/crm", "run"),
        (SOURCE, f"https://me:{SECRET}/{SECRET}@127.0.0.1:1/x.csv?sig={SECRET}#{SECRET}", "run"),
        (SOURCE, f"me:{SECRET}@127.0.0.1/x.csv", "run"),
        (SOURCE, f"redis://:{SECRET}@127.0.0.1/{SECRET}", "run"),
        (LAKE, f"s3://me:{SECRET}@127.0.0.1:1/lake", "run"),
        (LAKE, f"https://127.0.0.1:1/lake?sig={SECRET}", "run"),
        (LAKE, f"nowhere://me:{SECRET}@127.0.0.1/{SECRET}", "run"),
        (TRACKING, f"http://me:{SECRET}@127.0.0.1:1", "promote"),
        (TRACKING, f"postgresql://me:{SECRET}/{SECRET}@127.0.0.1:1/mlflow", "promote"),
        (TRACKING, f"nowhere://me:{SECRET}@127.0.0.1/{SECRET}", "status"),
    ],
)
def test_no_credential_is_printed_or_kept_and_no_file_is_for_others(
    tmp_path: Path, variable: str, uri: str, command: str
) -> None:
    root = tmp_path / "root"
    environ = {
        "CHURN_ROOT": str(root),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        variable: uri,
        **ONLY_TELCO,
    }

    done = churn(command, environ=environ)

    files = [path for path in root.rglob("*") if path.is_file()]
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [root, *root.rglob("*")]} == {0}
