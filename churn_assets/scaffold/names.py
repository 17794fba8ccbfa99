"""Names for what a source calls in its own way."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Sequence

from churn_assets.usecases.spec import RESERVED

_NOT_USE_CASES = frozenset({
    # What its file holds beside the use case itself.
    "clean", "features", "annotations", "spec",
    # What Dagster lets nothing be called.
    "context", "conf", "config", "meta", "arg_dict", "input_arg_dict", "output_arg_dict", "output",
})  # fmt: skip
_LETTERS = str.maketrans({
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th",
    "\u0131": "i",
})  # fmt: skip
"""Those which Unicode does not split into an ASCII letter and an accent."""
_SIGNS = {"%": " percent ", "#": " number ", "&": " and ", "+": " plus ", "@": " at "}


def snake_case(text: str) -> str:
    """A name in lower case with underscores, in ASCII where its letters allow it.

    Empty where it has neither letter nor digit.

    >>> snake_case("MonthlyCharges"), snake_case("customerID"), snake_case("StreamingTV")
    ('monthly_charges', 'customer_id', 'streaming_tv')
    >>> snake_case("número de hijos"), snake_case("P-not-C"), snake_case("% discount")
    ('numero_de_hijos', 'p_not_c', 'percent_discount')
    """
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    lower = apart.lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", lower)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    if re.search("[a-z]", plain):
        return "_".join(re.findall(r"[a-z0-9]+", plain))
    return "_".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", lower)))


def column_names(sources: Sequence[str], label: str = "") -> dict[str, str]:
    """A name for each column of a source: snake_case, its own, neither a keyword nor a number.

    Parameters
    ----------
    sources : sequence of str
        Names in the source.
    label : str
        The one among them that may be called `label`.

    Examples
    --------
    >>> column_names(["Total", "total", "class", "2021", "?", "split"])
    {'Total': 'total', 'total': 'total_2', 'class': 'class_', '2021': 'column_2021',
     '?': 'column_5', 'split': 'split_2'}
    """
    names: dict[str, str] = {}
    used = {*RESERVED} - ({"label"} if snake_case(label) == "label" else set())
    for source in sorted(sources, key=lambda source: source != label):
        place = sources.index(source) + 1
        name = snake_case(source) or f"column_{place}"
        if name[0].isdigit():
            name = f"column_{name}"
        if keyword.iskeyword(name):
            name = f"{name}_"
        names[source] = own_name(name, used)
        used.add(names[source])
    return {source: names[source] for source in sources}


def own_name(name: str, used: Collection[str]) -> str:
    """The name itself, or with a number if it is in use.

    >>> own_name("day", {"day", "day_2"})
    'day_3'
    """
    number, own = 2, name
    while own in used:
        own, number = f"{name}_{number}", number + 1
    return own


def fault_of_use_case(name: str) -> str:
    """Why a use case cannot be called that; empty where it can.

    >>> fault_of_use_case("MyTelco")
    "is not a name in snake_case; call it 'my_telco'"
    >>> fault_of_use_case("my_telco")
    ''
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        # Settings find it in the name of a variable, where case and double underscores are lost.
        better = re.sub(r"^\d+_?", "", snake_case(name))
        advice = f"; call it '{better}'" if better.isascii() and better else ""
        return f"is not a name in snake_case{advice}"
    if keyword.iskeyword(name) or hasattr(builtins, name) or name in _NOT_USE_CASES:
        return "means something else in Python, in Dagster or in the file; call it otherwise"
    return ""
