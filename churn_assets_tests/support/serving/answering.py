"""Answers of a server, as they are logged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from deltalake import DeltaTable

from churn_assets.serving.answering.segments import Entry, SegmentLog, encoded
from churn_assets.serving.inference_log.requests_table import RequestsTable

ANSWER = Entry(
    request_id="r",
    row=0,
    requested_at=1_700_000_000_000_000,
    key=("C1",),
    form="key",
    route="/v1/telco_churn/predict",
    inputs={"tenure_months": 3, "contract": "One year"},
    churn_probability=0.61,
    decision=True,
    threshold=0.4,
    risk_band="high",
    model_version=2,
    semantic_version="1.1.0",
    variant="champion",
    share=1.0,
    shadow=False,
    features_version=7,
    latency_ms=0.2,
    status=200,
    refusal=None,
)


def answer(request_id: str, **changes: Any) -> Entry:
    """An answer that differs from others in its name."""
    return msgspec.structs.replace(ANSWER, request_id=request_id, **changes)


def line(request_id: str, **changes: Any) -> bytes:
    """What is logged of it."""
    return encoded([answer(request_id, **changes)])


def logged(folder: Path, *request_ids: str, **changes: Any) -> None:
    """Write a segment, and close it."""
    log = SegmentLog(folder)
    for request_id in request_ids:
        log.write(line(request_id, **changes))
    log.close()


def held(table: RequestsTable) -> list[str]:
    """The names of the requests that a table has, in order."""
    if not DeltaTable.is_deltatable(table.uri):
        return []
    return sorted(pl.read_delta(table.uri)["request_id"])


def wait_until(ready: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something, which must come."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
