"""Telco churn: which subscribers leave in the next billing period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from churn_assets.usecases.spec import (
    BusinessCase,
    Column,
    Contract,
    Float64,
    Int64,
    Label,
    PerCustomer,
    String,
    UseCase,
)
from churn_assets.usecases.telco_generator import generate

if TYPE_CHECKING:
    from churn_assets.types import Frame

YES_NO = ("Yes", "No")
INTERNET_OPTION = ("Yes", "No", "No internet service")
OPTIONAL_SERVICES = (
    "online_security",
    "online_backup",
    "device_protection",
    "tech_support",
    "streaming_tv",
    "streaming_movies",
)
NEW_CUSTOMER_MONTHS = 1


def clean(records: Frame) -> Frame:
    """Typed, valid records to silver.

    A customer in the first month (tenure 0) has not been charged yet, so a blank total is 0.
    `senior_citizen` says Yes or No, as the other flags do.
    """
    import narwhals.stable.v2 as nw

    not_charged_yet = nw.col("total_charges_usd").is_null() & (nw.col("tenure_months") == 0)
    return records.with_columns(
        nw.when(not_charged_yet)
        .then(nw.lit(0.0))
        .otherwise(nw.col("total_charges_usd"))
        .alias("total_charges_usd"),
        nw.when(nw.col("senior_citizen") == 1)
        .then(nw.lit("Yes"))
        .otherwise(nw.lit("No"))
        .alias("senior_citizen"),
    )


def features(silver: Frame) -> Frame:
    """Silver to the key, the model inputs and the label's column."""
    import narwhals.stable.v2 as nw

    tenure = nw.col("tenure_months").cast(nw.Float64)
    monthly = nw.col("monthly_charges_usd")
    optional = [(nw.col(name) == "Yes").cast(nw.Int64) for name in OPTIONAL_SERVICES]
    # A tenure of 0 has no average month yet; the month to come is the best guess of it.
    average_month = (
        nw.when(tenure > 0).then(nw.col("total_charges_usd") / tenure).otherwise(monthly)
    )
    month_to_month = (nw.col("contract") == "Month-to-month").cast(nw.Int64)
    fiber = (nw.col("internet_service") == "Fiber optic").cast(nw.Int64)
    return silver.with_columns(
        nw.sum_horizontal(*optional).cast(nw.Int64).alias("num_optional_services"),
        (monthly - average_month).alias("avg_price_increase_usd"),
        nw.col("payment_method")
        .is_in(["Bank transfer (automatic)", "Credit card (automatic)"])
        .cast(nw.Int64)
        .alias("has_automatic_payment"),
        (tenure <= NEW_CUSTOMER_MONTHS).cast(nw.Int64).alias("is_new"),
        (month_to_month * fiber).alias("has_fiber_month_to_month"),
        (month_to_month * nw.col("tenure_months")).alias("tenure_month_to_month_months"),
        (month_to_month * monthly).alias("monthly_charges_month_to_month_usd"),
        ((nw.col("senior_citizen") == "Yes").cast(nw.Int64) * fiber).alias("is_senior_with_fiber"),
    )


