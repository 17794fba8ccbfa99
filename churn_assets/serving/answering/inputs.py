"""Model inputs as somebody sends them: checked against what the model and the contract want."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec

from churn_assets.serving.answering.faults import MISSING, Fault, kind_of
from churn_assets.serving.answering.snapshot import Kind, Value

NO_OBJECT, NO_INPUT = "is not an object of inputs by their names", "is not an input of the model"
BLANK, NO_TEXT = "is blank", "is not text"
NO_NUMBER, NO_WHOLE = "is not a finite number", "is not a whole number"
_LAST = 1.7976931348623157e308


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What one input may be.

    Parameters
    ----------
    kind : {"number", "text"}
        What the model takes it for.
    nullable : bool
        Whether it may be null.
    required : bool
        Whether it must be there; what is not there is null.
    is_whole : bool
        Whether a number may have no fraction.
    ge, le : float, optional
        Least and greatest number allowed.
    isin : tuple of str or float, optional
        The values allowed; null is another matter.
    """

    kind: Kind
    nullable: bool = False
    required: bool = True
    is_whole: bool = False
    ge: float | None = None
    le: float | None = None
    isin: tuple[str | float, ...] | None = None


class Described(Protocol):
    """What a bundle's manifest says of inputs."""

    @property
    def inputs(self) -> Mapping[str, Kind]:
        """What the model is given, in its order."""

    @property
    def schemas(self) -> Mapping[str, Any]:
        """`inputs`, as JSON schema."""


