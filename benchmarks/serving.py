"""One prediction online, beside an echo and its peers: `python -m benchmarks.serving --peers`.

All servers answer on this machine in turn, asked by one client over kept connections. What is
counted is the CPU of the process that answers, in microseconds a request, and as a multiple of an
echo on the same stack in the same run: rates drift with the machine, ratios hardly do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from benchmarks.__main__ import PROJECT, TELCO
from churn_assets.usecases import USE_CASES

USE_CASE = USE_CASES["telco_churn"]
HOST, PORT = "127.0.0.1", 8731
CLIENTS = (1, 16, 64)
WARM = 200
ECHO = """
async def app(scope, receive, send):
    message = await receive()
    body = message["body"]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

SERVICE = """
import bentoml, pandas
from churn_assets.assets.resources import resources
from churn_assets.settings import load_settings
from churn_assets.usecases import USE_CASES

@bentoml.service(workers=1)
class Churn:
    def __init__(self):
        registry = resources(load_settings()).workplace(USE_CASES["telco_churn"]).registry
        self.model = registry.load(registry.by_alias("champion").version)

    @bentoml.api
    def predict(self, rows: list[dict]) -> list[float]:
        return self.model.predict_proba(pandas.DataFrame(rows))[:, 1].tolist()
"""


@dataclass(frozen=True)
class Measured:
    """What a load cost."""

    cpu_us: float
    p50_ms: float
    p99_ms: float
    per_second: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.serving")
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--peers", action="store_true", help="mlflow and BentoML as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, ".churn")
        environ = {**os.environ, "CHURN_ROOT": str(root)}
        source = str(TELCO) if TELCO.exists() else "generated"
        command = [sys.executable, "-m", "churn_assets.cli", "run", "--source", source]
        subprocess.run(command, cwd=PROJECT, env=environ, check=True, stdout=subprocess.DEVNULL)
        calls = bodies(root)
        Path(folder, "echo.py").write_text(ECHO)
        echo = ["-m", "uvicorn", "echo:app", "--lifespan", "off", "--port", str(PORT)]
        with server([*echo, "--no-access-log", "--log-level", "warning"], folder, {}) as process:
            limit = {
                clients: load(process, "/", calls["inputs"], given.requests, clients)
                for clients in CLIENTS
            }
        serve = ["-m", "churn_assets.cli", "serve", "--port", str(PORT)]
        begun = time.perf_counter()
        with server(serve, str(PROJECT), environ, "/readyz") as process:
            print(f"ready after {time.perf_counter() - begun:.1f} s, looked at every 20 ms")
            for name, body in calls.items():
                path = f"/v1/{USE_CASE.name}/predict"
                if name == "batch of 1,000":
                    rows = load(process, path, body, 30, 1)
                    each = rows.cpu_us / 1000
                    print(
                        f"{name:22} {1000 * rows.per_second:,.0f} rows/s, {each:.1f} us CPU a row"
                    )
                    continue
                for clients in CLIENTS:
                    show(name, clients, load(process, path, body, given.requests, clients), limit)
            memory = process.memory_info().rss / 1e6
            print(f"memory {memory:.0f} MB of the worker, after records")
            big(root)
        if given.peers:
            peer(root, calls["inputs"], limit, given.requests // 20)
            bento(root, calls["inputs"], limit, given.requests // 4)


def bodies(root: Path) -> dict[str, bytes]:
    """A call of each kind."""
    features = pl.read_delta(str(root / "lake" / USE_CASE.name / "features"))
    raw = pl.read_delta(str(root / "lake" / USE_CASE.name / "raw"))
    row = features.row(0, named=True)
    inputs = {name: row[name] for name in USE_CASE.inputs}
    record = raw.drop("source_uri", "ingested_at").row(0, named=True)
    key = {name: row[name] for name in USE_CASE.keys}
    many = features.head(1000).select(USE_CASE.inputs).to_dicts()
    calls: dict[str, Any] = {
        "inputs": {"customers": [{"inputs": inputs}]},
        "inputs with reasons": {"customers": [{"inputs": inputs}], "reasons": 3},
        "key": {"customers": [{"key": key}]},
        "key with reasons": {"customers": [{"key": key}], "reasons": 3},
        "record": {"customers": [{"record": record}]},
        "batch of 1,000": {"customers": [{"inputs": one} for one in many]},
    }
    return {name: json.dumps(call).encode() for name, call in calls.items()}


@contextmanager
def server(
    arguments: list[str], folder: str, environ: Mapping[str, str], ready: str = "/"
) -> Iterator[psutil.Process]:
    """A server in a process of its own, once it answers."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, **environ}
    )
    try:
        while True:
            try:
                request = urllib.request.Request(
                    f"http://{HOST}:{PORT}{ready}", data=None if ready != "/" else b"{}"
                )
                with urllib.request.urlopen(request, timeout=5):
                    break
            except OSError:
                if process.poll() is not None:
                    raise
                time.sleep(0.02)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def load(
    process: psutil.Process, path: str, body: bytes, requests: int, clients: int, tree: bool = False
) -> Measured:
    """Ask again and again over kept connections."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    call, seconds = head.encode() + body, list[float]()

    async def client(times: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, PORT)
        for _ in range(times):
            begun = time.perf_counter()
            writer.write(call)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            at = answer.lower().index(b"content-length:") + len(b"content-length:")
            await reader.readexactly(int(answer[at : answer.index(b"\r", at)]))
            seconds.append(time.perf_counter() - begun)
        writer.close()

    async def all_clients(times: int) -> None:
        await asyncio.gather(*(client(max(1, times // clients)) for _ in range(clients)))

    def cpu() -> float:
        family = [process, *(process.children(recursive=True) if tree else [])]
        return sum(sum(one.cpu_times()[:2]) for one in family)

    asyncio.run(all_clients(min(WARM, requests)))
    seconds.clear()
    before, begun = cpu(), time.perf_counter()
    asyncio.run(all_clients(requests))
    took, used = time.perf_counter() - begun, cpu() - before
    seconds.sort()
    count = len(seconds)
    return Measured(
        1e6 * used / count,
        1e3 * seconds[count // 2],
        1e3 * seconds[int(count * 0.99)],
        count / took,
    )


def show(name: str, clients: int, measured: Measured, limit: Mapping[int, Measured]) -> None:
    times = measured.cpu_us / limit[clients].cpu_us
    print(
        f"{name:22} {clients:3} clients  {measured.cpu_us:8.1f} us CPU, {times:5.1f} times an echo"
        f"  p50 {measured.p50_ms:6.2f} ms  p99 {measured.p99_ms:6.2f}  {measured.per_second:6.0f}/s"
    )


def big(root: Path) -> None:
    """A million rows of Arrow through `batch`, beside bare scoring of the same."""
    import io

    import pyarrow as pa

    from churn_assets.learning.compiling.bundle import load as load_bundle

    features = pl.read_delta(str(root / "lake" / USE_CASE.name / "features"))
    rows = features.select(USE_CASE.inputs)
    many = pl.concat([rows] * (1_000_000 // len(rows) + 1)).head(1_000_000)
    table, content = many.to_arrow(), io.BytesIO()
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    request = urllib.request.Request(
        f"http://{HOST}:{PORT}/v1/{USE_CASE.name}/batch",
        data=content.getvalue(),
        headers={"Content-Type": "application/vnd.apache.arrow.stream"},
    )
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as answer:
        answered = pa.ipc.open_stream(answer.read()).read_all()
    took = time.perf_counter() - begun
    assert len(answered) == len(table)
    (folder,) = (root / "serving" / USE_CASE.name / "bundles").iterdir()
    bundle = load_bundle(folder)
    columns = {
        name: many[name].to_numpy() if kind == "number" else many[name].to_list()
        for name, kind in bundle.manifest.inputs.items()
    }
    begun = time.perf_counter()
    bundle.scores(columns)
    bare = time.perf_counter() - begun
    each = len(table) / took
    print(f"a million rows of Arrow {each:,.0f} rows/s, {bare / took:.2f} of bare scoring")


def peer(root: Path, body: bytes, limit: Mapping[int, Measured], requests: int) -> None:
    """`mlflow models serve` on the same model."""
    (customer,) = json.loads(body)["customers"]
    call = json.dumps({"dataframe_records": [customer["inputs"]]}).encode()
    arguments = ["-m", "mlflow", "models", "serve", "-m", f"models:/{USE_CASE.name}@champion"]
    arguments += ["--env-manager", "local", "--port", str(PORT)]
    # It starts a program of this environment by its bare name.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}", "PATH": path}
    with server(arguments, str(PROJECT), environ, "/ping") as process:
        measured = load(process, "/invocations", call, requests, 1, tree=True)
    show("mlflow models serve", 1, measured, limit)


def bento(root: Path, body: bytes, limit: Mapping[int, Measured], requests: int) -> None:
    """BentoML with the same model, as its guide has it: no contract, no log, no reasons."""
    (customer,) = json.loads(body)["customers"]
    call = json.dumps({"rows": [customer["inputs"]]}).encode()
    with tempfile.TemporaryDirectory() as folder:
        uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"]
        # Beside this environment and not in it: it is needed here only.
        install = [*uv, "--python", sys.executable, "--target", f"{folder}/installed", "bentoml"]
        if subprocess.run(install, check=False).returncode:
            print("BentoML could not be installed, so it was not measured.")
            return
        Path(folder, "service.py").write_text(SERVICE)
        path = f"{folder}/installed{os.pathsep}{PROJECT}"
        environ = {"PYTHONPATH": path, "CHURN_ROOT": str(root), "BENTOML_DO_NOT_TRACK": "True"}
        arguments = ["-m", "bentoml", "serve", "service:Churn", "--port", str(PORT)]
        with server(arguments, folder, environ, "/readyz") as process:
            measured = load(process, "/predict", call, requests, 1, tree=True)
    show("BentoML", 1, measured, limit)


if __name__ == "__main__":
    main()
