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
        Column(
            "booking_id",
            String,
            source="Booking_ID",
            description="the booking's identifier",
        ),
        Column(
            "adults",
            Int64,
            source="number of adults",
            ge=0,
            odd=(0,),
            description="number of adults who are to stay",
        ),
        Column(
            "children",
            Int64,
            source="number of children",
            ge=0,
            description="number of children who are to stay",
        ),
        Column(
            "weekend_nights",
            Int64,
            source="number of weekend nights",
            ge=0,
            description="booked nights at weekends",
        ),
        Column(
            "week_nights",
            Int64,
            source="number of week nights",
            ge=0,
            description="booked nights from Monday to Friday",
        ),
        Column(
            "meal_plan",
            String,
            source="type of meal",
            isin=MEALS,
            description="the meals that were booked",
        ),
        Column(
            "parking_space",
            Int64,
            source="car parking space",
            isin=FLAG,
            description="whether a parking space was asked for (1 or 0)",
        ),
        Column(
            "room_type",
            String,
            source="room type",
            isin=ROOMS,
            description="the kind of room that was booked, under the hotel's own number",
        ),
        Column(
            "lead_time_days",
            Int64,
            source="lead time",
            ge=0,
            description="days from the booking to the arrival",
        ),
        Column(
            "market_segment",
            String,
            source="market segment type",
            isin=SEGMENTS,
            description="the channel through which the booking came",
        ),
        Column(
            "repeated_guest",
            Int64,
            source="repeated",
            isin=FLAG,
            description="whether the guest has stayed before (1 or 0)",
        ),
        Column(
            "previous_cancellations",
            Int64,
            source="P-C",
            ge=0,
            description="earlier bookings that the guest cancelled",
        ),
        Column(
            "previous_stays",
            Int64,
            source="P-not-C",
            ge=0,
            description="earlier bookings that the guest did not cancel",
        ),
        Column(
            "average_price_eur",
            Float64,
            source="average price",
            ge=0,
            odd=(0,),
            description="average price of a night, in euros",
        ),
        Column(
            "special_requests",
            Int64,
            source="special requests",
            ge=0,
            description="number of special requests, such as a high floor",
        ),
        Column(
            "date_of_reservation",
            Date,
            source="date of reservation",
            formats=("%m/%d/%Y", "%Y-%m-%d"),
            description="day on which the booking was made",
        ),
    ),
    labels=Labels(
        Contract(
            Column(
                "booking_id",
                String,
                source="Booking_ID",
                description="the booking's identifier, as in the bookings",
            ),
            Column(
                "booking_status",
                String,
                source="booking status",
                isin=("Canceled", "Not_Canceled"),
                nullable=True,
                description="whether the booking was cancelled; blank: not known yet",
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
    glossary={
        "nights": "booked nights, at weekends and in the week together",
        "guests": "adults and children together",
        "total_price_eur": "average price of a night times the nights, in euros",
        "price_per_guest_eur": "average price of a night divided by the number of guests, in euros",
        "is_weekend_only": "1 where no night of the week was booked, else 0",
        "previous_bookings": "earlier bookings of the guest, cancelled or not",
        "cancelled_share": "share of the earlier bookings that were cancelled; 0 without any",
        "has_no_request": "1 where there is no special request, else 0",
        "is_free": "1 where the average price is 0, else 0",
        "has_no_adult": "1 where no adult is to stay, else 0",
    },
)
