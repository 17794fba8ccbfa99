"""What a user relies on who looks at a past day."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import TableError
from churn_assets.tables.as_of import as_known_on, labels_as_known_on
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, Table
from churn_assets.usecases.spec import Column, Contract, Date, Label, Labels, String
from churn_assets_tests.support.project import USE_CASE

ENGINE = PolarsEngine()
SIMPLE = replace(
    USE_CASE,
    name="simple",
    key="id",
    label=Label("left", positive="Yes"),
    contract=Contract(
        Column("id", String),
        Column("seen", Date, formats=("%m/%d/%Y",)),
        Column("left", String, nullable=True),
    ),
    time="seen",
)
LABELS = Labels(Contract(Column("id", String), Column("on", Date), Column("left", String)), "on")
APART = replace(
    SIMPLE, contract=Contract(Column("id", String), SIMPLE.contract["seen"]), labels=LABELS
)

Tables = Mapping[str, Table]


@pytest.fixture
def lakes(tmp_path: Path) -> Callable[..., tuple[Tables, Tables]]:
    """Today's tables and those beside them."""
    return lambda case: (
        Lake(str(tmp_path / "today"), ENGINE).of(case),
        Lake(str(tmp_path / "then"), ENGINE).of(case),
    )


def came(table: Table, committed_on: date, **columns: list[str]) -> None:
    """Let records come to a table on a day, as its log says it."""
    frame = nw.from_native(pl.DataFrame(columns).lazy())
    version = table.replace(frame, str(committed_on), source_uri="f.csv").version
    log = Path(table.uri, "_delta_log", f"{version:020}.json")
    noon = datetime.combine(committed_on, time(12), UTC)
    moment = int(noon.timestamp() * 1000)
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["timestamp"] = moment
    log.write_text("\n".join(map(json.dumps, actions)))


def ids(table: Table) -> list[str]:
    return sorted(table.scan().to_native().collect()["id"])


def test_raw_is_the_version_that_held_that_day_and_today_s_stays(lakes) -> None:
    today, then = lakes(SIMPLE)
    came(today["raw"], date(2020, 5, 1), id=["a"], seen=["4/1/2020"], left=["No"])
    came(today["raw"], date(2020, 5, 3), id=["a", "b"], seen=["4/1/2020"] * 2, left=["No"] * 2)
    before = today["raw"].state()

    as_known_on(SIMPLE, date(2020, 5, 2), today, then)

    assert ids(then["raw"]) == ["a"]
    assert today["raw"].state() == before
    assert as_known_on(SIMPLE, date(2020, 5, 3), today, then).rows == 2


def test_records_of_later_days_were_not_known(lakes) -> None:
    today, then = lakes(SIMPLE)
    seen = ["4/30/2020", "5/1/2020", "5/2/2020", "not a day"]
    came(today["raw"], date(2020, 4, 1), id=["a", "b", "c", "d"], seen=seen, left=["No"] * 4)

    as_known_on(SIMPLE, date(2020, 5, 1), today, then)

    # What holds no day is validated by the contract, which rejects it with a reason.
    assert ids(then["raw"]) == ["a", "b", "d"]
    assert then["raw"].scan().collect_schema() == today["raw"].scan().collect_schema()


def test_the_same_day_recalled_again_changes_nothing(lakes) -> None:
    today, then = lakes(SIMPLE)
    came(today["raw"], date(2020, 5, 1), id=["a"], seen=["4/1/2020"], left=["No"])
    first = as_known_on(SIMPLE, date(2020, 5, 2), today, then)

    again = as_known_on(SIMPLE, date(2020, 5, 2), today, then)

    assert again == replace(first, changed=False)


def test_a_day_before_the_first_version_is_refused_where_outcomes_tell_no_day(lakes) -> None:
    today, then = lakes(SIMPLE)
    came(today["raw"], date(2020, 5, 1), id=["a"], seen=["4/1/2020"], left=["No"])

    dated = (
        r"nothing was known on 2020-04-30: .* is of 2020-05-01.* Missing is the day of each outc"
    )
    with pytest.raises(TableError, match=dated):
        as_known_on(SIMPLE, date(2020, 4, 30), today, then)
    undated = replace(SIMPLE, time=None)
    with pytest.raises(TableError, match=r"the day of each record .* and the day of each outcome"):
        as_known_on(undated, date(2020, 4, 30), today, then)

    assert then["raw"].state() is None


def test_a_younger_table_tells_of_a_past_day_where_records_and_labels_have_days(lakes) -> None:
    today, then = lakes(APART)
    came(today["raw"], date(2026, 1, 1), id=["a", "b"], seen=["4/1/2020", "5/1/2020"])
    came(
        today["labels"],
        date(2026, 1, 1),
        id=["a", "b"],
        on=["2020-04-15", "2020-04-16"],
        left=["Yes", "No"],
    )

    as_known_on(APART, date(2020, 4, 15), today, then)
    labels_as_known_on(APART, date(2020, 4, 15), today, then)

    assert ids(then["raw"]) == ["a"]
    assert ids(then["labels"]) == ["a"]


def test_labels_without_days_are_not_known_before_their_first_version(lakes) -> None:
    undated = replace(APART, labels=replace(LABELS, time=None))
    today, then = lakes(undated)
    came(today["labels"], date(2026, 1, 1), id=["a"], on=["2020-04-15"], left=["Yes"])

    with pytest.raises(TableError, match=r"Missing is the day of each outcome .* `labels`"):
        labels_as_known_on(undated, date(2020, 4, 15), today, then)
