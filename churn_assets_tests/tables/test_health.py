"""Damage to a table is found, named by its file, and undone where an older version is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import DamageError, GateError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.faults.damage import DIGESTS
from churn_assets.tables.health import (
    damage_named,
    examine,
    good_versions,
    lost,
    mend_log,
)
from churn_assets.tables.lake import Table
from churn_assets_tests.conftest import S3
from churn_assets_tests.support.disks import cut, flip_a_bit

ENGINE = PolarsEngine()


def frame(rows: int) -> nw.LazyFrame[Any]:
    return nw.from_native(
        pl.LazyFrame({"key": [f"k{i}" for i in range(rows)], "value": range(rows)})
    )


def replaced(table: Table, versions: int) -> Table:
    """A table of so many versions, the first of a hundred rows and each next of one more."""
    for version in range(versions):
        table.replace(frame(100 + version), f"code {version}", {"source": version}, part=version)
    return table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return replaced(Table("features", str(tmp_path / "features"), ENGINE), 3)


def data_file(table: Table) -> Path:
    delta = table.opened()
    assert delta is not None
    return Path(delta.file_uris()[0])


def commit(table: Table, version: int) -> Path:
    return Path(table.uri, "_delta_log", f"{version:020}.json")


def garble(file: Path) -> None:
    file.write_bytes(b"?" * file.stat().st_size)


# Data files


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "is missing"),
    "cut": (cut, "bytes of"),
    "a bit flipped": (flip_a_bit, "holds other bytes than were written"),
    "garbled": (garble, "holds other bytes than were written"),
}


def test_a_whole_table_has_no_fault(table: Table) -> None:
    found = examine(table)

    assert (found.fault, found.files, found.state) == ("", 1, table.require())


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_data_file_is_named(table: Table, damage: str) -> None:
    file, (do, words) = data_file(table), DAMAGE[damage]
    do(file)

    fault = examine(table).fault

    assert fault.startswith(f"{file} ")
    assert words in fault


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_table_whose_files_are_not_there_as_written_is_not_current(
    table: Table, damage: str
) -> None:
    file, (do, _) = data_file(table), DAMAGE[damage]
    do(file)

    for ask in (table.state, table.require, lambda: table.current("code 2")):
        with pytest.raises(DamageError) as caught:
            ask()
        message = str(caught.value)
        assert message.startswith(f"the table features is damaged: {file} ")
        assert message.endswith("; run `churn doctor`.")


def test_a_file_without_a_digest_is_read(table: Table) -> None:
    shutil.rmtree(Path(table.uri, DIGESTS))
    assert examine(table).fault == ""
    garble(data_file(table))

    assert examine(table).fault == f"{data_file(table)} cannot be read"


def test_of_several_damaged_files_the_first_is_named_and_all_are_counted(tmp_path: Path) -> None:
    table = Table("scores", str(tmp_path / "scores"), ENGINE)
    for part in range(3):
        table.append(frame(10), str(part))
    for file in Path(table.uri).glob("*.parquet"):
        cut(file)

    assert examine(table).fault.endswith(" (and 2 more of 3 files)")


def test_damage_in_a_store_is_named(s3: S3) -> None:
    uri = f"{s3.bucket('damaged')}/features"
    table = replaced(Table("features", uri, ENGINE, s3.storage_options), 2)
    assert examine(table).fault == ""
    delta = table.opened()
    assert delta is not None
    file = delta.file_uris()[0]
    name = file.rpartition("/")[2]

    s3.client.put_object(Bucket="damaged", Key=f"features/{name}", Body=b"short")
    shortened = examine(table).fault
    s3.client.delete_object(Bucket="damaged", Key=f"features/{name}")

    assert shortened.startswith(f"{file} has 5 bytes of ")
    assert examine(table).fault == f"{file} is missing"


# The log


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda table: cut(commit(table, 2)), "{2} cannot be read"),
        (lambda table: commit(table, 1).unlink(), "{1} is missing"),
        (lambda table: commit(table, 0).unlink(), "{0} is missing"),
    ],
    ids=["cut", "one missing", "the first missing"],
)
def test_a_damaged_log_is_named_by_its_file(
    table: Table, damage: Callable[[Table], None], words: str
) -> None:
    expected = words.format(*(commit(table, version) for version in range(3)))
    damage(table)

    with pytest.raises(DamageError) as caught:
        table.state()

    assert str(caught.value) == (f"the table features is damaged: {expected}; run `churn doctor`.")
    assert examine(table).fault == expected


def test_of_a_cut_commit_the_version_before_is_left(table: Table) -> None:
    cut(commit(table, 2))

    aside = mend_log(table)

    assert aside == [f"{commit(table, 2)}.damaged"]
    assert examine(table).fault == ""
    assert (table.require().version, table.require().rows) == (1, 101)
    table.replace(frame(5), "later")
    assert table.require().rows == 5


def test_a_cut_checkpoint_is_done_without_and_no_version_is_lost(table: Table) -> None:
    delta = table.opened()
    assert delta is not None
    delta.create_checkpoint()
    checkpoint = next(Path(table.uri, "_delta_log").glob("*.checkpoint.parquet"))
    cut(checkpoint)
    fault = examine(table).fault

    mend_log(table)

    assert fault == f"{checkpoint} cannot be read"
    assert table.require().version == 2
    assert examine(table).fault == ""


def test_a_log_that_cannot_be_done_without_is_left_as_it_is(table: Table) -> None:
    commit(table, 0).unlink()
    cut(commit(table, 2))
    before = sorted(Path(table.uri, "_delta_log").iterdir())

    assert mend_log(table) == []
    assert sorted(Path(table.uri, "_delta_log").iterdir()) == before


def test_versions_that_others_were_made_from_and_that_are_gone_are_told(tmp_path: Path) -> None:
    raw, silver = (Table(name, str(tmp_path / name), ENGINE) for name in ("raw", "silver"))
    replaced(raw, 2)
    silver.replace(raw.scan(), "1", {"raw": 1})
    whole = lost({"raw": raw.state(), "silver": silver.state()})
    commit(raw, 1).unlink()
    shorter = lost({"raw": raw.state(), "silver": silver.state()})
    missing = lost({"raw": None, "silver": silver.state()})
    shutil.rmtree(raw.uri)
    replaced(raw, 1)

    assert whole == {}
    assert shorter == {"raw": "version 1, which silver was made from, is lost; the newest is 0"}
    assert missing == {"raw": "the table is not there, and silver was made from it"}
    # Whoever starts over loses nothing.
    assert lost({"raw": raw.state(), "silver": silver.state()}) == {}


# Older versions


def test_the_newest_older_version_that_is_whole_comes_back_with_all_that_was_kept_with_it(
    table: Table,
) -> None:
    cut(data_file(table))
    older = table.state(1)
    delta = table.opened(1)
    assert older is not None
    assert delta is not None

    restored = table.restore(next(good_versions(table)))

    assert (restored.version, restored.rows) == (3, 101)
    kept = ("data_version", "made_from", "reads", "details", "columns")
    assert [getattr(restored, name) for name in kept] == [getattr(older, name) for name in kept]
    assert restored.made_from == "code 1"
    assert examine(table).fault == ""


def test_an_older_version_that_is_damaged_too_is_passed_over(table: Table) -> None:
    for version in (2, 1):
        delta = table.opened(version)
        assert delta is not None
        flip_a_bit(Path(delta.file_uris()[0]))

    assert [state.version for state in good_versions(table)] == [0]


def test_a_damaged_table_that_is_made_anew_by_the_same_code_keeps_its_data_version(
    table: Table,
) -> None:
    cut(data_file(table))
    anew = Table(table.name, table.uri, ENGINE, is_made_anew=True)
    table_version = "code 2"

    assert anew.current(table_version) is None
    made = anew.replace(frame(102), table_version, data_version="another")

    assert made.data_version == "code 2"
    assert examine(table).fault == ""


# What breaks off says why


def test_what_broke_off_by_a_damaged_file_says_which(table: Table) -> None:
    garble(data_file(table))

    with pytest.raises(DamageError) as caught, damage_named(lambda: {"features": table}):
        ENGINE.collect(table.scan())

    assert str(caught.value).startswith(f"the table features is damaged: {data_file(table)} ")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("error", [ValueError("no number"), GateError("Challenger refused")])
def test_what_has_other_reasons_keeps_them(table: Table, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), damage_named(lambda: {"features": table}):
        raise error
