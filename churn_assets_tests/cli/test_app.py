"""What a person relies on who types `churn`, or Dagster's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from churn_assets import usecases
from churn_assets.settings import project_folder
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.processes import churn
from churn_assets_tests.support.project import ASSETS, GATES, SHOWN, TABLES, customers, write_csv

BIN = Path(sys.executable).parent
ROWS = 3000


def typed(
    root: Path,
    *command: str,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
    anew: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Type a command, with everything local below a root; `anew` with all that it imports."""
    environ = {"COLUMNS": "200", "CHURN_ROOT": str(root), **(settings or {})}
    if command[0] == "churn" and not anew:
        return churn(*command[1:], environ=environ, folder=folder or root)
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environ},
        cwd=folder or root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def refused(command: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a refused command."""
    assert command.returncode == 1, command.stderr
    assert len(command.stderr.splitlines()) == 1, command.stderr
    assert command.stderr.startswith("churn: ")
    assert "Traceback" not in command.stdout
    return command.stderr.removeprefix("churn: ").rstrip("\n")


def cells(shown: str) -> list[list[str]]:
    """The rows of the grid in a text."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in shown.splitlines()
        if line.startswith("│")
    ]


SOMEONE = customers(1)["customerID"][0]
NEW = ["new", "mine", "--from", "x.csv", "--key", "id", "--label", "left", "--positive", "yes"]

# A good run, and what is said before and after it


@dataclass(frozen=True)
class Story:
    """Commands in the order in which they were typed."""

    root: Path
    status_before: subprocess.CompletedProcess[str]
    predictions_before: subprocess.CompletedProcess[str]
    run: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]
    status: subprocess.CompletedProcess[str]
    predictions: subprocess.CompletedProcess[str]
    customer: subprocess.CompletedProcess[str]
    unnamed: subprocess.CompletedProcess[str]
    cut: subprocess.CompletedProcess[str]
    score: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("root")
    # A path starts where the command is typed.
    write_csv(root / "customers.csv", rows=ROWS)
    write_csv(root / "cut.csv", rows=300)
    return Story(
        root,
        typed(root, "churn", "status"),
        typed(root, "churn", "predictions"),
        typed(root, "churn", "run", "--source", "customers.csv", anew=True),
        typed(root, "churn", "run", "--source", "customers.csv"),
        typed(root, "churn", "status"),
        typed(root, "churn", "predictions", "--top", "3"),
        typed(root, "churn", "customer", SOMEONE),
        typed(root, "churn", "train"),
        typed(root, "churn", "run", "--source", "cut.csv"),
        typed(root, "churn", "score", "--output", "scores"),
    )


def test_before_the_first_run_status_says_that_there_is_nothing(story: Story) -> None:
    assert story.status_before.returncode == 0, story.status_before.stderr
    assert cells(story.status_before.stdout) == [
        [name, "-", "-", "never", "-", "-"] for name in SHOWN
    ]
    assert "champion: none of telco_churn" in story.status_before.stdout


def test_before_the_first_run_predictions_say_what_to_do(story: Story) -> None:
    assert refused(story.predictions_before) == (
        f"{story.root}/lake/telco_churn/predictions: there is no table yet; run `churn run` first."
    )


def test_a_run_shows_each_asset_and_check_and_ends_with_a_summary(story: Story) -> None:
    assert story.run.returncode == 0, story.run.stderr
    assert story.run.stderr == ""
    shown = re.findall(r"^✓ (\w+) ", story.run.stdout, re.MULTILINE)
    assert sorted(shown) == sorted(ASSETS)
    assert {"expected_columns", "f1_gate", "every_customer_scored"} <= set(
        re.findall(r"^  [✓!] (\w+)", story.run.stdout, re.MULTILINE)
    )
    assert "raw 3,000 → silver 3,000 → features 3,000 → predictions 3,000" in story.run.stdout
    assert "Rejected records: 0" in story.run.stdout
    assert f"Predictions: {story.root}/lake/telco_churn/predictions" in story.run.stdout
    assert "Champion: version 1" in story.run.stdout
    assert "churn predictions --top 10" in story.run.stdout


