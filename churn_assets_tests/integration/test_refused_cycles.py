"""A refused Challenger keeps nobody unscored: the Champion goes on with today's customers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl

from churn_assets_tests.support.processes import churn
from churn_assets_tests.support.project import write_csv

CYCLES = 4
FIRST, NEW, GONE = 1500, 120, 60
"""Customers at first, and how many come and go in each cycle."""
NO_CHANCE = json.dumps({"roc_auc": 0.999})
QUICK = json.dumps({"candidates": ["logistic_regression"], "folds": 2})


def some(first: int, last: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Those customers of a frame."""
    return lambda frame: frame[first:last]


def test_in_each_refused_cycle_the_champion_scores_all_of_today_s_customers(
    tmp_path: Path,
) -> None:
    source, environ = tmp_path / "customers.csv", {"CHURN_ROOT": str(tmp_path)}
    environ |= {"CHURN_TRAINING": QUICK, "COLUMNS": "200"}
    write_csv(source, rows=FIRST)
    first = churn("run", "--source", str(source), environ=environ)
    assert first.returncode == 0, first.stderr

    for cycle in range(1, CYCLES + 1):
        first_one, last_one = cycle * GONE, FIRST + cycle * NEW
        write_csv(source, some(first_one, last_one), rows=last_one)
        command = churn(
            "run", "--source", str(source), environ={**environ, "CHURN_GATES__FLOORS": NO_CHANCE}
        )
        scored, customers = (
            pl.read_delta(str(tmp_path / "lake" / "telco_churn" / table))
            for table in ("predictions", "features")
        )
        assert command.returncode == 1
        assert re.fullmatch(
            r"churn: Challenger refused: .*floors: .*\. The Champion and its predictions stand\. "
            rf"Train another, .*\. Champion 1 scored {last_one - first_one:,} customers of "
            r"features version \d+\.\n",
            command.stderr,
        ), command.stderr
        assert command.stdout.splitlines()[-1] == f"Records: {source}"
        assert set(scored["customer_id"]) == set(customers["customer_id"])
        assert scored.height == last_one - first_one
        assert set(scored["model_version"]) == {1}

    status = churn("status", environ=environ).stdout
    assert f"challenger: version {CYCLES + 1} of telco_churn" in status
    assert "champion: version 1 of telco_churn" in status
    assert "are newer" not in status


def test_made_up_customers_who_came_since_are_scored_though_the_challenger_is_refused(
    tmp_path: Path,
) -> None:
    def run(rows: int, **more: str) -> tuple[int, str, str]:
        environ = {"CHURN_ROOT": str(tmp_path), "CHURN_TRAINING": QUICK, **more}
        environ["CHURN_SOURCES__TELCO_CHURN__ROWS"] = str(rows)
        command = churn("run", environ=environ)
        return command.returncode, command.stdout, command.stderr

    first = run(1500)
    refused = run(1600, CHURN_GATES__FLOORS=NO_CHANCE)

    assert first[0] == 0, first[2]
    assert refused[0] == 1
    assert "Champion 1 scored 1,600 customers of features version 1." in refused[2]
    assert refused[1].splitlines()[-1] == "Records: made up; `--source` names your own."


def test_without_a_champion_a_refusal_scores_nobody(tmp_path: Path) -> None:
    environ = {"CHURN_ROOT": str(tmp_path), "CHURN_TRAINING": QUICK}
    environ |= {"CHURN_SOURCES__TELCO_CHURN__ROWS": "1500", "CHURN_GATES__FLOORS": NO_CHANCE}

    command = churn("run", environ=environ)

    assert command.returncode == 1
    assert "There is no Champion yet, so nobody is scored." in command.stderr
    assert not (tmp_path / "lake" / "telco_churn" / "predictions").exists()
