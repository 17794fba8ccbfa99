"""Booking cancellation: which hotel bookings are cancelled before the guests arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churn_assets.usecases.booking_generator import generate
from churn_assets.usecases.spec import (
    BusinessCase,
    Column,
    Contract,
    Date,
    Float64,
    Int64,
    Label,
    Labels,
    PerCustomer,
    String,
    UseCase,
)

if TYPE_CHECKING:
    from churn_assets.types import Frame

FLAG = (0, 1)
MEALS = ("Meal Plan 1", "Meal Plan 2", "Meal Plan 3", "Not Selected")
ROOMS = tuple(f"Room_Type {number}" for number in range(1, 8))
SEGMENTS = ("Aviation", "Complementary", "Corporate", "Offline", "Online")


def clean(records: Frame) -> Frame:
    """Typed, valid records to silver.

    A price of zero and a booking without an adult are odd and do occur: they are kept, and marked.
    """
    import narwhals.stable.v2 as nw

    return records.with_columns(
        (nw.col("average_price_eur") == 0).cast(nw.Int64).alias("is_free"),
        (nw.col("adults") == 0).cast(nw.Int64).alias("has_no_adult"),
    )


def features(silver: Frame) -> Frame:
    """Silver to the key, the model inputs, and the day of the booking.

    The month is none of them: rates of one year's months do not hold in the next, and with them
    the scores of the newest bookings are far too low.
    """
    import narwhals.stable.v2 as nw

    nights = nw.col("weekend_nights") + nw.col("week_nights")
    guests = nw.col("adults") + nw.col("children")
    before = nw.col("previous_cancellations") + nw.col("previous_stays")
    price = nw.col("average_price_eur")
    return silver.with_columns(
        nights.alias("nights"),
        guests.alias("guests"),
        (price * nights.cast(nw.Float64)).alias("total_price_eur"),
        nw.when(guests > 0)
        .then(price / guests.cast(nw.Float64))
        .otherwise(price)
        .alias("price_per_guest_eur"),
        (nw.col("week_nights") == 0).cast(nw.Int64).alias("is_weekend_only"),
        before.alias("previous_bookings"),
        nw.when(before > 0)
        .then(nw.col("previous_cancellations").cast(nw.Float64) / before.cast(nw.Float64))
        .otherwise(nw.lit(0.0))
        .alias("cancelled_share"),
        (nw.col("special_requests") == 0).cast(nw.Int64).alias("has_no_request"),
    )


booking_cancellation = UseCase(
    name="booking_cancellation",
    key="booking_id",
    label=Label("booking_status", positive="Canceled"),
    contract=Contract(
        Column("booking_id", String, source="Booking_ID"),
        Column("adults", Int64, source="number of adults", ge=0, odd=(0,)),
        Column("children", Int64, source="number of children", ge=0),
        Column("weekend_nights", Int64, source="number of weekend nights", ge=0),
        Column("week_nights", Int64, source="number of week nights", ge=0),
        Column("meal_plan", String, source="type of meal", isin=MEALS),
        Column("parking_space", Int64, source="car parking space", isin=FLAG),
        Column("room_type", String, source="room type", isin=ROOMS),
        Column("lead_time_days", Int64, source="lead time", ge=0),
        Column("market_segment", String, source="market segment type", isin=SEGMENTS),
        Column("repeated_guest", Int64, source="repeated", isin=FLAG),
        Column("previous_cancellations", Int64, source="P-C", ge=0),
        Column("previous_stays", Int64, source="P-not-C", ge=0),
        Column("average_price_eur", Float64, source="average price", ge=0, odd=(0,)),
        Column("special_requests", Int64, source="special requests", ge=0),
        Column(
            "date_of_reservation",
            Date,
            source="date of reservation",
            formats=("%m/%d/%Y", "%Y-%m-%d"),
        ),
    ),
    labels=Labels(
        Contract(
            Column("booking_id", String, source="Booking_ID"),
            Column(
                "booking_status",
                String,
                source="booking status",
                isin=("Canceled", "Not_Canceled"),
                nullable=True,
            ),
        )
    ),
    time="date_of_reservation",
    split_by="date_of_reservation",
    clean=clean,
    features=features,
    numeric=(
        "adults",
        "children",
        "weekend_nights",
        "week_nights",
        "parking_space",
        "lead_time_days",
        "repeated_guest",
        "previous_cancellations",
        "previous_stays",
        "average_price_eur",
        "special_requests",
        "nights",
        "guests",
        "total_price_eur",
        "price_per_guest_eur",
        "is_weekend_only",
        "previous_bookings",
        "cancelled_share",
        "has_no_request",
        "is_free",
        "has_no_adult",
    ),
    categorical=("meal_plan", "room_type", "market_segment"),
    description=(
        "Which hotel bookings are cancelled, from what was booked, when and through whom. Scores "
        "say whom to ask for a deposit, and their sum how many rooms can be sold twice."
    ),
    generate=generate,
    business=BusinessCase(
        currency="EUR",
        # A deposit, sweetened by a tenth of the price: what is kept is the whole stay.
        customer_value=PerCustomer("total_price_eur"),
        offer_cost=PerCustomer("total_price_eur", times=0.1),
        contact_cost=1,
        save_rate=0.4,
        accept_rate=0.7,
    ),
    slices=("market_segment", "meal_plan"),
    # From one season to the next rates move by so much, whatever model looks at them.
    calibration_error=0.08,
    words={
        "lead_time_days": "days between booking and arrival",
        "average_price_eur": "price of a night",
        "total_price_eur": "price of the stay",
        "price_per_guest_eur": "price of a night for each guest",
        "previous_cancellations": "bookings cancelled before",
        "previous_stays": "earlier stays",
        "previous_bookings": "earlier bookings",
        "cancelled_share": "share of earlier bookings cancelled",
        "has_no_request": "no special request",
        "is_weekend_only": "weekend only",
        "is_free": "free of charge",
        "has_no_adult": "no adult",
    },
)