def test_a_second_run_changes_nothing_and_says_so_in_about_ten_lines(story: Story) -> None:
    assert story.again.returncode == 0, story.again.stderr
    shown = re.findall(r"^✓ (\w+) .* unchanged ", story.again.stdout, re.MULTILINE)
    assert sorted(shown) == sorted({*ASSETS} - {"scores", "online_features"})
    assert " written " not in story.again.stdout
    assert "nothing has changed; " in story.again.stdout
    assert len(story.again.stdout.splitlines()) <= 11


def test_each_gate_is_told_once_and_in_figures_that_mean_something(story: Story) -> None:
    for gate in GATES:
        assert len(re.findall(rf"\b{gate}: ", story.run.stdout)) == 1, gate
    assert not re.search(r"[+-]?\d+\.\d{4,}(?!\.)", story.run.stdout.replace(str(story.root), ""))
    assert re.search(r"split_balance: positive labels are \d+\.\d % of train", story.run.stdout)


def test_an_unchanged_run_imports_nothing_that_trains(story: Story) -> None:
    script = (
        "import sys; from churn_assets.cli.app import app;"
        "app(['run', '--source', 'customers.csv'], standalone_mode=False);"
        "print({'mlflow', 'sklearn', 'pandas', 'scipy', 'matplotlib'} & {*sys.modules})"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "CHURN_ROOT": str(story.root)},
        cwd=story.root,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr


