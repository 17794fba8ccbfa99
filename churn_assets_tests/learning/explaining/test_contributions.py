"""Explanations: contributions that add up to the score, and reasons that people can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.ensembles import Recalibrated
from churn_assets.learning.explaining.contributions import (
    Contributions,
    contributions,
    importance,
    partial_dependence,
)
from churn_assets.learning.explaining.reasons import reasons
from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.learning.odds import log_odds
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows
from churn_assets.usecases.spec import Column, Contract, Label, String, UseCase
from churn_assets_tests.support.project import USE_CASE, customers

ENGINE = PolarsEngine()
SENTENCE = re.compile(
    r".+: .+ (raises|lowers) the risk \(odds (times|divided by) (more than )?[\d.]+\)"
)

Fitted = Callable[[str], Any]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Features of made-up customers."""
    records = ENGINE.from_arrow(customers(2500, seed=3).to_arrow())
    silver = USE_CASE.clean(validate(records, USE_CASE.contract, ENGINE).valid)
    return ENGINE.collect(feature_rows(USE_CASE, silver, ENGINE).frame).to_pandas()


@pytest.fixture(scope="module")
def inputs(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[list(USE_CASE.inputs)]


@pytest.fixture(scope="module")
def fitted(rows: pd.DataFrame, inputs: pd.DataFrame) -> Fitted:
    """A candidate's default, fitted once."""
    known: dict[str, Any] = {}
    labels = rows["label"].fillna(False).to_numpy(dtype=bool)

    def unfitted(name: str) -> Any:
        candidate = CATALOGUE[name]
        if candidate.members:
            return blend({member: unfitted(member) for member in candidate.members})
        return pipeline(USE_CASE, candidate, {}, seed=0)

    def fit(name: str) -> Any:
        if name not in known:
            known[name] = unfitted(name).fit(inputs, labels)
        return known[name]

    return fit


@pytest.fixture(scope="module")
def hostile(inputs: pd.DataFrame) -> pd.DataFrame:
    """Customers of whom much is unknown, never seen before or out of all bounds."""
    odd = inputs.head(40).reset_index(drop=True).copy()
    odd.loc[:9, "contract"] = None
    odd.loc[5:14, "payment_method"] = "Barter, 'weekly' \U0001f40c"
    odd.loc[10:19, "tenure_months"] = np.nan
    odd.loc[20:24, "monthly_charges_usd"] = 1e12
    odd.loc[25:29, "total_charges_usd"] = -1e300
    odd.loc[30:34, :] = None
    return odd.astype(dict.fromkeys(USE_CASE.numeric, float))


def scores(model: Any, inputs: pd.DataFrame) -> np.ndarray:
    return np.asarray(model.predict_proba(inputs)[:, 1], dtype=float)


@pytest.mark.parametrize("name", CATALOGUE)
def test_contributions_add_up_to_the_score(fitted: Fitted, inputs: pd.DataFrame, name: str) -> None:
    model = fitted(name)
    some = inputs.head(200)

    found = contributions(model, some)

    assert found.names == USE_CASE.inputs
    total = found.base + found.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, some)), abs=1e-9)


@pytest.mark.parametrize("name", CATALOGUE)
def test_hostile_rows_are_explained_like_any_other(
    fitted: Fitted, hostile: pd.DataFrame, name: str
) -> None:
    model = fitted(name)

    found = contributions(model, hostile)
    told = reasons(found, hostile, USE_CASE)

    total = found.base + found.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, hostile)), abs=1e-9)
    said = [text for place in told for text in place.to_pylist() if text is not None]
    assert all(SENTENCE.fullmatch(text) for text in said)


def test_a_recalibrated_models_contributions_add_up_to_its_own_score(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = Recalibrated(fitted("blend"), slope=0.8, intercept=-0.2)

    found = contributions(model, inputs)

    total = found.base + found.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, inputs)), abs=1e-9)


