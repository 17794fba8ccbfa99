"""Inputs that are taken away: who was trained on them is compared with and scores all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest

from churn_assets.errors import GateError, InputsError
from churn_assets.learning.fitting.challenger import train_challenger
from churn_assets.learning.judging.court import Judgement
from churn_assets.learning.judging.evidence import gather
from churn_assets.learning.judging.promotion import answer, judge, promote, rollback
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.scoring import behind, score
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.featurise import featurise
from churn_assets.types import Frame
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import copy_of, open_run

GONE = ("payment_method", "has_automatic_payment")
"""A column of silver and what `features` makes of it."""
LINEAR = TrainingSettings(candidates=("logistic_regression",), folds=2)
LENIENT = GateSettings(f1_margin=0.2, auc_margin=0.2, brier_margin=0.5, slice_tolerance=0.5)
"""By which what an input told may be lost."""
COMPARING = ("f1_gate", "non_inferiority", "value", "slices")


def without(use_case: UseCase, *names: str) -> UseCase:
    return replace(
        use_case,
        numeric=tuple(name for name in use_case.numeric if name not in names),
        categorical=tuple(name for name in use_case.categorical if name not in names),
    )


def features_as_they_are(silver: Frame) -> Frame:
    return USE_CASE.features(silver)


def features_without_it(silver: Frame) -> Frame:
    return USE_CASE.features(silver).drop(*GONE)


STILL_GIVEN = replace(without(USE_CASE, *GONE), features=features_as_they_are)
GIVEN_NO_MORE = replace(STILL_GIVEN, features=features_without_it)


def retrained(project: Project, use_case: UseCase) -> Workplace:
    """A place with a Challenger of other inputs beside the Champion."""
    place = replace(project.workplace, use_case=use_case)
    featurise(use_case, place.tables)
    train_challenger(place, LINEAR, partial(open_run, place.registry))
    return place


def scores(project: Project) -> pl.DataFrame:
    """What is predicted, whenever and of whichever version of features."""
    return project.rows("predictions").drop("scored_at", "features_version").sort(USE_CASE.key)


def gates(judgement: Judgement) -> dict[str, tuple[bool, str]]:
    return {verdict.gate: (verdict.passed, verdict.reason) for verdict in judgement.verdicts}


@pytest.fixture(scope="module")
def lacking(finished: Project, new_project: Callable[..., Project]) -> Project:
    """A project whose `features` gives less than the Champion was trained on."""
    project = copy_of(finished, new_project().folder)
    retrained(project, GIVEN_NO_MORE)
    return project


@pytest.fixture
def place(lacking: Project, project: Project) -> Workplace:
    return replace(copy_of(lacking, project.folder).workplace, use_case=GIVEN_NO_MORE)


def test_a_champion_is_compared_with_and_scores_by_what_features_still_gives_of_its_inputs(
    finished: Project, copied: Project
) -> None:
    before = gather(finished.workplace, None).challenger
    predictions = scores(finished)

    place = retrained(copied, STILL_GIVEN)
    given = gather(place, copied.champion())
    scored, again = score(place), score(place)

    assert not set(GONE) & set(copied.rows("features").columns)
    assert given.challenger.version == 2
    assert given.champion is not None
    assert np.array_equal(given.champion.scores, before.scores)
    assert scores(copied).equals(predictions)
    assert scored.reads["silver"] == copied.state("silver").version
    assert not again.changed
    assert behind(place.tables) is None
    assert promote(place, "a test", LENIENT)[1].version == 2
    assert score(place).details["model_version"] == 2


def test_where_features_gives_an_input_no_more_the_gates_say_so_and_the_others_decide(
    place: Workplace,
) -> None:
    said = gates(judge(place))

    assert all(passed for passed, _ in said.values()), said
    lacks = (
        "Champion 1 cannot be compared with: it was trained on 'has_automatic_payment', "
        "'payment_method', which `features` does not give any more"
    )
    assert [gate for gate in COMPARING if lacks not in said[gate][1]] == []
    assert "lower 95 % bound of ROC AUC" in said["first_champion"][1]
    strict = gates(judge(place, GateSettings(first_auc=0.99)))
    assert [gate for gate, (passed, _) in strict.items() if not passed] == ["first_champion"]
    assert promote(place, "a test")[1].version == 2


def test_by_setting_a_person_approves_whom_no_champion_is_compared_with(
    place: Workplace, finished: Project
) -> None:
    asked = GateSettings(approval="incomparable")

    with pytest.raises(GateError, match="approval: version 2 waits for a person"):
        promote(place, "a test", asked)
    answer(place, asked, approved=True, by="a person")

    assert promote(place, "a test", asked)[1].version == 2
    assert gates(judge(finished.workplace, asked))["approval"][0]


def test_a_champion_that_lacks_an_input_scores_nobody_and_says_which(place: Workplace) -> None:
    before = place.tables["predictions"].state()

    with pytest.raises(InputsError) as refusal:
        score(place)

    assert str(refusal.value).startswith(
        "telco_churn: Champion 1 was trained on 'has_automatic_payment', 'payment_method', which "
        "`features` does not give any more, so it can score nobody. Predictions "
    )
    assert "\n" not in str(refusal.value)
    assert place.tables["predictions"].state() == before


def test_nobody_is_rolled_back_to_who_could_score_nobody(place: Workplace) -> None:
    promote(place, "a test")

    with pytest.raises(InputsError, match="Version 1 was trained on 'has_automatic_payment'"):
        rollback(place, None, "a person")


def test_a_challenger_from_before_the_change_is_not_promoted(copied: Project) -> None:
    challenge_of_before = replace(copied.workplace, use_case=STILL_GIVEN)
    train_challenger(copied.workplace, LINEAR, partial(open_run, copied.registry))

    with pytest.raises(
        GateError, match=r"Challenger 2 was trained on 'has_automatic_payment'.*run"
    ):
        promote(challenge_of_before, "a test", LENIENT)


def test_an_input_of_another_kind_today_is_no_number(copied: Project) -> None:
    def as_text(silver: Frame) -> Frame:
        import narwhals.stable.v2 as nw

        return USE_CASE.features(silver).with_columns(nw.col("is_new").cast(nw.String))

    moved = without(USE_CASE, "is_new")
    moved = replace(moved, categorical=(*moved.categorical, "is_new"), features=as_text)

    place = retrained(copied, moved)

    lacks = gather(place, copied.champion()).incomparable
    assert lacks.endswith("it was trained on 'is_new' as a number, which is String today")
    assert set(copied.rows("features")["is_new"]) == {"0", "1"}
    assert copied.rows("predictions").select(pl.len()).item() > 0
