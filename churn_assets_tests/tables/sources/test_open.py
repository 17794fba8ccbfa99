"""What a user relies on where records come from."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from churn_assets.errors import SourceError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.sources import files
from churn_assets.tables.sources.columns import Expected
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import Column, Contract, Float64, Int64, Label, String, UseCase

ENGINE = PolarsEngine()
CSV = "id,plan name,price,left\n1,basic,9.5,No\n2,plus,,Yes\n"
ROWS = [("1", "basic", "9.5", "No"), ("2", "plus", None, "Yes")]
COLUMNS = ("id", "plan_name", "price", "left")


def generate(rows, seed):
    yield pa.record_batch(
        {
            "id": [str(seed + i) for i in range(rows)],
            "plan name": ["basic"] * rows,
            "price": ["1"] * rows,
            "left": ["No"] * rows,
        }
    )


GYM = UseCase(
    name="gym",
    key="id",
    label=Label("left", positive="Yes"),
    contract=Contract(
        Column("id", Int64, unique=True),
        Column("plan", String, source="plan name"),
        Column("price", Float64, nullable=True),
        Column("left", String, nullable=True),
    ),
    clean=lambda frame: frame,
    features=lambda frame: frame,
    numeric=("price",),
    categorical=("plan",),
    description="Who leaves the gym.",
    generate=generate,
)
EXPECTED = Expected.of(GYM)


def read_records(source):
    return open_source(source, EXPECTED).records(ENGINE)


def fingerprint(source):
    return open_source(source, EXPECTED).fingerprint()


def records(uri, **settings):
    return read_records(Source(uri=str(uri), **settings))


def rows(read, columns=COLUMNS):
    table = ENGINE.collect(read.frame.select(*columns))
    return [tuple(row.values()) for row in table.to_pylist()]


def uris(read):
    return ENGINE.collect(read.frame)["source_uri"].to_pylist()


def refusal(uri, **settings):
    source = Source(uri=str(uri), **settings)
    with pytest.raises(SourceError) as caught:
        read_records(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def late_refusal(uri, **settings):
    opened = open_source(Source(uri=str(uri), **settings), EXPECTED)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        ENGINE.collect(opened.records(ENGINE).frame)
    # How much of an object is looked at up front depends on the blocks that it comes in.
    early = isinstance(caught.value, SourceError)
    refused = caught.value if early else opened.explain(caught.value)
    assert refused is not None
    assert "\n" not in str(refused)
    return str(refused)


@pytest.fixture
def csv(tmp_path):
    def write(content: str | bytes = CSV, name: str = "gym.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def typed(**changes):
    columns = {"id": [1, 2], "plan name": ["basic", "plus"], "price": [9.5, None]}
    return pa.table({**columns, "left": ["No", "Yes"], **changes})


@pytest.fixture
def parquet(tmp_path):
    def write(table: pa.Table | None = None, name: str = "gym.parquet") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(typed() if table is None else table, path)
        return path

    return write


# What is read


def test_a_csv_is_read_as_text_with_its_own_address(csv):
    path = csv()
    read = records(path)
    assert rows(read) == ROWS
    assert uris(read) == [str(path)] * 2
    assert (read.uri, read.files, read.extra, read.missing_label) == (str(path), 1, (), False)


@pytest.mark.parametrize(
    ("content", "first"),
    [
        ("\ufeff" + CSV, ROWS[0]),
        (CSV.replace("\n", "\r\n"), ROWS[0]),
        (CSV.removesuffix("\n"), ROWS[0]),
        ("\n\n" + CSV, ROWS[0]),
        (CSV.replace("basic", '"a, ""b""\nc"'), ("1", 'a, "b"\nc', "9.5", "No")),
        (CSV.replace("plan name", '"plan name"'), ROWS[0]),
        (CSV.replace("basic", "Zoë 東京"), ("1", "Zoë 東京", "9.5", "No")),
        (CSV.replace("basic", 'a"b"c'), ("1", 'a"b"c', "9.5", "No")),
    ],
    ids=["BOM", "CRLF", "no last line end", "blank lines", "quotes", "header", "UTF-8", "inches"],
)
def test_a_csv_is_read_whatever_wrote_it(csv, content, first):
    read = rows(records(csv(content)))
    assert read[0] == first
    assert len(read) == 2


def test_a_cell_of_a_million_characters_is_read(csv):
    read = rows(records(csv(CSV.replace("basic", '"' + "long, " * 200_000 + '"'))))
    assert len(read[0][1]) == 1_200_000


def test_a_blank_line_is_no_record_and_a_short_one_has_blanks(csv):
    assert rows(records(csv(CSV + "\n3,basic\n\n"))) == [*ROWS, ("3", "basic", None, None)]


def test_a_semicolon_is_read_once_it_is_set(csv):
    assert rows(records(csv(CSV.replace(",", ";")), delimiter=";")) == ROWS


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le"])
def test_another_encoding_is_read_once_it_is_set(csv, encoding):
    path = csv(CSV.replace("basic", "Zoë").encode(encoding))
    read = records(path, encoding=encoding)
    assert rows(read)[0][1] == "Zoë"
    assert uris(read)[0] == str(path)


def test_each_record_of_a_folder_names_its_file(csv):
    folder = csv(name="in/a.csv").parent
    csv(CSV.replace("1,", "3,"), "in/deep/b.csv")
    csv("no data", "in/_SUCCESS")
    read = records(folder)
    assert read.files == 2
    assert sorted(set(uris(read))) == [f"{folder}/a.csv", f"{folder}/deep/b.csv"]


def test_each_recoded_record_of_a_folder_names_its_file(csv):
    folder = csv(CSV.encode("utf-16"), "in/a.csv").parent
    csv(CSV.encode("utf-16"), "in/b.csv")
    read = records(folder, encoding="utf-16")
    assert sorted(set(uris(read))) == [f"{folder}/a.csv", f"{folder}/b.csv"]


def test_a_glob_chooses_files(csv):
    folder = csv(name="in/a1.csv").parent
    csv(name="in/a2.csv")
    csv("other", "in/b.csv")
    assert records(f"{folder}/a*.csv").files == 2


def test_a_file_may_have_a_glob_in_its_name(csv):
    assert rows(records(csv(name="g[1]*.csv"))) == ROWS


def test_parquet_keeps_its_types(parquet):
    read = records(parquet())
    assert rows(read)[0] == (1, "basic", 9.5, "No")
    assert uris(read)[0].endswith("gym.parquet")


def test_what_delta_cannot_hold_is_widened(parquet):
    plans = pa.array(["basic", "plus"]).dictionary_encode()
    table = typed(**{"id": pa.array([1, 2], pa.uint32()), "plan name": plans})
    read = records(parquet(table.append_column("note", pa.nulls(2))))
    assert rows(read)[0] == (1, "basic", 9.5, "No")
    schema = {name: str(dtype) for name, dtype in read.frame.collect_schema().items()}
    assert (schema["id"], schema["plan_name"], schema["note"]) == ("Int64", "String", "String")


def test_a_delta_table_is_read_at_one_version(tmp_path):
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "gym", typed())
    read = records(tmp_path / "gym")
    write_deltalake(tmp_path / "gym", typed(), mode="append")
    assert len(rows(read)) == 2
    assert uris(read)[0] == str(tmp_path / "gym")


def test_without_an_address_records_are_made_up():
    read = read_records(Source(rows=5, seed=3))
    assert len(rows(read)) == 5
    assert read.uri == "generated:gym?rows=5&seed=3"
    assert set(uris(read)) == {read.uri}


# Columns


def test_columns_are_renamed_to_what_the_contract_expects(csv):
    path = csv(CSV.replace("price", "Monthly Price"))
    assert rows(records(path, rename={"Monthly Price": "price"})) == ROWS


def test_further_columns_are_kept_and_told(csv):
    path = csv(",id,plan name,price,left,home town\n0,1,basic,9.5,No,Bern\n")
    read = records(path)
    assert read.extra == ("column_1", "home_town")
    assert rows(read, read.extra) == [("0", "Bern")]


def test_only_the_label_may_be_missing(csv):
    read = records(csv("id,plan name,price\n1,basic,9.5\n"))
    assert read.missing_label
    assert rows(read) == [("1", "basic", "9.5", None)]


def test_a_missing_column_is_named_with_its_likeness(csv):
    assert refusal(csv(CSV.replace("price", "Price "))).endswith(
        "gym.csv: column 'price' is missing (found 3 of 4 columns). Nothing was replaced. "
        "'Price ' looks like it. Name another column for it under sources.gym.rename, or "
        "add it to the file."
    )


@pytest.mark.parametrize(
    ("content", "rename", "says"),
    [
        (CSV.replace("price", "id"), {}, "two columns of one name, 'id' and 'id'"),
        (CSV.replace("price", "ID"), {}, "two columns of one name, 'id' and 'ID'"),
        (CSV.replace("price", "plan_name"), {}, "two columns of one name"),
        (CSV, {"price": "id"}, "two columns of one name"),
        (CSV, {"Price": "price"}, "there is no column 'Price' to rename. 'price' looks like it."),
        (CSV.replace("price", "source_uri"), {}, "the name of column 'source_uri' is taken"),
        ("a,b\n1,2\n", {}, "columns 'id', 'plan name', 'price' and 1 more are missing (found 0 of"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(csv, content, rename, says):
    assert says in refusal(csv(content), rename=rename)


def test_files_of_a_folder_must_have_the_same_columns(csv, parquet):
    csv(name="in/a.csv")
    folder = csv(CSV.replace("price", "cost"), "in/b.csv").parent
    assert f"{folder}/b.csv: its columns are not those of {folder}/a.csv" in refusal(folder)

    parquet(name="typed/a.parquet")
    folder = parquet(typed(price=["9.5", ""]), "typed/b.parquet").parent
    assert f"{folder}/b.parquet: its columns are not those of" in refusal(folder)


def test_a_typed_source_must_have_the_columns_too(parquet, tmp_path):
    from deltalake import write_deltalake

    table = typed().drop_columns("price")
    write_deltalake(tmp_path / "delta", table)
    assert "column 'price' is missing" in refusal(parquet(table))
    assert "column 'price' is missing" in refusal(tmp_path / "delta")


# Malformed text


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_a_wrong_delimiter_is_told_and_never_guessed(csv, delimiter):
    message = refusal(csv(CSV.replace(",", delimiter)))
    assert f"seems to be delimited by {delimiter!r}" in message
    assert "set sources.gym.delimiter" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id,plan name,price,left\n", "has a header and no records"),
        (CSV.replace("\n", "\r"), "carriage return"),
        (CSV.encode("utf-16"), "seems to be utf-16"),
        (CSV.encode("utf-16-le"), "seems to be utf-16-le"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip"),
        (b"PK\x03\x04", "a spreadsheet"),
        (CSV.encode() + b"3,Zo" + b"\xc3", "line 4: is not valid utf-8: it ends within"),
    ],
)
def test_what_is_no_text_of_records_is_refused(csv, content, says):
    assert says in refusal(csv(content))


def test_a_bad_byte_deep_in_a_file_is_found_with_its_line(csv):
    content = CSV + "3,basic,1,No\n" * 200_000 + "4,Zoë,1,No\n" + "5,basic,1,No\n" * 9
    message = refusal(csv(content.encode("latin-1")))
    assert "gym.csv: line 200,004: is not valid utf-8, and the file seems to be cp1252" in message
    assert "Set sources.gym.encoding to cp1252" in message


def test_utf_8_read_as_another_encoding_is_told(csv):
    message = refusal(csv(CSV.replace("basic", "Zoë")), encoding="ascii")
    assert "line 2: is not valid ascii, and the file seems to be utf-8" in message


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("3,basic,1,No,more,4", "line 5 has 6 fields and the header 4"),
        ('3,5" tube,1,No', "line 5 has a stray quote"),
        ('3,"basic,1,No', "line 5 has a stray quote"),
        ('3,"ba"sic,1,No', "line 5 has a stray quote"),
    ],
)
def test_a_malformed_record_is_explained_by_its_line(csv, bad, says):
    content = CSV.replace("basic", '"two\nlines"') + bad + "\n" + "6,basic,1,No\n" * 3
    assert f"gym.csv: {says}" in late_refusal(csv(content))


def test_a_source_without_fault_explains_nothing(csv):
    assert open_source(Source(uri=str(csv())), EXPECTED).explain(OSError("disk full")) is None


# Files that cannot be read


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.csv", "nowhere.csv: there is no such file or folder"),
        ("no*.csv", "no*.csv: no file lies there"),
        ("ftp://host/x.csv", "'ftp' cannot be read"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    assert says in refusal(name)


def test_a_folder_without_one_format_is_refused(csv, parquet, tmp_path):
    (tmp_path / "empty").mkdir()
    csv(name="mixed/a.csv")
    parquet(name="mixed/b.parquet")
    csv(name="unknown/a.csv")
    csv(name="unknown/b.dat")
    assert "no file lies there" in refusal(tmp_path / "empty")
    assert "different formats" in refusal(tmp_path / "mixed")
    assert "b.dat: its ending does not say" in refusal(tmp_path / "unknown")
    assert "is not a Delta table" in refusal(tmp_path / "mixed", format="delta")


def test_an_unknown_ending_is_read_once_the_format_is_set(csv):
    assert rows(records(csv(name="gym.dat"), format="csv")) == ROWS


def test_a_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is a device, pipe or socket" in refusal(tmp_path / "pipe.csv")
    assert "is a device, pipe or socket" in refusal("/dev/zero", format="csv")


def test_a_file_that_may_not_be_read_is_refused(csv):
    path = csv()
    path.chmod(0)
    with _as_nobody():
        message = refusal(path)
    assert "this user may not read it" in message


@contextmanager
def _as_nobody():
    """Root may read every file, so let another user try."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("keep", [0, 2, 20, -1])
