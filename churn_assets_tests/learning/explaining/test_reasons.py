"""Reasons that people can read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.explaining.contributions import Contributions, contributions
from churn_assets.learning.explaining.reasons import reasons
from churn_assets.learning.fitting.candidates import CATALOGUE
from churn_assets_tests.support.explaining import Fitted, plain_use_case, scores
from churn_assets_tests.support.project import USE_CASE

SENTENCE = re.compile(r".+: .+, which (raises|lowers) the odds (more than )?[\d.]+ times")


@pytest.mark.parametrize("name", CATALOGUE)
def test_reasons_of_hostile_rows_are_sentences_like_any_other(
    fitted: Fitted, hostile: pd.DataFrame, name: str
) -> None:
    places = reasons(contributions(fitted(name), hostile), hostile, USE_CASE)

    texts = [text for place in places for text in place.to_pylist() if text is not None]
    assert all(SENTENCE.fullmatch(text) for text in texts)


def test_a_reason_names_the_direction_that_the_score_would_move_in(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = fitted("blend")
    places = reasons(contributions(model, inputs), inputs, USE_CASE, most=len(USE_CASE.inputs))
    texts = pd.concat([pd.Series(place.to_pylist()) for place in places], axis=1)

    def of(value: str) -> pd.Series[Any]:
        """Whose risk this contract raises, by the reasons."""
        return texts.apply(
            lambda row: row.fillna("").str.startswith(f"contract: {value}, which raises").any(),
            axis=1,
        )

    month, years = inputs["contract"] == "Month-to-month", inputs["contract"] == "Two year"
    better = scores(model, inputs.assign(contract="Two year"))

    assert of("Month-to-month")[month].mean() > 0.95
    assert not of("Two year")[years].any()
    assert (better < scores(model, inputs))[month].all()


def test_a_customer_has_the_same_reasons_in_any_batch(fitted: Fitted, inputs: pd.DataFrame) -> None:
    for name in ("blend", "random_forest"):
        model = fitted(name)
        whole = reasons(contributions(model, inputs), inputs, USE_CASE)

        alone = [
            [place[0].as_py() for place in reasons(contributions(model, one), one, USE_CASE)]
            for one in (inputs.iloc[[i]] for i in (0, 7, 1234))
        ]

        assert alone == [[place[i].as_py() for place in whole] for i in (0, 7, 1234)]


def reason(values: list[Any], amount: float, **more: Any) -> list[str | None]:
    """The one reason of customers who have these values of one input."""
    name = more.pop("name", "lead_time")
    frame = pd.DataFrame({name: values})
    explained = Contributions(0.0, np.full((len(values), 1), amount), (name,))
    first, *_ = reasons(explained, frame, plain_use_case((name,), **more))
    return list(first.to_pylist())


def test_a_reason_is_a_sentence() -> None:
    assert reason([12.0], 0.65) == ["lead time: 12, which raises the odds 1.9 times"]
    assert reason([12.0], -0.65) == ["lead time: 12, which lowers the odds 1.9 times"]


def test_a_reason_is_written_in_the_use_cases_words() -> None:
    words = {"lead_time": "days until arrival"}

    assert reason([3.0], 1, words=words) == [
        "days until arrival: 3, which raises the odds 2.7 times"
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (72.0, "72"), (2017.0, "2,017"), (123_456.0, "123,456"),
        (29.85, "29.85"), (104.456, "104.5"), (1889.5, "1,890"), (-0.123456, "-0.1235"),
        (12_345_678.0, "12,350,000"), (1e-9, "1e-09"), (1e300, "1e+300"), (np.nan, "not known"),
        (np.inf, "inf"), (2**53 + 0.0, "9.007e+15"),
    ],
)  # fmt: skip
def test_a_number_is_written_in_digits_that_mean_something(value: float, text: str) -> None:
    assert reason([value], 1) == [f"lead time: {text}, which raises the odds 2.7 times"]


@pytest.mark.parametrize("name", ["is_new", "has_new"])
def test_a_flag_is_written_as_yes_or_no(name: str) -> None:
    texts = reason([1.0, 0.0, np.nan, 2.0], 1, name=name, words={name: "new customer"})

    assert [text.partition(", which raises")[0] for text in texts if text] == [
        "new customer: yes",
        "new customer: no",
        "new customer: not known",
        "new customer: 2",
    ]


@pytest.mark.parametrize(
    ("times", "text"),
    [(1.01, "1.01"), (1.096, "1.1"), (1.94, "1.9"), (9.96, "10"), (14.3, "14"),
     (99.7, "100"), (1e8, "more than 100")],
)  # fmt: skip
def test_strength_is_written_in_times_the_odds(times: float, text: str) -> None:
    assert reason([1.0], np.log(times)) == [f"lead time: 1, which raises the odds {text} times"]
    assert reason([1.0], -np.log(times)) == [f"lead time: 1, which lowers the odds {text} times"]


def test_what_does_next_to_nothing_is_no_reason() -> None:
    assert reason([1.0, 2.0], 0.004) == [None, None]
    assert reason([1.0], 0.0) == [None]


def test_the_strongest_come_first_and_the_first_of_equal_ones() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": ["x"], "d": [None]})
    explained = Contributions(0.0, np.array([[0.5, 0.5, -2.0, 1.0]]), ("a", "b", "c", "d"))

    places = reasons(explained, frame, plain_use_case(("a", "b"), ("c", "d")))

    assert [place.to_pylist() for place in places] == [
        ["c: x, which lowers the odds 7.4 times"],
        ["d: not known, which raises the odds 2.7 times"],
        ["a: 1, which raises the odds 1.6 times"],
    ]


def test_a_model_of_one_input_has_one_reason_and_no_more() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})

    places = reasons(Contributions(0.0, np.ones((2, 1)), ("a",)), frame, plain_use_case(("a",)))

    assert [place.null_count for place in places] == [0, 2, 2]


def test_text_is_written_alike_however_the_frame_keeps_it() -> None:
    values = ["b", None, "a", "b"]
    explained = Contributions(0.0, np.ones((4, 1)), ("kind",))
    use_case = plain_use_case((), ("kind",))

    frames = [
        pd.DataFrame({"kind": pd.Series(values, dtype=dtype)})
        for dtype in ("object", "category", "string")
    ]
    texts = [reasons(explained, frame, use_case)[0].to_pylist() for frame in frames]

    assert texts[0] == texts[1] == texts[2]
    assert [text.split()[1].rstrip(",") for text in texts[0]] == ["b", "not", "a", "b"]
