"""Made-up bookings look like the real ones and are cancelled by a law that can be computed."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score

from churn_assets.usecases.booking_generator import (
    COLUMNS,
    TOLERANCES,
    churn_probability,
    generate,
)
from churn_assets.usecases.made_up import text_schema
from churn_assets_tests.support.data import BOOKINGS

# Aggregates of the sample of bookings; a test below recomputes them where the file is at hand.
REAL_BASE_RATE = 0.3277
REAL_SHARES = {
    "number of adults": {"0": 0.0038, "1": 0.2123, "2": 0.7196, "3": 0.0639},
    "number of children": {"0": 0.9255, "1": 0.0447, "2": 0.0292},
    "number of weekend nights": {"0": 0.4651, "1": 0.2756, "2": 0.2500, "3": 0.0042, "4": 0.0036},
    "number of week nights": {
        "0": 0.0658,
        "1": 0.2615,
        "2": 0.3155,
        "3": 0.2161,
        "4": 0.0825,
        "5": 0.0445,
        "6": 0.0052,
        "7": 0.0031,
    },
    "type of meal": {"Meal Plan 1": 0.7673, "Meal Plan 2": 0.0911, "Not Selected": 0.1414},
    "car parking space": {"0": 0.9690, "1": 0.0310},
    "room type": {
        "Room_Type 1": 0.7755,
        "Room_Type 2": 0.0191,
        "Room_Type 4": 0.1670,
        "Room_Type 5": 0.0073,
        "Room_Type 6": 0.0266,
        "Room_Type 7": 0.0044,
    },
    "market segment type": {
        "Aviation": 0.0034,
        "Complementary": 0.0108,
        "Corporate": 0.0556,
        "Offline": 0.2902,
        "Online": 0.6400,
    },
    "repeated": {"0": 0.9744, "1": 0.0256},
    "special requests": {"0": 0.5451, "1": 0.3136, "2": 0.1203, "3": 0.0186},
}
REAL_RATES = {
    "number of adults": {"1": 0.2414, "2": 0.3493, "3": 0.3723},
    "number of weekend nights": {"0": 0.3019, "1": 0.3434, "2": 0.3480},
    "number of week nights": {"0": 0.2845, "1": 0.2711, "2": 0.3494, "3": 0.3284, "4": 0.3820},
    "type of meal": {"Meal Plan 1": 0.3118, "Meal Plan 2": 0.4558, "Not Selected": 0.3313},
    "car parking space": {"0": 0.3349, "1": 0.1014},
    "room type": {"Room_Type 1": 0.3226, "Room_Type 4": 0.3415},
    "market segment type": {"Corporate": 0.1091, "Offline": 0.2995, "Online": 0.3651},
    "repeated": {"0": 0.3358, "1": 0.0172},
    "special requests": {"0": 0.4321, "1": 0.2377, "2": 0.1460},
}
REAL_MONTHS = {
    "2017-07": 0.0100,
    "2017-08": 0.0279,
    "2017-09": 0.0454,
    "2017-10": 0.0527,
    "2017-11": 0.0178,
    "2017-12": 0.0256,
    "2018-01": 0.0279,
    "2018-02": 0.0470,
    "2018-03": 0.0650,
    "2018-04": 0.0754,
    "2018-05": 0.0716,
    "2018-06": 0.0883,
    "2018-07": 0.0705,
    "2018-08": 0.0771,
    "2018-09": 0.0816,
    "2018-10": 0.0938,
    "2018-11": 0.0643,
    "2018-12": 0.0577,
}
REAL_MONTH_RATES = {
    "2017-07": 0.6694,
    "2017-08": 0.1824,
    "2017-09": 0.1104,
    "2017-10": 0.1578,
    "2017-11": 0.0417,
    "2017-12": 0.0237,
    "2018-01": 0.0237,
    "2018-02": 0.2528,
    "2018-03": 0.2969,
    "2018-04": 0.3639,
    "2018-05": 0.3649,
    "2018-06": 0.4031,
    "2018-07": 0.4187,
    "2018-08": 0.4655,
    "2018-09": 0.4578,
    "2018-10": 0.4634,
    "2018-11": 0.3633,
    "2018-12": 0.1815,
}
REAL_LEADS = {"31-90": 0.2982, "151-1000": 0.2007, "8-30": 0.1822, "0-7": 0.1599, "91-150": 0.1590}
REAL_LEAD_RATES = {
    "0-7": 0.0887,
    "151-1000": 0.7162,
    "31-90": 0.2527,
    "8-30": 0.1890,
    "91-150": 0.3768,
}
REAL_QUARTILES = {"lead time": [17.0, 57.0, 126.0], "average price": [80.3, 99.45, 120.0]}
REAL_IMPOSSIBLE = 0.0010  # share of 2018-2-29
REAL_FREE = 0.0150  # share of bookings at a price of zero
REAL_TREES_AUC, REAL_TREES_F1 = 0.953, 0.831  # boosted trees, on real bookings held out at random
LAW_AUC, LAW_F1 = 0.912, 0.758

ROWS = 100_000
NUMBERS = (
    "number of adults",
    "number of children",
    "number of weekend nights",
    "number of week nights",
    "car parking space",
    "lead time",
    "repeated",
    "P-C",
    "P-not-C",
    "average price",
    "special requests",
)
CATEGORIES = {
    "type of meal": ["Meal Plan 1", "Meal Plan 2", "Meal Plan 3", "Not Selected"],
    "room type": [f"Room_Type {number}" for number in range(1, 8)],
    "market segment type": ["Aviation", "Complementary", "Corporate", "Offline", "Online"],
}
LEAD_BOUNDS = [-1, 7, 30, 90, 150, 1_000]


@pytest.fixture(scope="module")
def table():
    return pa.Table.from_batches(generate(ROWS, seed=1), text_schema(COLUMNS))


@pytest.fixture(scope="module")
def bookings(table):
    return table.to_pandas()


@pytest.fixture(scope="module")
def cancelled(bookings):
    return is_cancelled(bookings).to_numpy()


@pytest.fixture(scope="module")
def law(table):
    return np.concatenate([churn_probability(batch) for batch in table.to_batches()])


@pytest.fixture(scope="module")
def trees(bookings, cancelled):
    """Boosted trees that learnt from as many made-up bookings as the sample has."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(num_leaves=15, n_estimators=200, n_jobs=1, verbose=-1)
    return model.fit(inputs(bookings[:36_285]), cancelled[:36_285])