def test_trees_are_explained_by_their_exact_shapley_values() -> None:
    """Of two inputs there are two orders, so the values can be found by hand."""
    from lightgbm import LGBMClassifier

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    labels = rng.random(600) < 1 / (1 + np.exp(-2 * table["a"] * table["b"]))
    two = plain_use_case(("a", "b"))
    model = pipeline(two, CATALOGUE["lightgbm"], {"n_estimators": 1, "num_leaves": 4}, 0)
    model.fit(table, labels)
    assert isinstance(model[-1], LGBMClassifier)
    tree = model[-1].booster_.dump_model()["tree_info"][0]["tree_structure"]

    def known(node: dict[str, Any], row: pd.Series[Any], told: set[int]) -> float:
        """What the tree expects where only some inputs are told."""
        if "leaf_value" in node:
            return float(node["leaf_value"])
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in told:
            low = row.iloc[node["split_feature"]] <= node["threshold"]
            return known(left if low else right, row, told)
        weights = [child.get("leaf_count", child.get("internal_count")) for child in (left, right)]
        return float(np.average([known(left, row, told), known(right, row, told)], weights=weights))

    found = contributions(model, table.head(20))

    for i, row in table.head(20).iterrows():
        none, a, b, both = (known(tree, row, told) for told in (set(), {0}, {1}, {0, 1}))
        assert found.base == pytest.approx(none, abs=1e-9)
        shares = [(a - none + both - b) / 2, (b - none + both - a) / 2]
        assert found.values[i] == pytest.approx(shares, abs=1e-9)


@pytest.mark.parametrize("name", ["contract", "tenure_months", "monthly_charges_usd"])
def test_a_linear_model_moves_by_what_is_told_of_an_input(
    fitted: Fitted, inputs: pd.DataFrame, name: str
) -> None:
    model = fitted("logistic_regression")
    i = list(inputs.columns).index(name)
    changed = inputs.assign(**{name: inputs[name].to_numpy()[::-1]})

    before, after = contributions(model, inputs), contributions(model, changed)

    told = after.values[:, i] - before.values[:, i]
    moved = log_odds(scores(model, changed)) - log_odds(scores(model, inputs))
    assert moved == pytest.approx(told, abs=1e-9)
    assert np.abs(moved).max() > 0.1


def test_a_reason_names_the_direction_that_the_score_would_move_in(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = fitted("blend")
    told = reasons(contributions(model, inputs), inputs, USE_CASE, most=len(USE_CASE.inputs))
    said = pd.concat([pd.Series(place.to_pylist()) for place in told], axis=1)

    def of(value: str) -> pd.Series[Any]:
        """Who is told of this contract that it raises the risk."""
        return said.apply(
            lambda row: row.fillna("").str.startswith(f"contract: {value} raises").any(), axis=1
        )

    month, years = inputs["contract"] == "Month-to-month", inputs["contract"] == "Two year"
    better = scores(model, inputs.assign(contract="Two year"))

    assert of("Month-to-month")[month].mean() > 0.95
    assert not of("Two year")[years].any()
    assert (better < scores(model, inputs))[month].all()


def test_a_customer_is_told_the_same_in_any_batch(fitted: Fitted, inputs: pd.DataFrame) -> None:
    for name in ("blend", "random_forest"):
        model = fitted(name)
        whole = reasons(contributions(model, inputs), inputs, USE_CASE)

        alone = [
            [place[0].as_py() for place in reasons(contributions(model, one), one, USE_CASE)]
            for one in (inputs.iloc[[i]] for i in (0, 7, 1234))
        ]

        assert alone == [[place[i].as_py() for place in whole] for i in (0, 7, 1234)]


# In words


def plain_use_case(
    numeric: tuple[str, ...], categorical: tuple[str, ...] = (), **more: Any
) -> UseCase:
    return UseCase(
        name="made",
        key="id",
        label=Label("left", "Yes"),
        contract=Contract(Column("id", String), Column("left", String)),
        clean=lambda frame: frame,
        features=lambda frame: frame,
        numeric=numeric,
        categorical=categorical,
        description="",
        **more,
    )


def told(values: list[Any], amount: float, **more: Any) -> list[str | None]:
    """The one reason of customers who have these values of one input."""
    name = more.pop("name", "lead_time")
    frame = pd.DataFrame({name: values})
    found = Contributions(0.0, np.full((len(values), 1), amount), (name,))
    first, *_ = reasons(found, frame, plain_use_case((name,), **more))
    return list(first.to_pylist())


def test_a_reason_is_a_sentence() -> None:
    assert told([12.0], 0.65) == ["lead time: 12 raises the risk (odds times 1.9)"]
    assert told([12.0], -0.65) == ["lead time: 12 lowers the risk (odds divided by 1.9)"]


def test_a_reason_is_told_in_the_use_cases_words() -> None:
    words = {"lead_time": "days until arrival"}

    assert told([3.0], 1, words=words) == ["days until arrival: 3 raises the risk (odds times 2.7)"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"), (-0.0, "0"), (72.0, "72"), (2017.0, "2,017"), (123_456.0, "123,456"),
        (29.85, "29.85"), (104.456, "104.5"), (1889.5, "1,890"), (-0.123456, "-0.1235"),
        (12_345_678.0, "12,350,000"), (1e-9, "1e-09"), (1e300, "1e+300"), (np.nan, "not known"),
        (np.inf, "inf"), (2**53 + 0.0, "9.007e+15"),
    ],
)  # fmt: skip
def test_a_number_is_told_in_digits_that_mean_something(value: float, said: str) -> None:
    assert told([value], 1) == [f"lead time: {said} raises the risk (odds times 2.7)"]


