"""The lake: one commit or none, and every version can be asked what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from churn_assets.errors import EngineError, TableError
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Committed, Lake, Table, TableNames, record_tables
from churn_assets.tables.versions import LAYOUT
from churn_assets.usecases import USE_CASES
from churn_assets_tests.conftest import S3

ENGINE = PolarsEngine()
WRITERS = 6


def frame(**columns: Any) -> nw.LazyFrame:
    return nw.from_native(pl.LazyFrame(columns))


def rows(table: Table, version: int | None = None) -> list[dict[str, Any]]:
    return ENGINE.collect(table.scan(version)).to_pylist()


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(TableError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table("features", str(tmp_path / "features"), ENGINE)


@pytest.mark.parametrize("root", ["lake", "lake/", "s3://bucket/lake", "s3://bucket/lake/"])
def test_each_use_case_has_its_tables_in_its_own_folder(root: str) -> None:
    case = USE_CASES["telco_churn"]
    lake = Lake(root, ENGINE, layers=(record_tables, lambda _: ("drift",)))

    tables = lake.of(case)

    assert {name: table.uri for name, table in tables.items()} == {
        name: f"{root.rstrip('/')}/telco_churn/{name}" for name in (*record_tables(case), "drift")
    }


def test_a_table_has_the_name_that_the_settings_give_it_and_no_other_has(tmp_path: Path) -> None:
    case, names = USE_CASES["telco_churn"], TableNames({"features": "mlops_{use_case}_training"})

    tables = Lake(str(tmp_path), ENGINE, names=names).of(case)
    committed = tables["features"].replace(frame(a=[1]), "1")

    assert committed.uri == str(tmp_path / "telco_churn" / "mlops_telco_churn_training")
    assert (committed.table, tables["raw"].uri) == ("features", f"{tmp_path}/telco_churn/raw")


def test_a_table_that_is_called_otherwise_is_moved_and_never_begun_anew(tmp_path: Path) -> None:
    case = USE_CASES["telco_churn"]
    before = Lake(str(tmp_path), ENGINE).of(case)["features"].replace(frame(a=[1]), "1")
    named = Lake(str(tmp_path), ENGINE, names=TableNames({"features": "training"})).of(case)

    refused = refusal(lambda: named["features"].replace(frame(a=[2]), "2"))
    Path(before.uri).rename(tmp_path / "telco_churn" / "training")

    assert refused.startswith(f"{before.uri} holds the table features, and by `tables.features` it")
    assert refused.endswith("Move the folder there, or remove it to start over.")
    assert named["features"].require().data_version == before.data_version


def test_a_catalog_takes_spark(tmp_path: Path) -> None:
    named = Lake(str(tmp_path), ENGINE, names=TableNames(catalog="main.churn"))
    table = named.of(USE_CASES["telco_churn"])["features"]

    with pytest.raises(EngineError, match=r"^main.churn.features: a catalog is Spark's. Set CHURN"):
        table.register()


# Before there is a table


def test_a_table_that_was_never_written_has_no_state(table: Table) -> None:
    assert table.state() is None
    assert table.current("1") is None


def test_asking_for_a_table_that_was_never_written_says_what_to_run(table: Table) -> None:
    assert refusal(table.require) == f"{table.uri}: there is no table yet; run `churn run` first."
    assert table.uri in refusal(table.scan)


def test_a_folder_that_a_crash_left_without_a_commit_is_no_table_and_takes_one(
    table: Table,
) -> None:
    (Path(table.uri) / "_delta_log").mkdir(parents=True)
    before = table.state()

    table.replace(frame(key=["a"]), "1")

    assert before is None
    assert rows(table) == [{"key": "a"}]


# What is committed


def test_a_commit_says_what_it_holds_and_what_it_was_made_from(table: Table) -> None:
    start = datetime.now(UTC) - timedelta(seconds=1)

    committed = table.replace(
        frame(key=["a", "b"], tenure=[1, 2], price=[1.5, None]),
        "abc",
        {"silver": 7},
        rules={"is blank": 3},
    )

    files = list(Path(table.uri).glob("*.parquet"))
    assert start < committed.committed_at < datetime.now(UTC) + timedelta(seconds=1)
    assert committed == Committed(
        table="features",
        uri=table.uri,
        version=0,
        data_version="abc",
        made_from="abc",
        rows=2,
        size_bytes=sum(file.stat().st_size for file in files),
        columns={"key": "string", "tenure": "long", "price": "double"},
        reads={"silver": 7},
        committed_at=committed.committed_at,
        written_by=committed.written_by,
        details={"rules": {"is blank": 3}},
        changed=True,
    )


def test_what_was_committed_is_found_again(table: Table) -> None:
    committed = table.replace(frame(key=["a"]), "abc", {"silver": 7}, files=2)

    again = Table(table.name, table.uri, PolarsEngine()).state()

    assert again == Committed(**{**vars(committed), "changed": False})


def test_only_a_table_of_the_same_data_version_is_current(table: Table) -> None:
    table.replace(frame(key=["a"]), "1")
    table.replace(frame(key=["b"]), "2")

    assert table.current("1") is None
    assert table.current("2") == table.state()


def test_other_delta_readers_see_where_a_version_came_from(table: Table) -> None:
    table.replace(frame(key=["a"]), "abc", {"silver": 7}, files=2)

    (commit,) = DeltaTable(table.uri).history()

    note = json.loads(commit["userMetadata"])
    assert note.pop("commit")
    assert note == {
        "layout": LAYOUT,
        "data_version": "abc",
        "made_from": "abc",
        "reads": {"silver": 7},
        "details": {"files": 2},
    }


def test_rows_that_come_out_as_they_were_keep_their_data_version(table: Table) -> None:
    moments = {"moments": ("at",)}
    first = table.replace(frame(key=["a", "b"], at=[1, 1]), "code 1", **moments)

    again = table.replace(
        frame(key=["b", "a"], at=[2, 2]), "code 2", {"raw": 5}, rules=3, **moments
    )

    assert again.data_version == first.data_version == "code 1"
    assert not again.changed
    assert table.current("code 2") == again
    assert table.current("code 1") is None
    assert (again.reads, again.details) == ({"raw": 5}, {"rules": 3})
    # The rows are those of before, moments included.
    assert sorted(map(tuple, map(dict.values, rows(table)))) == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    "rows_now",
    [
        {"key": ["a", "c"], "n": [1, 2]},
        {"key": ["a", "b"], "n": [2, 1]},
        {"key": ["a", "b"], "n": [1, None]},
        {"key": ["a", "b", "b"], "n": [1, 2, 2]},
        {"key": ["a", "b"], "n": [1.0, 2.0]},
        {"key": ["a", "b"], "m": [1, 2]},
    ],
)
def test_rows_that_differ_in_anything_have_another_data_version(
    table: Table, rows_now: dict[str, list[object]]
) -> None:
    table.replace(frame(key=["a", "b"], n=[1, 2]), "code 1")

    again = table.replace(frame(**rows_now), "code 2")

    assert (again.data_version, again.made_from, again.changed) == ("code 2", "code 2", True)


def test_a_table_of_a_newer_version_is_refused_in_one_line(table: Table) -> None:
    table.replace(frame(key=["a"]), "1")
    note = {"userMetadata": json.dumps({"layout": LAYOUT + 1})}
    write_deltalake(
        table.uri,
        pl.DataFrame({"key": ["b"]}),
        mode="overwrite",
        commit_properties=CommitProperties(custom_metadata=note),
    )

    for refused in (table.state, lambda: table.replace(frame(key=["c"]), "2")):
        with pytest.raises(TableError, match="a newer version of Churn Assets wrote this table"):
            refused()

    assert rows(table) == [{"key": "b"}]


def test_a_table_of_the_version_before_is_current_by_its_data_version(table: Table) -> None:
    note = {"userMetadata": json.dumps({"data_version": "abc", "reads": {}, "details": {}})}
    write_deltalake(
        table.uri,
        pl.DataFrame({"key": ["a"]}),
        commit_properties=CommitProperties(custom_metadata=note),
    )

    held = table.current("abc")

    assert held is not None
    assert (held.data_version, held.made_from) == ("abc", "abc")


def test_a_replacement_leaves_no_row_of_the_last_version_and_that_stays_readable(
    table: Table,
) -> None:
    table.replace(frame(key=["a", "b"]), "1")
    table.replace(frame(key=["c"]), "2")

    assert rows(table) == [{"key": "c"}]
    assert sorted(row["key"] for row in rows(table, version=0)) == ["a", "b"]


def test_a_replacement_may_change_the_columns(table: Table) -> None:
    table.replace(frame(key=["a"], tenure=["1"]), "1")

    committed = table.replace(frame(key=["a"], tenure=[1], price=[2.5]), "2")

    assert committed.columns == {"key": "string", "tenure": "long", "price": "double"}
    assert rows(table) == [{"key": "a", "tenure": 1, "price": 2.5}]
    assert rows(table, version=0) == [{"key": "a", "tenure": "1"}]


def test_a_table_may_hold_no_rows_and_keeps_its_columns(table: Table) -> None:
    table.replace(frame(key=["a"], tenure=[1]), "1")

    committed = table.replace(frame(key=["a"], tenure=[1]).filter(nw.col("tenure") > 1), "2")

    assert (committed.version, committed.rows, committed.size_bytes) == (1, 0, 0)
    assert committed.columns == {"key": "string", "tenure": "long"}
    assert rows(table) == []


def test_a_table_may_be_replaced_by_what_was_read_from_it(table: Table) -> None:
    table.replace(frame(key=["a", "b"]), "1")

    table.replace(table.scan().filter(nw.col("key") == "b"), "2")

    assert rows(table) == [{"key": "b"}]


def test_appending_keeps_what_was_there(table: Table) -> None:
    table.append(frame(promotion=[1]), "1")
    committed = table.append(frame(promotion=[2]), "2")

    assert (committed.version, committed.rows, committed.data_version) == (1, 2, "2")
    assert sorted(row["promotion"] for row in rows(table)) == [1, 2]


def test_an_append_may_bring_new_columns_and_leave_out_old_ones(table: Table) -> None:
    """So that a lake which an older release wrote goes on."""
    table.append(frame(promotion=[1], f1=[0.5]), "1")

    committed = table.append(frame(promotion=[2], brier=[0.1]), "2")

    assert committed.columns == {"promotion": "long", "f1": "double", "brier": "double"}
    assert sorted(rows(table), key=lambda row: row["promotion"]) == [
        {"promotion": 1, "f1": 0.5, "brier": None},
        {"promotion": 2, "f1": None, "brier": 0.1},
    ]
    assert rows(table, version=0) == [{"promotion": 1, "f1": 0.5}]


@pytest.mark.parametrize("value", ["x", 1.5])
def test_an_append_of_another_type_is_refused_and_adds_nothing(table: Table, value: Any) -> None:
    table.append(frame(promotion=[1]), "1")

    refused = refusal(lambda: table.append(frame(promotion=[value], score=[0.5]), "2"))

    assert table.uri in refused
    assert "Its last version stands." in refused
    assert rows(table) == [{"promotion": 1}]


def test_a_version_that_never_was_is_refused_in_one_line(table: Table) -> None:
    table.replace(frame(key=["a"]), "1")

    assert table.uri in refusal(lambda: table.scan(version=99))


# Two writers


@pytest.mark.parametrize("transaction", [None, "promotion"])
def test_an_append_is_refused_if_another_came_since_its_base(
    table: Table, transaction: str | None
) -> None:
    base = table.append(frame(promotion=[1]), "1").version
    table.append(frame(promotion=[2]), "2", base=base, transaction=transaction)

    with pytest.raises(ConflictError):
        table.append(frame(promotion=[3]), "3", base=base, transaction=transaction)

    assert sorted(row["promotion"] for row in rows(table)) == [1, 2]


def test_of_many_appends_on_one_base_at_once_one_wins(table: Table) -> None:
    base = table.append(frame(promotion=[0]), "0").version

    def promote(number: int) -> bool:
        try:
            row = frame(promotion=[number])
            table.append(row, str(number), base=base, transaction="promotion")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        won = list(pool.map(promote, range(1, WRITERS + 1)))

    assert won.count(True) == 1
    assert sorted(row["promotion"] for row in rows(table)) == [0, won.index(True) + 1]


def overtaken(table: Table, other: str) -> nw.LazyFrame:
    """A frame while whose writing another run replaces the table."""
    schema = pa.schema([("key", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        table.replace(frame(key=[other]), other)
        yield pa.record_batch({"key": ["mine"]}, schema=schema)

    return ENGINE.read_batches(schema, batches)


def test_of_two_replacements_at_once_one_stands_and_the_other_is_told(table: Table) -> None:
    table.replace(frame(key=["old"]), "old")

    refused = refusal(lambda: table.replace(overtaken(table, "theirs"), "mine"))

    assert "another run replaced the table features at the same time" in refused
    assert rows(table) == [{"key": "theirs"}]


def test_two_replacements_at_once_by_the_same_data_are_one(table: Table) -> None:
    table.replace(frame(key=["old"]), "old")

    committed = table.replace(overtaken(table, "same"), "same")

    assert not committed.changed
    assert committed.data_version == "same"
    assert table.require().version == 1


# Whatever goes wrong, the last version stands


def test_rows_that_cannot_be_computed_to_the_end_replace_nothing(table: Table) -> None:
    table.replace(frame(key=["a"]), "1")
    schema = pa.schema([("key", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"key": ["b"] * 100_000}, schema=schema)
        raise RuntimeError("the line is dead")

    with pytest.raises(RuntimeError, match="the line is dead"):
        table.replace(ENGINE.read_batches(schema, batches), "2")

    assert table.require().version == 0
    assert rows(table) == [{"key": "a"}]


@pytest.mark.parametrize("damage", [b"", b"no Parquet"], ids=["empty", "other bytes"])
def test_a_table_made_from_a_damaged_one_is_not_cut_short(tmp_path: Path, damage: bytes) -> None:
    silver, features = (Table(n, str(tmp_path / n), ENGINE) for n in ("silver", "features"))
    for part in range(3):
        silver.append(frame(key=[f"{part}-{i}" for i in range(10)]), str(part))
    features.replace(silver.scan(), "1")
    next(Path(silver.uri).glob("*.parquet")).write_bytes(damage)

    with pytest.raises(Exception):  # noqa: B017, PT011
        features.replace(silver.scan(), "2")

    assert features.require().version == 0
    assert len(rows(features)) == 30


def test_a_damaged_log_is_told_in_one_line(table: Table) -> None:
    table.replace(frame(key=["a"]), "1")
    next(Path(table.uri, "_delta_log").glob("*.json")).write_text("{")

    assert table.uri in refusal(table.state)


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "telco_churn").write_text("a file stands here")
    table = Lake(str(tmp_path), ENGINE).of(USE_CASES["telco_churn"])["silver"]

    refused = refusal(lambda: table.replace(frame(key=["a"]), "1"))

    assert "could not be written: a file stands where its folder should be" in refused


# Where a lake may lie


@pytest.mark.parametrize(
    "name", ["two words", "Zoë", "東京", "50%", "a+b&c=d;e", "'quoted'", "~home", "*"]
)
def test_a_lake_may_lie_in_a_folder_of_any_usual_name(tmp_path: Path, name: str) -> None:
    table = Table("raw", str(tmp_path / name / "raw"), ENGINE)

    table.replace(frame(key=["a"]), "1")
    table.replace(frame(key=["b"]), "2")
    table.append(frame(key=["c"]), "3", base=1, transaction="promotion")

    assert sorted(row["key"] for row in rows(table)) == ["b", "c"]
    assert rows(table, version=0) == [{"key": "a"}]
    assert Path(table.uri, "_delta_log").is_dir()


@pytest.mark.parametrize("name", ["C#", "what?", "[1]", "a|b", "a^b", "50%25", "two\nlines"])
def test_a_folder_that_delta_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    table = Table("raw", str(tmp_path / name / "raw"), ENGINE)

    with pytest.raises(TableError, match="the path of a Delta table cannot hold"):
        table.replace(frame(key=["a"]), "1")

    assert list(tmp_path.iterdir()) == []


def test_a_lake_may_be_given_as_a_file_address(tmp_path: Path) -> None:
    table = Table("raw", (tmp_path / "two words").as_uri(), ENGINE)

    table.replace(frame(key=["a"]), "1")

    assert rows(table) == [{"key": "a"}]
    assert (tmp_path / "two words" / "_delta_log").is_dir()


def test_a_lake_on_s3_takes_its_keys_from_the_environment(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.storage_options.items():
        monkeypatch.setenv(name.upper(), value)
    bucket = s3.bucket("keyless")

    for folder in ("lake", "two words"):
        table = Table("raw", f"{bucket}/{folder}/raw", ENGINE)
        table.replace(frame(key=["a"]), "1")
        table.replace(frame(key=["b"]), "2")

        assert rows(table) == [{"key": "b"}]
        assert rows(table, version=0) == [{"key": "a"}]


def test_a_lake_on_s3_that_cannot_be_had_is_told_without_keys(s3: S3) -> None:
    options = dict(s3.storage_options)
    nowhere = Table("raw", "s3://no-such-bucket/raw", ENGINE, options)

    refused = refusal(lambda: nowhere.replace(frame(key=["a"]), "1"))

    assert refused.startswith("s3://no-such-bucket/raw: the table raw could not be written")
    assert options["aws_secret_access_key"] not in refused + repr(nowhere)
