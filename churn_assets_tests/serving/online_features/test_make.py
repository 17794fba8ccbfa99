"""Features by key, as they are made of a project's tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import SnapshotError
from churn_assets.learning.workplace import Workplace
from churn_assets.serving.answering.snapshot import Customer, Snapshot
from churn_assets.serving.online_features.folder import CURRENT, read_current
from churn_assets.serving.online_features.make import Places, make_online_features
from churn_assets.serving.online_features.remote import fetch_snapshot
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake
from churn_assets.usecases.spec import Column, Contract, Int64, Label, String, UseCase
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import ROWS, USE_CASE, Project

ONLINE = "online_features"
LAST = f"features predictions {ONLINE}"


@pytest.fixture
def copied(first_run: Finished, tmp_path: Path) -> Project:
    """A project whose job has run."""
    shutil.copytree(first_run.project.folder, tmp_path, dirs_exist_ok=True)
    sources = {USE_CASE.name: {"uri": str(tmp_path / "customers.csv")}}
    return Project(tmp_path, sources=sources)


def folder_of(project: Project) -> Path:
    return project.settings().serving_folder(USE_CASE.name) / "features"


def opened(project: Project) -> Snapshot:
    current = read_current(folder_of(project))
    assert current is not None
    return Snapshot(folder_of(project) / current.file)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_each_customer_is_there_as_the_model_is_given_them(first_run: Finished) -> None:
    project = first_run.project
    snapshot, features = opened(project), project.rows("features")
    advice = project.rows("predictions").select("customer_id", "contact", "rank")
    rows = features.join(advice, on="customer_id").to_dicts()

    for row in rows:
        customer = snapshot.get([row["customer_id"]])
        assert customer is not None
        assert customer.values == [row[name] for name in snapshot.columns]
        assert (customer.split, customer.contact, customer.rank) == (
            row["split"],
            row["contact"],
            row["rank"],
        )
    assert len(snapshot) == len(rows) == ROWS
    assert snapshot.columns == USE_CASE.inputs
    kinds = snapshot.head.columns
    assert [name for name, kind in kinds.items() if kind == "number"] == list(USE_CASE.numeric)


def test_it_says_of_which_versions_it_is(first_run: Finished) -> None:
    project, head = first_run.project, opened(first_run.project).head
    features, predictions = project.state("features"), project.state("predictions")
    assert features is not None
    assert predictions is not None

    shown = {name: value.value for name, value in first_run.run.metadata(ONLINE).items()}

    assert (head.features_version, head.features_data_version) == (
        features.version,
        features.data_version,
    )
    assert head.predictions_version == predictions.version
    assert (head.use_case, head.key, head.rows) == (USE_CASE.name, ("customer_id",), ROWS)
    assert shown["dagster/row_count"] == ROWS
    assert shown["digest"] == head.digest
    assert Path(shown["dagster/uri"]).parent == folder_of(project)
    columns = {column.name: column.type for column in shown["dagster/column_schema"].columns}
    assert {"customer_id": "string", "tenure_months": "double", "rank": "long"}.items() <= (
        columns.items()
    )


def test_unchanged_tables_write_no_other_file_but_say_that_it_is_current(copied: Project) -> None:
    before = read_current(folder_of(copied))
    (file,) = folder_of(copied).glob("*.lmdb")
    written = file.stat().st_mtime_ns

    run = copied.run(tables=ONLINE)

    after = read_current(folder_of(copied))
    assert before is not None
    assert after is not None
    assert not run.metadata(ONLINE)["written"].value
    assert file.stat().st_mtime_ns == written
    assert files(folder_of(copied)) == sorted([file.name, CURRENT])
    assert after == msgspec.structs.replace(before, current_at=after.current_at)
    assert after.current_at > before.current_at


def test_others_are_kept_while_somebody_maps_them_and_the_last_two_always(
    copied: Project,
) -> None:
    folder, held = folder_of(copied), opened(copied)
    names = [held.path.name]
    for rows in (ROWS + 10, ROWS + 20, ROWS + 30):
        assert copied.run(copied.write(rows=rows), tables=f"raw silver rejects {LAST}").success
        names.append(opened(copied).path.name)

    while_mapped = files(folder)
    first = held.get([copied.rows("features")["customer_id"][0]])
    del held
    copied.run(tables=ONLINE)

    assert len(set(names)) == len(names)
    assert while_mapped == sorted([names[0], *names[2:], CURRENT])
    assert first is not None
    assert files(folder) == sorted([*names[2:], CURRENT])
    assert len(opened(copied)) == ROWS + 30


def test_a_file_that_is_gone_or_cut_short_is_made_again(copied: Project) -> None:
    path = opened(copied).path
    whole = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(whole[: len(whole) // 2])):
        damage()

        run = copied.run(tables=ONLINE)

        assert run.metadata(ONLINE)["written"].value
        assert len(opened(copied)) == ROWS


def test_what_a_killed_process_left_is_taken_away(copied: Project) -> None:
    left = folder_of(copied) / ".making-left"
    left.mkdir()
    (left / "customers").write_bytes(b"half")

    copied.run(tables=ONLINE)

    assert not left.exists()


def test_a_server_elsewhere_fetches_it_from_where_it_was_put(
    copied: Project, tmp_path: Path
) -> None:
    store, cache = tmp_path / "store", tmp_path / "cache"
    run = copied.run(tables=ONLINE, serving={"features_uri": store.as_uri()})
    uri = (store / USE_CASE.name).as_uri()

    first = fetch_snapshot(uri, cache)
    fetched = first.stat().st_mtime_ns
    again = fetch_snapshot(uri, cache)

    assert run.metadata(ONLINE)["given_out_to"].value == uri
    assert first == again
    assert first.stat().st_mtime_ns == fetched
    assert Snapshot(first).head == opened(copied).head
    assert read_current(cache) == read_current(folder_of(copied))
    assert files(store / USE_CASE.name) == files(folder_of(copied))


def test_what_came_damaged_is_refused_and_what_was_there_stands(
    copied: Project, tmp_path: Path
) -> None:
    store, cache = tmp_path / "store", tmp_path / "cache"
    settings = {"serving": {"features_uri": store.as_uri()}}
    copied.run(tables=ONLINE, **settings)
    uri = (store / USE_CASE.name).as_uri()
    good = fetch_snapshot(uri, cache)
    copied.run(copied.write(rows=ROWS + 10), tables=f"raw silver rejects {LAST}", **settings)
    newest = store / USE_CASE.name / opened(copied).path.name
    whole = newest.read_bytes()

    for damaged in (whole[:-1000], whole[:1000] + b"?" + whole[1001:], good.read_bytes()):
        newest.write_bytes(damaged)
        with pytest.raises(SnapshotError, match=r"damaged|cut short|is not the file that"):
            fetch_snapshot(uri, cache)
        assert files(cache) == sorted([good.name, CURRENT])
        assert len(Snapshot(good)) == ROWS
    newest.write_bytes(whole)

    assert len(Snapshot(fetch_snapshot(uri, cache))) == ROWS + 10


def test_a_store_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    nowhere = "s3://nobody/features"
    keys = {
        "aws_endpoint_url": "http://127.0.0.1:9",
        "aws_access_key_id": "id",
        "aws_secret_access_key": "hidden",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }

    with pytest.raises(SnapshotError, match=r"could not be fetched: .*Those before stand") as told:
        fetch_snapshot(nowhere, tmp_path, keys)

    assert "hidden" not in str(told.value)


def test_keys_of_several_parts_and_customers_with_several_rows(tmp_path: Path) -> None:
    case = UseCase(
        name="visits",
        key=("shop", "number"),
        label=Label("left", positive="Yes"),
        contract=Contract(
            Column("shop", Int64), Column("number", String), Column("left", String, nullable=True)
        ),
        clean=lambda records: records,
        features=lambda silver: silver,
        numeric=("visits",),
        categorical=("is_member",),
        description="Who comes again.",
    )
    tables = Lake(str(tmp_path / "lake"), PolarsEngine(), layers=LAYERS).of(case)
    rows = pl.DataFrame({
        "shop": [10, 2, 2, 2, 3], "number": ["a", "b", "b", "c", None],
        "visits": [0.5, -0.0, 4.0, None, 1.0], "is_member": [True, False, None, None, None],
        "label": [None, True, None, None, None], "split": ["train", "train", *["test"] * 3],
        "to_score": [True, False, True, True, True],
    })  # fmt: skip
    tables["features"].replace(nw.from_native(rows.lazy()), "features")
    place = Workplace(case, tables, registry=None)  # type: ignore[arg-type]

    committed = make_online_features(place, Places(tmp_path / "online"))

    snapshot = Snapshot(Path(committed.uri))
    found = [snapshot.get(key) for key in (["10", "a"], ["2", "b"], ["2", "c"], ["2", "a"])]
    assert found == [
        Customer([0.5, "True"], "train", contact=None, rank=None),
        Customer([4.0, None], "test", contact=None, rank=None),
        Customer([None, None], "test", contact=None, rank=None),
        None,
    ]
    assert (len(snapshot), snapshot.head.predictions_version) == (3, None)
