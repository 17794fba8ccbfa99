"""Bad or odd input: read rightly, or refused in one line that says where; nothing is lost."""

from __future__ import annotations

import functools
import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets_tests.support.disks import Disk, small_disk
from churn_assets_tests.support.processes import churn, free_ports
from churn_assets_tests.support.project import QUICK, ROWS, Project, Run, customers

TABLES = {"raw", "silver", "rejects", "features", "model", "champion", "predictions"}
BELOW_RAW = "raw silver rejects features"
FEW = 200
ANY_VOLUME = {"rows": 0, "values": 0, "keys": 0}
"""That a file has fewer customers than the one before is no fault of it here."""
CSV = customers(FEW).write_csv()
LINES = CSV.splitlines(keepends=True)
MLFLOW_PATIENCE_SECONDS = 30


def line(number: int, **values: str) -> str:
    """The good file with other values, as they stand in the text, on one of its lines."""
    header, record = LINES[0].strip().split(","), LINES[number - 1].strip().split(",")
    fields = [values.get(name, value) for name, value in zip(header, record, strict=True)]
    return "".join([*LINES[: number - 1], ",".join(fields) + "\n", *LINES[number:]])


def parquet(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file."""
    import io

    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def write(folder: Path, content: str | bytes, name: str = "odd.csv") -> Path:
    """Write a source file."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def snapshot(project: Project) -> dict[str, Any]:
    """Every table's newest version, who is Champion, and what every customer's prediction says."""
    return {
        **project.states(),
        "record": project.champion(),
        "alias": project.registry.by_alias("champion"),
        "scores": sorted(project.rows("predictions").rows()),
    }


def changes(project: Project, before: Mapping[str, Any]) -> set[str]:
    """What is not as it was."""
    after = snapshot(project)
    return {name for name in after if after[name] != before[name]}


def error_line(run: Run) -> str:
    """The one line that a refused run says."""
    assert not run.success
    assert len(run.error.splitlines()) == 1, run.error
    assert "Stack Trace" not in run.error
    return run.error


@pytest.fixture(scope="module")
def good(new_project: Callable[..., Project]) -> Project:
    """A project after a good run; each test compares with its tables before."""
    project = new_project(source={"volume": ANY_VOLUME})
    run = project.run(project.write())
    assert run.success, run.error
    return project


# Refused before anything is replaced


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(
            customers(FEW).drop("Contract").write_csv(),
            "column 'Contract' is missing (found 20 of 21 columns)",
            id="missing column",
        ),
        pytest.param(
            CSV.replace("tenure", "Tenure ", 1),
            "column 'tenure' is missing (found 20 of 21 columns). Nothing was replaced. 'Tenure ' "
            "looks like it. Name another column for it under sources.telco_churn.rename",
            id="renamed column",
        ),
        pytest.param(
            CSV.replace("Partner", "gender", 1),
            "two columns of one name, 'gender' and 'gender'",
            id="two columns of one name",
        ),
        pytest.param(
            CSV.replace(",", ";"),
            "the file seems to be delimited by ';': set sources.telco_churn.delimiter",
            id="wrong delimiter",
        ),
        pytest.param(
            line(6, gender="Männlich").encode("latin-1"),
            "line 6: is not valid utf-8, and the file seems to be cp1252",
            id="Latin-1",
        ),
        pytest.param("", "is empty", id="empty"),
        pytest.param(LINES[0], "has a header and no records", id="header only"),
        pytest.param(
            line(9, MonthlyCharges="1,024.5"),
            "line 9 has 22 fields and the header 21",
            id="number with a comma",
        ),
        pytest.param(
            line(9, gender='"Fe"male'), "line 9 has a stray quote", id="stray quote in a field"
        ),
    ],
)
def test_a_file_that_cannot_be_read_rightly_is_refused_with_its_place_and_nothing_is_lost(
    content: str | bytes, says: str, good: Project, tmp_path: Path
) -> None:
    path, before = write(tmp_path, content), snapshot(good)

    run = good.run(path)

    assert error_line(run).startswith(f"{path}: {says}")
    assert changes(good, before) == set()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (parquet(customers(FEW))[: FEW * 20], "is not a whole Parquet file"),
        (CSV.encode(), "is not a whole Parquet file"),
        (parquet(customers(FEW).drop("tenure")), "column 'tenure' is missing"),
    ],
    ids=["truncated", "of another format", "missing column"],
)
def test_a_parquet_file_that_cannot_be_read_is_refused_and_nothing_is_lost(
    content: bytes, says: str, good: Project, tmp_path: Path
) -> None:
    path, before = write(tmp_path, content, "odd.parquet"), snapshot(good)

    run = good.run(path)

    assert error_line(run).startswith(f"{path}: {says}")
    assert changes(good, before) == set()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("{folder}", "no file lies there"),
        ("{folder}/none.csv", "there is no such file or folder"),
        ("{folder}/*.csv", "no file lies there"),
        ("/dev/zero", "is a device, pipe or socket"),
        ("http://127.0.0.1:{port}/odd.csv", "cannot be reached"),
        ("s3://bucket/odd.csv", "cannot be reached"),
        ("ftp://host", "addresses of 'ftp' cannot be read"),
    ],
)
def test_a_place_without_records_is_refused_by_its_name_and_nothing_is_lost(
    uri: str, says: str, good: Project, tmp_path: Path
) -> None:
    (port,), before = free_ports(1), snapshot(good)
    place = uri.format(folder=tmp_path, port=port)
    options = {
        "aws_endpoint_url": f"http://127.0.0.1:{port}",
        "aws_access_key_id": "id",
        "aws_secret_access_key": "hidden",
        "aws_allow_http": "true",
    }
    source = {"uri": place, "storage_options": options if place.startswith("s3") else {}}

    run = good.run(sources={"telco_churn": source})

    assert error_line(run).startswith(f"{place}: {says}")
    assert "hidden" not in run.error
    assert changes(good, before) == set()


