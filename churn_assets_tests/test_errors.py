"""What a user relies on where something is refused."""

from __future__ import annotations

import doctest
import inspect

import pytest

from churn_assets import errors
from churn_assets.errors import ChurnError, public_uri


def test_every_refusal_is_caught_as_one_kind() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]

    assert len(kinds) > 1
    assert all(issubclass(kind, ChurnError) for kind in kinds)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hidden@host/x.csv?sig=hidden#hidden", "https://host/x.csv"),
        ("https://hidden@host:8080/x", "https://host:8080/x"),
        ("https://me:hid@den@host/x", "https://host/x"),
        ("postgresql://me:hidden@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        ("s3://key:hidden@bucket/x", "s3://bucket/x"),
        ("cannot read http://me:hidden@a/x nor http://b/y?k=hidden today",
         "cannot read http://a/x nor http://b/y today"),
        ("https://host/user@home/x.csv", "https://host/user@home/x.csv"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("/data/what?.csv", "/data/what?.csv"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("someone@home", "someone@home"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_text_is_shown_without_the_credentials_of_the_addresses_in_it(
    text: str, shown: str
) -> None:
    assert public_uri(text) == shown


def test_the_example_of_the_documentation_holds() -> None:
    assert doctest.testmod(errors) == doctest.TestResults(failed=0, attempted=2)
