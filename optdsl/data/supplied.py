"""Data from outside the model, in one form: Python arguments, `--set` and `--data`.

What a value means (a parameter by position or by keys, the members of a set, the rows of a table) depends on
the name that it is given to; here it only becomes arrays.
"""

from __future__ import annotations

import re
from pathlib import Path

from optdsl.data.columns import NUMBER
from optdsl.data.content import find_file
from optdsl.data.forms import (
    DenseValue,
    FrameValue,
    ListValue,
    MappingValue,
    ScalarValue,
    SparseValue,
    Supplied,
)
from optdsl.data.python_values import from_python
from optdsl.errors import Diagnostic, OptionError

__all__ = [
    "DenseValue",
    "FrameValue",
    "ListValue",
    "MappingValue",
    "ScalarValue",
    "SparseValue",
    "Supplied",
    "from_data_option",
    "from_python",
    "from_set_option",
]

_OPTION = re.compile(r"\s*([^\W\d]\w*)\s*=(.*)", re.DOTALL)
_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,"']*?))\s*(,|$)""")


def from_set_option(text: str) -> tuple[str, Supplied]:
    """`--set`: `n=5`, `S=a,b,c`, `label="x y"`. A comma makes a list, quotes make a text. Raises OptionError."""
    name, value = _name_and_value(text, "set", "--set n=5, --set S=a,b,c, or --set 'label=\"x y\"'")
    items = _items(name, value)
    if len(items) == 1 and not value.rstrip().endswith(","):
        return name, ScalarValue(items[0])
    return name, from_python(name, items)


def _items(name: str, value: str) -> list[int | float | str]:
    items: list[int | float | str] = []
    at = 0
    while at < len(value):
        match = _ITEM.match(value, at)
        if match is None:
            raise OptionError(
                Diagnostic(
                    "bad-set-option",
                    f"--set {name}: {value[at:].strip()!r} is not an item of a list",
                    hint='quote an item as a whole: --set \'S="a b","c, d"\'',
                )
            )
        double, single, bare = match.group(1, 2, 3)
        quoted = double if double is not None else single
        items.append(quoted if quoted is not None else _bare(name, bare.strip()))
        at = match.end()
    if not items:
        raise OptionError(
            Diagnostic("bad-set-option", f"--set {name} has no value", hint=f"write --set {name}=5 or --set {name}=a,b")
        )
    return items


def _bare(name: str, text: str) -> int | float | str:
    """An item without quotes: a number where it reads as one ("007" does not, as in a table), else a text."""
    if text.lower().lstrip("+-") == "nan":
        raise OptionError(
            Diagnostic(
                "bad-set-option", f"--set {name}: NaN is not a number that a model can use", hint="give a number"
            )
        )
    if not text:
        raise OptionError(
            Diagnostic(
                "bad-set-option", f"--set {name}: an item of the list is empty", hint='write "" for an empty text'
            )
        )
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", text, re.ASCII):
        return int(text)
    if NUMBER.fullmatch(text) and not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        return float(text)
    return text


def from_data_option(text: str, folder: Path) -> tuple[str, str]:
    """`--data name=path`: the name and the path as given; the file must be there, relative to `folder`."""
    name, path = _name_and_value(text, "data", "--data foods=foods.csv")
    path = path.strip()
    find_file(path, folder)
    return name, path


def _name_and_value(text: str, option: str, example: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(text)
    if match is None:
        what = f"has no name before the `=`: {text!r}" if "=" in text else f"is not of the form name=value: {text!r}"
        raise OptionError(Diagnostic("bad-option-form", f"--{option} {what}", hint=f"for example {example}"))
    return match.group(1), match.group(2)
