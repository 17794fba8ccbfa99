"""A running server, and what asks it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn_assets_tests.support.processes import HOST, Background, background, free_ports
from churn_assets_tests.support.project import Project

START_SECONDS = 120
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answered:
    """An answer of a server."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def faults(self) -> dict[str, str]:
        """The rules that were broken, by where."""
        return {fault["field"]: fault["rule"] for fault in self.json["faults"]}


@dataclass(frozen=True)
class Serving:
    """A server that runs.

    Parameters
    ----------
    address : str
        Where.
    process : Background
        What runs.
    folder : Path
        Of all that servers keep.
    """

    address: str
    process: Background
    folder: Path

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = JSON,
    ) -> Answered:
        """Ask; a body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=data, headers=dict(headers), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answered(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.read(), dict(error.headers))

    def predict(self, *customers: Mapping[str, Any], **more: Any) -> Answered:
        """Ask about customers of the Telco use case."""
        return self.ask("/v1/telco_churn/predict", {"customers": list(customers), **more})

    def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            return self.ask("/readyz").status == 200
        except OSError:
            return False


def scored_once(project: Project) -> Project:
    """The project, whose Champion has scored everyone, and whose servers know all customers."""
    for run in (
        project.run(project.write()),
        project.run(tables="predictions scores online_features"),
    ):
        assert run.success, run.error
    return project


@contextmanager
def serving(root: Path, **settings: str) -> Iterator[Serving]:
    """A server on what lies below a root, stopped after the block."""
    (port,) = free_ports(1)
    environ = {
        "CHURN_ROOT": str(root),
        "CHURN_USE_CASES": '{"booking_cancellation": false}',
        **{f"CHURN_SERVING__{name.upper()}": value for name, value in settings.items()},
    }
    log = root.parent / f"server-{port}.log"
    command = ["churn", "serve", "--port", str(port)]
    with background(command, environ, log) as process:
        server = Serving(f"http://{HOST}:{port}", process, root / "serving")
        process.wait_until(server.is_ready, START_SECONDS, "ready")
        yield server
