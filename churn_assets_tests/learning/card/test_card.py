from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from churn_assets.learning.card import gather as gather_module
from churn_assets.learning.card.gather import gather_card
from churn_assets.learning.card.page import Card, card_page
from churn_assets.learning.judging.court import Judgement, decide
from churn_assets.learning.judging.evidence import gather
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.registry import CARD, CHALLENGER
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.cards import WORD, made_up
from churn_assets_tests.support.pages import (
    HOSTILE,
    Page,
    require_same_tags,
    require_self_contained,
)
from churn_assets_tests.support.project import USE_CASE, Project


def test_a_card_asks_nothing_of_the_network_and_runs_no_script() -> None:
    require_self_contained(Page(card_page(made_up())))


def test_text_from_elsewhere_is_shown_as_it_is() -> None:
    page = Page(card_page(made_up()))

    card = made_up()
    plain = WORD.replace("_", " ")
    assert "x-word" not in {tag for tag, _ in page.tags}
    for text in (
        card.name,
        card.description,
        card.semantic_version,
        f"gate {plain}",
        f"reason {WORD}",
        f"Log loss {WORD}",
        f"column {WORD}",
        f"group {WORD}",
        f"model {WORD}",
        f"USD {WORD}",
        f"assumed {WORD}",
        f"input {WORD}",
        f"level {WORD}",
        f"tenure {WORD}",
        f"Threshold {WORD}",
        f"blend {plain}",
        f"C {WORD}",
        f"source {WORD}",
        f"s3://bucket/{WORD}",
        f"test {WORD}",
        f"hash/1 {WORD}",
        f"limit {WORD}",
        f"churn train {WORD}",
    ):
        assert text in page.text
    assert f"roc_{WORD}" in page.values("aria-label")


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_no_field_of_a_card_can_change_its_page(word: str) -> None:
    harmless = Page(card_page(made_up("harmless")))

    page = Page(card_page(made_up(word)))

    require_self_contained(page)
    require_same_tags(page, harmless, word, "harmless")
    assert page.text == harmless.text.replace("harmless", word)


def test_pictures_are_inside_the_page() -> None:
    card = made_up()

    (svg,) = card.pictures.values()
    assert card_page(card).count(svg.decode()) == 3


def test_every_link_leads_to_a_section() -> None:
    page = Page(card_page(made_up()))

    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert [link.removeprefix("#") for link in page.values("href")] == sections
    assert len(sections) == 9


def test_what_is_not_known_is_left_out() -> None:
    card = made_up()
    bare = Card(
        name="model",
        version=1,
        semantic_version="",
        description="A description.",
        trained_at=None,
        made_at=card.made_at,
        verdicts=[Verdict("governance", False, "there are no labelled test rows")],
    )

    page = Page(card_page(bare))

    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == ["gates", "scores"]
    assert "Not measured" in page.text
    assert "None" not in page.text


@pytest.mark.parametrize(
    ("blocking", "standing"),
    [(True, "Refused by f1 gate"), (False, "Passed, with a warning of f1")],
)
def test_a_card_begins_with_what_the_gates_decided(blocking: bool, standing: str) -> None:
    passed = Verdict("governance", True, "documented")
    failed = Verdict("f1_gate", False, "F1 is below", blocking=blocking)

    page = Page(card_page(made_up(verdicts=[passed, failed])))

    assert standing in page.text
    assert "Passed every gate" not in page.text
    assert "Passed every gate" in Page(card_page(made_up(verdicts=[passed]))).text


@pytest.fixture(scope="module")
def judged(finished: Project) -> Judgement:
    """What the gates say of the finished project's Challenger, as they said it at first."""
    return decide(lambda: gather(finished.workplace, None), USE_CASE, GateSettings())


@pytest.fixture(scope="module")
def card(finished: Project, judged: Judgement) -> Card:
    return _gathered(finished, judged)


def test_the_run_of_a_challenger_keeps_its_card(finished: Project, tmp_path: Path) -> None:
    challenger = finished.registry.by_alias(CHALLENGER)

    file = finished.registry.client.download_artifacts(challenger.run_id, CARD, str(tmp_path))

    page = Page(Path(file).read_text(encoding="utf-8"))
    assert f"version {challenger.version}" in page.text
    assert len([attrs for tag, attrs in page.tags if tag == "section"]) == 9
    titles = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert len(titles) > 8
    assert len(set(titles)) == len(titles)


