"""What the documents show to be typed or copied works: programs, settings and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
import typer
import yaml
from dagster import validate_run_config

from churn_assets.cli.app import app
from churn_assets.definitions import definitions
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.settings import Settings, load_settings
from churn_assets_tests.test_documentation import DOCUMENTS, text_of

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^ {4}((?:\.venv/bin/)?churn|make) ((?:.*\\\n)*.*)$", re.MULTILINE)
IN_TEXT = re.compile(r"`((?:\.venv/bin/)?churn|make) ([a-z][^`\n]*)`")
COMMANDS: Any = vars(typer.main.get_command(app))["commands"]
RUN_ELSEWHERE = "mlflow.pyfunc.spark_udf"
"""In a snippet that needs a Champion and Spark, and is run where both are."""


class Snippet(NamedTuple):
    """A part of a document that a reader may copy."""

    document: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{Path(self.document).stem}: {self.text.strip().splitlines()[0][:40]}"


def fenced(*languages: str) -> list[Snippet]:
    """The fenced snippets of all documents in these languages; of all languages by default."""
    return [
        Snippet(str(document), language, text)
        for document in DOCUMENTS
        for language, text in FENCED.findall(text_of(document))
        if not languages or language in languages
    ]


def commands(program: str, shown: re.Pattern[str]) -> list[Snippet]:
    """Every command of a program that a document shows, without what stands behind a #."""
    found = [
        Snippet(str(document), program, " ".join(typed.replace("\\\n", " ").split(" #")[0].split()))
        for document in DOCUMENTS
        for name, typed in shown.findall(text_of(document))
        if name.endswith(program)
    ]
    return [*dict.fromkeys(found)]


def named(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that words name, of a group of commands too, its name, and what follows."""
    name, *arguments = words
    command = COMMANDS[name]
    while arguments and arguments[0] in getattr(command, "commands", {}):
        name, *arguments = arguments
        command = command.commands[name]
    return command, name, arguments


def options_of(command: Any) -> set[str]:
    """Every option of a command, as it is typed."""
    return {option for parameter in command.params for option in parameter.opts}


def test_every_fenced_snippet_is_of_a_language_that_is_looked_at_here() -> None:
    assert {snippet.language for snippet in fenced()} <= {"python", "yaml", "sql", "mermaid"}


@pytest.mark.parametrize("snippet", fenced("python"), ids=str)
def test_a_program_of_a_document_runs(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = tmp_path / ".churn" / "lake" / "telco_churn" / "predictions"
    pl.DataFrame({"customer_id": ["a"]}).write_delta(str(scored))
    monkeypatch.chdir(tmp_path)

    program = compile(snippet.text, snippet.document, "exec")

    if RUN_ELSEWHERE not in snippet.text:
        exec(program, {"__name__": "snippet"})


@pytest.mark.parametrize("snippet", fenced("yaml"), ids=str)
def test_settings_of_a_document_are_settings(snippet: Snippet) -> None:
    content: dict[str, Any] = yaml.safe_load(snippet.text)

    if "ops" in content:
        # What is typed into Dagster's launchpad.
        assert validate_run_config(definitions(Settings()).resolve_job_def("telco_churn"), content)
    elif content.keys() <= Settings.model_fields.keys():
        given = load_settings(content)
        assert content.keys() <= given.model_fields_set
    else:
        # A file of an experiment.
        GateSettings.model_validate(content.pop("gates", {}))
        TrainingSettings.model_validate(content)


@pytest.mark.parametrize("snippet", commands("churn", TYPED), ids=str)
def test_a_command_of_a_document_is_taken_as_it_stands(snippet: Snippet) -> None:
    command, name, arguments = named(shlex.split(snippet.text))

    command.make_context(name, arguments)


@pytest.mark.parametrize("snippet", commands("churn", IN_TEXT), ids=str)
def test_a_command_that_a_document_speaks_of_has_these_options(snippet: Snippet) -> None:
    command, _, arguments = named(snippet.text.split())

    options = {argument for argument in arguments if argument.startswith("-")}
    assert options <= options_of(command)


@pytest.mark.parametrize("snippet", commands("make", TYPED), ids=str)
def test_what_a_document_gives_to_make_is_heeded(snippet: Snippet) -> None:
    makefile = text_of("Makefile")
    target, *variables = shlex.split(snippet.text)

    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for variable in variables:
        assert f"$({variable.partition('=')[0]}" in makefile or "=" not in variable
