"""What is wrong with what was sent, in one form for inputs, records and rows of a batch."""

from __future__ import annotations

import msgspec

NO_COLUMN = "is not a column of it"
MISSING = "is missing"
NO_VALUE = "is neither text nor a number"


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong, in words that show no value.

    Parameters
    ----------
    field : str
        The column, as whoever sent it calls it; empty where the whole is at fault.
    kind : str
        What was sent there: text, number, null, list, object, true or false, or nothing.
    rule : str
        What it breaks, as `rejects` has it.
    """

    field: str
    kind: str
    rule: str

    @property
    def words(self) -> str:
        """Both in one, as a reason in `rejects` is.

        >>> Fault("tenure", "number", "is below 0").words
        'tenure: is below 0'
        """
        return f"{self.field}: {self.rule}" if self.field else self.rule


def kind_of(value: object) -> str:
    """What kind of a value JSON has, in words.

    >>> [kind_of(value) for value in ("7", 7.0, True, None, [7], {})]
    ['text', 'number', 'true or false', 'null', 'list', 'object']
    """
    return _KINDS.get(type(value), "object")


_KINDS: dict[type, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    list: "list",
    tuple: "list",
}
