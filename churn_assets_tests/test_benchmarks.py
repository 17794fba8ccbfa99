"""The benchmarks that say how often something errs, at a hundredth of their size."""

from __future__ import annotations

from joblib import Parallel

from benchmarks.gate_law import Rate, cases, interval, rate_of

SAMPLES = 4
MOST_ROWS = 2000


def test_the_gates_err_no_more_than_their_table_says() -> None:
    """Right models pass and worse ones do not, as far as a few samples tell."""
    run = Parallel(n_jobs=1)
    small = [case for case in cases() if case.rows <= MOST_ROWS]

    rates: list[Rate] = [rate_of(case, SAMPLES, run) for case in small]

    assert [rate.case.name for rate in rates if not rate.may_be_met] == []


def test_the_interval_of_a_rate_is_clopper_and_pearsons() -> None:
    low, high = interval(3, 20)

    assert (round(low, 4), round(high, 4)) == (0.0321, 0.3789)
    assert interval(0, 20)[0] == 0
    assert interval(20, 20)[1] == 1
