"""What a user relies on where versions of code and data are told apart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import churn_assets
from churn_assets.tables import versions
from churn_assets.tables.versions import code_version, data_version

PACKAGE = Path(churn_assets.__file__).parent
TABLES = {
    "raw": "churn_assets.tables.ingest",
    "silver": "churn_assets.tables.refine",
    "features": "churn_assets.tables.featurise",
    "model": "churn_assets.learning.fitting",
    "champion": "churn_assets.learning.judging",
    "predictions": "churn_assets.learning.scoring",
}
"""What makes each table, beside the engines."""
ENGINES = "churn_assets.tables.engines"
MOST_CPU_SECONDS = 0.1


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that can be found, and fails when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "made_for_a_test.py"
    file.write_text("raise RuntimeError('imported')\n")
    return file


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    shutil.copytree(
        PACKAGE, tmp_path / "churn_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "churn_assets"


def versions_of(package: Path) -> dict[str, str]:
    """Each table's code version by a copy of the package, in a process of its own."""
    calls = ", ".join(f"code_version({name!r}, {ENGINES!r})" for name in TABLES.values())
    script = f"from churn_assets.tables.versions import code_version; print(*[{calls}])"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return dict(zip(TABLES, printed.split(), strict=True))


def changed(package: Path, before: dict[str, str]) -> set[str]:
    """The tables whose code version is another one now."""
    now = versions_of(package)
    return {table for table in TABLES if now[table] != before[table]}


def edit(file: Path, change: Callable[[str], str]) -> None:
    text = file.read_text()
    assert change(text) != text
    file.write_text(change(text))


def test_a_code_version_changes_with_the_code_and_without_importing_it(module: Path) -> None:
    before = code_version(module.stem)

    module.write_text("raise RuntimeError('imported again')\n")

    assert code_version(module.stem) != before


def test_comments_docstrings_and_formatting_change_no_code_version(module: Path) -> None:
    module.write_text('"""One."""\ndef add(a, b):\n    """Add."""\n    return a + b\n')
    before = code_version(module.stem)

    module.write_text(
        '"""Two."""\n\n\ndef add(\n    a, b\n):  # in any order\n    return (a + b)\n'
    )

    assert code_version(module.stem) == before


def test_what_only_type_checkers_follow_changes_no_code_version(module: Path) -> None:
    head = "from typing import TYPE_CHECKING\n"
    module.write_text(head)
    before = code_version(module.stem)

    module.write_text(f"{head}if TYPE_CHECKING:\n    import churn_assets.learning.metrics\n")

    # The statement itself is gone too.
    assert code_version(module.stem) == before


@pytest.mark.parametrize(
    ("file", "tables"),
    [
        ("tables/engines/polars_engine.py", set(TABLES)),
        ("tables/engines/spark_engine.py", set(TABLES)),
        ("tables/sources/text.py", {"raw"}),
        # Judges and reasons read a hold-out's records by it.
        ("tables/contract.py", set(TABLES) - {"model"}),
        ("learning/judging/gates.py", {"champion"}),
        ("learning/judging/stress.py", {"champion"}),
        ("learning/fitting/search.py", {"model"}),
        ("learning/encoding.py", {"model", "champion", "predictions"}),
        ("learning/explaining/reasons.py", {"predictions"}),
        ("errors.py", set()),
        ("pages/plots.py", set()),
        ("learning/judging/gate_plots.py", set()),
    ],
)
def test_a_change_reaches_the_tables_that_it_has_a_part_in(
    copy: Path, file: str, tables: set[str]
) -> None:
    before = versions_of(copy)

    edit(copy / file, lambda text: f"{text}\nMADE_FOR_A_TEST = 1\n")

    assert changed(copy, before) == tables


def test_no_comment_of_the_whole_package_reaches_a_table(copy: Path) -> None:
    before = versions_of(copy)

    for file in copy.rglob("*.py"):
        edit(file, lambda text: f"{text}\n# Another comment.\n")

    assert changed(copy, before) == set()


def test_an_import_in_a_function_and_a_name_in_a_text_are_followed(copy: Path) -> None:
    new, reader = copy / "tables" / "new.py", copy / "tables" / "sources" / "sql.py"
    new.write_text("HALF = 1\n")
    imported = "def half():\n    from churn_assets.tables.new import HALF\n    return HALF\n"
    for text in (imported, "NAMED = 'churn_assets.tables.new.HALF'\n"):
        edit(reader, lambda held, text=text: f"{held}\n{text}")
        before = versions_of(copy)

        edit(new, lambda held: held + "HALF = 2\n")

        assert "raw" in changed(copy, before)
        edit(reader, lambda held, text=text: held.removesuffix(f"\n{text}"))


def test_a_code_version_changes_with_the_settings_that_it_depends_on() -> None:
    found = {
        code_version(code_version),
        code_version(code_version, seed=1),
        code_version(code_version, seed=2),
        code_version(code_version, sample=1),
    }

    assert len(found) == 4


def test_a_code_version_is_that_of_the_files_in_whatever_order_they_are_named(
    module: Path,
) -> None:
    expected = code_version(code_version, module.stem)

    assert code_version(module.stem, code_version) == expected
    assert code_version(module.stem, versions, "churn_assets.tables.versions") == expected


def test_a_code_version_is_the_same_in_every_process_and_place(copy: Path) -> None:
    here = {table: code_version(name, ENGINES) for table, name in TABLES.items()}

    assert versions_of(copy) == versions_of(copy) == here


def test_code_versions_are_quick_once_the_syntax_is_known() -> None:
    calls = ", ".join(f"code_version({name!r}, {ENGINES!r})" for name in TABLES.values())
    script = (
        "import time; from churn_assets.tables.versions import code_version;"
        f"start = time.process_time(); {calls}; print(time.process_time() - start)"
    )

    seconds = [
        float(subprocess.check_output([sys.executable, "-c", script], timeout=60)) for _ in range(3)
    ]

    assert min(seconds) <= MOST_CPU_SECONDS


def test_what_cannot_be_kept_beside_the_code_is_read_each_time(copy: Path) -> None:
    before = versions_of(copy)
    cached = next(copy.rglob("__pycache__"))
    for broken in (
        lambda kept: kept.write_text("not JSON"),
        lambda kept: kept.write_text("[1]"),
        Path.unlink,
    ):
        for kept in cached.glob("*.json"):
            broken(kept)
        assert versions_of(copy) == before


def test_modules_that_only_tell_are_named_by_one_rule() -> None:
    names = {
        ".".join(("churn_assets", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in PACKAGE.rglob("*.py")
    }

    tellers = {name for name in names if re.fullmatch(versions.ONLY_TELLS, name)}

    # Whatever is named so must decide nothing.
    assert {"churn_assets.errors", "churn_assets.pages.plots"} <= tellers
    assert all("plots" in name or "pages" in name or "errors" in name for name in tellers)


def test_code_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="has no source file"):
        code_version("no_such_module_anywhere")


def test_a_data_version_changes_with_the_code_and_with_each_input() -> None:
    found = {
        data_version("code", {"raw": "1"}),
        data_version("code", {"raw": "2"}),
        data_version("code", {"silver": "1"}),
        data_version("other", {"raw": "1"}),
        data_version("code", {"raw": "1", "silver": "1"}),
        data_version("code", {}),
    }

    assert len(found) == 6


def test_a_data_version_is_the_same_in_whatever_order_the_inputs_are_named() -> None:
    assert data_version("code", {"a": "1", "b": "2"}) == data_version("code", {"b": "2", "a": "1"})
