"""What holds of the code as a whole: who may import whom, and what loading it costs."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import churn_assets
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.processes import CHECKOUT

PACKAGE = Path(churn_assets.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CODE = ("churn_assets", "churn_assets_tests", "benchmarks")
MOST_MODULES = 15
"""In one folder: more of them cannot be taken in at a glance."""
SLOW = {"mlflow", "lightgbm", "sklearn", "pandas", "pyspark"}
"""Each costs a process that only declares assets a second or more."""
USE_CASE = "churn_assets.usecases.telco_churn"
LEAKS = {
    "assets/probe.py": "churn_assets.cli.run",
    "errors.py": "churn_assets.types",
    "learning/probe.py": "churn_assets.assets.shared",
    "learning/judging/probe.py": "churn_assets.settings",
    "monitoring/probe.py": "dagster",
    "pages/probe.py": "churn_assets.tables.lake",
    "scaffold/probe.py": "churn_assets.learning.metrics",
    "serving/answering/probe.py": "churn_assets.learning.explaining.contributions",
    "serving/answering/other.py": USE_CASE,
    "tables/probe.py": "churn_assets.learning.odds",
    "tables/engines/probe.py": "churn_assets.tables.ingest",
    "types.py": "churn_assets.errors",
    "unheard_of/probe.py": "churn_assets.errors",
    "usecases/probe.py": "churn_assets.tables.contract",
    "usecases/spec.py": USE_CASE,
}
"""An import that some rule forbids, by the module that it is added to."""


def name_of(file: Path) -> str:
    """Dotted name of a module, below the package."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def lint_imports(folder: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Hold the package in a folder to the rules that its pyproject.toml lists."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def with_import(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Adds imports to modules of a copy of the package, and holds it to the rules."""
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    copy = shutil.copytree(
        PACKAGE, tmp_path / "churn_assets", ignore=shutil.ignore_patterns("__pycache__")
    )

    def check(imports: dict[str, str]) -> subprocess.CompletedProcess[str]:
        for path, module in imports.items():
            file = copy / path
            file.parent.mkdir(exist_ok=True)
            (file.parent / "__init__.py").touch()
            with file.open("a", encoding="utf-8") as text:
                text.write(f"\n\ndef _probe() -> None:\n    import {module}\n")
        return lint_imports(tmp_path)

    return check


def test_imports_point_one_way() -> None:
    checked = lint_imports()

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " 0 broken" in checked.stdout


@pytest.mark.parametrize("path", LEAKS)
def test_an_import_that_a_rule_forbids_is_noticed(path: str, with_import) -> None:
    checked = with_import({path: LEAKS[path]})

    assert checked.returncode == 1
    assert " broken" in checked.stdout, checked.stdout + checked.stderr


def test_a_server_may_be_set_up_and_may_clean_a_raw_record(with_import) -> None:
    checked = with_import(
        {
            "monitoring/drift.py": "churn_assets.learning.metrics",
            "serving/app.py": "churn_assets.serving.records",
            "serving/loader.py": "churn_assets.settings",
            "serving/answering/compiled.py": "churn_assets.learning.odds",
            "serving/records.py": f"{USE_CASE}, churn_assets.tables.contract",
        }
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_other_module_of_the_server_leads_to_a_use_case(with_import) -> None:
    checked = with_import(
        {
            "serving/answering/log.py": "churn_assets.serving.records",
            "serving/records.py": USE_CASE,
        }
    )

    assert checked.returncode == 1
    assert "churn_assets.serving.answering.log" in checked.stdout


def test_no_module_imports_itself_by_way_of_others() -> None:
    # For type checkers too: who reads a module follows those as well.
    graph = grimp.build_graph("churn_assets", cache_dir=None)

    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}

    assert len(list(TopologicalSorter(imports).static_order())) == len(graph.modules)


def test_every_folder_is_a_package_that_imports_nothing_by_itself() -> None:
    # import-linter passes over a folder that is none, and over what its __init__.py brings along.
    folders = {file.parent for file in MODULES}
    packages = [folder / "__init__.py" for folder in folders]
    importing = {
        name_of(file)
        for file in packages
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert importing <= {"usecases"}


@pytest.mark.parametrize("root", CODE)
def test_a_folder_is_taken_in_at_a_glance(root: str) -> None:
    files = [file for file in (CHECKOUT / root).rglob("*.py") if file.name != "__init__.py"]
    folders = {file.parent for file in files}

    sizes = {str(folder): sum(file.parent == folder for file in files) for folder in folders}

    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_the_examples_of_the_documentation_are_tests(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("doctestmodules")
    assert PACKAGE.name in pytestconfig.getini("testpaths")


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
    spec = PACKAGE / "usecases" / "spec.py"
    elsewhere = [file for file in MODULES if not file.is_relative_to(spec.parent) or file == spec]

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
