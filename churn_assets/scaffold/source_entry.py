"""Add a source to a settings file, and change no other line of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from churn_assets.errors import SettingsError

_SOURCES, _STEP = "sources", 2


def with_source(text: str, name: str, entry: Mapping[str, Any], file: Path) -> str:
    """The text of a settings file with one more source.

    Parameters
    ----------
    text : str
        Of the file; empty where there is none yet.
    name : str
        The use case whose source it is; none has been set for it.
    entry : mapping of str to any
        What is set of the source.
    file : Path
        Where the text lies, for refusals.

    Raises
    ------
    SettingsError
        Saying what to add by hand, where the text is too unusual to be added to.
    """
    added = yaml.safe_dump(
        {name: dict(entry)}, allow_unicode=True, sort_keys=False, width=float("inf")
    )
    changed = _inserted(text, added)
    if changed is None or not _says(changed, text, name, entry):
        told = yaml.safe_dump(
            {_SOURCES: {name: dict(entry)}},
            allow_unicode=True,
            default_flow_style=True,
            sort_keys=False,
            width=float("inf"),
        )
        raise SettingsError(
            f"{file}: is written in a way that cannot be added to without changing it. Nothing was "
            f"written; add this by hand, and run the same again: {told.strip()[1:-1]}"
        )
    return changed


def _inserted(text: str, added: str) -> str | None:
    """The text with an entry below `sources`; None where that is no block of lines."""
    end = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next(((key, value) for key, value in pairs if key.value == _SOURCES), None)
    if found is None:
        before = text if not text or text.endswith("\n") else f"{text}{end}"
        return before + end.join([f"{_SOURCES}:", *_indented(added, _STEP), ""])
    key, value = found
    is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
    if not is_block and value.value != "":
        return None
    depth = value.start_mark.column if is_block else key.start_mark.column + _STEP
    lines = text.splitlines(keepends=True)
    place = key.start_mark.line + 1
    head = lines[:place]
    if not head[-1].endswith("\n"):
        head[-1] += end
    return "".join([*head, *(f"{line}{end}" for line in _indented(added, depth)), *lines[place:]])


def _indented(added: str, depth: int) -> list[str]:
    return [f"{' ' * depth}{line}" for line in added.splitlines()]


def _says(changed: str, text: str, name: str, entry: Mapping[str, Any]) -> bool:
    """Whether a text says what it said before, and the entry."""
    try:
        found, before = yaml.safe_load(changed), yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return False
    sources = {**(before.get(_SOURCES) or {}), name: dict(entry)}
    return bool(found == {**before, _SOURCES: sources})
