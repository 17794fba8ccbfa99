"""Made-up telco customers, as text, whose law of churn is known.

The records look like those of the IBM Telco sample (7,043 customers,
IBM/telco-customer-churn-on-icp4d, Apache-2.0) and hold none of them: every number below is an
aggregate of that sample, a decile or the coefficient of a logit. `TOLERANCES` says how near the
made-up customers come to the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.types import Floats
from churn_assets.usecases.made_up import (
    BATCH_ROWS,
    Facts,
    batches,
    choose,
    decode,
    draw_label,
    fact,
    from_deciles,
    holds,
    logistic,
    money,
    numbers,
    one_hot,
    text_schema,
    weighted_sum,
    whole_numbers,
)

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCES: Mapping[str, float] = {
    "base_rate": 0.01,  # churners in all customers, real .2654
    "share": 0.02,  # customers in each category
    "tenure_quartile": 4,  # months
    "monthly_quartile": 5,  # dollars
    "churn_rate": 0.04,  # churners in each contract, internet service and payment method
    "auc": 0.01,  # of the law itself, around .850
    "f1": 0.03,  # of the law itself at its best threshold, around .635
}

# fmt: off
ADD_ONS = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
STREAMING = ("StreamingTV", "StreamingMovies")
COLUMNS = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure",
    "PhoneService", "MultipleLines", "InternetService", *ADD_ONS, *STREAMING,
    "Contract", "PaperlessBilling", "PaymentMethod", "MonthlyCharges", "TotalCharges", "Churn",
)

# A drawn code is a place in these; a logit weighs the later values against the first one.
_NO_YES = ("No", "Yes", "No internet service")
_VALUES = {
    "gender": ("Female", "Male"),
    "SeniorCitizen": ("0", "1"),
    "MultipleLines": ("No", "Yes", "No phone service"),
    "InternetService": ("DSL", "Fiber optic", "No"),
    "Contract": ("Month-to-month", "One year", "Two year"),
    "PaymentMethod": ("Mailed check", "Electronic check",
                      "Bank transfer (automatic)", "Credit card (automatic)"),
}

# Logits of each value, given what was drawn before it; "a*b" is a product.
_MALE = {"base": 0.02}
_PARTNER = {"base": -0.07}
_DEPENDENTS = {"base": -2.21, "partner": 2.26}
_SENIOR = {"base": -1.58, "partner": 0.72, "dependents": -2.14}
_ONE_YEAR = {"base": -1.31, "partner": 0.74, "dependents": 0.35, "senior": -0.55}
_TWO_YEAR = {"base": -1.54, "partner": 1.29, "dependents": 0.51, "senior": -1.0}
_FIBER = {"base": 0.12, "senior": 0.86, "dependents": -0.36, "one_year": -2.0, "two_year": -2.64,
          "years": 0.22, "one_year*years": 0.25, "two_year*years": 0.2}
_NO_INTERNET = {"base": -0.37, "senior": -0.91, "dependents": 0.17, "one_year": 1.02,
                "two_year": 1.91, "years": -0.45, "one_year*years": 0.06, "two_year*years": 0.1}
_NO_PHONE = {"base": -0.93}  # on DSL; the other customers all have a phone
_LINES = {"base": -1.69, "fiber": 1.04, "no_internet": -0.83, "years": 0.42, "senior": 0.41}
_SERVICES = {
    "OnlineSecurity":
        {"base": -1.24, "fiber": -0.94, "one_year": 0.62, "two_year": 1.13, "years": 0.28},
    "OnlineBackup":
        {"base": -1.49, "fiber": -0.04, "one_year": 0.13, "two_year": 0.22, "years": 0.43},
    "DeviceProtection":
        {"base": -1.57, "fiber": 0.21, "one_year": 0.69, "two_year": 1.25, "years": 0.29},
    "TechSupport":
        {"base": -1.28, "fiber": -0.72, "one_year": 0.91, "two_year": 1.91, "years": 0.14,
         "OnlineSecurity": 0.31},
    "StreamingTV":
        {"base": -1.6, "fiber": 0.92, "one_year": 0.41, "two_year": 0.71, "years": 0.19,
         "DeviceProtection": 0.7},
    "StreamingMovies":
        {"base": -1.83, "fiber": 0.65, "one_year": 0.38, "two_year": 0.65, "years": 0.19,
         "StreamingTV": 1.51},
}
_PAPERLESS = {"base": 0.31, "fiber": 0.92, "no_internet": -1.0, "senior": 0.43,
              "one_year": -0.26, "two_year": -0.37}
_ELECTRONIC = {"base": -0.48, "fiber": 1.4, "no_internet": -1.45, "one_year": -0.67,
               "two_year": -1.55, "years": 0.25, "paperless": 0.54, "senior": 0.76, "partner": 0.12}
_TRANSFER = {"base": -1.57, "fiber": 0.81, "no_internet": -0.53, "one_year": -0.15,
             "two_year": -0.44, "years": 0.51, "paperless": 0.26, "senior": 0.52, "partner": 0.18}
_CREDIT_CARD = {"base": -1.5, "fiber": 0.72, "no_internet": -0.61, "one_year": 0.04,
                "two_year": -0.17, "years": 0.47, "paperless": 0.31, "senior": 0.53,
                "partner": 0.07}

# The logit of churn.
_LAW = {
    "base": 0.09, "senior": 0.22, "dependents": -0.11, "one_year": -1.01, "two_year": -3.85,
    "log_months": -0.66, "two_year*log_months": 0.46, "first_month": 0.35, "fiber": 0.95,
    "no_internet": -0.8, "no_phone": 0.56, "lines": 0.36, "OnlineSecurity": -0.33,
    "TechSupport": -0.29, "paperless": 0.34, "electronic": 0.34, "streaming": 0.49,
    "streaming*month_to_month": -0.23,
}

# Deciles of tenure in months: two rows for each contract, without and with a partner.
_TENURE_DECILES = np.array([
    [1, 1, 1, 3, 5, 8, 12, 18, 25, 38, 71],
    [1, 3, 6, 10, 16, 22, 28, 35, 44, 55, 72],
    [1, 12, 18, 26, 32, 38, 44, 50, 55, 63, 72],
    [1, 19, 27, 35, 43, 50, 54, 59, 64, 68, 72],
    [1, 21, 35, 45, 52, 57, 62, 66, 69, 71, 72],
    [1, 33, 48, 58, 63, 67, 70, 71, 72, 72, 72],
])
_NOT_BILLED_YET = 0.0065  # of the two-year contracts: tenure 0, total charges blank

# Dollars a month for each service.
_PRICES = {"phone": 20.0, "lines": 5.0, "dsl": 25.0, "fiber": 50.0,
           **dict.fromkeys(ADD_ONS, 5.0), **dict.fromkeys(STREAMING, 10.0)}
# fmt: on
_PRICE_NOISE = 1.0  # standard deviation, dollars
_LEAST_CHARGE = 18.25  # dollars a month
_TOTAL_NOISE = 0.21  # standard deviation of one past month's charge, as a share of today's
_UNITS = 20  # in a dollar: every amount is a multiple of five cents

_WORDS = 26**5  # the five letters that end a customer id
_FIGURES = 10**4  # the four figures that it begins with
_ID_STEP = 7_350_033_077  # coprime with 2, 5 and 13, so that no id comes twice


def generate(rows: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Make up source records, as the CSV of the sample would give them read as text.

    Parameters
    ----------
    rows : int
        How many customers, at most `made_up.MOST_ROWS`. The first ones are the same whatever it is.
    seed : int
        Not negative. Ids hang on the row alone: two seeds tell two stories of the same customers.

    Yields
    ------
    pyarrow.RecordBatch of `COLUMNS`, as text
        `made_up.BATCH_ROWS` rows, fewer in the last one.
    """
    return batches(rows, seed, _batch)


