"""`churn traffic`: what people type to see and change who answers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from churn_assets.cli.app import app
from churn_assets.learning.judging.promotion import promote
from churn_assets.serving.traffic.changes import follow, take_back
from churn_assets.serving.traffic.record import records, state_of
from churn_assets.serving.traffic.standing import Rollout
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import ONLY_TELCO, Project
from churn_assets_tests.support.registering import LENIENT, challenge, copy_of

Type = Callable[..., Result]


@pytest.fixture(scope="module")
def challenged(first_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a Challenger beside its Champion."""
    project = copy_of(first_run.project, tmp_path_factory.mktemp("challenged"))
    challenge(project)
    return project


@pytest.fixture
def typed(challenged: Project, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command for that project."""
    variables = {**ONLY_TELCO, "CHURN_ROOT": str(challenged.folder / ".churn"), "COLUMNS": "200"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


def said(result: Result) -> str:
    """What a command that was done printed, on one line."""
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


def test_a_canary_is_begun_shown_and_ended_by_what_is_typed(typed: Type) -> None:
    before = said(typed("traffic", "show"))
    begun = said(
        typed("traffic", "canary", "--share", "0.1", "--why", "a tenth first", "--by", "ann")
    )
    status = said(typed("status"))
    ended = said(typed("traffic", "--use-case", "telco_churn", "off", "--why", "seen enough"))

    assert "traffic: version 1 answers everyone" in before
    canary = "traffic: version 2 answers 10 % of the customers (canary, since 20"
    assert canary in begun
    assert canary in status
    assert "a tenth first" in begun
    assert "ann, Dagster run" in begun
    assert "traffic: version 1 answers everyone" in ended
    assert "seen enough" in ended


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("canary", "--share", "1.5", "--why", "x"), 1, "churn: Canary refused: a share lies"),
        (("ramp", "--steps", "0.5,0.1", "--why", "x"), 1, "churn: Ramp refused: the steps"),
        (("shadow", "--version", "9", "--why", "x"), 1, "there is no version 9"),
        (("ramp", "--steps", "half", "--why", "x"), 2, "is not made of numbers"),
        (("canary", "--share", "0.1"), 2, "Missing option '--why'"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_what_is_refused_is_told_in_one_line(
    typed: Type, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    refused = typed("traffic", *arguments)

    assert refused.exit_code == code
    assert reason in refused.stderr
    if code == 1:
        assert len(refused.stderr.splitlines()) == 1


def test_status_tells_champion_and_who_answers_apart_after_a_return(
    first_run: Finished, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_of(first_run.project, project.folder)
    challenge(copied)
    promote(copied.workplace, "a test", LENIENT)
    tables, rollout = copied.workplace.tables, Rollout(True)
    stands = follow(tables, rollout, "a test")
    assert stands is not None
    state = state_of(tables["traffic"])
    told = {"by": "guard one", "why": "errors 5 % against 1 %", "evidence": "{}"}
    take_back(tables, state, records(tables, state), stands, **told)
    variables = {**ONLY_TELCO, "CHURN_ROOT": str(copied.folder / ".churn"), "COLUMNS": "200"}
    for name, value in {**variables, "CHURN_SERVING__ROLLOUT": "ramp"}.items():
        monkeypatch.setenv(name, value)

    status = said(CliRunner().invoke(app, ["status"]))

    assert "traffic: version 1 answers everyone, since the guard took version 2 back" in status
    assert "errors 5 % against 1 %" in status
    assert "Champion on record: version 2, since 20" in status
    assert re.search(r"rollback 1` makes version 1 Champion again", status)
