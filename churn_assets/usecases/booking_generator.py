"""Made-up hotel bookings, as text, whose law of cancellation is known.

The records look like those of a public sample of hotel bookings (36,285 bookings, GitHub,
yilmaz-mert/Hotel-Booking-Cancellation-Prediction-Streamlit-App) and hold none of them: every
number below is an aggregate of that sample, a share, a quantile or the coefficient of a logit.
`TOLERANCES` says how near the made-up bookings come to the real ones.

The law is a logit for each kind of customer, with the bends and interactions that matter most in
the sample: there it has an AUC of .919 and a best F1 of .773, on the made-up bookings .912 and
.758. Boosted trees reach .953 and .831 on real bookings held out at random, and no law this short
does: four in ten of them share day, lead time, nights, segment and price with another booking,
nine in ten of these share its fate too, and trees know the block again. Where all of a block is
held out, the same trees reach .932 and .789.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.types import Floats
from churn_assets.usecases.made_up import (
    BATCH_ROWS,
    Facts,
    Weights,
    batches,
    choose,
    decode,
    draw_label,
    fact,
    from_deciles,
    from_shares,
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
    "base_rate": 0.01,  # cancelled in all bookings, real .3277
    "share": 0.01,  # bookings in each category and lead time
    "month_share": 0.003,  # bookings in each month
    "lead_quartile": 6,  # days
    "price_quartile": 4,  # in the sample's currency, a night
    "cancellation_rate": 0.05,  # cancelled in each lead time and category of 5 % or more
    "month_rate": 0.06,  # cancelled in each month from August 2017 on
    "auc": 0.01,  # of the law itself, around .912
    "f1": 0.02,  # of the law itself at its best threshold, around .758
    "auc_below_trees": 0.05,  # of the law itself, under what trees reach on the sample, .953
    "f1_below_trees": 0.09,  # the same of its best F1, .831
}

# fmt: off
COLUMNS = (
    "Booking_ID", "number of adults", "number of children", "number of weekend nights",
    "number of week nights", "type of meal", "car parking space", "room type", "lead time",
    "market segment type", "repeated", "P-C", "P-not-C", "average price", "special requests",
    "date of reservation", "booking status",
)

# A drawn code is a place in these; a logit weighs the later values against the first one.
_SEGMENTS = ("Offline", "Online", "Corporate", "Complementary", "Aviation")
_OTHER = 2  # in what differs for offline, online and all other segments
_ADULTS = ("2", "1", "3", "4", "0")
_WEEK_NIGHTS = np.array([2, 1, 3, 0, 4, 5])
_ROOMS = ("Room_Type 1", "Room_Type 4", "Room_Type 6", "Room_Type 2", "Room_Type 5",
          "Room_Type 7", "Room_Type 3")
_MEALS = ("Meal Plan 1", "Not Selected", "Meal Plan 2", "Meal Plan 3")

# A row for each month, the first for all earlier ones: year and month, days, share of the bookings,
# share of each segment, price of a night offline and online with nothing that changes it.
_MONTHS = np.array([
    [201609, 30, 0.0001, 0.33, 0.61, 0.04, 0.02, 0, 86, 105],
    [201707, 31, 0.01, 0.46, 0.515, 0.011, 0.014, 0, 86, 105],
    [201708, 31, 0.0279, 0.339, 0.553, 0.072, 0.036, 0, 86, 108],
    [201709, 30, 0.0454, 0.465, 0.438, 0.081, 0.016, 0, 99, 132],
    [201710, 31, 0.0527, 0.53, 0.403, 0.056, 0.011, 0, 92, 123],
    [201711, 30, 0.0178, 0.423, 0.416, 0.136, 0.025, 0, 75, 105],
    [201712, 31, 0.0256, 0.391, 0.475, 0.1, 0.034, 0, 79, 112],
    [201801, 31, 0.0279, 0.309, 0.556, 0.105, 0.03, 0, 80, 97],
    [201802, 28.62, 0.047, 0.256, 0.611, 0.121, 0.011, 0.001, 80, 102],
    [201803, 31, 0.065, 0.228, 0.69, 0.071, 0.01, 0.001, 85, 116],
    [201804, 30, 0.0754, 0.242, 0.721, 0.024, 0.004, 0.009, 93, 125],
    [201805, 31, 0.0716, 0.251, 0.645, 0.084, 0.009, 0.011, 100, 142],
    [201806, 30, 0.0883, 0.427, 0.533, 0.031, 0.007, 0.002, 113, 139],
    [201807, 31, 0.0705, 0.184, 0.767, 0.043, 0.005, 0.001, 100, 140],
    [201808, 31, 0.0771, 0.142, 0.837, 0.017, 0.004, 0, 95, 145],
    [201809, 30, 0.0816, 0.28, 0.664, 0.042, 0.008, 0.006, 109, 153],
    [201810, 31, 0.0938, 0.309, 0.642, 0.033, 0.007, 0.009, 106, 142],
    [201811, 30, 0.0643, 0.226, 0.694, 0.063, 0.012, 0.005, 96, 127],
    [201812, 31, 0.0577, 0.169, 0.765, 0.054, 0.012, 0, 86, 119],
])
_MONTH, _DAYS, _SHARE = _MONTHS[:, :3].T
_SEGMENT_SHARES, _LEVELS = _MONTHS[:, 3:8], _MONTHS[:, 8:]

# Least, deciles and 99th percentile of the lead time in days: a row for each month offline, then
# for each month online, then for each other segment.
_LEAD_DECILES = np.array([
    [0, 96, 96, 103, 110, 257, 257, 257, 273, 273, 273],
    [0, 96, 96, 103, 110, 257, 257, 257, 273, 273, 273],
    [0, 1, 10, 39, 39, 39, 39, 117, 131, 138, 145],
    [0, 12, 30, 56, 63, 73, 74, 83, 135, 219, 327],
    [0, 12, 19, 34, 59, 80, 102, 102, 164, 210, 289],
    [1, 16, 29, 32, 32, 40, 46, 52, 64, 73, 92],
    [0, 6, 12, 24, 41, 70, 98, 110, 140, 148, 160],
    [0, 9, 23, 34, 50, 58, 102, 150, 151, 151, 151],
    [0, 1, 4, 11, 18, 41, 44, 81, 115, 116, 153],
    [0, 7, 13, 29, 46, 64, 78, 89, 114, 133, 167],
    [0, 21, 55, 61, 100, 105, 122, 159, 169, 270, 443],
    [0, 7, 20, 70, 88, 103, 180, 211, 273, 298, 323],
    [0, 30, 57, 71, 111, 121, 188, 192, 213, 256, 290],
    [0, 32, 74, 102, 119, 144, 168, 245, 292, 301, 301],
    [0, 33, 65, 115, 143, 159, 191, 221, 291, 320, 320],
    [0, 28, 58, 94, 159, 208, 271, 280, 317, 346, 433],
    [0, 25, 37, 46, 85, 130, 181, 268, 286, 359, 386],
    [0, 14, 42, 51, 60, 95, 166, 301, 304, 305, 308],
    [0, 15, 26, 41, 52, 75, 88, 157, 246, 315, 322],
    [6, 66, 75, 82, 91, 96, 109, 117, 138, 257, 273],
    [6, 66, 75, 82, 91, 96, 109, 117, 138, 257, 273],
    [0, 0, 0, 1, 3, 6, 9, 13, 97, 135, 205],
    [0, 1, 4, 8, 13, 16, 22, 27, 38, 79, 243],
    [0, 3, 8, 16, 24, 32, 39, 47, 63, 100, 228],
    [0, 0, 4, 7, 11, 22, 35, 52, 70, 89, 111],
    [0, 2, 6, 8, 14, 19, 30, 49, 67, 100, 144],
    [0, 1, 2, 4, 6, 9, 13, 18, 26, 40, 79],
    [0, 1, 4, 7, 12, 16, 22, 32, 39, 53, 116],
    [0, 4, 11, 22, 35, 42, 49, 59, 72, 86, 161],
    [0, 5, 16, 31, 47, 62, 71, 82, 94, 110, 197],
    [0, 5, 15, 28, 45, 62, 83, 103, 122, 144, 273],
    [0, 3, 13, 26, 40, 59, 83, 111, 133, 172, 256],
    [0, 12, 38, 63, 86, 107, 128, 146, 162, 187, 292],
    [0, 7, 22, 45, 84, 116, 140, 159, 181, 206, 302],
    [0, 8, 19, 30, 44, 60, 76, 127, 179, 235, 350],
    [0, 9, 28, 42, 65, 89, 117, 167, 202, 249, 377],
    [0, 8, 15, 23, 35, 46, 56, 71, 97, 166, 308],
    [0, 6, 13, 22, 36, 54, 74, 102, 152, 249, 338],
    [0, 0, 2, 3, 5, 8, 12, 18, 31, 64, 170],
    [0, 0, 0, 0, 1, 2, 3, 5, 10, 32, 123],
    [0, 1, 2, 2, 3, 4, 5, 5, 10, 13, 21],
])
_LEAD_ROW = np.array([0, 19, 38, 39, 40])  # the first one of each segment

# Logits of each value, given what was drawn before it; "a*b" is a product. A weight of -9 is never.
_REPEATED = {"base": -3.66, "offline": 1.01, "corporate": 3.96, "complementary": 3.54,
             "aviation": 2.38, "log_lead": -0.58}
_ONE_ADULT = {"base": 0.28, "online": -0.88, "corporate": 1.63, "complementary": 0.1,
              "aviation": 3.37, "repeated": 0.85, "log_lead": -0.29, "offline*log_lead": -0.07,
              "offline*five_months": 0.84, "midwinter": -0.2, "late_2018": -0.21,
              "first_summer": -0.72}
_THREE_ADULTS = {"base": -3.65, "online": 0.78, "log_lead": 0.17, "five_months": -0.67,
                 "offline*five_months": -0.57, "summer": 0.66, "in_2017": -1.43}
_FOUR_ADULTS = {"base": -8.27, "online": 1.11}
_NO_ADULTS = {"base": -7.05, "online": 2.14}
_ONE_CHILD = {"base": -2.96, "online": 0.33, "offline*log_lead": -0.22, "solo": -1.44,
              "three_adults": -2.04, "summer": 0.64, "in_2017": -0.8}
_TWO_CHILDREN = {"base": -6.03, "online": 2.97, "solo": -1.15, "three_adults": -3.31,
                 "summer": 0.46, "no_adults": 5.72}
_THREE_CHILDREN = {"base": -7.91, "online": 0.78, "no_adults": 4.41}
_LONG_STAY = {"base": -5.21, "online": 0.53, "offline": -0.87, "aviation": 2.8, "log_lead": 0.22}
_ONE_WEEKEND_NIGHT = {"base": -0.83, "online": 0.39, "complementary": -0.32, "aviation": 0.65,
                      "solo": -0.33, "two_weeks": 0.16, "offline*three_months": 0.23,
                      "midwinter": -0.11}
_TWO_WEEKEND_NIGHTS = {"base": -1.13, "online": 0.31, "corporate": -0.87, "complementary": -1.3,
                       "aviation": 0.31, "solo": -0.45, "two_weeks": 0.52,
                       "offline*three_months": -0.07, "midwinter": 0.14}
_ONE_WEEK_NIGHT = {"base": 0.75, "online": 0.26, "corporate": 0.49, "complementary": 0.59,
                   "solo": 0.18, "log_lead": -0.32, "no_weekend": -0.05}
_THREE_WEEK_NIGHTS = {"base": -0.9, "online": 0.34, "corporate": -0.06, "solo": -0.19,
                      "log_lead": 0.06, "no_weekend": 0.2}
_NO_WEEK_NIGHT = {"base": 0.34, "online": 0.47, "corporate": 0.89, "solo": 0.57,
                  "log_lead": -0.47, "no_weekend": -3.71}
_FOUR_WEEK_NIGHTS = {"base": -2.38, "online": 0.74, "corporate": -0.88, "solo": -0.33,
                     "log_lead": 0.13, "no_weekend": 0.19}
_FIVE_WEEK_NIGHTS = {"base": -2.79, "online": 0.77, "solo": -0.42, "log_lead": 0.19,
                     "no_weekend": -1.45}
_ROOM_4 = {"base": -1.12, "offline": -1.42, "corporate": -1.12, "aviation": 1.92,
           "three_adults": 2.82, "solo": -0.69, "one_child": -0.53, "in_2017": -0.48,
           "log_lead": -0.05}
_ROOM_6 = {"base": -5.28, "offline": -1.51, "three_adults": 2.79, "one_child": 2.26,
           "two_children": 7.83, "in_2017": 0.13, "no_adults": -2.05}
_ROOM_2 = {"base": -3.46, "offline": -1.43, "solo": -1.74, "one_child": -0.36, "two_children": 3.41,
           "no_adults": 4.03}
_ROOM_5 = {"base": -4.04, "online": -0.59, "corporate": 1.29, "complementary": 1.63,
           "in_2017": -1.32, "log_lead": -0.12}
_ROOM_7 = {"base": -5.39, "offline": -1.65, "complementary": 3.33, "three_adults": 3.83,
           "two_children": 5.6, "log_lead": -0.2}
_ROOM_3 = {"base": -8.3}
_NO_MEAL = {"base": -2.76, "online": 2.47, "corporate": -1.45, "in_2017": -0.99,
            "log_lead": -0.28, "first_summer": 0.3, "late_2018": 0.31, "two_children": -2.57}
_MEAL_2 = {"base": -3.66, "online": -1.52, "corporate": -3.41, "complementary": -1.36,
               "log_lead": 0.48, "first_summer": 2.54, "first_autumn": 0.62,
               "offline*five_months": -0.16}
_MEAL_3 = {"base": -8.84, "complementary": 2.97}
_PARKING = {"base": -2.65, "offline": -2.29, "corporate": 0.72, "complementary": 0.39,
            "log_lead": -0.18, "one_child": 0.27}
# Online and complementary only; elsewhere no price is zero.
_FREE = {"base": -3.4, "complementary": 6.01, "repeated": 1.12, "log_lead": -0.43}
_ONE_REQUEST = {"base": 0.42, "offline": -1.64, "corporate": -1.18, "complementary": -0.22,
                "aviation": -9.0, "log_lead": -0.09, "late_2018": 0.28, "solo": -0.71,
                "three_adults": -0.36, "one_child": -0.15, "offline*three_adults": 1.75,
                "offline*one_child": 1.91, "no_meal": -0.14, "price": -0.09,
                "online*in_2017": 0.13, "online*midwinter": -0.08, "offline*in_2017": -0.62,
                "offline*five_months": 0.39}
_TWO_REQUESTS = {"base": -1.65, "offline": -3.03, "corporate": -2.7, "complementary": 0.05,
                 "aviation": -9.0, "log_lead": -0.08, "late_2018": 0.83, "solo": -0.69,
                 "three_adults": 0.49, "one_child": 0.78, "offline*three_adults": 1.21,
                 "offline*one_child": 1.78, "no_meal": -0.26, "meal_2": -0.49, "price": 0.48,
                 "in_2017": 1.09, "midwinter": 0.07}
_THREE_REQUESTS = {"base": -4.38, "offline": -3.09, "corporate": -1.74, "complementary": 1.47,
                   "aviation": -9.0, "late_2018": 1.13, "solo": -0.76, "price": 0.82,
                   "in_2017": 1.35}
_FOUR_REQUESTS = {"base": -5.04, "offline": -2.35, "aviation": -9.0}
_FIVE_REQUESTS = {"base": -7.81, "aviation": -9.0}

# A guest who is said to be repeated has bookings kept, cancelled, or both.
_ONLY_CANCELLED = 0.127  # share of the repeated guests
_EARLIER_DECILES = np.array([
    [1, 1, 1, 2, 2, 3, 5, 6, 10, 18, 50],  # kept, where any were
    [0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 11],  # cancelled
])
_LONG_STAY_DECILES = np.array([[8, 8, 8, 8, 9, 10, 10, 11, 13, 15, 21]])  # nights

# The price of a night; "level" is the month's. Below, the deciles of what is left.
_OFFLINE_PRICE = {"level": 1.0, "room_5": 42.2, "room_6": 40.5, "room_7": 45.4, "meal_2": 20.2,
                  "no_meal": -11.1, "three_adults": 25.9, "one_child": 10.6, "two_children": 18.6,
                  "log_lead": -3.1, "two_weeks": 6.8, "five_months": 2.9, "nights": -1.5}
_ONLINE_PRICE = {"level": 1.0, "room_2": -8.8, "room_4": 15.3, "room_5": 22.1, "room_6": 60.0,
                 "room_7": 82.6, "meal_2": 31.8, "no_meal": -12.3, "solo": -3.6,
                 "three_adults": 23.5, "one_child": 15.0, "two_children": 17.6, "log_lead": -6.2,
                 "two_weeks": 0.6, "five_months": -7.8, "nights": -0.8}
_OTHER_PRICE = {"base": 18.5, "level": 0.75, "aviation": 8.4, "room_4": 10.5, "room_5": 37.6,
                "room_6": 29.6, "room_7": 48.7, "meal_2": 40.1, "solo": -11.7,
                "three_adults": 20.7, "one_child": 15.3, "five_months": -13.6, "nights": 1.2}
_PRICE_DECILES = np.array([
    [-33.2, -20.3, -13.6, -9.0, -6.1, -1.3, 2.4, 6.7, 12.0, 21.7, 46.2],
    [-39.3, -22.3, -13.1, -8.0, -3.9, -0.1, 3.6, 7.8, 12.6, 21.5, 45.2],
    [-29.4, -19.9, -15.3, -9.9, -5.0, -1.8, 1.2, 7.0, 12.2, 16.7, 57.1],
])
_LEAST_PRICE = 12.0
_CENTS = 100  # in one
# What prices are multiples of, in cents, and how often: offline, online, other segments.
_PRICE_STEPS = np.array([500, 100, 10, 1])
_STEP_SHARES = np.array([
    [0.5, 0.22, 0.13, 0.15],
    [0.05, 0.21, 0.42, 0.32],
    [0.57, 0.37, 0.02, 0.04],
])

# Facts of the draws and of the law: a lead time of more days, a price above or below, a month.
_LEADS = {"two_weeks": 14, "three_months": 90, "five_months": 150, "eight_months": 240}
_PRICES = {"dear": 100, "luxury": 200}
_CHEAP = 75
_REQUESTS = ("no_requests", "one_request", "two_requests", "many_requests")
_TIMES_OF_YEAR = {"midwinter": (12, 1), "summer": (6, 7, 8)}
_SPANS = {"first_month": (201501, 201707), "first_summer": (201501, 201708),
          "in_2017": (201501, 201712), "first_autumn": (201709, 201801),
          "spring_2018": (201802, 201805), "late_2018": (201807, 201812)}

# The logits of cancellation. A month is in them only as far as the other inputs do not explain it.
_ONLINE_LAW = {
    "base": -5.29, "no_requests": 1.79, "one_request": 1.3, "many_requests": -3.98,
    "log_lead": 0.32, "no_requests*log_lead": 0.28, "two_requests*three_months": 1.94,
    "five_months*price": 0.99, "five_months*dear": 1.47, "five_months*no_weekend": 1.39,
    "one_request*five_months*dear": 3.14, "price": 0.29, "no_requests*price": 1.12,
    "one_request*price": 0.89, "nights": 0.08, "parking": -3.6, "parking*five_months": 3.47,
    "no_meal": 0.3, "repeated": -0.84, "returning": -1.39, "midwinter": -6.21,
    "midwinter*log_lead": 1.5, "midwinter*dear": -1.68, "midwinter*five_months": -3.48,
    "first_autumn": -0.98, "first_summer*two_weeks": 0.63, "first_month": 1.93,
    "spring_2018*three_months": -0.74, "summer*one_request": -0.77,
}
_OFFLINE_LAW = {
    "base": -5.25, "no_requests": 2.94, "log_lead*price": 0.43, "three_months": 0.57,
    "five_months": 0.72, "five_months*dear": 6.72, "luxury": 6.24, "solo": -0.94,
    "cheap*solo": 0.98, "five_months*solo": -3.16, "eight_months": 1.47,
    "eight_months*in_2017": -4.52, "no_weekend": -3.63, "three_months*no_weekend": 4.84,
    "nights": -0.24, "no_weekend*nights": -0.5, "solo*nights": 0.46, "room_4": -1.16,
    "midwinter": -9.3, "first_month": 0.75, "spring_2018": 0.48, "summer*three_months*dear": -1.73,
}
_BUSINESS_LAW = {
    "base": -4.0, "aviation": 0.95, "no_requests": 1.24, "log_lead*price": 0.48, "returning": -2.22,
    "solo": -0.48, "nights": 0.18, "parking": -2.1, "midwinter": -1.65,
}
# fmt: on
_LAW: Mapping[str, Weights] = {
    "Online": _ONLINE_LAW,
    "Offline": _OFFLINE_LAW,
    "Corporate": _BUSINESS_LAW,
    "Aviation": _BUSINESS_LAW,
    "Complementary": {"base": -7.0},  # nobody cancels a gift
}


def generate(rows: int, seed: int) -> Iterator[pa.RecordBatch]:
    """Make up source records, as the CSV of the sample would give them read as text.

    The rows are in no order of time: a table of any length spans all months.

    Parameters
    ----------
    rows : int
        How many bookings, at most `made_up.MOST_ROWS`. The first ones are the same whatever it is.
    seed : int
        Not negative. Ids hang on the row alone: two seeds tell two stories of the same bookings.

    Yields
    ------
    pyarrow.RecordBatch of `COLUMNS`, as text
        `made_up.BATCH_ROWS` rows, fewer in the last one.
    """
    return batches(rows, seed, _batch)


def churn_probability(batch: pa.RecordBatch) -> Floats:
    """Give the true probability of cancellation for each record.

    Parameters
    ----------
    batch : pyarrow.RecordBatch of shape (n_bookings,)
        Records of `generate`; their label is not read.

    Returns
    -------
    array of shape (n_bookings,)
        The probability that the label was drawn with, in (0, 1).
    """
    requests = np.minimum(numbers(batch, "special requests"), len(_REQUESTS) - 1)
    weekend = numbers(batch, "number of weekend nights")
    facts: Facts = {
        "base": np.ones(batch.num_rows),
        **_lead_facts(numbers(batch, "lead time")),
        **_month_facts(_months(batch["date of reservation"])),
        **_price_facts(numbers(batch, "average price")),
        "aviation": holds(batch, "market segment type", "Aviation"),
        **one_hot(requests, _REQUESTS),
        "solo": holds(batch, "number of adults", "1"),
        "no_weekend": fact(weekend == 0),
        "nights": weekend + numbers(batch, "number of week nights"),
        "no_meal": holds(batch, "type of meal", "Not Selected"),
        "parking": holds(batch, "car parking space", "1"),
        "room_4": holds(batch, "room type", "Room_Type 4"),
        "repeated": holds(batch, "repeated", "1"),
        "returning": fact(numbers(batch, "P-not-C") > 0),
    }
    logits = np.zeros(batch.num_rows)
    for segment, weights in _LAW.items():
        logits += holds(batch, "market segment type", segment) * weighted_sum(weights, facts)
    return logistic(logits)


def _batch(rng: np.random.Generator, start: int) -> pa.RecordBatch:
    import pyarrow as pa

    facts: Facts = {"base": np.ones(BATCH_ROWS)}
    columns = {
        "Booking_ID": _ids(start),
        **_origin(rng, facts),
        **_people(rng, facts),
        **_nights(rng, facts),
        **_services(rng, facts),
        **_price(rng, facts),
        **_requests(rng, facts),
        "booking status": pa.nulls(BATCH_ROWS, pa.string()),
    }
    batch = pa.RecordBatch.from_arrays(
        [columns[name] for name in COLUMNS], schema=text_schema(COLUMNS)
    )
    values = ("Not_Canceled", "Canceled")
    return draw_label(rng, batch, "booking status", values, churn_probability(batch))


# Each of the next six draws some columns and adds what they tell to the facts.


def _origin(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    row = from_shares(rng, _SHARE[np.newaxis], np.zeros(BATCH_ROWS)).astype(np.intp)
    day = np.floor(_DAYS[row] * rng.random(BATCH_ROWS))
    segment = from_shares(rng, _SEGMENT_SHARES, row)
    facts |= one_hot(segment, [name.lower() for name in _SEGMENTS])
    facts |= _month_facts(_MONTH[row])
    facts["kind"] = np.minimum(segment, _OTHER)
    facts["level"] = _LEVELS[row, facts["online"].astype(np.intp)]
    by_month = facts["offline"] + facts["online"]
    lead_row = _LEAD_ROW[segment.astype(np.intp)] + by_month * row
    lead = np.rint(from_deciles(rng, _LEAD_DECILES, lead_row))
    facts |= _lead_facts(lead)
    return {
        "market segment type": decode(_SEGMENTS, segment),
        "lead time": whole_numbers(lead),
        "date of reservation": decode(_DATES, 31 * row + day),
    }


def _people(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    facts["repeated"] = choose(rng, facts, _REPEATED)
    adults = choose(rng, facts, _ONE_ADULT, _THREE_ADULTS, _FOUR_ADULTS, _NO_ADULTS)
    facts |= one_hot(adults, ("couple", "solo", "three_adults", "four_adults", "no_adults"))
    children = choose(rng, facts, _ONE_CHILD, _TWO_CHILDREN, _THREE_CHILDREN)
    facts |= one_hot(children, ("no_child", "one_child", "two_children", "three_children"))
    return {
        **_earlier(rng, facts),
        "number of adults": decode(_ADULTS, adults),
        "number of children": whole_numbers(children),
    }


def _earlier(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    only_cancelled = rng.random(BATCH_ROWS) < _ONLY_CANCELLED
    kept, cancelled = (
        facts["repeated"] * np.rint(from_deciles(rng, _EARLIER_DECILES, np.full(BATCH_ROWS, row)))
        for row in (0.0, 1.0)
    )
    least = facts["repeated"] * only_cancelled
    return {
        "repeated": whole_numbers(facts["repeated"]),
        "P-C": whole_numbers(np.maximum(cancelled, least)),
        "P-not-C": whole_numbers(np.where(only_cancelled, 0.0, kept)),
    }


def _nights(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    long = choose(rng, facts, _LONG_STAY) == 1
    nights = np.rint(from_deciles(rng, _LONG_STAY_DECILES, np.zeros(BATCH_ROWS)))
    of_long = np.rint(nights * 2 / 7)
    weekend = np.where(long, of_long, choose(rng, facts, _ONE_WEEKEND_NIGHT, _TWO_WEEKEND_NIGHTS))
    facts["no_weekend"] = fact(weekend == 0)
    of_week = choose(
        rng,
        facts,
        _ONE_WEEK_NIGHT,
        _THREE_WEEK_NIGHTS,
        _NO_WEEK_NIGHT,
        _FOUR_WEEK_NIGHTS,
        _FIVE_WEEK_NIGHTS,
    )
    week = np.where(long, nights - of_long, _WEEK_NIGHTS[of_week.astype(np.intp)])
    facts["nights"] = weekend + week
    return {
        "number of weekend nights": whole_numbers(weekend),
        "number of week nights": whole_numbers(week),
    }


def _services(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    room = choose(rng, facts, _ROOM_4, _ROOM_6, _ROOM_2, _ROOM_5, _ROOM_7, _ROOM_3)
    facts |= one_hot(room, [f"room_{name[-1]}" for name in _ROOMS])
    meal = choose(rng, facts, _NO_MEAL, _MEAL_2, _MEAL_3)
    facts |= one_hot(meal, ("meal_1", "no_meal", "meal_2", "meal_3"))
    return {
        "room type": decode(_ROOMS, room),
        "type of meal": decode(_MEALS, meal),
        "car parking space": whole_numbers(choose(rng, facts, _PARKING)),
    }


def _price(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    price = np.choose(
        facts["kind"].astype(np.intp),
        [weighted_sum(weights, facts) for weights in (_OFFLINE_PRICE, _ONLINE_PRICE, _OTHER_PRICE)],
    )
    price += from_deciles(rng, _PRICE_DECILES, facts["kind"])
    steps = _PRICE_STEPS[from_shares(rng, _STEP_SHARES, facts["kind"]).astype(np.intp)]
    cents = np.rint(_CENTS * np.maximum(price, _LEAST_PRICE) / steps) * steps
    free = choose(rng, facts, _FREE) * (facts["online"] + facts["complementary"])
    cents *= 1 - free
    facts |= _price_facts(cents / _CENTS)
    return {"average price": money(cents, _CENTS)}


def _requests(rng: np.random.Generator, facts: Facts) -> dict[str, pa.Array]:
    requests = choose(
        rng,
        facts,
        _ONE_REQUEST,
        _TWO_REQUESTS,
        _THREE_REQUESTS,
        _FOUR_REQUESTS,
        _FIVE_REQUESTS,
    )
    return {"special requests": whole_numbers(requests)}


def _lead_facts(days: Floats) -> Facts:
    longer = {name: fact(days > bound) for name, bound in _LEADS.items()}
    return {"log_lead": np.log1p(days), **longer}


def _price_facts(price: Floats) -> Facts:
    higher = {name: fact(price > bound) for name, bound in _PRICES.items()}
    return {"price": price / 100, "cheap": fact(price < _CHEAP), **higher}


def _month_facts(month: Floats) -> Facts:
    return {
        **{name: fact(np.isin(month % 100, of_year)) for name, of_year in _TIMES_OF_YEAR.items()},
        **{name: fact((month >= a) & (month <= z)) for name, (a, z) in _SPANS.items()},
    }


def _months(dates: pa.Array) -> Floats:
    """Year and month, as in 201802, of 2/28/2018 and of 2018-2-29."""
    coded = dates.dictionary_encode()
    months = []
    for date in coded.dictionary.to_pylist():
        if "-" in date:
            year, month, _ = date.split("-")
        else:
            month, _, year = date.split("/")
        months.append(100.0 * int(year) + int(month))
    return np.asarray(np.array(months)[coded.indices.to_numpy()], dtype=np.float64)


def _date(month: float, day: int) -> str:
    year, of_year = divmod(int(month), 100)
    if (year, of_year, day) == (2018, 2, 29):
        return "2018-2-29"  # the sample has it so, and there was no such day
    return f"{of_year}/{day}/{year}"


_DATES = tuple(_date(month, day) for month in _MONTH for day in range(1, 32))


def _ids(start: int) -> pa.Array:
    """Ids like INN00001, each row's its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pa.array(np.arange(start, start + BATCH_ROWS) + 1).cast(pa.string())
    return pc.binary_join_element_wise("INN", pc.utf8_lpad(places, 5, "0"), "")
