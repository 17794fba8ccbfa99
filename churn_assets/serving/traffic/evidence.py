"""What both variants have answered, of all replicas together: counts for the guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from churn_assets.serving.traffic.guard import QUANTITIES, Step
from churn_assets.serving.traffic.standing import Standing, below_everyone

if TYPE_CHECKING:
    import polars as pl

    from churn_assets.tables.lake import Table
    from churn_assets.types import Floats

_FAILED = 500
"""Least status of a call that failed; one below it and above 399 is the caller's mistake."""
_ANSWERED = 400
_LATE = timedelta(seconds=60)
"""How late a row may come to the table and still count."""
_UNIT = "\x1f"
"""Between the columns of a key; in none of them."""


class Evidence(Protocol):
    """Where a guard has its counts from."""

    def steps(self, stands: Standing, latency_ms: float) -> Sequence[Step]:
        """What is known of each step that began, pooled over all replicas.

        Parameters
        ----------
        stands : Standing
            Who answers; a Challenger takes part.
        latency_ms : float
            From which an answer is slow.
        """
        ...


@dataclass
class RequestsEvidence:
    """Counts of the customers in the table `requests`, to which every replica's answers come.

    Each look reads what came since the last, and a minute more: a row that is read twice changes
    nothing, since a customer counts once in a step. Customers without a key, shadow scores, and
    calls that were refused for the caller's mistake do not count.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    keys : sequence of str
        The columns of its key.
    """

    tables: Mapping[str, Table]
    keys: Sequence[str]
    _change: int = 0
    _until: datetime | None = None
    _customers: pl.DataFrame | None = None
    _labels: dict[tuple[int, int], pl.DataFrame] = field(default_factory=dict)

    def steps(self, stands: Standing, latency_ms: float) -> Sequence[Step]:
        """What is known of each step that began.

        Parameters
        ----------
        stands : Standing
            Who answers; a Challenger takes part.
        latency_ms : float
            From which an answer is slow.
        """
        import polars as pl

        change, requests = stands.challenger, self.tables.get("requests")
        if change is None or requests is None or requests.state() is None:
            return []
        if change.change != self._change:
            self._change, self._until, self._customers = change.change, None, None
        since = change.decided_at if self._until is None else self._until - _LATE
        new = self._rows(requests, stands, max(since, change.decided_at), latency_ms)
        if len(new):
            # Both of one clock: that of the servers that answered.
            newest = new["requested_at"].max()
            assert isinstance(newest, datetime)
            self._until = max(newest, self._until or newest)
        known = new if self._customers is None else pl.concat([self._customers, new])
        self._customers = customers = _by_customer(known)
        with_labels = self._with_squares(customers)
        shares = [share for share in below_everyone(stands.steps) if share in set(known["share"])]
        return [
            Step(share, *(_counts(with_labels, share, one) for one in ("challenger", "champion")))
            for share in shares
        ]

    def _rows(
        self, requests: Table, stands: Standing, since: datetime, latency_ms: float
    ) -> pl.DataFrame:
        import narwhals.stable.v2 as nw
        import polars as pl

        challenger = stands.challenger
        assert challenger is not None
        version, variant, status = nw.col("model_version"), nw.col("variant"), nw.col("status")
        is_ours = (variant == "challenger") & (version == challenger.version)
        is_theirs = (variant == "champion") & (version == stands.rest.version)
        asked = requests.scan().filter(
            nw.col("requested_at") >= since,
            is_ours | is_theirs,
            ~nw.col("shadow"),
            ~nw.any_horizontal(*(nw.col(key).is_null() for key in self.keys), ignore_nulls=False),
            (status < _ANSWERED) | (status >= _FAILED),
        )
        columns = ("requested_at", "variant", "share", "status", "latency_ms", "decision")
        others = ("churn_probability", "features_version")
        found: Any = pl.from_arrow(
            requests.engine.collect(asked.select(*self.keys, *columns, *others))
        )
        failed, answered = pl.col("status") >= _FAILED, pl.col("status") < _ANSWERED
        return pl.DataFrame(found).select(
            pl.concat_str(*self.keys, separator=_UNIT).alias("key"),
            "requested_at",
            "variant",
            "share",
            failed.alias("errors"),
            (answered & (pl.col("latency_ms") > latency_ms)).alias("latency"),
            pl.when(answered).then(pl.col("churn_probability").cast(pl.Float64)).alias("score"),
            pl.when(answered).then(pl.col("decision").cast(pl.Float64)).alias("decisions"),
            pl.col("features_version").cast(pl.Int64),
        )

    def _with_squares(self, customers: pl.DataFrame) -> pl.DataFrame:
        """Customers with the squared error of their score, where the outcome is known by now."""
        import polars as pl

        squares = pl.lit(None, pl.Float64).alias("brier")
        before: Any = customers["features_version"].min()
        features = self.tables["features"].state() if "features" in self.tables else None
        if before is None or features is None or features.version <= before:
            return customers.with_columns(squares)
        which = (before, features.version)
        if which not in self._labels:
            self._labels = {which: self._came_between(*which)}
        joined = customers.join(self._labels[which], on="key", how="left")
        return joined.with_columns(((pl.col("score") - pl.col("label")) ** 2).alias("brier"))

    def _came_between(self, before: int, now: int) -> pl.DataFrame:
        """Outcomes by key that were not known at a version of features, and are at another.

        What was known when a customer was answered is no test of the answer.
        """
        import narwhals.stable.v2 as nw
        import polars as pl

        table = self.tables["features"]

        def labels(version: int) -> pl.DataFrame:
            columns = [nw.col(key).cast(nw.String) for key in self.keys]
            frame = table.scan(version).filter(~nw.col("label").is_null())
            collected: Any = pl.from_arrow(
                table.engine.collect(frame.select(*columns, nw.col("label").cast(nw.Float64)))
            )
            return pl.DataFrame(collected).select(
                pl.concat_str(*self.keys, separator=_UNIT).alias("key"), "label"
            )

        return labels(now).join(labels(before), on="key", how="anti").unique("key")


def _by_customer(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each customer and step: whether any call failed or was slow, the first score."""
    import polars as pl

    firsts = [pl.col(name).drop_nulls().first() for name in ("score", "decisions")]
    return (
        rows.sort("requested_at")
        .group_by("key", "variant", "share")
        .agg(
            pl.col("requested_at").first(),
            pl.col("errors", "latency").any(),
            *firsts,
            pl.col("features_version").min(),
        )
        .select(rows.columns)
    )


def _counts(customers: pl.DataFrame, share: float, variant: str) -> dict[str, Floats]:
    """How many customers of a variant had each outcome, of each quantity of which any is known."""
    import numpy as np
    import polars as pl

    ours = customers.filter(pl.col("share") == share, pl.col("variant") == variant)
    counts = {}
    for name, quantity in QUANTITIES.items():
        known = ours[name].drop_nulls().cast(pl.Float64).to_numpy()
        if len(known):
            counts[name] = quantity.counts(np.clip(known, 0.0, 1.0))
    return counts
