"""What a registered model was trained on, and rows that have it today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from churn_assets.errors import InputsError

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    from churn_assets.tables.lake import Committed, Table
    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase


def as_trained(use_case: UseCase, model: Any) -> UseCase:
    """The use case with the inputs that a model was trained on.

    Parameters
    ----------
    use_case : UseCase
        As it is today; itself where its inputs are still those, or a model does not tell its own.
    model : Pipeline, Blend or Recalibrated
        Its first step names the columns that it encodes.

    Raises
    ------
    InputsError
        Where one of them is what is predicted today.
    """
    encoder = _encoder(model)
    if not hasattr(encoder, "numeric"):
        return use_case
    numeric, categorical = tuple(encoder.numeric), tuple(encoder.categorical)
    if (set(numeric), set(categorical)) == (set(use_case.numeric), set(use_case.categorical)):
        return use_case
    if use_case.label.column in numeric + categorical:
        raise InputsError(
            f"was trained on '{use_case.label.column}', which is what is predicted today"
        )
    return replace(use_case, numeric=numeric, categorical=categorical)


def changed(use_case: UseCase, trained: UseCase) -> list[str]:
    """The inputs that a model was trained on and that are none of their kind today."""
    return [
        *(name for name in trained.numeric if name not in use_case.numeric),
        *(name for name in trained.categorical if name not in use_case.categorical),
    ]


def rows_as_trained(
    use_case: UseCase, trained: UseCase, tables: Mapping[str, Table], features: Committed
) -> Frame:
    """Rows of features with all that a model was trained on.

    What is not an input any more is taken from what today's `features` gives of silver.

    Parameters
    ----------
    use_case : UseCase
        As it is today.
    trained : UseCase
        As the model was trained, of `as_trained`.
    tables : mapping of str to Table
        The use case's tables.
    features : Committed
        The version of features to read, which tells that of silver.

    Raises
    ------
    InputsError
        Where `features` does not give an input any more, or as another kind of value.
    """
    rows = tables["features"].scan(features.version)
    there = set(rows.collect_schema().names())
    gone = changed(use_case, trained)
    wanted = [name for name in trained.inputs if name in gone or name not in there]
    if not wanted:
        return rows
    made = _made_of_silver(use_case, wanted, trained, tables, features)
    return rows.drop([name for name in wanted if name in there]).join(
        made, on=list(use_case.row_keys), how="left"
    )


def as_given(
    schema: Mapping[str, Any], numbers: Iterable[str], texts: Iterable[str]
) -> list[nw.Expr]:
    """Columns as a model is given them: numbers as doubles, the rest as text.

    Parameters
    ----------
    schema : mapping of str to dtype
        Of rows as the use case's `features` gives them, or of the table.
    numbers, texts : iterable of str
        Names of the columns, by what a model takes them for.
    """
    import narwhals.stable.v2 as nw

    def number(name: str) -> nw.Expr:
        return nw.col(name) if schema[name] == nw.Float64 else nw.col(name).cast(nw.Float64)

    def text(name: str) -> nw.Expr:
        column = nw.col(name)
        if schema[name] == nw.Boolean:
            # As the encoder calls it, which engines do not.
            true = nw.when(column).then(nw.lit("True"))
            return true.otherwise(nw.when(~column).then(nw.lit("False"))).alias(name)
        return column if schema[name] == nw.String else column.cast(nw.String)

    return [*map(number, numbers), *map(text, texts)]


def _made_of_silver(
    use_case: UseCase,
    wanted: list[str],
    trained: UseCase,
    tables: Mapping[str, Table],
    features: Committed,
) -> Frame:
    """Key and some inputs, as today's `features` gives them."""
    import narwhals.stable.v2 as nw

    version = features.reads.get("silver")
    if version is None:
        raise InputsError(f"{_trained_on(wanted)}, and which silver that was is not known")
    made = use_case.features(tables["silver"].scan(version))
    schema = made.collect_schema()
    lacking = [name for name in wanted if name not in schema]
    if lacking:
        raise InputsError(f"{_trained_on(lacking)}, which `features` does not give any more")
    for name in wanted:
        if name in trained.numeric and not _is_number(schema[name]):
            raise InputsError(f"{_trained_on([name])} as a number, which is {schema[name]} today")
    return made.select(
        *use_case.row_keys,
        *(
            nw.col(name).cast(nw.Float64) if name in trained.numeric else nw.col(name)
            for name in wanted
        ),
    )


def _trained_on(names: list[str]) -> str:
    return f"was trained on {', '.join(map(repr, names))}"


def _is_number(dtype: nw.dtypes.DType) -> bool:
    import narwhals.stable.v2 as nw

    return dtype.is_numeric() or dtype == nw.Boolean


def _encoder(model: Any) -> Any:
    """The step that reads the table: of a blend, its first member's."""
    while not hasattr(model, "steps"):
        model = model.base if hasattr(model, "base") else model.pipelines_[0]
    return model.steps[0][1]
