"""The whole path: what a person gets from one run, and from the next."""

from pathlib import Path

import polars as pl
import pytest

from churn_assets_tests.support.data import TELCO
from churn_assets_tests.support.project import ROWS, Project

SOURCES = ["generated"] + (["real"] if TELCO.exists() else [])

PREDICTIONS = [
    "customer_id",
    "churn_probability",
    "decision",
    "threshold",
    "risk_band",
    "expected_value",
    "contact",
    "rank",
    "reason_1",
    "reason_2",
    "reason_3",
    "model_version",
    "features_version",
    "scored_at",
    "split",
]


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, project: Project) -> Path:
    return TELCO if request.param == "real" else project.write()


def test_one_run_scores_every_customer_with_a_governed_champion(
    project: Project, source: Path
) -> None:
    customers = pl.read_csv(source, infer_schema=False)

    run = project.run(source)

    assert run.success, run.error
    predictions = project.rows("predictions")
    assert predictions.columns == PREDICTIONS
    assert sorted(predictions["customer_id"]) == sorted(customers["customerID"])
    assert predictions["churn_probability"].is_between(0, 1).all()
    decided = predictions["churn_probability"] >= predictions["threshold"]
    assert (predictions["decision"] == decided).all()
    champion = project.champion()
    assert champion is not None
    assert set(predictions["model_version"]) == {champion.version}
    assert {"governance", "better_than_chance", "f1_gate"} <= set(run.checks)


def test_a_second_run_over_unchanged_data_changes_nothing(project: Project) -> None:
    project.run(project.write())
    before, champion = project.states(), project.champion()

    run = project.run()

    assert run.success
    assert {n: s.version for n, s in project.states().items()} == {
        n: s.version for n, s in before.items()
    }
    assert project.champion() == champion


def test_retrain_trains_again_and_gives_the_same_model_for_the_same_data(
    project: Project,
) -> None:
    project.run(project.write())
    before = project.rows("predictions").sort("customer_id")

    run = project.run(retrain=True)

    assert run.success, run.error
    assert project.state("model").rows == 2
    after = project.rows("predictions").sort("customer_id")
    assert after["churn_probability"].equals(before["churn_probability"])


def test_a_customer_without_a_label_is_scored_and_never_trained_on(project: Project) -> None:
    unknown = ROWS // 10
    source = project.write(
        lambda frame: frame.with_columns(
            Churn=pl.when(pl.int_range(pl.len()) < unknown).then(pl.lit("")).otherwise("Churn")
        )
    )

    project.run(source)

    assert project.rows("model")["labelled_rows"].to_list() == [ROWS - unknown]
    assert project.rows("predictions").height == ROWS


def test_silver_keeps_every_record_of_the_contract_and_features_split_60_20_20(
    project: Project,
) -> None:
    project.run(project.write(), tables="raw silver rejects features")

    assert project.state("silver").rows == ROWS
    assert project.state("rejects").rows == 0
    shares = project.rows("features")["split"].value_counts(normalize=True)
    by_split = dict(shares.iter_rows())
    assert by_split["train"] == pytest.approx(0.6, abs=0.03)
    assert by_split["validation"] == pytest.approx(0.2, abs=0.03)
    assert by_split["test"] == pytest.approx(0.2, abs=0.03)
