"""What a user relies on whose text files have short lines, footers, or Excel's first line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.errors import SourceError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.columns import Expected
from churn_assets.tables.sources.files import DiskFile
from churn_assets.tables.sources.kind import Records
from churn_assets.tables.sources.lines import has_short_line
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import Column, Contract, Float64, Label, String, UseCase

ENGINE = PolarsEngine()
CONTRACT = Contract(
    Column("id", String),
    Column("fee", Float64, nullable=True),
    Column("plan", String, nullable=True),
    Column("left", String, nullable=True),
)
CASE = UseCase(
    name="gym",
    key="id",
    label=Label("left", positive="Y"),
    contract=CONTRACT,
    clean=lambda frame: frame,
    features=lambda frame: frame,
    numeric=("fee",),
    categorical=("plan",),
    description="Who leaves the gym.",
)
HEAD = "id,fee,plan,left\n"


def read(path: Path, **changes: Any) -> Records:
    return open_source(Source(uri=str(path), **changes), Expected.of(CASE)).records(ENGINE)


def rows(path: Path, **changes: Any) -> list[tuple[Any, ...]]:
    frame = read(path, **changes).frame.drop("source_uri")
    return [tuple(row.values()) for row in ENGINE.collect(frame).to_pylist()]


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


# Short lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_with_fewer_fields_is_told_of_by_its_number(
    tmp_path: Path, encoding: str, end: str
) -> None:
    lines = 'a,1,"x,\ny",Y\n\nb,2\n"c",3,"say ""hi""",N\n"Report, of ""today"""\nd,4,,\n \n'
    path = written(tmp_path / "f.csv", (HEAD + lines).replace("\n", end), encoding)

    found = rows(path, encoding="utf-16" if encoding == "utf-16" else "utf-8")

    assert found == [
        ("a", "1", f"x,{end}y", "Y", None),
        ("b", "2", None, None, "line 5 has 2 fields and the header 4"),
        ("c", "3", 'say "hi"', "N", None),
        ('Report, of "today"', None, None, None, "line 7 has 1 field and the header 4"),
        ("d", "4", None, None, None),
        (" ", None, None, None, "line 9 has 1 field and the header 4"),
    ]


def test_a_whole_table_has_no_column_for_short_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", HEAD + 'a,1,"x\ny",Y\n\n,,,\n"b",,,\n')

    assert rows(path) == [("a", "1", "x\ny", "Y"), ("b", None, None, None)]


def test_short_lines_are_records_with_blanks_where_that_is_set(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", HEAD + "a,1\nb,2,x,N\n")

    assert rows(path, short_lines="blank") == [("a", "1", None, None), ("b", "2", "x", "N")]


def test_each_file_of_a_folder_tells_of_its_own_lines(tmp_path: Path) -> None:
    written(tmp_path / "one.csv", HEAD + "a,1,x,Y\n")
    written(tmp_path / "two.csv", HEAD + "b,2,x,Y\nc\n")

    frame = ENGINE.collect(read(tmp_path).frame).to_pylist()

    assert [Path(row["source_uri"]).name for row in frame] == ["one.csv", "two.csv", "two.csv"]
    assert frame[2]["line_fault"] == "line 3 has 1 field and the header 4"


def test_a_line_with_more_fields_is_still_refused_by_its_number_beside_short_ones(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "f.csv", HEAD + "a\nb,2,x,Y,more\n")
    opened = open_source(Source(uri=str(path)), Expected.of(CASE))

    with pytest.raises(Exception) as caught:  # noqa: PT011
        ENGINE.collect(opened.records(ENGINE).frame)

    assert "line 3 has 5 fields and the header 4" in str(opened.explain(caught.value))


@given(
    st.lists(
        st.lists(st.text(alphabet='ab",\n ', max_size=4), min_size=1, max_size=4),
        max_size=12,
    ),
    st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_the_quick_look_finds_a_short_line_in_whatever_blocks_a_file_comes(
    records: list[list[str]], block: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "c"], *records])
    content = text.getvalue().encode()

    class InBlocks(DiskFile):
        def blocks(self) -> Any:
            return (content[i : i + block] for i in range(0, len(content), block))

    found = has_short_line(InBlocks("f", "f", "f", "f"), ",", 3)

    assert found == any(len(record) < 3 for record in records)


