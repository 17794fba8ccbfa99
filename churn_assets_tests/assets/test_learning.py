"""From features to predictions, as Dagster shows and guards it."""

from __future__ import annotations

import base64
import json
import re

import dagster as dg
import polars as pl
import pytest

from churn_assets.assets.shared import key
from churn_assets.definitions import definitions
from churn_assets.errors import GateError
from churn_assets.learning.judging.promotion import promote
from churn_assets.pages.words import CONTACT, DECISION
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.pages import seen
from churn_assets_tests.support.project import (
    BLOCKING,
    DECLARED,
    GATES,
    ROWS,
    USE_CASE,
    Project,
    Run,
)
from churn_assets_tests.support.registering import challenge

PICTURES = {"roc_curve", "precision_recall_curve", "confusion_matrix", "calibration"}


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("Churn").shuffle(seed=1))


def pictures(run: Run) -> dict[str, bytes]:
    """The pictures that the model's metadata shows."""
    return drawn_in(run.metadata("model")["pictures"].value)


def drawn_in(markdown: str) -> dict[str, bytes]:
    """The pictures inside Markdown, by name."""
    found = re.findall(r"!\[([^\]]+)\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown)
    return {name: base64.b64decode(svg) for name, svg in found}


@pytest.fixture(scope="module")
def refused(finished: Finished, copy: object) -> tuple[Project, Run]:
    """A project whose second Challenger was trained on shuffled labels; not to be changed."""
    project = copy(finished.project)
    return project, project.run(project.write(shuffled))


def test_the_model_shows_version_metrics_and_its_mlflow_run(finished: Finished) -> None:
    shown = {name: value.value for name, value in finished.run.metadata("model").items()}

    row = finished.project.rows("model").row(-1, named=True)
    assert shown["version"] == row["version"] == 1
    assert shown["labelled_rows"] == ROWS
    assert 0 < shown["threshold"] < 1
    for part in ("oof", "test"):
        for metric in ("accuracy", "f1", "roc_auc", "pr_auc", "log_loss", "brier"):
            assert shown[f"{part}_{metric}"] == pytest.approx(row[f"{part}_{metric}"], rel=1e-3)
    assert shown["mlflow_run"].startswith("http://127.0.0.1:5000/")
    assert shown["mlflow_run"].endswith(row["run_id"])


def test_the_model_shows_pictures_of_how_good_it_is(finished: Finished) -> None:
    drawn = pictures(finished.run)

    assert set(drawn) == PICTURES
    assert all(seen(svg).marks > 1 for svg in drawn.values())


def test_the_card_of_a_challenger_that_was_judged_opens_in_the_ui(finished: Finished) -> None:
    observed = [
        event.asset_observation_data.asset_observation
        for event in finished.run.events
        if event.is_asset_observation
    ]
    (card,) = (each.metadata["model_card"].value for each in observed)

    assert {each.asset_key for each in observed} == {key(USE_CASE, "model")}
    for gate in GATES:
        assert f"| {gate.replace('_', ' ')} | passed |" in card
    titles = [seen(svg).title for svg in drawn_in(card).values()]
    assert len(titles) > 8
    assert len(set(titles)) == len(titles)
    assert DECISION in card
    assert CONTACT in card


def test_what_people_look_for_first_comes_first_in_few_digits(finished: Finished) -> None:
    model, predictions = (list(finished.run.metadata(t)) for t in ("model", "predictions"))

    assert model[:4] == ["version", "recipe", "test_roc_auc", "test_f1"]
    assert predictions[:4] == ["customers", "decision", "contact", "expected_value_of_contacts"]
    for table in ("model", "champion", "predictions"):
        for name, value in finished.run.metadata(table).items():
            if isinstance(value.value, float):
                assert len(str(abs(value.value)).replace(".", "").strip("0")) <= 4, name


def test_predictions_show_whom_to_act_on_and_why(finished: Finished) -> None:
    scored = finished.project.rows("predictions")
    metadata = finished.run.metadata("predictions")
    contacts = scored.filter("contact")

    drawn = {name: seen(svg) for name, svg in drawn_in(metadata["pictures"].value).items()}

    assert set(drawn) == {"scores", "risk_bands", "value_curve", "top_reasons"}
    assert drawn["scores"].title.startswith(f"{scored['decision'].sum():,} of {scored.height:,} ")
    bands = {f"{rows:,}" for _, rows in scored.group_by("risk_band").len().iter_rows()}
    assert bands <= set(drawn["risk_bands"].texts)
    worth = contacts["expected_value"].sum()
    assert drawn["value_curve"].title == f"{contacts.height:,} contacts worth {worth:,.0f} USD"
    first = contacts["reason_1"].value_counts(sort=True)["reason_1"][0]
    assert any(first.startswith(text) for text in drawn["top_reasons"].texts)
    assert metadata["decision"].value == f"{scored['decision'].sum():,} customers: {DECISION}"
    assert metadata["contact"].value == f"{contacts.height:,} customers: {CONTACT}"


def test_an_unchanged_model_shows_the_pictures_of_its_training(
    finished: Finished, copied: Project
) -> None:
    run = copied.run(tables="model")

    assert not run.metadata("model")["written"].value
    assert pictures(run) == pictures(finished.run)


def test_the_launchpad_says_what_retrain_does(project: Project) -> None:
    job = definitions(project.settings()).resolve_job_def(USE_CASE.name)

    field = job.graph.node_dict["telco_churn_model"].definition.config_schema.config_type.fields[
        "retrain"
    ]

    assert field.default_value is False
    assert "unchanged" in field.description


def test_training_and_promotion_take_turns_across_runs(project: Project) -> None:
    defs = definitions(project.settings())

    pools = {
        name: defs.resolve_assets_def(key(USE_CASE, name)).op.pool
        for name in ("model", "champion", "predictions")
    }

    assert pools["model"] == pools["champion"] == "registry"
    assert pools["predictions"] is None


def test_every_gate_that_decides_is_a_blocking_check_and_shows_its_evidence(
    finished: Finished,
) -> None:
    model = key(USE_CASE, "model")
    checks = {n: check for n, check in finished.run.checks.items() if check.asset_key == model}

    blocking = {name for name, check in checks.items() if check.blocking}
    assert set(checks) == {*DECLARED, "no_telling_input", "bundle_equal"}
    assert {
        name for name, check in checks.items() if check.description.startswith("applies with ")
    } == DECLARED - GATES
    assert blocking == BLOCKING == GATES - {"value"}
    assert all(check.passed and check.description for check in checks.values())
    chance = checks["better_than_chance"].metadata
    assert chance["roc_auc_lower_95"].value > 0.5
    assert chance["f1"].value > chance["best_constant_f1"].value
    assert checks["f1_gate"].metadata["challenger_f1"].value == pytest.approx(
        finished.run.metadata("model")["test_f1"].value
    )
    assert checks["governance"].metadata["rows_scored"].value > 0


def test_the_champion_shows_the_promotion_with_all_evidence(finished: Finished) -> None:
    shown = {name: value.value for name, value in finished.run.metadata("champion").items()}

    assert shown["version"] == 1
    assert shown["decided_by"] == f"Dagster run {finished.run.run_id}"
    assert {verdict["gate"] for verdict in shown["gates"]} == GATES
    assert all(verdict["passed"] for verdict in shown["gates"])


def test_predictions_show_whose_they_are_and_that_all_are_scored(finished: Finished) -> None:
    check = finished.run.checks["every_customer_scored"]

    assert finished.run.metadata("predictions")["model_version"].value == 1
    assert check.passed
    assert check.metadata["scored"].value == check.metadata["customers"].value == ROWS


def test_customers_who_came_after_the_last_scoring_are_found(copied: Project) -> None:
    copied.run(copied.write(rows=ROWS + 100), tables="raw silver rejects features")

    run = execute_checks(copied, "predictions", "every_customer_scored")

    assert not run.checks["every_customer_scored"].passed
    assert run.checks["every_customer_scored"].description == "3,000 of 3,100 customers"


def test_one_gate_can_be_asked_alone(copied: Project) -> None:
    run = execute_checks(copied, "model", "governance")

    assert run.success, run.error
    assert set(run.checks) == {"governance"}
    assert run.materialized == set()


def test_a_refused_challenger_ends_red_and_says_why(refused: tuple[Project, Run]) -> None:
    _, run = refused

    assert not run.success
    assert "better_than_chance" in run.blocked_by
    assert "is not above 0.500" in run.checks["better_than_chance"].description


def test_a_refused_challenger_s_run_and_checks_say_what_the_command_line_says(
    refused: tuple[Project, Run],
) -> None:
    project, run = refused

    with pytest.raises(GateError) as told:
        promote(project.workplace, "a test")

    assert run.error == str(told.value)
    assert run.error.startswith("Challenger refused: better_than_chance: ")
    assert ". The Champion and its predictions stand. Train another, on " in run.error
    refusing = [check for check in run.checks.values() if check.check_name in run.blocked_by]
    assert [check.metadata["refusal"].value for check in refusing] == [run.error] * len(refusing)


def test_the_checks_ask_what_the_experiment_asks_for_that_trained_the_challenger(
    copied: Project,
) -> None:
    floors = {"floors": {"roc_auc": 0.999}}
    challenge(copied, experiment_gates=json.dumps(floors))

    run = execute_checks(copied, "model", "floors", "superiority", "f1_gate")

    assert run.failed_checks == {"floors"}
    assert run.checks["floors"].severity is dg.AssetCheckSeverity.ERROR
    assert run.error.startswith("Challenger refused: floors: roc_auc 0.")
    assert run.checks["superiority"].description == "applies with `rule: improve`"


def test_a_refused_challenger_leaves_champion_and_predictions_as_they_were(
    finished: Finished, refused: tuple[Project, Run]
) -> None:
    project, run = refused

    assert not {"champion", "predictions"} & run.materialized
    assert project.champion() == finished.project.champion()
    assert project.rows("predictions").equals(finished.project.rows("predictions"))


def test_champion_materialised_alone_is_refused_in_one_line(
    refused: tuple[Project, Run],
) -> None:
    project, _ = refused

    run = project.run(tables="champion")

    assert not run.success
    assert run.materialized == set()
    assert run.error.startswith("Challenger refused: ")
    assert "better_than_chance" in run.error
    assert len(run.error.splitlines()) == 1


def execute_checks(project: Project, table: str, *names: str) -> Run:
    """Run checks by themselves, as the UI's Execute does."""
    defs = definitions(project.settings())
    wanted = {dg.AssetCheckKey(key(USE_CASE, table), name) for name in names}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=wanted
    )
    return Run(job.execute_in_process(instance=project.instance, raise_on_error=False))