def churn_probability(batch: pa.RecordBatch) -> Floats:
    """Give the true probability of churn for each record.

    Parameters
    ----------
    batch : pyarrow.RecordBatch of shape (n_customers,)
        Records of `generate`; their label is not read.

    Returns
    -------
    array of shape (n_customers,)
        The probability that the label was drawn with, in (0, 1).
    """
    months = numbers(batch, "tenure")
    facts: Facts = {
        "base": np.ones(batch.num_rows),
        "senior": holds(batch, "SeniorCitizen", "1"),
        "dependents": holds(batch, "Dependents"),
        "month_to_month": holds(batch, "Contract", "Month-to-month"),
        "one_year": holds(batch, "Contract", "One year"),
        "two_year": holds(batch, "Contract", "Two year"),
        "log_months": np.log1p(months),
        "first_month": fact(months <= 1),
        "fiber": holds(batch, "InternetService", "Fiber optic"),
        "no_internet": holds(batch, "InternetService", "No"),
        "no_phone": holds(batch, "PhoneService", "No"),
        "lines": holds(batch, "MultipleLines"),
        "OnlineSecurity": holds(batch, "OnlineSecurity"),
        "TechSupport": holds(batch, "TechSupport"),
        "streaming": holds(batch, "StreamingTV") + holds(batch, "StreamingMovies"),
        "paperless": holds(batch, "PaperlessBilling"),
        "electronic": holds(batch, "PaymentMethod", "Electronic check"),
    }
    return logistic(weighted_sum(_LAW, facts))


