"""What a user relies on who begins a use case: what is written, and when nothing is."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from churn_assets.errors import ChurnError
from churn_assets.scaffold.new import NewUseCase, Places, begin
from churn_assets.scaffold.sample import draw
from churn_assets.scaffold.summary import summary
from churn_assets.tables.sources.source import Source
from churn_assets_tests.support.tables import lopsided

TABLE = lopsided(rows=600)
SETTINGS = "# ours\nroot: .churn   # here\n"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Empty folders and a settings file."""
    for name in ("usecases", "tests", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "config" / "dev.yaml").write_text(SETTINGS)
    return Places(
        tmp_path / "usecases",
        tmp_path / "tests",
        tmp_path / "root" / "profiles",
        tmp_path / "config" / "dev.yaml",
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TABLE.write(tmp_path_factory.mktemp("table"))


def new_use_case(places: Places, file: Path | str, **changes: Any) -> NewUseCase:
    source = changes.pop("source", Source(uri=str(file)))
    arguments = {"name": "mine", "keys": ["id"], "label": "churned", "positive": "1", **changes}
    return begin(source=source, places=places, **arguments)


def files(places: Places) -> dict[str, str]:
    """Everything that there is, but for pages."""
    root = places.settings.parents[1]
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in paths}


# What is written


def test_a_use_case_its_test_its_source_and_its_profile_are_written(
    places: Places, file: Path
) -> None:
    new = new_use_case(places, file)

    assert set(files(places)) == {
        "usecases/mine.py", "tests/test_mine.py", "config/dev.yaml", "root/profiles/mine.html"
    }  # fmt: skip
    settings = places.settings.read_text()
    assert settings.startswith(SETTINGS)
    assert yaml.safe_load(settings)["sources"] == {"mine": {"uri": str(file)}}
    assert new.rejected == 0


def test_the_summary_says_what_was_written_and_assumed_and_what_to_check(
    places: Places, file: Path
) -> None:
    text = summary(new_use_case(places, file))

    for line in (
        f"{file}: 600 records, 6 columns.",
        "churned is 1 for 5.0% of 600 known outcomes; 0 are not known yet.",
        "The key is id: never blank, and no two records share it.",
        "Inputs: 3 numbers, 1 category.",
        "So few records may not be enough for a model to pass the gates.",
        "5 questions for you",
        f"Use case: {places.use_cases}/mine.py",
        f"Test:     {places.tests}/test_mine.py",
        f"Source:   sources.mine in {places.settings}",
        f"Profile:  {places.profiles}/mine.html",
        "Next: churn run --use-case mine",
    ):
        assert line in text
    questions = text.count("\n  ")
    assert (places.use_cases / "mine.py").read_text().count("# QUESTION: ") == questions == 5


def test_only_what_is_not_the_default_is_kept_of_a_source(places: Places, file: Path) -> None:
    text = file.read_text().replace(",", ";")
    other = file.with_name("other.txt")
    other.write_text(text)

    new_use_case(places, other, source=Source(uri=str(other), delimiter=";", encoding="cp1252"))

    (source,) = yaml.safe_load(places.settings.read_text())["sources"].values()
    assert source == {"uri": str(other), "delimiter": ";", "encoding": "cp1252"}


def test_a_source_that_is_set_already_stays_as_it_is(places: Places, file: Path) -> None:
    source = Source(uri=str(file))

    new = new_use_case(places, file, source=source, configured=source)

    assert new.settings is None
    assert places.settings.read_text() == SETTINGS


def test_a_profile_of_before_stays(places: Places, file: Path) -> None:
    places.profiles.mkdir(parents=True)
    (places.profiles / "mine.html").write_text("of before")

    new = new_use_case(places, file)

    assert (places.profiles / "mine.html").read_text() == "of before"
    assert new.page == places.profiles / "mine_2.html"
    assert new.page.exists()


