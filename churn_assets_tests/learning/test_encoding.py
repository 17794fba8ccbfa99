"""The encoder: one matrix for one table, whatever the table's text is kept in."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from churn_assets.learning import encoding
from churn_assets.learning.encoding import LinearEncoder, TableEncoder

NUMERIC, CATEGORICAL = ["tenure", "charges"], ["contract", "payment"]


def table(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "payment": rng.choice(["cheque", "card", "bank"], rows),
            "tenure": rng.integers(0, 72, rows),
            "contract": rng.choice(["two year", "month", "one year"], rows),
            "charges": rng.normal(60, 20, rows),
        }
    )


def encoder() -> TableEncoder:
    return TableEncoder(NUMERIC, CATEGORICAL)


def test_it_equals_scikit_learns_one_hot_encoder() -> None:
    fitted_on, applied_to = table(seed=0), table(seed=1)
    applied_to.loc[3, "contract"] = "never seen"
    peer = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    peer.fit(fitted_on[CATEGORICAL])

    encoded = encoder().fit(fitted_on).transform(applied_to)

    expected = np.hstack([applied_to[NUMERIC], peer.transform(applied_to[CATEGORICAL])])
    assert np.array_equal(encoded, expected)


def test_an_unknown_and_a_null_category_have_zero_in_every_column() -> None:
    fitted = encoder().fit(table())
    odd = table(3).assign(contract=["never seen", None, "month"])

    encoded = fitted.transform(odd)

    named = dict(zip(fitted.get_feature_names_out(), encoded.T, strict=True))
    assert named["contract=month"].tolist() == [0, 0, 1]
    assert named["contract=one year"].tolist() == [0, 0, 0]
    assert named["contract=two year"].tolist() == [0, 0, 0]


def test_a_null_in_the_training_rows_makes_no_category() -> None:
    fitted = encoder().fit(table().assign(contract=lambda t: t.contract.where(t.tenure > 9)))

    assert fitted.categories_["contract"] == ["month", "one year", "two year"]


def test_a_missing_number_stays_missing() -> None:
    encoded = encoder().fit(table()).transform(table(2).assign(charges=[None, 5.5]))

    assert np.isnan(encoded[0, 1])
    assert encoded[1, 1] == 5.5


@pytest.mark.parametrize("dtype", ["category", "string", "string[pyarrow]"])
def test_the_matrix_does_not_depend_on_how_text_is_kept(dtype: str) -> None:
    plain = table().assign(contract=lambda t: t.contract.where(t.tenure > 9, None))
    other = plain.astype(dict.fromkeys(CATEGORICAL, dtype))

    from_plain = encoder().fit(plain).transform(plain)

    assert np.array_equal(encoder().fit(other).transform(other), from_plain)
    assert np.array_equal(encoder().fit(plain).transform(other), from_plain)


def test_the_order_of_the_tables_columns_and_of_its_rows_does_not_matter() -> None:
    rows = table()
    shuffled = rows.sample(frac=1, random_state=0)[sorted(rows.columns)]

    encoded = encoder().fit(shuffled).transform(shuffled.sort_index())

    assert np.array_equal(encoded, encoder().fit(rows).transform(rows))


def test_names_say_what_each_column_of_the_matrix_is() -> None:
    fitted = encoder().fit(table())

    assert fitted.get_feature_names_out() == [
        "tenure",
        "charges",
        "contract=month",
        "contract=one year",
        "contract=two year",
        "payment=bank",
        "payment=card",
        "payment=cheque",
    ]
    assert fitted.transform(table(5)).shape == (5, 8)


def test_no_rows_give_an_empty_matrix_of_the_same_width() -> None:
    assert encoder().fit(table()).transform(table().head(0)).shape == (0, 8)


def test_a_clone_is_unfitted_and_learns_the_same() -> None:
    fitted = encoder().fit(table())

    copy = clone(fitted)

    assert not hasattr(copy, "categories_")
    assert copy.fit(table()).categories_ == fitted.categories_


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf, -np.inf])
def test_an_extreme_number_is_one_that_single_precision_holds(value: float) -> None:
    encoded = encoder().fit(table()).transform(table(1).assign(charges=value))

    assert np.isfinite(encoded.astype(np.float32)).all()
    assert np.sign(encoded[0, 1]) == np.sign(value)


@pytest.mark.parametrize("kind", [TableEncoder, LinearEncoder])
def test_each_encoded_column_comes_from_one_column_of_the_table(kind: type[TableEncoder]) -> None:
    rows = table()
    fitted = kind(NUMERIC, CATEGORICAL).fit(rows)
    before = fitted.transform(rows)

    assert len(fitted.sources_) == before.shape[1] == len(fitted.get_feature_names_out())
    for name in [*NUMERIC, *CATEGORICAL]:
        other = rows.assign(**{name: rows[name].to_numpy()[::-1]})
        moved = (fitted.transform(other) != before).any(axis=0)
        assert moved.any()
        assert {fitted.sources_[i] for i in np.flatnonzero(moved)} == {name}


def many(rows: int = 4000, categories: int = 500, seed: int = 0) -> pd.DataFrame:
    """Places of which few are common, most are rare, and each has a rate of its own."""
    rng = np.random.default_rng(seed)
    shares = 1 / (np.arange(categories) + 5.0)
    place = rng.choice(categories, rows, p=shares / shares.sum())
    rates = np.random.default_rng(0).beta(1, 2, categories)
    frame = table(rows, seed)
    frame["place"] = [f"place {i:03}" for i in place]
    frame["left"] = rng.random(rows) < rates[place]
    return frame


def test_rare_categories_of_many_share_a_column() -> None:
    rows = many()
    counts = rows["place"].value_counts()

    fitted = TableEncoder(NUMERIC, [*CATEGORICAL, "place"]).fit(rows)
    odd = rows.head(3).assign(place=[counts.index[0], counts.index[-1], None], contract="month")
    named = dict(zip(fitted.get_feature_names_out(), fitted.transform(odd).T, strict=True))

    assert fitted.categories_["place"] == sorted(counts[counts >= 10].index)
    assert 30 < len(fitted.categories_["place"]) < 200
    assert named["place=(rare)"].tolist() == [0, 1, 0]
    assert named[f"place={counts.index[0]}"].tolist() == [1, 0, 0]
    unseen = fitted.transform(odd.assign(place="never seen"))
    assert unseen[:, fitted.get_feature_names_out().index("place=(rare)")].tolist() == [1, 1, 1]
    # A column of few categories keeps them all, however rare.
    assert fitted.categories_["contract"] == ["month", "one year", "two year"]


def test_the_matrix_has_no_more_cells_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = many()
    monkeypatch.setattr(encoding, "_MOST_CELLS", 40 * len(rows))

    fitted = TableEncoder(NUMERIC, [*CATEGORICAL, "place"]).fit(rows)

    # Columns of few categories come first; the commonest of the other one have what is left.
    assert len(fitted.categories_["place"]) == 40 - 3 - 3
    commonest = rows["place"].value_counts().index[:20]
    assert set(commonest) <= set(fitted.categories_["place"])
    assert fitted.transform(rows).shape == (len(rows), 2 + 40 + 1)


@pytest.mark.parametrize("kind", [TableEncoder, LinearEncoder])
def test_rates_by_category_are_found_in_other_folds(kind: type[TableEncoder]) -> None:
    rows, later = many(), many(seed=1)
    by_outcome = kind(NUMERIC, ["place"], by_outcome=True)
    noise = np.random.default_rng(1).random(len(rows)) < rows["left"].mean()

    encoded = by_outcome.fit_transform(rows, rows["left"])
    place = by_outcome.get_feature_names_out().index("place=(outcome)")
    in_folds, known = encoded[:, place], by_outcome.transform(later)[:, place]
    of_noise = clone(by_outcome).fit_transform(rows, noise)[:, place]

    def auc(outcomes: object, found: object) -> float:
        return float(roc_auc_score(outcomes, found))

    assert auc(later["left"], known) > 0.65
    assert auc(rows["left"], in_folds) == pytest.approx(auc(later["left"], known), abs=0.05)
    # Where there is nothing to learn, no row tells its own outcome.
    assert auc(noise, of_noise) < 0.53
    assert by_outcome.sources_[place] == "place"
    unknown = by_outcome.transform(later.head(2).assign(place=["never seen", None]))[:, place]
    mean = rows["left"].mean()
    assert unknown == pytest.approx([np.log(mean / (1 - mean))] * 2, abs=0.01)


@pytest.mark.parametrize("kind", [TableEncoder, LinearEncoder])
def test_a_column_that_is_null_when_fitted_has_no_part(kind: type[TableEncoder]) -> None:
    empty = table().assign(charges=np.nan, payment=pd.Series([None] * 200, dtype=object))

    fitted = kind(NUMERIC, CATEGORICAL).fit(empty)

    assert not {"charges", "payment"} & set(fitted.sources_)
    assert np.array_equal(fitted.transform(table()), fitted.transform(empty))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(KeyError, match="charges"):
        encoder().fit(table()).transform(table().drop(columns="charges"))


# The encoder of linear models


def linear(**given: int) -> LinearEncoder:
    return LinearEncoder(NUMERIC, CATEGORICAL, **given)


def test_the_linear_encoder_begins_with_the_columns_of_the_other_one() -> None:
    rows = table()

    encoded, plain = (one.fit(rows).transform(rows) for one in (linear(), encoder()))

    assert np.array_equal(encoded[:, : plain.shape[1]], plain)


def test_a_number_gets_its_logarithm_and_what_it_exceeds_its_quantiles_by() -> None:
    rows = table()
    fitted = linear(bends=1).fit(rows)

    named = dict(zip(fitted.get_feature_names_out(), fitted.transform(rows).T, strict=True))

    median = rows["tenure"].median()
    assert named["log(tenure)"] == pytest.approx(np.log1p(rows["tenure"]))
    assert named[f"tenure>{median:g}"] == pytest.approx(np.maximum(rows["tenure"] - median, 0))


def test_a_number_that_may_be_negative_has_no_logarithm_and_a_flag_nothing_more() -> None:
    rows = table().assign(charges=lambda t: t.charges - 60, tenure=lambda t: t.tenure % 2)

    names = linear(bends=2).fit(rows).get_feature_names_out()

    assert [name for name in names if name.startswith("log(")] == []
    assert [name for name in names if ">" in name and name.startswith("tenure")] == []
    assert len([name for name in names if name.startswith("charges>")]) == 2


def test_a_number_beyond_those_fitted_on_counts_as_the_last_of_them() -> None:
    rows = table()
    fitted = linear().fit(rows)

    odd = fitted.transform(table(2).assign(tenure=[-5.0, np.inf]))

    ends = fitted.transform(table(2).assign(tenure=[rows.tenure.min(), rows.tenure.max()]))
    assert np.array_equal(odd, ends)


def test_a_missing_number_is_missing_in_all_that_comes_of_it() -> None:
    fitted = linear().fit(table())

    encoded = fitted.transform(table(1).assign(tenure=np.nan))

    of_tenure = [name == "tenure" for name in fitted.sources_]
    assert np.isnan(encoded[0]).tolist() == of_tenure


@pytest.mark.parametrize("values", [np.nan, 3.0, [0.0] * 199 + [1e300]])
def test_numbers_without_a_spread_can_be_encoded(values: object) -> None:
    rows = table().assign(charges=values)

    encoded = linear().fit(rows).transform(rows)

    assert np.isfinite(encoded[:, :1]).all()
    assert not np.isinf(encoded).any()
