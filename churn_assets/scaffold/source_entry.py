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
        The settings of the source.
    file : Path
        Where the text lies, for refusals.

    Raises
    ------
    SettingsError
        Saying what to add by hand, where the text is too unusual to be added to.
    """
    addition = yaml.safe_dump(
        {name: dict(entry)}, allow_unicode=True, sort_keys=False, width=float("inf")
    )
    longer = _insert(text, addition)
    if longer is None or not _only_adds(longer, text, name, entry):
        by_hand = yaml.safe_dump(
            {_SOURCES: {name: dict(entry)}},
            allow_unicode=True,
            default_flow_style=True,
            sort_keys=False,
            width=float("inf"),
        )
        raise SettingsError(
            f"{file}: is written in a way that cannot be added to without changing it. Nothing was "
            f"written; add this by hand, and run the same again: {by_hand.strip()[1:-1]}"
        )
    return longer


def _insert(text: str, addition: str) -> str | None:
    """The text with an entry below `sources`; None where that is not a block of lines."""
    end = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    section = next(((key, value) for key, value in pairs if key.value == _SOURCES), None)
    if section is None:
        before = text if not text or text.endswith("\n") else f"{text}{end}"
        return before + end.join([f"{_SOURCES}:", *_indent(addition, _STEP), ""])
    key, value = section
    is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
    if not is_block and value.value != "":
        return None
    depth = value.start_mark.column if is_block else key.start_mark.column + _STEP
    lines = text.splitlines(keepends=True)
    place = key.start_mark.line + 1
    head = lines[:place]
    if not head[-1].endswith("\n"):
        head[-1] += end
    return "".join([*head, *(f"{line}{end}" for line in _indent(addition, depth)), *lines[place:]])


def _indent(text: str, depth: int) -> list[str]:
    return [f"{' ' * depth}{line}" for line in text.splitlines()]


def _only_adds(longer: str, text: str, name: str, entry: Mapping[str, Any]) -> bool:
    """Whether a longer text says what the text says, and the entry, and no more."""
    try:
        after, before = yaml.safe_load(longer), yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return False
    sources = {**(before.get(_SOURCES) or {}), name: dict(entry)}
    return bool(after == {**before, _SOURCES: sources})
