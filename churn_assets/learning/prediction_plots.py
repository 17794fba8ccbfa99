"""What predictions come to: the figures that people ask for first, and pictures as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from churn_assets.learning.explaining.wording import REASONS
from churn_assets.pages.plots import BLUE, GREY, RED, Axis, Bars, Line, Rule, draw
from churn_assets.pages.words import CONTACT, DECISION

if TYPE_CHECKING:
    from churn_assets.tables.lake import Table
    from churn_assets.usecases.spec import UseCase

_BETWEEN = ": "
"""What a reason has behind the name of its input."""
_BINS, _STEPS, _MOST = 20, 50, 8
"""Bars of scores, points of the value curve, and reasons that are drawn."""


@dataclass(frozen=True)
class Summary:
    """What predictions come to.

    Parameters
    ----------
    customers, decided : int
        How many there are, and of whom the decision is churn.
    threshold : float
        Least score of those.
    bins : sequence of int
        Customers by score, in twentieths.
    bands : mapping of str to int
        Customers by risk band, the lowest first.
    reasons : mapping of str to int
        How many of those to act on have an input as their first reason, the commonest first.
    contacts : int, optional
        Whom to contact; None without a business case.
    value : sequence of (int, float)
        How many customers, the most valuable first, and what contacting them is expected to be
        worth.
    advised : float
        What contacting those that are advised is expected to be worth.
    """

    customers: int
    decided: int
    threshold: float
    bins: list[int]
    bands: Mapping[str, int]
    reasons: Mapping[str, int]
    contacts: int | None = None
    value: list[tuple[int, float]] = field(default_factory=list)
    advised: float = 0.0

    def figures(self, currency: str) -> dict[str, Any]:
        """The figures, and what the columns mean that are easily taken for one another."""
        figures: dict[str, Any] = {
            "customers": self.customers,
            "decision": f"{self.decided:,} customers: {DECISION}",
        }
        if self.contacts is not None:
            figures["contact"] = f"{self.contacts:,} customers: {CONTACT}"
            figures["expected_value_of_contacts"] = f"{self.advised:,.0f} {currency}"
        return figures


def summary(use_case: UseCase, predictions: Table, version: int) -> Summary:
    """Count what predictions hold, in a few passes over the table.

    Parameters
    ----------
    use_case : UseCase
        Whose predictions these are.
    predictions : Table
        Where they lie.
    version : int
        Of the table.
    """
    import narwhals.stable.v2 as nw

    collect, rows = predictions.engine.collect, predictions.scan(version)
    twentieth = (nw.col("churn_probability") * _BINS).cast(nw.Int64)
    counted = (
        rows.with_columns(twentieth.alias("bin"))
        .group_by("bin", "risk_band")
        .agg(
            nw.len().cast(nw.Int64).alias("rows"),
            nw.col("decision").cast(nw.Int64).sum().alias("decided"),
            nw.col("threshold").max(),
        )
    )
    groups = collect(counted).to_pylist()
    bins, bands = [0] * _BINS, dict.fromkeys(use_case.risk_bands, 0)
    for group in groups:
        bins[min(max(group["bin"], 0), _BINS - 1)] += group["rows"]
        bands[group["risk_band"]] = bands.get(group["risk_band"], 0) + group["rows"]
    act_on = nw.col("decision" if use_case.business is None else "contact")
    found = Summary(
        customers=sum(bins),
        decided=sum(group["decided"] for group in groups),
        threshold=max((group["threshold"] for group in groups), default=0.0),
        bins=bins,
        bands=bands,
        reasons=_reasons(use_case, collect, rows.filter(act_on)),
    )
    return found if use_case.business is None else _with_value(found, collect, rows)


def prediction_pictures(use_case: UseCase, found: Summary) -> dict[str, bytes]:
    """Distribution, risk bands, value curve and top reasons by name; none of nobody."""
    if not found.customers:
        return {}
    pictures = {"scores": _scores(found), "risk_bands": _bands(found)}
    if found.value and use_case.business is not None:
        pictures["value_curve"] = _value(found, use_case.business.currency)
    if found.reasons:
        pictures["top_reasons"] = _top_reasons(found)
    return pictures


def _reasons(use_case: UseCase, collect: Any, rows: Any) -> dict[str, int]:
    """How often each input is the first reason."""
    import narwhals.stable.v2 as nw

    # A reason says what, and of which value.
    what = nw.col(REASONS[0]).str.replace_all(f"(?s){_BETWEEN}.*$", "").alias("reason")
    counted = (
        rows.filter(~nw.col(REASONS[0]).is_null())
        .select(what)
        .group_by("reason")
        .agg(nw.len().cast(nw.Int64).alias("rows"))
    )
    called = {use_case.called(name) for name in use_case.inputs}
    names = {name.partition(_BETWEEN)[0]: name for name in called}
    found = collect(counted).to_pylist()
    counts = {names.get(row["reason"], row["reason"]): row["rows"] for row in found}
    return dict(sorted(counts.items(), key=lambda count: (-count[1], count[0])))


def _with_value(found: Summary, collect: Any, rows: Any) -> Summary:
    """The same with what contacts are expected to be worth."""
    import narwhals.stable.v2 as nw

    step = max(-(-found.customers // _STEPS), 1)
    known = rows.filter(~nw.col("rank").is_null())
    is_contact = nw.col("contact")
    by_step = (
        known.with_columns(
            ((nw.col("rank") - 1) // step).alias("step"),
            nw.when(is_contact).then(nw.col("expected_value")).otherwise(0.0).alias("advised"),
        )
        .group_by("step")
        .agg(
            nw.len().cast(nw.Int64).alias("rows"),
            nw.col("contact").cast(nw.Int64).sum().alias("contacts"),
            nw.col("expected_value").sum().alias("value"),
            nw.col("advised").sum(),
        )
    )
    steps = sorted(collect(by_step).to_pylist(), key=lambda row: row["step"])
    curve, customers, value = [(0, 0.0)], 0, 0.0
    for row in steps:
        customers, value = customers + row["rows"], value + row["value"]
        curve.append((customers, value))
    return replace(
        found,
        contacts=sum(row["contacts"] for row in steps),
        value=curve if steps else [],
        advised=sum(row["advised"] for row in steps),
    )


def _scores(found: Summary) -> bytes:
    edges = [i / _BINS for i in range(_BINS + 1)]
    boxes = [(edges[i], edges[i + 1], 0.0, float(rows)) for i, rows in enumerate(found.bins)]
    share = found.decided / found.customers
    return draw(
        f"{found.decided:,} of {found.customers:,} decided as churn ({share:.0%})",
        [
            Bars(boxes, [BLUE] * _BINS),
            Rule(
                x=found.threshold, colour=RED, dash=True, label=f"threshold {found.threshold:.3f}"
            ),
        ],
        Axis("churn probability", 0, 1, is_share=True),
        Axis("customers", low=0),
    )


def _bands(found: Summary) -> bytes:
    total = found.customers
    boxes = [(i - 0.35, i + 0.35, 0.0, float(rows)) for i, rows in enumerate(found.bands.values())]
    names = {float(i): f"{name}\n{rows:,}" for i, (name, rows) in enumerate(found.bands.items())}
    name, rows = list(found.bands.items())[-1]
    return draw(
        f"Risk bands, {rows / total:.0%} {name}",
        [Bars(boxes, [BLUE] * len(boxes))],
        Axis("", -0.6, len(boxes) - 0.4, names),
        Axis("customers", low=0),
    )


def _value(found: Summary, currency: str) -> bytes:
    customers, value = zip(*found.value, strict=True)
    return draw(
        f"{found.contacts or 0:,} contacts worth {found.advised:,.0f} {currency}",
        [
            Line([0, customers[-1]], [0, value[-1]], GREY, "in any order", dash=True),
            Line(customers, value, label="most valuable first"),
            Line([found.contacts or 0], [found.advised], label="advised", joined=False),
        ],
        Axis("customers contacted", low=0),
        Axis(f"expected value in {currency}"),
    )


def _top_reasons(found: Summary) -> bytes:
    shown = list(found.reasons.items())[:_MOST]
    last, total = len(shown) - 1, sum(found.reasons.values())
    boxes = [
        (0.0, rows / total, last - i - 0.3, last - i + 0.3) for i, (_, rows) in enumerate(shown)
    ]
    whom = "customers to contact" if found.contacts is not None else "those decided as churn"
    return draw(
        f"First reason of the {whom}",
        [Bars(boxes, [BLUE] * len(boxes))],
        Axis("share of them", low=0, is_share=True),
        Axis("", -0.7, last + 0.7, {last - i: name for i, (name, _) in enumerate(shown)}),
    )