def test_a_parquet_file_that_was_cut_short_is_refused(parquet, keep):
    path = parquet()
    path.write_bytes(path.read_bytes()[:keep])
    assert "gym.parquet: is not a whole Parquet file" in refusal(path)


def test_damaged_parquet_pages_are_explained(parquet):
    path = parquet()
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    assert "gym.parquet: is not a whole Parquet file" in late_refusal(path)


# Fingerprints


def test_the_fingerprint_is_the_content_and_how_it_is_read(csv):
    path = csv()
    before = fingerprint(Source(uri=str(path)))
    os.utime(path, (0, 0))
    assert fingerprint(Source(uri=str(path))) == before
    assert fingerprint(Source(uri=str(path), rename={"price": "cost"})) != before
    assert fingerprint(Source(uri=str(path), delimiter=";")) != before
    csv(CSV.replace("9.5", "9.6"))
    assert fingerprint(Source(uri=str(path))) != before


def test_the_fingerprint_of_a_folder_rises_with_its_files(csv):
    source = Source(uri=str(csv(name="in/a.csv").parent))
    before = fingerprint(source)
    csv(name="in/b.csv")
    assert fingerprint(source) != before


def test_the_fingerprint_of_a_delta_table_is_its_version(tmp_path):
    from deltalake import write_deltalake

    source = Source(uri=str(tmp_path / "gym"))
    write_deltalake(tmp_path / "gym", typed())
    before = fingerprint(source)
    write_deltalake(tmp_path / "gym", typed(), mode="append")
    assert fingerprint(source) != before


