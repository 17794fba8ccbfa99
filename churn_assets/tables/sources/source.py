"""Where a use case's records come from, and how they are read."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from churn_assets.errors import public_uri
from churn_assets.tables.provenance import GENERATED
from churn_assets.tables.sources.files import Format
from churn_assets.tables.volume import VolumeSettings

_SAMPLE_ROWS = 7043


class Source(BaseModel):
    """Where a use case's records come from, and how they are read.

    Parameters
    ----------
    uri : str
        A path, a folder, a glob, or an address of the web, of an object store or of a database;
        `generated` for the use case's own generator. Empty for that too, unless the table holds
        records of a named source, which then stand.
    table, query : str
        What to read of a database, one of them: a table by its name as in SQL, or a SELECT.
    format : {"csv", "parquet", "delta"}, optional
        By default what the files' endings say.
    delimiter : str
        One character between the fields of a text file; where it is not set, the one that Excel's
        first line names, such as `sep=;`.
    short_lines : {"reject", "blank"}
        What lines of a text file are that have fewer fields than its header: rejects, or records
        whose last fields are blank.
    encoding : str
        Of text files.
    rename : mapping of str to str
        Name in the file to the name that the contract expects.
    storage_options : mapping of str to secret
        Keys of the object store, as Polars and delta-rs take them.
    append : bool
        Whether records that are new or changed are added to those of earlier files, which stay as
        history; by default the source is the whole of what there is.
    labels : Source, optional
        Where the labels come from, of a use case that has them apart; by default from here as well.
    holdout : Source, optional
        Records with their outcomes that are never trained on: where there are some, the gates judge
        on them, and not on a part of the others.
    volume : VolumeSettings
        How much of what the table holds must come again for it to be replaced.
    rows, seed : int
        How many records are generated, and from which seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = ""
    table: str = ""
    query: str = ""
    format: Format | None = None
    delimiter: str = ","
    short_lines: Literal["reject", "blank"] = "reject"
    encoding: str = "utf-8"
    rename: dict[str, str] = {}
    storage_options: dict[str, SecretStr] = {}
    append: bool = False
    labels: Source | None = None
    holdout: Source | None = None
    volume: VolumeSettings = VolumeSettings()
    rows: int = Field(default=_SAMPLE_ROWS, ge=1)
    seed: int = Field(default=0, ge=0)

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        one = delimiter.replace(r"\t", "\t")
        if len(one) != 1 or not one.isascii() or one in '"\r\n\0':
            raise ValueError("must be one ASCII character, and no quote or line end")
        return one

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError("must be a text encoding such as utf-8 or cp1252") from None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the settings, but no password of the URI."""
        for name, value in super().__repr_args__():
            yield name, public_uri(value) if isinstance(value, str) else value

    @property
    def is_named(self) -> bool:
        """Whether it says where records come from, the generator by its name included."""
        return bool(self.uri)

    @property
    def makes_up(self) -> bool:
        """Whether its records are the generator's."""
        return self.uri in ("", GENERATED)

    @property
    def options(self) -> dict[str, str]:
        """Keys of the object store, to be handed on and never printed."""
        return {key: value.get_secret_value() for key, value in self.storage_options.items()}
