"""Who answers a customer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from timeit import repeat

import msgspec
import numpy as np
import pytest

from churn_assets.serving.answering.split import Traffic, answers, place, traffic_of

KEYS = [(f"{number:04d}-{number * 7919 % 100_003:05d}",) for number in range(20_000)]
RAMP = Traffic("ramp", 4, 5, (0.01, 0.1, 0.5, 1.0), 60.0, started_at=1_000.0, salt="run 5")
NOT_IN_A_WORKER = ("dagster", "deltalake", "mlflow", "narwhals", "pandas", "polars", "sklearn")


def challenged(traffic: Traffic, now: float = 0.0) -> set[tuple[str, ...]]:
    """Customers that the Challenger answers."""
    return {key for key in KEYS if answers(traffic, key, now)[0] == "challenger"}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_challenger_answers_its_share_of_the_customers(share: float) -> None:
    answered = len(challenged(Traffic("canary", 4, 5, (share,), salt="run 5")))

    assert answered == pytest.approx(share * len(KEYS), abs=5 * np.sqrt(share * len(KEYS)))


def test_a_ramp_only_ever_takes_customers_from_the_champion() -> None:
    steps = [challenged(RAMP, now) for now in (1_000, 1_060, 1_120, 1_180)]

    for fewer, more in pairwise(steps):
        assert fewer < more
    assert steps[-1] == set(KEYS)


def test_one_customer_sees_one_model_in_every_process() -> None:
    """What Python hashes differs from process to process; this does not."""
    program = (
        "from churn_assets.serving.answering.split import place;"
        "print(place('run 5', ('0003-MKNFE',)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert float(printed) == place("run 5", ("0003-MKNFE",))


def test_another_program_can_tell_who_answers() -> None:
    """By SHA-256 and the first twelve digits, as SQL has them too."""
    first = sha256("run 5|Zürich|7".encode()).hexdigest()[:12]

    assert place("run 5", ("Zürich", "7")) == int(first, 16) / 16**12


def test_two_salts_draw_customers_apart() -> None:
    one, other = (challenged(Traffic("ab", 4, 5, (0.5,), salt=salt)) for salt in ("a", "b"))

    assert len(one & other) == pytest.approx(len(KEYS) / 4, rel=0.05)


@pytest.mark.parametrize("now", [0, 1_060, 1e10])
def test_without_a_key_the_champion_answers(now: float) -> None:
    assert answers(RAMP, None, now) == ("champion", RAMP.share(now))


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic("champion", 4),
        Traffic("returned", 4, change=3),
        Traffic("shadow", 4, 5, salt="run 5", change=1),
    ],
)
def test_where_no_challenger_takes_a_share_the_champion_answers(traffic: Traffic) -> None:
    assert {answers(traffic, key, 0.0) for key in KEYS} == {("champion", 0.0)}
    assert traffic.is_shadow == (traffic.kind == "shadow")


def test_a_clock_that_is_set_back_leaves_a_ramp_at_its_first_step() -> None:
    assert RAMP.share(-1e9) == 0.01


def test_what_the_loader_writes_is_what_a_worker_reads() -> None:
    text = msgspec.json.encode(RAMP)

    assert traffic_of(msgspec.json.decode(text)) == RAMP
    assert traffic_of(None) is None


def test_to_tell_who_answers_costs_no_more_than_a_few_hashes() -> None:
    """Two microseconds where a hash takes half a one; by ratio, for machines differ."""

    def seconds(call: Callable[[], object]) -> float:
        return min(repeat(call, number=2_000, repeat=30, timer=time.process_time))

    hashed = seconds(lambda: sha256(b"run 5|0003-MKNFE").digest())

    assert seconds(lambda: answers(RAMP, ("0003-MKNFE",), 1_060.0)) < 5 * hashed


def test_a_worker_that_splits_imports_nothing_heavy() -> None:
    program = (
        "import sys, churn_assets.serving.answering.split;"
        f"print([name for name in {NOT_IN_A_WORKER!r} if name in sys.modules])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "[]"
