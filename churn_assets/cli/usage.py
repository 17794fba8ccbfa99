"""What was typed for a command, and how a command ends that is refused.

`churn --help` imports this: what takes long to import is imported where it is used.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from churn_assets.cli.words import USE_CASE, typeable
from churn_assets.errors import ChurnError, SettingsError

if TYPE_CHECKING:
    from churn_assets.settings import Settings
    from churn_assets.tables.sources.source import Source
    from churn_assets.usecases.spec import UseCase


FORMATS = ("csv", "json", "parquet")
"""What predictions can be written as."""


def typed_settings(
    use_case: str = "",
    *,
    source: str = "",
    experiment: str = "",
    tune: int | None = None,
    as_of: datetime | None = None,
    coming: str = "",
) -> Settings:
    """The settings of this process, with what was typed for one command.

    Parameters
    ----------
    use_case : str
        Whose source it is.
    source, experiment, tune, as_of
        As the commands take them.
    coming : str
        As `load_settings` takes it.
    """
    from churn_assets.settings import load_settings

    options: dict[str, Any] = {}
    if source:
        options["sources"] = {use_case: {"uri": source}}
    if experiment:
        options["experiment"] = str(Path(experiment).absolute())
    if tune is not None:
        options["training"] = {"tuning": {"trials": tune}}
    if as_of is not None:
        options["as_of"] = as_of.date()
    return load_settings(options, coming=coming)


def source_of(given: Mapping[str, str | None], configured: Source | None) -> Source:
    """A source as it is typed, and for the rest as it is set."""
    from pydantic import ValidationError

    from churn_assets.tables.sources.source import Source

    typed = {name: value for name, value in given.items() if value is not None}
    try:
        valid = Source.model_validate(typed)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise typer.BadParameter(
            fault["msg"].removeprefix("Value error, "), param_hint=f"--{fault['loc'][0]}"
        ) from None
    if configured is None:
        return valid
    return configured.model_copy(update={name: getattr(valid, name) for name in typed})


def find_use_case(name: str) -> UseCase:
    """The use case of a name; wrong usage where there is none."""
    with refusals():
        from churn_assets.settings import declared_use_cases

        declared = declared_use_cases(typed_settings())
    if name not in declared:
        raise typer.BadParameter(
            f"there is no use case '{name}'; known are {', '.join(declared)}.",
            param_hint="--use-case",
        )
    USE_CASE.set(name)
    return declared[name]


def format_of(given: str, output: Path | None) -> str:
    """What predictions are written as; empty for a table on the screen."""
    ending = output.suffix.lstrip(".").lower() if output else ""
    kind = given or ending
    if not kind and output is None:
        return ""
    if kind not in FORMATS:
        raise typer.BadParameter(
            f"'{kind}' is not one of {', '.join(FORMATS)}.",
            param_hint="--format" if given else "--output",
        )
    if kind == "parquet" and output is None:
        raise typer.BadParameter("parquet needs a file: name it.", param_hint="--output")
    return kind


def who() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f"uid {os.getuid()}"


@contextmanager
def refusals(earlier: str | None = None) -> Iterator[None]:
    """End with one line on stderr where anything is refused: the first that was."""
    try:
        yield
    except ChurnError as error:
        refuse(earlier or error.line(records=shows_records()))


def shows_records() -> bool:
    """Whether keys and values of customers may be shown here."""
    try:
        return typed_settings().preview_rows > 0
    except SettingsError:
        return False


def refuse(reason: str) -> None:
    """End the command with one line on stderr."""
    # A path may hold a line end.
    typer.echo(f"churn: {typeable(' '.join(reason.splitlines()))}", err=True)
    raise typer.Exit(1)
