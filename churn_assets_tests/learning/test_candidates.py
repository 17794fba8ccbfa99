"""The candidates: each fits and scores any table of the use case, odd values included."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from churn_assets.learning.candidates import CANDIDATES
from churn_assets_tests.project import USE_CASE

INPUTS = list(USE_CASE.inputs)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_ranks_churners_above_the_others(name: str, labelled: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    train, test = (labelled[labelled["split"] == split] for split in ("train", "test"))

    pipeline = CANDIDATES[name](USE_CASE, 0).fit(train[INPUTS], train["label"].astype(bool))

    scores = pipeline.predict_proba(test[INPUTS])[:, 1]
    assert roc_auc_score(test["label"].astype(bool), scores) > 0.75


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_scores_missing_numbers_and_unknown_categories(
    name: str, labelled: pd.DataFrame
) -> None:
    rows = labelled.head(500)
    odd = rows[INPUTS].head(2).astype({"tenure_months": float})
    odd.loc[:, "tenure_months"] = np.nan
    odd.loc[:, "contract"] = ["Ten years", None]

    pipeline = CANDIDATES[name](USE_CASE, 0).fit(rows[INPUTS], rows["label"].astype(bool))

    scores = pipeline.predict_proba(odd)
    assert np.isfinite(scores).all()
    assert scores.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_can_be_cloned_for_another_fit(name: str, labelled: pd.DataFrame) -> None:
    rows, labels = labelled[INPUTS].head(500), labelled["label"].head(500).astype(bool)
    pipeline = CANDIDATES[name](USE_CASE, 0).fit(rows, labels)

    again = clone(pipeline).fit(rows, labels)

    assert np.array_equal(again.predict_proba(rows), pipeline.predict_proba(rows))