def test_help_imports_neither_settings_nor_what_draws_boxes() -> None:
    script = (
        "import sys; from churn_assets.cli.app import app;"
        "app(['--help'], standalone_mode=False);"
        "print({'pydantic', 'rich', 'yaml', 'numpy', 'dagster', 'polars'} & {*sys.modules})"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines()[-1] == "set()"
    assert not re.search(r"\w\.\.\.$", ended.stdout, re.MULTILINE)


def test_the_model_card_is_told_and_opened_without_a_server(story: Story) -> None:
    (told,) = re.findall(r"Model card: (\S+); `churn card` opens it", story.run.stdout)

    card = typed(story.root, "churn", "card", "--no-open")

    assert card.stdout.strip() == told
    assert "<html" in Path(told).read_text()
    assert "there is no version 9" in refused(typed(story.root, "churn", "card", "9", "--no-open"))


def test_predictions_go_to_a_file_in_order_of_their_value(story: Story, tmp_path: Path) -> None:
    table = pl.read_delta(str(story.root / "lake" / "telco_churn" / "predictions")).sort("rank")
    file = tmp_path / "all.parquet"

    written = typed(story.root, "churn", "predictions", "--output", str(file))
    printed = typed(story.root, "churn", "predictions", "--top", "2", "--format", "json")
    odd = typed(story.root, "churn", "predictions", "--output", str(tmp_path / "x.doc"))

    assert written.returncode == 0, written.stderr
    assert pl.read_parquet(file)["customer_id"].to_list() == table["customer_id"].to_list()
    assert [row["rank"] for row in json.loads(printed.stdout)] == [1, 2]
    assert odd.returncode == 2
    assert not (tmp_path / "x.doc").exists()


def test_predictions_from_before_a_business_case_are_listed_and_say_what_to_do(
    story: Story, tmp_path: Path
) -> None:
    folder = Path("lake", "telco_churn", "predictions")
    before = pl.read_delta(str(story.root / folder)).drop("expected_value", "contact", "rank")
    (tmp_path / folder).parent.mkdir(parents=True)
    before.write_delta(str(tmp_path / folder))

    shown = typed(tmp_path, "churn", "predictions", "--top", "1")

    assert shown.returncode == 0, shown.stderr
    most = before.sort("churn_probability", "customer_id", descending=[True, False]).row(0)[0]
    assert shown.stdout.splitlines()[1].startswith(most)
    assert "The business case is newer than they are: `churn score` values them." in shown.stdout


def test_hints_name_the_use_case_and_the_environment_s_churn(tmp_path: Path) -> None:
    said = typed(
        tmp_path,
        *("churn", "predictions", "--use-case", "booking_cancellation"),
        settings={"PATH": "/usr/bin"},
    )

    assert refused(said).endswith(f"run `{BIN}/churn run --use-case booking_cancellation` first.")


def test_after_a_run_status_tells_versions_rows_aliases_and_freshness(story: Story) -> None:
    assert story.status.returncode == 0, story.status.stderr
    rows = {row[0]: row[1:] for row in cells(story.status.stdout)}
    assert {name: row[1] for name, row in rows.items()} == {
        **dict.fromkeys(("raw", "silver", "features", "predictions", "scores"), "3,000"),
        **dict.fromkeys(("model", "champion"), "1"),
        "rejects": "0",
        "requests": "-",
        "traffic": "-",
    }
    assert {name: row[3] for name, row in rows.items() if row[3] != "-"} == {
        "raw": "yes",
        "predictions": "yes",
    }
    assert "challenger: version 1 of telco_churn" in story.status.stdout
    assert "champion: version 1 of telco_churn" in story.status.stdout
    assert "last promotion: version 1 at 20" in story.status.stdout


def test_status_and_the_last_line_tell_where_records_came_from(story: Story) -> None:
    origins = {row[0]: row[5] for row in cells(story.status.stdout)}
    assert origins == {
        **dict.fromkeys(TABLES, f"{story.root}/customers.csv"),
        "requests": "-",
        "traffic": "-",
    }
    assert story.run.stdout.splitlines()[-1].startswith(
        f"Records: {story.root}/customers.csv. Runs without a source go on from them;"
    )


def test_a_command_without_a_source_goes_on_from_the_records_that_are_there(story: Story) -> None:
    said = story.unnamed.stdout
    assert story.unnamed.returncode == 0, story.unnamed.stderr
    assert f"no source is named now, so the records of {story.root}/customers.csv stand" in said
    assert " written " not in said
    assert said.splitlines()[-1].startswith(f"Records: {story.root}/customers.csv, as they were ")


def test_a_cut_file_is_refused_in_one_line_and_nothing_is_replaced(story: Story) -> None:
    assert refused(story.cut).startswith(
        f"{story.root}/cut.csv seems to be cut: 300 records came, 10 % of the 3,000 before. "
        "The table raw was not replaced. Give the whole of it;"
    )
    assert "✓" not in story.cut.stdout
    for table in ("raw", "silver", "features", "predictions"):
        assert pl.read_delta(str(story.root / "lake" / "telco_churn" / table)).height == ROWS


def test_a_customer_is_told_with_score_contact_and_requests(story: Story) -> None:
    lines = story.customer.stdout.splitlines()
    table = pl.read_delta(str(story.root / "lake" / "telco_churn" / "scores"))
    row = table.filter(customer_id=SOMEONE).sort("scored_at").row(0, named=True)

    assert story.customer.returncode == 0, story.customer.stderr
    assert lines[0] == f"telco_churn: customer_id {SOMEONE}"
    assert f" {row['churn_probability']:.3f} " in lines[3]
    contact = "yes" if row["contact"] else "no"
    assert f"Contact: {contact}; worth {row['expected_value']:,.0f} USD, rank " in lines[5]
    assert lines[6] == f"  {row['reason_1']}"
    assert lines[-1] == "No server was asked about them."


def test_a_customer_as_json_is_one_object(story: Story) -> None:
    told = json.loads(typed(story.root, "churn", "customer", SOMEONE, "--format", "json").stdout)

    assert told["key"] == {"customer_id": SOMEONE}
    assert [row["customer_id"] for row in told["scores"]] == [SOMEONE]
    assert (told["changes"], told["requests"]) == ([], [])


def test_a_customer_who_is_not_there_is_told_in_one_line_and_in_prod_without_the_key(
    story: Story,
) -> None:
    here = typed(story.root, "churn", "customer", "NOBODY")
    private = typed(story.root, "churn", "customer", "NOBODY", settings={"CHURN_PREVIEW_ROWS": "0"})
    two = typed(story.root, "churn", "customer", "NOBODY", "2024-03")

    assert refused(here) == (
        "telco_churn: nobody of that key (customer_id NOBODY) was ever scored or asked for."
    )
    assert refused(private) == "telco_churn: nobody of that key was ever scored or asked for."
    assert two.returncode == 2
    assert "telco_churn has a key of customer_id" in two.stderr


def test_score_scores_alone(story: Story) -> None:
    assert story.score.returncode == 0, story.score.stderr
    assert set(re.findall(r"^✓ (\w+) ", story.score.stdout, re.MULTILINE)) <= {
        *("predictions", "scores", "online_features")
    }
    assert "Champion 1 scored 3,000 customers of features version 0." in story.score.stdout


def test_predictions_are_given_out_where_the_command_says(story: Story) -> None:
    given_out = pl.read_delta(str(story.root / "scores"))

    assert_frame_equal(
        given_out.sort("customer_id"),
        pl.read_delta(str(story.root / "lake" / "telco_churn" / "predictions")).sort("customer_id"),
    )


def test_score_without_a_champion_is_refused_in_one_line(story: Story, tmp_path: Path) -> None:
    features = Path("lake", "telco_churn", "features")
    shutil.copytree(story.root / features, tmp_path / features)

    assert refused(typed(tmp_path, "churn", "score")) == (
        "telco_churn: there is no Champion to score with; run `churn run` first."
    )


def test_predictions_list_whom_to_contact_first_and_why(story: Story) -> None:
    assert story.predictions.returncode == 0, story.predictions.stderr
    table = pl.read_delta(str(story.root / "lake" / "telco_churn" / "predictions"))
    first = table.sort("expected_value", descending=True).head(3)
    header, *shown = [re.split(r" {2,}", line) for line in story.predictions.stdout.splitlines()]
    assert header == ["customer_id", "probability", "value (USD)", "contact", "why"]
    assert [row[0] for row in shown] == first["customer_id"].to_list()
    assert [row[3] for row in shown] == ["yes"] * 3
    assert [row[4].split("; ")[0] for row in shown] == first["reason_1"].to_list()


def test_nothing_is_written_outside_the_root(story: Story) -> None:
    kept = {path.name for path in story.root.iterdir()} - {"customers.csv", "cut.csv", "scores"}

    assert kept == {"lake", "mlflow.db", "artifacts", "dagster", "serving"}


# Training, promotion and rollback by themselves


@dataclass(frozen=True)
class Second:
    """A second Challenger: trained, promoted, rolled back from."""

    train: subprocess.CompletedProcess[str]
    promote: subprocess.CompletedProcess[str]
    rollback: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]
    status: subprocess.CompletedProcess[str]