class InputsReader:
    """Reads the inputs of one customer; made once for each model.

    Parameters
    ----------
    inputs : mapping of str to Input
        What there is, in the order in which it is given on.
    """

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self.inputs = dict(inputs)
        self._names = tuple(inputs)
        fields = {f"input_{place}": name for place, name in enumerate(inputs)}
        # What is not right at the first look is looked at again, for all that is wrong with it.
        self._type = msgspec.defstruct(
            "Inputs",
            [_field(field, inputs[name]) for field, name in fields.items()],
            rename=fields,
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        self._decode = msgspec.json.Decoder(self._type).decode
        self._parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        self._listed = [
            (place, frozenset(one.isin) | {None})
            for place, one in enumerate(inputs.values())
            if one.kind == "number" and one.isin is not None
        ]
        self._whole = [place for place, one in enumerate(inputs.values()) if one.is_whole]

    @classmethod
    def of(cls, manifest: Described, beside: Sequence[str] = ()) -> InputsReader:
        """A reader of what a manifest describes.

        Parameters
        ----------
        manifest : Manifest
            Of the model's bundle.
        beside : sequence of str
            Numbers that may come with the inputs, such as the amounts of a business case.
        """
        properties = manifest.schemas.get("inputs", {}).get("properties", {})
        inputs = {
            name: _input(kind, properties.get(name)) for name, kind in manifest.inputs.items()
        }
        others = (name for name in beside if name not in inputs)
        return cls(
            inputs | {n: Input(kind="number", nullable=True, required=False) for n in others}
        )

    def read(self, text: bytes | msgspec.Raw) -> tuple[dict[str, Value], list[Fault]]:
        """The inputs that JSON says, by name in their order, and all that is wrong with them.

        Raises
        ------
        DecodeError
            Where it is not JSON.
        """
        try:
            values = msgspec.structs.astuple(self._decode(text))
        except (msgspec.ValidationError, RecursionError):
            return self.convert(self._decoded(text))
        if self._is_right(values):
            return dict(zip(self._names, values, strict=True)), []
        return self.convert(self._decoded(text))

    def _decoded(self, text: bytes | msgspec.Raw) -> Any:
        """What JSON says, of which a number that is too large is none."""
        try:
            parts = self._parts(text)
        except msgspec.ValidationError:
            # Not an object, which is told of whatever it is.
            return msgspec.json.decode(text)
        return {name: _value(part) for name, part in parts.items()}

    def convert(self, given: Any) -> tuple[dict[str, Value], list[Fault]]:
        """The same of what was decoded before.

        Parameters
        ----------
        given : mapping of str to float, int, str or None
            By the names of the inputs; whatever else it is, is at fault.
        """
        if not isinstance(given, Mapping):
            return {}, [Fault("", kind_of(given), NO_OBJECT)]
        faults = [
            Fault(str(name), kind_of(value), NO_INPUT)
            for name, value in given.items()
            if name not in self.inputs
        ]
        values: dict[str, Value] = {}
        for name, wanted in self.inputs.items():
            value = given.get(name)
            if name not in given and wanted.required:
                faults.append(Fault(name, "nothing", MISSING))
            elif value is None:
                values[name] = None
                if not wanted.nullable:
                    faults.append(Fault(name, kind_of(value), BLANK))
            else:
                taken, rules = taken_as(value, wanted)
                values[name] = taken
                faults += [Fault(name, kind_of(value), rule) for rule in rules]
        return ({}, faults) if faults else (values, [])

    def _is_right(self, values: tuple[Any, ...]) -> bool:
        """Whether values of the right types keep the rules that types do not tell."""
        for place, allowed in self._listed:
            if values[place] not in allowed:
                return False
        for place in self._whole:
            number = values[place]
            if number is not None and not number.is_integer():
                return False
        return True


def _value(text: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.ValidationError, RecursionError):
        return math.nan


def taken_as(value: Any, wanted: Input) -> tuple[Value, list[str]]:
    """A value as an input has it, and the rules that it breaks, in the words of `rejects`.

    >>> taken_as(-1, Input(kind="number", ge=0))
    (-1.0, ['is below 0'])
    >>> taken_as("12", Input(kind="number"))
    (None, ['is not a finite number'])
    """
    if wanted.kind == "text":
        # Half of a character is none, and is in no table.
        if not isinstance(value, str) or any("\ud800" <= one <= "\udfff" for one in value):
            return None, [NO_TEXT]
        return value, [BLANK] if not value else _unlisted(value, wanted)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, [NO_WHOLE if wanted.is_whole else NO_NUMBER]
    number = float(value) if -_LAST <= value <= _LAST else math.nan
    if not math.isfinite(number):
        return None, [NO_WHOLE if wanted.is_whole else NO_NUMBER]
    rules = [NO_WHOLE] if wanted.is_whole and not number.is_integer() else []
    if wanted.ge is not None and number < wanted.ge:
        rules.append(f"is below {wanted.ge:g}")
    if wanted.le is not None and number > wanted.le:
        rules.append(f"is above {wanted.le:g}")
    return number, [*rules, *_unlisted(number, wanted)]


def _unlisted(value: float | str, wanted: Input) -> list[str]:
    if wanted.isin is None or value in wanted.isin:
        return []
    return [f"is not one of {', '.join(str(one) for one in wanted.isin)}"]


def _field(name: str, wanted: Input) -> Any:
    """A field of a type that holds what is right, and mostly nothing else."""
    held: Any
    if wanted.kind == "text" and wanted.isin:
        held = Literal[tuple(filter(None, wanted.isin))]
    elif wanted.kind == "text":
        held = Annotated[str, msgspec.Meta(min_length=1)]
    else:
        # Whatever is not finite is beyond one of them.
        least = -_LAST if wanted.ge is None else wanted.ge
        most = _LAST if wanted.le is None else wanted.le
        held = Annotated[float, msgspec.Meta(ge=least, le=most)]
    held = held | None if wanted.nullable else held
    return (name, held) if wanted.required else (name, held, None)


def _input(kind: Kind, told: Mapping[str, Any] | None) -> Input:
    """What a JSON schema tells of an input; anything where it tells nothing."""
    if told is None:
        return Input(kind=kind, nullable=True)
    types = told.get("type", [])
    types = [types] if isinstance(types, str) else types
    listed = told.get("enum")
    return Input(
        kind=kind,
        nullable="null" in types,
        is_whole=kind == "number" and "integer" in types and "number" not in types,
        ge=told.get("minimum"),
        le=told.get("maximum"),
        isin=None if listed is None else tuple(one for one in listed if one is not None),
    )
