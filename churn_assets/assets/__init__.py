"""The Dagster shell: assets, checks, automation, resources."""
