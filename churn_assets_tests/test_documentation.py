"""What the documents name is there: files, modules and targets of make."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_assets_tests.support.processes import CHECKOUT

PACKAGE = CHECKOUT / "churn_assets"
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(CHECKOUT.glob("docs/*.md"))]
ROOTS = ("churn_assets/", "churn_assets_tests/", "benchmarks/", "config/", "docs/", "experiments/")
FILES = (".py", ".md", ".toml", ".lock", ".yaml", ".csv")
NOT_OURS = re.compile(r"hotel_stays|^\.\./|telco\.csv|telco_customer_churn")
"""Files of the examples' readers."""
NOT_YET = {"serving/app.py", "serving/records.py"}
"""Files that a rule is for before they are there."""


def text_of(document: str | Path) -> str:
    return (CHECKOUT / document).read_text(encoding="utf-8")


def is_path(name: str) -> bool:
    """Whether a name between backticks means a file or folder of this repository."""
    return re.fullmatch(r"[\w./-]+", name) is not None and (
        name.startswith(ROOTS) or ("/" in name and name.endswith(FILES))
    )


def paths(text: str) -> Iterator[str]:
    """Every file and folder that a document names."""
    names = set(re.findall(r"`([^`\n]+)`", text))
    words = {word.strip("`,;:()[]") for word in re.findall(r"\S+", text)}
    for name in names | words:
        if is_path(name) and not NOT_OURS.search(name):
            yield name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: Path(document).stem)
def test_a_file_that_a_document_names_is_there(document: str | Path) -> None:
    places = (CHECKOUT, PACKAGE, (CHECKOUT / document).parent)

    named = {name for name in paths(text_of(document)) if name not in NOT_YET}

    missing = {name for name in named if not any((place / name).exists() for place in places)}
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: Path(document).stem)
def test_a_link_of_a_document_leads_somewhere(document: str | Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", text_of(document))
    folder = (CHECKOUT / document).parent

    broken = {link for link in links if "://" not in link and not (folder / link).exists()}

    assert broken == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: Path(document).stem)
def test_a_target_that_a_document_names_is_one_of_make(document: str | Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))

    named = re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text_of(document), re.MULTILINE)

    assert set(named) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: Path(document).stem)
def test_a_module_that_a_document_names_is_there(document: str | Path) -> None:
    # Of what was renamed, a row has the old names first.
    lines = [line.rpartition(" | ")[2] for line in text_of(document).splitlines()]
    names = set(re.findall(r"\bchurn_assets\.[\w.]*\w", "\n".join(lines)))

    assert {name for name in names if not NOT_OURS.search(name) and not _is_there(name)} == set()


def _is_there(name: str) -> bool:
    """Whether a name is that of a module, or of something in one."""
    module, _, inside = name.rpartition(".")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return False
    if hasattr(found, inside):
        return True
    return PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").is_file()


def test_the_map_has_every_folder_of_the_package() -> None:
    layout = text_of("docs/architecture.md").partition("## The layout")[2].partition("## ")[0]
    folders = {file.parent for file in PACKAGE.rglob("*.py")} - {PACKAGE}

    shown = re.findall(r"^ +(\w+)/", layout, re.MULTILINE)

    assert {folder.name for folder in folders} <= set(shown)
    assert {file.name for file in PACKAGE.glob("[a-z]*.py")} <= set(re.findall(r"\w+\.py", layout))