def winner(story: Story) -> str:
    """Whom the first run chose."""
    (chosen,) = re.findall(r"Challenger: version 1 \((\w+)\)", story.run.stdout)
    return str(chosen)


@pytest.fixture(scope="module")
def second(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Second:
    root = tmp_path_factory.mktemp("second") / "root"
    shutil.copytree(story.root, root)
    source = ("--source", "customers.csv")
    # The same model by another recipe, so that every gate lets it pass.
    (root / "alone.yaml").write_text(f"candidates: [{winner(story)}]\n")
    return Second(
        typed(root, "churn", "train", "--experiment", "alone.yaml", "--tune", "1", *source),
        typed(root, "churn", "promote"),
        typed(root, "churn", "rollback", "--by", "a person"),
        typed(root, "churn", "rollback"),
        typed(root, "churn", "status"),
    )


def test_train_registers_and_judges_a_challenger_and_promotes_nobody(
    story: Story, second: Second
) -> None:
    assert second.train.returncode == 0, second.train.stderr
    assert f"Challenger: version 2 ({winner(story)})" in second.train.stdout
    assert "best log_loss" in second.train.stdout
    assert "f1_gate: " in second.train.stdout
    assert "✓ champion" not in second.train.stdout
    assert "churn promote" in second.train.stdout


def test_promote_makes_it_the_champion_and_says_whose_the_predictions_are(second: Second) -> None:
    assert second.promote.returncode == 0, second.promote.stderr
    assert "Champion: version 2, by promotion at 20" in second.promote.stdout
    assert "Predictions are those of version 1" in second.promote.stdout


def test_rollback_restores_the_champion_before(second: Second) -> None:
    assert second.rollback.returncode == 0, second.rollback.stderr
    assert "Champion: version 1, by rollback at 20" in second.rollback.stdout
    assert "Predictions are those" not in second.rollback.stdout
    assert "name the version to roll back to" in refused(second.again)
    assert "champion: version 1 of telco_churn" in second.status.stdout
    assert "last rollback: version 1 at 20" in second.status.stdout
    assert "by a person, Dagster run " in second.status.stdout


# Refusals


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--use-case", "telko_churn"],
        ["run", "customers.csv"],
        ["status", "--use-case", ""],
        ["predictions", "--top", "0"],
        ["predictions", "--top", "many"],
        ["home", "elsewhere"],
        ["run", "--source"],
        ["run", "--tune", "-1"],
        ["rollback", "first"],
        ["new", "mine", "--from", "customers.csv", "--key", "id", "--label", "left"],
        [*NEW, "--delimiter", ";;"],
        [*NEW, "--format", "xlsx"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_with_status_2_and_does_nothing(
    arguments: list[str], tmp_path: Path
) -> None:
    command = typed(tmp_path, "churn", *arguments)

    assert command.returncode == 2
    assert "Error" in command.stderr
    assert "Traceback" not in command.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_use_case_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    command = typed(tmp_path, "churn", "status", "--use-case", "telko")

    assert "there is no use case 'telko'; known are" in command.stderr
    assert "telco_churn" in command.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "train",
        "score",
        "promote",
        "approve",
        "status",
        "predictions",
        "home",
        "dev",
        "mlflow",
    ],
)
def test_every_command_refuses_wrong_settings_in_one_line(command: str, tmp_path: Path) -> None:
    said = refused(typed(tmp_path, "churn", command, settings={"CHURN_ENGIN": "x"}))

    assert said == "CHURN_ENGIN: there is no such setting. Did you mean CHURN_ENGINE?"
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")

    said = refused(typed(tmp_path, "churn", "run", settings={"CHURN_ROOT": f"{tmp_path}/file/x"}))

    assert said.startswith(f"{tmp_path}/file/x/dagster: cannot be written (Not a directory).")


