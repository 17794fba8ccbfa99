"""Who answers a running server's customers: shadow, canary, and back."""

from __future__ import annotations

import time
from collections.abc import Callable

import polars as pl

from churn_assets_tests.support.project import Project
from churn_assets_tests.support.serving.running import Serving, serving

ADMIN = "/v1/admin/telco_churn/traffic"
CALLS = 400
WAIT_SECONDS = 90


def wait(ready: Callable[[], bool], server: Serving) -> None:
    """Wait until a server has seen a change."""
    until = time.monotonic() + WAIT_SECONDS
    while not ready():
        assert time.monotonic() < until, server.ask("/v1/admin/loaded").body
        time.sleep(0.2)


def test_a_shadow_and_a_canary_are_answered_as_they_are_on_record(copied_scored: Project) -> None:
    # A Challenger that no gate lets pass takes part all the same, where a person says so.
    run = copied_scored.run(retrain=True, tables="model")
    assert run.success, run.error
    keys = copied_scored.rows("predictions")["customer_id"].sort().to_list()[:CALLS]

    with serving(copied_scored.folder / ".churn") as server:

        def kind() -> str:
            return str(server.ask(ADMIN).json["traffic"]["kind"])

        def answered() -> pl.DataFrame:
            calls = [{"key": {"customer_id": key}} for key in keys]
            return pl.DataFrame(server.predict(*calls).json["predictions"])

        assert server.ask(ADMIN, {"kind": "canary", "why": "no share"}).status == 409
        shadowed = server.ask(ADMIN, {"kind": "shadow", "why": "a first look"})
        assert shadowed.status == 200, shadowed.body
        wait(lambda: kind() == "shadow", server)
        assert set(answered()["model_version"]) == {1}

        call = {"kind": "canary", "share": 0.25, "why": "a quarter"}
        assert server.ask(ADMIN, call).status == 200
        wait(lambda: kind() == "canary", server)
        first, second = answered(), answered()
        share = (first["variant"] == "challenger").mean()
        assert isinstance(share, float)
        assert 0.15 < share < 0.35
        assert first["variant"].equals(second["variant"])
        assert set(first.filter(pl.col("variant") == "challenger")["model_version"]) == {2}

        assert server.ask(ADMIN, {"kind": "champion", "why": "seen"}).status == 200
        wait(lambda: kind() == "champion", server)
        assert set(answered()["model_version"]) == {1}

    logged = copied_scored.rows("requests")
    shadow = logged.filter(pl.col("shadow"))
    assert set(shadow["model_version"]) == {2}
    assert len(shadow) == CALLS
    recorded = copied_scored.rows("traffic").sort("change")
    assert recorded["kind"].to_list() == ["shadow", "canary", "champion"]
    assert recorded["why"].to_list() == ["a first look", "a quarter", "seen"]
