"""`/docs`: what can be asked, as people read it, made from the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from churn_assets.pages.html import render
from churn_assets.serving.answering.protocols.openapi import document
from churn_assets.serving.answering.server import Answer, Call, Route, Server, as_json, page


def add_guide(server: Server) -> None:
    """Let a server tell what can be asked of it."""

    async def openapi(call: Call) -> Answer:
        return Answer(as_json(document(server)))

    async def docs(call: Call) -> Answer:
        described = document(server)
        return page(
            render(
                "serving/people/guide.html",
                version=described["info"]["version"],
                operations=list(_operations(described)),
            )
        )

    server.add("GET", "/openapi.json", Route("openapi", openapi))
    server.add("GET", "/docs", Route("docs", docs))


def _operations(described: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            media = next(iter(content), "")
            example = content.get(media, {}).get("example")
            yield {
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "takes": list(content),
                "takes_key": bool(operation["security"]),
                "curl": _curl(method, path, media, example),
                "refusals": {
                    status: one["description"]
                    for status, one in operation["responses"].items()
                    if status != "200"
                },
            }


def _curl(method: str, path: str, media: str, example: Any) -> str:
    """A line that asks so, to be copied."""
    address = f"http://127.0.0.1:8000{path}"
    if method == "get":
        return f"curl {address}"
    if example is None:
        return f"curl {address} -H 'Content-Type: {media}' --data-binary @customers"
    return f"curl {address} -H 'Content-Type: {media}' -d '{json.dumps(example)}'"