def test_a_source_whose_name_holds_a_line_end_is_refused_in_one_line(tmp_path: Path) -> None:
    said = refused(typed(tmp_path, "churn", "run", "--source", "two\nlines.csv"))

    assert said.startswith("two lines.csv: there is no such file or folder.")


def test_a_use_case_of_a_table_that_is_not_there_is_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    said = refused(typed(tmp_path, "churn", *NEW))

    assert said.startswith(f"{tmp_path}/x.csv: there is no such file or folder. Check --from")
    assert list(tmp_path.iterdir()) == []
    assert not (Path(usecases.__file__).with_name("mine.py")).exists()


def test_a_password_in_the_source_is_not_shown(tmp_path: Path) -> None:
    address = "http://me:hidden@127.0.0.1:1/x.csv?sig=hidden"

    command = typed(tmp_path, "churn", "run", "--verbose", "--source", address)

    assert command.returncode == 1
    assert "churn: http://127.0.0.1:1/x.csv: cannot be reached." in command.stderr
    assert "hidden" not in command.stdout + command.stderr


# Dagster's home


def test_home_puts_dagster_yaml_where_dagster_reads_it(tmp_path: Path) -> None:
    command = typed(tmp_path, "churn", "home")

    assert command.returncode == 0, command.stderr
    assert command.stdout == f"{tmp_path}/dagster\n"
    put = yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_text())
    assert put["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert put["telemetry"]["enabled"] is False


def test_home_renews_an_old_dagster_yaml(tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: true}")

    typed(tmp_path, "churn", "home")

    put = (tmp_path / "dagster" / "dagster.yaml").read_bytes()
    assert put == (project_folder() / "config" / "dagster.yaml").read_bytes()


@pytest.mark.parametrize(
    ("given", "home"), [("", "{0}/dagster"), ("here", "{0}/here"), ("{0}/abs", "{0}/abs")]
)
def test_a_home_from_outside_holds_and_an_empty_one_is_none(
    given: str, home: str, tmp_path: Path
) -> None:
    folder, expected = given.format(tmp_path), home.format(tmp_path)

    command = typed(tmp_path, "churn", "home", settings={"DAGSTER_HOME": folder})

    assert command.stdout == f"{expected}\n"
    assert (Path(expected) / "dagster.yaml").exists()


# Dagster's own commands


def test_dagster_lists_and_validates_what_is_declared(tmp_path: Path) -> None:
    folder = project_folder()

    validated = typed(
        tmp_path, "dagster", "definitions", "validate", "-w", "workspace.yaml", folder=folder
    )
    listed = typed(tmp_path, "dg", "list", "defs", "--json", folder=folder)

    assert validated.returncode == 0, validated.stderr
    assert "Validation successful for code location churn_assets" in (
        validated.stdout + validated.stderr
    )
    assert listed.returncode == 0, listed.stderr
    assets = {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]}
    assert {f"telco_churn/{table}" for table in TABLES} <= assets
    assert {asset.partition("/")[0] for asset in assets} == set(USE_CASES)


