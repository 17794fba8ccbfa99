"""What the inference log costs, and whether it keeps its word: nothing missing, nothing doubled.

    python -m benchmarks.inference_log

Worker processes log answers and count what is acknowledged. They and the flusher are killed with
kill -9 at random moments, and started again.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from benchmarks.inference_log_worker import COUNT, entry
from churn_assets.serving.answering.segments import SegmentLog, encoded
from churn_assets.serving.inference_log.flusher import start
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets.serving.inference_log.upkeep import Upkeep

RECORDS, KILLS = 2_000_000, 75
_WORKERS = 2
_MOST_SECONDS = 2.0
"""Between two kills; a flusher needs one to start, and most shall get further than that."""
_EVERY_SECONDS, _UPKEEP_SECONDS, _GRACE_SECONDS = 0.5, 5.0, 120.0


@dataclass(frozen=True)
class Storm:
    """What came of a storm.

    Parameters
    ----------
    acknowledged, kills : int
        Entries whose write returned; and how often a process was killed.
    missing, doubled : int
        Acknowledged entries that the table has not; and rows that it has more than once.
    unanswered : int
        Rows whose worker was killed before it could say so.
    """

    acknowledged: int
    kills: int
    missing: int
    doubled: int
    unanswered: int


class _Worker:
    """A worker process, which is started anew after each kill."""

    def __init__(self, folder: Path, number: int, rate: float) -> None:
        self._folder, self._number, self._rate = folder, number, rate
        self._counts: list[Path] = []
        self._start()

    def _start(self) -> None:
        life = self._number + _WORKERS * len(self._counts)
        count = self._folder / f"count-{life}"
        count.write_bytes(COUNT.pack(0))
        self._counts.append(count)
        arguments = [str(self._folder / "log"), str(count), str(life), str(self._rate)]
        program = [sys.executable, "-m", "benchmarks.inference_log_worker", *arguments]
        self._process = subprocess.Popen(program)

    @property
    def acknowledged(self) -> dict[int, int]:
        """How many entries of each life are."""
        counts = (COUNT.unpack(count.read_bytes())[0] for count in self._counts)
        return {self._number + _WORKERS * life: count for life, count in enumerate(counts)}

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self._start()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(_GRACE_SECONDS) == 0


class _Flusher:
    """The flusher process, likewise."""

    def __init__(self, folder: Path, table: RequestsTable) -> None:
        self._folder, self._table = folder, table
        self._said = (folder / "flusher.txt").open("w")
        self._start()

    def _start(self) -> None:
        self._process = start(
            self._folder / "log",
            self._table,
            every_seconds=_EVERY_SECONDS,
            grace_seconds=_GRACE_SECONDS,
            upkeep=Upkeep(self._table, _UPKEEP_SECONDS),
            stderr=self._said,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self._start()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(2 * _GRACE_SECONDS) == 0


def storm(folder: Path, records: int, kills: int, seed: int = 0) -> Storm:
    """Let workers log while they and the flusher are killed, and look at what the table has.

    Parameters
    ----------
    folder : Path
        Of the log and the table.
    records : int
        How many entries are acknowledged at least.
    kills : int
        How many processes are killed.
    seed : int
        Of the moments, and of who is killed.
    """
    rng = random.Random(seed)
    table = RequestsTable(str(folder / "requests"), ("customer_id",))
    rate = records / (kills * _MOST_SECONDS / 2) / _WORKERS
    with ExitStack() as ended:
        flusher = _Flusher(folder, table)
        ended.callback(flusher.kill)
        workers = [_Worker(folder, number, rate) for number in range(_WORKERS)]
        for worker in workers:
            ended.callback(worker.kill)
        for _ in range(kills):
            time.sleep(rng.uniform(0.0, _MOST_SECONDS))
            rng.choice([*workers, flusher]).restart()
        while sum(sum(worker.acknowledged.values()) for worker in workers) < records:
            time.sleep(0.1)
        for worker in workers:
            worker.stop()
        flusher.stop()
    lives = {life: n for worker in workers for life, n in worker.acknowledged.items()}
    return _outcome(table, lives, kills)


def _outcome(table: RequestsTable, lives: dict[int, int], kills: int) -> Storm:
    """Compare the rows of a table with what was acknowledged in each life of a worker."""
    parts = pl.col("request_id").str.split_exact("-", 1).struct
    rows = pl.read_delta(table.uri, columns=["request_id"]).select(
        parts.field("field_0").cast(pl.Int64).alias("life"),
        parts.field("field_1").cast(pl.Int64).alias("place"),
    )
    counts = pl.DataFrame({"life": list(lives), "acknowledged": list(lives.values())})
    unique = rows.unique().join(counts, on="life", how="left")
    kept = unique.filter(pl.col("place") < pl.col("acknowledged")).height
    acknowledged = sum(lives.values())
    return Storm(
        acknowledged=acknowledged,
        kills=kills,
        missing=acknowledged - kept,
        doubled=rows.height - unique.height,
        unanswered=unique.height - kept,
    )


def microseconds_an_entry(folder: Path, entries: int = 200_000, rounds: int = 100) -> float:
    """CPU time of encoding and writing an entry, in the best of some rounds."""
    log = SegmentLog(folder)
    made = entry(0, 0)
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(entries // rounds):
            log.write(encoded((made,)))
        best = min(best, time.process_time() - begun)
    log.close()
    return best / (entries // rounds) * 1e6


def main() -> None:
    """Measure, and print the figures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(f"us of CPU an entry: {microseconds_an_entry(folder / 'timed'):.2f}", flush=True)
        begun = time.monotonic()
        came = storm(folder, RECORDS, KILLS)
        print(
            f"kills: {came.kills} in {time.monotonic() - begun:.0f} s\n"
            f"acknowledged: {came.acknowledged:,}\nmissing: {came.missing}\n"
            f"doubled: {came.doubled}\nlogged, but killed before it was said: {came.unanswered}",
            flush=True,
        )
        table = RequestsTable(str(folder / "requests"), ("customer_id",))
        table.compact(1, timedelta(0))
        size = pl.DataFrame(table.opened().get_add_actions())["size_bytes"]
        megabytes = size.sum() / (came.acknowledged + came.unanswered)
        print(f"MB a million records after compaction: {megabytes:.1f}, in {len(size)} files")


if __name__ == "__main__":
    main()
