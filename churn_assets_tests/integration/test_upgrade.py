"""Code that was mended, and lakes that another version of this project wrote."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from churn_assets_tests.support.processes import CHECKOUT
from churn_assets_tests.support.project import TABLES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EARLIER = CHECKOUT / "churn_assets_tests" / "data" / "root_of_0_1_0.tar.xz"
"""What version 0.1.0 left of one run on 2,000 made-up customers."""
SETTINGS = {
    "CHURN_TRAINING": json.dumps({"candidates": ["logistic_regression"], "folds": 2}),
    "CHURN_SOURCES__TELCO_CHURN__ROWS": "2000",
}


@dataclass(frozen=True)
class Code:
    """A copy of the project's code, to be mended, and where it keeps what it makes."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / ".churn"

    def churn(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        outside = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
        return subprocess.run(
            [sys.executable, "-m", "churn_assets.cli", *arguments],
            cwd=self.folder,
            env={**outside, "PYTHONPATH": str(self.folder), "COLUMNS": "200", **SETTINGS},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self) -> str:
        """What a run that succeeds prints."""
        ended = self.churn("run")
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def mend(self, file: str, change: Callable[[str], str]) -> None:
        """Change a file of the package."""
        path = self.folder / "churn_assets" / file
        before = path.read_text()
        assert change(before) != before
        path.write_text(change(before))

    def rows(self, table: str) -> pl.DataFrame:
        return pl.read_delta(str(self.root / "lake" / "telco_churn" / table))

    def note(self, table: str) -> Mapping[str, Any]:
        """What is kept with a table's last commit."""
        (last,) = DeltaTable(str(self.root / "lake" / "telco_churn" / table)).history(1)
        return json.loads(last["userMetadata"])

    @property
    def tables(self) -> list[str]:
        """Those that are there; the version before had fewer."""
        lake = self.root / "lake" / "telco_churn"
        return [table for table in TABLES if (lake / table / "_delta_log").is_dir()]

    def data_versions(self) -> dict[str, str]:
        return {table: self.note(table)["data_version"] for table in self.tables}


def copy_of_the_code(folder: Path) -> Code:
    for part in ("churn_assets", "config"):
        shutil.copytree(
            CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    return Code(folder)


@pytest.fixture
def code(tmp_path: Path) -> Code:
    return copy_of_the_code(tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Code:
    """Code whose job ran once; not to be changed."""
    code = copy_of_the_code(tmp_path_factory.mktemp("ran"))
    code.run()
    return code


@pytest.fixture
def ran_code(ran: Code, tmp_path: Path) -> Code:
    """The same, with what it keeps, in a place of its own."""
    shutil.copytree(ran.folder, tmp_path, dirs_exist_ok=True)
    return Code(tmp_path)


def made_by_the_version_before(code: Code) -> None:
    """Put a root of version 0.1.0 where the code keeps its own."""
    with tarfile.open(EARLIER) as archive:
        archive.extractall(code.folder, filter="data")
    moved = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "storage_location",
    }
    with closing(sqlite3.connect(code.root / "mlflow.db")) as database, database:
        # MLflow keeps whole addresses of files.
        ((artifacts,),) = database.execute(
            "SELECT artifact_location FROM experiments WHERE name = 'telco_churn'"
        )
        written_at = artifacts.removeprefix("file://").removesuffix("/artifacts")
        for table, column in moved.items():
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (written_at, str(code.root)),
            )


def test_a_mended_parser_reaches_a_lake_that_exists(ran_code: Code) -> None:
    code = ran_code
    before = code.rows("silver")["monthly_charges_usd"].sum()

    code.mend(
        "tables/engines/polars_engine.py",
        lambda text: text.replace(
            "else pl.col(name).cast(polars_types[dtype], strict=False)",
            "else pl.col(name).cast(polars_types[dtype], strict=False)"
            " * (2 if dtype is DType.FLOAT64 else 1)",
        ),
    )
    code.churn("run")

    assert code.rows("silver")["monthly_charges_usd"].sum() == pytest.approx(2 * before)
    assert code.rows("features")["monthly_charges_usd"].sum() == pytest.approx(2 * before)


def test_mended_code_that_changes_no_row_makes_nothing_anew_from_it(ran_code: Code) -> None:
    code = ran_code
    # Predictions say which version of features was scored, so they are others.
    kept = set(TABLES) - {"predictions", "scores"}
    before, trained = code.data_versions(), code.rows("model")

    code.mend("tables/engines/polars_engine.py", lambda text: f"{text}\nMADE_FOR_A_TEST = 1\n")
    code.run()

    after = code.data_versions()
    assert {table: after[table] for table in kept} == {table: before[table] for table in kept}
    assert code.rows("model").equals(trained)
    assert code.note("silver")["made_from"] != before["silver"]


def test_what_the_version_before_left_goes_on(code: Code) -> None:
    made_by_the_version_before(code)
    tables = ("raw", "silver", "rejects", "features", "predictions")
    before = {table: code.rows(table) for table in tables}
    versions = code.data_versions()
    status = code.churn("status")

    first = code.run()
    second = code.run()

    assert status.returncode == 0, status.stderr
    assert "champion: version 1 of telco_churn" in status.stdout
    # The tables come out as they were, so that nothing but the model is made anew from them.
    for table in ("raw", "silver", "rejects", "features"):
        assert code.data_versions()[table] == versions[table]
        assert code.rows(table).sort(pl.all()).equals(before[table].sort(pl.all()))
    assert "earlier version of Churn Assets" in first
    assert code.rows("model")["version"].sort().to_list() == [1, 2]
    assert code.rows("champion")["version"].sort().to_list()[0] == 1
    assert code.rows("predictions").height == before["predictions"].height
    # Once is enough.
    assert "trained again" not in second
    assert code.rows("model").height == 2


def test_the_champion_of_the_version_before_scores(code: Code) -> None:
    made_by_the_version_before(code)
    before = code.rows("predictions").sort("customer_id")
    code.mend("learning/scorer.py", lambda text: f"{text}\nMADE_FOR_A_TEST = 1\n")

    script = (
        "from churn_assets.assets.resources import resources;"
        "from churn_assets.learning.scoring import score;"
        "from churn_assets.settings import load_settings;"
        "from churn_assets.usecases import USE_CASES;"
        "score(resources(load_settings()).workplace(USE_CASES['telco_churn']))"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=code.folder,
        env={**os.environ, "PYTHONPATH": str(code.folder), **SETTINGS},
        check=True,
        timeout=300,
    )

    now = code.rows("predictions").sort("customer_id")
    assert now["model_version"].unique().to_list() == [1]
    difference = (now["churn_probability"] - before["churn_probability"]).abs().max()
    assert difference < 1e-9
    decided = ("decision", "contact", "rank")
    assert now.select(decided).equals(before.select(decided))
    # One cause is one reason since then, so that its odds are those of all that derives from it.
    assert now["reason_1"].null_count() == 0


def test_a_lake_that_a_newer_version_wrote_to_is_refused_before_anything_is_replaced(
    code: Code,
) -> None:
    made_by_the_version_before(code)
    silver = str(code.root / "lake" / "telco_churn" / "silver")
    note = {**code.note("silver"), "layout": 99}
    write_deltalake(
        silver,
        pl.read_delta(silver),
        mode="overwrite",
        commit_properties=CommitProperties(custom_metadata={"userMetadata": json.dumps(note)}),
    )

    def versions() -> dict[str, int]:
        lake = code.root / "lake" / "telco_churn"
        return {table: DeltaTable(str(lake / table)).version() for table in code.tables}

    before = versions()

    for command in (("run",), ("run", "--source", "none.csv"), ("status",)):
        refused = code.churn(*command)

        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"churn: {silver}: a newer version of Churn Assets wrote this table")
    assert versions() == before