def is_cancelled(bookings):
    return bookings["booking status"] == "Canceled"


def inputs(bookings):
    frame = bookings[list(NUMBERS)].apply(pd.to_numeric)
    for column, values in CATEGORIES.items():
        frame[column] = pd.Categorical(bookings[column], values)
    return frame.rename(columns=lambda name: name.replace(" ", "_"))


def months(bookings):
    """The month of each booking, as in 2018-02."""
    date = bookings["date of reservation"].str.extract(
        r"^(?:(?P<month>\d+)/\d+/(?P<year>\d+)|(?P<y>\d+)-(?P<m>\d+)-\d+)$"
    )
    return date["year"].fillna(date["y"]) + "-" + date["month"].fillna(date["m"]).str.zfill(2)


def leads(bookings):
    """The lead time of each booking in days, as a span such as 8-30."""
    names = [f"{low + 1}-{high}" for low, high in pairwise(LEAD_BOUNDS)]
    return pd.cut(bookings["lead time"].astype(int), LEAD_BOUNDS, labels=names).astype(str)


def shares(values):
    return values.value_counts(normalize=True).to_dict()


def rates(bookings, values):
    return is_cancelled(bookings).groupby(values).mean().to_dict()


def quartiles(bookings, column):
    return pd.to_numeric(bookings[column]).quantile([0.25, 0.5, 0.75]).tolist()


def only(figures, values):
    """The figures of a value that is common enough to compare."""
    return {value: figures[value] for value in values}


def test_the_columns_are_those_of_the_sample_in_their_order(bookings):
    assert tuple(bookings.columns) == COLUMNS


def test_ids_look_like_the_real_ones(bookings):
    assert bookings["Booking_ID"].map(re.compile(r"INN\d{5,}").fullmatch).notna().all()
    assert bookings["Booking_ID"].iloc[[0, 41, 99_999]].tolist() == [
        "INN00001",
        "INN00042",
        "INN100000",
    ]


