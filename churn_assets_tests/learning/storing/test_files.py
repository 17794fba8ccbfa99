"""A stored model's digest: it tells any change of its files, and nothing but that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from churn_assets.learning.storing.files import StoredModel, digest_of

FILES = {"MLmodel": "flavors: {}", "model.skops": "trees", "code/package/one.py": "ONE = 1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def swap(folder: Path) -> None:
    one, other = folder / "MLmodel", folder / "model.skops"
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)


CHANGES: dict[str, Callable[[Path], object]] = {
    "model.skops was changed": lambda folder: (folder / "model.skops").write_text("three"),
    "code/evil.py was added": lambda folder: (folder / "code" / "evil.py").write_text(""),
    "code/package/one.py is missing": lambda folder: (folder / "code/package/one.py").unlink(),
    "MLmodel was changed, model.skops was changed": swap,
    "code/package/one.py is missing, code/package/two.py was added": lambda folder: (
        folder / "code/package/one.py"
    ).rename(folder / "code/package/two.py"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_of_a_file_gives_another_digest_and_is_named(folder: Path, what: str) -> None:
    before = StoredModel.of(folder)

    CHANGES[what](folder)

    now = StoredModel.of(folder)
    assert now.digest != before.digest
    assert now.changes(before.manifest) == what


def test_a_copy_elsewhere_has_the_same_digest(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("elsewhere") / "copy")

    assert StoredModel.of(copy).digest == StoredModel.of(folder).digest


def test_what_loading_leaves_beside_a_model_is_no_change(folder: Path) -> None:
    before = StoredModel.of(folder).digest

    (folder / "registered_model_meta").write_text("model_name: telco_churn")
    compiled = folder / "code" / "package" / "__pycache__"
    compiled.mkdir()
    (compiled / "one.cpython-311.pyc").write_bytes(b"compiled")

    assert StoredModel.of(folder).digest == before


def test_no_name_of_a_file_can_stand_for_two_files() -> None:
    two = StoredModel({"a": b"1", "b": b"2"})
    second = json.loads(two.manifest)["b"]

    one = StoredModel({f'a": "{json.loads(two.manifest)["a"]}",\n "b': b"2"})

    assert json.loads(one.manifest) != json.loads(two.manifest)
    assert second in one.manifest
    assert one.digest != two.digest


def test_many_changes_are_counted(folder: Path) -> None:
    before = StoredModel.of(folder).manifest
    for number in range(5):
        (folder / f"new_{number}").write_text("")

    changes = StoredModel.of(folder).changes(before)

    assert changes == "new_0 was added, new_1 was added, new_2 was added and 2 more"
    assert digest_of(before) != StoredModel.of(folder).digest