def test_the_fingerprint_of_made_up_records_is_their_seed():
    one, same, other = (fingerprint(Source(seed=seed)) for seed in (1, 1, 2))
    assert one == same != other


# The web


class Site(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; some only for who signs in."""

    requests: list[tuple[str, str | None]]

    def do_GET(self):
        self.requests.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/status/"):
            return self.send_error(int(self.path.split("/")[2]))
        if "%2f" in self.path.lower():
            self.send_response(200)
            self.end_headers()
            return self.wfile.write(CSV.encode())
        if self.path.startswith("/chunked/"):
            return self.chunked()
        if self.path.startswith("/cut/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            return self.wfile.write(CSV.encode())
        return super().do_GET()

    def chunked(self):
        self.protocol_version = "HTTP/1.1"
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(CSV), CSV.encode()))

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path) -> Iterator[tuple[str, list]]:
    requests: list = []
    handler = type("Handler", (Site,), {"requests": requests})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()


def test_an_http_address_is_read_and_its_password_kept_back(csv, site):
    csv()
    address, requests = site
    source = Source(uri=address.replace("//", "//me:p%40ss@") + "/gym.csv?sig=secret#part")
    read = read_records(source)
    assert rows(read) == ROWS
    assert read.uri == f"{address}/gym.csv"
    assert set(uris(read)) == {f"{address}/gym.csv"}
    assert requests[0] == ("/gym.csv?sig=secret", "Basic bWU6cEBzcw==")
    assert not any(secret in repr((source, read)) for secret in ("p%40ss", "p@ss", "sig="))


def test_parquet_is_read_over_http(parquet, site):
    parquet()
    assert len(rows(records(f"{site[0]}/gym.parquet"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fgym.csv",
        "%2ftmp%2fgym.csv",
        "..%2f..%5cgym.csv",
        "%2f%00gym.csv",
        "%2fnul.csv",
        "%2f" + "x" * 300 + ".csv",
        "%2f..%2f.csv",
    ],
)
def test_a_name_of_the_web_stays_in_the_folder_of_copies(site, name):
    folder = files._workspace()
    before = set(Path(folder.name).parent.iterdir())

    read = records(f"{site[0]}/{name}", format="csv")

    assert rows(read) == ROWS
    assert set(Path(folder.name).parent.iterdir()) == before
    assert not (Path(folder.name).parent / "gym.csv").exists()


def test_an_answer_of_unknown_length_is_read(site):
    assert rows(records(f"{site[0]}/chunked/gym.csv")) == ROWS


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nowhere.csv", "there is no such file"),
        ("/status/401/x.csv", "access is denied"),
        ("/status/403/x.csv", "access is denied"),
        ("/status/500/x.csv", "the server answered with status 500"),
        ("/cut/x.csv", "cut short"),
    ],
)
def test_a_failing_server_is_told_without_its_secrets(site, path, says):
    message = refusal(f"{site[0].replace('//', '//me:pass@')}{path}?sig=secret")
    assert f"{site[0]}{path}: " in message
    assert says in message
    assert "secret" not in message
    assert "pass" not in message


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x.csv", "https://nowhere.invalid/x.csv"])
def test_an_unreachable_server_is_given_up_soon(address):
    start = time.monotonic()
    assert f"{address}: cannot be reached. Check sources.gym.uri" in refusal(address)
    assert time.monotonic() - start < 15


# Object stores


@pytest.fixture(scope="module")
def bucket(s3):
    return s3.bucket("gym-source")


def test_an_object_a_prefix_and_a_glob_are_read(s3, bucket):
    for key in ("one/a.csv", "one/b.csv", "one/_note", "one/c/d.csv", "onetwo/e.csv"):
        s3.client.put_object(Bucket="gym-source", Key=key, Body=CSV.encode())
    options = dict(s3.storage_options)
    one = records(f"{bucket}/one/a.csv", storage_options=options)
    assert (rows(one), one.uri) == (ROWS, f"{bucket}/one/a.csv")
    assert set(uris(one)) == {one.uri}
    folder = records(f"{bucket}/one", storage_options=options)
    assert set(uris(folder)) == {f"{bucket}/one/{name}" for name in ("a.csv", "b.csv", "c/d.csv")}
    assert records(f"{bucket}/one/*.csv", storage_options=options).files == 2
    assert records(f"{bucket}/one/**/*.csv", storage_options=options).files == 3


def test_an_object_changes_its_fingerprint_with_its_content(s3, bucket):
    source = Source(uri=f"{bucket}/f.csv", storage_options=dict(s3.storage_options))
    s3.client.put_object(Bucket="gym-source", Key="f.csv", Body=CSV.encode())
    before = fingerprint(source)
    s3.client.put_object(Bucket="gym-source", Key="f.csv", Body=CSV.encode())
    assert fingerprint(source) == before
    s3.client.put_object(Bucket="gym-source", Key="f.csv", Body=CSV.replace("9", "8").encode())
    assert fingerprint(source) != before


def test_recoded_and_typed_objects_are_read(s3, bucket, parquet, tmp_path):
    from deltalake import write_deltalake

    options = dict(s3.storage_options)
    s3.client.put_object(Bucket="gym-source", Key="t/u.csv", Body=CSV.encode("utf-16"))
    s3.client.upload_file(str(parquet()), "gym-source", "t/p.parquet")
    write_deltalake(f"{bucket}/t/delta", typed(), storage_options=options)
    utf16 = records(f"{bucket}/t/u.csv", storage_options=options, encoding="utf-16")
    assert (rows(utf16), uris(utf16)[0]) == (ROWS, f"{bucket}/t/u.csv")
    assert len(rows(records(f"{bucket}/t/p.parquet", storage_options=options))) == 2
    delta = records(f"{bucket}/t/delta", storage_options=options)
    assert (len(rows(delta)), uris(delta)[0]) == (2, f"{bucket}/t/delta")


def test_a_bad_byte_in_an_object_is_explained(s3, bucket):
    content = (CSV + "3,basic,1,No\n" * 100_000 + "3,Zoë,1,No\n").encode("latin-1")
    s3.client.put_object(Bucket="gym-source", Key="bad.csv", Body=content)
    message = late_refusal(f"{bucket}/bad.csv", storage_options=dict(s3.storage_options))
    assert f"{bucket}/bad.csv: line 100,004: is not valid utf-8" in message


@pytest.mark.parametrize(
    ("uri", "changes", "says"),
    [
        ("s3://gym-source/no.csv", {}, "s3://gym-source/no.csv: there is no such file"),
        ("s3://no-such-bucket/no.csv", {}, "there is no such bucket"),
        ("s3://me:pass@gym-source/a.csv?sig=secret", {}, "an object's address takes no password"),
        ("s3://gym-source/a.csv", {"aws_nonsense": "1"}, "a key that this store does not know"),
        ("s3://gym-source/a.csv", {"aws_endpoint_url": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_a_failing_store_is_told_without_its_secrets(s3, bucket, uri, changes, says):
    start = time.monotonic()
    message = refusal(uri, storage_options={**s3.storage_options, **changes})
    assert says in message
    assert time.monotonic() - start < 15
    assert not any(secret in message for secret in ("pass@", "secret", "test-id"))


# Settings


@pytest.mark.parametrize(
    "wrong", [{"delimiter": ""}, {"delimiter": "::"}, {"delimiter": '"'}, {"encoding": "base64"},
              {"encoding": "utf-9"}, {"rows": 0}, {"path": "x"}]
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Source(**wrong)


def test_keys_of_a_store_are_not_shown():
    source = Source(
        uri="https://me:pass@h/x.csv", storage_options={"aws_secret_access_key": "key!"}
    )
    assert "pass" not in repr(source)
    assert "key!" not in repr(source) + str(source)
