"""What a user relies on whose settings file is added to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from churn_assets.errors import SettingsError
from churn_assets.scaffold.source_entry import with_source
from churn_assets.settings import settings_file

FILE = Path("config/dev.yaml")
ENTRY = {"uri": "/data/a file, with: signs #1.csv", "delimiter": ";"}


def add(text: str) -> str:
    return with_source(text, "mine", ENTRY, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "root: .churn",
        "root: .churn\n# the end\n",
        "sources:\n",
        "sources:",
        "sources:  # none yet\nroot: x\n",
        "sources:\n  telco_churn:\n    uri: a.csv\nroot: x\n",
        "sources:\n    # ours\n    telco_churn: {uri: a.csv, rename: {A: B}}   # as it came\n\n",
        'sources:\n\n  "telco_churn":\n    uri: a.csv\ntraining: {sample: 0.5}\n',
        "root: x\r\nsources:\r\n  telco_churn:\r\n    uri: a.csv\r\n",
        "sources:\n  telco_churn:\n    uri: é.csv",
    ],
)
def test_a_source_is_added_and_every_line_stays_as_it_was(text: str) -> None:
    longer = add(text)

    before = yaml.safe_load(text) or {}
    assert yaml.safe_load(longer) == {
        **before,
        "sources": {**(before.get("sources") or {}), "mine": ENTRY},
    }
    left = longer.splitlines()
    for line in text.splitlines():
        left.remove(line)
    assert [line.strip() for line in left if "sources" not in line] == [
        "mine:",
        "uri: '/data/a file, with: signs #1.csv'",
        "delimiter: ;",
    ]
    assert ("\r\n" in longer) == ("\r\n" in text)


def test_the_settings_of_the_project_can_be_added_to() -> None:
    file = settings_file("dev")
    text = file.read_text(encoding="utf-8")

    assert add(text).startswith(text)


@pytest.mark.parametrize(
    "text",
    [
        "{root: x}\n",
        "sources: {telco_churn: {uri: a.csv}}\n",
        "sources: &all\n  telco_churn: {uri: a.csv}\n",
        "sources: ~\n",
        "root: x\n...\n",
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused_with_what_to_add_by_hand(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        add(text)

    message = str(error.value)
    assert message.startswith("config/dev.yaml: ")
    assert len(message.splitlines()) == 1
    by_hand = yaml.safe_load(message.partition("again: ")[2])
    assert by_hand == {"sources": {"mine": ENTRY}}
