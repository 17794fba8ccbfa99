"""`python -m churn_assets.cli`: what `churn` is."""

from churn_assets.cli.app import main

main()