# Refused by the contract


def test_a_customer_who_comes_twice_stops_the_run_before_anything_below_raw(
    good: Project, tmp_path: Path
) -> None:
    path, before = write(tmp_path, CSV + LINES[4] + LINES[4] + LINES[7]), snapshot(good)

    run = good.run(path)

    twice = LINES[4].split(",")[0]
    assert error_line(run).startswith(
        f"{path}: column 'customerID' must be unique, and 3 records repeat a value (such as "
        f"'{twice}'"
    )
    assert changes(good, before) == {"raw"}


def test_a_customer_who_comes_twice_is_not_named_where_no_records_are_shown(
    good: Project, tmp_path: Path
) -> None:
    path = write(tmp_path, CSV + LINES[4] + LINES[4] + LINES[7])

    run = good.run(path, preview_rows=0)

    assert "3 records repeat a value. Nothing below raw was replaced" in error_line(run)
    assert LINES[4].split(",")[0] not in str(run.events)


def test_a_column_of_a_type_that_says_no_number_stops_the_run_before_anything_below_raw(
    good: Project, tmp_path: Path
) -> None:
    dates = customers(FEW).with_columns(tenure=pl.date(2020, 1, 1))
    path, before = write(tmp_path, parquet(dates), "odd.parquet"), snapshot(good)

    run = good.run(path)

    assert error_line(run).startswith(f"{path}: column 'tenure' is of type Date")
    assert changes(good, before) == {"raw"}


def test_too_many_rejects_stop_the_run_before_silver_and_are_kept_for_a_look(
    good: Project, tmp_path: Path
) -> None:
    faults = FEW // 10
    place = pl.int_range(pl.len())
    frame = customers(FEW).with_columns(
        MonthlyCharges=pl.when(place < faults).then(pl.lit("many")).otherwise("MonthlyCharges")
    )
    path, before = write(tmp_path, frame.write_csv()), snapshot(good)

    run = good.run(path)

    assert error_line(run).startswith(
        f"{path}: {faults} of {FEW} records (10.0%) break the contract, and at most 5.0% may; "
        f"most often: MonthlyCharges: is not a finite number ({faults}). They are kept in "
    )
    assert changes(good, before) == {"raw", "rejects"}
    rejects = good.rows("rejects")
    assert rejects["MonthlyCharges"].to_list() == ["many"] * faults
    assert set(rejects["reasons"]) == {"MonthlyCharges: is not a finite number"}


