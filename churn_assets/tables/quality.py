"""What a table looks like as a whole: outliers, copies, and how classes fall into the splits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn_assets.errors import refusal
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.lake import LINE_FAULT, Table, changed_types
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import SPLITS, DType, UseCase

if TYPE_CHECKING:
    from churn_assets.types import Frame


FENCE = 3.0
"""Tukey's outer fence in interquartile ranges (Exploratory Data Analysis, 1977)."""
FENCE_ROWS = 1_000_000
"""Records that the fences are found from."""
_IS_TRAIN = "__is_train"
CHANCE = 0.001
"""How often chance alone would make the splits' class shares differ so much."""


def outliers(silver: Frame, use_case: UseCase, engine: Engine) -> dict[str, int]:
    """How many values of each numeric column lie beyond Tukey's outer fences, or are called odd.

    Columns whose middle half is one value have no fences; without odd values they are left out.
    Of many records a sample says where the fences are, since exact quartiles need all values in
    one place.

    Parameters
    ----------
    silver : frame
        Valid records.
    use_case : UseCase
        Its contract says which columns are numeric.
    engine : Engine
        What computes the frame.
    """
    import narwhals.stable.v2 as nw

    present = silver.collect_schema()
    numeric = [
        column.name
        for column in use_case.contract.columns
        if column.dtype in (DType.INT64, DType.FLOAT64)
        and column.isin is None
        and column.name in present
        and present[column.name].is_numeric()
    ]
    if not numeric:
        return {}
    sample = sampled(silver, use_case, engine, share=1, most_rows=FENCE_ROWS)
    quartiles = engine.collect(
        sample.frame.select(
            *(nw.col(c).quantile(0.25, "linear").alias(f"{c}_low") for c in numeric),
            *(nw.col(c).quantile(0.75, "linear").alias(f"{c}_high") for c in numeric),
        )
    ).to_pylist()[0]
    odd = {column.name: column.odd for column in use_case.contract.columns if column.odd}
    beyond = {
        name: nw.any_horizontal(*(nw.col(name) == value for value in odd[name]), ignore_nulls=True)
        for name in numeric
        if name in odd
    }
    for column in numeric:
        low, high = quartiles[f"{column}_low"], quartiles[f"{column}_high"]
        if low is not None and high > low:
            reach = FENCE * (high - low)
            value = nw.col(column)
            outside = (value < low - reach) | (value > high + reach)
            beyond[column] = beyond[column] | outside if column in beyond else outside
    if not beyond:
        return {}
    counts = engine.collect(
        silver.select(*(rule.cast(nw.Int64).sum().alias(name) for name, rule in beyond.items()))
    ).to_pylist()[0]
    return {name: int(count or 0) for name, count in counts.items()}


def unknown_amounts(features: Frame, use_case: UseCase, engine: Engine) -> dict[str, int]:
    """How many customers have no number in each column that the business case takes an amount from.

    Parameters
    ----------
    features : frame
        The features table.
    use_case : UseCase
        Its business case names the columns.
    engine : Engine
        What computes the frame.
    """
    import narwhals.stable.v2 as nw

    columns = () if use_case.business is None else use_case.business.columns
    if not columns:
        return {}
    numbers = {name: nw.col(name).cast(nw.Float64) for name in columns}
    counts = engine.collect(
        features.select(
            *(
                (number.is_null() | ~number.is_finite()).cast(nw.Int64).sum().alias(name)
                for name, number in numbers.items()
            )
        )
    ).to_pylist()[0]
    return {name: int(count or 0) for name, count in counts.items()}


def null_inputs(features: Frame, use_case: UseCase, engine: Engine) -> dict[str, str]:
    """The model inputs that nothing can be learnt from, and where they are null.

    Parameters
    ----------
    features : frame
        The features table.
    use_case : UseCase
        Names the inputs.
    engine : Engine
        What computes the frame.

    Returns
    -------
    dict of str to str
        By input "throughout", or "in train" where others have it than train rows with a label.
    """
    import narwhals.stable.v2 as nw

    is_train = (nw.col("split") == "train") & ~nw.col("label").is_null()
    kept = features.with_columns(is_train.alias(_IS_TRAIN))
    known = {name: ~nw.col(name).is_null() for name in use_case.inputs}
    counts = engine.collect(
        kept.select(
            nw.col(_IS_TRAIN).cast(nw.Int64).sum().alias(_IS_TRAIN),
            *(each.cast(nw.Int64).sum().alias(name) for name, each in known.items()),
            *(
                (each & nw.col(_IS_TRAIN)).cast(nw.Int64).sum().alias(f"{_IS_TRAIN} {name}")
                for name, each in known.items()
            ),
        )
    ).to_pylist()[0]
    if not counts[_IS_TRAIN]:
        return {}
    return {
        name: "in train" if counts[name] else "throughout"
        for name in use_case.inputs
        if not counts[f"{_IS_TRAIN} {name}"]
    }


