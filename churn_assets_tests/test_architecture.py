"""What holds of the code as a whole: who may import whom, and what loading it costs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import churn_assets
from churn_assets.usecases import USE_CASES

PACKAGE = Path(churn_assets.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = {"usecases.spec", "usecases", "tables"}
MAY_IMPORT = {
    "errors": set(),
    "page": set(),
    "usecases.spec": set(),
    "usecases": {"usecases.spec", "errors"},
    "tables": {"usecases.spec", "usecases", "errors"},
    "scaffold": {*CORE, "errors", "page"},
    "learning": {*CORE, "errors", "page"},
    "monitoring": {*CORE, "learning", "errors", "page"},
    "serving": {*CORE, "learning", "errors"},
    "settings": {*CORE, "learning", "errors"},
    "assets": {*CORE, "learning", "monitoring", "settings", "errors"},
}
"""Beside its own: what stands at the package's root and not here is the shell, which may all."""
NEVER = {
    "usecases.spec": {"dagster"},
    "usecases": {"dagster"},
    "tables": {"dagster"},
    "scaffold": {"dagster"},
    "learning": {"dagster"},
    "monitoring": {"dagster"},
    "serving": {"dagster", "narwhals", "sklearn"},
}
SLOW = {"mlflow", "lightgbm", "sklearn", "pandas", "pyspark"}
"""Each costs a process that only declares assets a second or more."""


def name_of(file: Path) -> str:
    """Dotted name of a module, below the package."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def layer(module: str) -> str:
    """The layer that a module below the package belongs to."""
    return "usecases.spec" if module == "usecases.spec" else module.partition(".")[0]


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, in functions and for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: says where a relative import leads only with effort"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            # What is imported from a package may be a module of it.
            yield from whole if (node.module or "").startswith("churn_assets") else [node.module]


def own(module: str) -> str | None:
    """A module of this package, by its name below it."""
    parts = module.split(".")
    if parts[0] != "churn_assets":
        return None
    return ".".join(parts[1:3]) if parts[1:3] == ["usecases", "spec"] else ".".join(parts[1:])


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_point_one_way(file: Path) -> None:
    here = layer(name_of(file))
    if here not in MAY_IMPORT:
        assert file.parent == PACKAGE, f"{here} is a layer without a place among the others"
        return

    reached = {layer(module) for name in imported(file) if (module := own(name)) is not None}

    assert reached <= MAY_IMPORT[here] | {here}


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_the_core_knows_neither_dagster_nor_what_its_layer_does_without(file: Path) -> None:
    reached = {name.split(".")[0] for name in imported(file)}

    assert not reached & NEVER.get(layer(name_of(file)), set())


def test_the_layers_that_are_told_of_are_those_that_there_are() -> None:
    present = {layer(name_of(file)) for file in MODULES if file.parent != PACKAGE}

    assert present <= set(MAY_IMPORT)
    assert {"usecases.spec", "usecases", "tables", "learning", "assets"} <= present


# A table of one's own may have a column that is called as something else is here.
SHIPPED = [case for case in USE_CASES.values() if case.generate]


@pytest.mark.parametrize("case", SHIPPED, ids=lambda case: case.name)
def test_only_a_use_case_names_its_columns(case) -> None:
    columns = {
        name
        for contract in (case.contract, case.label_contract)
        for column in contract.columns
        for name in (column.name, column.source)
    }
    # A plain word, such as a contract, means other things elsewhere.
    telling = {name for name in columns if "_" in name or name.lower() != name}
    elsewhere = [file for file in MODULES if layer(name_of(file)) not in ("usecases",)]

    naming = {
        name_of(file)
        for file in elsewhere
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in telling
    }

    assert naming == set()


def test_declaring_the_assets_imports_nothing_slow(tmp_path: Path) -> None:
    script = "import json, sys, churn_assets.definitions; print(json.dumps(list(sys.modules)))"

    fresh = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "CHURN_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert not SLOW & set(json.loads(fresh.stdout.splitlines()[-1]))
    assert list(tmp_path.iterdir()) == []
