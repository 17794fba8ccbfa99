"""Made-up telco customers look like the real ones and leave by a law that can be computed."""

import math
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score

from churn_assets.usecases import telco_generator
from churn_assets.usecases.made_up import BATCH_ROWS, MOST_ROWS, text_schema
from churn_assets.usecases.telco_generator import (
    ADD_ONS,
    COLUMNS,
    STREAMING,
    TOLERANCES,
    churn_probability,
    generate,
)
from churn_assets_tests.support.data import TELCO

# Aggregates of the IBM Telco sample; a test below recomputes them where the file is at hand.
REAL_BASE_RATE = 0.2654
REAL_SHARES = {
    "gender": {"Female": 0.4952, "Male": 0.5048},
    "SeniorCitizen": {"0": 0.8379, "1": 0.1621},
    "Partner": {"No": 0.5170, "Yes": 0.4830},
    "Dependents": {"No": 0.7004, "Yes": 0.2996},
    "PhoneService": {"No": 0.0968, "Yes": 0.9032},
    "MultipleLines": {"No": 0.4813, "No phone service": 0.0968, "Yes": 0.4218},
    "InternetService": {"DSL": 0.3437, "Fiber optic": 0.4396, "No": 0.2167},
    "OnlineSecurity": {"No": 0.4967, "No internet service": 0.2167, "Yes": 0.2867},
    "OnlineBackup": {"No": 0.4384, "No internet service": 0.2167, "Yes": 0.3449},
    "DeviceProtection": {"No": 0.4394, "No internet service": 0.2167, "Yes": 0.3439},
    "TechSupport": {"No": 0.4931, "No internet service": 0.2167, "Yes": 0.2902},
    "StreamingTV": {"No": 0.3990, "No internet service": 0.2167, "Yes": 0.3844},
    "StreamingMovies": {"No": 0.3954, "No internet service": 0.2167, "Yes": 0.3879},
    "Contract": {"Month-to-month": 0.5502, "One year": 0.2091, "Two year": 0.2407},
    "PaperlessBilling": {"No": 0.4078, "Yes": 0.5922},
    "PaymentMethod": {
        "Bank transfer (automatic)": 0.2192,
        "Credit card (automatic)": 0.2161,
        "Electronic check": 0.3358,
        "Mailed check": 0.2289,
    },
}
REAL_CHURN_RATES = {
    "Contract": {"Month-to-month": 0.4271, "One year": 0.1127, "Two year": 0.0283},
    "InternetService": {"DSL": 0.1896, "Fiber optic": 0.4189, "No": 0.0740},
    "PaymentMethod": {
        "Bank transfer (automatic)": 0.1671,
        "Credit card (automatic)": 0.1524,
        "Electronic check": 0.4529,
        "Mailed check": 0.1911,
    },
}
REAL_QUARTILES = {"tenure": [9.0, 29.0, 55.0], "MonthlyCharges": [35.5, 70.35, 89.85]}
REAL_NOT_BILLED_YET = 0.0016  # share of customers with tenure 0
CEILING_AUC, CEILING_F1 = 0.850, 0.635  # what good models reach on the sample's test rows

ROWS = 100_000


@pytest.fixture(scope="module")
def table():
    return pa.Table.from_batches(generate(ROWS, seed=1), text_schema(COLUMNS))


@pytest.fixture(scope="module")
def customers(table):
    return table.to_pandas()


@pytest.fixture(scope="module")
def churned(customers):
    return (customers["Churn"] == "Yes").to_numpy()


@pytest.fixture(scope="module")
def law(table):
    return np.concatenate([churn_probability(batch) for batch in table.to_batches()])


def shares(customers, column):
    return customers[column].value_counts(normalize=True).to_dict()


def churn_rates(customers, column):
    return (customers["Churn"] == "Yes").groupby(customers[column]).mean().to_dict()


def quartiles(customers, column):
    return pd.to_numeric(customers[column]).quantile([0.25, 0.5, 0.75]).tolist()


def test_ids_look_like_the_real_ones(table):
    like = pc.match_substring_regex(table["customerID"], "^[0-9]{4}-[A-Z]{5}$")

    assert pc.all(like).as_py()


def test_no_id_comes_twice_up_to_the_last_row():
    ids = telco_generator._FIGURES * telco_generator._WORDS
    step = telco_generator._ID_STEP

    assert math.gcd(step, ids) == 1
    assert ids > MOST_ROWS + BATCH_ROWS
    assert (MOST_ROWS + BATCH_ROWS) * step < np.iinfo(np.int64).max


@pytest.mark.parametrize("column", ["MonthlyCharges", "TotalCharges"])
def test_amounts_are_multiples_of_five_cents_without_trailing_zeros(customers, column):
    amounts = customers.loc[customers["tenure"] != "0", column]

    assert amounts.map(re.compile(r"[1-9]\d*(\.([1-9]|\d5))?").fullmatch).notna().all()