telco_churn = UseCase(
    name="telco_churn",
    key="customer_id",
    label=Label("churn", positive="Yes"),
    contract=Contract(
        Column(
            "customer_id",
            String,
            source="customerID",
            unique=True,
            description="the customer's identifier",
        ),
        Column(
            "gender",
            String,
            isin=("Female", "Male"),
            description="the customer's gender as recorded, Female or Male",
        ),
        Column(
            "senior_citizen",
            Int64,
            source="SeniorCitizen",
            isin=(0, 1),
            description="whether the customer is 65 or older (1 or 0 in the source)",
        ),
        Column(
            "partner",
            String,
            source="Partner",
            isin=YES_NO,
            description="whether the customer has a partner",
        ),
        Column(
            "dependents",
            String,
            source="Dependents",
            isin=YES_NO,
            description="whether the customer has dependents, such as children or parents",
        ),
        Column(
            "tenure_months",
            Int64,
            source="tenure",
            ge=0,
            description="whole months since the customer joined",
        ),
        Column(
            "phone_service",
            String,
            source="PhoneService",
            isin=YES_NO,
            description="whether the customer has a telephone line",
        ),
        Column(
            "multiple_lines",
            String,
            source="MultipleLines",
            isin=(*YES_NO, "No phone service"),
            description="whether the customer has more than one telephone line",
        ),
        Column(
            "internet_service",
            String,
            source="InternetService",
            isin=("DSL", "Fiber optic", "No"),
            description="how the customer is connected to the internet, if at all",
        ),
        Column(
            "online_security",
            String,
            source="OnlineSecurity",
            isin=INTERNET_OPTION,
            description="whether the customer has the online security service",
        ),
        Column(
            "online_backup",
            String,
            source="OnlineBackup",
            isin=INTERNET_OPTION,
            description="whether the customer has the online backup service",
        ),
        Column(
            "device_protection",
            String,
            source="DeviceProtection",
            isin=INTERNET_OPTION,
            description="whether the customer has the device protection plan",
        ),
        Column(
            "tech_support",
            String,
            source="TechSupport",
            isin=INTERNET_OPTION,
            description="whether the customer has the technical support plan",
        ),
        Column(
            "streaming_tv",
            String,
            source="StreamingTV",
            isin=INTERNET_OPTION,
            description="whether the customer streams television over the connection",
        ),
        Column(
            "streaming_movies",
            String,
            source="StreamingMovies",
            isin=INTERNET_OPTION,
            description="whether the customer streams films over the connection",
        ),
        Column(
            "contract",
            String,
            source="Contract",
            isin=("Month-to-month", "One year", "Two year"),
            description="how long the customer's current contract binds",
        ),
        Column(
            "paperless_billing",
            String,
            source="PaperlessBilling",
            isin=YES_NO,
            description="whether bills come without paper",
        ),
        Column(
            "payment_method",
            String,
            source="PaymentMethod",
            isin=(
                "Bank transfer (automatic)",
                "Credit card (automatic)",
                "Electronic check",
                "Mailed check",
            ),
            description="how the customer pays the bills",
        ),
        Column(
            "monthly_charges_usd",
            Float64,
            source="MonthlyCharges",
            ge=0,
            description="amount charged each month now, in US dollars",
        ),
        Column(
            "total_charges_usd",
            Float64,
            source="TotalCharges",
            ge=0,
            nullable=True,
            description="amount charged since the customer joined, in US dollars",
        ),
        Column(
            "churn",
            String,
            source="Churn",
            isin=YES_NO,
            nullable=True,
            description="whether the customer left in the next period; blank: not known yet",
        ),
    ),
    clean=clean,
    features=features,
    numeric=(
        "tenure_months",
        "monthly_charges_usd",
        "total_charges_usd",
        "num_optional_services",
        "avg_price_increase_usd",
        "has_automatic_payment",
        "is_new",
        "has_fiber_month_to_month",
        "tenure_month_to_month_months",
        "monthly_charges_month_to_month_usd",
        "is_senior_with_fiber",
    ),
    categorical=(
        "gender",
        "senior_citizen",
        "partner",
        "dependents",
        "phone_service",
        "multiple_lines",
        "internet_service",
        *OPTIONAL_SERVICES,
        "contract",
        "paperless_billing",
        "payment_method",
    ),
    description=(
        "Which subscribers leave in the next billing period, from their contract, services, "
        "charges and tenure. Scores rank customers for a retention offer."
    ),
    generate=generate,
    business=BusinessCase(
        currency="USD",
        # Of the coming year.
        customer_value=PerCustomer("monthly_charges_usd", times=12),
        offer_cost=50,
        contact_cost=5,
        save_rate=0.3,
        accept_rate=1.0,
    ),
    slices=("gender", "senior_citizen", "contract"),
    words={
        "tenure_months": "months with us",
        "monthly_charges_usd": "monthly charges",
        "total_charges_usd": "charges so far",
        "num_optional_services": "number of optional services",
        "avg_price_increase_usd": "monthly charges above the own average",
        "has_automatic_payment": "automatic payment",
        "is_new": "new customer",
        "has_fiber_month_to_month": "fiber from month to month",
        "tenure_month_to_month_months": "months with us from month to month",
        "monthly_charges_month_to_month_usd": "monthly charges from month to month",
        "is_senior_with_fiber": "senior with fiber",
        "streaming_tv": "streaming TV",
    },
    glossary={
        "num_optional_services": "how many of the six optional internet services the customer has",
        "avg_price_increase_usd": (
            "monthly charges now less the average month so far (total charges divided by tenure), in "
            "US dollars"
        ),
        "has_automatic_payment": "1 where bank transfer or credit card pays by itself, else 0",
        "is_new": f"1 where the tenure is at most {NEW_CUSTOMER_MONTHS} month, else 0",
        "has_fiber_month_to_month": "1 where fiber goes with a month-to-month contract, else 0",
        "tenure_month_to_month_months": (
            "tenure in months where the contract runs from month to month, else 0"
        ),
        "monthly_charges_month_to_month_usd": (
            "monthly charges in US dollars where the contract runs from month to month, else 0"
        ),
        "is_senior_with_fiber": "1 where a senior citizen has fiber, else 0",
    },
)
