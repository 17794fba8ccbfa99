"""What whoever draws a picture relies on: its numbers are readable, and do not exaggerate."""

from __future__ import annotations

import pytest

from churn_assets.pages.markdown import images
from churn_assets.pages.plots import Axis, Bars, Line, Rule, bars, draw
from churn_assets_tests.support.pages import HOSTILE, Page, seen


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (176_700, 176_720, {"176,700", "176,720"}),
        (0, 1_767_120, {"0", "2.0M"}),
        (0.0001, 0.0002, {"0.00010", "0.00020"}),
        (2001, 2011, {"2000", "2012"}),
        (-45_000, 45_000, {"-40k", "40k"}),
    ],
)
def test_numbers_are_written_in_full_without_an_offset_or_exponent(
    low: float, high: float, written: set[str]
) -> None:
    texts = seen(draw("Numbers", [Line([0, 1], [low, high])])).texts

    assert not [text for text in texts[1:] if "e" in text]
    assert written <= set(texts)


def test_bars_begin_at_nothing() -> None:
    texts = seen(draw("Bars", [bars([90.0, 91.0])])).texts

    assert "0" in texts


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_text_in_a_picture_is_escaped(word: str) -> None:
    svg = draw(
        word, [Rule(y=1, label=word), Bars([(0, 1, 0, 1)], ["red"])], Axis(word, names={0: word})
    )

    assert {tag for tag, _ in Page(svg.decode()).tags} == {"svg", "rect", "text", "line"}
    assert seen(svg).title == word


def test_a_picture_of_nothing_is_empty_and_no_error() -> None:
    assert seen(draw("Nothing", [Line([], [])])).title == "Nothing"
    assert seen(draw("One", [Line([1], [1], joined=False)])).marks == 1


def test_pictures_that_an_earlier_version_kept_are_shown_as_they_are() -> None:
    shown = images({"roc": b"\x89PNG\r\n", "new": b"<svg/>"})

    assert "![roc](data:image/png;base64," in shown
    assert "![new](data:image/svg+xml;base64," in shown
