"""A moved or copied project: its models come along, and the original is left alone."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from churn_assets.errors import RegistryError
from churn_assets.learning.registry import CHALLENGER, CHAMPION
from churn_assets.learning.storing.place import follow
from churn_assets_tests.support.disks import small_disk
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.registering import challenge, stored_files

EXPERIMENT = "telco_churn"
ADDRESSES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def at(folder: Path, original: Project, **settings: Any) -> Project:
    """The project whose `.churn` lies in a folder now, with its source where it was."""
    return Project(folder, sources=original.settings().sources, **settings)


@pytest.fixture
def original(finished: Project, tmp_path: Path) -> Project:
    """A whole project that may be moved."""
    shutil.copytree(finished.folder / ".churn", tmp_path / "a" / ".churn")
    project = at(tmp_path / "a", finished)
    project.registry.connect()
    return project


@pytest.fixture
def moved(original: Project, tmp_path: Path) -> Project:
    """It, after its folder got another name, one that an address writes with an escape."""
    return at(original.folder.rename(tmp_path / "a b"), original)


def content(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def addresses(project: Project) -> Iterator[str]:
    """Every address of a file that the store has for this experiment."""
    with closing(sqlite3.connect(project.folder / ".churn" / "mlflow.db")) as store:
        for table, column in ADDRESSES.items():
            rows = store.execute(f"SELECT {column} FROM {table}").fetchall()
            assert rows, table
            where = "WHERE name = 'telco_churn'" if table == "experiments" else ""
            rows = store.execute(f"SELECT {column} FROM {table} {where}").fetchall()
            yield from (address for (address,) in rows)


def below(project: Project) -> str:
    return (project.folder / ".churn" / "artifacts").as_uri()


def test_a_moved_project_goes_on_with_its_champion_and_leaves_its_old_place(
    original: Project, moved: Project
) -> None:
    old = original.folder
    before = moved.states()

    again = moved.run()
    trained = moved.run(retrain=True)

    assert again.success, again.error
    assert moved.states()["predictions"].rows == before["predictions"].rows
    assert trained.success or "Challenger refused" in trained.error, trained.error
    assert sorted(moved.rows("model")["version"]) == [1, 2]
    assert all(address.startswith(below(moved)) for address in addresses(moved))
    assert stored_files(moved.registry, 2).is_dir()
    assert not old.exists()


def test_a_copy_and_its_original_go_on_apart(original: Project, tmp_path: Path) -> None:
    shutil.copytree(original.folder, tmp_path / "copy")
    copy = at(tmp_path / "copy", original)
    before = content(original.folder)

    challenge(copy, recipe="of the copy")

    assert copy.registry.by_alias(CHALLENGER).version == 2
    assert content(original.folder) == before
    in_the_copy = content(copy.folder)
    challenge(original, recipe="of the original")
    assert original.registry.by_alias(CHALLENGER).tags["recipe"] == "of the original"
    assert copy.registry.by_alias(CHALLENGER).tags["recipe"] == "of the copy"
    assert content(copy.folder) == in_the_copy
    for project in (original, copy):
        assert all(address.startswith(below(project)) for address in addresses(project))
        assert project.registry.load(2) is not None


def test_two_processes_that_open_a_moved_store_at_once_both_find_its_models(
    original: Project, moved: Project
) -> None:
    registries = [moved.registry for _ in range(4)]
    together, found = threading.Barrier(len(registries)), list[object]()

    def load(registry: Any) -> None:
        together.wait(30)
        try:
            found.append(type(registry.load(1)).__name__)
        except RegistryError as error:
            found.append(error)

    threads = [threading.Thread(target=load, args=[registry]) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(found) == len(registries)
    assert len(set(found)) == 1, found
    assert all(address.startswith(below(moved)) for address in addresses(moved))


def test_a_copy_that_cannot_be_written_is_read_and_the_original_is_left_alone(
    original: Project, tmp_path: Path
) -> None:
    place = tmp_path / "copy"
    place.mkdir()
    before = content(original.folder)
    with small_disk(place) as disk:
        shutil.copytree(original.folder, place, dirs_exist_ok=True)
        with disk.read_only():
            copy = at(place, original)
            champion = copy.registry.by_alias(CHAMPION)
            with pytest.raises(MlflowException, match="readonly database"):
                challenge(copy)

    assert champion.version == 1
    assert content(original.folder) == before


def test_files_that_are_only_where_they_were_are_still_found(
    original: Project, tmp_path: Path
) -> None:
    """As of a store whose database alone was copied."""
    root = tmp_path / "copy" / ".churn"
    root.mkdir(parents=True)
    shutil.copyfile(original.folder / ".churn" / "mlflow.db", root / "mlflow.db")
    copy = at(tmp_path / "copy", original)

    assert copy.registry.load(1) is not None
    experiment = copy.registry.client.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == below(copy)


def test_what_was_set_to_lie_elsewhere_stays_there(finished: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "share" / "artifacts"
    elsewhere.mkdir(parents=True)
    database = tmp_path / "root" / "mlflow.db"
    database.parent.mkdir()
    shutil.copyfile(finished.folder / ".churn" / "mlflow.db", database)
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE experiments SET artifact_location = ?", [elsewhere.as_uri()])
    before = database.read_bytes()
    beside = (tmp_path / "root" / "artifacts").as_uri()

    follow(f"sqlite:///{database}", beside, EXPERIMENT)
    follow(f"sqlite:///{database}", elsewhere.as_uri(), EXPERIMENT)
    follow(f"sqlite:///{database}", None, EXPERIMENT)
    follow("http://127.0.0.1:9", beside, EXPERIMENT)

    assert database.read_bytes() == before


def test_another_path_to_the_same_folder_changes_nothing(original: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(original.folder)
    database = tmp_path / "link" / ".churn" / "mlflow.db"
    before = database.read_bytes()

    follow(f"sqlite:///{database}", (database.parent / "artifacts").as_uri(), EXPERIMENT)

    assert database.read_bytes() == before