def _batch(rng: np.random.Generator, start: int) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc

    facts: Facts = {"base": np.ones(BATCH_ROWS)}
    codes = {**_people(rng, facts), **_services(rng, facts), **_billing(rng, facts)}
    monthly, total = _charges(rng, facts)
    columns = {
        **{name: decode(_VALUES.get(name, _NO_YES), code) for name, code in codes.items()},
        "customerID": _ids(start),
        "tenure": whole_numbers(facts["months"]),
        "MonthlyCharges": money(monthly, _UNITS),
        "TotalCharges": pc.if_else(pa.array(facts["months"] == 0), " ", money(total, _UNITS)),
        "Churn": pa.nulls(BATCH_ROWS, pa.string()),
    }
    batch = pa.RecordBatch.from_arrays(
        [columns[name] for name in COLUMNS], schema=text_schema(COLUMNS)
    )
    return draw_label(rng, batch, "Churn", ("No", "Yes"), churn_probability(batch))


# Each of the next three draws the codes of some columns and adds what they tell to the facts.


def _people(rng: np.random.Generator, facts: Facts) -> dict[str, Floats]:
    facts["partner"] = choose(rng, facts, _PARTNER)
    facts["dependents"] = choose(rng, facts, _DEPENDENTS)
    facts["senior"] = choose(rng, facts, _SENIOR)
    contract = choose(rng, facts, _ONE_YEAR, _TWO_YEAR)
    facts |= one_hot(contract, ("month_to_month", "one_year", "two_year"))
    facts["months"] = _months(rng, facts)
    facts["years"] = facts["months"] / 12
    return {
        "gender": choose(rng, facts, _MALE),
        "SeniorCitizen": facts["senior"],
        "Partner": facts["partner"],
        "Dependents": facts["dependents"],
        "Contract": contract,
    }


def _services(rng: np.random.Generator, facts: Facts) -> dict[str, Floats]:
    internet = choose(rng, facts, _FIBER, _NO_INTERNET)
    facts |= one_hot(internet, ("dsl", "fiber", "no_internet"))
    facts["phone"] = 1 - facts["dsl"] * choose(rng, facts, _NO_PHONE)
    facts["lines"] = facts["phone"] * choose(rng, facts, _LINES)
    for service, weights in _SERVICES.items():
        facts[service] = (1 - facts["no_internet"]) * choose(rng, facts, weights)
    return {
        "PhoneService": facts["phone"],
        "MultipleLines": facts["lines"] + 2 * (1 - facts["phone"]),
        "InternetService": internet,
        **{service: facts[service] + 2 * facts["no_internet"] for service in _SERVICES},
    }


def _billing(rng: np.random.Generator, facts: Facts) -> dict[str, Floats]:
    facts["paperless"] = choose(rng, facts, _PAPERLESS)
    payment = choose(rng, facts, _ELECTRONIC, _TRANSFER, _CREDIT_CARD)
    return {"PaperlessBilling": facts["paperless"], "PaymentMethod": payment}


def _charges(rng: np.random.Generator, facts: Facts) -> tuple[Floats, Floats]:
    """Draw the monthly and the total charges, in five-cent units."""
    price = weighted_sum(_PRICES, facts) + _PRICE_NOISE * rng.standard_normal(BATCH_ROWS)
    monthly = np.rint(_UNITS * np.maximum(price, _LEAST_CHARGE))
    months = np.maximum(facts["months"], 1)
    # Past charges differ from today's; the first month's is today's.
    drift = _TOTAL_NOISE * np.sqrt(months - 1) * rng.standard_normal(BATCH_ROWS)
    return monthly, np.rint(monthly * np.maximum(months + drift, 1))


def _months(rng: np.random.Generator, facts: Facts) -> Floats:
    row = 2 * facts["one_year"] + 4 * facts["two_year"] + facts["partner"]
    months = np.rint(from_deciles(rng, _TENURE_DECILES, row))
    unbilled = rng.random(len(row)) < _NOT_BILLED_YET * facts["two_year"]
    return np.where(unbilled, 0.0, months)


def _ids(start: int) -> pa.Array:
    """Ids like 0421-QXKDA, each row's its own, in an order that looks shuffled."""
    import pyarrow as pa

    places = np.arange(start, start + BATCH_ROWS, dtype=np.int64) + 1
    figures, word = np.divmod(places * _ID_STEP % (_FIGURES * _WORDS), _WORDS)
    figures = (figures + word * word) % _FIGURES  # undone by whoever knows the word
    text = np.full((BATCH_ROWS, 10), ord("-"), dtype=np.uint8)
    for place in (3, 2, 1, 0):
        figures, figure = np.divmod(figures, 10)
        text[:, place] = figure + ord("0")
    for place in (9, 8, 7, 6, 5):
        word, letter = np.divmod(word, 26)
        text[:, place] = letter + ord("A")
    ends = np.arange(0, text.size + 1, text.shape[1], dtype=np.int32)
    return pa.StringArray.from_buffers(BATCH_ROWS, pa.py_buffer(ends), pa.py_buffer(text))