def schema_changes(table: Table) -> list[str]:
    """What is new, lost or of another type since the version of a table before the newest.

    Parameters
    ----------
    table : Table
        That has a version.
    """
    version = table.require().version
    if version == 0:
        return []
    before, now = (
        {
            name: dtype
            for name, dtype in table.scan(v).collect_schema().items()
            if name != LINE_FAULT
        }
        for v in (version - 1, version)
    )
    return [
        *(f"column '{name}' is new ({now[name]})" for name in now if name not in before),
        *(f"column '{name}' is lost ({before[name]})" for name in before if name not in now),
        *(f"column {change}" for change in changed_types(before, now)),
    ]


def split_counts(features: Frame, engine: Engine) -> dict[str, dict[str, int]]:
    """Rows, rows with a known label, and positive labels of each split."""
    import narwhals.stable.v2 as nw

    counts = engine.collect(
        features.group_by("split").agg(
            nw.len().cast(nw.Int64).alias("rows"),
            (~nw.col("label").is_null()).cast(nw.Int64).sum().alias("labelled"),
            nw.col("label").cast(nw.Int64).sum().alias("positive"),
        )
    ).to_pylist()
    by_split = {row.pop("split"): row for row in counts}
    none = {"rows": 0, "labelled": 0, "positive": 0}
    return {split: by_split.get(split, none) for split in SPLITS}


def copies_across_the_split(
    details: Mapping[str, Any], *, blocks: bool = False
) -> tuple[bool, str]:
    """Whether only chance makes held-out rows alike to trained ones, and how many are.

    Parameters
    ----------
    details : mapping
        What features keep with their commit.
    blocks : bool
        Whether nothing is trained on them.

    >>> counts = {"rows": 100, "alike": 4, "by_chance": 1.6, "beyond_chance": False, "test": 3}
    >>> copies_across_the_split({"copies": counts})
    (True, '3 held-out rows are alike in all inputs to one that is trained on, as chance gives')
    """
    counts = details["copies"]
    held_out = sum(counts.get(split, 0) for split in ("validation", "test"))
    alike = f"{held_out:,} held-out rows are alike in all inputs to one that is trained on"
    if not counts["beyond_chance"]:
        return True, f"{alike}, as chance gives"
    return False, refusal(
        "features hold copies across the split",
        f"{alike}, far more than chance gives, and {counts['alike']:,} of {counts['rows']:,} rows "
        "are copies",
        "Nothing was trained" if blocks else "They are not judged on",
        "Remove them from the source, or name their customer as `group`",
    )


def split_balance(counts: dict[str, dict[str, int]]) -> float:
    """p-value of the splits having one class share: Pearson's chi-squared of homogeneity.

    Parameters
    ----------
    counts : mapping
        As `split_counts` gives them.

    Returns
    -------
    float
        In [0, 1]; 1 where there is only one class or fewer than two splits with labels.
    """
    cells = [(c["positive"] or 0, c["labelled"]) for c in counts.values() if c["labelled"]]
    positive, labelled = sum(p for p, _ in cells), sum(n for _, n in cells)
    if len(cells) < len(SPLITS) or positive in (0, labelled):
        return 1.0
    share = positive / labelled
    statistic = sum((p - n * share) ** 2 / (n * share * (1 - share)) for p, n in cells)
    # The chi-squared distribution with two degrees of freedom is exponential.
    return math.exp(-statistic / 2)


def balance_in_words(counts: dict[str, dict[str, int]], chance: float) -> str:
    """The share of positive labels in each split, and whether chance makes them differ so much.

    >>> split = {"positive": 27, "labelled": 100}
    >>> balance_in_words({"train": split, "validation": split, "test": split}, 1.0)
    'positive labels are 27.0 % of train, 27.0 % of validation, 27.0 % of test, as chance gives'
    """
    shares = [
        f"{(split['positive'] or 0) / split['labelled']:.1%}".replace("%", " %") + f" of {name}"
        for name, split in counts.items()
        if split["labelled"]
    ]
    if not shares:
        return "no label is known yet"
    how = "as chance gives" if chance >= CHANCE else f"which chance gives in {chance:.2g} of cases"
    return f"positive labels are {', '.join(shares)}, {how}"
