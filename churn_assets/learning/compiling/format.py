"""What a bundle holds: a manifest of plain data, and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, dataclass_transform

import msgspec

from churn_assets.errors import BundleError
from churn_assets.learning.storing.files import StoredFiles

FORMAT = 1
"""Of the manifest; a server refuses a bundle of another."""
MANIFEST = "manifest.json"
COMPILED: Literal["compiled"] = "compiled"
PIPELINE: Literal["pipeline"] = "pipeline"
_FETCH_AGAIN = "Remove that folder, and it is fetched or compiled again"

Value = float | str | None
Kind = Literal["number", "text"]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data that is nothing but what it says."""


class Rates(Plain):
    """Log-odds of the outcome by category; the last is that of any other."""

    levels: tuple[str, ...]
    odds: tuple[float, ...]


class Bends(Plain):
    """What a linear model has of each number beside itself, as `LinearEncoder` names it."""

    ranges: dict[str, tuple[float, float]]
    logs: tuple[str, ...]
    knots: dict[str, tuple[float, ...]]


class Encoder(Plain):
    """From inputs to encoded columns, as `TableEncoder` has learnt it."""

    numbers: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    rare: tuple[str, ...]
    rates: dict[str, Rates]
    bends: Bends | None = None

    @property
    def sources(self) -> list[str]:
        """The input that each encoded column comes from."""
        bends = self.bends
        return [
            *self.numbers,
            *(name for name, values in self.categories.items() for _ in values),
            *self.rare,
            *(() if bends is None else bends.logs),
            *(
                ()
                if bends is None
                else (name for name, knots in bends.knots.items() for _ in knots)
            ),
        ]


class Linear(Plain, tag="linear"):
    """A logistic regression of imputed, standardised columns; a number for each of them."""

    encoder: Encoder
    medians: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float


class Trees(Plain, tag="trees"):
    """Trees in LightGBM's text format, of whichever library they are.

    Parameters
    ----------
    file : str
        The text.
    single : bool
        Whether columns are rounded to single precision.
    gives : {"probability", "log-odds"}
        What the library gives of them.
    reasons : {"tables", "library", "walk"}
        How its contributions are found; the tables are arrays beside the text.
    """

    encoder: Encoder
    file: str
    single: bool
    gives: Literal["probability", "log-odds"]
    reasons: Literal["tables", "library", "walk"]


class XGBoost(Plain, tag="xgboost"):
    """Trees in XGBoost's own binary JSON."""

    encoder: Encoder
    file: str


class Blend(Plain, tag="blend"):
    """The mean of several models' log-odds."""

    members: tuple[Part, ...]


class Recalibrated(Plain, tag="recalibrated"):
    """A model whose log-odds are put on a line."""

    base: Part
    slope: float
    intercept: float


class Stored(Plain, tag="pipeline"):
    """The Pipeline itself, as it was stored, in a folder beside the manifest.

    Parameters
    ----------
    folder : str
        Of its files.
    packages : tuple of str
        Whose types it may hold beside those of this package.
    """

    folder: str
    packages: tuple[str, ...]


Part = Linear | Trees | XGBoost | Blend | Recalibrated | Stored


class Amount(Plain):
    """An amount of money: a number, or a column times a number."""

    times: float
    column: str | None = None