def test_as_many_rejects_as_the_setting_allows_pass(good: Project, tmp_path: Path) -> None:
    path = write(tmp_path, line(9, MonthlyCharges="many"))

    too_strict = good.run(path, tables=BELOW_RAW, max_reject_share=0.5 / FEW)
    run = good.run(path, tables=BELOW_RAW, max_reject_share=1 / FEW)

    assert "1 of 200 records (0.5%) break the contract" in error_line(too_strict)
    assert run.success, run.error
    assert good.state("silver").rows == FEW - 1


# Read rightly


ODD = {
    2: ("MonthlyCharges", '"1,024.5"', "MonthlyCharges: is not a finite number"),
    3: ("MonthlyCharges", "NaN", "MonthlyCharges: is not a finite number"),
    4: ("TotalCharges", "-inf", "TotalCharges: is not a finite number"),
    5: ("Contract", "Decade", "Contract: is not one of Month-to-month, One year, Two year"),
    6: ("tenure", "5.5", "tenure: is not a whole number"),
    7: ("tenure", "-1", "tenure: is below 0"),
    8: ("gender", "", "gender: is blank"),
    9: ("Churn", "maybe", "Churn: is not one of Yes, No"),
}


def test_each_broken_record_is_rejected_with_its_reason_and_no_other(
    good: Project, tmp_path: Path
) -> None:
    header = LINES[0].strip().split(",")
    lines, reasons = list(LINES), {}
    for number, (column, value, reason) in ODD.items():
        record = LINES[number - 1].strip().split(",")
        record[header.index(column)] = value
        lines[number - 1], reasons[record[0]] = ",".join(record) + "\n", reason

    run = good.run(write(tmp_path, "".join(lines)), tables=BELOW_RAW)

    assert run.success, run.error
    rejects = good.rows("rejects")
    assert dict(rejects.select("customerID", "reasons").iter_rows()) == reasons
    assert good.state("raw").rows == FEW
    assert set(good.rows("silver")["customer_id"]) == set(customers(FEW)["customerID"]) - set(
        reasons
    )
    assert run.checks["rejected_records"].metadata["rejected"].value == len(ODD)


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("\ufeff" + CSV, LINES[2].split(",")[0]),
        (CSV.replace("\n", "\r\n"), LINES[2].split(",")[0]),
        (line(3, customerID='"A, ""B""\nC"'), 'A, "B"\nC'),
        (line(3, customerID=LONG), LONG),
    ],
    ids=["BOM", "CRLF", "quoted newline", "million characters"],
)
def test_odd_text_is_read_as_it_is_meant(
    content: str, key: str, good: Project, tmp_path: Path
) -> None:
    path = write(tmp_path, content)

    run = good.run(path, tables=BELOW_RAW)

    assert run.success, run.error
    assert good.state("rejects").rows == 0
    silver = dict(good.rows("silver").select("customer_id", "monthly_charges_usd").iter_rows())
    expected = dict(customers(FEW).select("customerID", "MonthlyCharges").iter_rows())
    expected[key] = expected.pop(LINES[2].split(",")[0])
    assert silver == {name: float(charge) for name, charge in expected.items()}


def test_a_further_column_is_kept_in_raw_and_told_of_by_a_warning(
    good: Project, tmp_path: Path
) -> None:
    path = write(tmp_path, customers(FEW).with_columns(mood=pl.lit("good")).write_csv())

    run = good.run(path, tables=BELOW_RAW)

    assert run.success, run.error
    assert run.failed_checks == {"expected_columns", "same_schema"}
    assert run.checks["expected_columns"].metadata["extra_columns"].value == ["mood"]
    assert set(good.rows("raw")["mood"]) == {"good"}
    assert "mood" not in good.rows("silver").columns


def test_a_typed_file_says_the_same_as_a_text_file(good: Project, tmp_path: Path) -> None:
    typed = customers(FEW).with_columns(
        pl.col("SeniorCitizen").cast(pl.Int8) == 1,
        pl.col("tenure").cast(pl.Float64),
        pl.col("MonthlyCharges").cast(pl.Decimal(8, 2)),
        pl.col("TotalCharges").str.strip_chars().replace("", None).cast(pl.Float64),
        pl.col("Contract").cast(pl.Categorical),
    )
    good.run(write(tmp_path, CSV), tables=BELOW_RAW)
    from_text = good.rows("silver").sort("customer_id")

    run = good.run(write(tmp_path, parquet(typed), "typed.parquet"), tables=BELOW_RAW)

    assert run.success, run.error
    assert good.state("rejects").rows == 0
    assert good.rows("silver").sort("customer_id").equals(from_text)


