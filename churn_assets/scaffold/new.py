"""Begin a use case: read its table once, and write what that says and what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import SettingsError, SourceError, UseCaseError, public_uri
from churn_assets.scaffold.draft import Draft, draft
from churn_assets.scaffold.keys import key_proposal
from churn_assets.scaffold.names import fault_of_use_case, own_name
from churn_assets.scaffold.profile import profile
from churn_assets.scaffold.profile_page import profile_page
from churn_assets.scaffold.sample import Sample, draw
from churn_assets.scaffold.source_entry import with_source
from churn_assets.scaffold.use_case_file import use_case_text
from churn_assets.scaffold.use_case_tests import use_case_tests_text
from churn_assets.tables.contract import Validated, validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.tables.sources.source import Source

_OPTIONS = {"uri": "--from", "delimiter": "--delimiter", "encoding": "--encoding"}
"""Settings of a source that are options of the command."""


@dataclass(frozen=True)
class Places:
    """Where a use case's files go.

    Parameters
    ----------
    use_cases, tests, profiles : Path
        Folders of use cases, of their tests, and of the pages of profiles.
    settings : Path
        File of the profile's settings.
    """

    use_cases: Path
    tests: Path
    profiles: Path
    settings: Path


@dataclass(frozen=True)
class NewUseCase:
    """A use case, its test and its profile, as written.

    Parameters
    ----------
    draft : Draft
        What it is made of, and the open questions.
    use_case, test, page : Path
        Its file, its test, and the page of its profile.
    settings : Path, optional
        The file that its source was added to; None where it was set already, or must not be.
    variable : str
        What to set the source's address by, where it holds a credential; empty elsewhere.
    rejected : int
        Records read that the written contract rejects.
    broken : mapping of str to int
        The rules that they break, and how many do.
    short_lines : tuple of str
        Lines with fewer fields than the header, which are rejects as well.
    """

    draft: Draft
    use_case: Path
    test: Path
    page: Path
    settings: Path | None
    variable: str
    rejected: int
    broken: Mapping[str, int]
    short_lines: tuple[str, ...]


def begin(
    name: str,
    source: Source,
    keys: Sequence[str],
    label: str,
    positive: str,
    places: Places,
    configured: Source | None = None,
) -> NewUseCase:
    """Read a table and write its use case, the test of it, its source and its profile.

    Parameters
    ----------
    name : str
        Of the use case.
    source : Source
        Where its records are.
    keys : sequence of str
        Columns that name a customer, as the source calls them; without any, one is proposed.
    label, positive : str
        The column that is predicted, and its value that counts as churn.
    places : Places
        Where it is written.
    configured : Source, optional
        What the settings say of its source already.

    Raises
    ------
    ChurnError
        Where the name, the columns or the settings do not allow it; nothing is written then.
    """
    use_case = places.use_cases / f"{name}.py"
    test = places.tests / f"test_{name}.py"
    _require_free(name, use_case, test)
    entry, variable = _entry(name, source)
    settings: dict[Path, str] = {}
    if configured is None and entry:
        settings[places.settings] = with_source(
            _text(places.settings), name, entry, places.settings
        )
    elif configured is not None and configured != source:
        raise SettingsError(
            f"{places.settings}: sources.{name} is set, and not to what is given here. Remove it, "
            "or give the same."
        )
    try:
        sample = draw(source, f"sources.{name}", keys)
    except SourceError as error:
        raise SourceError(_with_options(str(error), name)) from error
    if not keys:
        raise UseCaseError(key_proposal(sample, label))
    new = draft(name, profile(sample, keys, label, positive))
    if not new.inputs:
        left = ", ".join(f"{e.profile.source} ({e.why})" for e in new.left_out[:5])
        raise UseCaseError(f"{sample.uri}: no column is left to predict from: {left}.")
    text = use_case_text(new)
    tried = _try(text, name, sample)
    pages = {page.stem for page in places.profiles.glob("*.html")}
    page = places.profiles / f"{own_name(name, pages)}.html"
    texts = {
        use_case: text,
        test: use_case_tests_text(new),
        page: profile_page(new, datetime.now(UTC)),
    }
    _write(texts, settings)
    return NewUseCase(
        new,
        use_case,
        test,
        page,
        next(iter(settings), None),
        variable,
        tried.rejected,
        tried.broken,
        sample.short_lines,
    )


def _require_free(name: str, use_case: Path, test: Path) -> None:
    fault = fault_of_use_case(name)
    if fault:
        raise UseCaseError(f"'{name}' {fault}.")
    if name in USE_CASES:
        raise UseCaseError(f"there is a use case '{name}' already; give another name.")
    for folder in (use_case.parent, test.parent):
        if not folder.is_dir():
            raise UseCaseError(f"{folder}: there is no such folder. Run this in a checkout.")
    for file in (use_case, test):
        if file.exists():
            raise UseCaseError(f"{file}: is there already; give another name, or move it away.")


def _entry(name: str, source: Source) -> tuple[Mapping[str, Any], str]:
    """What the settings are to say of a source, and the variable for what no file may hold."""
    entry = source.model_dump(exclude_defaults=True, exclude={"rename", "storage_options"})
    if public_uri(source.uri) == source.uri:
        return entry, ""
    del entry["uri"]
    return entry, f"CHURN_SOURCES__{name.upper()}__URI"


def _text(file: Path) -> str:
    try:
        # As it is, with the ends of its lines.
        return file.read_bytes().decode() if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}.") from None


def _with_options(message: str, name: str) -> str:
    """A refusal in the words of what was typed."""
    for setting, option in _OPTIONS.items():
        message = message.replace(f"sources.{name}.{setting}", option)
    return message


def _try(text: str, name: str, sample: Sample) -> Validated:
    """Take the records through the use case as it is written."""
    import narwhals.stable.v2 as nw

    module: dict[str, Any] = {}
    exec(compile(text, f"{name}.py", "exec"), module)
    case: UseCase = module[name]
    engine = PolarsEngine()
    validated = validate(nw.from_native(sample.records.lazy()), case.contract, engine)
    feature_rows(case, case.clean(validated.valid), engine).frame.to_native().collect()
    return validated


def _write(new: Mapping[Path, str], changed: Mapping[Path, str]) -> None:
    """Write new files, and changed texts of others; all of them or none."""
    own: list[Path] = []
    try:
        for file, text in new.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                own.append(file)
                stream.write(text)
        for file, text in changed.items():
            beside = file.with_name(f"{file.name}.new")
            own.append(beside)
            beside.write_bytes(text.encode())
            beside.replace(file)
    except OSError as error:
        for file in own:
            file.unlink(missing_ok=True)
        raise UseCaseError(
            f"{error.filename}: cannot be written ({error.strerror}). Nothing was written."
        ) from None