class Business(Plain):
    """The business case as numbers and columns."""

    currency: str
    customer_value: Amount
    offer_cost: Amount
    contact_cost: Amount
    save_rate: float
    accept_rate: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that amounts come from."""
        amounts = (self.customer_value, self.offer_cost, self.contact_cost)
        return tuple(dict.fromkeys(one.column for one in amounts if one.column is not None))


class Golden(Plain):
    """A made-up customer, and what is said of it."""

    inputs: dict[str, Value]
    amounts: dict[str, float | None]
    score: float
    decision: bool
    band: str
    value: float | None
    reasons: tuple[str | None, ...]


class Manifest(Plain):
    """All that is known of a compiled model but its trees.

    Parameters
    ----------
    format : int
        Of the manifest.
    use_case, description, model_name : str
        What is predicted, and the name that the model is registered by.
    version, run_id, semantic_version : int, str, str
        Which model it is.
    threshold : float
        Least score that is decided as positive.
    risk_bands : dict of str to float
        Least score of each band, ascending from 0.
    keys : tuple of str
        Columns that name a customer.
    inputs : dict of str to {"number", "text"}
        What the model is given, in its order: `numeric`, then `categorical`.
    path : {"compiled", "pipeline"}
        Whether this module's code answers, or the stored Pipeline.
    why : str
        Why the Pipeline does; empty where it does not.
    business : Business or None
        What a contact is worth.
    called : dict of str to str
        How people call each input.
    causes : dict of str to dict of str to float
        By input, the share of each input that what it adds is told of.
    schemas : dict of str to JSON schema
        `inputs` and `record`: what may be asked.
    made_with : dict of str to str
        Versions of the libraries that the model was compiled by.
    model : Part
        What is evaluated.
    golden : tuple of Golden
        Made-up customers that it must answer as it did.
    checked : dict of str to float
        How many rows of which kind were compared with the Pipeline, and how far they were off.
    """

    format: int
    use_case: str
    description: str
    model_name: str
    version: int
    run_id: str
    semantic_version: str
    threshold: float
    risk_bands: dict[str, float]
    keys: tuple[str, ...]
    inputs: dict[str, Kind]
    path: Literal["compiled", "pipeline"]
    why: str
    business: Business | None
    called: dict[str, str]
    causes: dict[str, dict[str, float]]
    schemas: dict[str, Any]
    made_with: dict[str, str]
    model: Part
    golden: tuple[Golden, ...] = ()
    checked: dict[str, float] = {}

    @property
    def numeric(self) -> tuple[str, ...]:
        """The inputs that are numbers."""
        return tuple(name for name, kind in self.inputs.items() if kind == "number")

    @property
    def categorical(self) -> tuple[str, ...]:
        """The inputs that are text."""
        return tuple(name for name, kind in self.inputs.items() if kind == "text")

    @property
    def currency(self) -> str | None:
        """Of values, as ISO 4217 has it; None where there is no business case."""
        return None if self.business is None else self.business.currency


class _Any(msgspec.Struct):
    """What any format says."""

    format: int


def encode(manifest: Manifest) -> bytes:
    """A manifest as JSON, of which each number is read again as it was."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def read(folder: Path, digest: str | None) -> tuple[Manifest, Mapping[str, bytes]]:
    """The manifest and the files of a bundle: what is checked is what is used.

    Parameters
    ----------
    folder : Path
        Where it lies.
    digest : str or None
        What its files must have, as the registry or the record of promotions has it; None where
        neither has any.

    Raises
    ------
    BundleError
        Where it is not there, its files are not those that were registered, or its format is not
        known.
    """
    stored = StoredFiles.of(folder) if folder.is_dir() else StoredFiles({})
    if MANIFEST not in stored.files:
        raise BundleError(f"{folder}: there is no bundle with a {MANIFEST}. {_FETCH_AGAIN}.")
    if digest not in (None, stored.digest):
        raise BundleError(
            f"{folder}: the bundle's files are not those that were registered (their digest is "
            f"{stored.digest[:16]} and not {str(digest)[:16]}), so nothing of them is served. "
            f"{_FETCH_AGAIN}."
        )
    content = stored.files[MANIFEST]
    try:
        found = msgspec.json.decode(content, type=_Any).format
        if found == FORMAT:
            return msgspec.json.decode(content, type=Manifest), stored.files
    except msgspec.MsgspecError as error:
        raise BundleError(
            f"{folder}: the bundle's {MANIFEST} cannot be read: {error}. {_FETCH_AGAIN}."
        ) from error
    raise BundleError(
        f"{folder}: the bundle has format {found}, and this version of Churn Assets knows format "
        f"{FORMAT}. Update the server, or train again with this version."
    )


def write(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write a bundle's files into a new folder; gives their digest."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return StoredFiles(files).digest