def test_dates_are_month_day_year_but_for_a_day_that_never_was(bookings):
    dates = bookings["date of reservation"]
    impossible = dates == "2018-2-29"

    assert impossible.mean() == pytest.approx(REAL_IMPOSSIBLE, abs=0.0004)
    assert dates[~impossible].map(re.compile(r"[1-9]\d?/[1-9]\d?/20\d\d").fullmatch).notna().all()
    assert pd.to_datetime(dates[~impossible], format="%m/%d/%Y").notna().all()


def test_every_day_from_july_2017_to_december_2018_has_bookings_and_few_are_earlier(bookings):
    dates = bookings["date of reservation"]
    days = pd.to_datetime(dates[dates != "2018-2-29"], format="%m/%d/%Y")
    earlier = days < "2017-07-01"

    assert (
        days[~earlier].nunique() == (pd.Timestamp("2019-01-01") - pd.Timestamp("2017-07-01")).days
    )
    assert 0 < earlier.sum() < 30


def test_the_first_three_thousand_bookings_span_all_months(bookings):
    first = months(bookings[:3_000])

    assert set(first) >= set(REAL_MONTHS)
    assert shares(first)["2018-12"] == pytest.approx(REAL_MONTHS["2018-12"], abs=0.02)
    assert shares(first[:1_500])["2018-12"] == pytest.approx(REAL_MONTHS["2018-12"], abs=0.02)


def test_prices_are_in_cents_without_trailing_zeros(bookings):
    price = re.compile(r"0|[1-9]\d*(\.(\d?[1-9]))?")

    assert bookings["average price"].map(price.fullmatch).notna().all()


def test_a_price_of_zero_is_a_gift_or_a_rare_grant_online(bookings):
    free = bookings["average price"] == "0"
    segment = bookings["market segment type"]

    assert free.mean() == pytest.approx(REAL_FREE, abs=0.003)
    assert set(segment[free]) == {"Complementary", "Online"}
    assert free[segment == "Complementary"].mean() > 0.85
    assert free[segment == "Online"].mean() < 0.02


def test_only_a_repeated_guest_has_earlier_bookings_and_each_has_one(bookings):
    earlier = bookings["P-C"].astype(int) + bookings["P-not-C"].astype(int)

    assert ((earlier > 0) == (bookings["repeated"] == "1")).all()
    assert bookings["P-not-C"].astype(int).max() <= 58
    assert bookings["P-C"].astype(int).max() <= 13


def test_without_adults_there_are_children(bookings):
    alone = bookings["number of adults"] == "0"

    assert alone.mean() == pytest.approx(0.0038, abs=0.002)
    assert (bookings.loc[alone, "number of children"] != "0").mean() > 0.9


@pytest.mark.parametrize("column", REAL_SHARES)
def test_categories_are_shared_as_in_the_sample(bookings, column):
    real = REAL_SHARES[column]

    figures = only(shares(bookings[column]), real)

    assert figures == pytest.approx(real, abs=TOLERANCES["share"])
    assert sum(figures.values()) == pytest.approx(sum(real.values()), abs=TOLERANCES["share"])


@pytest.mark.parametrize("column", REAL_RATES)
def test_the_same_bookings_are_cancelled_as_in_the_sample(bookings, column):
    real = REAL_RATES[column]

    figures = only(rates(bookings, bookings[column]), real)

    assert figures == pytest.approx(real, abs=TOLERANCES["cancellation_rate"])


def test_the_longer_ahead_the_more_are_cancelled_as_in_the_sample(bookings):
    ahead = leads(bookings)

    assert shares(ahead) == pytest.approx(REAL_LEADS, abs=TOLERANCES["share"])
    assert rates(bookings, ahead) == pytest.approx(
        REAL_LEAD_RATES, abs=TOLERANCES["cancellation_rate"]
    )


def test_months_differ_as_in_the_sample(bookings):
    month = months(bookings)
    figures = rates(bookings, month)
    later = {name: rate for name, rate in REAL_MONTH_RATES.items() if name > "2017-07"}

    assert only(shares(month), REAL_MONTHS) == pytest.approx(
        REAL_MONTHS, abs=TOLERANCES["month_share"]
    )
    assert only(figures, later) == pytest.approx(later, abs=TOLERANCES["month_rate"])
    # Its few bookings are cancelled most often in the sample, more than the law tells.
    assert figures["2017-07"] == max(only(figures, REAL_MONTHS).values())


