"""The tables that monitoring adds for a use case."""

from churn_assets.usecases.spec import UseCase

MONITORING_TABLES = ("drift", "performance", "incidents")


def monitoring_tables(_: UseCase) -> tuple[str, ...]:
    """The tables that monitoring adds for a use case, in the order in which they are made."""
    return MONITORING_TABLES
