"""What a person sees of the Dagster UI's processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from churn_assets_tests.support.processes import HOST, free_ports

LOGGED = """\
/x/core.py:911: SupersessionWarning: Function `dev_command` is superseded.
\x1b[32m2026-11-30 08:43:02 +0000\x1b[0m - dagster - \x1b[34mINFO\x1b[0m - Launching services
\x1b[32m2026-11-30 08:43:02 +0000\x1b[0m - dagster - \x1b[31mERROR\x1b[0m - something broke
Traceback (most recent call last):
  File "x.py", line 1, in <module>
OSError: [Errno 98] address already in use
"""


def test_what_goes_wrong_is_a_line_and_all_of_it_is_in_a_file(tmp_path: Path) -> None:
    (port,), log = free_ports(1), tmp_path / "dev.log"

    ended = subprocess.run(
        [sys.executable, "-m", "churn_assets.cli.dev", HOST, str(port), str(log)],
        input=LOGGED,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.splitlines()[1:] == ["! something broke"]
    assert ended.stderr == (
        "churn: the UI did not open: OSError: [Errno 98] address already in use. "
        f"All of it: {log}\n"
    )
    assert log.read_text() == LOGGED
