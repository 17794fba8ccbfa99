"""Any table goes from `churn new` to scored customers without another edit."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from churn_assets_tests.support.processes import CHECKOUT
from churn_assets_tests.support.project import ASSETS, QUICK, SHOWN
from churn_assets_tests.support.tables import SHAPES, Table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTS = ("churn_assets", "churn_assets_tests", "config")
FILES = ("pyproject.toml", "README.md", "workspace.yaml")


@dataclass(frozen=True)
class Copy:
    """A copy of the project with new use cases, after a run of each.

    Parameters
    ----------
    folder : Path
        Of the copy.
    tables : mapping of str to Table
        What each use case is made from.
    summaries : mapping of str to str
        What `churn new` printed of each.
    outcome : mapping of str to any
        What `support.programs.running` printed in its last line.
    printed : str
        What the runs printed before.
    """

    folder: Path
    tables: Mapping[str, Table]
    summaries: Mapping[str, str]
    outcome: Mapping[str, Any]
    printed: str


def python(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python on a copy of the project."""
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(folder), "CHURN_TRAINING": json.dumps(QUICK), **settings},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        shutil.copytree(
            CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in FILES:
        shutil.copyfile(CHECKOUT / file, folder / file)
    (folder / "data").mkdir()
    tables, summaries = {name: make() for name, make in SHAPES.items()}, {}
    for name, table in tables.items():
        start = time.monotonic()
        new = python(folder, "-m", "churn_assets.cli", "new", *table.arguments(folder / "data"))
        assert new.returncode == 0, new.stderr
        summaries[name] = f"{new.stdout}\nnew took {time.monotonic() - start:.1f} s"
    run = python(folder, "-m", "churn_assets_tests.support.programs.running", *tables)
    assert run.returncode == 0, run.stderr
    printed, _, outcome = run.stdout.rstrip().rpartition("\n")
    return Copy(folder, tables, summaries, json.loads(outcome), printed)


@pytest.mark.parametrize("name", SHAPES)
def test_a_table_of_any_shape_ends_with_a_champion_and_every_record_scored(
    copy: Copy, name: str
) -> None:
    run = copy.outcome["runs"][name]

    print(copy.summaries[name], f"run took {run['seconds']:.1f} s", run["scores"])
    assert run["status"] == 0
    assert run["predicted"] == copy.tables[name].records.height
    assert run["champion"] == [1]
    assert run["scores"]["roc_auc"] > 0.7


def test_a_run_and_the_model_card_count_the_questions_that_are_open(copy: Copy) -> None:
    cards = [
        file.read_text(encoding="utf-8") for file in copy.folder.rglob(".churn/**/model_card.html")
    ]
    # The console breaks a line where it is full.
    printed = " ".join(copy.printed.split())

    for name in SHAPES:
        file = copy.folder / "churn_assets" / "usecases" / f"{name}.py"
        asked = file.read_text(encoding="utf-8").count("# QUESTION: ")
        (card,) = (card for card in cards if f"<h1>{name}" in card)
        assert asked > 0
        assert f"Questions that are open in the use case's file: {asked}." in html.unescape(card)
        assert f"Open questions: {asked}, each a QUESTION in" in printed


def test_each_use_case_has_its_assets_in_a_group_of_its_own(copy: Copy) -> None:
    for name in SHAPES:
        keys = {key for key, group in copy.outcome["groups"].items() if group == name}

        assert keys == {f"{name}/{table}" for table in {*ASSETS, *SHOWN}}


def test_the_written_tests_pass(copy: Copy) -> None:
    assert copy.outcome["tests"] == 0


def test_what_is_written_is_in_the_project_s_style(copy: Copy) -> None:
    files = [f"churn_assets/usecases/{name}.py" for name in SHAPES]
    files += [f"churn_assets_tests/usecases/test_{name}.py" for name in SHAPES]

    check = python(copy.folder, "-m", "ruff", "check", "--no-cache", *files)
    format_check = python(copy.folder, "-m", "ruff", "format", "--no-cache", "--check", *files)

    assert check.returncode == 0, check.stdout
    assert format_check.returncode == 0, format_check.stdout


def test_the_settings_keep_every_line_and_name_each_source(copy: Copy) -> None:
    text = (copy.folder / "config" / "dev.yaml").read_text(encoding="utf-8")

    assert text.startswith((CHECKOUT / "config" / "dev.yaml").read_text(encoding="utf-8"))
    assert list(yaml.safe_load(text)["sources"]) == list(reversed(SHAPES))


def test_nothing_is_written_into_the_checkout(copy: Copy) -> None:
    for name in SHAPES:
        assert not (CHECKOUT / "churn_assets" / "usecases" / f"{name}.py").exists()
        assert f"{name}:" not in (CHECKOUT / "config" / "dev.yaml").read_text(encoding="utf-8")


def test_an_input_is_taken_away_as_the_guide_says(copy: Copy) -> None:
    file = copy.folder / "churn_assets" / "usecases" / "numeric.py"
    text = file.read_text(encoding="utf-8")
    (line,) = re.findall(r'^    Column\("visits".*\n', text, re.MULTILINE)
    file.write_text(text.replace(line, "").replace("LEFT_OUT = (\n", f"LEFT_OUT = (\n{line}"))
    settings = {"CHURN_GATES": json.dumps({"f1_margin": 0.05})}

    run = python(copy.folder, "-m", "churn_assets.cli", "run", "--use-case", "numeric", **settings)

    assert run.returncode == 0, run.stderr
    lake = copy.folder / ".churn" / "lake" / "numeric"
    promotion = pl.read_delta(str(lake / "champion")).sort("promotion").row(-1, named=True)
    reasons = {verdict["gate"]: verdict["reason"] for verdict in json.loads(promotion["gates"])}
    assert promotion["version"] == 2
    assert "Champion 1 has 0." in reasons["f1_gate"]
    assert set(pl.read_delta(str(lake / "predictions"))["model_version"]) == {2}
    assert "visits" not in pl.read_delta(str(lake / "features")).columns