def test_a_number_too_large_for_the_lake_is_kept_as_it_came_in_rejects(
    good: Project, tmp_path: Path
) -> None:
    huge = 2**64 - 1
    numbers = pl.when(pl.int_range(pl.len()) == 0).then(huge).otherwise(pl.col("tenure").cast(int))
    frame = customers(FEW).with_columns(tenure=numbers.cast(pl.UInt64))

    run = good.run(write(tmp_path, parquet(frame), "odd.parquet"), tables=BELOW_RAW)

    assert run.success, run.error
    (reject,) = good.rows("rejects").iter_rows(named=True)
    assert (reject["tenure"], reject["reasons"]) == (str(huge), "tenure: is not a whole number")
    assert good.state("silver").rows == FEW - 1


# Labels


def test_one_class_only_is_refused_and_the_champion_stands(good: Project, tmp_path: Path) -> None:
    path = write(tmp_path, customers(FEW).with_columns(Churn=pl.lit("No")).write_csv())
    before = snapshot(good)

    run = good.run(path)

    assert error_line(run).startswith(f"{path}: ")
    assert "labels of both classes, and the train rows have only negative ones" in run.error
    assert "Label 'churn' counts as positive where it is 'Yes'" in run.error
    assert changes(good, before) <= {"raw", "rejects", "silver", "features"}


UNLABELLED = {
    "blank": lambda frame: frame.with_columns(Churn=pl.lit("")),
    "missing": lambda frame: frame.drop("Churn"),
}
unlabelled = pytest.mark.parametrize("change", UNLABELLED.values(), ids=UNLABELLED)
Change = Callable[[pl.DataFrame], pl.DataFrame]


@unlabelled
def test_customers_without_any_label_are_all_scored_by_the_champion_and_nothing_is_trained(
    change: Change, good: Project, tmp_path: Path
) -> None:
    newcomers = customers(FEW, seed=1)
    path, before = write(tmp_path, change(newcomers).write_csv()), snapshot(good)

    run = good.run(path)

    assert run.success, run.error
    assert not {"model", "champion", "record", "alias"} & changes(good, before)
    predictions = good.rows("predictions")
    assert set(predictions["customer_id"]) == set(newcomers["customerID"])
    assert set(predictions["model_version"]) == {before["record"].version}


def test_customers_without_any_label_are_scored_though_the_newest_challenger_was_refused(
    good: Project, tmp_path: Path
) -> None:
    shuffled = customers(ROWS).with_columns(pl.col("Churn").shuffle(seed=1))
    worse = good.run(write(tmp_path, shuffled.write_csv()))
    newcomers, before = customers(FEW, seed=2), snapshot(good)

    run = good.run(write(tmp_path, newcomers.drop("Churn").write_csv(), "new.csv"))

    assert worse.blocked_by
    assert run.success, run.error
    assert not {"model", "champion", "record", "alias"} & changes(good, before)
    assert good.registry.by_alias("challenger").version > before["record"].version
    predictions = good.rows("predictions")
    assert set(predictions["customer_id"]) == set(newcomers["customerID"])
    assert set(predictions["model_version"]) == {before["record"].version}


@unlabelled
def test_customers_without_any_label_are_refused_where_there_is_no_champion(
    change: Change, project: Project, tmp_path: Path
) -> None:
    path = write(tmp_path, change(customers(FEW)).write_csv())

    run = project.run(path)

    assert error_line(run).startswith(
        f"{path}: no customer has a known label, and there is no model yet"
    )
    assert "column 'Churn' is filled for past customers" in run.error
    assert project.state("predictions") is None


# Places that cannot be written or reached


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    with small_disk(tmp_path_factory.mktemp("disk")) as disk:
        yield disk


@pytest.fixture(scope="module")
def on_disk(disk: Disk, new_project: Callable[..., Project]) -> Project:
    """A project with a good run, whose lake lies on a small disk."""
    project = new_project(lake=str(disk.folder / "lake"), source={"volume": ANY_VOLUME})
    run = project.run(project.write())
    assert run.success, run.error
    return project


