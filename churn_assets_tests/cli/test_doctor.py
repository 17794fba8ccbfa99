"""Whatever is damaged is told by `churn doctor`, and made whole again where it can be."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from churn_assets.cli.doctor import show_health
from churn_assets.cli.home import history, prepare_home
from churn_assets.learning.registry import CHAMPION
from churn_assets_tests.support.disks import cut, flip_a_bit
from churn_assets_tests.support.processes import churn
from churn_assets_tests.support.project import (
    ONLY_TELCO,
    QUICK,
    ROWS,
    SHOWN,
    TABLES,
    USE_CASE,
    Project,
)

WELL = "All is well: 8 tables"


@pytest.fixture(scope="module")
def sound(new_project: Callable[..., Project]) -> Project:
    """A project with two versions of raw, two Challengers and two promotions; not to be changed."""
    project = new_project()
    assert project.run(project.write(rows=ROWS - 1), tables="raw").success
    for retrain in (False, True):
        run = project.run(project.write(), retrain=retrain)
        assert run.success, run.error
    with history(prepare_home(project.settings())):
        pass
    return project


@pytest.fixture
def project(sound: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(sound.folder / ".churn", tmp_path / ".churn")
    source = {USE_CASE.name: {"uri": str(sound.folder / "customers.csv")}}
    return Project(tmp_path, sources=source)


@dataclass(frozen=True)
class Told:
    """What the doctor says, and what remains wrong."""

    shown: str
    remaining: str


@pytest.fixture
def doctor(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def ask(*, repair: bool = False) -> Told:
        capsys.readouterr()
        remaining = show_health(USE_CASE, project.settings(), repair=repair)
        return Told(capsys.readouterr().out, remaining)

    return ask


def data_file(project: Project, table: str) -> Path:
    delta = project.table(table).opened()
    assert delta is not None
    return max(map(Path, delta.file_uris()), key=lambda file: file.stat().st_mtime_ns)


def commits(project: Project, table: str) -> list[Path]:
    return sorted(Path(project.table(table).uri, "_delta_log").glob("*.json"))


def garble(file: Path) -> None:
    file.write_bytes(os.urandom(4096) + file.read_bytes()[4096:])


def change_registry(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.folder / ".churn" / "mlflow.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def model_files(project: Project) -> list[Path]:
    return sorted((project.folder / ".churn" / "artifacts").rglob("model.skops"))


# Where all is well


def test_a_sound_project_is_said_to_be_well_and_nothing_of_it_is_changed(
    project: Project, doctor: Callable[..., Told]
) -> None:
    def files() -> dict[str, bytes]:
        root = project.folder / ".churn"
        return {str(file): file.read_bytes() for file in root.rglob("*") if file.is_file()}

    # A copied root finds its own models when the registry is first opened.
    project.registry.connect()
    before = files()

    told = doctor()

    assert told.remaining == ""
    assert [line.split()[1] for line in told.shown.splitlines()[:-1]] == list(SHOWN)
    assert told.shown.splitlines()[-1].startswith(WELL)
    assert files() == before


def test_before_the_first_run_nothing_is_wrong_and_nothing_is_made(
    new_project: Callable[..., Project], capsys: pytest.CaptureFixture[str]
) -> None:
    project = new_project()
    (project.folder / ".churn" / "mlflow.db").unlink()

    assert show_health(USE_CASE, project.settings(), repair=True) == ""

    assert capsys.readouterr().out.count("not there yet") == len(SHOWN)
    assert list((project.folder / ".churn").iterdir()) == []


# What is told and mended


@dataclass(frozen=True)
class Case:
    """Damage, what is told of it, and how it is mended."""

    damage: Callable[[Project], None]
    told: str
    mended: str


def first_commit_missing(table: str) -> Callable[[Project], None]:
    return lambda project: commits(project, table)[0].unlink()


def spoilt(table: str, do: Callable[[Path], None]) -> Callable[[Project], None]:
    return lambda project: do(data_file(project, table))


def garbled_journal(project: Project) -> None:
    journal = project.settings().studies_folder / "telco_churn-0123.journal"
    journal.parent.mkdir(exist_ok=True)
    journal.write_text('{"op_code": 0}\nnot JSON\n')


MENDED = {
    "silver missing": Case(
        spoilt("silver", Path.unlink), "is missing", "silver is made anew: version 1, 3,000 rows"
    ),
    "silver's log gone": Case(
        first_commit_missing("silver"),
        "the table is not there, and features was made from it",
        "silver is made anew: version 0, 3,000 rows",
    ),
    "predictions' log": Case(
        first_commit_missing("predictions"),
        "00000000000000000000.json is missing",
        "predictions is made anew: version 0, 3,000 rows",
    ),
    "rejects' log": Case(
        lambda project: cut(commits(project, "rejects")[0]),
        "cannot be read",
        "rejects is made anew: version 0, 0 rows",
    ),
    "features flipped": Case(
        spoilt("features", flip_a_bit),
        "holds other bytes than were written",
        "features is made anew: version 1, 3,000 rows",
    ),
    "features gone": Case(
        lambda project: shutil.rmtree(project.table("features").uri),
        "the table is not there, and model was made from it",
        "features is made anew: version 0, 3,000 rows",
    ),
    "predictions cut": Case(
        spoilt("predictions", cut), "bytes of", "predictions is made anew: version 2, 3,000 rows"
    ),
    "raw cut": Case(spoilt("raw", cut), "bytes of", "raw is restored to its version 0 of "),
    "raw's newest commit": Case(
        lambda project: cut(commits(project, "raw")[-1]),
        "cannot be read",
        "UTC: version 1, 2,999 rows (kept: ",
    ),
    "model missing": Case(
        spoilt("model", Path.unlink), "is missing", "model is restored to its version 0 of "
    ),
    "alias elsewhere": Case(
        lambda project: project.registry.point(CHAMPION, 1),
        "the alias champion of telco_churn names version 1, and version 2 is Champion on record",
        "the alias champion names version 2 again",
    ),
    "alias nowhere": Case(
        lambda project: change_registry(project, "DELETE FROM registered_model_aliases"),
        "the alias champion of telco_churn is missing, and version 2 is Champion on record",
        "the alias champion names version 2 again",
    ),
    "no digest": Case(
        lambda project: change_registry(
            project, "DELETE FROM model_version_tags WHERE key = 'model_digest' AND version = 1"
        ),
        "no digest is kept of version 1",
        "the digest of version 1 is kept",
    ),
    "history": Case(
        lambda project: garble(project.settings().dagster_home / "history" / "runs.db"),
        "runs.db is damaged",
        "runs.db is kept as runs.db.damaged; Dagster begins another",
    ),
    "journal": Case(
        garbled_journal,
        "telco_churn-0123.journal is damaged",
        "telco_churn-0123.journal.damaged; the search begins anew",
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_made_whole_is_told_mended_and_well_again(
    name: str, project: Project, doctor: Callable[..., Told]
) -> None:
    case = MENDED[name]
    rows = {table: state.rows for table, state in project.states().items() if state}
    case.damage(project)

    told = doctor()
    mended = doctor(repair=True)

    assert case.told in told.shown
    assert told.remaining.startswith("1 thing is wrong; `churn doctor --repair` can mend 1")
    assert case.mended in mended.shown
    assert mended.remaining == ""
    assert doctor().shown.splitlines()[-1].startswith(WELL)
    older = {"raw": ROWS - 1, "model": 1}
    for table in TABLES:
        state = project.state(table)
        assert state is not None
        expected = older.get(table) if name.startswith(table) else rows[table]
        assert state.rows == (expected or rows[table])


def test_after_a_repair_nobody_is_trained_promoted_or_scored_otherwise(
    project: Project, doctor: Callable[..., Told]
) -> None:
    before, champion = project.rows("predictions"), project.champion()
    for table in ("silver", "features", "predictions"):
        data_file(project, table).unlink()
    told, mended = doctor(), doctor(repair=True)

    run = project.run()

    assert told.remaining == "3 things are wrong; `churn doctor --repair` can mend 3 of them."
    assert mended.remaining == ""
    assert run.success, run.error
    assert project.champion() == champion
    assert project.table("model").require().rows == 2
    assert not any(run.metadata(table)["written"].value for table in TABLES)
    after = project.rows("predictions")
    both = [
        frame.drop("scored_at", "features_version").sort("customer_id") for frame in (before, after)
    ]
    assert both[0].equals(both[1])


# The record of promotions


def test_the_loss_of_a_promotion_on_record_brings_back_who_was_champion_before_and_nobody_else(
    project: Project, doctor: Callable[..., Told]
) -> None:
    data_file(project, "champion").unlink()

    mended = doctor(repair=True)

    assert "champion is restored to its version 1 of " in mended.shown
    assert mended.remaining == ""
    champion, named = project.champion(), project.registry.by_alias(CHAMPION)
    assert champion is not None
    assert named is not None
    assert (champion.version, champion.promotion, named.version) == (1, 1, 1)


def test_the_loss_of_a_rollback_on_record_does_not_bring_back_whom_it_took_away(
    project: Project, doctor: Callable[..., Told]
) -> None:
    from churn_assets.learning.judging.promotion import rollback

    rollback(project.workplace, 1, "a person")
    data_file(project, "champion").unlink()

    doctor(repair=True)

    champion = project.champion()
    assert champion is not None
    assert champion.version == 1


# What is told, and left to people


TOLD = {
    "model files gone": (
        lambda project: [file.unlink() for file in model_files(project)],
        "version 1",
    ),
    "model files changed": (
        lambda project: [flip_a_bit(file) for file in model_files(project)],
        "are not those that were registered",
    ),
    "runs purged": (
        lambda project: change_registry(
            project, *(f"DELETE FROM {table}" for table in ("latest_metrics", "tags", "runs"))
        ),
        "of version 2 is gone. Restore MLflow's database, or train another",
    ),
    "runs deleted": (
        lambda project: change_registry(project, "UPDATE runs SET lifecycle_stage = 'deleted'"),
        "of version 2 is deleted. `mlflow runs restore` it",
    ),
    "registry garbled": (
        lambda project: garble(project.folder / ".churn" / "mlflow.db"),
        "mlflow.db is damaged: file is not a database. Restore it from a backup",
    ),
    "registry gone": (
        lambda project: (project.folder / ".churn" / "mlflow.db").unlink(),
        "mlflow.db is missing. Restore it from a backup",
    ),
    "raw's log": (
        first_commit_missing("raw"),
        "raw: its log cannot be mended. Restore the file from a backup, or move ",
    ),
    "raw never was otherwise": (
        lambda project: [flip_a_bit(file) for file in Path(project.table("raw").uri).glob("*.p*")],
        "no older version is whole. Restore the file from a backup",
    ),
    "a promotion lost": (
        lambda project: commits(project, "champion")[-1].unlink(),
        "version 2, which predictions was made from, is lost; the newest is 1. Nobody is promoted",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_cannot_be_made_whole_is_told_with_what_to_do_and_left_as_it_is(
    name: str, project: Project, doctor: Callable[..., Told]
) -> None:
    damage, words = TOLD[name]
    champion = project.champion()
    damage(project)

    told, mended = doctor(), doctor(repair=True)

    assert "wrong; " in told.remaining
    assert words in mended.shown
    assert "could not be mended" in mended.remaining
    assert "\n" not in mended.remaining
    if name != "a promotion lost":
        assert project.champion() == champion


# What is typed


def typed(project: Project, *command: str) -> tuple[int, str, str]:
    environ: Mapping[str, str] = {
        "COLUMNS": "200",
        "CHURN_ROOT": str(project.folder / ".churn"),
        "CHURN_SOURCES__TELCO_CHURN__URI": str(project.settings().sources[USE_CASE.name].uri),
        "CHURN_TRAINING__CANDIDATES": json.dumps(QUICK["candidates"]),
        "CHURN_TRAINING__FOLDS": str(QUICK["folds"]),
        **ONLY_TELCO,
    }
    ended = churn(*command, environ=environ, folder=project.folder)
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def test_a_run_status_and_predictions_name_the_damaged_file_and_the_doctor(
    project: Project,
) -> None:
    files = {table: data_file(project, table) for table in ("features", "predictions")}
    flip = pl.read_parquet(files["predictions"]).height
    assert flip == ROWS
    files["features"].write_bytes(b"?" * files["features"].stat().st_size)
    cut(files["predictions"])
    damaged = re.compile(r"churn: the table (\w+) is damaged: (\S+) .*; run `churn doctor`\.\n")

    for command in (["run"], ["status"], ["predictions"]):
        status, _, error = typed(project, *command)

        found = damaged.fullmatch(error)
        assert status == 1
        assert found is not None, error
        assert found.groups() == ("predictions", str(files["predictions"]))

    assert typed(project, "doctor")[::2] == (
        1,
        "churn: 2 things are wrong; `churn doctor --repair` can mend 2 of them.\n",
    )
    assert typed(project, "doctor", "--repair")[::2] == (0, "")
    assert typed(project, "doctor")[::2] == (0, "")
    assert typed(project, "status")[0] == 0


def test_a_garbled_file_that_a_run_reads_is_named(project: Project) -> None:
    file = data_file(project, "features")
    file.write_bytes(b"?" * file.stat().st_size)

    status, _, error = typed(project, "run")

    assert status == 1
    assert error.startswith(f"churn: the table features is damaged: {file} ")
    assert error.endswith("; run `churn doctor`.\n")


def test_a_garbled_history_is_named_and_a_run_begins_another_once_it_is_set_aside(
    project: Project,
) -> None:
    database = project.settings().dagster_home / "history" / "runs.db"
    garble(database)

    status, _, error = typed(project, "run")
    mended = typed(project, "doctor", "--repair")

    assert status == 1
    assert f"{database} is damaged" in error
    assert error.endswith("; run `churn doctor`.\n")
    assert mended[0] == 0
    assert typed(project, "status")[0] == 0