@pytest.mark.parametrize("name", ["is_new", "has_new"])
def test_a_flag_is_told_as_yes_or_no(name: str) -> None:
    said = told([1.0, 0.0, np.nan, 2.0], 1, name=name, words={name: "new customer"})

    assert [text.partition(" raises")[0] for text in said if text] == [
        "new customer: yes",
        "new customer: no",
        "new customer: not known",
        "new customer: 2",
    ]


@pytest.mark.parametrize(
    ("times", "said"),
    [(1.01, "1.01"), (1.096, "1.1"), (1.94, "1.9"), (9.96, "10"), (14.3, "14"),
     (99.7, "100"), (1e8, "more than 100")],
)  # fmt: skip
def test_strength_is_told_in_times_the_odds(times: float, said: str) -> None:
    assert told([1.0], np.log(times)) == [f"lead time: 1 raises the risk (odds times {said})"]
    assert told([1.0], -np.log(times)) == [f"lead time: 1 lowers the risk (odds divided by {said})"]


def test_what_does_next_to_nothing_is_no_reason() -> None:
    assert told([1.0, 2.0], 0.004) == [None, None]
    assert told([1.0], 0.0) == [None]


def test_the_strongest_come_first_and_the_first_of_equal_ones() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": ["x"], "d": [None]})
    found = Contributions(0.0, np.array([[0.5, 0.5, -2.0, 1.0]]), ("a", "b", "c", "d"))

    told = reasons(found, frame, plain_use_case(("a", "b"), ("c", "d")))

    assert [place.to_pylist() for place in told] == [
        ["c: x lowers the risk (odds divided by 7.4)"],
        ["d: not known raises the risk (odds times 2.7)"],
        ["a: 1 raises the risk (odds times 1.6)"],
    ]


def test_a_model_of_one_input_has_one_reason_and_no_more() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})

    told = reasons(Contributions(0.0, np.ones((2, 1)), ("a",)), frame, plain_use_case(("a",)))

    assert [place.null_count for place in told] == [0, 2, 2]


def test_text_is_told_alike_however_the_frame_keeps_it() -> None:
    values = ["b", None, "a", "b"]
    found = Contributions(0.0, np.ones((4, 1)), ("kind",))
    use_case = plain_use_case((), ("kind",))

    frames = [
        pd.DataFrame({"kind": pd.Series(values, dtype=dtype)})
        for dtype in ("object", "category", "string")
    ]
    said = [reasons(found, frame, use_case)[0].to_pylist() for frame in frames]

    assert said[0] == said[1] == said[2]
    assert [text.split()[1] for text in said[0]] == ["b", "not", "a", "b"]


# Of the model as a whole


def test_importance_is_the_mean_strength_the_greatest_first() -> None:
    found = Contributions(0.0, np.array([[1.0, -3.0], [-1.0, 1.0]]), ("a", "b"))

    assert list(importance(found).items()) == [("b", 2.0), ("a", 1.0)]


def test_partial_dependence_is_the_mean_score_with_the_input_set(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = fitted("blend")
    some = inputs.head(300)

    found = partial_dependence(model, some, "contract")

    assert found.values == ["Month-to-month", "One year", "Two year"]
    expected = [scores(model, some.assign(contract=value)).mean() for value in found.values]
    assert found.scores == pytest.approx(expected)


def test_partial_dependence_tries_what_a_number_takes(fitted: Fitted, inputs: pd.DataFrame) -> None:
    model = fitted("logistic_regression")

    found = partial_dependence(model, inputs, "tenure_months", most=8)
    flag = partial_dependence(model, inputs, "is_new")

    known = inputs["tenure_months"]
    assert (found.values[0], found.values[-1]) == (known.min(), known.max())
    assert 2 < len(found.values) <= 8
    assert set(found.values) <= set(known)
    assert flag.values == [0, 1]


def test_an_input_that_nobody_has_depends_on_nothing(fitted: Fitted, inputs: pd.DataFrame) -> None:
    for name in ("tenure_months", "contract"):
        unknown = inputs.head(50).assign(**{name: None})

        found = partial_dependence(fitted("lightgbm"), unknown, name)

        assert (found.values, len(found.scores)) == ([], 0)