def test_total_charges_are_blank_exactly_where_tenure_is_zero(customers):
    new = customers["tenure"] == "0"

    assert new.mean() == pytest.approx(REAL_NOT_BILLED_YET, abs=0.0005)
    assert ((customers["TotalCharges"] == " ") == new).all()


def test_the_first_month_costs_what_a_month_costs(customers):
    first = customers[customers["tenure"] == "1"]

    assert (first["TotalCharges"] == first["MonthlyCharges"]).all()


def test_total_charges_are_about_tenure_times_monthly_charges(customers):
    billed = customers[customers["tenure"] != "0"]
    months, monthly, total = (
        billed[column].astype(float) for column in ("tenure", "MonthlyCharges", "TotalCharges")
    )

    assert np.quantile(abs(total / (months * monthly) - 1), 0.95) < 0.15


@pytest.mark.parametrize("service", [*ADD_ONS, *STREAMING])
def test_without_internet_there_is_no_internet_service(customers, service):
    offline = customers["InternetService"] == "No"

    assert ((customers[service] == "No internet service") == offline).all()


def test_without_a_phone_there_are_no_lines_and_dsl(customers):
    silent = customers["PhoneService"] == "No"

    assert ((customers["MultipleLines"] == "No phone service") == silent).all()
    assert set(customers.loc[silent, "InternetService"]) == {"DSL"}


def test_tenure_is_within_six_years_with_many_new_and_many_old(customers):
    months = customers["tenure"].astype(int)

    assert months.between(0, 72).all()
    assert (months == 1).mean() == pytest.approx(0.087, abs=TOLERANCES["share"])
    assert (months == 72).mean() == pytest.approx(0.051, abs=TOLERANCES["share"])


@pytest.mark.parametrize("column", REAL_SHARES)
def test_categories_are_shared_as_in_the_sample(customers, column):
    assert shares(customers, column) == pytest.approx(REAL_SHARES[column], abs=TOLERANCES["share"])


@pytest.mark.parametrize("column", REAL_CHURN_RATES)
def test_the_same_customers_leave_as_in_the_sample(customers, column):
    real = REAL_CHURN_RATES[column]

    assert churn_rates(customers, column) == pytest.approx(real, abs=TOLERANCES["churn_rate"])


@pytest.mark.parametrize(
    ("column", "tolerance"), [("tenure", "tenure_quartile"), ("MonthlyCharges", "monthly_quartile")]
)
def test_numbers_are_spread_as_in_the_sample(customers, column, tolerance):
    real = REAL_QUARTILES[column]

    assert quartiles(customers, column) == pytest.approx(real, abs=TOLERANCES[tolerance])


def test_as_many_leave_as_in_the_sample(churned):
    assert churned.mean() == pytest.approx(REAL_BASE_RATE, abs=TOLERANCES["base_rate"])


def test_who_leaves_is_as_hard_to_tell_as_in_the_sample(churned, law):
    precision, recall, _ = precision_recall_curve(churned, law)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()

    assert roc_auc_score(churned, law) == pytest.approx(CEILING_AUC, abs=TOLERANCES["auc"])
    assert f1 == pytest.approx(CEILING_F1, abs=TOLERANCES["f1"])


def test_a_model_learns_from_a_sample_of_the_real_size_what_it_learns_from_the_real_one(
    customers, churned
):
    from lightgbm import LGBMClassifier

    numbers = ["tenure", "MonthlyCharges", "TotalCharges"]
    inputs = customers.drop(columns=["customerID", "Churn", *numbers]).astype("category")
    inputs[numbers] = customers[numbers].apply(pd.to_numeric, errors="coerce")
    train, test = slice(0, 7_043), slice(7_043, None)

    model = LGBMClassifier(
        num_leaves=8,
        learning_rate=0.03,
        n_estimators=250,
        min_child_samples=40,
        n_jobs=1,
        verbose=-1,
    ).fit(inputs[train], churned[train])

    assert 0.83 < roc_auc_score(churned[test], model.predict_proba(inputs[test])[:, 1]) < 0.86


if TELCO.exists():

    def test_the_real_figures_are_those_of_the_real_file():
        real = pd.read_csv(TELCO, dtype=str, keep_default_na=False)

        assert tuple(real.columns) == COLUMNS
        assert (real["Churn"] == "Yes").mean() == pytest.approx(REAL_BASE_RATE, abs=1e-4)
        for column, figures in REAL_SHARES.items():
            assert shares(real, column) == pytest.approx(figures, abs=1e-4)
        for column, figures in REAL_CHURN_RATES.items():
            assert churn_rates(real, column) == pytest.approx(figures, abs=1e-4)
        for column, figures in REAL_QUARTILES.items():
            assert quartiles(real, column) == pytest.approx(figures)
        assert (real["tenure"] == "0").mean() == pytest.approx(REAL_NOT_BILLED_YET, abs=1e-4)
        assert ((real["TotalCharges"] == " ") == (real["tenure"] == "0")).all()
