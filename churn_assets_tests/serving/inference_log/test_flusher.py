"""What is relied on where logged answers are committed: each one, once, whatever is killed."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from benchmarks.inference_log import storm
from churn_assets.serving.answering.segments import CLOSED, OPEN, SEALED, SegmentLog
from churn_assets.serving.inference_log import flusher
from churn_assets.serving.inference_log.flusher import OPTIONS, Flushed, flush
from churn_assets.serving.inference_log.pending import DAMAGED, Pending
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.health import examine
from churn_assets.tables.lake import Table
from churn_assets_tests.conftest import S3
from churn_assets_tests.support.serving.answering import answer, held, line, logged, wait_until

TWO_KEYS = ("customer_id", "month")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def pending(tmp_path: Path) -> Pending:
    folder = tmp_path / "log"
    folder.mkdir()
    return Pending(folder)


@pytest.fixture
def table(tmp_path: Path) -> RequestsTable:
    (tmp_path / "lake").mkdir()
    return RequestsTable(str(tmp_path / "lake" / "requests"), ("customer_id",))


@pytest.fixture
def start(pending: Pending, table: RequestsTable) -> Iterator[Start]:
    """Starts flushers as a server does."""
    started: list[subprocess.Popen[str]] = []

    def begin(of: RequestsTable = table, grace_seconds: float = 10) -> subprocess.Popen[str]:
        process = flusher.start(
            pending.folder,
            of,
            every_seconds=0.2,
            grace_seconds=grace_seconds,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> str:
    """What a flusher said that has ended."""
    _, said = process.communicate(timeout=30)
    return said


def test_an_answer_is_a_row_as_it_was_decoded(pending: Pending, tmp_path: Path) -> None:
    table = RequestsTable(str(tmp_path / "requests"), TWO_KEYS)
    logged(pending.folder, "a", key=("C1", "2024-03"))
    logged(pending.folder, "b", key=None, inputs=None, status=422, refusal="tenure < 0")

    assert flush(pending, table) == Flushed(rows=2, segments=2, commits=1)

    rows = pl.read_delta(table.uri).sort("request_id")
    assert rows.schema["requested_at"] == pl.Datetime("us", "UTC")
    first, second = rows.to_dicts()
    assert first == {
        "request_id": "a", "row": 0,
        "requested_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "customer_id": "C1", "month": "2024-03", "form": "key",
        "route": "/v1/telco_churn/predict",
        "inputs": '{"tenure_months":3,"contract":"One year"}',
        "churn_probability": 0.61, "decision": True, "threshold": 0.4, "risk_band": "high",
        "model_version": 2, "semantic_version": "1.1.0", "variant": "champion", "share": 1.0,
        "shadow": False, "features_version": 7, "latency_ms": 0.2, "status": 200, "refusal": None,
    }  # fmt: skip
    assert (second["customer_id"], second["inputs"]) == (None, None)
    assert (second["status"], second["refusal"]) == (422, "tenure < 0")


def test_the_lake_reads_the_table_as_its_own(pending: Pending, table: RequestsTable) -> None:
    logged(pending.folder, "a", "b")
    flush(pending, table)

    of_lake = Table("requests", table.uri, PolarsEngine())

    state = of_lake.require()
    assert (state.rows, state.details["appended"]) == (2, 2)
    assert state.data_version
    assert PolarsEngine().collect(of_lake.scan()).num_rows == 2
    assert examine(of_lake).fault == ""


def test_a_segment_that_is_written_to_is_left_alone(pending: Pending, table: RequestsTable) -> None:
    log = SegmentLog(pending.folder)
    log.write(line("a"))

    before = flush(pending, table)
    log.close()
    after = flush(pending, table)

    assert before == Flushed()
    assert not Path(table.uri, "_delta_log", f"{2:020}.json").exists()
    assert after.rows == 1
    assert pending.left() == 0


def test_an_orphan_is_adopted_and_its_broken_end_left_out(
    pending: Pending, table: RequestsTable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (pending.folder / f"1-dead{OPEN}").write_bytes(line("a") + line("b") + line("c")[:-20])
    (pending.folder / f"2-dead{OPEN}").touch()
    (pending.folder / "3-dead.new").touch()

    flush(pending, table)

    assert held(table) == ["a", "b"]
    assert sorted(file.name for file in pending.folder.iterdir()) == ["id"]
    assert "was broken off, and not answered" in caplog.text


def test_lines_that_power_loss_damaged_are_kept_aside_and_told(
    pending: Pending, table: RequestsTable, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [b"\0" * 50 + b"\n", line("wide", key=("C1", "C2")), line("big", model_version=1 << 63)]
    content = line("a") + odd[0] + line("b") + odd[1] + odd[2] + line("c")
    (pending.folder / f"1-dead{CLOSED}").write_bytes(content)

    flush(pending, table)

    assert held(table) == ["a", "b", "c"]
    (aside,) = pending.folder.glob(f"*{DAMAGED}")
    assert aside.read_bytes() == b"".join(odd)
    assert f"3 damaged lines are kept in {aside}" in caplog.text


def test_a_segment_whose_commit_was_seen_by_nobody_is_not_committed_again(
    pending: Pending, table: RequestsTable, tmp_path: Path
) -> None:
    """A flusher that was killed between the commit and the removal."""
    logged(pending.folder, "a")
    (segment,) = pending.numbered(0)
    kept = shutil.copy(segment.file, tmp_path / "kept")
    flush(pending, table)
    shutil.copy(kept, segment.file)
    logged(pending.folder, "b")

    again = flush(pending, table)

    assert again.rows == 1
    assert held(table) == ["a", "b"]
    assert pending.left() == 0


def test_segments_that_wait_share_commits(
    pending: Pending, table: RequestsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(5):
        logged(pending.folder, *(f"{place}-{n}" for n in range(10)))
    size = len(line("0-0")) * 10
    monkeypatch.setattr(flusher, "COMMIT_BYTES", 2 * size)

    flushed = flush(pending, table)

    assert flushed == Flushed(rows=50, segments=5, commits=3)
    assert len(set(held(table))) == 50


def test_numbers_go_on_after_deltas_own_log_was_cut(pending: Pending, table: RequestsTable) -> None:
    for name in ("a", "b", "c"):
        logged(pending.folder, name)
        flush(pending, table)
    delta = DeltaTable(table.uri)
    delta.create_checkpoint()
    for commit in sorted(Path(table.uri, "_delta_log").glob("*.json"))[:-1]:
        commit.unlink()

    logged(pending.folder, "d")
    flush(pending, table)

    assert table.committed(pending.log) == 4
    assert held(table) == ["a", "b", "c", "d"]


def test_two_servers_write_to_one_table(tmp_path: Path, table: RequestsTable) -> None:
    logs = [Pending(tmp_path / name) for name in ("one", "other")]
    for log in logs:
        log.folder.mkdir()
        for place in range(3):
            logged(log.folder, f"{log.folder.name}-{place}")
            flush(log, table)

    assert [table.committed(log.log) for log in logs] == [3, 3]
    assert len(held(table)) == 6


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(
    pending: Pending, table: RequestsTable
) -> None:
    import pyarrow as pa

    narrow = pa.schema([field for field in table.schema if field.name != "share"])
    DeltaTable.create(table.uri, schema=narrow)
    logged(pending.folder, "a")

    flush(pending, table)

    assert pl.read_delta(table.uri)["share"].to_list() == [1.0]


def test_an_answer_is_held_within_seconds_and_all_are_at_the_end(
    pending: Pending, table: RequestsTable, start: Start
) -> None:
    log = SegmentLog(pending.folder, age_seconds=0.3)
    process = start()
    log.write(line("early"))

    wait_until(lambda: held(table) == ["early"])
    log.write(line("late"))
    process.send_signal(signal.SIGTERM)
    log.close()

    assert told(process) == ""
    assert process.returncode == 0
    assert held(table) == ["early", "late"]


def test_a_worker_that_takes_its_time_to_end_is_waited_for(
    pending: Pending, table: RequestsTable, start: Start
) -> None:
    log = SegmentLog(pending.folder, age_seconds=60)
    log.write(line("a"))
    waiting = start(grace_seconds=0.5)
    wait_until((pending.folder / "flusher.lock").exists)
    waiting.send_signal(signal.SIGTERM)

    said = told(waiting)
    log.close()
    process = start()
    process.send_signal(signal.SIGTERM)

    assert "1 segments stay for the next start" in said
    assert waiting.returncode == 1
    assert (told(process), process.returncode) == ("", 0)
    assert held(table) == ["a"]


def test_of_two_flushers_one_works_and_the_other_takes_over(
    pending: Pending, table: RequestsTable, start: Start
) -> None:
    first = start()
    logged(pending.folder, "a")
    wait_until(lambda: held(table) == ["a"])
    second = start()
    logged(pending.folder, "b")
    wait_until(lambda: held(table) == ["a", "b"])
    once = [sys.executable, "-m", flusher.__name__, "--folder", str(pending.folder), "--once"]
    refused = subprocess.run(
        [*once, "--table", table.uri], capture_output=True, text=True, check=False
    )

    first.kill()
    logged(pending.folder, "c")
    wait_until(lambda: held(table) == ["a", "b", "c"])
    second.send_signal(signal.SIGINT)

    assert told(second) == ""
    assert refused.returncode == 1
    assert "another flusher works on" in refused.stderr


def test_a_table_that_cannot_be_written_is_told_once_and_tried_again(
    pending: Pending, table: RequestsTable, start: Start
) -> None:
    in_the_way = Path(table.uri)
    in_the_way.write_text("not a folder")
    logged(pending.folder, "a")
    process = start()
    assert process.stderr is not None
    said = process.stderr.readline()

    in_the_way.unlink()
    wait_until(lambda: held(table) == ["a"])
    process.send_signal(signal.SIGTERM)

    assert "1 segments wait: a file stands where its folder should be" in said
    assert "the table can be written again, after" in told(process)
    assert process.returncode == 0


def test_a_table_that_is_gone_at_the_end_keeps_nobody_and_nothing_is_lost(
    pending: Pending, table: RequestsTable, start: Start
) -> None:
    in_the_way = Path(table.uri)
    in_the_way.write_text("not a folder")
    logged(pending.folder, "a")
    process = start(grace_seconds=0.5)
    process.send_signal(signal.SIGTERM)

    said = told(process)
    in_the_way.unlink()

    assert process.returncode == 1
    assert "1 segments stay for the next start" in said
    assert flush(pending, table).rows == 1


def test_the_keys_of_a_store_are_no_argument_and_in_no_message(
    pending: Pending, start: Start
) -> None:
    secret = {"aws_secret_access_key": "geheim-4711", "aws_endpoint": "http://127.0.0.1:9"}
    table = RequestsTable("s3://lake/requests", ("customer_id",), secret)
    logged(pending.folder, "a")

    process = start(table, grace_seconds=0.1)
    arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
    environ = Path(f"/proc/{process.pid}/environ").read_text()
    process.kill()

    assert "geheim-4711" not in arguments + told(process) + repr(table)
    assert f"{OPTIONS}=" in environ
    assert "geheim-4711" in environ


def test_a_table_in_an_object_store_is_written_and_kept_up(pending: Pending, s3: S3) -> None:
    table = RequestsTable(f"{s3.bucket('answers')}/requests", ("customer_id",), s3.storage_options)
    for name in ("a", "b", "c"):
        logged(pending.folder, name)
        flush(pending, table)

    compacted = table.compact(2, timedelta(0))
    removed = table.vacuum(0)

    of_lake = Table("requests", table.uri, PolarsEngine(), s3.storage_options)
    assert (compacted, removed, table.committed(pending.log)) == (3, 3, 3)
    assert of_lake.require().rows == 3


def test_a_flusher_ends_with_the_server_that_started_it(
    pending: Pending, table: RequestsTable
) -> None:
    script = (
        "import time\n"
        "from pathlib import Path\n"
        "from churn_assets.serving.inference_log.flusher import start\n"
        "from churn_assets.serving.inference_log.requests_table import RequestsTable\n"
        f"table = RequestsTable({table.uri!r}, {table.keys!r})\n"
        f"started = start(Path({str(pending.folder)!r}), table, every_seconds=0.1)\n"
        "print(started.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    wait_until((pending.folder / "flusher.lock").exists)
    logged(pending.folder, "a")

    server.kill()
    server.communicate()

    wait_until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in state_of(pid))
    assert held(table) == ["a"]


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.slow
def test_nothing_acknowledged_is_missing_and_nothing_doubled_whoever_is_killed(
    tmp_path: Path,
) -> None:
    """A hundredth of what the bench does."""
    came = storm(tmp_path, records=20_000, kills=8)

    assert came.acknowledged >= 20_000
    assert (came.missing, came.doubled) == (0, 0)


def test_no_message_shows_what_was_asked(
    pending: Pending, table: RequestsTable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = answer("a", key=("SOMEONE",), model_version="SOMEONE", inputs={"x": "SOMEONE"})
    log = SegmentLog(pending.folder)
    log.write(line("b") + line("c", key=("SOMEONE",), model_version="SOMEONE")[:-5])
    log.close()
    logged(pending.folder, "d", key=secret.key, model_version="SOMEONE")

    flush(pending, table)

    assert caplog.records
    assert "SOMEONE" not in caplog.text
    assert pending.left() == 0
    assert list(pending.folder.glob(f"*{SEALED}")) == []
