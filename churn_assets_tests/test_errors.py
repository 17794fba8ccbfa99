"""What a user relies on where something is refused."""

from __future__ import annotations

import inspect
import re
import traceback
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from churn_assets import errors
from churn_assets.errors import ChurnError, first_line, public_error, public_text, public_uri


def _kinds() -> list[type]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_every_refusal_is_caught_as_one_kind() -> None:
    kinds = _kinds()

    assert len(kinds) > 1
    assert all(issubclass(kind, ChurnError) for kind in kinds)


def test_the_tree_of_refusals_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"^ +(?:[|] +)?(?:[|`]-- )?(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)

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
        ("https://me%3Ahidden%40host/x.csv", "https://host/x.csv"),
        ("https://host/x.csv%3Fsig=hidden", "https://host/x.csv"),
        ("https://host/x.csv;key=hidden", "https://host/x.csv"),
        ("https://cache/https://me:hidden@host/x.csv", "https://cache/https://host/x.csv"),
        (r"https:\\me:hidden@host\x.csv", r"https:\\host\x.csv"),
        ("file://me:hidden@host/x.csv", "file://host/x.csv"),
        ("mysql+pymysql://me:hidden@db:3306/mlflow?ssl=hidden", "mysql+pymysql://db:3306/mlflow"),
        # Of schemes that are not read or written here, the host alone.
        ("redis://:hidden@host:6379/hidden", "redis://host:6379"),
        ("sc://host:15002/;token=hidden", "sc://host:15002"),
        ("mongodb+srv://me:hidden@a,b/hidden", "mongodb+srv://a,b"),
        ("jdbc:sqlserver://host;user=me;password=hidden@1", "jdbc:sqlserver://host"),
        ("jdbc:mysql://address=(host=a)(password=hidden)", "jdbc:mysql://..."),
        ("jdbc:postgresql://host/db?user=me&password=hidden", "jdbc:postgresql://host/db"),
        ("jdbc:oracle:thin:me/hidden@host:1521/x", "...@host:1521/x"),
        # What has no scheme any more.
        ("me:hidden@host/x.csv", "...@host/x.csv"),
        ("https//me:hidden@host/x.csv", "...@host/x.csv"),
        ("//me:hidden@host/x.csv", "...@host/x.csv"),
        ("host=db user=me password=hidden", "host=db user=me password=..."),
        ("AccountName=me;AccountKey=hidden;EndpointSuffix=x", "AccountName=me;AccountKey=..."),
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
        "\\\\server\\share\\what?.csv",
        "sqlite:////data/my lake@home/mlflow.db",
        "models:/telco_churn@champion",
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
        ("one of https://me:hid den@a/x,\nhttps:/me:hidden@b/y", "one of https://a/x,\nhttps:/b/y"),
        ("[https://me:hidden@[::1]:9/x]", "[https://[::1]:9/x]"),
        ("models:/telco_churn@champion is at 12:30", "models:/telco_churn@champion is at 12:30"),
        ("connect to 'me:hidden@host/x' failed", "connect to '...@host/x' failed"),
        ("{'uri': 'x', 'password': 'hid den'}", "{'uri': 'x', 'password': ...}"),
        ("Authorization: Basic hidden==", "Authorization: ..."),
        ("'/my file.csv?sig=hidden' (found ' ')", "'/my file.csv?sig=...' (found ' ')"),
        ("to=https%3A%2F%2Fme%3Ahidden%40host%2Fx", "to=https%3A%2F%2F..."),
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


random_secrets = st.text(
    st.sampled_from("ABCDEFXYZ/@#?:[]%&=\\.,;+~'\" \n"), min_size=4, max_size=20
)
"""Of characters that hosts, users and paths of these tests do not have, for the most part."""
known_hosts = st.sampled_from(["host", "127.0.0.1:9", "[::1]:443", "h1:1,h2:2"])
known_paths = st.from_regex(r"[a-z ._-]{0,12}(/[a-z ._-]{1,8})?", fullmatch=True)
all_schemes = st.sampled_from(
    ["https", "s3", "abfss", "postgresql+psycopg2", "jdbc:postgresql", "redis", "sc", "mysql"]
)


def parts(secret: str) -> set[str]:
    """What must not be seen of a secret: each four characters of it, but for marks alone."""
    windows = {secret[start : start + 4] for start in range(len(secret) - 3)}
    return {window for window in windows if re.search("[A-Z]", window)}


@given(all_schemes, known_hosts, known_paths, random_secrets, random_secrets, random_secrets)
def test_no_four_characters_of_a_secret_are_shown(
    scheme: str, host: str, path: str, password: str, query: str, fragment: str
) -> None:
    for uri in (
        f"{scheme}://me:{password}@{host}/{path}?{query}#{fragment}",
        f"{scheme}://me:{password}@{host}/{path}",
        f"{scheme}://{host}/{path}?{query}#{fragment}",
        f"{scheme}://me:{quote(password, safe='')}@{host}/{path}?sig={quote(query, safe='')}",
    ):
        shown = public_uri(uri)
        assert not [part for part in parts(password + query + fragment) if part in shown]
        assert public_uri(shown) == shown


# In a text, a query or a fragment ends at the next blank, and at a quote what is quoted.
passwords_in_texts = random_secrets.filter(
    lambda secret: not re.search(r"[@:\s]//?|[\s'\"]", secret)
)


@given(all_schemes, known_hosts, passwords_in_texts, passwords_in_texts, st.sampled_from(" \n"))
def test_no_four_characters_of_a_secret_are_shown_in_a_text(
    scheme: str, host: str, password: str, query: str, blank: str
) -> None:
    uri = f"{scheme}://me:{password}@{host}/x?{query}"
    text = f"cannot read {uri}{blank}nor {host}, but '{uri}'; see{blank}({uri})."

    shown = public_text(text)

    assert not [part for part in parts(password) | parts(query) if part in shown]
    assert public_text(shown) == shown
    assert public_text(str(ChurnError(text))) == str(ChurnError(text)) == shown


@given(
    st.sampled_from(["https", "HTTP", "s3", "abfss", "postgresql"]),
    hosts,
    st.text(st.characters(exclude_characters="@?#;%:\\")),
)
def test_an_address_without_credentials_is_shown_as_it_is(
    scheme: str, host: str, path: str
) -> None:
    assert public_uri(f"{scheme}://{host}/{path}") == f"{scheme}://{host}/{path}"


def test_an_error_that_is_not_ours_is_shown_without_credentials_and_so_are_its_causes() -> None:
    address = "https://me:hidden@host/x"
    try:
        try:
            raise OSError(2, "no such file", address)
        except OSError as cause:
            raise KeyError(address) from cause
    except KeyError as error:
        shown = "".join(traceback.format_exception(public_error(error)))

    assert "hidden" not in shown
    assert "KeyError" in shown
    assert "https://host/x" in shown


def test_an_error_without_credentials_stays_the_error_that_it_is() -> None:
    error = ValueError("column 'x' of http://host/x.csv")

    assert public_error(error) is error
    assert str(error) == "column 'x' of http://host/x.csv"


def test_an_error_is_told_in_one_line() -> None:
    assert first_line(ValueError("\nno such column.\n  at line 3")) == "no such column"
    assert first_line(ValueError()) == "ValueError"