def test_what_dg_scaffolds_is_declared_beside_the_use_cases(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for part in ("churn_assets", "config"):
        shutil.copytree(
            project_folder() / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("pyproject.toml", "README.md", "workspace.yaml"):
        shutil.copyfile(project_folder() / file, folder / file)
    here = {"PYTHONPATH": str(folder)}

    scaffolded = typed(
        tmp_path,
        *("dg", "scaffold", "defs", "dagster.asset", "probe.py"),
        settings=here,
        folder=folder,
    )
    listed = typed(tmp_path, "dg", "list", "defs", "--json", settings=here, folder=folder)
    checked = typed(tmp_path, "dg", "check", "defs", settings=here, folder=folder)

    assert scaffolded.returncode == 0, scaffolded.stderr
    assert (folder / "churn_assets" / "defs" / "probe.py").exists()
    assert listed.returncode == 0, listed.stderr
    assets = {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]}
    assert {"probe", *(f"telco_churn/{table}" for table in TABLES)} <= assets
    assert checked.returncode == 0, checked.stderr


def test_a_command_leaves_the_environment_as_it_was(tmp_path: Path) -> None:
    # Libraries set variables of their own.
    script = (
        "import os; from churn_assets.cli.app import app;"
        "ours = lambda: {k: v for k, v in os.environ.items() if k[:5] in ('CHURN', 'DAGST')};"
        "before = ours();"
        "app(['status', '--as-of', '2020-01-31'], standalone_mode=False);"
        "app(['train', '--tune', '1', '--source', 'no.csv'], standalone_mode=False);"
        "assert ours() == before, ours()"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "CHURN_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    # The second command is refused: there is no such file.
    assert "no.csv: there is no such file" in ended.stderr
    assert "AssertionError" not in ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_dagster_materializes_an_asset_by_its_key(tmp_path: Path) -> None:
    home = typed(tmp_path, "churn", "home").stdout.strip()

    command = typed(
        tmp_path,
        *("dagster", "asset", "materialize", "--select", "telco_churn/raw"),
        *("-m", "churn_assets.definitions"),
        settings={"DAGSTER_HOME": home, "CHURN_SOURCES__TELCO_CHURN__ROWS": "50"},
        folder=project_folder(),
    )

    assert command.returncode == 0, command.stderr
    assert pl.read_delta(str(tmp_path / "lake" / "telco_churn" / "raw")).height == 50


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dagster_s_cloud_accepts_its_file() -> None:
    from dagster_cloud_cli.commands.ci.checks import check_dagster_cloud_yaml

    file = project_folder() / "dagster_cloud.yaml"

    assert check_dagster_cloud_yaml(file).errors == []
    (location,) = yaml.safe_load(file.read_text())["locations"]
    workspace = yaml.safe_load((project_folder() / "workspace.yaml").read_text())
    (loaded,) = workspace["load_from"]
    assert location["code_source"]["module_name"] == loaded["python_module"]["module_name"]