def test_a_read_only_lake_is_refused_and_read_again_as_it_was(
    disk: Disk, on_disk: Project, tmp_path: Path
) -> None:
    path, before = write(tmp_path, CSV), snapshot(on_disk)

    with disk.read_only():
        run = on_disk.run(path)
        after = changes(on_disk, before)

    assert error_line(run).startswith(
        f"{on_disk.table('raw').uri}: the table raw could not be written"
    )
    assert "this place is read-only. Give write permission, or set CHURN_LAKE" in run.error
    assert after == set()


def test_a_lake_below_a_file_is_refused_by_its_name(project: Project, tmp_path: Path) -> None:
    lake = write(tmp_path, "a file", "lake")

    run = project.run(write(tmp_path, CSV), lake=str(lake))

    assert error_line(run).startswith(f"{lake}/telco_churn/raw: the table raw could not be written")
    assert "a file stands where its folder should be" in run.error


@pytest.mark.parametrize(
    ("table", "left"),
    # Silver comes after rejects, which are none again: to replace them and to put them back takes
    # a page each.
    [("raw", 0), ("silver", 8 << 10), ("silver", 32 << 10), ("predictions", 0),
     ("predictions", 32 << 10)],
)  # fmt: skip
def test_a_full_disk_is_refused_the_old_version_stands_and_the_next_run_goes_on(
    table: str, left: int, disk: Disk, on_disk: Project, tmp_path: Path
) -> None:
    newcomers = customers(ROWS, seed=10 + left + len(table)).drop("Churn")
    path = write(tmp_path, newcomers.write_csv())
    above = {"raw": None, "silver": "raw", "predictions": BELOW_RAW}[table]
    if above:
        assert on_disk.run(path, tables=above).success
    before = snapshot(on_disk)

    with disk.full(left):
        run = on_disk.run(path)
        after = changes(on_disk, before)
    again = on_disk.run(path)

    assert f"the table {table} could not be written: the disk is full. Free some" in error_line(run)
    assert after <= {"rejects"}
    assert again.success, again.error
    assert set(on_disk.rows("predictions")["customer_id"]) == set(newcomers["customerID"])


def test_an_mlflow_server_that_is_down_is_told_soon_and_nothing_is_lost(good: Project) -> None:
    (port,), before = free_ports(1), snapshot(good)
    address = f"http://user:hidden@127.0.0.1:{port}"
    start = time.monotonic()

    run = good.run(good.write(), retrain=True, mlflow={"tracking_uri": address})

    assert time.monotonic() - start < MLFLOW_PATIENCE_SECONDS
    assert error_line(run) == (
        f"MLflow at {address.replace('user:hidden@', '')}: cannot be reached. "
        "Start it, or set CHURN_MLFLOW__TRACKING_URI to one that runs."
    )
    assert not {"model", "champion", "predictions", "record", "scores"} & changes(good, before)


# The command line


