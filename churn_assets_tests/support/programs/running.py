"""Runs use cases one after another in a process of its own, and their tests before.

`python -m ...running NAME...` runs `churn run` for each, and prints as
its last line the outcome, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import polars as pl
import pytest

from churn_assets.cli.app import app
from churn_assets.definitions import defs
from churn_assets.settings import load_settings

RETRAINED = "not taken_away or numeric or two_keys"
"""Of the tests that train twice, those of some use cases are enough."""


def main(*names: str) -> None:
    settings = load_settings()
    files = [f"churn_assets_tests/usecases/test_{name}.py" for name in names]
    tests = pytest.main(["-q", "-p", "no:cacheprovider", "-k", RETRAINED, *files])
    runs = {name: _run(name, f"{settings.lake_uri}/{name}") for name in names}
    nodes = defs().resolve_asset_graph().asset_nodes
    groups = {"/".join(node.key.path): node.group_name for node in nodes}
    print(json.dumps({"tests": int(tests), "runs": runs, "groups": groups}))


def _run(name: str, lake: str) -> dict[str, Any]:
    start = time.monotonic()
    status = app(["run", "--use-case", name], standalone_mode=False)
    seconds = time.monotonic() - start
    if status:
        return {"status": status, "seconds": seconds}
    (model,) = pl.read_delta(f"{lake}/model").to_dicts()
    return {
        "status": 0,
        "seconds": seconds,
        "predicted": pl.read_delta(f"{lake}/predictions").height,
        "champion": pl.read_delta(f"{lake}/champion")["version"].to_list(),
        "scores": {k.removeprefix("test_"): v for k, v in model.items() if k.startswith("test_")},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