def test_a_card_tells_what_the_tables_and_the_registry_hold(finished: Project, card: Card) -> None:
    rows = finished.rows("features")
    test = rows.filter((pl.col("split") == "test") & pl.col("label").is_not_null())
    model = finished.rows("model").to_dicts()[-1]
    found = {score.name.split(" at ")[0]: score for score in card.scores}

    assert card.test_rows == test.height
    assert found["ROC AUC"].value == pytest.approx(model["test_roc_auc"])
    assert found["F1"].value == pytest.approx(model["test_f1"])
    assert all(score.low < score.value < score.high for score in card.scores)
    assert [stage.name for stage in card.stages] == [
        "source",
        "raw",
        "silver",
        "features",
        f"{USE_CASE.name} {model['version']}",
    ]
    parts = dict(rows.group_by("split").len().iter_rows())
    assert {part.name: part.rows for part in card.parts} == parts
    assert card.candidates[card.chosen] == min(card.candidates.values())
    assert {group.column for group in card.groups} == {
        USE_CASE.words.get(name, name.replace("_", " ")) for name in USE_CASE.slices
    }
    assert sum(group.rows for group in card.groups) == len(USE_CASE.slices) * test.height
    assert list(card.importance.values()) == sorted(card.importance.values(), reverse=True)
    assert card.champion is None
    assert "It is the first" in " ".join(card.limits)


def test_a_card_names_no_customer(finished: Project, card: Card) -> None:
    html = card_page(card)

    assert not [key for key in finished.rows("features")[USE_CASE.key] if key in html]


def test_a_card_holds_no_credential(copied: Project, judged: Judgement) -> None:
    evidence = judged.evidence
    secret = "https://someone:hidden@host/model?token=hidden"
    challenger = replace(evidence.challenger, description=f"See {secret} for what it is.")
    reasons = [replace(verdict, reason=f"see {secret}") for verdict in judged.verdicts]

    told = replace(judged, verdicts=reasons, evidence=replace(evidence, challenger=challenger))

    html = card_page(_gathered(copied, told))

    assert "https://host/model" in html
    assert "hidden" not in html


def test_a_use_case_without_a_business_case_or_slices_has_no_such_sections(
    finished: Project, judged: Judgement
) -> None:
    bare = replace(USE_CASE, business=None, slices=())
    evidence = replace(judged.evidence, stake=None, slices={})

    page = Page(card_page(_gathered(finished, replace(judged, evidence=evidence), bare)))

    sections = {attrs["id"] for tag, attrs in page.tags if tag == "section"}
    assert {"gates", "scores", "explanation"} <= sections
    assert not {"value", "groups"} & sections
    assert "none was judged apart" in page.text


def test_test_rows_of_one_outcome_leave_the_scores_out(
    finished: Project, judged: Judgement
) -> None:
    evidence = replace(judged.evidence, labels=np.zeros_like(judged.evidence.labels))

    card = _gathered(finished, replace(judged, evidence=evidence))

    assert card.scores == ()
    assert card.worth is None
    assert "Not measured" in card_page(card)


def test_a_card_says_how_many_test_rows_were_not_judged_on(
    finished: Project, judged: Judgement
) -> None:
    evidence = replace(judged.evidence, set_aside=1234)

    card = _gathered(finished, replace(judged, evidence=evidence))

    told = "1,234 test rows were not judged on: they are copies of rows that it was trained on"
    assert told in " ".join(card.limits)


def test_a_group_that_the_gate_did_not_judge_has_no_f1(
    finished: Project, judged: Judgement
) -> None:
    column = USE_CASE.slices[0]
    name = sorted(set(judged.evidence.slices[column]))[0]
    small = Verdict("slices", True, "", {"not_judged": [f"{column} {name}"]})
    others = [verdict for verdict in judged.verdicts if verdict.gate != "slices"]

    card = _gathered(finished, replace(judged, verdicts=[*others, small]))

    assert [group.name for group in card.groups if group.f1 is None] == [name]
    assert f"Too few test rows, churners or stayers to judge: {column}: {name}." in card.limits


def test_a_group_of_so_few_that_one_is_recognised_is_not_told(
    finished: Project, judged: Judgement
) -> None:
    column = USE_CASE.slices[0]
    groups = np.array(judged.evidence.slices[column], dtype=object)
    groups[:3] = "three of them"
    evidence = replace(judged.evidence, slices={column: groups})

    card = _gathered(finished, replace(judged, evidence=evidence))

    assert len(card.groups) == len(set(groups)) - 1
    assert "three of them" not in card_page(card)


def test_an_input_that_nobody_has_is_not_drawn() -> None:
    inputs = pd.DataFrame({name: [None, None] for name in USE_CASE.inputs})

    assert list(gather_module._effects(USE_CASE, None, inputs, USE_CASE.inputs)) == []


def _gathered(project: Project, judgement: Judgement, use_case: UseCase = USE_CASE) -> Card:
    assert judgement.evidence is not None
    return gather_card(
        replace(project.workplace, use_case=use_case),
        judgement.verdicts,
        judgement.evidence,
        {verdict.gate: None for verdict in judgement.verdicts},
    )
