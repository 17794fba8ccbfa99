"""What a user relies on where something is refused."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from churn_assets import errors
from churn_assets.errors import ChurnError, first_line, public_text, public_uri


def _kinds() -> list[type]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_every_refusal_is_caught_as_one_kind() -> None:
    kinds = _kinds()

    assert len(kinds) > 1
    assert all(issubclass(kind, ChurnError) for kind in kinds)


def test_the_tree_of_refusals_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"^ +(?:[|`]-- )?(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)

    assert sorted(drawn) == sorted(kind.__name__ for kind in _kinds())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hidden@host/x.csv?sig=hidden#hidden", "https://host/x.csv"),
        ("https://hidden@host:8080/x", "https://host:8080/x"),
        ("https://me:hid@den@host/x", "https://host/x"),
        ("postgresql://me:hidden@db:5432/mlflow", "postgresql://db:5432/mlflow"),
        ("s3://key:hidden@bucket/x", "s3://bucket/x"),
        ("https://host/user@home/x.csv", "https://host/user@home/x.csv"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("/data/what?.csv", "/data/what?.csv"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("someone@home", "someone@home"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_credentials_in_a_text_too(text: str, shown: str) -> None:
    assert public_uri(text) == shown
    assert public_text(text) == shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host/my file.csv?sig=hidden", "http://host/my file.csv"),
        ("https://me:hid/den@host:9/x.csv", "https://host:9/x.csv"),
        ("https://me:hid?den@host/x.csv", "https://host/x.csv"),
        ("HTTPS://me:hid#den@host/x.csv#hidden", "HTTPS://host/x.csv"),
        ("https://me:hid den\n@host/x.csv", "https://host/x.csv"),
        # Either of these may be a user with a password.
        ("https://me:8080/hidden@host/x.csv", "https://..."),
        ("https://me:hid/den@host/x.csv?mail=me@hidden", "https://..."),
        ("postgresql://me:hidden", "postgresql://..."),
        ("jdbc:postgresql://me:hidden@host/db", "jdbc:postgresql://host/db"),
        ("https://host/x.csv?mail=me@hidden", "https://host/x.csv"),
        ("https://[::1]:9/x.csv?hidden", "https://[::1]:9/x.csv"),
        ("postgresql://me:hidden@one:1,two:2/db", "postgresql://one:1,two:2/db"),
        (" https://me:hidden@host/x.csv", " https://host/x.csv"),
        ("https:/me:hidden@host/x.csv", "https:/host/x.csv"),
        ("s3://bucket/at=12:30/a@b.csv", "s3://bucket/at=12:30/a@b.csv"),
        ("abfss://box@account/a b.csv?hidden", "abfss://box@account/a b.csv"),
        ("abfss://box@account/a@b.csv", "abfss://box@account/a@b.csv"),
        ("abfss://me:hidden@account/x.csv", "abfss://account/x.csv"),
    ],
)
def test_an_address_is_shown_without_its_credentials_however_it_is_written(
    uri: str, shown: str
) -> None:
    assert public_uri(uri) == shown


@pytest.mark.parametrize(
    "path",
    [
        "C:\\data\\what?.csv",
        "C:/data/me:her@home#1.csv",
        "file:///data/what?#.csv",
        "data/me@home.csv?",
        "generated:telco_churn?rows=5&seed=3",
    ],
)
def test_a_path_is_shown_as_it_is(path: str) -> None:
    assert public_uri(path) == path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read http://me:hidden@a/x nor http://b/y?k=hidden today",
         "cannot read http://a/x nor http://b/y today"),
        ("MLflow at http://a:5000: cannot be reached.",
         "MLflow at http://a:5000: cannot be reached."),
        ("see (http://me:hidden@a:1/x?hidden).", "see (http://a:1/x)."),
    ],
)  # fmt: skip
def test_each_address_in_a_text_is_shown_without_its_credentials(text: str, shown: str) -> None:
    assert public_text(text) == shown


SECRET = "S3CR3T"
spice = st.text(
    st.one_of(st.sampled_from(" /@#?:[]%&=\\.,;0189\n"), st.characters(exclude_characters="S")),
    max_size=8,
)
secrets = st.builds("{}{}{}".format, spice, st.just(SECRET), spice)
users = st.text(st.sampled_from("abcé%.-0 "), max_size=5)
hosts = st.sampled_from(["host", "127.0.0.1:9", "a.b.example:8080", "[::1]:443", "h1:1,h2:2"])
paths = st.text(st.one_of(st.sampled_from("/ab .é%:*"), st.characters(exclude_characters="S@?#")))
schemes = st.sampled_from(["https", "HTTP", "s3", "abfss", "postgresql", "Postgres", "ftp"])


@given(schemes, users, secrets, hosts, paths, secrets, secrets)
@example("https", "alice", f"0/{SECRET}", "host", "/x.csv", SECRET, SECRET)
@example("https", "alice", f"a?b@c/{SECRET}", "host", "/x.csv", f"@{SECRET}", f"@{SECRET}")
@example("abfss", "box", f"@{SECRET}", "account", "/x.csv", SECRET, SECRET)
def test_no_part_of_a_password_a_query_or_a_fragment_is_shown(
    scheme: str, user: str, password: str, host: str, path: str, query: str, fragment: str
) -> None:
    login, asked = f"{user}:{password}@", f"?{query}#{fragment}"

    for uri in (
        f"{scheme}://{login}{host}/{path}{asked}",
        f"{scheme}://{login}{host}",
        f"{scheme}://{login}{host}/{path}",
        f"{scheme}://{host}/{path}{asked}",
        f"{scheme}://{host}{asked}",
    ):
        shown = public_uri(uri)
        assert shown.startswith(f"{scheme}://")
        assert SECRET not in shown
        assert public_uri(shown) == shown


@given(schemes, hosts, st.text(st.characters(exclude_characters="@?#")))
def test_an_address_without_credentials_is_shown_as_it_is(
    scheme: str, host: str, path: str
) -> None:
    assert public_uri(f"{scheme}://{host}/{path}") == f"{scheme}://{host}/{path}"


def test_an_error_is_told_in_one_line() -> None:
    assert first_line(ValueError("\nno such column.\n  at line 3")) == "no such column"
    assert first_line(ValueError()) == "ValueError"