@pytest.fixture
def served(file: Path) -> Iterator[str]:
    """The table's address, with a password."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(file.parent))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://me:hidden@127.0.0.1:{server.server_port}/{file.name}"
    server.shutdown()
    thread.join()


def test_short_lines_and_totals_are_told_of_and_are_no_customers(
    places: Places, tmp_path: Path
) -> None:
    people = "".join(f"C{i},{10 + i % 7},{'AB'[i % 2]},{'YN'[i % 3 > 0]}\n" for i in range(100))
    path = tmp_path / "f.csv"
    path.write_text(
        f'customer,revenue,plan,left\n{people}Total,1295,,\nEND,9,C,\n"Report of today"\n'
        # No word tells that it is one, but its number does.
        "C100 and before,1304,,\n"
    )

    new = new_use_case(
        places, path, source=Source(uri=str(path)), keys=["customer"], label="left", positive="Y"
    )

    text = summary(new)
    assert f"{path}: 103 records, 4 columns." in text
    assert "'customer' reads as a total of the others (1)" in text
    assert "rejects: line 104 has 1 field and the header 4." in text
    assert "A total among the records: C100 and before." in text


def test_a_password_is_written_nowhere_and_the_variable_for_it_is_named(
    places: Places, served: str
) -> None:
    new = new_use_case(places, served)

    assert "hidden" not in "".join(files(places).values()) + summary(new)
    assert places.settings.read_text() == SETTINGS
    assert "set CHURN_SOURCES__MINE__URI to it" in summary(new)


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My-Case"}, "'My-Case' is not a name in snake_case; call it 'my_case'."),
        ({"name": "import"}, "'import' means something else in Python"),
        ({"name": "telco_churn"}, "there is a use case 'telco_churn' already"),
        ({"label": "churn"}, "there is no column 'churn'. 'churned' looks like it."),
        ({"keys": ["ID"]}, "there is no column 'ID'. 'id' looks like it."),
        ({"keys": ["cls"]}, "column 'cls' does not tell records apart"),
        ({"positive": "yes"}, "column 'churned' is never 'yes'. It has '0', '1'"),
        ({"label": "cls"}, "column 'cls' has 3 values"),
        ({"source": Source(uri="x.csv")}, "x.csv: there is no such file or folder. Check --from"),
        ({"configured": Source(uri="else.csv")}, "sources.mine is set, and not to what is given"),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_refused_in_a_line_and_nothing_is_written(
    changes: dict[str, Any], message: str, places: Places, file: Path
) -> None:
    before = files(places)

    with pytest.raises(ChurnError) as error:
        new_use_case(places, file, **changes)

    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert files(places) == before


def test_a_table_of_the_wrong_delimiter_is_refused_in_the_words_of_the_command(
    places: Places, file: Path
) -> None:
    other = file.with_name("semicolons.csv")
    other.write_text(file.read_text().replace(",", ";"))

    with pytest.raises(ChurnError, match=r"delimited by ';': set --delimiter"):
        new_use_case(places, other)


@pytest.mark.parametrize("there", ["usecases/mine.py", "tests/test_mine.py"])
def test_a_file_that_is_there_is_never_overwritten(there: str, places: Places, file: Path) -> None:
    existing = places.settings.parents[1] / there
    existing.write_text("somebody's work")
    before = files(places)

    with pytest.raises(ChurnError, match="is there already; give another name"):
        new_use_case(places, file)

    assert files(places) == before


def test_settings_that_cannot_be_added_to_refuse_all_of_it(places: Places, file: Path) -> None:
    places.settings.write_text("{root: .churn}\n")
    before = files(places)

    with pytest.raises(ChurnError, match="add this by hand, and run the same again"):
        new_use_case(places, file)

    assert files(places) == before


def test_where_one_file_cannot_be_written_none_is(places: Places, file: Path) -> None:
    blocked = replace(places, profiles=places.settings / "profiles")
    before = files(places)

    with pytest.raises(ChurnError, match="cannot be written"):
        new_use_case(blocked, file)

    assert files(places) == before


def test_without_a_folder_for_tests_it_asks_for_a_checkout(places: Places, file: Path) -> None:
    places.tests.rmdir()

    with pytest.raises(ChurnError, match=r"there is no such folder\. Run this in a checkout"):
        new_use_case(places, file)


def test_a_table_that_tells_nothing_is_refused_with_what_its_columns_are(
    places: Places, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.csv"
    TABLE.records.select("id", "churned", region=pl.lit("EU")).write_csv(bare)

    with pytest.raises(ChurnError, match=r"no column is left to predict from: region \(constant\)"):
        new_use_case(places, bare)


# Samples


def test_of_a_large_table_a_share_is_drawn_by_its_key_and_always_the_same(tmp_path: Path) -> None:
    rows = 6000
    twice = pl.DataFrame({"key": [f"k{i // 2}" for i in range(rows)], "x": range(rows)})
    twice.write_csv(tmp_path / "twice.csv")
    source = Source(uri=str(tmp_path / "twice.csv"))

    some, again = (draw(source, "sources.mine", ["key"], most_rows=2000) for _ in range(2))

    assert (some.rows, some.records.height, some.is_whole) == (rows, 2000, False)
    assert some.records.sort("x").equals(again.records.sort("x"))
    # Both records of a customer, so that a key that repeats shows.
    assert some.records["key"].n_unique() <= 1001
    mean = some.records["x"].cast(float).mean()
    assert mean == pytest.approx(rows / 2, abs=5 * rows / 12**0.5 / 1000**0.5)


def test_a_table_keeps_its_columns_own_names(tmp_path: Path) -> None:
    pl.DataFrame({"a b": ["1"], "a.c": ["2"]}).write_csv(tmp_path / "names.csv")

    sample = draw(Source(uri=str(tmp_path / "names.csv")), "sources.mine", ["a b"])

    assert sample.sources == ("a b", "a.c")
    assert sample.records.columns == ["a_b", "a_c"]
