"""What a user relies on who looks at a profile."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from churn_assets.scaffold.draft import Draft
from churn_assets.scaffold.profile import FEWEST_SHOWN
from churn_assets.scaffold.profile_page import PICTURES, profile_page
from churn_assets_tests.support.drafting import ROWS, draft_of, noise, outcomes, signal
from churn_assets_tests.support.pages import (
    HOSTILE,
    Page,
    require_same_tags,
    require_self_contained,
)

WORD = "<x-word>&\"'"


def page_of(draft: Draft) -> Page:
    return Page(profile_page(draft, datetime(2026, 1, 1, tzinfo=UTC)))


def whole(word: str = WORD) -> Draft:
    """A table with something for every section, and words that must not become tags."""
    left = np.array(outcomes()) == "yes"
    rng = np.random.default_rng(7)
    return draft_of({
        f"use {word}": signal(), f"kind {word}": rng.choice([f"some {word}", "other"], ROWS),
        "gone": np.where(rng.random(ROWS) < 0.2, None, noise()).tolist(),
        "reason": np.where(left, f"moved {word}", None).tolist(),
        "joined": [date(2020, 1, 1) + timedelta(days=i) for i in range(ROWS)],
        "branch": [f"main {word}"] * ROWS, "list": [[1]] * ROWS, "row": range(ROWS),
    })  # fmt: skip


def test_a_profile_asks_nothing_of_the_network_and_runs_no_script() -> None:
    require_self_contained(page_of(whole()))


def test_text_of_the_table_is_shown_as_it_is() -> None:
    page = page_of(whole())

    assert "x-word" not in {tag for tag, _ in page.tags}
    for text in (f"use {WORD}", f"kind {WORD}", f"some {WORD}", f"moved {WORD}", f"main {WORD}"):
        assert text in page.text


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_no_name_or_value_of_a_table_can_change_the_page(word: str) -> None:
    page = page_of(whole(word))

    require_self_contained(page)
    require_same_tags(page, page_of(whole("harmless")), word, "harmless")
    for text in (f"use {word}", f"kind {word}", f"some {word}", f"moved {word}"):
        assert text in page.text


def test_every_section_is_there_and_linked() -> None:
    page = page_of(whole())

    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert [link.removeprefix("#") for link in page.values("href")] == sections
    assert sections == [
        "questions", "leaks", "outcome", "strength", "inputs", "dates", "left-out", "key", "columns"
    ]  # fmt: skip


def test_every_question_of_the_file_is_on_the_page() -> None:
    draft = whole()

    text = page_of(draft).text

    assert len(draft.questions) > 3
    assert all(question in text for _, question in draft.questions)


def test_a_picture_shows_how_many_records_there_are_and_how_often_they_leave() -> None:
    draft = draft_of({"x": [i % 4 for i in range(ROWS)]})

    page = page_of(draft)

    bars = [attrs for tag, attrs in page.tags if tag == "rect"]
    dots = [attrs for tag, attrs in page.tags if tag == "circle"]
    assert len(bars) == len(dots) == 4
    assert {bar["height"] for bar in bars} == {bars[0]["height"]}
    assert "0: 250 records, " in page.text


def test_no_picture_shows_a_value_of_so_few_that_one_may_be_recognised() -> None:
    few = FEWEST_SHOWN - 1
    kinds = ["the mayor" if i < few else f"kind {i % 3}" for i in range(ROWS)]
    salary = np.where(np.arange(ROWS) == 0, 987_654_321.0, np.abs(noise()) * 1000)

    page = page_of(draft_of({"kind": kinds, "use": signal()}))
    bars = draft_of({"salary": salary}).numbers[0].profile.bars

    assert "kind 1" in page.text
    assert "the mayor" not in page.text
    assert not [bar for bar in bars if float(bar.name.strip("+").replace(",", "")) > 10_000]


def test_of_many_inputs_those_that_tell_most_are_drawn_and_all_are_listed() -> None:
    many = {f"x{i}": noise(seed=i) for i in range(PICTURES + 40)}

    page = page_of(draft_of({**many, "use": signal()}))

    assert len([tag for tag, _ in page.tags if tag == "svg"]) <= PICTURES
    assert f"These are the {PICTURES} that tell most." in page.text
    assert all(page.text.count(name) >= 1 for name in many)
    first = next(attrs["aria-label"] for tag, attrs in page.tags if tag == "svg")
    assert first == "use"
