"""Model inputs that somebody sends are right, or all that is wrong with them is said."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.inputs import Input, InputsReader
from churn_assets.serving.answering.snapshot import Kind

WANTED = {
    "months": Input(kind="number", is_whole=True, ge=0),
    "charges": Input(kind="number", nullable=True, ge=0, le=1000),
    "increase": Input(kind="number"),
    "grade": Input(kind="number", isin=(1, 2, 3), nullable=True),
    "class": Input(kind="text", isin=("gold", "it's")),
    "city name": Input(kind="text", nullable=True),
    "amount": Input(kind="number", nullable=True, required=False),
}
RIGHT: dict[str, Any] = {
    "months": 12, "charges": 29.85, "increase": -0.5, "grade": None, "class": "it's",
    "city name": "Köln",
}  # fmt: skip
READER = InputsReader(WANTED)
MOST_MICROSECONDS = 25
"""On a machine that does much else; five on one that does not."""


def rules(**changed: Any) -> dict[str, str]:
    """What is wrong with inputs of which some are changed, as JSON and decoded alike."""
    return rules_of({**RIGHT, **{name.replace("_", " "): v for name, v in changed.items()}})


def rules_of(given: dict[str, Any]) -> dict[str, str]:
    values, faults = READER.convert(given)
    if not any(isinstance(v, float) and not math.isfinite(v) for v in given.values()):
        assert READER.read(json.dumps(given).encode()) == (values, faults)
    assert bool(values) is not bool(faults)
    return {fault.field: fault.rule for fault in faults}


def test_right_inputs_come_back_by_name_in_their_order() -> None:
    backwards = dict(reversed(RIGHT.items()))

    for text in (json.dumps(RIGHT), json.dumps(backwards)):
        values, faults = READER.read(text.encode())

        assert not faults
        assert list(values.items()) == [
            ("months", 12.0), ("charges", 29.85), ("increase", -0.5), ("grade", None),
            ("class", "it's"), ("city name", "Köln"), ("amount", None),
        ]  # fmt: skip
        assert all(isinstance(v, float | str | None) for v in values.values())
    assert READER.read(msgspec.Raw(json.dumps({**RIGHT, "amount": 7}).encode()))[0]["amount"] == 7


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"months": -1}, {"months": "is below 0"}),
        ({"months": 1.5}, {"months": "is not a whole number"}),
        ({"months": "12"}, {"months": "is not a whole number"}),
        ({"months": None}, {"months": "is blank"}),
        ({"charges": 1000.5}, {"charges": "is above 1000"}),
        ({"charges": None}, {}),
        ({"increase": math.nan}, {"increase": "is not a finite number"}),
        ({"increase": -math.inf}, {"increase": "is not a finite number"}),
        ({"increase": 10**400}, {"increase": "is not a finite number"}),
        ({"increase": True}, {"increase": "is not a finite number"}),
        ({"increase": [1]}, {"increase": "is not a finite number"}),
        ({"increase": 1e300}, {}),
        ({"grade": 2}, {}),
        ({"grade": 4}, {"grade": "is not one of 1, 2, 3"}),
        ({"class": "Gold"}, {"class": "is not one of gold, it's"}),
        ({"class": ""}, {"class": "is blank"}),
        ({"class": 1}, {"class": "is not text"}),
        ({"city_name": ""}, {"city name": "is blank"}),
        ({"city_name": {"a": 1}}, {"city name": "is not text"}),
        ({"city_name": "unheard of"}, {}),
        ({"amount": "x"}, {"amount": "is not a finite number"}),
    ],
    ids=str,
)
def test_each_rule_is_kept(changed: dict[str, Any], broken: dict[str, str]) -> None:
    assert rules(**changed) == broken


def test_all_faults_are_said_at_once_with_kinds_and_without_values() -> None:
    given = {**RIGHT, "months": -1.5, "class": "secret", "shoe size": ["secret"], "charges": "7"}
    del given["increase"]

    _, faults = READER.read(json.dumps(given).encode())

    assert faults == [
        Fault("shoe size", "list", "is not an input of the model"),
        Fault("months", "number", "is not a whole number"),
        Fault("months", "number", "is below 0"),
        Fault("charges", "text", "is not a finite number"),
        Fault("increase", "nothing", "is missing"),
        Fault("class", "text", "is not one of gold, it's"),
    ]
    assert "secret" not in repr(faults)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 500])
def test_a_number_that_no_double_holds_is_told_by_name(number: str) -> None:
    text = json.dumps({**RIGHT, "increase": 0}).replace('"increase": 0', f'"increase": {number}')

    assert READER.read(text.encode()) == (
        {},
        [Fault("increase", "number", "is not a finite number")],
    )


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"7", b"[[[1e999]]]"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    try:
        values, faults = READER.read(body)
    except msgspec.ValidationError:
        assert b"1e999" in body
    else:
        assert (values, [fault.field for fault in faults]) == ({}, [""])


@pytest.mark.parametrize("body", [b"", b"{", b'{"months": NaN}', b'{"class": "\\ud800"}', b"\xff"])
def test_what_is_no_json_is_an_error_of_its_own(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        READER.read(body)


def test_half_of_a_character_is_refused_where_it_was_decoded_by_another() -> None:
    assert READER.convert({**RIGHT, "city name": "a\ud800"})[1] == [
        Fault("city name", "text", "is not text")
    ]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*WANTED]) | st.text(max_size=4), ANY, max_size=4))
def test_whatever_is_sent_both_ways_of_reading_agree(changed: dict[str, Any]) -> None:
    try:
        text = msgspec.json.encode({**RIGHT, **changed})
    except (UnicodeEncodeError, OverflowError):
        return
    given = json.loads(text)

    assert READER.read(text) == READER.convert(given)


@dataclass(frozen=True)
class Manifest:
    """As a bundle's describes inputs."""

    inputs: dict[str, Kind] = field(
        default_factory=lambda: {"n": "number", "x": "number", "t": "text", "u": "text"}  # type: ignore[dict-item]
    )
    schemas: dict[str, Any] = field(
        default_factory=lambda: {
            "inputs": {
                "properties": {
                    "n": {"type": "integer", "minimum": 0, "maximum": 9},
                    "x": {"type": ["number", "null"]},
                    "t": {"type": ["string", "null"], "enum": ["a", "b", None]},
                }
            }
        }
    )


def test_a_manifest_says_what_inputs_may_be() -> None:
    reader = InputsReader.of(Manifest(), ["x", "price"])

    assert reader.inputs == {
        "n": Input(kind="number", is_whole=True, ge=0, le=9),
        "x": Input(kind="number", nullable=True),
        "t": Input(kind="text", nullable=True, isin=("a", "b")),
        "u": Input(kind="text", nullable=True),
        "price": Input(kind="number", nullable=True, required=False),
    }
    assert reader.read(b'{"n": 9, "x": null, "t": null, "u": "z"}')[1] == []


def test_a_right_row_takes_microseconds() -> None:
    text, rounds = json.dumps(RIGHT).encode(), 5000
    begun = time.process_time()
    for _ in range(rounds):
        READER.read(text)

    assert (time.process_time() - begun) / rounds * 1e6 < MOST_MICROSECONDS