@pytest.mark.parametrize(
    ("column", "tolerance"), [("lead time", "lead_quartile"), ("average price", "price_quartile")]
)
def test_numbers_are_spread_as_in_the_sample(bookings, column, tolerance):
    real = REAL_QUARTILES[column]

    assert quartiles(bookings, column) == pytest.approx(real, abs=TOLERANCES[tolerance])


def test_as_many_are_cancelled_as_in_the_sample(cancelled):
    assert cancelled.mean() == pytest.approx(REAL_BASE_RATE, abs=TOLERANCES["base_rate"])


def test_what_is_cancelled_is_nearly_as_easy_to_tell_as_in_the_sample(cancelled, law):
    precision, recall, _ = precision_recall_curve(cancelled, law)
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    auc = roc_auc_score(cancelled, law)

    assert auc == pytest.approx(LAW_AUC, abs=TOLERANCES["auc"])
    assert f1 == pytest.approx(LAW_F1, abs=TOLERANCES["f1"])
    assert 0 < REAL_TREES_AUC - auc < TOLERANCES["auc_below_trees"]
    assert 0 < REAL_TREES_F1 - f1 < TOLERANCES["f1_below_trees"]


def test_trees_learn_most_of_the_law(bookings, cancelled, trees, law):
    unseen = slice(36_285, None)
    auc = roc_auc_score(cancelled[unseen], trees.predict_proba(inputs(bookings[unseen]))[:, 1])

    assert 0.89 < auc < roc_auc_score(cancelled[unseen], law[unseen])


if BOOKINGS.exists():

    @pytest.fixture(scope="module")
    def real():
        return pd.read_csv(BOOKINGS, dtype=str, keep_default_na=False)

    def test_the_real_figures_are_those_of_the_real_file(real):
        month, ahead = months(real), leads(real)

        assert tuple(real.columns) == COLUMNS
        assert is_cancelled(real).mean() == pytest.approx(REAL_BASE_RATE, abs=1e-4)
        for column, figures in REAL_SHARES.items():
            assert only(shares(real[column]), figures) == pytest.approx(figures, abs=1e-4)
        for column, figures in REAL_RATES.items():
            assert only(rates(real, real[column]), figures) == pytest.approx(figures, abs=1e-4)
        assert only(shares(month), REAL_MONTHS) == pytest.approx(REAL_MONTHS, abs=1e-4)
        assert only(rates(real, month), REAL_MONTHS) == pytest.approx(REAL_MONTH_RATES, abs=1e-4)
        assert shares(ahead) == pytest.approx(REAL_LEADS, abs=1e-4)
        assert rates(real, ahead) == pytest.approx(REAL_LEAD_RATES, abs=1e-4)
        for column, figures in REAL_QUARTILES.items():
            assert quartiles(real, column) == pytest.approx(figures)
        impossible = real["date of reservation"] == "2018-2-29"
        assert impossible.mean() == pytest.approx(REAL_IMPOSSIBLE, abs=1e-4)
        assert (real["average price"] == "0").mean() == pytest.approx(REAL_FREE, abs=1e-4)

    def test_a_made_up_booking_is_a_real_one_only_by_chance(bookings, real):
        columns = [name for name in COLUMNS if name not in ("Booking_ID", "booking status")]
        real_bookings = set(real[columns].itertuples(index=False, name=None))
        is_real = [
            booking in real_bookings
            for booking in bookings[columns].itertuples(index=False, name=None)
        ]

        assert np.mean(is_real) < 0.001

    def test_the_law_tells_what_is_cancelled_in_the_sample_too(real):
        records = pa.RecordBatch.from_pandas(
            real, schema=text_schema(COLUMNS), preserve_index=False
        )

        assert roc_auc_score(is_cancelled(real), churn_probability(records)) > 0.91

    def test_what_trees_learn_from_made_up_bookings_holds_of_real_ones(real, trees):
        auc = roc_auc_score(is_cancelled(real), trees.predict_proba(inputs(real))[:, 1])

        assert auc > 0.89
