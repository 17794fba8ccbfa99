"""Features by key, as a worker reads them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.errors import SnapshotError
from churn_assets.serving.answering import snapshot as module
from churn_assets.serving.answering.snapshot import Customer, Snapshot, key_bytes, read_head, verify
from churn_assets_tests.support.serving.snapshots import snapshot_of

ROWS = 350
KEYS = [[f"C-{at * 7919 % ROWS:05}"] for at in range(ROWS)]
ODD = [
    ["ü"],
    [" "],
    ["a\x00b"],
    ["x" * 2000],
    ["x" * 1999 + "y"],
    ["\U0001f600"],
    ["7590-VHVEG"],
    ["0"],
]
MOST_MICROSECONDS = 25
"""Of a look-up on a machine that does much else; five on one that does not."""
NEVER = ("churn_assets.usecases", "dagster", "mlflow", "narwhals", "pandas", "polars", "sklearn")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot_of(tmp_path_factory.mktemp("snapshot"), KEYS, advised_to=ROWS - 1)


def test_a_customer_is_found_by_key_with_what_was_written(path: Path) -> None:
    snapshot = Snapshot(path)

    found = [snapshot.get(key) for key in KEYS]

    assert found[8] == Customer([8.0, "plan 2"], "test", contact=True, rank=9)
    assert found[5] == Customer([5.0, None], "train", contact=False, rank=6)
    assert [customer.values[0] for customer in found if customer] == list(range(ROWS))
    # The last one came after the predictions.
    assert found[-1] == Customer([ROWS - 1.0, "plan 1"], "train", contact=None, rank=None)


def test_nobody_is_found_by_a_key_that_is_not_there(path: Path) -> None:
    snapshot = Snapshot(path)

    assert [snapshot.get([key]) for key in ("", "C-", "C-00001 ", "\x00", "\ud800")] == [None] * 5


def test_odd_and_long_keys_are_found(tmp_path: Path) -> None:
    snapshot = Snapshot(snapshot_of(tmp_path, ODD))

    assert [snapshot.get(key).values[0] for key in ODD] == list(range(len(ODD)))  # type: ignore[union-attr]
    assert snapshot.get(["x" * 1998]) is None


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), unique=True, min_size=2, max_size=20))
def test_no_two_keys_of_several_parts_are_taken_for_one_another(
    keys: list[tuple[str, str, str]],
) -> None:
    assert len({key_bytes(key) for key in keys}) == len(keys)


def test_customers_are_found_by_a_key_of_several_parts(tmp_path: Path) -> None:
    keys = [["a", "bc"], ["ab", "c"], ["", "abc"], ["a\x00", "bc"], ["a", "\x00bc"], ["abc", ""]]
    snapshot = Snapshot(snapshot_of(tmp_path, keys, names=("shop", "number")))

    assert [snapshot.get(key).values[0] for key in keys] == [0, 1, 2, 3, 4, 5]  # type: ignore[union-attr]


def test_it_says_what_it_is(path: Path) -> None:
    snapshot = Snapshot(path)

    assert snapshot.head == read_head(path) == verify(path)
    assert (snapshot.features_version, len(snapshot), snapshot.path) == (1, ROWS, path)
    assert len(snapshot.digest) == 64
    assert 0 <= snapshot.age_seconds < 60
    assert snapshot.places(["plan", "tenure"]) == [1, 0]
    with pytest.raises(SnapshotError, match="have no price, which the model is to be given"):
        snapshot.places(["price", "plan"])


def test_a_file_that_was_cut_short_anywhere_is_refused(path: Path, tmp_path: Path) -> None:
    whole, cut = path.read_bytes(), tmp_path / "cut.lmdb"

    for size in (0, 1, 20, 4096, 8192, len(whole) // 2, len(whole) - 200, len(whole) - 1):
        cut.write_bytes(whole[:size])
        for read in (Snapshot, read_head, verify):
            with pytest.raises(SnapshotError, match="is cut short"):
                read(cut)


def test_a_file_of_which_any_byte_changed_is_refused(path: Path, tmp_path: Path) -> None:
    whole, damaged = path.read_bytes(), tmp_path / "damaged.lmdb"
    chance = random.Random(0)
    places = [*(chance.randrange(len(whole)) for _ in range(30)), *range(-300, 0, 7)]

    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(changed)
        with pytest.raises(SnapshotError, match=r"damaged|cut short"):
            Snapshot(damaged)


def test_what_is_no_snapshot_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.lmdb"
    other.write_text("customer_id,tenure\n" * 1000)

    with pytest.raises(SnapshotError, match=r"other\.lmdb: the file .* is cut short, or is none"):
        Snapshot(other)
    with pytest.raises(SnapshotError, match=r"none\.lmdb: .* cannot be read: No such file"):
        Snapshot(tmp_path / "none.lmdb")


def test_a_format_that_is_not_known_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer, head = tmp_path / "newer.lmdb", read_head(path)
    newer.write_bytes(path.read_bytes()[: head.size_bytes])
    module.seal(newer, msgspec.structs.replace(head, format=99))

    with pytest.raises(SnapshotError, match="are of format 99, and this version knows 1"):
        Snapshot(newer)


def test_whoever_reads_while_it_is_swapped_reads_on(tmp_path: Path) -> None:
    old = Snapshot(snapshot_of(tmp_path, KEYS))
    held, get = old.path, old.get
    new = Snapshot(snapshot_of(tmp_path, KEYS[:10], version=2))
    held.unlink()
    del old

    assert get(KEYS[20]) == Customer([20.0, None], "test", contact=True, rank=21)
    assert new.get(KEYS[20]) is None


def test_one_file_can_be_opened_twice(path: Path) -> None:
    one, other = Snapshot(path), Snapshot(path, is_verified=True)
    del one

    assert other.get(KEYS[0]) is not None


def test_a_look_up_takes_microseconds(path: Path) -> None:
    snapshot, rounds = Snapshot(path), 30
    begun = time.process_time()
    for _ in range(rounds):
        for key in KEYS:
            snapshot.get(key)

    assert (time.process_time() - begun) / rounds / ROWS * 1e6 < MOST_MICROSECONDS


def test_reading_imports_little() -> None:
    code = "import sys, churn_assets.serving.answering.snapshot as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {name for name in done.stdout.split() if name.startswith(NEVER)}
