"""Answer one call by key in this process, and say what was imported for it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import psutil

from churn_assets.serving.answering.routes import Routes
from churn_assets.serving.answering.server import Server
from churn_assets.serving.app import Application
from churn_assets.serving.plan import ServerSettings


def main(folder: str, key: str) -> None:
    """Answer, and print the names of what is loaded."""
    assert Application
    server = Server(ServerSettings(folder, ["telco_churn"], keys_file=f"{folder}/keys"))
    Routes(server, {"telco_churn": lambda _: []})
    place = server.places["telco_churn"]
    place.look()
    assert place.live is not None, place.trouble
    sent: list[Any] = []
    body = json.dumps({"customers": [{"key": {"customer_id": key}}], "reasons": 3}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/telco_churn/predict",
        "headers": [],
        "server": ("127.0.0.1", 8000),
    }
    asyncio.run(server.answer(scope, receive, send))
    names = list(sys.modules)
    print(
        json.dumps(
            {
                "status": sent[0]["status"],
                "modules": sorted({name.partition(".")[0] for name in names}),
                "ours": sorted(name for name in names if name.startswith("churn_assets.")),
                "megabytes": psutil.Process().memory_info().rss / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
