"""What is predicted: one use case a file."""

from churn_assets.usecases.spec import UseCase
from churn_assets.usecases.telco_churn import telco_churn

USE_CASES: dict[str, UseCase] = {use_case.name: use_case for use_case in (telco_churn,)}