def typed(root: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Type a command, on a project's root."""
    environ = {"CHURN_ROOT": str(root), "CHURN_TRAINING": json.dumps(QUICK), **settings}
    return churn(*arguments, environ=environ, folder=root.parent)


def leaks(
    command: subprocess.CompletedProcess[str], root: Path, secrets: Sequence[str]
) -> list[str]:
    """Where a secret is: in what a command printed, or in a file below its root."""
    printed = {"stdout": command.stdout.encode(), "stderr": command.stderr.encode()}
    files = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert any("history" in name for name in files)
    return [
        f"{secret} in {name}"
        for name, content in (printed | files).items()
        for secret in secrets
        if secret.encode() in content
    ]


@contextmanager
def files_on_web(folder: Path) -> Iterator[str]:
    """Address of a web server that has a folder's files."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def refused(command: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a refused command."""
    assert command.returncode == 1, command.stderr
    assert len(command.stderr.splitlines()) == 1, command.stderr
    assert command.stderr.startswith("churn: ")
    for noise in ("Traceback", "Stack Trace"):
        assert noise not in command.stdout + command.stderr
    return command.stderr.removeprefix("churn: ")


@pytest.mark.parametrize(
    ("content", "says", "replaced"),
    [
        (line(9, MonthlyCharges="1,5"), "line 9 has 22 fields and the header 21", set()),
        (CSV + LINES[4], "column 'customerID' must be unique", {"raw"}),
        (
            CSV.replace("Month-to-month", "Monthly"),
            "records (",
            {"raw", "rejects"},
        ),
    ],
    ids=["stray comma", "duplicate key", "too many rejects"],
)
def test_the_command_refuses_bad_input_in_one_line_and_loses_nothing(
    content: str, says: str, replaced: set[str], good: Project, tmp_path: Path
) -> None:
    path, before = write(tmp_path, content), snapshot(good)

    command = typed(good.folder / ".churn", "run", "--accept", "--source", str(path))

    assert refused(command).startswith(f"{path}: ")
    assert says in command.stderr
    assert changes(good, before) == replaced


@pytest.mark.parametrize(
    ("address", "shown", "secrets"),
    [
        (
            "http://{place}/my file.csv?sig=S3CR3T1#S3CR3T2",
            "http://{place}/my file.csv",
            ["S3CR3T1", "S3CR3T2"],
        ),
        (
            "https://alice:pa55/s3cr3t@{place}/x.csv",
            "https://{place}/x.csv",
            ["alice", "pa55", "s3cr3t"],
        ),
        # So far a port and a path, or else a password.
        ("https://alice:55/s3cr3t@{place}/x.csv", "https://...", ["alice", "s3cr3t"]),
    ],
    ids=["query", "slash in a password", "password like a port"],
)
def test_no_secret_of_an_address_that_cannot_be_read_is_told_or_kept(
    address: str, shown: str, secrets: list[str], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    address, shown = (text.format(place=f"127.0.0.1:{port}") for text in (address, shown))
    root = tmp_path / "root"

    command = typed(root, "run", "--source", address)

    assert refused(command).startswith(f"{shown}: ")
    # What may be shown is kept, so secrets would be found too.
    assert any("history" in place for place in leaks(command, root, [shown]))
    assert leaks(command, root, secrets) == []


def test_the_command_says_where_records_came_from_without_secrets(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, customers().write_csv(), "my file.csv")
    with files_on_web(tmp_path) as address:
        source = address.replace("//", "//alice:pa55@") + "/my file.csv?sig=S3CR3T"

        command = typed(root, "run", "--source", source)

    assert command.returncode == 0, command.stderr
    last = command.stdout.splitlines()[-1]
    assert last.startswith(f"Records: {address}/my file.csv. Runs without a source go on from them")
    assert leaks(command, root, ["alice", "pa55", "S3CR3T"]) == []


def test_the_command_says_in_one_line_that_the_lake_s_disk_is_full(
    disk: Disk, on_disk: Project, tmp_path: Path
) -> None:
    lake, path, before = disk.folder / "lake", write(tmp_path, CSV), snapshot(on_disk)

    with disk.full(0):
        command = typed(
            tmp_path / "root", "run", "--accept", "--source", str(path), CHURN_LAKE=str(lake)
        )

    assert refused(command).startswith(f"{lake}/telco_churn/raw: ")
    assert "the disk is full. Free some space, then run again." in command.stderr
    assert changes(on_disk, before) == set()


def test_the_command_says_in_one_line_that_it_cannot_keep_history_and_still_lists_who(
    disk: Disk, on_disk: Project
) -> None:
    root, lake = disk.folder / "root", str(disk.folder / "lake")
    home = typed(root, "home", CHURN_LAKE=lake)

    with disk.full(0):
        full = typed(root, "run", CHURN_LAKE=lake)
    with disk.read_only():
        read_only = typed(root, "run", CHURN_LAKE=lake)
        predictions = typed(root, "predictions", "--top", "1", CHURN_LAKE=lake)

    assert home.returncode == 0, home.stderr
    assert refused(full).startswith(f"{root}/dagster: Dagster's history cannot be kept")
    assert refused(read_only).startswith(f"{root}/dagster: Dagster's history cannot be kept")
    assert predictions.returncode == 0, predictions.stderr
    first = on_disk.rows("predictions").sort("rank").row(0, named=True)
    assert first["churn_probability"] == pytest.approx(
        float(re.search(r"0\.\d{3}", predictions.stdout)[0]), abs=5e-4
    )
