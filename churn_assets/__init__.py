"""Customer churn as Dagster software-defined assets."""