def test_footers_and_short_lines_are_rejects_with_reasons_and_the_rest_is_silver(
    tmp_path: Path,
) -> None:
    people = "".join(f"K{i},{i}.5,x,{'NY'[i % 2]}\n" for i in range(60))
    footers = 'Total,1800,,\n"Report generated on 2026-11-01"\nAs of today,,,\nK99,1,,\n'
    path = written(tmp_path / "f.csv", HEAD + people + footers)
    tables = Lake(str(tmp_path / "lake"), ENGINE).of(CASE)

    ingest(CASE, Source(uri=str(path)), tables)
    rejects, silver = refine(CASE, tables, 0.1)

    assert (rejects.rows, silver.rows) == (3, 61)
    reasons = dict(tables["rejects"].scan().select("id", "reasons").to_native().collect().rows())
    assert reasons["Total"] == "'id' reads as a total of the others"
    assert reasons["As of today"] == "all but the key is blank"
    assert reasons["Report generated on 2026-11-01"].startswith(
        "line 63 has 1 field and the header 4"
    )
    assert rejects.details["rules"]["lines with fewer fields than the header"] == 1


@pytest.mark.parametrize(
    ("key", "is_total"),
    [
        ("Total", True),
        ("TOTALS:", True),
        ("Grand Total", True),
        ("Summe", True),
        ("Gesamtsumme", True),
        ("Total (100 rows)", True),
        ("Total customers: 100", True),
        ("Average", True),
        ("Totalis 7", False),
        ("Summer", False),
        ("Meanwhile", False),
        ("K1", False),
    ],
)
def test_a_key_that_reads_as_a_total_is_not_a_customer(
    tmp_path: Path, key: str, is_total: bool
) -> None:
    path = written(tmp_path / "f.csv", f"{HEAD}K0,1,x,Y\n{key},5450,,\n")
    tables = Lake(str(tmp_path / "lake"), ENGINE).of(CASE)

    ingest(CASE, Source(uri=str(path)), tables)
    rejects, _ = refine(CASE, tables, 1.0)

    assert rejects.rows == is_total


# Excel's first line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    ("first", "delimiter"), [("sep=;", ";"), ("SEP=|", "|"), ('"sep=;"', ";"), ("sep=\t", "\t")]
)
def test_excels_line_names_the_delimiter_and_is_not_a_line_of_the_table(
    tmp_path: Path, encoding: str, first: str, delimiter: str
) -> None:
    table = HEAD + 'a,1,"x\r\ny",Y\n'
    content = f"{first}\r\n" + table.replace(",", delimiter).replace("\n", "\r\n")
    path = written(tmp_path / "f.csv", content, encoding)

    found = rows(path, encoding=encoding)

    assert found == [("a", "1", "x\r\r\ny", "Y")]


def test_a_delimiter_that_is_set_counts_more_than_excels_line(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", f"sep=;\r\n{HEAD}a,1,x,Y\n")

    assert rows(path, delimiter=",") == [("a", "1", "x", "Y")]


def test_lines_are_counted_with_excels_line(tmp_path: Path) -> None:
    path = written(tmp_path / "f.csv", "sep=;\n" + (HEAD + "a,1,x,Y\nTotal\n").replace(",", ";"))

    assert rows(path)[1][-1] == "line 4 has 1 field and the header 4"


def test_files_that_name_two_delimiters_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "one.csv", "sep=;\n" + HEAD.replace(",", ";"))
    written(tmp_path / "two.csv", "sep=|\n" + HEAD.replace(",", "|"))

    with pytest.raises(SourceError, match=r"two\.csv: its first line names another delimiter"):
        read(tmp_path)
