"""The server's description of itself, as OpenAPI 3.1 has it, with made-up examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from churn_assets.learning.compiling.bundle import Bundle
from churn_assets.serving.answering.batch.body import MEDIA_TYPES
from churn_assets.serving.answering.inputs import InputsReader
from churn_assets.serving.answering.protocols.open_inference import OUTPUTS
from churn_assets.serving.answering.server import Server

_JSON = "application/json"
_PROBLEM = {
    "400": "Not JSON, or not as Content-Type says",
    "401": "No API key, or one that is not known",
    "403": "The API key has not the role",
    "408": "The body did not come in time",
    "413": "Too large, or too many customers",
    "415": "Another Content-Type than is taken",
    "422": "The body breaks rules; `faults` names all",
    "429": "Too many calls of this API key",
    "503": "Nothing to answer with, or too much to do at once",
}
_KEY_VALUE: Mapping[str, Any] = {"type": ["string", "integer"]}
_SECURED: Sequence[Mapping[str, list[str]]] = ({}, {"bearer": []}, {"key": []})


def document(server: Server) -> dict[str, Any]:
    """All routes of a server; those of a use case without a Champion are left out.

    Parameters
    ----------
    server : Server
        Whose models say what they take.
    """
    loaded = {
        name: place.live.champion.bundle
        for name, place in server.places.items()
        if place.live is not None
    }
    paths: dict[str, Any] = {}
    for name, bundle in loaded.items():
        paths |= _use_case(name, bundle, server)
    default = loaded.get(server.default_use_case)
    if default is not None:
        paths["/invocations"] = {"post": _invocations(server.default_use_case, default)}
    paths |= _of_server()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Churn Assets",
            "version": version("churn-assets"),
            "description": "One prediction at a time, equal to the batch table's.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _problem_schema()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _example(bundle: Bundle) -> dict[str, Any]:
    """Inputs of a made-up customer, changed to what the contract allows."""
    reader, row = InputsReader.of(bundle.manifest), dict(bundle.manifest.golden[0].inputs)
    for fault in reader.convert(row)[1]:
        allowed, value = reader.inputs[fault.field], row[fault.field]
        if allowed.isin:
            row[fault.field] = allowed.isin[0]
        elif isinstance(value, float):
            low, high = allowed.ge or 0.0, allowed.le or math.inf
            row[fault.field] = float(round(min(max(value, low), high)))
    return row


def _use_case(name: str, bundle: Bundle, server: Server) -> dict[str, Any]:
    manifest = bundle.manifest
    v1, model = f"/v1/{name}", f"/v2/models/{name}"
    key = _object(dict.fromkeys(manifest.keys, _KEY_VALUE), required=list(manifest.keys))
    example_key = dict.fromkeys(manifest.keys, "made-up-1")
    golden = _example(bundle)
    prediction = _prediction(bundle)
    customer = {
        "oneOf": [
            _object({"key": key}, required=["key"]),
            _object({"record": manifest.schemas["record"]}, required=["record"]),
            _object({"key": key, "inputs": manifest.schemas["inputs"]}, required=["inputs"]),
        ]
    }
    call = _object(
        {
            "customers": {
                "type": "array",
                "items": customer,
                "minItems": 1,
                "maxItems": server.limits.rows,
            },
            "reasons": {"enum": [0, 3, "all"], "default": 0},
        },
        required=["customers"],
    )
    answer = _object(
        {"request_id": {"type": "string"}, "predictions": {"type": "array", "items": prediction}}
    )
    path_key = "/".join(f"{{{one}}}" for one in manifest.keys)
    parameters = [
        {
            "name": one,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "example": "made-up-1",
        }
        for one in manifest.keys
    ]
    changed = next(iter(manifest.inputs))
    return {
        f"{v1}/predict": {
            "post": _operation(
                f"{name}_predict",
                "Score customers, each by key, by record, or by inputs",
                call,
                {"customers": [{"inputs": golden}]},
                answer,
            )
        },
        f"{v1}/customers/{path_key}": {
            "get": {
                **_operation(f"{name}_customer", "Score a customer by its key", answer=prediction),
                "parameters": parameters,
            }
        },
        f"{v1}/what-if": {
            "post": _operation(
                f"{name}_what_if",
                "A customer's score as it is, and as it would be with other inputs",
                _object(
                    {"key": key, "changes": _loosened(manifest.schemas["inputs"])},
                    required=["key", "changes"],
                ),
                {"key": example_key, "changes": {changed: golden[changed]}},
                _object({"before": prediction, "after": prediction, "moved": {"type": "array"}}),
            )
        },
        f"{v1}/batch": {"post": _batch(name)},
        f"{v1}/invocations": {"post": _invocations(name, bundle, f"{name}_invocations")},
        model: {"get": _operation(f"{name}_v2", "What the model takes and gives", answer={})},
        f"{model}/ready": {"get": _open(f"{name}_v2_ready", "Whether the model answers")},
        f"{model}/infer": {"post": _infer(name, bundle)},
        f"/v1/admin/{name}/traffic": {
            "get": _operation(f"{name}_traffic", "Who answers; takes the role admin", answer={}),
            "post": _change_of_traffic(name),
        },
    }


def _of_server() -> dict[str, Any]:
    return {
        "/ping": {"get": _open("ping", "Whether the default use case is answered", "text/plain")},
        "/version": {"get": _open("version", "Versions of MLflow, this package and the model")},
        "/livez": {"get": _open("livez", "Whether the process answers")},
        "/readyz": {"get": _open("readyz", "Whether all that has a Champion is loaded")},
        "/metrics": {"get": _open("metrics", "Metrics for Prometheus", "text/plain")},
        "/v2": {"get": _open("v2_server", "What this server is")},
        "/v2/health/live": {"get": _open("v2_live", "Whether the process answers")},
        "/v2/health/ready": {"get": _open("v2_health", "Whether the server is ready")},
        "/v1/admin/loaded": {
            "get": _operation("loaded", "What is loaded; takes the role admin", answer={})
        },
        "/v1/admin/reload": {
            "post": {
                **_operation("reload", "Look for what is new now; takes the role admin"),
                "responses": {"202": {"description": "It will be"}, **_problems()},
            }
        },
    }


def _operation(
    name: str,
    summary: str,
    body: Mapping[str, Any] | None = None,
    example: Any = None,
    answer: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": list(_SECURED),
        "responses": {
            "200": {"description": "The answer", "content": {_JSON: {"schema": answer or {}}}},
            **_problems(),
        },
    }
    if body is not None:
        content = {"schema": body, "example": example}
        operation["requestBody"] = {"required": True, "content": {_JSON: content}}
    return operation


def _open(name: str, summary: str, media_type: str = _JSON) -> dict[str, Any]:
    """An operation that takes no key."""
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": "The answer", "content": {media_type: {}}},
            "503": {
                "description": "Not ready",
                "content": {_JSON: {}, "application/problem+json": {}},
            },
        },
    }


def _problems() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": description,
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status, description in {**_PROBLEM, "404": "Nobody has this key"}.items()
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    fault = _object({"field": text, "rule": text, "found": text}, required=["field", "rule"])
    return _object(
        {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "request_id": text,
            "faults": {"type": "array", "items": fault},
        },
        required=["type", "title", "status", "detail", "request_id"],
    )


def _prediction(bundle: Bundle) -> dict[str, Any]:
    """What is said of a customer."""
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    manifest = bundle.manifest
    columns: dict[str, Any] = {
        **dict.fromkeys(manifest.keys, text),
        "churn_probability": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": {"type": "boolean"},
        "threshold": {"type": "number"},
        "risk_band": {"enum": list(manifest.risk_bands)},
        "expected_value": {"type": ["number", "null"]},
        "contact": {"type": ["boolean", "null"]},
        "rank": {"type": ["integer", "null"]},
        "split": maybe,
        **{f"reason_{i}": maybe for i in (1, 2, 3)},
        "reasons": {"type": "array", "items": text},
        "model_version": {"type": "integer"},
        "semantic_version": text,
        "variant": {"enum": ["champion", "challenger"]},
        "features_version": {"type": ["integer", "null"]},
        "scored_at": {"type": "string", "format": "date-time"},
    }
    required = ["churn_probability", "decision", "threshold", "risk_band", "model_version"]
    return {"type": "object", "properties": columns, "required": required}


def _invocations(name: str, bundle: Bundle, operation: str = "invocations") -> dict[str, Any]:
    inputs = bundle.manifest.schemas["inputs"]
    golden = _example(bundle)
    rows = {"type": "array", "items": inputs, "minItems": 1}
    split = _object(
        {
            "columns": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "items": {"type": "array"}},
        },
        required=["columns", "data"],
    )
    body = {
        "oneOf": [
            _object({"dataframe_split": split}, required=["dataframe_split"]),
            _object({"dataframe_records": rows}, required=["dataframe_records"]),
            _object({"instances": rows}, required=["instances"]),
            _object({"inputs": rows}, required=["inputs"]),
        ]
    }
    answer = _object({"predictions": {"type": "array", "items": {"type": "number"}}})
    described = _operation(
        operation,
        f"Score rows of {name} as MLflow's scoring server does",
        body,
        {"dataframe_records": [golden]},
        answer,
    )
    header = ",".join(golden)
    line = ",".join("" if value is None else str(value) for value in golden.values())
    described["requestBody"]["content"]["text/csv"] = {
        "schema": {"type": "string"},
        "example": f"{header}\n{line}\n",
    }
    return described


def _infer(name: str, bundle: Bundle) -> dict[str, Any]:
    golden, kinds = _example(bundle), bundle.manifest.inputs
    tensor = _object(
        {
            "name": {"enum": list(kinds)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
        required=["name", "shape", "datatype", "data"],
    )
    body = _object(
        {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1},
            "outputs": {
                "type": "array",
                "items": _object({"name": {"enum": list(OUTPUTS)}}, required=["name"]),
            },
        },
        required=["inputs"],
    )
    example = {
        "inputs": [
            {
                "name": one,
                "shape": [1],
                "datatype": "FP64" if kind == "number" else "BYTES",
                "data": [golden[one]],
            }
            for one, kind in kinds.items()
        ]
    }
    return _operation(f"{name}_v2_infer", "Score a tensor for each input", body, example, {})


def _batch(name: str) -> dict[str, Any]:
    described = _operation(f"{name}_batch", "Score a file, row by row; no row is lost", answer={})
    content: dict[str, Any] = {media: {} for media in MEDIA_TYPES}
    described["requestBody"] = {"required": True, "content": content}
    described["responses"]["200"]["content"] = dict(content)
    return described


def _change_of_traffic(name: str) -> dict[str, Any]:
    share = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    body = _object(
        {
            "kind": {"enum": ["champion", "shadow", "canary", "ab", "ramp"]},
            "why": {"type": "string", "minLength": 1},
            "version": {"type": "integer", "minimum": 1},
            "share": share,
            "steps": {"type": "array", "items": {"type": "number"}},
            "step_seconds": {"type": "number", "exclusiveMinimum": 0},
        },
        required=["kind", "why"],
    )
    example = {"kind": "canary", "share": 0.1, "why": "a tenth first"}
    described = _operation(
        f"{name}_change_traffic",
        "Put a change of who answers on record; takes the role admin",
        body,
        example,
        {},
    )
    described["responses"]["409"] = {
        "description": "Refused: nobody to take part, or another change was first",
        "content": {"application/problem+json": {}},
    }
    return described


def _object(properties: Mapping[str, Any], *, required: Sequence[str] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


def _loosened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of an object of which no property is asked for."""
    return {name: part for name, part in schema.items() if name != "required"}
