"""What a user relies on where versions of code and data are told apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from churn_assets.tables import versions
from churn_assets.tables.versions import code_version, data_version


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that can be found, and fails when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "made_for_a_test.py"
    file.write_text("raise RuntimeError('imported')\n")
    return file


def test_a_code_version_changes_with_the_text_of_the_code_and_without_importing_it(
    module: Path,
) -> None:
    before = code_version(module.stem)

    module.write_text("raise RuntimeError('imported again')\n")

    assert code_version(module.stem) != before


def test_a_code_version_changes_with_the_settings_that_it_depends_on() -> None:
    versions = {
        code_version(code_version),
        code_version(code_version, seed=1),
        code_version(code_version, seed=2),
        code_version(code_version, sample=1),
    }

    assert len(versions) == 4


def test_a_code_version_is_that_of_the_files_in_whatever_order_they_are_named(
    module: Path,
) -> None:
    expected = code_version(code_version, module.stem)

    assert code_version(module.stem, code_version) == expected
    assert code_version(module.stem, data_version, "churn_assets.tables.versions") == expected


def test_a_code_version_is_the_same_in_every_process() -> None:
    modules = [f"churn_assets.tables.{name}" for name in ("engines", "lake", "versions", "refine")]
    script = (
        "from churn_assets.tables.versions import code_version;"
        f"print(code_version(*{modules}, seed=1, sample=0.5))"
    )

    versions = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }

    assert versions == {code_version(*modules, sample=0.5, seed=1)}


def test_code_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="has no source file"):
        code_version("no_such_module_anywhere")


def test_a_data_version_changes_with_the_code_and_with_each_input() -> None:
    versions = {
        data_version("code", {"raw": "1"}),
        data_version("code", {"raw": "2"}),
        data_version("code", {"silver": "1"}),
        data_version("other", {"raw": "1"}),
        data_version("code", {"raw": "1", "silver": "1"}),
        data_version("code", {}),
    }

    assert len(versions) == 6


def test_a_data_version_is_the_same_in_whatever_order_the_inputs_are_named() -> None:
    assert data_version("code", {"a": "1", "b": "2"}) == data_version("code", {"b": "2", "a": "1"})


def test_the_example_of_the_documentation_holds() -> None:
    import doctest

    assert doctest.testmod(versions) == doctest.TestResults(failed=0, attempted=1)
